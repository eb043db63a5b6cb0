"""One air zone through a stretch of time: every rack's air, the trays of air-cooled racks, the room and its CRAHs.

A rack draws ``W (1 − Σφ)`` from the room and ``W φ`` from each neighbour's exhaust (recirculation φ), so a hot rack
warms its neighbours' inlets. The room: ``C dT/dt = Σ exhaust − Σ draw − Q_crah + fans``, with CRAHs that take
``capacity × clip((T − (set − band/2))/band, 0, 1)``. Air mass balances: what neighbours draw does not reach the room.
"""

from math import isfinite, sqrt

from twin.plant.arrays import Constants, Derived, Floats, Inputs, State, Work
from twin.plant.compiled import inner
from twin.plant.coolant import film_conductance
from twin.plant.loop import SHORTEST, clear_rack, first_past, see
from twin.plant.racks import (
    correct_slowed,
    linearise,
    meter_trays,
    rack_backward,
    rack_close,
    rack_forward,
    rack_middle,
)
from twin.plant.thermal import GAMMA

STILL_AIR = 0.05  # share of nominal air flow through a rack whose fans stand still (assumption)


@inner
def rack_air_rate(c: Constants, u: Inputs, r: int) -> float:
    """W [W/K] of the air through rack ``r``."""
    return c.rack[r].air_flow * (STILL_AIR + (1.0 - STILL_AIR) * u.rack[r].air_on)


@inner
def neighbour_share(c: Constants, r: int) -> float:
    """Share of rack ``r``'s inlet air that comes from its neighbours."""
    count = (1 if c.neighbour[r, 0] >= 0 else 0) + (1 if c.neighbour[r, 1] >= 0 else 0)
    return count * c.rack[r].recirculation


@inner
def to_room(c: Constants, u: Inputs, r: int) -> float:
    """W/K of rack ``r``'s exhaust that reaches the room: the rest is drawn by its neighbours."""
    rate = rack_air_rate(c, u, r)
    for side in range(2):
        other = c.neighbour[r, side]
        if other >= 0:
            rate -= c.rack[other].recirculation * rack_air_rate(c, u, other)
    return rate


@inner
def inlet_temperature(c: Constants, u: Inputs, r: int, room: float, air: Floats) -> float:
    """Inlet air temperature [°C] of rack ``r`` with racks' air ``air`` (by rack) and the room's."""
    share = neighbour_share(c, r)
    t = (1.0 - share) * room
    for side in range(2):
        other = c.neighbour[r, side]
        if other >= 0:
            t += c.rack[r].recirculation * air[other]
    return t


@inner
def crah_heat(c: Constants, u: Inputs, z: int, room: float) -> tuple[float, float]:
    """Heat [W] that the CRAHs of zone ``z`` take, and its slope [W/K]."""
    capacity = c.zone[z].crah_watts * u.zone[z].factor
    share = (room - (u.zone[z].set_point - 0.5 * c.zone[z].band)) / c.zone[z].band
    if share <= 0.0:
        return 0.0, 0.0
    if share >= 1.0:
        return capacity, 0.0
    return capacity * share, capacity / c.zone[z].band


@inner
def zone_step(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, z: int, src: int, h: float, mean_air: Floats
) -> tuple[float, int, float]:
    """Try one step of ``h`` [s]. mean_air: W of air heat of liquid racks, by rack. Returns error, past, a sum."""
    s = GAMMA * h
    lo, hi = c.zone_ptr[z], c.zone_ptr[z + 1]
    room = x.zone[src, z]
    air = x.ta[src]
    td, tp = x.td[src], x.tp[src]
    fans = c.zone[z].fan_watts * u.zone[z].factor
    error = 0.0
    sum_x = 0.0
    sum_a = 0.0
    sum_b = 0.0
    drawn = 0.0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        rate = rack_air_rate(c, u, r)
        from_room = rate * (1.0 - neighbour_share(c, r))
        out = to_room(c, u, r)
        inlet_heat = rate * inlet_temperature(c, u, r, room, air)
        k = w.rack[r]
        if c.rack[r].liquid:
            diagonal = c.rack[r].air_capacity + s * out
            k.alpha = (mean_air[r] + inlet_heat - rate * air[r]) / diagonal
            k.beta = s * from_room / diagonal
        else:
            film = film_conductance(c.rack[r].film, rate, c.rack[r].air_flow, c.rack[r].film_floor)
            if d.slowed[r] > 0:
                linearise(c, u, x, d, r, src)
            rack_forward(
                c.tray0[r], c.tray0[r + 1], s, film, rate, out, from_room, air[r], inlet_heat, 1.0, c.rack[r], k,
                d.shelf[r], d.plate_sum[r], d.air_sum[r], td, tp, c.ir, d.g, d.qd, d.qp, w.aa, w.bb, w.rd, w.bx,
            )  # fmt: skip
        sum_x += out * air[r]
        sum_a += out * k.alpha
        sum_b += out * k.beta
        drawn += from_room
    taken1, slope = crah_heat(c, u, z, room)
    diagonal = c.zone[z].capacity + s * (drawn + slope) - s * sum_b
    k_room = (sum_x - drawn * room - taken1 + fans + s * sum_a) / diagonal
    for j in range(lo, hi):
        r = c.zone_idx[j]
        w.tan[r] = air[r] + h * (w.rack[r].alpha + w.rack[r].beta * k_room)
    room2 = room + h * k_room
    sum_x = 0.0
    sum_a = 0.0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        rate = rack_air_rate(c, u, r)
        out = to_room(c, u, r)
        inlet_heat = rate * inlet_temperature(c, u, r, room2, w.tan)
        k = w.rack[r]
        if c.rack[r].liquid:
            k1 = k.alpha + k.beta * k_room
            residual = mean_air[r] + inlet_heat - rate * w.tan[r] - 2.0 * c.rack[r].air_capacity * k1
            k.kc1 = k1
            k.alpha = residual / (c.rack[r].air_capacity + s * out)
        else:
            film = film_conductance(c.rack[r].film, rate, c.rack[r].air_flow, c.rack[r].film_floor)
            rack_middle(
                c.tray0[r], c.tray0[r + 1], s, h, film, air[r], k_room, c.rack[r], k,
                td, tp, c.ir, d.g, d.qd, d.qp, w.aa, w.bb, w.rd, w.bx, w.kd, w.kp,
            )  # fmt: skip
            if d.slowed[r] > 0:
                correct_slowed(c, u, x, d, w, r, src, s, h)
            rack_close(s, h, rate, air[r], inlet_heat, 1.0, c.rack[r], k, d.shelf[r])
        sum_x += out * w.tan[r]
        sum_a += out * k.alpha
    taken2, _ = crah_heat(c, u, z, room2)
    k2_room = (sum_x - drawn * room2 - taken2 + fans - 2.0 * c.zone[z].capacity * k_room + s * sum_a) / diagonal
    past = 0
    total = 0.0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        k = w.rack[r]
        if c.rack[r].liquid:
            k2 = k.alpha + k.beta * k2_room
            k.newfluid = air[r] + h * (1.5 * k.kc1 + 0.5 * k2)
            error = max(error, abs(0.5 * h * (k.kc1 + k2)))
            total += k.newfluid
        else:
            e, p, t = rack_backward(
                c.tray0[r], c.tray0[r + 1], s, h, air[r], k2_room, 1.0, k,
                td, tp, c.ir, d.g, w.aa, w.bb, w.rd, w.bx, w.kd, w.kp, u.up, u.down, w.tdn, w.tpn,
            )  # fmt: skip
            error = max(error, e)
            past += p
            total += t
    for j in range(lo, hi):
        r = c.zone_idx[j]
        w.tan[r] = w.rack[r].newfluid
    w.zone[z].zone_new = room + h * (1.5 * k_room + 0.5 * k2_room)
    error = max(error, abs(0.5 * h * (k_room + k2_room)))
    w.zone[z].step_crah = 0.5 * h * (taken1 + s * slope * k_room + taken2 + s * slope * k2_room)
    return error, past, total + w.zone[z].zone_new


@inner
def zone_run(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, z: int, cur: int, span: float, mean_air: Floats, watch: bool
) -> tuple[float, int]:
    """Carry zone ``z`` over ``span`` [s] from row ``cur`` into the other; as :func:`twin.plant.loop.loop_run`."""
    nxt = 1 - cur
    src = cur
    t = 0.0
    h = x.h_zone[cur, z]
    tolerance = c.tolerance[0]
    lo, hi = c.zone_ptr[z], c.zone_ptr[z + 1]
    sample = 0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        if not c.rack[r].liquid:
            clear_rack(c, d, w, r)
    w.zone[z].crah_joules = 0.0
    while t < span:
        left = span - t
        step = left if h >= 0.999999 * left else h
        clipped = step == left
        error, past, total = zone_step(c, u, x, d, w, z, src, step, mean_air)
        if not isfinite(total) or not isfinite(error):
            if step <= SHORTEST:
                return t, -2
            h = 0.1 * step
            continue
        if error > tolerance and step > SHORTEST:
            h = max(SHORTEST, step * max(0.1, 0.8 * sqrt(tolerance / error)))
            continue
        crossed = False
        if watch and past > 0:
            crossed = True
            low, high = 0.0, step
            while high - low > 1e-9:
                half = 0.5 * (low + high)
                if half <= low or half >= high or t + half == t + low:
                    break
                _, past, _ = zone_step(c, u, x, d, w, z, src, half, mean_air)
                if past > 0:
                    high = half
                else:
                    low = half
            step = high
            zone_step(c, u, x, d, w, z, src, step, mean_air)
        end = span if clipped and not crossed else t + step
        while sample < w.sample_n[0] and w.sample_time[sample] <= end:
            f = (w.sample_time[sample] - t) / (end - t)
            for j in range(lo, hi):
                r = c.zone_idx[j]
                if not c.rack[r].liquid:
                    before = -1e300
                    for i in range(c.tray0[r], c.tray0[r + 1]):
                        before = max(before, x.td[src, i])
                    w.sample_device[sample, r] = before + f * (w.rack[r].hottest - before)
                    w.sample_return[sample, r] = x.ta[src, r] + f * (w.tan[r] - x.ta[src, r])
            sample += 1
        for j in range(lo, hi):
            r = c.zone_idx[j]
            if not c.rack[r].liquid:
                before = -1e300
                for i in range(c.tray0[r], c.tray0[r + 1]):
                    before = max(before, x.td[src, i])
                see(w.seen, r, 0, before, w.rack[r].hottest, step)
                see(w.seen, r, 1, x.ta[src, r], w.tan[r], step)
                if d.metered[r]:
                    meter_trays(c, u, x, d, w, r, src, step)
                for i in range(c.tray0[r], c.tray0[r + 1]):
                    x.td[nxt, i] = w.tdn[i]
                    x.tp[nxt, i] = w.tpn[i]
                w.rack[r].rack_joules += w.rack[r].step_rack
                w.rack[r].air_joules += w.rack[r].step_rack
        # every rack's air moves only after all of them have been read
        for j in range(lo, hi):
            r = c.zone_idx[j]
            x.ta[nxt, r] = w.tan[r]
        x.zone[nxt, z] = w.zone[z].zone_new
        w.zone[z].crah_joules += w.zone[z].step_crah
        src = nxt
        t = end
        if crossed:
            x.h_zone[nxt, z] = h
            return t, first_past(c, u, x.td[nxt], c.zone_idx[lo:hi], 0.0)
        grown = step * min(4.0, 0.9 * sqrt(tolerance / max(error, 1e-12)))
        h = min(c.tolerance[1], max(h, grown) if clipped else grown)
    x.h_zone[nxt, z] = h
    return span, -1


@inner
def mean_air_watts(w: Work, span: float, out: Floats) -> Floats:
    """Mean air heat [W] of every rack over a stretch, from its joules."""
    for r in range(out.size):
        out[r] = w.rack[r].air_joules / span
    return out
