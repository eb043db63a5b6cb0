"""What moves and rejects heat needs power too: what stops when the utility is lost, and what comes back when.

Looked at only where a story loses the utility. The mechanical plant hangs on both feeds, so that it stops when neither
a utility nor a generator is left on either; what is on UPS goes on for as long as any UPS does.
"""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS
from twin.results.kinds import EventKind
from twin.sim.levers import Push
from twin.sim.world import Disturbance, World

FACILITY_WATER = "facility water"
CHILLERS = "the chillers"
UTILITY, UPS = NODE_KINDS.index("utility"), NODE_KINDS.index("ups")
Racks = NDArray[np.bool_]


class Part:
    """A part of the mechanical plant: the levers that fall with it, and what is said of that."""

    def __init__(
        self, world: World, kinds: tuple[EventKind, EventKind], level: str, name: str, racks: Racks,
        pushes: Sequence[Push], *, on_ups: bool, wait: float = 0.0, ramp: float | None = None,
    ) -> None:  # fmt: skip
        self.world = world
        self.lost, self.back = kinds
        self.level, self.name, self.racks, self.pushes = level, name, racks, pushes
        self.on_ups, self.wait, self.ramp = on_ups, wait, ramp
        self.powered = True
        self._down: Disturbance | None = None
        self._turn = 0

    def stop(self, cause: int) -> None:
        """Its power is gone."""
        self._turn += 1
        for push in self.pushes:
            push.go(1.0)
        if self._down is not None:
            return  # it had not come back yet
        now = self.world.env.now
        event = self.world.log.add(now, self.lost, self.level, self.name, cause=cause, opens=True, value=0.0)
        self._down = self.world.disturb_cooling(event, self.racks, lasting=True)

    def start(self) -> None:
        """Its power is back: it waits, it ramps, it is there; unless the power goes again."""
        self._turn += 1
        self.world.env.process(self._start(self._turn))

    def _start(self, turn: int) -> Generator[simpy.Event, Any, None]:
        if self.wait > 0.0:
            yield self.world.env.timeout(self.wait)
        if turn != self._turn:
            return
        for push in self.pushes:
            push.go(0.0, self.ramp)
        if self.ramp is not None:
            yield self.world.env.timeout(self.ramp)
            if turn != self._turn:
                return
        assert self._down is not None
        self._down.ended = self.world.env.now
        cause, self._down = self._down.event, None
        self.world.log.add(self.world.env.now, self.back, self.level, self.name, cause=cause, value=1.0)


class Mechanical:
    """Every part of a hall's mechanical plant, made when it is first looked at."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._parts: list[Part] = []

    def look(self, cause: int) -> None:
        """Stop and start what the present supplies decide; ``cause`` is the event that changed them."""
        world = self.world
        world.env.read()
        self._parts = self._parts or self._made()
        on, kind = world.plant.d.node_on, world.topology.node_kind
        mains, ups = bool(on[kind == UTILITY].any()), bool(on[kind == UPS].any())
        for part in self._parts:
            powered = mains or (part.on_ups and ups)
            if powered == part.powered:
                continue
            part.powered = powered
            if powered:
                part.start()
            else:
                part.stop(cause)

    def look_again(self, cause: int) -> None:
        """As :meth:`look`, once a utility has been lost in this run."""
        if self._parts:
            self.look(cause)

    def _made(self) -> list[Part]:
        world, topology = self.world, self.world.topology
        hall = topology.hall
        racks = np.ones(len(topology.rack_names), dtype=bool)
        loops, zones = range(len(topology.loop_names)), range(len(topology.zone_names))

        def off(name: str, *where: int) -> Push:
            return Push(world.env, world.levers(name, *where), lambda at: 1.0 - at)

        parts = [
            Part(
                world, (EventKind.PUMP_LOST, EventKind.PUMP_RESTORED), "loop", topology.loop_names[loop],
                world.racks_of_loop(loop), [off("pump", loop, k) for k in range(hall.loops[loop].cdu.pumps)],
                on_ups=hall.emergency.cdu_pumps_on_ups,
            )
            for loop in loops
        ]  # fmt: skip
        parts += [
            Part(
                world, (EventKind.CRAH_LOST, EventKind.CRAH_RESTORED), "zone", topology.zone_names[zone],
                (topology.rack_zone == zone) & (topology.rack_loop < 0), [off("crah", zone)],
                on_ups=hall.emergency.crah_fans_on_ups,
            )
            for zone in zones
        ]  # fmt: skip
        water = [off("water", loop) for loop in loops] + [off("crah", zone) for zone in zones]
        parts.append(
            Part(
                world, (EventKind.WATER_LOST, EventKind.WATER_RESTORED), "hall", FACILITY_WATER, racks, water,
                on_ups=hall.emergency.water_pumps_on_ups,
            )
        )  # fmt: skip
        parts.append(
            Part(
                world, (EventKind.CHILLER_TRIPPED, EventKind.CHILLER_RESTARTED), "hall", CHILLERS, racks,
                [off("rejection")], on_ups=False, wait=hall.emergency.chiller_restart_seconds,
                ramp=hall.emergency.chiller_ramp_seconds,
            )
        )  # fmt: skip
        return parts
