"""Headroom by hand: four rows of four racks at half of 132 kW, each row on a breaker that just bears its nameplates."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.policy.check import NAMEPLATE, example
from twin.policy.facility import LOOP, RACK
from twin.policy.headroom import Permitted, amperes_per_watt, ground, headroom, readings
from twin.policy.snapshot import Quality

NOTHING = np.zeros(16)
ROW = 4 * NAMEPLATE  # W that a row's breaker is rated for


def found(snapshot, promised=NOTHING, **permitted):
    return headroom(ground(snapshot, snapshot.facility, Permitted(**permitted)), promised)


def test_a_calm_hall_has_what_its_nameplates_leave():
    room = found(example(), limit_utilisation=1.0)
    assert room.immediate_watts == pytest.approx(np.full(16, NAMEPLATE / 2))
    assert room.sustained_watts == pytest.approx(np.full(16, NAMEPLATE / 2))
    assert (room.binding == RACK).all()
    assert room.utilisation_now == pytest.approx(np.full(16, 0.5), abs=1e-3)


def test_a_row_at_its_permitted_utilisation_binds_before_the_nameplate():
    room = found(example(), limit_utilisation=0.6)
    # 0.6 of 4 nameplates less the half of them that is drawn, in watts for any one of the row
    assert room.sustained_watts == pytest.approx(np.full(16, 0.1 * ROW), rel=1e-3)
    assert room.binding.tolist() == np.repeat([0, 1, 2, 3], 4).tolist()


def test_what_running_jobs_declared_leaves_less_for_long_and_as_much_at_once():
    calm = example()
    declared = calm.rack_declared_power_watts.copy()
    declared[0] += 30_000.0
    before = found(calm, limit_utilisation=0.6)
    room = found(replace(calm, rack_declared_power_watts=declared), limit_utilisation=0.6)
    assert np.array_equal(room.immediate_watts, before.immediate_watts)
    less = np.where(np.arange(16) < 4, 30_000.0, 0.0)
    assert before.sustained_watts - room.sustained_watts == pytest.approx(less, abs=1e-6)
    assert room.utilisation_projected[0] - room.utilisation_now[0] == pytest.approx(30_000.0 / ROW, rel=1e-3)


def test_what_was_promised_since_the_look_is_gone_for_the_whole_row():
    promised = NOTHING.copy()
    promised[5] = 20_000.0
    before, after = found(example(), limit_utilisation=0.6), found(example(), promised, limit_utilisation=0.6)
    lost = before.sustained_watts - after.sustained_watts
    assert lost == pytest.approx(np.where(np.arange(16) // 4 == 1, 20_000.0, 0.0), abs=1e-6)


def test_a_loop_binds_when_its_exchanger_is_small():
    calm = example()
    small = replace(calm, facility=replace(calm.facility, loop_capacity_watts=np.full(4, 0.55 * ROW)))
    room = found(small, limit_utilisation=1.0)
    assert room.sustained_watts == pytest.approx(np.full(16, 0.05 * ROW))
    assert (room.binding == LOOP).all()


def test_the_feed_that_is_left_carries_twice_as_much_and_none_carries_nothing():
    calm = example()
    facility = replace(
        calm.facility,
        limit_names=("A", "B"),
        limit_rating_amperes=np.array([100.0, 100.0]),
        limit_breaker=np.array([0, 1]),
        limit_phase=np.array([-1, -1]),
        rack_limits=np.tile([0, 1], (16, 1)),
        rack_limit_feed=np.tile([0, 1], (16, 1)),
        rack_amperes_per_watt=np.full((16, 2), 1e-3),
    )
    both = amperes_per_watt(facility, np.array([True, True]))
    one = amperes_per_watt(facility, np.array([True, False]))
    none = amperes_per_watt(facility, np.array([False, False]))
    assert both == pytest.approx(np.full((16, 2), 1e-3))
    assert one == pytest.approx(np.tile([2e-3, 0.0], (16, 1)))
    assert not none.any()
    dark = replace(
        calm,
        facility=facility,
        breaker_closed=np.array([False, False]),
        breaker_current_amperes=np.zeros(2),
        qualities={},
    )
    assert (found(dark).sustained_watts == -np.inf).all()


def test_what_does_not_count_is_not_known_and_neither_is_what_depends_on_it():
    calm = example()
    for odd in (np.nan, np.inf, -5.0):
        amperes = calm.breaker_current_amperes.copy()
        amperes[2] = odd
        room = found(replace(calm, breaker_current_amperes=amperes))
        assert np.isnan(room.sustained_watts).tolist() == (np.arange(16) // 4 == 2).tolist()
    stale = {**calm.qualities, "rack_power_watts": np.full(16, Quality.STALE, dtype=np.int8)}
    assert np.isnan(found(replace(calm, qualities=stale)).immediate_watts).all()
    hot = replace(calm, rack_supply_temperature_celsius=np.full(16, 900.0))
    assert np.isnan(readings(hot, "rack_supply_temperature_celsius")).all()


@given(st.lists(st.floats(0.0, 5e4), min_size=16, max_size=16), st.integers(0, 15), st.floats(0.0, 5e4))
def test_promising_more_never_leaves_more(promised, rack, more):
    before = found(example(), np.array(promised))
    raised = np.array(promised)
    raised[rack] += more
    after = found(example(), raised)
    assert (after.sustained_watts <= before.sustained_watts + 1e-6).all()
    assert (after.utilisation_projected >= before.utilisation_projected - 1e-12).all()
