"""What is asked of the hall: jobs with phases and power profiles, and inference services with their requests.

All frozen. ``utilisation`` is the mean share of a tray's dynamic power range (0 idle, 1 maximum); ``swing`` is the
standard deviation of tray power around that mean as a share of the tray's maximum power (the RMS excess that heats
breakers, see :mod:`twin.plant.breakers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class JobKind(StrEnum):
    TRAINING = "training"
    INFERENCE = "inference"
    BATCH = "batch"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a job's life at one power level."""

    name: str  # "load", "compile", "restore", "steady" or "checkpoint"
    seconds: float  # at full clock; inf for a service
    utilisation: float
    swing: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Its work is ``work_seconds`` of its steady phase at full clock on all its trays."""

    id: str
    kind: JobKind
    submit_seconds: float  # simulated time; ≤ 0 for jobs that are in flight at the start
    trays: int
    work_seconds: float  # inf for a service replica
    estimate_seconds: float  # what its owner declared (for backfill)
    startup: tuple[Phase, ...]  # image and model load, compile, …; passed once per (re)start
    steady: Phase
    restore: Phase | None = None  # replaces ``startup`` after a loss, when a checkpoint exists
    checkpoint: Phase | None = None  # cost of saving; None when the job does not checkpoint
    checkpoint_interval_seconds: float = float("inf")
    priority: int = 0  # higher first
    preemptible: bool = False
    linear_share: float = 0.4  # a of P = idle + u (Pmax − idle)(a f + (1 − a) f³)
    speed_exponent: float = 0.7  # β of speed ∝ f^β
    swing_hertz: float = 1.0
    elapsed_seconds: float = 0.0  # steady work already done at time 0 (in flight)
    service: str | None = None  # the service that this replica belongs to
    gpus: int | None = None  # GPUs asked for, when fewer than its trays hold (shared trays of a trace)
    source: str = ""  # trace row it came from
    declared_by_day: tuple[float, ...] = ()  # greatest utilisation in each of so many equal parts of every day, by
    # its owner's word; empty for work that declares its steady phase's for as long as it lasts

    @property
    def declared_utilisation(self) -> float:
        """What its owner says that its steady work will use at most, of the dynamic range."""
        return max((self.steady.utilisation, *self.declared_by_day))


@dataclass(frozen=True)
class Knobs:
    """What a service's operators (and its flags) may turn; 1 and True are as built."""

    concurrency: float = 1.0  # of the built concurrency
    batch_size: float = 1.0
    precision: str = "high"  # or "low": cheaper, faster, less power
    auxiliary: bool = True  # nonessential side work


@dataclass(frozen=True)
class Build:
    """Effects of a software build against the one before; all 1 for the build that is running."""

    name: str = "current"
    power: float = 1.0
    startup_power: float = 1.0
    concurrency: float = 1.0
    memory_bandwidth: float = 1.0
    error_rate: float = 0.0
    latency: float = 1.0


@dataclass(frozen=True)
class Service:
    """An inference service: replicas on trays, and requests as per-second token sums."""

    name: str
    replicas: int
    trays_per_replica: int
    prefill_tokens_per_second: float  # one replica, full clock
    decode_tokens_per_second: float  # one replica, full clock, at full batch
    token_latency_seconds: float  # one decode step at full clock
    latency_target_seconds: float  # of a request's wait in queue plus first token
    idle_utilisation: float
    full_utilisation: float
    swing: float
    prompt_tokens: NDArray[np.float64] = field(repr=False)  # per second of the run
    output_tokens: NDArray[np.float64] = field(repr=False)
    requests: NDArray[np.float64] = field(repr=False)
    priority: int = 10
    knobs: Knobs = Knobs()
    build: Build = Build()
    linear_share: float = 0.4
    speed_exponent: float = 0.7
    unevenness: float = 0.0  # relative standard deviation of its replicas' shares of the requests
    unevenness_seconds: float = 600.0  # their correlation time


@dataclass(frozen=True)
class Workload:
    """Everything asked of a hall in one run, with where it came from."""

    name: str
    jobs: tuple[Job, ...]  # sorted by (submit_seconds, id)
    services: tuple[Service, ...]
    provenance: Mapping[str, Any]  # trace files and hashes, window, scale, rows read/used/skipped with reasons
