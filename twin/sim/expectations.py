"""What a story expects, in a small language, and whether a finished run met it.

Each expectation is one key with one value::

    never: breaker trip                                  no such event in the run
    never: slowdown on or device shutdown outside loop 02
    some: job requeued                                   at least one
    never between 1 min and 1 h of evacuate: job started in loop 02   none in that time
    each rack in loop 02: slowdown on or device shutdown  at least one on every rack of a place
    within 90 s of feed_loss: breaker trip at row        an event, no later than that after an action or an event
    between 400 s and 415 s of feed_loss: breaker trip in row A
    at end: jobs.killed == 0                             a metric; dots reach into nested ones, by_loop.loop 02
    always: device_temperature_celsius < 87 in row A     a rack's, loop's or breaker's extreme over the run

Events go by their kinds (underscores or spaces), several joined by ``or``; ``at`` takes a level, ``in`` and
``outside`` a place: rack, loop, row or power node, with all that belongs to it, and a job started in a place when any
of its racks is there; ``saying`` words of its detail, as in ``some: alert in A-02 saying coolant rise``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.hall.errors import did_you_mean
from twin.hall.parts import Hall
from twin.results.kinds import EventKind
from twin.results.troubles import started_on
from twin.sim.actions import Action
from twin.sim.membership import belongs, names_within, places
from twin.sim.written import Unfit, clock_of, seconds_of

if TYPE_CHECKING:
    import pandas as pd  # only frames that are handed in are used: listing stories need not wait for the library

LEVELS = ("hall", "utility", "ups", "pdu", "row", "panel", "rack", "loop", "zone", "job", "service")
KINDS = {kind.value for kind in EventKind}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
#: signals that ``always`` can speak of: table and column of the highest and of the lowest value over the run
EXTREMES: dict[str, tuple[tuple[str, str], ...]] = {
    "device_temperature_celsius": (("racks", "device_temperature_celsius_max"),),
    "rack_power_watts": (("racks", "peak_power_watts"),),
    "supply_temperature_celsius": (("loops", "supply_temperature_celsius_max"),),
    "return_temperature_celsius": (("loops", "return_temperature_celsius_max"),),
    "flow_litres_per_minute": (("loops", "flow_litres_per_minute_min"),),
    "thermal_fraction": (("breakers", "thermal_fraction_max"),),
    "current_amperes": (("breakers", "current_amperes_max"),),
}
STARTED = str(EventKind.JOB_STARTED)  # the one event of a job whose detail says where
FORMS = (
    "never, 'never between TIME and TIME of EVENT', some, 'each rack in PLACE', 'within TIME of EVENT', "
    "'between TIME and TIME of EVENT', always, 'at end'"
)
COMPARISON = re.compile(r"\s*(\w[\w. ]*?)\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*(?:in\s+(.+?)\s*)?")


@dataclass(frozen=True)
class Outcome:
    """Whether an expectation was met, with the sentence that shows it."""

    expectation: str
    met: bool
    evidence: str


@dataclass(frozen=True)
class Window:
    """Between ``low`` and ``high`` [s] after the first of a kind of event, or after an action of the story."""

    low: float
    high: float
    since: str  # the action or the kind of event
    start_seconds: float | None  # of the action; None for an event, which is found in the run

    def start(self, events: pd.DataFrame) -> float | None:
        """What it counts from [s]; None where there was no such event."""
        if self.start_seconds is not None:
            return self.start_seconds
        begun = events.loc[events["kind"] == self.since, "time_seconds"]
        return None if begun.empty else float(begun.min())

    def holds(self, times: pd.Series, start: float) -> pd.Series:
        """Which times [s] are in it."""
        return times.between(start + self.low, start + self.high)


@dataclass(frozen=True)
class Clause:
    """Which events are meant: kinds, a level, names inside a place or outside it."""

    text: str
    kinds: frozenset[str]
    level: str | None = None
    inside: frozenset[str] | None = None
    outside: frozenset[str] | None = None
    saying: str = ""  # what the detail has in it

    def meets(self, kind: str, level: str, name: str, detail: str) -> bool:
        """Whether one event is meant."""
        if kind not in self.kinds or self.level not in (None, level) or (self.saying and self.saying not in detail):
            return False
        inside, outside, named = self.inside, self.outside, _named(kind, name, detail)
        return (inside is None or any(belongs(each, inside) for each in named)) and (
            outside is None or not all(belongs(each, outside) for each in named)
        )

    def select(self, events: pd.DataFrame) -> pd.DataFrame:
        """The rows of the events table that are meant, in order of time."""
        chosen = events[events["kind"].isin(self.kinds)]
        details = chosen["detail"] if "detail" in chosen else [""] * len(chosen)
        rows = zip(chosen["kind"], chosen["level"], chosen["name"], details, strict=True)
        meant = np.fromiter((self.meets(*row) for row in rows), dtype=np.bool_)
        return chosen[meant].sort_values("time_seconds", kind="stable")


def _named(kind: str, name: str, detail: str) -> list[str]:
    """What an event names: the racks that a job started on, or else the thing that it happened to."""
    return started_on(detail) if kind == STARTED else [name]


@dataclass(frozen=True)
class Never:
    """No such event in the whole run, or in a time after an action or an event."""

    text: str
    clause: Clause
    window: Window | None = None

    def judge(self, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]) -> Outcome:
        found = self.clause.select(tables["events"])
        if self.window is None:
            return Outcome(self.text, found.empty, told(found))
        start = self.window.start(tables["events"])
        if start is None:
            return Outcome(self.text, False, f"there was no {self.window.since} to count from")
        found = found[self.window.holds(found["time_seconds"], start)]
        return Outcome(self.text, found.empty, told(found) if len(found) else "none in that time")


@dataclass(frozen=True)
class Some:
    """At least one such event in the run."""

    text: str
    clause: Clause

    def judge(self, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]) -> Outcome:
        found = self.clause.select(tables["events"])
        return Outcome(self.text, not found.empty, told(found))


@dataclass(frozen=True)
class Each:
    """At least one such event on every rack of a place."""

    text: str
    clause: Clause
    racks: tuple[str, ...]

    def judge(self, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]) -> Outcome:
        names = list(self.clause.select(tables["events"])["name"])
        missing = [rack for rack in self.racks if not any(belongs(name, {rack}) for name in names)]
        if not missing:
            return Outcome(self.text, True, f"on all {len(self.racks)} racks")
        shown = ", ".join(missing[:6]) + (", …" if len(missing) > 6 else "")
        return Outcome(self.text, False, f"not on {len(missing)} of {len(self.racks)} racks: {shown}")


@dataclass(frozen=True)
class Within:
    """Such an event between ``low`` and ``high`` seconds after the first of a kind, or after an action of the story."""

    text: str
    clause: Clause
    window: Window

    def judge(self, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]) -> Outcome:
        since, start = self.window.since, self.window.start(tables["events"])
        if start is None:
            return Outcome(self.text, False, f"there was no {since} to count from")
        found = self.clause.select(tables["events"])
        later = found[found["time_seconds"] >= start]
        met = self.window.holds(later["time_seconds"], start).any()
        if later.empty:
            return Outcome(self.text, False, f"none after {since} at {clock_of(start)}")
        first = later.iloc[0]
        evidence = f"the first {first['time_seconds'] - start:.1f} s after {since}: {first['name']}"
        return Outcome(self.text, bool(met), evidence)


@dataclass(frozen=True)
class AtEnd:
    """A metric of the finished run, compared with a number."""

    text: str
    metric: str
    comparison: str
    number: float

    def judge(self, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]) -> Outcome:
        flat = flattened(metrics)
        if self.metric not in flat:
            remedy = did_you_mean(self.metric, flat)
            return Outcome(self.text, False, f"the run has no metric {self.metric}. {remedy}")
        value = flat[self.metric]
        return Outcome(self.text, COMPARISONS[self.comparison](value, self.number), f"{self.metric} is {value:g}")


@dataclass(frozen=True)
class Always:
    """The extreme of a signal over the run (warm-up left out), on everything that has it or in one place."""

    text: str
    signal: str
    comparison: str
    number: float
    inside: frozenset[str] | None

    def judge(self, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]) -> Outcome:
        table, column = extreme(self.signal, self.comparison)
        rows = tables[table]
        if self.inside is not None:
            rows = rows[[belongs(name, self.inside) for name in rows["name"]]]
        rows = rows.dropna(subset=[column])
        if rows.empty:
            return Outcome(self.text, False, f"nothing there has a {self.signal}")
        values = rows[column].to_numpy(dtype=float)
        highest = column_is_highest(column)
        place = int(values.argmax() if highest else values.argmin())
        worst, name = float(values[place]), list(rows["name"])[place]
        met = COMPARISONS[self.comparison](worst, self.number)
        return Outcome(self.text, met, f"the {'highest' if highest else 'lowest'} is {worst:.4g}, at {name}")


Expectation = Never | Some | Each | Within | AtEnd | Always


def evaluate(
    expectations: tuple[Expectation, ...], tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]
) -> list[Outcome]:
    """Judge every expectation on the tables (``events``, ``racks``, ``loops``, ``breakers``) and metrics of a run."""
    return [expectation.judge(tables, metrics) for expectation in expectations]


def told(found: pd.DataFrame) -> str:
    """A sentence about the events found."""
    if found.empty:
        return "none in the run"
    first = found.iloc[0]
    count = "once" if len(found) == 1 else f"{len(found)} times, first"
    return f"{count}: {first['kind'].replace('_', ' ')} at {clock_of(first['time_seconds'])} on {first['name']}"


def flattened(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of the metrics by its dotted name."""
    flat: dict[str, float] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[f"{prefix}{key}"] = float(value)
    return flat


def column_is_highest(column: str) -> bool:
    """Whether a column holds a highest value rather than a lowest."""
    return not column.endswith("_min")


def extreme(signal: str, comparison: str) -> tuple[str, str]:
    """Table and column that decide ``always: signal comparison``; raises :class:`Unfit` where a run keeps none."""
    if signal not in EXTREMES:
        raise Unfit(f"unknown signal {signal}", did_you_mean(signal, EXTREMES))
    for table, column in EXTREMES[signal]:
        if column_is_highest(column) == (comparison in ("<", "<=")):
            return table, column
    bound = "lowest, so use > or >=" if comparison in ("<", "<=") else "highest, so use < or <="
    raise Unfit(f"'{comparison}' cannot be told of {signal}", f"A run keeps its {bound}")


def read_expectation(entry: Any, hall: Hall, timeline: tuple[Action, ...]) -> Expectation:
    """The expectation of one list entry, checked against a hall and a timeline. Raises :class:`Unfit`."""
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise Unfit("not one key with one value", "Write such as 'never: breaker trip'")
    ((key, value),) = entry.items()
    form = " ".join(str(key).replace("at_end", "at end").split())
    text = f"{form}: {value}"
    if not isinstance(value, str):
        raise Unfit(f"what follows '{form}' is not text", "Write an event such as 'breaker trip', or a comparison")
    if form == "never":
        return Never(text, read_clause(value, hall))
    if form == "some":
        return Some(text, read_clause(value, hall))
    if form == "at end":
        metric, comparison, number, place = read_comparison(value)
        if place is not None:
            raise Unfit("a metric is of the whole run", f"Leave out 'in {place}', or use 'always:'")
        return AtEnd(text, metric, comparison, number)
    if form == "always":
        signal, comparison, number, place = read_comparison(value)
        extreme(signal, comparison)
        return Always(text, signal, comparison, number, None if place is None else read_place(place, hall))
    if each := re.fullmatch(r"each rack in (.+)", form):
        inside = read_place(each[1], hall)
        racks = tuple(rack.name for rack in hall.racks if rack.name in inside)
        return Each(text, read_clause(value, hall), racks)
    if window := re.fullmatch(r"(never )?(?:within (.+?)|between (.+?) and (.+?)) of (.+)", form):
        low = 0.0 if window[3] is None else seconds_of(window[3])
        high = seconds_of(window[2] or window[4])
        if high <= low:
            raise Unfit("an empty span of time", "Give the shorter time first")
        span = Window(low, high, *read_since(window[5], timeline))
        clause = read_clause(value, hall)
        return Never(text, clause, span) if window[1] else Within(text, clause, span)
    raise Unfit(f"unknown form '{form}'", f"Use {FORMS}")


def read_since(written: str, timeline: tuple[Action, ...]) -> tuple[str, float | None]:
    """What a span of time counts from: the first action of that name, or else a kind of event."""
    word = "_".join(written.split())
    if word == "start":
        return "the start", 0.0
    for action in timeline:
        if action.do == word:
            return word, action.at_seconds
    if word in KINDS:
        return word, None
    known = [*dict.fromkeys(action.do for action in timeline), *sorted(KINDS)]
    raise Unfit(f"'{word}' is no action of the timeline and no kind of event", did_you_mean(word, known))


def read_clause(written: str, hall: Hall) -> Clause:
    """Which events ``written`` means, as the module's docstring shows."""
    parts = re.fullmatch(r"(.+?)(?: at (\w+))?(?: (in|outside) (.+?))?(?: saying (.+))?", " ".join(written.split()))
    if parts is None:
        raise Unfit("no event", "Write a kind of event such as 'breaker trip'")
    kinds = frozenset("_".join(kind.split()) for kind in parts[1].split(" or "))
    for kind in sorted(kinds - KINDS):
        raise Unfit(f"unknown event '{kind}'", did_you_mean(kind, KINDS))
    if parts[2] is not None and parts[2] not in LEVELS:
        raise Unfit(f"unknown level '{parts[2]}'", did_you_mean(parts[2], LEVELS))
    placeless = sorted(kind for kind in kinds if kind.startswith("job_") and kind != STARTED)
    if parts[4] is not None and placeless:
        raise Unfit(f"a {placeless[0]} is of a job, which has no place", "Leave the place out, or ask for job started")
    names = None if parts[4] is None else read_place(parts[4], hall)
    inside, outside = (names, None) if parts[3] == "in" else (None, names)
    return Clause(written, kinds, parts[2], inside, outside, parts[5] or "")


def read_place(written: str, hall: Hall) -> frozenset[str]:
    """Names of a place of the hall."""
    try:
        return names_within(hall, written.strip())
    except KeyError:
        raise Unfit(f"unknown place '{written}'", did_you_mean(written, places(hall))) from None


def read_comparison(written: str) -> tuple[str, str, float, str | None]:
    """Name, comparison, number and place of such as ``jobs.killed == 0`` or ``thermal_fraction < 1 in row A``."""
    parts = COMPARISON.fullmatch(written)
    try:
        number = math.nan if parts is None else float(parts[3])
    except ValueError:
        number = math.nan
    if parts is None or not math.isfinite(number):
        raise Unfit("not a comparison", "Write a name, one of == != < <= > >=, and a number")
    return parts[1], parts[2], number, parts[4]
