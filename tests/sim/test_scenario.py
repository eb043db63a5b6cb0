"""Stories: read against a hall, or refused with every fault before the clock starts."""

from pathlib import Path

import pytest

from twin.hall.parts import NodeKind
from twin.hall.reader import load_hall
from twin.places import scenarios_dir
from twin.setup import stories
from twin.sim.action_checks import targets_of
from twin.sim.actions import ACTIONS
from twin.sim.faults import EFFECTS
from twin.sim.scenario import ScenarioError, read_scenario, short_form

SMALL = load_hall("small")
STORIES = stories.files(scenarios_dir())


def told(*timeline, hours=1, **more):
    """A story on the small hall."""
    mapping = {"name": "tale", "purpose": "To see.", "timeline": list(timeline), "hours": hours, **more}
    return read_scenario(mapping, SMALL, "tale.yaml")


def faults_of(*timeline, **more):
    """(key, problem) of every fault of a story that is refused, and their sentences."""
    with pytest.raises(ScenarioError) as caught:
        told(*timeline, **more)
    assert all(str(fault).startswith("tale.yaml: ") and fault.remedy for fault in caught.value.faults)
    return [(fault.key, fault.problem) for fault in caught.value.faults]


def test_a_timeline_is_sorted_by_time_and_keeps_the_order_of_its_file_within_one():
    scenario = told(
        {"at": "20 min", "do": "valve", "rack": "A-02", "position": 0.5},
        {"at": "00:10:00", "do": "pump_loss", "loop": "loop 01", "pump": 2, "repair": "5 min"},
        {"at": 1200, "do": "valve", "rack": "A-01", "position": 0},
    )
    assert [(a.at_seconds, a.do, a.target) for a in scenario.timeline] == [
        (600.0, "pump_loss", "loop 01"),
        (1200.0, "valve", "A-02"),
        (1200.0, "valve", "A-01"),
    ]
    assert scenario.timeline[0].values == {"pump": (1,)}
    assert scenario.timeline[0].repair_seconds == 300.0


def test_fields_that_are_left_out_have_their_defaults():
    job = {"at": 0, "do": "submit_job", "kind": "batch", "trays": 3, "seconds": "10 min", "utilisation": 0.5}
    (action,) = told(job).timeline
    assert action.target is None
    assert action.values == {
        "kind": "batch",
        "trays": 3,
        "seconds": 600.0,
        "utilisation": 0.5,
        "swing": 0.0,
        "rack": None,
        "role": None,
        "by": None,
        "reason": None,
        "id": None,
        "priority": 0,
    }


def test_a_feed_stands_for_its_utilities_and_can_be_repaired_by_the_node():
    (utility,) = [node.name for node in SMALL.nodes if node.kind is NodeKind.UTILITY and node.feed == "B"]
    scenario = told(
        {"at": 1, "do": "feed_loss", "feed": "B"},
        {"at": 2, "do": "repair", "node": utility},
    )
    assert [(a.do, a.target_kind, a.target) for a in scenario.timeline] == [
        ("feed_loss", "node", utility),
        ("repair", "node", utility),
    ]


@pytest.mark.parametrize(
    ("entry", "key", "problem"),
    [
        ({"at": 1, "do": "pump_los", "loop": "loop 01"}, "do", "unknown action"),
        ({"at": 1, "loop": "loop 01"}, "do", "no action"),
        ({"do": "pump_loss", "loop": "loop 01"}, "at", "no time"),
        ({"at": "-1 s", "do": "pump_loss", "loop": "loop 01"}, "at", "before the start"),
        ({"at": "61 min", "do": "pump_loss", "loop": "loop 01"}, "at", "past the end of the run at 01:00:00"),
        ({"at": "5 lightyears", "do": "pump_loss", "loop": "loop 01"}, "at", "unknown unit of time 'lightyears'"),
        ({"at": 1, "do": "pump_loss", "loop": "loop 09"}, "loop", "unknown loop"),
        ({"at": 1, "do": "pump_loss", "loop": "loop 01", "pump": 4}, "pump", "loop 01 has 3 pumps"),
        ({"at": 1, "do": "pump_loss", "loop": "loop 01", "pmup": 1}, "pmup", "unknown key of pump_loss"),
        ({"at": 1, "do": "pump_loss", "rack": "A-01"}, "rack", "pump_loss takes no rack"),
        ({"at": 1, "do": "pump_loss", "loop": "loop 01", "repair": 0}, "repair", "no time at all"),
        ({"at": 1, "do": "feed_loss", "node": "ups C"}, "node", "unknown node"),
        ({"at": 1, "do": "feed_loss", "feed": "C"}, "feed", "unknown feed"),
        ({"at": 1, "do": "feed_loss", "feed": "A", "node": "ups A"}, "node", "more than one target"),
        ({"at": 1, "do": "breaker_open", "breaker": "utility A"}, "breaker", "unknown breaker"),
        ({"at": 1, "do": "breaker_close", "breaker": "ups A", "repair": 5}, "repair", None),
        ({"at": 1, "do": "valve", "rack": "A-05", "position": 0.5}, "rack", "unknown rack"),
        ({"at": 1, "do": "valve", "rack": "A-01", "position": 1.5}, "position", "out of bounds"),
        ({"at": 1, "do": "valve", "rack": "A-01"}, "position", "valve needs it"),
        ({"at": 1, "do": "supply_setpoint", "loop": "loop 01", "celsius": "40 C"}, "celsius", "not a number"),
        (
            {"at": 1, "do": "weather", "dry_bulb_celsius": 20, "wet_bulb_celsius": 25},
            "wet_bulb_celsius",
            "above the dry bulb of 20",
        ),
        ({"at": 1, "do": "set_load", "row": "Z", "utilisation": 0.5}, "row", "unknown row"),
        ({"at": 1, "do": "set_load", "utilisation": float("nan")}, "utilisation", "not finite"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_wrong_entries(entry, key, problem):
    ((found, said),) = faults_of(entry)
    assert found == f"timeline[0].{key}"
    assert problem is None or said == problem


@pytest.mark.parametrize(
    ("entry", "key", "problem"),
    [
        ({"do": "pump_degradation", "loop": "loop 01"}, "severity", "pump_degradation needs it"),
        ({"do": "pump_degradation", "loop": "loop 01", "severity": 0}, "severity", "out of bounds"),
        ({"do": "pump_degradation", "loop": "loop 01", "severity": 1.2}, "severity", "out of bounds"),
        ({"do": "pump_degradation", "loop": "loop 01", "severity": 0.2, "pump": 4}, "pump", "loop 01 has 3 pumps"),
        ({"do": "valve_stuck", "rack": "A-01", "position": -0.1}, "position", "out of bounds"),
        ({"do": "valve_stuck", "loop": "loop 01"}, "loop", "valve_stuck takes no loop"),
        (
            {"do": "hx_fouling", "loop": "loop 01", "over": "1 h"},
            "severity",
            "not one of the two measures of fouling",
        ),
        (
            {"do": "hx_fouling", "loop": "loop 01", "severity": 0.2, "kelvin_per_kilowatt": 0.1},
            "severity",
            "two measures of one fouling",
        ),
        ({"do": "hx_fouling", "loop": "loop 01", "severity": 1}, "severity", "out of bounds"),
        ({"do": "filter_clog", "loop": "loop 01", "factor": 0.5}, "factor", "out of bounds"),
        ({"do": "filter_clog", "loop": "loop 01", "factor": 3, "over": 0}, "over", "no time at all"),
        ({"do": "facility_water_loss", "rack": "A-01"}, "rack", "facility_water_loss takes no rack"),
        ({"do": "facility_water_ramp", "kelvin": 90}, "kelvin", "out of bounds"),
        ({"do": "chiller_trip", "loop": "loop 01"}, "loop", "chiller_trip takes no loop"),
        ({"do": "chiller_trip", "severity": -1}, "severity", "out of bounds"),
        ({"do": "crah_failure", "zone": "zone 9"}, "zone", "unknown zone"),
        (
            {"do": "hot_weather", "dry_bulb_kelvin": 5, "wet_bulb_kelvin": 8, "over": "1 h"},
            "wet_bulb_kelvin",
            "more than the dry bulb's rise of 5",
        ),
        ({"do": "thermal_interface", "rack": "A-01", "tray": 19, "factor": 2}, "tray", "A-01 has 18 trays"),
        ({"do": "thermal_interface", "rack": "A-01", "tray": 0, "factor": 2}, "tray", "not such a whole number"),
        ({"do": "thermal_interface", "rack": "A-01", "tray": 1, "factor": 0.5}, "factor", "out of bounds"),
        ({"do": "telemetry_outage", "loop": "loop 01", "signals": []}, "signals", "no names"),
        ({"do": "telemetry_outage", "node": "ups A"}, "node", "telemetry_outage takes no node"),
        ({"do": "breaker_nuisance_trip", "breaker": "utility A"}, "breaker", "unknown breaker"),
        ({"do": "phase_loss", "node": "ups A", "phase": "L4"}, "phase", "unknown word"),
        (
            {"do": "phase_loss", "node": "utility A", "phase": "L1"},
            "node",
            "ups A makes three lines of its own from it",
        ),
        ({"do": "ups_on_battery", "node": "pdu A/feed A"}, "node", "not a UPS"),
        ({"do": "utility_loss", "node": "utility A"}, "node", "utility_loss takes no node"),
        ({"do": "utility_loss", "feed": "C"}, "feed", "unknown feed"),
        ({"do": "utility_loss", "generator": "maybe"}, "generator", "unknown word"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_wrong_faults(entry, key, problem):
    assert faults_of({"at": 1, **entry}) == [(f"timeline[0].{key}", problem)]


def test_a_ups_that_shares_its_supply_is_not_put_on_battery_alone():
    hall = load_hall("small", ("nodes=[{name: panel X, kind: panel, parent: utility A, feed: A}]",))
    entry = {"at": 1, "do": "ups_on_battery", "node": "ups A"}
    with pytest.raises(ScenarioError, match=r"its supply utility A also feeds panel X\. Lose utility A with feed_loss"):
        read_scenario({"name": "tale", "purpose": "To see.", "timeline": [entry]}, hall, "tale.yaml")


def test_an_air_cooled_rack_has_no_valve_to_stick():
    hall = load_hall("small", ("rack_class=h100_8gpu_air", "loop=null"))
    entry = {"at": 1, "do": "valve_stuck", "rack": "A-01"}
    with pytest.raises(ScenarioError, match="an air-cooled rack has no valve"):
        read_scenario({"name": "tale", "purpose": "To see.", "timeline": [entry]}, hall, "tale.yaml")


def test_a_repair_of_the_hall_needs_something_done_to_the_hall():
    assert faults_of({"at": 1, "do": "repair"}) == [("timeline.do", "nothing happened to the hall before 00:00:01")]
    told({"at": 1, "do": "chiller_trip"}, {"at": 2, "do": "repair"})


JOB = {"at": 1, "do": "submit_job", "kind": "batch", "trays": 1, "seconds": 60, "utilisation": 0.5}


@pytest.mark.parametrize(
    ("changed", "key", "problem"),
    [
        ({"kind": "game"}, "kind", "unknown word"),
        ({"trays": 0}, "trays", "not such a whole number"),
        ({"trays": 73}, "trays", "the hall has 72"),
        ({"trays": 19, "rack": "A-01"}, "trays", "A-01 has 18"),
        ({"rack": "B-01"}, "rack", "unknown rack"),
        ({"rack": "A-01", "role": "policy"}, "role", "unknown word"),
        ({"reason": "it is urgent"}, "reason", "goes with a rack to pin it to"),
        ({"seconds": "soon"}, "seconds", "not a time"),
        ({"utilisation": 75}, "utilisation", "out of bounds"),
        ({"repair": "1 h"}, "repair", "submit_job is not a thing to repair"),
    ],
    ids=str,
)
def test_wrong_jobs(changed, key, problem):
    assert faults_of({**JOB, **changed}) == [(f"timeline[0].{key}", problem)]


def test_the_largest_job_that_fits_is_let_in():
    assert told({**JOB, "trays": 72}).timeline[0].values["trays"] == 72
    assert told({**JOB, "trays": 18, "rack": "A-04"}).timeline[0].values["rack"] == "A-04"


def test_an_action_at_the_very_end_is_in_time_and_the_length_of_the_run_decides():
    entry = {"at": "1 h", "do": "feed_loss", "feed": "A"}
    assert told(entry).timeline[0].at_seconds == 3600.0
    mapping = {"name": "tale", "purpose": "To see.", "hours": 1, "timeline": [entry]}
    with pytest.raises(ScenarioError, match="past the end of the run at 00:30:00"):
        read_scenario(mapping, SMALL, "tale.yaml", hours=0.5)


def test_a_repair_needs_something_broken_before_it():
    lost = {"at": 10, "do": "pump_loss", "loop": "loop 01"}
    assert len(told(lost, {"at": 20, "do": "repair", "loop": "loop 01"}).timeline) == 2
    for at, place in ((5, {"loop": "loop 01"}), (20, {"rack": "A-01"})):
        ((key, problem),) = faults_of(lost, {"at": at, "do": "repair", **place})
        assert key == "timeline.do"
        assert problem.startswith("nothing happened to ")


def test_all_faults_are_told_at_once():
    found = faults_of(
        {"at": "never", "do": "valve", "rack": "A-09", "position": 2},
        {"at": 1, "do": "explode"},
        "pump_loss",
        hours=-1,
        purpose="",
        porpoise="typo",
        expectations=[{"never": "breaker tripp"}, "all is well"],
    )
    assert [key for key, _ in found] == [
        "porpoise",
        "hours",
        "purpose",
        "timeline[0].at",
        "timeline[0].rack",
        "timeline[0].position",
        "timeline[1].do",
        "timeline[2]",
        "expectations[0]",
        "expectations[1]",
    ]


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ({"at": 1, "do": "pump_los", "loop": "loop 01"}, "Did you mean 'pump_loss'?"),
        ({"at": 1, "do": "pump_loss", "loop": "loop 1"}, "Did you mean 'loop 01'?"),
        ({"at": 1, "do": "pump_loss"}, "Name one with 'loop:'"),
        ({"at": "90 min", "do": "feed_loss", "feed": "A"}, "hours=1.5"),
    ],
)
def test_remedies_name_what_was_meant(entry, remedy):
    with pytest.raises(ScenarioError) as caught:
        told(entry)
    assert remedy in str(caught.value)


def test_every_action_has_an_effect_and_every_target_kind_has_names():
    assert set(EFFECTS) == set(ACTIONS) - {"repair"}
    for spec in ACTIONS.values():
        assert spec.sentence.endswith(".")
        for kind in spec.targets:
            assert targets_of(SMALL, kind) or kind == "service", kind  # services are the workload's


def test_a_short_form_takes_the_place_of_its_story():
    story = {
        "name": "tale",
        "purpose": "To see.",
        "hours": 9,
        "choose": {"hall": "reference", "workload": "heavy"},
        "expectations": ["long"],
        "short": {"hours": 0.1, "choose": {"hall": "small"}, "timeline": ["brief"]},
    }
    assert short_form(story) == {
        "name": "tale",
        "purpose": "To see.",
        "hours": 0.1,
        "choose": {"hall": "small", "workload": "heavy"},
        "timeline": ["brief"],
        "expectations": ["long"],
    }
    assert story["hours"] == 9


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_shipped_stories_are_fit_to_tell_in_both_forms(path: Path):
    story = stories.read_story(path)
    for mapping in (story, short_form(story)):
        asked = (mapping.get("settings") or {}).get("hall") or {}
        size = [f"{key}={asked[key]}" for key in ("rows", "racks_per_row") if key in asked]  # what names depend on
        hall = load_hall(mapping["choose"]["hall"], size)
        scenario = read_scenario(mapping, hall, str(path), hours=mapping.get("hours", 24))
        assert scenario.name == path.stem
        assert scenario.moral
        assert scenario.expectations
    assert short_form(story)["hours"] <= 0.5
