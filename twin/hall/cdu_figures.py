"""A CDU from its rating: the table of its keys, and the way to pump curve, exchanger and volumes."""

import math
from collections.abc import Mapping
from typing import Any, Final

from twin.hall.errors import Faults
from twin.hall.exchanger import conductance_at_rating
from twin.hall.fields import Field, choice, count, join, number, read_fields, share, text
from twin.hall.fluids import WATER_DENSITY, WATER_HEAT_CAPACITY, pg25_volumetric_heat
from twin.hall.parts import Cdu, PumpMode
from twin.units import cubic_metres_per_second

PER_LPM: Final = cubic_metres_per_second(1.0)

CDU_FIELDS: Final[tuple[Field, ...]] = (
    count("pumps", "installed pumps, the spare included"),
    count("pumps_needed", "pumps that carry the rated flow", low=1),
    choice("mode", "what the spare does", [each.value for each in PumpMode]),
    number("rated_flow_litres_per_minute", "secondary flow at rating", scale=PER_LPM, above=True),
    number("external_pressure_kilopascals", "pressure left for mains and racks at rated flow", scale=1e3, above=True),
    number("internal_pressure_kilopascals", "drop in exchanger and filter at rated flow", scale=1e3),
    number("main_pressure_kilopascals", "drop in the mains at rated flow", scale=1e3),
    number("shutoff_ratio", "head at zero flow over head at rated flow", low=1.0, above=True),
    share("pump_efficiency", "wire to water", above=True),
    number("control_watts", "controls and valves"),
    number("ramp_seconds", "lag of pump speed", above=True),
    number("coast_seconds", "coast-down of an unpowered pump", above=True),
    number("failover_seconds", "from the loss of a pump to the start of the spare"),
    share("minimum_speed", "lowest pump speed, of full"),
    number("pressure_setpoint_kilopascals", "across the racks' manifold", scale=1e3, above=True),
    number("pressure_gain_per_kilopascal", "pump speed per kPa", scale=1e-3),
    number("pressure_integral_seconds", "integral time of the pressure control", above=True),
    number("supply_volume_litres", "coolant in the supply main and the CDU's cold side", above=True),
    number("return_volume_litres", "coolant in the return main and the CDU's hot side", above=True),
    number("rated_heat_kilowatts", "heat moved at the rated approach", scale=1e3, above=True),
    number("rated_approach_kelvin", "secondary supply above facility supply at rating", above=True),
    number("rated_supply_celsius", "secondary supply at rating", low=0.0, high=80.0),
    number("facility_flow_litres_per_minute", "facility flow with the valve open", scale=PER_LPM, above=True),
    share("secondary_film_share", "share of the clean resistance on the secondary side", 0.5, above=True),
    number("fouling_kelvin_per_kilowatt", "fouling resistance", 0.0, 1e-3),
    number("temperature_gain_per_kelvin", "facility valve per kelvin"),
    number("temperature_integral_seconds", "integral time of the temperature control", above=True),
    number("valve_seconds", "lag of the facility valve", above=True),
    share("minimum_valve", "smallest opening of the facility valve"),
    text("source", "where the figures come from", ""),
)


def cdu(
    name: str, mapping: Mapping[str, Any], path: str, faults: Faults, heat_watts: float | None = None
) -> Cdu | None:
    """A CDU [SI] from its rating; with ``heat_watts`` its flows, volumes and heat are scaled to that rating.

    Pump curve through the rated point: ``A = shutoff_ratio·Δp``, ``B = (A − Δp)/(Q/N)²`` with Δp external + internal.
    """
    before = faults.noted
    v = read_fields(mapping, CDU_FIELDS, path, faults)
    if faults.noted > before:
        return None
    if v["pumps"] < 1:
        faults.add(
            join(path, "pumps"),
            v["pumps"],
            "a loop without a pump moves no coolant",
            "Give it pumps_needed pumps and a spare",
        )
    elif v["pumps_needed"] > v["pumps"]:
        faults.add(
            join(path, "pumps_needed"),
            v["pumps_needed"],
            f"more than the {v['pumps']} pumps installed",
            "Install more or need fewer",
        )
    scale = 1.0 if heat_watts is None else heat_watts / v["rated_heat_kilowatts"]
    heat, flow = v["rated_heat_kilowatts"] * scale, v["rated_flow_litres_per_minute"] * scale
    facility = v["facility_flow_litres_per_minute"] * scale
    volumetric = pg25_volumetric_heat(v["rated_supply_celsius"])
    conductance = conductance_at_rating(
        heat, v["rated_approach_kelvin"], flow * volumetric, facility * WATER_DENSITY * WATER_HEAT_CAPACITY
    )
    film = (math.inf if conductance is None else 1.0 / conductance) - v["fouling_kelvin_per_kilowatt"] / scale
    if conductance is None:
        faults.add(
            join(path, "rated_approach_kelvin"),
            v["rated_approach_kelvin"],
            "no heat exchanger moves rated_heat_kilowatts at these flows and this approach",
            "Raise the flows or the approach",
        )
    elif film <= 0.0:
        faults.add(
            join(path, "fouling_kelvin_per_kilowatt"),
            v["fouling_kelvin_per_kilowatt"] * 1e3,
            "more than the whole resistance at the rated approach",
            "Lower it",
        )
    if faults.noted > before:
        return None
    side = v["secondary_film_share"]
    if side >= 1.0:
        faults.add(join(path, "secondary_film_share"), side, "nothing left for the facility side", "Write 0.5")
        return None
    head = v["external_pressure_kilopascals"] + v["internal_pressure_kilopascals"]
    shutoff = v["shutoff_ratio"] * head
    return Cdu(
        name=name,
        pumps=v["pumps"],
        pumps_needed=v["pumps_needed"],
        mode=PumpMode(v["mode"]),
        pump_head=shutoff,
        pump_resistance=(shutoff - head) / (flow / v["pumps_needed"]) ** 2,
        main_resistance=(v["internal_pressure_kilopascals"] + v["main_pressure_kilopascals"]) / flow**2,
        pump_efficiency=v["pump_efficiency"],
        control_watts=v["control_watts"] * scale,
        ramp_seconds=v["ramp_seconds"],
        coast_seconds=v["coast_seconds"],
        failover_seconds=v["failover_seconds"],
        minimum_speed=v["minimum_speed"],
        pressure_setpoint=v["pressure_setpoint_kilopascals"],
        pressure_gain=v["pressure_gain_per_kilopascal"],
        pressure_integral_seconds=v["pressure_integral_seconds"],
        supply_heat_capacity=v["supply_volume_litres"] * 1e-3 * volumetric * scale,
        return_heat_capacity=v["return_volume_litres"] * 1e-3 * volumetric * scale,
        hx_secondary_conductance=1.0 / (film * side),
        hx_facility_conductance=1.0 / (film * (1.0 - side)),
        hx_fouling_resistance=v["fouling_kelvin_per_kilowatt"] / scale,
        hx_secondary_flow=flow,
        facility_flow=facility,
        temperature_gain=v["temperature_gain_per_kelvin"],
        temperature_integral_seconds=v["temperature_integral_seconds"],
        valve_seconds=v["valve_seconds"],
        minimum_valve=v["minimum_valve"],
        rated_heat_watts=heat,
        source=v["source"],
    )
