"""The hybrid clock: a SimPy environment whose gaps are filled by a plant.

Only events create events, so nothing new can happen before ``peek()``: the plant runs to that time under frozen
inputs. If a guard is crossed on the way, the crossing becomes an event at the head of the queue.

An event that is known to leave the plant alone (:class:`Aside`) does not stop it: the plant runs past it, and stands
ahead of the clock for a while (lookahead, as in conservative parallel simulation: Fujimoto, *Parallel and Distributed
Simulation Systems*). Neither does one that changes loads only (:class:`Local`), as long as the plant is certain that
loads alone can trip nothing: it takes such a change in after the fact.
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

    now: float

    @property
    def certain(self) -> bool: ...
    def open(self, now: float, until: float) -> float: ...
    def catch_up(self) -> float | None: ...
    def close(self) -> Crossed | None: ...
    def settle(self, now: float) -> Crossed | None: ...
    def flow(self, now: float, until: float) -> Crossed | None: ...


class Aside(simpy.Timeout):
    """An event that neither reads nor moves the plant, and nothing that comes of it does before ``felt`` [s]."""

    def __init__(self, env: simpy.Environment, delay: float, felt: float) -> None:
        super().__init__(env, delay)
        self.felt = felt


class Local(Aside):
    """An event that does not read the plant and changes nothing in it but loads, and what comes of it likewise."""


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
        self.asked_to_stop = False  # before the next event, see twin.sim.interrupt

    #: crossings of one guard at one instant before it is an error: a device may pass all three of its levels at once
    repeats = 3

    def step(self) -> None:
        """Let the plant fill the time to the next event, then process that event."""
        if self.asked_to_stop:
            raise KeyboardInterrupt
        first = self.peek()
        if self._pending is None and self.now < first < math.inf:
            crossing = self._run(first)
            if crossing is not None:
                self._announce(crossing)
        super().step()

    def _run(self, first: float) -> Crossed | None:
        """Let the plant run to the next event, or past it; returns what it crossed on the way."""
        plant = self._plant
        end = plant.catch_up()
        reached = max(self.now, self._reached) if end is None else end
        crossing = None
        while crossing is None and reached <= first:
            crossing = plant.close()
            if crossing is not None or reached == first:
                break
            crossing = plant.settle(reached)
            if crossing is None:
                until = self._horizon(first)
                if until > first:
                    reached = plant.open(reached, until)
                else:
                    reached, crossing = until, plant.flow(reached, until)
        self._reached = reached
        plant.now = first
        return crossing

    def _horizon(self, first: float) -> float:
        """To where the plant may run [s]: the first time at which something may come of an event that reads it."""
        if not isinstance(self._queue[0][3], Aside):
            return first
        certain = self._plant.certain
        horizon, waiting = math.inf, [0]  # places in the heap, each of which is no later than the two below it
        while waiting:
            place = waiting.pop()
            if place < len(self._queue) and self._queue[place][0] < horizon:
                event = self._queue[place][3]
                if isinstance(event, Aside) and (certain or not isinstance(event, Local)):
                    horizon = min(horizon, event.felt)
                    waiting += [2 * place + 1, 2 * place + 2]
                else:
                    horizon = self._queue[place][0]
        return max(first, horizon)

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
