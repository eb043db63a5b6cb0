"""The algebra of one instant: energised nodes, tray heats as linear laws, rack power, currents, breaker drives."""

from twin.hall.topology import Bools
from twin.plant.arrays import Constants, Derived, Floats, Inputs, State, Work
from twin.plant.compiled import inner, kernel
from twin.plant.power import breaker_ratios, energise, tree
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
    for r in range(dirty.size):
        if not dirty[r]:
            continue
        dirty[r] = False
        load(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], x.td[cur], x.tp[cur], u.ir, d.law)
        linearise(c, u, d, w.m, r)
        keep_law(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], d.law)
        w.rack_power[0, r] = rack_watts(c, d, w.m, r)
        list_gangs(c, u, d, r)
        loop = c.rack[r].loop
        if loop >= 0:
            x.h_loop[cur, loop] = min(x.h_loop[cur, loop], AFTER_CHANGE)
            x.age[cur, loop] = -1.0
        else:
            zone = c.rack[r].zone
            x.h_zone[cur, zone] = min(x.h_zone[cur, zone], AFTER_CHANGE)
        rack_clock[r] = lowest_clock(c, u, x, d, r, cur)
    tree(c, d, w.rack_power[0], unit, aux_unit, w.node_p, w.node_i)
    if feeds or swing:
        swing_variances(c, d, w)
    breaker_ratios(c, d, w.node_i, w.breaker_r[0])
    for n in range(c.node.size):
        for k in range(6):
            start_i[n, k] = w.node_i[n, k]
