"""How much more power each rack may take: at once, and for as long as a job lasts.

*Immediate* headroom is what is left under every limit above a rack at what flows now. *Sustained* headroom is what is
left once running jobs draw what they declared and what was promised draws too: it is the smaller one. What fits the
first and not the second is *transient* only: it would be used up by work that has been placed already.

``left_k = u I_r,k − I_k − Σ_r a_rk ΔP_r`` [A] for a limit k of rating I_r at a permitted utilisation u, with a [A/W]
from the facility and ΔP [W] what rack r has still to draw; a rack's headroom is ``min_k left_k / a_rk`` over its
limits, and no more than its nameplate and its loop have left.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twin.policy.documents import DocumentFaults, Reader
from twin.policy.facility import Facility
from twin.policy.snapshot import FacilitySnapshot, Quality

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
LARGEST = float(np.finfo(np.float64).max)
GOOD = int(Quality.GOOD)  # an enumeration answers slowly


def readings(snapshot: FacilitySnapshot, name: str) -> Floats:
    """A field of a snapshot, NaN where it does not count: stale, missing, at its sensor's end, or beyond belief.

    Temperatures are believed between −50 and 200 °C, everything else from 0 on.
    """
    values = np.asarray(getattr(snapshot, name), dtype=np.float64)
    low, high = BELIEVED_CELSIUS if name.endswith("_celsius") else (0.0, LARGEST)
    counts = (values >= low) & (values <= high)  # not a number is neither
    quality = snapshot.qualities.get(name)
    if quality is not None:
        counts &= quality == GOOD
    return values if counts.all() else np.where(counts, values, np.nan)


def amperes_per_watt(facility: Facility, closed: Bools) -> Floats:
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


@dataclass(frozen=True)
class Ground:
    """What headroom stands on at one look, before promises: the same for every request that is asked about it."""

    power_watts: Floats  # R
    to_come_watts: Floats  # R, that running jobs still have to draw
    amperes: Floats  # K, of every limit now
    allowed_amperes: Floats  # K
    rating_amperes: Floats  # K
    amperes_per_watt: Floats  # R×D
    limits: Ints  # R×D, 0 for none
    known: Bools  # R×D, is there such a limit
    counts: Bools  # R×D, and does the rack's power pass it
    fed: Bools  # R
    places: Ints  # R×(D+2), what binds: limits, loop, rack
    loop: Ints  # R, 0 for none
    cooled: Bools  # R
    heat_watts: Floats  # L, now
    capacity_watts: Floats  # L
    nameplate_watts: Floats  # R
    immediate_watts: Floats  # R
    utilisation_now: Floats  # R


def ground(snapshot: FacilitySnapshot, facility: Facility, permitted: Permitted) -> Ground:
    """What headroom stands on. Readings that do not count make what depends on them NaN."""
    power = readings(snapshot, "rack_power_watts")
    declared = readings(snapshot, "rack_declared_power_watts")
    limits, per_watt = facility.rack_limits, amperes_per_watt(facility, np.asarray(snapshot.breaker_closed))
    present, known = np.maximum(limits, 0), limits >= 0
    amperes = np.concatenate(
        [readings(snapshot, "phase_current_amperes"), readings(snapshot, "breaker_current_amperes")]
    )
    lines = len(snapshot.phase_current_amperes)
    now = amperes[np.where(facility.limit_phase >= 0, facility.limit_phase, lines + facility.limit_breaker)]
    loop, cooled = np.maximum(snapshot.rack_loop, 0), snapshot.rack_loop >= 0
    counts = known & (per_watt > 0.0)
    nobody = np.zeros(len(power))
    with np.errstate(divide="ignore", invalid="ignore"):
        used = now / facility.limit_rating_amperes
    found = Ground(
        power,
        np.maximum(declared - power, 0.0),
        now,
        permitted.limit_utilisation * facility.limit_rating_amperes,
        facility.limit_rating_amperes,
        per_watt,
        present,
        known,
        counts,
        np.asarray(counts.any(axis=1) | ~known.any(axis=1)),
        np.column_stack([limits, np.full(len(power), LOOP), np.full(len(power), RACK)]),
        loop,
        cooled,
        np.asarray(np.bincount(loop[cooled], power[cooled], len(facility.loop_capacity_watts)), dtype=np.float64),
        permitted.loop_utilisation * facility.loop_capacity_watts,
        permitted.rack_utilisation * readings(snapshot, "rack_max_power_watts"),
        nobody,
        _most(used, present, known),
    )
    left = found.allowed_amperes - now, found.capacity_watts - found.heat_watts, found.nameplate_watts - power
    return replace(found, immediate_watts=_least(found, *left)[0])


def _least(base: Ground, amperes: Floats, heat: Floats, own: Floats) -> tuple[Floats, Ints]:
    """Headroom [W] where limits, loops and racks have so much left, and what binds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        by_limit = np.where(base.counts, amperes[base.limits] / base.amperes_per_watt, np.inf)
    every = np.empty((len(own), by_limit.shape[1] + 2))
    every[:, :-2] = by_limit
    every[:, -2] = np.where(base.cooled, heat[base.loop], np.inf) if len(heat) else np.inf
    every[:, -1] = own
    which = np.argmin(every, axis=1)  # the first that is not known, where one is not
    racks = np.arange(len(own))
    found = np.round(every[racks, which], DECIMALS)  # sums depend on the order of racks in their last digits
    found[~base.fed & ~np.isnan(found)] = -np.inf
    return found, base.places[racks, which]


def headroom(base: Ground, promised_watts: Floats) -> Headroom:
    """Headroom of every rack, once what was given away since the look draws too.

    promised_watts: shape (R,) [W].
    """
    to_come = base.to_come_watts + promised_watts
    added = np.bincount(
        base.limits[base.known], (base.amperes_per_watt * to_come[:, None])[base.known], len(base.amperes)
    )
    heat_to_come = np.bincount(base.loop[base.cooled], to_come[base.cooled], len(base.heat_watts))
    after = base.allowed_amperes - base.amperes - added
    after_heat = base.capacity_watts - base.heat_watts - heat_to_come
    sustained, binding = _least(base, after, after_heat, base.nameplate_watts - base.power_watts - to_come)
    with np.errstate(divide="ignore", invalid="ignore"):
        will = (base.amperes + added) / base.rating_amperes
    return Headroom(
        base.immediate_watts,
        sustained,
        binding,
        base.utilisation_now,
        _most(will, base.limits, base.known),
        after,
        after_heat,
        base.amperes_per_watt,
    )


def _most(share: Floats, limits: Ints, known: Bools) -> Floats:
    """Greatest share among each rack's limits, NaN where one is not known, 0 for a rack without limits."""
    if not len(share):
        return np.zeros(len(limits))
    return np.asarray(np.where(known, share[limits], 0.0).max(axis=1, initial=0.0))
