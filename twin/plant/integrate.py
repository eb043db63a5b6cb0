"""A stretch of time under frozen inputs: loops and zones each in steps of their own, then power, breakers, water.

Facility water is predicted as a straight line for the loops and corrected by what they rejected; breakers take the
parabola through the drive's start, mean and end. Where either guess is poor the stretch is refused and quartered.
"""

from math import floor, isnan, nan
from typing import Any

from twin.hall.topology import Bools
from twin.plant.air import crah_heat, mean_air_watts
from twin.plant.arrays import MID, Constants, Derived, Floats, Inputs, Ints, State, Work
from twin.plant.breakers import TABLE, crossing_seconds, damaged, relaxed, weights
from twin.plant.compiled import inner, kernel
from twin.plant.coolant import exchanger_film, heat_per_kelvin
from twin.plant.facility import tank_after
from twin.plant.fluids import WATER_VOLUMETRIC_HEAT, pg25_volumetric_heat
from twin.plant.loop import keep
from twin.plant.march import march
from twin.plant.meters import RACK_FEED, Meters, commit, see_power
from twin.plant.power import UPS, breaker_ratios, phase_amperes, tree
from twin.plant.pumps import settle_loop
from twin.plant.settle import resolve_rack

DONE, REFUSED, BROKEN, CROSSED = 0, 1, 2, 3
INSTANTANEOUS, SHORT_TIME, THERMAL, RACK_DARK, BATTERY, DEVICE = range(6)  # Guard values
ALL, NONE, OTHERS = 3, 0, 2  # what advance() watches: everything, nothing, everything but devices
LOOPS = 5  # devices, and no more than loops is carried: the rest follows …
REST = 8  # … and carries what is not loops; nothing is watched
WATER_ERROR = 0.01  # K between predicted and found facility water at the end of a stretch
DRIVE_ERROR = 1e-5  # of a thermal element, when its drive lies above the trip level
AIR_ERROR = 0.1  # K that a rack's air would move if the change of its heat over a stretch came at once
SUPPLY_CHANGE = 0.5  # K in a stretch, over which a loop keeps one viscosity
DRIFT = 0.1  # K of supply temperature after which a loop's viscosity is taken again
CALM_DRIVE_ERROR = 2e-3  # of a thermal element otherwise


@inner
def rejected_now(c: Constants, u: Inputs, x: State, d: Derived, row: int) -> float:
    """Heat [W] that loops and CRAHs give to facility water in row ``row``'s state."""
    heat = 0.0
    for loop in range(c.loop.size):
        cdu = c.loop[loop]
        supply, ret, valve = x.loop[row, loop, 0], x.loop[row, loop, 1], x.loop[row, loop, 2]
        total = 0.0
        for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
            total += x.flow[row, c.loop_idx[j]]
        rate = total * pg25_volumetric_heat(0.5 * (supply + ret))
        steady = x.rest[row, loop] == 1
        film1 = d.hx_film[loop] if steady else exchanger_film(total, cdu.hx_flow1, cdu.hx1)
        flow2 = valve * cdu.hx_flow2 * u.loop[loop].water_factor
        film2 = exchanger_film(flow2, cdu.hx_flow2, cdu.hx2)
        heat += heat_per_kelvin(film1, rate, film2, flow2 * WATER_VOLUMETRIC_HEAT, u.loop[loop].fouling) * (
            ret - x.tank[row, 0]
        )
    for z in range(c.zone.size):
        heat += crah_heat(c, u, z, x.zone[row, z])[0]
    return heat


@inner
def _breakers(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, cur: int, span: float, mean_r: Floats, watch: bool
) -> tuple[bool, float, int, int]:
    """Advance every breaker's memory; returns (refuse, earliest crossing [s], guard, breaker)."""
    nxt = 1 - cur
    best = span
    guard = -1
    index = -1
    tau, zero, one, two = 0.0, 0.0, 0.0, 0.0
    for b in range(c.breaker.size):
        start, mean, end = w.breaker_r[0, b] ** 2, mean_r[b] ** 2, w.breaker_r[1, b] ** 2
        theta = x.theta[cur, b]
        if c.breaker[b].kind == TABLE:
            ratio = mean_r[b]
            new = damaged(theta, ratio, span, c.breaker[b].tau, c.table[b, 0], c.table[b, 1], c.breaker[b].points)
            if watch and u.closed[b] and new >= c.breaker[b].level and new > theta:
                t = span * (c.breaker[b].level - theta) / (new - theta)
                if t < best or guard < 0:
                    best, guard, index = min(t, span), THERMAL, b
        else:
            bend = abs(3.0 * (start + end - 2.0 * mean)) * min(1.0, span / c.breaker[b].tau) * 0.05
            allowed = DRIVE_ERROR if max(start, end) > c.breaker[b].level else CALM_DRIVE_ERROR
            if watch and bend > allowed and span > 0.05 and theta + max(start, end) > 0.5:
                return True, best, guard, index
            if c.breaker[b].tau != tau:  # of which a hall has a few
                tau = c.breaker[b].tau
                zero, one, two = weights(span / tau)
            new = relaxed(theta, start, mean, end, 1.0, span / tau, zero, one, two)
            if watch and u.closed[b] and max(start, end, mean) > c.breaker[b].level:
                t = crossing_seconds(theta, start, mean, end, span, c.breaker[b].tau, c.breaker[b].level)
                if t >= 0.0 and (t < best or guard < 0):
                    best, guard, index = t, THERMAL, b
        x.theta[nxt, b] = new
        if u.closed[b] and w.breaker_r[0, b] >= c.breaker[b].short_pickup:
            x.timer[nxt, b] = x.timer[cur, b] + span
            t = c.breaker[b].short_delay - x.timer[cur, b]
            if watch and t <= span and (t < best or guard < 0):
                best, guard, index = max(t, 0.0), SHORT_TIME, b
        else:
            x.timer[nxt, b] = 0.0
    return False, best, guard, index


@inner
def apart(c: Constants, x: State, cur: int) -> bool:
    """Whether a loop's supply moved too far in a stretch from row ``cur`` for one viscosity."""
    furthest = 0.0
    for loop in range(c.loop.size):
        furthest = max(furthest, abs(x.loop[1 - cur, loop, 0] - x.loop[cur, loop, 0]))
    return furthest > SUPPLY_CHANGE


@inner
def balance(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    unit: Floats,
    aux_unit: Floats,
    cur: int,
    span: float,
    others: bool,
    predicted: float,
    totals: Floats,
) -> tuple[int, float, int, int]:
    """Power, breakers, batteries and facility water over a stretch that loops and zones have been carried through.

    others: whether to watch for guards and to refuse poor guesses; predicted [°C]: facility water at the end, as the
    loops had it. Returns as :func:`advance`.
    """
    nxt = 1 - cur
    water = x.tank[cur, 0]
    racks = c.tray0.size - 1
    best = span
    guard = -1
    index = -1
    mean_power, mean_r, spent = w.mean_power, w.mean_r, w.spent
    for r in range(racks):
        mean_power[r] = w.rack[r].rack_joules / span
    drawn, lost = tree(c, d, mean_power, unit, aux_unit, w.node_p, w.node_i)
    totals[0] = drawn * span
    totals[1] = lost * span
    breaker_ratios(c, d, w.node_i, mean_r)
    for n in range(c.node.size):
        if c.node[n].kind != RACK_FEED:
            for k in range(3):
                w.amperes[n, k] = phase_amperes(w.node_i, n, k)
        spent[n] = 0.0
        parent = c.node[n].parent
        if c.node[n].kind == UPS and d.node_on[n] and parent >= 0 and not d.node_on[parent]:
            spent[n] = (w.node_p[n] + c.node[n].fixed) / c.node[n].eta
    if others and span > 0.5:
        for r in range(racks):
            # a slowed rack's heat moves within the stretch, of which its air sees the mean
            change = abs(w.rack_power[1, r] - w.rack_power[0, r]) * c.rack[r].air_share
            if d.slowed[r] > 0 and change * span > AIR_ERROR * c.rack[r].air_capacity:
                return REFUSED, span, -1, -1
        if apart(c, x, cur):
            return REFUSED, span, -1, -1
    tree(c, d, w.rack_power[1], unit, aux_unit, w.node_p, w.node_i)
    breaker_ratios(c, d, w.node_i, w.breaker_r[1])
    refuse, best, guard, index = _breakers(c, u, x, d, w, cur, span, mean_r, others)
    if refuse:
        return REFUSED, span, -1, -1
    for r in range(racks):
        live = d.share[r, 0] + d.share[r, 1] > 0.0
        x.ride[nxt, r] = x.ride[cur, r]
        if live:
            x.ride[nxt, r] = c.rack[r].ride_through
        elif x.ride[cur, r] > 0.0 and mean_power[r] > 0.0:
            x.ride[nxt, r] = x.ride[cur, r] - mean_power[r] * span  # all that was drawn; the landing puts it at 0
            t = x.ride[cur, r] / mean_power[r]
            if others and t <= span and (t < best or guard < 0):
                best, guard, index = t, RACK_DARK, r
    for n in range(c.node.size):
        x.battery[nxt, n] = x.battery[cur, n]
        if spent[n] > 0.0:
            t = x.battery[cur, n] / spent[n]
            x.battery[nxt, n] = x.battery[cur, n] - spent[n] * span
            if others and t <= span and (t < best or guard < 0):
                best, guard, index = t, BATTERY, n
    heat = 0.0
    for loop in range(c.loop.size):
        heat += w.loop[loop].hx_joules
    for z in range(c.zone.size):
        heat += w.zone[z].crah_joules
    x.tank[nxt, 0] = tank_after(c, u, water, heat / span, span)
    totals[2] = heat - c.tank[0] * (x.tank[nxt, 0] - water)
    if others and abs(x.tank[nxt, 0] - predicted) > WATER_ERROR and span > 0.5:
        return REFUSED, span, -1, -1
    if guard >= 0:
        return CROSSED, best, guard, index
    return DONE, span, -1, -1


@kernel
def advance(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    unit: Floats,
    aux_unit: Floats,
    cur: int,
    span: float,
    watch: int,
    totals: Floats,
    slope: float,
) -> tuple[int, float, int, int]:
    """Carry the plant over ``span`` [s] from row ``cur`` into the other row. Nothing in row ``cur`` changes.

    watch: bit 1 for devices, bit 2 for everything else (and for refusing poor guesses); 4 to stop after the loops, 8 to
    begin after them. Loops that changed within the stretch go on from row MID.
    slope [K/s] of facility water: NaN to predict it, or the one with which a crossing was found, so that the same
    crossing is met again. Returns (outcome, seconds, guard, index).
    totals: [source J, conversion loss J, rejected J, slope] of the stretch.
    """
    devices = (watch & 1) != 0
    others = (watch & 2) != 0
    nxt = 1 - cur
    water = x.tank[cur, 0]
    predicted = tank_after(c, u, water, rejected_now(c, u, x, d, cur), span)
    if isnan(slope):
        slope = (predicted - water) / span
    else:
        predicted = water + slope * span
    totals[3] = slope
    best = span
    guard = -1
    index = -1
    racks = c.tray0.size - 1
    for r in range(racks):
        if d.metered[r]:
            for i in range(c.tray0[r], c.tray0[r + 1]):
                w.meter[i].lag = 0.0
                w.meter[i].slow_s = 0.0
                w.meter[i].brake_s = 0.0
                w.meter[i].cap_s = 0.0
    loops = c.loop.size
    for item in range(loops if (watch & 8) != 0 else 0, loops + c.zone.size):
        airy = item >= loops
        if item == loops:
            if (watch & 4) != 0 and guard < 0:
                return REFUSED if apart(c, x, cur) and span > 0.5 else DONE, span, -1, -1
            mean_air_watts(w, span, w.mean_air)
        which = item - loops if airy else item
        begin = 0.0 if airy else w.begin[which]
        row = MID if begin > 0.0 else cur
        t, tray = march(c, u, x, d, w, airy, which, row, nxt, begin, span, water, slope, w.mean_air, devices)
        if tray == -2:
            return BROKEN, t, DEVICE, -1 - which if airy else which
        if tray >= 0 and (guard < 0 or t < best or (t == best and tray < index)):
            best, guard, index = t, DEVICE, tray
    if guard >= 0:
        # racks of other loops are at other times: only the first crossing counts
        return CROSSED, best, guard, index

    return balance(c, u, x, d, w, unit, aux_unit, cur, span, others, predicted, totals)


@kernel
def guards_past(
    breaker: Any, closed: Ints, ratio: Floats, timer: Floats, theta: Floats, powered: Floats, dark: Bools
) -> tuple[int, int]:
    """First guard of breakers and racks that is past its level now, as (guard, index), or (−1, −1)."""
    for b in range(breaker.size):
        if closed[b] and ratio[b] >= breaker[b].instant:
            return INSTANTANEOUS, b
    for b in range(breaker.size):
        if closed[b] and timer[b] >= breaker[b].short_delay:
            return SHORT_TIME, b
    for b in range(breaker.size):
        if closed[b] and theta[b] >= breaker[b].level:
            return THERMAL, b
    for r in range(dark.size):
        if powered[r] == 0.0 and not dark[r]:
            return RACK_DARK, r
    return -1, -1


@inner
def _stretch(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    unit: Floats,
    aux_unit: Floats,
    cur: int,
    span: float,
    totals: Floats,
    asked: Floats,
    watch: int,
) -> tuple[float, int, int]:
    """Advance by ``span`` [s] or less: returns (seconds, guard, index), guard −1 when none was crossed.

    asked: shape (1,), the span [s] to ask for next, lowered where a stretch was refused. A guard of −2 reports a loop
    (or, as −1 − zone, a zone) whose state is not finite.
    """
    found = -1.0
    at_guard = -1
    at = -1
    first = watch
    slope = nan
    while True:
        outcome, seconds, guard, index = advance(c, u, x, d, w, unit, aux_unit, cur, span, watch, totals, slope)
        if outcome == BROKEN:
            return seconds, -2, index
        if outcome == REFUSED:
            span *= 0.25
            asked[0] = span
            found, at_guard, at, watch, slope = -1.0, -1, -1, first, nan
        elif outcome == CROSSED:
            # once more, up to there and with the same water: a breaker may have gone before a device
            span = min(seconds, span)
            found, at_guard, at = span, guard, index
            slope = totals[3]
            watch = OTHERS if guard == DEVICE else NONE
            if span <= 0.0:
                break
        else:
            break
    return (found if at_guard >= 0 else span), at_guard, at


@kernel
def flow(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    m: Meters,
    row_of: Ints,
    rack_trays: Floats,
    rack_clock: Floats,
    unit: Floats,
    aux_unit: Floats,
    start_i: Floats,
    totals: Floats,
    asked: Floats,
    cur: int,
    t: float,
    until: float,
    window: float,
    late: bool,
    certain: bool,
) -> tuple[float, float, int, int, int]:
    """Integrate from ``t`` to ``until`` [s], to the end of the window of ``window`` [s] that ``t`` lies in, or to the
    earliest crossing, whichever comes first. Returns (time, span of the last stretch, current row, guard, index); guard
    −1 when nothing crossed.

    With ``late`` one stretch is made and not committed; of it, where it is ``certain`` that only devices can cross a
    guard, loops alone.
    """
    grid = (floor(t / window + 1e-9) + 1.0) * window
    stop = min(until, grid)
    watch = LOOPS if late and certain else ALL
    taken = 0.0
    while t < stop:
        span = stop - t
        end = stop
        if asked[0] < 0.999 * span:
            span = asked[0]
            end = t + span
        taken, guard, index = _stretch(c, u, x, d, w, unit, aux_unit, cur, span, totals, asked, watch)
        if guard == -2:
            return t, taken, cur, guard, index
        if taken > 0.0 and not late:
            commit(c, u, x, d, w, m, row_of, rack_trays, rack_clock, start_i, totals, cur, taken)
            cur = 1 - cur
        if guard >= 0:
            asked[0] = min(window, asked[0])
            return t + taken, taken, cur, guard, index
        asked[0] = min(window, max(2.0 * taken, asked[0]))
        t = end if taken == span else t + taken
        if late:
            break
        for loop in range(c.loop.size):
            if abs(x.loop[cur, loop, 0] - d.viscous[loop]) > DRIFT:
                settle_loop(c, u, x, d, w.branch, loop, cur)
    return t, taken, cur, -1, -1


@kernel
def amend(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    m: Meters,
    loop: int,
    cur: int,
    at: float,
    span: float,
    water: float,
    slope: float,
    dirty: Bools,
    rack_clock: Floats,
    before: bool,
) -> tuple[float, int]:
    """Take a change of a loop's loads at ``at`` [s] into an open stretch of ``span`` [s].

    ``before`` its inputs change: put its state into row MID. After that: carry it from there to the stretch's end under
    the new ones; racks that are ``dirty`` are settled first. Returns as :func:`march`.
    """
    begin = w.begin[loop]
    row = MID if begin > 0.0 else cur
    nxt = MID if before else 1 - cur
    until = at if before else span
    if before and at <= begin:
        return at, -1
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        if dirty[r] and not before:
            dirty[r] = False
            resolve_rack(c, u, x, d, w, r, MID, 1, rack_clock)
            see_power(m, r, w.rack_power[1, r])
    t, tray = march(c, u, x, d, w, False, loop, row, nxt, begin, until, water, slope, w.mean_air, not before)
    if before:
        keep(c, w, loop)
        w.begin[loop] = at
        for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
            see_power(m, c.loop_idx[j], w.rack_power[1, c.loop_idx[j]])
    return t, tray
