"""What each rack's history teaches of its heat: how warm it runs, how fast it cools, and which work warms it.

A profile is learnt step by step from what was sensed since the step before, so that nothing but itself has to be kept:
means, variances and covariances move by a weight of ``1/n``, which makes them those of all samples until ``n`` reaches
its memory, and forgets slowly from then on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from twin.policy import signals
from twin.policy.headroom import readings
from twin.policy.snapshot import FacilitySnapshot, History

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: classes of work, in the order of the columns of ``FacilitySnapshot.rack_kind_trays``
KINDS = ("training", "inference", "batch", "backup")

#: names of the factors that profiles add
FACTORS = (
    "profile_mean_celsius",
    "profile_peak_excursion",
    "profile_recovery_seconds",
    *(f"profile_{kind}_correlation" for kind in KINDS),
)

STEP_SECONDS = 300.0  # between two steps, each of which is a new state to record; work comes and goes no faster
MEMORY_SAMPLES = 60_480.0  # of temperature: a week of readings of 10 s
MEMORY_PAIRS = 2_016.0  # of work and rise: a week of steps
MEMORY_FALLS = 20.0  # of recoveries
LEAST_PAIRS = 30.0  # without which nothing is said of work and rise
DROP_RATIO = 0.15  # of nameplate, between two readings: a load drop
QUIET_RATIO = 0.05  # of nameplate, within which power then stays
FALL_SECONDS = 300.0  # that a fall is followed
LEAST_FALL = 3.0  # K, below which it is lost in the sensors' resolution


@dataclass(frozen=True)
class Profiles:
    """Heat profiles of R racks, with M classes of work; NaN where nothing is known yet."""

    until_seconds: float  # of the latest reading in them
    samples: Floats  # R, temperatures in the mean
    mean_celsius: Floats  # R, of the hottest device
    highest_celsius: Floats  # R, likewise
    falls: Floats  # R, load drops that were followed
    recovery_seconds: Floats  # R, time constant of the fall after them
    pairs: Floats  # R, of work and temperature rise
    rise_mean: Floats  # R, K from inlet to hottest device
    rise_variance: Floats  # R
    trays_mean: Floats  # R×M, trays at work by class
    trays_variance: Floats  # R×M
    covariance: Floats  # R×M, of trays and rise


def unknown(racks: int) -> Profiles:
    """Profiles of so many racks of which nothing is known."""
    nan, none = np.full(racks, np.nan), np.zeros(racks)
    by_kind = np.zeros((racks, len(KINDS)))
    return _fixed(Profiles(-np.inf, none, nan, nan, none, nan, none, none, none, by_kind, by_kind, by_kind))


def step(before: Profiles | None, snapshot: FacilitySnapshot) -> Profiles:
    """The profiles after this look: those before, unless five minutes of new readings have come."""
    profiles = unknown(len(snapshot.rack_names)) if before is None else before
    past = snapshot.histories.get("rack_device_temperature_celsius")
    if past is None or not len(past.time_seconds):
        return profiles
    newest = float(past.time_seconds[-1])
    if newest < profiles.until_seconds + STEP_SECONDS:
        return profiles
    samples, mean, highest = _temperatures(profiles, past)
    falls, recovery = _recoveries(profiles, snapshot, past, newest)
    return _fixed(Profiles(newest, samples, mean, highest, falls, recovery, *_pairs(profiles, snapshot)))


def peak_excursion(profiles: Profiles) -> Floats:
    """How far the hottest device was above its mean at most [K], shape (R,)."""
    return profiles.highest_celsius - profiles.mean_celsius


def correlation(profiles: Profiles) -> Floats:
    """Correlation of trays at work with the temperature rise [1], shape (R, M).

    NaN with fewer than 30 pairs, and where either has never changed.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(profiles.trays_variance * profiles.rise_variance[:, None])
        found = np.clip(profiles.covariance / spread, -1.0, 1.0)
    return np.where((spread > 0.0) & (profiles.pairs[:, None] >= LEAST_PAIRS), found, np.nan)


def age_seconds(profiles: Profiles | None, now: float) -> float:
    """Age [s] of the latest reading in the profiles; infinite for none."""
    return np.inf if profiles is None else now - profiles.until_seconds


def factors(profiles: Profiles | None, racks: int) -> dict[str, Floats]:
    """What the profiles add to the factors of rules and scores, by name; NaN for what is not known."""
    known = unknown(racks) if profiles is None else profiles
    values = (known.mean_celsius, peak_excursion(known), known.recovery_seconds, *correlation(known).T)
    return dict(zip(FACTORS, values, strict=True))


def _temperatures(profiles: Profiles, past: History) -> tuple[Floats, Floats, Floats]:
    """Count, mean and highest of the hottest device with the good readings since the step before."""
    new = slice(int(np.searchsorted(past.time_seconds, profiles.until_seconds, side="right")), None)
    values = past.values[new]
    use = signals.good(values, past.quality[new])
    count = use.sum(axis=0).astype(np.float64)
    samples = np.minimum(profiles.samples + count, MEMORY_SAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        fresh = np.where(use, values, 0.0).sum(axis=0) / count
        moved = profiles.mean_celsius + (fresh - profiles.mean_celsius) * count / samples
    mean = np.where(count > 0.0, np.where(profiles.samples > 0.0, moved, fresh), profiles.mean_celsius)
    top = np.max(values, axis=0, where=use, initial=-np.inf)
    return samples, mean, np.where(count > 0.0, np.fmax(profiles.highest_celsius, top), profiles.highest_celsius)


def _recoveries(profiles: Profiles, snapshot: FacilitySnapshot, past: History, newest: float) -> tuple[Floats, Floats]:
    """Count and mean time constant with the falls that have been followed to their end since the step before."""
    falls, recovery = profiles.falls.copy(), profiles.recovery_seconds.copy()
    power = snapshot.histories.get("rack_power_watts")
    if power is None:
        return falls, recovery
    if power.time_seconds is not past.time_seconds and not np.array_equal(power.time_seconds, past.time_seconds):
        return falls, recovery
    for first, rack in _drops(power, snapshot.rack_max_power_watts, profiles.until_seconds, newest):
        after = (past.time_seconds >= past.time_seconds[first]) & (
            past.time_seconds <= past.time_seconds[first] + FALL_SECONDS
        )
        values, quality = past.values[after, rack], past.quality[after, rack]
        seconds = float(signals.fall_seconds(past.time_seconds[after], values, quality, LEAST_FALL))
        if np.isfinite(seconds):
            falls[rack] = min(falls[rack] + 1.0, MEMORY_FALLS)
            old = seconds if np.isnan(recovery[rack]) else recovery[rack]
            recovery[rack] = old + (seconds - old) / falls[rack]
    return falls, recovery


def _drops(power: History, nameplate: Floats, until: float, newest: float) -> Iterator[tuple[int, int]]:
    """(sample, rack) of each load drop that is now followed by enough readings, and was not before: the first sample of
    the lesser power, which then stays."""
    time, watts = power.time_seconds, power.values
    due = np.searchsorted(time, (until - FALL_SECONDS, newest - FALL_SECONDS), side="right")
    start, end = max(int(due[0]), 1), int(due[1])
    if start >= end:
        return
    part = slice(start - 1, end)
    use = signals.good(watts[part], power.quality[part])
    with np.errstate(invalid="ignore"):
        dropped = use[1:] & use[:-1] & (watts[start - 1 : end - 1] - watts[start:end] >= DROP_RATIO * nameplate)
    for place, rack in np.argwhere(dropped).tolist():
        first = start + place
        after = slice(first, int(np.searchsorted(time, time[first] + FALL_SECONDS, side="right")))
        seen = watts[after, rack][signals.good(watts[after, rack], power.quality[after, rack])]
        if np.ptp(seen) <= QUIET_RATIO * nameplate[rack]:
            yield first, rack


def _pairs(profiles: Profiles, snapshot: FacilitySnapshot) -> tuple[Floats, ...]:
    """Count, means, variances and covariance of work and rise with those of this look."""
    before = (
        profiles.pairs, profiles.rise_mean, profiles.rise_variance,
        profiles.trays_mean, profiles.trays_variance, profiles.covariance,
    )  # fmt: skip
    trays = np.asarray(snapshot.rack_kind_trays, dtype=np.float64)
    if trays.shape != profiles.trays_mean.shape:
        return before
    rise = readings(snapshot, "rack_device_temperature_celsius") - readings(snapshot, "rack_supply_temperature_celsius")
    known = np.isfinite(rise)
    pairs = np.where(known, np.minimum(profiles.pairs + 1.0, MEMORY_PAIRS), profiles.pairs)
    weight = np.where(known, 1.0 / np.maximum(pairs, 1.0), 0.0)
    off = np.where(known, rise - profiles.rise_mean, 0.0)
    by_kind, rest = weight[:, None], 1.0 - weight[:, None]
    apart = trays - profiles.trays_mean
    return (
        pairs,
        profiles.rise_mean + weight * off,
        (1.0 - weight) * (profiles.rise_variance + weight * off * off),
        profiles.trays_mean + by_kind * apart,
        rest * (profiles.trays_variance + by_kind * apart * apart),
        rest * (profiles.covariance + by_kind * apart * off[:, None]),
    )


def _fixed(profiles: Profiles) -> Profiles:
    """The same, with arrays that nobody can write to: they go from state to state."""
    for each in fields(profiles):
        value = getattr(profiles, each.name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return profiles
