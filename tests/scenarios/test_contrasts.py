"""What the morals of stories say would be otherwise: the same story with one thing changed, and what then happens."""

import json
from typing import Any

import pytest

from twin.__main__ import main
from twin.cli.exits import Exit
from twin.places import conf_dir
from twin.sim.simulate import Result

SLOW = ("slowdown_on", "hardware_slowdown_on", "device_shutdown")
Timeline = list[dict[str, Any]]


def count(result: Result, *kinds: str) -> int:
    """Events of some kinds."""
    return int(result.tables["events"]["kind"].isin(kinds).sum())


def without(*words: str):
    """The timeline without some actions, or without their keys where ``action.key`` is written."""

    def change(timeline: Timeline) -> Timeline:
        kept = [entry for entry in timeline if entry["do"] not in words]
        dropped = [word.split(".") for word in words if "." in word]
        return [{key: each for key, each in entry.items() if [entry["do"], key] not in dropped} for entry in kept]

    return change


def where(do: str, **changed: Any):
    """The timeline with fields of one action changed."""
    return lambda timeline: [{**entry, **changed} if entry["do"] == do else entry for entry in timeline]


def test_chillers_keep_a_hot_day_from_the_gpus(told):
    cooled = told("hot_day", "hall.facility.chiller_cop=5", timeline=list)
    assert count(cooled, *SLOW) == 0
    assert cooled.metrics["pue"] > 1.15  # and cost a fifth of the heat in power while they do


def test_a_restart_one_job_after_another_trips_nothing(told):
    assert count(told("mass_restart", timeline=where("restart_jobs", stagger="2 min")), "breaker_trip") == 0


def test_the_same_racks_shared_among_the_lines_are_carried(told):
    shares = "hall.classes.h100_line_to_line.phase_weights=[0.3334,0.3333,0.3333]"
    shared = told("phase_imbalance", shares, timeline=list)
    assert count(shared, "breaker_trip", "rack_dark") == 0


def test_idle_trays_cook_where_the_pumps_of_an_evacuated_loop_stop_before_its_racks(told):
    left_on = told("loop_evacuation", timeline=without("respond"))
    assert count(left_on, "device_shutdown") > 0


def test_a_rack_that_is_cut_off_unasked_loses_what_it_had_done(told):
    cut = told("maintenance_window", timeline=without("maintenance"))
    asked = told("maintenance_window")
    assert count(cut, "job_requeued") > 0
    assert cut.metrics["gpu_seconds_lost"] > asked.metrics["gpu_seconds_lost"] + 10_000


def test_a_flag_that_is_taken_back_in_time_costs_little(told):
    forgotten, taken = told("flag_left_on"), told("flag_left_on", timeline=where("set_flag", repair="1 min"))
    assert taken.metrics["gpu_seconds_lost"] == 0.0
    assert taken.metrics["gpu_seconds_delivered"] > 1.3 * forgotten.metrics["gpu_seconds_delivered"]


def test_the_audit_names_a_flag_that_stayed_and_the_lint_one_that_never_would_go(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "scenario=flag_left_on_short", "out=run"]) == Exit.FINE
    capsys.readouterr()
    assert main(["audit", "report", "run", "--flag-hours", "0.2", "--json"]) == Exit.FINDING
    (flag,) = json.loads(capsys.readouterr().out)["long_flags"]
    assert (flag["flag"], flag["scope"], flag["seconds"]) == ("scale_back", "hall/hall", 900.0)
    kept = json.loads((conf_dir() / "policy/flags/default.json").read_text())
    del kept["flags"]["scale_back"]["metadata"]["expires"]
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    assert main(["flags", "lint", "kept.json", "--strict"]) == Exit.FINDING
    assert "scale_back: once set, it never expires" in capsys.readouterr().out


def test_an_honest_sensor_has_the_rack_relieved(told):
    lied, honest = told("lying_sensor"), told("lying_sensor", timeline=without("sensor_bias"))
    assert count(lied, "flag_set") == 0 < count(honest, "flag_set")
    assert honest.metrics["throttled_gpu_seconds"] < 0.5 * lied.metrics["throttled_gpu_seconds"]


@pytest.mark.long
def test_backups_left_to_the_policy_warm_one_loop_and_not_a_row(told):
    def spread(timeline: Timeline) -> Timeline:
        pinned = ("rack", "role", "by", "reason")
        return [{key: each for key, each in entry.items() if key not in pinned} for entry in timeline]

    for change, warm in ((list, {"loop 03", "loop 04", "B"}), (spread, {"loop 03"})):
        events = told("backup_jobs_one_row", short=False, timeline=change).tables["events"]
        alerts = events[(events["kind"] == "alert") & events["level"].isin(("loop", "row"))]
        assert set(alerts["name"]) == warm


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("breaker_nuisance_trip", ("rack_dark",)),
        ("facility_water_ramp", ("slowdown_on",)),
        ("chiller_trip_slow_recovery", ("hardware_slowdown_on",)),
    ],
)
def test_first_fit_meets_what_placing_by_headroom_or_shedding_early_avoids(told, name, kinds):
    aware, packed = told(name, short=False), told(name, "policy=first_fit", short=False, timeline=list)
    assert all(each.met for each in aware.expectations)
    assert count(aware, *kinds) == 0
    assert count(packed, *kinds) > 0


@pytest.mark.long
def test_the_price_of_shedding_early_is_told_as_it_is(told):
    """Where cooling is gone for long, GPUs left to their brakes deliver more than racks that were switched off."""
    aware = told("chiller_trip_slow_recovery", short=False)
    packed = told("chiller_trip_slow_recovery", "policy=first_fit", short=False, timeline=list)
    assert packed.metrics["gpu_seconds_delivered"] > aware.metrics["gpu_seconds_delivered"]


@pytest.mark.long
def test_headroom_for_peaks_bears_a_mass_restart(told):
    assert count(told("mass_restart", short=False), "breaker_trip") > 0
    assert count(told("mass_restart", "policy=thermal_aware", short=False, timeline=list), "breaker_trip") == 0
