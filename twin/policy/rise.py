"""How long a reading has been rising: what an alert says of coolant before devices throttled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.signals import good

Floats = NDArray[np.float64]

LOW, HIGH = 0.1, 0.9  # parts of a rise between which it is timed
LEAST_KELVIN = 1.0  # what is less is no rise


@dataclass(frozen=True)
class Rise:
    """A rise: how long it took [s], and by how much, in the unit of the readings."""

    seconds: float
    amount: float


def rise_of(time: Floats, values: Floats, quality: NDArray[np.int8], least: float = LEAST_KELVIN) -> Rise | None:
    """The rise to the highest good reading from the lowest before it; None where it is below ``least``.

    ``time`` [s], ``values`` and ``quality``, shape (K,), oldest first. It is timed from 10 % to 90 % of its height by
    straight lines between readings and stretched to the whole, ``(t90 − t10)/0.8``: exact for a straight rise, and
    little moved by noise at its ends.
    """
    use = good(values, quality)
    t, y = np.asarray(time, dtype=np.float64)[use], np.asarray(values, dtype=np.float64)[use]
    if len(y) < 2:
        return None
    top = int(np.argmax(y))
    bottom = top - int(np.argmin(y[: top + 1][::-1]))  # the latest of equal lowest ones
    amount = float(y[top] - y[bottom])
    if bottom == top or amount < least:
        return None
    part, when = (y[bottom : top + 1] - y[bottom]) / amount, t[bottom : top + 1]
    return Rise((_reached(when, part, HIGH) - _reached(when, part, LOW)) / (HIGH - LOW), amount)


def _reached(time: Floats, part: Floats, level: float) -> float:
    """When a rise from 0 to 1 first reached a level."""
    k = int(np.argmax(part >= level))
    share = (level - part[k - 1]) / (part[k] - part[k - 1])
    return float(time[k - 1] + share * (time[k] - time[k - 1]))
