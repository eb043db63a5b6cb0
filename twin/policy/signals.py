"""Derived signals: pure functions of sensed history, which a policy calls on :class:`~twin.policy.snapshot.History`.

Those of history take ``time`` [s], shape (K,), oldest first; ``values``, shape (K,) or (K, N); and ``quality``, codes
of :class:`~twin.policy.snapshot.Quality` in the shape of ``values``. They answer per thing, shape () or (N,), use
readings of quality GOOD alone, never raise on missing data, and say NaN where they cannot tell.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.policy.snapshot import Quality

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Ints = NDArray[np.int64]

GOOD = int(Quality.GOOD)  # an enumeration answers slowly
WINDOW = 600.0  # s, that slope and stability look back
LEAST = 5  # readings without which nothing is said of a trend
STRAIGHT = 20.0  # windows: a decay with a longer time constant is a straight line
CANDIDATES = 48  # time constants tried before the best is refined
REFINEMENTS = 40  # golden sections
GOLDEN = (5.0**0.5 - 1.0) / 2.0
TRIP = 1.44  # thermal element at which an electronic trip unit opens, (1.2 Ir)²


def good(values: Floats, quality: Codes) -> NDArray[np.bool_]:
    """Which readings count: of quality GOOD, and finite."""
    return np.asarray((np.asarray(quality) == GOOD) & np.isfinite(values))


def slope(time: Floats, values: Floats, quality: Codes, window_seconds: float = WINDOW) -> Floats:
    """Rate of change [unit/s] over the last window: least squares over the good readings.

    ``Σ (t − t̄)(y − ȳ) / Σ (t − t̄)²``. NaN with fewer than 5 good readings, or all at one instant.
    """
    return window(time, values, quality, window_seconds).slope()


def mean(time: Floats, values: Floats, quality: Codes, window_seconds: float = WINDOW) -> Floats:
    """Mean of the good readings of the last window, in the unit of the values; NaN without one."""
    return window(time, values, quality, window_seconds).mean()


def delta_t(supply_celsius: Floats, return_celsius: Floats) -> Floats:
    """Rise of the coolant [K] across racks or loops, ``T_return − T_supply``; same shapes, NaN where either is."""
    return np.asarray(np.asarray(return_celsius, dtype=np.float64) - np.asarray(supply_celsius, dtype=np.float64))


def stability(
    time: Floats, values: Floats, quality: Codes, window_seconds: float = WINDOW, unstable_fraction: float = 0.1
) -> Floats:
    """Steadiness [1] of a pump's speed or a flow over the last window: 1 steady, 0 at ``unstable_fraction`` or beyond.

    ``1 − min(1, σ / (unstable_fraction · |mean|))`` with σ the standard deviation of the good readings. What stands
    still at 0 is steady. NaN with fewer than 5 good readings.
    """
    return window(time, values, quality, window_seconds).stability(unstable_fraction)


def unchanged_seconds(time: Floats, values: Floats, quality: Codes) -> Floats:
    """How long [s] the good readings up to the latest have all been equal: a noisy sensor that is long equal is stuck.

    NaN without a good reading.
    """
    t, y, use, shape = _recent(time, values, quality, np.inf)
    if not len(t):
        return np.full(shape, np.nan)
    newest = len(t) - 1 - np.argmax(use[::-1], axis=0)
    now = y[newest, np.arange(y.shape[1])]
    differs = use & (y != now)
    after = np.where(differs.any(axis=0), len(t) - np.argmax(differs[::-1], axis=0), 0)
    since = np.where(use & (np.arange(len(t))[:, None] >= after), t[:, None], np.inf).min(axis=0)
    return np.where(use.any(axis=0), t[newest] - since, np.nan).reshape(shape)


def recovery_seconds(
    time: Floats, values: Floats, quality: Codes, level: float | Floats, window_seconds: float = WINDOW
) -> Floats:
    """Time [s] from the latest good reading until values fall to ``level``, by the decay of the last window.

    The decay is ``y = a + b e^{−t/τ}``, fitted by least squares with a and b linear in every τ tried (variable
    projection: Golub and Pereyra, SIAM J. Numer. Anal. 10(2), 1973): ``t = τ ln((y − a)/(level − a))``. Where no τ
    below 20 windows fits better, it is a straight line: ``t = (y − level)/(−dy/dt)``. 0 at or below the level, inf when
    the fit never gets there, NaN with fewer than 5 good readings. For what recovers by rising, negate values and level.
    """
    t, y, use, shape = _recent(time, values, quality, window_seconds)
    goal = np.broadcast_to(np.asarray(level, dtype=np.float64), shape).reshape(-1)
    if use.sum() < LEAST:
        return np.full(shape, np.nan)
    newest = len(t) - 1 - np.argmax(use[::-1], axis=0)
    back = t[:, None] - t[newest]  # ≤ 0: seconds before the latest good reading
    span = float(t[-1] - t[0])
    shortest, longest = np.log(max(span / (4 * len(t)), 1e-6)), np.log(STRAIGHT * max(span, 1e-6))
    tries = np.linspace(shortest, longest, CANDIDATES)
    errors = np.array([_decay(back, y, use, np.full(y.shape[1], each))[0] for each in tries])
    best = np.argmin(np.where(np.isnan(errors), np.inf, errors), axis=0)
    low, high = tries[np.maximum(best - 1, 0)], tries[np.minimum(best + 1, CANDIDATES - 1)]
    for _ in range(REFINEMENTS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        down = _decay(back, y, use, left)[0] <= _decay(back, y, use, right)[0]
        low, high = np.where(down, low, left), np.where(down, right, high)
    tau = np.exp(0.5 * (low + high))
    _, rest, excess = _decay(back, y, use, np.log(tau))
    rate = slope(time, values, quality, window_seconds).reshape(-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        now = rest + excess
        share = (goal - rest) / excess
        curved = np.where((share > 0.0) & (excess > 0.0), -tau * np.log(share), np.inf)
        shown = y[newest, np.arange(y.shape[1])]
        straight = np.where(rate < 0.0, (shown - goal) / -rate, np.inf)
        found = np.where(best == CANDIDATES - 1, straight, curved)
        found = np.where(np.where(best == CANDIDATES - 1, shown, now) <= goal, 0.0, found)
    return np.where((use.sum(axis=0) >= LEAST) & ~np.isnan(goal), found, np.nan).reshape(shape)


def fall_seconds(time: Floats, values: Floats, quality: Codes, least: float = 0.0) -> Floats:
    """Time constant τ [s] of a fall ``y = a + b e^{−t/τ}``, b > 0, from its first reading on.

    From ``y − y₀ = A S + B (t − t₀)`` with ``A = −1/τ`` and S the integral of ``y − y₀``, by least squares over the
    good readings (Jacquelin, *Régressions et équations intégrales*, 2009): integrals smooth the noise that slopes would
    sharpen. S goes by trapezoids, whose error is taken out for the mean spacing h: ``τ = h / (2 artanh(−A h/2))``. NaN
    with fewer than 5 good readings, for what is no decay, and for a fall of less than ``least`` [the unit of y].
    """
    t, y, use, shape = _recent(time, values, quality, np.inf)
    found = np.full(y.shape[1], np.nan)
    for thing in np.flatnonzero(use.sum(axis=0) >= LEAST).tolist():
        seen = use[:, thing]
        at, level = t[seen] - t[seen][0], y[seen, thing] - y[seen, thing][0]
        area = np.concatenate([[0.0], np.cumsum(0.5 * (level[1:] + level[:-1]) * np.diff(at))])
        ss, st, tt = area @ area, area @ at, at @ at
        sy, ty = area @ level, at @ level
        span = ss * tt - st * st
        if span <= 0.0 or level[-1] >= 0.0 or -level[-1] < least:
            continue
        half = float(np.mean(np.diff(at))) / 2.0
        share = -(sy * tt - ty * st) / span * half
        if 0.0 < share < 1.0:
            found[thing] = half / math.atanh(share)
    return found.reshape(shape)


def breaker_heating(
    time: Floats,
    amperes: Floats,
    quality: Codes,
    rating_amperes: float | Floats,
    time_constant_seconds: float | Floats,
    start: float | Floats | None = None,
) -> Floats:
    """Thermal element θ [1] of breakers at the latest reading: ``dθ/dt = (r² − θ)/τ``, r current over rating.

    Between two good readings r² is taken as their mean, for which ``θ ← r² + (θ − r²) e^{−Δt/τ}`` is exact. It begins
    at ``start``, or as if the first good reading had lasted for ever. NaN without a good reading. The element is that
    of IEC 60947-2 electronic trip units and of thermal-magnetic ones, as the plant has it; a policy's estimate lacks
    what happened between readings.
    """
    t, y, use, shape = _recent(time, amperes, quality, np.inf)
    count = y.shape[1]
    rating = np.broadcast_to(np.asarray(rating_amperes, dtype=np.float64), shape).reshape(-1)
    tau = np.broadcast_to(np.asarray(time_constant_seconds, dtype=np.float64), shape).reshape(-1)
    theta = np.full(count, np.nan)
    before = np.full(count, np.nan)  # drive at the last good reading, and its time
    at = np.full(count, np.nan)
    begin = None if start is None else np.broadcast_to(np.asarray(start, dtype=np.float64), shape).reshape(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        drives = (y / rating) ** 2
        for k in range(len(t)):
            drive, seen = drives[k], use[k]
            mean = 0.5 * (before + drive)
            on = mean + (theta - mean) * np.exp(-(t[k] - at) / tau)
            first = np.isnan(at)
            theta = np.where(seen, np.where(first, drive if begin is None else begin, on), theta)
            before, at = np.where(seen, drive, before), np.where(seen, t[k], at)
    return theta.reshape(shape)


def trip_seconds(
    theta: float | Floats, ratio: float | Floats, time_constant_seconds: float | Floats, level: float | Floats = TRIP
) -> Floats:
    """Time [s] until a thermal element at θ trips if the current stays at ``ratio`` = I/Ir; shapes broadcast.

    ``t = τ ln((r² − θ)/(r² − level))``: 0 at or past the level, inf for a ratio that never trips, NaN where any is.
    """
    drive = np.asarray(ratio, dtype=np.float64) ** 2
    state, top = np.asarray(theta, dtype=np.float64), np.asarray(level, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        seconds = np.asarray(time_constant_seconds) * np.log((drive - state) / (drive - top))
        found = np.where(state >= top, 0.0, np.where(drive > top, seconds, np.inf))
    return np.where(np.isnan(drive + state + top + time_constant_seconds), np.nan, found)


def _recent(
    time: Floats, values: Floats, quality: Codes, window_seconds: float
) -> tuple[Floats, Floats, NDArray[np.bool_], tuple[int, ...]]:
    """Times, values (K, N) with 0 for what does not count, what counts, and the shape of an answer."""
    t, y, q, shape = _window(time, values, quality, window_seconds)
    use = good(y, q)
    return t, np.where(use, y, 0.0), use, shape


@dataclass(frozen=True)
class Window:
    """A window of readings for sums over time, made by :func:`window`: few of them do not count, and those are 0.

    It answers what :func:`slope`, :func:`mean` and :func:`stability` do; who asks several of them looks for what does
    not count once.
    """

    time: Floats  # K
    values: Floats  # K×N, not to be written to
    gaps: Ints  # places among all K·N of what does not count, in their order
    count: Floats  # N, how many count
    shape: tuple[int, ...]  # of an answer

    def within(self, window_seconds: float) -> "Window":
        """The later part of it, as long as this [s]."""
        first = int(self.time.searchsorted(self.time[-1:] - window_seconds)[0]) if len(self.time) else 0
        before = first * self.values.shape[1]
        gaps = self.gaps[self.gaps.searchsorted(before) :] - before
        return Window(self.time[first:], self.values[first:], gaps, _counted(self.values[first:], gaps), self.shape)

    @cached_property
    def _middle(self) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.add.reduce(self.values, axis=0) / self.count)

    def _off(self) -> Floats:
        """Distances from the mean, shape (K, N), to be written to; something where nothing counts."""
        return self.values - self._middle

    def mean(self) -> Floats:
        return self._middle.reshape(self.shape)

    def slope(self) -> Floats:
        late = self.time - self.time[-1:]  # small numbers, whatever the hour
        if len(late) and not len(self.gaps):
            dt, off = late - np.add.reduce(late) / len(late), self._off()
            off *= dt[:, None]
            with np.errstate(invalid="ignore", divide="ignore"):
                # added one after another, as rows are below: a gap of one thing leaves the others' slopes as they are
                return self._said(np.add.reduce(off, axis=0) / np.add.accumulate(dt * dt)[-1:])
        rows, things = np.divmod(self.gaps, max(len(self.count), 1))
        missed = np.bincount(things, late[rows], len(self.count))
        with np.errstate(invalid="ignore", divide="ignore"):
            dt = self._without_gaps(late[:, None] - (late.sum() - missed) / self.count)
            off = self._off()
            off *= dt
            dt *= dt
            return self._said(np.add.reduce(off, axis=0) / np.add.reduce(dt, axis=0))

    def stability(self, unstable_fraction: float = 0.1) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            off = self._without_gaps(self._off())
            off *= off
            deviation = np.sqrt(np.add.reduce(off, axis=0) / self.count)
            share = np.where(deviation > 0.0, deviation / (unstable_fraction * np.abs(self._middle)), 0.0)
        return self._said(1.0 - np.minimum(1.0, share))

    def _without_gaps(self, values: Floats) -> Floats:
        """The same array, shape (K, N), now with 0 for what does not count."""
        if len(self.gaps):
            values.put(self.gaps, 0.0)
        return values

    def _said(self, found: Floats) -> Floats:
        """An answer, shape (N,), in its shape: NaN with fewer than 5 good readings."""
        return np.where(self.count >= LEAST, found, np.nan).reshape(self.shape)


_NONE: Ints = np.zeros(0, dtype=np.int64)


def _no_gaps(y: Floats, q: Codes) -> bool:
    """Whether all readings count: nearly always so, and told at a tenth of the cost of looking for those that do not.

    A sum of finite numbers may overflow: then they are looked at one by one, with the same outcome.
    """
    if np.count_nonzero(q):  # GOOD is 0
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        return math.isfinite(float(np.add.reduce(y, axis=None)))


def window(time: Floats, values: Floats, quality: Codes, window_seconds: float = WINDOW) -> Window:
    """The readings of the last window [s]."""
    t, y, q, shape = _window(time, values, quality, window_seconds)
    if len(t) and _no_gaps(y, q):
        return Window(t, y, _NONE, _counted(y, _NONE), shape)
    y = np.array(y)  # of its own, and in one piece
    bad = ~np.isfinite(y)
    bad |= np.ascontiguousarray(q) != GOOD
    gaps = bad.ravel().nonzero()[0]
    y.put(gaps, 0.0)
    return Window(t, y, gaps, _counted(y, gaps), shape)


def _counted(y: Floats, gaps: Ints) -> Floats:
    """How many of each column count, shape (N,)."""
    things = y.shape[1]
    if not len(gaps):
        return np.full(things, float(len(y)))
    return len(y) - np.bincount(gaps % things, minlength=things).astype(np.float64)


def _window(
    time: Floats, values: Floats, quality: Codes, window_seconds: float
) -> tuple[Floats, Floats, Codes, tuple[int, ...]]:
    """Times, values and qualities (K, N) of the last window, and the shape of an answer."""
    t = np.asarray(time, dtype=np.float64)
    y = np.asarray(values, dtype=np.float64)
    shape = y.shape[1:]
    things = math.prod(shape)
    y, q = y.reshape(len(t), things), np.asarray(quality).reshape(len(t), things)
    if len(t) and math.isfinite(window_seconds):
        late = slice(int(t.searchsorted(t[-1] - window_seconds)), None)
        t, y, q = t[late], y[late], q[late]
    return t, y, q, shape


def _mean(values: Floats, use: NDArray[np.bool_]) -> Floats:
    """Mean over what counts, per thing; NaN for none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(use, values, 0.0).sum(axis=0) / use.sum(axis=0))


def _decay(back: Floats, y: Floats, use: NDArray[np.bool_], log_tau: Floats) -> tuple[Floats, Floats, Floats]:
    """Sum of squares, a and b of the best ``a + b e^{−t/τ}`` with given τ, shape (N,), t counted from the latest."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        shape = np.where(use, np.exp(-np.minimum(back / np.exp(log_tau), 0.0) - _reach(back, use, log_tau)), 0.0)
        centre, mean = _mean(shape, use), _mean(y, use)
        ds, dy = np.where(use, shape - centre, 0.0), np.where(use, y - mean, 0.0)
        b = (ds * dy).sum(axis=0) / (ds * ds).sum(axis=0)
        error = ((dy - b * ds) ** 2).sum(axis=0)
        return error, mean - b * centre, b * np.exp(-_reach(back, use, log_tau))


def _reach(back: Floats, use: NDArray[np.bool_], log_tau: Floats) -> Floats:
    """Exponent of the oldest reading that counts: taken out of the exponentials, which are then at most 1."""
    oldest = np.where(use, back, 0.0).min(axis=0)
    return np.asarray(-oldest / np.exp(log_tau))
