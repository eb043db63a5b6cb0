"""A sweep on disk: one folder per job, what became of each, and a table of them all."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from twin.results import rundir
from twin.results.measures import looked_up
from twin.results.rundir import RunError

TABLE = "sweep.csv"
FAILURE = "failure.log"  # what a job that failed leaves in its folder
UNTOLD = "ended without a word: stopped from outside, or out of memory"

#: what a sweep's table has of each run beside the axes
MEASURES = (
    "breaker_trips_total",
    "breaker_incidents_total",
    "breaker_thermal_fraction_max",
    "throttle_events_total",
    "throttled_gpu_seconds",
    "capped_gpu_seconds",
    "hardware_slowdown_events_total",
    "shutdown_events_total",
    "gpu_temperature_celsius_max",
    "gpu_seconds_delivered",
    "gpu_seconds_lost",
    "latency_misses_total",
    "jobs.submitted",
    "jobs.completed",
    "jobs.running",
    "jobs.queued",
    "jobs.refused",
    "jobs.killed",
    "it_energy_joules",
    "facility_energy_joules",
    "pue",
    "peak_row_power_watts",
    "expectations.met",
    "expectations.unmet",
    "simulated_seconds",
)


@dataclass(frozen=True)
class Job:
    """A job of a sweep: its folder's name, and its values on the sweep's axes by their keys."""

    folder: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of a job. ``reused``: it was finished before the sweep began. ``failure`` is empty for a finished
    one, else what went wrong; ``internal``: through an error of the twin rather than of its input."""

    job: Job
    metrics: Mapping[str, Any] = field(default_factory=dict)
    reused: bool = False
    failure: str = ""
    internal: bool = False

    @property
    def finished(self) -> bool:
        """Whether its run is whole."""
        return not self.failure


def finished(folder: Path, identity: str) -> bool:
    """Whether ``folder`` holds the whole run of this identity."""
    manifest = _mapping(folder / rundir.MANIFEST)
    there = manifest.get("complete") is True and manifest.get("identity") == identity
    return there and (folder / rundir.METRICS).is_file()


def leave_failure(folder: Path, lines: Iterable[str], *, internal: bool) -> None:
    """Write down why a job failed. Raises OSError when not even that can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    heading = "internal error" if internal else "refused"
    (folder / FAILURE).write_text("\n".join([heading, *lines]) + "\n", "utf-8")


def clear_failure(folder: Path) -> None:
    """Forget an earlier failure."""
    rundir.discard(folder / FAILURE)


def stamps(sweep: Path) -> dict[str, bytes]:
    """The manifests in a sweep's folder by run, to tell later which runs were there."""
    return {path.parent.name: path.read_bytes() for path in sorted(sweep.glob("*/" + rundir.MANIFEST))}


def outcomes(sweep: Path, jobs: Iterable[Job], before: Mapping[str, bytes]) -> list[Outcome]:
    """What became of each job; ``before`` are the :func:`stamps` from before the sweep began.

    A folder that holds nothing but a failure is removed.
    """
    now = stamps(sweep)
    return [_outcome(sweep / job.folder, job, before.get(job.folder), now.get(job.folder)) for job in jobs]


def _outcome(folder: Path, job: Job, before: bytes | None, now: bytes | None) -> Outcome:
    try:
        told = (folder / FAILURE).read_text("utf-8").splitlines()
    except OSError:
        told = []
    if told:
        if not rundir.is_run(folder):
            clear_failure(folder)
            _remove(folder)
        return Outcome(job, failure="; ".join(told[1:]) or told[0], internal=told[0] != "refused")
    if _mapping(folder / rundir.MANIFEST).get("complete") is not True:
        return Outcome(job, failure=UNTOLD, internal=True)
    return Outcome(job, _mapping(folder / rundir.METRICS), reused=before is not None and before == now)


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # something else is in it


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sweep_table(found: Iterable[Outcome]) -> pd.DataFrame:
    """A row per job in the order of the sweep: ``run``, a column per axis, ``failure``, and the main measures."""
    rows = []
    for outcome in found:
        measures = {key: looked_up(outcome.metrics, key) for key in MEASURES}
        rows.append({"run": outcome.job.folder, **outcome.job.values, "failure": outcome.failure, **measures})
    return pd.DataFrame(rows).convert_dtypes()  # counts stay whole beside what a failed job does not have


def write_table(sweep: Path, found: Iterable[Outcome]) -> Path:
    """Write ``sweep.csv`` beside the run folders. Raises RunError when it cannot be written."""
    path = sweep / TABLE
    rundir.write_whole(path, sweep_table(found).to_csv(index=False, lineterminator="\n").encode())
    return path


def axes_of_table(sweep: Path) -> dict[str, dict[str, str]]:
    """From ``sweep.csv``: the axis values of each run by its folder. Empty where there is no table.

    Raises RunError for a table that is none of ours.
    """
    path = sweep / TABLE
    if not path.is_file():
        return {}
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        columns = list(frame.columns)
        axes = columns[1 : columns.index("failure")]
    except (OSError, ValueError) as fault:
        raise RunError(f"{path}: is no table of a sweep ({fault}); make the sweep again, or remove it") from fault
    return {row["run"]: {axis: row[axis] for axis in axes} for row in frame.to_dict("records")}
