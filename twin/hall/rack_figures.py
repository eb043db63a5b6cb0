"""A rack class from the figures of a data sheet: the table of its keys, and the way to SI."""

from collections.abc import Mapping
from typing import Any, Final

from twin.hall.errors import Faults
from twin.hall.fields import Field, choice, count, join, number, read_fields, share, text
from twin.hall.parts import Cooling, RackClass
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


def rack_class(name: str, mapping: Mapping[str, Any], path: str, faults: Faults) -> RackClass | None:
    """A rack class [SI] from door figures; None, with the faults noted, when they make no sense."""
    before = faults.noted
    v = read_fields(mapping, RACK_FIELDS, path, faults)
    if faults.noted > before:
        return None
    liquid = v["cooling"] == Cooling.LIQUID
    if liquid:
        for key in (
            "coolant_heat_capacity_joules_per_kelvin",
            "nominal_flow_litres_per_minute",
            "pressure_drop_quadratic",
            "valve_pressure_drop_kilopascals",
        ):
            if v[key] <= 0.0:
                faults.add(
                    join(path, key),
                    mapping.get(key, 0),
                    "a liquid rack needs it above zero",
                    "Write the maker's figure",
                )
    if v["tray_idle_watts"] > v["tray_max_watts"]:
        faults.add(
            join(path, "tray_idle_watts"),
            v["tray_idle_watts"],
            f"more than tray_max_watts = {v['tray_max_watts']:g}",
            "Exchange them or correct one",
        )
    if v["die_share"] + v["plate_share"] > 1.0 + 1e-12:
        faults.add(
            join(path, "plate_share"),
            v["plate_share"],
            f"die_share + plate_share = {v['die_share'] + v['plate_share']:g} is more than 1",
            "Lower one; what is left is air heat",
        )
    if not v["slowdown_celsius"] < v["hardware_slowdown_celsius"] < v["shutdown_celsius"]:
        faults.add(
            join(path, "hardware_slowdown_celsius"),
            v["hardware_slowdown_celsius"],
            f"limits must rise: slowdown {v['slowdown_celsius']:g} < hardware slowdown < "
            f"shutdown {v['shutdown_celsius']:g}",
            "Put them in order",
        )
    weights = v["phase_weights"]
    if len(weights) != 3 or min(weights, default=0.0) < 0.0 or abs(sum(weights) - 1.0) > 1e-6:
        faults.add(
            join(path, "phase_weights"),
            list(weights),
            "three shares, none negative, with sum 1 are expected",
            "Write the shares of power on A–B, B–C and C–A",
        )
    if faults.noted > before:
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
