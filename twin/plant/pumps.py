"""The pumps of one loop: what flows at their speeds, and the controller that sets them.

A PI controller holds the pressure across the racks' manifold, with back calculation at its limits; speeds follow with a
lag, and coast down where a pump is off. A pump in poor health reaches a share of the speed that it is told. Flow has no
inertia of its own: it is solved at every stage.
"""

from twin.plant.arrays import Constants, Derived, Floats, Inputs, State
from twin.plant.compiled import inner, kernel
from twin.plant.coolant import branch_flow, manifold_pressure
from twin.plant.fluids import pg25_viscosity

AFTER_CHANGE = 1.0  # s, first step tried by a loop or zone whose inputs changed
REFERENCE_VISCOSITY_CELSIUS = 40.0  # at which branch coefficients are quoted


@kernel
def solve_flows(
    c: Constants, u: Inputs, d: Derived, loop: int, speeds: Floats, guess: float, branch: Floats, flow: Floats
) -> tuple[float, float]:
    """Flows [m³/s] of loop ``loop`` at pump ``speeds`` into ``flow``; returns manifold pressure [Pa] and total flow.

    branch: shape (2, R), scratch.
    """
    lo = c.loop_ptr[loop]
    n = c.loop_ptr[loop + 1] - lo
    quadratic = branch[0, :n]
    linear = branch[1, :n]
    for j in range(n):
        r = c.loop_idx[lo + j]
        x = u.rack[r].valve
        quadratic[j] = c.rack[r].branch_a + c.rack[r].branch_valve / (x * x) if x > 1e-6 else 1e30
        linear[j] = d.branch_b[r]
    k = c.loop[loop]
    pressure, total = manifold_pressure(
        quadratic, linear, speeds[: k.pumps], k.head, k.pump_b, k.main * u.loop[loop].main_factor, guess
    )
    for j in range(n):
        flow[c.loop_idx[lo + j]] = branch_flow(pressure, quadratic[j], linear[j])
    return pressure, total


@inner
def controller(
    set_point: float, measured: float, gain: float, integral: float, lowest: float, sign: float
) -> tuple[float, float, float]:
    """PI output before and after its limits, and 1.0 while it is free to move (0.0 when limited)."""
    raw = sign * gain * (set_point - measured) + integral
    if raw < lowest:
        return raw, lowest, 0.0
    if raw > 1.0:
        return raw, 1.0, 0.0
    return raw, raw, 1.0


@inner
def pump_rates(
    c: Constants, u: Inputs, loop: int, speeds: Floats, integral: float, pressure: float, out: Floats
) -> tuple[float, float]:
    """dn/dt of every pump into ``out``; returns dI/dt, and 1.0 while the pressure controller is unsaturated."""
    raw, command, free = controller(
        u.loop[loop].pressure_set, pressure, c.loop[loop].dp_gain, integral, c.loop[loop].n_min, 1.0
    )
    for k in range(c.loop[loop].pumps):
        if u.pump_on[loop, k]:
            out[k] = (u.pump_health[loop, k] * command - speeds[k]) / c.loop[loop].ramp
        else:
            out[k] = -speeds[k] / c.loop[loop].coast
    rate = (c.loop[loop].dp_gain * (u.loop[loop].pressure_set - pressure) + (command - raw)) / c.loop[loop].dp_time
    return rate, free


@inner
def pump_solve(
    c: Constants, u: Inputs, loop: int, s: float, slope: float, free: float, rates: Floats, rate_i: float, out: Floats
) -> float:
    """Solve (I − sA) k = rates for the pumps of a loop; A takes their mean speed to set the pressure. Returns k_I."""
    running = 0
    mean = 0.0
    health = 0.0
    for k in range(c.loop[loop].pumps):
        if u.pump_on[loop, k]:
            running += 1
            mean += rates[k]
            health += u.pump_health[loop, k]
    ramp = s / c.loop[loop].ramp
    gain = c.loop[loop].dp_gain * slope
    k_i = rate_i
    if running:
        mean /= running
        health /= running
        if free > 0.0:
            # k̄ (1 + ramp + h ramp gain) − h ramp k_I = mean ;  k_I + s gain/Ti k̄ = rate_i ;  h mean health
            p = 1.0 + ramp + health * ramp * gain
            q = s * gain / c.loop[loop].dp_time
            bar = (mean + health * ramp * rate_i) / (p + health * ramp * q)
            k_i = rate_i - q * bar
            push = ramp * (k_i - gain * bar)
        else:
            k_i = rate_i / (1.0 + s / c.loop[loop].dp_time)
            push = 0.0
    else:
        push = 0.0
        if free == 0.0:
            k_i = rate_i / (1.0 + s / c.loop[loop].dp_time)
    for k in range(c.loop[loop].pumps):
        if u.pump_on[loop, k]:
            out[k] = (rates[k] + u.pump_health[loop, k] * push) / (1.0 + ramp)
        else:
            out[k] = rates[k] / (1.0 + s / c.loop[loop].coast)
    return k_i


@inner
def pump_watts(c: Constants, loop: int, total: float, pressure: float, main: float) -> float:
    """Electrical power [W] of a loop's pumps: Σ lift × flow / efficiency; all of it heats the coolant.

    A pump whose check valve is shut turns against no flow; its churning is left out.
    """
    lift = pressure + main * total * total
    return lift * total / c.loop[loop].pump_eta


@kernel
def viscosity_ratio(temperature: float) -> float:
    """μ(T)/μ(40 °C) [-] of PG25, the factor on a branch's linear coefficient."""
    return pg25_viscosity(temperature) / pg25_viscosity(REFERENCE_VISCOSITY_CELSIUS)


@kernel
def settle_loop(c: Constants, u: Inputs, x: State, d: Derived, branch: Floats, loop: int, row: int) -> None:
    """Take loop ``loop``'s viscosity at its present supply temperature and solve its flows; pumps are not steady."""
    supply = x.loop[row, loop, 0]
    d.viscous[loop] = supply
    ratio = viscosity_ratio(min(max(supply, 5.0), 90.0))
    for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
        r = c.loop_idx[j]
        d.branch_b[r] = c.rack[r].branch_b * ratio
    pressure, _ = solve_flows(c, u, d, loop, x.speed[row, loop], x.pressure[row, loop, 1], branch, x.flow[row])
    x.pressure[row, loop, 1] = pressure
    x.rest[row, loop] = 0
    x.h_loop[row, loop] = min(x.h_loop[row, loop], AFTER_CHANGE)
