"""Facility water: one buffer tank, heat rejection in proportion to its temperature, and what that costs in power."""

from math import exp

from twin.plant.arrays import Constants, Inputs
from twin.plant.compiled import inner

TANK, CAPACITY, GAIN, APPROACH, COP, FREE = range(6)  # entries of Constants.tank
SET, AVAILABLE, DRY_BULB, WET_BULB = range(4)  # entries of Inputs.facility
TRIM_RANGE = 5.0  # K of wet bulb over which the trim chiller takes over from free cooling (assumption)


@inner
def target(c: Constants, u: Inputs) -> float:
    """Set point [°C] that the plant can hold: with a chiller its own, without one not below wet bulb + approach."""
    if c.tank[COP] > 0.0:
        return u.facility[SET]
    return max(u.facility[SET], u.facility[WET_BULB] + c.tank[APPROACH])


@inner
def tank_after(c: Constants, u: Inputs, temperature: float, heat: float, seconds: float) -> float:
    """Tank temperature [°C] after ``seconds`` [s] under ``heat`` [W].

    Rejection ``Q = clip(gain (T − T_low), 0, capacity)`` with T_low half the band below the set point; exact within
    slices of at most 1 s on either side of the limits.
    """
    gain = c.tank[GAIN]
    capacity = c.tank[CAPACITY] * u.facility[AVAILABLE]
    low = target(c, u) - 0.5 * c.tank[CAPACITY] / gain
    t = temperature
    left = seconds
    while left > 0.0:
        slice_ = min(left, 1.0)
        rejected = gain * (t - low)
        if rejected <= 0.0:
            t += heat * slice_ / c.tank[TANK]
        elif rejected >= capacity:
            t += (heat - capacity) * slice_ / c.tank[TANK]
        else:
            end = low + heat / gain
            t = end + (t - end) * exp(-gain * slice_ / c.tank[TANK])
        left -= slice_
    return t


@inner
def cooling_watts(c: Constants, u: Inputs, rejected: float) -> float:
    """Electrical power [W] of fans, pumps and trim chiller for ``rejected`` [W] of heat."""
    chiller = 0.0
    if c.tank[COP] > 0.0:
        lift = (u.facility[WET_BULB] + c.tank[APPROACH] - u.facility[SET]) / TRIM_RANGE
        chiller = min(1.0, max(0.0, lift)) / c.tank[COP]
    return rejected * (c.tank[FREE] + chiller)
