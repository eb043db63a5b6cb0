"""Incidents made by hand, without a simulation: a hall of two rows, of which one is warm and will slow."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twin.policy.check import example
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import History
from twin.studies.regress.record import Bands, Look, write_incident

WARM, COOL = "A", "B"
LOOKS, EVERY = 24, 300.0
SETTINGS = """
version: "1"
owner: tests
false_alarms: 0.02
misses: 0.05
decisions:
  {seeds: 1, hours: 0.1, first_minutes: 1, every_seconds: 60, ahead_minutes: 30, block_minutes: 5, stories: [],
   requests: [],
   bands: {inlet_celsius: 46, device_celsius: 86, flow_swing_ratio: 0.25, flow_seconds: 120},
   guards: {bad: {tolerance: 15, reason: it slows},
            unknown: {tolerance: 10, reason: it is not known, greatest_age_seconds: 60},
            tight: {tolerance: 25, reason: it trips, margin_ratio: 0.1},
            crowded: {tolerance: 50, reason: it heats, neighbour_ratio: 0.75},
            waited: {tolerance: 25, reason: it waits}}}
worlds:
  {looks: [1], hours: 0.1, stories: [], guards: {trips: {metric: breaker_trips_total, tolerance: 1, reason: trips}}}
"""


def warm_row(times: np.ndarray) -> list[Look]:
    """Looks at a hall whose row A has coolant of 44 °C, row B of 38 °C; one request at each."""
    whole = example(rows=2)
    count = len(whole.rack_names)
    inlet = np.where(np.arange(count) < count // 2, 44.0, 38.0)
    readings = {name: past.values[-1] for name, past in whole.histories.items()}
    readings["rack_supply_temperature_celsius"] = inlet
    # both rows are otherwise alike but for a little: row A is the idler one
    readings["rack_power_watts"] = np.where(np.arange(count) < count // 2, 0.5, 0.52) * 132_000.0
    seconds = np.arange(0.0, times[-1] + 2_400.0, 30.0)
    histories = {
        name: History(seconds, np.tile(values, (len(seconds), 1)), np.zeros((len(seconds), len(values)), dtype=np.int8))
        for name, values in readings.items()
    }
    request = JobRequest("job", "inference", 2, True, 5, 5_000.0, 5_000.0)
    return [
        Look(
            replace(whole, time_seconds=float(time), serial=number, histories=histories,
                    rack_declared_power_watts=readings["rack_power_watts"]),
            replace(request, id=f"job-{number}"),
            (),
        )
        for number, time in enumerate(times, 1)
    ]  # fmt: skip


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "regress.yaml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def warm_incident(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of a warm row that slows all the time; the other row stays well."""
    return make_incident(tmp_path_factory.mktemp("warm") / "warm")


def make_incident(folder: Path, change: Callable[[list[Look]], list[Look]] = lambda looks: looks) -> Path:
    looks = change(warm_row(1_800.0 + EVERY * np.arange(LOOKS)))
    until = looks[-1].snapshot.time_seconds + 2_400.0
    events = pd.DataFrame(
        [(0.0, "slowdown_on", f"{WARM}-{place:02d}") for place in range(1, 5)], columns=["time_seconds", "kind", "name"]
    )
    write_incident(
        folder, looks, events, Bands(46.0, 86.0, 0.25, 120.0), name="warm row", purpose="A row slows.",
        until_seconds=until, times={"latency_seconds": 0.0, "stale_seconds": None, "missing_seconds": None},
    )  # fmt: skip
    return folder
