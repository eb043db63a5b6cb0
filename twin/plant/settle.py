"""The algebra of one instant: energised nodes, tray heats as linear laws, rack power, currents, breaker drives."""

from math import inf

from twin.hall.topology import Bools
from twin.plant.arrays import Constants, Derived, Floats, Inputs, State, Work
from twin.plant.compiled import inner, kernel
from twin.plant.power import UPS, breaker_ratios, energise, tree
from twin.plant.pumps import AFTER_CHANGE
from twin.plant.racks import linearise, rack_watts, tray_clock
from twin.plant.swings import list_gangs, swing_variances
from twin.plant.tiles import keep_law, load


@inner
def lowest_clock(c: Constants, u: Inputs, x: State, d: Derived, r: int, cur: int) -> float:
    """Lowest clock of rack ``r``'s busy trays, of nominal; 1 when none is busy or slow."""
    lowest = 1.0
    if d.metered[r] == 0:
        return lowest
    k = c.rack[r]
    for i in range(c.tray0[r], c.tray0[r + 1]):
        tray = u.tray[i]
        if tray.busy:
            clock = tray_clock(
                tray.mode, x.td[cur, i], k.t_slow, k.release, k.slow_gain, k.slow_min, k.brake_clock, tray.cap
            )
            lowest = min(lowest, clock)
    return lowest


@inner
def resolve_rack(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, r: int, row: int, end: int, rack_clock: Floats
) -> None:
    """Settle rack ``r`` after its inputs changed, in ``row``; its power goes to that ``end`` of ``rack_power``."""
    load(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], x.td[row], x.tp[row], u.ir, d.law)
    linearise(c, u, d, w.m, r)
    keep_law(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], d.law)
    w.rack_power[end, r] = rack_watts(c, d, w.m, r)
    list_gangs(c, u, d, w, r)
    loop = c.rack[r].loop
    if loop >= 0:
        x.h_loop[row, loop] = min(x.h_loop[row, loop], AFTER_CHANGE)
    else:
        zone = c.rack[r].zone
        x.h_zone[row, zone] = min(x.h_zone[row, zone], AFTER_CHANGE)
    rack_clock[r] = lowest_clock(c, u, x, d, r, row)


@inner
def greatest_ratio(c: Constants, d: Derived, w: Work, unit: Floats, aux_unit: Floats) -> float:
    """Greatest current over rating that a breaker sees if every rack draws all that it can, under these switches.

    Infinite while something lives on stored energy, or for a hall with air-cooled racks, whose devices air can heat.
    """
    for n in range(c.node.size):
        if c.node[n].kind == UPS and d.node_on[n] and c.node[n].parent >= 0 and not d.node_on[c.node[n].parent]:
            return inf
    for r in range(c.tray0.size - 1):
        if not c.rack[r].liquid or (d.powered[r] > 0.0 and d.share[r, 0] + d.share[r, 1] == 0.0):
            return inf
        total = 0.0
        for i in range(c.tray0[r], c.tray0[r + 1]):
            total += c.idle[i] + c.span[i] + c.leak[i] * max(0.0, c.rack[r].t_off - c.rack[r].leak_ref)
        w.mean_power[r] = total + total * c.rack[r].loss_share + c.rack[r].loss_fixed if d.powered[r] > 0.0 else 0.0
    tree(c, d, w.mean_power, unit, aux_unit, w.node_p, w.node_i)
    breaker_ratios(c, d, w.node_i, w.mean_r)
    most = 0.0
    for b in range(c.breaker.size):
        most = max(most, w.mean_r[b] / d.swell[b])
    return most


@kernel
def resolve(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    unit: Floats,
    aux_unit: Floats,
    cur: int,
    dirty: Bools,
    feeds: bool,
    swing: bool,
    rack_clock: Floats,
    start_i: Floats,
) -> None:
    """Settle everything but the loops' flows, in row ``cur``.

    dirty: shape (R,), racks whose inputs changed (cleared); feeds and swing: whether switches or swings changed.
    Leaves rack power, node currents and breaker drives in ``w``, currents also in ``start_i``.
    """
    if feeds:
        for r in range(dirty.size):
            w.mean_power[r] = d.powered[r]  # before
        energise(c, u, x, d, cur, unit, aux_unit)
        for r in range(dirty.size):
            if w.mean_power[r] != d.powered[r]:
                dirty[r] = True
        w.most[0] = greatest_ratio(c, d, w, unit, aux_unit)
    moved = feeds
    for r in range(dirty.size):
        if not dirty[r]:
            continue
        dirty[r] = False
        moved = True
        resolve_rack(c, u, x, d, w, r, cur, 0, rack_clock)
    if moved:  # otherwise powers and currents are those that the last stretch ended with
        tree(c, d, w.rack_power[0], unit, aux_unit, w.node_p, w.node_i)
        for n in range(c.node.size):
            for k in range(6):
                start_i[n, k] = w.node_i[n, k]
    if feeds or swing:
        swing_variances(c, d, w, feeds)
    breaker_ratios(c, d, w.node_i, w.breaker_r[0])
