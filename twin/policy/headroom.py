"""How much more power each rack may take: at once, and for as long as a job lasts.

*Immediate* headroom is what is left under every limit above a rack at what flows now. *Sustained* headroom is what is
left once running jobs draw what they declared and what was promised draws too: it is the smaller one. What fits the
first and not the second is *transient* only: it would be used up by work that has been placed already.

``left_k = u I_r,k − I_k − Σ_r a_rk ΔP_r`` [A] for a limit k of rating I_r at a permitted utilisation u, with a [A/W]
from the facility and ΔP [W] what rack r has still to draw; a rack's headroom is ``min_k left_k / a_rk`` over its
limits, and no more than its nameplate and its loop have left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.documents import DocumentFaults, Reader
from twin.policy.facility import Facility
from twin.policy.snapshot import FacilitySnapshot, Quality

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Permitted:
    """How far limits may be used, as shares of their ratings."""

    limit_utilisation: float = 0.85  # of breakers' ratings, hottest pole or line
    loop_utilisation: float = 1.0  # of a CDU's rated heat
    rack_utilisation: float = 1.0  # of a rack's nameplate


def read_permitted(mapping: object, at: str, faults: DocumentFaults) -> Permitted:
    """Permitted shares from a plain mapping; what is wrong is added to ``faults``."""
    reader = Reader(mapping, at, faults)
    found = Permitted(
        reader.number("limit_utilisation", Permitted.limit_utilisation, low=0.0, high=1.2),
        reader.number("loop_utilisation", Permitted.loop_utilisation, low=0.0, high=1.2),
        reader.number("rack_utilisation", Permitted.rack_utilisation, low=0.0, high=1.2),
    )
    reader.done()
    return found


@dataclass(frozen=True)
class Headroom:
    """Watts that racks may still take at their inlets, shape (R,); NaN where that is not known. Below 0: none."""

    immediate_watts: Floats
    sustained_watts: Floats
    binding: Ints  # R, the limit that leaves least for long: an index of ``Facility.limit_names``, −1 rack, −2 loop
    utilisation_now: Floats  # R, of the limit above it that is used most
    utilisation_projected: Floats  # R, the same once everybody draws what was declared and promised
    limit_left_amperes: Floats  # K, sustained
    loop_left_watts: Floats  # L, sustained
    amperes_per_watt: Floats  # R×D, of racks on their limits under the present switches


RACK, LOOP = -1, -2  # of ``binding``
DECIMALS = 3  # of headroom, W
BELIEVED_CELSIUS = (-50.0, 200.0)


def readings(snapshot: FacilitySnapshot, name: str) -> Floats:
    """A field of a snapshot, NaN where it does not count: stale, missing, at its sensor's end, or beyond belief.

    Temperatures are believed between −50 and 200 °C, everything else from 0 on.
    """
    values = np.asarray(getattr(snapshot, name), dtype=np.float64)
    low, high = BELIEVED_CELSIUS if name.endswith("_celsius") else (0.0, np.inf)
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(values) & (values >= low) & (values <= high)
    quality = snapshot.qualities.get(name)
    return np.where(counts if quality is None else counts & (quality == Quality.GOOD), values, np.nan)


def amperes_per_watt(facility: Facility, closed: NDArray[np.bool_]) -> Floats:
    """What a watt of each rack puts on its limits under these switches [A/W], shape (R, D).

    A rack whose one feed is dead puts all of its power on the other: twice as much as usual.
    """
    guards = np.where(facility.rack_limits >= 0, facility.limit_breaker[facility.rack_limits], -1)
    dead = (guards >= 0) & ~closed[guards]
    on_feed = [(dead & (facility.rack_limit_feed == feed)).any(axis=1) for feed in (0, 1)]
    has = [((facility.rack_limits >= 0) & (facility.rack_limit_feed == feed)).any(axis=1) for feed in (0, 1)]
    live = [has[feed] & ~on_feed[feed] for feed in (0, 1)]
    count, all_of_them = live[0].astype(float) + live[1], has[0].astype(float) + has[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(count > 0.0, all_of_them / count, 1.0)
    on = np.where(facility.rack_limit_feed == 0, live[0][:, None], live[1][:, None])
    return np.where(on, facility.rack_amperes_per_watt * share[:, None], 0.0)


def headroom(snapshot: FacilitySnapshot, facility: Facility, permitted: Permitted, promised_watts: Floats) -> Headroom:
    """Headroom of every rack.

    promised_watts: shape (R,), power that was given away since the snapshot was taken [W]. Readings that do not count
    make what depends on them NaN.
    """
    power = readings(snapshot, "rack_power_watts")
    declared = readings(snapshot, "rack_declared_power_watts")
    to_come = promised_watts + np.maximum(declared - power, 0.0)
    limits, per_watt = facility.rack_limits, amperes_per_watt(facility, np.asarray(snapshot.breaker_closed))
    present, known = np.maximum(limits, 0), limits >= 0
    amperes = np.concatenate(
        [readings(snapshot, "phase_current_amperes"), readings(snapshot, "breaker_current_amperes")]
    )
    lines = len(snapshot.phase_current_amperes)
    now = amperes[np.where(facility.limit_phase >= 0, facility.limit_phase, lines + facility.limit_breaker)]
    added = np.bincount(present[known], (per_watt * to_come[:, None])[known], len(facility.limit_names))
    allowed = permitted.limit_utilisation * facility.limit_rating_amperes
    loop, cooled = np.maximum(snapshot.rack_loop, 0), snapshot.rack_loop >= 0
    loops = len(facility.loop_capacity_watts)
    heat = np.bincount(loop[cooled], power[cooled], loops)
    heat_to_come = np.bincount(loop[cooled], to_come[cooled], loops)
    capacity = permitted.loop_utilisation * facility.loop_capacity_watts
    nameplate = permitted.rack_utilisation * readings(snapshot, "rack_max_power_watts")
    fed = (known & (per_watt > 0.0)).any(axis=1) | ~known.any(axis=1)

    def least(left_amperes: Floats, left_heat: Floats, own: Floats) -> tuple[Floats, Ints]:
        with np.errstate(divide="ignore", invalid="ignore"):
            by_limit = np.where(known & (per_watt > 0.0), left_amperes[present] / per_watt, np.inf)
        by_loop = np.where(cooled, left_heat[loop] if loops else np.inf, np.inf)
        every = np.column_stack([by_limit, by_loop, own])
        unknown = np.isnan(every).any(axis=1)
        which = np.argmin(np.where(np.isnan(every), np.inf, every), axis=1)
        found = every[np.arange(len(own)), which]
        places = np.column_stack([limits, np.full(len(own), LOOP), np.full(len(own), RACK)])
        found = np.round(found, DECIMALS)  # sums depend on the order of racks in their last digits
        return np.where(unknown, np.nan, np.where(fed, found, -np.inf)), places[np.arange(len(own)), which]

    immediate, _ = least(allowed - now, capacity - heat, nameplate - power)
    after_heat, after = capacity - heat - heat_to_come, allowed - now - added
    sustained, binding = least(after, after_heat, nameplate - power - to_come)
    with np.errstate(divide="ignore", invalid="ignore"):
        used, will = now / facility.limit_rating_amperes, (now + added) / facility.limit_rating_amperes
    return Headroom(
        immediate,
        sustained,
        binding,
        _most(used, present, known),
        _most(will, present, known),
        after,
        after_heat,
        per_watt,
    )


def _most(share: Floats, limits: Ints, known: NDArray[np.bool_]) -> Floats:
    """Greatest share among each rack's limits, NaN where one is not known, 0 for a rack without limits."""
    if not len(share):
        return np.zeros(len(limits))
    return np.asarray(np.where(known, share[limits], 0.0).max(axis=1, initial=0.0))
