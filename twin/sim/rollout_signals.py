"""What a rollout is gated on, read for :mod:`twin.policy.rollout_signals` from what sensors and software say."""

import numpy as np
from numpy.typing import NDArray

from twin.policy.rollout import Signal
from twin.policy.rollout_signals import Baseline, power_spike, temperature_rise, throttled_share
from twin.policy.snapshot import FacilitySnapshot
from twin.sim.deployment import Deployment

Ints = NDArray[np.int64]

DEVICE, POWER = "rack_device_temperature_celsius", "rack_power_watts"


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
    now, past = snapshot.time_seconds, snapshot.histories
    racks = np.array(list(deployment.on), dtype=np.int64)  # in the order in which they got it
    production = racks[snapshot.rack_production[racks]]
    racks = production if len(production) else racks
    up = np.array([rack for rack in production.tolist() if snapshot.rack_names[rack] in running], dtype=np.int64)
    without = np.array([rack for rack in targets if rack not in deployment.on], dtype=np.int64)
    peaks = deployment.declared_peaks(now - seconds, racks)
    shares = deployment.throttled_shares(now - seconds, now)
    device_age = _age(snapshot, DEVICE, racks)
    rise = temperature_rise(past.get(DEVICE), now, seconds, up, without, before, unsure)
    return {
        "error_rate": Signal(deployment.error_rate(now - seconds, now, up) if len(up) else 0.0, 0.0),
        "temperature_rise": Signal(rise, device_age),
        "power_spike": Signal(power_spike(past.get(POWER), now - seconds, racks, peaks), _age(snapshot, POWER, racks)),
        "throttled_share": Signal(throttled_share(shares[racks], snapshot.rack_trays[racks]), device_age),
    }


def _age(snapshot: FacilitySnapshot, name: str, racks: Ints) -> float:
    """Age [s] of the oldest reading on racks; 0 without racks."""
    ages = snapshot.ages.get(name)
    return float(ages[racks].max()) if ages is not None and len(racks) else 0.0
