"""One rack's share of a step, for whatever couples its fluid: a coolant loop or an air zone.

Wraps the tray kernel of :mod:`twin.plant.thermal` with the rack's electrical sums. Electrical power at the AC inlet is
``(Σ trays + overhead + c)/η``; what the trays do not turn into device or plate heat is loss and goes to fluid and air.
"""

from numba import njit

from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED, power_slope, slowed_clock, slowed_clock_slope, tray_power
from twin.plant.thermal import backward, forward, middle

# columns of Work.rack
SUM_X, SUM_B, W1, FILM1, ALPHA, BETA, KC1, DIAGONAL, Q1, PLATE1, AIR1, LOSS1, GK1, W2, FILM2, Q2, PLATE2, AIR2, LOSS2, FLUID2, NEWFLUID = range(21)  # fmt: skip


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
    for i in range(c.tray0[r], c.tray0[r + 1]):
        mode = u.mode[i]
        if dead or u.on[i] == 0 or mode == OFF:
            d.qd[i] = 0.0
            d.g[i] = 0.0
            d.qp[i] = 0.0
            continue
        t = x.td[src, i]
        f = tray_clock(
            mode, t, c.t_slow[r], c.release[r], c.slow_gain[r], c.slow_min[r], c.brake_clock[r], u.cap[i]
        )
        p = tray_power(c.idle[i], c.span[i], u.load[i], u.linear[i], f)
        slope = 0.0
        if mode == SLOWED:
            slowed += 1
            slope = power_slope(c.span[i], u.load[i], u.linear[i], f) * slowed_clock_slope(
                t, c.t_slow[r] - c.release[r], c.slow_gain[r], c.slow_min[r], u.cap[i]
            )
        if mode != NORMAL or u.cap[i] < 1.0:
            metered = 1
        d.g[i] = c.leak[i] + c.die_share[r] * slope
        d.qd[i] = c.die_share[r] * p + c.leak[i] * (t - c.leak_ref[r]) - d.g[i] * t
        d.qp[i] = c.plate_share[r] * p
        plate += d.qp[i]
        air += c.air_share[r] * p
    d.plate_sum[r] = plate
    d.air_sum[r] = air
    d.slowed[r] = slowed
    d.metered[r] = metered


@njit(cache=True)
def shelf_loss(c, d, r, trays_watts):
    """Overhead and conversion loss [W] of rack ``r``: all of its AC power that its trays do not take."""
    if d.powered[r] == 0.0:
        return 0.0
    eta = c.shelf_eta[r]
    return trays_watts * (1.0 / eta - 1.0) + (c.overhead[r] + c.shelf_fixed[r]) / eta


@njit(cache=True)
def rack_watts(c, x, d, r, src):
    """AC power [W] of rack ``r`` at row ``src``'s temperatures (its linear law must be present)."""
    total = d.plate_sum[r] + d.air_sum[r]
    for i in range(c.tray0[r], c.tray0[r + 1]):
        total += d.qd[i] + d.g[i] * x.td[src, i]
    return total + shelf_loss(c, d, r, total)


@njit(cache=True)
def rack_forward(c, u, x, d, w, r, src, s, film, capacity_rate, own_rate, inlet_rate, fluid, inlet_heat, to_fluid):
    """Stage-one elimination of a rack: leaves ``k_fluid = ALPHA + BETA k_inlet`` in its columns.

    film [W/K per tray]; capacity_rate W [W/K] of what leaves; own_rate and inlet_rate [W/K]: the parts of W that the
    method treats implicitly in the rack's fluid and in its inlet (both W in a loop); fluid [°C]; inlet_heat: W × inlet
    temperature [W]; to_fluid: share of shelf losses that the fluid takes. An air-cooled rack's fluid also takes the
    trays' air heat.
    """
    i0, i1 = c.tray0[r], c.tray0[r + 1]
    if d.slowed[r] > 0:
        linearise(c, u, x, d, r, src)
    sum_x, sum_b, sum_e, sum_q = forward(
        i0, i1, s, film, fluid, c.cd[r], c.cp[r], x.td[src], x.tp[src], c.ir, d.g, d.qd, d.qp, w.aa, w.bb, w.rd, w.bx
    )
    k = w.rack[r]
    trays_watts = sum_q + d.plate_sum[r] + d.air_sum[r]
    loss = shelf_loss(c, d, r, trays_watts)
    direct = to_fluid * loss + (0.0 if c.liquid[r] else d.air_sum[r])
    diagonal = c.fluid_capacity[r] + s * own_rate + s * (i1 - i0) * film - s * s * film * film * sum_b
    k[SUM_X] = sum_x
    k[SUM_B] = sum_b
    k[W1] = capacity_rate
    k[FILM1] = film
    k[DIAGONAL] = diagonal
    k[ALPHA] = (direct + inlet_heat - capacity_rate * fluid + sum_e + s * film * sum_x) / diagonal
    k[BETA] = s * inlet_rate / diagonal
    k[Q1] = sum_q
    k[PLATE1] = d.plate_sum[r]
    k[AIR1] = d.air_sum[r]
    k[LOSS1] = loss


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
        if u.mode[i] != SLOWED or u.on[i] == 0:
            continue
        t1 = x.td[src, i]
        t2 = t1 + h * w.kd[i]
        level = c.t_slow[r] - c.release[r]
        f1 = slowed_clock(t1, level, c.slow_gain[r], c.slow_min[r], u.cap[i])
        f2 = slowed_clock(t2, level, c.slow_gain[r], c.slow_min[r], u.cap[i])
        p1 = tray_power(c.idle[i], c.span[i], u.load[i], u.linear[i], f1)
        p2 = tray_power(c.idle[i], c.span[i], u.load[i], u.linear[i], f2)
        tangent = (d.g[i] - c.leak[i]) * (t2 - t1)
        device = c.die_share[r] * (p2 - p1) - tangent
        plate = c.plate_share[r] * (p2 - p1)
        w.rd[i] += device
        x_add = w.bb[i] * (plate + s * c.ir[i] * w.aa[i] * device)
        w.bx[i] += x_add
        add_x += x_add
        add_q += device
        add_p += plate
        add_a += c.air_share[r] * (p2 - p1)
    return add_x, add_q, add_p, add_a


@njit(cache=True)
def rack_middle(c, u, x, d, w, r, src, s, h, film2, capacity_rate2, fluid, k_inlet, inlet_heat2, to_fluid):
    """Back substitution of stage one and elimination of stage two; the columns then hold stage two's ALPHA."""
    i0, i1 = c.tray0[r], c.tray0[r + 1]
    k = w.rack[r]
    film = k[FILM1]
    k_fluid = k[ALPHA] + k[BETA] * k_inlet
    fluid2 = fluid + h * k_fluid
    sum_x, sum_e, sum_q, sum_gk = middle(
        i0, i1, s, h, film, film2, k_fluid, fluid2, c.cd[r], c.cp[r], x.td[src], x.tp[src], c.ir, d.g, d.qd, d.qp,
        w.aa, w.bb, w.rd, w.bx, w.kd, w.kp,
    )  # fmt: skip
    plate, air = k[PLATE1], k[AIR1]
    if d.slowed[r] > 0:
        add_x, add_q, add_p, add_a = _correct_slowed(c, u, x, d, w, r, src, s, h, film)
        sum_x += add_x
        sum_q += add_q
        plate += add_p
        air += add_a
    loss = shelf_loss(c, d, r, sum_q + plate + air)
    direct = to_fluid * loss + (0.0 if c.liquid[r] else air)
    residual = direct + inlet_heat2 - capacity_rate2 * fluid2 + sum_e - 2.0 * c.fluid_capacity[r] * k_fluid
    k[KC1] = k_fluid
    k[ALPHA] = (residual + s * film * sum_x) / k[DIAGONAL]
    k[GK1] = sum_gk
    k[W2] = capacity_rate2
    k[FLUID2] = fluid2
    k[Q2] = sum_q
    k[PLATE2] = plate
    k[AIR2] = air
    k[LOSS2] = loss


@njit(cache=True)
def rack_backward(c, u, x, d, w, r, src, s, h, fluid, k_inlet, to_fluid):
    """Back substitution of stage two. Writes new temperatures and the step's energies; returns error, past, total."""
    i0, i1 = c.tray0[r], c.tray0[r + 1]
    k = w.rack[r]
    k_fluid = k[ALPHA] + k[BETA] * k_inlet
    error, hottest, past, sum_gk, total = backward(
        i0, i1, s, h, k[FILM1], k_fluid, x.td[src], x.tp[src], c.ir, d.g, w.aa, w.bb, w.rd, w.bx, w.kd, w.kp,
        u.up, u.down, w.tdn, w.tpn,
    )  # fmt: skip
    new = fluid + h * (1.5 * k[KC1] + 0.5 * k_fluid)
    k[NEWFLUID] = new
    w.hottest[r] = hottest
    device = 0.5 * (k[Q1] + s * k[GK1] + k[Q2] + s * sum_gk)
    loss = 0.5 * (k[LOSS1] + k[LOSS2])
    air = 0.5 * (k[AIR1] + k[AIR2])
    w.step_rack[r] = h * (device + 0.5 * (k[PLATE1] + k[PLATE2]) + air + loss)
    w.step_air[r] = h * (air + (1.0 - to_fluid) * loss)
    return max(error, abs(0.5 * h * (k[KC1] + k_fluid))), past, total + new


@njit(cache=True)
def meter_trays(c, u, x, d, w, r, src, h):
    """Seconds of slowdown, braking and capping, and work lost, of a rack's busy trays over a step of ``h`` [s]."""
    for i in range(c.tray0[r], c.tray0[r + 1]):
        if u.busy[i] == 0 or u.on[i] == 0 or d.powered[r] == 0.0:
            continue
        mode = u.mode[i]
        if mode == NORMAL:
            if u.cap[i] < 1.0:
                w.cap_s[i] += h
                w.lag[i] += h * (1.0 - u.cap[i] ** u.beta[i])
            continue
        before = tray_clock(mode, x.td[src, i], c.t_slow[r], c.release[r], c.slow_gain[r], c.slow_min[r], c.brake_clock[r], u.cap[i])  # fmt: skip
        after = tray_clock(mode, w.tdn[i], c.t_slow[r], c.release[r], c.slow_gain[r], c.slow_min[r], c.brake_clock[r], u.cap[i])  # fmt: skip
        speed = 0.0 if mode == OFF else 0.5 * (before ** u.beta[i] + after ** u.beta[i])
        w.lag[i] += h * (1.0 - speed)
        w.slow_s[i] += h
        if mode == BRAKED:
            w.brake_s[i] += h
