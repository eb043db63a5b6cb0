"""The report, its figures and its sentences, from a made-up day whose story is known."""

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twin.results import pictures as drawn
from twin.results import report, wording
from twin.results.drawing import new_figure
from twin.results.figures import _currents, _time_axis, breaker_margins, losses_by_cause, throttling
from twin.results.floor import floor_positions, hall_map
from twin.results.grid import Grid
from twin.results.narrative import overloaded, stories, verdict
from twin.results.read import read_run
from twin.results.rundir import RunError
from twin.results.tables import empty, event_frame


class Page(HTMLParser):
    """Checks that tags close in order and collects the text outside pictures and styles."""

    VOID = frozenset(("meta", "br", "hr", "img", "link"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "svg" not in self.open and "style" not in self.open:
            self.words.append(data)


def read_page(path: Path) -> tuple[Page, str]:
    page = Page()
    page.feed(path.read_text())
    assert page.open == []
    return page, re.sub(r"\s+", " ", " ".join(page.words))


def test_the_report_tells_the_day_and_needs_nothing_else(story_run: Path) -> None:
    page, text = read_page(report.write_report(story_run))
    assert page.fetched == []  # opens anywhere, without a network
    for said in (
        "1 breaker trip in 1 incident, 8 slowdowns for heat; 478 GPU-hours of work were lost, all of it through "
        "“feed A of row A lost”.",
        "23 h 30 min, after 30 min of warm-up",
        "47 of 60",
        "9 running, 3 queued, 0 refused, 1 killed",
        "1 incident, 1 near miss; closest at 100 % of its trip level",
        "PUE 1.14",
        "NO 16 racks went dark, first A-01 at 14:06:47",
        "14:06:47 (6 min 47 s on) breaker row A/feed B tripped – long time: carried 1.28 of its rating for 6 min 47 s "
        "because row A/feed A lost its supply",
        "16 racks went dark: A-01, A-02, A-03 and 13 more because breaker row A/feed B tripped",
        "Work lost: 478 GPU-hours, all through “feed A of row A lost”.",
        "Energy that jobs could not draw: 776 kWh",
        "3,400 (0.283 %)",
        "scale 37.5",
        "The books balance: power, heat, flow, jobs and losses by cause agree to 3e-08 or better.",
    ):
        assert said in text
    pictures = {path.stem for path in (story_run / "figures").glob("*.png")}
    assert pictures == {"hall_map", "timeline", "breaker_margins", "throttling", "losses"}
    drawn_page = story_run.joinpath("report.html").read_text()
    assert drawn_page.count("<svg") == 5 and ">Events<" in drawn_page


def test_a_quiet_day_says_that_nothing_happened(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", windows=24, story=False)
    _, text = read_page(report.write_report(run))
    assert "No breaker tripped, no GPU slowed down for heat, and no work was lost." in text
    assert "Nothing did: no breaker tripped" in text
    assert "Nothing was lost" in text
    assert ">Events: none of these<" in (run / "report.html").read_text()  # over lanes that are all empty
    assert {path.stem for path in (run / "figures").glob("*.png")} == {"hall_map", "timeline", "breaker_margins"}


def test_a_stopped_run_is_marked_at_the_top(make_run: Callable[..., Path], tmp_path: Path) -> None:
    _, text = read_page(report.write_report(make_run(tmp_path / "run", windows=12, complete=False)))
    assert "This run was stopped before its end. Everything below covers its beginning only." in text


def test_forecasts_are_told_in_per_cent_and_minutes_and_claims_with_what_held(story_run: Path) -> None:
    run = read_run(story_run)
    found = {
        "rack": {"count": 12474, "bias": -0.0016, "mean_absolute_error": 0.035, "absolute_error_p90": 0.091},
        "row": {"count": 0, "bias": None, "mean_absolute_error": None, "absolute_error_p90": None},
        "recovery": {"count": 3, "bias_seconds": 90.0, "mean_absolute_error_seconds": 120.0,
                     "absolute_error_seconds_p90": 300.0},
        "sustained": {"claims": 11086, "held_ratio": 0.8},
    }  # fmt: skip
    told = report.render(type(run)(run.directory, run.manifest, {**run.metrics, "forecast": found}), no_pictures)
    for said in ("11,086 times", "80 % held", "12,474", "-0.16 %", "3.5 %", "9.1 %", "1.5 min", "2 min", "5 min"):
        assert said in told.replace("−", "-")
    assert "power of a row" not in told  # nothing was forecast of rows
    assert "What the policy forecast" not in report.render(run, no_pictures)


def test_the_share_of_ratings_that_a_policy_may_use_is_drawn_where_it_has_one() -> None:
    policy = {"name": "thermal_aware", "permitted": {"limit_utilisation": 0.85}}
    assert drawn.permitted_of({"configuration": {"policy": policy}}) == 0.85
    assert drawn.permitted_of({"configuration": {"policy": {"name": "first_fit"}}}) is None
    phases = Grid(np.array([0.0, 60.0]), ("f/L1",), {"current_amperes_max": np.array([[50.0], [80.0]])})
    breakers = pd.DataFrame({"name": ["f"], "rating_amperes": [100.0]})
    for permitted, levels in ((0.85, [100.0, 85.0]), (None, [100.0])):
        axes = new_figure(2.0).subplots()
        _currents(axes, phases, breakers, permitted)
        flat = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
        assert flat == pytest.approx(levels)


def test_books_that_do_not_balance_are_called_out(story_run: Path) -> None:
    run = read_run(story_run)
    metrics = {**run.metrics, "balance": {**run.metrics["balance"], "heat": -0.02}}
    page = report.render(type(run)(run.directory, run.manifest, metrics), no_pictures)
    assert "The books do not balance (largest residual 2.0e-02): do not rely on this run." in page


def test_names_from_outside_cannot_write_the_page(story_run: Path) -> None:
    run = read_run(story_run)
    manifest = {**run.manifest, "name": "<script>alert(1)</script>"}
    page = report.render(type(run)(run.directory, manifest, run.metrics), no_pictures)
    assert "<script>" not in page


def test_the_report_of_one_run_has_the_same_bytes_twice(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", windows=12)
    first = report.write_report(run).read_bytes()
    pictures = {path.name: path.read_bytes() for path in (run / "figures").glob("*.png")}
    assert report.write_report(run).read_bytes() == first
    assert {path.name: path.read_bytes() for path in (run / "figures").glob("*.png")} == pictures


def test_a_failed_run_has_nothing_to_report(tmp_path: Path) -> None:
    from twin.results.store import RunStore

    with pytest.raises(KeyError), RunStore(tmp_path / "run"):
        raise KeyError
    with pytest.raises(RunError, match="failed before it was measured"):
        report.write_report(tmp_path / "run")


def test_a_run_without_loops_jobs_services_or_windows_still_has_a_page(tmp_path: Path) -> None:
    from twin.results.metrics import compute_metrics
    from twin.results.store import RunStore

    racks = pd.DataFrame(
        {
            "name": ["X"], "row": ["A"], "loop": [""], "gpus": 8, "energy_joules": 1.0, "peak_power_watts": 1.0,
            "max_power_watts": 2.0, "device_temperature_celsius_max": 50.0, "throttled_gpu_seconds": 0.0,
            "hardware_slowdown_gpu_seconds": 0.0, "capped_gpu_seconds": 0.0, "dark_seconds": 0.0,
            "allocated_tray_seconds": 0.0, "shutdown_events": 0,
        }
    )  # fmt: skip
    totals = {"it_energy_joules": 0.0, "facility_energy_joules": 0.0, "simulated_seconds": 0.0, "balance": {}}
    with RunStore(tmp_path / "run") as store:
        store.finish({}, compute_metrics({"racks": racks}, totals), {"racks": racks}, False)
    _, text = read_page(report.write_report(tmp_path / "run"))
    assert "No breaker tripped" in text


def test_what_was_run_is_read_from_the_composed_configuration() -> None:
    manifest = {
        "name": "n",
        "seed": 3,
        "hours": 2.0,
        "configuration": {
            "hall": {"name": "small", "rows": 1},
            "workload": {"kind": "openb", "path": "x"},
            "policy": {"name": "first_fit"},
            "scenario": {"name": "pump_loss", "purpose": "P", "moral": "M"},
        },
        "workload": {"window_seconds": [0, 9], "files": {"pods": {"sha256": "ab"}}, "nothing": None},
        "commit": "0123456789abcdef",
    }
    about = report.about(manifest)
    assert [about[k] for k in ("hall", "workload", "policy", "scenario", "purpose", "seed", "commit")] == [
        "small", "openb", "first_fit", "pump_loss", "P", "3", "0123456789ab",
    ]  # fmt: skip
    assert report.trace(manifest) == [("window seconds", "0, 9"), ("files pods sha256", "ab")]


def event(number: int, time: float, kind: str, name: str, **more: object) -> dict:
    return {"event": number, "time_seconds": time, "kind": kind, "name": name, **more}


def test_a_story_leads_from_cause_to_consequence_and_trips_are_told_one_by_one() -> None:
    events = event_frame(
        [
            event(0, 10.0, "job_started", "j"),
            event(1, 100.0, "pump_lost", "loop 1", incident=0, root="all pumps of loop 1 lost"),
            event(2, 130.0, "slowdown_on", "A-01", incident=0, cause=1, root="all pumps of loop 1 lost"),
            event(3, 150.0, "slowdown_on", "A-02", incident=0, cause=1, root="all pumps of loop 1 lost"),
            event(4, 900.0, "slowdown_on", "A-01", incident=0, cause=1, root="all pumps of loop 1 lost"),
            event(5, 950.0, "breaker_trip", "b1", incident=3),
            event(6, 950.0, "breaker_trip", "b2", incident=3, cause=5),
        ]
    )
    told, left_out = stories(events)
    assert left_out == 0
    assert [story.title for story in told] == [
        "00:01:40: all pumps of loop 1 lost",
        "00:15:50: breaker b1 tripped",
    ]
    assert [(step.when, step.what, step.why) for story in told for step in story.steps] == [
        ("00:01:40", "a pump of loop 1 was lost", ""),
        (
            "00:02:10 (30 s on)",
            "2 slowdowns for heat began: A-01 and A-02, within 20 s",
            "because a pump of loop 1 was lost",
        ),
        ("00:15:00 (13 min 20 s on)", "A-01 slowed down for heat", "because a pump of loop 1 was lost"),
        ("00:15:50", "breaker b1 tripped", ""),
        ("00:15:50", "breaker b2 tripped", "because breaker b1 tripped"),
    ]  # fmt: skip


def test_long_stories_are_cut_and_say_so() -> None:
    one = [event(i, 100.0 * i, "slowdown_on", "A-01", incident=0) for i in range(30)]
    told, left_out = stories(event_frame(one))
    assert (len(told[0].steps), told[0].left_out, left_out) == (24, 6, 0)
    many = [event(i, 100.0 * i, "slowdown_on", "A-01", incident=i) for i in range(13)]
    assert (len(stories(event_frame(many))[0]), stories(event_frame(many))[1]) == (10, 3)
    assert stories(empty("events")) == ([], 0)


def test_the_verdict_names_the_largest_cause_with_its_share() -> None:
    metrics = {
        "breaker_trips_total": 0, "breaker_incidents_total": 0, "throttle_events_total": 1, "shutdown_events_total": 2,
        "gpu_seconds_lost": 36_000.0, "gpu_seconds_lost_by_cause": {"a": 9_000.0, "b": 27_000.0},
    }  # fmt: skip
    assert verdict(metrics, True) == (
        "No breaker tripped, 1 slowdown for heat and 2 shutdowns; "
        "10 GPU-hours of work were lost, 75 % of it through “b”."
    )
    assert verdict(metrics, False).endswith("The run was stopped before its end: this is its beginning only.")


def test_racks_stand_where_the_floor_has_them() -> None:
    racks = pd.DataFrame({"name": list("abcd"), "row": ["B", "A", "B", "A"]})
    assert floor_positions(racks).to_numpy().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    told = racks.assign(position=[3, 1, 1, 2])
    assert floor_positions(told).to_numpy().tolist() == [[0, 2], [1, 0], [0, 0], [1, 1]]


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_hall_map_writes_every_value_and_marks_trouble() -> None:
    racks = pd.DataFrame(
        {
            "name": ["A-01", "A-02", "A-03"], "row": "A", "peak_power_watts": [50.0, 90.0, 70.0],
            "device_temperature_celsius_max": [60.4, 88.0, 70.0], "throttled_gpu_seconds": [0.0, 5.0, 0.0],
            "dark_seconds": [7.0, 0.0, 0.0], "slowdown_celsius": 87.0, "max_power_watts": 100.0,
        }
    )  # fmt: skip
    values = ["60 ×", "88", "70", "50 ×", "90", "70"]
    figure = hall_map(racks, pd.Series({"A-01": 117.0, "A-03": 94.0}))
    assert texts(figure) == [*values, "117 ×", "air", "94"]
    frames = [len(axes.patches) for axes in figure.axes[:3]]
    assert frames == [1, 1, 1]
    alike = hall_map(racks, pd.Series({"A-01": 94.1, "A-03": 93.9}))
    assert texts(alike) == values
    assert alike.axes[1].get_xlabel() == "Lowest coolant flow: 94 L/min in every liquid-cooled rack"
    every = hall_map(racks, pd.Series(94.0, index=racks["name"]))
    assert every.axes[1].get_xlabel() == "Lowest coolant flow: 94 L/min in every rack"
    dry = hall_map(racks, pd.Series(0.0, index=racks["name"]))
    assert texts(dry) == [*values, "0 ×", "0", "0"]
    without_coolant = hall_map(racks.drop(columns="slowdown_celsius"), None)
    assert [axes.get_title(loc="left") for axes in without_coolant.axes[:2]] == [
        "Hottest device, °C",
        "Peak power, % of the rack's nameplate",
    ]


def test_breaker_margins_show_the_closest_first_and_say_what_tripped() -> None:
    breakers = pd.DataFrame(
        {
            "name": ["b", "a", "c"], "thermal_fraction_max": [0.5, 0.5, 1.0],
            "current_amperes_max": [70.0, 71.0, 130.0],
            "rating_amperes": 100.0, "trips": [0, 0, 1], "first_trip_seconds": [None, None, 3661.0],
        }
    )  # fmt: skip
    figure = breaker_margins(breakers, most=2)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "c"]  # the top bar is the last
    assert texts(figure) == ["0.50 · 71 A of 100 A", "1.00 · 130 A of 100 A · tripped 01:01:01"]


def test_throttling_and_losses_are_ranked_in_hours() -> None:
    racks = pd.DataFrame(
        {"name": list("abc"), "loop": ["x", "x", ""], "throttled_gpu_seconds": [3600.0, 7200.0, 0.0]}
    )  # fmt: skip
    figure = throttling(racks)
    assert [[t.get_text() for t in axes.texts] for axes in figure.axes] == [["0", "3"], ["2", "1"]]
    losses = pd.DataFrame(
        [("gpu_seconds", "p", 3600.0), ("gpu_seconds", "q", 7200.0), ("jobs", "p", 4.0)],
        columns=["kind", "cause", "amount"],
    )
    figure = losses_by_cause(losses)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["GPU-hours lost, by cause", "jobs lost, by cause"]
    assert [[t.get_text() for t in axes.texts] for axes in figure.axes] == [["2", "1"], ["4"]]


def no_pictures() -> dict[str, str]:
    return dict.fromkeys(("hall_map", "timeline", "breaker_margins"), "<svg></svg>")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.clock(0.0), "00:00:00"),
        (wording.clock(86_399.6), "day 2, 00:00:00"),
        (wording.clock(90_061.0), "day 2, 01:01:01"),
        (wording.duration(0.04), "no time"),
        (wording.duration(9.96), "10.0 s"),
        (wording.duration(59.7), "1 min"),
        (wording.duration(407.3), "6 min 47 s"),
        (wording.duration(3600.0), "1 h"),
        (wording.duration(187_300.0), "2 days 4 h"),
        (wording.quantity(8_410_000.0, "W"), "8.41 MW"),
        (wording.quantity(-1500.0, "W"), "-1.5 kW"),
        (wording.quantity(0.0, "W"), "0 W"),
        (wording.quantity(None, "W"), "–"),
        (wording.energy(3.6e9), "1 MWh"),
        (wording.gpu_hours(0.0), "0 GPU-hours"),
        (wording.gpu_hours(72.0), "72 GPU-seconds"),
        (wording.gpu_hours(1_720_000.0), "478 GPU-hours"),
        (wording.gpu_hours(36e6), "10,000 GPU-hours"),
        (wording.number(1234567.0), "1,234,567"),
        (wording.number(100.0), "100"),
        (wording.number(float("nan")), "–"),
        (wording.count(0, "trip"), "no trips"),
        (wording.count(1, "miss", "misses"), "1 miss"),
        (wording.count(2, "miss", "misses"), "2 misses"),
        (wording.listed([]), ""),
        (wording.listed(["a"]), "a"),
        (wording.listed(["a", "b"]), "a and b"),
        (wording.listed(list("abcd")), "a, b, c and d"),
        (wording.listed(list("abcde")), "a, b, c and 2 more"),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.long
def test_a_day_of_the_reference_hall_is_reported_in_four_seconds(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", windows=1440)
    before = time.perf_counter()
    report.write_report(run)
    assert time.perf_counter() - before < 4.0


def test_a_breaker_that_holds_above_its_rating_is_named_with_the_verdict():
    """105 A and 119 A on 100 A: both hold for ever, and both are told; one at its rating or that tripped is not."""
    breakers = pd.DataFrame(
        {
            "name": ["row A", "row B", "row C", "row D"],
            "rating_amperes": [100.0, 100.0, 100.0, 100.0],
            "current_amperes_max": [105.0, 119.0, 100.0, 190.0],
            "trips": [0, 0, 0, 1],
        }
    )
    assert overloaded(breakers) == " Above its rating without tripping: row B and row A, up to 119 % of it."
    assert overloaded(breakers.iloc[2:]) == ""


def test_a_table_in_markdown_keeps_its_cells_apart() -> None:
    """A bar in a cell would begin another, and a new line another row."""
    told = wording.markdown_table(("step", "who"), [("a|b", "on call\n"), (1, "")])
    assert told == "| step | who |\n| --- | --- |\n| a\\|b | on call |\n| 1 |  |"


@pytest.mark.parametrize(
    ("hours", "unit", "ticks"),
    [
        (24.0, "hours", ["0", "4", "8", "12", "16", "20", "24"]),
        (12.0, "hours", ["0", "2", "4", "6", "8", "10", "12"]),
        (3.0, "hours", ["0", "0.5", "1", "1.5", "2", "2.5", "3"]),
        (36.0, "hours", ["0", "6", "12", "18", "24", "30", "36"]),
        (2.0, "minutes", ["0", "20", "40", "60", "80", "100", "120"]),
        (0.5, "minutes", ["0", "5", "10", "15", "20", "25", "30"]),
        (0.12, "minutes", ["0", "1", "2", "3", "4", "5", "6", "7"]),  # 7.2 min
        (168.0, "days", ["0", "1", "2", "3", "4", "5", "6", "7"]),
        (720.0, "days", ["0", "5", "10", "15", "20", "25", "30"]),
        (8760.0, "days", ["0", *(f"{n * 365.0 / 6.0:g}" for n in range(1, 6)), "365"]),
    ],
)
def test_the_time_axis_has_a_tick_at_its_end_and_few_between(hours: float, unit: str, ticks: list[str]) -> None:
    axes = new_figure(2.0).subplots()
    assert _time_axis(axes, 3_600.0 * hours) == unit
    low, high = axes.get_xlim()
    places = [place for place in axes.get_xticks() if low <= place <= high * (1.0 + 1e-12)]
    assert axes.xaxis.get_major_formatter().format_ticks(places) == ticks


def test_the_day_ends_at_24_hours_though_its_last_interval_begins_before(story_run: Path) -> None:
    axes = drawn.timeline(read_run(story_run)).axes[-1]
    assert axes.get_xlim() == (0.0, 86_400.0) and axes.get_xlabel().startswith("hours since the start")
