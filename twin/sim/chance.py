"""Faults by chance: a mean time between the faults of each device, drawn ahead into a timeline.

Every device draws from a stream of its own, named by the kind of fault and the device. So two policies meet the same
faults, and a loop that is added to a hall leaves those of the others as they were. A device is in service for an
exponential time, then out for its repair, which is log-normal; what is never repaired stays in service and may fail
again. One number per fault, from 0 to 1, says how severe it is: where a field is a range, it lies that far into it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from twin.hall.errors import Fault, did_you_mean
from twin.hall.parts import Hall
from twin.sim.action_checks import targets_of
from twin.sim.actions import ACTIONS, PHASES, Action, ActionSpec, Field
from twin.sim.scenario import read_timeline
from twin.sim.written import Unfit
from twin.units import SECONDS_PER_HOUR
from twin.workload.streams import stream

OWN_KEYS = ("hours_between", "repair_hours", "repair_spread", "per")
SOURCE = "faults drawn"


class ChanceError(ValueError):
    """Rates of faults are refused. ``faults`` holds every reason."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class Devices(NamedTuple):
    """Whom a fault may befall: the places of a target key (``hall`` for the whole), or the parts of each place."""

    per: str  # what one device is called, in the key ``per``
    target: str
    part: str | None = None  # field that numbers the parts of a place
    parts: Callable[[Hall, str], int] = lambda hall, name: 1


def _pumps(hall: Hall, loop: str) -> int:
    return next(each.cdu.pumps for each in hall.loops if each.name == loop)


def _trays(hall: Hall, rack: str) -> int:
    return next(each.rack_class.trays for each in hall.racks if each.name == rack)


PUMP = Devices("pump", "loop", "pump", _pumps)
TRAY = Devices("tray", "rack", "tray", _trays)
HALL, LOOP, RACK, ROW, ZONE, NODE, FEED, BREAKER = (
    Devices(word, word) for word in ("hall", "loop", "rack", "row", "zone", "node", "feed", "breaker")
)
#: faults that may come by chance, and upon what: the first is meant where nothing is said
DEVICES: dict[str, tuple[Devices, ...]] = {
    "pump_loss": (PUMP,),
    "pump_degradation": (PUMP,),
    "valve_stuck": (RACK,),
    "hx_fouling": (LOOP,),
    "filter_clog": (LOOP,),
    "facility_water_loss": (LOOP, HALL),
    "facility_water_ramp": (HALL,),
    "chiller_trip": (HALL,),
    "crah_failure": (ZONE, HALL),
    "hot_weather": (HALL,),
    "feed_loss": (NODE, FEED),
    "breaker_nuisance_trip": (BREAKER,),
    "phase_loss": (NODE,),
    "ups_on_battery": (NODE,),
    "utility_loss": (FEED, HALL),
    "thermal_interface": (TRAY,),
    "telemetry_outage": (RACK, ROW, LOOP, HALL),
}
#: fields that are drawn where nothing is said of them
USUAL: dict[str, dict[str, Any]] = {"phase_loss": {"phase": dict.fromkeys(PHASES, 1.0)}}


@dataclass(frozen=True)
class FaultRate:
    """How often a fault comes upon each device, and how.

    ``fields`` holds for each field of the action a value, a pair (least, greatest) or a mapping of words to weights.
    """

    do: str
    devices: Devices
    hours_between: float  # mean time in service between two faults of one device
    repair_hours: float | None  # median; None for never
    repair_spread: float  # geometric standard deviation of the repair time; 1 for always the median
    fields: Mapping[str, Any]


def read_rates(mapping: Mapping[str, Any], source: str) -> tuple[FaultRate, ...]:
    """The rates of a plain mapping, by the names of actions. ``source`` is the file that messages name.

    Raises :class:`ChanceError` with every fault.
    """
    faults: list[Fault] = []
    rates = []
    for name, entry in mapping.items():
        key = f"faults.{name}"
        if name not in DEVICES:
            faults.append(Fault(source, key, entry, "no fault that comes by chance", did_you_mean(str(name), DEVICES)))
        elif not isinstance(entry, Mapping):
            faults.append(Fault(source, key, entry, "not a mapping", f"Write keys such as {', '.join(OWN_KEYS)}"))
        else:
            rates.append(_rate(str(name), entry, key, source, faults))
    if faults:
        raise ChanceError(faults)
    return tuple(rate for rate in rates if rate is not None)


def _rate(name: str, entry: Mapping[str, Any], key: str, source: str, faults: list[Fault]) -> FaultRate | None:
    spec = ACTIONS[name]
    before = len(faults)

    def add(word: str, value: Any, problem: str, remedy: str) -> None:
        faults.append(Fault(source, f"{key}.{word}", value, problem, remedy))

    def positive(word: str, least: float, default: float | None) -> float | None:
        value = entry.get(word, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
            add(word, value, "not such a number", f"Give one of {least:g} or more")
            return None
        return float(value)

    fixed = {kind.part for kind in DEVICES[name]}
    fields = {field.name: field for field in spec.fields if field.name not in fixed}
    for word in entry:
        if word not in (*OWN_KEYS, *fields):
            add(str(word), entry[word], f"unknown key of {name}", did_you_mean(str(word), (*OWN_KEYS, *fields)))
    between = positive("hours_between", 1e-3, None)
    if "hours_between" not in entry:
        add("hours_between", None, "no rate", "Give the mean hours in service between two faults of one device")
    repair, spread = positive("repair_hours", 1e-6, None), positive("repair_spread", 1.0, 1.0)
    per = entry.get("per", DEVICES[name][0].per)
    chosen = [devices for devices in DEVICES[name] if devices.per == per]
    if not chosen:
        add("per", per, "not what it comes upon", did_you_mean(str(per), [each.per for each in DEVICES[name]]))
    values = {}
    for word, field in fields.items():
        written = entry.get(word, USUAL.get(name, {}).get(word))
        if written is not None:
            try:
                values[word] = _reading(field, written)
            except Unfit as unfit:
                add(word, written, unfit.problem, unfit.remedy)
        elif field.required:
            add(word, None, f"{name} needs it", f"Give the {field.sentence}")
    if len(faults) > before or between is None or spread is None:
        return None
    return FaultRate(name, chosen[0], between, repair, spread, values)


def _reading(field: Field, written: Any) -> Any:
    """A value, a pair of numbers (least, greatest), or a mapping of words to weights."""
    if isinstance(written, Mapping):
        for word, weight in written.items():
            field.read(word)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 <= weight < math.inf:
                raise Unfit(f"the weight of {word} is no number", "Give a share, such as 0.5")
        if not sum(written.values()) > 0.0:
            raise Unfit("weights that add up to nothing", "Give one above 0")
        return {str(word): float(weight) for word, weight in written.items()}
    if isinstance(written, list | tuple) and len(written) == 2:
        ends = [field.read(end) for end in written]
        if all(isinstance(end, float) for end in ends):
            if ends[0] > ends[1]:
                raise Unfit("a range that ends below its beginning", "Give the least first")
            return (ends[0], ends[1])
    field.read(written)
    return written


def devices_of(hall: Hall, rate: FaultRate) -> list[tuple[str, dict[str, Any]]]:
    """Every device that a fault may come upon: its name, and the keys that name it in a timeline."""
    kind = rate.devices
    if kind.target == "hall":
        return [("hall", {})]
    found: list[tuple[str, dict[str, Any]]] = []
    for name in targets_of(hall, kind.target):
        if not _fits(hall, ACTIONS[rate.do], kind, name):
            continue
        if kind.part is None:
            found.append((name, {kind.target: name}))
        else:
            numbers = range(1, kind.parts(hall, name) + 1)
            found += [(f"{name} {kind.part} {n}", {kind.target: name, kind.part: n}) for n in numbers]
    return found


def _fits(hall: Hall, spec: ActionSpec, kind: Devices, name: str) -> bool:
    """Whether the action may be done there at all: a UPS is no PDU, an air-cooled rack has no valve."""
    if spec.check is None or kind.part is not None:
        return True
    values = {field.name: field.default for field in spec.fields} | {"severity": 0.5}
    return not any(misfit.key == kind.target for misfit in spec.check(hall, name, values))


def draw_faults(rates: Iterable[FaultRate], hall: Hall, seed: int, seconds: float) -> list[dict[str, Any]]:
    """The faults that come in ``seconds`` [s], as entries of a timeline in order of time."""
    entries = [
        entry
        for rate in rates
        for device, place in devices_of(hall, rate)
        for entry in _of_device(rate, place, stream(seed, "fault", rate.do, device), seconds)
    ]
    return sorted(entries, key=lambda entry: float(entry["at"]))


def _of_device(
    rate: FaultRate, place: Mapping[str, Any], random: np.random.Generator, seconds: float
) -> Iterable[dict[str, Any]]:
    time = 0.0
    while True:
        # always the same four numbers, so that a changed field moves no other fault
        wait, normal = random.exponential(rate.hours_between * SECONDS_PER_HOUR), random.standard_normal()
        severity, word = random.random(), random.random()
        time += wait
        if time >= seconds:
            return
        entry: dict[str, Any] = {"at": round(time, 3), "do": rate.do, **place}
        for name, value in rate.fields.items():
            entry[name] = _drawn(value, severity, word)
        if rate.repair_hours is not None:
            repair = rate.repair_hours * SECONDS_PER_HOUR * rate.repair_spread**normal
            entry["repair"] = max(0.001, round(repair, 3))
            time += repair
        yield entry


def _drawn(value: Any, severity: float, word: float) -> Any:
    if isinstance(value, tuple):
        return round(value[0] + severity * (value[1] - value[0]), 6)
    if isinstance(value, Mapping):
        reached = np.cumsum(list(value.values()))
        return list(value)[int(np.searchsorted(reached, word * reached[-1], side="right"))]
    return value


def as_actions(entries: Iterable[Mapping[str, Any]], hall: Hall) -> tuple[Action, ...]:
    """What :func:`draw` drew, as actions. Raises ScenarioError where one does not fit the hall."""
    return tuple(replace(action, drawn=True) for action in read_timeline(entries, hall, SOURCE))
