"""Inference services at work: requests of the last interval set the load, the load of replicas and their latency."""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.sim.runner import JobRun, paces
from twin.sim.shares import STEP_SECONDS, Shares, busy_replicas
from twin.sim.world import Ints, World
from twin.workload.jobs import Build, Knobs, Service
from twin.workload.service import (
    Machine,
    Part,
    Queue,
    Served,
    advance,
    machine_of,
    rates,
    served_shares,
    utilisation_to_power,
)

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
    wait: float = 0.0  # s, now; inf without live replicas
    wait_max: float = 0.0
    shed: float = 0.0  # tokens of what was turned away
    shed_requests: float = 0.0
    busy: float = 0.0  # replica-seconds
    live_seconds: float = 0.0
    admitting: bool = True  # no flag that is set for it keeps its replicas from starting
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
    _replica: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of every tray, among the live ones
    _largest: float = 0.0  # mean greatest power of the trays, W
    _answering: list[JobRun] | None = None  # of their trays: rack, part of the requests, error rate
    _racks: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _part: Floats = field(default_factory=lambda: np.zeros(0))
    _failing: Floats = field(default_factory=lambda: np.zeros(0))
    _whose: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of each tray: place among the live ones
    _builds: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of each tray: place among the parts
    _even: Floats = field(default_factory=lambda: np.zeros(0))  # of each tray: its part of its build's requests
    _waits: dict[int, float] = field(default_factory=dict)  # replica that may not start → s, put off until then anyway
    _machine: tuple[tuple[float, Build, tuple[Part, ...]], Machine] | None = None  # the last, and what it was made of
    # where shares are uneven
    _shares: Shares | None = None
    _step: int = -1  # of the shares
    _uneven: Floats | None = None  # share of the requests of each live replica, over an even one
    _places: dict[int, int] = field(default_factory=dict)  # run → number at which it was enlisted

    def __post_init__(self) -> None:
        self.build = self.service.build

    def enlist(self, run: JobRun) -> None:
        """Count a job among the replicas."""
        self._places[run.number] = len(self.replicas)
        self.replicas.append(run)
        run.changed = self.changed
        self.changed()
        if not self.admitting:
            self._put_off(run)

    def admit(self, admitting: bool) -> None:
        """Let replicas start, or let none start from now on; those that run stay."""
        if admitting == self.admitting:
            return
        self.admitting = admitting
        for run in self.replicas:
            if admitting:
                run.not_before = self._waits.pop(run.number, run.not_before)
            else:
                self._put_off(run)

    def _put_off(self, run: JobRun) -> None:
        self._waits[run.number], run.not_before = run.not_before, np.inf

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
        self.wait = served.wait_seconds
        self.shed += served.shed_prompt_tokens + served.shed_output_tokens
        self.shed_requests += served.shed_requests
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
            self._step = -1
            self.parts = self._parts()
        live = self._live
        moved = self._share_out(world, live)
        slow = live and world.plant.hindered
        speed = self._pace(world) if slow else 1.0
        able, bounds = self._able(live) if world.scaled_back else (float(len(live)), ())
        self.queue, served = advance(
            self.service, self.queue, self.second, stop, live=able, machine=self._machine_at(speed), bounds=bounds
        )
        self.add(served, float(len(live)))
        if self.answered is not None and live:
            self._answer(world, live, served)
        self.second = stop
        far = abs(served.utilisation - self.utilisation) > world.settings.service_deadband
        if live and (far or moved or self._unset):
            self.utilisation = served.utilisation
            self.put(world, live)

    def _machine_at(self, speed: float) -> Machine:
        """What its live replicas are to its queue at a mean relative speed; found anew when that or a build changes."""
        key = (speed, self.build, self.parts)
        if self._machine is None or self._machine[0] != key:
            self._machine = key, machine_of(self.service, speed=speed, build=self.build, parts=self.parts)
        return self._machine[1]

    def begin(self, world: World) -> None:
        """Set the load of the replicas that a run starts with; none may be there."""
        live = [run for run in self.replicas if run.status == "running"]
        if live:
            self._share_out(world, live)
            self.put(world, live)

    def _share_out(self, world: World, live: list[JobRun]) -> bool:
        """Find what live replicas get of the requests, where that is uneven and it is time; whether it changed."""
        step = self.second // STEP_SECONDS
        if step == self._step or not live or self.service.unevenness <= 0.0:
            return False
        if self._shares is None:
            self._shares = Shares(self.service, world.seed)
        places = np.array([self._places[run.number] for run in live])
        self._step, self._uneven = step, self._shares.of(step, places, len(self.replicas))
        if self.parts:
            self.parts = self._favoured(live, self.parts)
        self._answering = None
        return True

    def _favoured(self, live: list[JobRun], parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Builds of live replicas with what the balancer gives theirs of the requests in the mean."""
        assert self._uneven is not None
        builds = [self._build(run) for run in live]
        return tuple(
            replace(part, favour=float(self._uneven[[build == part.build for build in builds]].mean()))
            for part in parts
        )

    def put(self, world: World, live: list[JobRun]) -> None:
        """Set the load of live replicas from the service's utilisation: at first all of it, then what moves."""
        service = self.service
        if world.scaled_back or self.parts:
            self._put_apart(world, live)
            return
        moves = live is self._put and not self._unset
        trays = self._gather(world, live)
        load: float | Floats
        swing: float | Floats
        if self._uneven is None:
            load, swing = utilisation_to_power(service, self.utilisation, service.knobs, self.build)
        else:
            busy = busy_replicas(self._uneven, self.utilisation)[self._replica]
            load, swing = utilisation_to_power(service, busy, service.knobs, self.build)
        if moves:
            world.move_load(trays, load, swing * self._largest)
            return
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
            self._whose = np.repeat(np.arange(len(live)), counts)
        part, even = self._part, self._even
        if self._uneven is not None:
            busy = busy_replicas(self._uneven, found.utilisation) if found.utilisation > 0.0 else self._uneven
            got = busy[self._whose]
            got = got / np.bincount(self._builds, got * self._even)[self._builds]  # over its build's mean
            part, even = part * got, even * got
        racks, served = self.answered.shape[1], found.served_requests * part
        self.answered[0] += np.bincount(self._racks, served, racks)
        self.answered[1] += np.bincount(self._racks, served * self._failing, racks)
        if found.late_requests > 0.0:
            late = np.array(found.late_of_parts)[self._builds] * even
            self.answered[2] += np.bincount(self._racks, late, racks)

    def _able(self, live: list[JobRun]) -> tuple[float, tuple[tuple[float, float], ...]]:
        """Live replicas, each counted by its decode rate against the same build with the service's own knobs.

        And the waits [s] past which some of them turn requests away, each with their share of all decode rates: that
        is what falls to them, also where builds of different speed serve side by side.
        """
        service = self.service
        rate: dict[tuple[Knobs, Build], tuple[float, float]] = {}  # tokens/s, and that over as built
        bounded: dict[float, float] = {}
        count = total = 0.0
        for run in live:
            knobs, build = self._knobs(run), self._build(run)
            if (knobs, build) not in rate:
                built = rates(service, 1.0, service.knobs, build).decode_tokens_per_second
                turned = rates(service, 1.0, knobs, build).decode_tokens_per_second
                rate[knobs, build] = turned, turned / built if built > 0.0 else 1.0
            tokens, of_built = rate[knobs, build]
            count += of_built
            total += tokens
            bound = run.degradation().queue_seconds
            if bound < np.inf:
                bounded[bound] = bounded.get(bound, 0.0) + tokens
        return count, tuple((bound, part / total) for bound, part in sorted(bounded.items()) if total > 0.0)

    def _put_apart(self, world: World, live: list[JobRun]) -> None:
        """Set the load of live replicas that flags turn down, or releases change, differently."""
        service, c = self.service, world.plant.c
        busy = [self.utilisation] * len(live)
        if self._uneven is not None:
            busy = busy_replicas(self._uneven, self.utilisation).tolist()
        for run, each in zip(live, busy, strict=True):
            load, swing = utilisation_to_power(service, each, self._knobs(run), self._build(run))
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
            self._replica = np.repeat(np.arange(len(live)), counts)
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
