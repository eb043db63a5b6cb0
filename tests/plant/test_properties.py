"""What must hold whatever is done to a hall: energy, the coldest source, the sense of more power, and no favourites."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.plant.telling import duplicate, mark, state_of, tell_plant
from twin.hall.parts import Hall
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.arrays import constants
from twin.plant.plant import Plant
from twin.plant.start import equilibrate

TIGHT = 1e-9
#: three liquid racks of three classes on one loop, three air-cooled ones in the same room
UNLIKE = (
    "rows=2", "racks_per_row=3", "loop.racks=3",
    "classes={quick: {preset: gb200_nvl72, die_heat_capacity_joules_per_kelvin: 109}, "
    "h100: {preset: h100_8gpu_air, phase_weights: [0.4, 0.3, 0.3]}, a100: {preset: a100_8gpu_air}}",
    "exceptions={A-02: {rack_class: quick}, A-03: {rack_class: gb300_nvl72, valve_position: 0.8}, "
    "row B: {rack_class: h100}, B-03: {rack_class: a100}}",
)  # fmt: skip
#: valves of facility water stand open whatever happens: with their controllers at work more heat in one rack may well
#: leave another one cooler for a while
UNCONTROLLED = 10.0  # °C asked of the supply


def trays_of(plant: Plant, rack: int) -> np.ndarray:
    return np.flatnonzero(plant.topology.tray_rack == rack)


def at_rest(hall: Hall, load: float | np.ndarray, tolerance_kelvin: float = 0.1) -> Plant:
    top = compile_topology(hall)
    plant = Plant(top, parameters=constants(top, tolerance_kelvin=tolerance_kelvin))
    plant.set_load(np.arange(len(top.tray_rack)), load)
    assert equilibrate(plant) < 1e-6
    plant.settle(0.0)
    return plant


@pytest.fixture(scope="module")
def unlike() -> Plant:
    return at_rest(load_hall("small", UNLIKE), 0.5)


# ---------------------------------------------------------------- energy and the coldest source


def _switch(name: str, closed: bool) -> Callable[[Plant], object]:
    return lambda plant: plant.set_breaker(plant.topology.breaker_names.index(name), closed)


def _source(name: str, on: bool) -> Callable[[Plant], object]:
    return lambda plant: plant.set_source(plant.topology.node_names.index(name), on)


def _line(name: str, phase: int, on: bool) -> Callable[[Plant], object]:
    return lambda plant: plant.set_phase(plant.topology.node_names.index(name), phase, on)


def _relight(rack: int) -> Callable[[Plant], object]:
    def change(plant: Plant) -> None:
        plant.settle(plant.time)
        if plant.dark[rack] and plant.d.powered[rack] > 0.0:
            plant.light(rack)
            plant.set_on(trays_of(plant, rack), True)

    return change


share, flag = st.floats(0.0, 1.0), st.booleans()
racks, liquid, pumps, sides = st.integers(0, 5), st.integers(0, 2), st.integers(0, 2), st.sampled_from("AB")
feeds = st.sampled_from(["A-01", "A-03", "B-01", "B-03", "row A", "row B"])
changes = st.one_of(
    st.builds(lambda r, u: lambda plant: plant.set_load(trays_of(plant, r), u), racks, share),
    st.builds(lambda r, f: lambda plant: plant.set_cap(trays_of(plant, r), 0.2 + 0.8 * f), racks, share),
    st.builds(lambda r: lambda plant: plant.set_on(trays_of(plant, r)[:2], False), racks),
    st.builds(lambda k, on: lambda plant: plant.set_pump(0, k, on), pumps, flag),
    st.builds(lambda: lambda plant: [plant.set_pump(0, k, False) for k in range(3)]),
    st.builds(lambda r, x: lambda plant: plant.set_valve(r, x if x > 0.1 else 0.0), liquid, share),
    st.builds(lambda t: lambda plant: plant.set_supply(0, 34.0 + 10.0 * t), share),
    st.builds(lambda t: lambda plant: plant.set_facility_water(28.0 + 10.0 * t), share),
    st.builds(lambda s: lambda plant: plant.set_rejection(s), share),
    st.builds(lambda s: lambda plant: plant.set_crah(0, s), share),
    st.builds(lambda n, side, on: _switch(f"{n}/feed {side}", on), feeds, sides, flag),
    st.builds(lambda side, on: _source(f"utility {side}", on), sides, flag),
    st.builds(_relight, racks),
    st.builds(lambda f: lambda plant: plant.set_main(0, 1.0 + 9.0 * f), share),
    st.builds(lambda f: lambda plant: plant.set_fouling(0, 2e-5 * f), share),
    st.builds(lambda k, f: lambda plant: plant.set_health(0, k, f), pumps, share),
    st.builds(lambda f: lambda plant: plant.set_water(0, f), share),
    st.builds(lambda r, f: lambda plant: plant.set_interface(trays_of(plant, r)[:1], 1.0 + 2.0 * f), racks, share),
    st.builds(lambda n, side, k, on: _line(f"{n}/feed {side}", k, on), feeds, sides, pumps, flag),
)
stories = st.lists(st.tuples(changes, st.floats(0.0, 60.0)), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(stories)
def test_energy_is_conserved_and_nothing_is_colder_than_its_source(unlike, story):
    """Loads, caps, pumps, valves, breakers, feeds, CRAHs and facility, in any order; hardware acts by itself."""
    plant = duplicate(unlike)
    windows = []
    plant.on_window = windows.append
    plant.reset_meters()
    ledger, stored = mark(plant)
    zone, facility = plant.topology.hall.zones[0], plant.topology.hall.facility
    # neither tank nor room is cooled below the lower end of its band
    coldest = 28.0 - 0.5 * facility.capacity_watts / facility.gain_watts_per_kelvin
    times = np.cumsum([0.0, *(wait for _, wait in story)])
    tell_plant(
        plant, [(float(t), change) for t, (change, _) in zip(times, story, strict=False)], float(times[-1]) + 70.0
    )
    heat, power = plant.residuals(ledger, stored)
    assert abs(heat) < TIGHT and abs(power) < TIGHT
    assert windows
    assert max(max(abs(w.heat_residual), abs(w.power_residual)) for w in windows) < TIGHT
    state = state_of(plant)
    cooled = np.isin(plant.topology.tray_rack, [0, 1, 2])
    room = zone.setpoint - 0.5 * zone.band
    for name, floor in {"td": coldest, "tp": coldest}.items():
        assert state[name][cooled].min() > floor
        assert state[name][~cooled].min() > room
    assert state["tc"][:3].min() > coldest
    assert state["loop"].reshape(-1, 4)[:, :2].min() > coldest
    assert state["tank"].min() > coldest
    assert state["room"].min() > room and state["ta"].min() > room


# ---------------------------------------------------------------- more power is never cooler


@pytest.fixture(scope="module")
def precise() -> Plant:
    """The unlike racks, integrated ten times as finely, without control of their supply temperature."""
    plant = at_rest(load_hall("small", [*UNLIKE, "loop.supply_temperature_celsius=38"]), 0.4, tolerance_kelvin=0.01)
    plant.set_supply(0, UNCONTROLLED)
    equilibrate(plant)
    return plant


FINE = 0.005  # K, of an integration at 0.01 K of its embedded estimate
SLOWEST = 1.0  # K per unit of load that even the slowest of the devices is hotter by 0.2 s later


@settings(max_examples=40, deadline=None)
@example(loads=[0.0, 0.0, 0.5625, 0.0, 0.5625, 0.125], where=0, more=0.0625, later=39.5)
@given(
    st.lists(st.floats(0.0, 0.6), min_size=6, max_size=6),
    st.integers(0, 10_000), st.floats(0.05, 0.3), st.floats(0.0, 60.0),
)  # fmt: skip
def test_more_power_is_never_cooler_below_the_first_limit(precise, loads, where, more, later):
    """One tray takes more, at the start or later on: no device, plate, rack or room is cooler for it, then or after.

    In the example a loop's viscosity, were it taken again after 0.5 K only, would be taken at one supply temperature in
    one run and at another in the other.
    """
    tray = where % len(precise.topology.tray_rack)
    rack = int(precise.topology.tray_rack[tray])
    moments = [0.2, 1.0, 3.0, 10.0, 30.0, 80.0, 200.0, 600.0]

    def watched(extra: float) -> list[dict[str, np.ndarray]]:
        plant = duplicate(precise)
        for r, load in enumerate(loads):
            plant.set_load(trays_of(plant, r), load)
        told = tell_plant(
            plant,
            [(later, lambda it: it.set_load(np.array([tray]), loads[rack] + extra))],
            later + moments[-1] + 1.0,
            [later + moment for moment in moments],
        )
        assert not told.log  # below the first limit
        return list(told.seen.values())

    for plain, hotter in zip(watched(0.0), watched(more), strict=True):
        for name in ("td", "tp", "tc", "ta", "room", "tank"):
            assert (hotter[name] >= plain[name] - FINE).all(), name
        assert hotter["td"][tray] > plain["td"][tray] + more * SLOWEST


# ---------------------------------------------------------------- no favourites


def permuted(hall: Hall, order: list[int]) -> Hall:
    """The same floor, its racks listed in another order."""
    names = [hall.racks[r].name for r in order]
    loops = tuple(replace(loop, racks=tuple(n for n in names if n in loop.racks)) for loop in hall.loops)
    return replace(hall, racks=tuple(hall.racks[r] for r in order), loops=loops)


HALL = load_hall("small", UNLIKE)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(6)), st.lists(st.floats(0.0, 0.7), min_size=6, max_size=6), st.integers(0, 2))
def test_permuting_racks_permutes_results(order, loads, pump):
    """Racks listed in another order, with their loads: the same temperatures, powers and breakers by name."""

    def run(hall: Hall) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        plant = Plant(compile_topology(hall))
        top = plant.topology
        for name, load in zip([rack.name for rack in HALL.racks], loads, strict=True):
            plant.set_load(trays_of(plant, top.rack_names.index(name)), load)
        plant.settle(0.0)
        assert plant.flow(0.0, 20.0) is None
        plant.set_pump(0, pump, False)
        plant.set_valve(top.rack_names.index("A-02"), 0.6)
        plant.set_breaker(top.breaker_names.index("B-01/feed A"), False)
        plant.settle(20.0)
        assert plant.flow(20.0, 75.0) is None
        plant.settle(75.0)
        state = state_of(plant)
        by_rack = {
            name: np.concatenate([
                state["td"][trays_of(plant, r)], state["tp"][trays_of(plant, r)],
                [state["tc"][r], state["ta"][r], plant.rack_power[r] * 1e-3, plant.x.flow[plant.cur, r] * 1e3],
            ])
            for r, name in enumerate(top.rack_names)
        }  # fmt: skip
        by_rack["loop"] = np.concatenate([state["loop"].ravel(), state["room"], state["tank"]])
        return by_rack, dict(zip(top.breaker_names, state["theta"], strict=True))

    plain, plain_breakers = run(HALL)
    other, other_breakers = run(permuted(HALL, order))
    for name, values in plain.items():
        np.testing.assert_allclose(other[name], values, rtol=0.0, atol=1e-9, err_msg=name)
    assert other_breakers == pytest.approx(plain_breakers, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(18)), st.permutations(range(4)), st.integers(0, 2**31))
def test_permuting_trays_of_a_rack_permutes_their_devices(liquid_order, air_order, seed):
    """In a liquid rack and in an air-cooled one: a tray's place in its rack means nothing."""
    rng = np.random.default_rng(seed)
    top = compile_topology(HALL)
    loads = rng.uniform(0.0, 0.6, len(top.tray_rack))

    def run(order: np.ndarray) -> Plant:
        plant = Plant(top)
        plant.set_load(np.arange(len(loads)), loads[order])
        plant.settle(0.0)
        assert plant.flow(0.0, 45.0) is None
        plant.settle(45.0)
        return plant

    order = np.arange(len(loads))
    order[:18] = liquid_order
    first = int(top.rack_tray0[3])
    order[first : first + 4] = first + np.array(air_order)
    plain, other = run(np.arange(len(loads))), run(order)
    np.testing.assert_allclose(state_of(other)["td"], state_of(plain)["td"][order], rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(other.rack_power, plain.rack_power, rtol=1e-12)
