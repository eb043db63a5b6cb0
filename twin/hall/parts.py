"""Frozen descriptions of what is bolted to the floor.

Every part is immutable; a run makes its own state from the compiled :mod:`twin.hall.topology`. All quantities are
SI with temperatures in °C (see :mod:`twin.units`); the reader converts from the units that a hall file uses.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Cooling(StrEnum):
    LIQUID = "liquid"
    AIR = "air"


class BreakerKind(StrEnum):
    LSI = "lsi"  # electronic trip unit: long time, short time, instantaneous
    THERMAL_MAGNETIC = "thermal_magnetic"
    TABLE = "table"  # log-log trip table with damage memory


class NodeKind(StrEnum):
    """Levels of the power tree, from the source down."""

    UTILITY = "utility"
    UPS = "ups"
    PDU = "pdu"
    ROW = "row"
    PANEL = "panel"  # auxiliary and mechanical loads
    RACK = "rack"  # one rack feed (A or B)


class PumpMode(StrEnum):
    STANDBY = "standby"  # N run, the spare starts when one is lost
    SHARING = "sharing"  # all N+1 run and share


@dataclass(frozen=True)
class Breaker:
    """A circuit breaker's settings. ``r`` below is RMS current over ``rating_amperes`` on the hottest pole.

    LSI:               dθ/dt = (r² − θ)/τ, trips at θ ≥ ``trip_level``; short time when r ≥ short_pickup for
                       ``short_delay_seconds``; instantaneous when r ≥ instantaneous_pickup.
    THERMAL_MAGNETIC:  the same state with its own τ and level (k²), and the magnetic part as instantaneous.
    TABLE:             damage dD/dt = 1/t_trip(r) from ``table`` ((r, seconds), …; log-log), trips at D ≥ 1, recovers
                       exponentially with ``time_constant_seconds`` when r < 1.
    """

    kind: BreakerKind
    rating_amperes: float
    time_constant_seconds: float
    trip_level: float = 1.44  # θ at trip, 1.2² for LSI
    short_pickup: float = float("inf")
    short_delay_seconds: float = 0.2
    instantaneous_pickup: float = float("inf")
    continuous_fraction: float = 0.8  # 1.0 for a 100 %-rated breaker
    table: tuple[tuple[float, float], ...] = ()
    source: str = ""


@dataclass(frozen=True)
class RackClass:
    """A kind of rack: its trays (server nodes), their thermal path, its overhead and its hydraulics."""

    name: str
    cooling: Cooling
    trays: int
    gpus_per_tray: int
    # --- server, per tray ---
    tray_idle_watts: float
    tray_max_watts: float
    die_share: float  # of tray heat that enters the GPUs' dies
    plate_share: float  # of tray heat that enters the cold plate (or heat sink) directly; the rest is air heat
    leakage_watts_per_kelvin: float  # added above the reference temperature, per tray
    leakage_reference_celsius: float
    die_heat_capacity: float  # J/K per tray (all its GPUs)
    plate_heat_capacity: float  # J/K per tray
    conduction_resistance: float  # K/W per tray, die to plate
    convection_resistance: float  # K/W per tray, plate to fluid at nominal flow
    slowdown_celsius: float  # software slowdown: max operating temperature
    hardware_slowdown_celsius: float
    shutdown_celsius: float
    release_kelvin: float  # hysteresis of every limit
    dwell_seconds: float  # shortest stay in a slowdown
    slowdown_per_kelvin: float  # clock lost per kelvin above (slowdown − release) while software slowdown holds
    minimum_clock: float  # lowest clock of software slowdown, of nominal
    hardware_clock: float  # clock in hardware slowdown, of nominal
    # --- rack ---
    overhead_watts: float  # switch trays and fans on the DC bus, constant while the rack is powered
    shelf_fixed_loss_watts: float  # c of P_in = (P_out + c)/η, whole rack
    shelf_efficiency: float  # η
    overhead_liquid_share: float  # of overhead and shelf losses that goes to the coolant; the rest to air
    power_factor: float
    phase_weights: tuple[float, float, float]  # of power on A–B, B–C, C–A
    ride_through_joules: float  # energy that keeps the rack alive with both feeds gone
    smoothing_joules: float  # capacitor energy that smooths power swings
    # --- coolant side (liquid racks) ---
    coolant_heat_capacity: float  # J/K of coolant (and wetted metal) in plates, hoses and manifold
    nominal_flow: float  # m³/s
    quadratic_resistance: float  # Pa/(m³/s)²: a of Δp = (a + k)Q² + bQ
    linear_resistance: float  # Pa/(m³/s): b
    valve_resistance: float  # Pa/(m³/s)², valve fully open; at position x it is this divided by x²
    # --- air side ---
    air_heat_capacity: float  # J/K of air and the metal that follows it
    air_flow: float  # m³/s
    minimum_flow_fraction: float = 0.02  # natural convection floor of the plate's film at zero flow
    source: str = ""

    @property
    def max_power_watts(self) -> float:
        """AC nameplate [W]: (trays + overhead + c)/η with every tray at its maximum and reference temperature."""
        dc = self.trays * self.tray_max_watts + self.overhead_watts
        return (dc + self.shelf_fixed_loss_watts) / self.shelf_efficiency

    @property
    def idle_power_watts(self) -> float:
        """AC power [W] with every tray on and idle."""
        dc = self.trays * self.tray_idle_watts + self.overhead_watts
        return (dc + self.shelf_fixed_loss_watts) / self.shelf_efficiency


@dataclass(frozen=True)
class Cdu:
    """A coolant distribution unit: pumps, heat exchanger, volumes and controllers."""

    name: str
    pumps: int  # installed, spare included
    pumps_needed: int  # N of N+1
    mode: PumpMode
    pump_head: float  # Pa at zero flow and full speed: A of Δp = n²A − BQ²
    pump_resistance: float  # Pa/(m³/s)²: B, per pump
    main_resistance: float  # Pa/(m³/s)²: common main, HX and filter
    pump_efficiency: float  # wire to water
    control_watts: float  # controls and valves, constant
    ramp_seconds: float  # pump speed lag
    coast_seconds: float  # coast-down time constant of an unpowered pump
    failover_seconds: float  # from loss of a pump to the start of the spare
    minimum_speed: float
    pressure_setpoint: float  # Pa across the racks' manifold
    pressure_gain: float  # speed per Pa
    pressure_integral_seconds: float
    supply_heat_capacity: float  # J/K, supply main and CDU cold side
    return_heat_capacity: float  # J/K, return main and CDU hot side
    hx_secondary_conductance: float  # W/K at nominal secondary flow, h₁
    hx_facility_conductance: float  # W/K at nominal facility flow, h₂
    hx_fouling_resistance: float  # K/W
    hx_secondary_flow: float  # m³/s, nominal
    facility_flow: float  # m³/s with the facility valve fully open (nominal)
    temperature_gain: float  # facility valve per K
    temperature_integral_seconds: float
    valve_seconds: float  # facility valve actuator lag
    minimum_valve: float
    rated_heat_watts: float
    source: str = ""


@dataclass(frozen=True)
class Rack:
    name: str
    rack_class: RackClass
    row: str
    position: int
    cell: str  # "hall" or "staging"
    loop: str | None
    zone: str
    feeds: tuple[str, ...]  # names of its RACK nodes, A first
    valve_position: float = 1.0
    risk_tier: str = "standard"


@dataclass(frozen=True)
class PowerNode:
    """A node of the power tree. ``parent`` is None only for a utility. A breaker protects the node's own supply."""

    name: str
    kind: NodeKind
    parent: str | None
    feed: str  # "A" or "B"
    voltage: float = 480.0  # V, line to line
    breaker: Breaker | None = None
    efficiency: float = 1.0  # P_in = (P_out + c)/η
    fixed_loss_watts: float = 0.0
    battery_joules: float = 0.0  # of a UPS


@dataclass(frozen=True)
class AuxiliaryLoad:
    """A constant electrical load on a panel: three-phase through its weights, or line to line."""

    name: str
    node: str
    power_watts: float
    power_factor: float
    phase_weights: tuple[float, float, float]


@dataclass(frozen=True)
class Loop:
    name: str
    cdu: Cdu
    supply_temperature: float  # °C set point
    racks: tuple[str, ...]


@dataclass(frozen=True)
class AirZone:
    name: str
    setpoint: float  # °C of the supply air
    band: float  # K, proportional band of the CRAHs
    capacity_watts: float  # of all its CRAHs
    fan_watts: float  # of all its CRAHs at full speed
    heat_capacity: float  # J/K of room air and what follows it
    recirculation: float  # fraction of a rack's inlet air drawn from each neighbour's exhaust


@dataclass(frozen=True)
class Facility:
    """Facility water: buffer tank and heat rejection."""

    setpoint: float  # °C of the facility water supply
    tank_heat_capacity: float  # J/K
    capacity_watts: float  # heat rejection
    gain_watts_per_kelvin: float
    approach: float  # K of the tower above wet bulb
    chiller_cop: float  # 0 without chillers: then the water is no colder than the wet bulb and the approach allow
    free_cooling_fraction: float  # W of fans and pumps per W rejected
    dry_bulb: float = 20.0  # °C, without a weather file
    wet_bulb: float = 14.0


@dataclass(frozen=True)
class Emergency:
    """What carries a hall when its utility is lost, and what of its mechanical plant hangs on the UPS."""

    generator_start_seconds: float | None = 12.0  # from the loss to power; None for a hall without generators
    chiller_restart_seconds: float = 600.0  # from power to the start of heat rejection
    chiller_ramp_seconds: float = 120.0  # from its start to all of it
    cdu_pumps_on_ups: bool = True
    water_pumps_on_ups: bool = True  # of facility water
    crah_fans_on_ups: bool = False


@dataclass(frozen=True)
class Backup:
    """A remote pool of fixed size with no plant."""

    name: str
    trays: int


@dataclass(frozen=True)
class Hall:
    """A whole hall, every rack spelled out."""

    name: str
    racks: tuple[Rack, ...]
    nodes: tuple[PowerNode, ...]
    loops: tuple[Loop, ...]
    zones: tuple[AirZone, ...]
    facility: Facility
    auxiliary: tuple[AuxiliaryLoad, ...] = ()
    backup: Backup | None = None
    emergency: Emergency = Emergency()
    source: str = field(default="", compare=False)  # file it was read from, for messages
