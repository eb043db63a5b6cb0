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
        limit all trays are taken to be like the ones that burden it least. The search ends below ``enough``.
        """
        racks = np.flatnonzero(among & self.roomy & self.fitting(room, 1))
        most = self.most(room)[racks]
        bound = float(np.add.reduce(most))
        steady, limits = self.steady_watts[racks], facility.rack_limits[racks].T
        levels = [(snapshot.rack_loop[racks], steady, room.loop_left_watts)]
        levels += [
            (above, steady * shares, room.limit_left_amperes)
            for above, shares in zip(limits, room.amperes_per_watt[racks].T, strict=True)
        ]
        for above, burden, left in levels:
            if bound < enough:
                break
            free = (above < 0) | (burden <= 0.0)
            least = np.full(len(left) + 1, np.inf)  # the last stands for no limit
            place = np.where(free, len(left), above)
            np.minimum.at(least, place, np.where(free, 0.0, burden))
            alone = np.bincount(place, most, len(least))
            used = np.flatnonzero(alone)
            with np.errstate(divide="ignore"):
                bears = np.minimum(alone[used], np.maximum(np.append(left, np.inf)[used], 0.0) / least[used])
            bound = min(bound, float(np.add.reduce(bears)) + ROUNDING)
        return bound
