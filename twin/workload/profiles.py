"""The life of a job as phases: what it draws while it loads, compiles, works, saves and restores."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from twin.workload.jobs import Job, JobKind, Phase
from twin.workload.spec import JobMix


def checkpoint_seconds(mix: JobMix, trays: int) -> float:
    """Time [s] to save or read the state of a gang of ``trays``: bytes ÷ the slower of its own and the store's rate."""
    rate = min(trays * mix.io_bytes_per_second_per_tray, mix.io_bytes_per_second)
    return trays * mix.state_bytes_per_tray / rate


@lru_cache(maxsize=64)
def startup_phases(mix: JobMix) -> tuple[Phase, ...]:
    """Image and data load, then compile where the mix has it."""
    phases = (
        Phase("load", mix.load_seconds, mix.load_utilisation),
        Phase("compile", mix.compile_seconds, mix.compile_utilisation, mix.compile_swing),
    )
    return tuple(phase for phase in phases if phase.seconds > 0.0)


def occupied_seconds(job: Job) -> float:
    """Time [s] a job holds its trays at full clock without losses: startup + work + one saving per full interval."""
    startup = sum(phase.seconds for phase in job.startup)
    saving = 0.0
    if job.checkpoint is not None and math.isfinite(job.work_seconds):
        saving = math.floor(job.work_seconds / job.checkpoint_interval_seconds) * job.checkpoint.seconds
    return startup + job.work_seconds + saving


def work_done(job: Job, occupied: float) -> float:
    """Steady work [s] that a job has behind it after holding its trays for ``occupied`` seconds at full clock."""
    held = max(0.0, occupied - sum(phase.seconds for phase in job.startup))
    if job.checkpoint is None or not math.isfinite(job.checkpoint_interval_seconds):
        return min(held, job.work_seconds)
    cycle = job.checkpoint_interval_seconds + job.checkpoint.seconds
    cycles, rest = divmod(held, cycle)
    return min(cycles * job.checkpoint_interval_seconds + min(rest, job.checkpoint_interval_seconds), job.work_seconds)


def draw_job(
    mix: JobMix,
    kind: JobKind,
    trays: int,
    rng: np.random.Generator,
    *,
    accuracy: tuple[float, float],
    biased: bool = False,
) -> Job:
    """Draw a job of ``trays`` from a mix; its id, arrival and progress are the caller's to set.

    With ``biased`` the time it holds its trays D is length-biased, as for a job met at a random instant (density
    ∝ D f(D)). D = S + g(W) with startup S and lognormal work W, so the biased W is a mixture: with probability
    S/E[D] an ordinary W, else a size-biased one, which for a lognormal is a shift of its logarithm by σ².
    """
    startup = startup_phases(mix)
    checkpoint = restore = None
    if mix.state_bytes_per_tray > 0.0:
        seconds = checkpoint_seconds(mix, trays)
        checkpoint = Phase("checkpoint", seconds, mix.io_utilisation)
        # a restart finds image and compiled code in the node's cache: only the state is read again
        restore = Phase("restore", mix.load_seconds + seconds, mix.io_utilisation)
    location = math.log(mix.duration_median_seconds)
    if biased:
        start = sum(phase.seconds for phase in startup)
        mean = mean_occupied_seconds(mix, trays)
        if rng.random() >= start / mean:
            location += mix.duration_sigma**2
    work = float(np.exp(rng.normal(location, mix.duration_sigma)))
    low, high = (math.log(limit) for limit in mix.swing_hertz)
    job = Job(
        id="",
        kind=kind,
        submit_seconds=0.0,
        trays=trays,
        work_seconds=work,
        estimate_seconds=0.0,
        startup=startup,
        steady=Phase("steady", work, float(rng.uniform(*mix.utilisation)), float(rng.uniform(*mix.swing))),
        restore=restore,
        checkpoint=checkpoint,
        checkpoint_interval_seconds=mix.checkpoint_interval_seconds,
        priority=mix.priority,
        preemptible=mix.preemptible,
        linear_share=mix.linear_share,
        speed_exponent=mix.speed_exponent,
        swing_hertz=math.exp(rng.uniform(low, high)),
    )
    return replace(job, estimate_seconds=occupied_seconds(job) / float(rng.uniform(*accuracy)))


def mean_occupied_seconds(mix: JobMix, trays: int) -> float:
    """Mean time [s] that a gang of ``trays`` holds its trays (a saving per interval taken as a continuous cost)."""
    overhead = 1.0
    if mix.state_bytes_per_tray > 0.0:
        overhead += checkpoint_seconds(mix, trays) / mix.checkpoint_interval_seconds
    startup = sum(phase.seconds for phase in startup_phases(mix))
    return startup + mix.duration_median_seconds * math.exp(mix.duration_sigma**2 / 2.0) * overhead
