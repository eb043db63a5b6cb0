"""A recorded incident: telemetry, decisions, and which racks went bad when; and the looks that are made of them again.

The layout, which a site can fill from its own history, is described in ``twin/docs/incidents.md``. A look at the time
of a decision is made of what had arrived by then and of nothing later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twin.policy.facility import Facility
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot, History, Quality
from twin.sim.measured import SIGNALS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HISTORY_SECONDS = 1800.0  # that a look has of the past
NOT_LATE = 1e-9  # s
DECIMALS = {signal.field: signal.decimals for signal in SIGNALS.values()}  # to which a look rounds, as policies see it


@dataclass(frozen=True)
class Asked:
    """One decision: when, about what, and which racks were given; none for a request that waited."""

    time_seconds: float
    request: JobRequest
    racks: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Channel:
    """Readings of one field: K samples of N things, NaN where nothing came."""

    times: Floats  # K
    values: Floats  # K×N
    quality: NDArray[np.int8]  # K×N

    @cached_property
    def latest(self) -> NDArray[np.int64]:
        """For each sample and thing, the newest sample up to it that came; −1 for none. Shape (K, N)."""
        rows = np.arange(len(self.times))[:, None]
        return np.maximum.accumulate(np.where(np.isfinite(self.values), rows, -1), axis=0)


@dataclass(frozen=True)
class Declared:
    """What work declared to draw at most within H horizons [s], at T times [s] from which on it holds: T×H×R [W]."""

    times: Floats
    seconds: Floats
    watts: Floats

    def at(self, now: float) -> Floats:
        """What had been declared by a time [s], shape (H, R); NaN where nothing had."""
        place = int(np.searchsorted(self.times, now + NOT_LATE, side="right")) - 1
        return self.watts[place] if place >= 0 else np.full(self.watts.shape[1:], np.nan)


@dataclass(frozen=True)
class Incident:
    """One stretch of a hall's history. Names are in the order of the floor."""

    name: str
    purpose: str
    latency_seconds: float  # from a reading to where it can be seen
    stale_seconds: float  # age from which the site marks a reading as stale; inf for never
    missing_seconds: float  # and as missing
    racks: pd.DataFrame
    loops: pd.DataFrame
    breakers: pd.DataFrame
    facility: Facility
    lines: tuple[str, ...]  # metered
    channels: Mapping[str, Channel]
    allocation: Mapping[str, Floats]  # rack's trays, health, admission and declared power, at ``looked`` times
    looked: Floats
    declared: Declared
    asked: tuple[Asked, ...]
    bad: pd.DataFrame
    digest: str = ""
    _looks: dict[float, FacilitySnapshot] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Racks."""
        return tuple(self.racks["name"])

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """Rows of racks."""
        return tuple(dict.fromkeys(self.racks["row"]))

    def snapshot(self, time_seconds: float) -> FacilitySnapshot:
        """What could be seen at a time [s]: one object for all that was asked at one time."""
        found = self._looks.get(time_seconds)
        if found is None:
            found = self._looks[time_seconds] = self._snapshot(time_seconds)
        return found

    def _snapshot(self, now: float) -> FacilitySnapshot:
        loops = list(self.loops["name"])
        place = max(int(np.searchsorted(self.looked, now + NOT_LATE, side="right")) - 1, 0)
        values: dict[str, Any] = {}
        ages: dict[str, Floats] = {}
        qualities: dict[str, NDArray[np.int8]] = {}
        histories: dict[str, History] = {}
        for name, channel in self.channels.items():
            shown, ages[name], qualities[name], histories[name] = self._shown(channel, now)
            places = DECIMALS[name]
            values[name] = shown if places is None else np.round(shown, places)
        counts = {"rack": len(self.names), "row": len(self.rows), "loop": len(loops),
                  "breaker": len(self.breakers), "phase": len(self.lines)}  # fmt: skip
        for signal in SIGNALS.values():
            values.setdefault(signal.field, np.full(counts[signal.kind], np.nan))
        closed = values.pop("breaker_closed")
        allocation = {name: table[place] for name, table in self.allocation.items()}
        return FacilitySnapshot(
            time_seconds=now,
            rack_names=self.names,
            row_names=self.rows,
            loop_names=tuple(loops),
            breaker_names=tuple(self.breakers["name"]),
            phase_names=self.lines,
            rack_row=np.array([self.rows.index(each) for each in self.racks["row"]]),
            rack_loop=np.array([loops.index(each) if each in loops else -1 for each in self.racks["loop"]]),
            rack_trays=self.racks["trays"].to_numpy(dtype=np.int64),
            rack_free_trays=allocation["free_trays"].astype(np.int64),
            rack_healthy=allocation["healthy"] > 0.5,
            rack_admitting=allocation["admitting"] > 0.5,
            rack_production=self.racks["production"].to_numpy(dtype=np.bool_),
            rack_max_power_watts=self.racks["max_power_watts"].to_numpy(dtype=np.float64),
            rack_declared_power_watts=allocation["declared_power_watts"],
            declared_ahead_seconds=self.declared.seconds,
            rack_declared_ahead_watts=self.declared.at(now),
            breaker_rating_amperes=self.breakers["rating_amperes"].to_numpy(dtype=np.float64),
            breaker_closed=~(closed < 0.5),
            facility=self.facility,
            serial=1 + int(np.searchsorted(self.times, now)),
            ages=ages,
            qualities=qualities,
            histories=histories,
            **values,
        )

    def _shown(self, channel: Channel, now: float) -> tuple[Floats, Floats, NDArray[np.int8], History]:
        """Values, ages [s], qualities and history of one field at a time."""
        end = int(np.searchsorted(channel.times, now - self.latency_seconds + NOT_LATE, side="right"))
        start = int(np.searchsorted(channel.times, now - HISTORY_SECONDS))
        past = History(channel.times[start:end], channel.values[start:end], channel.quality[start:end])
        count = channel.values.shape[1]
        if not end:
            never = np.full(count, np.nan), np.full(count, np.inf), np.full(count, Quality.MISSING, dtype=np.int8)
            return *never, past
        latest = channel.latest[end - 1]
        came, things = latest >= 0, np.arange(count)
        value = np.where(came, channel.values[latest, things], np.nan)
        age = np.where(came, now - channel.times[latest], np.inf)
        quality = np.where(came, channel.quality[latest, things], Quality.MISSING).astype(np.int8)
        quality[(age >= self.stale_seconds) & (quality == Quality.GOOD)] = Quality.STALE
        gone = (age >= self.missing_seconds) | ~came
        quality[gone] = Quality.MISSING
        return np.where(gone, np.nan, value), age, quality, past

    @cached_property
    def times(self) -> Floats:
        """Times at which something was asked, in order."""
        return np.unique([each.time_seconds for each in self.asked])

    def together(self) -> Iterator[tuple[float, list[Asked]]]:
        """What was asked, look by look, in the order in which it was."""
        by_time: dict[float, list[Asked]] = {}
        for each in self.asked:
            by_time.setdefault(each.time_seconds, []).append(each)
        for time in sorted(by_time):
            yield time, by_time[time]

    def goes_bad(self, now: float, within_seconds: float) -> dict[int, str]:
        """Racks that went bad after a time within so many seconds, and what became of them first."""
        bad = self.bad
        soon = bad[(bad["until_seconds"] > now) & (bad["since_seconds"] <= now + within_seconds)]
        found: dict[int, str] = {}
        for rack, what in zip(soon["rack"], soon["what"], strict=True):
            found.setdefault(self.names.index(rack), what)
        return found

    def coming_power_watts(self, now: float, within_seconds: float) -> Floats:
        """Mean power of racks [W] from a time on for so many seconds, as it was measured; NaN where it was not."""
        channel = self.channels.get("rack_power_watts")
        if channel is None:
            return np.full(len(self.names), np.nan)
        part = channel.values[(channel.times > now) & (channel.times <= now + within_seconds)]
        known = np.isfinite(part)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(known, part, 0.0).sum(axis=0) / known.sum(axis=0))
