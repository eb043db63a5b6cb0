"""How the truth of every signal is read from the plant, all in one pass, and which things have it."""

from math import hypot, nan

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant.arrays import Constants, Inputs, State, Work
from twin.plant.compiled import Direct, inner, kernel
from twin.plant.plant import Plant
from twin.sim.measured import SIGNALS
from twin.units import litres_per_minute

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LITRES_PER_MINUTE = litres_per_minute(1.0)  # of 1 m³/s
PHASE_KINDS = ("ups", "pdu", "row", "panel")  # nodes with a meter on each phase


(
    RACK_POWER,
    RACK_SUPPLY,
    RACK_RETURN,
    DEVICE,
    RACK_FLOW,
    INLET_AIR,
    RACK_VALVE,
    ROW_POWER,
    PHASE_CURRENT,
    BREAKER_CURRENT,
    BREAKER_CLOSED,
    LOOP_SUPPLY,
    LOOP_RETURN,
    LOOP_FLOW,
    PUMP_SPEED,
    LOOP_VALVE,
) = range(16)

#: how a signal is read, by its name
READ: dict[str, int] = {
    "rack_power": RACK_POWER,
    "rack_supply_temperature": RACK_SUPPLY,
    "rack_return_temperature": RACK_RETURN,
    "rack_device_temperature": DEVICE,
    "rack_flow": RACK_FLOW,
    "rack_inlet_air_temperature": INLET_AIR,
    "rack_valve": RACK_VALVE,
    "row_power": ROW_POWER,
    "phase_current": PHASE_CURRENT,
    "breaker_current": BREAKER_CURRENT,
    "breaker_closed": BREAKER_CLOSED,
    "loop_supply_temperature": LOOP_SUPPLY,
    "loop_return_temperature": LOOP_RETURN,
    "loop_flow": LOOP_FLOW,
    "loop_pump_speed": PUMP_SPEED,
    "loop_valve": LOOP_VALVE,
}


class Truth:
    """The plant's present outputs by signal, in the units of a snapshot. Settle before reading."""

    def __init__(self, topology: Topology, plant: Plant) -> None:
        self.topology = topology
        self.plant = plant
        self.nodes = phase_nodes(topology)

    def read(self, codes: Ints, starts: Ints, out: Floats) -> None:
        """Put the signals of ``codes`` into ``out``, each from its place in ``starts`` on."""
        plant = self.plant
        _read(
            plant.c, plant.u, plant.x, plant.w, plant._start_i, int(plant.cur), self.topology.rack_row,
            len(self.topology.row_names), self.nodes, codes, starts, out,
        )  # fmt: skip

    def of(self, signal: str) -> Floats:
        """One signal of all things that have it."""
        out = np.empty(len(names_of(self.topology, SIGNALS[signal].kind)))
        self.read(np.array([READ[signal]]), np.zeros(1, dtype=np.int64), out)
        return out


@inner
def inlet_air(c: Constants, x: State, cur: int, r: int) -> float:
    """Inlet air [°C] of rack ``r``: ``(1 − Σφ) T_room + Σ φ T_neighbour``, as the plant has it."""
    share = c.rack[r].recirculation
    left, right = c.neighbour[r, 0], c.neighbour[r, 1]
    beside = (1.0 if left >= 0 else 0.0) + (1.0 if right >= 0 else 0.0)
    found = (1.0 - share * beside) * x.zone[cur, c.rack[r].zone]
    if left >= 0:
        found += share * x.ta[cur, left]
    if right >= 0:
        found += share * x.ta[cur, right]
    return found


@kernel
def read_signals(
    c: Constants, u: Inputs, x: State, w: Work, line_amperes: Floats, cur: int, rack_row: Ints, rows: int,
    nodes: Ints, codes: Ints, starts: Ints, out: Floats,
) -> None:  # fmt: skip
    """:meth:`Truth.read` from the plant's arrays; line_amperes: shape (N, 6), re and im of a, b and c [A]."""
    racks = c.tray0.size - 1
    for k in range(codes.size):
        code, o = codes[k], starts[k]
        if code <= RACK_VALVE:
            for r in range(racks):
                liquid, loop = c.rack[r].liquid, c.rack[r].loop
                if code == RACK_POWER:
                    value = w.rack_power[0, r]
                elif code == RACK_SUPPLY:
                    value = x.loop[cur, loop, 0] if liquid else inlet_air(c, x, cur, r)
                elif code == RACK_RETURN:
                    value = x.tc[cur, r] if liquid else x.ta[cur, r]
                elif code == DEVICE:
                    value = x.td[cur, c.tray0[r]]
                    for i in range(c.tray0[r] + 1, c.tray0[r + 1]):
                        value = max(value, x.td[cur, i])
                elif code == RACK_FLOW:
                    value = LITRES_PER_MINUTE * x.flow[cur, r] if liquid else nan
                elif code == INLET_AIR:
                    value = inlet_air(c, x, cur, r)
                else:
                    value = u.rack[r].valve if liquid else nan
                out[o + r] = value
        elif code == ROW_POWER:  # rows count whole watts of their racks
            for row in range(rows):
                out[o + row] = 0.0
            for r in range(racks):
                out[o + rack_row[r]] += np.rint(w.rack_power[0, r])
        elif code == PHASE_CURRENT:  # magnitudes of line currents, node by node
            for n in range(nodes.size):
                for line in range(3):
                    re, im = line_amperes[nodes[n], 2 * line], line_amperes[nodes[n], 2 * line + 1]
                    out[o + 3 * n + line] = hypot(re, im)
        elif code <= BREAKER_CLOSED:
            for b in range(c.breaker.size):
                carried = code == BREAKER_CURRENT
                out[o + b] = w.breaker_r[0, b] * c.breaker[b].rating if carried else float(u.closed[b])
        else:
            for loop in range(c.loop.size):
                if code == LOOP_SUPPLY:
                    value = x.loop[cur, loop, 0]
                elif code == LOOP_RETURN:
                    value = x.loop[cur, loop, 1]
                elif code == LOOP_FLOW:
                    value = 0.0
                    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
                        value += LITRES_PER_MINUTE * x.flow[cur, c.loop_idx[j]]
                elif code == PUMP_SPEED:
                    value = 0.0
                    for pump in range(x.speed.shape[2]):
                        value = max(value, x.speed[cur, loop, pump])
                else:
                    value = x.loop[cur, loop, 2]
                out[o + loop] = value


_read = Direct(read_signals)


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
