"""Priority FIFO with EASY backfill, around a policy that says where a job goes.

The head of the queue is asked for first. When it must wait, it gets a reservation: the earliest time at which running
jobs' declared ends free enough trays. A later job may go before it if it ends by then, or fits beside it. A waiting job
may also turn out preemptible jobs of lower priority. (Lifka, *The ANL/IBM SP scheduling system*, JSSPP 1995.)

Jobs that are new are asked for at the next look, and a head that waits for trays whenever something but a submission
changed. The others are asked for every two minutes, those that wait for trays only if something changed since: what the
rest waits for shows in readings, which come later than the change. (Slurm tests all pending jobs once a minute by
default, ``sched_interval``, and the first ones when a job ends; Kubernetes tries again what fitted nowhere after five
minutes, or when something has changed that may help.)

At one look nobody is asked about a job that asks for no less than one of its class that was just told to wait: a queue
of equals is told once. And nobody who was told to wait is asked about again while the policy can tell, short of a
decision, that it would say so again (``short_of``, :class:`twin.policy.protocol.Policy`).
"""

import itertools
import math
from collections.abc import Callable, Generator
from heapq import heapify, heappop
from operator import attrgetter
from typing import Any

import numpy as np
import simpy

from twin.policy.decisions import Placement, Reason, Refusal
from twin.policy.protocol import JobRequest, Policy
from twin.policy.snapshot import FacilitySnapshot
from twin.results.kinds import EventKind
from twin.sim.runner import JobRun
from twin.sim.world import World
from twin.workload.jobs import Job

DEPTH = 50  # jobs behind the head that backfill looks at
PATIENCE = 300.0  # s that a job waits before it turns out others
AGAIN = 120.0  # s from one look at all that wait to the next
FREED = (Reason.WAIT_FOR_TRAYS, Reason.WAIT_PAUSED)  # what an end of work or a flag cures at once, whatever is read


class PolicyError(RuntimeError):
    """A policy's decision cannot be carried out; the message says what it asked for and what there is."""


def declared_seconds(run: JobRun) -> float:
    """How long a job that starts now runs by its owner's word [s]; 0 where nobody knows: a replica, and work that has
    had all of the time it asked for."""
    asked = run.job.estimate_seconds - (run.began if run.starts == 0 else 0.0)
    return max(asked, 0.0) if math.isfinite(asked) and not run.endless else 0.0


class Scheduler:
    """The queue, and the process that empties it at control ticks after something changed."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world = world
        self.policy = policy
        self.state: Any = None
        self.queue: list[JobRun] = []
        self._seen: FacilitySnapshot | None = None
        self._impatient: tuple[int, float] | None = None  # a head that has its wake-up: number, waiting since
        c = world.plant.c
        # W of a tray: idle, from there to full load on a warm one, and at most
        self._usual = (
            float(c.idle.mean()), float((c.span + world.tray_warm_watts).mean()), float((c.idle + c.span).mean()),
        )  # fmt: skip
        self._change = world.env.event()
        self._head = True  # something but a submission changed: a head that waits for trays is asked for
        self._owed = False  # all that wait are to be asked for again, and the wake-up for it is set
        self._asked_all = -AGAIN  # s, when all that wait were asked for
        self._told: set[int] = set()  # numbers of jobs that were told to wait since
        self._for_trays: set[int] = set()  # those of them that trays alone may help
        self._waits: set[int] = set()  # numbers of jobs that were told to wait ever, and have no place yet
        self._short_of: Callable[..., Reason | None] | None = getattr(policy, "short_of", None)
        self._no_room: list[tuple[JobRequest, Reason]] = []  # what was told to wait at this look, and why
        world.wake = self.wake

    def forget(self) -> None:
        """See the hall anew before the next decision."""
        self._seen = None
        self._no_room.clear()

    def wake(self, added: bool = False) -> None:
        """Something changed, or a job was just ``added``: look at the queue at the next control tick."""
        self._head |= not added
        if not self._change.triggered:
            self._change.succeed()

    def submit(self, run: JobRun) -> None:
        """Put a job in the queue."""
        world = self.world
        world.runs.append(run)
        world.log.add(world.env.now, EventKind.JOB_SUBMITTED, "job", run.job.id, value=float(run.job.trays))
        self.queue.append(run)
        self.wake(added=True)

    def process(self) -> Generator[simpy.Event, Any, None]:
        """Look at the next control tick after a change, or at every one where the settings ask for it."""
        settings = self.world.settings
        return self._always() if settings.control_always else self._after_changes()

    def _after_changes(self) -> Generator[simpy.Event, Any, None]:
        env = self.world.env
        while True:
            yield self._change
            tick = self.world.tick_after(env.now)
            if tick > env.now:
                yield env.timeout(tick - env.now)
            self._change = env.event()
            self.look()

    def _always(self) -> Generator[simpy.Event, Any, None]:
        env, period = self.world.env, self.world.settings.control_period_seconds
        for tick in itertools.count(1):
            self._head = True
            self.look()
            self._snapshot()
            yield env.timeout(tick * period - env.now)

    def look(self) -> None:
        """Place the queue's jobs in order, then backfill behind a head that must wait."""
        self.forget()
        self.queue += self.world.requeued
        self.world.requeued.clear()
        self.queue.sort(key=attrgetter("place_in_queue"))
        now = self.world.env.now
        if now - self._asked_all >= AGAIN:
            self._asked_all = now
            self._told.clear()
            self._for_trays.clear()
            self._owed = False
        elif self._told:
            self._owe()
        waiting = [run for run in self.queue if run.not_before > now]  # put off: they hold nobody up
        if waiting:
            self.queue = [run for run in self.queue if run.not_before <= now]
        try:
            self._empty()
        finally:
            self.queue += waiting
            self._head = False
        if len(self._told) > len(self._for_trays):
            self._owe()

    def _owe(self) -> None:
        """Come back when all that wait are to be asked for: half a tick early, since a look follows at the next one."""
        if not self._owed:
            self._owed = True
            due = self._asked_all + AGAIN - 0.5 * self.world.settings.control_period_seconds
            self.world.env.process(self._later(max(due - self.world.env.now, 0.0)))

    def _is_due(self, head: JobRun) -> bool:
        """Whether the head is asked for at this look."""
        return head.number not in self._told or (self._head and head.number in self._for_trays)

    def _empty(self) -> None:
        """Place what can be placed."""
        while self.queue and self._is_due(self.queue[0]) and self._try(self.queue[0]):
            self.queue.pop(0)
        if not self.queue:
            return
        if self._turn_out(self.queue[0]):
            return
        behind = [run for run in self.queue[1 : 1 + DEPTH] if run.number not in self._told]
        if not behind:
            return
        shadow, spare = self._reservation(self.queue[0])
        now = self.world.env.now
        for run in behind:
            short = now + run.job.estimate_seconds <= shadow
            if not short and run.job.trays > spare:
                continue
            if self._try(run):
                self.queue.remove(run)
                if not short:
                    spare -= run.job.trays

    # ------------------------------------------------------------------ one job

    def _snapshot(self) -> FacilitySnapshot:
        """The hall as this look found it; of the trays that were free, those are left that it has not given away.

        A job's power shows at the next look, as it does in production, where telemetry is older than a decision.
        """
        if self._seen is None:
            self._seen = self.world.snapshot()
        return self._seen

    def _try(self, run: JobRun) -> bool:
        """Ask the policy about one job and carry out its decision; True when the job has left the queue."""
        world, job = self.world, run.job
        snapshot = self._snapshot()
        trays_of_rack = world.largest_rack
        request = JobRequest(
            id=job.id,
            kind=job.kind.value,
            trays=job.trays,
            one_rack=job.trays <= trays_of_rack and not (job.service and job.trays > trays_of_rack),
            priority=job.priority,
            power_watts_per_tray=self._watts(job.declared_utilisation),
            peak_watts_per_tray=self._watts(self._peak(job)),
            declared_seconds=declared_seconds(run),
        )
        if run.pin is not None:
            free = int(snapshot.rack_free_trays[world.rack_index[run.pin.rack]])
            if free < job.trays:
                return False
            self._place(run, ((run.pin.rack, job.trays),))
            if world.settings.pinned is not None:
                world.settings.pinned(request, run.pin, world.env.now)
            return True
        for other, why in self._no_room:
            if request.asks_no_less_than(other):
                self._tell(run, why)
                run.reason = f"{why.value}: as {other.id}, which asks for no more"
                return False
        if run.number in self._waits and self._short_of is not None:
            lacking = self._short_of(snapshot, request, self.state)
            if lacking is not None:
                self._tell(run, lacking)
                self._no_room.append((request, lacking))
                return False
        decision, self.state = self.policy(snapshot, request, self.state)
        if isinstance(decision, Placement):
            self._place(run, decision.racks)
            for told in (self._told, self._for_trays, self._waits):
                told.discard(run.number)  # should it come back, it is new
            return True
        run.reason = f"{decision.reason.value}: {decision.detail}" if decision.detail else decision.reason.value
        if isinstance(decision, Refusal):
            run.status = "refused"
            run.end = world.env.now
            run.wait += world.env.now - run.queued_since
            world.log.add(
                world.env.now, EventKind.JOB_REFUSED, "job", job.id, root=decision.reason.value, detail=decision.detail
            )
            return True
        self._waits.add(run.number)
        self._tell(run, decision.reason)
        self._no_room.append((request, decision.reason))
        return False

    def _tell(self, run: JobRun, why: Reason) -> None:
        self._told.add(run.number)
        if why in FREED:
            self._for_trays.add(run.number)

    def _watts(self, utilisation: float) -> float:
        """Power of a usual tray at work [W], in whole watts, as it is declared (:mod:`twin.sim.declarations`)."""
        idle, span, most = self._usual
        return float(round(min(idle + utilisation * span, most)))

    @staticmethod
    def _peak(job: Job) -> float:
        """Greatest utilisation that is declared of a job's phases."""
        return max((job.declared_utilisation, *(phase.utilisation for phase in job.startup)))

    def _place(self, run: JobRun, racks: tuple[tuple[str, int], ...]) -> None:
        world = self.world
        if sum(count for _, count in racks) != run.job.trays:
            raise PolicyError(f"policy placed {racks} for {run.job.id}, which asked for {run.job.trays} trays")
        chosen = []
        free = self._snapshot().rack_free_trays.copy()
        for name, count in racks:
            if name not in world.rack_index:
                raise PolicyError(f"policy placed {run.job.id} on {name!r}, which is no rack of this hall")
            usable = world.usable_trays(world.rack_index[name])
            if len(usable) < count:
                raise PolicyError(
                    f"policy placed {count} trays of {run.job.id} on {name}, which has {len(usable)} free"
                )
            chosen.append(usable[:count])
            free[world.rack_index[name]] -= count
        free.setflags(write=False)  # as everything in a snapshot
        self._seen = self._snapshot().with_free_trays(free)
        run.reason = ""
        run.start(np.concatenate(chosen), tuple(name for name, _ in racks))

    # ------------------------------------------------------------------ making room

    def _free(self) -> int:
        """Free trays of production racks at this look: also where nobody has been asked, and there is no snapshot."""
        if self._seen is not None:
            free = self._seen.rack_free_trays
        else:
            self.world.take_readings()
            free = self.world.open_trays()
        return int(free[self.world.topology.rack_production].sum())

    def _reservation(self, head: JobRun) -> tuple[float, int]:
        """When enough trays will be free for ``head`` by declared ends, and how many will be over at that time."""
        world = self.world
        free = self._free()
        ends = list(world.ends.values())
        heapify(ends)  # the first few will do
        while ends:
            end, _, trays = heappop(ends)
            free += trays
            if free >= head.job.trays:
                return max(end, world.env.now), free - head.job.trays
        return float("inf"), max(0, free - head.job.trays)

    def _turn_out(self, head: JobRun) -> bool:
        """Preempt jobs of lower priority for a head that has waited; True when trays are coming free."""
        world = self.world
        if world.env.now - head.queued_since < PATIENCE:
            if self._impatient != (head.number, head.queued_since):
                self._impatient = (head.number, head.queued_since)
                world.env.process(self._later(PATIENCE - (world.env.now - head.queued_since)))
            return False
        missing = head.job.trays - self._free()
        if missing <= 0:
            return False
        victims = [
            run for run in world.running.values() if run.job.preemptible and run.job.priority < head.job.priority
        ]
        victims.sort(key=lambda run: (-run.started, run.number))
        if sum(len(run.trays) for run in victims) < missing:
            return False
        for run in victims:
            if missing <= 0:
                break
            missing -= len(run.trays)
            run.interrupt(-1, preempted=True)
        return True

    def _later(self, seconds: float) -> Generator[simpy.Event, Any, None]:
        yield self.world.env.timeout(seconds)
        self.wake()
