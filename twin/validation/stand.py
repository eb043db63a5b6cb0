"""A test stand for breakers: load banks, each behind one breaker, whose current is set and whose trip is timed.

The banks are racks of a hall like any other and the current goes through the plant's power tree: a tray without
leakage, overhead or losses draws ``utilisation × maximum`` whatever its temperature.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from twin.hall.parts import Hall
from twin.hall.presets import load_parts
from twin.hall.reader import read_hall
from twin.hall.topology import compile_topology
from twin.plant.arrays import Floats
from twin.plant.guards import Guard
from twin.plant.plant import Plant

VOLTAGE = 480.0
RANGE = 12.0  # multiples of the rating that a load bank can draw
TRIPS = (Guard.BREAKER_INSTANTANEOUS, Guard.BREAKER_SHORT_TIME, Guard.BREAKER_THERMAL)

#: a resistor bank as a rack: unit power factor, no losses, all heat into much air
BANK = {
    "cooling": "air",
    "trays": 1,
    "gpus_per_tray": 1,
    "tray_idle_watts": 0,
    "die_share": 0,
    "plate_share": 0,
    "leakage_watts_per_kelvin": 0,
    "leakage_reference_celsius": 60,
    "die_heat_capacity_joules_per_kelvin": 1e4,
    "plate_heat_capacity_joules_per_kelvin": 1e4,
    "conduction_resistance_kelvin_per_watt": 0.01,
    "convection_resistance_kelvin_per_watt": 0.01,
    "slowdown_celsius": 148,
    "hardware_slowdown_celsius": 149,
    "shutdown_celsius": 150,
    "release_kelvin": 3,
    "dwell_seconds": 1,
    "slowdown_per_kelvin": 0.06,
    "minimum_clock": 0.5,
    "hardware_clock": 0.5,
    "overhead_watts": 0,
    "shelf_fixed_loss_watts": 0,
    "shelf_efficiency": 1,
    "overhead_liquid_share": 0,
    "power_factor": 1,
    "ride_through_joules": 0,
    "air_heat_capacity_joules_per_kelvin": 1e5,
}
CFM_PER_WATT = 0.1  # about 18 K over a bank


def bank_hall(breaker: Mapping[str, Any], count: int) -> Hall:
    """``count`` load banks on feed A, each behind a breaker of these settings (a preset and changes to it)."""
    settings = {**load_parts()["breakers"].get(breaker.get("preset", ""), {}), **breaker}
    watts = RANGE * settings["rating_amperes"] * math.sqrt(3.0) * VOLTAGE
    bank = {**BANK, "tray_max_watts": watts, "air_flow_cubic_feet_per_minute": CFM_PER_WATT * watts}
    mapping = {
        "name": "test stand",
        "rows": 1,
        "racks_per_row": count,
        "rack_class": "bank",
        "classes": {"bank": bank},
        "voltage_volts": VOLTAGE,
        "utility": {},
        "ups": {},
        "pdu": {},
        "row_feed": {},
        "rack_feed": {"breaker": dict(breaker)},
        "air": {
            "setpoint_celsius": 24,
            "band_kelvin": 4,
            "capacity_fraction": 1.2,
            "fan_fraction": 0,
            "heat_capacity_joules_per_kelvin_per_rack": 1e6,
        },
        "facility": {
            "setpoint_celsius": 20,
            "capacity_fraction": 1.2,
            "band_kelvin": 2,
            "tank_minutes": 7,
            "tank_rise_kelvin": 8,
            "approach_kelvin": 4,
            "chiller_cop": 5,
            "free_cooling_fraction": 0,
        },
        "exceptions": {f"A-{place:02d}": {"feeds": ["A"]} for place in range(1, count + 1)},
    }
    return read_hall(mapping, source="test stand")


class Stand:
    """Cold breakers of one kind, each in front of its own load bank."""

    def __init__(self, breaker: Mapping[str, Any], count: int = 1) -> None:
        self.plant = Plant(compile_topology(bank_hall(breaker, count)))
        self.count = count
        self.time = 0.0

    def carry(self, ratio: float, seconds: float) -> Floats:
        """Let ``ratio`` × rating flow through every closed breaker for ``seconds`` [s].

        Returns the time to trip of every breaker [s], infinite for those that hold; a breaker that trips stays open.
        """
        plant, start, end = self.plant, self.time, self.time + seconds
        plant.set_load(np.arange(self.count), ratio / RANGE)
        tripped = np.full(self.count, np.inf)
        while not (self.time >= end or np.isfinite(tripped).all()):
            crossing = plant.settle(self.time) or plant.flow(self.time, end)
            if crossing is None:
                self.time = end
                break
            self.time = crossing.time
            if crossing.guard in TRIPS:
                plant.set_breaker(crossing.index, False)
                tripped[plant.c.breaker["node"][crossing.index] == plant.c.rack_feed[:, 0]] = self.time - start
            elif crossing.guard is Guard.RACK_DARK:
                plant.darken(crossing.index)
            else:
                raise RuntimeError(f"{crossing.guard.name} {crossing.index}: a load bank got hot at {self.time:g} s")
        return tripped

    def rest(self, seconds: float) -> None:
        """Leave every breaker open for ``seconds`` [s], then close it again."""
        plant = self.plant
        for breaker in range(self.count):
            plant.set_breaker(breaker, False)
        end = self.time + seconds
        while self.time < end:
            crossing = plant.settle(self.time) or plant.flow(self.time, end)
            self.time = end if crossing is None else crossing.time
            if crossing is not None:
                plant.darken(crossing.index)
        for breaker in range(self.count):
            plant.set_breaker(breaker, True)
            plant.light(breaker)
        plant.set_on(np.arange(self.count), True)


def trip_time(breaker: Mapping[str, Any], ratio: float, seconds: float) -> float:
    """Time to trip [s] of a cold breaker under ``ratio`` × rating, infinite if it holds for ``seconds`` [s]."""
    return float(Stand(breaker).carry(ratio, seconds)[0])
