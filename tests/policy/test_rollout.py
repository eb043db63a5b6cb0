"""Rollout control as stories with a log; and that nothing unknown ever lets a release go on."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.policy import Outcome, decide_rollout
from twin.policy.projection import Standing
from twin.policy.rollout import (
    READINESS,
    SIGNALS,
    STAGING_TESTS,
    Action,
    Limit,
    Plan,
    RolloutState,
    Rule,
    Seen,
    Signal,
    Stage,
    default_plan,
)

PLAN = default_plan()
STAGING = ("S-1", "S-2")
HALL = tuple(f"A-{k + 1:02d}" for k in range(40))
CALM = dict.fromkeys(SIGNALS, Signal(0.0, 5.0))
READY = dict.fromkeys(READINESS, True)
TESTED = dict.fromkeys(STAGING_TESTS, True)


def _seen(now, state=None, **given):
    """All well at ``now``, but for what is given."""
    running = frozenset((*state.staged, *state.placed)) if state else frozenset()
    return replace(Seen(now, CALM, running, READY, TESTED, Outcome.PASS, Standing.FITS), **given)


def _rules(step):
    return [ground.rule for ground in step.grounds]


def _decide(state, seen, plan=PLAN, hall=HALL, staging=STAGING):
    return decide_rollout(plan, state, seen, staging, hall)


def _run(plan=PLAN, hall=HALL, every=600.0, until=100_000.0):
    """A log (time, stage, racks) of every batch of a release that does well, looked at ``every`` seconds."""
    state, log, now = RolloutState(), [], 0.0
    while state.ended is None and now < until:
        step, state = _decide(state, _seen(now, state), plan, hall)
        if step.action in (Action.CONTINUE, Action.DONE):
            log.append((now, step.stage, len(step.racks)))
        now += every
    return log, state


#: in the middle of the canary stage, its soak over
CANARY = RolloutState(stage=1, staged=STAGING, placed=HALL[:3], clean_since_seconds=1_000.0)
SOAKED = 1_000.0 + 3_600.0


# ---------------------------------------------------------------- stories


def test_a_good_release_goes_through_its_stages_at_their_pace():
    """40 racks: 5 % are two, which the canary has already; 25 % are ten; then sixteen at a time."""
    log, state = _run()
    assert log == [
        (0.0, "staging", 2),
        (1_800.0, "canary", 3),
        (5_400.0, "25 %", 7),
        (7_200.0, "100 %", 16),
        (9_000.0, "100 %", 14),
        (10_800.0, "100 %", 0),
    ]
    assert state.ended is Action.DONE
    assert state.placed == HALL
    step, after = _decide(state, _seen(20_000.0, state))
    assert (step.action, _rules(step), after) == (Action.DONE, [Rule.ENDED_DONE], state)


def test_batches_are_no_larger_than_the_stage_allows():
    plan = replace(PLAN, stages=(PLAN.stages[0], Stage("all", 1.0, 7, 60.0)))
    log, _ = _run(plan, every=60.0)
    assert [racks for _, stage, racks in log if stage == "all"] == [7, 7, 7, 7, 7, 5, 0]
    assert np.diff([now for now, stage, _ in log if stage == "all"]).tolist() == [60.0] * 6


def test_a_soak_is_waited_for_to_the_second():
    step, state = _decide(CANARY, _seen(SOAKED - 1.0, CANARY))
    assert (step.action, _rules(step), state) == (Action.HOLD, [Rule.SOAK], CANARY)
    assert (step.grounds[0].value, step.grounds[0].limit) == (3_599.0, 3_600.0)
    step, state = _decide(CANARY, _seen(SOAKED, CANARY))
    assert (step.action, step.racks, state.clean_since_seconds) == (Action.CONTINUE, HALL[3:10], SOAKED)


def test_a_hold_by_a_signal_begins_the_soak_anew():
    warm = CALM | {"temperature_rise": Signal(3.5, 5.0)}
    step, state = _decide(CANARY, _seen(SOAKED, CANARY, signals=warm))
    assert step.action is Action.HOLD
    assert str(step.grounds[0]) == (
        "a signal is above the limit at which a release is held: temperature_rise = 3.5, limit 3"
    )
    step, state = _decide(state, _seen(SOAKED + 10.0, state))
    assert _rules(step) == [Rule.SOAK]
    step, state = _decide(state, _seen(SOAKED + 3_600.0, state))
    assert step.action is Action.CONTINUE


@pytest.mark.parametrize("name", SIGNALS)
def test_each_signal_holds_above_its_first_limit_and_rolls_back_above_its_second(name):
    limit = PLAN.limits[name]
    for value, action in (
        (limit.hold, Action.CONTINUE),
        (math.nextafter(limit.hold, 1e9), Action.HOLD),
        (limit.roll_back, Action.HOLD),
        (math.nextafter(limit.roll_back, 1e9), Action.ROLL_BACK),
    ):
        step, _ = _decide(CANARY, _seen(SOAKED, CANARY, signals=CALM | {name: Signal(value, 5.0)}))
        assert step.action is action
        if action is not Action.CONTINUE:
            assert [(g.about, g.value) for g in step.grounds] == [(name, value)]


def test_a_roll_back_names_the_latest_racks_first_and_is_final():
    hot = CALM | {"temperature_rise": Signal(9.0, 5.0), "throttled_share": Signal(0.5, 5.0)}
    step, state = _decide(CANARY, _seen(1_100.0, CANARY, signals=hot))
    assert step.racks == ("A-03", "A-02", "A-01", "S-2", "S-1")
    assert [g.about for g in step.grounds] == ["temperature_rise", "throttled_share"]
    again, after = _decide(state, _seen(90_000.0, state))
    assert (again.action, again.racks, after) == (Action.ROLL_BACK, step.racks, state)
    assert _rules(again) == [Rule.ENDED_BACK]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"verdict": Outcome.FAIL}, Rule.JUDGED_HARMFUL),
        ({"projection": Standing.FAIL}, Rule.PROJECTED_OVER),
        ({"staging_tests": TESTED | {"warm_restart": False}}, Rule.STAGING_FAILED),
    ],
)
def test_a_verdict_a_projection_and_a_failed_test_roll_back_at_once(given, rule):
    step, state = _decide(CANARY, _seen(1_001.0, CANARY, **given))
    assert (step.action, _rules(step), state.ended) == (Action.ROLL_BACK, [rule], Action.ROLL_BACK)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"verdict": Outcome.INCONCLUSIVE}, Rule.NOT_PASSED),
        ({"verdict": None}, Rule.NOT_PASSED),
        ({"projection": Standing.HOLD}, Rule.NOT_PROJECTED),
        ({"projection": None}, Rule.NOT_PROJECTED),
    ],
)
def test_beyond_the_canary_the_judge_has_passed_and_full_rollout_fits(given, rule):
    step, state = _decide(CANARY, _seen(SOAKED, CANARY, **given))
    assert (step.action, _rules(step), state) == (Action.HOLD, [rule], CANARY)
    staged = RolloutState(stage=0, staged=STAGING, clean_since_seconds=0.0)
    step, _ = _decide(staged, _seen(1_800.0, staged, **given))
    assert (step.action, step.stage, step.racks) == (Action.CONTINUE, "canary", HALL[:3])


def test_a_judged_stage_that_is_the_last_does_not_end_without_a_pass():
    plan = replace(PLAN, stages=PLAN.stages[:2])
    step, state = _decide(CANARY, _seen(SOAKED, CANARY, verdict=None), plan)
    assert (step.action, _rules(step), state) == (Action.HOLD, [Rule.NOT_PASSED], CANARY)
    assert _decide(CANARY, _seen(SOAKED, CANARY), plan)[0].action is Action.DONE


@pytest.mark.parametrize("value", [None, False, math.nan, 1, "yes"])
@pytest.mark.parametrize("name", READINESS)
def test_nothing_enters_production_before_readiness_is_proven(name, value):
    staged = RolloutState(stage=0, staged=STAGING, clean_since_seconds=0.0)
    seen = _seen(1_800.0, staged, readiness=READY | {name: value})
    step, state = _decide(staged, seen)
    assert (step.action, _rules(step), state) == (Action.HOLD, [Rule.NOT_READY], staged)
    assert step.grounds[0].about == name
    assert _decide(RolloutState(), replace(seen, running=frozenset()))[0].racks == STAGING  # staging may go on


@pytest.mark.parametrize("name", STAGING_TESTS)
def test_nothing_enters_production_before_the_staging_tests_are_passed(name):
    staged = RolloutState(stage=0, staged=STAGING, clean_since_seconds=0.0)
    for tests in (TESTED | {name: None}, {k: v for k, v in TESTED.items() if k != name}):
        step, state = _decide(staged, _seen(1_800.0, staged, staging_tests=tests))
        assert (step.action, state) == (Action.HOLD, staged)
        assert [(g.rule, g.about) for g in step.grounds] == [(Rule.STAGING_OPEN, name)]


def test_all_that_the_gate_lacks_is_named():
    staged = RolloutState(stage=0, staged=STAGING, clean_since_seconds=0.0)
    step, _ = _decide(staged, _seen(1_800.0, staged, readiness={}, staging_tests={}))
    assert [g.about for g in step.grounds] == [*READINESS, *STAGING_TESTS]


def test_a_rack_that_is_not_confirmed_holds():
    step, _ = _decide(CANARY, _seen(SOAKED, CANARY, running=frozenset({*STAGING, "A-01", "A-03"})))
    assert (step.action, _rules(step), step.grounds[0].value) == (Action.HOLD, [Rule.NOT_RUNNING], "A-02")


def test_without_a_staging_cell_nothing_begins():
    step, state = _decide(RolloutState(), _seen(0.0), staging=())
    assert (step.action, _rules(step), state) == (Action.HOLD, [Rule.NO_RACKS], RolloutState())
    staged = RolloutState(stage=0, staged=STAGING, clean_since_seconds=0.0)
    assert _rules(_decide(staged, _seen(1_800.0, staged), hall=())[0]) == [Rule.NO_RACKS]


def test_racks_that_come_first_are_taken_first_and_none_twice():
    order = (*HALL[20:], *HALL[:20])
    step, state = _decide(CANARY, _seen(SOAKED, CANARY), hall=order)
    assert step.racks == HALL[20:27]
    assert len(set(state.placed)) == len(state.placed) == 10


# ---------------------------------------------------------------- what is not known


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-9])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_that_is_no_number_that_can_be_holds(name, value):
    step, state = _decide(CANARY, _seen(SOAKED, CANARY, signals=CALM | {name: Signal(value, 5.0)}))
    assert (step.action, _rules(step)) == (Action.HOLD, [Rule.NOT_KNOWN])
    assert state.clean_since_seconds == SOAKED


@pytest.mark.parametrize("age", [120.1, math.inf, math.nan, -1.0])
def test_a_stale_signal_neither_lets_go_on_nor_rolls_back(age):
    for value in (0.0, 1.0):
        step, _ = _decide(CANARY, _seen(SOAKED, CANARY, signals=CALM | {"error_rate": Signal(value, age)}))
        assert (step.action, _rules(step), step.grounds[0].about) == (
            Action.HOLD,
            [Rule.NOT_KNOWN],
            "error_rate age",
        )
    assert _decide(CANARY, _seen(SOAKED, CANARY, signals=CALM | {"error_rate": Signal(0.0, 120.0)}))[0].action is (
        Action.CONTINUE
    )


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, -5.0, 999.0])
def test_a_time_that_is_not_known_or_went_back_holds_and_leaves_the_clock_alone(now):
    step, state = _decide(CANARY, _seen(now, CANARY))
    assert (step.action, _rules(step), state) == (Action.HOLD, [Rule.TIME_UNKNOWN], CANARY)


def test_what_is_left_out_is_not_known():
    step, _ = _decide(CANARY, Seen(SOAKED))
    assert step.action is Action.HOLD
    assert sorted(g.about for g in step.grounds) == sorted([*SIGNALS, "racks missing"])


bad = st.sampled_from([math.nan, math.inf, -math.inf, -1.0])
readings = st.one_of(bad, st.floats(0.0, 10.0))
answers = st.sampled_from([True, False, None])


@given(
    st.fixed_dictionaries(
        {}, optional={n: st.builds(Signal, readings, st.one_of(bad, st.floats(0.0, 300.0))) for n in SIGNALS}
    ),
    st.fixed_dictionaries({}, optional=dict.fromkeys(READINESS, answers)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(STAGING_TESTS, answers)),
    st.sampled_from([None, *Outcome]),
    st.sampled_from([None, *Standing]),
    st.one_of(bad, st.floats(0.0, 20_000.0)),
    st.sampled_from(
        [
            RolloutState(),
            RolloutState(stage=0, staged=STAGING, clean_since_seconds=0.0),
            CANARY,
            RolloutState(stage=4, staged=STAGING, placed=HALL, clean_since_seconds=0.0),
        ]
    ),
)
@settings(max_examples=300, deadline=None)
def test_a_release_goes_on_only_if_all_is_known_and_well(signals, readiness, tests, verdict, projection, now, state):
    running = frozenset((*state.staged, *state.placed))
    seen = Seen(now, signals, running, readiness, tests, verdict, projection)
    step, after = _decide(state, seen)
    assert step.grounds
    if step.action in (Action.CONTINUE, Action.DONE):
        assert set(signals) == set(SIGNALS)
        assert all(0.0 <= s.value <= PLAN.limits[n].hold and 0.0 <= s.age_seconds <= 120.0 for n, s in signals.items())
        assert math.isfinite(now)
        if step.stage != "staging":
            assert readiness == READY
            assert tests == TESTED
        if step.stage not in ("staging", "canary"):
            assert (verdict, projection) == (Outcome.PASS, Standing.FITS)
    else:
        assert (after.staged, after.placed, after.stage) == (state.staged, state.placed, state.stage)
    assert (step, after) == _decide(state, seen)


@given(st.sampled_from(SIGNALS), st.floats(0.0, 10.0), st.floats(0.0, 10.0))
def test_a_worse_signal_never_makes_a_milder_decision(name, value, more):
    rank = {Action.CONTINUE: 0, Action.HOLD: 1, Action.ROLL_BACK: 2}
    one, other = (
        _decide(CANARY, _seen(SOAKED, CANARY, signals=CALM | {name: Signal(v, 5.0)}))[0].action
        for v in (value, value + more)
    )
    assert rank[other] >= rank[one]


# ---------------------------------------------------------------- refusals


def test_a_plan_is_refused_with_all_that_is_wrong():
    stages = (Stage("early", 1.5, 0, -1.0), Stage("staging", 1.0, 1, math.inf, staging=True))
    with pytest.raises(ValueError) as refused:
        Plan(stages, {"error_rate": Limit(0.5, 0.1), "power_spike": Limit(math.nan, 1.0)}, greatest_age_seconds=0.0)
    for words in (
        "staging cell come first",
        "stage early: share = 1.5",
        "stage early: at_a_time = 0",
        "stage early: soak_seconds = -1.0",
        "stage staging: soak_seconds = inf",
        "limits: temperature_rise has none",
        "limits: throttled_share has none",
        "limits: error_rate: hold = 0.5",
        "limits: power_spike: hold = nan",
        "greatest_age_seconds",
    ):
        assert words in str(refused.value)
    with pytest.raises(ValueError, match="first must be in a staging cell"):
        replace(PLAN, stages=PLAN.stages[1:])
    with pytest.raises(ValueError, match="at least one"):
        replace(PLAN, stages=())


# ---------------------------------------------------------------- plans in a hall, and what freezes them


def test_where_deploys_are_frozen_nothing_goes_on_and_the_soak_begins_anew():
    step, state = _decide(CANARY, _seen(SOAKED, CANARY, frozen="response ladder for loop 02"))
    assert (step.action, _rules(step)) == (Action.HOLD, [Rule.FROZEN])
    assert "response ladder for loop 02" in str(step.grounds[0])
    assert state.clean_since_seconds == SOAKED
    bad = dict(CALM, error_rate=Signal(1.0, 5.0))
    step, _ = _decide(CANARY, _seen(SOAKED, CANARY, frozen="response ladder for loop 02", signals=bad))
    assert step.action is Action.ROLL_BACK  # a freeze keeps no bad release where it is


def test_a_hall_without_a_staging_cell_goes_by_the_rest_of_the_plan():
    plan = PLAN.without_cell()
    assert [stage.name for stage in plan.stages] == ["canary", "5 %", "25 %", "100 %"]
    assert plan.staging_tests == ()
    step, _ = _decide(RolloutState(), _seen(0.0, RolloutState(), staging_tests={}), plan, staging=())
    assert (step.action, step.racks) == (Action.CONTINUE, HALL[:3])
    with pytest.raises(ValueError, match="must be in a staging cell"):
        replace(plan, in_cell=True)


def test_soaks_batches_and_a_first_rack_alone():
    assert {stage.soak_seconds for stage in PLAN.soaking(60.0).stages} == {60.0}
    assert [stage.at_a_time for stage in PLAN.in_batches(5).stages] == [4, 3, 4, 5, 5]  # the canary's stays
    alone = PLAN.first_alone()
    assert [stage.name for stage in alone.stages][:3] == ["staging", "canary, first rack", "canary"]
    log, _ = _run(alone)
    assert [count for _, stage, count in log if stage.startswith("canary")] == [1, 2]


def test_a_plan_may_gate_on_errors_alone_and_says_so():
    few = {"error_rate": Limit(0.01, 0.05)}
    with pytest.raises(ValueError, match="temperature_rise has none"):
        replace(PLAN, limits=few)
    plan = replace(PLAN, limits=few, gates=("error_rate",))
    hot = dict(CALM, temperature_rise=Signal(50.0, 5.0))
    assert _decide(CANARY, _seen(SOAKED, CANARY, signals=hot), plan)[0].action is Action.CONTINUE
    with pytest.raises(ValueError, match="there is no such signal"):
        replace(PLAN, gates=("error_rat",))
    with pytest.raises(ValueError, match="give at least one signal"):
        replace(PLAN, gates=())
