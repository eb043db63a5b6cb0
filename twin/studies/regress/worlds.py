"""The second tier: the whole policy with either formula, in the same worlds, and what came of them.

A run is kept by what it depends on, so that a judgement that was stopped goes on where it was, and a baseline is run
once. While the candidate runs, the baseline is asked at every decision too: where it never decides otherwise its run
would be the same to the last event, and is not made.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twin.policy.aware import ThermalAware
from twin.policy.decisions import Decision, Reason
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot
from twin.results.rundir import canonical_json, plain, unwritable, write_whole
from twin.setup.assembly import Parts
from twin.sim.simulate import simulate
from twin.studies.regress.formulas import POLICY, Named, Portable, remade
from twin.studies.regress.stories import run_of
from twin.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class World:
    """One story under one seed, and how to make the two formulas again in another process."""

    story: str
    seed: int
    hours: float
    baseline: Portable
    candidate: Portable
    kept: str


@dataclass(frozen=True)
class Pair:
    """Measures of both runs of a world, and how many of the candidate's decisions the baseline would not have taken."""

    story: str
    seed: int
    baseline: Mapping[str, float]
    candidate: Mapping[str, float]
    decisions: int
    flips: int
    first: str  # flip, in a sentence; empty for none


def run_world(world: World) -> Pair:
    """Both runs of a world, from what was kept where it is there. Raises what refuses a run, or RunError."""
    both = remade(world.baseline), remade(world.candidate)
    composed = run_of(world.story, world.seed, world.hours, POLICY)
    folder = Path(world.kept) / "worlds"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise unwritable(folder, fault) from fault
    own = f"{world.story}-{world.seed}-{composed.identity.removeprefix('sha256:')[:16]}-{both[0].digest[:16]}"
    paired = folder / f"{own}-{both[1].digest[:16]}.json"
    found = _kept(paired)
    if found is not None:
        return Pair(**found)
    parts = composed.parts()
    shadow = _Shadow(_policy(parts, both[1]), _policy(parts, both[0]))
    candidate = measures(parts, shadow)
    usual = folder / f"{own}.json"
    baseline = _kept(usual) if shadow.flips else candidate
    if baseline is None:
        baseline = measures(parts, _policy(parts, both[0]))
    write_whole(usual, canonical_json(baseline))
    pair = Pair(world.story, world.seed, baseline, candidate, shadow.decisions, shadow.flips, shadow.first)
    write_whole(paired, canonical_json(vars(pair)))
    return pair


def _policy(parts: Parts, named: Named) -> ThermalAware:
    assert isinstance(parts.policy, ThermalAware)
    return replace(parts.policy, formula=named.rating, _memo=type(parts.policy._memo)())


def _kept(path: Path) -> Any:
    """What was kept, or None: a file that a crash left half is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


class _Shadow:
    """A policy that also asks another one, and counts where that would have decided otherwise."""

    def __init__(self, policy: ThermalAware, other: ThermalAware) -> None:
        self.policy, self.other = policy, other
        self.decisions = self.flips = 0
        self.first = ""

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        decision, after = self.policy(snapshot, request, state)
        self.decisions += 1
        theirs, _ = self.other(snapshot, request, state)
        if getattr(decision, "racks", None) != getattr(theirs, "racks", None):
            self.flips += 1
            if not self.first:
                minutes = snapshot.time_seconds / 60.0
                self.first = f"{request.id} after {minutes:.0f} min: {_told(decision)}, by the baseline {_told(theirs)}"
        return decision, after

    def short_of(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> Reason | None:
        """The same of both: no formula has to do with it."""
        return self.policy.short_of(snapshot, request, state)


def _told(decision: Decision) -> str:
    racks = getattr(decision, "racks", ())
    return ", ".join(rack for rack, _ in racks) or "waits"


def measures(parts: Parts, policy: Any) -> dict[str, float]:
    """What guards look at, of one run. Raises KeyboardInterrupt for one that was stopped."""
    result = simulate(
        parts.hall,
        parts.workload,
        policy,
        parts.scenario,
        seed=parts.configuration.seed,
        until=parts.configuration.hours * SECONDS_PER_HOUR,
        settings=parts.settings,
    )
    if not result.complete:
        raise KeyboardInterrupt
    metrics = result.metrics
    waits = [(each["jobs"], each["wait_seconds_mean"]) for each in metrics["waits"].values()]
    started = sum(jobs for jobs, _ in waits)
    jobs = metrics["jobs"]
    found = {
        "wait_seconds_mean": sum(jobs * mean for jobs, mean in waits) / started if started else 0.0,
        "jobs_not_run": jobs["refused"] + jobs["killed"] + jobs["queued"],
        "gpu_hours_delivered": metrics["gpu_seconds_delivered"] / SECONDS_PER_HOUR,
    }
    for name in (
        "breaker_trips_total", "throttled_gpu_seconds", "shutdown_events_total", "gpu_temperature_celsius_max",
        "breaker_thermal_fraction_max", "gpu_seconds_lost", "latency_misses_total",
    ):  # fmt: skip
        found[name] = metrics[name] or 0.0
    return {name: float(value) for name, value in plain(found).items()}
