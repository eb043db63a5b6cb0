"""What is known of each rack at one look: the factors that rules and scores are made of.

Every factor is an array over racks, NaN where it is not known, and has an age: that of the oldest reading in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.policy import signals
from twin.policy.facility import Facility
from twin.policy.headroom import Ground, Headroom, Readings
from twin.policy.profile import KINDS
from twin.policy.snapshot import FacilitySnapshot, History
from twin.policy.utilisation import most_ahead, rise_watts

Floats = NDArray[np.float64]

DUTY_SECONDS = 900.0  # that the duty cycle looks back
PER_MINUTE = 60.0
HORIZON_MINUTES = 15.0  # to which coolant is projected
NARROW = 512  # things of which histories are looked through together: 15 minutes of them fit into a core's cache


@dataclass(frozen=True)
class Factor:
    """One quantity by rack: its unit, the readings that it is made of, and what it says in a sentence."""

    name: str
    unit: str
    fields: tuple[str, ...]
    meaning: str


_DEVICE = ("rack_device_temperature_celsius",)

FACTORS: dict[str, Factor] = {
    factor.name: factor
    for factor in (
        Factor("inlet_celsius", "°C", ("rack_supply_temperature_celsius",), "coolant (or air) at the rack's inlet"),
        Factor("inlet_slope", "K/min", ("rack_supply_temperature_celsius",), "its slope over the last 10 minutes"),
        Factor("inlet_projected_celsius", "°C", ("rack_supply_temperature_celsius",),
               "the inlet in 15 minutes if a rise goes on"),
        Factor("device_celsius", "°C", ("rack_device_temperature_celsius",), "the hottest device"),
        Factor("device_over_slowdown_kelvin", "K", ("rack_device_temperature_celsius",),
               "the hottest device over the temperature at which its kind slows down, negative below it"),
        Factor("delta_t", "K", ("rack_supply_temperature_celsius", "rack_return_temperature_celsius"),
               "rise of the coolant across the rack"),
        Factor("pump_stability", "1", ("loop_pump_speed_ratio",), "steadiness of its loop's pumps, 1 steady"),
        Factor("flow_stability", "1", ("rack_flow_litres_per_minute",), "steadiness of its coolant flow, 1 steady"),
        Factor("cooling_stability", "1", ("loop_pump_speed_ratio", "rack_flow_litres_per_minute"),
               "the lesser steadiness of pumps and flow"),
        Factor("cooling_reserve", "1", ("loop_valve_ratio",), "how far its loop's facility valve can still open"),
        Factor("power_ratio", "1", ("rack_power_watts",), "power over nameplate"),
        Factor("duty_cycle", "1", ("rack_power_watts",), "mean power over nameplate of the last 15 minutes"),
        Factor("neighbour_intensity", "1", ("rack_power_watts",), "mean power over nameplate of its neighbours"),
        Factor("headroom_ratio", "1", ("rack_power_watts", "breaker_current_amperes", "phase_current_amperes"),
               "sustained headroom over nameplate"),
        Factor("utilisation_now", "1", ("breaker_current_amperes", "phase_current_amperes"),
               "current over rating of the limit above it that is used most"),
        Factor("utilisation_projected", "1", ("breaker_current_amperes", "phase_current_amperes"),
               "the same once running jobs draw what they declared"),
        Factor("power_rise_watts", "W", ("rack_power_watts",),
               "what its power will rise by in 15 minutes if it goes on, as far as running jobs declared"),
        Factor("utilisation_15_minutes", "1", ("rack_power_watts", "breaker_current_amperes", "phase_current_amperes"),
               "in 15 minutes: the greatest of power over nameplate, its loop's heat and its limits' currents"),
        Factor("profile_mean_celsius", "°C", _DEVICE, "mean of its hottest device since it is known"),
        Factor("profile_peak_excursion", "K", _DEVICE, "how far that was above its mean at most"),
        Factor("profile_recovery_seconds", "s", _DEVICE, "time constant of the fall after load drops"),
        *(
            Factor(f"profile_{kind}_correlation", "1", _DEVICE, f"correlation of trays of {kind} with its heat")
            for kind in KINDS
        ),
        Factor("queue_depth", "jobs", (), "jobs that wait in the hall's queue"),
    )
}  # fmt: skip


#: factors that follow from readings and histories alone
SENSED = (
    "inlet_celsius", "inlet_slope", "inlet_projected_celsius", "device_celsius", "device_over_slowdown_kelvin",
    "delta_t", "pump_stability", "flow_stability", "cooling_stability", "cooling_reserve", "power_ratio", "duty_cycle",
    "neighbour_intensity", "power_rise_watts",
)  # fmt: skip

_BY_FIELDS = {
    fields: tuple(name for name in SENSED if FACTORS[name].fields == fields)
    for fields in dict.fromkeys(FACTORS[name].fields for name in SENSED)
}
#: fields whose past is looked at
_PAST = _POWER, _INLET, _FLOW, _PUMPS = (
    "rack_power_watts", "rack_supply_temperature_celsius", "rack_flow_litres_per_minute", "loop_pump_speed_ratio",
)  # fmt: skip
_CURRENTS = ("breaker_current_amperes", "phase_current_amperes")


@dataclass(frozen=True)
class Sensed:
    """What readings alone tell, found once for each look: values by factor, and ages [s] of all; arrays over racks."""

    values: Mapping[str, Floats]
    ages: Mapping[str, Floats]
    nameplate_watts: Floats


def sense(snapshot: FacilitySnapshot, facility: Facility, read: Readings | None = None) -> Sensed:
    """Factors that depend on readings and histories only; ``read`` may have some of those readings already."""
    read = Readings(snapshot) if read is None else read
    racks = len(snapshot.rack_names)
    loop, cooled = np.maximum(snapshot.rack_loop, 0), snapshot.rack_loop >= 0

    def of_loop(values: Floats) -> Floats:
        if not len(values):
            return np.full(racks, np.nan)
        return np.where(cooled, values[loop], np.nan)

    def told(name: str, what: str) -> Floats:
        if name not in pasts:
            return np.full(len(read[name]), np.nan)
        past, part = pasts[name]
        return np.asarray(getattr(past, what)[part])

    def steady(name: str) -> Floats:
        # steady until it was last heard of is not steady
        return np.where(np.isnan(read[name]), np.nan, told(name, "stability"))

    pasts = _look_back(snapshot)
    inlet, slope = read[_INLET], told(_INLET, "slope") * PER_MINUTE
    pumps, flow = of_loop(steady(_PUMPS)), steady(_FLOW)
    power, nameplate = read[_POWER], read["rack_max_power_watts"]
    ratio = power / nameplate
    has, beside, neighbours = facility.beside
    values = {
        "inlet_celsius": inlet,
        "inlet_slope": slope,
        "inlet_projected_celsius": inlet + np.maximum(slope, 0.0) * HORIZON_MINUTES,
        "device_celsius": read["rack_device_temperature_celsius"],
        "device_over_slowdown_kelvin": read["rack_device_temperature_celsius"] - facility.slowdown_celsius,
        "delta_t": read["rack_return_temperature_celsius"] - inlet,
        # racks without a loop have no pumps that could falter
        "pump_stability": np.where(cooled, pumps, 1.0),
        "flow_stability": np.where(cooled, flow, 1.0),
        "cooling_stability": np.where(cooled, np.minimum(pumps, flow), 1.0),
        "cooling_reserve": np.where(cooled, 1.0 - of_loop(read["loop_valve_ratio"]), 1.0),
        "power_ratio": ratio,
        "duty_cycle": (told(_POWER, "mean") if _POWER in pasts else power) / nameplate,
        "neighbour_intensity": np.where(has, ratio[beside], 0.0).sum(axis=1) / neighbours,
        "power_rise_watts": rise_watts(snapshot, read, told(_POWER, "slope")),
    }
    return Sensed(values, _ages(snapshot, racks, of_loop), nameplate)


class _Past:
    """What the histories of some fields tell that were sampled at the same times, arrays over all of their things."""

    def __init__(self, histories: Sequence[History]) -> None:
        self._alone = len(histories) == 1
        values, quality = [past.values for past in histories], [past.quality for past in histories]
        self._readings = (
            histories[0].time_seconds,
            values[0] if self._alone else np.concatenate(values, axis=1),
            quality[0] if self._alone else np.concatenate(quality, axis=1),
        )

    @cached_property
    def _long(self) -> signals.Window:
        return signals.window(*self._readings, DUTY_SECONDS)

    @cached_property
    def _late(self) -> signals.Window:
        return signals.window(*self._readings, signals.WINDOW) if self._alone else self._long.within(signals.WINDOW)

    @cached_property
    def slope(self) -> Floats:
        """unit/s, over the last 10 minutes"""
        return self._late.slope()

    @cached_property
    def stability(self) -> Floats:
        """1, likewise"""
        return self._late.stability()

    @cached_property
    def mean(self) -> Floats:
        """Of the last 15 minutes."""
        return self._long.mean()


def _look_back(snapshot: FacilitySnapshot) -> dict[str, tuple[_Past, slice]]:
    """The pasts of the fields above that have one, and which of their things are a field's.

    Fields that were sampled together are looked through together, since most of the time goes into calls; in large
    halls it goes into numbers, of which nobody looks at more than has to be.
    """
    together: dict[tuple[int, str], dict[str, History]] = {}
    pasts = {name: past for name in _PAST if (past := snapshot.histories.get(name)) and len(past.time_seconds)}
    narrow = sum(past.values.shape[1] for past in pasts.values()) <= NARROW
    for name, past in pasts.items():
        together.setdefault((id(past.time_seconds), "" if narrow else name), {})[name] = past
    found: dict[str, tuple[_Past, slice]] = {}
    for members in together.values():
        shared, end = _Past(list(members.values())), 0
        for name, past in members.items():
            found[name] = shared, slice(end, end := end + past.values.shape[1])
    return found


def with_headroom(
    sensed: Sensed, snapshot: FacilitySnapshot, base: Ground, found: Headroom, promised_watts: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """All factors and their ages, at a look and what has been promised since [W]."""
    values = dict(sensed.values)
    added = values["power_rise_watts"] + promised_watts
    values["utilisation_15_minutes"] = most_ahead(base, snapshot, values["power_ratio"], added)
    values["headroom_ratio"] = found.sustained_watts / sensed.nameplate_watts
    values["utilisation_now"] = found.utilisation_now
    values["utilisation_projected"] = found.utilisation_projected
    values["queue_depth"] = np.full(len(added), float(snapshot.queue_depth))
    return values, dict(sensed.ages)


def _ages(snapshot: FacilitySnapshot, racks: int, of_loop: Callable[[Floats], Floats]) -> dict[str, Floats]:
    """Ages [s] of all factors by rack: those of the oldest reading in them; 0 for a field that has none."""
    ages: dict[str, Floats] = {}
    of_field: dict[str, Floats] = {}
    for fields, names in _BY_FIELDS.items():
        for field in fields:
            if field not in of_field:
                of_field[field] = _age(field, snapshot, racks, of_loop)
        oldest = of_field[fields[0]]
        for field in fields[1:]:
            oldest = np.maximum(oldest, of_field[field])
        ages |= dict.fromkeys(names, oldest)
    currents = max((float(np.max(snapshot.ages[name], initial=0.0)) for name in _CURRENTS if name in snapshot.ages),
                   default=0.0)  # fmt: skip
    ages["headroom_ratio"] = ages["utilisation_15_minutes"] = np.maximum(ages["power_ratio"], currents)
    ages["utilisation_now"] = ages["utilisation_projected"] = np.full(racks, currents)
    ages["queue_depth"] = np.zeros(racks)
    return ages


def _age(field: str, snapshot: FacilitySnapshot, racks: int, of_loop: Callable[[Floats], Floats]) -> Floats:
    """Age [s] of a field's readings by rack; 0 where it has none."""
    age = snapshot.ages.get(field)
    if age is None or not len(age):
        return np.zeros(racks)
    if field.startswith("loop_"):
        age = of_loop(age)
    elif field == _FLOW:  # a rack without a loop has no meter of it
        age = np.where(snapshot.rack_loop >= 0, age, 0.0)
    return np.fmax(age, 0.0)
