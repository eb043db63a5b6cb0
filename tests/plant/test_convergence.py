"""The order of the method, in a liquid loop and in an air zone, and what its tolerance buys.

Equal steps are had through the plant's own door: with a tolerance that refuses nothing, a stretch as long as the step.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from tests.plant.telling import duplicate, state_of, temperatures
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.arrays import constants
from twin.plant.plant import Plant
from twin.plant.start import equilibrate

ANY = 1e9  # K: a tolerance that no step misses


@pytest.fixture(scope="module")
def airy() -> Plant:
    """Four air-cooled racks at equilibrium, in one room."""
    top = compile_topology(load_hall("small", ["rack_class=h100_8gpu_air", "loop=null"]))
    plant = Plant(top)
    for rack, load in enumerate((0.5, 0.7, 0.6, 0.4)):
        plant.set_load(np.arange(4 * rack, 4 * rack + 4), load)
    equilibrate(plant)
    plant.settle(0.0)
    return plant


def with_tolerance(plant: Plant, kelvin: float) -> Plant:
    """A copy that is held to another tolerance."""
    there = duplicate(plant)
    there.c = constants(plant.topology, tolerance_kelvin=kelvin)
    return there


def march(plant: Plant, steps: int, until: float) -> np.ndarray:
    """Every temperature at ``until`` [s], come by in equal steps."""
    there = with_tolerance(plant, ANY)
    times = np.linspace(0.0, until, steps + 1)
    for begin, end in pairwise(times):
        assert there.flow(float(begin), float(end)) is None
    return np.concatenate(list(temperatures(state_of(there)).values()))


def order(plant: Plant, until: float, steps: tuple[int, ...] = (20, 40, 80, 160)) -> tuple[float, np.ndarray]:
    """Order found by halving the step, and the errors."""
    exact = march(plant, 32 * steps[-1], until)
    errors = np.array([np.abs(march(plant, n, until) - exact).max() for n in steps])
    return float(np.log2(errors[0] / errors[-1])) / (len(steps) - 1), errors


LIQUID: dict[str, Callable[[Plant], object]] = {
    "load": lambda plant: plant.set_load(np.r_[0:18, 36:54], 0.8),
    "pump": lambda plant: plant.set_pump(0, 0, False),  # flows and films change with every step
    "all pumps": lambda plant: [plant.set_pump(0, pump, False) for pump in range(3)],
    "valve": lambda plant: plant.set_valve(1, 0.4),
    "set point": lambda plant: plant.set_supply(0, 39.7),  # a change that keeps its viscosity
}


@pytest.mark.parametrize("change", LIQUID)
def test_halving_the_step_quarters_the_error_in_a_loop(change, steady):
    LIQUID[change](steady)
    steady.settle(0.0)
    found, errors = order(steady, 4.0)
    assert found == pytest.approx(2.0, abs=0.3), errors
    assert errors[-1] < 2e-3


AIR: dict[str, Callable[[Plant], object]] = {
    "load": lambda plant: plant.set_load(np.arange(4, 12), 0.95),
    "some trays": lambda plant: plant.set_load(np.array([0, 5]), 1.0),
    "CRAHs": lambda plant: plant.set_crah(0, 0.7),
}


@pytest.mark.parametrize("change", AIR)
def test_halving_the_step_quarters_the_error_in_a_zone(change, airy):
    plant = duplicate(airy)
    AIR[change](plant)
    plant.settle(0.0)
    found, errors = order(plant, 4.0)
    assert found == pytest.approx(2.0, abs=0.3), errors
    assert errors[-1] < 2e-3


def test_slowed_trays_keep_the_order(steady):
    """In software slowdown power follows temperature: a law that the method takes by its tangent."""
    plant = steady
    plant.set_valve(1, 0.3)
    plant.set_load(np.arange(18, 36), 1.0)
    crossing, t = None, 0.0
    while crossing is None:
        crossing = plant.settle(t) or plant.flow(t, t + 10.0)
        t = plant.time
    while crossing is not None:
        assert plant.step_device(crossing.index) == (0, 1)
        crossing = plant.settle(plant.time)
    plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)  # nothing but the law
    found, errors = order(plant, 4.0)
    assert found == pytest.approx(2.0, abs=0.3), errors
    assert errors[-1] < 2e-3


@pytest.mark.parametrize("quick", [False, True])
def test_a_step_far_longer_than_the_die_is_stable(quick, steady):
    """The die's time constant is half a second, or a third: one step of a minute neither rings nor overshoots."""
    plant = steady
    if quick:
        plant.c = constants(plant.topology)
        plant.c.rack["cd"][:] *= 0.6
    plant.set_load(np.arange(18), 0.7)
    plant.settle(0.0)
    before = float(plant.device_temperature[0])
    final = duplicate(plant)
    for minute in range(30):
        assert final.flow(60.0 * minute, 60.0 * minute + 60.0) is None
    once = with_tolerance(plant, ANY)
    once.c.rack["cd"][:] = plant.c.rack["cd"]
    assert once.flow(0.0, 60.0) is None
    assert before < once.device_temperature[0] < final.device_temperature[0] + 1.0


@pytest.mark.parametrize("cooling", ["liquid", "air"])
def test_error_falls_with_tolerance(cooling, steady, airy):
    """The whole plant through a load step, against itself at a thousandth of the tolerance."""
    base = steady if cooling == "liquid" else duplicate(airy)
    trays = np.r_[0:18, 54:72] if cooling == "liquid" else np.arange(4, 12)

    def at(tolerance: float) -> np.ndarray:
        plant = with_tolerance(base, tolerance)
        plant.set_load(trays, 0.8)
        plant.settle(0.0)
        found = []
        for until in (1.0, 5.0, 20.0, 50.0):
            there = duplicate(plant)
            assert there.flow(0.0, until) is None
            found.append(state_of(there)["td"])
        return np.concatenate(found)

    exact = at(1e-4)
    loose, default, tight = (float(np.abs(at(tolerance) - exact).max()) for tolerance in (1.0, 0.1, 0.01))
    assert tight < 0.3 * default
    assert default < 0.3 * loose
    assert default < 0.03
    # the documented relation: a tenth to a third of the tolerance
    assert default < 0.1


def test_cutting_a_run_into_seconds_changes_little(steady, duplicated, trays):
    """Strides of a second against the plant's own: apart by less than the error that the tolerance allows."""
    steady.set_load(trays(steady, 0, 3), 0.8)
    steady.settle(0.0)
    whole, cut = duplicated(steady), duplicated(steady)
    whole.flow(0.0, 120.0)
    for second in range(120):
        cut.flow(float(second), second + 1.0)
    difference = np.abs(state_of(whole)["td"] - state_of(cut)["td"]).max()
    assert difference < 0.02
