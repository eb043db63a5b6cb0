"""Batch jobs that arrive one by one whatever the hall has free, as HPC simulators draw their default workload.

Arrivals are Poisson; trays, run time and utilisation of a job are drawn independently of one another: trays uniformly,
run time from a normal distribution truncated to its bounds, utilisation uniformly and constant over the run. The hall
starts empty. Nothing ties the demand to the size of the hall: where more is asked than it has, the queue grows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.workload.faults import Fields
from twin.workload.jobs import Job, JobKind, Phase, Workload
from twin.workload.streams import stream


@dataclass(frozen=True)
class RandomJobsSpec:
    """A stream of batch jobs. Ranges (low, high) are drawn from uniformly."""

    name: str
    interarrival_seconds: float  # mean
    trays: tuple[int, int]
    run_mean_seconds: float
    run_deviation_seconds: float
    run_seconds: tuple[float, float]  # bounds of a run time
    utilisation: tuple[float, float]  # of the dynamic range
    swing: float
    swing_hertz: float
    estimate_accuracy: tuple[float, float]  # run time ÷ declared time
    priority: int
    linear_share: float
    speed_exponent: float


def read_spec(mapping: Mapping[str, Any], *, source: str = "workload") -> RandomJobsSpec:
    """Read and check the keys. Raises :class:`~twin.workload.faults.WorkloadError` with every fault."""
    fields = Fields(mapping, source)
    fields.has("kind")
    run = fields.section("run")
    mean = run.number("mean_seconds", above=True)
    bounds = (run.number("least_seconds", above=True), run.number("most_seconds", above=True))
    if bounds[0] >= bounds[1]:
        run.fault("most_seconds", f"is not above least_seconds = {bounds[0]:g}; raise it")
    elif not bounds[0] <= mean <= bounds[1]:
        run.fault("mean_seconds", f"is not between {bounds[0]:g} and {bounds[1]:g}, the bounds; move it")
    trays = fields.section("trays")
    least, most = trays.whole("least", 1), trays.whole("most", 1)
    if least > most:
        trays.fault("most", f"is below least = {least}; raise it")
    spec = RandomJobsSpec(
        name=fields.text("name"),
        interarrival_seconds=fields.number("interarrival_seconds", above=True),
        trays=(least, most),
        run_mean_seconds=mean,
        run_deviation_seconds=run.number("deviation_seconds", above=True),
        run_seconds=bounds,
        utilisation=fields.pair("utilisation", 0.0, 1.0),
        swing=fields.number("swing", 0.0, 0.5),
        swing_hertz=fields.number("swing_hertz", above=True),
        estimate_accuracy=fields.pair("estimate_accuracy", 0.0, 1.0, above=True),
        priority=fields.whole("priority", -100),
        linear_share=fields.number("linear_share", 0.0, 1.0),
        speed_exponent=fields.number("speed_exponent", 0.0, 1.0, above=True),
    )
    fields.finish()
    return spec


def random_jobs(spec: RandomJobsSpec, *, trays: int, gpus_per_tray: int, seconds: float, seed: int) -> Workload:
    """The jobs that arrive in a run of ``seconds`` [s], in order. ``trays`` of the hall are noted, not obeyed."""
    rng = stream(seed, "workload", "random_jobs")
    times = _arrivals(spec.interarrival_seconds, seconds, rng)
    count = len(times)
    sizes = rng.integers(spec.trays[0], spec.trays[1], count, endpoint=True)
    runs = _truncated(spec, count, rng)
    utilisations = rng.uniform(*spec.utilisation, count)
    declared = runs / rng.uniform(*spec.estimate_accuracy, count)
    jobs = tuple(
        Job(
            id=f"job-{number:06d}",
            kind=JobKind.BATCH,
            submit_seconds=float(times[number]),
            trays=int(sizes[number]),
            work_seconds=float(runs[number]),
            estimate_seconds=float(declared[number]),
            startup=(),
            steady=Phase("steady", float(runs[number]), float(utilisations[number]), spec.swing),
            priority=spec.priority,
            linear_share=spec.linear_share,
            speed_exponent=spec.speed_exponent,
            swing_hertz=spec.swing_hertz,
        )
        for number in range(count)
    )
    provenance = {
        "kind": "random_jobs",
        "generated": True,
        "seed": seed,
        "jobs": count,
        "gpus_per_tray": gpus_per_tray,
        "offered_share": float((sizes * runs).sum() / (seconds * trays)),  # of the hall's tray-seconds
    }
    return Workload(spec.name, jobs, (), provenance)


def _arrivals(mean: float, seconds: float, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Times [s] of a Poisson process of mean gap ``mean`` within ``seconds``: given their number they are uniform."""
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(seconds / mean)))


def _truncated(spec: RandomJobsSpec, count: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Run times [s]: normal, drawn again where they leave their bounds."""
    runs = np.full(count, math.nan)
    while (out := ~((runs >= spec.run_seconds[0]) & (runs <= spec.run_seconds[1]))).any():
        runs[out] = rng.normal(spec.run_mean_seconds, spec.run_deviation_seconds, int(out.sum()))
    return runs
