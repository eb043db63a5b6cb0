"""The facility as an inventory has it: which limits stand above a rack, and what a watt of it puts on them."""

import math

import numpy as np

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant.arrays import Constants
from twin.plant.power import line_currents
from twin.policy.facility import Facility
from twin.sim.readings import phase_nodes

LINES = 3
NONE = -1


def facility_of(topology: Topology, c: Constants) -> Facility:
    """The static description of a hall for policies.

    Currents go up the tree as the plant carries them: by voltage and efficiency, and through a UPS as balanced power.
    Fixed losses are part of what a meter shows already.
    """
    hall = topology.hall
    rating = {node.name: node.breaker.rating_amperes for node in hall.nodes if node.breaker is not None}
    phase = {int(node): place * LINES for place, node in enumerate(phase_nodes(topology))}
    names: list[str] = []
    ratings: list[float] = []
    breakers: list[int] = []
    phases: list[int] = []
    first: dict[int, int] = {}  # node → its first limit
    for node, name in enumerate(topology.node_names):
        if topology.node_breaker[node] < 0:
            continue
        first[node] = len(names)
        lines = LINES if node in phase else 1
        names += [f"{name}/L{line + 1}" for line in range(lines)] if lines > 1 else [name]
        ratings += [rating[name]] * lines
        breakers += [int(topology.node_breaker[node])] * lines
        phases += [phase[node] + line for line in range(lines)] if lines > 1 else [NONE]
    rows = [_above(topology, c, rack, first, phase) for rack in range(len(topology.rack_names))]
    deepest = max((len(row) for row in rows), default=0)
    limits = np.full((len(rows), deepest), NONE, dtype=np.int64)
    feeds = np.zeros((len(rows), deepest), dtype=np.int64)
    per_watt = np.zeros((len(rows), deepest))
    for rack, row in enumerate(rows):
        for place, (limit, feed, amperes) in enumerate(row):
            limits[rack, place], feeds[rack, place], per_watt[rack, place] = limit, feed, amperes
    return Facility(
        limit_names=tuple(names),
        limit_rating_amperes=np.array(ratings, dtype=np.float64),
        limit_breaker=np.array(breakers, dtype=np.int64),
        limit_phase=np.array(phases, dtype=np.int64),
        rack_limits=limits,
        rack_limit_feed=feeds,
        rack_amperes_per_watt=per_watt,
        rack_neighbours=topology.rack_neighbour,
        rack_tray_idle_watts=np.array([rack.rack_class.tray_idle_watts for rack in hall.racks]),
        rack_watts_per_tray_watt=1.0 + c.rack["loss_share"],
        rack_slowdown_celsius=np.array([rack.rack_class.slowdown_celsius for rack in hall.racks]),
        loop_capacity_watts=np.array([loop.cdu.rated_heat_watts for loop in hall.loops], dtype=np.float64),
    )


def _above(
    topology: Topology, c: Constants, rack: int, first: dict[int, int], phase: dict[int, int]
) -> list[tuple[int, int, float]]:
    """(limit, feed, A/W) of every limit above a rack while all of its feeds live."""
    found: list[tuple[int, int, float]] = []
    feeds = [feed for feed in range(2) if topology.rack_feed[rack, feed] >= 0]
    for feed in feeds:
        node = int(topology.rack_feed[rack, feed])
        watts = 1.0 / len(feeds)
        out = np.zeros(2 * LINES)
        line_currents(watts, float(c.rack[rack]["power_factor"]), c.phase[rack], topology.node_voltage[node], out)
        lines = np.hypot(out[0::2], out[1::2])
        while node >= 0:
            if node in first:
                if node in phase:
                    found += [(first[node] + line, feed, float(lines[line])) for line in range(LINES)]
                else:
                    found.append((first[node], feed, float(lines.max())))
            parent = int(topology.node_parent[node])
            if parent < 0:
                break
            watts /= float(topology.node_efficiency[node])
            if NODE_KINDS[topology.node_kind[node]] == "ups":
                lines = np.full(LINES, watts / (math.sqrt(3.0) * topology.node_voltage[parent]))
            else:
                ratio = topology.node_voltage[node] / topology.node_voltage[parent] / topology.node_efficiency[node]
                lines = lines * ratio
            node = parent
    return found
