"""What a build does to the fleet: one world with it on all racks, and the same world without.

The rollout of the counterfactual asks nobody: batches follow one another whatever happens. Harm is counted over the
time in which the build is everywhere, since restarts are the rollout's and not the build's; trips and lost work over
the whole episode. Each measure is divided by its margin, and the greatest is the build's harm: above 1 it is bad.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from twin.results.kinds import EventKind
from twin.setup.assembly import Parts
from twin.sim.deployment import Deployment
from twin.sim.releases import Release
from twin.sim.simulate import simulate
from twin.sim.world import World
from twin.workload.jobs import Build

Steps = Generator[Any, Any, None]


@dataclass(frozen=True)
class Schedule:
    """How the counterfactual rolls out. Seconds of simulated time."""

    seconds: float = 7_200.0  # of the episode
    begin_seconds: float = 300.0
    batches: int = 10
    batch_seconds: float = 300.0  # between two batches
    settle_seconds: float = 600.0  # after the last one: it starts, and queues empty

    @property
    def full_seconds(self) -> float:
        """From when on the build counts as everywhere."""
        return self.begin_seconds + (self.batches - 1) * self.batch_seconds + self.settle_seconds


@dataclass(frozen=True)
class Counts:
    """What an episode counted. Device time and requests of the time in which the build is everywhere."""

    throttled_gpu_seconds: float
    gpu_seconds: float
    late: float
    failed: float
    requests: float
    lost_gpu_seconds: float  # of the whole episode, as what follows
    delivered_gpu_seconds: float
    trips: float


@dataclass(frozen=True)
class Margins:
    """Harm to the fleet that is accepted, against the same world without the build."""

    throttled_share: float = 0.002  # of device time [1]
    late_share: float = 0.005  # of requests [1]
    error_share: float = 0.005  # of requests [1]
    lost_share: float = 0.005  # of the work delivered [1]
    trips: float = 0.5  # breakers


MEASURES = tuple(each.name for each in fields(Margins))


def episode(parts: Parts, build: Build | None, service: str, schedule: Schedule) -> Counts:
    """One episode, with a build that is rolled out to every rack of the service, or without."""
    marks: dict[str, Any] = {}

    def watch(world: World) -> None:
        world.env.process(_counting(world, service, schedule, marks))
        if build is not None:
            world.env.process(_everywhere(world, Release(service, build, True), schedule))
        marks["world"] = world

    result = simulate(
        parts.hall, parts.workload, parts.policy, parts.scenario, seed=parts.configuration.seed,
        until=schedule.seconds, settings=parts.settings, watch=watch,
    )  # fmt: skip
    if not result.complete:
        raise KeyboardInterrupt
    world: World = marks["world"]
    begun, ended = marks["full"], _sums(world, service)
    jobs = result.tables["jobs"]
    trays = world.topology.rack_production[world.topology.tray_rack]
    return Counts(
        throttled_gpu_seconds=ended[0] - begun[0],
        gpu_seconds=float(world.topology.tray_gpus[trays].sum()) * (schedule.seconds - schedule.full_seconds),
        late=ended[1] - begun[1],
        failed=ended[2] - begun[2],
        requests=ended[3] - begun[3],
        lost_gpu_seconds=math.fsum(jobs["lost_gpu_seconds"]),
        delivered_gpu_seconds=math.fsum(jobs["delivered_gpu_seconds"]),
        trips=float(sum(1 for _ in world.log.of(EventKind.BREAKER_TRIP, 0.0))),
    )


def _everywhere(world: World, release: Release, schedule: Schedule) -> Steps:
    """Put a release on all racks, batch by batch."""
    yield world.env.timeout(schedule.begin_seconds)
    deployment = Deployment(world, release, schedule.batch_seconds)
    targets = deployment.targets()
    for batch in np.array_split(np.array(targets, dtype=np.int64), schedule.batches):
        racks = batch.tolist()
        event = world.log.add(world.env.now, EventKind.ROLLOUT_STAGE, "hall", release.name, value=float(len(racks)))
        deployment.put(racks, event)
        yield world.env.timeout(schedule.batch_seconds)
    deployment.spread(event)


def _counting(world: World, service: str, schedule: Schedule, marks: dict[str, Any]) -> Steps:
    yield world.env.timeout(schedule.full_seconds)
    world.env.read()
    marks["full"] = _sums(world, service)


def _sums(world: World, service: str) -> tuple[float, float, float, float]:
    """GPU-seconds throttled on all production racks, and requests late, failed and arrived, so far."""
    run = world.services[service]
    trays = world.topology.rack_production[world.topology.tray_rack]
    slow = float((world.plant.m.slow_s * world.topology.tray_gpus)[trays].sum())
    return slow, run.late, run.failed, run.requests


def shares(counts: Counts) -> dict[str, float]:
    """The measures of :class:`Margins` of one episode."""
    return {
        "throttled_share": counts.throttled_gpu_seconds / counts.gpu_seconds,
        "late_share": counts.late / counts.requests if counts.requests else 0.0,
        "error_share": counts.failed / counts.requests if counts.requests else 0.0,
        "lost_share": counts.lost_gpu_seconds / counts.delivered_gpu_seconds if counts.delivered_gpu_seconds else 0.0,
        "trips": counts.trips,
    }


@dataclass(frozen=True)
class Harm:
    """Harm of a build in one world, in margins: the greatest measure, and which it is."""

    harm: float
    measure: str  # empty where nothing is worse than without it
    of_margins: Mapping[str, float]  # measure → excess over its margin


def harm_of(with_build: Counts, without: Counts, margins: Margins) -> Harm:
    """Harm of a build: the greatest excess over the world without it, in margins; at least 0."""
    with_, less = shares(with_build), shares(without)
    found = {name: (with_[name] - less[name]) / float(getattr(margins, name)) for name in MEASURES}
    worst = max(MEASURES, key=lambda name: found[name])  # the first of equal ones
    return Harm(max(0.0, found[worst]), worst if found[worst] > 0.0 else "", found)


GOOD, BAD, BORDERLINE = "good", "bad", "borderline"


def truth_of(harms: list[float]) -> tuple[str, bool]:
    """What a build is by its worlds' harms, in margins: good or bad where all agree, else borderline; and whether it
    counts as bad, by the median of its worlds, where borderline ones are counted.
    """
    bad = [harm > 1.0 for harm in harms]
    median = float(np.median(harms))
    return (BAD if all(bad) else GOOD if not any(bad) else BORDERLINE), median > 1.0
