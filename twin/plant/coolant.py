"""Loop hydraulics and the heat exchanger.

Branches in parallel ``Δp = (a + k/x²) Q² + b Q`` (x valve position), pumps in parallel ``Δp = n²A − BQ²`` with check
valves, one common main ``Δp = K Q²``. The single unknown is the pressure across the racks' manifold.
"""

from math import exp, sqrt

from twin.plant.compiled import kernel
from twin.plant.tiles import Floats

FILM_EXPONENT = 0.7  # of plate heat-exchanger films and of cold plates against flow (physics reference, section 3)


@kernel
def branch_flow(pressure: float, quadratic: float, linear: float) -> float:
    """Flow [m³/s] through a branch with ``Δp = quadratic Q² + linear Q`` at ``pressure`` [Pa] ≥ 0."""
    if pressure <= 0.0:
        return 0.0
    # the form without cancellation: 2Δp / (b + √(b² + 4aΔp))
    return 2.0 * pressure / (linear + sqrt(linear * linear + 4.0 * quadratic * pressure))


@kernel
def pump_flow(pressure: float, speed: float, head: float, resistance: float) -> float:
    """Flow [m³/s] of one pump against ``pressure`` [Pa]; its check valve lets none back."""
    lift = speed * speed * head - pressure
    return sqrt(lift / resistance) if lift > 0.0 else 0.0


@kernel
def _excess(
    pressure: float, quadratic: Floats, linear: Floats, speeds: Floats, head: float, resistance: float, main: float
) -> tuple[float, float]:
    """Branch flow minus pump flow [m³/s] at a manifold pressure, and the branch flow."""
    total = 0.0
    for r in range(quadratic.size):
        total += branch_flow(pressure, quadratic[r], linear[r])
    lift = pressure + main * total * total
    supplied = 0.0
    for k in range(speeds.size):
        supplied += pump_flow(lift, speeds[k], head, resistance)
    return total - supplied, total


@kernel
def manifold_pressure(
    quadratic: Floats, linear: Floats, speeds: Floats, head: float, resistance: float, main: float, guess: float
) -> tuple[float, float]:
    """Manifold pressure [Pa] at which branches take what pumps give, and the total flow [m³/s].

    quadratic, linear: branch coefficients, shape (racks,) [Pa/(m³/s)²], [Pa/(m³/s)]; speeds: shape (pumps,) of
    nominal; head A [Pa], resistance B and main K [Pa/(m³/s)²]; guess [Pa] warm start. The excess rises with pressure,
    so the root is unique; Illinois false position on a bracket, to 1e-13 of the head.
    """
    top = 0.0
    for k in range(speeds.size):
        top = max(top, speeds[k] * speeds[k] * head)
    if top <= 1e-9:
        return 0.0, 0.0
    low, high = 0.0, top
    f_low, _ = _excess(low, quadratic, linear, speeds, head, resistance, main)
    f_high, _ = _excess(high, quadratic, linear, speeds, head, resistance, main)
    if f_low >= 0.0:
        return 0.0, 0.0
    if 0.0 < guess < top:
        f, total = _excess(guess, quadratic, linear, speeds, head, resistance, main)
        if f == 0.0:
            return guess, total
        if f < 0.0:
            low, f_low = guess, f
        else:
            high, f_high = guess, f
        # a narrow bracket around a good guess
        for sign in (-1.0, 1.0):
            trial = guess * (1.0 + 1e-3 * sign)
            if low < trial < high:
                f, _ = _excess(trial, quadratic, linear, speeds, head, resistance, main)
                if f < 0.0:
                    low, f_low = trial, f
                else:
                    high, f_high = trial, f
    side = 0
    pressure = low
    for _ in range(200):
        pressure = (low * f_high - high * f_low) / (f_high - f_low)
        if not low < pressure < high:
            pressure = 0.5 * (low + high)
        f, total = _excess(pressure, quadratic, linear, speeds, head, resistance, main)
        if f == 0.0 or high - low < 1e-13 * top or abs(f) < 1e-16:
            return pressure, total
        if f < 0.0:
            low, f_low = pressure, f
            if side == -1:
                f_high *= 0.5
            side = -1
        else:
            high, f_high = pressure, f
            if side == 1:
                f_low *= 0.5
            side = 1
    return pressure, _excess(pressure, quadratic, linear, speeds, head, resistance, main)[1]


@kernel
def effectiveness(ntu: float, capacity_ratio: float) -> float:
    """Counterflow effectiveness ε(NTU, Cr), dimensionless (Kays & London)."""
    if ntu <= 0.0:
        return 0.0
    if abs(1.0 - capacity_ratio) < 1e-9:
        return ntu / (1.0 + ntu)
    e = exp(-ntu * (1.0 - capacity_ratio))
    return (1.0 - e) / (1.0 - capacity_ratio * e)


@kernel
def exchanger_film(flow: float, nominal: float, conductance: float) -> float:
    """Film conductance [W/K] of one side of an exchanger at ``flow``: ∝ Q^0.7, ``conductance`` at ``nominal`` flow."""
    return conductance * (flow / nominal) ** FILM_EXPONENT if flow > 0.0 else 0.0


@kernel
def in_series(film1: float, film2: float, fouling: float) -> float:
    """UA [W/K] of two films [W/K] and the fouling [K/W] between them."""
    return 1.0 / (1.0 / film1 + 1.0 / film2 + fouling)


@kernel
def heat_per_kelvin(film1: float, capacity1: float, film2: float, capacity2: float, fouling: float) -> float:
    """ε·Cmin [W/K] of an exchanger with films [W/K] and capacity rates [W/K] of its two sides, fouling [K/W]."""
    if capacity1 <= 0.0 or capacity2 <= 0.0:
        return 0.0
    ua = in_series(film1, film2, fouling)
    smallest = min(capacity1, capacity2)
    return effectiveness(ua / smallest, smallest / max(capacity1, capacity2)) * smallest


@kernel
def heat_and_slope(
    film1: float, capacity1: float, film2: float, capacity2: float, fouling: float
) -> tuple[float, float]:
    """ε·Cmin [W/K] as :func:`heat_per_kelvin`, and its slope d(ε·Cmin)/d ln Q₂ [W/K].

    Side 2's film goes as Q₂^0.7 and its capacity as Q₂. With a = 1/Cmin, b = 1/Cmax, e = exp(−UA (a − b)):
    ``ε Cmin = (1 − e)/(a − b e)``.
    """
    if capacity1 <= 0.0 or capacity2 <= 0.0:
        return 0.0, 0.0
    least, most = min(capacity1, capacity2), max(capacity1, capacity2)
    if least < 1e-12 * most:  # all that so little can take; the squares below would leave the range of numbers
        return least, capacity2 if capacity2 <= capacity1 else 0.0
    ua = in_series(film1, film2, fouling)
    a, b = 1.0 / least, 1.0 / most
    by_film = FILM_EXPONENT * ua * ua / film2  # dUA/d ln Q₂
    if a - b < 1e-6 * a:
        share = ua * a / (1.0 + ua * a)
        return share / a, by_film / (1.0 + ua * a) ** 2 + 0.5 * share * share / a
    e = exp(-ua * (a - b))
    over = 1.0 / (a - b * e)
    left = (a - b) * ua
    by_capacity = a * (1.0 - e - left * e) if capacity2 <= capacity1 else b * e * (left - (1.0 - e))
    return (1.0 - e) * over, ((a - b) ** 2 * e * by_film + by_capacity) * over * over


@kernel
def film_conductance(resistance: float, flow: float, nominal: float, floor: float) -> float:
    """Plate-to-fluid conductance [W/K]: ``1/(R (Q/Q₀)^−0.7)``, never below the natural-convection ``floor`` of Q/Q₀."""
    return max(flow / nominal, floor) ** FILM_EXPONENT / resistance
