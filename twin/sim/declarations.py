"""What owners of running work say that it will draw, added up by rack: at most ever, and within some times from now.

A service declares its load by time of day. Within a horizon h from now it draws the greatest of that at most, for each
service by itself; all other work draws what it declared until it ends, and nobody counts on its ending:
``P_r(h) = P_r − Σ_s w_rs (max u_s − max over [t, t + h] of u_s)``, with P_r once everybody draws the most that he
declared, and w_rs [W] the dynamic range of the trays of rack r that service s has.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Day = tuple[float, ...]  # utilisation in each of so many equal parts of every day

#: for which is told what may be drawn within them [s]; the last is a whole day, and so is all there is
HORIZONS = SECONDS_PER_HOUR * np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0])
HORIZONS.setflags(write=False)


@dataclass(frozen=True)
class _Curve:
    """One day that somebody declared."""

    number: int  # from 1 on
    below: Floats  # parts of the day × H: how far the most of each horizon from there is below the day's

    def at(self, now: float) -> int:
        """The part of the day that a time [s] is in."""
        return int(now % SECONDS_PER_DAY / SECONDS_PER_DAY * len(self.below))


def below_by_horizon(day: Day) -> Floats:
    """How far the greatest utilisation within each horizon is below that of the whole day, shape (parts, H).

    From anywhere within a part of the day on: the parts that a horizon may reach into count in full.
    """
    parts = len(day)
    twice = np.array([*day, *day])
    found = np.empty((parts, len(HORIZONS)))
    for place, seconds in enumerate(HORIZONS.tolist()):
        reached = min(math.ceil(seconds * parts / SECONDS_PER_DAY) + 1, parts)
        found[:, place] = np.lib.stride_tricks.sliding_window_view(twice, reached)[:parts].max(axis=1)
    return max(day) - found


class Declarations:
    """Declared power of all trays and, kept up to date as it changes, of racks at their inlets.

    tray0: shape (R + 1,), first tray of each rack. idle_watts, span_watts, warm_watts: of trays by their class, at
    rest, from there to full load, and what leakage adds to that on a warm tray. per_watt, fixed_watts: a rack's inlet
    power for a watt of its trays, and beside it; shapes (R,).
    """

    def __init__(
        self,
        tray0: Ints,
        idle_watts: Floats,
        span_watts: Floats,
        warm_watts: Floats,
        per_watt: Floats,
        fixed_watts: Floats,
    ) -> None:
        self._first: list[int] = tray0.tolist()
        self._rack = np.repeat(np.arange(len(tray0) - 1), np.diff(tray0))
        self._idle, self._span, self._most = idle_watts, span_watts + warm_watts, idle_watts + span_watts
        self._per_watt, self._fixed = per_watt, fixed_watts
        self._tray_watts = idle_watts.copy()
        self._tray_curve = np.zeros(len(idle_watts), dtype=np.int64)  # number of its curve, 0 for none
        self._curves: dict[Day, _Curve] = {}
        self._rack_watts = np.add.reduceat(idle_watts, tray0[:-1])
        self._curve_span = np.zeros((1, len(tray0) - 1))  # W, by curve and rack
        self._stale: set[int] = set()  # racks to be added up again
        self._at: tuple[int, ...] | None = None  # parts of the day for which the sums below hold
        self._ever = self._ahead = np.zeros(0)

    def declare(self, trays: Ints, utilisation: float, by_day: Day = ()) -> None:
        """Note what the owner of ``trays`` says that they will draw from now on: at most this, and by time of day where
        he says that too. Who draws his tray's nameplate has no more for leakage: warm trays of such load are slowed."""
        watts = self._idle[trays] + utilisation * self._span[trays]
        self._tray_watts[trays] = watts if by_day else np.minimum(watts, self._most[trays])
        self._tray_curve[trays] = self._number(by_day) if by_day else 0
        self._stale.update(self._rack[trays].tolist())

    def _number(self, day: Day) -> int:
        found = self._curves.get(day)
        if found is None:
            found = self._curves[day] = _Curve(len(self._curves) + 1, below_by_horizon(day))
            self._curve_span = np.vstack([self._curve_span, np.zeros(self._curve_span.shape[1])])
        return found.number

    def watts(self, now: float) -> tuple[Floats, Floats]:
        """Power at every rack's inlet in whole watts, as it is declared at a time [s]: at most ever, shape (R,), and
        within each of :data:`HORIZONS`, shape (H, R). Not to be written to: the same until something changes."""
        at = tuple(curve.at(now) for curve in self._curves.values())
        if self._stale or at != self._at:
            self._add_up()
            self._ever = np.round(self._rack_watts * self._per_watt + self._fixed)
            spared = np.zeros((len(HORIZONS), len(self._ever)))
            for curve, part in zip(self._curves.values(), at, strict=True):
                spared += curve.below[part][:, None] * self._curve_span[curve.number]
            exact = self._rack_watts - spared
            self._ahead = np.round(exact * self._per_watt + self._fixed)
            self._at = at
            for each in (self._ever, self._ahead):
                each.setflags(write=False)
        return self._ever, self._ahead

    def _add_up(self) -> None:
        """Sums of racks of which something changed."""
        first, count = self._first, len(self._curve_span)
        for rack in self._stale:
            trays = slice(first[rack], first[rack + 1])
            self._rack_watts[rack] = np.add.reduce(self._tray_watts[trays])
            self._curve_span[:, rack] = np.bincount(self._tray_curve[trays], self._span[trays], count)
        self._stale.clear()
