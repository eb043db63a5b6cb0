"""The life of a job on its trays: start up, work, save; and what a loss does to it.

A gang that loses a tray stops, reverts to its last checkpoint and goes back to the queue: the same job, its restarts
counted apart. Work goes at the pace of the slowest tray.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.plant.plant import Plant
from twin.plant.server import BRAKED, NORMAL, SLOWED
from twin.policy.causes import Author
from twin.policy.degradation import AS_BUILT, Degradation, join
from twin.results.kinds import EventKind
from twin.sim.clock import Local
from twin.sim.world import World
from twin.workload.jobs import Build, Job, Phase
from twin.workload.scaling import scaled

ENOUGH = 1e-6  # s of work that may be left when a phase counts as done
CRAWL = 0.02  # slowest pace assumed when the end of a phase is predicted
SOON = 1.0  # s ahead that a slow pace is taken to last; beyond, trays may be let go, and the end comes earlier
NOWHERE: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # trays of a job that has none
NO_LAG: NDArray[np.float64] = np.zeros(0)
Steps = Generator[simpy.Event, Any, None]
AGAIN = "again"  # what interrupts a run that starts again where it is
COLD = "cold"  # likewise, without the image and the compiled code that its nodes had kept


def paces(plant: Plant, trays: NDArray[np.int64]) -> NDArray[np.float64]:
    """Present speed of every tray, of nominal: ``f^β`` of its clock f, which heat, brake or cap may hold down."""
    tray, rack = plant.u.tray[trays], plant.c.rack[plant.c.tray_rack[trays]]
    mode = tray["mode"]
    over = plant.x.td[plant.cur, trays] - rack["t_slow"] + rack["release"]
    droop = np.maximum(rack["slow_min"], 1.0 - rack["slow_gain"] * over)
    limits = [(mode == NORMAL, 1.0), (mode == SLOWED, droop), (mode == BRAKED, rack["brake_clock"])]
    clock = np.select([of for of, _ in limits], [np.minimum(tray["cap"], limit) for _, limit in limits], 0.0)
    found = np.ones(len(trays))
    for slow in np.flatnonzero(clock < 1.0).tolist():
        found[slow] = float(clock[slow]) ** float(tray["beta"][slow])
    return found


def _nobody() -> None:
    """Whom a job that is no replica tells of its changes."""


@dataclass(frozen=True)
class Pin:
    """Where somebody wants a job, whatever the policy says: the rack, who, and why."""

    rack: str
    by: Author
    reason: str


class JobRun:
    """One job in one run: where it is, what it has done and what it lost."""

    __slots__ = (  # without, an object of that many attributes takes another kilobyte
        "_deferred",
        "_done",
        "_drawing",
        "_phase",
        "_process",
        "_share",
        "_since",
        "_speed",
        "_speed_since",
        "_status",
        "began",
        "build",
        "changed",
        "end",
        "endless",
        "first_start",
        "gpus",
        "image",
        "job",
        "losses",
        "not_before",
        "number",
        "pin",
        "place_in_queue",
        "progress",
        "queued_since",
        "racks",
        "reason",
        "renewed",
        "restoring",
        "saved",
        "serving",
        "slow_before",
        "started",
        "starts",
        "throttled",
        "trays",
        "unset",
        "wait",
        "world",
    )  # fmt: skip

    def __init__(
        self,
        world: World,
        job: Job,
        number: int,
        gpus_per_tray: int,
        pin: Pin | None = None,
        image: str | None = None,
    ) -> None:
        self.world = world
        self.job = job
        self.endless = not math.isfinite(job.work_seconds)
        self.number = number  # the gang that its trays swing with
        self.gpus = job.gpus if job.gpus is not None else job.trays * gpus_per_tray
        self.pin = pin
        self.image = image or job.service or job.kind.value  # what builds of it are of
        self._status = "queued"
        world.tally["queued"] += 1
        self.trays: NDArray[np.int64] = NOWHERE
        self.racks: tuple[str, ...] = ()
        self.began = job.elapsed_seconds  # work done before the run
        self.progress = job.elapsed_seconds  # s of steady work
        interval = job.checkpoint_interval_seconds
        regular = job.checkpoint is not None and np.isfinite(interval)
        self.saved = float(interval * np.floor(job.elapsed_seconds / interval)) if regular else 0.0
        self._queue(max(0.0, job.submit_seconds))
        self.first_start: float | None = None
        self.started = 0.0
        self.end: float | None = None
        self.wait = 0.0
        self.starts = 0
        self.losses: list[tuple[str, float]] = []  # (root cause, GPU-seconds)
        self.reason = ""
        self.renewed = -1  # event that made it start again where it is
        self.restoring = ""  # root cause of the loss that the next restore pays for
        self.serving = False  # of a service's replica: ready for requests
        self.unset = True  # of a service's replica: its load has not been set by its service yet
        self.changed: Callable[[], None] = _nobody  # tells its service that one of the two did
        self.throttled = 0.0  # GPU-seconds
        self.slow_before = 0.0
        self._process: simpy.Process | None = None
        self._done = 0.0  # of the work under way
        self._phase = ""
        self._drawing = job.steady
        # time [s] of the stretch's start, work done by then, lag of its trays and what scaling back had cost then
        self._since: tuple[float, float, NDArray[np.float64], float] = (0.0, 0.0, NO_LAG, 0.0)
        self.not_before = 0.0  # s, time until which it is put off while it waits
        self._share = 1.0  # of its utilisation that flags leave it
        self._speed = 1.0  # and of its speed
        self._speed_since = 0.0
        self._deferred = 0.0  # s of work that lesser speed has cost until then
        self.build: Build | None = None  # of a release; None for the one of the run's beginning

    @property
    def status(self) -> str:
        """queued, running, stopping, completed, refused or killed; the world keeps count."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        world = self.world
        world.tally[self._status] -= 1
        world.tally[status] += 1
        self._status = status
        if status == "running":
            world.running[self.number] = self
        else:
            world.running.pop(self.number, None)
            world.ends.pop(self.number, None)

    def _queue(self, since: float) -> None:
        """Note since when it waits, and what a queue is sorted by: priority, age, number."""
        self.queued_since = since
        self.place_in_queue = (-self.job.priority, since, self.number)

    # ------------------------------------------------------------------ start

    @property
    def in_flight(self) -> bool:
        """Met by the run in the middle of its work."""
        return self.starts == 0 and self.job.submit_seconds <= 0.0

    def start(self, trays: NDArray[np.int64], racks: tuple[str, ...]) -> None:
        """Take ``trays`` and begin."""
        world, job = self.world, self.job
        now = world.env.now
        self.trays, self.racks = trays, racks
        if job.gpus is None:
            self.gpus = int(world.topology.tray_gpus[trays].sum())
        self.wait += now - self.queued_since
        met = self.in_flight
        if self.first_start is None:
            self.first_start = now
        self.started = now
        self.renewed = -1
        self.status = "running"
        world.hold(trays, self)
        self.slow_before = self.slow_seconds()
        self._begin(self._opening(met))
        world.log.add(
            now, EventKind.JOB_STARTED, "job", job.id, value=float(len(trays)), detail="on " + ", ".join(racks)
        )

    def _begin(self, first: tuple[Phase, ...]) -> None:
        """Begin with its first phases, by the build that stands on its racks and the flags that hold there."""
        world, job = self.world, self.job
        self.build = world.images.of(self.image, self._on_racks()) if world.images.any else None
        if world.scaled_back or self.build is not None:
            self.degrade()
        self.starts += 1
        if not self.endless:  # by its owner's word; what was done before the run counts on its first start
            end = self.started + job.estimate_seconds - (self.began if self.starts == 1 else 0.0)
            world.ends[self.number] = (end, self.number, job.trays)
        if first:  # what draws most of its start and its work is still to come
            world.declared.declare(self.trays, max((job.declared_utilisation, *(each.utilisation for each in first))))
        self._power(first[0] if first else job.steady)
        self._process = world.env.process(self._life(first))

    def _opening(self, met: bool) -> tuple[Phase, ...]:
        """Phases before steady work: none for a job met in its work, a restore when there is something to restore."""
        job = self.job
        if met and (job.elapsed_seconds > 0.0 or self.endless):
            return ()
        if job.restore is not None and self.saved > 0.0 and self.starts > 0:
            return (job.restore,)
        return job.startup

    def _power(self, phase: Phase) -> None:
        world, job = self.world, self.job
        self._phase = phase.name
        self._drawing = phase
        if phase is job.steady:
            world.declared.declare(self.trays, job.declared_utilisation, job.declared_by_day)
        largest = 0.0
        if phase.swing > 0.0 and len(self.trays):
            largest = float(np.add.reduce(world.tray_watts[self.trays])) / len(self.trays)
        world.set_load(
            self.trays,
            self._share * self._built(phase),
            linear_share=job.linear_share,
            speed_exponent=job.speed_exponent,
            sigma_watts=phase.swing * largest,
            swing_hertz=job.swing_hertz,
            gang=self.number,
        )

    def _built(self, phase: Phase) -> float:
        """Utilisation in a phase, as its build makes it."""
        if self.build is None:
            return phase.utilisation
        starting = phase is self.job.restore or phase in self.job.startup
        return min(1.0, phase.utilisation * (self.build.startup_power if starting else self.build.power))

    @property
    def surge(self) -> float:
        """How much more of its trays' range [1] it draws while it starts again where it is than at its work."""
        phase = self._drawing
        if self.renewed < 0 or not (phase is self.job.restore or phase in self.job.startup):
            return 0.0
        return self._share * (self._built(phase) - self._built(self.job.steady))

    def power_again(self) -> None:
        """Give its trays the load of its present phase again; a service sets its replicas' at its next period."""
        self._power(self._drawing)
        self.unset = True
        self.changed()

    # ------------------------------------------------------------------ scaled back

    def degrade(self) -> None:
        """Go by what flags now turn down where it runs: the strictest of its racks, as a gang goes at one pace."""
        world = self.world
        if self.endless:
            self.unset = True  # its service sets its load at the next period
            self.changed()
            return
        found = self.degradation()
        share, speed = scaled(found.batch_size, found.auxiliary)
        if self.build is not None:
            speed /= self.build.latency
        if (share, speed) == (self._share, self._speed):
            return
        self._deferred, self._speed_since = self._cost(), world.env.now
        self._share, self._speed = share, speed
        if self._process is not None:  # it is past its start, which sets its power itself
            self._power(self._drawing)

    def degradation(self) -> Degradation:
        """What flags turn down on the racks that it has, of its service where they single that out."""
        degraded = self.world.turned_down(self.job.service)
        if not degraded:
            return AS_BUILT
        return join(degraded[rack] for rack in self._on_racks() if rack in degraded)

    def _on_racks(self) -> list[int]:
        """Racks that its trays are in."""
        return list(np.unique(self.world.topology.tray_rack[self.trays]).tolist())

    def renew(self, event: int, *, cold: bool = False) -> None:
        """Start again where it is, with the build that stands there now: ``event`` is the cause.

        Work reverts to the last checkpoint, as after a loss, and nobody else gets its trays. ``cold``: its nodes have
        lost what they had kept of its start, which it goes through in full before it restores.
        """
        if self._process is not None and self._process.is_alive and self.status == "running":
            self._process.interrupt((event, COLD if cold else AGAIN))

    def _cost(self) -> float:
        """Work [s] that lesser speed has cost so far."""
        return self._deferred + (1.0 - self._speed) * (self.world.env.now - self._speed_since)

    def save(self) -> Steps:
        """Save the work done so far, beside the work: it is kept if nothing is lost until the save ends."""
        job, starts = self.job, self.starts
        if job.checkpoint is None or self.status != "running" or self._phase != job.steady.name:
            return
        done = self.work_done()
        yield self.world.env.timeout(job.checkpoint.seconds)
        if self.status == "running" and self.starts == starts and done > self.saved:
            self.saved = done
            self.world.log.add(self.world.env.now, EventKind.CHECKPOINT_SAVED, "job", job.id)

    # ------------------------------------------------------------------ life

    def _life(self, opening: tuple[Phase, ...]) -> Steps:
        job, world = self.job, self.world
        try:
            for phase in opening:
                if self._drawing is not phase:  # it began with the first
                    self._power(phase)
                yield from self._work(phase.seconds)
                if phase.name == "restore":
                    self._lose(self.restoring, phase.seconds * self.gpus)
            if self._drawing is not job.steady:
                self._power(job.steady)
            if self.endless:
                self.serving = True
                self.unset = True
                self.changed()
                yield from self._work(float("inf"))
            while job.work_seconds - self.progress > ENOUGH:
                left = job.work_seconds - self.progress
                stretch = left
                if job.checkpoint is not None:
                    stretch = min(left, self.saved + job.checkpoint_interval_seconds - self.progress)
                yield from self._work(stretch)
                self.progress += stretch
                self._done = 0.0
                if job.checkpoint is not None and job.work_seconds - self.progress > ENOUGH:
                    self._power(job.checkpoint)
                    yield from self._work(job.checkpoint.seconds)
                    self._done = 0.0
                    self.saved = self.progress
                    world.log.add(world.env.now, EventKind.CHECKPOINT_SAVED, "job", job.id)
                    self._power(job.steady)
            self._finish("completed")
            world.log.add(world.env.now, EventKind.JOB_COMPLETED, "job", job.id)
        except simpy.Interrupt as interrupt:
            self._stopped(interrupt.cause)

    def _work(self, seconds: float) -> Steps:
        """Do ``seconds`` of work at full clock, at the pace of the slowest tray; ``_done`` is what is behind."""
        env, plant = self.world.env, self.world.plant
        self._done = 0.0
        while seconds - self._done > ENOUGH:
            self._since = (env.now, self._done, plant.m.lag[self.trays], self._cost())
            try:
                if np.isfinite(seconds):
                    left = seconds - self._done
                    predicted = left / max(CRAWL, self.pace())
                    # never past the earliest end there can be, which is that at full clock
                    wait = predicted if predicted <= SOON else max(left, SOON)
                    yield Local(env, wait, self.world.tick_after(env.now + wait))
                else:
                    yield env.event()
            finally:
                self._done = self.behind()

    def behind(self) -> float:
        """Work [s] of the stretch under way that is done by now: time less what slow clocks cost the slowest tray."""
        began, done, lag, cost = self._since
        late = float(np.maximum.reduce(self.world.plant.m.lag[self.trays] - lag)) if len(lag) else 0.0
        return done + (self.world.env.now - began) - late - (self._cost() - cost)

    def work_done(self) -> float:
        """Steady work [s] done so far, the stretch under way included."""
        steady = self.status == "running" and self._phase == self.job.steady.name
        return self.progress + (self.behind() if steady else 0.0)

    def delivered(self) -> float:
        """GPU-seconds of work done in this run and kept."""
        return max(0.0, self.work_done() - self.began) * self.gpus

    def pace(self) -> float:
        """Present speed of the slowest tray, of nominal."""
        plant = self.world.plant
        if not plant.hindered:
            return self._speed  # nobody in the hall is slowed, braked or capped
        return self._speed * float(paces(plant, self.trays).min(initial=1.0))

    # ------------------------------------------------------------------ ends

    def slow_seconds(self) -> float:
        """Seconds of slowdown that this job's trays have had since the meters began."""
        return float(np.add.reduce(self.world.plant.m.slow_s[self.trays])) if len(self.trays) else 0.0

    def _leave(self) -> None:
        world = self.world
        if len(self.trays):
            self.throttled += max(0.0, self.slow_seconds() - self.slow_before) * self.gpus / len(self.trays)
        world.release(self.trays, self)
        self.trays = NOWHERE
        self._since = (0.0, 0.0, NO_LAG, 0.0)
        self._deferred, self._share, self._speed = self._cost(), 1.0, 1.0
        self._speed_since = world.env.now
        self._process = None
        self.serving = False
        self.changed()
        world.wake()

    def _whole(self) -> bool:
        """Whether all of its trays can still work."""
        world = self.world
        return bool(world.plant.ready[self.trays].all() and world.in_service[self._on_racks()].all())

    def _again(self, event: int, cold: bool) -> None:
        """Begin anew on the trays that it has."""
        world = self.world
        self._since = (0.0, 0.0, NO_LAG, 0.0)
        self._deferred, self._share, self._speed = self._cost(), 1.0, 1.0
        self._speed_since = world.env.now
        self._process = None
        self.serving = False
        self.unset = True
        self.changed()
        opening = self._opening(met=False)
        if cold and opening != self.job.startup:
            opening = (*self.job.startup, *opening)
        self.renewed = event
        self._begin(opening)
        name = "the build before" if self.build is None else self.build.name
        world.log.add(world.env.now, EventKind.JOB_RENEWED, "job", self.job.id, cause=event, detail=name)

    def _finish(self, status: str) -> None:
        self._leave()
        self.status = status
        self.end = self.world.env.now

    def _lose(self, cause: str, gpu_seconds: float) -> None:
        if gpu_seconds > 0.0:
            self.losses.append((cause or "unknown", gpu_seconds))

    def interrupt(self, event: int, *, preempted: bool = False) -> None:
        """Stop the job where it is: ``event`` is the cause."""
        if self._process is not None and self._process.is_alive and self.status == "running":
            self.status = "stopping"
            self._process.interrupt((event, preempted))

    def _stopped(self, cause: Any) -> None:
        """A tray was lost, or the job was preempted: revert to the last checkpoint and queue again."""
        world, job = self.world, self.job
        event, how = cause
        preempted = bool(how)
        root = world.log.root(event) or ("preemption" if preempted else "unknown")
        if self.endless:
            if self.serving:
                self.progress += self._done
                self.saved = self.progress
        else:
            working = self.progress + (self._done if self._phase == self.job.steady.name else 0.0)
            self._lose(root, (working - self.saved) * self.gpus)
            if self._phase == "restore":
                self._lose(self.restoring, self._done * self.gpus)  # as far as it went
            self.progress = self.saved
        self._done = 0.0
        self.restoring = root
        if how in (AGAIN, COLD) and self.status == "running" and self._whole():
            self._again(event, how == COLD)
            return
        self._leave()
        if not preempted and self.starts > world.settings.greatest_restarts:
            self.status = "killed"
            self.end = world.env.now
            self.reason = f"lost its trays {self.starts} times; last through {root}"
            world.log.add(world.env.now, EventKind.JOB_KILLED, "job", job.id, cause=event, detail=self.reason)
            return
        self.status = "queued"
        self._queue(world.env.now)
        world.requeued.append(self)
        kind = EventKind.JOB_PREEMPTED if preempted else EventKind.JOB_REQUEUED
        world.log.add(world.env.now, kind, "job", job.id, cause=event, root=root)
        world.wake()
