"""The arrays that the kernels work on, in five groups with one meaning each.

``Constants`` never change in a run, ``Inputs`` are set between events, ``State`` is integrated (two rows: the present
and the step under way), ``Derived`` follows from inputs when the plant settles, ``Work`` is scratch and the meters of
the step under way. T trays, R racks, L loops, K pumps per loop, Z air zones, N power nodes, B breakers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.hall.parts import BreakerKind, Cooling, PumpMode
from twin.hall.topology import Topology
from twin.units import AIR_DENSITY, AIR_HEAT_CAPACITY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TABLE_POINTS = 12


class Constants(NamedTuple):
    tray0: Ints  # R+1
    tray_rack: Ints  # T
    rack_zone: Ints  # R
    rack_loop: Ints  # R
    idle: Floats  # T, W
    span: Floats  # T, W
    ir: Floats  # T, 1/(K/W) die to plate
    leak: Floats  # T, W/K when on
    gpus: Floats  # T
    gpu_speed: Floats  # T, of a nominal device (stragglers below 1)
    liquid: Ints  # R, 1 for liquid cooling
    die_share: Floats
    plate_share: Floats
    air_share: Floats
    leak_ref: Floats
    cd: Floats
    cp: Floats
    film: Floats  # R, K/W per tray at nominal flow
    film_floor: Floats
    fluid_capacity: Floats  # R, J/K (coolant, or rack air of an air-cooled rack)
    nominal_flow: Floats  # R, m³/s
    branch_a: Floats
    branch_b: Floats
    branch_valve: Floats
    overhead: Floats
    shelf_fixed: Floats
    shelf_eta: Floats
    overhead_liquid: Floats
    power_factor: Floats
    phase: Floats  # R×3
    smoothing: Floats  # J
    ride_through: Floats  # J
    air_capacity: Floats  # J/K
    air_flow: Floats  # W/K, ρ cp Q
    t_slow: Floats
    t_brake: Floats
    t_off: Floats
    release: Floats
    slow_gain: Floats
    slow_min: Floats
    brake_clock: Floats
    loop_ptr: Ints
    loop_idx: Ints
    pumps: Ints  # L
    head: Floats
    pump_b: Floats
    main: Floats
    pump_eta: Floats
    control_watts: Floats
    ramp: Floats
    coast: Floats
    n_min: Floats
    dp_gain: Floats
    dp_time: Floats
    c_supply: Floats
    c_return: Floats
    hx1: Floats
    hx2: Floats
    hx_flow1: Floats
    hx_flow2: Floats
    t_gain: Floats
    t_time: Floats
    valve_time: Floats
    valve_min: Floats
    zone_ptr: Ints
    zone_idx: Ints
    neighbour: Ints  # R×2
    recirculation: Floats  # R
    c_zone: Floats
    zone_band: Floats
    zone_capacity: Floats
    zone_fan: Floats
    rack_feed: Ints  # R×2
    node_kind: Ints
    node_parent: Ints
    node_breaker: Ints
    node_voltage: Floats
    node_eta: Floats
    node_fixed: Floats
    node_battery: Floats
    breaker_node: Ints
    breaker_kind: Ints
    rating: Floats
    tau: Floats
    level: Floats
    short_pickup: Floats
    short_delay: Floats
    instant: Floats
    table_r: Floats  # B×TABLE_POINTS, ln(r − 1)
    table_s: Floats  # B×TABLE_POINTS, ln(seconds)
    table_n: Ints
    aux_node: Ints
    aux_watts: Floats
    aux_pf: Floats
    aux_phase: Floats  # ×3
    tank: Floats  # [J/K, W capacity, W/K gain, approach K, chiller COP, free-cooling fraction]
    tolerance: Floats  # [K of the embedded estimate, longest step s]


class Inputs(NamedTuple):
    load: Floats  # T, utilisation of the dynamic range, times a build's power factor
    linear: Floats  # T, a of the power law
    beta: Floats  # T, speed exponent
    cap: Floats  # T, clock cap by policy or firmware
    on: Ints  # T
    busy: Ints  # T, 1 when allocated
    mode: Ints  # T, server.NORMAL …
    up: Floats  # T, °C guard levels of the present mode
    down: Floats
    sigma: Floats  # T, W standard deviation of power swing
    swing_hertz: Floats  # T
    gang: Ints  # T, −1 none
    valve: Floats  # R
    air_on: Floats  # R, 1 with fans running
    pump_on: Ints  # L×K
    supply_set: Floats  # L
    pressure_set: Floats  # L
    fouling: Floats  # L, K/W
    main_factor: Floats  # L
    water_factor: Floats  # L, share of facility flow available
    zone_set: Floats  # Z
    zone_factor: Floats  # Z, share of CRAH capacity available
    closed: Ints  # B
    source_on: Ints  # N
    facility: Floats  # [set point °C, share of rejection available, dry bulb, wet bulb]


class State(NamedTuple):
    td: Floats  # 2×T
    tp: Floats  # 2×T
    tc: Floats  # 2×R coolant
    ta: Floats  # 2×R rack air
    loop: Floats  # 2×L×4: supply, return, facility valve, integrator
    speed: Floats  # 2×L×K
    pressure: Floats  # 2×L×2: integrator, manifold pressure
    flow: Floats  # 2×R m³/s
    rest: Ints  # 2×L, 1 when the pumps are steady
    h_loop: Floats  # 2×L
    zone: Floats  # 2×Z
    h_zone: Floats  # 2×Z
    theta: Floats  # 2×B
    timer: Floats  # 2×B, short-time seconds
    tank: Floats  # 2×1
    battery: Floats  # 2×N
    ride: Floats  # 2×R


class Derived(NamedTuple):
    qd: Floats  # T, device heat at 0 °C of the linear law
    g: Floats  # T
    qp: Floats  # T
    plate_sum: Floats  # R, W
    air_sum: Floats  # R, W
    powered: Floats  # R, 1 or 0
    slowed: Ints  # R, trays in software slowdown
    metered: Ints  # R, 1 when a tray is slowed, braked or capped
    share: Floats  # R×2, share of rack power on each feed
    node_on: Ints  # N
    cv2: Floats  # B, relative variance of the current
    branch_b: Floats  # R, linear branch coefficient at the present viscosity


class Work(NamedTuple):
    aa: Floats
    bb: Floats
    rd: Floats
    bx: Floats
    kd: Floats
    kp: Floats
    tdn: Floats
    tpn: Floats
    lag: Floats  # T, seconds of work lost in this step
    slow_s: Floats  # T
    brake_s: Floats  # T
    cap_s: Floats  # T
    rack: Floats  # R×24 columns, see loop.py
    loop_new: Floats  # L×4
    speed_new: Floats  # L×K
    speed_k: Floats  # L×K
    pressure_new: Floats  # L×2
    flow2: Floats
    flow_new: Floats
    rest_new: Ints
    tcn: Floats
    tan: Floats
    zone_new: Floats
    hottest: Floats  # R
    rack_joules: Floats  # R, electrical, AC
    air_joules: Floats  # R
    hx_joules: Floats  # L
    pump_joules: Floats  # L, electrical
    crah_joules: Floats  # Z
    fan_joules: Floats  # Z
    step_rack: Floats
    step_air: Floats
    step_hx: Floats
    step_pump: Floats
    step_crah: Floats
    seen: Floats  # R×3×2: min, max, integral of device temperature and return temperature
    seen_loop: Floats  # L×3×2: of supply and return
    rack_power: Floats  # 2×R, W at the two ends of the step
    node_p: Floats  # N, W
    node_i: Floats  # N×6, re and im of phase currents, A
    breaker_r: Floats  # 2×B
    sample_time: Floats  # S, s after the step's start
    sample_n: Ints  # [count]
    sample_device: Floats  # S×R
    sample_return: Floats  # S×R
    sample_supply: Floats  # S×L


SAMPLES = 4096


def _per_rack(topology: Topology, attribute: str) -> Floats:
    return np.array([float(getattr(rack.rack_class, attribute)) for rack in topology.hall.racks])


def _per_cdu(topology: Topology, attribute: str) -> Floats:
    return np.array([float(getattr(loop.cdu, attribute)) for loop in topology.hall.loops])


def _rows(*shape: int) -> Floats:
    return np.zeros((2, *shape))


def constants(
    topology: Topology,
    *,
    resistance_factor: Floats | None = None,
    rating_factor: Floats | None = None,
    gpu_speed: Floats | None = None,
    tolerance_kelvin: float = 0.1,
    longest_step_seconds: float = 60.0,
) -> Constants:
    """The constants of a hall.

    resistance_factor: shape (T,), of nominal die-to-plate resistance; rating_factor: shape (B,), of breaker pick-up;
    gpu_speed: shape (T,), of nominal. tolerance_kelvin [K] bounds the embedded first-order estimate of a step: the
    global error of the second-order result is about a tenth of it.
    """
    hall = topology.hall
    racks = hall.racks
    counts = np.diff(topology.rack_tray0)
    spread = np.repeat
    trays = int(topology.rack_tray0[-1])

    def tray(attribute: str) -> Floats:
        return spread(_per_rack(topology, attribute), counts)

    liquid = np.array([rack.rack_class.cooling is Cooling.LIQUID for rack in racks])
    air_flow = _per_rack(topology, "air_flow") * AIR_DENSITY * AIR_HEAT_CAPACITY
    resistance = tray("conduction_resistance") * (1.0 if resistance_factor is None else resistance_factor)
    zones = hall.zones
    recirculation = np.array([zones[z].recirculation for z in topology.rack_zone])
    breakers = [hall.nodes[_node_position(topology, n)].breaker for n in topology.breaker_node]
    table_r = np.zeros((len(breakers), TABLE_POINTS))
    table_s = np.zeros((len(breakers), TABLE_POINTS))
    table_n = np.zeros(len(breakers), dtype=np.int64)
    for b, breaker in enumerate(breakers):
        assert breaker is not None
        if breaker.kind is BreakerKind.TABLE:
            points = breaker.table[:TABLE_POINTS]
            table_n[b] = len(points)
            table_r[b, : len(points)] = [np.log(r - 1.0) for r, _ in points]
            table_s[b, : len(points)] = [np.log(s) for _, s in points]

    def per_breaker(attribute: str) -> Floats:
        return np.array([float(getattr(breaker, attribute)) for breaker in breakers])

    facility = hall.facility
    node_index = {name: n for n, name in enumerate(topology.node_names)}
    aux = hall.auxiliary
    return Constants(
        tray0=topology.rack_tray0,
        tray_rack=topology.tray_rack,
        rack_zone=topology.rack_zone,
        rack_loop=topology.rack_loop,
        idle=tray("tray_idle_watts"),
        span=tray("tray_max_watts") - tray("tray_idle_watts"),
        ir=1.0 / resistance,
        leak=tray("leakage_watts_per_kelvin"),
        gpus=tray("gpus_per_tray"),
        gpu_speed=np.ones(trays) if gpu_speed is None else np.asarray(gpu_speed, dtype=np.float64),
        liquid=liquid.astype(np.int64),
        die_share=_per_rack(topology, "die_share"),
        plate_share=_per_rack(topology, "plate_share"),
        air_share=1.0 - _per_rack(topology, "die_share") - _per_rack(topology, "plate_share"),
        leak_ref=_per_rack(topology, "leakage_reference_celsius"),
        cd=_per_rack(topology, "die_heat_capacity"),
        cp=_per_rack(topology, "plate_heat_capacity"),
        film=_per_rack(topology, "convection_resistance"),
        film_floor=_per_rack(topology, "minimum_flow_fraction"),
        fluid_capacity=np.where(
            liquid, _per_rack(topology, "coolant_heat_capacity"), _per_rack(topology, "air_heat_capacity")
        ),
        nominal_flow=_per_rack(topology, "nominal_flow"),
        branch_a=_per_rack(topology, "quadratic_resistance"),
        branch_b=_per_rack(topology, "linear_resistance"),
        branch_valve=_per_rack(topology, "valve_resistance"),
        overhead=_per_rack(topology, "overhead_watts"),
        shelf_fixed=_per_rack(topology, "shelf_fixed_loss_watts"),
        shelf_eta=_per_rack(topology, "shelf_efficiency"),
        overhead_liquid=np.where(liquid, _per_rack(topology, "overhead_liquid_share"), 0.0),
        power_factor=_per_rack(topology, "power_factor"),
        phase=np.array([rack.rack_class.phase_weights for rack in racks], dtype=np.float64).reshape(len(racks), 3),
        smoothing=_per_rack(topology, "smoothing_joules"),
        ride_through=_per_rack(topology, "ride_through_joules"),
        air_capacity=_per_rack(topology, "air_heat_capacity"),
        air_flow=air_flow,
        t_slow=_per_rack(topology, "slowdown_celsius"),
        t_brake=_per_rack(topology, "hardware_slowdown_celsius"),
        t_off=_per_rack(topology, "shutdown_celsius"),
        release=_per_rack(topology, "release_kelvin"),
        slow_gain=_per_rack(topology, "slowdown_per_kelvin"),
        slow_min=_per_rack(topology, "minimum_clock"),
        brake_clock=_per_rack(topology, "hardware_clock"),
        loop_ptr=topology.loop_rack_ptr,
        loop_idx=topology.loop_rack_idx,
        pumps=np.array([loop.cdu.pumps for loop in hall.loops], dtype=np.int64),
        head=_per_cdu(topology, "pump_head"),
        pump_b=_per_cdu(topology, "pump_resistance"),
        main=_per_cdu(topology, "main_resistance"),
        pump_eta=_per_cdu(topology, "pump_efficiency"),
        control_watts=_per_cdu(topology, "control_watts"),
        ramp=_per_cdu(topology, "ramp_seconds"),
        coast=_per_cdu(topology, "coast_seconds"),
        n_min=_per_cdu(topology, "minimum_speed"),
        dp_gain=_per_cdu(topology, "pressure_gain"),
        dp_time=_per_cdu(topology, "pressure_integral_seconds"),
        c_supply=_per_cdu(topology, "supply_heat_capacity"),
        c_return=_per_cdu(topology, "return_heat_capacity"),
        hx1=_per_cdu(topology, "hx_secondary_conductance"),
        hx2=_per_cdu(topology, "hx_facility_conductance"),
        hx_flow1=_per_cdu(topology, "hx_secondary_flow"),
        hx_flow2=_per_cdu(topology, "facility_flow"),
        t_gain=_per_cdu(topology, "temperature_gain"),
        t_time=_per_cdu(topology, "temperature_integral_seconds"),
        valve_time=_per_cdu(topology, "valve_seconds"),
        valve_min=_per_cdu(topology, "minimum_valve"),
        zone_ptr=topology.zone_rack_ptr,
        zone_idx=topology.zone_rack_idx,
        neighbour=topology.rack_neighbour,
        recirculation=recirculation,
        c_zone=np.array([zone.heat_capacity for zone in zones]),
        zone_band=np.array([zone.band for zone in zones]),
        zone_capacity=np.array([zone.capacity_watts for zone in zones]),
        zone_fan=np.array([zone.fan_watts for zone in zones]),
        rack_feed=topology.rack_feed,
        node_kind=topology.node_kind,
        node_parent=topology.node_parent,
        node_breaker=topology.node_breaker,
        node_voltage=topology.node_voltage,
        node_eta=topology.node_efficiency,
        node_fixed=topology.node_fixed_loss,
        node_battery=topology.node_battery,
        breaker_node=topology.breaker_node,
        breaker_kind=topology.breaker_kind,
        rating=per_breaker("rating_amperes") * (1.0 if rating_factor is None else rating_factor),
        tau=per_breaker("time_constant_seconds"),
        level=np.where(table_n > 0, 1.0, per_breaker("trip_level")),
        short_pickup=per_breaker("short_pickup"),
        short_delay=per_breaker("short_delay_seconds"),
        instant=per_breaker("instantaneous_pickup"),
        table_r=table_r,
        table_s=table_s,
        table_n=table_n,
        aux_node=np.array([node_index[load.node] for load in aux], dtype=np.int64),
        aux_watts=np.array([load.power_watts for load in aux], dtype=np.float64),
        aux_pf=np.array([load.power_factor for load in aux], dtype=np.float64),
        aux_phase=np.array([load.phase_weights for load in aux], dtype=np.float64).reshape(len(aux), 3),
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


def _node_position(topology: Topology, node: int) -> int:
    """Position of a compiled node in ``hall.nodes``."""
    name = topology.node_names[node]
    for position, part in enumerate(topology.hall.nodes):
        if part.name == name:
            return position
    raise KeyError(name)


def inputs(topology: Topology, c: Constants) -> Inputs:
    """Inputs at rest: every tray on and idle, every breaker closed, every pump that should run running."""
    hall = topology.hall
    trays, racks, loops = len(c.idle), len(c.liquid), len(hall.loops)
    pumps = int(c.pumps.max(initial=1))
    pump_on = np.zeros((loops, pumps), dtype=np.int64)
    for index, loop in enumerate(hall.loops):
        running = loop.cdu.pumps_needed if loop.cdu.mode is PumpMode.STANDBY else loop.cdu.pumps
        pump_on[index, :running] = 1
    rack_of = c.tray_rack
    return Inputs(
        load=np.zeros(trays),
        linear=np.full(trays, 0.4),
        beta=np.full(trays, 0.7),
        cap=np.ones(trays),
        on=np.ones(trays, dtype=np.int64),
        busy=np.zeros(trays, dtype=np.int64),
        mode=np.zeros(trays, dtype=np.int64),
        up=c.t_slow[rack_of].copy(),
        down=np.full(trays, -np.inf),
        sigma=np.zeros(trays),
        swing_hertz=np.ones(trays),
        gang=np.full(trays, -1, dtype=np.int64),
        valve=np.array([rack.valve_position for rack in hall.racks]),
        air_on=np.ones(racks),
        pump_on=pump_on,
        supply_set=np.array([loop.supply_temperature for loop in hall.loops]),
        pressure_set=np.array([loop.cdu.pressure_setpoint for loop in hall.loops]),
        fouling=np.array([loop.cdu.hx_fouling_resistance for loop in hall.loops]),
        main_factor=np.ones(loops),
        water_factor=np.ones(loops),
        zone_set=np.array([zone.setpoint for zone in hall.zones]),
        zone_factor=np.ones(len(hall.zones)),
        closed=np.ones(len(c.rating), dtype=np.int64),
        source_on=np.ones(len(c.node_parent), dtype=np.int64),
        facility=np.array([hall.facility.setpoint, 1.0, hall.facility.dry_bulb, hall.facility.wet_bulb]),
    )


def state(c: Constants, u: Inputs) -> State:
    """A state at the set points, pumps at their set speed; the equilibrium is found from here."""
    trays, racks, loops, pumps = len(c.idle), len(c.liquid), len(c.pumps), u.pump_on.shape[1]
    zones, breakers, nodes = len(c.c_zone), len(c.rating), len(c.node_parent)
    x = State(
        td=_rows(trays),
        tp=_rows(trays),
        tc=_rows(racks),
        ta=_rows(racks),
        loop=_rows(loops, 4),
        speed=_rows(loops, pumps),
        pressure=_rows(loops, 2),
        flow=_rows(racks),
        rest=np.zeros((2, loops), dtype=np.int64),
        h_loop=np.full((2, loops), 0.1),
        zone=_rows(zones),
        h_zone=np.full((2, zones), 0.1),
        theta=_rows(breakers),
        timer=_rows(breakers),
        tank=np.full((2, 1), u.facility[0]),
        battery=np.tile(c.node_battery, (2, 1)),
        ride=np.tile(c.ride_through, (2, 1)),
    )
    for row in (0, 1):
        for l in range(loops):
            x.loop[row, l] = (u.supply_set[l], u.supply_set[l] + 10.0, 0.5, 0.5)
            x.speed[row, l] = 0.8 * u.pump_on[l]
            x.pressure[row, l] = (0.8, u.pressure_set[l])
            for r in c.loop_idx[c.loop_ptr[l] : c.loop_ptr[l + 1]]:
                x.tc[row, r] = u.supply_set[l] + 8.0
        for z in range(zones):
            x.zone[row, z] = u.zone_set[z]
            for r in c.zone_idx[c.zone_ptr[z] : c.zone_ptr[z + 1]]:
                x.ta[row, r] = u.zone_set[z] + 8.0
        for r in range(racks):
            trays_of = slice(c.tray0[r], c.tray0[r + 1])
            fluid = x.tc[row, r] if c.liquid[r] else x.ta[row, r]
            x.tp[row, trays_of] = fluid + 5.0
            x.td[row, trays_of] = fluid + 8.0
    return x


def derived(c: Constants) -> Derived:
    trays, racks, breakers, nodes = len(c.idle), len(c.liquid), len(c.rating), len(c.node_parent)
    return Derived(
        qd=np.zeros(trays),
        g=np.zeros(trays),
        qp=np.zeros(trays),
        plate_sum=np.zeros(racks),
        air_sum=np.zeros(racks),
        powered=np.ones(racks),
        slowed=np.zeros(racks, dtype=np.int64),
        metered=np.zeros(racks, dtype=np.int64),
        share=np.zeros((racks, 2)),
        node_on=np.ones(nodes, dtype=np.int64),
        cv2=np.zeros(breakers),
        branch_b=c.branch_b.copy(),
    )


def work(c: Constants, u: Inputs) -> Work:
    trays, racks, loops, pumps = len(c.idle), len(c.liquid), len(c.pumps), u.pump_on.shape[1]
    zones, breakers, nodes = len(c.c_zone), len(c.rating), len(c.node_parent)
    one = np.zeros
    return Work(
        aa=one(trays), bb=one(trays), rd=one(trays), bx=one(trays), kd=one(trays), kp=one(trays),
        tdn=one(trays), tpn=one(trays), lag=one(trays), slow_s=one(trays), brake_s=one(trays), cap_s=one(trays),
        rack=one((racks, 24)), loop_new=one((loops, 4)), speed_new=one((loops, pumps)), speed_k=one((loops, pumps)),
        pressure_new=one((loops, 2)), flow2=one(racks), flow_new=one(racks), rest_new=np.zeros(loops, dtype=np.int64),
        tcn=one(racks), tan=one(racks), zone_new=one(zones), hottest=one(racks),
        rack_joules=one(racks), air_joules=one(racks), hx_joules=one(loops), pump_joules=one(loops),
        crah_joules=one(zones), fan_joules=one(zones), step_rack=one(racks), step_air=one(racks), step_hx=one(loops),
        step_pump=one(loops), step_crah=one(zones), seen=one((racks, 3, 2)), seen_loop=one((loops, 3, 2)),
        rack_power=one((2, racks)), node_p=one(nodes), node_i=one((nodes, 6)), breaker_r=one((2, breakers)),
        sample_time=one(SAMPLES), sample_n=np.zeros(1, dtype=np.int64), sample_device=one((SAMPLES, racks)),
        sample_return=one((SAMPLES, racks)), sample_supply=one((SAMPLES, loops)),
    )  # fmt: skip
