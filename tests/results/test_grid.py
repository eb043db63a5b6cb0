"""The series as pictures read them: the same values, whatever the row groups, and joined without losing an extreme."""

from pathlib import Path

import numpy as np
import pytest

from tests.results.windows import append
from twin.results import store
from twin.results.grid import read_grids
from twin.results.read import read_run
from twin.results.rundir import RunError
from twin.results.store import RunStore

NAMES = {"rack": ["A-01", "A-02", "A-03"], "hall": ["hall"]}
COLUMNS = tuple(f"power_watts_{statistic}" for statistic in ("min", "mean", "max"))
LEVELS = {"rack": (*COLUMNS, "flow_litres_per_minute_min"), "hall": COLUMNS}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten intervals in row groups of three: the second rack has no flow."""
    monkeypatch.setattr(store, "ROWS_PER_GROUP", 12)
    rng = np.random.default_rng(1)
    with RunStore(tmp_path / "run") as run:
        for i in range(10):
            mean = rng.normal(100.0, 10.0, 3)
            flow = np.array([50.0 + i, np.nan, 70.0])
            signals = {
                "hall": {"power_watts": ([mean.sum() - 9.0], [mean.sum()], [mean.sum() + 9.0])},
                "rack": {"power_watts": (mean - 5.0, mean, mean + 5.0), "flow_litres_per_minute": (flow,) * 3},
            }
            append(run, 60.0 * i, signals, NAMES)
        run.finish({}, {}, {}, True)
    return tmp_path / "run"


def test_a_grid_is_the_series(written: Path) -> None:
    grids = read_grids(written, LEVELS)
    for level, columns in LEVELS.items():
        frame = read_run(written).series(level)
        assert grids[level].names == tuple(NAMES[level])
        assert list(grids[level].times) == sorted(set(frame["time_seconds"]))
        for column in columns:
            expected = frame[column].to_numpy().reshape(10, -1)
            np.testing.assert_array_equal(grids[level].values[column], expected)
    np.testing.assert_array_equal(grids["rack"].highest(COLUMNS[2]), grids["rack"].values[COLUMNS[2]].max(axis=1))


def test_joined_intervals_keep_extremes_and_means(written: Path) -> None:
    whole, joined = (read_grids(written, LEVELS, most)["rack"] for most in (100, 3))  # four windows to an interval
    assert list(joined.times) == [0.0, 240.0, 480.0]
    for column, join in zip(COLUMNS, (np.min, np.mean, np.max), strict=True):
        parts = [join(whole.values[column][at : at + 4], axis=0) for at in (0, 4, 8)]
        np.testing.assert_allclose(joined.values[column], parts, rtol=1e-14)
    flow = joined.values["flow_litres_per_minute_min"]
    assert list(flow[:, 0]) == [50.0, 54.0, 58.0]
    assert np.isnan(flow[:, 1]).all()


def test_a_missing_file_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"timeseries\.parquet: missing.*run it again"):
        read_grids(tmp_path, LEVELS)
