"""What goes in comes out or stays, whatever happens; and nothing is colder than what cools it."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.hall.reader import load_hall
from twin.hall.topology import Topology, compile_topology
from twin.plant import meters
from twin.plant.guards import Guard
from twin.plant.plant import Plant
from twin.plant.server import OFF

TIGHT = 1e-9
SECONDS = 240.0


def _carry(plant: Plant, start: float, until: float) -> list[tuple[Guard, int]]:
    """Settle and flow, carrying out what hardware does: a device's next mode, a trip, a rack gone dark."""
    log: list[tuple[Guard, int]] = []
    t = start
    while t < until:
        crossing = plant.settle(t) or plant.flow(t, min(until, (math.floor(t / 60.0) + 1) * 60.0))
        if crossing is None:
            t = plant.time
            continue
        t = crossing.time
        log.append((crossing.guard, crossing.index))
        if crossing.guard is Guard.DEVICE:
            plant.step_device(crossing.index)
        elif crossing.guard is Guard.RACK_DARK:
            plant.darken(crossing.index)
        elif crossing.guard is not Guard.BATTERY_SPENT:
            plant.set_breaker(crossing.index, False)
        assert len(log) < 500  # 72 trays with three levels each, and the breakers
    return log


def _balanced(plant: Plant, ledger: tuple[float, ...], stored: float) -> None:
    heat, power = plant.residuals(ledger, stored)
    assert abs(heat) < TIGHT
    assert abs(power) < TIGHT


def _mark(plant: Plant) -> tuple[tuple[float, ...], float]:
    return plant._ledger(), float(meters.stored_joules(plant.c, plant.x, plant.cur))


EVENTS = st.sampled_from(["load", "pump", "all pumps", "valve", "cap", "off", "feed", "supply", "idle", "dark"])
stories = st.lists(st.tuples(EVENTS, st.integers(0, 3), st.floats(0.0, 1.0), st.floats(0.0, 40.0)), max_size=5)


def _apply(plant: Plant, event: str, rack: int, size: float) -> None:
    trays = np.arange(plant.c.tray0[rack], plant.c.tray0[rack + 1])
    alive = trays[plant.u.tray["mode"][trays] != OFF]
    if event == "load":
        plant.set_load(alive, size)
    elif event == "idle":
        plant.clear_load(alive)
    elif event == "cap":
        plant.set_cap(trays, 0.3 + 0.7 * size)
    elif event == "off":
        plant.set_on(trays[: int(18 * size)], False)
    elif event == "pump":
        plant.set_pump(0, rack % 3, False)
    elif event == "all pumps":
        for pump in range(3):
            plant.set_pump(0, pump, False)
    elif event == "valve":
        plant.set_valve(rack, 0.1 + 0.9 * size)
    elif event == "supply":
        plant.set_supply(0, 34.0 + 8.0 * size)
    elif event == "feed":
        plant.set_breaker(plant.topology.breaker_names.index(f"A-0{rack + 1}/feed A"), False)
    else:
        for side in "AB":
            plant.set_breaker(plant.topology.breaker_names.index(f"A-0{rack + 1}/feed {side}"), False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories)
def test_any_story_balances(steady, duplicated, story):
    """Heat and power residuals below 1e-9, over the run and over each window; nothing below what cools it."""
    plant = duplicated(steady)
    windows = []
    plant.on_window = windows.append
    plant.reset_meters()
    ledger, stored = _mark(plant)
    facility, zone = plant.topology.hall.facility, plant.topology.hall.zones[0]
    coldest = facility.setpoint - 0.5 * facility.capacity_watts / facility.gain_watts_per_kelvin
    assert plant.x.tank[plant.cur, 0] > coldest
    t = 0.0
    for event, rack, size, wait in story:
        _apply(plant, event, rack, size)
        _carry(plant, t, t + wait)
        t += wait
    _carry(plant, t, max(t, SECONDS))
    _balanced(plant, ledger, stored)
    for window in windows:
        assert abs(window.heat_residual) < TIGHT
        assert abs(window.power_residual) < TIGHT
    x, cur = plant.x, plant.cur
    for temperature in (x.td[cur], x.tp[cur], x.tc[cur], x.loop[cur, :, :2]):
        assert temperature.min() > coldest  # below which facility water is not cooled
    assert x.ta[cur].min() > zone.setpoint - 0.5 * zone.band  # nor the room
    assert (x.flow[cur] >= 0.0).all()
    assert np.isfinite(x.theta[cur]).all()


def test_the_balance_would_see_a_watt_go_missing(steady):
    """The check itself: one joule in ten million taken from the exchanger's meter shows."""
    plant = steady
    plant.reset_meters()
    ledger, stored = _mark(plant)
    plant.flow(0.0, 60.0)
    _balanced(plant, ledger, stored)
    plant.m.hx[0] *= 1.0 + 1e-7
    assert abs(plant.residuals(ledger, stored)[0]) > 10 * TIGHT


def test_air_cooled_and_liquid_racks_balance_in_one_hall():
    top = compile_topology(load_hall("mixed"))
    plant = Plant(top)
    rng = np.random.default_rng(5)
    plant.set_load(np.arange(len(top.tray_rack)), rng.uniform(0.0, 0.8, len(top.tray_rack)))
    plant.settle(0.0)
    plant.reset_meters()
    ledger, stored = _mark(plant)
    _carry(plant, 0.0, 60.0)
    plant.set_load(np.arange(len(top.tray_rack)), rng.uniform(0.0, 0.8, len(top.tray_rack)))
    plant.u.zone["factor"][:] = 0.4  # CRAHs lost
    _carry(plant, 60.0, 240.0)
    _balanced(plant, ledger, stored)


def test_the_order_of_racks_does_not_matter(small: Topology, steady, duplicated):
    """Loads exchanged between the outer and between the inner racks: temperatures are exchanged with them."""
    order = [3, 2, 1, 0]
    loads = [0.2, 0.5, 0.9, 0.7]

    def run(places: list[int]) -> tuple[np.ndarray, np.ndarray]:
        plant = Plant(small)
        for rack, place in enumerate(places):
            plant.set_load(np.arange(18 * rack, 18 * rack + 18), loads[place])
        plant.settle(0.0)
        plant.flow(0.0, 90.0)
        return plant.device_temperature, plant.x.ta[plant.cur]

    device, air = run([0, 1, 2, 3])
    mirrored, mirrored_air = run(order)
    np.testing.assert_allclose(mirrored[order], device, atol=1e-9)
    np.testing.assert_allclose(mirrored_air[order], air, atol=1e-9)


def test_a_dark_rack_draws_nothing_and_cools_down(small: Topology, steady):
    plant = steady
    for side in "AB":
        plant.set_breaker(small.breaker_names.index(f"A-02/feed {side}"), False)
    log = _carry(plant, 0.0, 120.0)
    assert (Guard.RACK_DARK, 1) in log
    plant.settle(120.0)
    assert plant.rack_power[1] == 0.0
    assert plant.device_temperature[1] == pytest.approx(plant.x.loop[plant.cur, 0, 0], abs=0.1)


def test_a_capped_tray_is_slower_and_cooler(steady, trays):
    plant = steady
    power, hot = plant.rack_power[1], plant.device_temperature[1]
    plant.set_cap(trays(plant, 1), 0.7)
    plant.settle(0.0)
    assert plant.rack_power[1] < 0.85 * power
    plant.reset_meters()
    _carry(plant, 0.0, 120.0)
    assert plant.device_temperature[1] < hot - 3.0
    # work lost goes as 1 − f^β, seconds capped are counted
    np.testing.assert_allclose(plant.m.cap_s[trays(plant, 1)], 120.0)
    np.testing.assert_allclose(plant.m.lag[trays(plant, 1)], 120.0 * (1.0 - 0.7**0.7), rtol=1e-9)
    assert plant.m.lag[trays(plant, 0)].max() == 0.0


def test_without_any_flow_the_coolant_stands_and_warms(steady):
    """No pump, no check-valve leak: heat stays in rack, at the rate of its power over its capacities."""
    plant = steady
    for pump in range(3):
        plant.set_pump(0, pump, False)
    plant.x.speed[plant.cur] = 0.0
    plant.settle(0.0)
    assert plant.x.flow[plant.cur].max() == 0.0
    before = plant.x.tc[plant.cur].copy()
    assert plant.flow(0.0, 3.0) is None
    assert (plant.x.tc[plant.cur] > before).all()
    assert np.isfinite(plant.x.tc[plant.cur]).all()
    assert (plant.x.tc[plant.cur] - before).max() < 10.0
