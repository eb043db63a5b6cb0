"""A made-up day of a hall in the shape of ``reference``: numbers that look right, in closed form and from one seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.results.windows import append
from twin.results.catalogue import signals_of
from twin.results.metrics import compute_metrics
from twin.results.store import RunStore
from twin.results.tables import event_frame

ROWS = ("A", "B", "C", "D", "S")
LOST = 14.0 * 3600.0  # the feed is lost
TRIP = LOST + 407.0


def names() -> dict[str, list[str]]:
    racks = [f"{row}-{i:02d}" for row in ROWS[:4] for i in range(1, 17)] + ["S-01", "S-02"]
    feeds = [f"row {row}/feed {feed}" for row in ROWS for feed in "AB"]
    return {
        "hall": ["hall"],
        "row": list(ROWS),
        "rack": racks,
        "phase": [f"{feed}/L{phase}" for feed in feeds for phase in (1, 2, 3)],
        "loop": [f"loop {i:02d}" for i in range(1, 10)],
        "breaker": ["utility A", "utility B", "pdu AB/feed A", "pdu AB/feed B", "pdu CD/feed A", "pdu CD/feed B"]
        + feeds
        + [f"{rack}/feed {feed}" for rack in racks for feed in "AB"],
    }


def series(time: float, rng: np.random.Generator, story: bool) -> dict[str, dict[str, Any]]:
    """One window: a day's swell, and in the story row A/feed A is lost, its survivor overloads, row A goes dark."""
    swell = 1.0 + 0.06 * np.sin(2 * np.pi * (time / 86_400.0 - 0.3))
    power = 92e3 * swell + rng.normal(0.0, 1.5e3, 66) + 6e3 * np.sin(np.arange(66))
    alive = np.ones(66)
    if story and TRIP <= time < TRIP + 1800.0:
        alive[:16] = 0.0
    power *= alive
    row_power = np.array([power[i * 16 : (i + 1) * 16].sum() for i in range(4)] + [power[64:].sum()])
    share = np.full((5, 2), 0.5)
    if story and LOST <= time < TRIP:
        share[0] = (0.0, 1.0)
    current = np.repeat((row_power[:, None] * share / (3**0.5 * 480.0 * 0.98)).ravel(), 3)
    hot = 64.0 + 16.0 * power / 132e3 + (9.0 if story and LOST + 60 <= time < TRIP else 0.0) * (np.arange(66) < 8)
    air = np.where(np.arange(66) < 64, 1.0, np.nan)

    def spread(mean: Any, width: float) -> tuple[Any, Any, Any]:
        mean = np.asarray(mean, float)
        return mean - width, mean, mean + width

    rack = {
        "power_watts": spread(power, 900.0),
        "device_temperature_celsius": spread(hot, 1.2),
        "supply_temperature_celsius": spread(np.full(66, 40.0) * air, 0.2),
        "return_temperature_celsius": spread((40.0 + power / 10e3) * air, 0.2),
        "flow_litres_per_minute": spread(np.full(66, 117.0) * air - 3.0 * np.cos(np.arange(66)), 1.5),
        "inlet_air_temperature_celsius": spread(np.full(66, 27.0), 0.3),
        "trays_allocated": spread(14.0 * alive, 0.0),
        "clock_ratio": spread(np.where(hot > 84.0, 0.8, 1.0), 0.0),
    }
    loop = {signal: spread(np.linspace(0.3, 0.6, 9), 0.02) for signal in signals_of("loop")}
    loop["supply_temperature_celsius"] = spread(np.full(9, 40.0), 0.3)
    loop["return_temperature_celsius"] = spread(49.0 + np.arange(9) * 0.1, 0.3)
    loop["flow_litres_per_minute"] = spread(np.full(9, 936.0), 6.0)
    loop["heat_watts"] = spread(np.full(9, 640e3), 4e3)
    it = float(power.sum())
    hall = {
        "power_watts": spread([it], 2e4),
        "facility_power_watts": spread([it * 1.14], 2e4),
        "facility_water_celsius": spread([32.0], 0.2),
        "room_air_celsius": spread([27.0], 0.2),
        "jobs_running": spread([38 + 6 * np.sin(time / 9000)], 1.0),
        "jobs_queued": spread([max(0.0, 3 + 4 * np.sin(time / 7000))], 0.0),
    }
    breaker = {"current_amperes": spread(np.full(148, 150.0), 4.0), "thermal_fraction": spread(np.full(148, 0.4), 0.01)}
    row = {"power_watts": spread(row_power, 9e3), "trays_allocated": spread(np.full(5, 200.0), 0.0)}
    return {
        "hall": hall,
        "row": row,
        "rack": rack,
        "phase": {"current_amperes": spread(current, 15.0)},
        "loop": loop,
        "breaker": breaker,
    }


def story_events(story: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def add(time: float, kind: str, level: str, name: str, cause: int = -1, incident: int = -1, **more: Any) -> int:
        root = more.pop("root", "feed A of row A lost" if cause >= 0 else "")
        found.append(
            {"event": len(found), "time_seconds": time, "kind": kind, "level": level, "name": name, "cause": cause,
             "root": root, "incident": incident, "detail": more.pop("detail", ""), **more}
        )  # fmt: skip
        return len(found) - 1

    add(0.0, "run_started", "hall", "hall")
    if story:
        scene = add(LOST, "scenario_action", "row", "row A/feed A", detail="feed_loss: row A/feed A is switched off",
                    incident=1, root="feed A of row A lost")  # fmt: skip
        lost = add(LOST, "feed_lost", "row", "row A/feed A", scene, 1)
        for i in range(1, 9):
            add(LOST + 90 + i, "slowdown_on", "rack", f"A-{i:02d}", lost, 1, value=87.2)
        trip = add(TRIP, "breaker_trip", "row", "row A/feed B", lost, 1, value=1.47e6,
                   detail="long time: carried 1.28 of its rating for 6 min 47 s")  # fmt: skip
        for i in range(1, 17):
            dark = add(TRIP, "rack_dark", "rack", f"A-{i:02d}", trip, 1, value=92e3)
        for i in range(5):
            add(TRIP, "job_requeued", "job", f"training-{i:03d}", dark, 1, value=3.4e5)
        add(TRIP, "job_killed", "job", "batch-007", dark, 1, value=2.0e4)
        add(TRIP + 1800.0, "breaker_reclosed", "row", "row A/feed B", trip, 1)
        for i in range(1, 17):
            add(TRIP + 1800.0 + 10 * i, "rack_restored", "rack", f"A-{i:02d}", trip, 1)
        add(86_400.0, "expectation_met", "hall", "within 10 min of feed_loss: breaker trip at row",
            detail="row A/feed B tripped 6 min 47 s after it")  # fmt: skip
        add(
            86_400.0,
            "expectation_unmet",
            "hall",
            "never: rack dark",
            detail="16 racks went dark, first A-01 at 14:06:47",
        )
    add(86_400.0, "run_ended", "hall", "hall")
    return found


def story_tables(story: bool) -> dict[str, pd.DataFrame]:
    things = names()
    racks = things["rack"]
    struck = np.array([story and rack.startswith("A") for rack in racks])
    heated = struck & (np.arange(66) < 8)
    index = np.arange(66)
    cause = "feed A of row A lost"
    jobs = []
    for i in range(60):
        kind = ("training", "inference", "batch")[i % 3]
        hit = story and (i in (0, 3, 6, 9, 12, 5))
        killed = hit and i == 5
        status = "killed" if killed else "running" if i % 7 == 0 else "queued" if i >= 57 else "completed"
        jobs.append(
            {
                "id": f"{kind}-{i:03d}", "kind": kind, "service": "chat" if kind == "inference" else "",
                "trays": 1 + i % 18, "gpus": 4 * (1 + i % 18), "priority": 5, "submit_seconds": 600.0 * i,
                "start_seconds": np.nan if status == "queued" else 600.0 * i + 30.0 * (i % 5),
                "end_seconds": 600.0 * i + 9000.0 if status in ("completed", "killed") else np.nan, "status": status,
                "restarts": int(hit and not killed), "wait_seconds": 30.0 * (i % 5) + 600.0 * hit,
                "work_seconds": np.nan if kind == "inference" else 8400.0,
                "delivered_gpu_seconds": 4.0 * (1 + i % 18) * 8000.0,
                "lost_gpu_seconds": (2.0e4 if killed else 3.4e5) if hit else 0.0, "lost_cause": cause if hit else "",
                "racks": racks[i], "reason": "lost its racks" if killed else "",
            }
        )  # fmt: skip
    breakers = things["breaker"]
    level = ["utility"] * 2 + ["pdu"] * 4 + ["row"] * 10 + ["rack"] * 132
    rating = np.repeat([5500.0, 1944.0, 2000.0, 250.0], [2, 4, 10, 132])
    fraction = np.concatenate(
        [[0.3, 0.31, 0.72, 0.84, 0.61, 0.6], np.linspace(0.2, 0.5, 10), np.linspace(0.1, 0.4, 132)]
    )
    tripped = np.array([story and name == "row A/feed B" for name in breakers])
    fraction = np.where(tripped, 1.0, fraction)
    losses = [
        ("gpu_seconds", cause, 5 * 3.4e5 + 2.0e4),
        ("power_watt_seconds", cause, 1.47e6 * 1900.0),
        ("jobs", cause, 1.0),
    ]
    services = [("chat", 1.2e6, 3400.0, 9.0e9, 8.99e9, 1.0e7, 0.4, 31.0, 0.61)]
    return {
        "racks": pd.DataFrame(
            {
                "name": racks, "row": [rack[0] for rack in racks],
                "loop": [f"loop {1 + i // 8:02d}" for i in range(64)] + ["loop 09"] * 2, "gpus": 72,
                "energy_joules": 92e3 * 86_400.0, "peak_power_watts": 101e3 + 6e3 * np.sin(index) - 2e4 * (index > 63),
                "max_power_watts": 132e3, "device_temperature_celsius_max": 76.0 + 2 * np.sin(index) + 11.5 * heated,
                "throttled_gpu_seconds": np.where(heated, 72.0 * 300.0 * (1 + index / 8), 0.0),
                "hardware_slowdown_gpu_seconds": 0.0, "capped_gpu_seconds": 0.0,
                "dark_seconds": np.where(struck, 1800.0 + 10.0 * index, 0.0),
                "allocated_tray_seconds": 14.0 * 86_400.0, "shutdown_events": 0, "trays": 18, "slowdown_celsius": 87.0,
            }
        ),
        "jobs": pd.DataFrame(jobs),
        "breakers": pd.DataFrame(
            {
                "name": breakers, "level": level, "rating_amperes": rating, "thermal_fraction_max": fraction,
                "current_amperes_max": rating * np.sqrt(fraction * 1.44), "trips": tripped.astype(int),
                "first_trip_seconds": np.where(tripped, TRIP, np.nan),
            }
        ),
        "loops": pd.DataFrame(
            {
                "name": things["loop"], "rated_heat_watts": 736e3, "heat_joules": 600e3 * 86_400.0,
                "supply_temperature_celsius_max": 40.6, "return_temperature_celsius_max": 50.0,
                "flow_litres_per_minute_min": 920.0,
            }
        ),
        "services": pd.DataFrame(
            services,
            columns=["name", "requests", "latency_misses", "tokens_arrived", "tokens_served", "tokens_backlog",
                     "wait_seconds_mean", "wait_seconds_max", "mean_utilisation"],
        ),
        "losses": pd.DataFrame(losses if story else [], columns=["kind", "cause", "amount"]),
    }  # fmt: skip


TOTALS: dict[str, Any] = {
    "it_energy_joules": 66 * 92e3 * 86_400.0,
    "facility_energy_joules": 66 * 92e3 * 86_400.0 * 1.14,
    "simulated_seconds": 86_400.0,
    "warmup_seconds": 1800.0,
    "wall_seconds": 7.5,
    "peak_row_power_watts": {"A": 1.66e6, "B": 1.58e6, "C": 1.61e6, "D": 1.57e6, "S": 2.0e5},
    "balance": {"power": 1e-13, "heat": -2e-9, "flow": 1e-12, "jobs": 0.0, "power_window": 1e-12, "heat_window": 3e-8},
}

MANIFEST: dict[str, Any] = {
    "name": "reference-default-first_fit-feed_loss-0",
    "hall": "reference",
    "workload": "default",
    "policy": "first_fit",
    "scenario": {
        "name": "feed_loss",
        "purpose": "One feed of a row is lost at two in the afternoon.",
        "moral": "A row that is fed from both sides hides that neither side can bear it alone.",
    },
    "seed": 0,
    "hours": 24.0,
    "git_commit": "0123abcd",
    "versions": {"twin": "0.1.0", "numpy": "2.4.6"},
    "trace": {
        "file": "AzureLLMInferenceTrace_conv.csv.gz",
        "window_seconds": [0, 3600],
        "scale": 37.5,
        "rows_read": 19366,
    },
    "started": "2026-11-24T00:00:00Z",
}


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """Writes a made-up run into a directory: ``make_run(directory, windows=1440, story=True, complete=True)``."""

    def make(directory: Path, windows: int = 60, story: bool = True, complete: bool = True) -> Path:
        rng = np.random.default_rng(7)
        things = names()
        events = story_events(story)
        tables = story_tables(story)
        step = 86_400.0 / windows
        with RunStore(directory) as store:
            for i in range(windows):
                append(store, i * step, series(i * step, rng, story), things)
            store.append_events(events)
            metrics = compute_metrics({**tables, "events": event_frame(events)}, TOTALS)
            store.finish(MANIFEST, metrics, tables, complete)
        return directory

    return make


@pytest.fixture(scope="session")
def story_run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The day of the lost feed, at few windows."""
    return make_run(tmp_path_factory.mktemp("runs") / "story", windows=96)
