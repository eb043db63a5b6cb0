"""Trip curves in closed form: how long a breaker carries a constant current, from a steady load before it.

Thermal element ``dθ/dt = (r² − θ)/τ``, trip at θ ≥ level, from preload p: ``t = τ ln((r² − p²)/(r² − level))``.
A table device is interpolated log-log in (r − 1); short-time and instantaneous pickups cut both short.
"""

import math

import numpy as np

from twin.hall.parts import Breaker, BreakerKind


def thermal_trip_seconds(ratio: float, preload: float, time_constant: float, level: float) -> float:
    """Time [s] in which the thermal element trips at ``ratio`` = I/Ir from ``preload`` = I₀/Ir; inf for never."""
    if ratio * ratio <= level:
        return math.inf
    if preload * preload >= level:
        return 0.0
    return time_constant * math.log((ratio * ratio - preload * preload) / (ratio * ratio - level))


def table_trip_seconds(ratio: float, table: tuple[tuple[float, float], ...]) -> float:
    """Time [s] in which a table device trips at ``ratio`` = I/Ir, its end slopes carried on; inf at or below 1."""
    if ratio <= 1.0:
        return math.inf
    x = np.log([point[0] - 1.0 for point in table])
    y = np.log([point[1] for point in table])
    at = math.log(ratio - 1.0)
    j = int(np.clip(np.searchsorted(x, at) - 1, 0, len(table) - 2))
    return float(math.exp(y[j] + (y[j + 1] - y[j]) / (x[j + 1] - x[j]) * (at - x[j])))


def trip_seconds(breaker: Breaker, amperes: float, before_amperes: float = 0.0) -> float:
    """Time [s] in which ``breaker`` opens at constant ``amperes`` after long ``before_amperes``; inf for never."""
    ratio, preload = amperes / breaker.rating_amperes, before_amperes / breaker.rating_amperes
    if ratio >= breaker.instantaneous_pickup:
        return 0.0
    if breaker.kind is BreakerKind.TABLE:
        slow = table_trip_seconds(ratio, breaker.table)
    else:
        slow = thermal_trip_seconds(ratio, preload, breaker.time_constant_seconds, breaker.trip_level)
    return min(slow, breaker.short_delay_seconds) if ratio >= breaker.short_pickup else slow
