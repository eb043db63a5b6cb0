"""Runs paired by the world that they met: same hall, work, faults and seed, and only one thing between them.

A world is a configuration without the axis that is compared. Random streams are named, so that two runs of one world
meet the same arrivals, faults and noise (common random numbers), and what differs between them is the axis's doing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.results.measures import flatten, looked_up
from twin.results.read import Run, read_run
from twin.results.rundir import MANIFEST, canonical_json
from twin.studies.sweep import axes_of_table

SEED = "seed"
#: manifest keys that have to agree within a world, and the groups of a configuration that may change them
DRAWS = {
    "workload": ("hall", "workload"),
    "drawn_faults": ("hall", "faults"),
    "tolerances": ("hall", "tolerances", "sensors"),
    "weather": ("weather",),
    "nodes": ("workload",),
}


class Incomparable(ValueError):
    """Runs that cannot be compared. ``faults`` says why, one sentence each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


@dataclass(frozen=True)
class Member:
    """One run of a comparison: what it is called in messages, what it was, and its measures."""

    name: str
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    axes: Mapping[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> Mapping[str, Any]:
        """Its configuration as plain values."""
        return self.manifest["configuration"]


@dataclass(frozen=True)
class World:
    """What one value of the axis is compared with another in: the runs by value."""

    cell: str
    seed: int
    runs: Mapping[str, Member]


@dataclass(frozen=True)
class Pairing:
    """Worlds in which the axis's values are compared. ``cells`` are worlds that differ by more than the seed, in words;
    ``left_out`` are runs whose world has no run of the baseline, or too few values."""

    axis: str
    baseline: str
    values: tuple[str, ...]  # without the baseline
    cells: tuple[str, ...]
    worlds: tuple[World, ...]
    left_out: tuple[str, ...]

    def pairs(self, cell: str, value: str) -> list[tuple[Member, Member]]:
        """Runs of the baseline and of ``value`` in the worlds of a cell, in the order of their seeds."""
        return [
            (world.runs[self.baseline], world.runs[value])
            for world in self.worlds
            if world.cell == cell and self.baseline in world.runs and value in world.runs
        ]


def read_members(paths: Sequence[Path]) -> list[Member]:
    """The runs that ``paths`` name: run directories, or sweeps, of which every run counts.

    Raises RunError for what is neither, and Incomparable for runs that were stopped before their end, or are of other
    versions or lengths.
    """
    found: list[Member] = []
    for path in paths:
        if (path / MANIFEST).is_file() or not path.is_dir():
            found.append(_member(read_run(path), path.name, {}))
            continue
        axes = axes_of_table(path)
        runs = sorted(inside.parent for inside in path.glob("*/" + MANIFEST))
        if not runs:
            raise Incomparable([f"{path}: holds no run; give run directories, or the folder of a sweep"])
        found += [_member(read_run(run), run.name, axes.get(run.name, {})) for run in runs]
    stopped = [f"{member.name}: was stopped before its end; make it again" for member in found if not _whole(member)]
    faults = stopped or _versions(found) + _lengths(found)
    if faults:
        raise Incomparable(faults)
    return found


def _member(run: Run, name: str, axes: Mapping[str, str]) -> Member:
    return Member(name or run.directory.resolve().name, run.manifest, run.metrics, axes)


def _whole(member: Member) -> bool:
    return member.manifest.get("complete") is True


def axis_of(members: Sequence[Member], asked: str | None = None) -> str:
    """The key of the configuration that is compared: ``asked``, or the only one that differs beside the seed.

    Raises Incomparable where nothing differs, or more than one thing does.
    """
    differing = _differing([member.configuration for member in members])
    differing.pop(SEED, None)
    if asked is not None:
        if not any(looked_up(member.configuration, asked) is not None for member in members):
            known = ", ".join(sorted({key.partition(".")[0] for key in differing})) or "nothing"
            raise Incomparable([f"--by {asked}: no such key in these runs; what differs is in: {known}"])
        if not any(key == asked or key.startswith(asked + ".") for key in differing):
            raise Incomparable([f"--by {asked}: it is the same in all of these runs"])
        return asked
    swept = {axis for member in members for axis in member.axes if axis != SEED}
    if len(swept) == 1 and len(differing):
        return swept.pop()
    groups = sorted({key.partition(".")[0] for key in differing})
    if not groups:
        raise Incomparable(["nothing but the seed differs between these runs: there is nothing to compare"])
    if len(groups) > 1 or len(swept) > 1:
        keys = ", ".join(sorted(swept) or groups)
        raise Incomparable([f"these runs differ in more than one thing ({keys}); name what is compared with --by KEY"])
    return next(iter(differing)) if len(differing) == 1 else groups[0]


def pair(members: Sequence[Member], axis: str, baseline: str | None = None) -> Pairing:
    """Pair ``members`` by world. The baseline is the first run's value of the axis unless it is named.

    Raises Incomparable for inputs that differ in one world, two runs of one value in one world, an unknown baseline,
    and values that share no world.
    """
    if axis.partition(".")[0] in (SEED, "hours", "warmup_seconds"):
        raise Incomparable([f"--by {axis}: runs of another seed or length are other worlds; name what was chosen"])
    labels = _labels(members, axis)
    values = list(dict.fromkeys(labels))
    if len(values) < 2:
        raise Incomparable([f"{axis}: all runs have {values[0]}; give runs of another value"])
    first = values[0] if baseline is None else baseline
    if first not in values:
        raise Incomparable([f"--baseline {first}: no run has it; {axis} is {', '.join(values)}"])
    faults = []
    names = _cell_names(members, axis)
    grouped: dict[tuple[str, int, bytes], dict[str, Member]] = {}
    for member, label, cell in zip(members, labels, names, strict=True):
        key = (cell, int(member.configuration[SEED]), canonical_json(_without(member.configuration, axis)))
        runs = grouped.setdefault(key, {})
        if label in runs:
            faults.append(f"{member.name} and {runs[label].name} are one run twice; leave one of them out")
        runs[label] = member
    worlds = [World(cell, seed, runs) for (cell, seed, _), runs in sorted(grouped.items(), key=lambda item: item[0])]
    faults += [fault for world in worlds for fault in _inputs(world, axis)]
    if faults:
        raise Incomparable(faults)
    used = [world for world in worlds if first in world.runs and len(world.runs) > 1]
    if not used:
        raise Incomparable([_no_world(members, labels, axis, first)])
    kept = {id(member) for world in used for member in world.runs.values()}
    others = tuple(value for value in values if value != first and any(value in world.runs for world in used))
    cells = tuple(dict.fromkeys(world.cell for world in used))
    left = tuple(member.name for member in members if id(member) not in kept)
    return Pairing(axis, first, others, cells, tuple(used), left)


def _versions(members: Sequence[Member]) -> list[str]:
    found = _differing([{"versions": member.manifest.get("versions") or {}} for member in members])
    faults = []
    for key, values in found.items():
        what = key.removeprefix("versions.")
        shown = "" if what == "code" else f" ({', '.join(sorted(set(map(str, values))))})"
        faults.append(f"versions: {what} differs between these runs{shown}; make them again with one version")
    return faults


def _lengths(members: Sequence[Member]) -> list[str]:
    lengths = {float(member.metrics.get("simulated_seconds") or 0.0): member.name for member in reversed(members)}
    if len(lengths) < 2:
        return []
    told = ", ".join(f"{name} {seconds / 3600.0:g} h" for seconds, name in sorted(lengths.items())[:3])
    return [f"length: runs of different length are not compared ({told}); give them the same hours"]


def _inputs(world: World, axis: str) -> list[str]:
    """Inputs and draws that differ between the runs of one world though their configuration says the same."""
    members = list(world.runs.values())
    faults = []
    for key, groups in DRAWS.items():
        if axis.partition(".")[0] in groups:
            continue
        if len({canonical_json(member.manifest.get(key)) for member in members}) > 1:
            names = " and ".join(member.name for member in members[:2])
            faults.append(f"{key}: differs between {names}, though they ask for the same; has an input file changed?")
    return faults


def _no_world(members: Sequence[Member], labels: Sequence[str], axis: str, baseline: str) -> str:
    one = next(member for member, label in zip(members, labels, strict=True) if label == baseline)
    other = next(member for member, label in zip(members, labels, strict=True) if label != baseline)
    found = _differing([_without(one.configuration, axis), _without(other.configuration, axis)])
    told = [f"{key} is {values[0]} and {values[1]}" for key, values in list(found.items())[:3]]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"different worlds: no two runs differ in {axis} alone; between {one.name} and {other.name} " + (
        f"{', '.join(told)}{more}"
    )


def _labels(members: Sequence[Member], axis: str) -> list[str]:
    """What each run's value of the axis is called: as the sweep had it, or a group's name, or the value."""
    values = [looked_up(member.configuration, axis) for member in members]
    if all(axis in member.axes for member in members):
        return [member.axes[axis] for member in members]
    named = [str(value.get("name")) if isinstance(value, Mapping) else str(value) for value in values]
    for name in set(named):
        same = [index for index, each in enumerate(named) if each == name and isinstance(values[index], Mapping)]
        differing = _differing([values[index] for index in same])
        for index in same if differing else []:
            told = ", ".join(f"{key}={looked_up(values[index], key)}" for key in list(differing)[:2])
            named[index] = f"{name} ({told})"
    return named


def _cell_names(members: Sequence[Member], axis: str) -> list[str]:
    """In what but axis and seed each run's world differs from the others', in words; empty where nothing does."""
    rest = [_without(member.configuration, axis, SEED) for member in members]
    differing = _differing(rest)
    groups = list(dict.fromkeys(key.partition(".")[0] for key in differing))
    columns = []
    for group in groups:
        keys = [key for key in differing if key.partition(".")[0] == group]
        names = [str(looked_up(each, f"{group}.name")) for each in rest]
        contents = [canonical_json(each.get(group)) for each in rest]
        # a group goes by its name where that tells its contents apart, else by the keys that differ
        if len(keys) > 1 and len(set(zip(names, contents, strict=True))) == len(set(names)):
            columns.append([f"{group}={name}" for name in names])
        else:
            shown = keys[:3]
            columns.append([", ".join(f"{key}={looked_up(each, key)}" for key in shown) for each in rest])
    return [", ".join(parts) for parts in zip(*columns, strict=True)] if columns else [""] * len(members)


def _differing(mappings: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted keys whose values are not the same in all mappings, with the values."""
    flat = [dict(flatten(mapping)) for mapping in mappings]
    keys = dict.fromkeys(key for each in flat for key in each)
    found = {key: [each.get(key) for each in flat] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _without(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A copy of nested mappings without some dotted keys."""
    kept = dict(mapping)
    for key in keys:
        head, _, rest = key.partition(".")
        if not rest:
            kept.pop(head, None)
        elif isinstance(kept.get(head), Mapping):
            kept[head] = _without(kept[head], rest)
    return kept
