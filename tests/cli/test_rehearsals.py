"""Rehearsals from the command line: a team's record in place of the script's reactions, and a run made again of it."""

import filecmp
import json
import math

from twin.cli import execute

ROWS = """time,role,action,target
00:01:30,on_call,turn work down,
00:04:30,operator,close the breaker,row A/feed B
"""
STORY = """
purpose: A breaker trips for nothing while people watch.
hours: 0.1
choose: {hall: small}
timeline:
  - {at: 60, do: breaker_nuisance_trip, breaker: row A/feed B}
reactions: {on_call: 30 s, operator: {median: 60 s, spread: 1.5}}
operators:
  - {step: turn work down, role: on_call, do: set_flag, flag: scale_back, variant: halved,
     within: 1 min of breaker trip}
  - {step: close the breaker, role: operator, do: breaker_close, breaker: row A/feed B, within: 3 min of breaker trip}
expectations:
  - some: breaker reclosed
"""


def test_a_teams_record_changes_the_run_and_its_score_and_is_kept_with_it(twin, tmp_path):
    (tmp_path / "story.yaml").write_text(STORY)
    (tmp_path / "team.csv").write_text(ROWS)
    ended = twin("run", "scenario=story.yaml", "operators=team.csv", "out=run")
    assert ended.code == 0, ended.err
    assert "1 of 2 steps met their deadline, 1 late" in ended.out
    assert "late: 30 s after its deadline" in ended.out
    card = (tmp_path / "run" / "scorecard.csv").read_text().splitlines()
    assert card[1].startswith(
        "turn work down,on_call,set_flag scale_back = halved,hall,breaker trip,60.0,120.0,90.0,30.0,"
    )
    assert card[2].startswith(
        "close the breaker,operator,breaker_close,row A/feed B,breaker trip,60.0,240.0,270.0,-30.0,late"
    )
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["operators"]["by_role"]["operator"]["late"] == 1
    page = (tmp_path / "run" / "report.html").read_text()
    assert "How the team did" in page
    assert "late: 30 s after its deadline" in page
    assert "Which flag stayed longer than needed?" in page
    assert "<b>too long</b>: scale_back = halved for the hall, set by on_call team at 00:01:30" in page
    (tmp_path / "team.csv").unlink()
    assert twin("run", "--again", "run", "out=again").code == 0
    for name in ("events.parquet", "scorecard.parquet"):
        assert filecmp.cmp(tmp_path / "run" / name, tmp_path / "again" / name, shallow=False)


def test_a_record_that_makes_no_sense_is_refused_with_all_its_faults(twin, tmp_path):
    (tmp_path / "story.yaml").write_text(STORY)
    (tmp_path / "team.csv").write_text("time,role,action,target\nnow,on_call,turn work down,\n00:02:00,oncall,dance,\n")
    ended = twin("run", "scenario=story.yaml", "operators=team.csv", "out=run")
    assert ended.code == 3
    assert "team.csv: line 2, time = 'now': not a time" in ended.err
    assert "team.csv: line 3, role = 'oncall': unknown role. Did you mean 'on_call'?" in ended.err
    assert "team.csv: line 3, action = 'dance'" in ended.err
    assert not (tmp_path / "run").exists()
    (tmp_path / "team.csv").write_text("when,role,action\n")
    ended = twin("run", "scenario=story.yaml", "operators=team.csv", "out=run")
    assert ended.code == 3
    assert "team.csv: line 1 = 'when': unknown column" in ended.err
    assert twin("run", "scenario=story.yaml", "operators=none.csv", "out=run").code == 3


def test_an_incident_and_a_postmortem_are_told_of_a_run(twin, tmp_path, monkeypatch):
    (tmp_path / "story.yaml").write_text(STORY)
    assert twin("run", "scenario=story.yaml", "out=run").code == 0
    told = twin("incident", "run", "--at", "00:02:00")
    assert told.code == 0
    assert "since 00:01:00: breaker row A/feed B tripped" in twin("incident", "run", "--at", "61 s").out
    assert "flag scale_back = halved for the hall, set by on_call team at 00:01:30" in told.out
    found = json.loads(twin("incident", "run", "--at", "2 min", "--json").out)
    monkeypatch.setattr("twin.results.incident._lost", lambda before: {"gpu_seconds": math.nan})
    assert json.loads(twin("incident", "run", "--at", "2 min", "--json").out)["lost_so_far"] == {"gpu_seconds": None}
    assert (found["state"], found["flags"][0]["flag"], len(found["racks"])) == ("quiet", "scale_back", 4)
    page = twin("postmortem", "run", "--markdown").out
    for words in (
        "# Post-mortem of", "No release to judge.", "No rack to judge.", "scale_back = halved for the hall, set by on",
        "| gb200_nvl72 | 288 |", "2 of 2 steps met their deadline.", "row A/feed B breaker nuisance trip 00:01:00",
    ):  # fmt: skip
        assert words in page, words
    assert json.loads(twin("postmortem", "run", "--json").out)["scorecard"]["by_role"]["operator"]["met"] == 1
    assert "How the team did" in twin("postmortem", "run").out


def test_a_time_or_a_run_that_is_none_is_refused(twin, tmp_path):
    (tmp_path / "story.yaml").write_text(STORY)
    assert twin("run", "scenario=story.yaml", "out=run").code == 0
    ended = twin("incident", "run", "--at", "02:00:00")
    assert ended.code == 3
    assert "--at = '02:00:00': the run ended at 360 s. Give a time within the run." in ended.err
    assert twin("incident", "nowhere", "--at", "60").code == 3
    assert twin("postmortem", "nowhere").code == 3
    ended = twin("incident", "nowhere", "--at", "12:30")
    assert ended.code == 3
    assert "--at = '12:30'" in ended.err


def test_a_script_is_listed_with_who_has_to_do_what(twin):
    shown = twin("scenarios", "gameday_coolant_loss")
    assert shown.code == 0
    assert "  facilities: bring back the pumps, within 12 min of pump_loss" in shown.out
    assert "  surprise  telemetry_outage" in shown.out


def test_a_run_is_identified_by_its_files_as_it_finds_them(twin, tmp_path, monkeypatch):
    (tmp_path / "story.yaml").write_text(STORY)
    order = []

    def noted(name):
        real = getattr(execute, name)
        return lambda *given, **named: order.append(name) or real(*given, **named)

    for name in ("identity", "simulate"):
        monkeypatch.setattr(execute, name, noted(name))
    assert twin("run", "scenario=story.yaml", "out=run").code == 0
    assert order == ["identity", "simulate"]


def test_headroom_is_of_what_the_policy_of_the_run_was_permitted(twin):
    few = ("hall=small", "hours=0.02", "policy=thermal_aware", "policy.permitted.limit_utilisation=0.625")
    ended = twin("run", *few, "out=run")
    assert ended.code == 0, ended.err
    assert "at 62.5 % of breakers' ratings" in twin("hall", "headroom", "run").out
