"""Between plant and policy: all sensors of a hall, measuring in time, and what can be seen of them at one look.

Policies see sensors, never the truth. A reading is measured at multiples of its sensor's period, after the physical
events of that instant, and can be seen a latency later; until the next one arrives it ages. A sensor without a period
reads the truth whenever a policy looks: that is how the engine is by itself (:data:`twin.sim.sensor_settings.DIRECT`).
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import EventPriority

from twin.hall.topology import Topology
from twin.plant.plant import Plant
from twin.policy.snapshot import Block, Columns, Histories
from twin.sim.bank import Bank, Floats, SensorFault
from twin.sim.clock import HybridEnvironment
from twin.sim.measured import SIGNALS
from twin.sim.readings import Truth, names_of, places_of
from twin.sim.sensor_settings import SensorSpec, error_unit
from twin.sim.transducer import BIAS, GAIN

AFTER_ALL = EventPriority(
    2
)  # SimPy's priorities are 0 and 1: sensors measure when everything else of an instant is done
NOT_LATE = 1e-9  # of a period, by which a time may fall short of a multiple


class Outage(Protocol):
    """What is silent: see :class:`twin.sim.world.TelemetryOutage`."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def signals(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Sensed:
    """One look: readings, ages, qualities and histories by the name of their field."""

    values: Mapping[str, Floats]
    ages: Mapping[str, Floats]
    qualities: Mapping[str, NDArray[np.int8]]
    histories: Histories


class Sensors:
    """All sensors of a hall, in banks of one period and latency."""

    def __init__(self, topology: Topology, plant: Plant, specs: Sequence[SensorSpec], seed: int) -> None:
        self.topology = topology
        self.truth = Truth(topology, plant)
        self.specs = {spec.signal: spec for spec in specs}
        groups: dict[tuple[float, float], list[SensorSpec]] = {}
        for spec in specs:
            groups.setdefault((spec.period_seconds, spec.latency_seconds), []).append(spec)
        self.banks = [Bank(topology, members, seed) for members in groups.values()]
        self.faults: list[SensorFault] = []
        self.begun = False
        self._outages: tuple[Outage, ...] = ()
        self._seen: tuple[Any, Sensed] | None = None

    # ------------------------------------------------------------------ time

    def begin(self, now: float) -> None:
        """Fill the histories with the present, as if it had been so for long: a run starts from equilibrium."""
        for bank in self.banks:
            bank.fill(self.truth, now)
        self.begun = True
        self._seen = None

    def processes(self, env: HybridEnvironment, outages: Sequence[Outage]) -> None:
        """Measure at every multiple of each bank's period from now on."""
        for bank in self.banks:
            if bank.period > 0.0:
                env.process(self._measure(env, bank, outages))

    def _measure(
        self, env: HybridEnvironment, bank: Bank, outages: Sequence[Outage]
    ) -> Generator[simpy.Event, Any, None]:
        while True:
            tick = simpy.Event(env)
            tick._ok, tick._value = True, None
            due = (math.floor(env.now / bank.period + NOT_LATE) + 1) * bank.period
            env.schedule(tick, priority=AFTER_ALL, delay=due - env.now)
            yield tick
            if bank.due(env.now) is None:
                continue  # somebody looked at this very moment
            env.read()
            self._heed(outages)
            bank.catch_up(self.truth, env.now)

    def catch_up(self, now: float, outages: Sequence[Outage]) -> None:
        """Take the readings that are due now. Settle the plant first."""
        self._heed(outages)
        for bank in self.banks:
            if bank.period == 0.0 or not self.begun:
                bank.read(self.truth, now)
            else:
                bank.catch_up(self.truth, now)

    def look(self, now: float, outages: Sequence[Outage]) -> Sensed:
        """What can be seen at ``now`` [s]. Settle the plant first: a reading that is due now is taken now."""
        self.catch_up(now, outages)
        state = (now, tuple(bank.serial for bank in self.banks))
        if self._seen is None or self._seen[0] != state:
            self._seen = (state, self._sensed(now))
        return self._seen[1]

    def _sensed(self, now: float) -> Sensed:
        shown = [(bank.show(now), bank.fields) for bank in self.banks]
        values, ages, qualities = (
            Columns(tuple([(arrays[kind], fields) for arrays, fields in shown])) for kind in range(3)
        )
        histories = tuple([Block(bank.history(), bank.fields) for bank in self.banks])
        return Sensed(values, ages, qualities, Histories(histories))

    # ------------------------------------------------------------------ faults

    def devices_of(self, kind: str, name: str | None, words: Sequence[str]) -> list[tuple[str, int]]:
        """(signal, device) of one thing's own sensors; ``words`` are signals by name, long or short, none for all."""
        found = []
        for signal in SIGNALS.values():
            if signal.kind == kind and (not words or signal.name in words or signal.short in words):
                found.append((signal.name, names_of(self.topology, kind).index(str(name))))
        return found

    def add(self, *faults: SensorFault) -> None:
        """Break sensors."""
        self.faults += faults
        self._apply()

    def remove(self, *faults: SensorFault) -> None:
        """Mend what :meth:`add` broke."""
        for fault in faults:
            self.faults.remove(fault)
        self._apply()

    def _apply(self) -> None:
        for bank in self.banks:
            bank.break_down(self.faults)

    def _heed(self, outages: Sequence[Outage]) -> None:
        """Silence what the outages name. A rack's, a row's or a loop's outage is that of its telemetry gateway."""
        if self._outages == tuple(outages):
            return
        self._outages = tuple(outages)
        for bank in self.banks:
            bank.silent[:] = False
            for name, part in bank.parts.items():
                signal = SIGNALS[name]
                for outage in self._outages:
                    if outage.signals and signal.name not in outage.signals and signal.short not in outage.signals:
                        continue
                    bank.silent[part] |= self._behind(signal.kind, outage)

    def _behind(self, kind: str, outage: Outage) -> NDArray[np.bool_]:
        """Which things of a kind are behind an outage."""
        places = places_of(self.topology, kind)
        if outage.kind == "hall":
            return np.ones(len(places[0]), dtype=bool)
        level = ("rack", "row", "loop").index(outage.kind)
        return np.asarray(places[level] == names_of(self.topology, outage.kind).index(str(outage.name)))

    # ------------------------------------------------------------------ what was drawn

    def draws(self) -> list[tuple[str, str, str, float]]:
        """(device, quantity, unit, value) of every constant error that the sensors of this run have."""
        rows = []
        for bank in self.banks:
            for name, part in bank.parts.items():
                signal, spec = SIGNALS[name], self.specs[name]
                error = error_unit(signal)
                for index, device in enumerate(names_of(self.topology, signal.kind)):
                    if spec.bias > 0.0:
                        rows.append((device, f"{name}_bias", error, float(bank.errors[BIAS, part.start + index])))
                    if spec.gain_fraction > 0.0:
                        rows.append((device, f"{name}_gain_factor", "1", float(bank.errors[GAIN, part.start + index])))
        return rows
