"""A rehearsal: steps by role after their notices, what is late and missed, and a team's own record in their place."""

import math
from dataclasses import replace

import pytest

from tests.sim.test_people import RESPONSE
from twin.hall.reader import load_hall
from twin.policy import first_fit
from twin.policy.causes import Role
from twin.results.kinds import EventKind
from twin.results.scorecard import by_outcome, sentence
from twin.sim.operators import Reaction, draw_surprises, read_what
from twin.sim.operators_file import read_deeds
from twin.sim.scenario import ScenarioError, read_scenario
from twin.sim.sensor_settings import ideal
from twin.sim.simulate import Settings, simulate
from twin.workload.jobs import Workload
from twin.workload.streams import stream

HALL = load_hall("small")
LOST = {"at": 100, "do": "pump_loss", "loop": "loop 01", "pump": "all"}
REPAIR = {
    "step": "pumps", "role": "facilities", "do": "repair", "loop": "loop 01", "within": "60 s of pump_loss",
    "reaction": "30 s",
}  # fmt: skip


def script(*steps, timeline=(LOST,), **more):
    return read_scenario(
        {"name": "game day", "purpose": "to rehearse", "timeline": list(timeline), "operators": list(steps), **more},
        HALL,
        "script.yaml",
        hours=1.0,
    )


def rehearse(scenario, until=400.0, seed=0, **settings):
    nobody = Workload("nobody", (), (), {})
    return simulate(HALL, nobody, first_fit, scenario, seed=seed, until=until, settings=Settings(**settings))


def card(result):
    table = result.tables["scorecard"]
    return [(row["step"], row["done_seconds"], row["outcome"]) for row in table.to_dict("records")]


def at_the_table(scenario, *rows, end=3_600.0):
    """The scenario with what a team did, or the faults."""
    keys = ("time", "role", "action", "target")
    found, faults = read_deeds(
        [{"line": n + 2, **dict(zip(keys, row, strict=True))} for n, row in enumerate(rows)],
        scenario.steps,
        HALL,
        "team.csv",
        end,
    )
    return replace(scenario, deeds=found), faults


@pytest.mark.parametrize(
    ("reaction", "done", "outcome", "margin"),
    [("30 s", 130.0, "met", 30.0), ("60 s", 160.0, "met", 0.0), ("90 s", 190.0, "late", -30.0)],
)
def test_a_step_is_done_when_its_role_has_reacted_and_the_pumps_with_it(reaction, done, outcome, margin, log_of):
    result = rehearse(script({**REPAIR, "reaction": reaction}))
    (row,) = result.tables["scorecard"].to_dict("records")
    assert (row["called_seconds"], row["due_seconds"], row["done_seconds"]) == (100.0, 160.0, done)
    assert (row["outcome"], row["margin_seconds"]) == (outcome, margin)
    assert log_of(result, EventKind.OPERATOR_STEP, EventKind.PUMP_RESTORED) == [
        (done, "operator_step", "loop 01"),
        (done, "pump_restored", "loop 01"),
    ]


def test_a_step_that_nobody_is_called_to_is_missed_where_its_time_ran_and_else_not_asked_for():
    unseen = {**REPAIR, "notice": "breaker trip"}
    idle = {**REPAIR, "step": "idle", "within": "60 s of breaker trip"}
    soon = {**REPAIR, "step": "soon", "within": "10 min of pump_loss", "reaction": "9 min"}
    result = rehearse(script(unseen, idle, soon))
    assert result.tables["scorecard"]["done_seconds"].isna().all()
    outcomes = [(step, outcome) for step, _, outcome in card(result)]
    assert outcomes == [("pumps", "missed"), ("idle", "not called for"), ("soon", "open")]
    details = list(result.tables["scorecard"]["detail"])
    assert details[0] == "nobody noticed: there was no breaker trip"
    assert details[1] == "there was no breaker trip"
    assert result.metrics["operators"]["missed"] == 1
    assert result.metrics["operators"]["by_role"]["facilities"]["not_called_for"] == 1


def test_steps_follow_one_another():
    """The second counts from the first, wherever that was in time; the third from an event that the first brought."""
    second = {**REPAIR, "step": "valve", "do": "supply_setpoint", "celsius": 38, "within": "20 s of pumps",
              "reaction": "25 s"}  # fmt: skip
    third = {**REPAIR, "step": "look", "do": "supply_setpoint", "celsius": 37, "notice": "pump restored in loop 01",
             "within": "1 min of pump restored in loop 01", "reaction": "50 s"}  # fmt: skip
    assert card(rehearse(script(REPAIR, second, third))) == [
        ("pumps", 130.0, "met"),
        ("valve", 155.0, "late"),
        ("look", 180.0, "met"),
    ]


def test_what_was_done_at_the_table_takes_the_place_of_what_the_script_would_do(log_of):
    scenario, faults = at_the_table(
        script(REPAIR),
        ("00:00:50", "facilities", "pumps", ""),  # before anything was wrong
        ("00:01:45", "facilities", "pumps", "loop 01"),
        ("00:02:30", "facilities", "breaker_open", "A-01/feed A"),
    )
    assert not faults
    result = rehearse(scenario)
    assert card(result) == [("pumps", 105.0, "met"), ("pumps", 50.0, "unasked"), ("breaker_open", 150.0, "unasked")]
    assert "before anything called for it" in result.tables["scorecard"]["detail"][1]
    assert log_of(result, EventKind.PUMP_RESTORED) == [(105.0, "pump_restored", "loop 01")]
    nobody, _ = at_the_table(script(REPAIR))
    idle = rehearse(nobody)
    assert log_of(idle, EventKind.PUMP_RESTORED) == []
    assert sentence(idle.tables["scorecard"]) == "0 of 1 steps met their deadline, 1 missed"


def test_every_fault_of_a_table_is_told_with_its_line_and_a_remedy():
    _, faults = at_the_table(
        script(REPAIR),
        ("00:05:00", "facilities", "pumps", "loop 09"),
        ("00:04:00", "plumber", "pumps", ""),
        ("00:06", "facilities", "pump", ""),
        ("02:00:00", "release", "pumps", ""),
        ("00:07:00", "on_call", "respond what=dance", ""),
        ("00:08:00", "", "pumps", ""),
    )
    told = [str(fault) for fault in faults]
    for words in (
        "team.csv: line 2, target = 'loop 09': no target of repair in this hall. Did you mean 'loop 01'?",
        "team.csv: line 3, time = '00:04:00': before the row above it, at 00:05:00. Sort the rows by time.",
        "team.csv: line 3, role = 'plumber': unknown role",
        "team.csv: line 4, time = '00:06': hours and minutes, or minutes and seconds. Write '00:06:00' or '0:00:06'.",
        "team.csv: line 4, action = 'pump': no step of the script and no action of people. Did you mean 'pumps'?",
        "team.csv: line 5, time = '02:00:00': past the end of the run at 01:00:00",
        "team.csv: line 5, role = 'release': release may not do repair. Let it be done by facilities or operator.",
        "team.csv: line 6.what = 'dance': unknown word",
        "team.csv: line 7, role = '': nothing there",
    ):
        assert any(each.startswith(words) for each in told), words
    assert len(told) == 9


def test_every_fault_of_a_script_is_told_before_time_starts():
    with pytest.raises(ScenarioError) as refused:
        script(
            {**REPAIR, "role": "plumber"},
            {**REPAIR, "role": "release"},
            {**REPAIR, "within": "60 s of pump_los"},
            {**REPAIR, "step": "b", "due": "00:05:00"},
            {**{k: v for k, v in REPAIR.items() if k != "reaction"}, "step": "c"},
            {**REPAIR, "step": "d", "loop": "loop 01", "at": 5},
            {**REPAIR, "step": "e", "do": "pump_loss"},
            reactions={"faciliti": "2 min", "on_call": {"spread": 2}},
            surprises=[{"between": [60, 30], "do": "telemetry_outage"}],
        )
    told = str(refused.value)
    for words in (
        "operators[0].role = 'plumber': unknown role",
        "operators[1].role = 'release': release may not do repair",
        "operators[2].within = 'pump_los': 'pump_los' is no action of the story, no earlier step and no kind of event",
        "operators[3] =",
        "two deadlines",
        "operators[4].reaction = None: no reaction time",
        "operators[5].at = 5: a step has none",
        "operators[6].role = 'facilities': pump_loss is nothing that people do",
        "reactions.faciliti = '2 min': unknown role. Did you mean 'facilities'?",
        "reactions.on_call = {'spread': 2}: no median",
        "surprises[0].between = [60, 30]: no span of time within the run",
    ):
        assert words in told, words


def test_reactions_are_drawn_by_role_and_step_and_do_not_move_one_another():
    drawn = Reaction(120.0, 1.5)
    normal = stream(3, "reaction", "on_call", "look").standard_normal()
    assert drawn.draw(3, Role.ON_CALL, "look") == pytest.approx(120.0 * math.exp(normal * math.log(1.5)))
    assert Reaction(120.0).draw(3, Role.ON_CALL, "look") == 120.0
    times = sorted(drawn.draw(seed, Role.ON_CALL, "look") for seed in range(400))
    assert times[200] == pytest.approx(120.0, rel=0.1)  # the median of 400 is within 2.5 standard errors of it


def test_a_surprise_comes_in_its_span_or_not_at_all_and_says_that_it_is_one():
    outage = {"do": "telemetry_outage", "loop": "loop 01", "between": [60, 120], "chance": 0.5}
    scenario = script(surprises=[outage], timeline=())
    came = [draw_surprises(scenario.surprises, seed) for seed in range(200)]
    times = [action.at_seconds for (action,) in filter(None, came)]
    assert 70 <= len(times) <= 130  # four standard deviations of a fair coin
    assert min(times) >= 60.0
    assert max(times) <= 120.0
    assert max(times) - min(times) > 50.0
    sure = script(surprises=[{**outage, "between": [60, 60], "chance": 1.0}], timeline=())
    events = rehearse(sure, 100.0).tables["events"]
    assert list(events.query("kind == 'scenario_action'")["detail"]) == ["surprise: telemetry_outage"]


def test_who_may_not_set_a_flag_has_not_done_the_step_until_somebody_does_who_may():
    flag = {"step": "empty", "do": "evacuate", "loop": "loop 01", "within": "2 min of pump_loss", "reaction": "30 s"}
    back = {**REPAIR, "reaction": "20 s"}
    wrong = script({**flag, "role": "release"}, back)
    settings = {"sensors": ideal(), "response": RESPONSE}
    result = rehearse(wrong, **settings)
    row = result.tables["scorecard"].iloc[0]
    assert row["outcome"] == "missed"
    assert row["detail"].startswith("tried at 00:02:10: evacuate not changed: this role may not change the flag")
    right = rehearse(script({**flag, "role": "on_call"}, {**back, "reaction": "40 s"}), **settings)
    assert card(right)[0] == ("empty", 130.0, "met")
    # the repair of the pumps, which came later, has not taken the flag back
    assert not (right.tables["events"]["kind"] == "flag_cleared").any()


def test_a_scorecard_is_counted_by_role():
    result = rehearse(script(REPAIR, {**REPAIR, "step": "late", "reaction": "2 min"}))
    found = by_outcome(result.tables["scorecard"])
    assert (found["met"], found["late"]) == (1, 1)
    assert found["by_role"] == {"facilities": {key: found[key] for key in found if key != "by_role"}}


def test_a_job_that_starts_in_a_place_is_noticed_by_its_racks():
    inside, outside = (read_what(f"job started {where} loop 01", HALL, (), ()) for where in ("in", "outside"))
    event = ("job_started", "job", "gang-7", "on A-01, A-02")
    assert inside.meets(*event)
    assert not outside.meets(*event)
