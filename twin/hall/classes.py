"""Racks, breakers and CDUs from the figures that a data sheet gives: tables of fields, and the way to SI parts.

Every section may name a ``preset`` of ``conf/parts`` and then change single figures of it.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from twin.hall.errors import Faults
from twin.hall.exchanger import conductance_at_rating
from twin.hall.fields import Field, choice, count, join, number, read_fields, share, text
from twin.hall.fluids import WATER_DENSITY, WATER_HEAT_CAPACITY, pg25_volumetric_heat
from twin.hall.parts import Breaker, BreakerKind, Cdu, Cooling, PumpMode, RackClass
from twin.units import cubic_metres_per_second, cubic_metres_per_second_from_cfm

PER_LPM: Final = cubic_metres_per_second(1.0)
PER_CFM: Final = cubic_metres_per_second_from_cfm(1.0)

RACK_FIELDS: Final[tuple[Field, ...]] = (
    choice("cooling", "liquid or air", [each.value for each in Cooling]),
    count("trays", "server nodes in the rack", low=1),
    count("gpus_per_tray", "GPUs of one tray", low=1),
    number("tray_idle_watts", "power of an idle tray"),
    number("tray_max_watts", "power of a tray at full load", above=True),
    share("die_share", "share of tray heat that enters the GPUs' dies"),
    share("plate_share", "share of tray heat that enters the plate or heat sink directly"),
    number("leakage_watts_per_kelvin", "leakage above the reference temperature, per tray"),
    number("leakage_reference_celsius", "temperature at which the nameplate holds", low=-50.0, high=150.0),
    number("die_heat_capacity_joules_per_kelvin", "of all dies of a tray", above=True),
    number("plate_heat_capacity_joules_per_kelvin", "of all plates of a tray", above=True),
    number("conduction_resistance_kelvin_per_watt", "die to plate, per tray", above=True),
    number("convection_resistance_kelvin_per_watt", "plate to fluid at nominal flow, per tray", above=True),
    number("slowdown_celsius", "software slowdown", low=0.0, high=150.0),
    number("hardware_slowdown_celsius", "hardware slowdown", low=0.0, high=150.0),
    number("shutdown_celsius", "thermal shutdown", low=0.0, high=150.0),
    number("release_kelvin", "hysteresis of every limit", above=True),
    number("dwell_seconds", "shortest stay in a slowdown"),
    number("slowdown_per_kelvin", "clock lost per kelvin in software slowdown"),
    share("minimum_clock", "lowest clock of software slowdown", above=True),
    share("hardware_clock", "clock in hardware slowdown", above=True),
    number("overhead_watts", "switch trays and fans on the DC bus"),
    number("shelf_fixed_loss_watts", "constant loss of the power shelves"),
    share("shelf_efficiency", "efficiency of the power shelves", above=True),
    share("overhead_liquid_share", "share of overhead and shelf losses that goes to the coolant"),
    share("power_factor", "power factor", above=True),
    Field("phase_weights", "numbers", "shares of power on A–B, B–C and C–A", (1 / 3, 1 / 3, 1 / 3)),
    number("ride_through_joules", "energy that keeps the rack alive with both feeds gone"),
    number("smoothing_joules", "capacitor energy that smooths power swings", 0.0),
    number("coolant_heat_capacity_joules_per_kelvin", "coolant and wetted metal of the rack", 0.0),
    number("nominal_flow_litres_per_minute", "flow at which the film resistance holds", 0.0, PER_LPM),
    number("pressure_drop_quadratic", "kPa per (L/min)²", 0.0, 1e3 / PER_LPM**2),
    number("pressure_drop_linear", "kPa per L/min", 0.0, 1e3 / PER_LPM),
    number("valve_pressure_drop_kilopascals", "rack valve fully open, at nominal flow", 0.0, 1e3),
    number("air_heat_capacity_joules_per_kelvin", "air in the rack and the metal that follows it", above=True),
    number("air_flow_cubic_feet_per_minute", "air through the rack", scale=PER_CFM, above=True),
    share("minimum_flow_fraction", "natural convection floor of the film, of nominal flow", 0.02, above=True),
    text("source", "where the figures come from", ""),
)

BREAKER_FIELDS: Final[tuple[Field, ...]] = (
    choice("kind", "kind of device", [each.value for each in BreakerKind]),
    number("rating_amperes", "rating, or long-time pickup Ir", above=True, optional=True),
    number("long_delay_seconds", "LSI only: long-time delay tr set at 6 Ir", None, above=True, optional=True),
    number("time_constant_seconds", "of the thermal element, or of a table's recovery", None, above=True, optional=True),
    number("trip_multiple", "steady current that just trips, over the rating", 1.2, low=1.0),
    number("short_pickup", "short-time pickup over the rating; null for none", None, above=True, optional=True),
    number("short_delay_seconds", "short-time delay", 0.2),
    number("instantaneous_pickup", "instantaneous pickup over the rating; null for none", None, above=True, optional=True),
    share("continuous_fraction", "1.0 for a 100 %-rated breaker, else 0.8", 0.8, above=True),
    Field("table", "points", "trip table, [current over rating, seconds]", ()),
    text("source", "where the figures come from", ""),
)

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

PRESET: Final = text("preset", "name of a preset in conf/parts", None, optional=True)


def merged(
    mapping: Mapping[str, Any], presets: Mapping[str, Any], path: str, faults: Faults, kind: str
) -> dict[str, Any] | None:
    """The preset that ``mapping`` names with the mapping's own keys laid over it; None when there is no such preset."""
    own = {key: value for key, value in mapping.items() if key != "preset"}
    name = mapping.get("preset")
    if name is None:
        return own
    if name not in presets:
        faults.unknown(join(path, "preset"), name, kind, presets)
        return None
    return {**presets[name], **own}


def rack_class(name: str, mapping: Mapping[str, Any], path: str, faults: Faults) -> RackClass | None:
    """A rack class [SI] from door figures; None, with the faults noted, when they make no sense."""
    before = len(faults)
    v = read_fields(mapping, RACK_FIELDS, path, faults)
    if len(faults) > before:
        return None
    liquid = v["cooling"] == Cooling.LIQUID
    if liquid:
        for key in ("coolant_heat_capacity_joules_per_kelvin", "nominal_flow_litres_per_minute",
                    "pressure_drop_quadratic", "valve_pressure_drop_kilopascals"):
            if v[key] <= 0.0:
                faults.add(join(path, key), mapping.get(key, 0), "a liquid rack needs it above zero",
                           "Write the maker's figure")
    if v["tray_idle_watts"] > v["tray_max_watts"]:
        faults.add(join(path, "tray_idle_watts"), v["tray_idle_watts"],
                   f"more than tray_max_watts = {v['tray_max_watts']:g}", "Exchange them or correct one")
    if v["die_share"] + v["plate_share"] > 1.0 + 1e-12:
        faults.add(join(path, "plate_share"), v["plate_share"],
                   f"die_share + plate_share = {v['die_share'] + v['plate_share']:g} is more than 1",
                   "Lower one; what is left is air heat")
    if not v["slowdown_celsius"] < v["hardware_slowdown_celsius"] < v["shutdown_celsius"]:
        faults.add(join(path, "hardware_slowdown_celsius"), v["hardware_slowdown_celsius"],
                   f"limits must rise: slowdown {v['slowdown_celsius']:g} < hardware slowdown < "
                   f"shutdown {v['shutdown_celsius']:g}", "Put them in order")
    weights = v["phase_weights"]
    if len(weights) != 3 or min(weights, default=0.0) < 0.0 or abs(sum(weights) - 1.0) > 1e-6:
        faults.add(join(path, "phase_weights"), list(weights), "three shares, none negative, with sum 1 are expected",
                   "Write the shares of power on A–B, B–C and C–A")
    if len(faults) > before:
        return None
    nominal = v["nominal_flow_litres_per_minute"]
    return RackClass(
        name=name,
        cooling=Cooling(v["cooling"]),
        trays=v["trays"],
        gpus_per_tray=v["gpus_per_tray"],
        tray_idle_watts=v["tray_idle_watts"],
        tray_max_watts=v["tray_max_watts"],
        die_share=v["die_share"],
        plate_share=v["plate_share"],
        leakage_watts_per_kelvin=v["leakage_watts_per_kelvin"],
        leakage_reference_celsius=v["leakage_reference_celsius"],
        die_heat_capacity=v["die_heat_capacity_joules_per_kelvin"],
        plate_heat_capacity=v["plate_heat_capacity_joules_per_kelvin"],
        conduction_resistance=v["conduction_resistance_kelvin_per_watt"],
        convection_resistance=v["convection_resistance_kelvin_per_watt"],
        slowdown_celsius=v["slowdown_celsius"],
        hardware_slowdown_celsius=v["hardware_slowdown_celsius"],
        shutdown_celsius=v["shutdown_celsius"],
        release_kelvin=v["release_kelvin"],
        dwell_seconds=v["dwell_seconds"],
        slowdown_per_kelvin=v["slowdown_per_kelvin"],
        minimum_clock=v["minimum_clock"],
        hardware_clock=v["hardware_clock"],
        overhead_watts=v["overhead_watts"],
        shelf_fixed_loss_watts=v["shelf_fixed_loss_watts"],
        shelf_efficiency=v["shelf_efficiency"],
        overhead_liquid_share=v["overhead_liquid_share"],
        power_factor=v["power_factor"],
        phase_weights=(weights[0], weights[1], weights[2]),
        ride_through_joules=v["ride_through_joules"],
        smoothing_joules=v["smoothing_joules"],
        coolant_heat_capacity=v["coolant_heat_capacity_joules_per_kelvin"],
        nominal_flow=nominal,
        quadratic_resistance=v["pressure_drop_quadratic"],
        linear_resistance=v["pressure_drop_linear"],
        valve_resistance=v["valve_pressure_drop_kilopascals"] / nominal**2 if nominal > 0.0 else 0.0,
        air_heat_capacity=v["air_heat_capacity_joules_per_kelvin"],
        air_flow=v["air_flow_cubic_feet_per_minute"],
        minimum_flow_fraction=v["minimum_flow_fraction"],
        source=v["source"],
    )


def lsi_time_constant(long_delay_seconds: float) -> float:
    """τ [s] of an electronic trip unit from its delay tr [s] at 6 Ir: ``tr / ln(36/(36 − 1.44))`` = 24.5 tr."""
    return long_delay_seconds / math.log(36.0 / (36.0 - 1.44))


def breaker(
    mapping: Mapping[str, Any], presets: Mapping[str, Any], path: str, faults: Faults, rating: float | None = None
) -> Breaker | None:
    """A breaker from a preset and changes to it; ``rating`` [A] stands in where the section gives none (null)."""
    before = len(faults)
    whole = merged(mapping, presets, path, faults, "breaker preset")
    if whole is None:
        return None
    if rating is not None and mapping.get("rating_amperes") is None:
        whole["rating_amperes"] = rating
    v = read_fields(whole, BREAKER_FIELDS, path, faults)
    if len(faults) > before:
        return None
    if v["rating_amperes"] is None:
        faults.add(join(path, "rating_amperes"), None, "missing key", "Add it: rating, or long-time pickup Ir")
    kind, tau = BreakerKind(v["kind"]), v["time_constant_seconds"]
    if kind is BreakerKind.LSI and v["long_delay_seconds"] is not None:
        tau = lsi_time_constant(v["long_delay_seconds"])
    if tau is None:
        key = "long_delay_seconds" if kind is BreakerKind.LSI else "time_constant_seconds"
        faults.add(join(path, key), None, "missing key", "Add it: the device's delay in seconds")
    table = v["table"]
    rising = all(a[0] < b[0] and a[1] > b[1] for a, b in zip(table, table[1:], strict=False))
    if kind is BreakerKind.TABLE and (len(table) < 2 or not rising or table[0][0] <= 1.0 or table[-1][1] <= 0.0):
        faults.add(join(path, "table"), [list(point) for point in table],
                   "a trip table needs two points or more, currents rising from above 1, seconds falling",
                   "Write [[1.1, 1020], [1.4, 64], …]")
    if len(faults) > before:
        return None
    return Breaker(
        kind=kind,
        rating_amperes=v["rating_amperes"],
        time_constant_seconds=tau,
        trip_level=v["trip_multiple"] ** 2,
        short_pickup=math.inf if v["short_pickup"] is None else v["short_pickup"],
        short_delay_seconds=v["short_delay_seconds"],
        instantaneous_pickup=math.inf if v["instantaneous_pickup"] is None else v["instantaneous_pickup"],
        continuous_fraction=v["continuous_fraction"],
        table=table,
        source=v["source"],
    )


def cdu(
    name: str, mapping: Mapping[str, Any], path: str, faults: Faults, heat_watts: float | None = None
) -> Cdu | None:
    """A CDU [SI] from its rating; with ``heat_watts`` its flows, volumes and heat are scaled to that rating.

    Pump curve through the rated point: ``A = shutoff_ratio·Δp``, ``B = (A − Δp)/(Q/N)²`` with Δp external + internal.
    """
    before = len(faults)
    v = read_fields(mapping, CDU_FIELDS, path, faults)
    if len(faults) > before:
        return None
    if v["pumps"] < 1:
        faults.add(join(path, "pumps"), v["pumps"], "a loop without a pump moves no coolant",
                   "Give it pumps_needed pumps and a spare")
    elif v["pumps_needed"] > v["pumps"]:
        faults.add(join(path, "pumps_needed"), v["pumps_needed"], f"more than the {v['pumps']} pumps installed",
                   "Install more or need fewer")
    scale = 1.0 if heat_watts is None else heat_watts / v["rated_heat_kilowatts"]
    heat, flow = v["rated_heat_kilowatts"] * scale, v["rated_flow_litres_per_minute"] * scale
    facility = v["facility_flow_litres_per_minute"] * scale
    volumetric = pg25_volumetric_heat(v["rated_supply_celsius"])
    conductance = conductance_at_rating(
        heat, v["rated_approach_kelvin"], flow * volumetric, facility * WATER_DENSITY * WATER_HEAT_CAPACITY
    )
    film = (math.inf if conductance is None else 1.0 / conductance) - v["fouling_kelvin_per_kilowatt"] / scale
    if conductance is None:
        faults.add(join(path, "rated_approach_kelvin"), v["rated_approach_kelvin"],
                   "no heat exchanger moves rated_heat_kilowatts at these flows and this approach",
                   "Raise the flows or the approach")
    elif film <= 0.0:
        faults.add(join(path, "fouling_kelvin_per_kilowatt"), v["fouling_kelvin_per_kilowatt"] * 1e3,
                   "more than the whole resistance at the rated approach", "Lower it")
    if len(faults) > before:
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
