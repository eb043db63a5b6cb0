"""Troubles of the facility with their beginning and end, and flags with theirs: pure functions of the events table."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import pandas as pd

from twin.results.kinds import EventKind

K = EventKind
#: what begins a trouble → what ends it
ENDS: dict[str, EventKind] = {
    K.PUMP_LOST: K.PUMP_RESTORED,
    K.PUMP_DEGRADED: K.PUMP_RESTORED,
    K.VALVE_STUCK: K.VALVE_FREED,
    K.EXCHANGER_FOULED: K.EXCHANGER_CLEANED,
    K.FILTER_CLOGGED: K.FILTER_CLEANED,
    K.WATER_LOST: K.WATER_RESTORED,
    K.WATER_DRIFTED: K.WATER_CORRECTED,
    K.CHILLER_TRIPPED: K.CHILLER_RESTARTED,
    K.CRAH_LOST: K.CRAH_RESTORED,
    K.WEATHER_HOT: K.WEATHER_OVER,
    K.INTERFACE_WORSENED: K.INTERFACE_RENEWED,
    K.PHASE_LOST: K.PHASE_RESTORED,
    K.UTILITY_LOST: K.UTILITY_RESTORED,
    K.FEED_LOST: K.FEED_RESTORED,
    K.BREAKER_TRIP: K.BREAKER_RECLOSED,
    K.TELEMETRY_LOST: K.TELEMETRY_RESTORED,
}
#: of these, what takes cooling away
COOLING = frozenset(
    (
        K.PUMP_LOST, K.PUMP_DEGRADED, K.VALVE_STUCK, K.EXCHANGER_FOULED, K.FILTER_CLOGGED, K.WATER_LOST,
        K.WATER_DRIFTED, K.CHILLER_TRIPPED, K.CRAH_LOST, K.WEATHER_HOT, K.INTERFACE_WORSENED,
    )
)  # fmt: skip
SET = re.compile(r"(?P<flag>\S+) = (?P<variant>\S+?)(?: by (?P<by>[^;]+))?; (?P<why>.*)")
OVER = re.compile(r"(?P<flag>\S+) (?:cleared|expired)")


@dataclass(frozen=True)
class Trouble:
    """A trouble of one thing; ``ended`` is None while it lasts."""

    kind: str
    level: str
    name: str
    root: str
    begun: float
    ended: float | None

    def lasts(self, time: float) -> bool:
        """Whether it is under way at a time [s]."""
        return self.begun <= time and (self.ended is None or self.ended > time)

    def touches(self, places: Collection[str]) -> bool:
        """Whether it reaches any of these racks, rows and loops; what is above rows and loops reaches everything."""
        if self.level not in ("rack", "loop", "row"):
            return True
        # a power node is named as row A/feed A or A-01/feed A
        return self.name in places or self.name.partition("/")[0].removeprefix("row ") in places

    @property
    def cools_less(self) -> bool:
        """Whether it takes cooling away."""
        return self.kind in COOLING


@dataclass(frozen=True)
class Held:
    """A flag that was set for a place, from the first of its variants to its end; None while it is set."""

    flag: str
    level: str
    name: str
    variant: str  # the last
    by: str  # empty for the policy
    why: str
    begun: float
    ended: float | None

    def lasts(self, time: float) -> bool:
        """Whether it is set at a time [s]."""
        return self.begun <= time and (self.ended is None or self.ended > time)


def troubles(events: pd.DataFrame) -> list[Trouble]:
    """Every trouble in order of its beginning, each ended by the event that names its beginning as the cause.

    What ends without naming one ends all that the thing has of the kinds it ends.
    """
    found: list[Trouble] = []
    numbers: list[int] = []  # of the events that began them
    begins = {ending: [kind for kind, end in ENDS.items() if end == ending] for ending in set(ENDS.values())}
    for row in _rows(events[events["kind"].isin([*ENDS, *begins])]):
        at = float(row["time_seconds"])
        if row["kind"] in ENDS:
            found.append(Trouble(row["kind"], row["level"], row["name"], str(row["root"]), at, None))
            numbers.append(int(row["event"]))
            continue
        mine = [
            i
            for i, each in enumerate(found)
            if each.name == row["name"] and each.ended is None and each.kind in begins[row["kind"]]
        ]
        for i in [i for i in mine if numbers[i] == row["cause"]] or mine:
            found[i] = replace(found[i], ended=at)
    return found


def held_flags(events: pd.DataFrame) -> list[Held]:
    """Every flag that was set, in order of its beginning; another variant or a renewal goes on with the same."""
    found: list[Held] = []
    for row in _rows(events[events["kind"].isin([K.FLAG_SET, K.FLAG_CLEARED])]):
        parts = (SET if row["kind"] == K.FLAG_SET else OVER).match(row["detail"])
        if parts is None:
            continue
        place = (parts["flag"], row["level"], row["name"])
        at = float(row["time_seconds"])
        mine = next(
            (i for i, each in enumerate(found) if (each.flag, each.level, each.name) == place and each.ended is None),
            None,
        )
        if row["kind"] == K.FLAG_CLEARED:
            if mine is not None:
                found[mine] = replace(found[mine], ended=at)
        elif mine is not None:
            found[mine] = replace(found[mine], variant=parts["variant"])
        else:
            found.append(Held(*place, parts["variant"], parts["by"] or "", parts["why"], at, None))
    return found


def racks_of(racks: pd.DataFrame, level: str, name: str) -> list[str]:
    """Racks that a place has: a rack, row or loop; every rack for what is no place among racks."""
    column = {"rack": "name", "row": "row", "loop": "loop"}.get(level)
    if column is None:
        return list(racks["name"])
    return list(racks.loc[racks[column] == name, "name"])


def started_on(detail: str) -> list[str]:
    """Racks that the detail of a started job names: ``on A-01, A-02``."""
    return detail.removeprefix("on ").split(", ")


def racks_of_service(
    events: pd.DataFrame, jobs: pd.DataFrame, service: str, begun: float, ended: float
) -> frozenset[str]:
    """Racks that replicas of a service held at some time from ``begun`` to ``ended`` [s]. A replica that waits for its
    next place is counted where it was."""
    end = jobs[jobs["service"] == service].set_index("id")["end_seconds"]
    starts = events[(events["kind"] == K.JOB_STARTED) & events["name"].isin(end.index)]
    starts = starts.sort_values(["time_seconds", "event"])
    left = starts.groupby("name")["time_seconds"].shift(-1).fillna(starts["name"].map(end)).fillna(float("inf"))
    held = starts[(starts["time_seconds"] < ended) & (left > begun)]
    return frozenset(rack for detail in held["detail"] for rack in started_on(detail))


def _rows(events: pd.DataFrame) -> list[dict]:
    return events.sort_values(["time_seconds", "event"]).to_dict("records")
