"""Which stretch of a long trace a run replays: the busiest one, found exactly."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def busiest_window(start: Floats, end: Floats, weight: Floats, length: float) -> float:
    """Begin [s] of the window of ``length`` [s] in which Σ weight × time in use is largest; the earliest of equals.

    Interval i holds ``weight[i]`` from ``start[i]`` to ``end[i]`` [s]. The time integral of what is in use is piecewise
    linear in the window's begin, with corners where the begin or the end of the window meets a start or an end; a
    largest value lies at a corner. Windows reach no further than the trace; a shorter trace begins at its first start.
    """
    first, last = float(start.min()), float(end.max())
    if last - first <= length:
        return first
    corners = np.unique(np.concatenate([start, end]))
    begins = np.unique(np.clip(np.concatenate([corners, corners - length]), first, last - length))
    held = _integral(corners, start, end, weight)
    total = np.interp(begins + length, corners, held) - np.interp(begins, corners, held)
    # sums of floats: what is equal but for rounding counts as equal
    return float(begins[np.flatnonzero(total >= total.max() * (1.0 - 1e-12))[0]])


def mean_in_use(start: Floats, end: Floats, weight: Floats, begin: float, length: float) -> float:
    """Mean of what is in use over the window from ``begin`` of ``length`` [s]."""
    overlap = np.minimum(end, begin + length) - np.maximum(start, begin)
    return float(np.sum(np.maximum(overlap, 0.0) * weight) / length)


def _integral(corners: Floats, start: Floats, end: Floats, weight: Floats) -> Floats:
    """∫ in use dt from the first corner to each corner."""
    change = np.zeros(len(corners))
    np.add.at(change, np.searchsorted(corners, start), weight)
    np.add.at(change, np.searchsorted(corners, end), -weight)
    level = np.cumsum(change)[:-1]
    return np.concatenate([[0.0], np.cumsum(level * np.diff(corners))])
