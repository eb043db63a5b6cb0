"""Guards: the levels at which hardware acts, and what the plant reports when one is crossed."""

from dataclasses import dataclass
from enum import IntEnum


class Guard(IntEnum):
    """One row per threshold. The order is the tie rule at one instant."""

    BREAKER_INSTANTANEOUS = 0
    BREAKER_SHORT_TIME = 1
    BREAKER_THERMAL = 2
    RACK_DARK = 3
    BATTERY_SPENT = 4
    DEVICE = 5  # the next level of a tray's device: which one follows from its mode


@dataclass(frozen=True)
class Crossing:
    """A guard crossed at an absolute time [s] by the breaker, rack, node or tray of this index."""

    time: float
    guard: Guard
    index: int
