"""The line from cause to consequence, of tables small enough to work by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.results import report
from twin.results.narrative import stories
from twin.results.read import read_run
from twin.results.tables import event_frame
from twin.results.traces import heading, traces

RACKS = pd.DataFrame({"name": ["A-01", "A-02", "B-01"], "loop": ["loop 01", "loop 01", ""]})
NO_LOSSES = pd.DataFrame({"kind": [], "cause": [], "amount": []})


def _events(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """(time, kind, level, name, root, incident, detail, value) with causes left out."""
    return event_frame(
        [
            {"event": n, "time_seconds": time, "kind": kind, "level": level, "name": name, "cause": -1, "root": root,
             "incident": incident, "detail": detail, "value": value}
            for n, (time, kind, level, name, root, incident, detail, value) in enumerate(rows)
        ]
    )  # fmt: skip


def _series(**signals: list[float]) -> Callable[..., pd.DataFrame]:
    """One loop and one hall, a minute per interval from 0."""

    def series(level: str, wanted: Any) -> pd.DataFrame:
        length = max((len(values) for values in signals.values()), default=0)
        frame = pd.DataFrame({"time_seconds": 60.0 * np.arange(length), "name": {"loop": "loop 01"}.get(level, "hall")})
        for signal in wanted:
            values = signals.get(signal, [1.0] * length)
            for statistic in ("min", "mean", "max"):
                frame[f"{signal}_{statistic}"] = values
        return frame

    return series


PUMPS = "pump_loss loop 01 00:05:00"


def test_a_line_leads_from_the_pumps_to_the_jobs() -> None:
    """Supply 40, 40, … 51.2 °C: +11.2 K. Three trays, one of them twice; a job killed, one set back, 31 GPU-hours."""
    events = _events(
        (300.0, "scenario_action", "loop", "loop 01", PUMPS, 0, "pump_loss", None),
        (300.0, "pump_lost", "loop", "loop 01", PUMPS, 0, "pump 1, 2, 3", 0.0),
        (320.0, "slowdown_on", "rack", "A-01", PUMPS, 0, "tray 1", 87.0),
        (321.0, "slowdown_on", "rack", "A-01", PUMPS, 0, "tray 2", 87.0),
        (330.0, "slowdown_on", "rack", "A-02", PUMPS, 0, "tray 1", 87.0),
        (340.0, "slowdown_off", "rack", "A-02", PUMPS, 0, "tray 1", 84.0),
        (350.0, "slowdown_on", "rack", "A-02", PUMPS, 0, "tray 1", 87.0),
        (360.0, "device_shutdown", "rack", "A-01", PUMPS, 0, "tray 2", 95.0),
        (360.0, "job_killed", "job", "x", PUMPS, 0, "", None),
        (360.0, "job_requeued", "job", "y", PUMPS, 0, "", None),
    )
    losses = pd.DataFrame(
        [("gpu_seconds", PUMPS, 31 * 3600.0), ("jobs", PUMPS, 1.0), ("gpu_seconds", "another", 5e6)],
        columns=["kind", "cause", "amount"],
    )
    supply = [40.0, 40.0, 40.0, 40.0, 40.0, 43.0, 51.2, 48.0]
    flow = [375.0] * 5 + [100.0, 150.0, 375.0]
    series = _series(supply_temperature_celsius=supply, flow_litres_per_minute=flow)
    (line,) = traces(events, losses, RACKS, series)
    assert (line.root, line.time_seconds) == (PUMPS, 300.0)
    assert line.text == (
        "loop 01 pump loss 00:05:00 → flow −73 % → supply +11.2 K → 3 trays slowed → 1 tray shut down → "
        "1 job set back, 1 job killed, 31 GPU-hours lost"
    )
    ((story,), _) = stories(events, [line])
    assert story.traces == (line.text,)


def test_what_is_looked_at_ends_half_an_hour_after_a_cause_without_consequence() -> None:
    """A rise before the cause and one an hour after it do not count."""
    events = _events(
        (300.0, "scenario_action", "loop", "loop 01", PUMPS, 0, "pump_loss", None),
        (300.0, "pump_lost", "loop", "loop 01", PUMPS, 0, "pump 1", 2.0),
    )
    supply = [60.0, 40.0, 40.0, 40.0, 40.0, 40.3] + [40.0] * 60 + [70.0]
    (line,) = traces(events, NO_LOSSES, RACKS, _series(supply_temperature_celsius=supply))
    assert line.text == "loop 01 pump loss 00:05:00 → nothing slowed, tripped or was lost"


def test_a_utility_loss_is_told_through_its_batteries_and_generators() -> None:
    root = "utility_loss 00:01:00"
    events = _events(
        (60.0, "scenario_action", "hall", "hall", root, 0, "utility_loss", None),
        (60.0, "utility_lost", "utility", "utility A", root, 0, "", None),
        (60.0, "battery_on", "ups", "ups A", root, 0, "", 1.0),
        (60.0, "battery_on", "ups", "ups B", root, 0, "", 1.0),
        (60.0, "chiller_tripped", "hall", "the chillers", root, 0, "", 0.0),
        (72.0, "generator_started", "utility", "utility A", root, 0, "", 12.0),
        (72.0, "generator_started", "utility", "utility B", root, 0, "", 12.0),
        (400.0, "breaker_trip", "row", "row A/feed A", root, 0, "", 1.0),
        (400.0, "rack_dark", "rack", "A-01", root, 0, "", 1.0),
        (400.0, "rack_dark", "rack", "A-02", root, 0, "", 1.0),
    )
    series = _series(facility_water_celsius=[32.0, 33.0, 38.0], supply_temperature_celsius=[40.0, 40.0, 44.0])
    (line,) = traces(events, NO_LOSSES, RACKS, series)
    assert line.text == (
        "utility loss 00:01:00 → 2 UPS on battery → generators after 12 s → 1 breaker tripped → 2 racks dark → "
        "facility water +6.0 K → supply +4.0 K"
    )


def test_each_root_has_its_line_in_order_of_time_and_what_hurts_nobody_is_left_out() -> None:
    load, trip = "set_load 00:00:00", "load beyond the rating of pdu A/feed A"
    events = _events(
        (0.0, "scenario_action", "hall", "hall", load, -1, "set_load", None),
        (90.0, "breaker_trip", "pdu", "pdu A/feed A", trip, 0, "", 1.0),
        (120.0, "scenario_action", "zone", "zone 1", "crah_failure zone 1 00:02:00", 1, "crah_failure", None),
        (120.0, "crah_lost", "zone", "zone 1", "crah_failure zone 1 00:02:00", 1, "", 0.0),
    )
    series = _series(room_air_celsius=[24.0, 24.0, 29.0, 31.5])
    assert [line.text for line in traces(events, NO_LOSSES, RACKS, series)] == [
        "load beyond the rating of pdu A/feed A 00:01:30 → 1 breaker tripped",
        "zone 1 crah failure 00:02:00 → room air +7.5 K → nothing slowed, tripped or was lost",
    ]


@pytest.mark.parametrize(
    ("lost", "said"),
    [(7_200.0, ["loop 01 set flag 00:01:00 → 2 jobs turned out, 1 job started again, 2 GPU-hours lost"]), (0.0, [])],
)
def test_jobs_that_leave_or_start_again_are_told_where_that_lost_work(lost: float, said: list[str]) -> None:
    root = "set_flag loop 01 00:01:00"
    events = _events(
        (60.0, "flag_set", "loop", "loop 01", root, -1, "", None),
        (660.0, "job_preempted", "job", "a", root, -1, "", None),
        (660.0, "job_preempted", "job", "b", root, -1, "", None),
        (660.0, "job_renewed", "job", "c", root, -1, "", None),
    )
    losses = pd.DataFrame({"kind": ["gpu_seconds"], "cause": [root], "amount": [lost]})
    assert [line.text for line in traces(events, losses, RACKS, _series())] == said


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("pump_loss loop 02 00:10:00", "loop 02 pump loss 00:10:00"),
        ("chiller_trip 26:00:01.5", "chiller trip 26:00:01.5"),
        ("breaker_nuisance_trip row A/feed A 00:10:00", "row A/feed A breaker nuisance trip 00:10:00"),
        ("feed A of row A lost", "feed A of row A lost 00:00:07"),
        ("preemption", "preemption 00:00:07"),
    ],
)
def test_a_heading_says_where_what_and_when(root: str, said: str) -> None:
    assert heading(root, 7.0) == said


def test_the_report_shows_the_line_above_its_story(story_run: Path) -> None:
    line = (
        "feed A of row A lost 14:00:00 → 1 breaker tripped → 16 racks dark → 8 trays slowed → "
        "5 jobs set back, 1 job killed, 478 GPU-hours lost"
    )
    assert [trace.text for trace in report.traces_of(read_run(story_run))] == [line]
    page = report.write_report(story_run).read_text()
    assert page.count(f'<p class="trace">{line}</p>') == 1


def test_only_what_takes_cooling_away_claims_the_flow() -> None:
    outage = "telemetry_outage loop 01 00:05:30"
    events = _events(
        (300.0, "pump_lost", "loop", "loop 01", PUMPS, 0, "pump 1, 2, 3", 0.0),
        (330.0, "telemetry_lost", "loop", "loop 01", outage, 1, "", None),
    )
    series = _series(flow_litres_per_minute=[900.0] * 5 + [90.0] * 5)
    pumps, silent = (line.text for line in traces(events, NO_LOSSES, RACKS, series))
    assert "flow −90 %" in pumps
    assert silent == "loop 01 telemetry outage 00:05:30 → nothing slowed, tripped or was lost"
