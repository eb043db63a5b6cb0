"""Tolerance bands: how devices of one make differ, drawn per device from named streams.

The stream of a draw is named for its quantity and its device, so that a rack that is added leaves the draws of the
others as they were, and two policies meet the same devices. Without bands every device is nominal.

Equal GPUs differ in the power that they draw for the same work. Sinha et al. (*Not all GPUs are created equal*, SC'22)
find 8 % on average and 22 % at most, and trace slowness to power and heat: so the spread is one of dynamic power, and a
tray is slow when that heats it, or its cap binds. A spread of speed beside it would count the same thing twice.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twin.hall.errors import Faults
from twin.hall.fields import Field, read_fields, share
from twin.hall.topology import BREAKER_KINDS, Topology
from twin.sim.noise import keys as streams
from twin.sim.noise import normal, uniform

Floats = NDArray[np.float64]
Row = tuple[str, str, str, float]  # device, quantity, unit, value

FARTHEST = 3.0  # standard deviations: what lies beyond does not leave the factory
REDRAWS = 12  # of a normal deviate that lies beyond; the chance of needing more is 1e-31


@dataclass(frozen=True)
class Tolerances:
    """Bands as fractions of nominal: a range is uniform between its ends, a deviation that of a normal up to 3 σ."""

    electronic_delay: tuple[float, float] = (1.0, 1.0)  # of electronic trip units' long time
    thermal_delay: tuple[float, float] = (1.0, 1.0)  # of thermal-magnetic and table breakers
    thermal_rating: tuple[float, float] = (1.0, 1.0)  # current at which these count as at their rating
    resistance: float = 0.0  # die to plate, per tray
    valve: float = 0.0  # of a rack valve's flow resistance
    gpu_power_mean: float = 0.0  # dynamic power above the best tray's, on average
    gpu_power_most: float = 0.0  # and at most


NOMINAL = Tolerances()

FIELDS = (
    Field("breaker_electronic_delay_factors", "numbers", "lowest and highest of nominal", (1.0, 1.0)),
    Field("breaker_thermal_delay_factors", "numbers", "lowest and highest of nominal", (1.0, 1.0)),
    Field("breaker_thermal_rating_factors", "numbers", "lowest and highest of nominal", (1.0, 1.0)),
    Field("die_to_plate_resistance_fraction", "number", "standard deviation of nominal", 0.0, low=0.0, high=0.3),
    Field("valve_resistance_fraction", "number", "standard deviation of nominal", 0.0, low=0.0, high=0.3),
    share("gpu_power_mean_fraction", "dynamic power above the best tray's, on average", 0.0),
    share("gpu_power_most_fraction", "dynamic power above the best tray's, at most", 0.0),
)


def read_tolerances(mapping: Mapping[str, Any], path: str, faults: Faults) -> Tolerances:
    """The bands of a mapping, nominal where it says nothing. Every fault is noted in ``faults``."""
    values = read_fields(mapping, FIELDS, path, faults)

    def band(key: str) -> tuple[float, float]:
        ends = values.get(key, (1.0, 1.0))
        if len(ends) == 2 and 0.5 <= ends[0] <= ends[1] <= 2.0:
            return (ends[0], ends[1])
        remedy = "Write [lowest, highest], such as [0.8, 1.0]"
        faults.add(f"{path}.{key}", list(ends), "not two factors from 0.5 to 2, the lower one first", remedy)
        return (1.0, 1.0)

    mean, most = values.get("gpu_power_mean_fraction", 0.0), values.get("gpu_power_most_fraction", 0.0)
    if (mean > 0.0 or most > 0.0) and not 0.0 < mean < most:
        key = f"{path}.gpu_power_mean_fraction"
        faults.add(key, mean, f"not above 0 and below the most, {most:g}", "Give such as 0.08 of at most 0.22")
    return Tolerances(
        electronic_delay=band("breaker_electronic_delay_factors"),
        thermal_delay=band("breaker_thermal_delay_factors"),
        thermal_rating=band("breaker_thermal_rating_factors"),
        resistance=values.get("die_to_plate_resistance_fraction", 0.0),
        valve=values.get("valve_resistance_fraction", 0.0),
        gpu_power_mean=mean,
        gpu_power_most=most,
    )


@dataclass(frozen=True)
class Draw:
    """Factors of nominal by quantity: what :func:`twin.plant.arrays.constants` takes, and a row per device drawn."""

    factors: Mapping[str, Any]
    rows: tuple[Row, ...]


def draw(topology: Topology, bands: Tolerances, seed: int) -> Draw:
    """The devices of a hall under ``seed``."""
    rows: list[Row] = []

    def note(quantity: str, names: Sequence[str], drawn: NDArray[np.bool_], values: Floats) -> Floats:
        factors = np.where(drawn, values, 1.0)
        rows.extend(
            (name, f"{quantity}_factor", "1", float(value))
            for name, value, is_drawn in zip(names, factors, drawn, strict=True)
            if is_drawn
        )
        return factors

    breakers, racks = topology.breaker_names, topology.rack_names
    electronic = topology.breaker_kind == BREAKER_KINDS.index("lsi")
    chosen = np.ones(len(breakers), dtype=bool)
    found: dict[str, Floats] = {}
    delays = (bands.electronic_delay, bands.thermal_delay)
    if delays != ((1.0, 1.0), (1.0, 1.0)):
        low, high = (np.where(electronic, bands.electronic_delay[k], bands.thermal_delay[k]) for k in (0, 1))
        varies = (low != 1.0) | (high != 1.0)
        found["tau_factor"] = note(
            "breaker_delay", breakers, varies, low + (high - low) * _uniform(seed, "breaker_delay", breakers)
        )
    if bands.thermal_rating != (1.0, 1.0):
        low_end, high_end = bands.thermal_rating
        share_of = _uniform(seed, "breaker_rating", breakers)
        found["rating_factor"] = note(
            "breaker_rating", breakers, chosen & ~electronic, low_end + (high_end - low_end) * share_of
        )
    trays = tray_names(topology)
    every = np.ones(len(trays), dtype=bool)
    if bands.resistance > 0.0:
        found["resistance_factor"] = note(
            "die_to_plate_resistance", trays, every, 1.0 + bands.resistance * _normal(seed, "die_to_plate", trays)
        )
    if bands.gpu_power_most > 0.0:
        found["span_factor"] = note("gpu_power", trays, every, _gpu_power(bands, _uniform(seed, "gpu_power", trays)))
    if bands.valve > 0.0:
        liquid = topology.rack_loop >= 0
        found["valve_factor"] = note(
            "valve_resistance", racks, liquid, 1.0 + bands.valve * _normal(seed, "valve", racks)
        )
    return Draw(found, tuple(rows))


def _gpu_power(bands: Tolerances, share_of: Floats) -> Floats:
    """Dynamic power of nominal: ``(1 + s)/(1 + mean)`` with s/most ~ Beta(1, most/mean − 1), by its inverse.

    s is the excess over the best chip: its mean is ``mean``, it never exceeds ``most``, and small ones are the
    commonest. The mean of the factors is 1, so that a hall's power stays what its nameplates say.
    """
    tail = bands.gpu_power_most / bands.gpu_power_mean - 1.0
    excess = bands.gpu_power_most * (1.0 - (1.0 - share_of) ** (1.0 / tail))
    return np.asarray((1.0 + excess) / (1.0 + bands.gpu_power_mean))


def _uniform(seed: int, quantity: str, names: Sequence[str]) -> Floats:
    return uniform(streams(seed, [("tolerances", quantity, name) for name in names], 1)[0], 0)


def _normal(seed: int, quantity: str, names: Sequence[str]) -> Floats:
    """Standard normal within ±3: what lies beyond is drawn again."""
    first, second = streams(seed, [("tolerances", quantity, name) for name in names], 2)
    value = normal(first, second, 0)
    for number in range(1, REDRAWS):
        value = np.where(np.abs(value) > FARTHEST, normal(first, second, number), value)
    return np.clip(value, -FARTHEST, FARTHEST)


def tray_names(topology: Topology) -> tuple[str, ...]:
    """Names of the trays: their rack's, and a number from 1."""
    first = topology.rack_tray0[topology.tray_rack]
    return tuple(
        f"{topology.rack_names[rack]}/tray {tray - start + 1:02d}"
        for tray, (rack, start) in enumerate(zip(topology.tray_rack.tolist(), first.tolist(), strict=True))
    )


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """What was drawn, as the table of a run."""
    columns = ("device", "quantity", "unit", "value")
    table = pd.DataFrame(list(rows), columns=list(columns))
    return table.astype({"device": object, "quantity": object, "unit": object, "value": np.float64})


def digest_of(table: pd.DataFrame) -> str:
    """SHA-256 of a draw, for a manifest: of its rows as text, numbers written so that they can be read back exactly."""
    rows = table.itertuples(index=False)
    text = "".join(f"{row.device}\t{row.quantity}\t{row.unit}\t{row.value!r}\n" for row in rows)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
