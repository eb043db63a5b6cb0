"""V10 to V12: a pump lost with N+1 of them, all pumps lost against facility water lost, and a room without CRAHs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.hall.parts import Hall
from twin.hall.presets import load_parts
from twin.hall.reader import load_hall
from twin.results.kinds import EventKind
from twin.sim.simulate import Result
from twin.sim.world import World
from twin.validation.case import Case, Check, Kind
from twin.validation.told import at, both, every, tell, times

RISE = 10  # steps of load before a loss
LOST = 3_600.0  # s: by then the load has settled
#: at 40 °C supply makers ask for 117.5 L/min per rack (S), which this pressure gives through a rack and its open valve
HALL = ("loop.pressure_setpoint_kilopascals=108.5",)
LOOP = "loop 01"
MODES = ("standby", "sharing")
AFTER = 1_800.0  # s that are watched after a loss


def _risen(utilisation: float) -> list[Mapping[str, Any]]:
    """All trays to one utilisation in small steps, so that the load itself slows no device."""
    return [
        {"at": 300.0 * step, "do": "set_load", "utilisation": utilisation * (step + 1) / RISE} for step in range(RISE)
    ]


def _pumps(which: Any) -> Mapping[str, Any]:
    return {"at": LOST, "do": "pump_loss", "loop": LOOP, "pump": which}


# ---------------------------------------------------------------- V10


def _one_pump_lost(mode: str) -> tuple[float, float, float]:
    """Least flow from 5 s on, of before; greatest departure of the supply from 60 s on [K]; hardware slowdowns."""
    seen: list[tuple[float, float, float]] = []

    def read(world: World) -> None:
        x, cur = world.plant.x, world.plant.cur
        seen.append((float(world.env.now) - LOST, float(x.flow[cur].sum()), float(x.loop[cur, 0, 0])))

    hall = load_hall("small", [*HALL, f"loop.mode={mode}"])
    result = tell(hall, [*_risen(1.0), _pumps(1)], LOST + AFTER, watch=every(0.25, LOST - 1.0, read))
    time, flow, supply = np.array(seen).T
    set_point = hall.loops[0].supply_temperature
    return (
        100.0 * float(flow[time >= 5.0].min() / flow[0]),
        float(np.abs(supply[time >= 60.0] - set_point).max()),
        float(len(times(result, EventKind.HARDWARE_SLOWDOWN_ON))),
    )


def spare_pump() -> Sequence[float]:
    """V10."""
    return [value for mode in MODES for value in _one_pump_lost(mode)]


# ---------------------------------------------------------------- V11


@dataclass(frozen=True)
class Loss:
    """What followed a loss of cooling; times from the loss [s], infinite for never."""

    slowed: float  # first slowdown
    first_off: float  # first shutdown
    last_off: float  # all of the loop shut down
    time: np.ndarray[Any, np.dtype[np.float64]]
    device: np.ndarray[Any, np.dtype[np.float64]]  # °C, hottest
    supply: np.ndarray[Any, np.dtype[np.float64]]  # °C


def _loss(result: Result, trays: int, seen: Sequence[tuple[float, float, float]]) -> Loss:
    slowed = times(result, EventKind.SLOWDOWN_ON)
    off = times(result, EventKind.DEVICE_SHUTDOWN)
    time, device, supply = np.array(seen).T
    return Loss(
        slowed=slowed[0] - LOST if slowed else np.inf,
        first_off=off[0] - LOST if off else np.inf,
        last_off=off[trays - 1] - LOST if len(off) >= trays else np.inf,
        time=time,
        device=device,
        supply=supply,
    )


def loss_of_cooling(utilisation: float, *, facility_side: bool, after: float = AFTER, period: float = 1.0) -> Loss:
    """All pumps of the small hall's loop lost, or its facility water, at 40 °C supply and this utilisation."""
    hall = load_hall("small", HALL)
    seen: list[tuple[float, float, float]] = []

    def read(world: World) -> None:
        plant = world.plant
        supply = float(plant.x.loop[plant.cur, 0, 0])
        seen.append((float(world.env.now) - LOST, float(plant.device_temperature.max()), supply))

    watch = every(period, LOST - 1.0, read)
    timeline = _risen(utilisation)
    if facility_side:
        watch = both(watch, at(LOST, lambda world: world.plant.set_water(0, 0.0)))
    else:
        timeline.append(_pumps("all"))
    result = tell(hall, timeline, LOST + after, watch=watch)
    return _loss(result, _trays(hall), seen)


def _trays(hall: Hall) -> int:
    return sum(rack.rack_class.trays for rack in hall.racks)


def loss_of_flow() -> Sequence[float]:
    """V11."""
    full = loss_of_cooling(1.0, facility_side=False)
    less = loss_of_cooling(0.8, facility_side=False)
    water = loss_of_cooling(1.0, facility_side=True)
    return full.slowed, full.last_off, less.slowed - full.slowed, less.last_off - full.last_off, water.first_off


# ---------------------------------------------------------------- V12

RACK_WATTS = 5e3
TRAY_WATTS = 4_500.0  # 5 kW at the rack's inlets with the overhead and losses below
ROOM_CAPACITY = 17e3  # J/K per rack, fitted to the 189 s
#: figures of a tray that grow with its power, and those that fall with it
GROWING = (
    "tray_idle_watts",
    "leakage_watts_per_kelvin",
    "die_heat_capacity_joules_per_kelvin",
    "plate_heat_capacity_joules_per_kelvin",
)
FALLING = ("conduction_resistance_kelvin_per_watt", "convection_resistance_kelvin_per_watt")


def room_hall(room_capacity: float) -> Hall:
    """A row of racks of 5 kW, each one air-cooled server scaled down from the A100 preset, so as warm as that one."""
    preset = load_parts()["racks"]["a100_8gpu_air"]
    scale = TRAY_WATTS / preset["tray_max_watts"]
    own = {
        "preset": "a100_8gpu_air",
        "trays": 1,
        "tray_max_watts": TRAY_WATTS,
        "overhead_watts": 200,
        "shelf_fixed_loss_watts": 50,
        "minimum_clock": 1.0,  # servers of 2007 shut down, they did not slow down before
        "hardware_clock": 1.0,
        "air_heat_capacity_joules_per_kelvin": 15_000,
        "air_flow_cubic_feet_per_minute": 153.5 * RACK_WATTS / 1e3,
        **{key: preset[key] * scale for key in GROWING},
        **{key: preset[key] / scale for key in FALLING},
    }
    figures = ", ".join(f"{key}: {value}" for key, value in own.items())
    changes = (
        f"classes={{server: {{{figures}}}}}",
        "rack_class=server",
        "racks_per_row=8",
        "loop=null",
        f"air.heat_capacity_joules_per_kelvin_per_rack={room_capacity}",
    )
    return load_hall("small", changes)


def crahs_lost(room_capacity: float) -> Loss:
    """What follows when all CRAHs of that room stop."""
    seen: list[tuple[float, float, float]] = []

    def read(world: World) -> None:
        plant = world.plant
        seen.append((float(world.env.now), float(plant.device_temperature.max()), float(plant.rack_power.mean())))

    hall = room_hall(room_capacity)
    watch = both(every(1.0, LOST - 1.0, read), at(LOST, lambda world: world.plant.set_crah(0, 0.0)))
    return _loss(tell(hall, _risen(1.0), LOST + AFTER, watch=watch), 1, seen)


def room_without_air() -> Sequence[float]:
    """V12."""
    return (crahs_lost(ROOM_CAPACITY).first_off,)


CASES = (
    Case(
        name="V10",
        source="CDU qualification, NVIDIA DA-12515: failover within 5 s, supply ±1 K, N+1 pumps",
        confidence="S",
        statement="CDU at rated flow, racks at nameplate: one of 2+1 pumps lost",
        checks=tuple(
            Check(kind, f"{mode}: {quantity}", unit, low=low, high=high)
            for mode, of_flow in (("standby", Kind.CALIBRATION), ("sharing", Kind.CONFORMANCE))
            for kind, quantity, unit, low, high in (
                (of_flow, "least flow from 5 s on, of before", "%", 95.0, np.inf),
                (Kind.CONFORMANCE, "supply departs from 60 s on by", "K", -np.inf, 1.0),
                (Kind.CONFORMANCE, "hardware slowdowns in half an hour", "", 0.0, 0.0),
            )
        ),
        obtain=spare_pump,
        fitted="the presets' failover time: with the 3 s assumed at first 92.5 % of the flow was back after 5 s, so it "
        "was set to 2 s",
    ),
    Case(
        name="V11",
        source="Alkharabsheh et al., J. Electronic Packaging 140(2), 2018: shutdown in less than a minute (P abstract)",
        confidence="P",
        statement="all pumps of a loop lost at 40 °C supply and 117.5 L/min per rack, GPUs at 1.2 kW; or its facility "
        "water",
        checks=(
            Check(Kind.PLAUSIBILITY, "first slowdown after", "s", low=2.0, high=12.0),
            Check(Kind.PLAUSIBILITY, "all shut down after", "s", low=0.0, high=60.0, exclusive=True),
            Check(Kind.PLAUSIBILITY, "first slowdown comes later at 80 % load by", "s", low=0.0, exclusive=True),
            Check(Kind.PLAUSIBILITY, "shutdown comes later at 80 % load by", "s", low=0.0, exclusive=True),
            Check(Kind.PLAUSIBILITY, "facility water lost: first shutdown after", "s", low=120.0),
        ),
        obtain=loss_of_flow,
        fitted="the flow: at the presets' 94 L/min these racks are slowed before the loss, so the makers' 117.5 are",
    ),
    Case(
        name="V12",
        source="Opengate, 2007: shutdown 3 min 9 s after the loss of air cooling at 5 kW per rack (P press)",
        confidence="P",
        statement="air-cooled racks at 5 kW, all CRACs off",
        checks=(Check(Kind.CALIBRATION, "first thermal shutdown after", "s", low=189.0 * 0.6, high=189.0 * 1.4),),
        obtain=room_without_air,
        fitted=f"heat capacity of the room: {ROOM_CAPACITY / 1e3:g} kJ/K per rack, about 15 m³ of air; servers that do "
        "not slow down before they shut down are assumed",
    ),
)
