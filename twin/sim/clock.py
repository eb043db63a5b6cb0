"""The hybrid clock: a SimPy environment whose gaps are filled by a plant.

Only events create events, so nothing new can happen before ``peek()``: the plant runs to that time under frozen
inputs. If a guard is crossed on the way, the crossing becomes an event at the head of the queue.
"""

import math
from collections.abc import Callable
from heapq import heappush
from typing import Any, Protocol

import simpy
from simpy.events import URGENT, Event


class Crossed(Protocol):
    """What a plant reports: when a guard was crossed, and which one."""

    @property
    def time(self) -> float: ...
    @property
    def guard(self) -> Any: ...
    @property
    def index(self) -> int: ...


class Physics(Protocol):
    """What the clock needs of a plant."""

    def settle(self, now: float) -> Crossed | None: ...
    def flow(self, now: float, until: float) -> Crossed | None: ...


class ZenoError(RuntimeError):
    """A guard keeps firing at one instant: the action on it does not disarm it."""


class HybridEnvironment(simpy.Environment):
    """Settle, then flow, then step. ``on_crossing`` is called, at the crossing's time, with what was crossed.

    A crossing is announced as an URGENT event, so that it precedes every other event of its instant that has not begun.
    """

    def __init__(self, plant: Physics, on_crossing: Callable[[Any], None], initial_time: float = 0.0) -> None:
        super().__init__(initial_time)
        self._plant = plant
        self._on_crossing = on_crossing
        self._pending: Crossed | None = None
        self._fired: dict[tuple[Any, int], int] = {}
        self._fired_at = -math.inf

    #: crossings of one guard at one instant before it is an error: a device may pass all three of its levels at once
    repeats = 3

    def step(self) -> None:
        """Let the plant fill the time to the next event, then process that event."""
        until = self.peek()
        if self._pending is None and self.now < until < math.inf:
            crossing = self._plant.settle(self.now) or self._plant.flow(self.now, until)
            if crossing is not None:
                self._announce(crossing)
        super().step()

    def read(self) -> None:
        """Settle before a read of the plant's outputs; a crossing found so is announced."""
        if self._pending is None:
            crossing = self._plant.settle(self.now)
            if crossing is not None:
                self._announce(crossing)

    def _announce(self, crossing: Crossed) -> None:
        if crossing.time != self._fired_at:
            self._fired.clear()
            self._fired_at = crossing.time
        key = (crossing.guard, crossing.index)
        self._fired[key] = self._fired.get(key, 0) + 1
        if self._fired[key] > self.repeats:
            raise ZenoError(
                f"guard {getattr(crossing.guard, 'name', crossing.guard)} {crossing.index} fired "
                f"{self._fired[key]} times at t = {crossing.time:.6f} s: what acts on it does not disarm it"
            )
        self._pending = crossing
        event = Event(self)
        event._ok = True
        event._value = crossing
        event.callbacks.append(self._carry_out)
        # an absolute time: now + (time − now) need not be the time that the plant found
        heappush(self._queue, (crossing.time, URGENT, next(self._eid), event))

    def _carry_out(self, event: Event) -> None:
        self._pending = None
        self._on_crossing(event.value)
