"""Whole runs as their users make them: a process from its start to its report, the compile cache warm."""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from twin.bench.process import ProcessError, Spent, twin
from twin.results import rundir
from twin.studies.ledger import METRICS, Case, measure_case
from twin.studies.work import on_cores

#: telemetry every 15 s: sensors measure then, and the series have a row for it
EXASCALE = (
    "hall=exascale",
    "workload=exascale_batch",
    "record.interval_seconds=15",
    "sensors.all.period_seconds=15",
    "policy=first_fit",
)
THOUSAND = ("hall=thousand", "workload=many_jobs", "control_always=true", "policy=first_fit")
REFERENCE = ("hall=reference",)
CHOICES = (("policy=first_fit",), ("policy=thermal_aware",), ("policy=thermal_aware", "policy.audit=false"))
MONTH = ("hall=reference", "policy=first_fit")
SEEDS = ("hall=reference", "policy=first_fit")
SWEPT = 16  # seeds
STUDY = ("hall=reference", "policy=thermal_aware")
WORLDS = 6
WORKERS = 2
ONE_THREAD = {name: "1" for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
HOURS = 24.0
WARM_HOURS = 0.02


def _run(words: tuple[str, ...], hours: float, environment: Mapping[str, str] | None = None) -> tuple[Spent, float]:
    """A run of so many hours: what its process took, and the part of it [s] that was simulation and recording."""
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        took = twin("run", *words, f"hours={hours:g}", f"out={folder}/run", environment=environment)
        metrics = json.loads((Path(folder) / "run" / rundir.METRICS).read_bytes())
        return took, float(metrics["wall_seconds"])


def exascale_day(
    repeats: int, words: tuple[str, ...] = EXASCALE, hours: float = HOURS
) -> list[tuple[float, float, float]]:
    """A day of 9,472 trays under batch jobs: simulation [s], whole process [s], its memory [MB]."""
    _run(words, WARM_HOURS)
    runs = (_run(words, hours) for _ in range(repeats))
    return [(simulated, took.wall_seconds, took.peak_mebibytes) for took, simulated in runs]


def thousand_day(
    repeats: int, words: tuple[str, ...] = THOUSAND, hours: float = HOURS
) -> list[tuple[float, float, float]]:
    """A day of 1,000 racks and 20,000 jobs: whole process [s], its memory [MB], and of it simulation [s]."""
    _run(words, WARM_HOURS)
    runs = (_run(words, hours) for _ in range(repeats))
    return [(took.wall_seconds, took.peak_mebibytes, simulated) for took, simulated in runs]


def seeds_on_two_cores(
    repeats: int, words: tuple[str, ...] = SEEDS, hours: float = HOURS, seeds: int = SWEPT
) -> list[tuple[float, float, float]]:
    """A sweep of seeds through Hydra's joblib launcher: speed-up of two workers over one, and both times [s]."""
    _run(words, WARM_HOURS)

    def sweep(workers: int) -> float:
        with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
            took = twin(
                "run",
                "-m",
                *words,
                f"hours={hours:g}",
                f"seed={','.join(map(str, range(seeds)))}",
                "hydra/launcher=joblib",
                f"hydra.launcher.n_jobs={workers}",
                f"out={folder}/sweep",
                environment=ONE_THREAD,
            )
        return took.wall_seconds

    runs = []
    for _ in range(repeats):
        one, two = sweep(1), sweep(2)
        runs.append((one / two, one, two))
    return runs


def aware_day(
    repeats: int, words: tuple[str, ...] = REFERENCE, hours: float = HOURS
) -> list[tuple[float, float, float, float]]:
    """A day of the reference hall under thermal_aware: its process over that under first_fit, seconds of both, and of
    one that writes no audit."""
    _run(words, WARM_HOURS)
    runs = []
    for _ in range(repeats):
        plain, aware, silent = (_run((*words, *choice), hours)[0].wall_seconds for choice in CHOICES)
        runs.append((aware / plain, aware, plain, silent))
    return runs


def study(
    repeats: int, words: tuple[str, ...] = STUDY, hours: float = HOURS, worlds: int = WORLDS
) -> list[tuple[float, float]]:
    """Days of the reference hall under thermal_aware as studies run them, without recording, on two workers: seconds of
    one world while another runs beside it, and of the whole study."""

    def run(hours: float, worlds: int) -> float:
        cases = [Case((*words, f"hours={hours:g}"), seed) for seed in range(worlds)]
        start = time.perf_counter()
        for case, record in zip(cases, on_cores(WORKERS)(measure_case, cases), strict=True):
            if METRICS not in record:
                told = "; ".join(*record.values())  # refused, or failed
                raise ProcessError(f"{' '.join(case.words)} seed={case.seed}: {told}")
        return time.perf_counter() - start

    run(WARM_HOURS, WORKERS)
    return [((took := run(hours, worlds)) * WORKERS / worlds, took) for _ in range(repeats)]


def month(
    repeats: int, words: tuple[str, ...] = MONTH, hours: float = 30 * HOURS, first: float = 5 * HOURS
) -> list[tuple[float, float]]:
    """Memory [MB] of a month's run at its peak, and how much [MB] it is above that of its first five days."""
    runs = []
    for _ in range(repeats):
        whole, start = _run(words, hours)[0], _run(words, first)[0]
        runs.append((whole.peak_mebibytes, whole.peak_mebibytes - start.peak_mebibytes))
    return runs
