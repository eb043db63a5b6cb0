"""One rack's share of a step, for whatever couples its fluid: a coolant loop or an air zone.

Wraps the tray kernel of :mod:`twin.plant.thermal` with the rack's electrical sums. Electrical power at the AC inlet is
``(Σ trays + overhead + c)/η``; what the trays do not turn into device or plate heat is loss and goes to fluid and air.
"""

from numba import njit

from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED, power_slope, slowed_clock, slowed_clock_slope, tray_power
from twin.plant.thermal import backward, forward, middle


@njit(cache=True)
def tray_clock(mode, temperature, t_slow, release, gain, lowest, brake, cap):
    """Clock of a tray in a mode at a device temperature [°C]."""
    if mode == NORMAL:
        return cap
    if mode == SLOWED:
        return slowed_clock(temperature, t_slow - release, gain, lowest, cap)
    if mode == BRAKED:
        return min(cap, brake)
    return 0.0


@njit(cache=True)
def linearise(c, u, x, d, r, src):
    """Tray heats of rack ``r`` as linear laws of device temperature, exact at row ``src``'s temperatures."""
    plate = 0.0
    air = 0.0
    slowed = 0
    metered = 0
    dead = d.powered[r] == 0.0
    on = 0
    for i in range(c.tray0[r], c.tray0[r + 1]):
        mode = u.tray[i].mode
        if dead or u.tray[i].on == 0 or mode == OFF:
            d.qd[i] = 0.0
            d.g[i] = 0.0
            d.qp[i] = 0.0
            continue
        on += 1
        t = x.td[src, i]
        f = tray_clock(
            mode,
            t,
            c.rack[r].t_slow,
            c.rack[r].release,
            c.rack[r].slow_gain,
            c.rack[r].slow_min,
            c.rack[r].brake_clock,
            u.tray[i].cap,
        )
        p = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f)
        slope = 0.0
        if mode == SLOWED:
            slowed += 1
            slope = power_slope(c.span[i], u.tray[i].load, u.tray[i].linear, f) * slowed_clock_slope(
                t, c.rack[r].t_slow - c.rack[r].release, c.rack[r].slow_gain, c.rack[r].slow_min, u.tray[i].cap
            )
        if mode != NORMAL or u.tray[i].cap < 1.0:
            metered = 1
        d.g[i] = c.leak[i] + c.rack[r].die_share * slope
        d.qd[i] = c.rack[r].die_share * p + c.leak[i] * (t - c.rack[r].leak_ref) - d.g[i] * t
        d.qp[i] = c.rack[r].plate_share * p
        plate += d.qp[i]
        air += c.rack[r].air_share * p
    # a rack manager switches the shelves off with the last tray: nothing else guards the switches against heat
    d.shelf[r] = 1.0 if on > 0 else 0.0
    d.plate_sum[r] = plate
    d.air_sum[r] = air
    d.slowed[r] = slowed
    d.metered[r] = metered


@njit(cache=True)
def shelf_loss(c, d, r, trays_watts):
    """Overhead and conversion loss [W] of rack ``r``: all of its AC power that its trays do not take."""
    if d.shelf[r] == 0.0:
        return 0.0
    eta = c.rack[r].shelf_eta
    return trays_watts * (1.0 / eta - 1.0) + (c.rack[r].overhead + c.rack[r].shelf_fixed) / eta


@njit(cache=True)
def rack_watts(c, x, d, r, src):
    """AC power [W] of rack ``r`` at row ``src``'s temperatures (its linear law must be present)."""
    total = d.plate_sum[r] + d.air_sum[r]
    for i in range(c.tray0[r], c.tray0[r + 1]):
        total += d.qd[i] + d.g[i] * x.td[src, i]
    return total + shelf_loss(c, d, r, total)


@njit(cache=True)
def rack_forward(c, u, x, d, w, r, src, s, film, capacity_rate, own_rate, inlet_rate, fluid, inlet_heat, to_fluid):
    """Stage-one elimination of a rack: leaves ``k_fluid = alpha + beta k_inlet`` in its record.

    film [W/K per tray]; capacity_rate W [W/K] of what leaves; own_rate and inlet_rate [W/K]: the parts of W that the
    method treats implicitly in the rack's fluid and in its inlet (both W in a loop); fluid [°C]; inlet_heat: W × inlet
    temperature [W]; to_fluid: share of shelf losses that the fluid takes. An air-cooled rack's fluid also takes the
    trays' air heat.
    """
    i0, i1 = c.tray0[r], c.tray0[r + 1]
    if d.slowed[r] > 0:
        linearise(c, u, x, d, r, src)
    sum_x, sum_b, sum_e, sum_q = forward(
        i0,
        i1,
        s,
        film,
        fluid,
        c.rack[r].cd,
        c.rack[r].cp,
        x.td[src],
        x.tp[src],
        c.ir,
        d.g,
        d.qd,
        d.qp,
        w.aa,
        w.bb,
        w.rd,
        w.bx,
    )
    k = w.rack[r]
    trays_watts = sum_q + d.plate_sum[r] + d.air_sum[r]
    loss = shelf_loss(c, d, r, trays_watts)
    direct = to_fluid * loss + (0.0 if c.rack[r].liquid else d.air_sum[r])
    diagonal = c.rack[r].fluid_capacity + s * own_rate + s * (i1 - i0) * film - s * s * film * film * sum_b
    k.sum_x = sum_x
    k.sum_b = sum_b
    k.w1 = capacity_rate
    k.film1 = film
    k.diagonal = diagonal
    k.alpha = (direct + inlet_heat - capacity_rate * fluid + sum_e + s * film * sum_x) / diagonal
    k.beta = s * inlet_rate / diagonal
    k.q1 = sum_q
    k.plate1 = d.plate_sum[r]
    k.air1 = d.air_sum[r]
    k.loss1 = loss


@njit(cache=True)
def _correct_slowed(c, u, x, d, w, r, src, s, h, film):
    """Stage-two residuals of trays in software slowdown: the law at the new temperature against its tangent.

    Returns what is added to ΣB x, to Σ device heat, to Σ plate heat and to Σ air heat.
    """
    add_x = 0.0
    add_q = 0.0
    add_p = 0.0
    add_a = 0.0
    for i in range(c.tray0[r], c.tray0[r + 1]):
        if u.tray[i].mode != SLOWED or u.tray[i].on == 0:
            continue
        t1 = x.td[src, i]
        t2 = t1 + h * w.kd[i]
        level = c.rack[r].t_slow - c.rack[r].release
        f1 = slowed_clock(t1, level, c.rack[r].slow_gain, c.rack[r].slow_min, u.tray[i].cap)
        f2 = slowed_clock(t2, level, c.rack[r].slow_gain, c.rack[r].slow_min, u.tray[i].cap)
        p1 = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f1)
        p2 = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f2)
        tangent = (d.g[i] - c.leak[i]) * (t2 - t1)
        device = c.rack[r].die_share * (p2 - p1) - tangent
        plate = c.rack[r].plate_share * (p2 - p1)
        w.rd[i] += device
        x_add = w.bb[i] * (plate + s * c.ir[i] * w.aa[i] * device)
        w.bx[i] += x_add
        add_x += x_add
        add_q += device
        add_p += plate
        add_a += c.rack[r].air_share * (p2 - p1)
    return add_x, add_q, add_p, add_a


@njit(cache=True)
def rack_middle(c, u, x, d, w, r, src, s, h, film2, capacity_rate2, fluid, k_inlet, inlet_heat2, to_fluid):
    """Back substitution of stage one and elimination of stage two; its record then holds stage two's alpha."""
    i0, i1 = c.tray0[r], c.tray0[r + 1]
    k = w.rack[r]
    film = k.film1
    k_fluid = k.alpha + k.beta * k_inlet
    fluid2 = fluid + h * k_fluid
    sum_x, sum_e, sum_q, sum_gk = middle(
        i0, i1, s, h, film, film2, k_fluid, fluid2, c.rack[r].cd, c.rack[r].cp, x.td[src], x.tp[src], c.ir, d.g, d.qd, d.qp,
        w.aa, w.bb, w.rd, w.bx, w.kd, w.kp,
    )  # fmt: skip
    plate, air = k.plate1, k.air1
    if d.slowed[r] > 0:
        add_x, add_q, add_p, add_a = _correct_slowed(c, u, x, d, w, r, src, s, h, film)
        sum_x += add_x
        sum_q += add_q
        plate += add_p
        air += add_a
    loss = shelf_loss(c, d, r, sum_q + plate + air)
    direct = to_fluid * loss + (0.0 if c.rack[r].liquid else air)
    residual = direct + inlet_heat2 - capacity_rate2 * fluid2 + sum_e - 2.0 * c.rack[r].fluid_capacity * k_fluid
    k.kc1 = k_fluid
    k.alpha = (residual + s * film * sum_x) / k.diagonal
    k.gk1 = sum_gk
    k.q2 = sum_q
    k.plate2 = plate
    k.air2 = air
    k.loss2 = loss


@njit(cache=True)
def rack_backward(c, u, x, d, w, r, src, s, h, fluid, k_inlet, to_fluid):
    """Back substitution of stage two. Writes new temperatures and the step's energies; returns error, past, total."""
    i0, i1 = c.tray0[r], c.tray0[r + 1]
    k = w.rack[r]
    k_fluid = k.alpha + k.beta * k_inlet
    error, hottest, past, sum_gk, total = backward(
        i0, i1, s, h, k.film1, k_fluid, x.td[src], x.tp[src], c.ir, d.g, w.aa, w.bb, w.rd, w.bx, w.kd, w.kp,
        u.up, u.down, w.tdn, w.tpn,
    )  # fmt: skip
    new = fluid + h * (1.5 * k.kc1 + 0.5 * k_fluid)
    k.newfluid = new
    w.rack[r].hottest = hottest
    device = 0.5 * (k.q1 + s * k.gk1 + k.q2 + s * sum_gk)
    loss = 0.5 * (k.loss1 + k.loss2)
    air = 0.5 * (k.air1 + k.air2)
    w.rack[r].step_rack = h * (device + 0.5 * (k.plate1 + k.plate2) + air + loss)
    w.rack[r].step_air = h * (air + (1.0 - to_fluid) * loss)
    return max(error, abs(0.5 * h * (k.kc1 + k_fluid))), past, total + new


@njit(cache=True)
def meter_trays(c, u, x, d, w, r, src, h):
    """Seconds of slowdown, braking and capping, and work lost, of a rack's busy trays over a step of ``h`` [s]."""
    for i in range(c.tray0[r], c.tray0[r + 1]):
        if u.tray[i].busy == 0 or u.tray[i].on == 0 or d.powered[r] == 0.0:
            continue
        mode = u.tray[i].mode
        if mode == NORMAL:
            if u.tray[i].cap < 1.0:
                w.meter[i].cap_s += h
                w.meter[i].lag += h * (1.0 - u.tray[i].cap ** u.tray[i].beta)
            continue
        before = tray_clock(mode, x.td[src, i], c.rack[r].t_slow, c.rack[r].release, c.rack[r].slow_gain, c.rack[r].slow_min, c.rack[r].brake_clock, u.tray[i].cap)  # fmt: skip
        after = tray_clock(mode, w.tdn[i], c.rack[r].t_slow, c.rack[r].release, c.rack[r].slow_gain, c.rack[r].slow_min, c.rack[r].brake_clock, u.tray[i].cap)  # fmt: skip
        speed = 0.0 if mode == OFF else 0.5 * (before ** u.tray[i].beta + after ** u.tray[i].beta)
        w.meter[i].lag += h * (1.0 - speed)
        w.meter[i].slow_s += h
        if mode == BRAKED:
            w.meter[i].brake_s += h
