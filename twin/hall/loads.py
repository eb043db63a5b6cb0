"""Loads as they add up the power tree: nameplates, heat split, and the line current of every node.

Power of one load on the line pairs A–B, B–C and C–A is complex (watts and reactive volt-amperes). With line voltages
``V·exp(−j 120° k)``, pair currents are ``I = conj(S/V)`` and line currents their differences, so that loads of
different power factor and phase add as phasors. A node takes in ``(P + c)/η``; the reactive part is passed on
unchanged, and losses lie on the line pairs in proportion to the load.
"""

import cmath
import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.hall.graphs import nodes_parents_first
from twin.hall.parts import Cooling, Hall, Rack, RackClass

Pairs = NDArray[np.complex128]  # power [VA] on A–B, B–C, C–A

_TURN: Final = np.array([cmath.exp(-2j * math.pi * k / 3.0) for k in range(3)])


def pair_power(watts: float, power_factor: float, weights: tuple[float, float, float]) -> Pairs:
    """Complex power [VA] on the three line pairs of a load of ``watts`` [W] with lagging ``power_factor``."""
    reactive = watts * math.tan(math.acos(power_factor))
    return np.array(weights) * complex(watts, reactive)


def line_currents(pairs: Pairs, voltage: float) -> NDArray[np.float64]:
    """RMS currents [A] of lines A, B, C under complex powers on the line pairs, at line-to-line ``voltage`` [V]."""
    currents = np.conj(pairs / (voltage * _TURN))
    return np.abs(currents - np.roll(currents, 1))


def imbalance(currents: NDArray[np.float64]) -> float:
    """Largest deviation of a line current from the mean of the three, over that mean; 0 without current."""
    mean = float(currents.mean())
    return float(np.abs(currents - mean).max()) / mean if mean > 0.0 else 0.0


def liquid_heat_watts(rack_class: RackClass) -> float:
    """Heat [W] that a rack at nameplate gives to its coolant."""
    if rack_class.cooling is not Cooling.LIQUID:
        return 0.0
    trays = rack_class.trays * rack_class.tray_max_watts
    rest = rack_class.max_power_watts - trays
    return trays * (rack_class.die_share + rack_class.plate_share) + rest * rack_class.overhead_liquid_share


def air_heat_watts(rack_class: RackClass) -> float:
    """Heat [W] that a rack at nameplate gives to the room's air."""
    return rack_class.max_power_watts - liquid_heat_watts(rack_class)


def node_currents(hall: Hall, rack_watts: Mapping[str, float], dead_feed: str | None = None) -> dict[str, float]:
    """Current [A] of the hottest line of every node, with each rack drawing ``rack_watts`` [W] by rack name.

    A rack shares its power equally among its live feeds; with ``dead_feed`` ("A" or "B") the other side carries all,
    and nodes of the dead side carry none. Auxiliary loads are constant.
    """
    pairs = node_pairs(hall, rack_watts, dead_feed)
    return {node.name: float(line_currents(pairs[node.name], node.voltage).max()) for node in hall.nodes}


def node_pairs(hall: Hall, rack_watts: Mapping[str, float], dead_feed: str | None = None) -> dict[str, Pairs]:
    """Complex power [VA] per line pair that every node takes in; see :func:`node_currents`."""
    by_name = {node.name: node for node in hall.nodes}
    out: dict[str, Pairs] = {node.name: np.zeros(3, dtype=np.complex128) for node in hall.nodes}
    for rack in hall.racks:
        live = [feed for feed in rack.feeds if feed in by_name and by_name[feed].feed != dead_feed]
        for feed in live:
            out[feed] += _rack_power(rack, rack_watts[rack.name] / len(live))
    for load in hall.auxiliary:
        if load.node in by_name and by_name[load.node].feed != dead_feed:
            out[load.node] += pair_power(load.power_watts, load.power_factor, load.phase_weights)
    for node in reversed(nodes_parents_first(hall)):
        if node.feed == dead_feed:
            continue
        real = float(out[node.name].real.sum())
        taken = (real + node.fixed_loss_watts) / node.efficiency
        out[node.name] += _spread(out[node.name], taken - real)
        if node.parent in by_name:
            out[node.parent] += out[node.name]
    return out


def _rack_power(rack: Rack, watts: float) -> Pairs:
    return pair_power(watts, rack.rack_class.power_factor, rack.rack_class.phase_weights)


def _spread(pairs: Pairs, watts: float) -> Pairs:
    """``watts`` of loss as they lie on the line pairs: in proportion to the load, balanced without one."""
    total = float(pairs.real.sum())
    return watts * (pairs.real / total if total > 0.0 else np.full(3, 1.0 / 3.0)).astype(np.complex128)
