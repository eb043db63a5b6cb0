"""Whole runs from the command line: what lands where, sweeps, copies of the configuration, equality, a full disk."""

import errno
import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from twin.places import conf_dir
from twin.results.balance import assert_balanced
from twin.results.catalogue import TABLES

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("hall=small", "hours=0.1")


def metrics_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text("utf-8"))


def manifest_of(run: Path) -> dict:
    return json.loads((run / "manifest.json").read_text("utf-8"))


def test_a_run_goes_to_results_under_its_name_and_nowhere_else(twin, tmp_path):
    ended = twin("run", "hall=small", "hours=0.05")
    run = tmp_path / "results" / "small-default-thermal_aware-0"
    assert ended.code == 0
    assert str(run.relative_to(tmp_path)) in ended.out
    assert {path.stem for path in run.glob("*.parquet")} == set(TABLES)
    assert manifest_of(run)["complete"] is True
    assert metrics_of(run)["simulated_seconds"] == pytest.approx(180.0)
    assert "<html" in (run / "report.html").read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"results"}
    assert twin("run", "hall=small", "hours=0.05").code == 0
    assert (tmp_path / "results" / "small-default-thermal_aware-0-2" / "report.html").is_file()


def test_two_runs_of_one_manifest_are_equal_to_the_byte(twin, tmp_path):
    assert twin("run", "hall=small", "hours=0.2", "seed=3", "out=first").code == 0
    assert twin("run", "--again", "first", "out=second").code == 0
    first, second = tmp_path / "first", tmp_path / "second"
    names = sorted(path.name for path in first.iterdir() if path.suffix in (".parquet", ".json", ".csv"))
    assert names == sorted(path.name for path in second.iterdir() if path.suffix in (".parquet", ".json", ".csv"))
    tables = [name for name in names if name.endswith(".parquet")]
    assert len(tables) == len(TABLES)
    assert filecmp.cmpfiles(first, second, tables, shallow=False)[0] == tables
    for stamp in ("started", "finished"):
        assert stamp in manifest_of(first)
    assert without(manifest_of(first), "started", "finished") == without(manifest_of(second), "started", "finished")
    assert without(metrics_of(first), "wall_seconds") == without(metrics_of(second), "wall_seconds")
    lines = [(run / "summary.csv").read_text("utf-8").splitlines() for run in (first, second)]
    kept = [[line for line in part if not line.startswith("wall_seconds,")] for part in lines]
    assert kept[0] == kept[1]
    assert len(kept[0]) == len(lines[0]) - 1
    assert_balanced(metrics_of(first))


def without(mapping: dict, *keys: str) -> dict:
    return {key: value for key, value in mapping.items() if key not in keys}


def test_another_seed_is_another_run(twin, tmp_path):
    for seed in (1, 2):
        assert twin("run", *SMALL, f"seed={seed}", f"out={seed}").code == 0
    assert not filecmp.cmp(tmp_path / "1" / "jobs.parquet", tmp_path / "2" / "jobs.parquet", shallow=False)


def test_an_edited_copy_of_the_configuration_is_used(twin, tmp_path):
    assert twin("init", "mine").code == 0
    path = tmp_path / "mine" / "conf" / "hall" / "small.yaml"
    hall = yaml.safe_load(path.read_text("utf-8"))
    hall["racks_per_row"] = hall["racks_per_row"] * 2
    path.write_text(yaml.safe_dump(hall), "utf-8")
    story = tmp_path / "mine" / "scenarios" / "mine.yaml"
    story.write_text("purpose: mine\nexpectations: [{'at end': jobs.killed == 0}]\n", "utf-8")
    ended = twin("run", "--config-dir", "mine/conf", *SMALL, "scenario=mine", "out=run")
    assert ended.code == 0, ended.err
    assert manifest_of(tmp_path / "run")["configuration"]["hall"]["racks_per_row"] == hall["racks_per_row"]
    assert len(pq.read_table(tmp_path / "run" / "racks.parquet")) >= hall["racks_per_row"]
    shipped = yaml.safe_load((conf_dir() / "hall" / "small.yaml").read_text("utf-8"))
    assert shipped["racks_per_row"] * 2 == hall["racks_per_row"]
    again = twin("init", "mine")
    assert (again.code, again.err.count("is there already")) == (3, 2)


def test_an_unmet_expectation_is_a_finding(twin, tmp_path):
    story = tmp_path / "never.yaml"
    story.write_text("purpose: cannot be\nexpectations: [{never: job started}]\n", "utf-8")
    ended = twin("run", *SMALL, f"scenario={story}", "out=run")
    assert ended.code == 1
    assert "NOT as expected" in ended.out
    assert metrics_of(tmp_path / "run")["expectations"]["unmet"] == 1


@pytest.mark.parametrize("moment", ["series", "table", "report"])
def test_a_full_disk_is_a_refusal_with_a_remedy(twin, tmp_path, monkeypatch, moment):
    def full(*_args, **_named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = {
        "series": "pyarrow.parquet.ParquetWriter.write_table",
        "table": "pyarrow.parquet.write_table",
        "report": "twin.cli.execute.write_report",
    }[moment]
    monkeypatch.setattr(place, full)
    ended = twin("run", *SMALL, "out=run")
    assert ended.code == 3
    assert "cannot write" in ended.err
    assert "free some space" in ended.err
    assert "Traceback" not in ended.err
    if moment != "report":
        assert manifest_of(tmp_path / "run")["complete"] is False


def test_ctrl_c_leaves_a_readable_run_that_says_so(tmp_path, cache):
    words = ["run", "hall=small", "hours=480", "out=run"]
    begun = subprocess.Popen(
        [sys.executable, "-m", "twin", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # as from a terminal: what a shell runs in its background ignores the interrupt, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    run = tmp_path / "run"
    deadline = time.monotonic() + 180.0
    while begun.poll() is None and time.monotonic() < deadline and not under_way(run):
        time.sleep(0.1)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=180.0)
    assert begun.returncode == 130, err
    assert "Traceback" not in err
    assert manifest_of(run)["complete"] is False
    assert manifest_of(run)["status"] == "interrupted"
    metrics = metrics_of(run)
    assert 0.0 < metrics["simulated_seconds"] < 480 * 3600.0
    series = pq.read_table(run / "timeseries.parquet", columns=["time_seconds"])
    assert series["time_seconds"].to_pylist()[-1] <= metrics["simulated_seconds"]
    assert "stopped before its end" in out
    assert "This run was stopped before its end" in (run / "report.html").read_text("utf-8")


def under_way(run: Path) -> bool:
    """Whether a run has come to write its first rows."""
    series = run / "timeseries.parquet.partial"
    return series.exists() and series.stat().st_size > 10_000
