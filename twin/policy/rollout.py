"""Rollout control: staging cell, readiness gate, canary, then stages with pacing; continue, hold or roll back.

A pure state machine: what is seen and the state go in, a decision with its grounds and the next state come out. What
is not known, stale or not believed is never permission to go on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from twin.policy.documents import DocumentError, DocumentFault, build, listed
from twin.policy.projection import Standing
from twin.policy.trial import Outcome

#: signals that every plan limits. Each counts from 0 up: what is better than its reference is 0, and below 0 is wrong
SIGNALS = (
    "error_rate",  # [1], share of requests or steps that fail on racks with the release
    "temperature_rise",  # [K], greatest rise of a rack's hottest device over its controls
    "power_spike",  # [1], greatest peak of a rack's power over the declared peak, less 1
    "throttled_share",  # [1], device-seconds with a throttled clock over all
)
READINESS = ("rollback_image_staged", "checkpoint_proven", "router_drainable", "roles_assigned")
STAGING_TESTS = ("load_test", "warm_restart", "fault_injection")

FIRST_ALONE = 1.0 / 6.0  # of the soak of the canaries: ten minutes of an hour


class Action(StrEnum):
    """What to do with the release now."""

    CONTINUE = "continue"  # put it on the racks that the decision names
    HOLD = "hold"  # put it on no further rack
    ROLL_BACK = "roll back"  # take it off the racks that the decision names, in this order
    DONE = "done"  # it is on all racks, and the last soak is over


class Rule(StrEnum):
    """Why; the sentences are what an audit quotes."""

    OVER_ROLL_BACK = "a signal is above the limit at which a release is rolled back"
    JUDGED_HARMFUL = "the canary judge fails the release"
    PROJECTED_OVER = "at full rollout a limit would be exceeded"
    STAGING_FAILED = "a test in the staging cell failed"
    OVER_HOLD = "a signal is above the limit at which a release is held"
    NOT_KNOWN = "a signal is missing, stale or not a number that can be"
    TIME_UNKNOWN = "the time is not known or went back"
    FROZEN = "nothing may be deployed now"
    NOT_RUNNING = "the release is not confirmed on all racks that it was put on"
    SOAK = "the soak is not over"
    NOT_READY = "readiness is not proven"
    STAGING_OPEN = "a test in the staging cell is not passed"
    NOT_PASSED = "the canary judge has not passed the release"
    NOT_PROJECTED = "it is not shown that full rollout fits every limit"
    NO_RACKS = "there are no racks for this stage"
    NEXT_BATCH = "nothing stands against the next batch"
    ENDED_DONE = "the rollout is complete"
    ENDED_BACK = "the rollout was rolled back"


@dataclass(frozen=True)
class Ground:
    """A rule that speaks: about what, its value, and the limit it is held against."""

    rule: Rule
    about: str = ""
    value: float | str | None = None
    limit: float | str | None = None

    def __str__(self) -> str:
        parts = [f"{self.rule}"]
        if self.about:
            parts.append(f"{self.about} = {_shown(self.value)}")
        if self.limit is not None:
            parts.append(f"limit {_shown(self.limit)}")
        return ": ".join(parts[:2]) + (f", {parts[2]}" if len(parts) > 2 else "")


def _shown(value: float | str | None) -> str:
    return "not known" if value is None else value if isinstance(value, str) else f"{value:g}"


@dataclass(frozen=True)
class Limit:
    """Levels of one signal: above the first a rollout is held, above the second it is rolled back."""

    hold: float
    roll_back: float


@dataclass(frozen=True)
class Stage:
    """One stage: how far, how fast, and how long it must run clean."""

    name: str
    share: float  # of the racks of its cell [1] that have the release at its end; with ``racks`` at least so many
    at_a_time: int  # greatest racks in one batch
    soak_seconds: float  # least time without a hold after each batch
    racks: int = 0
    staging: bool = False  # in the staging cell, else among production racks
    judged: bool = False  # beyond it the judge must have passed, and full rollout must fit


@dataclass(frozen=True)
class Plan:
    """How a release is rolled out. Errors: ValueError with all that is wrong.

    ``gates`` are signals that it has to limit; a plan that gates on fewer than :data:`SIGNALS` says so. ``in_cell``
    says that it begins in a staging cell: False for a hall that has none, and for pipelines that go without.
    """

    stages: tuple[Stage, ...]
    limits: Mapping[str, Limit]
    greatest_age_seconds: float = 120.0  # of a signal
    readiness: tuple[str, ...] = READINESS
    staging_tests: tuple[str, ...] = STAGING_TESTS
    gates: tuple[str, ...] = SIGNALS
    in_cell: bool = True

    def __post_init__(self) -> None:
        places = [stage.staging for stage in self.stages]
        wrong = [
            *([] if self.stages else ["stages: give at least one"]),
            *([] if places == sorted(places, reverse=True) else ["stages: those of the staging cell come first"]),
            *([] if any(places) or not self.in_cell else ["stages: the first must be in a staging cell"]),
            *(
                f"gates: {name}: there is no such signal: give some of {', '.join(SIGNALS)}"
                for name in self.gates
                if name not in SIGNALS
            ),
            *([] if self.gates else ["gates: give at least one signal"]),
            *(
                f"stage {s.name}: share = {s.share}, racks = {s.racks}: give a share in [0, 1], or racks, above 0"
                for s in self.stages
                if not (0.0 <= s.share <= 1.0 and s.racks >= 0 and s.share + s.racks > 0)
            ),
            *(f"stage {s.name}: at_a_time = {s.at_a_time}: give 1 or more" for s in self.stages if s.at_a_time < 1),
            *(
                f"stage {s.name}: soak_seconds = {s.soak_seconds}: give a finite time of at least 0"
                for s in self.stages
                if not 0.0 <= s.soak_seconds < math.inf
            ),
            *(f"limits: {name} has none: give hold and roll_back" for name in self.gates if name not in self.limits),
            *(
                f"limits: {name}: hold = {x.hold}, roll_back = {x.roll_back}: give 0 ≤ hold ≤ roll_back, finite"
                for name, x in self.limits.items()
                if not 0.0 <= x.hold <= x.roll_back < math.inf
            ),
            *([] if self.greatest_age_seconds > 0.0 else ["greatest_age_seconds: give more than 0"]),
        ]
        if wrong:
            raise ValueError("The rollout plan is refused.\n" + "\n".join(f"  {line}" for line in wrong))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Plan":
        """A plan from a plain mapping: ``stages`` a list of mappings, ``limits`` one of signals.

        Raises :class:`~twin.policy.documents.DocumentError` for what cannot be read, ValueError for what no plan has.
        """
        items = enumerate(listed(mapping, "stages", "rollout"))
        stages = tuple(build(Stage, item, f"rollout.stages[{place}]") for place, item in items)
        limits = mapping.get("limits")
        if not isinstance(limits, Mapping):
            remedy = "Give hold and roll_back for each signal"
            raise DocumentError([DocumentFault("rollout.limits", limits, "not a mapping of signals", remedy)])
        built = {str(name): build(Limit, limit, f"rollout.limits.{name}") for name, limit in limits.items()}
        return build(cls, mapping, "rollout", stages=stages, limits=built)

    def without_cell(self) -> "Plan":
        """The same for a hall without a staging cell: neither its stages nor its tests."""
        stages = tuple(stage for stage in self.stages if not stage.staging)
        return replace(self, stages=stages, staging_tests=(), in_cell=False)

    def soaking(self, seconds: float) -> "Plan":
        """The same with soaks of so many seconds."""
        return replace(self, stages=tuple(replace(stage, soak_seconds=seconds) for stage in self.stages))

    def in_batches(self, most: int) -> "Plan":
        """The same with at most so many racks at a time, but for the first stage among production racks."""
        first = next((k for k, stage in enumerate(self.stages) if not stage.staging), 0)
        stages = [replace(s, at_a_time=min(s.at_a_time, most)) if k > first else s for k, s in enumerate(self.stages)]
        return replace(self, stages=tuple(stages))

    def first_alone(self) -> "Plan":
        """The same with one rack ahead of the first stage among production racks, for a part of its soak.

        It is there for what shows at once, and is a canary of the stage after.
        """
        place = next((k for k, stage in enumerate(self.stages) if not stage.staging), len(self.stages))
        if place == len(self.stages):
            return self
        ahead = Stage(
            f"{self.stages[place].name}, first rack", 0.0, 1, FIRST_ALONE * self.stages[place].soak_seconds, racks=1
        )
        return replace(self, stages=(*self.stages[:place], ahead, *self.stages[place:]))


def default_plan() -> Plan:
    """Staging cell, 3 canary racks, 5 %, 25 %, 100 %. Sizes, soaks and limits are choices, not findings."""
    return Plan(
        stages=(
            Stage("staging", 1.0, 4, 1_800.0, staging=True),
            Stage("canary", 0.0, 3, 3_600.0, racks=3, judged=True),
            Stage("5 %", 0.05, 4, 1_800.0),
            Stage("25 %", 0.25, 8, 1_800.0),
            Stage("100 %", 1.0, 16, 1_800.0),
        ),
        limits={
            "error_rate": Limit(0.01, 0.05),
            "temperature_rise": Limit(3.0, 6.0),
            "power_spike": Limit(0.05, 0.15),
            "throttled_share": Limit(0.001, 0.01),
        },
    )


@dataclass(frozen=True)
class Signal:
    """A reading and its age [s]."""

    value: float
    age_seconds: float


@dataclass(frozen=True)
class Seen:
    """All that a decision is taken from. What is left out is not known. Before the first batch all signals are 0."""

    now_seconds: float
    signals: Mapping[str, Signal] = field(default_factory=lambda: MappingProxyType({}))
    running: frozenset[str] = frozenset()  # racks on which the release is confirmed to run
    readiness: Mapping[str, bool | None] = field(default_factory=lambda: MappingProxyType({}))
    staging_tests: Mapping[str, bool | None] = field(default_factory=lambda: MappingProxyType({}))
    verdict: Outcome | None = None  # of the judge
    projection: Standing | None = None  # of full rollout
    frozen: str = ""  # why nothing may be deployed now; empty where it may


@dataclass(frozen=True)
class RolloutState:
    """Where a rollout stands; goes in and comes out."""

    stage: int = 0  # index into the plan's stages
    staged: tuple[str, ...] = ()  # staging racks with the release, in the order they got it
    placed: tuple[str, ...] = ()  # production racks with it
    clean_since_seconds: float = -math.inf  # last batch or last hold by a signal: soaks count from here
    ended: Action | None = None  # DONE or ROLL_BACK


@dataclass(frozen=True)
class Step:
    """A decision: what to do, on which racks, and why."""

    action: Action
    racks: tuple[str, ...]
    grounds: tuple[Ground, ...]
    stage: str


def decide_rollout(
    plan: Plan, state: RolloutState, seen: Seen, staging_racks: Sequence[str], production_racks: Sequence[str]
) -> tuple[Step, RolloutState]:
    """Whether a release goes on, waits or goes back, from what is seen and where it stands.

    Racks are given in the order to take them, those that have the release among them; who orders them is placement.
    A release that went back stays back. All grounds of the strongest kind are named: those to roll back, else those to
    hold, else the soak, else what the gate before the next batch lacks.
    """
    stage = plan.stages[min(state.stage, len(plan.stages) - 1)]
    if state.ended is not None:
        back = state.ended is Action.ROLL_BACK
        rule = Rule.ENDED_BACK if back else Rule.ENDED_DONE
        return Step(state.ended, _back(state) if back else (), (Ground(rule),), stage.name), state
    worst = _roll_back(plan, seen)
    if worst:
        after = replace(state, ended=Action.ROLL_BACK)
        return Step(Action.ROLL_BACK, _back(state), worst, stage.name), after
    timed = math.isfinite(seen.now_seconds) and seen.now_seconds >= max(0.0, state.clean_since_seconds)
    holds = _holds(plan, state, seen, timed)
    if holds:
        after = replace(state, clean_since_seconds=seen.now_seconds) if timed else state
        return Step(Action.HOLD, (), holds, stage.name), after
    clean = seen.now_seconds - state.clean_since_seconds
    if clean < stage.soak_seconds:
        return Step(
            Action.HOLD, (), (Ground(Rule.SOAK, "clean seconds", clean, stage.soak_seconds),), stage.name
        ), state
    return _go_on(plan, state, seen, staging_racks, production_racks)


def _back(state: RolloutState) -> tuple[str, ...]:
    """Racks that have the release, the latest first."""
    return (*reversed(state.placed), *reversed(state.staged))


def _known(signal: Signal | None, plan: Plan) -> bool:
    """Whether a signal is a number that can be, and fresh."""
    return (
        signal is not None
        and math.isfinite(signal.value)
        and signal.value >= 0.0
        and 0.0 <= signal.age_seconds <= plan.greatest_age_seconds
    )


def _proven(value: object) -> bool:
    """True itself: neither NaN nor any other thing that counts as true."""
    return isinstance(value, bool | np.bool_) and bool(value)


def _refuted(value: object) -> bool:
    return isinstance(value, bool | np.bool_) and not bool(value)


def _roll_back(plan: Plan, seen: Seen) -> tuple[Ground, ...]:
    """What a release is taken back for."""
    found = [
        Ground(Rule.OVER_ROLL_BACK, name, signal.value, limit.roll_back)
        for name, limit in sorted(plan.limits.items())
        if (signal := seen.signals.get(name)) is not None and _known(signal, plan) and signal.value > limit.roll_back
    ]
    if seen.verdict == Outcome.FAIL:
        found.append(Ground(Rule.JUDGED_HARMFUL, "verdict", str(seen.verdict)))
    if seen.projection == Standing.FAIL:
        found.append(Ground(Rule.PROJECTED_OVER, "projection", str(seen.projection)))
    failed = [name for name in plan.staging_tests if _refuted(seen.staging_tests.get(name))]
    return (*found, *(Ground(Rule.STAGING_FAILED, name, "failed", "passed") for name in failed))


def _holds(plan: Plan, state: RolloutState, seen: Seen, timed: bool) -> tuple[Ground, ...]:
    """What a release is held for, and its soak begins anew after."""
    found = [] if timed else [Ground(Rule.TIME_UNKNOWN, "now", seen.now_seconds, max(0.0, state.clean_since_seconds))]
    if seen.frozen:
        found.append(Ground(Rule.FROZEN, "deploys", seen.frozen))
    for name, limit in sorted(plan.limits.items()):
        signal = seen.signals.get(name)
        if signal is None:
            found.append(Ground(Rule.NOT_KNOWN, name))
        elif not _known(signal, plan):
            stale = not 0.0 <= signal.age_seconds <= plan.greatest_age_seconds
            about = f"{name} age" if stale else name
            bound: float | str = plan.greatest_age_seconds if stale else "a finite number of at least 0"
            found.append(Ground(Rule.NOT_KNOWN, about, signal.age_seconds if stale else signal.value, bound))
        elif signal.value > limit.hold:
            found.append(Ground(Rule.OVER_HOLD, name, signal.value, limit.hold))
    missing = [rack for rack in (*state.staged, *state.placed) if rack not in seen.running]
    if missing:
        found.append(Ground(Rule.NOT_RUNNING, "racks missing", ", ".join(missing)))
    return tuple(found)


def _go_on(
    plan: Plan, state: RolloutState, seen: Seen, staging_racks: Sequence[str], production_racks: Sequence[str]
) -> tuple[Step, RolloutState]:
    """The next batch of this stage or of the next one, if its gate is open."""
    number = state.stage
    batch, short = _batch(plan.stages[number], state, staging_racks, production_racks)
    while not batch and not short and number + 1 < len(plan.stages):
        number += 1
        batch, short = _batch(plan.stages[number], state, staging_racks, production_racks)
    stage = plan.stages[number]
    lacks = _gate(plan, number, not batch, seen)
    if short:
        lacks = (*lacks, Ground(Rule.NO_RACKS, "racks", 0.0, f"stage {stage.name}"))
    if lacks:
        return Step(Action.HOLD, (), lacks, plan.stages[state.stage].name), state
    if not batch:
        return Step(Action.DONE, (), (Ground(Rule.ENDED_DONE),), stage.name), replace(state, ended=Action.DONE)
    after = replace(
        state,
        stage=number,
        staged=(*state.staged, *batch) if stage.staging else state.staged,
        placed=state.placed if stage.staging else (*state.placed, *batch),
        clean_since_seconds=seen.now_seconds,
    )
    ground = Ground(Rule.NEXT_BATCH, f"racks of stage {stage.name}", float(len(batch)), float(stage.at_a_time))
    return Step(Action.CONTINUE, batch, (ground,), stage.name), after


def _batch(
    stage: Stage, state: RolloutState, staging_racks: Sequence[str], production_racks: Sequence[str]
) -> tuple[tuple[str, ...], bool]:
    """Racks to take next in a stage, none where it is complete; and whether its cell has no rack at all."""
    cell, have = (staging_racks, state.staged) if stage.staging else (production_racks, state.placed)
    every = list(dict.fromkeys((*have, *cell)))
    target = min(len(every), max(stage.racks, math.ceil(stage.share * len(every) - 1e-9)))
    wanted = min(stage.at_a_time, target - len(have))
    return tuple(every[len(have) : len(have) + max(0, wanted)]), not every


def _gate(plan: Plan, number: int, ends: bool, seen: Seen) -> tuple[Ground, ...]:
    """What stands between a release and a batch in stage ``number``, or the end of the rollout after it."""
    if plan.stages[number].staging and not ends:
        return ()
    found = [
        Ground(Rule.NOT_READY, n, "not proven", "proven") for n in plan.readiness if not _proven(seen.readiness.get(n))
    ]
    found += [
        Ground(Rule.STAGING_OPEN, n, "not passed", "passed")
        for n in plan.staging_tests
        if not _proven(seen.staging_tests.get(n))
    ]
    beyond = any(stage.judged for stage in plan.stages[: number + ends])
    if beyond and seen.verdict != Outcome.PASS:
        found.append(Ground(Rule.NOT_PASSED, "verdict", seen.verdict, str(Outcome.PASS)))
    if beyond and seen.projection != Standing.FITS:
        found.append(Ground(Rule.NOT_PROJECTED, "projection", seen.projection, str(Standing.FITS)))
    return tuple(found)
