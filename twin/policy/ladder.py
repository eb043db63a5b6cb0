"""The response ladder as a pure state machine: rules, state and readings in, the next state and actions out.

Every place climbs its ladders alone, rung by rung. A rung is taken when its signal has been past its limit for the
dwell, counted between good readings on the sensor's own time stamps, and the rung below has been held for long enough.
It is released, the highest first, when the signal has been back past the release level for the release dwell.

What is missing, stale or out of range is no reading. Time across it counts for no dwell; a dwell towards climbing
waits, one towards release begins again. A place without good readings for long gives an alert of its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.causes import Author, Comparison, Trigger
from twin.policy.ladder_rules import ORDER, Ladder, LadderRules, Limit
from twin.policy.playbook import Action, Because, Cause, Do, playbook
from twin.policy.scope import Level, Scope
from twin.policy.sensed import Reading, Sensed
from twin.policy.signals import good

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Held:
    """One ladder over its M places: K limits, of which the first R are the rungs' and one may be hard, of S signals."""

    rungs: NDArray[np.int64]  # M, how many are held
    taken_seconds: Floats  # R×M, time stamp of the reading that took a rung; NaN for not held
    taken_value: Floats  # R×M, that reading
    taken_held: Floats  # R×M, s that the dwell had reached
    by_hard_limit: Bools  # R×M, taken by the hard limit
    latest: Floats  # S×M, time stamp of the latest good reading; −inf for none
    broken: Bools  # S×M, something was no reading since
    unseen: Bools  # S×M, an alert of it is out
    past: Floats  # K×M, s past the limit; NaN where the latest good reading is not
    calm: Floats  # R×M, s back past the release level; NaN where not, or past the hard limit, or the rung is not held
    acknowledged: Bools  # M, a person has acknowledged a latched rung
    at_limit: Bools  # M, the playbook was run, and no rung was released since

    @cached_property
    def seen(self) -> bool:
        """Whether no alert of missing readings is out."""
        return not self.unseen.any()

    @cached_property
    def gaps(self) -> bool:
        """Whether something was no reading since the latest good one."""
        return bool(self.broken.any())

    @cached_property
    def newest(self) -> list[float]:
        """The newest good reading of any place [s], for each of S signals."""
        return [float(each.max(initial=-math.inf)) for each in self.latest]

    @cached_property
    def rests(self) -> bool:
        """Whether no rung is held anywhere and nothing is past a limit."""
        return not self.rungs.any() and bool(np.isnan(self.past).all())

    def read_anew(self, latest: Floats, newest: list[float]) -> "Held":
        """The same after good readings of all that is there; ``newest`` is what the property will say of ``latest``.

        The other findings are handed on with the fields that they are of: a rule book at rest is asked for them at
        every look, and finding them again would cost as much as the look itself.
        """
        broken = np.zeros(latest.shape, dtype=bool) if self.gaps else self.broken
        after = object.__new__(Held)
        after.__dict__.update(vars(self), latest=latest, broken=broken, newest=newest, gaps=False)
        return after


@dataclass(frozen=True)
class LadderState:
    """All ladders of a rules document. A value: nothing in it is ever changed."""

    time_seconds: float
    start_seconds: float
    members: Mapping[Level, tuple[str, ...]]
    ladders: Mapping[str, Held]

    @cached_property
    def rests(self) -> bool:
        """Whether nothing is held, past a limit, missing, or was no reading since the latest good one."""
        return all(held.rests and held.seen and not held.gaps for held in self.ladders.values())


@dataclass(frozen=True)
class Wish:
    """A flag that a held rung wants set."""

    scope: Scope
    flag: str
    variant: str
    reason: Cause


def start(rules: LadderRules, members: Mapping[Level, tuple[str, ...]], time_seconds: float) -> LadderState:
    """No rung held anywhere and nothing read yet. ``members`` names the places of every level that has a ladder."""
    held = {}
    for ladder in rules.ladders:
        count, rungs = len(members[ladder.level]), len(ladder.steps)
        limits, signals = len(ladder.limits), len(ladder.table.signals)
        held[ladder.name] = Held(
            rungs=np.zeros(count, dtype=np.int64),
            taken_seconds=np.full((rungs, count), np.nan),
            taken_value=np.full((rungs, count), np.nan),
            taken_held=np.full((rungs, count), np.nan),
            by_hard_limit=np.zeros((rungs, count), dtype=bool),
            latest=np.full((signals, count), -np.inf),
            broken=np.zeros((signals, count), dtype=bool),
            unseen=np.zeros((signals, count), dtype=bool),
            past=np.full((limits, count), np.nan),
            calm=np.full((rungs, count), np.nan),
            acknowledged=np.zeros(count, dtype=bool),
            at_limit=np.zeros(count, dtype=bool),
        )
    return LadderState(time_seconds, time_seconds, dict(members), held)


def step(
    rules: LadderRules, state: LadderState, readings: Sensed, time_seconds: float
) -> tuple[LadderState, tuple[Action, ...]]:
    """Take and release rungs on new readings. Actions are in the order of level, place, ladder and rung.

    Raises ValueError for other places than the state has, and for a time that is not finite or runs backwards.
    """
    if not math.isfinite(time_seconds) or time_seconds < state.time_seconds:
        raise ValueError(f"time_seconds = {time_seconds:g}: not at or after the state's {state.time_seconds:g} s")
    for level in rules.levels:
        if tuple(readings.members.get(level, ())) != state.members[level]:
            raise ValueError(f"members of level '{level}' are not those of the state; start again with start()")
    ladders: dict[str, Held] = {}
    told: dict[Scope, list[Action]] = {}
    positions: dict[Scope, int] = {}
    causes: dict[tuple[Scope, str], Cause] = {}
    for ladder in rules.ladders:
        names = state.members[ladder.level]
        before = state.ladders[ladder.name]
        found = [readings.of(name, ladder.level) for name in ladder.table.signals]
        quiet = _quiet(rules, ladder, before, found, time_seconds)
        if quiet is not None:  # most of all calls
            ladders[ladder.name] = quiet
            continue
        values, after = _stepped(rules, ladder, before, found, time_seconds, state.start_seconds)
        ladders[ladder.name] = after
        changed = (after.rungs != before.rungs) | (after.unseen != before.unseen).any(axis=0)
        changed |= after.at_limit & ~before.at_limit
        for place in np.flatnonzero(changed).tolist():
            scope = Scope(ladder.level, names[place])
            said, cause = _told(ladder, before, after, values, place, scope, time_seconds)
            told.setdefault(scope, []).extend(said)
            positions[scope] = place
            if cause is not None:
                causes[scope, ladder.name] = cause
    new = replace(state, time_seconds=time_seconds, ladders=ladders)
    actions: list[Action] = []
    for scope in sorted(told, key=lambda each: each.order):
        actions += told[scope]
        actions += _flag_actions(rules, state, new, scope, positions[scope], causes, time_seconds)
    return new, tuple(actions)


def wishes(rules: LadderRules, state: LadderState, experiments: Iterable[tuple[str, str]] = ()) -> tuple[Wish, ...]:
    """Every flag that a held rung wants set, by level, place and flag. Where several want one, the highest rung says
    which variant.

    While a rung is held that disables experiments, ``experiments`` are wanted switched off: flags and variants, as
    :func:`twin.policy.playbook.experiments_of` finds them.
    """
    off = tuple(experiments)
    found = []
    for level in rules.levels:
        holding = np.zeros(len(state.members[level]), dtype=bool)
        for ladder in rules.ladders:
            if ladder.level is level:
                holding |= state.ladders[ladder.name].rungs > 0
        for place in np.flatnonzero(holding).tolist():
            scope = Scope(level, state.members[level][place])
            wanted = _wanted(rules, state, level, place, off)
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


def _quiet(
    rules: LadderRules, ladder: Ladder, before: Held, found: Sequence[Reading], time_seconds: float
) -> Held | None:
    """The next state where nothing is held, everything was read anew and is in bounds; else None.

    Says what :func:`_stepped` would, at a fraction of its cost: each comparison fails for NaN.
    """
    if not (before.rests and before.seen):
        return None
    oldest = time_seconds - min(rules.stale_seconds, rules.unseen_seconds)
    stamps, newest = [], []
    for s, (each, (above, below)) in enumerate(zip(found, ladder.table.bounds, strict=True)):
        extent = each.extent
        if extent is None:
            if each.absent is not None and each.absent.all():
                stamps.append(before.latest[s])
                newest.append(before.newest[s])
                continue
            return None
        lowest, highest, first, last = extent
        if not (highest <= above and lowest >= below):
            return None
        if not (last <= time_seconds and first >= oldest and first > before.newest[s]):
            return None
        own = each.measured_seconds
        newest.append(last)
        stamps.append(own if each.absent is None else np.where(each.absent, before.latest[s], own))
    return before.read_anew(_rows(stamps), newest)


def _stepped(
    rules: LadderRules, ladder: Ladder, before: Held, found: list[Reading], time_seconds: float, start_seconds: float
) -> tuple[Floats, Held]:
    """The values looked at, shape (S, M), and the ladder's next state."""
    table, rungs = ladder.table, len(ladder.steps)
    values, stamp = _rows([each.values for each in found]), _rows([each.measured_seconds for each in found])
    readable = good(values, _rows([each.quality for each in found])) & np.isfinite(stamp)
    there = _there(found, values)
    readable &= there & (stamp <= time_seconds) & (time_seconds - stamp <= rules.stale_seconds)
    new = readable & (stamp > before.latest)
    latest = np.where(new, stamp, before.latest)
    with np.errstate(invalid="ignore"):
        gap = latest - before.latest  # inf after nothing
    seen = replace(
        before,
        latest=latest,
        broken=there & ~new & (before.broken | ~readable),
        unseen=there & (time_seconds - np.maximum(latest, start_seconds) > rules.unseen_seconds),
    )
    signed, fresh = table.sign * values[table.which], new[table.which]
    beyond = signed > table.level
    if not (fresh & beyond).any() and before.rests:
        return values, seen  # nothing held and nothing out of order
    whole = new & ~before.broken & (gap <= rules.greatest_gap_seconds)
    counted = np.where(whole, gap, 0.0)[table.which]
    longer = np.where(np.isnan(before.past), 0.0, before.past + counted)
    past = np.where(fresh, np.where(beyond, longer, np.nan), before.past)
    of_rungs = table.which[:rungs]
    rested = np.where(whole[of_rungs] & ~np.isnan(before.calm), before.calm + counted[:rungs], 0.0)
    back = np.where(signed[:rungs] <= table.release, rested, np.nan)
    calm = np.where(fresh[:rungs], back, before.calm)
    calm[np.arange(rungs)[:, None] >= before.rungs] = np.nan
    if ladder.hard_limit is not None:
        calm[:, ~np.isnan(past[-1])] = np.nan
    moving = replace(seen, past=past, calm=calm)
    climbed = _climbed(ladder, moving, values, fresh)
    return values, _released(ladder, climbed, fresh)


def _there(found: Sequence[Reading], values: Floats) -> Bools:
    """Places that have each signal, shape (S, M): what others read is none, and nobody misses it."""
    there = np.ones(values.shape, dtype=bool)
    for row, each in zip(there, found, strict=True):
        if each.absent is not None:
            row[each.absent] = False
    return there


def _rows(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Arrays as rows; a lone one is not copied."""
    return arrays[0][None, :] if len(arrays) == 1 else np.stack(arrays)


def _climbed(ladder: Ladder, held: Held, values: Floats, fresh: Bools) -> Held:
    """Take rungs from the lowest up, each only where the one below is held; all at once past the hard limit."""
    table = ladder.table
    due = fresh & (held.past >= table.dwell_seconds)
    if not due.any():
        return held
    rungs, seconds = held.rungs.copy(), held.taken_seconds.copy()
    value, reached, hard = held.taken_value.copy(), held.taken_held.copy(), held.by_hard_limit.copy()
    acknowledged = held.acknowledged.copy()

    def take(r: int, k: int, where: Bools, by_hard_limit: bool) -> None:
        rungs[where] = r + 1
        acknowledged[where] = False
        seconds[r, where], value[r, where] = held.latest[table.which[k], where], values[table.which[k], where]
        reached[r, where], hard[r, where] = held.past[k, where], by_hard_limit

    for r, each in enumerate(ladder.steps):
        here = due[r] & (rungs == r)
        if r:
            here &= held.latest[table.which[r]] - seconds[r - 1] >= each.after_seconds
        take(r, r, here, False)
    if ladder.hard_limit is not None:
        for r in range(len(ladder.steps)):
            take(r, len(ladder.steps), due[-1] & (rungs == r), True)
    return replace(
        held,
        rungs=rungs,
        taken_seconds=seconds,
        taken_value=value,
        taken_held=reached,
        by_hard_limit=hard,
        acknowledged=acknowledged,
        at_limit=held.at_limit | due[-1] if ladder.hard_limit is not None else held.at_limit,
    )


def _released(ladder: Ladder, held: Held, fresh: Bools) -> Held:
    """Release the highest rung where its signal has been calm for long enough; one at most.

    None that was just taken: its signal has not been calm while it was held.
    """
    table, places = ladder.table, np.arange(len(held.rungs))
    top = np.maximum(held.rungs - 1, 0)
    due = (held.rungs > 0) & fresh[top, places]
    due &= held.calm[top, places] >= table.release_dwell_seconds[top]
    due &= ~table.latched[top] | held.acknowledged
    if not due.any():
        return held
    seconds, value, reached = held.taken_seconds.copy(), held.taken_value.copy(), held.taken_held.copy()
    hard = held.by_hard_limit.copy()
    calm = np.where(due & ~np.isnan(held.calm), 0.0, held.calm)  # the next release waits for its own dwell
    gone = top[due], places[due]
    seconds[gone] = value[gone] = reached[gone] = calm[gone] = np.nan
    hard[gone] = False
    return replace(
        held,
        rungs=np.where(due, held.rungs - 1, held.rungs),
        taken_seconds=seconds,
        taken_value=value,
        taken_held=reached,
        by_hard_limit=hard,
        calm=calm,
        acknowledged=held.acknowledged & ~due,
        at_limit=held.at_limit & ~due,
    )


def _told(
    ladder: Ladder, before: Held, after: Held, values: Floats, place: int, scope: Scope, time_seconds: float
) -> tuple[list[Action], Cause | None]:
    """Actions, but for flags, of what changed for one place; and why its rungs changed, if they did."""
    actions: list[Action] = []
    cause: Cause | None = None
    for s in np.flatnonzero(after.unseen[:, place] != before.unseen[:, place]).tolist():
        signal = ladder.table.signals[s]
        lost = bool(after.unseen[s, place])
        since = float(after.latest[s, place])
        detail = f"{signal}, last read {f'at {since:g} s' if np.isfinite(since) else 'never'}"
        because = Because.UNSEEN if lost else Because.SEEN_AGAIN
        actions.append(Action(time_seconds, scope, Do.ALERT, Cause(because, ladder.name, None, detail)))
    low, high = int(before.rungs[place]), int(after.rungs[place])
    for r in range(low, high):
        cause = _taken(ladder, after, r, place)
        if not after.by_hard_limit[r, place]:
            actions += [Action(time_seconds, scope, do, cause) for do in ladder.steps[r].do]
    if after.at_limit[place] and not before.at_limit[place]:
        cause = _past_hard_limit(ladder, values, after, place)
        actions += playbook(scope, cause, time_seconds)
    for r in range(low - 1, high - 1, -1):
        cause = _recovered(ladder, r, values, after, before, place)
        actions += [Action(time_seconds, scope, do, cause) for do in ladder.steps[r].undo]
    return actions, cause


def _past_hard_limit(ladder: Ladder, values: Floats, held: Held, place: int) -> Cause:
    """Why the playbook is run."""
    s, limit, rule = int(ladder.table.which[-1]), ladder.limits[-1], f"{ladder.name} hard limit"
    trigger = _trigger(rule, limit, values[s, place], held.past[-1, place], held.latest[s, place])
    return Cause(Because.HARD_LIMIT, rule, trigger)


def _taken(ladder: Ladder, held: Held, r: int, place: int) -> Cause:
    """Why a held rung was taken."""
    hard = bool(held.by_hard_limit[r, place])
    limit = ladder.limits[-1] if hard else ladder.steps[r].trigger
    rule = f"{ladder.name} {'hard limit' if hard else ladder.steps[r].rung}"
    trigger = _trigger(rule, limit, held.taken_value[r, place], held.taken_held[r, place], held.taken_seconds[r, place])
    return Cause(Because.HARD_LIMIT if hard else Because.CLIMBED, rule, trigger)


def _trigger(rule: str, limit: Limit, value: float, held: float, at: float) -> Trigger:
    return Trigger(
        rule, limit.signal, limit.comparison, limit.level, float(value), limit.dwell_seconds, float(held), float(at)
    )


def _recovered(ladder: Ladder, r: int, values: Floats, after: Held, before: Held, place: int) -> Cause:
    """Why a rung was released. The trigger's comparison is that of the way back."""
    each, s = ladder.steps[r], int(ladder.table.which[r])
    way = Comparison.BELOW if each.trigger.comparison is Comparison.ABOVE else Comparison.ABOVE
    limit = Limit(each.trigger.signal, way, each.release_level, each.release_dwell_seconds)
    stamp = float(after.latest[s, place])
    rested = float(before.calm[r, place]) + stamp - float(before.latest[s, place])
    held = 0.0 if np.isnan(rested) else rested
    rule = f"{ladder.name} {each.rung}"
    return Cause(Because.RELEASED, rule, _trigger(rule, limit, float(values[s, place]), held, stamp))


def _wanted(
    rules: LadderRules, state: LadderState, level: Level, place: int, experiments: tuple[tuple[str, str], ...] = ()
) -> dict[str, tuple[str, Ladder, int]]:
    """Flag → variant, and the ladder and rung that say so. The highest rung has its way, of equals the last by name."""
    found: dict[str, tuple[str, Ladder, int]] = {}
    heights: dict[str, int] = {}
    for ladder in rules.ladders:
        if ladder.level is level:
            for r, each in enumerate(ladder.steps[: int(state.ladders[ladder.name].rungs[place])]):
                height = ORDER[each.rung]
                for flag, variant in (*each.flags, *(experiments if Do.DISABLE_EXPERIMENTS in each.do else ())):
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
    causes: Mapping[tuple[Scope, str], Cause],
    time_seconds: float,
) -> list[Action]:
    """Bools of one place that are wanted otherwise than before, in name order."""
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
