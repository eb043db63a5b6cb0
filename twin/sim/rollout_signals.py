"""What a rollout is gated on, from what sensors and software say of the racks that have the release."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.judge import window_means
from twin.policy.rollout import Signal
from twin.policy.signals import good
from twin.policy.snapshot import FacilitySnapshot
from twin.policy.trial import Window
from twin.sim.deployment import Deployment

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEVICE, POWER = "rack_device_temperature_celsius", "rack_power_watts"
LEAST_REFERENCE = 3  # racks without the release whose mean change counts as the hall's own
JUST_NOW = 1e-6  # s, by which the latest reading is inside a window


@dataclass(frozen=True)
class Baseline:
    """Device temperatures by rack before a release [°C], shape (R,), and the racks whose heat now tells of it alone."""

    celsius: Floats
    witnesses: NDArray[np.bool_]


def signals_of(
    deployment: Deployment,
    snapshot: FacilitySnapshot,
    seconds: float,
    running: frozenset[str],
    targets: list[int],
    before: Baseline | None,
    unsure: float,
) -> dict[str, Signal]:
    """The signals of a plan over the last ``seconds``.

    Racks of the staging cell tell until production racks have the release. Racks where it is not confirmed fail nothing
    yet, since nothing runs there. Without ``before`` the rise is not known once production racks have it. ``unsure`` is
    the greatest rise [K] that racks are believed which other work may have heated. Errors are software's own count and
    as old as the look; clocks come with the devices' temperatures.
    """
    now = snapshot.time_seconds
    racks = np.array(list(deployment.on), dtype=np.int64)  # in the order in which they got it
    production = racks[snapshot.rack_production[racks]]
    racks = production if len(production) else racks
    up = np.array([rack for rack in production.tolist() if snapshot.rack_names[rack] in running], dtype=np.int64)
    shares = deployment.throttled_shares(now - seconds, now)
    trays = snapshot.rack_trays[racks]
    device_age, power_age = _age(snapshot, DEVICE, racks), _age(snapshot, POWER, racks)
    errors = deployment.error_rate(now - seconds, now, up) if len(up) else 0.0
    return {
        "error_rate": Signal(errors, 0.0),
        "temperature_rise": Signal(_rise(deployment, snapshot, seconds, up, targets, before, unsure), device_age),
        "power_spike": Signal(_spike(deployment, snapshot, seconds, racks), power_age),
        "throttled_share": Signal(
            float((shares[racks] * trays).sum() / trays.sum()) if len(racks) else 0.0, device_age
        ),
    }


def _age(snapshot: FacilitySnapshot, name: str, racks: Ints) -> float:
    """Age [s] of the oldest reading on racks; 0 without racks."""
    ages = snapshot.ages.get(name)
    return float(ages[racks].max()) if ages is not None and len(racks) else 0.0


def _rise(
    deployment: Deployment,
    snapshot: FacilitySnapshot,
    seconds: float,
    racks: Ints,
    targets: list[int],
    before: Baseline | None,
    unsure: float,
) -> float:
    """Greatest rise [K] of a rack's hottest device since before the release, over the mean rise of racks without it.

    ``racks`` have it and are up, in the order in which they got it. Where fewer than three targets are without it,
    those that have had it longest stand for them. Witnesses alone count where there are any; the others are believed
    that nothing rose, and no more than ``unsure`` of what did: it may hold a release, and not take it back.
    """
    if not len(racks):
        return 0.0
    past = snapshot.histories.get(DEVICE)
    if before is None or past is None:
        return float("nan")
    window = Window(snapshot.time_seconds - seconds, snapshot.time_seconds + JUST_NOW)
    change = window_means(past.time_seconds, past.values, past.quality, window) - before.celsius
    without = np.array([rack for rack in targets if rack not in deployment.on], dtype=np.int64)
    reference = _best(without if len(without) >= LEAST_REFERENCE else racks[:LEAST_REFERENCE], before)
    known = change[reference][np.isfinite(change[reference])]
    if not len(known):
        return float("nan")
    telling = _best(racks, before)
    rise = change[telling] - float(np.sort(known).mean())
    if not np.isfinite(rise).all():
        return float("nan")
    most = max(0.0, float(rise.max()))
    return most if before.witnesses[telling].any() else min(most, unsure)


def _best(racks: Ints, before: Baseline) -> Ints:
    """The witnesses among racks, all of them where there is none."""
    witnesses = racks[before.witnesses[racks]]
    return witnesses if len(witnesses) else racks


def _spike(deployment: Deployment, snapshot: FacilitySnapshot, seconds: float, racks: Ints) -> float:
    """Greatest peak of a rack's power over its declared peak, less 1."""
    if not len(racks):
        return 0.0
    past = snapshot.histories.get(POWER)
    if past is None:
        return float("nan")
    late = past.time_seconds >= snapshot.time_seconds - seconds
    values, use = past.values[late][:, racks], good(past.values[late], past.quality[late])[:, racks]
    peak = np.where(use, values, -np.inf).max(axis=0, initial=-np.inf)
    if not np.isfinite(peak).all():
        return float("nan")
    return float(max(0.0, (peak / deployment.declared_peaks(snapshot.time_seconds - seconds, racks) - 1.0).max()))
