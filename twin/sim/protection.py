"""What hardware does when a guard is crossed, and how it comes back: breakers, devices, racks without power."""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from twin.hall.parts import BreakerKind
from twin.hall.topology import BREAKER_KINDS, NODE_KINDS
from twin.plant.guards import Crossing, Guard
from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED
from twin.results.kinds import EventKind
from twin.sim.world import World

TRIP_CAUSES = {
    Guard.BREAKER_INSTANTANEOUS: "instantaneous",
    Guard.BREAKER_SHORT_TIME: "short time",
    Guard.BREAKER_THERMAL: "long time",
}
UP = {SLOWED: EventKind.SLOWDOWN_ON, BRAKED: EventKind.HARDWARE_SLOWDOWN_ON, OFF: EventKind.DEVICE_SHUTDOWN}
DOWN = {NORMAL: EventKind.SLOWDOWN_OFF, SLOWED: EventKind.HARDWARE_SLOWDOWN_OFF}
UPS = NODE_KINDS.index("ups")
TABLE = BREAKER_KINDS.index(BreakerKind.TABLE)
COOL_ENOUGH = 15.0  # K below the slowdown level at which a device that shut down may start again
Steps = Generator[simpy.Event, Any, None]


class Protection:
    """Carries out crossings and brings things back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dark_since: dict[int, tuple[float, float, int]] = {}  # rack → (time, W before, event)
        self.power_before: dict[int, float] = {}
        self._last_dark: dict[int, int] = {}  # rack → event of its latest loss of power
        self._coming: set[int] = set()  # racks that wait for their turn to start
        self._slow_event: dict[int, int] = {}  # tray → event of its first slowdown
        self._open: dict[int, int] = {}  # breaker → event of its latest trip
        self._on_battery: dict[int, int] = {}  # UPS → event since which it is
        self.after_spent: Callable[[int], None] = lambda event: None  # told of every battery that is spent

    def carry_out(self, crossing: Crossing) -> None:
        """Act on a guard."""
        match crossing.guard:
            case Guard.BREAKER_INSTANTANEOUS | Guard.BREAKER_SHORT_TIME | Guard.BREAKER_THERMAL:
                self.trip(crossing.index, TRIP_CAUSES[crossing.guard])
            case Guard.RACK_DARK:
                self.darken(crossing.index)
            case Guard.BATTERY_SPENT:
                self.spend(crossing.index)
            case Guard.DEVICE:
                self.device(crossing.index)

    # ------------------------------------------------------------------ breakers

    def trip(self, breaker: int, part: str, cause: int | None = None) -> int:
        """Open a breaker that tripped; an operator closes it again later. Returns the event.

        part: the element that tripped, or why else it did; cause: the event that made it, if it is known.
        """
        world, plant = self.world, self.world.plant
        node = int(world.topology.breaker_node[breaker])
        name = world.topology.breaker_names[breaker]
        racks = world.racks_below(node)
        carried = float(plant.w.node_p[node])
        ratio = float(plant.breaker_ratio[breaker])
        if cause is None:
            cause = world.cause(world.power_causes, racks)
            if cause < 0:
                cause = self._restarted(breaker, racks, ratio)
            part = f"{part} element"
        event = world.log.add(
            world.env.now,
            EventKind.BREAKER_TRIP,
            world.level_of(node),
            name,
            cause=cause,
            root="" if cause >= 0 else f"load beyond the rating of {name}",
            opens=True,
            value=carried,
            detail=f"{part} at {ratio:.2f} of its rating",
        )
        self.remember_power(racks)
        plant.set_breaker(breaker, False)
        world.disturb_power(event, racks)
        self._open[breaker] = event
        world.env.process(self._reclose(breaker, event))
        return event

    def _restarted(self, breaker: int, racks: Any, ratio: float) -> int:
        """The event that made jobs in ``racks`` start again, if the breaker trips through that alone, or −1.

        It does where it would carry for ever what is left of ``ratio`` of its rating [1] did those jobs draw what they
        draw at their work: a thermal element settles at its square, and a curve begins at 1
        (:class:`twin.hall.parts.Breaker`). Of several events it is the one that adds most, of equal ones the first.
        """
        world = self.world
        idle, span = world.tray_nameplate
        more: dict[int, Any] = {}
        for _, run in sorted(world.running.items()):
            if run.surge > 0.0:
                more.setdefault(run.renewed, idle.copy())[run.trays] += run.surge * span[run.trays]
        resting = world.inlet_watts(idle)
        added = {event: float((world.inlet_watts(watts) - resting)[racks].sum()) for event, watts in more.items()}
        # both at full clock and without leakage, which raise and lower either alike
        drawn = float(world.inlet_watts(idle + world.plant.u.tray["load"] * span)[racks].sum())
        left = ratio * (1.0 - sum(added.values()) / drawn)
        curve = world.topology.breaker_kind[breaker] == TABLE
        if left**2 >= (1.0 if curve else float(world.plant.c.breaker["level"][breaker])):
            return -1
        return min(added, key=lambda event: (-added[event], event), default=-1)

    def remember_power(self, racks: Any) -> None:
        """Keep what racks draw now, in case they go dark."""
        for rack in np.flatnonzero(racks):
            if not self.world.plant.dark[rack]:
                self.power_before[int(rack)] = float(self.world.plant.rack_power[rack])

    def _reclose(self, breaker: int, event: int) -> Steps:
        yield self.world.env.timeout(self.world.settings.reclose_seconds)
        self.reclose(breaker, event)

    def reclose(self, breaker: int, trip: int) -> None:
        """Close a breaker after the event ``trip``, unless it was closed and has tripped again since."""
        if self._open.get(breaker) == trip:
            self.close(breaker, trip)

    def close(self, breaker: int, cause: int) -> None:
        """Close a breaker by hand and bring back, one after another, the racks that have power again."""
        world = self.world
        if world.plant.u.closed[breaker]:
            return
        node = int(world.topology.breaker_node[breaker])
        self._open.pop(breaker, None)
        world.plant.set_breaker(breaker, True)
        world.log.add(
            world.env.now,
            EventKind.BREAKER_RECLOSED,
            world.level_of(node),
            world.topology.breaker_names[breaker],
            cause=cause,
        )
        self.revive()

    # ------------------------------------------------------------------ racks

    def darken(self, rack: int) -> None:
        """A rack lost both feeds and its ride-through is spent."""
        world = self.world
        name = world.topology.rack_names[rack]
        only = np.arange(len(world.topology.rack_names)) == rack
        cause = world.cause(world.power_causes, only)
        before = self.power_before.get(rack, 0.0)
        event = world.log.add(world.env.now, EventKind.RACK_DARK, "rack", name, cause=cause, opens=True, value=before)
        world.plant.darken(rack)
        world.in_service[rack] = False
        self.dark_since[rack] = (world.env.now, before, event)
        self._last_dark[rack] = event
        for tray in world.trays_of(rack):
            self._slow_event.pop(int(tray), None)  # what slowed it before is not what will slow it after
        self.lose_jobs(world.trays_of(rack), event)

    def lose_jobs(self, trays: Any, event: int) -> None:
        """Interrupt every job that holds one of ``trays``."""
        seen: list[Any] = []
        for tray in trays:
            run = self.world.holder[tray]
            if run is not None and run not in seen:
                seen.append(run)
        for run in seen:
            run.interrupt(event)

    def revive(self) -> None:
        """Start again the racks that have power, in floor order, each a little after the one before."""
        world = self.world
        world.env.read()
        lit = [r for r in sorted(self.dark_since) if world.plant.d.powered[r] > 0.0 and r not in self._coming]
        self._coming.update(lit)
        for place, rack in enumerate(lit):
            world.env.process(self._restart(rack, place * world.settings.restart_stagger_seconds))

    def _restart(self, rack: int, delay: float) -> Steps:
        world = self.world
        yield world.env.timeout(delay)
        self._coming.discard(rack)
        if world.plant.d.powered[rack] == 0.0:
            return
        since, before, event = self.dark_since.pop(rack)
        self.count_loss(since, before, event)
        world.plant.light(rack)
        if rack in world.kept_off:
            return  # it has power again, and stays off until it may start
        world.plant.set_on(world.trays_of(rack), True)
        yield world.env.timeout(world.settings.boot_seconds)
        if self._last_dark[rack] != event:
            return  # lost its power again while it booted; that loss has its own restart
        world.in_service[rack] = True
        world.log.add(world.env.now, EventKind.RACK_RESTORED, "rack", world.topology.rack_names[rack], cause=event)
        world.wake()

    def count_loss(self, since: float, before: float, event: int) -> None:
        """Add power that was not drawn to its root cause [J]."""
        root = self.world.log.root(event) or "unknown"
        lost = self.world.lost_power
        lost[root] = lost.get(root, 0.0) + before * (self.world.env.now - since)

    def finish(self) -> None:
        """Count the racks that are dark at the end of the run."""
        for since, before, event in self.dark_since.values():
            self.count_loss(since, before, event)

    def spend(self, node: int) -> None:
        """A UPS battery is empty."""
        world = self.world
        racks = world.racks_below(node)
        cause = world.cause(world.power_causes, racks)
        event = world.log.add(
            world.env.now, EventKind.BATTERY_SPENT, "ups", world.topology.node_names[node], cause=cause, opens=True
        )
        self.remember_power(racks)
        world.disturb_power(event, racks)
        self.after_spent(event)

    def watch_batteries(self, cause: int) -> None:
        """Log which UPS went on battery, or left it, since the last look; ``cause`` is the event that changed it."""
        world, plant = self.world, self.world.plant
        world.env.read()
        on, parent = plant.d.node_on, world.topology.node_parent
        for node in np.flatnonzero(world.topology.node_kind == UPS).tolist():
            known = node in self._on_battery  # a spent battery is left when the supply is back
            battery = parent[node] >= 0 and not on[parent[node]] and (known or bool(on[node]))
            if battery == known:
                continue
            kind = EventKind.BATTERY_ON if battery else EventKind.BATTERY_OFF
            since = cause if battery else self._on_battery.pop(node)
            event = world.log.add(
                world.env.now, kind, "ups", world.topology.node_names[node], cause=since, opens=battery,
                value=float(plant.x.battery[plant.cur, node]),
            )  # fmt: skip
            if battery:
                self._on_battery[node] = event

    # ------------------------------------------------------------------ devices

    def device(self, tray: int) -> None:
        """A device passed a level: slower, braked, off, or released."""
        world, plant = self.world, self.world.plant
        rack = int(plant.c.tray_rack[tray])
        name = world.topology.rack_names[rack]
        temperature = float(plant.x.td[plant.cur, tray])
        old, new = plant.step_device(tray)
        place = f"tray {tray - int(world.topology.rack_tray0[rack]) + 1}"
        if new > old:
            only = np.arange(len(world.topology.rack_names)) == rack
            cause = self._slow_event.get(tray, -1)
            if cause < 0:
                cause = world.cause(world.cooling_causes, only, tray)
            root = "" if cause >= 0 else "load beyond the cooling of " + self._cooling_of(rack)
            event = world.log.add(
                world.env.now, UP[new], "rack", name, cause=cause, root=root, opens=True, value=temperature,
                detail=place,
            )  # fmt: skip
            self._slow_event.setdefault(tray, event)
            if world.rollouts:
                world.slowed.append((rack, event))
            if new == OFF:
                self.lose_jobs(np.array([tray]), event)
                world.env.process(self._restart_device(tray, event))
            else:
                world.env.process(self._release(tray, new))
            return
        cause = self._slow_event.get(tray, -1)
        world.log.add(world.env.now, DOWN[new], "rack", name, cause=cause, value=temperature, detail=place)
        if new == NORMAL:
            self._slow_event.pop(tray, None)
            world.wake()
        else:
            world.env.process(self._release(tray, new))

    def _cooling_of(self, rack: int) -> str:
        topology = self.world.topology
        loop = int(topology.rack_loop[rack])
        return topology.loop_names[loop] if loop >= 0 else topology.zone_names[int(topology.rack_zone[rack])]

    def _release(self, tray: int, mode: int) -> Steps:
        world = self.world
        rack = int(world.plant.c.tray_rack[tray])
        yield world.env.timeout(float(world.topology.hall.racks[rack].rack_class.dwell_seconds))
        if world.plant.u.tray["mode"][tray] == mode:
            world.plant.arm_release(tray)

    def _restart_device(self, tray: int, event: int) -> Steps:
        world, plant = self.world, self.world.plant
        rack = int(plant.c.tray_rack[tray])
        cool = float(plant.c.rack["t_slow"][rack]) - COOL_ENOUGH
        while True:
            yield world.env.timeout(world.settings.device_restart_seconds)
            if plant.dark[rack] or not world.in_service[rack]:
                continue
            if plant.u.tray["mode"][tray] != OFF:
                return
            if float(plant.x.td[plant.cur, tray]) <= cool:
                break
        self._slow_event.pop(tray, None)
        plant.set_on(np.array([tray]), True)
        place = f"tray {tray - int(world.topology.rack_tray0[rack]) + 1}"
        world.log.add(
            world.env.now,
            EventKind.DEVICE_RESTARTED,
            "rack",
            world.topology.rack_names[rack],
            cause=event,
            detail=place,
        )
        world.wake()
