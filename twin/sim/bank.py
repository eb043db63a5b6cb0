"""A bank of sensors: every device of the signals that share a period and a latency, measured at once.

Sample n is taken at n periods, and what chance has for it depends on n and the device's name only. A stuck sensor
repeats its last reading and does not know it; a lost reading never comes.
"""

import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import Topology
from twin.policy.snapshot import Quality
from twin.sim.measured import SIGNALS
from twin.sim.noise import counter, keys, normal, quantiles
from twin.sim.readings import READ, Truth, names_of
from twin.sim.sensor_settings import SensorSpec
from twin.sim.transducer import (
    BIAS,
    GAIN,
    HIGHEST,
    LOWEST,
    NOISE,
    NOISE_FRACTION,
    OFFSET,
    STEP,
    Codes,
    Floats,
    arrive,
    measure,
)

HISTORY_SECONDS = 900.0
STRETCH = 4  # times that long is an array of histories, before the next one begins with the last of its rows
NOT_LATE = 1e-9
CHANNELS = 3  # streams per device: of what chance has for every sample, and two of constant errors


@dataclass(frozen=True)
class SensorFault:
    """Something wrong with the sensors of one signal on one thing, until it is undone."""

    signal: str
    device: int
    stuck: bool = False
    offset: float = 0.0
    lost: float = 0.0  # probability of losing a reading


class Bank:
    """N devices in one row of arrays; ``parts`` says which of them are a signal's."""

    def __init__(self, topology: Topology, specs: list[SensorSpec], seed: int) -> None:
        self.period, self.latency = specs[0].period_seconds, specs[0].latency_seconds
        self.parts: dict[str, slice] = {}
        names: list[tuple[str, ...]] = []
        counts = []
        for spec in specs:
            signal = SIGNALS[spec.signal]
            devices = names_of(topology, signal.kind)
            self.parts[signal.name] = slice(len(names), len(names) + len(devices))
            names += [("sensors", signal.name, device) for device in devices]
            counts.append(len(devices))
        size = len(names)

        def each(attribute: str) -> Floats:
            return np.repeat([float(getattr(spec, attribute)) for spec in specs], counts)

        self._names, self._seed = names, seed
        self.stale, self.missing = each("stale_seconds"), each("missing_seconds")
        self.dropout = each("dropout_probability")
        self.seize = -np.expm1(-each("stuck_per_hour") * self.period / 3_600.0)  # probability per sample
        self.seized_samples = np.ceil(each("stuck_seconds") / max(self.period, 1.0))
        self.errors = np.zeros((8, size))
        for row, attribute in ((NOISE, "noise"), (NOISE_FRACTION, "noise_fraction"), (STEP, "resolution"),
                               (LOWEST, "lowest"), (HIGHEST, "highest")):  # fmt: skip
            self.errors[row] = each(attribute)
        self.errors[GAIN] = 1.0
        bias, gain = each("bias"), each("gain_fraction")
        if bias.any():
            self.errors[BIAS] = bias * normal(self._keys[1], self._keys[2], 0)
        if gain.any():
            self.errors[GAIN] += gain * normal(self._keys[1], self._keys[2], 1)
        self._truth = np.empty(size)
        self._reads = [(READ[name], self._truth[part]) for name, part in self.parts.items()]
        # set from outside
        self.stuck = np.zeros(size, dtype=bool)
        self.lost = self.dropout.copy()
        self.silent = np.zeros(size, dtype=bool)
        self._chance = self._streams()
        # readings
        self.rows = math.ceil(HISTORY_SECONDS / self.period) + 1 if self.period > 0.0 else 0
        self.switch = np.repeat([not SIGNALS[spec.signal].unit for spec in specs], counts)
        self.serial = 0  # of what has been shown
        self._forget()

    @cached_property
    def _keys(self) -> NDArray[np.uint64]:
        return keys(self._seed, self._names, CHANNELS)

    def _streams(self) -> NDArray[np.uint64]:
        """Keys of what chance has for the samples; where it has nothing, any key will do."""
        at_all = (self.errors[NOISE] + self.errors[NOISE_FRACTION] + self.lost + self.seize).any()
        return self._keys[0] if at_all else np.zeros(len(self._names), dtype=np.uint64)

    def _forget(self) -> None:
        size = len(self._names)
        self.number: int | None = None  # of the latest sample
        self._times, self._past, self._how, self._end = (
            np.zeros(0),
            np.zeros((0, size)),
            np.zeros((0, size), np.int8),
            0,
        )
        self.last = np.full(size, np.nan)  # what the sensor itself showed last
        self.seized_until = np.full(size, -np.inf)  # sample number
        self.value = np.full(size, np.nan)  # the latest that arrived
        self.code = np.full(size, Quality.MISSING, dtype=np.int8)
        self.measured = np.full(size, -np.inf)  # s
        self._pending: deque[tuple[float, Floats, Codes]] = deque()
        self._read_at = -math.inf
        self._renew(0)

    def _renew(self, kept: int) -> None:
        """Begin a new stretch of history with the last rows of the old one, which stays as it is for its holders."""
        rows, size = STRETCH * self.rows, len(self._names)
        times, past, how = np.empty(rows), np.empty((rows, size)), np.empty((rows, size), dtype=np.int8)
        if kept:
            times[:kept] = self._times[self._end - kept : self._end]
            past[:kept] = self._past[self._end - kept : self._end]
            how[:kept] = self._how[self._end - kept : self._end]
        self._times, self._past, self._how, self._end = times, past, how, kept

    def break_down(self, faults: list[SensorFault]) -> None:
        """Have these faults and no others."""
        self.stuck[:], self.errors[OFFSET], self.lost[:] = False, 0.0, self.dropout
        for fault in faults:
            if fault.signal in self.parts:
                at = self.parts[fault.signal].start + fault.device
                self.stuck[at] |= fault.stuck
                self.errors[OFFSET, at] += fault.offset
                self.lost[at] = 1.0 - (1.0 - self.lost[at]) * (1.0 - fault.lost)
        self._chance = self._streams()

    # ------------------------------------------------------------------ measure

    def fill(self, truth: Truth, now: float) -> None:
        """Fill the history with readings of the present."""
        self._forget()
        if self.period == 0.0:
            self.read(truth, now)
            return
        newest = math.floor(now / self.period + NOT_LATE)
        exact = self._exact(truth)
        for number in range(newest - self.rows - math.ceil(self.latency / self.period), newest + 1):
            self._measure(exact, number)
            self._arrive(now)

    def catch_up(self, truth: Truth, now: float) -> None:
        """Take the sample that is due at ``now``, unless it was taken, and let in those that have arrived."""
        newest = math.floor(now / self.period + NOT_LATE)
        if self.number is None or newest > self.number:
            self._measure(self._exact(truth), newest)
        self._arrive(now)

    def read(self, truth: Truth, now: float) -> None:
        """Take a sample and show it at once; it enters no history."""
        if self.number is None:
            self.number = 0
        elif now != self._read_at:
            self.number += 1
        self._read_at = now
        self._show(now, *self._sample(self._exact(truth), self.number))

    def _exact(self, truth: Truth) -> Floats:
        for read, place in self._reads:
            place[:] = read(truth)
        return self._truth

    def _measure(self, exact: Floats, number: int) -> None:
        """Take sample ``number`` and send it off."""
        self.number = number
        self._pending.append((number * self.period, *self._sample(exact, number)))

    def _sample(self, exact: Floats, number: int) -> tuple[Floats, Codes]:
        """Readings of sample ``number`` and what is known of them; what is lost on its way is NaN and MISSING."""
        reading, code = np.empty(len(exact)), np.empty(len(exact), dtype=np.int8)
        measure(
            exact, self.errors, self._chance, counter(number)[()], number, quantiles(), self.stuck, self.lost,
            self.seize, self.seized_samples, self.seized_until, self.silent, self.last, reading, code,
        )  # fmt: skip
        return reading, code

    # ------------------------------------------------------------------ show

    def _arrive(self, now: float) -> None:
        """Let in what was measured a latency ago."""
        while self._pending and self._pending[0][0] + self.latency <= now + NOT_LATE:
            time, reading, code = self._pending.popleft()
            self._show(time, reading, code)
            if self._end == len(self._times):
                self._renew(self.rows - 1)
            self._times[self._end], self._past[self._end], self._how[self._end] = time, reading, code
            self._end += 1

    def _show(self, time: float, reading: Floats, code: Codes) -> None:
        arrive(reading, code, float(time), self.value, self.code, self.measured)
        self.serial += 1

    def show(self, now: float) -> tuple[Floats, Floats, Codes]:
        """Values, ages [s] and qualities at ``now``, each of its own."""
        age = now - self.measured
        quality = np.where(age > self.stale, np.int8(Quality.STALE), self.code)
        gone = age > self.missing
        quality[gone] = Quality.MISSING
        value = self.value.copy()
        value[gone & ~self.switch] = np.nan
        return value, age, quality

    def history(self) -> tuple[Floats, Floats, Codes]:
        """Times, readings and qualities of the last rows: parts of arrays whose rows are written once."""
        rows = slice(max(0, self._end - self.rows), self._end)
        return self._times[rows], self._past[rows], self._how[rows]
