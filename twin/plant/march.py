"""One loop or air zone through a stretch of time, in steps of its own: try, judge, take, and land on a guard.

Steps are chosen by the embedded error estimate. A device that crosses a guard level ends the run: the crossing is found
by bisection on the *size* of the last step, so that the state there has the method's full order.
"""

from math import isfinite, sqrt

from twin.plant.air import zone_accept, zone_begin, zone_end, zone_step
from twin.plant.arrays import Constants, Derived, Floats, Inputs, Ints, State, Work
from twin.plant.compiled import inner, kernel
from twin.plant.loop import add_kept, loop_accept, loop_begin, loop_end, loop_step

SHORTEST = 1e-4  # s
LANDING = 1e-9  # s, to which a crossing is located
TRYING, BISECTING, ARRIVING = 0, 1, 2


@kernel
def first_past(c: Constants, u: Inputs, t: Floats, racks: Ints, tolerance: float, kind: int) -> int:
    """Lowest tray of ``racks`` whose device temperature in ``t`` lies past a guard level, or −1.

    kind: 1 for liquid-cooled racks only, 0 for air-cooled ones only, −1 for both.
    """
    lowest = -1
    for r in racks:
        if kind >= 0 and c.rack[r].liquid != kind:
            continue
        for i in range(c.tray0[r], c.tray0[r + 1]):
            if (t[i] >= u.up[i] - tolerance or t[i] <= u.down[i] + tolerance) and (lowest < 0 or i < lowest):
                lowest = i
    return lowest


@inner
def march(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    airy: bool,
    index: int,
    cur: int,
    nxt: int,
    begin: float,
    until: float,
    water: float,
    slope: float,
    mean_air: Floats,
    watch: bool,
) -> tuple[float, int]:
    """Carry loop (or, ``airy``, air zone) ``index`` from ``begin`` to ``until`` [s] of a stretch, ``cur`` to ``nxt``.

    A loop that begins late goes on with the meters that were kept of it. water [°C] at the stretch's start and slope
    [K/s]: facility water of a loop; mean_air [W]: air heat of a zone's liquid racks. With ``watch`` the first guard
    level that a device crosses ends the run: returns (time [s], tray), else (until, −1). A tray of −2 reports a state
    that is not finite.
    """
    src = cur
    span = until - begin
    water += slope * begin
    t = 0.0
    tolerance = c.tolerance[0]
    mode = TRYING
    if airy:
        h = x.h_zone[cur, index]
        zone_begin(c, u, x, d, w, index, cur)
    else:
        h = x.h_loop[cur, index]
        loop_begin(c, u, x, d, w, index, cur)
    low, high = 0.0, 0.0
    found = -1
    while t < span:
        if mode == TRYING:
            left = span - t
            step = left if h >= 0.999999 * left else h
            clipped = step == left
        elif mode == BISECTING:
            step = 0.5 * (low + high)
        else:
            step = high
        if airy:
            error, past, total = zone_step(c, u, x, d, w, index, src, step, mean_air)
        else:
            error, past, total = loop_step(
                c, u, x, d, w, index, src, step, water + slope * t, water + slope * (t + step)
            )
        if mode == TRYING:
            if not isfinite(total) or not isfinite(error):
                if step <= SHORTEST:
                    found = -2
                    break
                h = 0.1 * step
                continue
            if error > tolerance and step > SHORTEST:
                h = max(SHORTEST, step * max(0.1, 0.8 * sqrt(tolerance / error)))
                continue
            if watch and past > 0:
                mode, low, high = BISECTING, 0.0, step
                continue
        elif mode == BISECTING:
            if past > 0:
                high = step
            else:
                low = step
            half = 0.5 * (low + high)
            if high - low <= LANDING or half <= low or half >= high or t + half == t + low:
                mode = ARRIVING
            continue
        end = span if clipped and mode == TRYING else t + step
        if airy:
            zone_accept(c, u, x, d, w, index, src, nxt, step)
        else:
            loop_accept(c, u, x, d, w, index, src, nxt, step)
        src = nxt
        t = end
        if mode == ARRIVING:
            found = 0
            break
        grown = step * min(4.0, 0.9 * sqrt(tolerance / max(error, 1e-12)))
        h = min(c.tolerance[1], max(h, grown) if clipped else grown)
    if airy:
        zone_end(c, u, x, d, w, index, nxt)
        x.h_zone[nxt, index] = h
        racks = c.zone_idx[c.zone_ptr[index] : c.zone_ptr[index + 1]]
    else:
        loop_end(c, u, x, d, w, index, nxt)
        x.h_loop[nxt, index] = h
        if begin > 0.0:
            add_kept(c, w, index)
        racks = c.loop_idx[c.loop_ptr[index] : c.loop_ptr[index + 1]]
    if found == 0:
        found = first_past(c, u, x.td[nxt], racks, 0.0, 0 if airy else 1)
        return begin + t, found
    return (begin + t, -2) if found == -2 else (until, -1)


@kernel
def fixed_steps(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, airy: bool, index: int, cur: int, h: float, count: int
) -> float:
    """Carry a loop or air zone from row ``cur`` into the other by ``count`` steps of ``h`` [s], whatever their error.

    Facility water and the air heat of liquid racks (``w.mean_air``) stay as they are. Returns the largest error
    estimate [K]. For measuring the method: its order, and what a step costs.
    """
    nxt = 1 - cur
    src = cur
    water = x.tank[cur, 0]
    worst = 0.0
    if airy:
        zone_begin(c, u, x, d, w, index, cur)
    else:
        loop_begin(c, u, x, d, w, index, cur)
    for _ in range(count):
        if airy:
            error, _, _ = zone_step(c, u, x, d, w, index, src, h, w.mean_air)
            zone_accept(c, u, x, d, w, index, src, nxt, h)
        else:
            error, _, _ = loop_step(c, u, x, d, w, index, src, h, water, water)
            loop_accept(c, u, x, d, w, index, src, nxt, h)
        src = nxt
        worst = max(worst, error)
    if airy:
        zone_end(c, u, x, d, w, index, nxt)
    else:
        loop_end(c, u, x, d, w, index, nxt)
    return worst
