"""One window at a time, as a test would write it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.results.store import RunStore


def append(run: RunStore, time: float, told: Mapping[str, Mapping[str, Any]], names: Mapping[str, Sequence]) -> None:
    """Append one window, of which ``told`` has least, mean and greatest by level and signal."""
    lifted = {
        level: {signal: np.array(values, dtype=float).reshape(3, 1, -1) for signal, values in signals.items()}
        for level, signals in told.items()
    }
    run.append_windows([time], lifted, names)
