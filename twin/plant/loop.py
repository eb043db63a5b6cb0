"""One coolant loop through a stretch of time, in steps of its own.

States besides the racks': supply and return volumes, facility valve and its PI integrator, pump speeds and their PI
integrator. ``C_s dT_s/dt = W (T_r − T_s) − ε Cmin (T_r − T_f) + P_pump``, ``C_r dT_r/dt = Σ W_r T_c − W T_r``.
Facility water enters as a straight line over the stretch.
"""

from typing import Any

from twin.plant.arrays import Constants, Derived, Inputs, State, Work
from twin.plant.compiled import inline, inner
from twin.plant.coolant import exchanger_film, film_conductance, heat_and_slope, heat_per_kelvin
from twin.plant.fluids import WATER_VOLUMETRIC_HEAT, pg25_volumetric_heat
from twin.plant.pumps import controller, pump_rates, pump_solve, pump_watts, solve_flows
from twin.plant.racks import (
    add_seen,
    clear,
    correct_slowed,
    keep_seen,
    linearise,
    meter_trays,
    power_at_end,
    rack_accept,
    rack_backward,
    rack_begin,
    rack_close,
    rack_forward,
    rack_middle,
    see,
)
from twin.plant.thermal import GAMMA
from twin.plant.tiles import count_past, load, unload

KINK = 5.0  # what the estimate of a step over a kink counts for
VALVE_WEIGHT = 2.0  # K of step error for a unit of facility valve
SPEED_WEIGHT = 20.0  # K of step error for a unit of pump speed


@inner
def _film(k: Any, flow: float) -> float:
    """Film conductance [W/K] of one tray of the rack with record ``k`` at the rack's ``flow`` [m³/s]."""
    return film_conductance(k.film, flow, k.nominal_flow, k.film_floor)


@inner
def pump_step(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, src: int, s: float, h: float
) -> tuple[float, float, float]:
    """Speeds, controller and flows of pumps that are not steady. Returns error [K], and of stage two the manifold
    pressure [Pa] and total flow [m³/s]; its flows are left in ``flow2``, those of the end in ``flow_new``."""
    n = c.loop[loop].pumps
    speeds = x.speed[src, loop]
    pressure = x.pressure[src, loop, 1]
    pi = x.pressure[src, loop, 0]
    rates, k1, k2, stage, nudged = w.pump[0], w.pump[1], w.pump[2], w.pump[3], w.pump[4]
    fastest = 0.0
    for i in range(n):
        nudged[i] = speeds[i] * 1.0001 + 1e-9
        fastest = max(fastest, speeds[i])
    top, _ = solve_flows(c, u, d, loop, nudged, pressure, w.branch, w.flow2)
    slope = (top - pressure) / (1e-4 * fastest + 1e-9)
    rate_i, free = pump_rates(c, u, loop, speeds, pi, pressure, rates)
    biggest = abs(rate_i)
    for i in range(n):
        biggest = max(biggest, abs(rates[i]))
    ki1 = pump_solve(c, u, loop, s, slope, free, rates, rate_i, k1)
    for i in range(n):
        stage[i] = max(0.0, speeds[i] + h * k1[i])
    pressure2, total2 = solve_flows(c, u, d, loop, stage, pressure, w.branch, w.flow2)
    rate_i, _ = pump_rates(c, u, loop, stage, pi + h * ki1, pressure2, rates)
    for i in range(n):
        rates[i] -= 2.0 * k1[i]
    ki2 = pump_solve(c, u, loop, s, slope, free, rates, rate_i - 2.0 * ki1, k2)
    error = SPEED_WEIGHT * abs(0.5 * h * (ki1 + ki2))
    for i in range(n):
        w.speed_new[loop, i] = max(0.0, speeds[i] + h * (1.5 * k1[i] + 0.5 * k2[i]))
        error = max(error, SPEED_WEIGHT * abs(0.5 * h * (k1[i] + k2[i])))
    w.pressure_new[loop, 0] = pi + h * (1.5 * ki1 + 0.5 * ki2)
    w.pressure_new[loop, 1], _ = solve_flows(c, u, d, loop, w.speed_new[loop], pressure2, w.branch, w.flow_new)
    w.loop[loop].rest_new = 1 if biggest < 1e-8 else 0
    return error, pressure2, total2


@inline
def loop_step(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, src: int, h: float, water0: float, water1: float
) -> tuple[float, int, float]:
    """Try one step of ``h`` [s] from row ``src`` and the racks' tiles; the outcome stays in tiles and scratch.

    water0 and water1 [°C]: facility water at the step's two ends. Returns error [K], devices past a guard, and a sum
    that is not finite if any new temperature is not.
    """
    s = GAMMA * h
    cdu = c.loop[loop]
    ask = u.loop[loop]
    note = w.loop[loop]
    m = w.m
    lo, hi = c.loop_ptr[loop], c.loop_ptr[loop + 1]
    supply = x.loop[src, loop, 0]
    ret = x.loop[src, loop, 1]
    valve = x.loop[src, loop, 2]
    integral = x.loop[src, loop, 3]
    main = cdu.main * ask.main_factor

    # flows of both stages and of the end
    moving = x.rest[src, loop] == 0
    flow1 = x.flow[src]
    pressure1 = x.pressure[src, loop, 1]
    total1 = 0.0
    for j in range(lo, hi):
        total1 += flow1[c.loop_idx[j]]
    error, pressure2, total2, flow2 = 0.0, pressure1, total1, flow1
    if moving:
        error, pressure2, total2 = pump_step(c, u, x, d, w, loop, src, s, h)
        flow2 = w.flow2

    # stage one
    heat1 = pg25_volumetric_heat(0.5 * (supply + ret))
    big1 = total1 * heat1
    sum_wc = 0.0
    sum_wa = 0.0
    sum_wb = 0.0
    for j in range(lo, hi):
        r = c.loop_idx[j]
        k = w.rack[r]
        part = c.rack[r]
        first, trays = c.tile0[r], c.tray0[r + 1] - c.tray0[r]
        fluid = x.tc[src, r]
        rate = flow1[r] * heat1
        film = _film(part, flow1[r]) if moving else d.film[r]
        if d.slowed[r] > 0:
            linearise(c, u, d, m, r)
        rack_forward(
            m, first, trays, s, film, rate, rate, rate, fluid, rate * supply, part.overhead_liquid, part, k,
            d.shelf[r], d.plate_sum[r], d.air_sum[r],
        )  # fmt: skip
        sum_wc += rate * fluid
        sum_wa += rate * k.alpha
        sum_wb += rate * k.beta
    water_flow = cdu.hx_flow2 * ask.water_factor
    film1 = exchanger_film(total1, cdu.hx_flow1, cdu.hx1) if moving else d.hx_film[loop]
    film2 = exchanger_film(valve * water_flow, cdu.hx_flow2, cdu.hx2)
    rate2 = valve * water_flow * WATER_VOLUMETRIC_HEAT
    by_return, by_valve = heat_and_slope(film1, big1, film2, rate2, ask.fouling)
    by_valve *= (ret - water0) / max(valve, 1e-9)
    heat_out1 = by_return * (ret - water0)
    pump1 = pump_watts(c, loop, total1, pressure1, main)
    raw, command, free = controller(ask.supply_set, supply, cdu.t_gain, integral, cdu.valve_min, -1.0)
    # facility water as one more state, of constant slope: the exchanger follows it faster than a long step
    drag = GAMMA * by_return * (water1 - water0)
    f_supply = big1 * (ret - supply) - heat_out1 + pump1 + drag
    f_return = sum_wc - big1 * ret
    f_valve = (command - valve) / cdu.valve_time
    f_integral = (cdu.t_gain * (supply - ask.supply_set) + (command - raw)) / cdu.t_time
    v = s / cdu.valve_time
    q = s / cdu.t_time
    idiv = 1.0 / (1.0 + (1.0 - free) * q)
    i1 = free * q * cdu.t_gain * idiv
    v1 = v * free * (cdu.t_gain + i1) / (1.0 + v)
    below = 1.0 / (cdu.return_capacity + s * big1)
    r1 = s * sum_wb * below
    across = s * by_return - s * big1
    diagonal = cdu.supply_capacity + s * big1 + across * r1 + s * by_valve * v1
    i0 = f_integral * idiv
    v0 = (f_valve + v * free * i0) / (1.0 + v)
    r0 = (f_return + s * sum_wa) * below
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
        k = w.rack[r]
        part = c.rack[r]
        first, trays = c.tile0[r], c.tray0[r + 1] - c.tray0[r]
        fluid = x.tc[src, r]
        rate = flow2[r] * heat2
        film = _film(part, flow2[r]) if moving else d.film[r]
        rack_middle(m, first, trays, s, h, film, fluid, k_supply, part, k)
        if d.slowed[r] > 0:
            correct_slowed(c, u, m, k, r, s, h)
        rack_close(s, h, rate, fluid, rate * supply2, part.overhead_liquid, part, k, d.shelf[r])
        sum_wc += rate * (fluid + h * k.kc1)
        sum_wa += flow1[r] * heat1 * k.alpha
    film1 = exchanger_film(total2, cdu.hx_flow1, cdu.hx1) if moving else d.hx_film[loop]
    film2 = exchanger_film(valve2 * water_flow, cdu.hx_flow2, cdu.hx2)
    rate2 = valve2 * water_flow * WATER_VOLUMETRIC_HEAT
    heat_out2 = heat_per_kelvin(film1, big2, film2, rate2, ask.fouling) * (ret2 - water1)
    pump2 = pump_watts(c, loop, total2, pressure2, main)
    integral2 = integral + h * k_integral
    raw1, command1 = raw, command
    raw, command, _ = controller(ask.supply_set, supply2, cdu.t_gain, integral2, cdu.valve_min, -1.0)
    # where the valve's command reaches a limit within the step the result is no better than its estimate
    bend = abs(command - command1 - free * (raw - raw1))
    error = max(error, KINK * VALVE_WEIGHT * 0.5 * h * bend / (cdu.valve_time * (1.0 + v)))
    f_supply = big2 * (ret2 - supply2) - heat_out2 + pump2 - 2.0 * cdu.supply_capacity * k_supply - drag
    f_return = sum_wc - big2 * ret2 - 2.0 * cdu.return_capacity * k_return
    f_valve = (command - valve2) / cdu.valve_time - 2.0 * k_valve
    f_integral = (cdu.t_gain * (supply2 - ask.supply_set) + (command - raw)) / cdu.t_time - 2.0 * k_integral
    i0 = f_integral * idiv
    v0 = (f_valve + v * free * i0) / (1.0 + v)
    r0 = (f_return + s * sum_wa) * below
    k2_supply = (f_supply - across * r0 - s * by_valve * v0) / diagonal
    k2_return = r0 + r1 * k2_supply
    k2_valve = v0 + v1 * k2_supply
    k2_integral = i0 + i1 * k2_supply

    # the end
    past = 0
    total = 0.0
    for j in range(lo, hi):
        r = c.loop_idx[j]
        part = c.rack[r]
        first, trays = c.tile0[r], c.tray0[r + 1] - c.tray0[r]
        e, p, t = rack_backward(
            m, first, trays, s, h, x.tc[src, r], k2_supply, part.overhead_liquid, part, w.rack[r], u.guard[r, 0],
            u.guard[r, 1],
        )  # fmt: skip
        if p > 0:
            p = count_past(m, first, c.tray0[r], c.tray0[r + 1], u.up, u.down)
        error = max(error, e)
        past += p
        total += t
    error = max(error, abs(0.5 * h * (k_supply + k2_supply)), abs(0.5 * h * (k_return + k2_return)))
    error = max(error, VALVE_WEIGHT * abs(0.5 * h * (k_valve + k2_valve)))
    error = max(error, VALVE_WEIGHT * abs(0.5 * h * (k_integral + k2_integral)))
    w.loop_new[loop, 0] = supply + h * (1.5 * k_supply + 0.5 * k2_supply)
    w.loop_new[loop, 1] = ret + h * (1.5 * k_return + 0.5 * k2_return)
    w.loop_new[loop, 2] = min(1.0, max(0.0, valve + h * (1.5 * k_valve + 0.5 * k2_valve)))
    w.loop_new[loop, 3] = integral + h * (1.5 * k_integral + 0.5 * k2_integral)
    gradient1 = by_return * k_return + by_valve * k_valve
    gradient2 = by_return * k2_return + by_valve * k2_valve
    note.step_hx = 0.5 * h * (heat_out1 + s * gradient1 + heat_out2 + s * gradient2)
    note.step_pump = 0.5 * h * (pump1 + pump2)
    return error, past, total + w.loop_new[loop, 0] + w.loop_new[loop, 1]


@inline
def loop_begin(c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, row: int) -> None:
    """Begin a stretch: trays of row ``row`` into tiles, meters of the stretch at nothing."""
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        load(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], x.td[row], x.tp[row], u.ir, d.law)
        rack_begin(w.m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], w.rack[r], w.seen[r])
    clear(w.seen_loop[loop])
    w.loop[loop].hx_joules = 0.0
    w.loop[loop].pump_joules = 0.0


@inline
def loop_accept(
    c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, src: int, nxt: int, h: float
) -> None:
    """Take the step that was tried as the state of row ``nxt``, and add its meters."""
    moving = x.rest[src, loop] == 0
    at_rest = moving and w.loop[loop].rest_new == 1
    total = 0.0
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        k = w.rack[r]
        if d.metered[r]:
            meter_trays(c, u, d, w, r, h)
        rack_accept(w.m, c.tile0[r], c.tray0[r + 1] - c.tray0[r], x.tc[src, r], k, w.seen[r], h)
        x.tc[nxt, r] = k.new_fluid
        k.rack_joules += k.step_rack
        k.air_joules += k.step_air
        if moving:
            x.flow[nxt, r] = w.flow_new[r]
            total += w.flow_new[r]
            if at_rest:
                d.film[r] = _film(c.rack[r], w.flow_new[r])
        else:
            x.flow[nxt, r] = x.flow[src, r]
    if moving:
        if at_rest:
            d.hx_film[loop] = exchanger_film(total, c.loop[loop].hx_flow1, c.loop[loop].hx1)
        x.rest[nxt, loop] = w.loop[loop].rest_new
        x.pressure[nxt, loop, 0] = w.pressure_new[loop, 0]
        x.pressure[nxt, loop, 1] = w.pressure_new[loop, 1]
        for i in range(c.loop[loop].pumps):
            x.speed[nxt, loop, i] = w.speed_new[loop, i]
    elif src != nxt:
        x.rest[nxt, loop] = 1
        x.pressure[nxt, loop, 0] = x.pressure[src, loop, 0]
        x.pressure[nxt, loop, 1] = x.pressure[src, loop, 1]
        for i in range(c.loop[loop].pumps):
            x.speed[nxt, loop, i] = x.speed[src, loop, i]
    see(w.seen_loop[loop], 0, x.loop[src, loop, 0], w.loop_new[loop, 0], h)
    see(w.seen_loop[loop], 1, x.loop[src, loop, 1], w.loop_new[loop, 1], h)
    for i in range(4):
        x.loop[nxt, loop, i] = w.loop_new[loop, i]
    w.loop[loop].hx_joules += w.loop[loop].step_hx
    w.loop[loop].pump_joules += w.loop[loop].step_pump + h * c.loop[loop].control_watts


@inline
def loop_end(c: Constants, u: Inputs, x: State, d: Derived, w: Work, loop: int, row: int) -> None:
    """End a stretch: trays out of tiles into row ``row``, and what the racks draw there."""
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        unload(w.m, c.tile0[r], c.tray0[r], c.tray0[r + 1], x.td[row], x.tp[row])
        w.rack_power[1, r] = power_at_end(c, u, d, w.m, r)


# ---------------------------------------------------------------------- a change within a stretch


@inline
def keep(c: Constants, w: Work, loop: int) -> None:
    """Keep what the meters of the stretch have of a loop."""
    w.kept[loop].hx_joules, w.kept[loop].pump_joules = w.loop[loop].hx_joules, w.loop[loop].pump_joules
    keep_seen(w.seen_loop[loop], w.kept_seen_loop[loop])
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        w.kept_rack[r].rack_joules, w.kept_rack[r].air_joules = w.rack[r].rack_joules, w.rack[r].air_joules
        keep_seen(w.seen[r], w.kept_seen[r])


@inner
def add_kept(c: Constants, w: Work, loop: int) -> None:
    """Add what was kept of a loop to its meters."""
    w.loop[loop].hx_joules += w.kept[loop].hx_joules
    w.loop[loop].pump_joules += w.kept[loop].pump_joules
    add_seen(w.seen_loop[loop], w.kept_seen_loop[loop])
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        w.rack[r].rack_joules += w.kept_rack[r].rack_joules
        w.rack[r].air_joules += w.kept_rack[r].air_joules
        add_seen(w.seen[r], w.kept_seen[r])
