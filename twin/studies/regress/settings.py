"""How a candidate is judged: tiers, stories, guards and their tolerances, read from ``conf/study/regress.yaml``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.hall.errors import Fault, HallError
from twin.hall.files import read_yaml
from twin.places import conf_dir
from twin.policy.documents import DocumentFaults, Reader
from twin.policy.profile import KINDS
from twin.policy.protocol import JobRequest
from twin.studies.regress.record import Bands

FILE = Path("study") / "regress.yaml"
STORIES = Path("study") / "regress"

#: guards of decisions, and what each of them counts
HARMS: dict[str, str] = {
    "bad": "trays on racks that slowed, failed or left their bands soon after",
    "unknown": "trays on racks of which protective readings were missing or old",
    "tight": "trays on racks whose limits were left with little margin",
    "crowded": "trays between neighbours that ran hot from then on",
    "waited": "trays that waited though a rack could bear them",
}
#: what a guard of decisions takes beside its tolerance
EXTRAS = {"unknown": "greatest_age_seconds", "tight": "margin_ratio", "crowded": "neighbour_ratio"}
METRICS = (
    "breaker_trips_total", "throttled_gpu_seconds", "shutdown_events_total", "gpu_temperature_celsius_max",
    "breaker_thermal_fraction_max", "gpu_seconds_lost", "wait_seconds_mean", "jobs_not_run", "gpu_hours_delivered",
    "latency_misses_total",
)  # fmt: skip


@dataclass(frozen=True)
class Guard:
    """What must not grow by more than ``tolerance``, and why; ``extra`` is the guard's own level."""

    name: str
    tolerance: float
    reason: str
    metric: str = ""
    less_is_worse: bool = False
    extra: float = 0.0


@dataclass(frozen=True)
class Decisions:
    """The fast tier."""

    seeds: int
    hours: float
    first_minutes: float
    every_seconds: float
    ahead_minutes: float
    block_minutes: float
    stories: tuple[str, ...]
    requests: tuple[JobRequest, ...]
    bands: Bands
    guards: tuple[Guard, ...]

    def level(self, guard: str) -> float:
        """The level of one guard."""
        return next((each.extra for each in self.guards if each.name == guard), 0.0)


@dataclass(frozen=True)
class Worlds:
    """The second tier: ``looks`` are numbers of seeds after which the evidence is weighed."""

    looks: tuple[int, ...]
    hours: float
    stories: tuple[str, ...]
    guards: tuple[Guard, ...]


@dataclass(frozen=True)
class Settings:
    """All of it."""

    false_alarms: float
    misses: float
    decisions: Decisions
    worlds: Worlds


def read_settings(path: Path | None = None) -> Settings:
    """The settings of a file, by default the shipped one. Raises :class:`~twin.hall.errors.HallError`."""
    path = conf_dir() / FILE if path is None else path
    faults = DocumentFaults()
    reader = Reader(read_yaml(path), "", faults)
    reader.text("version"), reader.text("owner")
    found = Settings(
        reader.number("false_alarms", low=1e-6, high=0.5),
        reader.number("misses", low=1e-6, high=0.5),
        _decisions(_section(reader, "decisions"), faults),
        _worlds(_section(reader, "worlds"), faults),
    )
    reader.done()
    if faults:
        raise HallError(Fault(str(path), each.key, each.value, each.problem, each.remedy) for each in faults)
    return found


def _section(reader: Reader, key: str) -> Reader:
    reader.given([key])
    return Reader(reader.mapping.get(key), f"{reader.at}.{key}" if reader.at else key, reader.faults)


def _decisions(reader: Reader, faults: DocumentFaults) -> Decisions:
    bands = _section(reader, "bands")
    requests = []
    for place, entry in reader.items("requests"):
        each = Reader(entry, f"{reader.at}.{place}", faults)
        kind, trays = each.text("kind", among=KINDS), each.whole("trays")
        if trays < 1:
            each.fault("trays", trays, "not above 0", "Give how many trays it needs")
        requests.append(
            JobRequest(
                f"asked {kind} {trays}", kind, trays, each.flag("one_rack", True), 0,
                each.number("power_watts_per_tray", low=0.0), each.number("peak_watts_per_tray", 0.0, low=0.0),
            )
        )  # fmt: skip
        each.done()
    made = Decisions(
        seeds=_counted(reader, "seeds"),
        hours=reader.number("hours", low=0.05, high=24.0),
        first_minutes=reader.number("first_minutes", low=0.0),
        every_seconds=reader.number("every_seconds", low=10.0),
        ahead_minutes=reader.number("ahead_minutes", low=1.0),
        block_minutes=reader.number("block_minutes", low=0.0),
        stories=reader.texts("stories"),
        requests=tuple(requests),
        bands=Bands(
            bands.number("inlet_celsius"),
            bands.number("device_celsius"),
            bands.number("flow_swing_ratio", low=0.0),
            bands.number("flow_seconds", low=1.0),
        ),
        guards=_guards(reader, faults, decisions=True),
    )
    bands.done()
    reader.done()
    return made


def _worlds(reader: Reader, faults: DocumentFaults) -> Worlds:
    looks = reader.mapping.get("looks")
    reader.given(["looks"])
    if not isinstance(looks, list) or not looks or not all(type(each) is int and each > 0 for each in looks):
        reader.fault("looks", looks, "not a list of numbers of seeds", "Write such as [3, 6, 10]")
        looks = [1]
    if sorted(set(looks)) != looks:
        reader.fault("looks", looks, "not in rising order", "Write such as [3, 6, 10]")
    made = Worlds(
        looks=tuple(looks),
        hours=reader.number("hours", low=0.05, high=2.0),
        stories=reader.texts("stories"),
        guards=_guards(reader, faults, decisions=False),
    )
    reader.done()
    return made


def _counted(reader: Reader, key: str) -> int:
    value = reader.whole(key)
    if value < 1:
        reader.fault(key, value, "not above 0", "Give 1 or more")
    return value


def _guards(reader: Reader, faults: DocumentFaults, *, decisions: bool) -> tuple[Guard, ...]:
    found: list[Guard] = []
    for name, entry in reader.items("guards"):
        each = Reader(entry, f"{reader.at}.guards.{name}", faults)
        values: dict[str, Any] = {}
        if decisions:
            if name not in HARMS:
                each.fault("", name, "no guard of decisions", f"Use one of {', '.join(HARMS)}")
            if name in EXTRAS:
                values["extra"] = each.number(EXTRAS[name], low=0.0)
        else:
            values["metric"] = each.text("metric", among=METRICS)
            values["less_is_worse"] = each.flag("less_is_worse", False)
        found.append(Guard(name, each.number("tolerance", low=0.0), each.text("reason"), **values))
        each.done()
    if not found:
        reader.fault("guards", {}, "no guard", "Name what must not grow, with a tolerance and a reason")
    return tuple(found)
