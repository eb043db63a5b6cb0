"""Windows on their way to the store: none is lost, and each says what the plant's meters said."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from twin.hall.reader import load_hall
from twin.policy import first_fit
from twin.results.store import RunStore
from twin.sim.recording import TOGETHER
from twin.sim.scenario import read_scenario
from twin.sim.simulate import simulate
from twin.sim.world import Settings
from twin.workload.jobs import Workload

STEP = 10.0


def run(directory: Path, a_job, policy, seconds: float, seen: list) -> None:
    hall = load_hall("small")
    demand = Workload("told", tuple(a_job(f"job {k}", 3, 5_000.0, submit=35.0 * k) for k in range(30)), (), {})
    story = read_scenario({"name": "s", "purpose": "p", "timeline": []}, hall, "story.yaml")

    def watch(world):
        real = world.plant.on_window

        def both(window):
            seen.append((window.start, window.rack[:, 0].copy(), window.rack[:, 6].copy()))
            real(window)

        world.plant.on_window = both

    with RunStore(directory) as store:
        settings = Settings(record_interval_seconds=STEP)
        result = simulate(
            hall, demand, policy, story, seed=0, until=seconds, settings=settings, store=store, watch=watch
        )
        store.finish({}, result.metrics, {k: v for k, v in result.tables.items() if k != "events"}, True)


def series(directory: Path):
    frame = pq.read_table(directory / "timeseries.parquet").to_pandas()
    return frame[frame["level"] == "rack"], frame[frame["level"] == "row"]


def test_the_series_has_every_window_as_the_meters_had_it(tmp_path: Path, a_job) -> None:
    """More windows than are handed on together, and not a multiple of them."""
    seen: list = []
    run(tmp_path / "run", a_job, first_fit, STEP * (2 * TOGETHER + 7), seen)
    racks, rows = series(tmp_path / "run")
    assert len(seen) == 2 * TOGETHER + 7
    things = len(seen[0][1])
    assert racks["time_seconds"].tolist() == [start for start, *_ in seen for _ in range(things)]
    for column, place in (("power_watts", 1), ("trays_allocated", 2)):
        told = np.stack([each[place] for each in seen])
        for statistic, of, scale in (("min", 0, 1.0), ("mean", 2, STEP), ("max", 1, 1.0)):
            found = racks[f"{column}_{statistic}"].to_numpy().reshape(len(seen), things)
            assert found == pytest.approx(told[:, :, of] / scale, rel=1e-12)
    by_row = racks.groupby("time_seconds")["trays_allocated_mean"].sum()
    assert rows.groupby("time_seconds")["trays_allocated_mean"].sum().to_numpy() == pytest.approx(by_row.to_numpy())


def test_a_run_that_fails_keeps_the_windows_before(tmp_path: Path, a_job) -> None:
    def breaks(snapshot, request, state=None):  # at the tick after 210 s, when the seventh job comes: 220 s
        if snapshot.time_seconds > 205.0:
            raise RuntimeError("out of ideas")
        return first_fit(snapshot, request, state)

    seen: list = []
    with pytest.raises(RuntimeError, match="out of ideas"):
        run(tmp_path / "run", a_job, breaks, 1_000.0, seen)
    racks, _ = series(tmp_path / "run")
    assert sorted(set(racks["time_seconds"])) == [start for start, *_ in seen] == [STEP * k for k in range(22)]
