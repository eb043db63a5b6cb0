"""What a response does to work and racks: admissions end, work is saved, leaves, moves or ends, racks are switched off.

Nothing here decides: the ladder, people and rules of flags ask (:mod:`twin.sim.response`).
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.policy.causes import Author
from twin.policy.playbook import Do
from twin.policy.scope import Level, Scope
from twin.results.kinds import EventKind
from twin.sim.protection import Protection
from twin.sim.runner import JobRun
from twin.sim.service_flags import ServiceFlags
from twin.sim.world import World

Bools = NDArray[np.bool_]
Steps = Generator[simpy.Event, Any, None]


class Actuation:
    """Carries out actions in places, each of which an event stands for.

    Args:
        of_services: tells which replicas a service has.
        drain_seconds: between two replicas that leave.
        defer_seconds: that waiting batch work is put off when the queue is shed.
    """

    def __init__(
        self,
        world: World,
        protection: Protection,
        of_services: ServiceFlags,
        *,
        drain_seconds: float,
        defer_seconds: float,
    ) -> None:
        self.world, self.protection, self.of_services = world, protection, of_services
        self.drain_seconds, self.defer_seconds = drain_seconds, defer_seconds
        self.off: dict[int, int] = {}  # racks that are switched off → event that did it
        self.shifted: list[tuple[JobRun, Bools]] = []  # work at the backup cluster, and the racks that it left
        self.away: dict[str, Bools] = {}  # places whose low-priority work is to be there → their racks
        self.asked: dict[int, Author] = {}  # events of what people asked for

    @cached_property
    def does(self) -> Mapping[Do, Callable[[Bools, int], None]]:
        """How each action is carried out that is one: on racks, shape (R,), for an event."""
        return {
            Do.FREEZE_DEPLOYS: self.freeze,
            Do.ALLOW_DEPLOYS: self.allow,
            Do.SHED_QUEUE: self.shed,
            Do.DRAIN: self.drain,
            Do.CHECKPOINT: self.save,
            Do.MIGRATE: self.migrate,
            Do.SHIFT_LOW_PRIORITY: self.shift,
            Do.RETURN_LOW_PRIORITY: self.give_back,
            Do.SHUT_DOWN: self.shut_down,
            Do.ALLOW_START: self.start,
        }

    def racks_in(self, scope: Scope) -> Bools:
        """Racks of a place, shape (R,); of a service those that its replicas run on."""
        topology = self.world.topology
        if scope.level is Level.RACK:
            return np.arange(len(topology.rack_names)) == self.world.rack_index[scope.name]
        if scope.level is Level.ROW:
            return np.asarray(topology.rack_row == topology.row_names.index(scope.name))
        if scope.level is Level.LOOP:
            return np.asarray(topology.rack_loop == topology.loop_names.index(scope.name))
        if scope.level is Level.SERVICE:
            found = np.zeros(len(topology.rack_names), dtype=bool)
            for run in self.of_services.running(scope.name):
                found[topology.tray_rack[run.trays]] = True
            return found
        return np.ones(len(topology.rack_names), dtype=bool)

    def runs_in(self, racks: Bools) -> list[JobRun]:
        """Running work with a tray in some racks, in the order of its numbers."""
        rack_of = self.world.topology.tray_rack
        return [run for _, run in sorted(self.world.running.items()) if racks[rack_of[run.trays]].any()]

    def freeze(self, racks: Bools, event: int) -> None:
        """Let nothing be deployed in a place: rollouts that go there are held."""
        self.world.frozen[self._place(event)] = racks

    def allow(self, racks: Bools, event: int) -> None:
        """Let a place be deployed to again, as far as it is up to who froze it."""
        self.world.frozen.pop(self._place(event), None)

    def _place(self, event: int) -> str:
        who = f"{self.asked[event].role} {self.asked[event].identity}" if event in self.asked else "response ladder"
        return f"{who} for {self.world.log[event]['name']}"

    def shed(self, racks: Bools, event: int) -> None:
        """Put waiting batch and backup work off for a while."""
        until = self.world.env.now + self.defer_seconds
        for run in self.world.runs:
            if run.status == "queued" and run.job.preemptible:
                run.not_before = max(run.not_before, until)
        self.world.env.process(self._wake_at(until))

    def _wake_at(self, time: float) -> Steps:
        yield self.world.env.timeout(time - self.world.env.now)
        self.world.wake()

    def empty(self, scope: Scope, event: int) -> None:
        """Let all go that can: replicas one by one, jobs once they are saved. What cannot be saved runs to its end.

        Of a service its own replicas go, wherever they are, and nothing else.
        """
        of_service = scope.level is Level.SERVICE
        self.let_go(self.of_services.running(scope.name) if of_service else self.runs_in(self.racks_in(scope)), event)

    def let_go(self, runs: Sequence[JobRun], event: int) -> None:
        """Replicas leave one by one while a flag drains them, and what can be saved is saved and moves."""
        self.world.env.process(self._leave([run for run in runs if run.endless], event, flagged=True))
        for run in runs:
            if not run.endless and run.job.checkpoint is not None:
                self.world.env.process(self._move(run, event))

    def drain(self, racks: Bools, event: int) -> None:
        """Let replicas leave one by one; batch work may end, and nothing new comes in."""
        leaving = [run for run in self.runs_in(racks) if run.endless]
        self.world.env.process(self._leave(leaving, event))

    def _leave(self, runs: list[JobRun], event: int, *, flagged: bool = False) -> Steps:
        """``flagged`` ones only while a flag is set that drains them."""
        for run in runs:
            if flagged and not run.degradation().drain:
                continue
            run.interrupt(event, preempted=True)
            yield self.world.env.timeout(self.drain_seconds)

    def save(self, racks: Bools, event: int) -> None:
        """Let running work write a checkpoint, where it has any."""
        for run in self.runs_in(racks):
            self.world.env.process(run.save())

    def migrate(self, racks: Bools, event: int) -> None:
        """Save what can be saved, then let it be placed elsewhere; what cannot be saved stays and runs on."""
        for run in self.runs_in(racks):
            if run.endless or run.job.checkpoint is not None:
                self.world.env.process(self._move(run, event))

    def _move(self, run: JobRun, event: int) -> Steps:
        starts = run.starts
        yield from run.save()
        if run.status == "running" and run.starts == starts:
            run.interrupt(event, preempted=True)

    def shift(self, racks: Bools, event: int) -> None:
        """Send preemptible work to the backup cluster: here it waits until no place that it left sends it away."""
        rack_of, self.away[self._place(event)] = self.world.topology.tray_rack, racks
        for run in self.runs_in(racks):
            if run.job.preemptible and not run.endless:
                run.not_before = math.inf
                left = np.zeros_like(racks)
                left[rack_of[run.trays]] = True
                self.shifted.append((run, left))
                self.world.env.process(self._move(run, event))

    def give_back(self, racks: Bools, event: int) -> None:
        """Let work come back that left a place, unless another place that it left still sends it away. A person lets
        it back whoever sent it."""
        if event in self.asked:
            self.away = {place: sent for place, sent in self.away.items() if (sent & ~racks).any()}
        else:
            self.away.pop(self._place(event), None)
        kept = np.logical_or.reduce(list(self.away.values()) or [np.zeros_like(racks)])
        for run, left in self.shifted:
            if not (left & kept).any():
                run.not_before = 0.0
        self.shifted = [(run, left) for run, left in self.shifted if (left & kept).any()]
        self.world.wake()

    def shut_down(self, racks: Bools, event: int) -> None:
        """Switch racks off: what runs there is lost back to its last checkpoint."""
        world = self.world
        for rack in np.flatnonzero(racks & world.in_service).tolist():
            world.in_service[rack] = False
            self.off[rack] = event
            world.kept_off.add(rack)
            self.protection.lose_jobs(world.trays_of(rack), event)
            world.plant.set_on(world.trays_of(rack), False)
            world.log.add(world.env.now, EventKind.RACK_SHUT_DOWN, "rack", world.topology.rack_names[rack], cause=event)

    def start(self, racks: Bools, event: int) -> None:
        """Switch racks on again that were switched off; they are in service once they have booted."""
        for rack in np.flatnonzero(racks).tolist():
            if rack in self.off:
                self.world.kept_off.discard(rack)
                self.world.env.process(self._boot(rack, self.off.pop(rack)))

    def _boot(self, rack: int, event: int) -> Steps:
        world = self.world
        if world.plant.dark[rack]:
            return  # it has no power: bringing that back brings back the rack
        world.plant.set_on(world.trays_of(rack), True)
        yield world.env.timeout(world.settings.boot_seconds)
        if not world.plant.dark[rack] and rack not in self.off:
            world.in_service[rack] = True
            world.log.add(world.env.now, EventKind.RACK_RESTORED, "rack", world.topology.rack_names[rack], cause=event)
            world.wake()
