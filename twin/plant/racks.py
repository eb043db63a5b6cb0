"""One rack's share of a step, for whatever couples its fluid: a coolant loop or an air zone.

Wraps the tray kernel of :mod:`twin.plant.thermal` with the rack's electrical sums. Electrical power at the AC inlet is
``(Σ trays + overhead + c)/η``; what the trays do not turn into device or plate heat is loss and goes to fluid and air.
"""

from typing import Any

from twin.plant.arrays import Constants, Derived, Floats, Inputs, State, Work
from twin.plant.compiled import inner
from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED, power_slope, slowed_clock, slowed_clock_slope, tray_power
from twin.plant.thermal import backward, forward, middle


@inner
def tray_clock(
    mode: int, temperature: float, t_slow: float, release: float, gain: float, lowest: float, brake: float, cap: float
) -> float:
    """Clock of a tray in a mode at a device temperature [°C]."""
    if mode == NORMAL:
        return cap
    if mode == SLOWED:
        return slowed_clock(temperature, t_slow - release, gain, lowest, cap)
    if mode == BRAKED:
        return min(cap, brake)
    return 0.0


@inner
def linearise(c: Constants, u: Inputs, x: State, d: Derived, r: int, src: int) -> None:
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


@inner
def shelf_loss(part: Any, shelf: float, trays_watts: float) -> float:
    """Overhead and conversion loss [W] of a rack (its record ``part``): all of its AC power that its trays do not take.

    shelf: 1 while the shelves draw, else 0.
    """
    if shelf == 0.0:
        return 0.0
    eta = part.shelf_eta
    return trays_watts * (1.0 / eta - 1.0) + (part.overhead + part.shelf_fixed) / eta


@inner
def rack_watts(c: Constants, x: State, d: Derived, r: int, src: int) -> float:
    """AC power [W] of rack ``r`` at row ``src``'s temperatures (its linear law must be present)."""
    total = d.plate_sum[r] + d.air_sum[r]
    for i in range(c.tray0[r], c.tray0[r + 1]):
        total += d.qd[i] + d.g[i] * x.td[src, i]
    return total + shelf_loss(c.rack[r], d.shelf[r], total)


# The three functions below take a rack's records (part, k = Work.rack) and plain arrays rather than the groups of
# arrays: they are called for every rack and stage, and a call copies everything that it is given.


@inner
def rack_forward(
    i0: int,
    i1: int,
    s: float,
    film: float,
    capacity_rate: float,
    own_rate: float,
    inlet_rate: float,
    fluid: float,
    inlet_heat: float,
    to_fluid: float,
    part: Any,
    k: Any,
    shelf: float,
    plate: float,
    air: float,
    td: Floats,
    tp: Floats,
    ir: Floats,
    g: Floats,
    qd: Floats,
    qp: Floats,
    aa: Floats,
    bb: Floats,
    rd: Floats,
    bx: Floats,
) -> None:
    """Stage-one elimination of a rack: leaves ``k_fluid = alpha + beta k_inlet`` in its record ``k``.

    film [W/K per tray]; capacity_rate W [W/K] of what leaves; own_rate and inlet_rate [W/K]: the parts of W that the
    method treats implicitly in the rack's fluid and in its inlet (both W in a loop); fluid [°C]; inlet_heat: W × inlet
    temperature [W]; to_fluid: share of shelf losses that the fluid takes; plate and air [W]: heats of all trays. An
    air-cooled rack's fluid also takes the trays' air heat. td … bx: by tray, as in :func:`twin.plant.thermal.forward`.
    """
    sum_x, sum_b, sum_e, sum_q = forward(
        i0, i1, s, film, fluid, part.cd, part.cp, td, tp, ir, g, qd, qp, aa, bb, rd, bx
    )
    loss = shelf_loss(part, shelf, sum_q + plate + air)
    direct = to_fluid * loss + (0.0 if part.liquid else air)
    diagonal = part.fluid_capacity + s * own_rate + s * (i1 - i0) * film - s * s * film * film * sum_b
    k.w1 = capacity_rate
    k.film1 = film
    k.diagonal = diagonal
    k.alpha = (direct + inlet_heat - capacity_rate * fluid + sum_e + s * film * sum_x) / diagonal
    k.beta = s * inlet_rate / diagonal
    k.q1 = sum_q
    k.plate1 = plate
    k.air1 = air
    k.loss1 = loss


@inner
def correct_slowed(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, r: int, src: int, s: float, h: float
) -> None:
    """Stage-two residuals of trays in software slowdown: the law at the new temperature against its tangent.

    Adds to the rack's sums of stage two: ΣB x, device heat, plate heat and air heat.
    """
    k = w.rack[r]
    part = c.rack[r]
    level = part.t_slow - part.release
    for i in range(c.tray0[r], c.tray0[r + 1]):
        if u.tray[i].mode != SLOWED or u.tray[i].on == 0:
            continue
        t1 = x.td[src, i]
        t2 = t1 + h * w.kd[i]
        f1 = slowed_clock(t1, level, part.slow_gain, part.slow_min, u.tray[i].cap)
        f2 = slowed_clock(t2, level, part.slow_gain, part.slow_min, u.tray[i].cap)
        p1 = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f1)
        p2 = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f2)
        device = part.die_share * (p2 - p1) - (d.g[i] - c.leak[i]) * (t2 - t1)
        plate = part.plate_share * (p2 - p1)
        w.rd[i] += device
        more = w.bb[i] * (plate + s * c.ir[i] * w.aa[i] * device)
        w.bx[i] += more
        k.sum_x += more
        k.q2 += device
        k.plate2 += plate
        k.air2 += part.air_share * (p2 - p1)


@inner
def rack_middle(
    i0: int,
    i1: int,
    s: float,
    h: float,
    film2: float,
    fluid: float,
    k_inlet: float,
    part: Any,
    k: Any,
    td: Floats,
    tp: Floats,
    ir: Floats,
    g: Floats,
    qd: Floats,
    qp: Floats,
    aa: Floats,
    bb: Floats,
    rd: Floats,
    bx: Floats,
    kd: Floats,
    kp: Floats,
) -> None:
    """Back substitution of stage one and elimination of stage two; its sums are left in the rack's record."""
    k_fluid = k.alpha + k.beta * k_inlet
    sum_x, sum_e, sum_q, sum_gk = middle(
        i0, i1, s, h, k.film1, film2, k_fluid, fluid + h * k_fluid, part.cd, part.cp, td, tp, ir, g, qd, qp,
        aa, bb, rd, bx, kd, kp,
    )  # fmt: skip
    k.kc1 = k_fluid
    k.sum_x = sum_x
    k.sum_e = sum_e
    k.gk1 = sum_gk
    k.q2 = sum_q
    k.plate2 = k.plate1
    k.air2 = k.air1


@inner
def rack_close(
    s: float,
    h: float,
    capacity_rate2: float,
    fluid: float,
    inlet_heat2: float,
    to_fluid: float,
    part: Any,
    k: Any,
    shelf: float,
) -> None:
    """Elimination of stage two, after its sums are complete: leaves its ``alpha`` in the rack's record."""
    loss = shelf_loss(part, shelf, k.q2 + k.plate2 + k.air2)
    direct = to_fluid * loss + (0.0 if part.liquid else k.air2)
    out = capacity_rate2 * (fluid + h * k.kc1)
    residual = direct + inlet_heat2 - out + k.sum_e - 2.0 * part.fluid_capacity * k.kc1
    k.alpha = (residual + s * k.film1 * k.sum_x) / k.diagonal
    k.loss2 = loss


@inner
def rack_backward(
    i0: int,
    i1: int,
    s: float,
    h: float,
    fluid: float,
    k_inlet: float,
    to_fluid: float,
    k: Any,
    td: Floats,
    tp: Floats,
    ir: Floats,
    g: Floats,
    aa: Floats,
    bb: Floats,
    rd: Floats,
    bx: Floats,
    kd: Floats,
    kp: Floats,
    up: Floats,
    down: Floats,
    tdn: Floats,
    tpn: Floats,
) -> tuple[float, int, float]:
    """Back substitution of stage two. Writes new temperatures and the step's energies; returns error, past, total."""
    k_fluid = k.alpha + k.beta * k_inlet
    error, hottest, past, sum_gk, total = backward(
        i0, i1, s, h, k.film1, k_fluid, td, tp, ir, g, aa, bb, rd, bx, kd, kp, up, down, tdn, tpn
    )
    new = fluid + h * (1.5 * k.kc1 + 0.5 * k_fluid)
    k.newfluid = new
    k.hottest = hottest
    device = 0.5 * (k.q1 + s * k.gk1 + k.q2 + s * sum_gk)
    loss = 0.5 * (k.loss1 + k.loss2)
    air = 0.5 * (k.air1 + k.air2)
    k.step_rack = h * (device + 0.5 * (k.plate1 + k.plate2) + air + loss)
    k.step_air = h * (air + (1.0 - to_fluid) * loss)
    return max(error, abs(0.5 * h * (k.kc1 + k_fluid))), past, total + new


@inner
def meter_trays(c: Constants, u: Inputs, x: State, d: Derived, w: Work, r: int, src: int, h: float) -> None:
    """Seconds of slowdown, braking and capping, and work lost, of a rack's busy trays over a step of ``h`` [s]."""
    k = c.rack[r]
    for i in range(c.tray0[r], c.tray0[r + 1]):
        if u.tray[i].busy == 0 or u.tray[i].on == 0 or d.powered[r] == 0.0:
            continue
        mode = u.tray[i].mode
        if mode == NORMAL:
            if u.tray[i].cap < 1.0:
                w.meter[i].cap_s += h
                w.meter[i].lag += h * (1.0 - u.tray[i].cap ** u.tray[i].beta)
            continue
        before = tray_clock(
            mode, x.td[src, i], k.t_slow, k.release, k.slow_gain, k.slow_min, k.brake_clock, u.tray[i].cap
        )
        after = tray_clock(mode, w.tdn[i], k.t_slow, k.release, k.slow_gain, k.slow_min, k.brake_clock, u.tray[i].cap)
        speed = 0.0 if mode == OFF else 0.5 * (before ** u.tray[i].beta + after ** u.tray[i].beta)
        w.meter[i].lag += h * (1.0 - speed)
        w.meter[i].slow_s += h
        if mode == BRAKED:
            w.meter[i].brake_s += h
