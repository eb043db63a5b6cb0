"""The order of the method, and what its tolerance buys."""

import numpy as np
import pytest

from twin.hall.topology import Topology
from twin.plant.arrays import constants
from twin.plant.march import fixed_steps
from twin.plant.plant import Plant


def _march(plant: Plant, steps: int, until: float) -> np.ndarray:
    """Loop 0 carried to ``until`` [s] in equal steps of the bare step kernel; every temperature of it."""
    x = type(plant.x)(*(row.copy() for row in plant.x))
    fixed_steps(plant.c, plant.u, x, plant.d, plant.w, False, 0, plant.cur, until / steps, steps)
    end = 1 - plant.cur
    return np.concatenate([x.td[end], x.tp[end], x.tc[end], x.loop[end, 0, :2]])


@pytest.mark.parametrize("change", ["load", "pump"])
def test_halving_the_step_quarters_the_error(change, steady, trays):
    """Order two through a load step, and through a lost pump, whose flows and films change with the step."""
    if change == "load":
        steady.set_load(trays(steady, 0, 2), 0.8)
    else:
        steady.set_pump(0, 0, False)
    steady.settle(0.0)
    until = 8.0
    exact = _march(steady, 20_000, until)
    errors = np.array([np.abs(_march(steady, n, until) - exact).max() for n in (40, 80, 160, 320)])
    assert np.log2(errors[0] / errors[-1]) / 3.0 == pytest.approx(2.0, abs=0.3), errors
    assert errors[-1] < 2e-3


def test_a_step_far_longer_than_the_die_is_stable(steady, trays):
    """The die's time constant is half a second: one step of a minute neither rings nor overshoots by a kelvin."""
    steady.set_load(trays(steady, 0), 0.7)
    steady.settle(0.0)
    before = float(steady.x.td[steady.cur, 0])
    final = _march(steady, 2_000, 2_000.0)[0]
    once = _march(steady, 1, 60.0)[0]
    assert before < once < final + 1.0


def test_error_falls_with_tolerance(small: Topology, steady, duplicated, trays):
    """The whole plant through a load step, against itself at a thousandth of the tolerance."""

    def at(tolerance: float) -> np.ndarray:
        plant = duplicated(steady)
        plant.c = constants(small, tolerance_kelvin=tolerance)
        plant.set_load(trays(plant, 0, 3), 0.8)
        plant.settle(0.0)
        worst = []
        for until in (1.0, 5.0, 20.0, 50.0):
            there = duplicated(plant)
            there.c = plant.c
            there.flow(0.0, until)
            worst.append(there.x.td[there.cur])
        return np.concatenate(worst)

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
    difference = np.abs(whole.x.td[whole.cur] - cut.x.td[cut.cur]).max()
    assert difference < 0.02
