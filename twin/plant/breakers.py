"""Circuit breakers: thermal element, damage table, and their closed forms.

Thermal element (LSI long time and thermal-magnetic): ``dθ/dt = (r² − θ)/τ`` with r the RMS current of the hottest pole
over the rating; trips at ``θ ≥ level``. For a constant overload from preload p:
``t = τ ln((r² − p²)/(r² − level))``. With LSI, τ = tr / ln(36/(36 − 1.44)) for the delay tr set at 6 Ir.

Table device (the Dynamo breakers, doi 10.1109/ISCA.2016.48): damage ``dD/dt = 1/t_trip(r)``, trip at D ≥ 1.
"""

from math import expm1, inf, log

import numpy as np

from twin.plant.arrays import Floats
from twin.plant.compiled import kernel

LSI, THERMAL_MAGNETIC, TABLE = 0, 1, 2


def lsi_time_constant(delay_at_six: float) -> float:
    """τ [s] of an electronic trip unit whose long-time delay at 6 Ir is ``delay_at_six`` [s]."""
    return delay_at_six / log(36.0 / (36.0 - 1.44))


def trip_seconds(ratio: float, preload: float, time_constant: float, level: float = 1.44) -> float:
    """Time to trip [s] at constant ``ratio`` = I/Ir from steady ``preload`` = I₀/Ir; inf if it never trips."""
    if ratio * ratio <= level:
        return inf
    return time_constant * log((ratio * ratio - preload * preload) / (ratio * ratio - level))


@kernel
def weights(a: float) -> tuple[float, float, float]:
    """``∫₀¹ yᵏ e^{−a(1−y)} dy`` for k = 0, 1, 2: by series where the recursion would cancel."""
    if a < 0.1:
        zero = 0.0
        one = 0.0
        two = 0.0
        term = 1.0  # (−a)ⁿ/n!
        for n in range(9):
            zero += term / (n + 1.0)
            one += term / ((n + 1.0) * (n + 2.0))
            two += 2.0 * term / ((n + 1.0) * (n + 2.0) * (n + 3.0))
            term *= -a / (n + 1.0)
        return zero, one, two
    zero = -expm1(-a) / a
    one = (1.0 - zero) / a
    return zero, one, (1.0 - 2.0 * one) / a


@kernel
def relaxed(
    theta: float, start: float, mean: float, end: float, x: float, a: float, zero: float, one: float, two: float
) -> float:
    """θ of :func:`heated` at the share ``x`` of a span, from the :func:`weights` of a = t/τ; e^{−a} = 1 − a zero."""
    c = 3.0 * (start + end - 2.0 * mean)
    b = end - start - c
    return theta * (1.0 - a * zero) + a * (start * zero + b * x * one + c * x * x * two)


@kernel
def heated(theta: float, start: float, mean: float, end: float, span: float, time: float, tau: float) -> float:
    """θ [-] after ``time`` [s] of a step of ``span`` [s] whose drive r² is the parabola with these start, mean, end.

    Exact for the parabola ``q(x) = s + b x + c x²``, x = t/span, with c = 3 (s + e − 2 m), b = e − s − c:
    ``θ(t) = θ e^{−a} + a Σ coefficients × ∫ yᵏ e^{−a(1−y)} dy``, a = t/τ.
    """
    a = time / tau
    zero, one, two = weights(a)
    return relaxed(theta, start, mean, end, time / span, a, zero, one, two)


@kernel
def crossing_seconds(
    theta: float, start: float, mean: float, end: float, span: float, tau: float, level: float
) -> float:
    """First time [s] in the step at which :func:`heated` reaches ``level``, or −1. Bisection to 1e-10 s.

    θ relaxes towards its drive, so it can only cross where the end value, or an interior sample, lies at the level.
    """
    reached = -1.0
    for j in range(1, 9):
        t = span * j / 8.0
        if heated(theta, start, mean, end, span, t, tau) >= level:
            reached = t
            break
    if reached < 0.0:
        return -1.0
    low, high = reached - span / 8.0, reached
    while high - low > 1e-10:
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:
            break
        if heated(theta, start, mean, end, span, middle, tau) >= level:
            high = middle
        else:
            low = middle
    return high


@kernel
def table_trip_seconds(ratio: float, log_ratio: Floats, log_seconds: Floats, points: int) -> float:
    """Trip time [s] of a table device at ``ratio``, log-log interpolated, extrapolated by its end slopes; inf at r ≤ 1.

    log_ratio, log_seconds: shape (≥ points,), natural logarithms of (r − 1) and of seconds.
    """
    if ratio <= 1.0 or points < 2:
        return np.inf
    x = np.log(ratio - 1.0)
    j = 0
    while j < points - 2 and x > log_ratio[j + 1]:
        j += 1
    slope = (log_seconds[j + 1] - log_seconds[j]) / (log_ratio[j + 1] - log_ratio[j])
    return np.exp(log_seconds[j] + slope * (x - log_ratio[j]))


@kernel
def damaged(
    damage: float, ratio: float, seconds: float, tau: float, log_ratio: Floats, log_seconds: Floats, points: int
) -> float:
    """Damage [-] after ``seconds`` at constant ``ratio``: rises by 1/t_trip(r), or recovers with τ when r ≤ 1."""
    if ratio > 1.0:
        return damage + seconds / table_trip_seconds(ratio, log_ratio, log_seconds, points)
    return damage + damage * expm1(-seconds / tau)
