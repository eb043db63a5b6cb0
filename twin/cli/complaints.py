"""Hydra's and OmegaConf's errors in this project's words: the key, the value, the remedy."""

import re
from collections.abc import Sequence

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from twin.hall.errors import Fault, did_you_mean

SOURCE = "command line"

FAULTS = (HydraException, OmegaConfBaseException)


def complaint(error: Exception, keys: Sequence[str], arguments: Sequence[str]) -> Fault:
    """What a configuration error says. ``keys`` are the top-level keys there are, ``arguments`` what was typed."""
    if isinstance(error, OverrideParseException):
        return Fault(
            SOURCE,
            "argument",
            error.override,
            f"cannot be read as KEY=VALUE, {_last(str(error))}",
            "Write such as seed=1, and quote a value with spaces or commas twice: \"key='a, b'\"",
        )
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        name = name.removesuffix(".yaml")
        known = [option for option in error.options if not option.startswith("_")]
        return Fault(SOURCE, group, name, "there is none of that name", did_you_mean(name, known))
    causes = [part for part in (error, error.__cause__) if part is not None]
    text = " ".join(map(str, causes))
    key = _key(text)
    if key is None:
        return Fault(SOURCE, "arguments", " ".join(arguments), _first(text), "See 'twin run --help'")
    typed = next((word for word in arguments if word.lstrip("+~").partition("=")[0] == key), key)
    value = typed.partition("=")[2]
    top = key.partition(".")[0]
    if "not in struct" in text or "No match in the defaults list" in text:
        parent = next((part.parent_node for part in causes if isinstance(part, OmegaConfBaseException)), None)
        word, known = (top, list(keys)) if top not in keys else (key.rpartition(".")[2], _keys(parent))
        return Fault(SOURCE, key, value, "there is no such key", did_you_mean(word, known))
    return Fault(SOURCE, key, value, _first(text), "See 'twin run --cfg job' for what is there")


def _keys(node: object) -> list[str]:
    return [str(key) for key in node] if isinstance(node, DictConfig) else []


def _key(text: str) -> str | None:
    for pattern in (r"Could not override '([^']+)'", r"Key '([^']+)' is not in struct", r"full_key: (\S+)"):
        if found := re.search(pattern, text):
            return found[1].split("@")[0]
    return None


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("See ")]
    return lines[-1].rstrip(".") if lines else "no reason was given"


def _first(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "no reason was given"
