"""What of a facility does not change from one look to the next: what feeds and cools each rack, and what those bear.

A *limit* is a current that has a rating: one line of a metered node, or the hottest pole of a rack feed's breaker. K
limits, R racks, L loops, B breakers, P metered lines; D is the greatest number of limits above a rack.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

RACK, LOOP = -1, -2  # what binds a rack where it is no limit


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that nobody can write to."""
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


def _nothing() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True)
class Facility:
    """Static description of power and cooling above the racks, for headroom and scores.

    ``rack_amperes_per_watt`` is what a watt of a rack puts on a limit while both of its feeds live. Magnitudes add,
    which is never less than what phasors make.
    """

    limit_names: tuple[str, ...]  # K, such as "row A/feed A/L1"
    limit_rating_amperes: Floats  # K
    limit_breaker: Ints  # K, index of the breaker that guards it, −1 for none
    limit_phase: Ints  # K, index among the metered lines, −1 where the breaker's own current counts
    rack_limits: Ints  # R×D, −1 for none
    rack_limit_feed: Ints  # R×D, 0 for feed A, 1 for feed B
    rack_amperes_per_watt: Floats  # R×D
    rack_neighbours: Ints  # R×2, −1 for none
    rack_tray_idle_watts: Floats  # R, of an idle tray
    rack_watts_per_tray_watt: Floats  # R, at the rack's inlet for a watt of its trays
    loop_capacity_watts: Floats  # L, heat that its exchanger is rated for
    rack_slowdown_celsius: Floats = field(default_factory=_nothing)  # R, at which its devices slow; empty: not known

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "limit_names":
                object.__setattr__(self, each.name, read_only(getattr(self, each.name)))

    # ------------------------------------------------------------------ what follows from it, found once

    @cached_property
    def slowdown_celsius(self) -> Floats:
        """Temperature at which the devices of each rack slow down [°C], shape (R,); NaN where that is not known."""
        known = self.rack_slowdown_celsius
        return read_only(known if len(known) else np.full(len(self.rack_limits), np.nan))

    @cached_property
    def limited(self) -> Bools:
        """Where a rack has a limit, shape (R, D)."""
        return read_only(self.rack_limits >= 0)

    @cached_property
    def limits(self) -> Ints:
        """Limits of racks as indices, 0 for none, shape (R, D)."""
        return read_only(np.maximum(self.rack_limits, 0))

    @cached_property
    def entries(self) -> Ints:
        """Where limits are among all R·D places, row by row."""
        return read_only(np.flatnonzero(self.limited))

    @cached_property
    def entry_limits(self) -> Ints:
        """The limit of each entry."""
        return read_only(self.rack_limits.ravel()[self.entries])

    @cached_property
    def breakers(self) -> Ints:
        """Breakers that guard racks' limits, −1 for none, shape (R, D)."""
        return read_only(np.where(self.limited, self.limit_breaker[self.limits], -1))

    @cached_property
    def fed(self) -> Bools:
        """Racks that have a limit above them, shape (R,)."""
        return read_only(np.logical_or.reduce(self.limited, axis=1))

    @cached_property
    def usual_amperes_per_watt(self) -> Floats:
        """What a watt of each rack puts on its limits while all of its feeds live [A/W], shape (R, D)."""
        return read_only(np.where(self.limited, self.rack_amperes_per_watt, 0.0))

    @cached_property
    def binding(self) -> Ints:
        """What may leave a rack least: its limits, its loop, itself; shape (R, D + 2)."""
        count = len(self.rack_limits)
        return read_only(np.column_stack([self.rack_limits, np.full(count, LOOP), np.full(count, RACK)]))

    @cached_property
    def beside(self) -> tuple[Bools, Ints, Ints]:
        """Where a rack has a neighbour and which, 0 for none, shapes (R, 2); and how many, at least 1, shape (R,)."""
        has = self.rack_neighbours >= 0
        return read_only(has), read_only(np.maximum(self.rack_neighbours, 0)), read_only(np.maximum(has.sum(axis=1), 1))

    def limit_amperes(self, lines: Floats, breakers: Floats) -> Floats:
        """Currents of all limits [A], shape (K,), from those of metered lines (P,) and of breakers (B,)."""
        places = np.where(self.limit_phase >= 0, self.limit_phase, len(lines) + self.limit_breaker)
        return np.asarray(np.concatenate([lines, breakers])[places])

    def added_amperes(self, amperes_per_watt: Floats, watts: Floats) -> Floats:
        """What powers of racks [W], shape (R,), put on all limits [A], shape (K,)."""
        put = (amperes_per_watt * watts[:, None]).ravel()[self.entries]
        return np.asarray(np.bincount(self.entry_limits, put, len(self.limit_names)), dtype=np.float64)
