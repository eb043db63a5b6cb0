"""What of a facility does not change from one look to the next: what feeds and cools each rack, and what those bear.

A *limit* is a current that has a rating: one line of a metered node, or the hottest pole of a rack feed's breaker. K
limits, R racks, L loops, B breakers, P metered lines; D is the greatest number of limits above a rack.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that nobody can write to."""
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


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

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "limit_names":
                object.__setattr__(self, each.name, read_only(getattr(self, each.name)))
