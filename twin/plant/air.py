"""One air zone through a stretch of time: every rack's air, the trays of air-cooled racks, the room and its CRAHs.

A rack draws ``W (1 − Σφ)`` from the room and ``W φ`` from each neighbour's exhaust (recirculation φ), so a hot rack
warms its neighbours' inlets. The room: ``C dT/dt = Σ exhaust − Σ draw − Q_crah + fans``, with CRAHs that take
``capacity × clip((T − (set − band/2))/band, 0, 1)``. Air mass balances: what neighbours draw does not reach the room.
"""

from twin.plant.arrays import Constants, Derived, Floats, Inputs, State, Work
from twin.plant.compiled import inline, inner
from twin.plant.coolant import film_conductance
from twin.plant.racks import (
    correct_slowed,
    linearise,
    meter_trays,
    power_at_end,
    rack_accept,
    rack_backward,
    rack_begin,
    rack_close,
    rack_forward,
    rack_middle,
)
from twin.plant.thermal import GAMMA
from twin.plant.tiles import count_past, load, unload

KINK = 5.0  # what the estimate of a step over a kink counts for
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
    return mixed(c.neighbour[r, 0], c.neighbour[r, 1], c.rack[r].recirculation, room, air)


@inner
def mixed(left: int, right: int, recirculation: float, room: float, air: Floats) -> float:
    """Air of the room and, by ``recirculation`` each, of the neighbours that there are (index ≥ 0) [°C]."""
    t = room
    if left >= 0:
        t += recirculation * (air[left] - room)
    if right >= 0:
        t += recirculation * (air[right] - room)
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


@inline
def zone_step(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, z: int, src: int, h: float, mean_air: Floats
) -> tuple[float, int, float]:
    """Try one step of ``h`` [s]. mean_air: W of air heat of liquid racks, by rack. Returns error, past, a sum.

    The rates of :func:`zone_begin` must be present.
    """
    s = GAMMA * h
    lo, hi = c.zone_ptr[z], c.zone_ptr[z + 1]
    room = x.zone[src, z]
    air = x.ta[src]
    after = w.air_new
    m = w.m
    fans = c.zone[z].fan_watts * u.zone[z].factor
    error = 0.0
    sum_x = 0.0
    sum_a = 0.0
    sum_b = 0.0
    drawn = 0.0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        k = w.rack[r]
        part = c.rack[r]
        own = air[r]
        inlet_heat = k.air_rate * mixed(c.neighbour[r, 0], c.neighbour[r, 1], part.recirculation, room, air)
        if part.liquid:
            over = 1.0 / (part.air_capacity + s * k.air_out)
            k.alpha = (mean_air[r] + inlet_heat - k.air_rate * own) * over
            k.beta = s * k.air_drawn * over
        else:
            if d.slowed[r] > 0:
                linearise(c, u, d, m, r)
            rack_forward(
                m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], s, k.film_air, k.air_rate, k.air_out, k.air_drawn, own,
                inlet_heat, 1.0, part, k, d.shelf[r], d.plate_sum[r], d.air_sum[r],
            )  # fmt: skip
        sum_x += k.air_out * own
        sum_a += k.air_out * k.alpha
        sum_b += k.air_out * k.beta
        drawn += k.air_drawn
    taken1, slope = crah_heat(c, u, z, room)
    diagonal = c.zone[z].capacity + s * (drawn + slope) - s * sum_b
    k_room = (sum_x - drawn * room - taken1 + fans + s * sum_a) / diagonal
    for j in range(lo, hi):
        r = c.zone_idx[j]
        after[r] = air[r] + h * (w.rack[r].alpha + w.rack[r].beta * k_room)
    room2 = room + h * k_room
    sum_x = 0.0
    sum_a = 0.0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        k = w.rack[r]
        part = c.rack[r]
        inlet_heat = k.air_rate * mixed(c.neighbour[r, 0], c.neighbour[r, 1], part.recirculation, room2, after)
        if part.liquid:
            k1 = k.alpha + k.beta * k_room
            residual = mean_air[r] + inlet_heat - k.air_rate * after[r] - 2.0 * part.air_capacity * k1
            k.kc1 = k1
            k.alpha = residual / (part.air_capacity + s * k.air_out)
        else:
            rack_middle(m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], s, h, k.film_air, air[r], k_room, part, k)
            if d.slowed[r] > 0:
                correct_slowed(c, u, m, k, r, s, h)
            rack_close(s, h, k.air_rate, air[r], inlet_heat, 1.0, part, k, d.shelf[r])
        sum_x += k.air_out * after[r]
        sum_a += k.air_out * k.alpha
    taken2, _ = crah_heat(c, u, z, room2)
    k2_room = (sum_x - drawn * room2 - taken2 + fans - 2.0 * c.zone[z].capacity * k_room + s * sum_a) / diagonal
    past = 0
    total = 0.0
    for j in range(lo, hi):
        r = c.zone_idx[j]
        k = w.rack[r]
        if c.rack[r].liquid:
            k2 = k.alpha + k.beta * k2_room
            after[r] = air[r] + h * (1.5 * k.kc1 + 0.5 * k2)
            error = max(error, abs(0.5 * h * (k.kc1 + k2)))
            total += after[r]
        else:
            e, p, t = rack_backward(
                m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], s, h, air[r], k2_room, 1.0, c.rack[r], k, u.guard[r, 0],
                u.guard[r, 1],
            )  # fmt: skip
            if p > 0:
                p = count_past(m, c.tile0[r], c.tray0[r], c.tray0[r + 1], u.up, u.down)
            after[r] = k.new_fluid
            error = max(error, e)
            past += p
            total += t
    w.zone[z].zone_new = room + h * (1.5 * k_room + 0.5 * k2_room)
    error = max(error, abs(0.5 * h * (k_room + k2_room)))
    # where CRAHs reach a limit within the step their heat has a kink, and the result is no better than its estimate
    bend = abs(taken2 - taken1 - slope * (room2 - room))
    error = max(error, KINK * 0.5 * h * bend / c.zone[z].capacity)
    w.zone[z].step_crah = 0.5 * h * (taken1 + s * slope * k_room + taken2 + s * slope * k2_room)
    return error, past, total + w.zone[z].zone_new


@inline
def zone_begin(c: Constants, u: Inputs, x: State, d: Derived, w: Work, z: int, row: int) -> None:
    """Begin a stretch: rates of air, trays of air-cooled racks into tiles, meters of the stretch at nothing."""
    for j in range(c.zone_ptr[z], c.zone_ptr[z + 1]):
        r = c.zone_idx[j]
        k = w.rack[r]
        rate = rack_air_rate(c, u, r)
        k.air_rate = rate
        k.air_drawn = rate * (1.0 - neighbour_share(c, r))
        k.air_out = to_room(c, u, r)
        if not c.rack[r].liquid:
            k.film_air = film_conductance(c.rack[r].film, rate, c.rack[r].air_flow, c.rack[r].film_floor)
            load(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], x.td[row], x.tp[row], u.ir, d.law)
            rack_begin(w.m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], k, w.seen[r])
    w.zone[z].crah_joules = 0.0


@inline
def zone_accept(c: Constants, u: Inputs, x: State, d: Derived, w: Work, z: int, src: int, nxt: int, h: float) -> None:
    """Take the step that was tried as the state of row ``nxt``, and add its meters."""
    for j in range(c.zone_ptr[z], c.zone_ptr[z + 1]):
        r = c.zone_idx[j]
        k = w.rack[r]
        if not c.rack[r].liquid:
            if d.metered[r]:
                meter_trays(c, u, d, w, r, h)
            rack_accept(w.m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], x.ta[src, r], k, w.seen[r], h)
            k.rack_joules += k.step_rack
            k.air_joules += k.step_rack
        x.ta[nxt, r] = w.air_new[r]
    x.zone[nxt, z] = w.zone[z].zone_new
    w.zone[z].crah_joules += w.zone[z].step_crah


@inline
def zone_end(c: Constants, u: Inputs, x: State, d: Derived, w: Work, z: int, row: int) -> None:
    """End a stretch: trays of air-cooled racks out of tiles into row ``row``, and what the racks draw there."""
    for j in range(c.zone_ptr[z], c.zone_ptr[z + 1]):
        r = c.zone_idx[j]
        if not c.rack[r].liquid:
            unload(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], x.td[row], x.tp[row])
            w.rack_power[1, r] = power_at_end(c, u, d, w.m, r)


@inner
def mean_air_watts(w: Work, span: float, out: Floats) -> Floats:
    """Mean air heat [W] of every rack over a stretch, from its joules."""
    for r in range(out.size):
        out[r] = w.rack[r].air_joules / span
    return out
