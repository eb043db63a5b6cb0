"""Derived signals against closed forms, and total on whatever telemetry brings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twin.policy.signals import (
    breaker_heating,
    delta_t,
    fall_seconds,
    mean,
    recovery_seconds,
    slope,
    stability,
    trip_seconds,
    unchanged_seconds,
)
from twin.policy.snapshot import Quality

TIME = np.arange(0.0, 901.0, 10.0)
FINE = np.zeros(len(TIME), dtype=np.int8)


def _gaps(*lost: int) -> np.ndarray:
    quality = FINE.copy()
    quality[list(lost)] = Quality.MISSING
    return quality


# ---------------------------------------------------------------- slope


def test_a_line_has_its_slope_with_and_without_gaps():
    line = 20.0 + 0.03 * TIME
    assert slope(TIME, line, FINE) == pytest.approx(0.03, rel=1e-12)
    holes = np.where(_gaps(40, 41, 60, 88) == Quality.GOOD, line, np.nan)
    assert slope(TIME, holes, _gaps(40, 41, 60, 88)) == pytest.approx(0.03, rel=1e-12)


def test_a_slope_looks_back_ten_minutes_and_no_further():
    bent = np.where(TIME < 300.0, 1_000.0 - TIME, 700.0 + 2.0 * (TIME - 300.0))
    assert slope(TIME, bent, FINE) == pytest.approx(2.0, rel=1e-12)


def test_a_slope_leaves_out_readings_that_are_not_good():
    spiked = 20.0 + 0.03 * TIME
    quality = FINE.copy()
    spiked[70], quality[70] = 130.0, Quality.OUT_OF_RANGE
    assert slope(TIME, spiked, quality) == pytest.approx(0.03, rel=1e-12)


def test_a_slope_of_four_readings_is_not_known():
    quality = np.full(len(TIME), Quality.MISSING, dtype=np.int8)
    quality[-4:] = Quality.GOOD
    assert math.isnan(slope(TIME, TIME, quality))
    quality[-5:] = Quality.GOOD
    assert slope(TIME, TIME, quality) == pytest.approx(1.0)


@given(st.floats(-5.0, 5.0), st.sets(st.integers(0, 90), max_size=50))
def test_a_slope_of_a_line_survives_any_gaps(rate, lost):
    quality = _gaps(*lost)
    line = np.where(quality == Quality.GOOD, 40.0 + rate * TIME, np.nan)
    assert slope(TIME, line, quality, 900.0) == pytest.approx(rate, abs=1e-9)


def test_a_gap_of_one_thing_leaves_the_others_as_they_are_to_the_last_bit():
    rng = np.random.default_rng(4)
    values = 40.0 + rng.normal(0.0, 0.3, (len(TIME), 3)).cumsum(axis=0)
    whole = np.zeros(values.shape, dtype=np.int8)
    holed = whole.copy()
    holed[50, 1] = Quality.MISSING
    for signal in (slope, stability, mean):
        found, beside = signal(TIME, values, whole), signal(TIME, values, holed)
        assert found[1] != beside[1]
        assert (found[[0, 2]] == beside[[0, 2]]).all()


# ---------------------------------------------------------------- delta-T and stability


def test_delta_t_is_return_less_supply_and_unknown_where_either_is():
    found = delta_t(np.array([40.0, 40.0, np.nan]), np.array([54.0, np.nan, 54.0]))
    assert found[0] == 14.0
    assert np.isnan(found[1:]).all()


def test_stability_is_one_for_a_steady_pump_and_falls_with_the_relative_deviation():
    """A square wave of ±a has the deviation a: 5 % of the mean is half of the 10 % at which nothing is stable."""
    square = np.where(np.arange(len(TIME)) % 2 == 0, 1.0, -1.0)
    one = TIME[-60:], FINE[-60:]
    assert stability(TIME, np.full(len(TIME), 0.8), FINE) == pytest.approx(1.0, abs=1e-12)
    assert stability(one[0], 0.8 * (1.0 + 0.05 * square[-60:]), one[1]) == pytest.approx(0.5)
    assert stability(one[0], 0.8 * (1.0 + 0.2 * square[-60:]), one[1]) == 0.0
    assert stability(TIME, np.zeros(len(TIME)), FINE) == 1.0  # stands still
    assert math.isnan(stability(TIME, np.full(len(TIME), np.nan), FINE))


def test_readings_that_stay_equal_are_told_by_how_long():
    values = np.random.default_rng(1).normal(size=len(TIME))
    assert unchanged_seconds(TIME, values, FINE) == 0.0
    values[-31:] = 40.0
    assert unchanged_seconds(TIME, values, FINE) == 300.0
    values[-10] = np.nan
    assert unchanged_seconds(TIME, values, _gaps(len(TIME) - 10)) == 300.0
    assert unchanged_seconds(TIME, np.full(len(TIME), 40.0), FINE) == 900.0
    assert math.isnan(unchanged_seconds(TIME, values, np.full(len(TIME), Quality.STALE)))


# ---------------------------------------------------------------- recovery


@pytest.mark.parametrize("tau", [60.0, 180.0, 900.0])
def test_recovery_of_an_exponential_is_its_closed_form(tau):
    rest, level = 40.0, 40.0 + 10.0 * math.exp(-900.0 / tau) / 4.0
    decay = rest + 10.0 * np.exp(-TIME / tau)
    assert recovery_seconds(TIME, decay, FINE, level, 900.0) == pytest.approx(tau * math.log(4.0), rel=1e-4)


def test_recovery_does_not_mind_missing_readings():
    quality = _gaps(35, 36, 37, 60, 89)
    decay = np.where(quality == Quality.GOOD, 40.0 + 10.0 * np.exp(-TIME / 300.0), np.nan)
    assert recovery_seconds(TIME, decay, quality, 40.1) == pytest.approx(300.0 * math.log(100.0) - 900.0, rel=1e-4)


def test_recovery_along_a_line_is_distance_over_slope():
    assert recovery_seconds(TIME, 60.0 - 0.01 * TIME, FINE, 50.0) == pytest.approx(100.0, rel=1e-3)


def test_what_is_below_its_level_has_recovered_and_what_never_gets_there_takes_for_ever():
    decay = 40.0 + 10.0 * np.exp(-TIME / 180.0)
    assert recovery_seconds(TIME, decay, FINE, 45.0) == 0.0
    assert recovery_seconds(TIME, decay, FINE, 39.0) == np.inf
    assert recovery_seconds(TIME, 40.0 + 0.01 * TIME, FINE, 30.0) == np.inf


def test_recovery_under_noise_is_right_within_a_tenth():
    rng = np.random.default_rng(3)
    decay = 40.0 + 20.0 * np.exp(-TIME / 400.0)
    true = 400.0 * math.log(20.0) - 900.0
    found = recovery_seconds(
        TIME, decay[:, None] + rng.normal(0.0, 0.02, (len(TIME), 40)), np.tile(FINE[:, None], 40), 41.0, 900.0
    )
    assert np.median(found) == pytest.approx(true, rel=0.1)


# ---------------------------------------------------------------- breakers


def test_heating_of_a_cold_breaker_reaches_its_level_when_the_closed_form_says():
    """``t = τ ln(r²/(r² − 1.44))``: 400.4 s at 1.5 Ir with tr 16 s."""
    tau = 16.0 / math.log(36.0 / (36.0 - 1.44))
    trip = tau * math.log(2.25 / (2.25 - 1.44))
    assert trip == pytest.approx(400.43, abs=0.01)
    time = np.linspace(0.0, trip, 23)
    quality = np.zeros(23, dtype=np.int8)
    assert breaker_heating(time, np.full(23, 375.0), quality, 250.0, tau, 0.0) == pytest.approx(1.44, rel=1e-12)
    assert trip_seconds(0.0, 1.5, tau) == pytest.approx(trip, rel=1e-12)


def test_heating_begins_as_if_the_first_reading_had_lasted():
    assert breaker_heating(TIME, np.full(len(TIME), 200.0), FINE, 250.0, 392.0) == pytest.approx(0.64, rel=1e-12)


def test_heating_bridges_a_gap_and_cools_by_the_closed_form():
    """Full load for 500 s, then none: θ = e^{−400/τ}; readings lost while the current stood change nothing."""
    tau = 300.0
    amperes = np.where(TIME < 500.0, 250.0, 0.0)
    exact = breaker_heating(TIME, amperes, FINE, 250.0, tau)
    step = (0.5 + 0.5 * math.exp(-10.0 / tau)) * math.exp(-400.0 / tau)  # the mean drive over the step of 10 s
    assert exact == pytest.approx(step, rel=1e-12)
    quality = _gaps(20, 21, 22, 70, 71)
    held = np.where(quality == Quality.GOOD, amperes, np.nan)
    assert breaker_heating(TIME, held, quality, 250.0, tau) == pytest.approx(step, rel=1e-12)


def test_time_to_trip_from_preload_and_beyond():
    assert trip_seconds(0.64, 1.5, 392.0) == pytest.approx(392.0 * math.log((2.25 - 0.64) / (2.25 - 1.44)))
    assert trip_seconds(1.5, 0.5, 392.0) == 0.0
    assert trip_seconds(0.5, 1.1, 392.0) == np.inf
    assert math.isnan(trip_seconds(math.nan, 1.5, 392.0))


# ---------------------------------------------------------------- total


@st.composite
def _histories(draw):
    count, things = draw(st.integers(0, 12)), draw(st.integers(1, 3))
    steps = draw(arrays.arrays(np.float64, count, elements=st.floats(0.0, 60.0)))
    values = draw(
        arrays.arrays(
            np.float64,
            (count, things),
            elements=st.one_of(st.just(math.nan), st.just(math.inf), st.floats(-1e6, 1e6)),
        )
    )
    quality = draw(arrays.arrays(np.int8, (count, things), elements=st.integers(0, 3)))
    return np.cumsum(steps), values, quality


@given(_histories())
@pytest.mark.filterwarnings("error")
def test_nothing_is_raised_on_any_history_and_every_thing_gets_an_answer(history):
    time, values, quality = history
    things = values.shape[1]
    for found in (
        slope(time, values, quality),
        stability(time, values, quality),
        unchanged_seconds(time, values, quality),
        recovery_seconds(time, values, quality, 40.0),
        breaker_heating(time, values, quality, 250.0, 400.0),
    ):
        assert found.shape == (things,)
    unknown = ((quality == Quality.GOOD) & np.isfinite(values)).sum(axis=0) == 0
    assert np.isnan(recovery_seconds(time, values, quality, 40.0)[unknown]).all()
    assert np.isnan(breaker_heating(time, values, quality, 250.0, 400.0)[unknown]).all()
    steady = stability(time, values, quality)
    assert ((steady >= 0.0) & (steady <= 1.0) | np.isnan(steady)).all()


@given(_histories())
def test_one_thing_alone_gets_the_answer_it_gets_among_others(history):
    time, values, quality = history
    for signal in (slope, stability, unchanged_seconds):
        together = signal(time, values, quality)
        alone = signal(time, values[:, 0], quality[:, 0])
        assert alone.shape == ()
        assert alone == pytest.approx(together[0], nan_ok=True)


# ---------------------------------------------------------------- time constants


@pytest.mark.parametrize("tau", [8.0, 60.0, 900.0])
def test_the_time_constant_of_an_exponential_fall_is_exact(tau):
    time = np.arange(0.0, 310.0, 10.0)
    values = np.stack([45.0 + 30.0 * np.exp(-time / tau), 45.0 - 30.0 * np.exp(-time / tau)], axis=1)
    found = fall_seconds(time, values, np.zeros(values.shape, dtype=np.int8))
    assert found[0] == pytest.approx(tau, rel=1e-7)
    assert math.isnan(found[1])  # a rise is no fall


def test_no_time_constant_is_told_of_little_few_or_still():
    time = np.arange(0.0, 310.0, 10.0)
    fine = np.zeros(len(time), dtype=np.int8)
    small = 45.0 + 2.0 * np.exp(-time / 60.0)
    assert math.isnan(fall_seconds(time, small, fine, least=3.0))
    assert fall_seconds(time, small, fine) == pytest.approx(60.0, rel=1e-7)
    assert math.isnan(fall_seconds(time[:4], small[:4], fine[:4]))
    assert math.isnan(fall_seconds(time, np.full(len(time), 45.0), fine))
