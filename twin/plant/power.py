"""The power tree: which nodes are energised, what flows through them on each phase, and what heats the breakers.

Every load is a set of line-to-line loads with weights on A–B, B–C and C–A (thirds of a balanced three-phase load), so
line currents are phasor sums: ``I_xy = conj(S_xy / V_xy)``, ``I_a = I_ab − I_ca`` and so on round.
"""

from math import acos, cos, pi, sin, sqrt, tan

from twin.plant.arrays import Constants, Derived, Floats, Inputs, State
from twin.plant.breakers import LSI, TABLE, THERMAL_MAGNETIC  # noqa: F401  (re-exported for readers of breaker_kind)
from twin.plant.compiled import inner, kernel

UPS = 1  # code in topology.NODE_KINDS


@kernel
def line_currents(
    power: float, power_factor: float, weights: Floats | tuple[float, float, float], voltage: float, out: Floats
) -> None:
    """Line currents [A] of a load of ``power`` [W], as (re, im) of a, b, c added to ``out``, shape (6,).

    weights: shares on A–B, B–C, C–A; voltage [V] line to line; power_factor lagging.
    """
    reactive = tan(acos(power_factor))
    for k in range(3):
        angle = -2.0 * pi * k / 3.0  # of V_ab, V_bc, V_ca
        magnitude = power * weights[k] / voltage
        # conj((1 + j q) / e^{jφ}) = (1 − j q) e^{jφ}
        re = magnitude * (cos(angle) + reactive * sin(angle))
        im = magnitude * (sin(angle) - reactive * cos(angle))
        after = (k + 1) % 3
        out[2 * k] += re
        out[2 * k + 1] += im
        out[2 * after] -= re
        out[2 * after + 1] -= im


@inner
def live_weights(d: Derived, n: int, weights: Floats) -> tuple[float, float, float]:
    """Shares of a load at node ``n`` that hang between two live lines; of the others 0.

    weights: shares on A–B, B–C, C–A.
    """
    a, b, c = d.live[n, 0], d.live[n, 1], d.live[n, 2]
    return weights[0] * float(a * b), weights[1] * float(b * c), weights[2] * float(c * a)


@inner
def energise(c: Constants, u: Inputs, x: State, d: Derived, row: int, unit: Floats, aux_unit: Floats) -> None:
    """Which nodes and lines are on, and each rack's share on its feeds; what a feed loses moves to the other at once.

    A rack's shelves hang line to line and share one DC bus: those that are left, of both feeds, carry equal parts of
    its power, so that a feed's share goes by the weights between its live lines. A UPS makes three lines of its own.
    unit: shape (R, 2, 6), line currents per watt of rack power; aux_unit: shape (A, 6), line currents [A].
    """
    for n in range(c.node.size):
        parent = c.node[n].parent
        on = u.source_on[n]
        if on and parent >= 0 and not d.node_on[parent]:
            # a UPS whose supply is gone carries on from its battery
            on = 1 if c.node[n].kind == UPS and x.battery[row, n] > 0.0 else 0
        breaker = c.node[n].breaker
        if breaker >= 0 and not u.closed[breaker]:
            on = 0
        d.node_on[n] = on
        for k in range(3):
            given = 1 if parent < 0 or c.node[n].kind == UPS else d.live[parent, k]
            d.live[n, k] = 1 if on and given and u.phase_on[n, k] else 0
    for r in range(c.tray0.size - 1):
        live = 0.0
        for f in range(2):
            node = c.rack_feed[r, f]
            d.share[r, f] = 0.0
            if node >= 0:
                ab, bc, ca = live_weights(d, node, c.phase[r])
                d.share[r, f] = ab + bc + ca
            live += d.share[r, f]
        for f in range(2):
            unit[r, f, :] = 0.0
            if d.share[r, f] > 0.0:
                node = c.rack_feed[r, f]
                weights = live_weights(d, node, c.phase[r])
                line_currents(1.0 / live, c.rack[r].power_factor, weights, c.node[node].voltage, unit[r, f])
                d.share[r, f] /= live
        d.powered[r] = 1.0 if live > 0.0 or x.ride[row, r] > 0.0 else 0.0
    for a in range(c.aux.size):
        aux_unit[a, :] = 0.0
        node = c.aux[a].node
        ab, bc, ca = live_weights(d, node, c.aux_phase[a])
        d.aux_on[a] = 1 if ab + bc + ca > 0.0 else 0
        if d.aux_on[a]:
            # a motor or a three-phase supply draws all of its power through what is left
            watts = c.aux[a].watts / (ab + bc + ca)
            line_currents(watts, c.aux[a].pf, (ab, bc, ca), c.node[node].voltage, aux_unit[a])


@inner
def tree(
    c: Constants, d: Derived, rack_power: Floats, unit: Floats, aux_unit: Floats, node_p: Floats, node_i: Floats
) -> tuple[float, float]:
    """Power [W] and line currents [A] at every node for ``rack_power`` [W], shape (R,).

    A node's values are those of its output (what its breaker carries). Returns power drawn from the sources [W] and
    conversion losses [W]. A UPS whose supply is off feeds its output from its battery and draws nothing.
    """
    node_p[:] = 0.0
    node_i[:] = 0.0
    for r in range(rack_power.size):
        for f in range(2):
            if d.share[r, f] > 0.0:
                n = c.rack_feed[r, f]
                node_p[n] += d.share[r, f] * rack_power[r]
                for k in range(6):
                    node_i[n, k] += unit[r, f, k] * rack_power[r]
    for a in range(c.aux.size):
        if d.aux_on[a]:
            n = c.aux[a].node
            node_p[n] += c.aux[a].watts
            for k in range(6):
                node_i[n, k] += aux_unit[a, k]
    drawn = 0.0
    lost = 0.0
    for n in range(c.node.size - 1, -1, -1):
        if not d.node_on[n]:
            continue
        taken = node_p[n]
        lossless = c.node[n].eta == 1.0 and c.node[n].fixed == 0.0  # most nodes are, and divisions take long
        if not lossless:
            taken = (node_p[n] + c.node[n].fixed) / c.node[n].eta
            lost += taken - node_p[n]
        parent = c.node[n].parent
        if parent < 0:
            drawn += taken
            continue
        if not d.node_on[parent]:
            continue  # on battery
        node_p[parent] += taken
        if c.node[n].kind == UPS:
            # a rectifier draws balanced current at unity displacement
            amperes = taken / (sqrt(3.0) * c.node[parent].voltage)
            for k in range(3):
                node_i[parent, 2 * k] += amperes * cos(-2.0 * pi * k / 3.0 - pi / 6.0)
                node_i[parent, 2 * k + 1] += amperes * sin(-2.0 * pi * k / 3.0 - pi / 6.0)
        else:
            ratio = 1.0
            if c.node[n].voltage != c.node[parent].voltage:
                ratio = c.node[n].voltage / c.node[parent].voltage
            if node_p[n] > 0.0 and not lossless:
                ratio *= taken / node_p[n]
            for k in range(6):
                node_i[parent, k] += ratio * node_i[n, k]
    return drawn, lost


@inner
def phase_amperes(node_i: Floats, n: int, k: int) -> float:
    """Magnitude [A] of phase ``k`` at node ``n``."""
    return sqrt(node_i[n, 2 * k] ** 2 + node_i[n, 2 * k + 1] ** 2)


@inner
def breaker_ratios(c: Constants, d: Derived, node_i: Floats, out: Floats) -> None:
    """RMS current over rating of every breaker's hottest pole into ``out``: ``I²rms = mean² (1 + cv²)``."""
    for b in range(c.breaker.size):
        n = c.breaker[b].node
        hottest = 0.0
        for k in range(3):
            hottest = max(hottest, node_i[n, 2 * k] ** 2 + node_i[n, 2 * k + 1] ** 2)
        out[b] = sqrt(hottest) * d.swell[b] / c.breaker[b].rating
