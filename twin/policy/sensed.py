"""Readings as the response ladder takes them: by level and signal, values with time stamps and qualities."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from twin.policy.scope import Level
from twin.policy.snapshot import FacilitySnapshot, Quality

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Extent = tuple[float, float, float, float]  # lowest, highest, first [s], last [s]

ROUNDING = 1e-9  # by which a mean may lie beyond what it is the mean of

_OF_RACKS = (
    "rack_power_watts",
    "rack_supply_temperature_celsius",
    "rack_return_temperature_celsius",
    "rack_device_temperature_celsius",
    "rack_flow_litres_per_minute",
    "rack_inlet_air_temperature_celsius",
    "rack_valve_ratio",
)
#: of coolant: racks without a loop have none of it, whatever stands in their place
COOLANT = (
    "rack_supply_temperature_celsius",
    "rack_return_temperature_celsius",
    "rack_flow_litres_per_minute",
    "rack_valve_ratio",
)
_OF_LOOPS = (
    "loop_supply_temperature_celsius",
    "loop_return_temperature_celsius",
    "loop_flow_litres_per_minute",
    "loop_pump_speed_ratio",
    "loop_valve_ratio",
)

#: signals by the level whose places have them. Temperatures, flows and valves of racks are those of coolant, in racks
#: on loops, and so are means over rows and the hall; air is supplied to the others. A device's limit is its own: at 0 K
#: over slowdown it slows down
SIGNALS: dict[Level, tuple[str, ...]] = {
    Level.RACK: (
        *_OF_RACKS,
        "rack_power_ratio",
        "rack_air_supply_temperature_celsius",
        "rack_device_over_slowdown_kelvin",
    ),
    Level.ROW: ("row_power_watts", "row_mean_supply_temperature_celsius"),
    Level.LOOP: _OF_LOOPS,
    Level.HALL: ("hall_power_watts", "hall_mean_supply_temperature_celsius"),
}


@dataclass(frozen=True)
class Signal:
    """The latest reading of every place, in the order of the level's members."""

    values: Floats  # M
    measured_seconds: Floats  # M, the sensor's time stamp; −inf for never
    quality: NDArray[np.int8]  # M, codes of Quality
    absent: Bools | None = None  # M, places that have no such thing: nobody misses it there; None for no place

    @cached_property
    def extent(self) -> Extent | None:
        """Lowest and highest value, first and last time stamp, of places that have it; None where a reading does not
        count or none is."""
        values, stamps, quality = self.values, self.measured_seconds, self.quality
        if self.absent is not None:
            there = ~self.absent
            values, stamps, quality = values[there], stamps[there], quality[there]
        if not len(values) or np.count_nonzero(quality):  # GOOD is 0
            return None
        lowest, highest = float(np.minimum.reduce(values)), float(np.maximum.reduce(values))
        if not math.isfinite(lowest + highest):
            return None
        return lowest, highest, float(np.minimum.reduce(stamps)), float(np.maximum.reduce(stamps))


class Means:
    """Means of a signal over groups, as a :class:`Signal`: worked out only where their extent does not say enough."""

    def __init__(self, source: Signal, group: NDArray[np.int64], groups: int) -> None:
        self._source, self._group, self._groups = source, group, groups

    @cached_property
    def extent(self) -> Extent | None:
        """That of the source, a little wider for rounding, where all was read at once."""
        found = self._source.extent
        if found is None or found[2] != found[3]:
            return None
        return found[0] - ROUNDING, found[1] + ROUNDING, found[2], found[3]

    @cached_property
    def absent(self) -> Bools | None:
        """Groups of which no member has it."""
        members = self._group if self._source.absent is None else self._group[~self._source.absent]
        none = np.bincount(members, minlength=self._groups) == 0
        return none if none.any() else None

    @cached_property
    def _found(self) -> Signal:
        return _over(self._source, self._group, self._groups, mean=True)

    @property
    def values(self) -> Floats:
        return self._found.values

    @cached_property
    def measured_seconds(self) -> Floats:
        extent = self.extent
        if extent is None:
            return self._found.measured_seconds
        stamps = np.full(self._groups, extent[2])
        if self.absent is not None:
            stamps[self.absent] = -np.inf
        return stamps

    @property
    def quality(self) -> NDArray[np.int8]:
        return self._found.quality


Reading = Signal | Means


@dataclass(frozen=True)
class Sensed:
    """Names of the places of each level, and readings by signal. A signal that is left out is missing everywhere."""

    members: Mapping[Level, tuple[str, ...]]
    signals: Mapping[str, Reading]

    def of(self, name: str, level: Level) -> Reading:
        """A signal of a level's places; all missing if there is none of that name."""
        found = self.signals.get(name)
        if found is not None:
            return found
        count = len(self.members[level])
        missing = np.full(count, Quality.MISSING, dtype=np.int8)
        return Signal(np.full(count, np.nan), np.full(count, -np.inf), missing)


def readings_of(snapshot: FacilitySnapshot, hall: str = "hall", wanted: Collection[str] | None = None) -> Sensed:
    """What a snapshot holds for the ladder. ``hall`` names the hall; ``wanted`` signals are enough, by default all.

    Means and sums over racks and rows are of quality GOOD where all their readings are, and as old as the oldest:
    a row of which a part is out of sight may not be taken for recovered.
    """
    rows = len(snapshot.row_names)
    read: dict[str, Signal] = {}
    dry = snapshot.rack_loop < 0
    by_air = int(np.count_nonzero(dry))
    lacking = {
        True: dry if by_air else None,
        False: ~dry if by_air < len(dry) else None,
    }  # racks without a loop, and with

    def signal(name: str) -> Signal:
        found = read.get(name)
        if found is None:
            found = read[name] = _signal(snapshot, name)
        return found

    def of_cooling(name: str, liquid: bool) -> Signal:
        found, absent = signal(name), lacking[liquid]
        return found if absent is None else Signal(found.values, found.measured_seconds, found.quality, absent)

    def over_slowdown() -> Signal:
        found, facility = signal("rack_device_temperature_celsius"), snapshot.facility
        if facility is None or not len(facility.rack_slowdown_celsius):
            return Signal(found.values, found.measured_seconds, np.full(len(found.values), Quality.MISSING, np.int8))
        return Signal(found.values - facility.rack_slowdown_celsius, found.measured_seconds, found.quality)

    def ratio() -> Signal:
        power = signal("rack_power_watts")
        with np.errstate(invalid="ignore", divide="ignore"):
            share = power.values / snapshot.rack_max_power_watts
        return Signal(share, power.measured_seconds, power.quality)

    def mean_supply(group: Ints, groups: int) -> Means:
        return Means(of_cooling("rack_supply_temperature_celsius", True), group, groups)

    made: dict[str, Callable[[], Reading]] = {
        "rack_power_ratio": ratio,
        **{name: partial(of_cooling, name, True) for name in COOLANT},
        "rack_air_supply_temperature_celsius": lambda: of_cooling("rack_inlet_air_temperature_celsius", False),
        "rack_device_over_slowdown_kelvin": over_slowdown,
        "row_mean_supply_temperature_celsius": lambda: mean_supply(snapshot.rack_row, rows),
        "hall_mean_supply_temperature_celsius": lambda: mean_supply(np.zeros_like(snapshot.rack_row), 1),
        "hall_power_watts": lambda: _over(signal("row_power_watts"), np.zeros(rows, dtype=np.int64), 1, mean=False),
    }
    every = dict.fromkeys((*_OF_RACKS, *_OF_LOOPS, "row_power_watts", *made))
    signals = {
        name: made[name]() if name in made else signal(name) for name in every if wanted is None or name in wanted
    }
    members = {
        Level.RACK: snapshot.rack_names,
        Level.ROW: snapshot.row_names,
        Level.LOOP: snapshot.loop_names,
        Level.HALL: (hall,),
    }
    return Sensed(members, signals)


def _signal(snapshot: FacilitySnapshot, name: str) -> Signal:
    values = np.asarray(getattr(snapshot, name), dtype=np.float64)
    ages = snapshot.ages.get(name, np.zeros(len(values)))
    quality = snapshot.qualities.get(name)
    if quality is None:
        quality = np.where(np.isfinite(values), Quality.GOOD, Quality.MISSING).astype(np.int8)
    return Signal(values, snapshot.time_seconds - np.asarray(ages, dtype=np.float64), quality)


def _over(signal: Signal, group: NDArray[np.int64], groups: int, *, mean: bool) -> Signal:
    """Mean or sum of a signal over groups."""
    absent = signal.absent
    if absent is not None:
        there = ~absent
        group = group[there]
        signal = Signal(signal.values[there], signal.measured_seconds[there], signal.quality[there])
    counts = np.bincount(group, minlength=groups)
    bad = (signal.quality != Quality.GOOD) | ~np.isfinite(signal.values)
    sums = np.bincount(group, weights=np.where(bad, 0.0, signal.values), minlength=groups)
    whole = (np.bincount(group, weights=bad, minlength=groups) == 0) & (counts > 0)
    oldest = np.full(groups, np.inf)
    np.minimum.at(oldest, group, signal.measured_seconds)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(whole, sums / counts if mean else sums, np.nan)
    quality = np.where(whole, Quality.GOOD, Quality.MISSING).astype(np.int8)
    return Signal(values, np.where(counts > 0, oldest, -np.inf), quality, None if absent is None else counts == 0)
