"""One coolant loop through a stretch of time, in steps of its own.

States besides the racks': supply and return volumes, facility valve and its PI integrator, pump speeds and their PI
integrator. ``C_s dT_s/dt = W (T_r − T_s) − ε Cmin (T_r − T_f) + P_pump``, ``C_r dT_r/dt = Σ W_r T_c − W T_r``.
Facility water enters as a straight line over the stretch.
"""

from math import isfinite, sqrt

import numpy as np

from twin.plant.arrays import Constants, Derived, Floats, Inputs, Ints, State, Work
from twin.plant.compiled import inner, kernel
from twin.plant.coolant import exchanger_heat_per_kelvin, film_conductance
from twin.plant.fluids import pg25_volumetric_heat
from twin.plant.pumps import controller, pump_rates, pump_solve, pump_watts, solve_flows
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

VALVE_WEIGHT = 2.0  # K of step error for a unit of facility valve
SPEED_WEIGHT = 20.0  # K of step error for a unit of pump speed
SHORTEST = 1e-4  # s


@inner
def _film(c: Constants, r: int, flow: float) -> float:
    """Film conductance [W/K] of one tray of rack ``r`` at the rack's ``flow`` [m³/s]."""
    k = c.rack[r]
    return film_conductance(k.film, flow, k.nominal_flow, k.film_floor)


@kernel
def loop_step(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, src: int, h: float, water0: float, water1: float
) -> tuple[float, int, float]:
    """Try one step of ``h`` [s] from row ``src`` into the scratch. Returns error [K], devices past a guard, a sum."""
    s = GAMMA * h
    cdu = c.loop[loop]
    lo, hi = c.loop_ptr[loop], c.loop_ptr[loop + 1]
    td, tp = x.td[src], x.tp[src]
    supply, ret, valve, integral = (
        x.loop[src, loop, 0],
        x.loop[src, loop, 1],
        x.loop[src, loop, 2],
        x.loop[src, loop, 3],
    )
    main = cdu.main * u.loop[loop].main_factor
    error = 0.0

    # pumps: flows of both stages and of the end
    moving = x.rest[src, loop] == 0
    flow1 = x.flow[src]
    speeds = x.speed[src, loop]
    pressure1 = x.pressure[src, loop, 1]
    pressure2 = pressure1
    total1 = 0.0
    for j in range(lo, hi):
        total1 += flow1[c.loop_idx[j]]
    total2 = total1
    flow2 = flow1
    w.loop[loop].rest_new = x.rest[src, loop]
    w.pressure_new[loop, 0] = x.pressure[src, loop, 0]
    w.pressure_new[loop, 1] = pressure1
    for k in range(cdu.pumps):
        w.speed_new[loop, k] = speeds[k]
    if moving:
        n = cdu.pumps
        rates = np.empty(n)
        k1 = np.empty(n)
        k2 = np.empty(n)
        stage = np.empty(n)
        pi = x.pressure[src, loop, 0]
        nudged = np.empty(n)
        for k in range(n):
            nudged[k] = speeds[k] * 1.0001 + 1e-9
        top, _ = solve_flows(c, u, d, loop, nudged, pressure1, w.flow2)
        fastest = 0.0
        for k in range(n):
            fastest = max(fastest, speeds[k])
        slope = (top - pressure1) / (1e-4 * fastest + 1e-9)
        rate_i, free = pump_rates(c, u, loop, speeds, pi, pressure1, rates)
        biggest = abs(rate_i)
        for k in range(n):
            biggest = max(biggest, abs(rates[k]))
        ki1 = pump_solve(c, u, loop, s, slope, free, rates, rate_i, k1)
        for k in range(n):
            stage[k] = max(0.0, speeds[k] + h * k1[k])
        pressure2, total2 = solve_flows(c, u, d, loop, stage, pressure1, w.flow2)
        flow2 = w.flow2
        rate_i, _ = pump_rates(c, u, loop, stage, pi + h * ki1, pressure2, rates)
        for k in range(n):
            rates[k] -= 2.0 * k1[k]
        ki2 = pump_solve(c, u, loop, s, slope, free, rates, rate_i - 2.0 * ki1, k2)
        for k in range(n):
            w.speed_new[loop, k] = max(0.0, speeds[k] + h * (1.5 * k1[k] + 0.5 * k2[k]))
            error = max(error, SPEED_WEIGHT * abs(0.5 * h * (k1[k] + k2[k])))
        error = max(error, SPEED_WEIGHT * abs(0.5 * h * (ki1 + ki2)))
        w.pressure_new[loop, 0] = pi + h * (1.5 * ki1 + 0.5 * ki2)
        w.pressure_new[loop, 1], _ = solve_flows(c, u, d, loop, w.speed_new[loop], pressure2, w.flow_new)
        w.loop[loop].rest_new = 1 if biggest < 1e-8 else 0

    # stage one
    heat1 = pg25_volumetric_heat(0.5 * (supply + ret))
    big1 = total1 * heat1
    sum_wc = 0.0
    sum_wa = 0.0
    sum_wb = 0.0
    for j in range(lo, hi):
        r = c.loop_idx[j]
        rate = flow1[r] * heat1
        film = _film(c, r, flow1[r]) if moving else d.film[r]
        if d.slowed[r] > 0:
            linearise(c, u, x, d, r, src)
        rack_forward(
            c.tray0[r], c.tray0[r + 1], s, film, rate, rate, rate, x.tc[src, r], rate * supply,
            c.rack[r].overhead_liquid, c.rack[r], w.rack[r], d.shelf[r], d.plate_sum[r], d.air_sum[r],
            td, tp, c.ir, d.g, d.qd, d.qp, w.aa, w.bb, w.rd, w.bx,
        )  # fmt: skip
        sum_wc += rate * x.tc[src, r]
        sum_wa += rate * w.rack[r].alpha
        sum_wb += rate * w.rack[r].beta
    nominal2 = cdu.hx_flow2
    water_flow = nominal2 * u.loop[loop].water_factor
    per_kelvin = exchanger_heat_per_kelvin(
        total1, big1, cdu.hx_flow1, cdu.hx1, valve * water_flow, nominal2, cdu.hx2, u.loop[loop].fouling
    )
    opened = exchanger_heat_per_kelvin(
        total1,
        big1,
        cdu.hx_flow1,
        cdu.hx1,
        (valve + 1e-5) * water_flow,
        nominal2,
        cdu.hx2,
        u.loop[loop].fouling,
    )
    by_return = per_kelvin
    by_valve = (opened - per_kelvin) / 1e-5 * (ret - water0)
    heat_out1 = per_kelvin * (ret - water0)
    pump1 = pump_watts(c, loop, total1, speeds, pressure1, main)
    raw, command, free = controller(u.loop[loop].supply_set, supply, cdu.t_gain, integral, cdu.valve_min, -1.0)
    f_supply = big1 * (ret - supply) - heat_out1 + pump1
    f_return = sum_wc - big1 * ret
    f_valve = (command - valve) / cdu.valve_time
    f_integral = (cdu.t_gain * (supply - u.loop[loop].supply_set) + (command - raw)) / cdu.t_time
    v = s / cdu.valve_time
    q = s / cdu.t_time
    i1 = free * q * cdu.t_gain / (1.0 + (1.0 - free) * q)
    idiv = 1.0 / (1.0 + (1.0 - free) * q)
    v1 = v * free * (cdu.t_gain + i1) / (1.0 + v)
    r1 = s * sum_wb / (cdu.return_capacity + s * big1)
    across = s * by_return - s * big1
    diagonal = cdu.supply_capacity + s * big1 + across * r1 + s * by_valve * v1
    i0 = f_integral * idiv
    v0 = (f_valve + v * free * i0) / (1.0 + v)
    r0 = (f_return + s * sum_wa) / (cdu.return_capacity + s * big1)
    k_supply = (f_supply - across * r0 - s * by_valve * v0) / diagonal
    k_return = r0 + r1 * k_supply
    k_valve = v0 + v1 * k_supply
    k_integral = i0 + i1 * k_supply

    # stage two
    supply2 = supply + h * k_supply
    ret2 = ret + h * k_return
    valve2 = min(1.0, max(0.0, valve + h * k_valve))
    heat2 = pg25_volumetric_heat(0.5 * (supply2 + ret2))
    big2 = total2 * heat2
    sum_wc = 0.0
    sum_wa = 0.0
    for j in range(lo, hi):
        r = c.loop_idx[j]
        rate = flow2[r] * heat2
        film = _film(c, r, flow2[r]) if moving else d.film[r]
        rack_middle(
            c.tray0[r], c.tray0[r + 1], s, h, film, x.tc[src, r], k_supply, c.rack[r], w.rack[r],
            td, tp, c.ir, d.g, d.qd, d.qp, w.aa, w.bb, w.rd, w.bx, w.kd, w.kp,
        )  # fmt: skip
        if d.slowed[r] > 0:
            correct_slowed(c, u, x, d, w, r, src, s, h)
        rack_close(
            s, h, rate, x.tc[src, r], rate * supply2, c.rack[r].overhead_liquid, c.rack[r], w.rack[r], d.shelf[r]
        )
        sum_wc += rate * (x.tc[src, r] + h * w.rack[r].kc1)
        sum_wa += w.rack[r].w1 * w.rack[r].alpha
    heat_out2 = exchanger_heat_per_kelvin(
        total2, big2, cdu.hx_flow1, cdu.hx1, valve2 * water_flow, nominal2, cdu.hx2, u.loop[loop].fouling
    ) * (ret2 - water1)
    pump2 = pump_watts(c, loop, total2, speeds, pressure2, main)
    integral2 = integral + h * k_integral
    raw, command, _ = controller(u.loop[loop].supply_set, supply2, cdu.t_gain, integral2, cdu.valve_min, -1.0)
    f_supply = big2 * (ret2 - supply2) - heat_out2 + pump2 - 2.0 * cdu.supply_capacity * k_supply
    f_return = sum_wc - big2 * ret2 - 2.0 * cdu.return_capacity * k_return
    f_valve = (command - valve2) / cdu.valve_time - 2.0 * k_valve
    f_integral = (cdu.t_gain * (supply2 - u.loop[loop].supply_set) + (command - raw)) / c.loop[
        loop
    ].t_time - 2.0 * k_integral
    i0 = f_integral * idiv
    v0 = (f_valve + v * free * i0) / (1.0 + v)
    r0 = (f_return + s * sum_wa) / (cdu.return_capacity + s * big1)
    k2_supply = (f_supply - across * r0 - s * by_valve * v0) / diagonal
    k2_return = r0 + r1 * k2_supply
    k2_valve = v0 + v1 * k2_supply
    k2_integral = i0 + i1 * k2_supply

    # the end
    past = 0
    total = 0.0
    for j in range(lo, hi):
        r = c.loop_idx[j]
        e, p, t = rack_backward(
            c.tray0[r], c.tray0[r + 1], s, h, x.tc[src, r], k2_supply, c.rack[r].overhead_liquid, w.rack[r],
            td, tp, c.ir, d.g, w.aa, w.bb, w.rd, w.bx, w.kd, w.kp, u.up, u.down, w.tdn, w.tpn,
        )  # fmt: skip
        error = max(error, e)
        past += p
        total += t
        w.rack[r].tcn = w.rack[r].newfluid
    error = max(error, abs(0.5 * h * (k_supply + k2_supply)), abs(0.5 * h * (k_return + k2_return)))
    error = max(error, VALVE_WEIGHT * abs(0.5 * h * (k_valve + k2_valve)))
    error = max(error, VALVE_WEIGHT * abs(0.5 * h * (k_integral + k2_integral)))
    w.loop_new[loop, 0] = supply + h * (1.5 * k_supply + 0.5 * k2_supply)
    w.loop_new[loop, 1] = ret + h * (1.5 * k_return + 0.5 * k2_return)
    w.loop_new[loop, 2] = min(1.0, max(0.0, valve + h * (1.5 * k_valve + 0.5 * k2_valve)))
    w.loop_new[loop, 3] = integral + h * (1.5 * k_integral + 0.5 * k2_integral)
    gradient1 = by_return * k_return + by_valve * k_valve
    gradient2 = by_return * k2_return + by_valve * k2_valve
    w.loop[loop].step_hx = 0.5 * h * (heat_out1 + s * gradient1 + heat_out2 + s * gradient2)
    w.loop[loop].step_pump = 0.5 * h * (pump1 + pump2)
    return error, past, total + w.loop_new[loop, 0] + w.loop_new[loop, 1]


@inner
def _sample(x: State, c: Constants, w: Work, loop: int, src: int, t0: float, t1: float, first: int) -> int:
    """Interpolate device, return and supply temperatures at sample times in (t0, t1]. Returns the next index."""
    index = first
    while index < w.sample_n[0] and w.sample_time[index] <= t1:
        f = (w.sample_time[index] - t0) / (t1 - t0)
        for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
            r = c.loop_idx[j]
            before = -1e300
            for i in range(c.tray0[r], c.tray0[r + 1]):
                before = max(before, x.td[src, i])
            w.sample_device[index, r] = before + f * (w.rack[r].hottest - before)
            w.sample_return[index, r] = x.tc[src, r] + f * (w.rack[r].tcn - x.tc[src, r])
        w.sample_supply[index, loop] = x.loop[src, loop, 0] + f * (w.loop_new[loop, 0] - x.loop[src, loop, 0])
        index += 1
    return index


@inner
def see(seen: Floats, r: int, signal: int, before: float, after: float, h: float) -> None:
    """Add one step of a signal to its minimum, maximum and integral."""
    seen[r, 0, signal] = min(seen[r, 0, signal], before, after)
    seen[r, 1, signal] = max(seen[r, 1, signal], before, after)
    seen[r, 2, signal] += 0.5 * h * (before + after)


@inner
def clear_rack(c: Constants, d: Derived, w: Work, r: int) -> None:
    """Forget the meters of the step under way for rack ``r``."""
    w.rack[r].rack_joules = 0.0
    w.rack[r].air_joules = 0.0
    for signal in range(2):
        w.seen[r, 0, signal] = np.inf
        w.seen[r, 1, signal] = -np.inf
        w.seen[r, 2, signal] = 0.0
    if d.metered[r]:
        for i in range(c.tray0[r], c.tray0[r + 1]):
            w.meter[i].lag = 0.0
            w.meter[i].slow_s = 0.0
            w.meter[i].brake_s = 0.0
            w.meter[i].cap_s = 0.0


@inner
def _accept(c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, src: int, nxt: int, h: float) -> None:
    """Take the scratch as the state of row ``nxt`` and add the step's meters."""
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        before = -1e300
        for i in range(c.tray0[r], c.tray0[r + 1]):
            before = max(before, x.td[src, i])
        see(w.seen, r, 0, before, w.rack[r].hottest, h)
        see(w.seen, r, 1, x.tc[src, r], w.rack[r].tcn, h)
        if d.metered[r]:
            meter_trays(c, u, x, d, w, r, src, h)
        for i in range(c.tray0[r], c.tray0[r + 1]):
            x.td[nxt, i] = w.tdn[i]
            x.tp[nxt, i] = w.tpn[i]
        x.tc[nxt, r] = w.rack[r].tcn
        w.rack[r].rack_joules += w.rack[r].step_rack
        w.rack[r].air_joules += w.rack[r].step_air
        if x.rest[src, loop] == 0:
            x.flow[nxt, r] = w.flow_new[r]
            if w.loop[loop].rest_new:
                d.film[r] = _film(c, r, w.flow_new[r])
        else:
            x.flow[nxt, r] = x.flow[src, r]
    see(w.seen_loop, loop, 0, x.loop[src, loop, 0], w.loop_new[loop, 0], h)
    see(w.seen_loop, loop, 1, x.loop[src, loop, 1], w.loop_new[loop, 1], h)
    for k in range(4):
        x.loop[nxt, loop, k] = w.loop_new[loop, k]
    for k in range(c.loop[loop].pumps):
        x.speed[nxt, loop, k] = w.speed_new[loop, k]
    x.pressure[nxt, loop, 0] = w.pressure_new[loop, 0]
    x.pressure[nxt, loop, 1] = w.pressure_new[loop, 1]
    x.rest[nxt, loop] = w.loop[loop].rest_new
    w.loop[loop].hx_joules += w.loop[loop].step_hx
    w.loop[loop].pump_joules += w.loop[loop].step_pump + h * c.loop[loop].control_watts


@kernel
def first_past(c: Constants, u: Inputs, t: Floats, racks: Ints, tolerance: float) -> int:
    """Lowest tray of ``racks`` whose device temperature in ``t`` lies past a guard level, or −1."""
    lowest = -1
    for r in racks:
        for i in range(c.tray0[r], c.tray0[r + 1]):
            if (t[i] >= u.up[i] - tolerance or t[i] <= u.down[i] + tolerance) and (lowest < 0 or i < lowest):
                lowest = i
    return lowest


@inner
def loop_run(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    loop: int,
    cur: int,
    span: float,
    water: float,
    slope: float,
    watch: bool,
) -> tuple[float, int]:
    """Carry loop ``loop`` over ``span`` [s] from row ``cur`` into the other row.

    water [°C] and slope [K/s]: facility water. With ``watch`` the first guard level that a device crosses ends the run:
    returns (time [s], tray), else (span, −1). A tray of −2 reports a state that is not finite.
    """
    nxt = 1 - cur
    src = cur
    t = 0.0
    h = x.h_loop[cur, loop]
    tolerance = c.tolerance[0]
    sample = 0
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        clear_rack(c, d, w, c.loop_idx[j])
    for signal in range(2):
        w.seen_loop[loop, 0, signal] = np.inf
        w.seen_loop[loop, 1, signal] = -np.inf
        w.seen_loop[loop, 2, signal] = 0.0
    w.loop[loop].hx_joules = 0.0
    w.loop[loop].pump_joules = 0.0
    while t < span:
        left = span - t
        step = left if h >= 0.999999 * left else h
        clipped = step == left
        error, past, total = loop_step(c, u, x, d, w, loop, src, step, water + slope * t, water + slope * (t + step))
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
                _, past, _ = loop_step(c, u, x, d, w, loop, src, half, water + slope * t, water + slope * (t + half))
                if past > 0:
                    high = half
                else:
                    low = half
            step = high
            loop_step(c, u, x, d, w, loop, src, step, water + slope * t, water + slope * (t + step))
        end = span if clipped and not crossed else t + step
        if w.sample_n[0]:
            sample = _sample(x, c, w, loop, src, t, end, sample)
        _accept(c, u, x, d, w, loop, src, nxt, step)
        src = nxt
        t = end
        if crossed:
            x.h_loop[nxt, loop] = h
            return t, first_past(c, u, x.td[nxt], c.loop_idx[c.loop_ptr[loop] : c.loop_ptr[loop + 1]], 0.0)
        grown = step * min(4.0, 0.9 * sqrt(tolerance / max(error, 1e-12)))
        h = min(c.tolerance[1], max(h, grown) if clipped else grown)
    x.h_loop[nxt, loop] = h
    return span, -1
