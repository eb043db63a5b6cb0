"""Seeded synthetic demand that starts in its steady state and keeps its load.

*Load* is trays allocated ÷ trays. Each kind gets its share of the allocated trays, each gang size its share of the
kind's. At time 0 the hall already holds jobs: counts are rounded at random so that their means are right, from the
largest gang down, each size taking over what the rounding of the larger ones left, so that the sum is the target to
within half the smallest gang; durations are length-biased and the time already spent uniform in them, which is the
stationary law of a renewal process seen at a random instant.

Later arrivals keep the load by Little's law, trays = rate × holding time × gang size, in one of two ways:

``poisson``     independent arrivals at rate n̄/E[D] per gang size. The allocated trays then scatter around the target
                as in M/G/∞: variance n̄ · trays² per size.
``succession``  a fixed population: each job in flight is followed, when it should be done, by another of its size.
                Every lane is a renewal process in its stationary state, so the same rate n̄/E[D] holds, but the offered
                load does not scatter. Few large gangs in one hall ask for this.

End effects: arrivals are drawn up to the end of the run and jobs that outlive it are cut by it, so the expected offered
load is the target at every instant and needs no compensation.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from twin.workload.jobs import Job, JobKind, Service, Workload
from twin.workload.profiles import draw_job, mean_occupied_seconds, occupied_seconds, work_done
from twin.workload.requests import busy_by_day, replica_jobs, synthetic_services
from twin.workload.spec import JobMix, SyntheticSpec
from twin.workload.streams import stream


@dataclass(frozen=True)
class Allotment:
    """Trays of a kind at the target load, by gang size (largest first)."""

    kind: JobKind
    trays: float
    gangs: tuple[tuple[int, float], ...]  # (trays of a gang, mean trays held by gangs of this size)
    left_out: tuple[int, ...]  # gang sizes larger than the whole allotment


def synthetic(spec: SyntheticSpec, *, trays: int, gpus_per_tray: int, seconds: float, seed: int) -> Workload:
    """Draw a synthetic workload for a hall of ``trays`` over a run of ``seconds`` [s].

    Raises ValueError for a hall without trays or a run without length.
    """
    services, replicas = inference_demand(spec, trays=trays, seconds=seconds, seed=seed)
    taken = sum(job.trays for job in replicas)
    jobs, allotted = batch_demand(spec, trays=trays, seconds=seconds, seed=seed, taken=taken)
    provenance = {
        "kind": "synthetic",
        "generated": True,
        "seed": seed,
        "load": spec.load,
        "arrivals": spec.arrivals,
        "gpus_per_tray": gpus_per_tray,
        "trays_in_flight": sum(job.trays for job in (*replicas, *jobs) if job.submit_seconds <= 0.0),
        "gangs_left_out": {a.kind.value: list(a.left_out) for a in allotted if a.left_out},
    }
    return Workload(spec.name, sort_jobs((*replicas, *jobs)), services, provenance)


def sort_jobs(jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    """Jobs in the order of their submission, ties by id."""
    return tuple(sorted(jobs, key=lambda job: (job.submit_seconds, job.id)))


def inference_demand(
    spec: SyntheticSpec, *, trays: int, seconds: float, seed: int
) -> tuple[tuple[Service, ...], tuple[Job, ...]]:
    """The services of the mix with their requests, and their replicas as jobs that are in flight from the start."""
    _check(trays, seconds)
    services = synthetic_services(spec, trays=spec.load * spec.inference_share * trays, seconds=seconds, seed=seed)
    declared = {mix.name: busy_by_day(mix) for mix in spec.services}
    jobs = tuple(job for each in services for job in replica_jobs(each, spec, seed=seed, busy=declared[each.name]))
    return services, jobs


def batch_demand(
    spec: SyntheticSpec, *, trays: int, seconds: float, seed: int, taken: int
) -> tuple[tuple[Job, ...], tuple[Allotment, ...]]:
    """Training, batch and backup jobs beside ``taken`` trays of inference, and how trays were allotted."""
    _check(trays, seconds)
    rest = max(0.0, spec.load * trays - taken)
    asked = {
        JobKind.TRAINING: (spec.training, spec.training_share),
        JobKind.BATCH: (spec.batch, spec.batch_share),
        JobKind.BACKUP: (spec.backup, spec.backup_share),
    }
    total = sum(share for _, share in asked.values())
    jobs: list[Job] = []
    allotments = []
    carry = 0.0  # what rounding left, handed on from kind to kind, so that the sum stays on target
    for kind, (mix, share) in asked.items():
        if share <= 0.0:
            continue
        allotment = allot(kind, mix, rest * share / total)
        allotments.append(allotment)
        for size, held in allotment.gangs:
            rng = stream(seed, "workload", kind.value, str(size))
            count, carry = _round(held, carry, size, rng)
            jobs += _population(spec, mix, kind, size, count, held / size, seconds, rng)
    return tuple(jobs), tuple(allotments)


def allot(kind: JobKind, mix: JobMix, trays: float) -> Allotment:
    """Share ``trays`` among the gang sizes of a mix, leaving out sizes that are larger than all of them together."""
    sizes = sorted(zip(mix.gang_trays, mix.gang_shares, strict=True), reverse=True)
    fitting = [(size, share) for size, share in sizes if size <= max(trays, 1.0) and share > 0.0]
    left_out = tuple(size for size, share in sizes if share > 0.0 and size > max(trays, 1.0))
    total = sum(share for _, share in fitting)
    return Allotment(kind, trays, tuple((size, trays * share / total) for size, share in fitting), left_out)


def _round(held: float, carry: float, size: int, rng: np.random.Generator) -> tuple[int, float]:
    """A whole number of gangs of ``size`` for ``held`` trays plus what was carried over, and what is left to carry."""
    wanted = max(0.0, (held + carry) / size)
    count = math.floor(wanted) + int(rng.random() < wanted - math.floor(wanted))
    return count, held + carry - count * size


def _population(
    spec: SyntheticSpec,
    mix: JobMix,
    kind: JobKind,
    size: int,
    count: int,
    mean_count: float,
    seconds: float,
    rng: np.random.Generator,
) -> list[Job]:
    """Jobs of one size: ``count`` in flight, and the arrivals that keep ``mean_count`` of them."""
    accuracy = spec.estimate_accuracy
    label = f"{kind.value}-{size:03d}"
    jobs: list[Job] = []
    for lane in range(count):
        job = draw_job(mix, kind, size, rng, accuracy=accuracy, biased=True)
        held = occupied_seconds(job)
        past = float(rng.uniform(0.0, held))
        jobs.append(replace(job, id=f"{label}-r{lane:04d}", submit_seconds=-past, elapsed_seconds=work_done(job, past)))
        end = held - past
        generation = 0
        while spec.arrivals == "succession" and end < seconds:
            generation += 1
            job = draw_job(mix, kind, size, rng, accuracy=accuracy)
            jobs.append(replace(job, id=f"{label}-r{lane:04d}.{generation}", submit_seconds=end))
            end += occupied_seconds(job)
    if spec.arrivals == "poisson":
        rate = mean_count / mean_occupied_seconds(mix, size)
        times = np.sort(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)))
        for number, time in enumerate(times):
            job = draw_job(mix, kind, size, rng, accuracy=accuracy)
            jobs.append(replace(job, id=f"{label}-a{number:05d}", submit_seconds=float(time)))
    return jobs


def _check(trays: int, seconds: float) -> None:
    if trays < 1 or not (0.0 < seconds < math.inf):
        raise ValueError(f"a workload needs a hall with trays and a run with a length; got {trays} trays, {seconds} s")
