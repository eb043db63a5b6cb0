"""The power tree: which nodes are energised, what flows through them on each phase, and what heats the breakers.

Every load is a set of line-to-line loads with weights on A–B, B–C and C–A (thirds of a balanced three-phase load), so
line currents are phasor sums: ``I_xy = conj(S_xy / V_xy)``, ``I_a = I_ab − I_ca`` and so on round.
"""

from math import acos, cos, pi, sin, sqrt, tan

from twin.plant.arrays import Constants, Derived, Floats, Inputs, Ints, State
from twin.plant.breakers import LSI, TABLE, THERMAL_MAGNETIC  # noqa: F401  (re-exported for readers of breaker_kind)
from twin.plant.compiled import inner, kernel

UPS = 1  # code in topology.NODE_KINDS
MANY = 64  # nodes above which it is quicker to look for them than to sort them


@kernel
def line_currents(power: float, power_factor: float, weights: Floats, voltage: float, out: Floats) -> None:
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
def energise(c: Constants, u: Inputs, x: State, d: Derived, row: int, unit: Floats, aux_unit: Floats) -> None:
    """Which nodes are on, and each rack's share on its feeds; a lost feed's share moves to the other at once.

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
    for r in range(c.tray0.size - 1):
        live = 0
        for f in range(2):
            node = c.rack_feed[r, f]
            d.share[r, f] = 1.0 if node >= 0 and d.node_on[node] else 0.0
            if d.share[r, f] > 0.0:
                live += 1
        for f in range(2):
            unit[r, f, :] = 0.0
            if d.share[r, f] > 0.0:
                d.share[r, f] /= live
                node = c.rack_feed[r, f]
                line_currents(d.share[r, f], c.rack[r].power_factor, c.phase[r], c.node[node].voltage, unit[r, f])
        d.powered[r] = 1.0 if live > 0 or x.ride[row, r] > 0.0 else 0.0
    for a in range(c.aux.size):
        aux_unit[a, :] = 0.0
        if d.node_on[c.aux[a].node]:
            line_currents(c.aux[a].watts, c.aux[a].pf, c.aux_phase[a], c.node[c.aux[a].node].voltage, aux_unit[a])


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
        n = c.aux[a].node
        if d.node_on[n]:
            node_p[n] += c.aux[a].watts
            for k in range(6):
                node_i[n, k] += aux_unit[a, k]
    drawn = 0.0
    lost = 0.0
    for n in range(c.node.size - 1, -1, -1):
        if not d.node_on[n]:
            continue
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
            ratio = c.node[n].voltage / c.node[parent].voltage
            if node_p[n] > 0.0:
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
            hottest = max(hottest, phase_amperes(node_i, n, k))
        out[b] = hottest * sqrt(1.0 + d.cv2[b]) / c.breaker[b].rating


@kernel
def smoothed_swing(sigma: float, hertz: float, joules: float) -> float:
    """Standard deviation [W] left of a square power wave of ``sigma`` [W] after storage of ``joules`` [J].

    A square wave of amplitude ±σ at f moves σ/(2f) joules per half period; storage takes its share of the amplitude.
    """
    if sigma <= 0.0:
        return 0.0
    return sigma * max(0.0, 1.0 - joules * 2.0 * hertz / sigma)


@inner
def _in_order(reached: Ints, count: int) -> None:
    """Put the ``count`` nodes of row 0 in order; row 1 marks them. Few, as most gangs stand in one rack."""
    if count > MANY:
        count = 0
        for n in range(reached.shape[1]):
            if reached[1, n]:
                reached[0, count] = n
                count += 1
        return
    for m in range(1, count):
        node = reached[0, m]
        k = m
        while k > 0 and reached[0, k - 1] > node:
            reached[0, k] = reached[0, k - 1]
            k -= 1
        reached[0, k] = node


@inner
def swing_variances(
    c: Constants, u: Inputs, d: Derived, order: Ints, node_p: Floats, cv2: Floats, swing: Floats, gang_rack: Floats,
    touched: Ints, reached: Ints,
) -> None:  # fmt: skip
    """Relative variance of every breaker's current from the power swings of gangs, into ``cv2``.

    Trays of one gang swing together (their deviations add), gangs apart from one another (their variances add).
    order: trays sorted by gang, gang −1 first. swing (3×N), gang_rack (R, zero), touched (R)
    and reached (2×N: nodes above a gang, and whether a node is among them) are scratch.
    """
    variance, gang_node, alone = swing[0], swing[1], swing[2]
    swing[:] = 0.0
    reached[1, :] = 0
    j = 0
    n_trays = order.size
    while j < n_trays and u.tray[order[j]].gang < 0:
        j += 1
    while j < n_trays:
        gang = u.tray[order[j]].gang
        count = 0
        hertz = u.tray[order[j]].swing_hertz
        while j < n_trays and u.tray[order[j]].gang == gang:
            i = order[j]
            r = c.tray_rack[i]
            if u.tray[i].on and d.powered[r] > 0.0 and u.tray[i].sigma > 0.0:
                if gang_rack[r] == 0.0:
                    touched[count] = r
                    count += 1
                gang_rack[r] += u.tray[i].sigma / c.rack[r].shelf_eta
            j += 1
        if count == 0:
            continue
        if count == 1:
            # of gangs in one rack the variances add at once: they go up the tree together
            r = touched[0]
            left = smoothed_swing(gang_rack[r], hertz, c.rack[r].smoothing)
            gang_rack[r] = 0.0
            for f in range(2):
                if d.share[r, f] > 0.0:
                    alone[c.rack_feed[r, f]] += (d.share[r, f] * left) ** 2
            continue
        found = 0
        for m in range(count):
            r = touched[m]
            left = smoothed_swing(gang_rack[r], hertz, c.rack[r].smoothing)
            gang_rack[r] = 0.0
            for f in range(2):
                n = c.rack_feed[r, f]
                if d.share[r, f] > 0.0:
                    gang_node[n] += d.share[r, f] * left
                    while n >= 0 and reached[1, n] == 0:
                        reached[1, n] = 1
                        reached[0, found] = n
                        found += 1
                        n = c.node[n].parent
        # parents have lower numbers than their children: from the highest down, each is whole when its turn comes
        _in_order(reached, found)
        for m in range(found - 1, -1, -1):
            n = reached[0, m]
            if gang_node[n] > 0.0:
                variance[n] += gang_node[n] ** 2
                parent = c.node[n].parent
                if parent >= 0:
                    gang_node[parent] += gang_node[n]
            gang_node[n] = 0.0
            reached[1, n] = 0
    for n in range(c.node.size - 1, -1, -1):
        variance[n] += alone[n]
        parent = c.node[n].parent
        if parent >= 0:
            alone[parent] += alone[n]
    for b in range(cv2.size):
        n = c.breaker[b].node
        cv2[b] = variance[n] / node_p[n] ** 2 if node_p[n] > 1.0 else 0.0
