"""What a look lets expect: power in 15 minutes, headroom that holds for 30, and when what is too warm is back.

A decision rests on it, and what came of it can be measured: whoever runs a policy keeps its forecasts and holds them
against what its sensors read later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from twin.policy import signals
from twin.policy.exclusion import Exclusion
from twin.policy.facility import Facility
from twin.policy.headroom import HOLDS_SECONDS, Permitted, ground, headroom, readings
from twin.policy.snapshot import FacilitySnapshot
from twin.policy.utilisation import Utilisation, raised, rise_watts, utilisation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: factors that are readings themselves, so that their history tells when they are back below a level
OF_RACKS = {
    "inlet_celsius": "rack_supply_temperature_celsius",
    "device_celsius": "rack_device_temperature_celsius",
    "device_over_slowdown_kelvin": "rack_device_temperature_celsius",
}
OF_LOOPS = {"inlet_celsius": "loop_supply_temperature_celsius"}  # what a loop's racks are given


@dataclass(frozen=True)
class Forecast:
    """What a policy expects at one look, beside what it reads then, so that it can be held against what came."""

    now: Utilisation
    ahead: Utilisation  # in 15 minutes
    sustained: Bools  # R, said to have headroom for 30 minutes
    exceeded: Bools  # R, read past what is permitted since the look before
    rack_recovery_seconds: Floats  # R, until back from above a limit: 0 below it, inf for not as it goes now
    loop_recovery_seconds: Floats  # L, likewise


def recovery_seconds(
    snapshot: FacilitySnapshot,
    criteria: tuple[Exclusion, ...],
    fields: Mapping[str, str],
    count: int,
    counted_from: Mapping[str, Floats] = MappingProxyType({}),
) -> Floats:
    """When what is above a limit will be back at its recovery level [s from now], shape (count,).

    ``fields`` maps a criterion's factor to the readings that it is told by, and ``counted_from`` to what is taken off
    these for it, shape (count,), where it is not the reading itself. Criteria on other factors are left out. 0 where
    nothing is above ``out_above``, inf where ``back_below`` is not reached as it goes now, NaN where the readings do
    not tell. See :func:`twin.policy.signals.recovery_seconds`.
    """
    longest = np.zeros(count)
    for each in criteria:
        field = fields.get(each.factor)
        if field is None:
            continue
        origin = counted_from.get(each.factor, np.zeros(count))
        now = readings(snapshot, field)
        found = np.where(np.isnan(now + origin), np.nan, 0.0)
        warm = np.flatnonzero(now > each.out_above + origin)
        past = snapshot.histories.get(field)
        if len(warm) and past is not None and len(past.time_seconds):
            values, quality = past.values[:, warm], past.quality[:, warm]
            found[warm] = signals.recovery_seconds(past.time_seconds, values, quality, each.back_below + origin[warm])
        else:
            found[warm] = np.nan
        longest = np.maximum(longest, found)
    return longest


def exceeded(snapshot: FacilitySnapshot, facility: Facility, permitted: Permitted, since_seconds: float) -> Bools:
    """Racks of which a good reading later than ``since_seconds`` [s] was past what is permitted, shape (R,): their own
    power, their loop's heat, or the current of a limit above them."""
    power = _highest(snapshot, "rack_power_watts", since_seconds)
    over = power > permitted.rack_utilisation * snapshot.rack_max_power_watts
    lines = _highest(snapshot, "phase_current_amperes", since_seconds)
    amperes = facility.limit_amperes(lines, _highest(snapshot, "breaker_current_amperes", since_seconds))
    limit = amperes > permitted.limit_utilisation * facility.limit_rating_amperes
    if len(limit):
        over |= (limit[facility.limits] & facility.limited).any(axis=1)
    past, cooled = snapshot.histories.get("rack_power_watts"), snapshot.rack_loop >= 0
    if past is not None and cooled.any():
        late = slice(int(np.searchsorted(past.time_seconds, since_seconds, side="right")), None)
        watts = np.where(signals.good(past.values[late], past.quality[late]), past.values[late], np.nan)
        heat = np.zeros((len(snapshot.loop_names), len(watts)))  # of a loop with a gap it is not known
        np.add.at(heat, snapshot.rack_loop[cooled], watts.T[cooled])
        hot = np.any(permitted.loop_utilisation * facility.loop_capacity_watts < heat.T, axis=0)
        over |= cooled & np.asarray(hot)[snapshot.rack_loop]
    return np.asarray(over)


def _highest(snapshot: FacilitySnapshot, field: str, since_seconds: float) -> Floats:
    """The highest good reading of each thing later than ``since_seconds``; −inf for none."""
    past = snapshot.histories.get(field)
    if past is None:
        return np.full(len(getattr(snapshot, field)), -np.inf)
    late = slice(int(np.searchsorted(past.time_seconds, since_seconds, side="right")), None)
    values = past.values[late]
    return np.asarray(np.max(values, axis=0, where=signals.good(values, past.quality[late]), initial=-np.inf))


def forecast(
    snapshot: FacilitySnapshot,
    facility: Facility,
    permitted: Permitted,
    criteria: tuple[Exclusion, ...],
    since_seconds: float,
) -> Forecast:
    """What a look lets expect of every rack, row, phase and loop, and what was exceeded since ``since_seconds``."""
    racks = len(snapshot.rack_names)
    base = ground(snapshot, facility, permitted)
    room = headroom(base, np.zeros(racks), base.horizon(HOLDS_SECONDS))
    now = utilisation(snapshot, facility)
    return Forecast(
        now,
        raised(now, snapshot, facility, room.amperes_per_watt, rise_watts(snapshot)),
        np.asarray(room.sustained_watts > 0.0),
        exceeded(snapshot, facility, permitted, since_seconds),
        recovery_seconds(
            snapshot, criteria, OF_RACKS, racks, {"device_over_slowdown_kelvin": facility.slowdown_celsius}
        ),
        recovery_seconds(snapshot, criteria, OF_LOOPS, len(snapshot.loop_names)),
    )
