"""The signals that a hall's sensors measure, as data: where they live, their unit, and how the truth is read.

A new signal is one entry here, one in each file of ``conf/sensors`` that treats it apart, and its field in
:class:`twin.policy.snapshot.FacilitySnapshot`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant.plant import Plant
from twin.units import litres_per_minute

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PHASE_KINDS = ("ups", "pdu", "row", "panel")  # nodes with a meter on each phase
KINDS = ("rack", "row", "phase", "breaker", "loop")


class Truth:
    """The plant's present outputs by signal, in the units of a snapshot. Settle before reading."""

    def __init__(self, topology: Topology, plant: Plant) -> None:
        self.topology = topology
        self.plant = plant
        self.nodes = phase_nodes(topology)
        self.liquid = topology.rack_loop >= 0
        self.nowhere = np.full(len(topology.rack_names), np.nan)

    @cached_property
    def _air(self) -> tuple[Ints, Floats, Floats]:
        """Neighbours (0 for none), their share of a rack's inlet air, shape (R, 2), and what is left for the room's."""
        neighbour = self.plant.c.neighbour
        share = np.where(neighbour >= 0, self.plant.c.rack["recirculation"][:, None], 0.0)
        return np.maximum(neighbour, 0), share, 1.0 - share.sum(axis=1)

    def rack_power(self) -> Floats:
        return self.plant.rack_power

    def row_power(self) -> Floats:
        """Rows count whole watts of their racks."""
        rows = len(self.topology.row_names)
        return np.asarray(np.bincount(self.topology.rack_row, np.round(self.plant.rack_power), rows), dtype=np.float64)

    def inlet_air(self) -> Floats:
        """``(1 − Σφ) T_room + Σ φ T_neighbour``, as the plant has it."""
        x, cur = self.plant.x, self.plant.cur
        beside, share, rest = self._air
        return np.asarray(rest * x.zone[cur][self.topology.rack_zone] + (share * x.ta[cur][beside]).sum(axis=1))

    def rack_supply(self) -> Floats:
        if not self.liquid.any():
            return self.inlet_air()
        supply = self.plant.x.loop[self.plant.cur, self.topology.rack_loop, 0]
        return supply if self.liquid.all() else np.where(self.liquid, supply, self.inlet_air())

    def rack_return(self) -> Floats:
        x, cur = self.plant.x, self.plant.cur
        return np.where(self.liquid, x.tc[cur], x.ta[cur])

    def device(self) -> Floats:
        return self.plant.device_temperature

    def rack_flow(self) -> Floats:
        return np.where(self.liquid, litres_per_minute(1.0) * self.plant.x.flow[self.plant.cur], np.nan)

    def rack_valve(self) -> Floats:
        return np.where(self.liquid, self.plant.u.rack["valve"], np.nan)

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
        return np.asarray(self.plant.x.speed[self.plant.cur].max(axis=1, initial=0.0))

    def loop_valve(self) -> Floats:
        return self.plant.x.loop[self.plant.cur, :, 2]


@dataclass(frozen=True)
class Signal:
    """One signal of every thing of a kind. ``name`` and ``unit`` make the field of a snapshot."""

    name: str
    kind: str  # one of KINDS
    unit: str  # watts, celsius, …; empty for a switch
    read: Callable[[Truth], Floats]
    decimals: int | None = None  # to which a snapshot rounds

    @property
    def field(self) -> str:
        return f"{self.name}_{self.unit}" if self.unit else self.name

    @property
    def short(self) -> str:
        """Its name among the signals of its kind: ``power`` of a rack."""
        return self.name.removeprefix(f"{self.kind}_")


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("rack_power", "rack", "watts", Truth.rack_power, 0),
        Signal("rack_supply_temperature", "rack", "celsius", Truth.rack_supply),
        Signal("rack_return_temperature", "rack", "celsius", Truth.rack_return),
        Signal("rack_device_temperature", "rack", "celsius", Truth.device),
        Signal("rack_flow", "rack", "litres_per_minute", Truth.rack_flow),
        Signal("rack_inlet_air_temperature", "rack", "celsius", Truth.inlet_air),
        Signal("rack_valve", "rack", "ratio", Truth.rack_valve),
        Signal("row_power", "row", "watts", Truth.row_power, 0),
        Signal("phase_current", "phase", "amperes", Truth.phase_current, 3),
        Signal("breaker_current", "breaker", "amperes", Truth.breaker_current, 3),
        Signal("breaker_closed", "breaker", "", Truth.breaker_closed),
        Signal("loop_supply_temperature", "loop", "celsius", Truth.loop_supply),
        Signal("loop_return_temperature", "loop", "celsius", Truth.loop_return),
        Signal("loop_flow", "loop", "litres_per_minute", Truth.loop_flow),
        Signal("loop_pump_speed", "loop", "ratio", Truth.pump_speed),
        Signal("loop_valve", "loop", "ratio", Truth.loop_valve),
    )
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
