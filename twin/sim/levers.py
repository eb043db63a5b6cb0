"""Inputs of the plant that several faults may push at once: what each of them does, and what comes of all together.

A fault never puts back what it found: another may have pushed the same input since. It lets go of its own part, and
the input is made again of its rest value and the parts that are left.
"""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import simpy

from twin.plant.facility import AVAILABLE, DRY_BULB, SET, WET_BULB
from twin.plant.plant import Plant

SLICES = 60  # steps of a ramp, none of them shorter than a second

Where = tuple[int, ...]
Combine = Callable[[Any, Sequence[Any]], Any]


def added(rest: float, parts: Sequence[float]) -> float:
    """Every fault adds its part."""
    return math.fsum((rest, *parts))


def multiplied(rest: float, parts: Sequence[float]) -> float:
    """Every fault leaves its share of what the others leave."""
    return math.prod(parts, start=rest)


def latest(rest: float, parts: Sequence[float]) -> float:
    """The latest fault decides."""
    return parts[-1] if parts else rest


def held_off(rest: bool, parts: Sequence[Any]) -> bool:
    """Off while any fault holds it off."""
    return bool(rest) and not parts


def outside(rest: tuple[float, float], parts: Sequence[tuple[str, float, float]]) -> tuple[float, float]:
    """Dry and wet bulb: the latest weather of a story in place of the rest, and what heat adds; wet never above dry."""
    dry, wet = rest
    for word, first, second in parts:
        if word == "instead":
            dry, wet = first, second
    dry += math.fsum(part[1] for part in parts if part[0] == "added")
    wet += math.fsum(part[2] for part in parts if part[0] == "added")
    return dry, min(dry, wet)


class Kind(NamedTuple):
    """One sort of input: its value at rest, how parts combine, and how it is set. ``w`` says which one it is."""

    rest: Callable[["Levers", Where], Any]
    combine: Combine
    put: Callable[["Levers", Where, Any], None]


KINDS: dict[str, Kind] = {
    "pump": Kind(lambda k, w: bool(k.plant.u.pump_on[w]), held_off, lambda k, w, v: k.plant.set_pump(w[0], w[1], v)),
    "health": Kind(
        lambda k, w: k.plant.u.pump_health[w], multiplied, lambda k, w, v: k.plant.set_health(w[0], w[1], v)
    ),
    # where a valve is told to be shows once nothing holds it
    "valve command": Kind(lambda k, w: k("valve", *w).rest, latest, lambda k, w, v: k("valve", *w).rest_at(v)),
    "valve": Kind(lambda k, w: k.plant.u.rack["valve"][w], latest, lambda k, w, v: k.plant.set_valve(w[0], v)),
    "supply": Kind(lambda k, w: k.plant.u.loop["supply_set"][w], latest, lambda k, w, v: k.plant.set_supply(w[0], v)),
    "fouling": Kind(lambda k, w: k.plant.u.loop["fouling"][w], added, lambda k, w, v: k.plant.set_fouling(w[0], v)),
    "main": Kind(lambda k, w: k.plant.u.loop["main_factor"][w], multiplied, lambda k, w, v: k.plant.set_main(w[0], v)),
    "water": Kind(
        lambda k, w: k.plant.u.loop["water_factor"][w], multiplied, lambda k, w, v: k.plant.set_water(w[0], v)
    ),
    "set point": Kind(lambda k, w: k.plant.u.facility[SET], added, lambda k, w, v: k.plant.set_facility_water(v)),
    "rejection": Kind(lambda k, w: k.plant.u.facility[AVAILABLE], multiplied, lambda k, w, v: k.plant.set_rejection(v)),
    "weather": Kind(
        lambda k, w: (float(k.plant.u.facility[DRY_BULB]), float(k.plant.u.facility[WET_BULB])),
        outside,
        lambda k, w, v: k.plant.set_weather(*v),
    ),
    "crah": Kind(lambda k, w: k.plant.u.zone["factor"][w], multiplied, lambda k, w, v: k.plant.set_crah(w[0], v)),
    "interface": Kind(lambda k, w: 1.0, multiplied, lambda k, w, v: k.plant.set_interface(np.array(w), v)),
    "source": Kind(lambda k, w: bool(k.plant.u.source_on[w]), held_off, lambda k, w, v: k.plant.set_source(w[0], v)),
    "phase": Kind(lambda k, w: bool(k.plant.u.phase_on[w]), held_off, lambda k, w, v: k.plant.set_phase(w[0], w[1], v)),
}


class Lever:
    """One input of the plant: its value at rest, and the parts of the faults that push it, in the order they came."""

    rest: Any

    def __init__(self, rest: Any, combine: Combine, put: Callable[[Any], None]) -> None:
        self.rest = rest
        self._combine = combine
        self._put = put
        self._parts: dict[int, Any] = {}
        self._next = 0

    @property
    def value(self) -> Any:
        return self._combine(self.rest, tuple(self._parts.values()))

    @property
    def pushed(self) -> bool:
        """Whether any fault pushes it."""
        return bool(self._parts)

    def push(self, part: Any) -> int:
        """Add a part; returns its number."""
        number = self._next
        self._next += 1
        self.move(number, part)
        return number

    def move(self, number: int, part: Any) -> None:
        """Change a part."""
        self._parts[number] = part
        self._put(self.value)

    def drop(self, number: int) -> None:
        """Take a part away."""
        if self._parts.pop(number, None) is not None:
            self._put(self.value)

    def rest_at(self, value: Any) -> None:
        """Change the value at rest, which shows where no fault hides it."""
        self.rest = value
        self._put(self.value)


class Levers:
    """Every lever of a plant, made when it is first asked for."""

    plant: Plant

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._levers: dict[tuple[str, Where], Lever] = {}

    def __call__(self, name: str, *where: int) -> Lever:
        """The lever of an input (a name of :data:`KINDS`) at its indices."""
        key = (name, where)
        if key not in self._levers:
            kind = KINDS[name]
            self._levers[key] = Lever(kind.rest(self, where), kind.combine, lambda value: kind.put(self, where, value))
        return self._levers[key]


class Push:
    """One fault's part in a lever, which may come on and go off over time: ``part`` of 0 is nothing, of 1 all of it."""

    def __init__(self, env: simpy.Environment, lever: Lever, part: Callable[[float], Any]) -> None:
        self._env = env
        self._lever = lever
        self._part = part
        self._at = 0.0
        self._turn = 0
        self._number: int | None = None

    def go(self, to: float, seconds: float | None = None, then: Callable[[], None] | None = None) -> None:
        """Move to ``to`` in a straight line over ``seconds`` [s], at once without, and call ``then``.

        A later call takes over from wherever an earlier one has come to.
        """
        self._turn += 1
        if seconds is None:
            self._set(to)
            if then is not None:
                then()
        else:
            self._env.process(self._ramp(to, seconds, self._turn, then))

    def _ramp(
        self, to: float, seconds: float, turn: int, then: Callable[[], None] | None
    ) -> Generator[simpy.Event, Any, None]:
        begun = self._at
        steps = max(1, min(SLICES, int(seconds)))
        for step in range(steps):
            self._set(begun + (to - begun) * (step + 0.5) / steps)  # the mean of the line over the slice
            yield self._env.timeout(seconds / steps)
            if turn != self._turn:
                return
        self._set(to)
        if then is not None:
            then()

    def _set(self, at: float) -> None:
        self._at = at
        if at == 0.0:
            if self._number is not None:
                self._lever.drop(self._number)
                self._number = None
        elif self._number is None:
            self._number = self._lever.push(self._part(at))
        else:
            self._lever.move(self._number, self._part(at))
