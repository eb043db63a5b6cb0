"""A bank of sensors: every device of the signals that share a period and a latency, measured at once.

Sample n is taken at n periods, and what chance has for it depends on n and the device's name only. A stuck sensor
repeats its last reading and does not know it; a lost reading never comes.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from sys import getrefcount

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import Topology
from twin.policy.snapshot import History, Quality
from twin.sim.measured import SIGNALS
from twin.sim.noise import counted, keys, normal, quantiles
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
    SEIZE,
    SEIZED_SAMPLES,
    STEP,
    Codes,
    Floats,
    arrive,
    calm,
    measure,
    show,
)

HISTORY_SECONDS = 900.0
STRETCH = 2  # times that long is an array of histories, before the next one begins with the last of its rows
UNHELD = 3  # references to an array that only its bank has: its tuple's, the loop's and the question's
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
        self.fields = {SIGNALS[name].field: part for name, part in self.parts.items()}  # of a snapshot
        size = len(names)

        def each(attribute: str) -> Floats:
            return np.repeat([float(getattr(spec, attribute)) for spec in specs], counts)

        self._names, self._seed = names, seed
        measured = [SIGNALS[spec.signal] for spec in specs]
        self.limits = np.array(
            [
                (
                    spec.stale_seconds,
                    spec.missing_seconds,
                    float(not signal.unit),
                    0.0 if signal.decimals is None else 10.0**signal.decimals,
                )
                for spec, signal in zip(specs, measured, strict=True)
            ]
        )
        self.dropout = each("dropout_probability")
        self.kinds = np.zeros((len(specs), 7))
        for column, attribute in ((NOISE, "noise"), (NOISE_FRACTION, "noise_fraction"), (STEP, "resolution"),
                                  (LOWEST, "lowest"), (HIGHEST, "highest")):  # fmt: skip
            self.kinds[:, column] = [getattr(spec, attribute) for spec in specs]
        per_hour, seconds = ([getattr(spec, name) for spec in specs] for name in ("stuck_per_hour", "stuck_seconds"))
        self.kinds[:, SEIZE] = -np.expm1(-np.array(per_hour) * self.period / 3_600.0)  # probability per sample
        self.kinds[:, SEIZED_SAMPLES] = np.ceil(np.array(seconds) / max(self.period, 1.0))
        self._ends = np.cumsum(counts)
        self.errors = np.zeros((3, size))
        self.errors[GAIN] = 1.0
        bias, gain = each("bias"), each("gain_fraction")
        if bias.any():
            self.errors[BIAS] = bias * normal(self._keys[1], self._keys[2], 0)
        if gain.any():
            self.errors[GAIN] += gain * normal(self._keys[1], self._keys[2], 1)
        self._truth = np.empty(size)
        self._codes = np.array([READ[name] for name in self.parts])
        self._starts = np.array([part.start for part in self.parts.values()])
        # set from outside
        self.stuck = np.zeros(size, dtype=bool)
        self.lost = self.dropout.copy()
        self.silent = np.zeros(size, dtype=bool)
        self._chance = self._streams()
        # readings
        self.rows = math.ceil(HISTORY_SECONDS / self.period) + 1 if self.period > 0.0 else 0
        self.serial = 0  # of what has been shown
        self._forget()

    @cached_property
    def _keys(self) -> NDArray[np.uint64]:
        return keys(self._seed, self._names, CHANNELS)

    def _streams(self) -> NDArray[np.uint64]:
        """Keys of what chance has for the samples; where it has nothing, any key will do."""
        at_all = self.kinds[:, (NOISE, NOISE_FRACTION, SEIZE)].any() or self.lost.any()
        return self._keys[0] if at_all else np.zeros(len(self._names), dtype=np.uint64)

    def _forget(self) -> None:
        size = len(self._names)
        self.number: int | None = None  # of the latest sample
        self._times, self._past, self._how = np.zeros(0), np.zeros((0, size)), np.zeros((0, size), np.int8)
        self._spare: tuple[Floats, Floats, Codes] | None = None  # the arrays before these
        self._end, self._next = 0, 0  # rows that have arrived, and that have been measured
        self.last = np.full(size, np.nan)  # what the sensor itself showed last
        self.seized_until = np.full(size, -np.inf)  # sample number
        self.value = np.full(size, np.nan)  # the latest that arrived
        self.code = np.full(size, Quality.MISSING, dtype=np.int8)
        self.measured = np.full(size, -np.inf)  # s
        self._read_at = -math.inf
        self._renew()

    def _renew(self) -> None:
        """Begin a new stretch of history with the last rows of the old one, which stays as it is for its holders.

        The arrays before the old ones are used again, unless a history that somebody keeps is part of them.
        """
        old = slice(min(self._end, max(0, self._end - self.rows + 1)), self._next)
        kept = old.stop - old.start
        rows, size = STRETCH * self.rows + kept, len(self._names)
        spare, self._spare = self._spare, (self._times, self._past, self._how)
        # memory that was touched before costs less than fresh pages
        if spare is None or len(spare[0]) < rows or any(getrefcount(array) > UNHELD for array in spare):
            spare = np.empty(rows), np.empty((rows, size)), np.empty((rows, size), dtype=np.int8)
        times, past, how = spare
        times[:kept], past[:kept], how[:kept] = self._times[old], self._past[old], self._how[old]
        self._times, self._past, self._how = times, past, how
        self._end, self._next = self._end - old.start, kept

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

    def due(self, now: float) -> int | None:
        """The number of the sample that is due at ``now``; None where it was taken, and what had arrived let in."""
        newest = math.floor(now / self.period + NOT_LATE)
        return newest if self.number is None or newest > self.number else None

    def catch_up(self, truth: Truth, now: float) -> None:
        """Take the sample that is due at ``now``, unless it was taken, and let in those that have arrived."""
        number = self.due(now)
        if number is not None:
            self._measure(self._exact(truth), number)
        self._arrive(now)

    def read(self, truth: Truth, now: float) -> None:
        """Take a sample and show it at once; it enters no history."""
        if self.number is None:
            self.number = 0
        elif now != self._read_at:
            self.number += 1
        self._read_at = now
        reading, code = np.empty(len(self.value)), np.empty(len(self.value), dtype=np.int8)
        self._sample(self._exact(truth), self.number, reading, code)
        self._show(now, reading, code)

    def _exact(self, truth: Truth) -> Floats:
        truth.read(self._codes, self._starts, self._truth)
        return self._truth

    def _measure(self, exact: Floats, number: int) -> None:
        """Take sample ``number`` and send it off: into a row of the history that nobody sees until it has arrived."""
        if self._next == len(self._times):
            self._renew()
        self.number = number
        self._times[self._next] = number * self.period
        self._sample(exact, number, self._past[self._next], self._how[self._next])
        self._next += 1

    def _sample(self, exact: Floats, number: int, reading: Floats, code: Codes) -> None:
        """Readings of sample ``number`` and what is known of them; what is lost on its way is NaN and MISSING."""
        measure(
            exact, self.errors, self.kinds, self._ends, self._chance, counted(number), number, quantiles(),
            self.stuck, self.lost, self.seized_until, self.silent, self.last, reading, code,
        )  # fmt: skip

    # ------------------------------------------------------------------ show

    def _arrive(self, now: float) -> None:
        """Let in what was measured a latency ago."""
        while self._end < self._next and self._times[self._end] + self.latency <= now + NOT_LATE:
            self._show(float(self._times[self._end]), self._past[self._end], self._how[self._end])
            self._end += 1

    def _show(self, time: float, reading: Floats, code: Codes) -> None:
        arrive(reading, code, float(time), self.value, self.code, self.measured)
        self.serial += 1

    def show(self, now: float) -> tuple[Floats, Floats, Codes]:
        """Values, ages [s] and qualities at ``now``, each of its own, that nobody can write to."""
        size = len(self._names)
        value, age, quality = np.empty(size), np.empty(size), np.empty(size, dtype=np.int8)
        show(float(now), self.limits, self._ends, self.value, self.code, self.measured, value, age, quality)
        for each in (value, age, quality):
            each.setflags(write=False)
        return value, age, quality

    def is_calm(self, now: float, oldest: float, lowest: Floats, highest: Floats) -> bool:
        """Whether at ``now`` [s] all readings that have bounds are good, within them, and not from before ``oldest``
        [s]. Bounds are of shape (N,), NaN for devices that may read anything."""
        times = float(now), float(oldest)
        return bool(calm(*times, self.limits, self._ends, self.value, self.code, self.measured, lowest, highest))

    def history(self) -> History:
        """Times, readings and qualities of the last rows: parts of arrays whose rows are written once."""
        rows = slice(max(0, self._end - self.rows), self._end)
        past = self._times[rows], self._past[rows], self._how[rows]
        for part in past:
            part.setflags(write=False)
        return History(*past)
