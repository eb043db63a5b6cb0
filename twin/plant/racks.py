"""One rack's share of a step, for whatever couples its fluid: a coolant loop or an air zone.

Wraps the tray kernel of :mod:`twin.plant.thermal` with the rack's electrical sums. Electrical power at the AC inlet is
``(Σ trays + overhead + c)/η``; what the trays do not turn into device or plate heat is loss and goes to fluid and air.
"""

from typing import Any

import numpy as np

from twin.plant.arrays import Constants, Derived, Floats, Inputs, Work
from twin.plant.compiled import inner
from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED, power_slope, slowed_clock, slowed_clock_slope, tray_power
from twin.plant.thermal import backward, forward, middle
from twin.plant.tiles import BB, INV, IR, KD, QD, QP, RD, RY, TD, TDN, G, accept, device_heat, largest, place


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
def linearise(c: Constants, u: Inputs, d: Derived, m: Floats, r: int) -> None:
    """Tray heats of rack ``r`` as linear laws of device temperature, exact at the temperatures in its tiles ``m``."""
    plate = 0.0
    air = 0.0
    slowed = 0
    metered = 0
    dead = d.powered[r] == 0.0
    on = 0
    i0 = c.tray0[r]
    k = c.rack[r]
    for i in range(i0, c.tray0[r + 1]):
        o = place(c.tile0[r], i - i0)
        mode = u.tray[i].mode
        m[o + IR] = u.ir[i]
        if dead or u.tray[i].on == 0 or mode == OFF:
            m[o + QD] = 0.0
            m[o + G] = 0.0
            m[o + QP] = 0.0
            continue
        on += 1
        t = m[o + TD]
        f = tray_clock(mode, t, k.t_slow, k.release, k.slow_gain, k.slow_min, k.brake_clock, u.tray[i].cap)
        p = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f)
        slope = 0.0
        if mode == SLOWED:
            slowed += 1
            slope = power_slope(c.span[i], u.tray[i].load, u.tray[i].linear, f) * slowed_clock_slope(
                t, k.t_slow - k.release, k.slow_gain, k.slow_min, u.tray[i].cap
            )
        if mode != NORMAL or u.tray[i].cap < 1.0:
            metered = 1
        g = c.leak[i] + k.die_share * slope
        m[o + G] = g
        m[o + QD] = k.die_share * p + c.leak[i] * (t - k.leak_ref) - g * t
        m[o + QP] = k.plate_share * p
        plate += k.plate_share * p
        air += k.air_share * p
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
    return shelf * (trays_watts * part.loss_share + part.loss_fixed)


@inner
def rack_watts(c: Constants, d: Derived, m: Floats, r: int) -> float:
    """AC power [W] of rack ``r`` at the temperatures in its tiles (its linear law must be present)."""
    total = d.plate_sum[r] + d.air_sum[r] + device_heat(m, c.tile0[r], c.tray0[r + 1] - c.tray0[r])
    return total + shelf_loss(c.rack[r], d.shelf[r], total)


@inner
def power_at_end(c: Constants, u: Inputs, d: Derived, m: Floats, r: int) -> float:
    """AC power [W] of rack ``r`` at the temperatures in its tiles, with the laws of slowed trays taken there."""
    if d.slowed[r] > 0:
        linearise(c, u, d, m, r)
    return rack_watts(c, d, m, r)


# The functions below take a rack's records (part = Constants.rack[r], k = Work.rack[r]) and its tiles rather than the
# groups of arrays: they are called for every rack and stage, and a call copies everything that it is given.


@inner
def rack_forward(
    m: Floats,
    first: int,
    trays: int,
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
) -> None:
    """Stage-one elimination of a rack: leaves ``k_fluid = alpha + beta k_inlet`` in its record ``k``.

    film [W/K per tray]; capacity_rate W [W/K] of what leaves; own_rate and inlet_rate [W/K]: the parts of W that the
    method treats implicitly in the rack's fluid and in its inlet (both W in a loop); fluid [°C]; inlet_heat: W × inlet
    temperature [W]; to_fluid: share of shelf losses that the fluid takes; plate and air [W]: heats of all trays. An
    air-cooled rack's fluid also takes the trays' air heat.
    """
    sum_x, sum_b, sum_e, sum_q = forward(m, first, trays, s, film, fluid, part.cd, part.cp)
    loss = shelf_loss(part, shelf, sum_q + plate + air)
    direct = to_fluid * loss + (0.0 if part.liquid else air)
    diagonal = part.fluid_capacity + s * own_rate + s * trays * film - s * s * film * film * sum_b
    k.film1 = film
    over = 1.0 / diagonal
    k.over = over
    k.alpha = (direct + inlet_heat - capacity_rate * fluid + sum_e + s * film * sum_x) * over
    k.beta = s * inlet_rate * over
    k.q1 = sum_q
    k.plate1 = plate
    k.air1 = air
    k.loss1 = loss


@inner
def correct_slowed(c: Constants, u: Inputs, m: Floats, k: Any, r: int, s: float, h: float) -> None:
    """Stage-two residuals of trays in software slowdown: the law at the new temperature against its tangent.

    Adds to the sums of stage two in the rack's record ``k``: Σ k_p, device heat, plate heat and air heat.
    """
    part = c.rack[r]
    level = part.t_slow - part.release
    i0 = c.tray0[r]
    for i in range(i0, c.tray0[r + 1]):
        if u.tray[i].mode != SLOWED or u.tray[i].on == 0:
            continue
        o = place(c.tile0[r], i - i0)
        t1 = m[o + TD]
        t2 = t1 + h * m[o + KD]
        f1 = slowed_clock(t1, level, part.slow_gain, part.slow_min, u.tray[i].cap)
        f2 = slowed_clock(t2, level, part.slow_gain, part.slow_min, u.tray[i].cap)
        p1 = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f1)
        p2 = tray_power(c.idle[i], c.span[i], u.tray[i].load, u.tray[i].linear, f2)
        device = part.die_share * (p2 - p1) - (m[o + G] - c.leak[i]) * (t2 - t1)
        plate = part.plate_share * (p2 - p1)
        m[o + RD] += device
        m[o + RY] += plate
        k.sum_x += m[o + BB] * plate + s * m[o + IR] * m[o + INV] * device
        k.q2 += device
        k.plate2 += plate
        k.air2 += part.air_share * (p2 - p1)


@inner
def rack_middle(
    m: Floats,
    first: int,
    trays: int,
    s: float,
    h: float,
    film2: float,
    fluid: float,
    k_inlet: float,
    part: Any,
    k: Any,
) -> None:
    """Back substitution of stage one and elimination of stage two; its sums are left in the rack's record."""
    k_fluid = k.alpha + k.beta * k_inlet
    sum_x, sum_e, sum_q, sum_gk = middle(
        m, first, trays, s, h, k.film1, film2, k_fluid, fluid + h * k_fluid, part.cd, part.cp
    )
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
    k.alpha = (residual + s * k.film1 * k.sum_x) * k.over
    k.loss2 = loss


@inner
def rack_backward(
    m: Floats,
    first: int,
    trays: int,
    s: float,
    h: float,
    fluid: float,
    k_inlet: float,
    to_fluid: float,
    part: Any,
    k: Any,
    up: float,
    down: float,
) -> tuple[float, int, float]:
    """Back substitution of stage two. Leaves new temperatures and the step's energies; returns error, past, total.

    past: devices that are not between ``down`` and ``up`` [°C], which no guard level of the rack's lies between.
    """
    k_fluid = k.alpha + k.beta * k_inlet
    past, sum_gk, total = backward(m, first, trays, s, h, k.film1, k_fluid, part.cp, up, down)
    error = largest(m, first, trays, RY)
    new = fluid + h * (1.5 * k.kc1 + 0.5 * k_fluid)
    k.new_fluid = new
    device = 0.5 * (k.q1 + s * k.gk1 + k.q2 + s * sum_gk)
    loss = 0.5 * (k.loss1 + k.loss2)
    air = 0.5 * (k.air1 + k.air2)
    k.step_rack = h * (device + 0.5 * (k.plate1 + k.plate2) + air + loss)
    k.step_air = h * (air + (1.0 - to_fluid) * loss)
    return max(error, abs(0.5 * h * (k.kc1 + k_fluid))), past, total + new


@inner
def meter_trays(c: Constants, u: Inputs, d: Derived, w: Work, r: int, h: float) -> None:
    """Seconds of slowdown, braking and capping, and work lost, of a rack's busy trays over a step of ``h`` [s]."""
    k = c.rack[r]
    i0 = c.tray0[r]
    for i in range(i0, c.tray0[r + 1]):
        if u.tray[i].busy == 0 or u.tray[i].on == 0 or d.powered[r] == 0.0:
            continue
        mode = u.tray[i].mode
        if mode == NORMAL:
            if u.tray[i].cap < 1.0:
                w.meter[i].cap_s += h
                w.meter[i].lag += h * (1.0 - u.tray[i].cap ** u.tray[i].beta)
            continue
        o = place(c.tile0[r], i - i0)
        cap = u.tray[i].cap
        before = tray_clock(mode, w.m[o + TD], k.t_slow, k.release, k.slow_gain, k.slow_min, k.brake_clock, cap)
        after = tray_clock(mode, w.m[o + TDN], k.t_slow, k.release, k.slow_gain, k.slow_min, k.brake_clock, cap)
        speed = 0.0 if mode == OFF else 0.5 * (before ** u.tray[i].beta + after ** u.tray[i].beta)
        w.meter[i].lag += h * (1.0 - speed)
        w.meter[i].slow_s += h
        if mode == BRAKED:
            w.meter[i].brake_s += h


@inner
def clear(seen: Floats) -> None:
    """Empty the minimum, maximum and integral of two signals, shape (3, 2)."""
    for signal in range(2):
        seen[0, signal] = np.inf
        seen[1, signal] = -np.inf
        seen[2, signal] = 0.0


@inner
def see(seen: Floats, signal: int, before: float, after: float, h: float) -> None:
    """Add one step of a signal to its minimum, maximum and integral."""
    seen[0, signal] = min(seen[0, signal], before, after)
    seen[1, signal] = max(seen[1, signal], before, after)
    seen[2, signal] += 0.5 * h * (before + after)


@inner
def keep_seen(seen: Floats, kept: Floats) -> None:
    """Copy minimum, maximum and integral of two signals."""
    for i in range(3):
        for signal in range(2):
            kept[i, signal] = seen[i, signal]


@inner
def add_seen(seen: Floats, more: Floats) -> None:
    """Add minimum, maximum and integral of two signals that were seen before."""
    for signal in range(2):
        seen[0, signal] = min(seen[0, signal], more[0, signal])
        seen[1, signal] = max(seen[1, signal], more[1, signal])
        seen[2, signal] += more[2, signal]


@inner
def rack_begin(m: Floats, first: int, trays: int, k: Any, seen: Floats) -> None:
    """Forget the meters of the last stretch, and note the hottest device."""
    k.hottest = largest(m, first, trays, TD)
    k.rack_joules = 0.0
    k.air_joules = 0.0
    clear(seen)


@inner
def rack_accept(m: Floats, first: int, trays: int, fluid: float, k: Any, seen: Floats, h: float) -> None:
    """Take a rack's step that was tried: tiles, and what was seen of its hottest device and its fluid."""
    hottest = largest(m, first, trays, TDN)
    see(seen, 0, k.hottest, hottest, h)
    see(seen, 1, fluid, k.new_fluid, h)
    k.hottest = hottest
    accept(m, first, trays)
