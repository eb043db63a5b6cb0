"""The scenario files, as a configuration group of Hydra: ``scenario=NAME`` finds ``scenarios/NAME.yaml``.

A file is a story (see :mod:`twin.sim.scenario`). What it says under ``choose`` picks configuration groups and what it
says under ``settings`` sets values, so that a story brings the run that it is told on; the command line still wins.
The short form of a story is the option ``NAME_short``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from twin.hall.errors import Fault, did_you_mean
from twin.sim.scenario import SHORT_KEYS, ScenarioError, short_form

GROUPS = ("hall", "workload", "policy", "plant", "sensors", "tolerances", "record", "faults")
SETTINGS = (*GROUPS, "seed", "hours", "warmup_seconds", "control_period_seconds", "greatest_restarts", "weather")
NONE = "none"
UNREAD = "unread"


class _Loader(yaml.SafeLoader):
    """YAML in which 12:30:00 stays a text: YAML 1.1 would make a number to the base of 60 of it."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?\d+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def read_story(path: Path) -> dict[str, Any]:
    """The mapping of a scenario file, with ``name`` and ``source`` filled in.

    Raises :class:`ScenarioError` when it is no YAML, no mapping, or asks for a group or setting that there is not.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as fault:
        raise ScenarioError(
            [Fault(str(path), "file", path.name, f"cannot be read ({fault})", "Give another")]
        ) from None
    except yaml.YAMLError as fault:
        where = " ".join(str(fault).split())
        raise ScenarioError([Fault(str(path), "file", path.name, f"is no YAML: {where}", "Correct it there")]) from None
    if not isinstance(found, dict):
        raise ScenarioError([Fault(str(path), "file", path.name, "is no mapping", "Write keys such as 'purpose:'")])
    story = {"name": path.stem, **found, "source": str(path)}
    faults = [fault for part, key in _parts(story) for fault in _misfits(str(path), part, key)]
    if faults:
        raise ScenarioError(faults)
    return story


def _parts(story: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    short = story.get("short")
    return [(story, "")] + ([(short, "short.")] if isinstance(short, Mapping) else [])


def _misfits(source: str, part: Mapping[str, Any], prefix: str) -> list[Fault]:
    faults = []
    for key, allowed in (("choose", GROUPS), ("settings", SETTINGS)):
        asked = part.get(key) or {}
        if not isinstance(asked, Mapping):
            faults.append(Fault(source, prefix + key, asked, "not a mapping", f"Write keys: {', '.join(allowed)}"))
            continue
        for name, value in asked.items():
            if name not in allowed:
                faults.append(
                    Fault(source, f"{prefix}{key}.{name}", value, "unknown key", did_you_mean(str(name), allowed))
                )
    if prefix:
        for name, value in part.items():
            if name not in SHORT_KEYS:
                faults.append(Fault(source, prefix + name, value, "unknown key", did_you_mean(str(name), SHORT_KEYS)))
    elif part.get("short") is not None and not isinstance(part["short"], Mapping):
        faults.append(Fault(source, "short", part["short"], "not a mapping", f"Write keys: {', '.join(SHORT_KEYS)}"))
    return faults


def files(folder: Path) -> list[Path]:
    """The scenario files of a folder, by name."""
    return sorted(folder.glob("*.yaml"))


def option(story: Mapping[str, Any]) -> dict[str, Any]:
    """What Hydra composes for a story: its groups, its settings and, under ``scenario``, itself."""
    told = {key: value for key, value in story.items() if key not in ("choose", "settings", "short")}
    made: dict[str, Any] = {}
    if "hours" in story:
        made["hours"] = story["hours"]
    made |= story.get("settings") or {}
    made["scenario"] = told
    choose = story.get("choose") or {}
    return {"defaults": [*({f"override /{group}": name} for group, name in choose.items()), "_self_"], **made}


def options(folder: Path, asked: str) -> dict[str, dict[str, Any]]:
    """Every option of the group ``scenario``: ``none``, each story, and the short form of each that has one.

    Only stories whose names stand in the text ``asked`` are read; the others are names to choose from, and
    :func:`unread` tells one that was chosen all the same. Raises :class:`ScenarioError` for a file that is read and
    refused.
    """
    quiet = {"name": NONE, "purpose": "Nothing happens but the work.", "source": "scenario=none"}
    found: dict[str, dict[str, Any]] = {NONE: option(quiet)}
    words = set(re.findall(r"[\w-]+", asked))
    for path in files(folder):
        forms = (path.stem, f"{path.stem}_short")
        if words.isdisjoint(forms):
            found |= {form: {"scenario": {UNREAD: form}} for form in forms}
        else:
            found |= options_of(path)
    return found


def unread(scenario: object) -> str | None:
    """The name of a story that was chosen where nobody looked for its name; None for one that was read."""
    return scenario.get(UNREAD) if isinstance(scenario, Mapping) else None


def options_of(path: Path) -> dict[str, dict[str, Any]]:
    """The options that one file makes: itself and its short form."""
    story = read_story(path)
    made = {path.stem: option(story)}
    if story.get("short"):
        made[f"{path.stem}_short"] = option({**short_form(story), "name": f"{story['name']}_short"})
    return made
