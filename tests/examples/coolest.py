"""A policy from outside: the coolest racks that are not too warm."""

from dataclasses import dataclass

import numpy as np

from twin.policy import Placement, Reason, Wait


@dataclass(frozen=True)
class Coolest:
    greatest_celsius: float = 45.0  # coolant at the rack's inlet; warmer racks, and unknown ones, take nothing

    def __call__(self, snapshot, request, state=None):
        celsius = snapshot.rack_supply_temperature_celsius
        with np.errstate(invalid="ignore"):
            open_racks = snapshot.rack_healthy & snapshot.rack_production & (celsius <= self.greatest_celsius)
        free = np.where(open_racks, snapshot.rack_free_trays, 0)
        least = request.trays if request.one_rack else 1
        racks = [rack for rack in range(len(free)) if free[rack] >= least]
        racks.sort(key=lambda rack: (celsius[rack], snapshot.rack_names[rack]))
        chosen, wanted = [], request.trays
        for rack in racks[:1] if request.one_rack else racks:
            take = min(wanted, int(free[rack]))
            chosen += [(snapshot.rack_names[rack], take)] if take else []
            wanted -= take
        if wanted:
            short = f"{wanted} trays short below {self.greatest_celsius} °C"
            return Wait(request.id, Reason.WAIT_FOR_TRAYS, short), state
        return Placement(request.id, tuple(chosen), Reason.PLACED_BELOW), state
