"""Headroom for as long as work says that it lasts: four racks on a breaker that bears 0.85 of their nameplates."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.documents import shipped
from twin.policy import JobRequest, Placement, Reason, Wait
from twin.policy.aware import thermal_aware
from twin.policy.check import NAMEPLATE, example
from twin.policy.forecast import forecast
from twin.policy.headroom import EVER, Permitted, ground, headroom

HOUR = 3_600.0
POLICY = thermal_aware(shipped())
EACH = (5_000.0 - 1_500.0) * 1.03  # W of one more tray at the inlet
ONE = JobRequest("job-1", "batch", 4, True, 0, 5_000.0)
SECONDS = np.array([0.5, 1.0, 2.0, 8.0, 24.0]) * HOUR
SHARES = (0.5, 0.5, 0.6, 0.84, 0.84)  # of nameplate, that racks declared within them


def coming(shares=SHARES, snapshot=None):
    """A row at half of its nameplate whose services will draw more later in the day."""
    calm = example(rows=1) if snapshot is None else snapshot
    rows = NAMEPLATE * np.outer(shares, np.ones(len(calm.rack_names)))
    return replace(calm, declared_ahead_seconds=SECONDS, rack_declared_ahead_watts=rows,
                   rack_declared_power_watts=rows[-1])  # fmt: skip


def lasting(hours, request=ONE):
    return replace(request, declared_seconds=hours * HOUR)


def room(snapshot, hours):
    base = ground(snapshot, snapshot.facility, Permitted(1.0, 1.0, 1.0))
    return headroom(base, np.zeros(len(snapshot.rack_names)), base.horizon(hours * HOUR)).sustained_watts


@pytest.mark.parametrize(("hours", "share"), [
    (0.01, 0.5), (0.5, 0.5), (0.6, 0.5), (1.0, 0.5), (1.01, 0.6), (2.0, 0.6), (2.1, 0.84), (9.0, 0.84), (30.0, 0.84),
    (0.0, 0.84), (math.inf, 0.84), (math.nan, 0.84), (-1.0, 0.84),
])  # fmt: skip
def test_the_first_horizon_that_covers_it_counts_and_the_widest_where_none_does(hours, share):
    assert room(coming(), hours) == pytest.approx(np.full(4, (1.0 - share) * NAMEPLATE), rel=1e-3)


def test_short_work_goes_where_long_work_waits():
    """0.85 of the breaker's 528 kW leave 184.8 kW for an hour and 5.2 kW for a day; four trays ask for 14.4 kW."""
    placed, state = POLICY(coming(), lasting(1.0), None)
    assert isinstance(placed, Placement) and state.promised_watts.sum() == pytest.approx(4 * EACH)
    for hours in (8.0, 30.0, 0.0, math.inf):
        wait, _ = POLICY(coming(), lasting(hours), None)
        assert isinstance(wait, Wait) and wait.reason is Reason.WAIT_TRANSIENT_ONLY, hours
        assert wait.detail.startswith("5.2 kW for long")
    assert isinstance(POLICY(coming(), lasting(8.0, replace(ONE, trays=1)), None)[0], Placement)


def test_the_rule_of_power_utilisation_goes_by_the_same_time():
    late = coming((0.5, 0.5, 0.6, 0.9, 0.9))
    assert isinstance(POLICY(late, lasting(2.0), None)[0], Placement)
    wait, _ = POLICY(late, lasting(2.5), None)
    assert wait.reason is Reason.WAIT_FOR_RULE
    assert wait.detail == "power utilisation: utilisation_projected 0.9001, at most 0.85 allowed on A-01"


def test_requests_of_all_lengths_at_one_look_do_not_mix():
    """One policy asked in every order says what one says that was asked nothing else."""
    asked = [lasting(hours, replace(ONE, kind=kind)) for hours, kind in
             ((0.2, "batch"), (2.0, "batch"), (8.0, "training"), (0.0, "batch"))]  # fmt: skip
    look = coming((0.5, 0.55, 0.6, 0.8, 0.8))
    document = shipped()
    alone = {each: thermal_aware(document)(look, each, None) for each in asked}
    scores = {alone[each][0].score for each in asked}
    assert len(scores) == 4  # headroom is a part of the score, and is another for each
    for order in permutations(asked):
        policy = thermal_aware(document)
        for each in order:
            decision, state = policy(look, each, None)
            assert decision == alone[each][0]
            assert np.array_equal(state.promised_watts, alone[each][1].promised_watts)


def test_a_promise_to_short_work_counts_for_long_work_as_well():
    look, state = coming((0.5, 0.5, 0.6, 0.8, 0.8)), None  # 26.4 kW for a day: seven trays
    _, state = POLICY(look, lasting(1.0), state)
    assert isinstance(POLICY(look, lasting(20.0, replace(ONE, trays=3)), state)[0], Placement)
    assert isinstance(POLICY(look, lasting(20.0), state)[0], Wait)
    assert isinstance(POLICY(look, lasting(20.0), None)[0], Placement)


def test_a_snapshot_that_does_not_tell_of_times_is_held_against_what_was_declared_at_most():
    told = coming()
    for silent in (
        replace(told, declared_ahead_seconds=np.zeros(0), rack_declared_ahead_watts=np.zeros((0, 0))),
        replace(told, declared_ahead_seconds=np.zeros(0)),
        replace(told, rack_declared_ahead_watts=np.zeros((5, 3))),
        replace(told, rack_declared_ahead_watts=np.full((5, 4), np.nan)),
        replace(told, rack_declared_ahead_watts=np.full((5, 4), -1.0)),
        replace(told, rack_declared_ahead_watts=np.full((5, 4), np.inf)),
        replace(told, declared_ahead_seconds=np.full(5, np.nan)),
    ):
        assert POLICY(silent, lasting(1.0), None)[0] == POLICY(told, lasting(30.0), None)[0]
    base = ground(told, told.facility, Permitted())
    assert base.horizon(8 * HOUR) == base.horizon(20 * HOUR) == EVER  # they tell what the widest does


def test_the_claim_of_headroom_for_half_an_hour_is_of_half_an_hour():
    look = coming((0.5, 0.9, 0.9, 0.9, 0.9))
    assert forecast(look, look.facility, Permitted(), (), 0.0).sustained.all()
    late = coming((0.86, 0.9, 0.9, 0.9, 0.9))
    assert not forecast(late, late.facility, Permitted(), (), 0.0).sustained.any()


shares = st.one_of(st.floats(0.3, 1.1), st.just(math.nan), st.just(-1.0))
tables = st.lists(st.lists(shares, min_size=4, max_size=4), min_size=5, max_size=5)


@settings(max_examples=80, deadline=None)
@given(tables, st.permutations(SECONDS.tolist()), st.lists(st.floats(0.01, 30.0), min_size=2, max_size=2))
def test_saying_that_it_lasts_longer_never_helps(table, seconds, hours):
    rows = NAMEPLATE * np.array(table)
    look = replace(coming(), rack_declared_ahead_watts=rows, declared_ahead_seconds=np.array(seconds))
    short, long = sorted(hours)
    ever = room(look, 0.0)
    assert (room(look, short) >= room(look, long)).all() and (room(look, long) >= ever).all()
    taken = [isinstance(POLICY(look, lasting(each), None)[0], Placement) for each in (short, long, 0.0)]
    assert taken == sorted(taken, reverse=True)
