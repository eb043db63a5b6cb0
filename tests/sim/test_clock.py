"""The five stories of the hybrid clock, and the rules of its order."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from typing import Any

import numpy as np
import pytest
import simpy

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.breakers import trip_seconds
from twin.plant.guards import Crossing, Guard
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.sim.clock import Aside, HybridEnvironment, ZenoError

TAU = 7.3  # s, of the stub's exponential
LEVEL = 0.8


@dataclass(frozen=True)
class Found:
    time: float
    guard: str
    index: int = 0


@dataclass
class Exponential:
    """``x' = (drive − x)/τ`` with guards at levels of x, each in closed form. ``log`` has what the clock asked for."""

    drive: float = 1.0
    x: float = 0.0
    levels: dict[str, float] = field(default_factory=lambda: {"level": LEVEL})
    log: list[tuple[float, str]] = field(default_factory=list)
    now: float = 0.0
    certain: bool = False
    end: float | None = None
    found: Found | None = None

    def open(self, now: float, until: float) -> float:
        self.found = self.flow(now, until)
        self.end = until if self.found is None else self.found.time
        return self.end

    def catch_up(self) -> float | None:
        return self.end

    def close(self) -> Found | None:
        found, self.end, self.found = self.found, None, None
        return found

    def settle(self, now: float) -> Found | None:
        self.log.append((now, "settle"))
        past = [name for name, level in self.levels.items() if self.x >= level]
        return Found(now, past[0]) if past else None

    def flow(self, now: float, until: float) -> Found | None:
        self.log.append((now, f"flow to {until:g}"))
        when = {
            name: now + TAU * math.log((self.drive - self.x) / (self.drive - level))
            for name, level in self.levels.items()
            if level < self.drive
        }
        first = min(when, key=lambda name: when[name], default="")
        end = min(until, when[first]) if first else until
        self.x = self.drive + (self.x - self.drive) * math.exp(-(end - now) / TAU)
        if first and when[first] <= until:
            self.x = max(self.x, self.levels[first])
            return Found(when[first], first)
        return None


def _clock(plant: Exponential, log: list[tuple[float, str]], *, disarm: bool = True) -> HybridEnvironment:
    def on_crossing(found: Found) -> None:
        log.append((env.now, found.guard))
        if disarm:
            del plant.levels[found.guard]

    env = HybridEnvironment(plant, on_crossing)
    return env


def _ticks(env: HybridEnvironment, period: float, act: Callable[[], Any]) -> Any:
    while True:
        yield env.timeout(period)
        act()


# ---------------------------------------------------------------- the clock alone


def test_settle_precedes_flow():
    plant = Exponential(levels={})
    env = _clock(plant, [])
    env.timeout(4.0)
    env.timeout(6.0)
    env.run()
    assert plant.log == [(0.0, "settle"), (0.0, "flow to 4"), (4.0, "settle"), (4.0, "flow to 6")]


def test_the_plant_runs_past_an_event_that_leaves_it_alone_but_not_past_what_comes_of_it():
    plant = Exponential(levels={})
    env = _clock(plant, [])
    seen: list[float] = []

    def arrive() -> Any:
        for delay in (3.0, 1.0, 4.0):
            yield Aside(env, delay, felt=10.0 * math.ceil((env.now + delay) / 10.0))
            seen.append(env.now)

    env.process(arrive())
    env.timeout(7.0)
    env.timeout(25.0)
    env.run()
    assert seen == [3.0, 4.0, 8.0]
    assert [what for _, what in plant.log if what != "settle"] == ["flow to 7", "flow to 10", "flow to 25"]


def test_a_crossing_stands_before_such_events_that_come_later():
    log: list[tuple[float, str]] = []
    plant = Exponential()
    env = _clock(plant, log)
    for time in (11.0, 12.0):
        Aside(env, time, felt=20.0).callbacks.append(lambda _: log.append((env.now, "aside")))
    env.timeout(30.0)
    env.run()
    assert [(round(time, 3), what) for time, what in log] == [(11.0, "aside"), (11.749, "level"), (12.0, "aside")]


def test_an_instant_with_several_events_flows_once():
    plant = Exponential(levels={})
    env = _clock(plant, [])
    for _ in range(3):
        env.timeout(4.0)
    env.run()
    assert [what for _, what in plant.log if what != "settle"] == ["flow to 4"]


@pytest.mark.parametrize("tick", [math.inf, 100.0, 1.3, 0.017])
def test_a_crossing_lands_at_its_absolute_time_however_the_way_is_cut(tick):
    exact = TAU * math.log(1.0 / (1.0 - LEVEL))
    log: list[tuple[float, str]] = []
    env = _clock(Exponential(), log)
    if tick < math.inf:
        env.process(_ticks(env, tick, lambda: None))
    env.run(until=40.0)
    assert [what for _, what in log] == ["level"]
    assert log[0][0] == pytest.approx(exact, abs=1e-6)


def test_the_time_of_a_crossing_is_the_plants_to_the_last_bit():
    """now + (time − now) may round differently; the event must not."""

    class Late(Exponential):
        def flow(self, now: float, until: float) -> Found | None:
            return Found(0.1 + 0.2, "level") if "level" in self.levels else None

    log: list[tuple[float, str]] = []
    env = _clock(Late(), log)
    env.timeout(0.1)
    env.timeout(1.0)
    env.run()
    assert log == [(0.1 + 0.2, "level")]


def test_events_that_a_crossing_makes_stand_before_the_next_known_one():
    log: list[tuple[float, str]] = []
    plant = Exponential()
    env = HybridEnvironment(plant, lambda found: act())

    def act() -> None:
        plant.levels.clear()
        log.append((round(env.now, 3), "crossed"))
        env.process(after())

    def after() -> Any:
        yield env.timeout(0.001)
        log.append((round(env.now, 3), "after"))

    env.process(_ticks(env, 20.0, lambda: log.append((round(env.now, 3), "tick"))))
    env.run(until=21.0)
    assert log == [(11.749, "crossed"), (11.75, "after"), (20.0, "tick")]


def test_a_crossing_precedes_a_tick_of_its_instant():
    log: list[tuple[float, str]] = []
    env = _clock(Exponential(), log)
    exact = TAU * math.log(1.0 / (1.0 - LEVEL))
    env.process(_ticks(env, exact, lambda: log.append((env.now, "tick"))))
    env.run(until=1.5 * exact)
    assert log == [(exact, "level"), (exact, "tick")]


def test_the_earlier_of_two_crossings_comes_first_whatever_their_order_in_the_table():
    log: list[tuple[float, str]] = []
    env = _clock(Exponential(levels={"high": 0.9, "low": 0.5}), log)
    env.timeout(100.0)
    env.run()
    assert [what for _, what in log] == ["low", "high"]
    assert [time for time, _ in log] == pytest.approx([TAU * math.log(2.0), TAU * math.log(10.0)], abs=1e-6)


def test_a_read_announces_what_an_input_change_put_past_its_level():
    """The crossing is carried out at the same instant, after the reader and before the next tick."""
    log: list[tuple[float, str]] = []
    plant = Exponential(drive=0.5)
    env = _clock(plant, log)

    def change() -> None:
        plant.levels["level"] = 0.1
        env.read()
        log.append((env.now, "read"))

    env.process(_ticks(env, 3.0, change))
    env.process(_ticks(env, 3.0, lambda: log.append((env.now, "tick"))))
    env.run(until=5.0)
    assert log == [(3.0, "read"), (3.0, "level"), (3.0, "tick")]


def test_a_guard_that_is_not_disarmed_is_named():
    env = _clock(Exponential(), [], disarm=False)
    env.timeout(100.0)
    with pytest.raises(ZenoError, match=r"guard level 0 fired 4 times at t = 11\.748897 s.*does not disarm"):
        env.run()


def test_a_guard_may_fire_again_later():
    """The bound is on one instant: a guard that fires at forty times is no error."""
    log: list[float] = []
    plant = Exponential()

    def on_crossing(found: Found) -> None:
        log.append(env.now)
        plant.x = 0.0

    env = HybridEnvironment(plant, on_crossing)
    env.timeout(40.5 * TAU * math.log(5.0))
    env.run()
    assert log == pytest.approx([(n + 1) * TAU * math.log(5.0) for n in range(40)], abs=1e-6)


def test_real_time_is_inheritance():
    class LiveEnvironment(HybridEnvironment, simpy.RealtimeEnvironment):
        """A hybrid clock that keeps step with the wall."""

    log: list[tuple[float, str]] = []
    plant = Exponential(levels={"level": 1.0 - math.exp(-0.03 / TAU)})
    env = LiveEnvironment(plant, lambda found: (log.append((round(env.now, 9), found.guard)), plant.levels.clear()))
    env.timeout(0.05)
    began = monotonic()
    env.run()
    assert monotonic() - began >= 0.045
    assert log == [(0.03, "level")]


# ---------------------------------------------------------------- with the plant


@cache
def _steady(load: float) -> Plant:
    plant = Plant(compile_topology(load_hall("small")))
    plant.set_load(np.arange(len(plant.c.idle)), load)
    equilibrate(plant)
    return plant


def _copy(load: float) -> Plant:
    """The small hall at equilibrium, to be changed at will, constants included."""
    plant = _steady(load)
    return copy.deepcopy(plant, {id(plant.topology): plant.topology})


Log = list[tuple[float, Guard, int]]


def _with_log(plant: Plant) -> tuple[HybridEnvironment, Log]:
    """A clock whose crossings are written down, and carried out in the barest way."""
    log: Log = []

    def on_crossing(crossing: Crossing) -> None:
        assert env.now == crossing.time
        log.append((crossing.time, crossing.guard, crossing.index))
        if crossing.guard is Guard.DEVICE:
            plant.step_device(crossing.index)
        elif crossing.guard is Guard.RACK_DARK:
            plant.darken(crossing.index)
        else:
            plant.set_breaker(crossing.index, False)

    env = HybridEnvironment(plant, on_crossing)
    return env, log


def test_four_identical_racks_that_cross_together_give_four_events():
    plant = _copy(0.5)
    env, log = _with_log(plant)
    first = plant.c.tray0[:-1]
    plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)
    plant.set_guards(first, plant.x.td[plant.cur, first] + 5.0, -np.inf)
    plant.set_load(np.arange(len(plant.c.idle)), 0.9)
    env.timeout(60.0)
    env.run()
    assert [(guard, index) for _, guard, index in log] == [(Guard.DEVICE, int(tray)) for tray in first]
    assert len({time for time, _, _ in log}) == 1
    assert 0.1 < log[0][0] < 60.0


def test_racks_that_cross_apart_give_their_own_times_in_order():
    plant = _copy(0.5)
    env, log = _with_log(plant)
    first = plant.c.tray0[:-1]
    plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)
    plant.set_guards(first, plant.x.td[plant.cur, first] + np.array([6.0, 3.0, 5.0, 4.0]), -np.inf)
    plant.set_load(np.arange(len(plant.c.idle)), 0.9)
    env.timeout(60.0)
    env.run()
    assert [index for _, _, index in log] == [int(first[rack]) for rack in (1, 3, 2, 0)]
    times = [time for time, _, _ in log]
    assert times == sorted(times) and len(set(times)) == 4


def test_the_survivor_of_two_parallel_breakers_trips_at_the_same_instant():
    plant = _copy(0.5)
    env, log = _with_log(plant)
    names = plant.topology.breaker_names
    a, b = names.index("row A/feed A"), names.index("row A/feed B")
    # at the rating that A is given here it carries 1.4 of it, so it goes by its thermal element
    plant.settle(0.0)
    plant.c.breaker["rating"][a] *= plant.breaker_ratio[a] / 1.4
    plant.x.theta[:, a] = 0.25
    plant.c.breaker["instant"][b] = 1.5 * plant.breaker_ratio[b]  # above its own half, below the whole
    plant._dirty_feeds = True
    dark = plant.c.rack["ride_through"][0] / plant.rack_power[0]
    env.timeout(1_000.0)
    env.run()
    exact = trip_seconds(1.4, 0.5, plant.c.breaker["tau"][a])
    assert log[:2] == [
        (log[0][0], Guard.BREAKER_THERMAL, a),
        (log[0][0], Guard.BREAKER_INSTANTANEOUS, b),
    ]
    assert log[0][0] == pytest.approx(exact, abs=1e-3)
    # and then no rack has a feed: all four go dark when their hold-up is spent, together
    assert [(guard, index) for _, guard, index in log[2:]] == [(Guard.RACK_DARK, rack) for rack in range(4)]
    assert [time - log[0][0] for time, _, _ in log[2:]] == pytest.approx([dark] * 4, rel=0.02)


@pytest.mark.parametrize("trip", [0.4, 2.0, 3.2, 3.3, 9.0])
def test_a_breaker_and_a_device_that_cross_in_one_stretch_come_in_the_order_of_time(trip):
    """Neither hides the other, wherever in the stretch it lies; the device crosses at 3.25 s, as if alone."""

    def cross(breaker_too: bool) -> Log:
        plant = _copy(0.5)
        env, log = _with_log(plant)
        first = plant.topology.breaker_names.index("A-01/feed A")
        tray = int(plant.c.tray0[2])
        plant.settle(0.0)
        if breaker_too:
            plant.c.breaker["rating"][first] *= plant.breaker_ratio[first] / 1.4
            rest = (1.96 - 1.44) * math.exp(trip / plant.c.breaker["tau"][first])
            plant.x.theta[:, first] = 1.96 - rest
            plant._dirty_feeds = True
        plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)
        plant.set_guards(tray, plant.x.td[plant.cur, tray] + 3.0, -np.inf)
        plant.set_load(np.arange(plant.c.tray0[2], plant.c.tray0[3]), 0.7)
        env.timeout(60.0)
        env.run()
        return log

    ((alone, *_),) = cross(False)
    log = cross(True)
    assert 3.2 < alone < 3.3
    expected = sorted([(trip, Guard.BREAKER_THERMAL), (alone, Guard.DEVICE)])
    assert [guard for _, guard, _ in log] == [guard for _, guard in expected]
    assert [time for time, _, _ in log] == pytest.approx([time for time, _ in expected], abs=1e-3)


def _eventful(plant: Plant) -> None:
    """A rack heats up past a level, while one row breaker works towards its trip."""
    names = plant.topology.breaker_names
    a, b = names.index("row A/feed A"), names.index("row A/feed B")
    plant.settle(0.0)
    for breaker in (a, b):
        plant.c.breaker["rating"][breaker] *= plant.breaker_ratio[breaker] / 0.7
        plant.x.theta[:, breaker] = 0.49
    plant.set_breaker(b, False)
    plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)
    plant.set_guards(plant.c.tray0[2], plant.x.td[plant.cur, plant.c.tray0[2]] + 3.0, -np.inf)
    plant.set_load(np.arange(plant.c.tray0[2], plant.c.tray0[3]), 0.7)
    plant.set_pump(0, 0, False)


def _eventful_run(tick: float | None, marks: list[float]) -> tuple[Log, list[np.ndarray]]:
    plant = _copy(0.5)
    _eventful(plant)
    env, log = _with_log(plant)
    seen: list[np.ndarray] = []

    def look() -> None:
        env.read()
        x, cur = plant.x, plant.cur
        seen.append(np.concatenate([x.td[cur], x.tc[cur], x.ta[cur], x.loop[cur, :, :2].ravel(), x.zone[cur]]))

    def story() -> Any:
        for mark in marks:
            yield env.timeout(mark - env.now)
            look()

    env.process(story())
    if tick is not None:
        env.process(_ticks(env, tick, env.read))
    env.run(until=marks[-1] + 1.0)
    return log, seen


@pytest.mark.parametrize("tick", [0.7, 7.3])
def test_ticks_that_only_read_change_no_event_and_hardly_a_temperature(tick):
    marks = [5.0, 30.0, 120.0, 300.0, 320.0, 480.0]  # the breaker goes at 309 s
    plain, before = _eventful_run(None, marks)
    read, after = _eventful_run(tick, marks)
    assert [(guard, index) for _, guard, index in read] == [(guard, index) for _, guard, index in plain]
    assert [guard for _, guard, _ in plain][:2] == [Guard.DEVICE, Guard.BREAKER_THERMAL]
    assert [time for time, _, _ in read] == pytest.approx([time for time, _, _ in plain], abs=0.01)
    worst = [float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True)]
    assert max(worst[:-2]) < 0.005, worst
    # a whole hall that goes dark is the hardest transient there is: the integrator's own bound holds there
    assert max(worst) < 0.05, worst
