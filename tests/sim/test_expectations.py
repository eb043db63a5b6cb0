"""Expectations: what the sentences mean, judged on tables written by hand."""

import pandas as pd
import pytest

from twin.hall.reader import load_hall
from twin.sim.actions import Action
from twin.sim.expectations import evaluate, read_expectation
from twin.sim.membership import belongs, names_within, places
from twin.sim.written import Unfit

REFERENCE = load_hall("reference")
TIMELINE = (Action(100.0, "feed_loss", "ups A", {}), Action(500.0, "feed_loss", "ups B", {}))
EVENTS = pd.DataFrame(
    [
        (100.0, "feed_lost", "ups", "ups A"),
        (160.0, "breaker_trip", "pdu", "pdu AB/feed B"),
        (160.0, "breaker_trip", "row", "row A/feed B"),
        (200.0, "slowdown_on", "rack", "A-01"),
        (210.0, "slowdown_on", "rack", "A-02/tray 3"),
        (300.0, "device_shutdown", "rack", "A-02"),
        (700.0, "job_requeued", "job", "gang-7"),
    ],
    columns=["time_seconds", "kind", "level", "name"],
)
TABLES = {
    "events": EVENTS,
    "racks": pd.DataFrame(
        {
            "name": ["A-01", "A-02", "B-01"],
            "device_temperature_celsius_max": [88.0, 91.5, 70.0],
            "peak_power_watts": [9e4, 1e5, 8e4],
        }
    ),
    "loops": pd.DataFrame(
        {
            "name": ["loop 01", "loop 02"],
            "supply_temperature_celsius_max": [41.0, 44.0],
            "flow_litres_per_minute_min": [800.0, float("nan")],
        }
    ),
    "breakers": pd.DataFrame({"name": ["row A/feed A", "row A/feed B"], "thermal_fraction_max": [0.4, 1.0]}),
}
METRICS = {"jobs": {"killed": 2}, "pue": 1.09, "breaker_trips_total": 2, "nothing": None}


def judged(key: str, value: str):
    """The outcome of one expectation on the tables above."""
    expectation = read_expectation({key: value}, REFERENCE, TIMELINE)
    (outcome,) = evaluate((expectation,), TABLES, METRICS)
    assert outcome.expectation == f"{key}: {value}"
    return outcome


@pytest.mark.parametrize(
    ("key", "value", "met"),
    [
        ("never", "breaker trip", False),
        ("never", "breaker_trip", False),
        ("never", "hardware slowdown on", True),
        ("never", "breaker trip at row", False),
        ("never", "breaker trip at utility", True),
        ("never", "breaker trip in row B", True),
        ("never", "breaker trip in row A", False),
        ("never", "breaker trip at pdu in row A", True),
        ("never", "breaker trip in ups B", False),
        ("never", "breaker trip in ups A", True),
        ("never", "slowdown on in loop 01", False),
        ("never", "slowdown on outside loop 01", True),
        ("never", "slowdown on outside loop 02", False),
        ("never", "slowdown on in A-03", True),
        ("never", "slowdown on in A-02", False),  # a tray of it
        ("never", "job killed or job preempted", True),
        ("never", "job killed or job requeued", False),
        ("some", "job requeued", True),
        ("some", "job killed", False),
        ("each rack in A-01", "slowdown on", True),
        ("each rack in A-02", "slowdown on or device shutdown", True),
        ("each rack in loop 01", "slowdown on", False),
        ("within 60 s of feed_loss", "breaker trip", True),  # at 60 s exactly, from the first of two
        ("within 59.9 s of feed_loss", "breaker trip", False),
        ("within 1 min of feed lost", "breaker trip at pdu", True),
        ("within 39 s of breaker trip", "slowdown on", False),
        ("within 40 s of breaker trip", "slowdown on", True),
        ("within 60 s of slowdown on", "breaker trip", False),  # it came before
        ("within 200 s of start", "slowdown on", True),
        ("between 60 s and 61 s of feed_loss", "breaker trip", True),
        ("between 61 s and 99 s of feed_loss", "breaker trip", False),
        ("between 105 s and 111 s of feed_loss", "slowdown on", True),  # the second of two
        ("within 10 s of job killed", "breaker trip", False),  # nothing to count from
        ("at end", "jobs.killed == 2", True),
        ("at end", "jobs.killed == 0", False),
        ("at end", "pue <= 1.1", True),
        ("at end", "pue > 1.1", False),
        ("at end", "breaker_trips_total != 2", False),
        ("at end", "no_such_metric == 0", False),
        ("at end", "nothing == 0", False),
        ("always", "device_temperature_celsius < 92", True),
        ("always", "device_temperature_celsius < 91.5", False),
        ("always", "device_temperature_celsius <= 91.5", True),
        ("always", "device_temperature_celsius < 87 in row B", True),
        ("always", "device_temperature_celsius < 87 in loop 01", False),
        ("always", "supply_temperature_celsius < 42 in loop 01", True),
        ("always", "flow_litres_per_minute > 799", True),
        ("always", "flow_litres_per_minute > 799 in loop 02", False),  # not known there
        ("always", "thermal_fraction < 1", False),
        ("always", "thermal_fraction < 1 in row A/feed A", True),
    ],
    ids=lambda value: str(value),
)
def test_judgements(key, value, met):
    assert judged(key, value).met is met


@pytest.mark.parametrize(
    ("key", "value", "evidence"),
    [
        ("never", "breaker trip", "2 times, first: breaker trip at 00:02:40 on pdu AB/feed B"),
        ("never", "device shutdown", "once: device shutdown at 00:05:00 on A-02"),
        ("never", "job killed", "none in the run"),
        ("within 90 s of feed_loss", "breaker trip", "the first 60.0 s after feed_loss: pdu AB/feed B"),
        ("within 90 s of slowdown on", "breaker trip", "none after slowdown_on at 00:03:20"),
        ("within 90 s of job_killed", "breaker trip", "there was no job_killed to count from"),
        ("at end", "jobs.killed == 0", "jobs.killed is 2"),
        ("at end", "jobs.kiled == 0", "the run has no metric jobs.kiled. Did you mean 'jobs.killed'?"),
        ("always", "device_temperature_celsius < 87", "the highest is 91.5, at A-02"),
        ("always", "flow_litres_per_minute > 900", "the lowest is 800, at loop 01"),
        ("each rack in A-03", "slowdown on", "not on 1 of 1 racks: A-03"),
    ],
)
def test_evidence_is_a_sentence_about_the_run(key, value, evidence):
    assert judged(key, value).evidence == evidence


@pytest.mark.parametrize(
    ("key", "value", "met"),
    [
        ("never between 0 s and 60 s of feed_loss", "slowdown on", True),
        ("never between 61 s and 100 s of feed_loss", "slowdown on", False),  # at 100 s exactly
        ("never between 101 s and 109 s of feed_loss", "slowdown on", True),
        ("never within 60 s of feed_loss", "breaker trip", False),
        ("never between 0 s and 1 h of job killed", "breaker trip", False),  # no such time
        ("never", "job started in loop 01", False),
        ("never", "job started in B-01", True),
        ("never", "job started in row C", False),  # one rack of several
        ("never", "job started outside row A", False),
        ("some", "job started in A-01", True),
        ("never between 1 s and 99 s of feed_loss", "job started in row A", True),
        ("at end", "by_loop.loop 02 == 3", True),
        ("at end", "by_loop.loop 02 < 3", False),
    ],
    ids=lambda value: str(value),
)
def test_times_in_which_nothing_happens_and_places_that_work_starts_in(key, value, met):
    started = [
        (50.0, "job_started", "job", "gang-7", "on A-01"),
        (800.0, "job_started", "job", "gang-8", "on B-02, C-01"),
    ]
    more = pd.DataFrame(started, columns=[*EVENTS.columns, "detail"])
    tables = {**TABLES, "events": pd.concat([EVENTS.assign(detail=""), more], ignore_index=True)}
    expectation = read_expectation({key: value}, REFERENCE, TIMELINE)
    (outcome,) = evaluate((expectation,), tables, {"by_loop": {"loop 02": 3.0}})
    assert outcome.met is met


def test_a_run_without_events_meets_never_and_nothing_else():
    tables = {**TABLES, "events": EVENTS.iloc[:0]}
    for key, value, met in (
        ("never", "breaker trip outside loop 01", True),
        ("some", "breaker trip in row A", False),
        ("each rack in loop 01", "slowdown on", False),
        ("within 1 h of feed_loss", "breaker trip", False),
    ):
        expectation = read_expectation({key: value}, REFERENCE, TIMELINE)
        assert evaluate((expectation,), tables, METRICS)[0].met is met


@pytest.mark.parametrize(
    ("entry", "problem", "remedy"),
    [
        ("never: breaker trip", "not one key with one value", "never: breaker trip"),
        ({"never": "breaker trip", "some": "job killed"}, "not one key with one value", "never: breaker trip"),
        ({"never": "breaker tripp"}, "unknown event 'breaker_tripp'", "breaker_trip"),
        ({"never": "breaker trip at attic"}, "unknown level 'attic'", "rack"),
        ({"never": "breaker trip in loop 99"}, "unknown place 'loop 99'", "loop 0"),
        ({"never": 3}, "what follows 'never' is not text", "breaker trip"),
        ({"nevver": "breaker trip"}, "unknown form 'nevver'", "never"),
        ({"within 90 of": "breaker trip"}, "unknown form 'within 90 of'", "within TIME of EVENT"),
        ({"within 90 parsecs of feed_loss": "breaker trip"}, "unknown unit of time 'parsecs'", "min"),
        ({"between 9 s and 3 s of feed_loss": "breaker trip"}, "an empty span of time", "shorter"),
        ({"within 9 s of pump_loss": "breaker trip"}, None, "pump_lost"),
        ({"at end": "jobs.killed"}, "not a comparison", "=="),
        ({"at end": "jobs.killed == none"}, "not a comparison", "a number"),
        ({"at end": "jobs.killed == nan"}, "not a comparison", "a number"),
        ({"at end": "jobs.killed == 0 in row A"}, "a metric is of the whole run", "Leave out 'in row A'"),
        ({"always": "device_temperature < 87"}, "unknown signal device_temperature", "device_temperature_celsius"),
        ({"always": "device_temperature_celsius > 20"}, None, "highest"),
        ({"always": "flow_litres_per_minute < 20"}, None, "lowest"),
        ({"never": "job requeued in row A"}, "a job_requeued is of a job, which has no place", "job started"),
        ({"never between 9 s and 3 s of feed_loss": "breaker trip"}, "an empty span of time", "shorter"),
        ({"each rack in row Q": "slowdown on"}, "unknown place 'row Q'", "row"),
    ],
    ids=str,
)
def test_refusals(entry, problem, remedy):
    with pytest.raises(Unfit) as caught:
        read_expectation(entry, REFERENCE, TIMELINE)
    assert problem is None or caught.value.problem == problem
    assert remedy in caught.value.remedy


def test_places_hold_what_belongs_to_them():
    loop = names_within(REFERENCE, "loop 02")
    assert loop == {"loop 02", *(rack.name for rack in REFERENCE.racks if rack.loop == "loop 02")}
    assert names_within(REFERENCE, "A") == names_within(REFERENCE, "row A")
    below = names_within(REFERENCE, "row A/feed A")
    assert {"A-01/feed A", "A-16/feed A", "A-01", "A-16"} <= below
    assert not below & {"A-01/feed B", "B-01", "pdu AB/feed A", "row A/feed B"}
    assert below < names_within(REFERENCE, "utility A")
    for place in places(REFERENCE):
        assert names_within(REFERENCE, place)
    with pytest.raises(KeyError):
        names_within(REFERENCE, "row")


def test_a_part_belongs_where_its_whole_does_and_a_like_name_does_not():
    assert belongs("A-01", {"A-01"})
    assert belongs("A-01/tray 3", {"A-01"})
    assert belongs("row A/feed A/L1", {"row A"})
    assert not belongs("A-011", {"A-01"})
    assert not belongs("A-01", {"A-01/tray 3"})
