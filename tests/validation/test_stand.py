"""The test stand: currents are those asked for, and times those of the clock."""

import numpy as np
import pytest

from twin.plant.breakers import lsi_time_constant, trip_seconds
from twin.validation.breakers import LSI, MCB
from twin.validation.stand import Stand

TAU = lsi_time_constant(16.0)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.45, 10.0])
def test_a_bank_draws_what_is_asked(ratio):
    stand = Stand(MCB, 3)
    stand.carry(ratio, 0.0)
    stand.plant.set_load(np.arange(3), ratio / 12.0)
    stand.plant.settle(0.0)
    np.testing.assert_allclose(stand.plant.breaker_ratio, ratio, rtol=1e-12)


def test_a_stand_times_a_trip_from_a_preload():
    stand = Stand(LSI)
    assert stand.carry(0.8, 12.0 * TAU)[0] == np.inf
    assert stand.carry(1.5, 3_600.0)[0] == pytest.approx(trip_seconds(1.5, 0.8, TAU), abs=1e-2)


def test_each_device_of_a_stand_trips_by_itself():
    stand = Stand(LSI, 3)
    stand.plant.c.breaker["tau"][:] = TAU * np.array([1.0, 0.8, 0.9])
    exact = trip_seconds(1.5, 0.0, TAU)
    np.testing.assert_allclose(stand.carry(1.5, 3_600.0), exact * np.array([1.0, 0.8, 0.9]), rtol=1e-9)


def test_a_breaker_cools_while_it_is_open():
    stand = Stand(LSI)
    stand.carry(1.5, 3_600.0)
    stand.rest(60.0)
    assert stand.plant.x.theta[stand.plant.cur, 0] == pytest.approx(1.44 * np.exp(-60.0 / TAU), rel=1e-9)
    assert stand.carry(1.5, 3_600.0)[0] < trip_seconds(1.5, 0.0, TAU)
