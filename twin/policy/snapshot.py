"""The state of a facility as a policy sees it: a struct of arrays over racks, rows, phases, loops and breakers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.facility import Facility

Floats = NDArray[np.float64]


class Quality(IntEnum):
    """What a monitoring system can know of a value. A sensor that is stuck or biased still reads GOOD."""

    GOOD = 0
    STALE = 1  # older than its sensor's readings should be: the last one that came
    OUT_OF_RANGE = 2  # at the end of what its sensor can show
    MISSING = 3  # nothing came for long, or there is no such sensor: NaN, and for a switch its last state


@dataclass(frozen=True)
class History:
    """Readings of one field, oldest first: K samples of N things. What did not arrive is NaN and MISSING.

    Rows are written once: a service that moves its records up in place hands out copies.
    """

    time_seconds: Floats  # K
    values: Floats  # K×N, in the field's unit
    quality: NDArray[np.int8]  # K×N, codes of Quality


@dataclass(frozen=True)
class Block:
    """Histories of several fields that are sampled together, side by side in one; ``parts`` are its fields' columns."""

    past: History
    parts: Mapping[str, slice]


class Histories(Mapping[str, History]):
    """Histories by the name of their field, each taken out of its block when somebody asks."""

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        self.blocks = blocks

    def __getitem__(self, name: str) -> History:
        for block in self.blocks:
            part = block.parts.get(name)
            if part is not None:
                past = block.past
                return History(past.time_seconds, past.values[:, part], past.quality[:, part])
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks:
            yield from block.parts

    def __len__(self) -> int:
        return sum(len(block.parts) for block in self.blocks)


class Columns(dict[str, NDArray[Any]]):
    """Arrays by the name of their field, each a part of one of a few arrays: ``blocks`` has these, and the columns of
    their fields."""

    def __init__(self, blocks: tuple[tuple[NDArray[Any], Mapping[str, slice]], ...]) -> None:
        super().__init__()
        self.blocks = blocks
        for array, parts in blocks:
            for name, part in parts.items():
                self[name] = array[part]


def _unknown() -> Floats:
    return np.zeros(0)


def _no_times() -> Floats:
    return np.zeros((0, 0))


def _nobody() -> NDArray[np.bool_]:
    return np.zeros(0, dtype=np.bool_)


def _nothing() -> NDArray[np.int64]:
    return np.zeros((0, 0), dtype=np.int64)


@dataclass(frozen=True)
class FacilitySnapshot:
    """What is known at ``time_seconds``. R racks, W rows, P phases, L loops, B breakers; NaN means *not known*.

    Allocation and health are software's own knowledge. The fields from ``rack_power_watts`` on are readings of sensors
    (nameplates and ratings apart); ``ages``, ``qualities`` and ``histories`` have an entry for each of them by name.
    Readings that are left out are not known, and a field without an entry in ``ages`` is as old as the snapshot.

    Powers and currents are rounded to whole watts and milliamperes when a snapshot is taken, so that a comparison
    with a limit has one answer on every machine.
    """

    time_seconds: float
    rack_names: tuple[str, ...]
    row_names: tuple[str, ...]
    loop_names: tuple[str, ...]
    breaker_names: tuple[str, ...]
    rack_row: NDArray[np.int64]  # R
    rack_loop: NDArray[np.int64]  # R, −1 for none
    rack_trays: NDArray[np.int64]  # R, installed
    rack_free_trays: NDArray[np.int64]  # R, powered and not allocated
    rack_healthy: NDArray[np.bool_]  # R, powered and in service
    rack_production: NDArray[np.bool_]  # R, False for staging cells
    rack_power_watts: Floats  # R
    rack_max_power_watts: Floats  # R, nameplate
    rack_supply_temperature_celsius: Floats  # R, coolant (or inlet air of air-cooled racks)
    rack_return_temperature_celsius: Floats  # R
    rack_device_temperature_celsius: Floats  # R, hottest device
    rack_flow_litres_per_minute: Floats  # R, NaN for air-cooled racks
    row_power_watts: Floats  # W
    loop_supply_temperature_celsius: Floats  # L
    breaker_current_amperes: Floats  # B, hottest pole
    breaker_rating_amperes: Floats  # B
    breaker_closed: NDArray[np.bool_]  # B
    rack_inlet_air_temperature_celsius: Floats = field(default_factory=_unknown)  # R
    rack_valve_ratio: Floats = field(default_factory=_unknown)  # R, 0 shut, 1 open, NaN for air-cooled racks
    loop_return_temperature_celsius: Floats = field(default_factory=_unknown)  # L
    loop_flow_litres_per_minute: Floats = field(default_factory=_unknown)  # L
    loop_pump_speed_ratio: Floats = field(default_factory=_unknown)  # L, of the fastest pump
    loop_valve_ratio: Floats = field(default_factory=_unknown)  # L, opening on the facility water side
    phase_names: tuple[str, ...] = ()  # such as "row A/feed A/L1"
    phase_current_amperes: Floats = field(default_factory=_unknown)  # P
    rack_declared_power_watts: Floats = field(default_factory=_unknown)  # R, once running jobs draw what they declared
    # what running jobs declared to draw at most within some times from now on, the shortest first; without any the
    # field above holds for all times
    declared_ahead_seconds: Floats = field(default_factory=_unknown)  # H
    rack_declared_ahead_watts: Floats = field(default_factory=_no_times)  # H×R
    rack_kind_trays: NDArray[np.int64] = field(default_factory=_nothing)  # R×M, held, by class of work (profile.KINDS)
    rack_admitting: NDArray[np.bool_] = field(default_factory=_nobody)  # R, False where a flag pauses admissions
    queue_depth: int = 0  # jobs that wait
    facility: Facility | None = None  # what feeds and cools the racks; the same object at every look
    serial: int = 0  # of the look: two snapshots of one serial differ in what has been given away since only
    ages: Mapping[str, Floats] = field(default_factory=dict)  # field → s since its values were measured, inf for never
    qualities: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)  # field → codes of Quality
    histories: Mapping[str, History] = field(default_factory=dict)  # field → 15 minutes of readings or more

    def with_free_trays(self, free: NDArray[np.int64]) -> "FacilitySnapshot":
        """The same snapshot with other free trays, shape (R,)."""
        return self.with_fields(rack_free_trays=free)

    def with_fields(self, **fields: Any) -> "FacilitySnapshot":
        """The same facility with other values in these fields, which are taken as they are: for looks one after another
        at one hall, of which most stays."""
        other = object.__new__(FacilitySnapshot)
        other.__dict__.update(self.__dict__, **fields)
        return other

    def __post_init__(self) -> None:
        for count, names in ((len(self.rack_names), _RACK), (len(self.loop_names), _LOOP)):
            for name in names:
                if len(getattr(self, name)) != count:
                    object.__setattr__(self, name, np.full(count, np.nan))
        if len(self.rack_kind_trays) != len(self.rack_names):
            object.__setattr__(self, "rack_kind_trays", np.zeros((len(self.rack_names), 0), dtype=np.int64))
        if len(self.rack_admitting) != len(self.rack_names):
            object.__setattr__(self, "rack_admitting", np.ones(len(self.rack_names), dtype=np.bool_))


_RACK = ("rack_inlet_air_temperature_celsius", "rack_valve_ratio", "rack_declared_power_watts")
_LOOP = (
    "loop_return_temperature_celsius",
    "loop_flow_litres_per_minute",
    "loop_pump_speed_ratio",
    "loop_valve_ratio",
)
