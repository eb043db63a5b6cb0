"""Carrying out a timeline: every action by its effect, every fault undone at its repair.

The effects are in seven tables, by where they take hold; their keys are the names of :data:`twin.sim.actions.ACTIONS`.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from twin.results.kinds import EventKind
from twin.results.wording import duration as spoken
from twin.sim import cooling_faults, facility_faults, people, power_faults, rack_faults, rollout, sensor_faults
from twin.sim.actions import ACTIONS, SETS, Action
from twin.sim.effects import Effect, Hands, Undo
from twin.sim.mechanical import Mechanical
from twin.sim.protection import Protection
from twin.sim.scheduler import Scheduler
from twin.sim.world import World
from twin.sim.written import clock_of, duration

if TYPE_CHECKING:
    from twin.sim.response import Response

Steps = Generator[simpy.Event, Any, None]

EFFECTS: dict[str, Effect] = {
    **cooling_faults.EFFECTS,
    **facility_faults.EFFECTS,
    **people.EFFECTS,
    **power_faults.EFFECTS,
    **rack_faults.EFFECTS,
    **rollout.EFFECTS,
    **sensor_faults.EFFECTS,
}


def _drawn(action: Action) -> str:
    """What was drawn, in a clause."""
    times = {field.name for field in ACTIONS[action.do].fields if field.read is duration}
    said = []
    for name, value in action.values.items():
        if name in times and value is not None:
            said.append(f"{name} {spoken(value)}")
        elif isinstance(value, float):
            said.append(f"{name} {value:.3g}")
        elif isinstance(value, str | int):
            said.append(f"{name} {value}")
    if action.repair_seconds is not None:
        said.append(f"repair after {spoken(action.repair_seconds)}")
    return ", ".join([f"drawn: {action.do}", *said])


def _undone_with(action: Action) -> tuple[str | None, str | None, bool]:
    """Where what undoes an action is kept."""
    return action.target_kind, action.target, action.do in SETS


class Story:
    """Carries out a timeline. Every effect returns what undoes it."""

    def __init__(
        self,
        world: World,
        protection: Protection,
        scheduler: Scheduler,
        gpus_per_tray: int,
        response: "Response | None" = None,
    ) -> None:
        self.world = world
        mechanical = Mechanical(world)
        protection.after_spent = mechanical.look_again
        self.hands = Hands(world, protection, scheduler, mechanical, gpus_per_tray, response)
        #: by the kind and name of the target, and whether it is a flag
        self.undo: dict[tuple[str | None, str | None, bool], list[Undo]] = {}

    def tell(self, action: Action) -> Steps:
        """Wait for an action's time, do it, and undo it at its repair."""
        env = self.world.env
        if action.at_seconds > env.now:
            yield env.timeout(action.at_seconds - env.now)
        kind = EventKind.FAULT_DRAWN if action.drawn else EventKind.SCENARIO_ACTION
        words = f"surprise: {action.do}" if action.surprise else action.do
        _, undo = self.act(action, _drawn(action) if action.drawn else words, kind)
        if undo is not None and action.repair_seconds is not None:
            yield env.timeout(action.repair_seconds)
            left = self.undo.get(_undone_with(action), [])
            if undo in left:
                left.remove(undo)
                undo()

    def act(self, action: Action, detail: str, kind: EventKind) -> tuple[int, Undo | None]:
        """Do an action now; returns its event and what undoes it."""
        world = self.world
        place = f"row {action.target}" if action.target_kind == "row" else action.target or ""
        event = world.log.add(
            world.env.now,
            kind,
            self._level(action),
            action.target or "hall",
            root=f"{action.do} {place}".strip() + f" {clock_of(world.env.now)}",
            detail=detail,
        )
        if action.do == "repair":
            self.repair(action)
            return event, None
        undo = EFFECTS[action.do](self.hands, action, event)
        # what people do is taken back by a step of its own, and not by the repair of what they did it for
        if undo is not None and kind != EventKind.OPERATOR_STEP:
            self.undo.setdefault(_undone_with(action), []).append(undo)
        return event, undo

    def _level(self, action: Action) -> str:
        if action.target_kind in ("node", "feed", "breaker") and action.target is not None:
            return self.world.level_of(self.world.topology.node_names.index(action.target))
        return action.target_kind if action.target_kind in ("loop", "rack", "row", "zone", "service") else "hall"

    def repair(self, action: Action) -> None:
        """Undo what earlier actions did to a target, the latest first; flags stay as people set them."""
        for undo in reversed(self.undo.pop(_undone_with(action), [])):
            undo()
