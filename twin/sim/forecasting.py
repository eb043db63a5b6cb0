"""A policy's forecasts held against what came: kept until their time is there, then compared with what sensors read.

Every seven and a half minutes, once the sensors have measured, the policy is asked what it expects. What is kept does
not grow with the run: forecasts of the last half hour, and sums and histograms of what was found.
"""

import math
from collections.abc import Generator
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import EventPriority

from twin.policy.forecast import Forecast
from twin.policy.headroom import HOLDS_SECONDS
from twin.policy.snapshot import FacilitySnapshot
from twin.policy.utilisation import AHEAD_SECONDS
from twin.sim.sensors import AFTER_ALL
from twin.sim.world import World

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Steps = Generator[simpy.Event, Any, None]

PERIOD_SECONDS = 450.0
AFTER_SENSORS = EventPriority(AFTER_ALL + 1)
LEVELS = ("rack", "row", "phase", "loop")
BINS, BIN = 10_001, 1e-3  # of the histogram of errors: up to 10, the last for all above
MEMORY = 32  # looks, that a recovery time is remembered: four hours


class Forecaster(Protocol):
    """What makes forecasts: given a snapshot, and since when [s] it was not asked."""

    def __call__(self, snapshot: FacilitySnapshot, since_seconds: float) -> Forecast | None: ...


class Tally:
    """Errors so far: forecast less what came."""

    def __init__(self, unit: float = 1.0) -> None:
        self.count, self.sum, self.sum_of_sizes = 0, 0.0, 0.0
        self.unit = unit  # of the errors, in which a bin is a thousandth
        self.sizes = np.zeros(BINS, dtype=np.int64)

    def add(self, errors: Floats) -> None:
        """Count errors; NaN and infinite ones are none."""
        known = errors[np.isfinite(errors)]
        self.count += len(known)
        self.sum += math.fsum(known.tolist())
        size = np.abs(known)
        self.sum_of_sizes += math.fsum(size.tolist())
        np.add.at(self.sizes, np.minimum(np.rint(size / (BIN * self.unit)), BINS - 1).astype(np.int64), 1)

    def figures(self, suffix: str = "") -> dict[str, float | int | None]:
        """Bias, mean absolute error and the 90th percentile of absolute errors (to a thousandth of the unit)."""
        if not self.count:
            return {
                "count": 0,
                f"bias{suffix}": None,
                f"mean_absolute_error{suffix}": None,
                f"absolute_error{suffix}_p90": None,
            }
        place = int(np.searchsorted(np.cumsum(self.sizes), math.ceil(0.9 * self.count)))
        return {
            "count": self.count,
            f"bias{suffix}": self.sum / self.count,
            f"mean_absolute_error{suffix}": self.sum_of_sizes / self.count,
            f"absolute_error{suffix}_p90": place * BIN * self.unit,
        }


class Due:
    """The last forecasts of one level, each compared when its time is there."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.said: list[Floats] = []
        self.tally = Tally()

    def look(self, now: Floats, ahead: Floats) -> None:
        if len(self.said) == self.looks:
            self.tally.add(self.said.pop(0) - now)
        self.said.append(ahead)


class Claims:
    """Racks that were said to have headroom for half an hour, and which of them were past a limit within it."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.said: list[Bools] = []
        self.broken: list[Bools] = []
        self.count = self.held = 0

    def look(self, exceeded: Bools, sustained: Bools) -> None:
        for broken in self.broken:
            broken |= exceeded
        if len(self.said) == self.looks:
            said, broken = self.said.pop(0), self.broken.pop(0)
            self.count += int(said.sum())
            self.held += int((said & ~broken).sum())
        self.said.append(sustained.copy())
        self.broken.append(np.zeros_like(sustained))


class Recoveries:
    """When things that were too warm were said to be back, held against the look at which they were."""

    def __init__(self) -> None:
        self.said: list[Floats] = []  # absolute times [s], NaN for nothing said
        self.tally = Tally(unit=3_600.0)

    def look(self, time: float, seconds: Floats) -> None:
        back = seconds == 0.0
        for said in self.said:
            self.tally.add(said[back] - time)
            said[back] = np.nan
        self.said = [said for said in self.said[-MEMORY + 1 :] if not np.isnan(said).all()]
        waits = np.isfinite(seconds) & (seconds > 0.0)
        if waits.any():
            self.said.append(np.where(waits, time + seconds, np.nan))


class Forecasts:
    """Asks for forecasts in time and keeps score of them."""

    def __init__(self, world: World, forecaster: Forecaster) -> None:
        self.world = world
        self.forecaster = forecaster
        self.levels = {level: Due(round(AHEAD_SECONDS / PERIOD_SECONDS)) for level in LEVELS}
        self.claims = Claims(round(HOLDS_SECONDS / PERIOD_SECONDS))
        self.recoveries = Recoveries()

    def process(self) -> Steps:
        """Look at every period, from the end of the warm-up on."""
        env = self.world.env
        due = self.world.settings.warmup_seconds
        while True:
            due += PERIOD_SECONDS
            tick = simpy.Event(env)
            tick._ok, tick._value = True, None
            env.schedule(tick, priority=AFTER_SENSORS, delay=due - env.now)
            yield tick
            found = self.forecaster(self.world.snapshot(), due - PERIOD_SECONDS)
            if found is not None:
                self.take(due, found)

    def take(self, time: float, found: Forecast) -> None:
        """Score what is due at ``time`` [s], and keep what is said now."""
        for level, due in self.levels.items():
            due.look(getattr(found.now, level), getattr(found.ahead, level))
        self.claims.look(found.exceeded, found.sustained)
        recovery = np.concatenate([found.rack_recovery_seconds, found.loop_recovery_seconds])
        self.recoveries.look(time, recovery)

    def figures(self) -> dict[str, Any]:
        """The measures under ``forecast``: see :data:`twin.results.measures.METRICS`."""
        claims = self.claims
        return {
            **{level: due.tally.figures() for level, due in self.levels.items()},
            "sustained": {"claims": claims.count, "held_ratio": claims.held / claims.count if claims.count else None},
            "recovery": self.recoveries.tally.figures("_seconds"),
        }
