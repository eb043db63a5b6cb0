"""What a request asks of each rack, and how much of it racks bear by the headroom that they have."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.facility import Facility
from twin.policy.headroom import Headroom
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROUNDING = 1e-6  # trays, of sums that depend on the order of racks in their last digits


@dataclass(frozen=True)
class Asked:
    """A request against the racks of one look, arrays over racks."""

    free: Ints  # trays of healthy production racks that admit work
    roomy: Bools  # enough of them for all of the request, or for one tray of what may be spread
    steady_watts: Floats  # at the inlet for one more tray at work
    peak_watts: Floats

    @classmethod
    def of(cls, request: JobRequest, snapshot: FacilitySnapshot, facility: Facility) -> "Asked":
        """A tray's power above what it draws idle, at the inlet of each rack."""
        open_racks = snapshot.rack_healthy & snapshot.rack_production & snapshot.rack_admitting
        free = np.where(open_racks, snapshot.rack_free_trays, 0)
        per_watt, idle = facility.rack_watts_per_tray_watt, facility.rack_tray_idle_watts
        steady = np.maximum(request.power_watts_per_tray - idle, 0.0) * per_watt
        peak = np.maximum(max(request.peak_watts_per_tray, request.power_watts_per_tray) - idle, 0.0) * per_watt
        return cls(free, np.asarray(free >= (request.trays if request.one_rack else 1)), steady, peak)

    def fitting(self, room: Headroom, trays: int) -> Bools:
        """Racks that bear so many more trays: their peak at once, their steady power for long. Unknown is no."""
        with np.errstate(invalid="ignore"):
            at_once = room.immediate_watts >= trays * self.peak_watts
            return np.asarray(at_once & (room.sustained_watts >= trays * self.steady_watts))

    def most(self, room: Headroom) -> Floats:
        """Trays that each rack would take if none took from what another has: never fewer than it takes beside them."""
        fit = self.free.astype(np.float64)
        for left, each in ((room.sustained_watts, self.steady_watts), (room.immediate_watts, self.peak_watts)):
            bears = np.full(len(fit), np.inf)
            np.divide(left, each, out=bears, where=each > 0.0)
            np.minimum(fit, np.floor(bears), out=fit)
        return fit

    def together(
        self, room: Headroom, snapshot: FacilitySnapshot, facility: Facility, among: Bools, enough: float = -math.inf
    ) -> float:
        """Trays that racks ``among`` all take together at most, by what their loops and each level of limits have left.

        A level's limits are apart from one another, so that what each bears adds up: no level may bear less. Within a
        limit all trays are taken to be like the ones that burden it least. Where what racks take by themselves is below
        ``enough``, that is the answer.
        """
        racks = np.flatnonzero(among & self.roomy & self.fitting(room, 1))
        most = self.most(room)[racks]
        bound = float(np.add.reduce(most))
        if bound < enough:
            return bound
        # loops are one level, then come those of limits; one place more on each for racks that nothing limits there
        width = max(len(room.loop_left_watts), len(room.limit_left_amperes)) + 1
        above = np.vstack((snapshot.rack_loop[racks], facility.rack_limits[racks].T))
        steady = self.steady_watts[racks]
        burden = np.vstack((steady, steady * room.amperes_per_watt[racks].T))
        left = np.full((len(above), width), np.inf)
        left[0, : len(room.loop_left_watts)] = room.loop_left_watts
        left[1:, : len(room.limit_left_amperes)] = room.limit_left_amperes
        free = (above < 0) | (burden <= 0.0)
        place = (np.where(free, width - 1, above) + width * np.arange(len(above))[:, None]).ravel()
        least = np.full(left.size, np.inf)
        np.minimum.at(least, place, np.where(free, 0.0, burden).ravel())
        alone = np.bincount(place, np.tile(most, len(above)), left.size).reshape(left.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            bears = np.maximum(left, 0.0) / least.reshape(left.shape)
        bears = np.where(alone > 0.0, np.minimum(alone, bears), 0.0)
        return min(bound, float(np.fmin.reduce(np.add.reduce(bears, axis=1))) + ROUNDING)
