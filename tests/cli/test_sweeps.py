"""Sweeps: what each launcher leaves, what is made again and what is kept, and jobs that fail beside others."""

import errno
import json
import os
import shutil

import pandas as pd
import pytest

from twin.cli import sweep
from twin.cli.sweep import guarded, jobs_of, swept
from twin.results.rundir import FORMAT, RunError
from twin.studies.sweep import Job, axes_of_table, stamps

SHORT = ("hall=small", "hours=0.02", "policy=first_fit")
AXIS = "hall.loop.supply_temperature_celsius"


def test_a_sweep_is_the_same_on_either_launcher_when_resumed_and_in_another_order(twin, tmp_path):
    """First a bad value among good ones; then an interrupted job, made again by the other launcher, in reverse."""
    first = twin("run", "-m", *SHORT, f"{AXIS}=35,-4,40", "out=sweep")
    assert first.code == 3
    assert "supply_temperature_celsius=-4: " in first.err and "negative number" in first.err
    assert "1 of 3 jobs failed" in first.err
    table = pd.read_csv(tmp_path / "sweep" / "sweep.csv")
    assert list(table[AXIS]) == [35, -4, 40]
    assert table["failure"].isna().tolist() == [True, False, True]
    made = sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    assert made == ["supply_temperature_celsius=35", "supply_temperature_celsius=40"]
    degrees = table.set_index(AXIS)["gpu_temperature_celsius_max"]
    assert degrees[40] - degrees[35] == pytest.approx(5.0, abs=0.5)

    interrupted = tmp_path / "sweep" / made[0]
    series = (interrupted / "timeseries.parquet").read_bytes()
    shutil.rmtree(interrupted)
    interrupted.mkdir()
    manifest = {"format": FORMAT, "complete": False, "status": "running"}
    (interrupted / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    again = twin("run", "-m", *SHORT, f"{AXIS}=40,35", "hydra/launcher=joblib", "out=sweep")
    assert again.code == 0, again.err
    assert "1 of 2 runs were finished already" in again.out
    assert (interrupted / "timeseries.parquet").read_bytes() == series
    second = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("run").drop(columns="failure")
    whole = table.set_index("run").drop(columns="failure").loc[made]
    pd.testing.assert_frame_equal(second.loc[made], whole, check_exact=True, check_dtype=False)
    assert axes_of_table(tmp_path / "sweep")[made[1]] == {AXIS: "40"}


def test_what_goes_wrong_with_one_job_stays_with_it(tmp_path, capsys):
    def full():
        raise RunError("x/y.parquet: cannot write (No space left on device); free some space")

    def crash():
        raise ZeroDivisionError("by nothing")

    jobs = [Job("a=1", {"a": "1"}), Job("a=2", {"a": "2"}), Job("a=3", {"a": "3"}), Job("a=4", {"a": "4"})]
    guarded(tmp_path / "a=1", full)
    guarded(tmp_path / "a=2", crash)
    done = tmp_path / "a=4"
    done.mkdir()
    (done / "manifest.json").write_text(json.dumps({"format": FORMAT, "complete": True}), "utf-8")
    (done / "metrics.json").write_text(json.dumps({"breaker_trips_total": 2}), "utf-8")
    assert swept(tmp_path, jobs, stamps(tmp_path)) == 4  # an internal error weighs most
    told = capsys.readouterr()
    for line in ("a=1: x/y", "free some space", "a=2: ZeroDivisionError: by nothing", "a=3: ended without a word"):
        assert line in told.err
    assert "1 of 4 runs were finished already" in told.out
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert table["breaker_trips_total"].fillna(-1).tolist() == [-1, -1, -1, 2]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["a=4"]


def test_a_full_disk_does_not_hide_what_went_wrong(tmp_path, capsys, monkeypatch):
    def full(*_words, **_named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sweep, "leave_failure", full)
    guarded(tmp_path / "a=1", full)
    assert "a=1: OSError: [Errno 28] No space left on device" in capsys.readouterr().err


def test_a_choice_that_there_is_not_is_refused_before_anything_starts(twin, tmp_path):
    ended = twin("run", "-m", *SHORT[:2], "policy=first_fit,warmest", "out=sweep")
    assert ended.code == 3
    assert "policy = 'warmest'" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_the_jobs_of_a_sweep_are_known_before_it_runs():
    words = ["-m", "hall=small", "policy=first_fit,best_fit", "seed=range(2)", "hydra/launcher=joblib"]
    jobs = jobs_of(words, ("policy", "seed"))
    assert [job.folder for job in jobs] == [
        f"policy={policy},seed={seed}" for policy in ("first_fit", "best_fit") for seed in (0, 1)
    ]
    assert jobs[3].values == {"policy": "best_fit", "seed": "1"}


def test_a_launcher_that_is_not_there_is_told_how_to_get(twin, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "find_spec", lambda _name: None)
    ended = twin("run", "-m", *SHORT, "seed=1,2", "hydra/launcher=submitit_local")
    assert (ended.code, len(ended.err.splitlines())) == (3, 2)
    assert "pip install 'data-hall-twin[slurm]'" in ended.err
    monkeypatch.setattr(sweep, "find_spec", lambda _name: object())
    monkeypatch.setattr(sweep.shutil, "which", lambda _name: None)
    ended = twin("run", "-m", *SHORT, "seed=1,2", "hydra/launcher=submitit_slurm")
    assert ended.code == 3 and "no srun on this machine" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_submitits_local_executor_makes_the_same_runs(twin, tmp_path):
    for launcher in ("basic", "submitit_local"):
        words = ("seed=1,2", f"hydra/launcher={launcher}", f"out={launcher}")
        ended = twin("run", "-m", *SHORT, *words)
        assert ended.code == 0, ended.err
    tables = [(tmp_path / name / "sweep.csv").read_bytes() for name in ("basic", "submitit_local")]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    "words",
    [
        ("hall=small", "hours=0.02", "policy=thermal_aware", "seed=3", f"{AXIS}=35"),
        ("scenario=baseline_day", "hall=small", "hours=0.02", "workload.load=0.5", "tolerances=default"),
    ],
)
def test_a_run_by_itself_is_composed_as_the_same_run_in_a_sweep(twin, tmp_path, words):
    """Hydra composes a sweep's jobs as an application, and a single run without one."""
    assert twin("run", *words, "out=alone").code == twin("run", "-m", *words, "out=sweep").code
    (job,) = (tmp_path / "sweep").glob("*/manifest.json")
    alone, in_sweep = (json.loads(path.read_text()) for path in (tmp_path / "alone" / "manifest.json", job))
    for key in ("configuration", "digest", "identity", "name"):
        assert (key, alone.get(key)) == (key, in_sweep.get(key))
    assert alone["configuration"]["seed"] == (3 if "seed=3" in words else 0)
