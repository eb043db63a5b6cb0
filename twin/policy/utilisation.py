"""How far racks, rows, lines, loops and limits are used, now and in 15 minutes.

A rack's power is expected to go on rising as it rose over the last 10 minutes, as far as its running jobs declared:
``ΔP = min(max(dP/dt, 0) · 900 s, max(P_declared − P, 0))``. A fall is not counted on, since it may be a job's end.
Rows, loops and currents follow from their racks: ``I + Σ a_r ΔP_r`` with a [A/W] from the facility.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy import signals
from twin.policy.facility import Facility
from twin.policy.headroom import Ground, Readings
from twin.policy.snapshot import FacilitySnapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AHEAD_SECONDS = 900.0  # to which power is projected
DIGITS = 6  # of a utilisation: sums depend on the order of racks in their last digits


@dataclass(frozen=True)
class Utilisation:
    """How far things are used, of what they are rated for [1]; NaN where that is not known."""

    rack: Floats  # R, power over nameplate
    row: Floats  # W, power over its racks' nameplates
    phase: Floats  # P, current over rating of the metered line, NaN for one without a rating
    loop: Floats  # L, its racks' power over the heat that its exchanger is rated for
    limit: Floats  # K, current over rating


def rise_watts(snapshot: FacilitySnapshot, read: Readings | None = None, slope: Floats | None = None) -> Floats:
    """What each rack's power will have risen by in 15 minutes [W], shape (R,); NaN where its trend is not known.

    ``read`` may have the readings already, and ``slope`` is the trend of power [W/s], shape (R,), if that is known.
    """
    read = Readings(snapshot) if read is None else read
    power, declared = read["rack_power_watts"], read["rack_declared_power_watts"]
    if slope is None:
        past = snapshot.histories.get("rack_power_watts")
        if past is None or not len(past.time_seconds):
            return np.full(len(power), np.nan)
        slope = signals.slope(past.time_seconds, past.values, past.quality)
    return np.minimum(np.maximum(slope, 0.0) * AHEAD_SECONDS, np.maximum(declared - power, 0.0))


def utilisation(snapshot: FacilitySnapshot, facility: Facility) -> Utilisation:
    """Utilisation of everything as it is read now."""
    read = Readings(snapshot)
    power, nameplate = read["rack_power_watts"], read["rack_max_power_watts"]
    rows, loops = len(snapshot.row_names), len(snapshot.loop_names)
    lines = read["phase_current_amperes"]
    amperes = facility.limit_amperes(lines, read["breaker_current_amperes"])
    cooled = snapshot.rack_loop >= 0
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = amperes / facility.limit_rating_amperes
        return Utilisation(
            power / nameplate,
            read["row_power_watts"] / np.bincount(snapshot.rack_row, nameplate, rows),
            _of_lines(limit, facility, len(lines)),
            np.bincount(snapshot.rack_loop[cooled], power[cooled], loops) / facility.loop_capacity_watts,
            limit,
        )


def raised(
    used: Utilisation, snapshot: FacilitySnapshot, facility: Facility, per_watt: Floats, added_watts: Floats
) -> Utilisation:
    """Utilisation with so much more power at each rack's inlet [W], shape (R,).

    per_watt: what a watt of each rack puts on its limits [A/W], shape (R, D), as
    :func:`twin.policy.headroom.amperes_per_watt` has it.
    """
    nameplate = snapshot.rack_max_power_watts
    cooled, amperes = snapshot.rack_loop >= 0, facility.added_amperes(per_watt, added_watts)
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = used.limit + amperes / facility.limit_rating_amperes
        of_row = np.bincount(snapshot.rack_row, added_watts, len(used.row))
        of_loop = np.bincount(snapshot.rack_loop[cooled], added_watts[cooled], len(used.loop))
        return Utilisation(
            used.rack + added_watts / nameplate,
            used.row + of_row / np.bincount(snapshot.rack_row, nameplate, len(used.row)),
            _of_lines(limit, facility, len(used.phase)),
            used.loop + of_loop / facility.loop_capacity_watts,
            limit,
        )


def most_used(snapshot: FacilitySnapshot, facility: Facility, used: Utilisation) -> Floats:
    """The greatest utilisation among each rack's own, its loop's and those of its limits, shape (R,), to 1e-6."""
    return _greatest(facility, snapshot.rack_loop, used.rack, used.loop, used.limit)


def most_ahead(base: Ground, snapshot: FacilitySnapshot, power_ratio: Floats, added_watts: Floats) -> Floats:
    """:func:`most_used` with so much more power at each rack's inlet [W] than at a look; all of shape (R,)."""
    facility = base.facility
    amperes = facility.added_amperes(base.amperes_per_watt, added_watts)
    with np.errstate(divide="ignore", invalid="ignore"):
        rack = power_ratio + added_watts / snapshot.rack_max_power_watts
        capacity = facility.loop_capacity_watts
        loop = base.heat_watts / capacity + base.heat_of(added_watts) / capacity
        limit = base.limit_used + amperes / facility.limit_rating_amperes
    return _greatest(facility, snapshot.rack_loop, rack, loop, limit)


def _greatest(facility: Facility, rack_loop: Ints, rack: Floats, loop: Floats, limit: Floats) -> Floats:
    """The greatest share among each rack's own, its loop's and those of its limits, shape (R,), to 1e-6."""
    most = rack
    if len(loop):
        most = np.maximum(most, np.where(rack_loop >= 0, loop[rack_loop], 0.0))
    if len(limit):
        by_limit = np.where(facility.limited, limit[facility.limits], 0.0)
        most = np.maximum(most, np.maximum.reduce(by_limit, axis=1, initial=0.0))
    return np.round(most, DIGITS)


def _of_lines(limit: Floats, facility: Facility, lines: int) -> Floats:
    """Of the limits, those that are metered lines, in the lines' order; NaN for a line without a rating."""
    found = np.full(lines, np.nan)
    metered = facility.limit_phase >= 0
    found[facility.limit_phase[metered]] = limit[metered]
    return found
