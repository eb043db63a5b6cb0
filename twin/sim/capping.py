"""Three-band power capping, as rack managers' firmware does it (Wu et al., Dynamo, ISCA 2016).

A leaf controller watches one row feed every 3 s, an upper one a PDU feed every 9 s. At 99 % of the limit it caps clocks
so that the node comes down to 95 %; below 90 % it lets them go. Off by default: it is a choice of the hall.
"""

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy
from numba import njit

from twin.hall.topology import NODE_KINDS
from twin.plant.arrays import Floats, Ints, Records
from twin.plant.server import capped_clock, tray_power
from twin.results.kinds import EventKind
from twin.sim.world import World

CAP_AT, TARGET, RELEASE_AT = 0.99, 0.95, 0.90
PERIODS = {"row": 3.0, "pdu": 9.0}  # s between two looks


@njit(cache=True)
def _clocks(trays: Ints, idle: Floats, span: Floats, tray: Records, share: float, out: Floats) -> None:
    """Clocks at which every tray draws at most ``share`` of its full-clock power above idle."""
    for j in range(trays.size):
        i = trays[j]
        full = tray_power(idle[i], span[i], tray[i].load, tray[i].linear, 1.0)
        out[j] = capped_clock(idle[i] + share * (full - idle[i]), idle[i], span[i], tray[i].load, tray[i].linear)


class Controller:
    """Caps the racks below one node of the power tree."""

    def __init__(self, world: World, node: int) -> None:
        self.world = world
        self.node = node
        self.breaker = int(world.topology.node_breaker[node])
        racks = world.racks_below(node)
        self.trays = np.flatnonzero(racks[world.topology.tray_rack])
        self.share = 1.0

    def run(self, period: float) -> Generator[simpy.Event, Any, None]:
        """Look every ``period`` [s], and act on what is found."""
        world = self.world
        while True:
            yield world.env.timeout(period)
            world.env.read()
            ratio = float(world.plant.breaker_ratio[self.breaker])
            if ratio >= CAP_AT:
                # node power is nearly linear in the share of dynamic power
                self._cap(max(0.0, self.share * (1.0 - (ratio - TARGET) / max(ratio - self._floor(ratio), 1e-6))))
            elif ratio < RELEASE_AT and self.share < 1.0:
                self._cap(1.0)

    def _floor(self, ratio: float) -> float:
        """Ratio that would be left with every tray idle."""
        plant = self.world.plant
        total = float(plant.w.node_p[self.node])
        tray = plant.u.tray[self.trays]
        dynamic = float((tray["load"] * plant.c.span[self.trays] * tray["on"]).sum()) * self.share
        fraction = min(0.95, dynamic / max(total, 1.0) * 0.5 if self._dual() else dynamic / max(total, 1.0))
        return ratio * (1.0 - fraction)

    def _dual(self) -> bool:
        share = self.world.plant.d.share
        return bool((share.min(axis=1) > 0.0).any())

    def _cap(self, share: float) -> None:
        world, plant = self.world, self.world.plant
        name = world.topology.node_names[self.node]
        kind = EventKind.CAP_OFF if share >= 1.0 else EventKind.CAP_ON
        if (share >= 1.0) != (self.share >= 1.0):
            world.log.add(world.env.now, kind, world.level_of(self.node), name, value=share)
        self.share = share
        clocks = np.ones(len(self.trays))
        if share < 1.0:
            _clocks(self.trays, plant.c.idle, plant.c.span, plant.u.tray, share, clocks)
        plant.set_cap(self.trays, np.minimum(clocks, world.settings.greatest_clock))


def hold(world: World) -> None:
    """Hold every tray's clock at the greatest that the policy allows, from now to the end."""
    topology, greatest = world.topology, world.settings.greatest_clock
    world.plant.set_cap(np.arange(len(topology.tray_rack)), greatest)
    world.log.add(world.env.now, EventKind.CAP_ON, "hall", topology.hall.name, value=greatest)


def install(world: World) -> None:
    """Start a controller on every row and PDU feed with a breaker."""
    for node, kind in enumerate(world.topology.node_kind):
        period = PERIODS.get(NODE_KINDS[kind])
        if period is not None and world.topology.node_breaker[node] >= 0:
            world.env.process(Controller(world, node).run(period))
