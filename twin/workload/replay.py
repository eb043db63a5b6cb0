"""Job traces replayed on a hall: a window of the trace, each job repeated, small jobs sharing trays.

A trace job that asks for less than a tray shares trays with its own copies: a tray takes as many copies as fit, they
start together, and the whole tray becomes one :class:`~twin.workload.jobs.Job` (the hall allocates whole trays). So
``scale`` copies of a job that fits c times into a tray make ⌈scale/c⌉ jobs. What was asked for stays truthful: the
tray's utilisation is the kind's times the share of the tray that was asked for, its swing the kind's times one copy's
share times the root of their number (copies swing independently), and the sums of GPUs stand in the provenance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from twin.workload.faults import Fields
from twin.workload.jobs import Job, JobKind, Phase
from twin.workload.streams import stream

PENDING_SUBMIT_SECONDS = 0.001  # jobs that wait in the trace when the window begins are submitted just after it


@dataclass(frozen=True)
class Profile:
    """Power and manners of the jobs of one kind in a trace that records neither."""

    utilisation: float  # of the part of a tray that was asked for
    swing: float
    swing_hertz: float
    load_seconds: float  # part of the recorded run time, at most a fifth of it
    load_utilisation: float
    priority: int
    preemptible: bool
    linear_share: float
    speed_exponent: float


@dataclass(frozen=True)
class Replay:
    """Which part of a trace is replayed, how often, and with what profiles."""

    window_start_seconds: float | None  # None: the busiest window
    window_seconds: float
    scale: int | None  # None: to ``target_share`` of the hall
    target_share: float
    jitter_seconds: float
    estimate_accuracy: tuple[float, float]
    profiles: dict[JobKind, Profile]


@dataclass(frozen=True)
class Record:
    """A job of a trace, on the trace's clock [s]."""

    name: str
    kind: JobKind
    submit: float
    start: float
    end: float
    trays: int  # of one copy
    copies_per_tray: int  # that fit; 1 where a copy needs a whole tray or more
    tray_share: float  # of its trays that one copy asks for: (0, 1]
    gpus: float  # that one copy asks for
    estimate_seconds: float | None = None  # declared run time
    source: str = ""


@dataclass(frozen=True)
class Replayed:
    """Jobs of a run, and what they stand for."""

    jobs: tuple[Job, ...]
    records: int  # trace jobs with at least one copy in the run
    copies: int
    gpus_asked: float  # Σ over copies


def replay_fields(fields: Fields, kinds: Sequence[JobKind]) -> Replay:
    """Read the keys that every job trace has, leaving faults and unknown keys to the caller."""
    profiles = fields.section("profiles")
    return Replay(
        window_start_seconds=fields.number("window_start_seconds") if fields.has("window_start_seconds") else None,
        window_seconds=fields.number("window_seconds", 60.0),
        scale=fields.whole("scale", 1) if fields.has("scale") else None,
        target_share=fields.number("target_share", 0.0, 1.0, above=True),
        jitter_seconds=fields.number("jitter_minutes") * 60.0,
        estimate_accuracy=fields.pair("estimate_accuracy", 0.0, 1.0, above=True),
        profiles={kind: _profile(profiles.section(kind.value)) for kind in kinds},
    )


def _profile(fields: Fields) -> Profile:
    return Profile(
        utilisation=fields.number("utilisation", 0.0, 1.0),
        swing=fields.number("swing", 0.0, 0.5),
        swing_hertz=fields.number("swing_hertz", above=True),
        load_seconds=fields.number("load_seconds"),
        load_utilisation=fields.number("load_utilisation", 0.0, 1.0),
        priority=fields.whole("priority", -100),
        preemptible=fields.flag("preemptible"),
        linear_share=fields.number("linear_share", 0.0, 1.0),
        speed_exponent=fields.number("speed_exponent", 0.0, 1.0, above=True),
    )


def replay(
    records: Sequence[Record], spec: Replay, *, begin: float, scale: int, seconds: float, gpus_per_tray: int, seed: int
) -> Replayed:
    """The jobs of a run of ``seconds`` [s] that begins at ``begin`` on the trace's clock, each record ``scale`` times.

    The copies of a record that share a tray are shifted together by a jitter drawn uniformly within
    ±``jitter_seconds``; at scale 1 nothing is shifted, for that is the trace as it is. Every copy that runs at time 0
    is in flight with the time it already ran; one that waits then is submitted just after it; later ones when they were
    submitted in the trace. Copies that have ended by time 0 or come after the run are left out.
    """
    jobs: list[Job] = []
    used = copies = 0
    gpus = 0.0
    jitter = spec.jitter_seconds if scale > 1 else 0.0
    for record in records:
        if record.end - begin + jitter <= 0.0 or record.submit - begin - jitter >= seconds:
            continue
        rng = stream(seed, "workload", "replay", record.name)
        groups = math.ceil(scale / record.copies_per_tray)
        shifts = rng.uniform(-jitter, jitter, groups) - begin
        accuracies = rng.uniform(*spec.estimate_accuracy, groups)
        before = len(jobs)
        for group in range(groups):
            shift = float(shifts[group])
            if record.end + shift <= 0.0 or record.submit + shift >= seconds:
                continue
            sharing = min(record.copies_per_tray, scale - group * record.copies_per_tray)
            jobs.append(_job(record, spec, group, sharing, shift, float(accuracies[group]), gpus_per_tray))
            copies += sharing
            gpus += sharing * record.gpus
        used += len(jobs) > before
    return Replayed(tuple(jobs), used, copies, gpus)


def _job(
    record: Record, spec: Replay, group: int, sharing: int, shift: float, accuracy: float, gpus_per_tray: int
) -> Job:
    """The copies of a record that share a tray (or one copy on its trays) as a job, shifted onto the run's clock."""
    profile = spec.profiles[record.kind]
    duration = record.end - record.start
    load = min(profile.load_seconds, 0.2 * duration)
    work = duration - load
    started = record.start + shift
    asked = math.ceil(sharing * record.gpus - 1e-9)
    swing = profile.swing * record.tray_share * math.sqrt(sharing)
    steady = Phase("steady", work, profile.utilisation * record.tray_share * sharing, swing)
    return Job(
        id=f"{record.name}-{group:03d}",
        kind=record.kind,
        submit_seconds=started if started <= 0.0 else max(record.submit + shift, PENDING_SUBMIT_SECONDS),
        trays=record.trays,
        work_seconds=work,
        estimate_seconds=duration / accuracy if record.estimate_seconds is None else record.estimate_seconds,
        startup=(Phase("load", load, profile.load_utilisation),) if load > 0.0 else (),
        steady=steady,
        priority=profile.priority,
        preemptible=profile.preemptible,
        linear_share=profile.linear_share,
        speed_exponent=profile.speed_exponent,
        swing_hertz=profile.swing_hertz,
        elapsed_seconds=min(max(0.0, -started - load), work),
        gpus=asked if asked < record.trays * gpus_per_tray else None,
        source=record.source,
    )
