"""The response ladder as a pure state machine: rules, state and readings in, the next state and actions out.

Every place climbs its ladders alone, rung by rung. A rung is taken when its signal has been past its limit for the
dwell, counted between good readings on the sensor's own time stamps, and the rung below has been held for long enough.
It is released, the highest first, when the signal has been back past the release level for the release dwell.

What is missing, stale or out of range is no reading. Time across it counts for no dwell; a dwell towards climbing
waits, one towards release begins again. A place without good readings for long gives an alert of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twin.policy.causes import Author, Comparison, Trigger
from twin.policy.ladder_rules import ORDER, Ladder, LadderRules, Limit, Step
from twin.policy.playbook import Action, Because, Do, Reason, playbook
from twin.policy.scope import Level, Scope
from twin.policy.sensed import Readings
from twin.policy.signals import good

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Held:
    """One ladder over its M places, with K limits (the rungs', then the hard one) of which R are rungs."""

    rungs: NDArray[np.int64]  # M, how many are held
    taken_seconds: Floats  # R×M, time stamp of the reading that took a rung; NaN for not held
    taken_value: Floats  # R×M, that reading
    taken_held: Floats  # R×M, s that the dwell had reached
    by_hard_limit: Flags  # R×M, taken by the hard limit
    latest: Floats  # K×M, time stamp of the latest good reading; −inf for none
    broken: Flags  # K×M, something was no reading since
    past: Floats  # K×M, s past the limit; NaN where the latest good reading is not
    calm: Floats  # R×M, s back past the release level; NaN where the latest reading is not, or is none
    unseen: Flags  # K×M, an alert of it is out
    acknowledged: Flags  # M, a person has acknowledged a latched rung


@dataclass(frozen=True)
class LadderState:
    """All ladders of a rules document. A value: nothing in it is ever changed."""

    time_seconds: float
    start_seconds: float
    members: Mapping[Level, tuple[str, ...]]
    ladders: Mapping[str, Held]


@dataclass(frozen=True)
class Wish:
    """A flag that a held rung wants set."""

    scope: Scope
    flag: str
    variant: str
    reason: Reason


def start(rules: LadderRules, members: Mapping[Level, tuple[str, ...]], time_seconds: float) -> LadderState:
    """No rung held anywhere and nothing read yet. ``members`` names the places of every level that has a ladder."""
    held = {}
    for ladder in rules.ladders:
        count, rungs, limits = len(members[ladder.level]), len(ladder.steps), len(ladder.limits)
        held[ladder.name] = Held(
            rungs=np.zeros(count, dtype=np.int64),
            taken_seconds=np.full((rungs, count), np.nan),
            taken_value=np.full((rungs, count), np.nan),
            taken_held=np.full((rungs, count), np.nan),
            by_hard_limit=np.zeros((rungs, count), dtype=bool),
            latest=np.full((limits, count), -np.inf),
            broken=np.zeros((limits, count), dtype=bool),
            past=np.full((limits, count), np.nan),
            calm=np.full((rungs, count), np.nan),
            unseen=np.zeros((limits, count), dtype=bool),
            acknowledged=np.zeros(count, dtype=bool),
        )
    return LadderState(time_seconds, time_seconds, dict(members), held)


def step(
    rules: LadderRules, state: LadderState, readings: Readings, time_seconds: float
) -> tuple[LadderState, tuple[Action, ...]]:
    """Take and release rungs on new readings. Actions are in the order of level, place, ladder and rung.

    Raises ValueError for other places than the state has, and for a time that is not finite or runs backwards.
    """
    if not np.isfinite(time_seconds) or time_seconds < state.time_seconds:
        raise ValueError(f"time_seconds = {time_seconds:g}: not at or after the state's {state.time_seconds:g} s")
    for level in {ladder.level for ladder in rules.ladders}:
        if tuple(readings.members.get(level, ())) != state.members[level]:
            raise ValueError(f"members of level '{level}' are not those of the state; start again with start()")
    ladders: dict[str, Held] = {}
    told: dict[Scope, list[Action]] = {}
    positions: dict[Scope, int] = {}
    causes: dict[tuple[Scope, str], Reason] = {}
    for ladder in rules.ladders:
        names = state.members[ladder.level]
        before = state.ladders[ladder.name]
        values, after = _stepped(rules, ladder, before, readings, time_seconds, state.start_seconds)
        ladders[ladder.name] = after
        changed = (after.rungs != before.rungs) | (after.unseen != before.unseen).any(axis=0)
        for place in np.flatnonzero(changed).tolist():
            scope = Scope(ladder.level, names[place])
            found, cause = _told(ladder, before, after, values, place, scope, time_seconds)
            told.setdefault(scope, []).extend(found)
            positions[scope] = place
            if cause is not None:
                causes[scope, ladder.name] = cause
    new = replace(state, time_seconds=time_seconds, ladders=ladders)
    actions: list[Action] = []
    for scope in sorted(told, key=lambda each: each.order):
        actions += told[scope]
        actions += _flag_actions(rules, state, new, scope, positions[scope], causes, time_seconds)
    return new, tuple(actions)


def wishes(rules: LadderRules, state: LadderState) -> tuple[Wish, ...]:
    """Every flag that a held rung wants set, by level, place and flag. Where several want one, the highest rung says
    which variant.
    """
    found = []
    for level in dict.fromkeys(ladder.level for ladder in rules.ladders):
        holding = np.zeros(len(state.members[level]), dtype=bool)
        for ladder in rules.ladders:
            if ladder.level is level:
                holding |= state.ladders[ladder.name].rungs > 0
        for place in np.flatnonzero(holding).tolist():
            scope = Scope(level, state.members[level][place])
            wanted = _wanted(rules, state, level, place)
            found += [
                Wish(scope, flag, variant, _taken(ladder, state.ladders[ladder.name], rung, place))
                for flag, (variant, ladder, rung) in sorted(wanted.items(), key=lambda each: each[0])
            ]
    return tuple(sorted(found, key=lambda wish: (wish.scope.order, wish.flag)))


def acknowledge(rules: LadderRules, state: LadderState, ladder: str, place: str, by: Author) -> LadderState:
    """Let a latched rung be released once its signal has recovered. Only a person may.

    Raises ValueError for the policy as author, an unknown ladder or place, and where no latched rung is held.
    """
    rule = next((each for each in rules.ladders if each.name == ladder), None)
    if rule is None or place not in state.members[rule.level]:
        raise ValueError(f"ladder '{ladder}' has no place '{place}'; look at what the state has")
    if not by.is_person:
        raise ValueError(f"role '{by.role}' may not acknowledge; a person has to look first")
    held, at = state.ladders[ladder], state.members[rule.level].index(place)
    top = int(held.rungs[at]) - 1
    if top < 0 or not rule.steps[top].latched:
        raise ValueError(f"'{place}' holds no latched rung of ladder '{ladder}'; there is nothing to acknowledge")
    acknowledged = held.acknowledged.copy()
    acknowledged[at] = True
    return replace(state, ladders={**state.ladders, ladder: replace(held, acknowledged=acknowledged)})


def _stepped(
    rules: LadderRules, ladder: Ladder, before: Held, readings: Readings, time_seconds: float, start_seconds: float
) -> tuple[Floats, Held]:
    """The values looked at, shape (K, M), and the ladder's next state."""
    limits, steps = ladder.limits, ladder.steps
    latest, broken, past = before.latest.copy(), before.broken.copy(), before.past.copy()
    calm, unseen = before.calm.copy(), before.unseen.copy()
    values, fresh = np.full(latest.shape, np.nan), np.zeros(latest.shape, dtype=bool)
    first = {limit.signal: k for k, limit in reversed(list(enumerate(limits)))}
    for k, limit in enumerate(limits):
        signal = readings.of(limit.signal, ladder.level)
        stamp = signal.measured_seconds
        readable = good(signal.values, signal.quality) & np.isfinite(stamp)
        readable &= (stamp <= time_seconds) & (time_seconds - stamp <= rules.stale_seconds)
        new = readable & (stamp > latest[k])
        with np.errstate(invalid="ignore"):
            gap = np.where(new, stamp - latest[k], 0.0)
        counted = np.where(new & ~broken[k] & (gap <= rules.greatest_gap_seconds), gap, 0.0)
        values[k], fresh[k] = signal.values, new
        beyond = limit.sign * signal.values > limit.sign * limit.level
        grown = np.where(beyond, np.where(np.isnan(past[k]), 0.0, past[k] + counted), np.nan)
        past[k] = np.where(new, grown, past[k])
        if k < len(steps):
            back = limit.sign * signal.values <= limit.sign * steps[k].release_level
            again = np.isnan(calm[k]) | broken[k]
            rested = np.where(back, np.where(again | (gap > rules.greatest_gap_seconds), 0.0, calm[k] + gap), np.nan)
            calm[k] = np.where(new, rested, np.where(readable, calm[k], np.nan))
        broken[k] = np.where(new, False, broken[k] | ~readable)
        latest[k] = np.where(new, stamp, latest[k])
        if first[limit.signal] == k:
            unseen[k] = time_seconds - np.maximum(latest[k], start_seconds) > rules.unseen_seconds
    moving = replace(before, latest=latest, broken=broken, past=past, calm=calm, unseen=unseen)
    return values, _released(ladder, _climbed(ladder, moving, values, fresh), fresh, before.rungs)


def _climbed(ladder: Ladder, held: Held, values: Floats, fresh: Flags) -> Held:
    """Take rungs from the lowest up, each only where the one below is held; all at once past the hard limit."""
    rungs, seconds = held.rungs.copy(), held.taken_seconds.copy()
    value, reached, hard = held.taken_value.copy(), held.taken_held.copy(), held.by_hard_limit.copy()
    acknowledged = held.acknowledged.copy()

    def take(r: int, k: int, where: Flags, by_hard_limit: bool) -> None:
        rungs[where] = r + 1
        acknowledged[where] = False
        seconds[r, where], value[r, where] = held.latest[k, where], values[k, where]
        reached[r, where], hard[r, where] = held.past[k, where], by_hard_limit

    for r, each in enumerate(ladder.steps):
        due = (rungs == r) & fresh[r] & (held.past[r] >= each.trigger.dwell_seconds)
        if r:
            due &= held.latest[r] - seconds[r - 1] >= each.after_seconds
        take(r, r, due, False)
    if ladder.hard_limit is not None:
        k = len(ladder.steps)
        due = fresh[k] & (held.past[k] >= ladder.hard_limit.dwell_seconds)
        for r in range(len(ladder.steps)):
            take(r, k, due & (rungs == r), True)
    return replace(
        held,
        rungs=rungs,
        taken_seconds=seconds,
        taken_value=value,
        taken_held=reached,
        by_hard_limit=hard,
        acknowledged=acknowledged,
    )


def _released(ladder: Ladder, held: Held, fresh: Flags, rungs_before: NDArray[np.int64]) -> Held:
    """Release the highest rung where its signal has been calm for long enough; at most one, and none just taken."""
    rungs, seconds, calm = held.rungs.copy(), held.taken_seconds.copy(), held.calm.copy()
    value, reached, hard = held.taken_value.copy(), held.taken_held.copy(), held.by_hard_limit.copy()
    acknowledged = held.acknowledged.copy()
    steady = rungs == rungs_before
    if ladder.hard_limit is not None:
        steady &= np.isnan(held.past[len(ladder.steps)])
    gone = np.zeros(len(rungs), dtype=bool)
    for r, each in enumerate(ladder.steps):
        due = steady & (held.rungs == r + 1) & fresh[r] & (calm[r] >= each.release_dwell_seconds)
        if each.latched:
            due &= held.acknowledged
        rungs[due] = r
        seconds[r, due] = value[r, due] = reached[r, due] = np.nan
        hard[r, due] = acknowledged[due] = False
        gone |= due
    moved = gone | ~(held.rungs == rungs_before)
    calm = np.where(moved & ~np.isnan(calm), 0.0, calm)  # the next release waits for its own dwell
    return replace(
        held,
        rungs=rungs,
        taken_seconds=seconds,
        taken_value=value,
        taken_held=reached,
        by_hard_limit=hard,
        calm=calm,
        acknowledged=acknowledged,
    )


def _told(
    ladder: Ladder, before: Held, after: Held, values: Floats, place: int, scope: Scope, time_seconds: float
) -> tuple[list[Action], Reason | None]:
    """Actions, but for flags, of what changed for one place; and why its rungs changed, if they did."""
    actions: list[Action] = []
    cause: Reason | None = None
    for k in np.flatnonzero(after.unseen[:, place] != before.unseen[:, place]).tolist():
        signal = ladder.limits[k].signal
        lost = bool(after.unseen[k, place])
        since = float(after.latest[k, place])
        detail = f"{signal}, last read {f'at {since:g} s' if np.isfinite(since) else 'never'}"
        because = Because.UNSEEN if lost else Because.SEEN_AGAIN
        actions.append(Action(time_seconds, scope, Do.ALERT, Reason(because, ladder.name, None, detail)))
    low, high = int(before.rungs[place]), int(after.rungs[place])
    jumped = False
    for r in range(low, high):
        cause = _taken(ladder, after, r, place)
        if after.by_hard_limit[r, place]:
            jumped = True
            continue
        actions += [Action(time_seconds, scope, do, cause) for do in ladder.steps[r].do]
    if jumped and cause is not None:
        actions += playbook(scope, cause, time_seconds)
    for r in range(low - 1, high - 1, -1):
        cause = _recovered(ladder, ladder.steps[r], float(values[r, place]), after, before, r, place)
        actions += [Action(time_seconds, scope, do, cause) for do in ladder.steps[r].undo]
    return actions, cause


def _taken(ladder: Ladder, held: Held, r: int, place: int) -> Reason:
    """Why a held rung was taken."""
    hard = bool(held.by_hard_limit[r, place])
    limit = ladder.limits[-1] if hard else ladder.steps[r].trigger
    rule = f"{ladder.name} {'hard limit' if hard else ladder.steps[r].rung}"
    trigger = _trigger(rule, limit, held.taken_value[r, place], held.taken_held[r, place], held.taken_seconds[r, place])
    return Reason(Because.HARD_LIMIT if hard else Because.CLIMBED, rule, trigger)


def _trigger(rule: str, limit: Limit, value: float, held: float, at: float) -> Trigger:
    return Trigger(
        rule, limit.signal, limit.comparison, limit.level, float(value), limit.dwell_seconds, float(held), float(at)
    )


def _recovered(ladder: Ladder, each: Step, value: float, after: Held, before: Held, r: int, place: int) -> Reason:
    """Why a rung was released. The trigger's comparison is that of the way back."""
    way = Comparison.BELOW if each.trigger.comparison is Comparison.ABOVE else Comparison.ABOVE
    limit = Limit(each.trigger.signal, way, each.release_level, each.release_dwell_seconds)
    stamp = float(after.latest[r, place])
    rested = float(before.calm[r, place]) + stamp - float(before.latest[r, place])
    rule = f"{ladder.name} {each.rung}"
    return Reason(Because.RELEASED, rule, _trigger(rule, limit, value, 0.0 if np.isnan(rested) else rested, stamp))


def _wanted(rules: LadderRules, state: LadderState, level: Level, place: int) -> dict[str, tuple[str, Ladder, int]]:
    """Flag → variant, and the ladder and rung that say so. The highest rung has its way, of equals the last by name."""
    found: dict[str, tuple[str, Ladder, int]] = {}
    heights: dict[str, int] = {}
    for ladder in rules.ladders:
        if ladder.level is level:
            for r in range(int(state.ladders[ladder.name].rungs[place])):
                for flag, variant in ladder.steps[r].flags:
                    height = ORDER[ladder.steps[r].rung]
                    if height >= heights.get(flag, -1):
                        heights[flag] = height
                        found[flag] = (variant, ladder, r)
    return found


def _flag_actions(
    rules: LadderRules,
    before: LadderState,
    after: LadderState,
    scope: Scope,
    place: int,
    causes: Mapping[tuple[Scope, str], Reason],
    time_seconds: float,
) -> list[Action]:
    """Flags of one place that are wanted otherwise than before, in name order."""
    old, new = _wanted(rules, before, scope.level, place), _wanted(rules, after, scope.level, place)
    actions = []
    for flag in sorted(old.keys() | new.keys()):
        if flag not in new:
            cause = causes[scope, old[flag][1].name]
            actions.append(Action(time_seconds, scope, Do.CLEAR_FLAG, cause, flag, old[flag][0]))
        elif flag not in old or old[flag][0] != new[flag][0]:
            variant, ladder, r = new[flag]
            cause = _taken(ladder, after.ladders[ladder.name], r, place)
            actions.append(Action(time_seconds, scope, Do.SET_FLAG, cause, flag, variant))
    return actions
