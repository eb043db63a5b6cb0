"""What the processes of one run share: clock, plant, timeline, trays and who holds them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant.plant import Plant
from twin.policy.degradation import Degradation
from twin.policy.facility import Facility
from twin.policy.profile import KINDS
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot
from twin.sim.clock import HybridEnvironment
from twin.sim.declarations import HORIZONS, Declarations
from twin.sim.facility import facility_of
from twin.sim.images import Images
from twin.sim.levers import Levers
from twin.sim.log import EventLog
from twin.sim.readings import phase_names
from twin.sim.sensor_settings import DIRECT, SensorSpec
from twin.sim.sensors import Sensors
from twin.sim.tolerances import NOMINAL, Tolerances

if TYPE_CHECKING:
    from twin.sim.chance import FaultRate
    from twin.sim.forecasting import Forecaster
    from twin.sim.releases import RolloutSettings
    from twin.sim.response import ResponseSettings
    from twin.sim.rollout import Rollout
    from twin.sim.runner import JobRun, Pin
    from twin.sim.services import ServiceRun

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """How a run is made, apart from hall, workload, policy and scenario."""

    control_period_seconds: float = 10.0  # between two looks of the scheduler
    control_always: bool = False  # look at every period, whether or not anything changed
    service_period_seconds: float = 10.0  # between two updates of a service's load
    warmup_seconds: float = 0.0
    record_interval_seconds: float = 60.0
    reclose_seconds: float = 900.0  # from a trip to the operator's manual reclose
    restart_stagger_seconds: float = 10.0  # between racks that come back on one breaker
    boot_seconds: float = 300.0  # from power to service
    device_restart_seconds: float = 600.0  # from a device's thermal shutdown to its restart
    greatest_restarts: int = 10  # a job that was lost more often is killed
    service_deadband: float = 0.01  # change of utilisation below which a service's power stays
    capping: bool = False  # three-band power capping in the rack managers
    greatest_clock: float = 1.0  # of nominal, that a policy lets any tray run at
    weather: tuple[tuple[float, float, float], ...] = ()  # (seconds, dry bulb °C, wet bulb °C)
    faults: tuple[FaultRate, ...] = ()  # that come by chance
    sensors: tuple[SensorSpec, ...] = DIRECT  # what policies see the hall through
    tolerances: Tolerances = NOMINAL  # within which devices differ
    response: ResponseSettings | None = None  # the response ladder, if there is one
    pinned: Callable[[JobRequest, Pin, float], None] | None = None  # hears of jobs put where somebody said [s]
    forecaster: Forecaster | None = None  # of a policy that makes forecasts, to keep score of them
    rollout: RolloutSettings | None = None  # how releases are rolled out, if that is said


@dataclass
class Disturbance:
    """Something that happened to power or cooling and may be the cause of what follows.

    A fault lasts until it is repaired (``ended`` is infinite until then); a step in a cascade ends as it happens.
    """

    event: int
    time: float
    racks: NDArray[np.bool_]  # whom it may reach
    ended: float
    tray: int | None = None  # of one tray only


@dataclass(frozen=True)
class TelemetryOutage:
    """Whose telemetry is silent: of the whole hall, or of a row, rack or loop."""

    kind: str  # "hall", "row", "rack" or "loop"
    name: str | None
    signals: tuple[str, ...] = ()  # empty: all


MEMORY_SECONDS = 3_600.0  # a disturbance that ended longer ago than this explains nothing new


@dataclass
class World:
    topology: Topology
    plant: Plant
    env: HybridEnvironment
    log: EventLog
    settings: Settings
    holder: Any  # per tray: the job that holds it, or None; kept as an array of objects
    in_service: NDArray[np.bool_]  # per rack: powered and booted
    held: NDArray[np.bool_]  # per tray: its load is held by the scenario
    wake: Callable[[], None] = lambda: None  # tells the scheduler that something changed
    power_causes: list[Disturbance] = field(default_factory=list)
    cooling_causes: list[Disturbance] = field(default_factory=list)
    lost_power: dict[str, float] = field(default_factory=dict)  # root → J not drawn
    runs: list[JobRun] = field(default_factory=list)
    running: dict[int, JobRun] = field(default_factory=dict)  # by number; kept by the runs themselves
    #: of those that end, by number, likewise: declared end [s], number and trays
    ends: dict[int, tuple[float, int, int]] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)  # runs by status; kept likewise
    requeued: list[JobRun] = field(default_factory=list)  # since the scheduler's last look
    telemetry_outages: list[TelemetryOutage] = field(default_factory=list)  # at present
    seed: int = 0  # of what is drawn in the run itself
    sensors: Sensors = field(init=False)
    taken: NDArray[np.bool_] = field(init=False)  # per tray: somebody holds it
    kind_trays: Ints = field(init=False)  # per rack and class of work (:data:`twin.policy.profile.KINDS`): trays held
    declared: Declarations = field(init=False)  # what owners of running work say that it will draw
    looks: int = 0  # snapshots taken
    _first_look: FacilitySnapshot | None = None  # of which the next ones keep what stays
    kept_off: set[int] = field(default_factory=set)  # racks that policy has switched off
    admitting: NDArray[np.bool_] = field(init=False)  # per rack: no flag pauses admissions
    degraded: dict[int, Degradation] = field(default_factory=dict)  # rack → what flags turn down there
    #: services that flags single out → rack → what is turned down of their replicas there, the rack's own part included
    degraded_services: dict[str, dict[int, Degradation]] = field(default_factory=dict)
    services: dict[str, ServiceRun] = field(default_factory=dict)  # by name
    rollouts: list[Rollout] = field(default_factory=list)  # in the order of their start
    slowed: list[tuple[int, int]] = field(default_factory=list)  # racks that throttled, with events, since the first
    images: Images = field(default_factory=Images)  # builds that releases put on racks
    frozen: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # why → racks where nothing may be deployed
    experiments_off: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # likewise, of experimental releases
    services_off: dict[str, str] = field(default_factory=dict)  # why → service whose experimental releases are held

    def __post_init__(self) -> None:
        self.holder = np.array(self.holder, dtype=object)
        self.taken = np.array([holder is not None for holder in self.holder], dtype=bool)
        self.kind_trays = np.zeros((len(self.topology.rack_names), len(KINDS)), dtype=np.int64)
        self.declared = Declarations(
            self.topology.rack_tray0, *self.tray_nameplate, self.tray_warm_watts, *self._shelves[1:]
        )
        self._free = np.zeros(len(self.topology.rack_names), dtype=np.int64)
        self._uncounted: set[int] = set()  # racks whose free trays are to be counted again
        self._counted = -1  # changes of trays that are ready, when all were counted
        self.admitting = np.ones(len(self.topology.rack_names), dtype=bool)
        self.sensors = Sensors(self.topology, self.plant, self.settings.sensors, self.seed)

    @property
    def scaled_back(self) -> bool:
        """Whether flags turn anything down."""
        return bool(self.degraded or self.degraded_services)

    def turned_down(self, service: str | None) -> dict[int, Degradation]:
        """What flags turn down of a service's replicas, or of other work, by rack."""
        return self.degraded_services.get(service or "", self.degraded)

    @cached_property
    def levers(self) -> Levers:
        """The inputs of the plant that faults push."""
        return Levers(self.plant)

    # ------------------------------------------------------------------ names

    @cached_property
    def rack_index(self) -> dict[str, int]:
        """Place of every rack by its name."""
        return {name: rack for rack, name in enumerate(self.topology.rack_names)}

    @cached_property
    def largest_rack(self) -> int:
        """Trays of the rack that has most."""
        return int(np.diff(self.topology.rack_tray0).max())

    def trays_of(self, rack: int) -> Ints:
        return np.arange(self.topology.rack_tray0[rack], self.topology.rack_tray0[rack + 1])

    def level_of(self, node: int) -> str:
        return NODE_KINDS[self.topology.node_kind[node]]

    def racks_below(self, node: int) -> NDArray[np.bool_]:
        """Racks fed through a power node, shape (R,)."""
        parent = self.topology.node_parent
        below = np.zeros(len(parent), dtype=bool)
        below[node] = True
        for n in range(len(parent)):
            if parent[n] >= 0 and below[parent[n]]:
                below[n] = True
        feeds = self.topology.rack_feed
        return np.asarray(((feeds >= 0) & below[feeds]).any(axis=1), dtype=np.bool_)

    def racks_of_loop(self, loop: int) -> NDArray[np.bool_]:
        return self.topology.rack_loop == loop

    # ------------------------------------------------------------------ time

    def tick_after(self, time: float) -> float:
        """The control tick at which a change at ``time`` [s] is looked at."""
        period = self.settings.control_period_seconds
        return (math.floor(time / period) + 1.0) * period if time > 0.0 else 0.0

    # ------------------------------------------------------------------ causes

    def disturb_power(self, event: int, racks: NDArray[np.bool_], *, lasting: bool = False) -> Disturbance:
        return self._disturb(self.power_causes, Disturbance(event, self.env.now, racks, self._end(lasting)))

    def disturb_cooling(
        self, event: int, racks: NDArray[np.bool_], *, lasting: bool = False, tray: int | None = None
    ) -> Disturbance:
        return self._disturb(self.cooling_causes, Disturbance(event, self.env.now, racks, self._end(lasting), tray))

    def _end(self, lasting: bool) -> float:
        return math.inf if lasting else self.env.now

    def _disturb(self, causes: list[Disturbance], found: Disturbance) -> Disturbance:
        causes[:] = [old for old in causes if self.env.now - old.ended <= MEMORY_SECONDS]
        causes.append(found)
        return found

    def cause(self, causes: list[Disturbance], racks: NDArray[np.bool_], tray: int | None = None) -> int:
        """The latest remembered disturbance that reaches any of ``racks`` (and this tray, if it is of one), or −1."""
        for found in reversed(causes):
            forgotten = self.env.now - found.ended > MEMORY_SECONDS
            elsewhere = found.tray is not None and found.tray != tray
            if not forgotten and not elsewhere and bool((found.racks & racks).any()):
                return found.event
        return -1

    # ------------------------------------------------------------------ load

    def set_load(self, trays: Ints, utilisation: float | NDArray[np.float64], **profile: Any) -> None:
        """Give trays a power profile, except those that the scenario holds. Arrays have one value per tray."""
        held = self.held[trays]
        if not np.logical_or.reduce(held):
            self.plant.set_load(trays, utilisation, **profile)
            return
        self.plant.u.tray["busy"][trays] = 1
        if not held.all():
            mine = ~held
            kept: dict[str, Any] = {key: _those(value, mine) for key, value in profile.items()}
            self.plant.set_load(trays[mine], _those(utilisation, mine), **kept)

    def move_load(
        self, trays: Ints, utilisation: float | NDArray[np.float64], sigma_watts: float | NDArray[np.float64]
    ) -> None:
        """Change the power of trays whose profile stays, except those that the scenario holds."""
        held = self.held[trays]
        if np.logical_or.reduce(held):
            trays, utilisation, sigma_watts = trays[~held], _those(utilisation, ~held), _those(sigma_watts, ~held)
        if len(trays):
            self.plant.move_load(trays, utilisation, sigma_watts)

    def hold(self, trays: Ints, run: JobRun) -> None:
        """Give trays to a job."""
        self._allot(trays, run, True)
        self.plant.allocate(trays, True)

    def release(self, trays: Ints, run: JobRun) -> None:
        """Leave trays that a job holds idle and unallocated."""
        self.plant.allocate(trays, False)
        free = trays[~self.held[trays]]
        if len(free) < len(trays):
            self.plant.u.tray["busy"][trays] = 0
        if len(free):
            self.plant.clear_load(free)
        self._allot(trays, run, False)
        self.declared.declare(trays, 0.0)

    def _allot(self, trays: Ints, run: JobRun, taken: bool) -> None:
        """Note that a job takes trays, or leaves them."""
        self.holder[trays] = run if taken else None
        self.taken[trays] = taken
        racks = self.topology.tray_rack[trays]
        np.add.at(self.kind_trays[:, KINDS.index(run.job.kind.value)], racks, 1 if taken else -1)
        self._uncounted.update(racks.tolist())

    def usable_trays(self, rack: int) -> Ints:
        """Free trays of a rack in service that are on."""
        if not self.in_service[rack]:
            return np.zeros(0, dtype=np.int64)
        first, end = self._shelves[0][rack : rack + 2]
        return first + (self.plant.ready[first:end] > self.taken[first:end]).nonzero()[0]

    def free_trays(self) -> Ints:
        """Free trays of every rack that are on, whether or not it is in service."""
        ready, taken, first = self.plant.ready, self.taken, self._shelves[0]
        if self._counted != self.plant.ready_changes:
            self._counted = self.plant.ready_changes
            self._free = np.add.reduceat(ready & ~taken, self.topology.rack_tray0[:-1], dtype=np.int64)
        else:
            for rack in self._uncounted:
                trays = slice(first[rack], first[rack + 1])
                self._free[rack] = np.count_nonzero(ready[trays] > taken[trays])
        self._uncounted.clear()
        return self._free.copy()

    # ------------------------------------------------------------------ snapshot

    @cached_property
    def nameplate(self) -> NDArray[np.float64]:
        """Nameplate power of every rack in whole watts."""
        return np.array([float(round(rack.rack_class.max_power_watts)) for rack in self.topology.hall.racks])

    @cached_property
    def tray_watts(self) -> NDArray[np.float64]:
        """Greatest power of every tray."""
        return np.asarray(self.plant.c.idle + self.plant.c.span)

    @cached_property
    def facility(self) -> Facility:
        """What feeds and cools the racks."""
        return facility_of(self.topology, self.plant.c)

    @cached_property
    def tray_nameplate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Power of every tray by its class [W]: idle, and from there to its maximum."""
        classes = [rack.rack_class for rack in self.topology.hall.racks]
        counts = np.diff(self.topology.rack_tray0)
        idle = np.repeat([each.tray_idle_watts for each in classes], counts)
        return idle, np.repeat([each.tray_max_watts for each in classes], counts) - idle

    @cached_property
    def tray_warm_watts(self) -> NDArray[np.float64]:
        """What leakage adds by class to a tray at full load that is as warm as it may be without slowing [W]: owners
        know what their work draws on warm trays, and declare it."""
        classes = [rack.rack_class for rack in self.topology.hall.racks]
        warm = [
            each.leakage_watts_per_kelvin * max(0.0, each.slowdown_celsius - each.leakage_reference_celsius)
            for each in classes
        ]
        return np.repeat(warm, np.diff(self.topology.rack_tray0))

    def inlet_watts(self, tray_watts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Power at every rack's inlet [W] for powers of all trays [W], at full clock and without leakage."""
        _, per_watt, fixed = self._shelves
        return np.asarray(np.add.reduceat(tray_watts, self.topology.rack_tray0[:-1]) * per_watt + fixed)

    @cached_property
    def _shelves(self) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
        """First tray of every rack, and its inlet power as a law of its trays': watts for a watt, and watts [W]."""
        rack = self.plant.c.rack
        return self.topology.rack_tray0.tolist(), 1.0 + rack["loss_share"], rack["loss_fixed"].copy()

    @cached_property
    def installed(self) -> Ints:
        """Trays of every rack."""
        return np.diff(self.topology.rack_tray0)

    @cached_property
    def ratings(self) -> NDArray[np.float64]:
        """Rating of every breaker in amperes, as it stands on its nameplate."""
        rated = {
            node.name: node.breaker.rating_amperes for node in self.topology.hall.nodes if node.breaker is not None
        }
        return np.array([rated[name] for name in self.topology.breaker_names])

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases that are metered."""
        return phase_names(self.topology)

    def take_readings(self) -> None:
        """Let sensors take the readings that are due now, before anything else of this instant moves what they read."""
        self.env.read()
        self.sensors.catch_up(self.env.now, self.telemetry_outages)

    def open_trays(self) -> Ints:
        """Free trays of racks in service, by rack: those that are on."""
        return np.where(self.in_service, self.free_trays(), 0)

    def snapshot(self) -> FacilitySnapshot:
        """The hall as a policy sees it now: allocation and health as software knows them, the rest through sensors.

        Nobody can write to it: it may be recorded later than it was shown.
        """
        self.env.read()
        topology = self.topology
        self.looks += 1
        sensed = self.sensors.look(self.env.now, self.telemetry_outages)
        declared, ahead = self.declared.watts(self.env.now)
        readings: dict[str, Any] = {
            **sensed.values,
            "breaker_closed": _closed(sensed.values["breaker_closed"] > 0.5),
            "time_seconds": self.env.now,
            "rack_free_trays": _closed(self.open_trays()),
            "rack_healthy": _fixed(self.in_service),
            "rack_admitting": _fixed(self.admitting),
            "rack_kind_trays": _fixed(self.kind_trays),
            "rack_declared_power_watts": declared,
            "rack_declared_ahead_watts": ahead,
            "queue_depth": self.tally["queued"],
            "serial": self.looks,
            "ages": sensed.ages,
            "qualities": sensed.qualities,
            "histories": sensed.histories,
        }
        if self._first_look is None:
            self._first_look = FacilitySnapshot(
                rack_names=topology.rack_names,
                row_names=topology.row_names,
                loop_names=topology.loop_names,
                breaker_names=topology.breaker_names,
                phase_names=self.phases,
                rack_row=_fixed(topology.rack_row),
                rack_loop=_fixed(topology.rack_loop),
                rack_trays=_fixed(self.installed),
                rack_production=_fixed(topology.rack_production),
                rack_max_power_watts=_fixed(self.nameplate),
                facility=self.facility,
                declared_ahead_seconds=HORIZONS,
                breaker_rating_amperes=_fixed(self.ratings),
                **readings,
            )
            return self._first_look
        return self._first_look.with_fields(**readings)


def _those(value: Any, mine: NDArray[np.bool_]) -> Any:
    """The entries of an array that belong to some trays; what is one value for all stays."""
    return value[mine] if isinstance(value, np.ndarray) else value


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that nobody can write to: who records looks need not compare it with that of the look before."""
    return _closed(array.copy())


def _closed(array: NDArray[Any]) -> NDArray[Any]:
    """The array, closed for writing."""
    array.setflags(write=False)
    return array
