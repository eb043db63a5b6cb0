"""The arrays that the kernels work on, in five groups with one meaning each.

``Constants`` never change in a run, ``Inputs`` are set between events, ``State`` is integrated (three rows: the
present, the end of the stretch under way, and MID for loops whose loads changed within it), ``Derived`` follows from
inputs when the plant settles, ``Work`` is scratch and the meters of the stretch under way. What belongs to one rack,
loop, zone, node or breaker is one record of a structured array (``c.rack[r].film``), because kernels that take few
arguments compile in a fraction of the time.

T trays, R racks, L loops, K pumps per loop, Z air zones, N power nodes, B breakers, A auxiliary loads.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.hall.parts import BreakerKind, Cooling, PumpMode
from twin.hall.topology import Topology
from twin.plant.tiles import TILE, Floats, Ints, first_tiles
from twin.units import AIR_DENSITY, AIR_HEAT_CAPACITY

Records = NDArray[np.void]

TABLE_POINTS = 12
MID = 2  # row of State

#: record field → attribute of RackClass, as the kernels name it
RACK_FIELDS = {
    "die_share": "die_share",
    "plate_share": "plate_share",
    "leak_ref": "leakage_reference_celsius",
    "cd": "die_heat_capacity",  # J/K per tray
    "cp": "plate_heat_capacity",  # J/K per tray
    "film": "convection_resistance",  # K/W per tray at nominal flow
    "film_floor": "minimum_flow_fraction",
    "nominal_flow": "nominal_flow",  # m³/s
    "branch_a": "quadratic_resistance",
    "branch_b": "linear_resistance",
    "branch_valve": "valve_resistance",
    "overhead": "overhead_watts",
    "shelf_fixed": "shelf_fixed_loss_watts",
    "shelf_eta": "shelf_efficiency",
    "power_factor": "power_factor",
    "smoothing": "smoothing_joules",
    "ride_through": "ride_through_joules",
    "air_capacity": "air_heat_capacity",  # J/K
    "t_slow": "slowdown_celsius",
    "t_brake": "hardware_slowdown_celsius",
    "t_off": "shutdown_celsius",
    "release": "release_kelvin",
    "slow_gain": "slowdown_per_kelvin",
    "slow_min": "minimum_clock",
    "brake_clock": "hardware_clock",
}
LOOP_FIELDS = {
    "head": "pump_head",
    "pump_b": "pump_resistance",
    "main": "main_resistance",
    "pump_eta": "pump_efficiency",
    "control_watts": "control_watts",
    "ramp": "ramp_seconds",
    "coast": "coast_seconds",
    "n_min": "minimum_speed",
    "dp_gain": "pressure_gain",
    "dp_time": "pressure_integral_seconds",
    "supply_capacity": "supply_heat_capacity",
    "return_capacity": "return_heat_capacity",
    "hx1": "hx_secondary_conductance",
    "hx2": "hx_facility_conductance",
    "hx_flow1": "hx_secondary_flow",
    "hx_flow2": "facility_flow",
    "t_gain": "temperature_gain",
    "t_time": "temperature_integral_seconds",
    "valve_time": "valve_seconds",
    "valve_min": "minimum_valve",
}
BREAKER_FIELDS = {
    "rating": "rating_amperes",
    "tau": "time_constant_seconds",
    "level": "trip_level",
    "short_pickup": "short_pickup",
    "short_delay": "short_delay_seconds",
    "instant": "instantaneous_pickup",
}


class Constants(NamedTuple):
    tray0: Ints  # R+1
    tray_rack: Ints  # T
    tile0: Ints  # R, first tile of every rack among those of its loop or air zone
    idle: Floats  # T, W
    span: Floats  # T, W
    ir: Floats  # T, 1/(K/W) die to plate, as built
    leak: Floats  # T, W/K when on
    rack: Records  # R: RACK_FIELDS and zone, loop, liquid, air_share, fluid_capacity, air_flow [W/K], recirculation …
    phase: Floats  # R×3
    neighbour: Ints  # R×2
    rack_feed: Ints  # R×2
    loop: Records  # L: LOOP_FIELDS and pumps
    loop_ptr: Ints
    loop_idx: Ints
    zone: Records  # Z: capacity J/K, band K, crah_watts, fan_watts
    zone_ptr: Ints
    zone_idx: Ints
    parent: Ints  # N, −1 for a source
    node: Records  # N: kind, parent, breaker, voltage, eta, fixed, battery
    breaker: Records  # B: BREAKER_FIELDS and node, kind, points
    table: Floats  # B×2×TABLE_POINTS: ln(r − 1), ln(seconds)
    aux: Records  # A: node, watts, pf
    aux_phase: Floats  # A×3
    tank: Floats  # J/K, W capacity, W/K gain, K approach, chiller COP, free-cooling fraction
    tolerance: Floats  # K of the embedded estimate, longest step s


class Inputs(NamedTuple):
    tray: Records  # T: load, linear, beta, cap, sigma W, swing_hertz, gang, on, busy, mode
    ir: Floats  # T, 1/(K/W) die to plate at present
    up: Floats  # T, °C guard levels of the present mode
    down: Floats  # T
    guard: Floats  # R×2, °C: the lowest level above and the highest below of a rack's trays
    rack: Records  # R: valve, air_on
    loop: Records  # L: supply_set °C, pressure_set Pa, fouling K/W, main_factor, water_factor
    pump_on: Ints  # L×K
    pump_health: Floats  # L×K, speed that a pump reaches, of the speed it is told
    zone: Records  # Z: set_point °C, factor (share of CRAH capacity available)
    closed: Ints  # B
    source_on: Ints  # N
    phase_on: Ints  # N×3, 0 for a line that is broken at the node
    facility: Floats  # set point °C, share of rejection available, dry bulb °C, wet bulb °C


class State(NamedTuple):
    td: Floats  # 3×T device °C
    tp: Floats  # 3×T plate °C
    tc: Floats  # 3×R coolant °C
    ta: Floats  # 3×R rack air °C
    loop: Floats  # 3×L×4: supply °C, return °C, facility valve, its integrator
    speed: Floats  # 3×L×K
    pressure: Floats  # 3×L×2: integrator, manifold pressure Pa
    flow: Floats  # 3×R m³/s
    rest: Ints  # 3×L, 1 when the pumps are steady
    h_loop: Floats  # 3×L, s, next step to try
    zone: Floats  # 3×Z °C
    h_zone: Floats  # 3×Z
    theta: Floats  # 3×B
    timer: Floats  # 3×B, short-time s
    tank: Floats  # 3×1 °C
    battery: Floats  # 3×N J
    ride: Floats  # 3×R J


class Derived(NamedTuple):
    plate_sum: Floats  # R, W
    air_sum: Floats  # R, W
    powered: Floats  # R, 1 with a live feed or ride-through, else 0
    shelf: Floats  # R, 1 while shelves and switches draw: powered, and not switched off with the last tray
    law: Floats  # 3×T, device heat as a line: slope W/K, W at 0 °C; and plate heat W
    slowed: Ints  # R, trays in software slowdown
    metered: Ints  # R, 1 when a tray is slowed, braked or capped
    share: Floats  # R×2, share of rack power on each feed
    node_on: Ints  # N
    aux_on: Ints  # A, 1 while an auxiliary load draws
    live: Ints  # N×3, 1 for a line with supply
    cv2: Floats  # B, relative variance of the current
    swell: Floats  # B, RMS current over mean current that follows from it
    gang: Records  # T: name, hertz, watts of the gangs that swing in a rack, from its first tray's place on
    gangs: Ints  # R, how many
    branch_b: Floats  # R, linear branch coefficient at the present viscosity
    viscous: Floats  # L, °C at which a loop's viscosity was taken
    film: Floats  # R, W/K per tray, of loops whose pumps are steady
    hx_film: Floats  # L, W/K of the exchanger's coolant side, of the same


class Work(NamedTuple):
    m: Floats  # tiles of the loop or air zone that is being stepped
    meter: Records  # T: lag, slow_s, brake_s, cap_s in this stretch
    rack: Records  # R: the columns of racks.py, new states and the step's energies
    loop: Records  # L: joules and new states
    loop_new: Floats  # L×4
    speed_new: Floats  # L×K
    pressure_new: Floats  # L×2
    pump: Floats  # 5×K, rates and stages of one loop's pumps
    branch: Floats  # 2×R, coefficients of one loop's branches
    mean_power: Floats  # R, W over the stretch
    mean_air: Floats  # R, W over the stretch
    mean_r: Floats  # B, of mean power
    spent: Floats  # N, W that batteries give
    row_power: Floats  # 3×W, W at the two ends of the stretch and in the mean
    amperes: Floats  # N×3, of mean power
    swing: Floats  # 2×N, variance of the gangs that are counted, W², and scratch
    gang_table: Ints  # by a hash of a gang's number, the entry of Derived.gang that its chain begins with, −1 for none
    gang: Records  # T, of each of these entries: before and after it in its chain, its rack, and 1 where it is counted
    asking: Ints  # R, racks whose gangs are to be counted …
    asks: Ints  # 1, … how many …
    asked: Ints  # R, … and whether a rack is among them
    gang_node: Ints  # N, nodes that a gang reaches
    flow2: Floats
    flow_new: Floats
    air_new: Floats  # R, °C
    zone: Records  # Z
    seen: Floats  # R×3×2: min, max, integral of device and return temperature
    seen_loop: Floats  # L×3×2: of supply and return
    rack_power: Floats  # 2×R, W at the two ends of the stretch
    node_p: Floats  # N, W
    node_i: Floats  # N×6, re and im of line currents, A
    breaker_r: Floats  # 2×B
    most: Floats  # 1: the greatest current over rating that any breaker can see under the present switches
    begin: Floats  # L, s from the start of the stretch to where a loop stands in row MID, 0 where it has no such state
    kept: Records  # L, and
    kept_rack: Records  # R: what the meters of the stretch had then
    kept_seen: Floats  # R×3×2
    kept_seen_loop: Floats  # L×3×2


def _records(size: int, floats: str = "", ints: str = "") -> Records:
    dtype = [(name, np.float64) for name in floats.split()] + [(name, np.int64) for name in ints.split()]
    return np.zeros(size, dtype=np.dtype(dtype, align=True))


def _fill(records: Records, parts: list[Any], fields: dict[str, str]) -> None:
    for field, attribute in fields.items():
        records[field] = [float(getattr(part, attribute)) for part in parts]


def constants(
    topology: Topology,
    *,
    resistance_factor: Floats | None = None,
    rating_factor: Floats | None = None,
    tau_factor: Floats | None = None,
    valve_factor: Floats | None = None,
    span_factor: Floats | None = None,
    tolerance_kelvin: float = 0.1,
    longest_step_seconds: float = 60.0,
) -> Constants:
    """The constants of a hall.

    resistance_factor: shape (T,), of nominal die-to-plate resistance; rating_factor: shape (B,), of breaker pick-up;
    tau_factor: shape (B,), of breaker long time or table; valve_factor: shape (R,), of valve resistance; span_factor:
    shape (T,), of dynamic power.
    tolerance_kelvin [K] bounds the embedded first-order estimate of a step: the global error of the second-order
    result is about a tenth of it.
    """
    hall = topology.hall
    classes = [rack.rack_class for rack in hall.racks]
    counts = np.diff(topology.rack_tray0)

    def tray(attribute: str) -> Floats:
        return np.repeat(np.array([float(getattr(kind, attribute)) for kind in classes]), counts)

    liquid = np.array([kind.cooling is Cooling.LIQUID for kind in classes], dtype=bool)
    rack = _records(
        len(classes),
        " ".join(RACK_FIELDS)
        + " loss_share loss_fixed air_share overhead_liquid fluid_capacity air_flow recirculation",
        "zone loop liquid",
    )
    _fill(rack, classes, RACK_FIELDS)
    rack["zone"], rack["loop"], rack["liquid"] = topology.rack_zone, topology.rack_loop, liquid
    # P_in = (P_out + c)/η: what of it is loss, per watt of trays and in any case
    rack["loss_share"] = 1.0 / rack["shelf_eta"] - 1.0
    rack["loss_fixed"] = (rack["overhead"] + rack["shelf_fixed"]) / rack["shelf_eta"]
    rack["air_share"] = 1.0 - rack["die_share"] - rack["plate_share"]
    rack["overhead_liquid"] = np.where(liquid, [kind.overhead_liquid_share for kind in classes], 0.0)
    rack["fluid_capacity"] = np.where(liquid, [kind.coolant_heat_capacity for kind in classes], rack["air_capacity"])
    rack["air_flow"] = np.array([kind.air_flow for kind in classes]) * AIR_DENSITY * AIR_HEAT_CAPACITY
    rack["recirculation"] = [hall.zones[z].recirculation for z in topology.rack_zone]

    cdus = [loop.cdu for loop in hall.loops]
    loop = _records(len(cdus), " ".join(LOOP_FIELDS), "pumps")
    _fill(loop, cdus, LOOP_FIELDS)
    loop["pumps"] = [cdu.pumps for cdu in cdus]

    zone = _records(len(hall.zones), "capacity band crah_watts fan_watts")
    _fill(
        zone,
        list(hall.zones),
        {"capacity": "heat_capacity", "band": "band", "crah_watts": "capacity_watts", "fan_watts": "fan_watts"},
    )
    node = _records(len(topology.node_names), "voltage eta fixed battery", "kind parent breaker")
    node["voltage"], node["eta"] = topology.node_voltage, topology.node_efficiency
    node["fixed"], node["battery"] = topology.node_fixed_loss, topology.node_battery
    node["kind"], node["parent"], node["breaker"] = topology.node_kind, topology.node_parent, topology.node_breaker

    by_name = {part.name: part for part in hall.nodes}
    devices = [by_name[topology.node_names[n]].breaker for n in topology.breaker_node]
    breaker = _records(len(devices), " ".join(BREAKER_FIELDS), "node kind points")
    _fill(breaker, devices, BREAKER_FIELDS)
    breaker["node"], breaker["kind"] = topology.breaker_node, topology.breaker_kind
    if rating_factor is not None:
        breaker["rating"] *= rating_factor
    delay = np.ones(len(devices)) if tau_factor is None else tau_factor
    breaker["tau"] *= delay
    if valve_factor is not None:
        rack["branch_valve"] *= valve_factor
    table = np.zeros((len(devices), 2, TABLE_POINTS))
    for b, device in enumerate(devices):
        if device is not None and device.kind is BreakerKind.TABLE:
            points = np.array(device.table[:TABLE_POINTS])
            breaker["points"][b] = len(points)
            breaker["level"][b] = 1.0
            table[b, 0, : len(points)] = np.log(points[:, 0] - 1.0)
            table[b, 1, : len(points)] = np.log(points[:, 1] * delay[b])

    index = {name: n for n, name in enumerate(topology.node_names)}
    aux = _records(len(hall.auxiliary), "watts pf", "node")
    aux["watts"] = [load.power_watts for load in hall.auxiliary]
    aux["pf"] = [load.power_factor for load in hall.auxiliary]
    aux["node"] = [index[load.node] for load in hall.auxiliary]
    facility = hall.facility
    return Constants(
        tray0=topology.rack_tray0,
        tray_rack=topology.tray_rack,
        tile0=first_tiles(topology.rack_tray0, _stepped_with(rack))[0],
        idle=tray("tray_idle_watts"),
        span=(tray("tray_max_watts") - tray("tray_idle_watts")) * (1.0 if span_factor is None else span_factor),
        ir=1.0 / (tray("conduction_resistance") * (1.0 if resistance_factor is None else resistance_factor)),
        leak=tray("leakage_watts_per_kelvin"),
        rack=rack,
        phase=np.array([kind.phase_weights for kind in classes], dtype=np.float64).reshape(len(classes), 3),
        neighbour=topology.rack_neighbour,
        rack_feed=topology.rack_feed,
        loop=loop,
        loop_ptr=topology.loop_rack_ptr,
        loop_idx=topology.loop_rack_idx,
        zone=zone,
        zone_ptr=topology.zone_rack_ptr,
        zone_idx=topology.zone_rack_idx,
        parent=topology.node_parent.astype(np.int64),
        node=node,
        breaker=breaker,
        table=table,
        aux=aux,
        aux_phase=np.array([load.phase_weights for load in hall.auxiliary], dtype=np.float64).reshape(len(aux), 3),
        tank=np.array(
            [
                facility.tank_heat_capacity,
                facility.capacity_watts,
                facility.gain_watts_per_kelvin,
                facility.approach,
                facility.chiller_cop,
                facility.free_cooling_fraction,
            ]
        ),
        tolerance=np.array([tolerance_kelvin, longest_step_seconds]),
    )


def _stepped_with(rack: Records) -> Ints:
    """A number for each loop and, below 0, each air zone that steps a rack, shape (R,)."""
    return np.where(rack["liquid"] == 1, rack["loop"], -1 - rack["zone"])


def inputs(topology: Topology, c: Constants) -> Inputs:
    """Inputs at rest: every tray on and idle, every breaker closed, every pump that should run running."""
    hall = topology.hall
    tray = _records(len(c.idle), "load linear beta cap sigma swing_hertz", "gang on busy mode")
    tray["linear"], tray["beta"], tray["cap"], tray["swing_hertz"] = 0.4, 0.7, 1.0, 1.0
    tray["gang"], tray["on"] = -1, 1
    rack = _records(len(c.rack), "valve air_on")
    rack["valve"], rack["air_on"] = [part.valve_position for part in hall.racks], 1.0
    loop = _records(len(c.loop), "supply_set pressure_set fouling main_factor water_factor")
    loop["supply_set"] = [part.supply_temperature for part in hall.loops]
    loop["pressure_set"] = [part.cdu.pressure_setpoint for part in hall.loops]
    loop["fouling"] = [part.cdu.hx_fouling_resistance for part in hall.loops]
    loop["main_factor"], loop["water_factor"] = 1.0, 1.0
    pump_on = np.zeros((len(c.loop), int(c.loop["pumps"].max(initial=1))), dtype=np.int64)
    for index, part in enumerate(hall.loops):
        pump_on[index, : part.cdu.pumps_needed if part.cdu.mode is PumpMode.STANDBY else part.cdu.pumps] = 1
    zone = _records(len(c.zone), "set_point factor")
    zone["set_point"], zone["factor"] = [part.setpoint for part in hall.zones], 1.0
    return Inputs(
        tray=tray,
        ir=c.ir.copy(),
        up=c.rack["t_slow"][c.tray_rack],
        down=np.full(len(c.idle), -np.inf),
        guard=np.stack([c.rack["t_slow"], np.full(len(c.rack), -np.inf)], axis=1),
        rack=rack,
        loop=loop,
        pump_on=pump_on,
        pump_health=np.ones(pump_on.shape),
        zone=zone,
        closed=np.ones(len(c.breaker), dtype=np.int64),
        source_on=np.ones(len(c.node), dtype=np.int64),
        phase_on=np.ones((len(c.node), 3), dtype=np.int64),
        facility=np.array([hall.facility.setpoint, 1.0, hall.facility.dry_bulb, hall.facility.wet_bulb]),
    )


def state(c: Constants, u: Inputs) -> State:
    """A state at the set points, pumps at their set speed; the equilibrium is found from here."""
    racks, loops = len(c.rack), len(c.loop)
    coolant = np.where(c.rack["liquid"] == 1, u.loop["supply_set"][c.rack["loop"]] + 8.0 if loops else 0.0, 0.0)
    air = u.zone["set_point"][c.rack["zone"]] + 8.0
    fluid = np.where(c.rack["liquid"] == 1, coolant, air)[c.tray_rack]
    loop = np.stack([u.loop["supply_set"], u.loop["supply_set"] + 10.0, np.full(loops, 0.5), np.full(loops, 0.5)], 1)

    def thrice(row: Any) -> NDArray[Any]:
        return np.stack([row, row, row])

    return State(
        td=thrice(fluid + 8.0),
        tp=thrice(fluid + 5.0),
        tc=thrice(coolant),
        ta=thrice(air),
        loop=thrice(loop),
        speed=thrice(0.8 * u.pump_on),
        pressure=thrice(np.stack([np.full(loops, 0.8), u.loop["pressure_set"]], 1)),
        flow=np.zeros((3, racks)),
        rest=np.zeros((3, loops), dtype=np.int64),
        h_loop=np.full((3, loops), 0.1),
        zone=thrice(u.zone["set_point"].copy()),
        h_zone=np.full((3, len(c.zone)), 0.1),
        theta=np.zeros((3, len(c.breaker))),
        timer=np.zeros((3, len(c.breaker))),
        tank=np.full((3, 1), u.facility[0]),
        battery=thrice(c.node["battery"].copy()),
        ride=thrice(c.rack["ride_through"].copy()),
    )


def derived(c: Constants) -> Derived:
    racks = len(c.rack)
    return Derived(
        plate_sum=np.zeros(racks),
        air_sum=np.zeros(racks),
        powered=np.ones(racks),
        shelf=np.ones(racks),
        law=np.zeros((3, len(c.idle))),
        slowed=np.zeros(racks, dtype=np.int64),
        metered=np.zeros(racks, dtype=np.int64),
        share=np.zeros((racks, 2)),
        node_on=np.ones(len(c.node), dtype=np.int64),
        aux_on=np.ones(len(c.aux), dtype=np.int64),
        live=np.ones((len(c.node), 3), dtype=np.int64),
        cv2=np.zeros(len(c.breaker)),
        swell=np.ones(len(c.breaker)),
        gang=_records(len(c.idle), "hertz watts", "name"),
        gangs=np.zeros(racks, dtype=np.int64),
        branch_b=c.rack["branch_b"].copy(),
        viscous=np.full(len(c.loop), -273.15),
        film=np.zeros(racks),
        hx_film=np.zeros(len(c.loop)),
    )


def work(c: Constants, u: Inputs, rows: int) -> Work:
    trays, racks, loops, pumps = len(c.idle), len(c.rack), len(c.loop), u.pump_on.shape[1]
    nodes, breakers = len(c.node), len(c.breaker)
    one = np.zeros

    def whole(size: int) -> Ints:
        return np.zeros(size, dtype=np.int64)

    return Work(
        m=one(first_tiles(c.tray0, _stepped_with(c.rack))[1] * TILE), meter=_records(trays, "lag slow_s brake_s cap_s"),
        rack=_records(
            racks,
            "sum_x sum_e film1 alpha beta kc1 over q1 plate1 air1 loss1 gk1 q2 plate2 air2 loss2 new_fluid "
            "hottest step_rack step_air rack_joules air_joules air_rate air_drawn air_out film_air",
        ),
        loop=_records(loops, "hx_joules pump_joules step_hx step_pump", "rest_new"),
        loop_new=one((loops, 4)), speed_new=one((loops, pumps)), pressure_new=one((loops, 2)),
        pump=one((5, pumps)), branch=one((2, racks)), mean_power=one(racks), mean_air=one(racks),
        mean_r=one(breakers), spent=one(nodes), row_power=one((3, rows)), amperes=one((nodes, 3)),
        swing=one((2, nodes)),
        gang_table=np.full(1 << (2 * trays).bit_length(), -1), gang=_records(trays, "", "before after rack counted"),
        asking=whole(racks), asks=whole(1), asked=whole(racks), gang_node=whole(nodes), flow2=one(racks),
        flow_new=one(racks),
        air_new=one(racks), zone=_records(len(c.zone), "crah_joules step_crah zone_new"),
        seen=one((racks, 3, 2)), seen_loop=one((loops, 3, 2)), rack_power=one((2, racks)),
        node_p=one(nodes), node_i=one((nodes, 6)), breaker_r=one((2, breakers)),
        most=np.full(1, np.inf), begin=one(loops), kept=_records(loops, "hx_joules pump_joules"),
        kept_rack=_records(racks, "rack_joules air_joules"), kept_seen=one((racks, 3, 2)),
        kept_seen_loop=one((loops, 3, 2)),
    )  # fmt: skip
