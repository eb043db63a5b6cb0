"""One story told twice, by the plant and by the oracle, each with hardware of its own, and the two compared.

A story is a list of (time, change); a change is called with the plant and with the oracle. Hardware acts by itself in
both: a device slows, brakes, stops and is released after its dwell; a breaker trips; a rack without power goes dark.
"""

import copy
import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tests.plant.oracle import BRAKED, NORMAL, OFF, SLOWED, Oracle
from twin.plant import meters
from twin.plant.guards import Guard
from twin.plant.plant import Plant

Change = Callable[[Any], object]
Story = Sequence[tuple[float, Change]]
KELVIN = 0.05
SECONDS = 0.010
#: what is compared in kelvin
TEMPERATURES = ("td", "tp", "tc", "ta", "water", "room", "tank")


@dataclass(frozen=True)
class Event:
    """A device's new mode, a breaker's trip or a rack gone dark; slope of what crossed, in its unit per second."""

    time: float
    what: str
    index: int
    mode: int = 0
    slope: float = math.inf


@dataclass
class Told:
    log: list[Event] = field(default_factory=list)
    #: by the plant: states by name at the times looked at
    seen: dict[float, dict[str, np.ndarray]] = field(default_factory=dict)
    #: by the oracle: its solutions, one after another, as functions of time
    pieces: list[tuple[float, float, Callable[[float], dict[str, np.ndarray]]]] = field(default_factory=list)

    def at(self, time: float) -> dict[str, np.ndarray]:
        """The oracle's state at a time, after what happened then; at its end for times past it."""
        time = min(time, self.pieces[-1][1])
        return next(piece(time) for start, end, piece in reversed(self.pieces) if start <= time <= end)


def duplicate(plant: Plant) -> Plant:
    """An independent plant in the same state; hall and constants are shared."""
    return copy.deepcopy(plant, {id(plant.topology): plant.topology, id(plant.c): plant.c})


# ---------------------------------------------------------------- what plant and oracle call differently


def oracle_of(plant: Plant) -> Oracle:
    """An oracle of the plant's hall with its inputs; breaker ratings and die resistances as drawn for it."""
    hall = plant.topology.hall
    kinds = [hall.racks[r].rack_class for r in plant.c.tray_rack]
    nominal = np.array([kind.conduction_resistance for kind in kinds])
    oracle = Oracle(hall, resistance=1.0 / (plant.c.ir * nominal))
    oracle.number(plant.topology.node_names, plant.topology.breaker_names)
    oracle.rating = plant.c.breaker["rating"].copy()
    u = plant.u
    oracle.load[:], oracle.cap[:], oracle.linear[:] = u.tray["load"], u.tray["cap"], u.tray["linear"]
    oracle.on[:], oracle.mode[:] = u.tray["on"] == 1, u.tray["mode"]
    oracle.valve[:] = u.rack["valve"]
    oracle.closed = {name: bool(u.closed[b]) for b, name in enumerate(oracle.breakers)}
    oracle.source = {name: bool(u.source_on[n]) for n, name in enumerate(plant.topology.node_names)}
    for n, name in enumerate(plant.topology.node_names):
        oracle.broken[name] = set(np.flatnonzero(u.phase_on[n] == 0).tolist())
    oracle.pumps = [u.pump_on[j, : len(pumps)] == 1 for j, pumps in enumerate(oracle.pumps)]
    oracle.supply_set[:] = u.loop["supply_set"]
    oracle.crah[:] = u.zone["factor"]
    oracle.water_set, oracle.water_available = float(u.facility[0]), float(u.facility[1])
    oracle.feed()
    return oracle


def state_of(plant: Plant) -> dict[str, np.ndarray]:
    """The plant's state by the oracle's names."""
    x, cur = plant.x, plant.cur
    pumps = [len(speeds) for speeds in (range(loop.cdu.pumps) for loop in plant.topology.hall.loops)]
    speed = [x.speed[cur, j, :n] for j, n in enumerate(pumps)]
    return {
        "td": x.td[cur].copy(), "tp": x.tp[cur].copy(), "tc": x.tc[cur].copy(), "ta": x.ta[cur].copy(),
        "ride": x.ride[cur].copy(), "loop": x.loop[cur].copy(), "pi": x.pressure[cur, :, 0].copy(),
        "speed": np.concatenate(speed) if speed else np.zeros(0), "room": x.zone[cur].copy(),
        "tank": x.tank[cur].copy(), "theta": x.theta[cur].copy(),
    }  # fmt: skip


def mark(plant: Plant) -> tuple[tuple[float, ...], float]:
    """Ledger and stored heat, from which the plant's ``residuals`` are counted."""
    return plant._ledger(), float(meters.stored_joules(plant.c, plant.x, plant.cur))


# ---------------------------------------------------------------- told by the plant


def tell_plant(plant: Plant, story: Story, until: float, looks: Sequence[float] = (), *, cut: bool = False) -> Told:
    """Carry the plant through a story. A look is taken by a copy, so that it moves nothing, or, with ``cut``, by the
    plant itself, which then has to stop at each."""
    told = Told()
    order = iter(range(10**9))
    queue: list[tuple[float, int, Change]] = [(t, next(order), change) for t, change in story]
    heapq.heapify(queue)
    looks = sorted(looks)
    t = 0.0

    def release(tray: int, mode: int) -> Change:
        def armed(it: Plant) -> None:
            if it.u.tray["mode"][tray] == mode:
                it.arm_release(tray)

        return armed

    def act(guard: Guard, index: int) -> None:
        if guard is Guard.DEVICE:
            _, new = plant.step_device(index)
            told.log.append(Event(t, "device", index, new))
            if new in (SLOWED, BRAKED):
                rack = plant.topology.hall.racks[plant.c.tray_rack[index]]
                heapq.heappush(queue, (t + rack.rack_class.dwell_seconds, next(order), release(index, new)))
        elif guard is Guard.RACK_DARK:
            plant.darken(index)
            told.log.append(Event(t, "dark", index))
        else:
            plant.set_breaker(index, False)
            told.log.append(Event(t, "trip", index))

    while t < until:
        while queue and queue[0][0] <= t:
            heapq.heappop(queue)[2](plant)
        crossing = plant.settle(t)
        if crossing is None:
            before = duplicate(plant) if looks and not cut else plant
            end = min(until, (math.floor(t / 60.0 + 1e-9) + 1) * 60.0, queue[0][0] if queue else math.inf)
            if cut and looks:
                end = min(end, looks[0])
            crossing = plant.flow(t, end)
            now = crossing.time if crossing else end
            if cut and looks and looks[0] == now:
                told.seen[looks.pop(0)] = state_of(plant)
            while looks and looks[0] < now:
                there = duplicate(before)
                if looks[0] > t:
                    there.flow(t, looks[0])
                told.seen[looks.pop(0)] = state_of(there)
            t = now
        if crossing is not None:
            t = crossing.time
            act(crossing.guard, crossing.index)
        assert len(told.log) < 2000
    return told


# ---------------------------------------------------------------- told by the oracle


def tell_oracle(oracle: Oracle, state: dict[str, np.ndarray], story: Story, until: float) -> Told:
    """Integrate a story, stopping at every change and at the first margin that rises through zero."""
    told = Told()
    k, of = oracle.k, oracle.rack_of_tray
    order = iter(range(10**9))
    queue: list[tuple[float, int, Change]] = [(t, next(order), change) for t, change in story]
    heapq.heapify(queue)
    far = np.full(len(oracle.racks), 1e9)
    levels = np.stack([k["slowdown_celsius"], k["hardware_slowdown_celsius"], k["shutdown_celsius"], far])
    floors = np.stack([-far, k["slowdown_celsius"], k["hardware_slowdown_celsius"]])
    floors[1:] -= k["release_kelvin"]
    t = 0.0

    def margins(td: np.ndarray, trays: np.ndarray) -> np.ndarray:
        """Kelvin past the nearer level, by device."""
        if not oracle.watched:
            return np.full(len(td), -1e9)
        mode, r = oracle.mode[trays], of[trays]
        down = np.where(oracle.armed[trays] & (mode < OFF), floors[np.minimum(mode, 2), r] - td, -1e9)
        return np.maximum(td - levels[mode, r], down)

    def margin(y: np.ndarray) -> float:
        theta = y[oracle.at["theta"]]
        closed = np.array([oracle.closed[name] for name in oracle.breakers], dtype=bool)
        worst = [float(margins(y[oracle.at["td"]], oracle.first).max())]
        worst += list((theta - oracle.level)[closed])
        worst += list(-y[oracle.at["ride"]][~oracle.powered & ~oracle.dark])
        return max(worst)

    def release(tray: int, mode: int) -> Change:
        def arm(it: Oracle) -> None:
            if it.mode[tray] == mode:
                it.armed[tray] = True

        return arm

    def act(state: dict[str, np.ndarray], slopes: dict[str, np.ndarray] | None) -> bool:
        """Whatever is at or past a level acts; returns whether anything did."""
        acted = False
        past = margins(state["td"], np.arange(len(of)))
        for tray in np.flatnonzero(past >= -1e-10):
            mode, r = oracle.mode[tray], of[tray]
            rises = mode == NORMAL or state["td"][tray] > 0.5 * (levels[mode, r] + floors[mode, r])
            new = mode + 1 if rises else mode - 1
            oracle.mode[tray], oracle.armed[tray] = new, False
            oracle.on[tray] = oracle.on[tray] and new != OFF
            slope = math.inf if slopes is None else abs(float(slopes["td"][tray]))
            told.log.append(Event(t, "device", int(tray), int(new), slope))
            if new in (SLOWED, BRAKED):
                dwell = oracle.kinds[r].dwell_seconds
                heapq.heappush(queue, (t + dwell, next(order), release(int(tray), int(new))))
            acted = True
        for b, name in enumerate(oracle.breakers):
            if oracle.closed[name] and state["theta"][b] >= oracle.level[b] - 1e-12:
                oracle.set_breaker(b, False)
                told.log.append(Event(t, "trip", b))
                acted = True
        oracle.feed()
        for r in np.flatnonzero(~oracle.powered & ~oracle.dark):
            if state["ride"][r] <= 1e-9:
                oracle.darken(int(r))
                told.log.append(Event(t, "dark", int(r)))
                acted = True
        state["ride"] = np.where(oracle.powered, k["ride_through_joules"], state["ride"])
        return acted

    slopes: dict[str, np.ndarray] | None = None
    while t < until:
        while queue and queue[0][0] <= t:
            heapq.heappop(queue)[2](oracle)
        while act(state, slopes):
            pass
        y = oracle.pack(state)
        end = min(until, queue[0][0] if queue else math.inf)
        solution = oracle.run(y, t, end, margin)
        assert solution.success, solution.message
        told.pieces.append((t, float(solution.t[-1]), partial(_named, solution.sol, dict(oracle.at), oracle.group_of)))
        t = float(solution.t[-1])
        state = oracle.unpack(solution.y[:, -1])
        slopes = None
        if solution.t_events[0].size:
            slopes = oracle.unpack(oracle(t, solution.y[:, -1]))
        assert len(told.log) < 2000
    return told


def _named(
    solution: Callable[[float], np.ndarray], at: dict[str, slice], group_of: np.ndarray, time: float
) -> dict[str, np.ndarray]:
    y = solution(time)
    return {name: y[where][group_of] if name in ("td", "tp") else y[where] for name, where in at.items()}


# ---------------------------------------------------------------- compared


@dataclass(frozen=True)
class Difference:
    """The worst of a comparison, for those who want to know how near it is."""

    kelvin: float
    where: str
    seconds: float  # of the crossings that are held to 10 ms
    share: float  # the largest difference of a crossing, in what is allowed to it
    theta: float  # of a breaker's thermal element
    modes: tuple[tuple[str, int], ...]  # kinds of event that there were, with new modes

    def __str__(self) -> str:
        return (
            f"{self.kelvin:.4f} K ({self.where}); crossings {1e3 * self.seconds:.2f} ms where 10 ms are asked, "
            f"{100.0 * self.share:.0f} % of what is allowed; thermal element {self.theta:.1e}"
        )


def temperatures(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    water = np.reshape(state["loop"], (-1, 4))[:, :2].ravel()
    return {name: water if name == "water" else state[name] for name in TEMPERATURES}


def compare(ours: Told, theirs: Told, story: Story) -> Difference:
    """The same events in the same order for every device, breaker and rack, and every temperature in between.

    Time is counted from the last event or change: a crossing at a slow slope may differ by seconds, and what follows it
    differs by as much. The difference of a device's later crossings is that which came since its one before.
    """
    by: dict[tuple[str, int], tuple[list[Event], list[Event]]] = defaultdict(lambda: ([], []))
    for side, told in enumerate((ours, theirs)):
        for event in told.log:
            by[event.what, event.index][side].append(event)
    seconds = share = 0.0
    marks = {(time, time) for time, _ in story} | {(0.0, 0.0)}  # an instant in ours and in theirs
    for key, (our_events, their_events) in by.items():
        assert [e.mode for e in our_events] == [e.mode for e in their_events], f"{key}: {our_events}, {their_events}"
        shift = 0.0
        for a, b in zip(our_events, their_events, strict=True):
            allowed = max(SECONDS, KELVIN / b.slope)
            late = min(abs(a.time - b.time), abs(a.time - b.time - shift))
            shift = a.time - b.time
            share = max(share, late / allowed)
            if allowed == SECONDS:
                seconds = max(seconds, late)
            marks.add((a.time, b.time))
    worst, where, theta, missed = 0.0, "", 0.0, 0
    assert ours.seen, "nothing was looked at"
    for time, mine in ours.seen.items():
        passed = {mark for mark in marks if mark[0] <= time}
        our_mark, their_mark = max(passed)
        when = their_mark + time - our_mark
        if {mark for mark in marks if mark[1] <= when} != passed:
            missed += 1  # between the two tellings of one event
            continue
        since, at_once = theirs.at(when), theirs.at(time)
        heat = np.minimum(np.abs(mine["theta"] - since["theta"]), np.abs(mine["theta"] - at_once["theta"]))
        theta = max(theta, float(heat.max()))
        first, second, third = temperatures(mine), temperatures(since), temperatures(at_once)
        for name in TEMPERATURES:
            # what an event has not reached follows the clock
            apart = np.minimum(np.abs(first[name] - second[name]), np.abs(first[name] - third[name]))
            if apart.size and apart.max() > worst:
                worst, where = float(apart.max()), f"{name} at {time:.2f} s"
    assert missed <= 0.05 * len(ours.seen), f"{missed} of {len(ours.seen)} looks fell between two tellings of an event"
    modes = tuple(sorted({(event.what, event.mode) for event in theirs.log}))
    return Difference(worst, where, seconds, share, theta, modes)
