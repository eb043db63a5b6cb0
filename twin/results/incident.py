"""What was happening at a time of a run: how hot, since what, how far it had spread, and until when at this pace.

Pure functions of a run's tables. Known at a time is what has ended by then: the last whole interval of the series.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from twin.results.kinds import EventKind
from twin.results.troubles import Held, Trouble, held_flags, troubles

LOOK = 180.0  # s back, against which spreading and cooling are told
NEAR = 3.0  # K below its slowdown temperature from which a rack is affected
WARM = 5.0  # K above what it was before the trouble
BACK = 2.0  # K above what it was: recovered
FALL = 1.0  # K of the hottest over LOOK: cooling
AFTER = 1_800.0  # s that a trouble is remembered once it is over
DEVICE = "device_temperature_celsius_max"


class State(StrEnum):
    """How an incident stands; the sentences are what the summary prints."""

    QUIET = "quiet: no rack is affected"
    LOCALIZED = "localized: no further rack was affected in the last 3 minutes"
    EXPANDING = "expanding: further racks were affected in the last 3 minutes"
    RECOVERING = "recovering: none was added, and racks came back or cooled, in the last 3 minutes"

    @property
    def word(self) -> str:
        """The first word."""
        return self.value.partition(":")[0]


@dataclass(frozen=True)
class RackState:
    """One rack: its hottest device, how far that is above what it was before, and when it will be back."""

    name: str
    row: str
    loop: str
    device_temperature_celsius: float
    rise_kelvin: float | None  # None where nothing is wrong to count from
    margin_kelvin: float | None  # to its slowdown
    off: bool
    affected: bool
    recovery_seconds: float | None  # None for no estimate


@dataclass(frozen=True)
class Incident:
    """What was happening at ``time_seconds``."""

    time_seconds: float
    state: State
    racks: tuple[RackState, ...]  # affected first, then the hottest
    new: tuple[str, ...]  # affected now, not LOOK ago
    places: tuple[str, ...]  # loops, or rows, of those affected
    troubles: tuple[Trouble, ...]  # under way
    flags: tuple[Held, ...]  # set
    recovery_seconds: float | None  # of all affected racks; None where one has none
    lost: Mapping[str, float]  # so far: GPU-seconds, and how often what happened

    @property
    def affected(self) -> tuple[RackState, ...]:
        """Racks that are affected."""
        return tuple(rack for rack in self.racks if rack.affected)


def incident(events: pd.DataFrame, racks: pd.DataFrame, series: pd.DataFrame, time: float) -> Incident:
    """What was happening at ``time`` [s].

    ``series`` has time_seconds, name and the highest device temperature [°C] of every rack and interval. Raises
    ValueError for a time before the end of the first interval, or after the run.
    """
    grid = series.pivot(index="time_seconds", columns="name", values=DEVICE).sort_index()
    before = events[events["time_seconds"] <= time]
    known = _known(grid, time)
    so_far = troubles(before)
    under_way = [each for each in so_far if each.lasts(time)]
    begun = _begun(so_far, time)
    base = None if begun is None else _row(grid, begun)
    now, then = (_affected(before, racks, grid, at, base) for at in (time, time - LOOK))
    new = tuple(sorted(now - then))
    hottest = _row(grid, time)
    estimates = {name: _recovery(grid, known, base, name) for name in now}
    off = _off(before, time)
    states = []
    for row in racks.to_dict("records"):
        name, value = str(row["name"]), float(hottest.get(row["name"], math.nan))
        limit = row.get("slowdown_celsius")
        states.append(
            RackState(
                name,
                str(row["row"]),
                str(row["loop"] or ""),
                value,
                None if base is None else value - float(base[name]),
                None if limit is None or pd.isna(limit) else float(limit) - value,
                name in off,
                name in now,
                estimates.get(name),
            )
        )
    states.sort(key=lambda each: (not each.affected, -each.device_temperature_celsius, each.name))
    whole = [estimates[name] for name in now]
    recovery = max((each for each in whole if each is not None), default=None)
    return Incident(
        time,
        state(now, then, hottest, _row(grid, time - LOOK)),
        tuple(states),
        new,
        _places(racks, now),
        tuple(under_way),
        tuple(each for each in held_flags(before) if each.lasts(time)),
        None if any(each is None for each in whole) else recovery,
        _lost(before),
    )


def state(now: frozenset[str], then: frozenset[str], hottest: pd.Series, hottest_then: pd.Series) -> State:
    """How an incident stands, of the racks affected now and LOOK ago and their hottest devices [°C] at both times."""
    if not now:
        return State.QUIET if not then else State.RECOVERING
    if now - then:
        return State.EXPANDING
    names = sorted(now)
    cooler = float(hottest[names].max()) <= float(hottest_then[names].max()) - FALL
    return State.RECOVERING if len(now) < len(then) or cooler else State.LOCALIZED


def recovery(excess_before: float, excess_now: float, seconds: float) -> float | None:
    """Time [s] until an excess temperature is down to BACK, if it goes on to fall as it did in the last ``seconds``.

    An exponential through both: τ = seconds / ln(before / now), and τ ln(now / BACK) is left. None where it does not
    fall.
    """
    if excess_now <= BACK:
        return 0.0
    if excess_now >= excess_before:
        return None
    return seconds / math.log(excess_before / excess_now) * math.log(excess_now / BACK)


def _recovery(grid: pd.DataFrame, known: float, base: pd.Series | None, name: str) -> float | None:
    place = grid.index.get_loc(known)
    if base is None or not isinstance(place, int) or place == 0:
        return None
    first = max(0, place - 2)
    column = grid[name].to_numpy(dtype=float) - float(base[name])
    return recovery(column[first], column[place], float(grid.index[place] - grid.index[first]))


def _step(grid: pd.DataFrame) -> float:
    times = grid.index.to_numpy(dtype=float)
    return float(times[1] - times[0]) if len(times) > 1 else 0.0


def _known(grid: pd.DataFrame, time: float) -> float:
    """Start of the last interval that has ended by a time."""
    times, step = grid.index.to_numpy(dtype=float), _step(grid)
    if not len(times) or time < times[0] + step:
        raise ValueError(f"nothing has been recorded by {time:g} s; the first interval ends at {step:g} s")
    if time > times[-1] + step:
        raise ValueError(f"the run ended at {times[-1] + step:g} s")
    return float(times[times + step <= time][-1])


def _row(grid: pd.DataFrame, time: float) -> pd.Series:
    """Temperatures of the last interval that has ended by a time, or of the first for an earlier time."""
    known = _known(grid, max(time, float(grid.index[0]) + _step(grid)))
    return grid.iloc[list(grid.index).index(known)]


def _begun(found: list[Trouble], time: float) -> float | None:
    """When the episode at a time began: the first trouble that lasts, or has not been over for long."""
    return min((each.begun for each in found if each.ended is None or each.ended > time - AFTER), default=None)


def _off(events: pd.DataFrame, time: float) -> frozenset[str]:
    """Racks that are dark or shut down, or have a device that shut itself down."""
    off: set[str] = set()
    down: dict[str, int] = {}
    for row in events[events["time_seconds"] <= time].sort_values("event").to_dict("records"):
        name = str(row["name"])
        if row["kind"] in (EventKind.RACK_DARK, EventKind.RACK_SHUT_DOWN):
            off.add(name)
        elif row["kind"] == EventKind.RACK_RESTORED:
            off.discard(name)
            down.pop(name, None)
        elif row["kind"] == EventKind.DEVICE_SHUTDOWN:
            down[name] = down.get(name, 0) + 1
        elif row["kind"] == EventKind.DEVICE_RESTARTED:
            down[name] = down.get(name, 0) - 1
    return frozenset(off | {name for name, count in down.items() if count > 0})


def _affected(
    events: pd.DataFrame, racks: pd.DataFrame, grid: pd.DataFrame, time: float, base: pd.Series | None
) -> frozenset[str]:
    """Racks that are off, near or past their slowdown, or much warmer than before the trouble."""
    hottest = _row(grid, time)
    found = set(_off(events, time))
    limits = racks.set_index("name")["slowdown_celsius"] if "slowdown_celsius" in racks else pd.Series(dtype=float)
    for name in racks["name"]:
        limit = limits.get(name)
        near = limit is not None and not pd.isna(limit) and hottest[name] >= limit - NEAR
        if near or (base is not None and hottest[name] >= base[name] + WARM):
            found.add(str(name))
    return frozenset(found)


def _places(racks: pd.DataFrame, names: frozenset[str]) -> tuple[str, ...]:
    """Loops of racks, and rows of those that have none."""
    found = racks[racks["name"].isin(names)]
    return tuple(dict.fromkeys(row["loop"] or f"row {row['row']}" for row in found.to_dict("records")))


def _lost(events: pd.DataFrame) -> dict[str, float]:
    """What has been lost so far, by what happened."""
    hit = events[events["kind"].isin([EventKind.JOB_REQUEUED, EventKind.JOB_KILLED, EventKind.JOB_PREEMPTED])]
    found = {"gpu_seconds": float(hit["value"].fillna(0.0).sum())}
    for kind in (
        EventKind.JOB_REQUEUED, EventKind.JOB_KILLED, EventKind.SLOWDOWN_ON, EventKind.DEVICE_SHUTDOWN,
        EventKind.RACK_SHUT_DOWN, EventKind.RACK_DARK, EventKind.BREAKER_TRIP,
    ):  # fmt: skip
        found[str(kind)] = float((events["kind"] == kind).sum())
    return found
