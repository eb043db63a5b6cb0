"""One line per root cause, from what began it to what it cost: ``loop 02 pump loss 00:10:00 → supply +11.2 K → …``.

A pure function of a run's tables. Temperatures and flows are compared between the last interval before the cause and
those until its last consequence, half an hour at least: what else befell the same loop in that time shows in them too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twin.results.catalogue import EVENT_NONE
from twin.results.kinds import EventKind
from twin.results.troubles import COOLING
from twin.results.wording import clock, count, duration, gpu_hours

ARROW = " → "
HARMLESS = "nothing slowed, tripped or was lost"
LEAST_RISE = 0.5  # K that a line mentions
LEAST_DROP = 0.05  # of a flow
SPAN = 1_800.0  # s after a cause that are looked at when nothing follows
ACTION = re.compile(r"(?P<do>[a-z_]+)(?: (?P<name>.+))? (?P<clock>\d+:\d\d:\d\d(?:\.\d+)?)")
EVERYWHERE = frozenset(
    (EventKind.WATER_LOST, EventKind.WATER_DRIFTED, EventKind.CHILLER_TRIPPED, EventKind.WEATHER_HOT)
)
HOT = frozenset((EventKind.SLOWDOWN_ON, EventKind.HARDWARE_SLOWDOWN_ON, EventKind.DEVICE_SHUTDOWN))


@dataclass(frozen=True)
class Trace:
    """The line of one root cause, and when it began."""

    root: str
    time_seconds: float
    text: str


def traces(
    events: pd.DataFrame,
    losses: pd.DataFrame,
    racks: pd.DataFrame,
    series: Callable[[str, Sequence[str]], pd.DataFrame],
) -> list[Trace]:
    """The lines of all root causes that hurt anything or began an incident, in order of time.

    ``series`` gives the time series of a level and signals, as :meth:`twin.results.read.Run.series` does.
    """
    found = []
    rooted = events[events["root"] != ""]
    loop_of = dict(zip(racks["name"], racks["loop"].fillna(""), strict=True))
    loops = _Series(lambda: series("loop", ("supply_temperature_celsius", "flow_litres_per_minute")))
    hall = _Series(lambda: series("hall", ("facility_water_celsius", "room_air_celsius")))
    for root, group in rooted.groupby("root", sort=False):
        begun = float(group["time_seconds"].iloc[0])
        end = max(float(group["time_seconds"].iloc[-1]), begun + SPAN)
        power = [link(group) for link in POWER_LINKS]
        cooling = _cooling(group, loop_of, loops, hall, begun, end)
        work = [link(group) for link in WORK_LINKS]
        lost = losses[(losses["cause"] == root) & (losses["kind"] == "gpu_seconds")]["amount"].sum()
        if lost > 0.0:  # jobs may leave and start again without losing anything
            work += [*(link(group) for link in LOSS_LINKS), f"{gpu_hours(lost)} lost"]
        hurt = [*power, *(link(group) for link in TRAY_LINKS), ", ".join(part for part in work if part)]
        if not any(hurt) and (group["incident"] == EVENT_NONE).all():
            continue
        chain = [*power, *cooling, *hurt[len(power) :]]
        said = [part for part in chain if part] if any(hurt) else [*(part for part in cooling if part), HARMLESS]
        found.append(Trace(str(root), begun, ARROW.join([heading(str(root), begun), *said])))
    return sorted(found, key=lambda trace: trace.time_seconds)


def heading(root: str, time: float) -> str:
    """What began it, where and when: ``loop 02 pump loss 00:10:00``."""
    parts = ACTION.fullmatch(root)
    if parts is None:
        return f"{root} {clock(time)}"
    words = str(parts["do"]).replace("_", " ")
    return f"{parts['name']} {words} {parts['clock']}" if parts["name"] else f"{words} {parts['clock']}"


# ---------------------------------------------------------------- links


def _things(kind: EventKind, one: str, several: str, by: Sequence[str] = ("name",)) -> Callable[[pd.DataFrame], str]:
    """A link that counts the different things that a kind of event befell."""

    def link(group: pd.DataFrame) -> str:
        many = len(group.loc[group["kind"] == kind, list(by)].drop_duplicates())
        return count(many, one, several) if many else ""

    return link


def _events(kind: EventKind, one: str, several: str) -> Callable[[pd.DataFrame], str]:
    """A link that counts events."""
    return _things(kind, one, several, ("event",))


def _generators(group: pd.DataFrame) -> str:
    started = group[group["kind"] == EventKind.GENERATOR_STARTED]
    if len(started):
        return f"generators after {duration(float(started['value'].iloc[0]))}"
    return "generators did not start" if (group["kind"] == EventKind.GENERATOR_FAILED).any() else ""


POWER_LINKS = (
    _things(EventKind.BATTERY_ON, "UPS on battery", "UPS on battery"),
    _generators,
    _things(EventKind.BATTERY_SPENT, "battery spent", "batteries spent"),
    _events(EventKind.BREAKER_TRIP, "breaker tripped", "breakers tripped"),
    _things(EventKind.RACK_DARK, "rack dark", "racks dark"),
)
TRAY_LINKS = tuple(
    _things(kind, f"tray {what}", f"trays {what}", ("name", "detail"))
    for kind, what in (
        (EventKind.SLOWDOWN_ON, "slowed"),
        (EventKind.HARDWARE_SLOWDOWN_ON, "braked"),
        (EventKind.DEVICE_SHUTDOWN, "shut down"),
    )
)
WORK_LINKS = (
    _things(EventKind.JOB_REQUEUED, "job set back", "jobs set back"),
    _things(EventKind.JOB_KILLED, "job killed", "jobs killed"),
)
LOSS_LINKS = (
    _things(EventKind.JOB_PREEMPTED, "job turned out", "jobs turned out"),
    _things(EventKind.JOB_RENEWED, "job started again", "jobs started again"),
)


# ---------------------------------------------------------------- series


class _Series:
    """A level of the time series, read when it is first needed, by name."""

    def __init__(self, read: Callable[[], pd.DataFrame]) -> None:
        self._read = read
        self._by_name: dict[str, pd.DataFrame] | None = None

    def names(self) -> list[str]:
        if self._by_name is None:
            frame = self._read()
            self._by_name = {str(name): part for name, part in frame.groupby("name", sort=False, observed=True)}
        return list(self._by_name)

    def around(self, name: str, begun: float, end: float) -> tuple[Mapping[Any, Any], pd.DataFrame] | None:
        """The last interval before ``begun`` [s], and those from there to ``end``; None where there are none."""
        if name not in self.names() or self._by_name is None:
            return None
        frame = self._by_name[name]
        starts = frame["time_seconds"].to_numpy()
        within = int(np.searchsorted(starts, begun, side="right")) - 1
        after = frame.iloc[max(within, 0) : int(np.searchsorted(starts, end, side="right"))]
        if within < 1 or after.empty:
            return None
        return frame.iloc[within - 1].to_dict(), after

    def rise(self, names: Sequence[str], signal: str, begun: float, end: float) -> float:
        """The greatest rise [K] of a signal's maximum among ``names``."""
        found = [0.0]
        for name in names:
            if (pair := self.around(name, begun, end)) is not None:
                found.append(float(pair[1][f"{signal}_max"].max()) - float(pair[0][f"{signal}_max"]))
        return max(found)

    def drop(self, names: Sequence[str], signal: str, begun: float, end: float) -> float:
        """The greatest share that a signal fell below its mean before, among ``names``."""
        found = [0.0]
        for name in names:
            pair = self.around(name, begun, end)
            if pair is not None and float(pair[0][f"{signal}_mean"]) > 0.0:
                found.append(1.0 - float(pair[1][f"{signal}_min"].min()) / float(pair[0][f"{signal}_mean"]))
        return max(found)


def _cooling(
    group: pd.DataFrame, loop_of: Mapping[str, str], loops: _Series, hall: _Series, begun: float, end: float
) -> list[str]:
    """What coolant, facility water and room air did: flow, then temperatures."""
    kinds = set(group["kind"])
    # facility water may be lost to one loop alone
    beyond = group[group["kind"].isin(EVERYWHERE) & (group["level"] != "loop")]
    everywhere = len(beyond) > 0
    touched = {str(name) for name in group.loc[group["level"] == "loop", "name"]}
    touched |= {loop_of.get(str(name), "") for name in group.loc[group["kind"].isin(HOT), "name"]}
    # what took no cooling away and moved no set point has nothing to do with flow and supply
    if not kinds & COOLING and not str(group["root"].iloc[0]).startswith("supply_setpoint "):
        return []
    if not touched - {""} and not everywhere and EventKind.CRAH_LOST not in kinds:
        return []
    names = loops.names() if everywhere else sorted(touched - {""})
    said = []
    dropped = loops.drop(names, "flow_litres_per_minute", begun, end)
    if dropped >= LEAST_DROP and (group["level"] == "loop").any():
        said.append(f"flow −{100.0 * dropped:.0f} %")
    if everywhere:
        said.append(_rise("facility water", hall.rise(hall.names(), "facility_water_celsius", begun, end)))
    if EventKind.CRAH_LOST in kinds:
        said.append(_rise("room air", hall.rise(hall.names(), "room_air_celsius", begun, end)))
    said.append(_rise("supply", loops.rise(names, "supply_temperature_celsius", begun, end)))
    return said


def _rise(what: str, kelvin: float) -> str:
    return f"{what} +{kelvin:.1f} K" if kelvin >= LEAST_RISE else ""
