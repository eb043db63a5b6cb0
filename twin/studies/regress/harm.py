"""What makes a decision bad, by physics and by what came next, without any formula.

A decision is held against what else could have been done: it counts only where a rack was free, could bear the work,
and had nothing against it. So a hall in which every rack goes bad blames nobody for having chosen one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.headroom import Headroom, Permitted, Readings, ground, headroom
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot, Quality
from twin.studies.regress.incident import Incident
from twin.studies.regress.settings import Decisions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MINUTE = 60.0
#: readings by which a rack is protected; those of flow count where there is coolant
PROTECTIVE = ("rack_supply_temperature_celsius", "rack_device_temperature_celsius", "rack_power_watts")
FLOW = "rack_flow_litres_per_minute"


@dataclass(frozen=True)
class Ahead:
    """What holds of every rack at one look, whoever decides: shapes (R,)."""

    incident: Incident
    snapshot: FacilitySnapshot
    bad: Bools  # goes bad soon
    what: Mapping[int, str]  # how
    unknown: Bools
    crowded: Bools
    settings: Decisions


def ahead(incident: Incident, time_seconds: float, settings: Decisions) -> Ahead:
    """What a recording tells of its racks from one look on."""
    snapshot = incident.snapshot(time_seconds)
    racks = len(snapshot.rack_names)
    seconds = settings.ahead_minutes * MINUTE
    what = incident.goes_bad(time_seconds, seconds)
    bad = np.zeros(racks, dtype=np.bool_)
    bad[list(what)] = True
    facility = incident.facility
    has, beside, _ = facility.beside
    power = incident.coming_power_watts(time_seconds, seconds) / snapshot.rack_max_power_watts
    with np.errstate(invalid="ignore"):
        hot = power >= settings.level("crowded")
    crowded = np.asarray((has & hot[beside]).any(axis=1))
    return Ahead(incident, snapshot, bad, what, _unknown(snapshot, settings.level("unknown")), crowded, settings)


def _unknown(snapshot: FacilitySnapshot, greatest_age: float) -> Bools:
    """Racks of which a protective reading is lost, stale or old."""
    found = np.zeros(len(snapshot.rack_names), dtype=np.bool_)
    cooled = snapshot.rack_loop >= 0
    for name in (*PROTECTIVE, FLOW):
        age, quality = snapshot.ages.get(name), snapshot.qualities.get(name)
        lost = np.zeros_like(found)
        if age is not None:
            lost |= age > greatest_age
        if quality is not None:
            lost |= (quality == Quality.STALE) | (quality == Quality.MISSING)
        found |= lost & cooled if name == FLOW else lost
    return found


@dataclass(frozen=True)
class Harm:
    """Trays of one decision by guard, and for the worst of its racks what became of it."""

    trays: Mapping[str, float]
    what: str


class Weighing:
    """Weighs decisions at one look after what was given away before them."""

    def __init__(self, seen: Ahead) -> None:
        self.seen = seen
        self._ground = ground(seen.snapshot, seen.incident.facility, Permitted(), Readings(seen.snapshot))
        self._promised: Floats | None = None
        self._rooms: dict[int, Headroom] = {}  # after these promises

    def room(self, promised_watts: Floats, seconds: float = 0.0) -> Headroom:
        """Headroom of all racks after these promises [W] for work that lasts so long [s], 0 for endless."""
        if self._promised is not promised_watts:
            self._promised, self._rooms = promised_watts, {}
        horizon = self._ground.horizon(seconds)
        if horizon not in self._rooms:
            self._rooms[horizon] = headroom(self._ground, promised_watts, horizon)
        return self._rooms[horizon]

    def weigh(
        self, request: JobRequest, racks: tuple[tuple[str, int], ...], free: NDArray[np.int64], room: Headroom
    ) -> Harm:
        """What one decision did; ``racks`` are empty where it waited."""
        seen, snapshot = self.seen, self.seen.snapshot
        facility = seen.incident.facility
        trays = request.trays if request.one_rack else 1
        steady = np.maximum(request.power_watts_per_tray - facility.rack_tray_idle_watts, 0.0)
        steady = steady * facility.rack_watts_per_tray_watt
        with np.errstate(invalid="ignore"):
            margin = (room.sustained_watts - trays * steady) / snapshot.rack_max_power_watts
            could = (free >= trays) & (margin >= 0.0) & snapshot.rack_production & snapshot.rack_admitting
            tight = ~(margin >= seen.settings.level("tight"))
        against = {"bad": seen.bad, "unknown": seen.unknown, "tight": tight, "crowded": seen.crowded}
        found = dict.fromkeys((*against, "waited"), 0.0)
        if not racks:
            fine = could & ~seen.bad & ~seen.unknown & ~tight
            enough = fine.any() if request.one_rack else int(free[fine].sum()) >= request.trays
            found["waited"] = float(request.trays) if enough else 0.0
            return Harm(found, "")
        names = snapshot.rack_names
        places = [(names.index(rack), count) for rack, count in racks]
        taken = np.zeros(len(names), dtype=np.bool_)
        taken[[place for place, _ in places]] = True
        what = ""
        for guard, is_so in against.items():
            # nobody is blamed for keeping off what is not known
            spare = could & ~is_so & ~taken & ~seen.unknown
            if not spare.any():
                continue
            found[guard] = float(sum(count for place, count in places if is_so[place]))
            if guard == "bad" and found[guard]:
                what = next(seen.what[place] for place, _ in places if place in seen.what)
        return Harm(found, what)
