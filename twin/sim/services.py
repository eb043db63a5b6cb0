"""Inference services at work: requests of the last interval set the load, the load of replicas and their latency."""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.sim.runner import JobRun, paces
from twin.sim.world import Ints, World
from twin.workload.jobs import Build, Knobs, Service
from twin.workload.service import Part, Queue, Served, advance, rates, served_shares, utilisation_to_power

Floats = NDArray[np.float64]


@dataclass
class ServiceRun:
    """One service in one run: its queue and its sums."""

    service: Service
    replicas: list[JobRun] = field(default_factory=list)
    queue: Queue = field(default_factory=Queue)
    second: int = 0
    utilisation: float = 0.0  # last set on the replicas
    requests: float = 0.0
    served_requests: float = 0.0
    late: float = 0.0
    failed: float = 0.0
    arrived: float = 0.0
    served: float = 0.0
    queued_seconds: float = 0.0
    wait_max: float = 0.0
    busy: float = 0.0  # replica-seconds
    live_seconds: float = 0.0
    parts: tuple[Part, ...] = ()  # builds of the live replicas, where they are not all of one
    build: Build = field(init=False)  # that all of them have, where they do
    answered: Floats | None = None  # requests served, failed and late by rack, shape (3, R), since there are releases
    # the live replicas with their trays and gangs, kept until one of them changes
    _changed: bool = True
    _live: list[JobRun] = field(default_factory=list)
    _unset: bool = False  # one of them has not had its load set
    _put: list[JobRun] | None = None  # those whose profile was put last
    _trays: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _first: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of every replica, in the trays
    _largest: float = 0.0  # mean greatest power of the trays, W
    _answering: list[JobRun] | None = None  # of their trays: rack, part of the requests, error rate
    _racks: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _part: Floats = field(default_factory=lambda: np.zeros(0))
    _failing: Floats = field(default_factory=lambda: np.zeros(0))
    _builds: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of each tray: place among the parts
    _even: Floats = field(default_factory=lambda: np.zeros(0))  # of each tray: its part of its build's requests

    def __post_init__(self) -> None:
        self.build = self.service.build

    def enlist(self, run: JobRun) -> None:
        """Count a job among the replicas."""
        self.replicas.append(run)
        run.changed = self.changed
        self.changed()

    def changed(self) -> None:
        """A replica came, went, or lost its load: look at them again."""
        self._changed = True

    def add(self, served: Served, live: float) -> None:
        """Add an interval to the sums."""
        self.requests += served.arrived_requests
        self.served_requests += served.served_requests
        self.late += served.late_requests
        self.failed += served.failed_requests
        self.arrived += served.arrived_prompt_tokens + served.arrived_output_tokens
        self.served += served.served_prompt_tokens + served.served_output_tokens
        self.queued_seconds += served.queued_request_seconds
        if np.isfinite(served.wait_seconds_max):
            self.wait_max = max(self.wait_max, served.wait_seconds_max)
        self.busy += served.utilisation * live * served.seconds
        self.live_seconds += live * served.seconds

    def advance(self, world: World, until: int) -> None:
        """Serve the seconds up to ``until``, and put the utilisation found on the replicas."""
        stop = min(until, len(self.service.requests))
        if stop <= self.second:
            return
        if self._changed:
            self._changed = False
            self._live = [run for run in self.replicas if run.serving]
            self._unset = any(run.unset for run in self._live)
            self.parts = self._parts()
        live = self._live
        slow = live and world.plant.hindered
        speed = self._pace(world) if slow else 1.0
        able = self._able(live) if world.degraded else float(len(live))
        self.queue, served = advance(
            self.service, self.queue, self.second, stop, live=able, speed=speed, build=self.build, parts=self.parts
        )
        self.add(served, float(len(live)))
        if self.answered is not None and live:
            self._answer(world, live, served)
        self.second = stop
        if live and (abs(served.utilisation - self.utilisation) > world.settings.service_deadband or self._unset):
            self.utilisation = served.utilisation
            self.put(world, live)

    def put(self, world: World, live: list[JobRun]) -> None:
        """Set the load of live replicas from the service's utilisation: at first all of it, then what moves."""
        service = self.service
        if world.degraded or self.parts:
            self._put_apart(world, live)
            return
        load, swing = utilisation_to_power(service, self.utilisation, service.knobs, self.build)
        if live is self._put and not self._unset:
            world.move_load(self._trays, load, swing * self._largest)
            return
        trays = self._gather(world, live)
        world.set_load(
            trays,
            load,
            linear_share=service.linear_share,
            speed_exponent=service.speed_exponent,
            sigma_watts=swing * self._largest,
            gang=np.repeat([run.number for run in live], [len(run.trays) for run in live]),
        )
        for run in live:
            run.unset = False
        self._unset = False

    def _knobs(self, run: JobRun) -> Knobs:
        """The service's knobs as flags leave them on the racks of a replica."""
        built, found = self.service.knobs, run.degradation()
        return Knobs(
            concurrency=built.concurrency * found.concurrency,
            batch_size=built.batch_size * found.batch_size,
            precision=found.precision if found.precision != "high" else built.precision,
            auxiliary=built.auxiliary and found.auxiliary,
        )

    def _build(self, run: JobRun) -> Build:
        """The build that a replica started with."""
        return self.service.build if run.build is None else run.build

    def _parts(self) -> tuple[Part, ...]:
        """Builds of the live replicas with their shares; none while all have one, as before and after a release."""
        counts = Counter(map(self._build, self._live))
        if len(counts) <= 1:
            self.build = next(iter(counts), self.build)
            return ()
        return tuple(Part(build, number / len(self._live)) for build, number in counts.items())

    def watch_answers(self, racks: int) -> None:
        """Count from now on what each of so many racks serves, fails and answers late."""
        if self.answered is None:
            self.answered = np.zeros((3, racks))

    def _answer(self, world: World, live: list[JobRun], found: Served) -> None:
        """Count requests served, failed and late on the racks of live replicas."""
        assert self.answered is not None
        if self._answering is not live:
            self._answering = live
            counts = np.array([len(run.trays) for run in live])
            self._racks = world.topology.tray_rack[np.concatenate([run.trays for run in live])]
            parts = self.parts or (Part(self.build, 1.0),)
            shares = served_shares(self.service, parts, self.service.knobs)
            each = {part.build: s / (part.share * len(live)) for part, s in zip(parts, shares, strict=True)}
            builds = [self._build(run) for run in live]
            self._part = np.repeat(np.array([each[build] for build in builds]) / counts, counts)
            self._failing = np.repeat(np.array([build.error_rate for build in builds]), counts)
            number = {part.build: place for place, part in enumerate(parts)}
            self._builds = np.repeat(np.array([number[build] for build in builds]), counts)
            self._even = 1.0 / np.bincount(self._builds, minlength=len(parts)).clip(1)[self._builds]
        racks, served = self.answered.shape[1], found.served_requests * self._part
        self.answered[0] += np.bincount(self._racks, served, racks)
        self.answered[1] += np.bincount(self._racks, served * self._failing, racks)
        if found.late_requests > 0.0:
            late = np.array(found.late_of_parts)[self._builds] * self._even
            self.answered[2] += np.bincount(self._racks, late, racks)

    def _able(self, live: list[JobRun]) -> float:
        """Live replicas, each counted by its decode rate against the same build with the service's own knobs."""
        service = self.service
        rate: dict[tuple[Knobs, Build], float] = {}
        total = 0.0
        for run in live:
            knobs, build = self._knobs(run), self._build(run)
            if (knobs, build) not in rate:
                built = rates(service, 1.0, service.knobs, build).decode_tokens_per_second
                turned = rates(service, 1.0, knobs, build).decode_tokens_per_second
                rate[knobs, build] = turned / built if built > 0.0 else 1.0
            total += rate[knobs, build]
        return total

    def _put_apart(self, world: World, live: list[JobRun]) -> None:
        """Set the load of live replicas that flags turn down, or releases change, differently."""
        service, c = self.service, world.plant.c
        for run in live:
            load, swing = utilisation_to_power(service, self.utilisation, self._knobs(run), self._build(run))
            largest = float((c.idle[run.trays] + c.span[run.trays]).mean())
            world.set_load(
                run.trays,
                load,
                linear_share=service.linear_share,
                speed_exponent=service.speed_exponent,
                sigma_watts=swing * largest,
                gang=run.number,
            )
            run.unset = False
        self._unset, self._put = False, None  # all anew when flags and releases are gone

    def _gather(self, world: World, live: list[JobRun]) -> Ints:
        """Trays of live replicas, one after another."""
        if live is not self._put:
            c = world.plant.c
            counts = [len(run.trays) for run in live]
            self._put = live
            self._trays = np.concatenate([run.trays for run in live])
            self._first = np.concatenate([[0], np.cumsum(counts)[:-1]])
            self._largest = float((c.idle[self._trays] + c.span[self._trays]).mean())
        return self._trays

    def _pace(self, world: World) -> float:
        """Mean speed of the live replicas, each that of its slowest tray."""
        trays = self._gather(world, self._live)
        return float(np.mean(np.minimum.reduceat(paces(world.plant, trays), self._first)))

    def guess(self) -> None:
        """Utilisation of the first minute, so that a run starts at the load it will have."""
        stop = min(60, len(self.service.requests))
        if stop > 0:
            _, served = advance(self.service, Queue(), 0, stop, live=float(max(1, self.service.replicas)))
            self.utilisation = served.utilisation


def serve(world: World, services: list[ServiceRun]) -> Generator[simpy.Event, Any, None]:
    """Advance every service at each service period."""
    period = world.settings.service_period_seconds
    while True:
        yield world.env.timeout(period)
        for run in services:
            run.advance(world, round(world.env.now))
