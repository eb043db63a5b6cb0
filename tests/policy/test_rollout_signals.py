"""Signals that gate a rollout, each by a case worked by hand: four racks, readings every 10 s."""

import math

import numpy as np
import pytest

from twin.policy.rollout_signals import Baseline, power_spike, temperature_rise, throttled_share
from twin.policy.snapshot import History, Quality

TIMES = np.arange(10.0, 61.0, 10.0)
BEFORE = np.array([70.0, 71.0, 72.0, 73.0, 74.0])
EVERY = np.ones(5, dtype=bool)


def history(values: np.ndarray, lost: tuple[int, ...] = ()) -> History:
    """The same reading of each rack at all times; those of ``lost`` racks are missing."""
    quality = np.zeros((len(TIMES), len(values)), dtype=np.int8)
    quality[:, list(lost)] = Quality.MISSING
    return History(TIMES, np.tile(values, (len(TIMES), 1)), quality)


def rise(
    by: list[float],
    racks: list[int],
    witnesses: np.ndarray = EVERY,
    lost: tuple[int, ...] = (),
    without: list[int] | None = None,
) -> float:
    without = [rack for rack in range(5) if rack not in racks] if without is None else without
    past = history(BEFORE + by, lost)
    before = Baseline(BEFORE, witnesses)
    return temperature_rise(past, 60.0, 40.0, np.array(racks, int), np.array(without, int), before, 6.0)


def test_a_rise_is_that_over_racks_without_the_release():
    assert rise([5.0, 4.0, 1.0, 2.0, 3.0], [0, 1]) == pytest.approx(5.0 - 2.0)  # the hall itself rose by 2 K
    assert rise([-1.0, -1.0, 1.0, 2.0, 3.0], [0, 1]) == 0.0  # a fall is no rise


def test_with_fewer_than_three_without_it_the_first_to_have_it_stand_for_them():
    assert rise([1.0, 1.0, 1.0, 9.0, 0.0], [0, 1, 2, 3]) == pytest.approx(9.0 - 1.0)


def test_few_racks_are_held_against_the_others_and_not_against_themselves():
    assert rise([9.0, 0.0, 0.0, 0.0, 0.0], [0], without=[1, 2]) == pytest.approx(9.0)
    assert rise([9.0, 7.0, 8.0, 1.0, 0.0], [0, 1, 2], without=[3]) == pytest.approx(9.0 - 1.0)


def test_a_rise_over_racks_that_are_no_witnesses_may_hold_and_not_take_back():
    by = [9.0, 9.0, -4.0, -4.0, -4.0]  # where a job ended, a rack cooled: that is no heat of the release
    assert rise(by, [0, 1], np.array([True, True, False, False, False])) == 6.0
    assert rise(by, [0, 1]) == pytest.approx(13.0)


def test_witnesses_tell_and_the_others_are_believed_to_hold_and_not_to_take_back():
    by = [20.0, 3.0, 0.0, 0.0, 0.0]
    assert rise(by, [0, 1], np.array([False, True, True, True, True])) == pytest.approx(3.0)
    assert rise(by, [0], np.array([False, True, True, True, True])) == 6.0  # of 20 K no more than may be unsure


def test_what_is_not_read_is_not_known_and_what_nobody_has_is_nothing():
    assert math.isnan(rise([5.0] * 5, [0, 1], lost=(1,)))  # one of those that have it
    assert math.isnan(rise([5.0] * 5, [0, 1], lost=(2, 3, 4)))  # all that it is held against
    assert rise([5.0, 5.0, 1.0, 1.0, 1.0], [0, 1], lost=(4,)) == pytest.approx(4.0)  # the others are enough
    assert rise([9.0] * 5, []) == 0.0
    none = np.zeros(0, dtype=np.int64)
    assert math.isnan(temperature_rise(None, 60.0, 40.0, np.array([0]), none, Baseline(BEFORE, EVERY), 6.0))
    assert math.isnan(temperature_rise(history(BEFORE), 60.0, 40.0, np.array([0]), none, None, 6.0))


def test_a_spike_is_the_highest_late_reading_over_the_declared_peak():
    values = np.full((6, 2), 100.0)
    values[1, 0], values[4, 0], values[5, 1] = 500.0, 132.0, 110.0  # the first is too long ago
    past = History(TIMES, values, np.zeros((6, 2), dtype=np.int8))
    racks, declared = np.array([0, 1]), np.array([120.0, 100.0])
    assert power_spike(past, 30.0, racks, declared) == pytest.approx(0.1)
    assert power_spike(past, 15.0, racks, declared) == pytest.approx(500.0 / 120.0 - 1.0)
    assert power_spike(past, 30.0, racks, np.array([200.0, 200.0])) == 0.0
    assert math.isnan(power_spike(history(np.array([1.0, 1.0]), lost=(1,)), 30.0, racks, declared))
    assert math.isnan(power_spike(None, 30.0, racks, declared))


def test_a_throttled_share_goes_by_trays():
    assert throttled_share(np.array([0.1, 0.4]), np.array([18, 6])) == pytest.approx((1.8 + 2.4) / 24.0)
    assert throttled_share(np.zeros(0), np.zeros(0, dtype=np.int64)) == 0.0
