"""Servers: power against clock, clock against temperature, work against clock.

``P = idle + u (Pmax − idle)(a f + (1 − a) f³)`` with clock f of nominal, utilisation u and linear share a; work goes
as ``f^β``. Software slowdown lowers the clock in proportion to the excess over (limit − release), so that it is
continuous at release and has one equilibrium: a tray whose temperature at full clock lies above the limit stays in
slowdown and does not flap. Hardware slowdown holds the clock at a fixed fraction (physics reference, section 2).
"""

from twin.plant.compiled import kernel

# modes of a tray
NORMAL, SLOWED, BRAKED, OFF = 0, 1, 2, 3


@kernel
def tray_power(idle: float, span: float, utilisation: float, linear_share: float, clock: float) -> float:
    """DC power [W] of a tray, without leakage above the reference temperature."""
    return idle + utilisation * span * (linear_share * clock + (1.0 - linear_share) * clock * clock * clock)


@kernel
def power_slope(span: float, utilisation: float, linear_share: float, clock: float) -> float:
    """dP/df [W] of :func:`tray_power`."""
    return utilisation * span * (linear_share + 3.0 * (1.0 - linear_share) * clock * clock)


@kernel
def slowed_clock(temperature: float, release_level: float, per_kelvin: float, lowest: float, cap: float) -> float:
    """Clock of software slowdown at a device temperature [°C]: min(cap, max(lowest, 1 − k (T − T_release)))."""
    return min(cap, max(lowest, 1.0 - per_kelvin * (temperature - release_level)))


@kernel
def slowed_clock_slope(temperature: float, release_level: float, per_kelvin: float, lowest: float, cap: float) -> float:
    """df/dT [1/K] of :func:`slowed_clock`."""
    clock = 1.0 - per_kelvin * (temperature - release_level)
    return -per_kelvin if lowest < clock < cap else 0.0


@kernel
def capped_clock(power: float, idle: float, span: float, utilisation: float, linear_share: float) -> float:
    """Highest clock in [0.1, 1] at which :func:`tray_power` stays at or below ``power`` [W] (bisection, 1e-6)."""
    if tray_power(idle, span, utilisation, linear_share, 1.0) <= power:
        return 1.0
    low, high = 0.1, 1.0
    if tray_power(idle, span, utilisation, linear_share, low) >= power:
        return low
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        if tray_power(idle, span, utilisation, linear_share, middle) > power:
            high = middle
        else:
            low = middle
    return low
