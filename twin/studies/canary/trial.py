"""A build's canary in one world: placed by a strategy, judged by the pipeline of production, ended at the verdict.

The staging cell comes before any canary and is the same for all strategies: its stage and tests are left out. Nothing
is decided here; what rollout control does once its judge is done is read as the verdict.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from twin.policy.canary import Strategy
from twin.policy.permutation import crossings, relabellings
from twin.policy.projection import Standing
from twin.policy.rollout import Action as Decision
from twin.policy.rollout import Limit, Rule
from twin.policy.trial import Outcome
from twin.results.kinds import EventKind
from twin.setup.assembly import Parts
from twin.sim.actions import Action
from twin.sim.canary_trial import Trial
from twin.sim.releases import ROLL_OUT
from twin.sim.rollout import Rollout
from twin.sim.simulate import simulate
from twin.sim.world import World
from twin.workload.jobs import Build

LOOK_SECONDS = 5.0  # after each of the rollout's looks, at which the verdict is read
NO_LIMIT = 1e9
WAITING = frozenset({Rule.SOAK, Rule.NOT_RUNNING})  # rules that hold a release which nothing speaks against


@dataclass(frozen=True)
class Tried:
    """What came of one canary. Temperatures in °C, of the window that chose the racks and of the truth behind it."""

    verdict: str  # pass, fail or inconclusive
    reason: str
    by: str  # what decided: judge, signal, projection, choice or time
    seconds: float  # from the release on canary racks to the verdict; NaN where it never got there
    canaries: tuple[str, ...]
    controls: int
    temperature_harm: float  # the judge's estimate [K]
    temperature_true: float  # the same of the devices themselves [K]
    canary_celsius: float  # mean hottest device of the canaries before
    fleet_celsius: float  # median of the service's racks before
    hottest_celsius: float  # hottest of the service's racks before
    blind: str  # sensors of racks under trial that did not tell, by the judge's own exclusions
    throttled_gpu_seconds: float  # on canary racks while they had it
    late: float  # requests that canary racks answered late
    failed: float  # requests that failed there
    trips: float  # in the hall, from the release on
    rack_p: float = math.nan  # one-sided, of *temperature is no worse*, by racks
    sample_p: float = math.nan  # and by samples, as if they were independent


def trial(
    parts: Parts,
    build: Build,
    service: str,
    strategy: Strategy,
    seconds: float,
    begin_seconds: float,
    judge_alone: bool = False,
) -> Tried:
    """Try one build. ``seconds`` is the longest that an episode may last, ``begin_seconds`` when the rollout begins.

    ``judge_alone`` takes the limits off what rollout control is gated on, to see what the judge says by itself.
    """
    kept: dict[str, Any] = {}
    settings = parts.settings
    assert settings.rollout is not None
    plan = settings.rollout.plan.without_cell()
    if judge_alone:
        plan = replace(plan, limits=dict.fromkeys(plan.limits, Limit(NO_LIMIT, NO_LIMIT)))
    settings = replace(settings, rollout=replace(settings.rollout, plan=plan))
    values: dict[str, Any] = {
        "release": build.name, "service": service, "image": None, "canary": str(strategy), "not_ready": (),
        "experimental": False, "soak": None, "window": None, "power": build.power,
        "startup_power": build.startup_power, "concurrency": build.concurrency,
        "memory_bandwidth": build.memory_bandwidth, "error_rate": build.error_rate, "latency": build.latency,
    }  # fmt: skip
    story = replace(parts.scenario, timeline=(Action(begin_seconds, ROLL_OUT, None, values),))

    def watch(world: World) -> Any:
        kept["world"] = world
        ended = world.env.event()
        world.env.process(_reading(world, ended, kept))
        return ended

    result = simulate(
        parts.hall, parts.workload, parts.policy, story, seed=parts.configuration.seed, until=seconds,
        settings=settings, watch=watch,
    )  # fmt: skip
    if not result.complete:
        raise KeyboardInterrupt
    return _tried(kept["world"], kept)


def _reading(world: World, ended: Any, kept: dict[str, Any]) -> Generator[Any, Any, None]:
    """End the run at the verdict; note devices' temperatures, which nobody in the hall sees, on the way."""
    yield world.env.timeout(LOOK_SECONDS)
    period = 10.0
    while True:
        if world.rollouts:
            rollout = world.rollouts[0]
            world.env.read()
            truth = world.plant.x.td[world.plant.cur]
            kept.setdefault("truth", []).append(
                (world.env.now, np.maximum.reduceat(truth, world.topology.rack_tray0[:-1]))
            )
            if verdict_of(rollout) is not None:
                ended.succeed()
                return
        yield world.env.timeout(period)


def verdict_of(rollout: Rollout) -> tuple[str, str, str] | None:
    """What rollout control says of a release after its canary: the verdict, why, and what decided; None before.

    It fails where it goes back. It passes where the judge passed it, full rollout fits, and nothing but its soak holds
    it; else it stays *inconclusive* once the judge has had its last look.
    """
    step, trial_ = rollout.step, rollout.trial
    if rollout.ended is not None and step is not None and step.action is Decision.ROLL_BACK:
        rules = {ground.rule for ground in step.grounds}
        by = (
            "signal" if Rule.OVER_ROLL_BACK in rules
            else "judge" if Rule.JUDGED_HARMFUL in rules
            else "projection"
        )  # fmt: skip
        return str(Outcome.FAIL), rollout.reason, by
    if step is None or not trial_.over or trial_.verdict is None:
        return None
    if trial_.outcome is not Outcome.PASS:
        return str(Outcome.INCONCLUSIVE), trial_.verdict.lines()[0], "judge"
    if rollout.projection is None or rollout.projection.standing is not Standing.FITS:
        return str(Outcome.INCONCLUSIVE), rollout.reason, "projection"
    if step.action is Decision.HOLD and any(ground.rule not in WAITING for ground in step.grounds):
        return str(Outcome.INCONCLUSIVE), rollout.reason, "signal"
    return str(Outcome.PASS), trial_.verdict.lines()[0], "judge"


def _tried(world: World, kept: dict[str, Any]) -> Tried:
    rollout = world.rollouts[0]
    trial_, deployment = rollout.trial, rollout.deployment
    found = verdict_of(rollout)
    if found is None:
        short = not trial_.canaries
        found = str(Outcome.INCONCLUSIVE), rollout.reason, "choice" if short else "time"
    places = [world.rack_index[name] for name in trial_.canaries]
    given = rollout.canary_seconds
    evidence = {e.metric.name: e for e in trial_.verdict.metrics} if trial_.verdict is not None else {}
    hot = evidence.get("temperature")
    targets = rollout.targets
    before = trial_.selection
    celsius = _mean(kept.get("truth", []), None if before is None else before.begin_seconds, given)
    answered = deployment.service.answered if deployment.service is not None else None
    late = failed = 0.0
    if answered is not None and places and given is not None:
        failed, late = float(answered[1][places].sum()), float(answered[2][places].sum())
    rack_p, sample_p = _no_worse(world, trial_)
    return Tried(
        verdict=found[0],
        reason=found[1],
        by=found[2],
        seconds=math.nan if given is None else world.env.now - given,
        canaries=trial_.canaries,
        controls=len(trial_.controls),
        temperature_harm=math.nan if hot is None else hot.estimate,
        temperature_true=_true_harm(world, rollout, kept),
        canary_celsius=float(celsius[places].mean()) if places else math.nan,
        fleet_celsius=float(np.median(celsius[targets])),
        hottest_celsius=float(celsius[targets].max()),
        blind="; ".join(f"{rack}: {why}" for rack, why in (trial_.verdict.excluded if trial_.verdict else ())),
        throttled_gpu_seconds=deployment.throttled_on(places),
        late=late,
        failed=failed,
        trips=float(sum(1 for _ in world.log.of(EventKind.BREAKER_TRIP, given))) if given is not None else 0.0,
        rack_p=rack_p,
        sample_p=sample_p,
    )


def _no_worse(world: World, trial_: Trial) -> tuple[float, float]:
    """p values of *the canaries' temperature rose no more than the controls'*, of the judge's last windows.

    By racks, the judge's own test at a margin of 0; and by samples (Mann and Whitney), which takes readings for
    independent. NaN without a verdict.
    """
    verdict = trial_.verdict
    past = world.snapshot().histories.get("rack_device_temperature_celsius")
    if verdict is None or past is None or not verdict.canaries or not verdict.controls:
        return math.nan, math.nan
    places = [world.rack_index[name] for name in (*verdict.canaries, *verdict.controls)]
    after = verdict.windows.after
    before = verdict.windows.before  # and after it as long a time
    begin = max(after.begin_seconds, after.end_seconds - (before.end_seconds - before.begin_seconds))
    inside = (past.time_seconds >= begin) & (past.time_seconds < after.end_seconds)
    if not inside.any():
        return math.nan, math.nan  # what is kept of the past begins after the verdict
    change = past.values[inside][:, places] - trial_.before["temperature"][places]
    count = len(verdict.canaries)
    ways = relabellings((*verdict.canaries, *verdict.controls), count, 0, "no worse")
    by_rack = crossings(np.nanmean(change, axis=0), count, ways).p_above(0.0)
    sides = (change[:, :count].ravel(), change[:, count:].ravel())
    canaries, controls = (side[np.isfinite(side)] for side in sides)
    return by_rack, float(stats.mannwhitneyu(canaries, controls, alternative="greater").pvalue)


def _mean(truth: list[tuple[float, Any]], begin: float | None, end: float | None) -> Any:
    """Mean temperature of each rack's hottest device between two times [s]."""
    inside = [row for time, row in truth if (begin is None or time >= begin) and (end is None or time < end)]
    return np.mean(inside, axis=0) if inside else np.full_like(truth[0][1], np.nan)


def _true_harm(world: World, rollout: Rollout, kept: dict[str, Any]) -> float:
    """The judge's temperature harm [K] of its own windows, had sensors no error; NaN without a verdict."""
    verdict = rollout.trial.verdict
    if verdict is None or not verdict.canaries or not verdict.controls:
        return math.nan
    windows, truth = verdict.windows, kept["truth"]
    change = _mean(truth, windows.after.begin_seconds, windows.after.end_seconds) - _mean(
        truth, windows.before.begin_seconds, windows.before.end_seconds
    )
    sides = [[world.rack_index[name] for name in names] for names in (verdict.canaries, verdict.controls)]
    return float(change[sides[0]].mean() - change[sides[1]].mean())
