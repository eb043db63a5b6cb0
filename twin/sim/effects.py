"""What the effects of a story's actions work with, and how a fault that lasts is told: its beginning and its end."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.results.kinds import EventKind
from twin.sim.actions import Action
from twin.sim.levers import Lever, Push
from twin.sim.mechanical import Mechanical
from twin.sim.protection import Protection
from twin.sim.scheduler import Scheduler
from twin.sim.world import Disturbance, World

if TYPE_CHECKING:
    from twin.sim.response import Response  # with all of the ladder, which few runs have

Undo = Callable[[], None]
Steps = Generator[simpy.Event, Any, None]
Racks = NDArray[np.bool_]


@dataclass(frozen=True)
class Trouble:
    """A fault under way: its event, where it is, and the disturbance that it is remembered as."""

    event: int
    level: str
    name: str
    disturbance: Disturbance


@dataclass(frozen=True)
class Hands:
    """The parts of a run that an effect may lay hands on."""

    world: World
    protection: Protection
    scheduler: Scheduler
    mechanical: Mechanical
    gpus_per_tray: int
    response: "Response | None" = None  # with the flags that people may set
    utilities_out: set[int] = field(default_factory=set)  # nodes

    def trouble(
        self,
        action: int,
        kind: EventKind,
        level: str,
        name: str,
        racks: Racks,
        *,
        power: bool = False,
        value: float | None = None,
        detail: str = "",
        tray: int | None = None,
    ) -> Trouble:
        """Log a fault that the event ``action`` began, and remember it as what may come upon ``racks`` until it is
        :meth:`over`: to their power, or else to their cooling (of one ``tray`` only, if given)."""
        world = self.world
        number = world.log.add(
            world.env.now, kind, level, name, cause=action, opens=True, value=value, detail=detail
        )  # fmt: skip
        if power:
            return Trouble(number, level, name, world.disturb_power(number, racks, lasting=True))
        return Trouble(number, level, name, world.disturb_cooling(number, racks, lasting=True, tray=tray))

    def over(self, trouble: Trouble, kind: EventKind, *, value: float | None = None) -> None:
        """Log the end of a fault."""
        now = self.world.env.now
        trouble.disturbance.ended = now
        self.world.log.add(now, kind, trouble.level, trouble.name, cause=trouble.event, value=value)

    def push(self, lever: Lever, part: Callable[[float], Any], over: float | None = None) -> Push:
        """Push a lever, over ``over`` [s] or at once."""
        push = Push(self.world.env, lever, part)
        push.go(1.0, over)
        return push

    @property
    def everywhere(self) -> Racks:
        return np.ones(len(self.world.topology.rack_names), dtype=bool)


Effect = Callable[[Hands, Action, int], Undo | None]


def place(hands: Hands, action: Action) -> int:
    """Index of an action's target among its kind."""
    topology = hands.world.topology
    names = {
        "loop": topology.loop_names,
        "rack": topology.rack_names,
        "row": topology.row_names,
        "zone": topology.zone_names,
        "node": topology.node_names,
    }[str(action.target_kind)]
    return names.index(str(action.target))
