"""What the processes of one run share: clock, plant, timeline, trays and who holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant.plant import Plant
from twin.plant.server import NORMAL
from twin.policy.snapshot import FacilitySnapshot
from twin.sim.clock import HybridEnvironment
from twin.sim.log import EventLog
from twin.units import litres_per_minute

if TYPE_CHECKING:
    from twin.sim.runner import JobRun

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
    weather: tuple[tuple[float, float, float], ...] = ()  # (seconds, dry bulb °C, wet bulb °C)


@dataclass
class Disturbance:
    """Something that happened to power or cooling and may be the cause of what follows."""

    event: int
    time: float
    racks: NDArray[np.bool_]  # whom it may reach


MEMORY_SECONDS = 3_600.0  # a disturbance older than this explains nothing new


@dataclass
class World:
    topology: Topology
    plant: Plant
    env: HybridEnvironment
    log: EventLog
    settings: Settings
    holder: list[JobRun | None]  # per tray
    in_service: NDArray[np.bool_]  # per rack: powered and booted
    held: NDArray[np.bool_]  # per tray: its load is held by the scenario
    wake: Callable[[], None] = lambda: None  # tells the scheduler that something changed
    power_causes: list[Disturbance] = field(default_factory=list)
    cooling_causes: list[Disturbance] = field(default_factory=list)
    lost_power: dict[str, float] = field(default_factory=dict)  # root → J not drawn
    runs: list[JobRun] = field(default_factory=list)
    running: dict[int, JobRun] = field(default_factory=dict)  # by number; kept by the runs themselves
    tally: Counter[str] = field(default_factory=Counter)  # runs by status; kept likewise
    requeued: list[JobRun] = field(default_factory=list)  # since the scheduler's last look

    taken: NDArray[np.bool_] = field(init=False)  # per tray: somebody holds it

    def __post_init__(self) -> None:
        self.taken = np.array([holder is not None for holder in self.holder], dtype=bool)

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

    # ------------------------------------------------------------------ causes

    def disturb_power(self, event: int, racks: NDArray[np.bool_]) -> None:
        self.power_causes.append(Disturbance(event, self.env.now, racks))

    def disturb_cooling(self, event: int, racks: NDArray[np.bool_]) -> None:
        self.cooling_causes.append(Disturbance(event, self.env.now, racks))

    def cause(self, causes: list[Disturbance], racks: NDArray[np.bool_]) -> int:
        """The latest remembered disturbance that reaches any of ``racks``, or −1."""
        for found in reversed(causes):
            if self.env.now - found.time > MEMORY_SECONDS:
                break
            if bool((found.racks & racks).any()):
                return found.event
        return -1

    # ------------------------------------------------------------------ load

    def set_load(self, trays: Ints, utilisation: float, **profile: Any) -> None:
        """Give trays a power profile, except those that the scenario holds."""
        mine = ~self.held[trays]
        self.plant.u.tray["busy"][trays] = 1
        if mine.any():
            kept: dict[str, Any] = {
                key: value[mine] if isinstance(value, np.ndarray) else value for key, value in profile.items()
            }
            self.plant.set_load(trays[mine], utilisation, **kept)

    def move_load(self, trays: Ints, utilisation: float, sigma_watts: float) -> None:
        """Change the power of trays whose profile stays, except those that the scenario holds."""
        held = self.held[trays]
        if held.any():
            trays = trays[~held]
        if len(trays):
            self.plant.move_load(trays, utilisation, sigma_watts)

    def hold(self, trays: Ints, run: JobRun) -> None:
        """Give trays to a job."""
        for tray in trays.tolist():
            self.holder[tray] = run
        self.taken[trays] = True
        self.plant.allocate(trays, True)

    def release(self, trays: Ints) -> None:
        """Leave trays idle and unallocated."""
        self.plant.allocate(trays, False)
        free = trays[~self.held[trays]]
        self.plant.u.tray["busy"][trays] = 0
        if len(free):
            self.plant.clear_load(free)
        for tray in trays.tolist():
            self.holder[tray] = None
        self.taken[trays] = False

    def usable_trays(self, rack: int) -> Ints:
        """Free trays of a rack in service that are on."""
        if not self.in_service[rack]:
            return np.zeros(0, dtype=np.int64)
        first, end = self.topology.rack_tray0[rack], self.topology.rack_tray0[rack + 1]
        tray = self.plant.u.tray[first:end]
        return first + np.flatnonzero(~self.taken[first:end] & (tray["on"] == 1) & (tray["mode"] == NORMAL))

    def free_trays(self) -> Ints:
        """Free trays of every rack that are on, whether or not it is in service."""
        tray = self.plant.u.tray
        free = ~self.taken & (tray["on"] == 1) & (tray["mode"] == NORMAL)
        return np.add.reduceat(free.astype(np.int64), self.topology.rack_tray0[:-1])

    # ------------------------------------------------------------------ snapshot

    @cached_property
    def nameplate(self) -> NDArray[np.float64]:
        """Nameplate power of every rack in whole watts."""
        return np.array([float(round(rack.rack_class.max_power_watts)) for rack in self.topology.hall.racks])

    @cached_property
    def installed(self) -> Ints:
        """Trays of every rack."""
        return np.diff(self.topology.rack_tray0)

    def snapshot(self) -> FacilitySnapshot:
        """The hall as a policy sees it now."""
        self.env.read()
        topology, plant, c = self.topology, self.plant, self.plant.c
        x, cur = plant.x, plant.cur
        counts = self.free_trays()
        liquid = c.rack["liquid"] == 1
        loop = topology.rack_loop
        supply = np.where(liquid, x.loop[cur, loop, 0] if len(c.loop) else 0.0, x.zone[cur, topology.rack_zone])
        power = np.round(plant.rack_power)
        rows = np.zeros(len(topology.row_names))
        np.add.at(rows, topology.rack_row, power)
        return FacilitySnapshot(
            time_seconds=self.env.now,
            rack_names=topology.rack_names,
            row_names=topology.row_names,
            loop_names=topology.loop_names,
            breaker_names=topology.breaker_names,
            rack_row=topology.rack_row,
            rack_loop=loop,
            rack_trays=self.installed,
            rack_free_trays=np.where(self.in_service, counts, 0),
            rack_healthy=self.in_service.copy(),
            rack_production=topology.rack_production,
            rack_power_watts=power,
            rack_max_power_watts=self.nameplate,
            rack_supply_temperature_celsius=supply,
            rack_return_temperature_celsius=np.where(liquid, x.tc[cur], x.ta[cur]),
            rack_device_temperature_celsius=plant.device_temperature,
            rack_flow_litres_per_minute=litres_per_minute(1.0) * x.flow[cur],
            row_power_watts=rows,
            loop_supply_temperature_celsius=x.loop[cur, :, 0].copy(),
            breaker_current_amperes=np.round(plant.breaker_ratio * c.breaker["rating"], 3),
            breaker_rating_amperes=c.breaker["rating"].copy(),
            breaker_closed=plant.u.closed == 1,
        )
