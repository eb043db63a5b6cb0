"""What the actions of a story do, keyed by the names of :data:`twin.sim.actions.ACTIONS`: effect and repair."""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.hall.parts import PumpMode
from twin.results.kinds import EventKind
from twin.sim.actions import Action
from twin.sim.protection import Protection
from twin.sim.runner import JobRun
from twin.sim.scheduler import Scheduler
from twin.sim.sensor_faults import EFFECTS
from twin.sim.world import World
from twin.sim.written import clock_of
from twin.workload.jobs import Job, JobKind, Phase

Undo = Callable[[], None]
HELD = 1_000_000  # gangs of held loads are numbered from here: those of one action swing together
Steps = Generator[simpy.Event, Any, None]


class Story:
    """Carries out a timeline. Every effect returns what undoes it."""

    def __init__(self, world: World, protection: Protection, scheduler: Scheduler, gpus_per_tray: int) -> None:
        self.world = world
        self.protection = protection
        self.scheduler = scheduler
        self.gpus_per_tray = gpus_per_tray
        self.undo: dict[tuple[str | None, str | None], list[Undo]] = {}
        self.effects: dict[str, Callable[[Action, int], Undo | None]] = {
            "pump_loss": self.pump_loss,
            "feed_loss": self.feed_loss,
            "breaker_open": self.breaker_open,
            "breaker_close": self.breaker_close,
            "supply_setpoint": self.supply_setpoint,
            "valve": self.valve,
            "weather": self.weather,
            "submit_job": self.submit_job,
            "set_load": self.set_load,
            "repair": self.repair,
        }
        self.effects |= {name: partial(effect, world) for name, effect in EFFECTS.items()}

    def tell(self, action: Action) -> Steps:
        """Wait for an action's time, do it, and undo it at its repair."""
        world = self.world
        if action.at_seconds > world.env.now:
            yield world.env.timeout(action.at_seconds - world.env.now)
        event = world.log.add(
            world.env.now,
            EventKind.SCENARIO_ACTION,
            self._level(action),
            action.target or "hall",
            root=f"{action.do} {action.target or ''}".strip() + f" {clock_of(world.env.now)}",
            detail=action.do,
        )
        undo = self.effects[action.do](action, event)
        if undo is None:
            return
        self.undo.setdefault((action.target_kind, action.target), []).append(undo)
        if action.repair_seconds is not None:
            yield world.env.timeout(action.repair_seconds)
            if undo in self.undo.get((action.target_kind, action.target), []):
                self.undo[(action.target_kind, action.target)].remove(undo)
                undo()

    def _level(self, action: Action) -> str:
        if action.target_kind in ("node", "feed", "breaker") and action.target is not None:
            return self.world.level_of(self.world.topology.node_names.index(action.target))
        return action.target_kind if action.target_kind in ("loop", "rack", "row") else "hall"

    # ------------------------------------------------------------------ cooling

    def pump_loss(self, action: Action, event: int) -> Undo:
        """Pumps lose their drive; a standby spare starts after its failover time."""
        world, plant = self.world, self.world.plant
        loop = world.topology.loop_names.index(str(action.target))
        cdu = world.topology.hall.loops[loop].cdu
        asked = action.values["pump"]
        pumps = range(cdu.pumps) if asked is None else asked
        lost = [int(k) for k in pumps if plant.u.pump_on[loop, k]]
        name = world.topology.loop_names[loop]
        for pump in lost:
            plant.set_pump(loop, pump, False)
        running = float(plant.u.pump_on[loop].sum())
        number = world.log.add(
            world.env.now, EventKind.PUMP_LOST, "loop", name, cause=event, opens=True, value=running,
            detail=f"pump {', '.join(str(k + 1) for k in lost)}",
        )  # fmt: skip
        world.disturb_cooling(number, world.racks_of_loop(loop))
        spare = [k for k in range(cdu.pumps) if k not in lost and not plant.u.pump_on[loop, k]]
        if cdu.mode is PumpMode.STANDBY and spare and asked is not None:
            world.env.process(self._start_spare(loop, spare[0], cdu.failover_seconds, number))

        def undo() -> None:
            for pump in lost:
                plant.set_pump(loop, pump, True)
            world.log.add(
                world.env.now, EventKind.PUMP_RESTORED, "loop", name, cause=number,
                value=float(plant.u.pump_on[loop].sum()),
            )  # fmt: skip

        return undo

    def _start_spare(self, loop: int, pump: int, seconds: float, cause: int) -> Steps:
        world = self.world
        yield world.env.timeout(seconds)
        world.plant.set_pump(loop, pump, True)
        world.log.add(
            world.env.now, EventKind.PUMP_STARTED, "loop", world.topology.loop_names[loop], cause=cause,
            value=float(world.plant.u.pump_on[loop].sum()),
        )  # fmt: skip

    def supply_setpoint(self, action: Action, event: int) -> Undo:
        """Move a loop's supply set point."""
        world = self.world
        loop = world.topology.loop_names.index(str(action.target))
        before = float(world.plant.u.loop["supply_set"][loop])
        world.plant.set_supply(loop, float(action.values["celsius"]))
        world.disturb_cooling(event, world.racks_of_loop(loop))
        return lambda: world.plant.set_supply(loop, before)

    def valve(self, action: Action, event: int) -> Undo:
        """Move a rack's coolant valve."""
        world = self.world
        rack = world.topology.rack_names.index(str(action.target))
        before = float(world.plant.u.rack["valve"][rack])
        world.plant.set_valve(rack, float(action.values["position"]))
        loop = int(world.topology.rack_loop[rack])
        world.disturb_cooling(event, world.racks_of_loop(loop) & (world.topology.rack_loop >= 0))
        return lambda: world.plant.set_valve(rack, before)

    def weather(self, action: Action, event: int) -> Undo:
        """The air outside changes."""
        plant = self.world.plant
        before = tuple(float(v) for v in plant.u.facility[2:])
        plant.set_weather(float(action.values["dry_bulb_celsius"]), float(action.values["wet_bulb_celsius"]))
        return lambda: plant.set_weather(*before)

    # ------------------------------------------------------------------ power

    def feed_loss(self, action: Action, event: int) -> Undo:
        """A power node goes dead with all below it."""
        world = self.world
        node = world.topology.node_names.index(str(action.target))
        racks = world.racks_below(node)
        self.protection._remember_power(racks)
        number = world.log.add(
            world.env.now, EventKind.FEED_LOST, world.level_of(node), world.topology.node_names[node], cause=event,
            opens=True,
        )  # fmt: skip
        world.plant.set_source(node, False)
        world.disturb_power(number, racks)

        def undo() -> None:
            world.plant.set_source(node, True)
            world.log.add(
                world.env.now, EventKind.FEED_RESTORED, world.level_of(node), world.topology.node_names[node],
                cause=number,
            )  # fmt: skip
            self.protection.revive()

        return undo

    def breaker_open(self, action: Action, event: int) -> Undo:
        """Open a breaker by hand."""
        world = self.world
        node = world.topology.node_names.index(str(action.target))
        breaker = int(world.topology.node_breaker[node])
        racks = world.racks_below(node)
        self.protection._remember_power(racks)
        world.plant.set_breaker(breaker, False)
        world.disturb_power(event, racks)
        return lambda: self.protection.close(breaker, event)

    def breaker_close(self, action: Action, event: int) -> None:
        """Close a breaker by hand."""
        node = self.world.topology.node_names.index(str(action.target))
        self.protection.close(int(self.world.topology.node_breaker[node]), event)

    # ------------------------------------------------------------------ load

    def submit_job(self, action: Action, event: int) -> None:
        """A job arrives."""
        world, values = self.world, action.values
        number = len(world.runs)
        seconds = float(values["seconds"])
        job = Job(
            id=values["id"] or f"story-{number}",
            kind=JobKind(values["kind"]),
            submit_seconds=max(world.env.now, 1e-9),
            trays=int(values["trays"]),
            work_seconds=seconds,
            estimate_seconds=seconds,
            startup=(),
            steady=Phase("steady", seconds, float(values["utilisation"]), float(values["swing"])),
            priority=int(values["priority"]),
            source="scenario",
        )
        self.scheduler.submit(JobRun(world, job, number, self.gpus_per_tray, values["rack"]))

    def set_load(self, action: Action, event: int) -> Undo:
        """Hold trays at one utilisation, whatever runs on them."""
        world = self.world
        trays = self._trays(action)
        before, held = world.plant.u.tray[trays].copy(), world.held[trays].copy()
        c = world.plant.c
        swing = float(action.values["swing"]) * (c.idle[trays] + c.span[trays])
        world.plant.set_load(trays, float(action.values["utilisation"]), sigma_watts=swing, gang=HELD + event)
        world.plant.u.tray["busy"][trays] = before["busy"]
        world.held[trays] = True

        def undo() -> None:
            for name in ("load", "sigma", "gang"):  # of an earlier hold
                world.plant.u.tray[name][trays[held]] = before[name][held]
            world.plant._touch_trays(trays)
            free = trays[~held]
            world.held[free] = False
            holders = {run.number: run for tray in free if (run := world.holder[tray]) is not None}
            world.plant.clear_load(free[[world.holder[tray] is None for tray in free]])
            for run in holders.values():
                run.power_again()

        return undo

    def _trays(self, action: Action) -> NDArray[np.int64]:
        topology = self.world.topology
        rack_of = topology.tray_rack
        match action.target_kind:
            case "rack":
                chosen = rack_of == topology.rack_names.index(str(action.target))
            case "row":
                chosen = topology.rack_row[rack_of] == topology.row_names.index(str(action.target))
            case "loop":
                chosen = topology.rack_loop[rack_of] == topology.loop_names.index(str(action.target))
            case _:
                chosen = np.ones(len(rack_of), dtype=bool)
        return np.flatnonzero(chosen)

    def repair(self, action: Action, event: int) -> None:
        """Undo what earlier actions did to a target, the latest first."""
        for undo in reversed(self.undo.pop((action.target_kind, action.target), [])):
            undo()
