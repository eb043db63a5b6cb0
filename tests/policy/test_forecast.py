"""Forecasts by algebra: straight rises as far as declared, exponential falls, and what was past a limit."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.policy.documents import shipped
from twin.policy import JobRequest, Reason, Wait
from twin.policy.aware import thermal_aware
from twin.policy.check import NAMEPLATE, example
from twin.policy.exclusion import Exclusion
from twin.policy.forecast import OF_LOOPS, OF_RACKS, exceeded, forecast, recovery_seconds
from twin.policy.headroom import Permitted, amperes_per_watt
from twin.policy.snapshot import History, Quality
from twin.policy.utilisation import most_used, raised, rise_watts, utilisation

NOTHING = np.zeros(16)
ROW = 4 * NAMEPLATE  # W that a row's breaker is rated for
HALF = 0.5 * NAMEPLATE


def with_past(snapshot, field, values, quality=None):
    """The same hall with a history (60 readings of 10 s) of one field; its last reading is shown now."""
    past = snapshot.histories[field]
    codes = past.quality if quality is None else quality
    return replace(
        snapshot,
        **{field: values[-1].copy()},
        histories={**snapshot.histories, field: History(past.time_seconds, values, codes)},
    )


def rising(watts_per_minute, declared):
    """Rack 0 has risen in a straight line to half of its nameplate; its jobs declared so much."""
    calm = example()
    back = (calm.histories["rack_power_watts"].time_seconds - 600.0)[:, None] / 60.0
    slopes = np.where(np.arange(16) == 0, watts_per_minute, 0.0)
    asked = np.where(np.arange(16) == 0, declared, HALF)
    return replace(with_past(calm, "rack_power_watts", HALF + back * slopes), rack_declared_power_watts=asked)


def ahead(snapshot):
    facility = snapshot.facility
    per_watt = amperes_per_watt(facility, snapshot.breaker_closed)
    return raised(utilisation(snapshot, facility), snapshot, facility, per_watt, rise_watts(snapshot))


def test_a_straight_rise_goes_on_for_fifteen_minutes():
    """1 kW a minute is 15 kW, of the rack, its row, its loop and its breaker."""
    snapshot = rising(1_000.0, declared=NAMEPLATE)
    assert rise_watts(snapshot) == pytest.approx(np.where(np.arange(16) == 0, 15_000.0, 0.0), abs=1e-6)
    found = ahead(snapshot)
    assert found.rack[0] == pytest.approx((HALF + 15_000.0) / NAMEPLATE)
    assert found.row[0] == pytest.approx((2 * NAMEPLATE + 15_000.0) / ROW)
    assert found.loop[0] == pytest.approx((2 * NAMEPLATE + 15_000.0) / (1.2 * ROW))
    amperes = snapshot.breaker_current_amperes[0] + 15_000.0 / (math.sqrt(3.0) * 480.0)
    assert found.limit[0] == pytest.approx(amperes / snapshot.breaker_rating_amperes[0])
    for level in ("rack", "row", "loop", "limit"):
        assert getattr(found, level)[1:] == pytest.approx(getattr(utilisation(snapshot, snapshot.facility), level)[1:])


@pytest.mark.parametrize(("slope", "declared", "rise"), [
    (1_000.0, HALF + 4_000.0, 4_000.0),   # no further than declared
    (1_000.0, HALF - 4_000.0, 0.0),       # more than declared already
    (-1_000.0, NAMEPLATE, 0.0),           # a fall is not counted on
])  # fmt: skip
def test_a_rise_goes_as_far_as_jobs_declared_and_a_fall_is_not_counted_on(slope, declared, rise):
    assert rise_watts(rising(slope, declared))[0] == pytest.approx(rise, abs=1e-6)


def test_a_metered_line_is_its_limits_current_over_its_rating():
    calm = example()
    facility = replace(calm.facility, limit_phase=np.array([1, 0, -1, -1]))
    lines = replace(
        calm, facility=facility, phase_names=("b", "a", "c"), phase_current_amperes=np.array([60.0, 120.0, 7.0])
    )
    rating = facility.limit_rating_amperes[0]
    assert utilisation(lines, facility).phase == pytest.approx([60.0 / rating, 120.0 / rating, np.nan], nan_ok=True)


def test_the_most_used_of_rack_loop_and_limits_counts():
    calm = example()
    facility = replace(calm.facility, loop_capacity_watts=np.array([1.2, 0.625, 1.2, 1.2]) * ROW)
    power = calm.rack_power_watts.copy()
    power[0] = 0.9 * NAMEPLATE
    amperes = calm.breaker_rating_amperes * np.array([0.6, 0.5, 0.7, 0.5])
    used = utilisation(replace(calm, rack_power_watts=power, breaker_current_amperes=amperes), facility)
    expected = [0.9, 0.6, 0.6, 0.6, *[0.8] * 4, *[0.7] * 4, *[0.5] * 4]
    assert most_used(calm, facility, used) == pytest.approx(expected)


def test_the_rule_on_projected_utilisation_refuses_with_value_and_limit():
    """A rack that will be at 96 % of its nameplate in 15 minutes, and has room for no more than 95 %."""
    policy = thermal_aware(shipped())
    every = np.full(16, 0.5)
    snapshot = rising(0.46 * NAMEPLATE / 15.0, declared=NAMEPLATE)
    only = replace(snapshot, rack_healthy=np.arange(16) == 0, breaker_current_amperes=every[:4] * 100.0)
    decision, _ = policy(only, JobRequest("job-1", "batch", 1, True, 0, 1_500.0), None)
    assert isinstance(decision, Wait) and decision.reason is Reason.WAIT_FOR_RULE
    rule = "projected utilisation: utilisation_15_minutes 0.96, at most 0.95 allowed on A-01"
    assert decision.detail == rule
    less = replace(only, rack_declared_power_watts=only.rack_declared_power_watts - 0.1 * NAMEPLATE)
    assert policy(less, JobRequest("job-1", "batch", 1, True, 0, 1_500.0), None)[0].reason is Reason.PLACED_AWARE


def test_an_unknown_trend_is_no_forecast():
    calm = example()
    codes = np.full((60, 16), Quality.GOOD, dtype=np.int8)
    codes[:-3, 2] = Quality.MISSING
    found = with_past(calm, "rack_power_watts", calm.histories["rack_power_watts"].values, codes)
    assert np.flatnonzero(np.isnan(rise_watts(found))).tolist() == [2]
    assert np.isnan(rise_watts(replace(calm, histories={}))).all()


# ---------------------------------------------------------------- recovery

HOT = Exclusion("hot inlet", "inlet_celsius", 47.0, 45.0, 300.0)


def falling(celsius, field="rack_supply_temperature_celsius", count=16):
    """The first thing has come to its temperatures; the others are at 40 °C."""
    values = np.full((60, count), 40.0)
    values[:, 0] = celsius
    return with_past(example(), field, values)


def test_a_decay_is_back_when_its_exponential_reaches_the_level():
    """44 + 6 e^(−t/400), now at its t = 0: at 45 after 400 ln 6 seconds, in racks and in loops."""
    back = example().histories["rack_supply_temperature_celsius"].time_seconds - 600.0
    curve = 44.0 + 6.0 * np.exp(-back / 400.0)
    found = recovery_seconds(falling(curve), (HOT,), OF_RACKS, 16)
    assert found[0] == pytest.approx(400.0 * math.log(6.0), rel=1e-6)
    assert (found[1:] == 0.0).all()
    loops = falling(curve, "loop_supply_temperature_celsius", 4)
    assert recovery_seconds(loops, (HOT,), OF_LOOPS, 4)[0] == pytest.approx(400.0 * math.log(6.0), rel=1e-6)


def test_what_rises_or_rests_above_never_recovers_and_what_is_unknown_is_not_known():
    back = example().histories["rack_supply_temperature_celsius"].time_seconds - 600.0
    assert recovery_seconds(falling(50.0 + back / 100.0), (HOT,), OF_RACKS, 16)[0] == np.inf
    assert recovery_seconds(falling(46.0 + 4.0 * np.exp(-back / 400.0)), (HOT,), OF_RACKS, 16)[0] == np.inf
    lost = replace(falling(50.0 - back / 100.0), histories={})
    assert np.isnan(recovery_seconds(lost, (HOT,), OF_RACKS, 16)[0])
    codes = {**lost.qualities, "rack_supply_temperature_celsius": np.full(16, Quality.MISSING, dtype=np.int8)}
    assert np.isnan(recovery_seconds(replace(lost, qualities=codes), (HOT,), OF_RACKS, 16)).all()


def test_the_slowest_criterion_counts_and_those_of_other_factors_do_not():
    back = example().histories["rack_supply_temperature_celsius"].time_seconds - 600.0
    line = falling(48.0 - back / 100.0)  # 1 K in 100 s
    slow = Exclusion("warm", "inlet_celsius", 46.0, 44.0, 0.0)
    other = Exclusion("busy", "power_ratio", 0.1, 0.05, 0.0)
    assert recovery_seconds(line, (HOT, slow, other), OF_RACKS, 16)[0] == pytest.approx(400.0)
    assert recovery_seconds(line, (other,), OF_RACKS, 16)[0] == 0.0


def test_devices_recover_to_a_level_that_their_own_slowdown_sets():
    """A device falls from 90 °C by 1 K in 100 s; 5 K below 87 °C is 82 °C: 8 K, and 5 K below 85 °C two more."""
    back = example().histories["rack_device_temperature_celsius"].time_seconds - 600.0
    hot = Exclusion("hot device", "device_over_slowdown_kelvin", -1.0, -5.0, 300.0)
    line = falling(90.0 - back / 100.0, "rack_device_temperature_celsius")
    for slowdown, seconds in ((87.0, 800.0), (85.0, 1_000.0)):
        facility = replace(line.facility, rack_slowdown_celsius=np.full(16, slowdown))
        found = forecast(line, facility, Permitted(), (hot,), 0.0).rack_recovery_seconds
        assert found[0] == pytest.approx(seconds)
        assert (found[1:] == 0.0).all()
    unlike = replace(line.facility, rack_slowdown_celsius=np.zeros(0))
    assert np.isnan(forecast(line, unlike, Permitted(), (hot,), 0.0).rack_recovery_seconds).all()


# ---------------------------------------------------------------- limits that were passed


def test_a_limit_that_was_passed_between_two_looks_is_seen_and_one_before_is_not():
    calm, permitted = example(), Permitted(0.85, 1.0, 1.0)
    values = np.tile(calm.breaker_current_amperes, (60, 1))
    values[40, 1] = 0.86 * calm.breaker_rating_amperes[1]  # at 410 s
    passed = with_past(calm, "breaker_current_amperes", values)
    row_b = (np.arange(16) // 4 == 1).tolist()
    assert exceeded(passed, passed.facility, permitted, 400.0).tolist() == row_b
    assert not exceeded(passed, passed.facility, permitted, 410.0).any()
    stale = np.zeros((60, 4), dtype=np.int8)
    stale[40, 1] = Quality.STALE
    assert not exceeded(with_past(calm, "breaker_current_amperes", values, stale), calm.facility, permitted, 0.0).any()


def test_a_racks_own_power_and_its_loops_heat_are_limits_too():
    calm, permitted = example(), Permitted(0.85, 1.0, 0.9)
    values = np.tile(calm.rack_power_watts, (60, 1))
    values[-1, 6] = 0.91 * NAMEPLATE
    hot = with_past(calm, "rack_power_watts", values)
    assert np.flatnonzero(exceeded(hot, hot.facility, permitted, 0.0)).tolist() == [6]
    small = replace(calm.facility, loop_capacity_watts=np.array([1.2, 0.6, 1.2, 1.2]) * ROW)
    assert np.flatnonzero(exceeded(hot, small, permitted, 0.0)).tolist() == [4, 5, 6, 7]
    codes = calm.histories["rack_power_watts"].quality.copy()
    codes[:, 0] = Quality.MISSING  # of another loop, which says nothing of this one
    gap = with_past(calm, "rack_power_watts", values, codes)
    assert np.flatnonzero(exceeded(gap, small, permitted, 0.0)).tolist() == [4, 5, 6, 7]


def test_headroom_is_said_to_last_where_what_was_declared_leaves_some():
    calm = example()
    declared = np.where(np.arange(16) < 4, 0.86 * NAMEPLATE, HALF)  # row A will be past 0.85 of its breaker
    found = forecast(
        replace(calm, rack_declared_power_watts=declared), calm.facility, Permitted(0.85, 1.0, 1.0), (HOT,), 0.0
    )
    assert found.sustained.tolist() == (np.arange(16) >= 4).tolist()
    assert not found.exceeded.any()
    assert (found.rack_recovery_seconds == 0.0).all() and (found.loop_recovery_seconds == 0.0).all()
