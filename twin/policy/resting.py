"""What lets a ladder at rest stay at rest: bounds on plain readings, and what its state is after looks within them.

Nearly always no rung is held and nothing is near a limit. Who holds every reading against these bounds where it is kept
need not step the ladder then: :func:`after_calm` says what the steps would have come to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twin.policy.ladder import LadderState
from twin.policy.ladder_rules import LadderRules
from twin.policy.sensed import COOLANT, SIGNALS
from twin.policy.snapshot import FacilitySnapshot

Floats = NDArray[np.float64]

SLACK = 1e-9  # of a bound: more than ratios and means of readings lose by rounding


@dataclass(frozen=True)
class Source:
    """What a signal is made of: a level of it is one of the field times a factor, plus a term."""

    field: str  # of a snapshot, N things
    there: NDArray[np.bool_]  # N, things that have it
    times: Floats | float = 1.0  # N
    plus: Floats | float = 0.0  # N
    group: NDArray[np.int64] | None = None  # N, the place whose mean it is part of; None where it is one itself
    groups: int = 0

    def bound(self, level: float, side: float) -> Floats:
        """A reading of the field which, and beyond which on the good side, the signal is not past ``level``. ``side``
        is 1 for a level above the signal, −1 for one below; infinite for none.

        Rounding keeps order: where the very bound is not past the level, nothing on its good side is. A mean may lie
        beyond all that it is the mean of, by its rounding.
        """
        if not np.isfinite(level):
            return np.full(len(self.there), level)
        plain = np.asarray(np.broadcast_to(level * self.times + self.plus, len(self.there)))
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = side * ((plain - self.plus) / self.times - level) <= 0.0
        if self.group is not None:
            exact[:] = False
        return np.where(exact, plain, plain - side * SLACK * np.maximum(np.abs(plain), 1.0))

    def stamps(self, measured_seconds: Floats) -> Floats:
        """Time stamps [s] of the signal's places from those of the field: a mean is as old as the oldest in it."""
        if self.group is None:
            return np.where(self.there, measured_seconds, -np.inf)
        oldest = np.full(self.groups, np.inf)
        np.minimum.at(oldest, self.group[self.there], measured_seconds[self.there])
        return np.where(np.isinf(oldest), -np.inf, oldest)


@dataclass(frozen=True)
class Calm:
    """Bounds for every ladder of a document, by field of a snapshot, and what each signal is made of."""

    lowest: Mapping[str, Floats]  # N; NaN for things that no ladder looks at
    highest: Mapping[str, Floats]
    sources: Mapping[str, Source]


def calm_of(rules: LadderRules, snapshot: FacilitySnapshot) -> Calm | None:
    """Bounds on the readings of a hall, of which a snapshot says what it is made of; None where they cannot tell.

    A reading that counts and lies within ``lowest`` and ``highest`` is past no limit; neither is a mean or a ratio
    that is made of such. What lies beyond need not be past a limit.
    """
    lowest: dict[str, Floats] = {}
    highest: dict[str, Floats] = {}
    sources: dict[str, Source] = {}
    for ladder in rules.ladders:
        for name, (above, below) in zip(ladder.table.signals, ladder.table.bounds, strict=True):
            source = _source(name, snapshot)
            if source is None:
                return None
            there, size = source.there, len(source.there)
            low, high = (found.setdefault(source.field, np.full(size, np.nan)) for found in (lowest, highest))
            within = source.bound(below, -1.0), source.bound(above, 1.0)
            if np.isnan(np.stack(within)[:, there]).any():
                return None
            low[there] = np.fmax(low[there], within[0][there])
            high[there] = np.fmin(high[there], within[1][there])
            sources[name] = source
    return Calm(lowest, highest, sources)


def _source(name: str, snapshot: FacilitySnapshot) -> Source | None:
    """What a signal is made of; None for what bounds do not tell, such as a sum."""
    cooled = snapshot.rack_loop >= 0
    every = np.ones(len(cooled), dtype=bool)
    if name == "rack_power_ratio":
        return Source("rack_power_watts", every, times=snapshot.rack_max_power_watts)
    if name == "rack_device_over_slowdown_kelvin":
        facility = snapshot.facility
        if facility is None or not len(facility.rack_slowdown_celsius):
            return None
        return Source("rack_device_temperature_celsius", every, plus=facility.rack_slowdown_celsius)
    if name == "rack_air_supply_temperature_celsius":
        return Source("rack_inlet_air_temperature_celsius", ~cooled)
    supply = "rack_supply_temperature_celsius"
    if name == "row_mean_supply_temperature_celsius":
        return Source(supply, cooled, group=snapshot.rack_row, groups=len(snapshot.row_names))
    if name == "hall_mean_supply_temperature_celsius":
        return Source(supply, cooled, group=np.zeros(len(cooled), dtype=np.int64), groups=1)
    if name in COOLANT:
        return Source(name, cooled)
    plain = getattr(snapshot, name, None)
    if plain is None or not any(name in names for names in SIGNALS.values()):
        return None
    return Source(name, np.ones(len(plain), dtype=bool))


def after_calm(
    rules: LadderRules, state: LadderState, calm: Calm, measured_seconds: Mapping[str, Floats], time_seconds: float
) -> LadderState:
    """The state after looks at which all readings counted, and were within their bounds.

    measured_seconds: time stamps at the last of these looks [s], by field, shape (N,). time_seconds: of that look [s].
    Raises ValueError where something is held, past a limit or missing before: then the ladder has to be stepped.
    """
    if not state.rests:
        raise ValueError("a ladder that does not rest has to be stepped")
    stamps = {name: each.stamps(measured_seconds[each.field]) for name, each in calm.sources.items()}
    ladders = {}
    for ladder in rules.ladders:
        latest = np.stack([stamps[name] for name in ladder.table.signals])
        newest = latest.max(axis=1, initial=-np.inf).tolist()
        ladders[ladder.name] = state.ladders[ladder.name].read_anew(latest, newest)
    return replace(state, time_seconds=time_seconds, ladders=ladders)
