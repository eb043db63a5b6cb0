"""The hybrid clock: a SimPy environment whose gaps are filled by a plant.

Only events create events, so nothing new can happen before ``peek()``: the plant runs to that time under frozen
inputs. If a guard is crossed on the way, the crossing becomes an event at the head of the queue. An event that is known
to leave the plant alone (:class:`Aside`) does not stop it: the plant runs past it, and stands ahead of the clock for a
while (lookahead, as in conservative parallel simulation: Fujimoto, *Parallel and Distributed Simulation Systems*, 2000).
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

    @property
    def window_end(self) -> float: ...
    def settle(self, now: float) -> Crossed | None: ...
    def flow(self, now: float, until: float) -> Crossed | None: ...


class Aside(simpy.Timeout):
    """An event that neither reads nor moves the plant, and nothing that comes of it does before ``felt`` [s]."""

    def __init__(self, env: simpy.Environment, delay: float, felt: float) -> None:
        super().__init__(env, delay)
        self.felt = felt


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
        self._reached = -math.inf  # s, to where the plant has run

    #: crossings of one guard at one instant before it is an error: a device may pass all three of its levels at once
    repeats = 3

    def step(self) -> None:
        """Let the plant fill the time to the next event, then process that event."""
        first = self.peek()
        if self._pending is None and self.now < first < math.inf:
            start, until = max(self.now, self._reached), self._horizon(first)
            if start < until:
                self._reached = until
                crossing = self._plant.settle(start) or self._plant.flow(start, until)
                if crossing is not None:
                    self._announce(crossing)
        super().step()

    def _horizon(self, first: float) -> float:
        """To where the plant may run [s]: no window of it ends before what happened in that window has been counted."""
        head = self._queue[0][3]
        if not isinstance(head, Aside):
            return first
        felt = min(head.felt, *(entry[0] for entry in self._queue[1:3]))  # in a heap the second of all is one of these
        return felt if felt < self._plant.window_end else first

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
        self._reached = crossing.time
        event = Event(self)
        event._ok = True
        event._value = crossing
        event.callbacks.append(self._carry_out)
        # an absolute time: now + (time − now) need not be the time that the plant found
        heappush(self._queue, (crossing.time, URGENT, next(self._eid), event))

    def _carry_out(self, event: Event) -> None:
        self._pending = None
        self._on_crossing(event.value)
