"""How the truth of every signal is read from the plant, and which things have it."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant.plant import Plant
from twin.units import litres_per_minute

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PHASE_KINDS = ("ups", "pdu", "row", "panel")  # nodes with a meter on each phase


class Truth:
    """The plant's present outputs by signal, in the units of a snapshot. Settle before reading."""

    def __init__(self, topology: Topology, plant: Plant) -> None:
        self.topology = topology
        self.plant = plant
        self.nodes = phase_nodes(topology)
        self.liquid = topology.rack_loop >= 0
        self.all_liquid = bool(self.liquid.all())

    @cached_property
    def _air(self) -> tuple[Ints, Floats]:
        """Neighbours of every rack (itself for none), and shares of room and neighbours in its inlet air, (3, R)."""
        racks, neighbour = np.arange(len(self.liquid)), self.plant.c.neighbour.T
        share = np.where(neighbour >= 0, self.plant.c.rack["recirculation"], 0.0)
        return np.where(neighbour >= 0, neighbour, racks), np.vstack([1.0 - share.sum(axis=0), share])

    def rack_power(self) -> Floats:
        return self.plant.rack_power

    def row_power(self) -> Floats:
        """Rows count whole watts of their racks."""
        rows = len(self.topology.row_names)
        return np.asarray(np.bincount(self.topology.rack_row, np.round(self.plant.rack_power), rows), dtype=np.float64)

    def inlet_air(self) -> Floats:
        """``(1 − Σφ) T_room + Σ φ T_neighbour``, as the plant has it."""
        x, cur = self.plant.x, self.plant.cur
        air, (left, right), (room, from_left, from_right) = x.ta[cur], *self._air
        return np.asarray(room * x.zone[cur][self.topology.rack_zone] + from_left * air[left] + from_right * air[right])

    def rack_supply(self) -> Floats:
        if not self.liquid.any():
            return self.inlet_air()
        supply = self.plant.x.loop[self.plant.cur, self.topology.rack_loop, 0]
        return supply if self.all_liquid else np.where(self.liquid, supply, self.inlet_air())

    def rack_return(self) -> Floats:
        x, cur = self.plant.x, self.plant.cur
        return x.tc[cur] if self.all_liquid else np.where(self.liquid, x.tc[cur], x.ta[cur])

    def device(self) -> Floats:
        return self.plant.device_temperature

    def rack_flow(self) -> Floats:
        flow = litres_per_minute(1.0) * self.plant.x.flow[self.plant.cur]
        return flow if self.all_liquid else np.where(self.liquid, flow, np.nan)

    def rack_valve(self) -> Floats:
        valve = self.plant.u.rack["valve"]
        return valve if self.all_liquid else np.where(self.liquid, valve, np.nan)

    def phase_current(self) -> Floats:
        """Magnitudes of the line currents, node by node."""
        lines = self.plant._start_i[self.nodes]
        return np.hypot(lines[:, 0::2], lines[:, 1::2]).ravel()

    def breaker_current(self) -> Floats:
        return np.asarray(self.plant.breaker_ratio * self.plant.c.breaker["rating"])

    def breaker_closed(self) -> Floats:
        return self.plant.u.closed.astype(np.float64)

    def loop_supply(self) -> Floats:
        return self.plant.x.loop[self.plant.cur, :, 0]

    def loop_return(self) -> Floats:
        return self.plant.x.loop[self.plant.cur, :, 1]

    def loop_flow(self) -> Floats:
        loop, loops = self.topology.rack_loop[self.liquid], len(self.topology.loop_names)
        flow = self.plant.x.flow[self.plant.cur][self.liquid]
        return np.asarray(litres_per_minute(1.0) * np.bincount(loop, flow, minlength=loops))

    def pump_speed(self) -> Floats:
        return np.asarray(self.plant.x.speed[self.plant.cur].max(axis=1))

    def loop_valve(self) -> Floats:
        return self.plant.x.loop[self.plant.cur, :, 2]


READ: dict[str, Callable[[Truth], Floats]] = {
    "rack_power": Truth.rack_power,
    "rack_supply_temperature": Truth.rack_supply,
    "rack_return_temperature": Truth.rack_return,
    "rack_device_temperature": Truth.device,
    "rack_flow": Truth.rack_flow,
    "rack_inlet_air_temperature": Truth.inlet_air,
    "rack_valve": Truth.rack_valve,
    "row_power": Truth.row_power,
    "phase_current": Truth.phase_current,
    "breaker_current": Truth.breaker_current,
    "breaker_closed": Truth.breaker_closed,
    "loop_supply_temperature": Truth.loop_supply,
    "loop_return_temperature": Truth.loop_return,
    "loop_flow": Truth.loop_flow,
    "loop_pump_speed": Truth.pump_speed,
    "loop_valve": Truth.loop_valve,
}


def phase_nodes(topology: Topology) -> Ints:
    """Power nodes with a meter on each phase."""
    metered = [NODE_KINDS[kind] in PHASE_KINDS for kind in topology.node_kind]
    return np.flatnonzero(metered)


def phase_names(topology: Topology) -> tuple[str, ...]:
    """Names of the phases that are metered, such as ``row A/feed A/L1``."""
    return tuple(f"{topology.node_names[n]}/L{k + 1}" for n in phase_nodes(topology) for k in range(3))


def names_of(topology: Topology, kind: str) -> tuple[str, ...]:
    """Names of the things of a kind, in the order of their readings."""
    return {
        "rack": topology.rack_names,
        "row": topology.row_names,
        "phase": phase_names(topology),
        "breaker": topology.breaker_names,
        "loop": topology.loop_names,
    }[kind]


def places_of(topology: Topology, kind: str) -> tuple[Ints, Ints, Ints]:
    """Rack, row and loop whose telemetry the things of a kind belong to, −1 for none."""
    count = len(names_of(topology, kind))
    none = np.full(count, -1, dtype=np.int64)
    if kind == "rack":
        return np.arange(count), topology.rack_row, none
    if kind == "row":
        return none, np.arange(count), none
    if kind == "loop":
        return none, none, np.arange(count)
    rack_of = np.full(len(topology.node_names), -1, dtype=np.int64)
    for feed in range(2):
        fed = np.flatnonzero(topology.rack_feed[:, feed] >= 0)
        rack_of[topology.rack_feed[fed, feed]] = fed
    row_of = np.where(rack_of >= 0, topology.rack_row[rack_of], topology.node_row)
    if kind == "phase":
        nodes = np.repeat(phase_nodes(topology), 3)
        return none, row_of[nodes], none
    return rack_of[topology.breaker_node], row_of[topology.breaker_node], none
