"""The plant against scipy: whole halls written a second time and integrated by LSODA, through stories of every kind.

Asked of the plant: every temperature within 0.05 K, every crossing within 10 ms or, where the slope makes it longer,
within 0.05 K divided by the slope there; the same events for every device, breaker and rack.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plant.oracle import BRAKED, NORMAL, OFF, SLOWED, Oracle
from tests.plant.telling import (
    KELVIN,
    Difference,
    Story,
    compare,
    duplicate,
    oracle_of,
    state_of,
    tell_oracle,
    tell_plant,
)
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.arrays import constants
from twin.plant.plant import Plant
from twin.plant.start import equilibrate

# ---------------------------------------------------------------- halls

QUICK = "{preset: gb200_nvl72, die_heat_capacity_joules_per_kelvin: 109}"  # 109 J/K × 0.00275 K/W: 0.3 s
CLASSES = (
    f"classes={{quick: {QUICK}, h100: {{preset: h100_8gpu_air, phase_weights: [0.4, 0.3, 0.3]}}, "
    "a100: {preset: a100_8gpu_air}}"
)
UNLIKE = (
    "exceptions={A-02: {rack_class: quick}, A-03: {rack_class: gb300_nvl72, valve_position: 0.8}, "
    "row B: {rack_class: h100}, B-03: {rack_class: a100}}"
)


class HallOf(NamedTuple):
    """A hall and what it carries before anything happens."""

    overrides: tuple[str, ...]
    loads: tuple[float, ...]
    #: factors of breakers' ratings by node, and of single trays' resistances
    ratings: tuple[tuple[str, float], ...] = ()
    resistances: tuple[tuple[int, float], ...] = ()


HALLS = {
    "small": HallOf((), (0.5, 0.7, 0.6, 0.4)),
    "standby pumps": HallOf(("loop.mode=standby",), (0.5, 0.7, 0.6, 0.4)),
    "quick dies": HallOf((f"classes={{quick: {QUICK}}}", "rack_class=quick"), (0.5, 0.7, 0.6, 0.4)),
    # 0.3 s dies, GB200 and GB300 on one loop; H100 off balance and A100 in air, in one room with them
    "unlike racks": HallOf(
        ("rows=2", "racks_per_row=3", "loop.racks=3", CLASSES, UNLIKE), (0.6, 0.7, 0.6, 0.5, 0.7, 0.4)
    ),
    "air": HallOf(("rack_class=h100_8gpu_air", "loop=null"), (0.5, 0.7, 0.6, 0.4)),
    # one tray whose thermal interface is bad, two that are poor
    "poor interfaces": HallOf((), (0.5, 0.5, 0.6, 0.4), resistances=((18, 2.2), (19, 1.6), (40, 1.5))),
    "weak feeds": HallOf((), (0.3, 0.8, 0.6, 0.4), ratings=(("A-02/feed A", 0.4), ("A-02/feed B", 0.4))),
    "table breakers": HallOf(
        ("rack_feed={breaker: {preset: dynamo_rpp, rating_amperes: 95}}",), (0.3, 0.8, 0.6, 0.4)
    ),
}  # fmt: skip


def build(hall: HallOf) -> Plant:
    top = compile_topology(load_hall("small", hall.overrides))
    rating, resistance = np.ones(len(top.breaker_names)), np.ones(len(top.tray_rack))
    for name, factor in hall.ratings:
        rating[top.breaker_names.index(name)] = factor
    for tray, factor in hall.resistances:
        resistance[tray] = factor
    plant = Plant(top, parameters=constants(top, rating_factor=rating, resistance_factor=resistance))
    for rack, load in enumerate(hall.loads):
        plant.set_load(np.arange(top.rack_tray0[rack], top.rack_tray0[rack + 1]), load)
    assert equilibrate(plant) < 1e-6
    assert plant.settle(0.0) is None
    return plant


@pytest.fixture(scope="module")
def plant_of() -> Callable[[str], Plant]:
    """A plant of one of :data:`HALLS` at equilibrium, to be changed at will."""
    made: dict[str, Plant] = {}

    def plant(name: str) -> Plant:
        if name not in made:
            made[name] = build(HALLS[name])
        return duplicate(made[name])

    return plant


# ---------------------------------------------------------------- stories


def of(it: Plant | Oracle, *racks: int) -> np.ndarray:
    """Trays of these racks."""
    rack_of_tray = it.rack_of_tray if isinstance(it, Oracle) else it.topology.tray_rack
    return np.flatnonzero(np.isin(rack_of_tray, racks))


def pumps(on: bool, *which: int, loop: int = 0):
    return lambda it: [it.set_pump(loop, k, on) for k in which]


def load(utilisation: float, *racks: int):
    return lambda it: it.set_load(of(it, *racks), utilisation)


def breaker(name: str, closed: bool):
    def change(it: Plant | Oracle) -> None:
        names = it.breakers if isinstance(it, Oracle) else it.topology.breaker_names
        it.set_breaker(names.index(name), closed)

    return change


def source(name: str, on: bool):
    def change(it: Plant | Oracle) -> None:
        names = it.nodes if isinstance(it, Oracle) else it.topology.node_names
        it.set_source(names.index(name), on)

    return change


def line(node: str, phase: int, on: bool):
    def change(it: Plant | Oracle) -> None:
        names = it.nodes if isinstance(it, Oracle) else it.topology.node_names
        it.set_phase(names.index(node), phase, on)

    return change


def water(celsius: float):
    return lambda it: it.set_facility_water(celsius)


def interface(factor: float, rack: int, trays: int):
    return lambda it: it.set_interface(of(it, rack)[:trays], factor)


def restart(rack: int):
    """Give a rack that went dark its trays back."""
    return lambda it: (it.light(rack), it.set_on(of(it, rack), True))


class Told(NamedTuple):
    hall: str
    story: Story
    until: float
    #: events that there must have been, by kind and new mode: a story that tells of nothing shows nothing
    happens: tuple[tuple[str, int], ...] = ()


ON, BRAKE, STOP, RELEASE = ("device", SLOWED), ("device", BRAKED), ("device", OFF), ("device", NORMAL)
TRIP, DARK = ("trip", 0), ("dark", 0)

STORIES = {
    # load
    "load up": Told("small", [(0.0, load(0.8, 0, 3))], 200.0),
    "load down": Told("small", [(0.0, load(0.05, 0, 1, 2, 3))], 200.0),
    "some trays only": Told("small", [(0.0, lambda it: it.set_load(of(it, 0)[:7], 0.95))], 120.0),
    "caps": Told(
        "small",
        [(0.0, lambda it: it.set_cap(of(it, 1), 0.6)), (60.0, lambda it: it.set_cap(of(it, 1)[:9], 1.0))], 120.0,
    ),
    "trays off and on": Told(
        "small",
        [(0.0, lambda it: it.set_on(of(it, 2)[:9], False)), (50.0, lambda it: it.set_on(of(it, 2), True))], 120.0,
    ),
    "a whole rack off": Told("small", [(0.0, lambda it: it.set_on(of(it, 2), False))], 120.0),
    "loads on quick dies": Told(
        "quick dies", [(0.0, load(0.9, 0, 3)), (20.0, load(0.2, 0)), (21.0, load(0.9, 0))], 60.0
    ),
    "loads on unlike racks": Told(
        "unlike racks", [(0.0, load(0.9, 0, 1, 2, 3, 4, 5)), (100.0, load(0.1, 0, 3))], 250.0
    ),
    # pumps
    "one pump lost": Told("small", [(0.0, pumps(False, 0))], 200.0),
    "two pumps lost": Told("small", [(0.0, pumps(False, 0, 1))], 200.0),
    "all pumps lost for nine seconds": Told(
        "small", [(0.0, pumps(False, 0, 1, 2)), (9.0, pumps(True, 0, 1, 2))], 100.0
    ),
    "all pumps lost, one comes back": Told(
        "unlike racks", [(0.0, pumps(False, 0, 1, 2)), (25.0, pumps(True, 1))], 60.0, (ON, BRAKE, RELEASE)
    ),
    "all pumps lost for good": Told("quick dies", [(0.0, pumps(False, 0, 1, 2))], 120.0, (ON, BRAKE, STOP)),
    "failover to a spare": Told(
        "standby pumps", [(0.0, pumps(False, 0)), (3.0, pumps(True, 2)), (90.0, pumps(False, 2))], 150.0
    ),
    "pumps that come and go": Told(
        "unlike racks",
        [(0.0, pumps(False, 0)), (3.0, pumps(True, 0)), (10.0, pumps(False, 0, 1)), (40.0, pumps(True, 1))], 100.0,
    ),
    # valves
    "a valve half shut": Told("small", [(0.0, lambda it: it.set_valve(3, 0.5))], 200.0),
    "a valve shut and opened": Told(
        "unlike racks",
        [(0.0, lambda it: it.set_valve(1, 0.0)), (30.0, lambda it: it.set_valve(1, 1.0))], 150.0, (ON, BRAKE, RELEASE),
    ),
    "a valve shut for good": Told("small", [(0.0, lambda it: it.set_valve(2, 0.0))], 120.0, (ON, BRAKE, STOP)),
    "throttled, then released": Told(
        "small",
        [(0.0, lambda it: (it.set_valve(1, 0.3), it.set_load(of(it, 1), 1.0))),
         (60.0, lambda it: it.set_valve(1, 1.0)), (100.0, load(0.3, 1))], 160.0, (ON, RELEASE),
    ),
    "throttled at once, die by die": Told(
        "poor interfaces",
        [(0.0, load(1.0, 1)), (30.0, load(0.2, 1)), (45.0, load(1.0, 1, 2))], 90.0, (ON, RELEASE),
    ),
    # facility and set points
    "supply set point": Told("small", [(0.0, lambda it: it.set_supply(0, 38.0))], 200.0),
    "supply set point, far": Told(
        "small", [(0.0, lambda it: it.set_supply(0, 44.0)), (100.0, lambda it: it.set_supply(0, 35.0))], 300.0
    ),
    "facility water warmer, then cold": Told(
        "small", [(0.0, water(40.0)), (900.0, water(30.0))], 1500.0
    ),
    "facility water within its band": Told("air", [(0.0, water(30.9))], 240.0),
    "facility water within its band, under a loop": Told("small", [(0.0, water(30.9))], 240.0),
    "facility water within its band, under unlike racks": Told("unlike racks", [(44.0, water(30.9))], 240.0),
    "heat rejection lost": Told("small", [(0.0, lambda it: it.set_rejection(0.0))], 1800.0, (ON,)),
    "pressure set point": Told(
        "small", [(0.0, lambda it: it.set_pressure(0, 40e3)), (60.0, lambda it: it.set_pressure(0, 90e3))], 120.0
    ),
    # wear and faults
    "a filter clogs, a pump weakens": Told(
        "unlike racks",
        [(0.0, lambda it: it.set_main(0, 4.0)), (60.0, lambda it: it.set_health(0, 1, 0.7)),
         (120.0, lambda it: it.set_main(0, 1.0)), (121.0, pumps(False, 0))], 180.0,
    ),
    "an exchanger fouls and loses most of its water": Told(
        "small",
        [(0.0, lambda it: it.set_fouling(0, 4e-6)), (100.0, lambda it: it.set_water(0, 0.4)),
         (200.0, lambda it: it.set_water(0, 0.0)), (230.0, lambda it: it.set_water(0, 1.0))], 400.0,
    ),
    "thermal interfaces go bad": Told(
        "small",
        [(0.0, interface(1.8, 1, 2)), (20.0, interface(2.6, 1, 3)), (60.0, interface(1.0, 1, 3))], 120.0,
        (ON, RELEASE),
    ),
    # air
    "loads in air": Told("air", [(0.0, load(1.0, 1, 2)), (100.0, load(0.1, 0, 1))], 250.0),
    "some trays in air": Told(
        "air",
        [(0.0, lambda it: it.set_load(of(it, 1)[:2], 1.0)), (50.0, lambda it: it.set_on(of(it, 2)[:1], False)),
         (60.0, lambda it: it.set_on(of(it, 3), False))], 200.0,
    ),
    "CRAHs beyond their capacity": Told(
        "air", [(0.0, lambda it: it.set_crah(0, 0.6)), (600.0, lambda it: it.set_crah(0, 1.0))], 900.0
    ),
    "CRAHs lost and back": Told(
        "air", [(0.0, lambda it: it.set_crah(0, 0.0)), (300.0, lambda it: it.set_crah(0, 1.0))], 540.0, (ON, RELEASE)
    ),
    "a room that comes back into its CRAHs' band": Told(
        "air", [(0.0, lambda it: it.set_crah(0, 0.0)), (15.0, lambda it: it.set_crah(0, 1.0))], 90.0
    ),
    "a room that leaves its CRAHs' band": Told("air", [(0.0, lambda it: it.set_crah(0, 0.406))], 90.0),
    "a room that nears the end of its CRAHs' band": Told("air", [(0.0, lambda it: it.set_crah(0, 0.506))], 90.0),
    "CRAHs of a room with both": Told(
        "unlike racks", [(0.0, lambda it: it.set_crah(0, 0.0)), (200.0, lambda it: it.set_crah(0, 1.0))], 400.0,
        (ON, RELEASE),
    ),
    # power
    "a feed that is lost trips the other; memory": Told(
        "weak feeds",
        [(0.0, breaker("A-02/feed A", False)), (800.0, breaker("A-02/feed A", True)), (800.0, restart(1)),
         (900.0, breaker("A-02/feed B", True)), (1000.0, breaker("A-02/feed A", False))], 1700.0, (TRIP, DARK),
    ),
    "damage by a table, and recovery": Told(
        "table breakers",
        [(0.0, breaker("A-02/feed A", False)), (40.0, breaker("A-02/feed A", True)),
         (300.0, breaker("A-02/feed A", False))], 500.0, (TRIP, DARK),
    ),
    "lines lost, breakers heat": Told(
        "unlike racks",
        [(0.0, line("pdu A/feed A", 0, False)), (40.0, line("row B/feed B", 2, False)),
         (60.0, line("row B/feed A", 1, False)), (100.0, line("pdu A/feed A", 0, True))], 160.0,
    ),
    "a side lost and back": Told(
        "unlike racks",
        [(0.0, source("pdu A/feed A", False)), (60.0, source("pdu A/feed A", True)),
         (80.0, breaker("row B/feed B", False))], 120.0,
    ),
}  # fmt: skip


def looks(until: float) -> list[float]:
    """The first second in detail, then some two hundred times that no clock of the plant knows."""
    first = [0.05, 0.1, 0.2, 0.35, 0.5, 0.75]
    stride = max(0.97, until / 200.0)
    return [*first, *np.arange(1.01, until, stride).tolist()]


def told(plant: Plant, story: Story, until: float) -> Difference:
    theirs = tell_oracle(oracle_of(plant), state_of(plant), story, until)
    return compare(tell_plant(plant, story, until, looks(until)), theirs, story)


@pytest.fixture(scope="module")
def oracle_tells(plant_of):
    """What the oracle tells of a story, by its name; told once."""

    @cache
    def tell(name):
        plant = plant_of(STORIES[name].hall)
        return tell_oracle(oracle_of(plant), state_of(plant), STORIES[name].story, STORIES[name].until)

    return tell


def alike(name, ours, theirs, record_property):
    """Compare what was told of a story."""
    difference = compare(ours, theirs, STORIES[name].story)
    record_property("difference", str(difference))
    print(f"{name}: {difference}")
    assert difference.kelvin < KELVIN, difference
    assert difference.share < 1.0, difference
    assert difference.theta < 2e-5, difference
    assert set(STORIES[name].happens) <= set(difference.modes), difference.modes
    if not STORIES[name].happens:
        assert not difference.modes


@pytest.mark.parametrize("name", STORIES)
def test_the_plant_tells_what_the_oracle_tells(name, plant_of, oracle_tells, record_property):
    hall, story, until, _ = STORIES[name]
    alike(name, tell_plant(plant_of(hall), story, until, looks(until)), oracle_tells(name), record_property)


@pytest.mark.parametrize("name", [name for name, of in STORIES.items() if of.hall != "air"])
def test_it_tells_the_same_in_many_stretches(name, plant_of, oracle_tells, record_property):
    """In some two hundred, each of which begins with steps that the one before has left."""
    hall, story, until, _ = STORIES[name]
    ours = tell_plant(plant_of(hall), story, until, looks(until), cut=True)
    alike(name, ours, oracle_tells(name), record_property)


# ---------------------------------------------------------------- any story


def cap(clock: float, rack: int):
    return lambda it: it.set_cap(of(it, rack), clock)


def some_off(rack: int, trays: int):
    return lambda it: it.set_on(of(it, rack)[:trays], False)


def valve(position: float, rack: int):
    return lambda it: it.set_valve(rack, position if position > 0.15 else 0.0)


def supply(celsius: float):
    return lambda it: it.set_supply(0, celsius)


def rejection(available: float):
    return lambda it: it.set_rejection(available)


def crahs(available: float):
    return lambda it: it.set_crah(0, available)


share, liquid = st.floats(0.0, 1.0), st.integers(0, 2)
in_any_hall = st.one_of(
    st.builds(load, share, st.integers(0, 3)),
    st.builds(cap, st.floats(0.2, 1.0), st.integers(0, 3)),
    st.builds(some_off, st.integers(0, 3), st.integers(1, 4)),
    st.builds(water, st.floats(28.0, 42.0)),
    st.builds(rejection, share),
    st.builds(crahs, share),
)
in_a_loop = st.one_of(
    in_any_hall,
    st.builds(pumps, st.booleans(), st.integers(0, 2)),
    st.builds(pumps, st.booleans(), st.just(0), st.just(1), st.just(2)),
    st.builds(valve, share, liquid),
    st.builds(supply, st.floats(34.0, 46.0)),
)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_story_is_told_alike(plant_of, data):
    """Up to six changes at any times in any of the halls."""
    hall = data.draw(st.sampled_from(sorted(set(HALLS) - {"weak feeds", "table breakers"})))
    change = in_any_hall if hall == "air" else in_a_loop
    steps = data.draw(st.lists(st.tuples(st.floats(0.0, 60.0), change), min_size=1, max_size=6))
    times = np.cumsum([wait for wait, _ in steps]).tolist()
    story = [(time, each) for time, (_, each) in zip(times, steps, strict=True)]
    difference = told(plant_of(hall), story, times[-1] + 100.0)
    assert difference.kelvin < KELVIN, difference
    assert difference.share < 1.0, difference


# ---------------------------------------------------------------- at rest


@pytest.mark.parametrize("name", HALLS)
def test_equilibrium_is_one_by_another_account(name, plant_of):
    """Nothing moves faster than 1e-6 K/s at the plant's equilibrium when the oracle is asked; breakers stand at r²."""
    plant = plant_of(name)
    oracle = oracle_of(plant)
    y = oracle.pack(state_of(plant))
    rate = oracle(0.0, y)
    rate[oracle.at["theta"]] *= [table is None for table in oracle.table]
    for part in ("td", "tp", "tc", "ta", "room", "tank", "loop", "speed", "pi"):
        assert np.abs(rate[oracle.at[part]]).max(initial=0.0) < 2e-6, part
    assert np.abs(rate[oracle.at["theta"]]).max() < 1e-9
    watts = oracle.servers(y[oracle.at["td"]])[2]
    np.testing.assert_allclose(plant.rack_power, watts, rtol=1e-9)
    np.testing.assert_allclose(plant.breaker_ratio, oracle.ratios(plant.rack_power), rtol=1e-9)


@pytest.mark.parametrize("name", ["mixed", "reference"])
def test_power_of_large_halls_is_what_the_oracle_says(name):
    """Racks' powers at any load, cap, mode and temperature; phasors of racks off balance, auxiliary loads line to line,
    losses on the way up, a side lost. Nothing flows here."""
    top = compile_topology(load_hall(name))
    plant = Plant(top)
    rng = np.random.default_rng(8)
    trays = np.arange(len(top.tray_rack))
    plant.set_load(trays, rng.uniform(0.0, 1.0, len(trays)))
    plant.set_cap(trays[::3], rng.uniform(0.4, 1.0, len(trays[::3])))
    plant.x.td[plant.cur] = rng.uniform(40.0, 84.0, len(trays))
    slowed = trays[1::5]
    plant.u.tray["mode"][slowed] = rng.integers(SLOWED, OFF, len(slowed))
    plant.x.td[plant.cur, slowed] = rng.uniform(84.0, 90.0, len(slowed))
    plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)
    plant.settle(0.0)
    for lost in (None, "ups A", "row B/feed B"):
        if lost is not None:
            plant.set_breaker(top.breaker_names.index(lost), False)
            plant.settle(0.0)
        oracle = oracle_of(plant)
        y = oracle.pack(state_of(plant))
        np.testing.assert_allclose(plant.rack_power, oracle.servers(y[oracle.at["td"]])[2], rtol=1e-9)
        np.testing.assert_allclose(plant.breaker_ratio, oracle.ratios(plant.rack_power), rtol=1e-9)
    for node, phase in (("pdu AB/feed A" if name == "reference" else "pdu D/feed B", 1), ("row A/feed A", 0)):
        plant.set_phase(top.node_names.index(node), phase, False)
        plant.settle(0.0)
        np.testing.assert_allclose(plant.breaker_ratio, oracle_of(plant).ratios(plant.rack_power), rtol=1e-9)
