"""A stretch that is left open for changes of load: it ends as if it had been cut at every one of them."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.plant.telling import duplicate, mark
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.guards import Crossing
from twin.plant.plant import Plant
from twin.plant.start import equilibrate

Change = tuple[float, int, float]  # time [s], rack, utilisation
TICK = 10.0


@pytest.fixture(scope="module")
def calm() -> Plant:
    """Twelve racks on four loops, whose breakers hold whatever racks draw, at half load."""
    sets = ["rows=3", "racks_per_row=4", "loop.racks=3"]
    plant = Plant(compile_topology(load_hall("small", sets)))
    plant.set_load(np.arange(len(plant.c.idle)), 0.5, gang=0, sigma_watts=100.0)
    equilibrate(plant)
    assert plant.settle(0.0) is None
    assert plant.certain
    return plant


def trays(plant: Plant, rack: int) -> np.ndarray:
    return np.arange(plant.c.tray0[rack], plant.c.tray0[rack + 1])


def cut(plant: Plant, changes: Sequence[Change], until: float) -> tuple[Plant, list[Crossing]]:
    """Stop at every change and every tick."""
    plant = duplicate(plant)
    times = sorted({*(time for time, _, _ in changes), *np.arange(TICK, until + 1.0, TICK).tolist()})
    found: list[Crossing] = []
    t = 0.0
    for end in times:
        while t < end:
            crossing = plant.settle(t) or plant.flow(t, end)
            t = crossing.time if crossing else end
            if crossing:
                found.append(crossing)
                plant.step_device(crossing.index)
        for time, rack, load in changes:
            if time == end:
                plant.set_load(trays(plant, rack), load, gang=rack, sigma_watts=100.0)
                plant.allocate(trays(plant, rack)[:2], load > 0.5)
    plant.settle(t)
    return plant, found


def left_open(plant: Plant, changes: Sequence[Change], until: float) -> tuple[Plant, list[Crossing], int]:
    """Run ahead to every tick; make the changes in between after the fact."""
    plant = duplicate(plant)
    coming = sorted(changes)
    found: list[Crossing] = []
    late = 0
    t = 0.0
    while t < until:
        crossing = plant.settle(t)
        if crossing is None and plant.certain:
            end = plant.open(t, TICK * (np.floor(t / TICK + 1e-9) + 1.0))
            while coming and coming[0][0] < end:
                plant.now, rack, load = coming.pop(0)
                plant.set_load(trays(plant, rack), load, gang=rack, sigma_watts=100.0)
                plant.allocate(trays(plant, rack)[:2], load > 0.5)
                late += 1
                caught = plant.catch_up()
                assert caught is not None
                assert plant.now <= caught <= end
                end = caught
            t, crossing = end, plant.close()
        elif crossing is None:
            end = min(TICK * (np.floor(t / TICK + 1e-9) + 1.0), coming[0][0] if coming else np.inf)
            crossing = plant.flow(t, end)
            t = crossing.time if crossing else end
        while coming and coming[0][0] <= t:
            _, rack, load = coming.pop(0)
            plant.set_load(trays(plant, rack), load, gang=rack, sigma_watts=100.0)
            plant.allocate(trays(plant, rack)[:2], load > 0.5)
        if crossing:
            t = crossing.time
            found.append(crossing)
            plant.step_device(crossing.index)
    plant.settle(t)
    return plant, found, late


def alike(one: Plant, other: Plant) -> None:
    """Temperatures within 0.03 K (air of racks, which sees the mean of its heat, within 0.1 K), energies within 1e-5,
    what exchangers took within 1e-4, meters of time exactly, and within 0.001 the memory of breakers, which take a
    load's step within a stretch for a parabola and are certain not to trip.
    """
    a, b = one.x, other.x
    for name in ("td", "tp", "tc", "ta", "loop", "zone", "tank"):
        kelvin = 0.1 if name == "ta" else 0.03
        np.testing.assert_allclose(getattr(b, name)[other.cur], getattr(a, name)[one.cur], rtol=0.0, atol=kelvin)
    np.testing.assert_allclose(b.theta[other.cur], a.theta[one.cur], rtol=0.0, atol=1e-3)
    np.testing.assert_allclose(other.m.rack_joules, one.m.rack_joules, rtol=1e-5)
    np.testing.assert_allclose(other.m.total[:2], one.m.total[:2], rtol=1e-5)
    np.testing.assert_allclose(other.m.hx.sum(), one.m.hx.sum(), rtol=1e-4)
    np.testing.assert_allclose(other.m.allocated_s, one.m.allocated_s, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(other.m.rack_peak, one.m.rack_peak, rtol=1e-4)
    np.testing.assert_allclose(other.rack_power, one.rack_power, rtol=1e-4)
    np.testing.assert_allclose(other.breaker_ratio, one.breaker_ratio, rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_it_ends_as_if_it_had_been_cut_at_every_change(calm, seed):
    rng = np.random.default_rng(seed)
    changes = [
        (float(time), int(rng.integers(12)), float(rng.choice([0.1, 0.3, 0.6, 0.8])))
        for time in np.sort(rng.uniform(0.0, 115.0, 60))
    ]
    one, none = cut(calm, changes, 120.0)
    since, held = mark(calm)
    other, found, late = left_open(calm, changes, 120.0)
    assert not none
    assert not found
    assert late == len(changes)
    alike(one, other)
    heat, power = other.residuals(since, held)
    assert abs(heat) < 1e-9
    assert abs(power) < 1e-9


def test_two_changes_of_one_loop_at_one_instant_and_of_the_same_trays_again(calm):
    changes = [(3.0, 0, 0.9), (3.0, 1, 0.1), (3.0, 11, 0.7), (7.5, 0, 0.2), (7.5, 0, 0.4), (9.999, 2, 0.8)]
    changes.append((10.0, 3, 0.1))
    one, _ = cut(calm, changes, 60.0)
    other, _, _ = left_open(calm, changes, 60.0)
    alike(one, other)


def test_a_device_that_a_late_change_heats_crosses_its_level_when_it_does(calm):
    warm = duplicate(calm)
    hot = trays(warm, 4)
    warm.set_guards(hot, warm.x.td[warm.cur, hot[0]] + 3.0, -np.inf)
    changes = [(12.3, 4, 1.0), (13.0, 7, 0.9), (19.0, 0, 0.9)]
    _, ours = cut(warm, changes, 60.0)
    _, theirs, late = left_open(warm, changes, 60.0)
    assert late >= 1
    assert [each.index for each in theirs[:1]] == [each.index for each in ours[:1]]
    assert theirs[0].time == pytest.approx(ours[0].time, abs=0.01)
    assert 12.3 < ours[0].time < 20.0
    assert len(theirs) == len(ours)


def test_a_crossing_ahead_is_gone_when_a_change_before_it_cools_its_device(calm):
    warm = duplicate(calm)
    hot = trays(warm, 4)
    warm.set_load(hot, 1.0)
    warm.settle(0.0)
    warm.set_guards(hot, warm.x.td[warm.cur, hot[0]] + 6.0, -np.inf)
    at = cut(warm, [], 10.0)[1][0].time
    assert 0.5 < at < 10.0
    changes = [(0.5 * at, 4, 0.1), (0.8 * at, 0, 0.8)]
    assert not cut(warm, changes, 20.0)[1]
    other, found, _ = left_open(warm, changes, 20.0)
    assert not found
    alike(cut(warm, changes, 20.0)[0], other)


def test_what_a_hall_is_certain_of(calm):
    """Not while a device is hindered, a side is lost, or for a hall with racks in air; and after that again."""
    plant = duplicate(calm)
    plant.set_cap(np.arange(3), 0.8)
    plant.settle(0.0)
    assert not plant.certain
    plant.set_cap(np.arange(3), 1.0)
    plant.settle(0.0)
    assert plant.certain
    plant.set_load(np.arange(len(plant.c.idle)), 1.0)
    equilibrate(plant)
    assert plant.breaker_ratio.max() < plant.w.most[0] < 1.1 * plant.breaker_ratio.max()
    weak = Plant(compile_topology(load_hall("small", ["rack_feed.breaker.rating_amperes=80"])))
    weak.settle(0.0)
    assert not weak.certain
    airy = Plant(compile_topology(load_hall("mixed")))
    airy.settle(0.0)
    assert not airy.certain


def test_a_read_within_an_open_stretch_is_an_error(calm):
    plant = duplicate(calm)
    plant.settle(0.0)
    plant.open(0.0, 10.0)
    with pytest.raises(Exception, match="within a stretch that ends later"):
        plant.settle(5.0)
