"""The ladder as stories with a log: dwell on sensor time, rung by rung up, in reverse down, blind is never better."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.policy.business import BusinessState, step_business
from twin.policy.causes import Author, Role
from twin.policy.enact import settle_flags
from twin.policy.evaluation import evaluate
from twin.policy.flag_files import flags_from_mapping
from twin.policy.flags import Change, ChangeKind, FlagState, clear_flag, set_flag
from twin.policy.ladder import Held, LadderState, acknowledge, start, step, wishes
from twin.policy.ladder_rules import LadderRules, rules_from_mapping
from twin.policy.playbook import HARD_LIMIT, Action, Because, Do, experiments_of
from twin.policy.scope import Level, Scope, scope_of
from twin.policy.sensed import Sensed, Signal, readings_of
from twin.policy.snapshot import FacilitySnapshot, Quality

SIGNAL = "loop_supply_temperature_celsius"
LOOP = (Level.LOOP, "loop 01")
PERSON = Author(Role.FACILITIES, "j.weiss")
ENGINE = Author(Role.POLICY, "ladder")


def rung(name: str, above: float, release: float, **more: Any) -> dict[str, Any]:
    return {
        "rung": name,
        "when": {"signal": SIGNAL, "above": above, "for_seconds": more.pop("dwell", 60)},
        "release": {"level": release, "for_seconds": more.pop("calm", 120)},
        "do": [more.pop("word", "alert")],
    } | more


RUNGS = (
    rung("throttle", 45, 43, flags={"scale_back": "halved"}, word="scale_down", undo=["scale_up"]),
    rung("pause", 47, 45, flags={"scale_back": "quartered", "pause_admissions": "paused"}, word="pause_admissions"),
    rung("drain", 49, 46, flags={"evacuate": "drain"}, word="drain", after_seconds=60),
    rung("checkpoint", 50, 47, word="checkpoint"),
    rung("migrate", 51, 48, word="migrate"),
    rung("shut_down", 53, 49, word="shut_down", latched=True, undo=["allow_start"]),
)
HARD = {"signal": SIGNAL, "above": 58, "for_seconds": 10}


def rules_of(rungs: Sequence[dict[str, Any]] = RUNGS, scope: str = "loop", **more: Any) -> LadderRules:
    return rules_from_mapping(
        {
            "name": "test",
            "version": 1,
            "owner": "tests",
            "readings": {"stale_seconds": 60, "greatest_gap_seconds": 30, "unseen_seconds": 120},
            "ladders": {"coolant": {"scope": scope, "rungs": list(rungs), **more}},
        }
    )


def reading(
    values: Sequence[float],
    stamps: Sequence[float],
    quality: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    absent: Sequence[bool] | None = None,
) -> Sensed:
    names = tuple(f"loop {n + 1:02d}" for n in range(len(values))) if names is None else tuple(names)
    codes = np.zeros(len(values), dtype=np.int8) if quality is None else np.array(quality, dtype=np.int8)
    none = None if absent is None else np.array(absent)
    return Sensed({Level.LOOP: names}, {SIGNAL: Signal(np.array(values), np.array(stamps, dtype=float), codes, none)})


def tell(
    rules: LadderRules, story: Iterable[tuple[float, float]], state: LadderState | None = None, latency: float = 0.0
) -> tuple[LadderState, list[Action]]:
    """One loop through (time stamp, °C): the state at the end and all actions. ``latency`` is that of the sensor."""
    if state is None:
        state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    log: list[Action] = []
    for stamp, value in story:
        state, actions = step(rules, state, reading([value], [stamp]), stamp + latency)
        log += actions
    return state, log


def words(actions: Iterable[Action]) -> list[tuple[float, str]]:
    """Time and word, or flag and variant."""
    return [
        (each.time_seconds, f"{each.do}" + (f" {each.flag}={each.variant}" if each.flag else "")) for each in actions
    ]


def held(state: LadderState, ladder: str = "coolant") -> list[int]:
    return [int(each) for each in state.ladders[ladder].rungs]


def excursion(seconds: int, celsius: float, begin: int = 10, until: int = 200) -> list[tuple[float, float]]:
    """1 s sampling: 40 °C but for the samples from ``begin`` to ``begin + seconds``, both included."""
    return [(float(t), celsius if begin <= t <= begin + seconds else 40.0) for t in range(until)]


def test_59_seconds_fire_nothing_and_61_scale_back() -> None:
    state, log = tell(rules_of(), excursion(59, 46.0))
    assert log == [] and held(state) == [0]
    _, log = tell(rules_of(), excursion(61, 46.0, until=75))
    assert words(log) == [(70.0, "scale_down"), (70.0, "set_flag scale_back=halved")]


def test_an_action_names_rule_value_limit_and_place() -> None:
    _, log = tell(rules_of(), excursion(61, 46.5, until=75), latency=2.0)
    action = log[0]
    assert (action.time_seconds, action.scope) == (72.0, Scope(*LOOP))
    assert (action.reason.because, action.reason.rule) == (Because.CLIMBED, "coolant throttle")
    assert str(action.reason) == (
        "coolant throttle: a signal was past a rung's limit for its dwell; "
        "loop_supply_temperature_celsius 46.5 above 45 for 60 s (asked: 60 s)"
    )
    assert action.reason.trigger is not None and action.reason.trigger.measured_seconds == 70.0


def test_dwell_counts_time_stamps_and_not_calls() -> None:
    rules = rules_of()
    state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    log: list[Action] = []
    for call in range(1, 1000):  # called every 0.1 s, while the sensor reads every 10 s
        time = call / 10.0
        state, actions = step(rules, state, reading([46.0], [time // 10.0 * 10.0]), time)
        log += actions
    assert words(log)[0] == (60.0, "scale_down")
    state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    for time in range(0, 100):  # a sensor that reads once, and calls that go on
        state, actions = step(rules, state, reading([46.0], [0.0]), float(time))
        assert actions == ()


def test_late_calls_find_what_time_stamps_say() -> None:
    on_time, log = tell(rules_of(), excursion(61, 46.0, until=75))
    late, late_log = tell(rules_of(), excursion(61, 46.0, until=75), latency=20.0)
    assert [(time + 20.0, word) for time, word in words(log)] == words(late_log)
    assert np.array_equal(on_time.ladders["coolant"].taken_seconds, late.ladders["coolant"].taken_seconds, True)


def test_a_worsening_excursion_climbs_rung_by_rung_and_recovers_in_reverse() -> None:
    up = [(float(t), 44.0 + t / 60.0) for t in range(0, 780)]  # 1 K a minute, up to 57 °C
    state, log = tell(rules_of(), up)
    assert words(log) == [
        (121.0, "scale_down"),  # past 45 from 61 s on
        (121.0, "set_flag scale_back=halved"),
        (241.0, "pause_admissions"),
        (241.0, "set_flag pause_admissions=paused"),
        (241.0, "set_flag scale_back=quartered"),
        (361.0, "drain"),
        (361.0, "set_flag evacuate=drain"),
        (421.0, "checkpoint"),
        (481.0, "migrate"),
        (601.0, "shut_down"),
    ]
    assert held(state) == [6]
    state = acknowledge(rules_of(), state, "coolant", "loop 01", PERSON)
    down = [(780.0 + t, 40.0) for t in range(0, 900)]
    state, log = tell(rules_of(), down, state)
    assert words(log) == [
        (900.0, "allow_start"),
        (1260.0, "clear_flag evacuate=drain"),
        (1380.0, "clear_flag pause_admissions=paused"),
        (1380.0, "set_flag scale_back=halved"),
        (1500.0, "scale_up"),
        (1500.0, "clear_flag scale_back=halved"),
    ]
    assert held(state) == [0] and wishes(rules_of(), state) == ()


def test_a_jump_past_every_level_still_goes_rung_by_rung() -> None:
    rungs = [each | {"after_seconds": 30} for each in RUNGS]
    _, log = tell(rules_of(rungs), [(float(t), 57.0) for t in range(0, 400)])
    taken = [(each.time_seconds, each.do.value) for each in log if each.do is not Do.SET_FLAG]
    assert taken == [
        (60.0, "scale_down"),
        (90.0, "pause_admissions"),
        (120.0, "drain"),
        (150.0, "checkpoint"),
        (180.0, "migrate"),
        (210.0, "shut_down"),
    ]


def test_rungs_that_are_due_at_once_are_all_taken_in_order() -> None:
    rungs = [each | {"after_seconds": 0} for each in RUNGS]
    _, log = tell(rules_of(rungs), [(float(t), 57.0) for t in range(0, 61)])
    assert [each.do.value for each in log if each.do is not Do.SET_FLAG] == [
        "scale_down",
        "pause_admissions",
        "drain",
        "checkpoint",
        "migrate",
        "shut_down",
    ]


def test_a_rung_waits_for_the_one_below() -> None:
    slow = [rung("alert", 44, 43, dwell=300), rung("throttle", 45, 43, dwell=10, word="scale_down")]
    _, log = tell(rules_of(slow), [(float(t), 50.0) for t in range(0, 320)])
    assert words(log) == [(300.0, "alert"), (300.0, "scale_down")]


def test_a_hard_limit_runs_the_playbook_and_takes_every_rung() -> None:
    state, log = tell(rules_of(hard_limit=HARD), [(float(t), 59.0) for t in range(0, 30)])
    assert [each.do for each in log[: len(HARD_LIMIT)]] == list(HARD_LIMIT)
    assert words(log[len(HARD_LIMIT) :]) == [
        (10.0, "set_flag evacuate=drain"),
        (10.0, "set_flag pause_admissions=paused"),
        (10.0, "set_flag scale_back=quartered"),
    ]
    assert {each.reason.because for each in log} == {Because.HARD_LIMIT}
    assert "loop_supply_temperature_celsius 59 above 58" in log[5].reason.detail
    assert held(state) == [6]


def test_a_hard_limit_finishes_what_the_rungs_began() -> None:
    story = [(float(t), 46.0 if t < 100 else 59.0) for t in range(0, 120)]
    state, log = tell(rules_of(hard_limit=HARD), story)
    assert words(log)[:2] == [(60.0, "scale_down"), (60.0, "set_flag scale_back=halved")]
    assert [each.do for each in log[2:8]] == list(HARD_LIMIT)
    ladder = state.ladders["coolant"]
    assert ladder.by_hard_limit[:, 0].tolist() == [False, True, True, True, True, True]
    assert ladder.taken_seconds[:, 0].tolist() == [60.0, 110.0, 110.0, 110.0, 110.0, 110.0]


def test_the_playbook_is_run_past_a_hard_limit_even_where_every_rung_is_held_and_once() -> None:
    rungs = [each | {"latched": False, "after_seconds": 0} for each in RUNGS]
    rules = rules_of(rungs, hard_limit=HARD)
    state, _ = tell(rules, [(float(t), 55.0) for t in range(0, 100)])
    assert held(state) == [6]
    state, log = tell(rules, [(float(t), 59.0 if t % 40 < 30 else 57.0) for t in range(100, 300)], state)
    assert [(each.time_seconds, each.do) for each in log] == [(130.0, do) for do in HARD_LIMIT]
    state, _ = tell(rules, [(float(t), 40.0) for t in range(300, 430)], state)
    assert held(state) == [5]
    state, log = tell(rules, [(float(t), 59.0) for t in range(430, 450)], state)
    assert [(each.time_seconds, each.do) for each in log] == [(440.0, do) for do in HARD_LIMIT]
    assert log[0].reason.rule == "coolant hard limit" and "59 above 58 for 10 s" in str(log[0].reason)


def test_a_latched_rung_stays_until_a_person_has_looked_and_the_signal_is_back() -> None:
    rules = rules_of()
    state, _ = tell(rules, [(float(t), 57.0) for t in range(0, 400)])
    state, log = tell(rules, [(float(t), 40.0) for t in range(400, 2000)], state)
    assert log == [] and held(state) == [6]
    with pytest.raises(ValueError, match="a person has to look"):
        acknowledge(rules, state, "coolant", "loop 01", ENGINE)
    with pytest.raises(ValueError, match="no place 'loop 09'"):
        acknowledge(rules, state, "coolant", "loop 09", PERSON)
    hot, log = tell(
        rules, [(float(t), 56.0) for t in range(2000, 2300)], acknowledge(rules, state, "coolant", "loop 01", PERSON)
    )
    assert log == [] and held(hot) == [6]
    cold, log = tell(rules, [(2000.0, 40.0)], acknowledge(rules, state, "coolant", "loop 01", PERSON))
    assert words(log) == [(2000.0, "allow_start")] and held(cold) == [5]
    with pytest.raises(ValueError, match="no latched rung"):
        acknowledge(rules, cold, "coolant", "loop 01", PERSON)


def test_an_acknowledgement_is_for_one_rung_and_one_time() -> None:
    latched = [
        rung("drain", 45, 43, dwell=10, calm=10, word="drain", latched=True),
        rung("shut_down", 47, 43, dwell=10, calm=10, word="shut_down", latched=True),
    ]
    rules = rules_of(latched)

    def hold(state: LadderState, begin: int, celsius: float, seconds: int = 30) -> LadderState:
        return tell(rules, [(float(t), celsius) for t in range(begin, begin + seconds)], state)[0]

    state = hold(start(rules, {Level.LOOP: ("loop 01",)}, 0.0), 0, 46.0)
    state = acknowledge(rules, state, "coolant", "loop 01", PERSON)
    state = hold(state, 30, 48.0)  # it gets worse: what the person saw is past
    assert held(state) == [2]
    state = hold(state, 60, 40.0)
    assert held(state) == [2]
    state = hold(acknowledge(rules, state, "coolant", "loop 01", PERSON), 90, 40.0, 100)
    assert held(state) == [1]  # the rung below wants a person of its own
    state = hold(acknowledge(rules, state, "coolant", "loop 01", PERSON), 190, 40.0)
    assert held(state) == [0]
    state = hold(hold(state, 220, 46.0), 250, 40.0)
    assert held(state) == [1]


def test_a_hard_limit_by_another_signal_holds_while_it_lasts_and_starts_the_release() -> None:
    calm = [
        each | {"release": {"level": each["release"]["level"], "for_seconds": 60}, "latched": False} for each in RUNGS
    ]
    rules = rules_of(calm, hard_limit={"signal": "loop_return_temperature_celsius", "above": 70, "for_seconds": 10})
    state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    log: list[Action] = []
    for t in range(0, 600):
        back = 75.0 if 100 <= t < 300 else np.nan if 300 <= t < 400 else 60.0
        good = np.zeros(1, dtype=np.int8)
        one, other = (Signal(np.array([each]), np.array([float(t)]), good) for each in (40.0, back))
        now = Sensed({Level.LOOP: ("loop 01",)}, {SIGNAL: one, "loop_return_temperature_celsius": other})
        state, actions = step(rules, state, now, float(t))
        log += [each for each in actions if each.do not in (Do.SET_FLAG, Do.CLEAR_FLAG, Do.ALERT)]
    assert [each.time_seconds for each in log[:5]] == [110.0] * 5
    assert words(log[5:]) == [(460.0, "allow_start")]  # 60 s after the first good reading within the limit
    assert held(state) == [3]  # one rung a minute since
    assert state.ladders["coolant"].by_hard_limit[:, 0].tolist() == [True] * 3 + [False] * 3


def test_a_low_signal_has_a_ladder_too() -> None:
    rules = rules_from_mapping(
        {
            "name": "flow",
            "version": 1,
            "owner": "tests",
            "readings": {"stale_seconds": 60, "greatest_gap_seconds": 30, "unseen_seconds": 120},
            "ladders": {
                "flow": {
                    "scope": "loop",
                    "rungs": [
                        {
                            "rung": "alert",
                            "when": {"signal": "loop_flow_litres_per_minute", "below": 500, "for_seconds": 10},
                            "release": {"level": 600, "for_seconds": 20},
                            "do": ["alert"],
                            "undo": ["scale_up"],
                        }
                    ],
                }
            },
        }
    )
    state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    log: list[Action] = []
    for t in range(100):
        flow = 500.0 if t < 20 else 499.0 if t < 40 else 599.0 if t < 60 else 600.0
        one = reading([0.0], [t])
        now = Sensed(
            one.members,
            {"loop_flow_litres_per_minute": Signal(np.array([flow]), np.array([float(t)]), np.zeros(1, np.int8))},
        )
        state, actions = step(rules, state, now, float(t))
        log += actions
    assert words(log) == [(30.0, "alert"), (80.0, "scale_up")]
    assert "600 above 600 for 20 s" in str(log[1].reason)


# flapping


def transitions(story: Iterable[tuple[float, float]], rungs: Sequence[dict[str, Any]]) -> int:
    rules = rules_of(rungs)
    state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    count = 0
    for stamp, value in story:
        before = held(state)
        state, _ = step(rules, state, reading([value], [stamp]), stamp)
        count += held(state) != before
    return count


def test_a_noisy_signal_near_the_limit_does_not_flap() -> None:
    noise = np.random.default_rng(7).normal(0.0, 0.3, 3600)
    level = [(float(t), 45.0 + noise[t]) for t in range(3600)]
    assert transitions(level, [RUNGS[0]]) == 0  # no minute of it is all past the limit
    hot = [(float(t), (46.5 if t < 300 else 45.0) + noise[t]) for t in range(3600)]
    assert transitions(hot, [RUNGS[0]]) == 1  # taken, and held on the limit
    slow = [(float(t), 46.5 - 5.0 * t / 3600.0 + noise[t]) for t in range(3600)]
    assert transitions(slow, [RUNGS[0]]) == 2  # taken once, released once on the way down
    bare = rung("throttle", 45, 44.999, dwell=0, calm=0)
    assert transitions(level, [bare]) > 1000  # what dwell and hysteresis are for


# blindness


def test_what_is_missing_never_counts_as_dwell() -> None:
    rules = rules_of()
    state, _ = tell(rules, [(float(t), 46.0) for t in range(0, 41)])
    for t in range(41, 61):
        state, actions = step(rules, state, reading([np.nan], [float(t)], [Quality.MISSING]), float(t))
        assert actions == ()
    state, log = tell(rules, [(float(t), 46.0) for t in range(61, 90)], state)
    assert words(log)[0] == (81.0, "scale_down")  # 40 s before and 20 s after


def test_a_gap_between_good_readings_is_no_dwell_past_the_greatest() -> None:
    rules = rules_of()
    _, log = tell(rules, [(0.0, 46.0), (30.0, 46.0), (59.0, 46.0), (60.0, 46.0)])
    assert words(log)[0] == (60.0, "scale_down")
    _, log = tell(rules, [(0.0, 46.0), (30.0, 46.0), (61.0, 46.0), (90.0, 46.0)])
    assert log == []


@pytest.mark.parametrize("code", [Quality.STALE, Quality.OUT_OF_RANGE, Quality.MISSING])
def test_what_is_no_reading_never_releases(code: Quality) -> None:
    rules = rules_of([RUNGS[0]])
    state, _ = tell(rules, excursion(70, 46.0, until=80))
    assert held(state) == [1]
    for t in range(80, 3000):
        state, actions = step(rules, state, reading([40.0], [float(t)], [code]), float(t))
        assert [each.do for each in actions] in ([], [Do.ALERT])
    assert held(state) == [1]


def test_a_gap_begins_the_dwell_of_a_release_again() -> None:
    rules = rules_of([RUNGS[0]])
    state, _ = tell(rules, excursion(70, 46.0, until=81))
    state, log = tell(rules, [(float(t), 40.0) for t in range(81, 200)], state)
    assert log == []  # 118 of 120 s
    state, _ = step(rules, state, reading([40.0], [200.0], [Quality.STALE]), 200.0)
    state, log = tell(rules, [(float(t), 40.0) for t in range(201, 400)], state)
    assert words(log)[0] == (321.0, "scale_up")


def test_a_loop_out_of_sight_is_told_once_and_so_is_its_return() -> None:
    rules = rules_of()
    state, _ = tell(rules, [(0.0, 40.0)])
    log: list[Action] = []
    for t in range(1, 400):
        state, actions = step(rules, state, reading([40.0], [0.0], [Quality.STALE]), float(t))
        log += actions
    assert words(log) == [(121.0, "alert")]
    assert (log[0].reason.because, log[0].reason.detail) == (Because.UNSEEN, f"{SIGNAL}, last read at 0 s")
    state, log = tell(rules, [(400.0, 40.0)], state)
    assert [(each.do, each.reason.because) for each in log] == [(Do.ALERT, Because.SEEN_AGAIN)]


def test_a_signal_that_never_came_is_told() -> None:
    rules = rules_of()
    state = start(rules, {Level.LOOP: ("loop 01",)}, 1000.0)
    none = Sensed({Level.LOOP: ("loop 01",)}, {})
    state, actions = step(rules, state, none, 1120.0)
    assert actions == ()
    state, actions = step(rules, state, none, 1121.0)
    assert actions[0].reason.detail == f"{SIGNAL}, last read never"


def test_a_reading_from_the_future_and_an_old_one_are_none() -> None:
    rules = rules_of([rung("throttle", 45, 43, dwell=0)])
    state = start(rules, {Level.LOOP: ("loop 01",)}, 100.0)
    for stamp in (101.0, 39.0):
        assert step(rules, state, reading([50.0], [stamp]), 100.0)[1] == ()
    assert step(rules, state, reading([50.0], [40.0]), 100.0)[1] != ()


# many places


CELSIUS = st.sampled_from([40.0, 40.0, 44.0, 46.0, 48.0, 52.0, 60.0, float("nan"), float("inf")])
CODES = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 3])


def repeated(parts: list[tuple[Any, int]]) -> list[Any]:
    """Each reading as often as its count says: weather lasts, so that rungs are taken and released."""
    return [part for part, count in parts for _ in range(count)]


STORY = st.lists(
    st.tuples(
        st.tuples(
            st.lists(CELSIUS, min_size=4, max_size=4),
            st.lists(CODES, min_size=4, max_size=4),
            st.sampled_from([1.0, 10.0, 10.0, 20.0, 40.0]),
        ),
        st.integers(1, 6),
    ),
    max_size=10,
).map(repeated)
NAMES = ("loop d", "loop a", "loop c", "loop b")
QUICK = [
    rung("throttle", 45, 43, dwell=20, calm=20, flags={"scale_back": "halved"}),
    rung("pause", 47, 45, dwell=20, calm=20, flags={"pause_admissions": "paused"}),
    rung("shut_down", 51, 45, dwell=20, calm=20),
]


def run(
    order: Sequence[int], story: Any, absent: Sequence[bool] | None = None
) -> tuple[list[tuple[Action, ...]], dict[str, list[Any]]]:
    rules = rules_of(QUICK, hard_limit=HARD)
    names = tuple(NAMES[n] for n in order)
    state, time, log = start(rules, {Level.LOOP: names}, 0.0), 0.0, []
    for values, codes, gap in story:
        time += gap
        now = reading([values[n] for n in order], [time] * 4, [codes[n] for n in order], names, absent)
        state, actions = step(rules, state, now, time)
        known = state.ladders["coolant"]
        anew = Held(**{field.name: getattr(known, field.name) for field in fields(known)})
        for found in ("seen", "gaps", "newest", "rests"):  # what is handed on from step to step
            assert getattr(known, found) == getattr(anew, found)
        log.append(actions)
    ladder = state.ladders["coolant"]
    found = {
        name: [getattr(ladder, field.name)[..., names.index(name)].tolist() for field in fields(ladder)]
        for name in NAMES
    }
    return log, found


def test_all_that_is_found_of_a_ladder_is_looked_at() -> None:
    found = [name for name, each in vars(Held).items() if isinstance(each, cached_property)]
    assert found == ["seen", "gaps", "newest", "rests"]


@given(STORY, st.none() | st.lists(st.booleans(), min_size=4, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_glance_at_a_resting_ladder_says_what_a_whole_step_says(story: Any, absent: list[bool] | None) -> None:
    glanced = run(range(4), story, absent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twin.policy.ladder._quiet", lambda *_: None)
        assert repr(run(range(4), story, absent)) == repr(glanced)


@given(STORY, st.permutations(range(4)))
@settings(max_examples=150, deadline=None)
def test_the_order_of_places_does_not_matter(story: Any, order: Sequence[int]) -> None:
    log, found = run(range(4), story)
    other, others = run(order, story)
    assert other == log
    assert repr(others) == repr(found)
    for actions in log:
        names = [each.scope.name for each in actions]
        assert names == sorted(names)


@given(STORY)
@settings(max_examples=150, deadline=None)
def test_places_go_their_own_way(story: Any) -> None:
    rules = rules_of(QUICK, hard_limit=HARD)
    log, _ = run(range(4), story)
    for n, name in enumerate(NAMES):
        state, time, alone = start(rules, {Level.LOOP: (name,)}, 0.0), 0.0, []
        for values, codes, gap in story:
            time += gap
            state, actions = step(rules, state, reading([values[n]], [time], [codes[n]], [name]), time)
            alone += actions
        assert alone == [each for actions in log for each in actions if each.scope.name == name]


@given(STORY)
@settings(max_examples=200, deadline=None)
def test_rungs_move_one_at_a_time_down_and_only_on_good_readings(story: Any) -> None:
    rules = rules_of(QUICK, hard_limit=HARD)
    state, time = start(rules, {Level.LOOP: NAMES}, 0.0), 0.0
    for values, codes, gap in story:
        time += gap
        before = np.array(held(state))
        state, _ = step(rules, state, reading(values, [time] * 4, codes, NAMES), time)
        after = np.array(held(state))
        readable = np.isfinite(values) & (np.array(codes) == Quality.GOOD)
        assert np.all(after[~readable] == before[~readable])
        assert np.all(after >= before - 1)
        assert np.all(after[np.array(values) > 45.0] >= before[np.array(values) > 45.0])
        ladder = state.ladders["coolant"]
        taken = ~np.isnan(ladder.taken_seconds)
        assert np.array_equal(taken, np.arange(3)[:, None] < after)
        assert not np.any(ladder.by_hard_limit & ~taken) and not np.any(~np.isnan(ladder.calm) & ~taken)
        assert {(wish.scope.name, wish.flag) for wish in wishes(rules, state)} == {
            (NAMES[n], flag) for n in range(4) for flag in ("scale_back", "pause_admissions")[: after[n]]
        }


def test_a_state_is_a_value() -> None:
    rules = rules_of()
    state, _ = tell(rules, excursion(55, 46.0, until=65))
    kept = {
        field.name: getattr(state.ladders["coolant"], field.name).copy() for field in fields(state.ladders["coolant"])
    }
    one = step(rules, state, reading([46.0], [80.0]), 80.0)
    other = step(rules, state, reading([46.0], [80.0]), 80.0)
    assert one[1] == other[1] != ()
    for name, array in kept.items():
        assert np.array_equal(getattr(state.ladders["coolant"], name), array, equal_nan=array.dtype == np.float64)


def test_thousands_of_racks_climb_alone() -> None:
    document = [
        {
            "rung": "throttle",
            "when": {"signal": "rack_device_temperature_celsius", "above": 84, "for_seconds": 20},
            "release": {"level": 80, "for_seconds": 60},
            "flags": {"scale_back": "halved"},
        }
    ]
    rules = rules_of(document, scope="rack")
    names = tuple(f"R-{n:04d}" for n in range(4000))
    state = start(rules, {Level.RACK: names}, 0.0)
    hot = np.arange(4000) % 1000 == 17
    log: list[Action] = []
    for t in (10.0, 20.0, 30.0, 40.0):
        values = np.where(hot, 85.0, 70.0)
        signal = Signal(values, np.full(4000, t), np.zeros(4000, dtype=np.int8))
        state, actions = step(rules, state, Sensed({Level.RACK: names}, {"rack_device_temperature_celsius": signal}), t)
        log += actions
    assert [(each.time_seconds, each.scope.name) for each in log] == [
        (30.0, "R-0017"),
        (30.0, "R-1017"),
        (30.0, "R-2017"),
        (30.0, "R-3017"),
    ]


@pytest.mark.parametrize("time", [float("nan"), 99.0])
def test_time_that_runs_back_is_an_error(time: float) -> None:
    state = start(rules_of(), {Level.LOOP: ("loop 01",)}, 100.0)
    with pytest.raises(ValueError, match="time_seconds"):
        step(rules_of(), state, reading([40.0], [99.0]), time)


def test_other_places_are_an_error() -> None:
    state = start(rules_of(), {Level.LOOP: ("loop 01",)}, 0.0)
    with pytest.raises(ValueError, match="members of level 'loop'"):
        step(rules_of(), state, reading([40.0, 40.0], [1.0, 1.0]), 1.0)


# two ladders, one flag; and flags that follow the ladder


@pytest.mark.parametrize(
    ("back_wants", "log_of_both"),
    [
        ("halved", [(1.0, "set_flag scale_back=halved"), (4.0, "clear_flag scale_back=halved")]),
        (  # of two ladders on one rung the last by name says which variant
            "third",
            [
                (1.0, "set_flag scale_back=halved"),
                (3.0, "set_flag scale_back=third"),
                (4.0, "clear_flag scale_back=third"),
            ],
        ),
    ],
)
def test_a_flag_is_cleared_when_the_last_ladder_lets_go(back_wants: str, log_of_both: list[tuple[float, str]]) -> None:
    def one(signal: str, above: float, variant: str) -> dict[str, Any]:
        return {
            "scope": "loop",
            "rungs": [
                {
                    "rung": "throttle",
                    "when": {"signal": signal, "above": above, "for_seconds": 0},
                    "release": {"level": above - 1, "for_seconds": 0},
                    "flags": {"scale_back": variant},
                }
            ],
        }

    rules = rules_from_mapping(
        {
            "name": "two",
            "version": 1,
            "owner": "tests",
            "readings": {"stale_seconds": 60, "greatest_gap_seconds": 30, "unseen_seconds": 120},
            "ladders": {
                "supply": one(SIGNAL, 45, "halved"),
                "back": one("loop_return_temperature_celsius", 55, back_wants),
            },
        }
    )
    state = start(rules, {Level.LOOP: ("loop 01",)}, 0.0)
    log: list[Action] = []
    for t, supply, back in [(1, 46, 50), (2, 46, 56), (3, 40, 56), (4, 40, 50)]:
        good = np.zeros(1, dtype=np.int8)
        signals = {
            name: Signal(np.array([float(value)]), np.array([float(t)]), good)
            for name, value in ((SIGNAL, supply), ("loop_return_temperature_celsius", back))
        }
        state, actions = step(rules, state, Sensed({Level.LOOP: ("loop 01",)}, signals), float(t))
        log += actions
    assert words(log) == log_of_both


def flag(kind: str, **variants: Any) -> dict[str, Any]:
    return {
        "state": "ENABLED",
        "variants": {"off": {}, **variants},
        "defaultVariant": "off",
        "metadata": {"kind": kind, "scope": "loop/*, rack/*", "may_set": "policy, operator", "expires": 300},
    }


FLAGS = flags_from_mapping(
    {
        "flags": {
            "scale_back": flag("thermal_protection", halved={"concurrency": 0.5}, quartered={"concurrency": 0.25}),
            "pause_admissions": flag("thermal_protection", paused={"admissions": "paused"}),
            "evacuate": flag("evacuation", drain={"drain": True}),
        }
    }
)


def test_flags_follow_the_ladder_expire_under_it_and_come_again() -> None:
    rules = rules_of(RUNGS[:2])
    state, flags = start(rules, {Level.LOOP: ("loop 01",)}, 0.0), FlagState()
    log: list[Any] = []
    for t in range(0, 900):
        celsius = 46.0 if t < 200 else 48.0 if t < 500 else 40.0
        state, actions = step(rules, state, reading([celsius], [float(t)]), float(t))
        flags, outcomes = settle_flags(FLAGS, flags, wishes(rules, state), ENGINE, float(t), actions)
        assert settle_flags(FLAGS, flags, wishes(rules, state), ENGINE, float(t)) == (flags, ())
        log += outcomes
    assert all(isinstance(each, Change) for each in log)
    assert [(each.time_seconds, each.kind, each.flag, each.old, each.new) for each in log] == [
        (60.0, ChangeKind.SET, "scale_back", None, "halved"),
        (260.0, ChangeKind.SET, "pause_admissions", None, "paused"),
        (260.0, ChangeKind.REPLACED, "scale_back", "halved", "quartered"),
        (560.0, ChangeKind.EXPIRED, "pause_admissions", "paused", None),
        (560.0, ChangeKind.EXPIRED, "scale_back", "quartered", None),
        (560.0, ChangeKind.SET, "pause_admissions", None, "paused"),
        (560.0, ChangeKind.SET, "scale_back", None, "quartered"),
        (620.0, ChangeKind.CLEARED, "pause_admissions", "paused", None),
        (620.0, ChangeKind.REPLACED, "scale_back", "quartered", "halved"),
        (740.0, ChangeKind.CLEARED, "scale_back", "halved", None),
    ]
    first = log[0]
    assert (first.trigger.signal, first.trigger.limit, first.trigger.value) == (SIGNAL, 45.0, 46.0)
    last = log[-1].trigger  # what was measured when it was taken back
    assert (last.signal, last.limit, last.value, last.held_seconds) == (SIGNAL, 43.0, 40.0, 120.0)


def test_what_people_set_the_ladder_leaves_alone() -> None:
    rules = rules_of(RUNGS[:1])
    operator = Author(Role.OPERATOR, "m.ortiz")
    flags, _ = set_flag(FLAGS, FlagState(), "scale_back", "off", Scope(*LOOP), operator, "demo in progress", 0.0)
    state, _ = tell(rules, excursion(61, 46.0, until=75))
    after, (refused,) = settle_flags(FLAGS, flags, wishes(rules, state), ENGINE, 75.0)
    assert after == flags and "m.ortiz" in refused.detail
    other = set_flag(FLAGS, FlagState(), "evacuate", "drain", Scope(*LOOP), operator, "leak", 0.0)[0]
    assert settle_flags(FLAGS, other, (), ENGINE, 75.0) == (other, ())
    neighbour = set_flag(FLAGS, other, "scale_back", "halved", Scope(*LOOP), Author(Role.POLICY, "shedder"), "w", 0.0)[
        0
    ]
    assert settle_flags(FLAGS, neighbour, (), ENGINE, 75.0) == (neighbour, ())


def test_experiments_are_off_in_a_place_while_its_event_lasts() -> None:
    rollout = {
        "state": "ENABLED",
        "variants": {"old": "old", "new": "new"},
        "defaultVariant": "old",
        "metadata": {"kind": "rollout", "scope": "rack/*, loop/*", "may_set": "policy, release", "experimental": True},
    }
    flags = flags_from_mapping({"flags": {"beta": rollout}})
    rules = rules_of([rung("throttle", 45, 43, word="disable_experiments")])
    release = Author(Role.RELEASE, "k.sato")
    given, _ = set_flag(flags, FlagState(), "beta", "new", scope_of("rack/B-17"), release, "canary", 0.0)
    hot, _ = tell(rules, excursion(61, 46.0, until=75))
    during, _ = settle_flags(flags, given, wishes(rules, hot, experiments_of(flags)), ENGINE, 75.0)
    here = {"rack": "B-17", "loop": "loop 01", "time_seconds": 80.0}
    assert evaluate(flags, given, "beta", here).value == "new"
    assert evaluate(flags, during, "beta", here).value == "old"
    assert evaluate(flags, during, "beta", here | {"loop": "loop 02"}).value == "new"
    cool, _ = tell(rules, [(float(t), 40.0) for t in range(75, 300)], hot)
    after, _ = settle_flags(flags, during, wishes(rules, cool, experiments_of(flags)), ENGINE, 300.0)
    assert after == given


# business terms


def business_rules(seconds: float = 600) -> LadderRules:
    return rules_from_mapping(
        {
            "name": "business",
            "version": 1,
            "owner": "tests",
            "readings": {"stale_seconds": 60, "greatest_gap_seconds": 30, "unseen_seconds": 120},
            "ladders": {},
            "business_rules": {
                "shift": {
                    "sentence": "If a thermal flag is active for more than 10 minutes, shift low-priority work.",
                    "kinds": ["thermal_protection"],
                    "scopes": ["rack", "loop"],
                    "active_seconds": seconds,
                    "do": ["shift_low_priority"],
                    "undo": ["return_low_priority"],
                }
            },
        }
    )


def test_after_ten_minutes_of_a_thermal_flag_low_priority_work_is_shifted_once() -> None:
    rules, state, flags = business_rules(), BusinessState(), FlagState()
    scope, log = Scope(*LOOP), []
    for t in range(0, 1500):
        if t == 100:
            flags, _ = set_flag(FLAGS, flags, "scale_back", "halved", scope, ENGINE, "w", float(t))
        if t == 300:  # another thermal flag takes over: it is one event
            flags, _ = set_flag(FLAGS, flags, "pause_admissions", "paused", scope, ENGINE, "w", float(t))
        if t == 590:
            flags, _ = set_flag(FLAGS, flags, "scale_back", "quartered", scope, ENGINE, "w", float(t))
        if t == 800:
            flags, _ = clear_flag(FLAGS, flags, "scale_back", scope, ENGINE, "cool", float(t))
        state, actions = step_business(rules, state, FLAGS, flags, float(t))
        log += actions
    assert words(log) == [(700.0, "shift_low_priority"), (800.0, "return_low_priority")]
    assert log[0].scope == scope and log[0].reason.because is Because.BUSINESS
    assert log[0].reason.detail == (
        "If a thermal flag is active for more than 10 minutes, shift low-priority work. "
        "scale_back set for 600 s, limit 600 s"
    )


def test_other_kinds_defaults_and_places_do_not_count() -> None:
    rules, flags = business_rules(10), FlagState()
    flags, _ = set_flag(FLAGS, flags, "evacuate", "drain", Scope(*LOOP), ENGINE, "w", 0.0)
    flags, _ = set_flag(FLAGS, flags, "scale_back", "off", Scope(*LOOP), ENGINE, "w", 0.0)
    _, actions = step_business(rules, BusinessState(), FLAGS, flags, 20.0)
    assert actions == ()
    flags, _ = set_flag(FLAGS, flags, "scale_back", "halved", scope_of("rack/B-2"), ENGINE, "w", 20.0)
    flags, _ = set_flag(FLAGS, flags, "scale_back", "halved", scope_of("rack/B-1"), ENGINE, "w", 20.0)
    flags, _ = set_flag(FLAGS, flags, "scale_back", "halved", Scope(*LOOP), ENGINE, "w", 20.0)
    _, actions = step_business(rules, BusinessState(), FLAGS, flags, 30.0)
    assert [str(each.scope) for each in actions] == ["rack/B-1", "rack/B-2", "loop/loop 01"]


# snapshots


def test_a_snapshot_gives_its_readings_with_age_and_means(facility: Any) -> None:
    plain: FacilitySnapshot = facility([1, 2, 3])
    supply = np.array([40.0, 42.0, 44.0])
    changes = {
        "rack_supply_temperature_celsius": supply,
        "rack_power_watts": np.array([60e3, np.nan, 30e3]),
        "rack_max_power_watts": np.full(3, 120e3),
        "row_power_watts": np.array([90e3]),
        "ages": {"rack_supply_temperature_celsius": np.array([1.0, 5.0, 2.0])},
    }
    for name, value in changes.items():
        object.__setattr__(plain, name, value)
    found = readings_of(plain, "north")
    assert found.members[Level.HALL] == ("north",)
    rack = found.of("rack_supply_temperature_celsius", Level.RACK)
    assert rack.measured_seconds.tolist() == [599.0, 595.0, 598.0] and rack.quality.tolist() == [0, 0, 0]
    for name, level in (
        ("row_mean_supply_temperature_celsius", Level.ROW),
        ("hall_mean_supply_temperature_celsius", Level.HALL),
    ):
        mean = found.of(name, level)
        assert (mean.values.tolist(), mean.measured_seconds.tolist(), mean.quality.tolist()) == ([42.0], [595.0], [0])
    ratio = found.of("rack_power_ratio", Level.RACK)
    assert ratio.values[[0, 2]].tolist() == [0.5, 0.25] and ratio.quality.tolist() == [0, Quality.MISSING, 0]
    assert found.of("hall_power_watts", Level.HALL).values.tolist() == [90e3]
    object.__setattr__(plain, "rack_supply_temperature_celsius", np.array([40.0, np.nan, 44.0]))
    blind = readings_of(plain).of("row_mean_supply_temperature_celsius", Level.ROW)
    assert np.isnan(blind.values[0]) and blind.quality.tolist() == [Quality.MISSING]
