"""What a team did at the table: rows of time, role, action and target, checked against a hall and a script.

An action is the name of a step of the script, or an action with its fields: ``respond what=shut_down``,
``set_flag flag=maintenance variant=empty``. A target is a name in the hall; a step's own where none is given.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twin.hall.errors import Fault, did_you_mean
from twin.hall.parts import Hall
from twin.policy.causes import Role
from twin.sim.action_checks import targets_of
from twin.sim.actions import ACTIONS, PEOPLE
from twin.sim.operators import MAY, Deed, Step, action_entry, does, may_not, same_deed
from twin.sim.scenario import TARGET_KEYS, Reader
from twin.sim.written import Unfit, clock_of, seconds_of

COLUMNS = ("time", "role", "action", "target")


def read_deeds(
    rows: Iterable[Mapping[str, Any]], steps: Sequence[Step], hall: Hall, source: str, end: float
) -> tuple[tuple[Deed, ...], list[Fault]]:
    """The deeds of rows (``line`` and the texts of :data:`COLUMNS`), in order of time, and every fault in them.

    ``end`` [s] is the end of the run; ``source`` is the file that messages name.
    """
    reader = Reader(hall, source)
    deeds: list[Deed] = []
    latest = 0.0
    for row in rows:
        key = f"line {row['line']}"
        missing = [column for column in COLUMNS[:3] if not str(row.get(column) or "").strip()]
        if missing:
            reader.add(
                f"{key}, {missing[0]}", "", "nothing there", f"Write {', '.join(COLUMNS)}; only target may be empty"
            )
            continue
        at = _time(row["time"], key, reader, latest, end)
        latest = max(latest, at)
        deed = _deed(row, key, steps, hall, reader)
        if deed is not None:
            deeds.append(replace(deed, at_seconds=at))
    return tuple(deeds), reader.faults


def _time(written: Any, key: str, reader: Reader, latest: float, end: float) -> float:
    try:
        at = seconds_of(str(written))
    except Unfit as unfit:
        reader.add(f"{key}, time", written, unfit.problem, unfit.remedy)
        return latest
    if at < latest:
        reader.add(f"{key}, time", written, f"before the row above it, at {clock_of(latest)}", "Sort the rows by time")
    if at > end:
        reader.add(f"{key}, time", written, f"past the end of the run at {clock_of(end)}", "Give more hours")
        return latest
    return at


def _deed(row: Mapping[str, Any], key: str, steps: Sequence[Step], hall: Hall, reader: Reader) -> Deed | None:
    role, action = str(row["role"]).strip(), str(row["action"]).strip()
    if role not in PEOPLE:
        reader.add(f"{key}, role", role, "unknown role", did_you_mean(role, PEOPLE))
    entry, name = _entry(action, key, steps, reader)
    if entry is None or role not in PEOPLE:
        return None
    target = str(row.get("target") or "").strip()
    if target and not (target == "hall" and ACTIONS[entry["do"]].whole_hall):
        kind = _kind(entry["do"], target, hall)
        if kind is None:
            allowed = [each for each in ACTIONS[entry["do"]].targets if each not in _fields(entry["do"])]
            known = [each for kind in allowed for each in targets_of(hall, kind)]
            problem = f"no target of {entry['do']} in this hall"
            reader.add(f"{key}, target", target, problem, did_you_mean(target, known) if known else "Leave it empty")
            return None
        entry = {**{word: value for word, value in entry.items() if word not in _targets(entry["do"])}, kind: target}
    elif target:
        entry = {word: value for word, value in entry.items() if word not in _targets(entry["do"])}
    before = len(reader.faults)
    actions = tuple(reader.entry(action_entry(entry, role, name), key, None))
    if len(reader.faults) > before or not actions:
        return None
    wrong = may_not(Role(role), actions[0])
    if wrong:
        reader.add(f"{key}, role", role, *wrong)
        return None
    step = next((i for i, each in enumerate(steps) if each.role == role and same_deed(each.actions, actions)), None)
    return Deed(0.0, Role(role), does(actions[0]) if step is None else steps[step].name, actions, step)


def _entry(action: str, key: str, steps: Sequence[Step], reader: Reader) -> tuple[dict[str, Any] | None, str]:
    """What was done as a timeline has it, and its name."""
    for step in steps:
        if step.name == action:
            return {word: value for word, value in step.entry.items() if word != "role"}, action
    try:
        word, *fields = shlex.split(action)
    except ValueError as fault:
        reader.add(f"{key}, action", action, f"cannot be read ({fault})", "Close the quotation marks")
        return None, ""
    if word not in MAY:
        known = [*(step.name for step in steps), *MAY]
        reader.add(f"{key}, action", action, "no step of the script and no action of people", did_you_mean(word, known))
        return None, ""
    entry: dict[str, Any] = {"do": word}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            reader.add(f"{key}, action", action, f"'{field}' is no field", "Write such as what=shut_down")
            return None, ""
        entry[name] = _value(value)
    return entry, action


def _value(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def _fields(do: str) -> set[str]:
    return {field.name for field in ACTIONS[do].fields}


def _targets(do: str) -> set[str]:
    return set(TARGET_KEYS) - _fields(do)


def _kind(do: str, target: str, hall: Hall) -> str | None:
    """The first kind of target of an action that has this name."""
    kinds = [kind for kind in ACTIONS[do].targets if kind not in _fields(do)]
    return next((kind for kind in kinds if target in targets_of(hall, kind)), None)
