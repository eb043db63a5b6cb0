"""What operators had before: packing by free power, and thresholds that know neither slope, dwell nor tomorrow.

Named for what they are, so that the thermal-aware policy is compared with more than blindness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.baselines import fill, first_fit, larger_than_hall
from twin.policy.decisions import Decision, Reason, Refusal
from twin.policy.documents import DocumentFaults, Reader
from twin.policy.headroom import readings
from twin.policy.names import by_name
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot


def best_fit(snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
    """The racks with least free power (nameplate less what is drawn now) that still have enough for their share.

    Best fit keeps large gaps for large jobs; of what feeds and cools racks together it knows nothing.
    """
    names = by_name(snapshot.rack_names)
    free_watts = readings(snapshot, "rack_max_power_watts") - readings(snapshot, "rack_power_watts")
    trays = request.trays if request.one_rack else 1
    with np.errstate(invalid="ignore"):
        enough = free_watts >= trays * request.power_watts_per_tray

    def tightest(wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        racks = names[(wanted & enough)[names]]
        return racks[np.argsort(free_watts[racks], kind="stable")]

    return fill(snapshot, request, tightest, Reason.PLACED_BEST_FIT), state


@dataclass(frozen=True)
class StaticThresholds:
    """First fit among racks that are below fixed thresholds at this instant."""

    power_ratio: float
    inlet_celsius: float
    device_celsius: float

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        names = by_name(snapshot.rack_names)
        with np.errstate(invalid="ignore"):
            below = (
                (readings(snapshot, "rack_power_watts") <= self.power_ratio * snapshot.rack_max_power_watts)
                & (readings(snapshot, "rack_supply_temperature_celsius") <= self.inlet_celsius)
                & (readings(snapshot, "rack_device_temperature_celsius") <= self.device_celsius)
            )
        return fill(snapshot, request, lambda wanted: names[(wanted & below)[names]], Reason.PLACED_BELOW), state


def static_thresholds(parameters: Mapping[str, Any]) -> StaticThresholds:
    """The policy with these thresholds. Raises :class:`~twin.policy.documents.DocumentError` with all faults."""
    faults = DocumentFaults()
    reader = Reader(parameters, "policy", faults)
    reader.text("name", "static_thresholds")
    made = StaticThresholds(
        reader.number("power_ratio", low=0.0), reader.number("inlet_celsius"), reader.number("device_celsius")
    )
    reader.done()
    faults.stop()
    return made


def refuse_all(snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
    """No trips, no heat, no work: the line below which no comparison may fall."""
    return larger_than_hall(snapshot, request) or Refusal(request.id, Reason.REFUSED_ALL), state


@dataclass(frozen=True)
class CapAll:
    """First fit with the clock of every tray held down all the time: no comparison may slow work down more than that.

    It decides where; ``greatest_clock`` (of nominal, 0.1 to 1) is held by whoever runs it.
    """

    greatest_clock: float

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        return first_fit(snapshot, request, state)


def cap_all(parameters: Mapping[str, Any]) -> CapAll:
    """The policy with this clock. Raises :class:`~twin.policy.documents.DocumentError` with all faults."""
    faults = DocumentFaults()
    reader = Reader(parameters, "policy", faults)
    reader.text("name", "cap_all")
    made = CapAll(reader.number("greatest_clock", low=0.1, high=1.0))
    reader.done()
    faults.stop()
    return made
