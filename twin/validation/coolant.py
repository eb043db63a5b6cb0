"""V7 to V9: racks and a heat exchanger at their makers' operating points, with the loop and its pumps around them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twin.hall.fluids import WATER_DENSITY, WATER_HEAT_CAPACITY, pg25_volumetric_heat
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.fluids import WATER_VOLUMETRIC_HEAT
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.units import cubic_metres_per_second, litres_per_minute
from twin.validation.case import Case, Check, Kind

ONE_RACK = ("racks_per_row=1", "loop.racks=1", "loop.oversubscription=1.0")
#: the exchanger's selection point
HX_WATTS, HX_HOT_IN, HX_HOT_OUT, HX_COLD_IN, HX_COLD_OUT = 1250e3, 51.0, 37.0, 35.0, 46.0
HX_FLOW = HX_WATTS / (HX_HOT_IN - HX_HOT_OUT) / pg25_volumetric_heat(0.5 * (HX_HOT_IN + HX_HOT_OUT))
HX_WATER = HX_WATTS / (HX_COLD_OUT - HX_COLD_IN) / (WATER_DENSITY * WATER_HEAT_CAPACITY)
HX_RACKS = 11
ROUNDS, CLOSE = 20, 1e-5  # of the search for an operating point, which ends earlier


@dataclass(frozen=True)
class Point:
    """A loop in its steady state. Heat is what its exchanger gave off in a minute, less the pumps' work."""

    flow: float  # m³/s
    heat: float  # W, of the racks into the coolant
    moved: float  # W, through the exchanger
    supply: float  # °C
    rack_return: float  # °C
    loop_return: float  # °C
    water: float  # °C, into the exchanger
    rack_pressure: float  # Pa over a rack without its valve


def _point(plant: Plant) -> Point:
    """Equilibrium, then a minute on the meters."""
    equilibrate(plant)
    plant.settle(plant.time)
    control = float(plant.c.loop["control_watts"][0])
    before = float(plant.m.hx.sum()), float(plant.m.pump.sum())
    plant.flow(plant.time, plant.time + 60.0)
    moved = (float(plant.m.hx.sum()) - before[0]) / 60.0
    pumps = (float(plant.m.pump.sum()) - before[1]) / 60.0 - control
    flow = plant.x.flow[plant.cur]
    valve = float(plant.c.rack["branch_valve"][0] / plant.u.rack["valve"][0] ** 2)
    return Point(
        flow=float(flow.sum()),
        heat=moved - pumps,
        moved=moved,
        supply=float(plant.x.loop[plant.cur, 0, 0]),
        rack_return=float(plant.x.tc[plant.cur, 0]),
        loop_return=float(plant.x.loop[plant.cur, 0, 1]),
        water=float(plant.x.tank[plant.cur, 0]),
        rack_pressure=float(plant.x.pressure[plant.cur, 0, 1] - valve * flow[0] ** 2),
    )


def operate(plant: Plant, flow: float, *, heat: float | None = None, moved: float | None = None) -> Point:
    """The steady state with ``flow`` [m³/s] in which racks give ``heat`` [W], or the exchanger moves ``moved`` [W].

    It is reached through the set point of the pumps' pressure and the load, and read from the meters.
    """
    trays = np.arange(len(plant.c.idle))
    pressure = float(plant.u.loop["pressure_set"][0])
    load, gain = 0.8, float(plant.c.span.sum())  # W of heat for a unit of load, nearly
    for _ in range(ROUNDS):
        plant.set_load(trays, load)
        plant.set_pressure(0, pressure)
        found = _point(plant)
        missing = heat - found.heat if heat is not None else (moved or 0.0) - found.moved
        if abs(found.flow / flow - 1.0) < CLOSE and abs(missing / found.heat) < CLOSE:
            return found
        pressure *= (flow / found.flow) ** 1.9
        load += missing / gain
    raise RuntimeError(f"no steady state at {litres_per_minute(flow):g} L/min: {found.flow=}, {found.heat=}")


def _rack(rack_class: str, litres: float, heat: float, supply: float) -> Point:
    """One rack at a flow [L/min], a heat into its coolant [W] and a supply temperature [°C]."""
    changes = (f"rack_class={rack_class}", f"loop.supply_temperature_celsius={supply}", "facility.setpoint_celsius=27")
    plant = Plant(compile_topology(load_hall("small", (*ONE_RACK, *changes))))
    return operate(plant, cubic_metres_per_second(litres), heat=heat)


def gb300_rack() -> Sequence[float]:
    """V7."""
    cool, warm = _rack("gb300_nvl72", 92.6, 116e3, 35.0), _rack("gb300_nvl72", 117.5, 116e3, 40.0)
    return cool.rack_return, warm.rack_return, cool.rack_pressure / 1e3, warm.rack_pressure / 1e3


def gb200_rack() -> Sequence[float]:
    """V8."""
    found = _rack("gb200_nvl72", 120.0, 115e3, 40.0)
    return (found.rack_return - found.supply,)


def plate_exchanger() -> Sequence[float]:
    """V9."""
    changes = (
        "rack_class=gb300_nvl72",
        f"racks_per_row={HX_RACKS}",
        f"loop.racks={HX_RACKS}",
        "loop.cdu=cdu_1350kw",
        "loop.oversubscription=null",
        f"loop.rated_heat_kilowatts={HX_WATTS / 1e3}",
        f"loop.rated_approach_kelvin={HX_HOT_OUT - HX_COLD_IN}",
        f"loop.rated_supply_celsius={0.5 * (HX_HOT_IN + HX_HOT_OUT)}",
        f"loop.rated_flow_litres_per_minute={litres_per_minute(HX_FLOW)}",
        f"loop.facility_flow_litres_per_minute={litres_per_minute(HX_WATER)}",
        "loop.supply_temperature_celsius=20",  # out of reach: the facility valve stands open
        f"facility.setpoint_celsius={HX_COLD_IN}",
        "facility.band_kelvin=0.02",  # facility water stays where it is set
    )
    plant = Plant(compile_topology(load_hall("small", changes)))
    found = operate(plant, HX_FLOW, moved=HX_WATTS)
    # the pumps stand behind the exchanger: what they add to the coolant is not the exchanger's doing
    warmed = (found.moved - found.heat) / (found.flow * pg25_volumetric_heat(0.5 * (found.supply + found.loop_return)))
    out = found.supply - warmed
    effectiveness = (found.loop_return - out) / (found.loop_return - found.water)
    water_out = found.water + found.moved / (HX_WATER * WATER_VOLUMETRIC_HEAT)
    return effectiveness, found.loop_return, out, found.water, water_out


def _near(kind: Kind, quantity: str, unit: str, value: float, margin: float) -> Check:
    return Check(kind, quantity, unit, low=value - margin, high=value + margin)


CASES = (
    Case(
        name="V7",
        source="GB300 NVL72: required flow and rack pressure drop (S), return temperature (C)",
        confidence="S/C",
        statement="GB300 rack, 116 kW to liquid: 92.6 L/min at 35 °C supply and 117.5 L/min at 40 °C",
        checks=(
            _near(Kind.IDENTITY, "return at 92.6 L/min", "°C", 53.7, 0.5),
            _near(Kind.IDENTITY, "return at 117.5 L/min", "°C", 54.7, 0.5),
            _near(Kind.CALIBRATION, "pressure drop at 92.6 L/min", "kPa", 46.9, 0.05 * 46.9),
            _near(Kind.CALIBRATION, "pressure drop at 117.5 L/min", "kPa", 73.5, 0.05 * 73.5),
        ),
        obtain=gb300_rack,
        fitted="the rack's pressure curve 0.0048 Q² + 0.0617 Q is the maker's own",
    ),
    Case(
        name="V8",
        source="GB200 NVL72, 115 kW to liquid (S); PG25 of CoolProp (C)",
        confidence="S/C",
        statement="GB200 rack, 115 kW to liquid, 120 L/min of PG25 at 40 °C",
        checks=(Check(Kind.IDENTITY, "rise of the coolant", "K", low=13.6, high=14.6),),
        obtain=gb200_rack,
    ),
    Case(
        name="V9",
        source="plate heat exchanger selection: 1250 kW, water 35→46 °C, PG25 51→37 °C (S), ε and UA (C)",
        confidence="S/C",
        statement="a CDU with that exchanger, its facility valve open, moves 1250 kW",
        checks=(
            _near(Kind.CALIBRATION, "effectiveness", "", 0.875, 0.005),
            _near(Kind.CALIBRATION, "PG25 in", "°C", HX_HOT_IN, 0.1),
            _near(Kind.CALIBRATION, "PG25 out", "°C", HX_HOT_OUT, 0.1),
            _near(Kind.CALIBRATION, "water in", "°C", HX_COLD_IN, 0.1),
            _near(Kind.CALIBRATION, "water out", "°C", HX_COLD_OUT, 0.1),
        ),
        obtain=plate_exchanger,
        fitted="UA (382 kW/K) was fitted at this very point; flows follow from its temperatures",
    ),
)
