"""What people do in a story: flags, maintenance, evacuation, work that is started again; and who may not."""

import json
from dataclasses import replace

import pytest

from tests.policy.documents import shipped
from twin.__main__ import main
from twin.audit import read_records
from twin.hall.reader import load_hall
from twin.policy.aware import thermal_aware
from twin.policy.flag_files import flags_from_mapping
from twin.policy.ladder_rules import rules_from_mapping
from twin.results.kinds import EventKind
from twin.setup.documents import document_path, read_document
from twin.sim.response import ResponseSettings
from twin.sim.scenario import ScenarioError, read_scenario
from twin.sim.sensor_settings import ideal
from twin.sim.simulate import Settings
from twin.workload.jobs import JobKind, Phase
from twin.workload.scaling import scaled

RESPONSE = ResponseSettings(
    rules_from_mapping(shipped()["ladder"]),
    read_document(document_path("default", "flags", ".json"), flags_from_mapping),
)
SETTINGS = Settings(sensors=ideal(), response=RESPONSE)
ACT = RESPONSE.act_seconds
FLAGS = (EventKind.FLAG_SET, EventKind.FLAG_CLEARED, EventKind.FLAG_REFUSED)


@pytest.fixture
def people(tell):
    """``people(until, jobs, *timeline)``: a run of the small hall under a policy with flags."""

    def run(until, jobs, *timeline, **changes):
        settings = replace(SETTINGS, **changes)
        return tell(until, jobs=jobs, timeline=timeline, policy=thermal_aware(shipped()), settings=settings)

    return run


def placed(result):
    """Start times and racks of every job: (job, s, where)."""
    events = result.tables["events"]
    chosen = events[events["kind"] == EventKind.JOB_STARTED]
    return list(zip(chosen["name"], chosen["time_seconds"], chosen["detail"], strict=True))


def test_a_flag_by_hand_turns_work_down_for_as_long_as_it_is_set_and_names_who_and_why(people, a_job, log_of):
    """Half the batch, no side work: for 300 s the job goes at the speed that scaling has for it, and no longer."""
    by = {"role": "on_call", "by": "ana", "reason": "coolant trend"}
    flag = {"at": 100, "do": "set_flag", "flag": "scale_back", "variant": "halved", **by}
    back = {"at": 400, "do": "clear_flag", "flag": "scale_back", **by}
    result = people(2_000.0, [a_job("job", 4, 1_000.0)], flag, back)
    assert log_of(result, *FLAGS) == [(100.0, "flag_set", "hall"), (400.0, "flag_cleared", "hall")]
    detail = result.tables["events"].set_index("kind")["detail"]
    assert detail["flag_set"] == "scale_back = halved by on_call ana; coolant trend"
    _, speed = scaled(0.5, False)
    end = result.tables["jobs"].set_index("id")["end_seconds"]["job"]
    assert end == pytest.approx(1_000.0 + (1.0 - speed) * 300.0, abs=0.01)


@pytest.mark.parametrize(
    ("asked", "ends"), [({}, 3_600.0), ({"expires": "5 min"}, 300.0), ({"repair": "4 min"}, 240.0)]
)
def test_a_flag_ends_by_its_file_sooner_if_asked_or_when_its_author_takes_it_back(people, log_of, asked, ends):
    flag = {"at": 60, "do": "set_flag", "flag": "pause_admissions", "variant": "paused", "reason": "to see", **asked}
    result = people(3_800.0, [], flag)
    (_, (when, kind, _)) = log_of(result, *FLAGS)
    assert kind == "flag_cleared"
    assert 60.0 + ends <= when <= 60.0 + ends + RESPONSE.period_seconds


def test_who_may_not_set_a_flag_is_refused_and_nothing_changes(people, a_job, log_of):
    flag = {"at": 100, "do": "evacuate", "rack": "A-01", "role": "release", "reason": "I would rather"}
    nobody = {"at": 200, "do": "clear_flag", "flag": "evacuate", "rack": "A-01", "reason": "tidy"}
    result = people(700.0, [a_job("job", 72, 500.0)], flag, nobody)
    assert log_of(result, *FLAGS) == [(100.0, "flag_refused", "A-01"), (200.0, "flag_refused", "A-01")]
    details = list(result.tables["events"].query("kind == 'flag_refused'")["detail"])
    assert (
        "this role may not change the flag (release; allowed are policy, operator, on_call, facilities)" in details[0]
    )
    assert "not set for this place" in details[1]
    assert result.tables["jobs"]["end_seconds"].iloc[0] == pytest.approx(500.0, abs=0.01)


def test_maintenance_keeps_work_away_until_it_is_over(people, a_job):
    """Four jobs that each fill a rack: while A-02 is being serviced the fourth waits, and gets A-02 when it is back."""
    jobs = [a_job(f"job-{n}", 18, 5_000.0, submit=100.0 + n) for n in range(4)]
    work = {"at": 50, "do": "maintenance", "rack": "A-02", "reason": "a leaking hose", "repair": "20 min"}
    found = placed(people(2_000.0, jobs, work))
    assert {where for _, when, where in found if when < 1_000.0} == {"on A-01", "on A-03", "on A-04"}
    assert [(when, where) for _, when, where in found][3:] == [(1_260.0, "on A-02")]  # the tick after 50 + 1200 + 5


def test_an_evacuated_rack_is_left_by_what_can_be_saved_and_what_cannot_stays(people, a_job):
    saved = a_job("saved", 9, 3_000.0, save=20.0, restore=5.0)
    stays = a_job("stays", 9, 3_000.0)
    leave = {"at": 105, "do": "evacuate", "reason": "smell of burning", "repair": "5 min"}
    result = people(900.0, [saved, stays], leave)
    moved = result.tables["events"].query("kind == 'job_preempted'")
    assert list(zip(moved["name"], moved["time_seconds"], strict=True)) == [("saved", 105.0 + ACT + 20.0)]
    assert moved["root"].iloc[0] == "evacuate 00:01:45"
    starts = [(job, when) for job, when, _ in placed(result)]
    # back at the first tick after the flag is gone and software knows it
    assert starts == [("saved", 0.0), ("stays", 0.0), ("saved", 420.0)]


def test_work_is_started_again_at_once_or_one_after_another(people, a_job, log_of):
    jobs = [replace(a_job(f"job-{n}", 9, 5_000.0, load=60.0), submit_seconds=0.0) for n in range(3)]
    for stagger in (0, 120):
        again = {"at": 500, "do": "restart_jobs", **({"stagger": stagger} if stagger else {})}
        result = people(1_000.0, jobs, again)
        assert [when for when, _, _ in log_of(result, EventKind.JOB_RENEWED)] == [500.0 + n * stagger for n in range(3)]
        lost = result.metrics["gpu_seconds_lost"]
        assert lost == pytest.approx(sum(440.0 + n * stagger for n in range(3)) * 36, rel=1e-6)  # 60 s were start


def test_a_cold_start_goes_through_everything_that_a_warm_one_skips(people, a_job):
    """The hall draws the load phase's power for 60 s after a cold restart; a warm one begins with its restore."""
    work = replace(a_job("job", 72, 5_000.0, load=60.0, save=10.0, every=100.0, restore=30.0, utilisation=0.2))
    work = replace(work, startup=(Phase("load", 60.0, 0.9),))
    peaks = {}
    for cold in (False, True):
        result = people(
            900.0, [work], {"at": 700, "do": "restart_jobs", "cold": cold, "reason": "x"}, warmup_seconds=600.0
        )
        peaks[cold] = result.metrics["peak_row_power_watts"]
    assert peaks[True] > 1.5 * peaks[False]


def test_racks_are_shut_down_and_started_by_hand(people, log_of):
    by = {"do": "respond", "rack": "A-03", "role": "facilities", "by": "bo", "reason": "a leak"}
    result = people(600.0, [], {**by, "at": 60, "what": "shut_down"}, {**by, "at": 120, "what": "allow_start"})
    found = log_of(result, EventKind.RACK_SHUT_DOWN, EventKind.RACK_RESTORED)
    assert found == [(65.0, "rack_shut_down", "A-03"), (425.0, "rack_restored", "A-03")]  # 5 s to act, 300 s to boot


@pytest.mark.parametrize(
    ("entry", "settings", "problem"),
    [
        ({"do": "set_flag", "flag": "scale_bak", "variant": "halved"}, SETTINGS, "Did you mean 'scale_back'?"),
        ({"do": "set_flag", "flag": "scale_back", "variant": "halve"}, SETTINGS, "Did you mean 'halved'?"),
        ({"do": "evacuate", "rack": "A-01"}, Settings(), "policy=thermal_aware"),
        ({"do": "respond", "what": "drain"}, Settings(), "policy=thermal_aware"),
    ],
)
def test_flags_that_a_run_does_not_have_are_refused_before_it(tell, entry, settings, problem):
    with pytest.raises(ScenarioError, match=problem.replace("?", r"\?")):
        tell(10.0, timeline=[{"at": 1, "reason": "to see", **entry}], settings=settings)


def test_an_action_of_a_person_needs_a_reason():
    story = {"name": "s", "purpose": "p", "timeline": [{"at": 1, "do": "evacuate", "rack": "A-01"}]}
    with pytest.raises(ScenarioError, match="Give the reason"):
        read_scenario(story, load_hall("small"), "story.yaml")


def test_the_audit_says_who_did_what_and_who_was_not_let(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    person = {"role": "facilities", "by": "bo", "reason": "a leak"}
    story = {
        "purpose": "p",
        "timeline": [
            {"at": 10, "do": "maintenance", "rack": "A-02", **person},
            {"at": 20, "do": "set_flag", "flag": "scale_back", "variant": "halved", **person},
            {"at": 30, "do": "respond", "what": "freeze_deploys", **person},
        ],
    }
    (tmp_path / "s.yaml").write_text(json.dumps(story))  # JSON is YAML
    assert main(["run", "scenario=s.yaml", "hall=small", "hours=0.02", "out=run"]) == 0, capsys.readouterr().err
    told = [each["data"] for each in read_records(tmp_path / "run/audit.jsonl") if "approver" in str(each["data"])]
    told = [each for each in told if each.get("approver", {}).get("identity") == "bo"]
    assert [each.get("flag") or each["action"] for each in told] == [
        "maintenance", "scale_back not changed", "freeze_deploys",
    ]  # fmt: skip
    assert all("a leak" in each["reason"] for each in (told[0], told[2]))
    assert "this role may not change the flag" in told[1]["reason"]
    assert all(each["policy"]["name"] == "thermal_aware" for each in told)
    assert [each.get("snapshot", {}).get("time_seconds") for each in told] == [None, 10.0, 20.0]  # the look before
    assert main(["audit", "verify", "run"]) == 0


def test_the_repair_of_a_place_leaves_the_flags_that_people_set_there(people, log_of):
    loop = {"loop": "loop 01"}
    lost = {"at": 60, "do": "pump_loss", "pump": 1, **loop}
    leave = {"at": 70, "do": "evacuate", "reason": "no coolant", **loop}
    result = people(240.0, [], lost, leave, {"at": 180, "do": "repair", **loop})
    found = log_of(result, *FLAGS, EventKind.PUMP_RESTORED)
    assert found == [(70.0, "flag_set", "loop 01"), (180.0, "pump_restored", "loop 01")]


def test_a_place_with_only_a_flag_has_nothing_to_repair():
    leave = {"at": 60, "do": "evacuate", "rack": "A-01", "reason": "smell of burning"}
    story = {"name": "s", "purpose": "p", "timeline": [leave, {"at": 120, "do": "repair", "rack": "A-01"}]}
    with pytest.raises(ScenarioError, match="nothing happened to A-01"):
        read_scenario(story, load_hall("small"), "story.yaml")
    step = {"step": "back", "role": "facilities", "do": "repair", "rack": "A-01", "within": "60 s of evacuate"}
    story = {**story, "timeline": [leave], "operators": [{**step, "reaction": "30 s"}]}
    with pytest.raises(ScenarioError, match="nothing happens to A-01"):
        read_scenario(story, load_hall("small"), "story.yaml", hours=1.0)


def test_what_a_business_rule_costs_is_put_down_to_the_flag_that_was_set_for_long(people, a_job):
    """A person turns loop 01 down at 1 min: ten minutes later, at the next look, batch work is sent away, and what it
    had not saved is lost. The chiller that tripped before is not what sent it."""
    batch = a_job("batch", 4, 5_000.0, kind=JobKind.BATCH, preemptible=True)
    down = {"do": "set_flag", "flag": "scale_back", "variant": "halved", "loop": "loop 01", "role": "on_call"}
    up = {"at": 800, "do": "clear_flag", "flag": "scale_back", "loop": "loop 01", "role": "on_call", "reason": "cool"}
    trip = {"at": 30, "do": "chiller_trip", "repair": "3 min"}
    result = people(900.0, [batch], trip, {"at": 60, "reason": "warm", **down}, up)
    events = result.tables["events"].set_index("event")
    (gone,) = events[events["kind"] == EventKind.JOB_PREEMPTED].to_dict("records")
    asked = events.loc[gone["cause"]]
    assert (asked["kind"], asked["time_seconds"]) == (EventKind.RESPONSE, 660.0)
    assert asked["detail"].startswith("shift_low_priority")
    flag = events.loc[asked["cause"]]
    assert (flag["kind"], flag["name"], flag["time_seconds"]) == (EventKind.FLAG_SET, "loop 01", 60.0)
    lost = result.tables["losses"].query("kind == 'gpu_seconds'")
    assert lost["cause"].tolist() == [gone["root"]] == ["set_flag loop 01 00:01:00"]
    back = events[events["detail"].str.startswith("return_low_priority")].to_dict("records")[0]
    cleared = events.loc[back["cause"]]
    assert (cleared["kind"], cleared["time_seconds"]) == (EventKind.FLAG_CLEARED, 800.0)
