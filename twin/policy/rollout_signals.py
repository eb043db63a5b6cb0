"""What a rollout is gated on, from readings of the racks that have the release: histories and sums in, signals out.

Each is NaN where it cannot be known, and 0 without racks: where nothing runs, nothing fails yet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.judge import window_means
from twin.policy.signals import good
from twin.policy.snapshot import History
from twin.policy.trial import Window

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_REFERENCE = 3  # racks without the release whose mean change counts as the hall's own
JUST_NOW = 1e-6  # s, by which the latest reading is inside a window


@dataclass(frozen=True)
class Baseline:
    """Device temperatures by rack before a release [°C], shape (R,), and the racks whose heat now tells of it alone."""

    celsius: Floats
    witnesses: Bools


def temperature_rise(
    past: History | None,
    time_seconds: float,
    seconds: float,
    racks: Ints,
    without: Ints,
    before: Baseline | None,
    unsure: float,
) -> float:
    """Greatest rise [K] of a rack's hottest device since before the release, over the mean rise of racks without it.

    ``past`` are device temperatures, of which the last ``seconds`` count. ``racks`` have the release and are up, in the
    order in which they got it; ``without`` are to have it and do not. Where those are fewer than three, the racks that
    have had it longest stand for them, unless those would be held against themselves. Witnesses alone count where there
    are any; the others, on either side, are believed that nothing rose, and no more than ``unsure`` [K] of what did: it
    may hold a release, and not take it back.
    """
    if not len(racks):
        return 0.0
    if before is None or past is None:
        return float("nan")
    window = Window(time_seconds - seconds, time_seconds + JUST_NOW)
    change = window_means(past.time_seconds, past.values, past.quality, window) - before.celsius
    few = len(without) < LEAST_REFERENCE and (len(racks) > LEAST_REFERENCE or not len(without))
    reference = _best(racks[:LEAST_REFERENCE] if few else without, before)
    known = change[reference][np.isfinite(change[reference])]
    if not len(known):
        return float("nan")
    telling = _best(racks, before)
    rise = change[telling] - float(np.sort(known).mean())
    if not np.isfinite(rise).all():
        return float("nan")
    most = max(0.0, float(rise.max()))
    sure = before.witnesses[telling].any() and before.witnesses[reference].any()
    return most if sure else min(most, unsure)


def _best(racks: Ints, before: Baseline) -> Ints:
    """The witnesses among racks, all of them where there is none."""
    witnesses = racks[before.witnesses[racks]]
    return witnesses if len(witnesses) else racks


def power_spike(past: History | None, since_seconds: float, racks: Ints, declared_peaks_watts: Floats) -> float:
    """Greatest peak of a rack's power since a time [s] over its declared peak [W], shape as ``racks``, less 1."""
    if not len(racks):
        return 0.0
    if past is None:
        return float("nan")
    late = past.time_seconds >= since_seconds
    values, use = past.values[late][:, racks], good(past.values[late], past.quality[late])[:, racks]
    peak = np.where(use, values, -np.inf).max(axis=0, initial=-np.inf)
    if not np.isfinite(peak).all():
        return float("nan")
    return float(max(0.0, (peak / declared_peaks_watts - 1.0).max()))


def throttled_share(shares: Floats, trays: Ints) -> float:
    """Share of device-seconds with a throttled clock over racks, from each rack's share and trays."""
    return float((shares * trays).sum() / trays.sum()) if len(trays) else 0.0
