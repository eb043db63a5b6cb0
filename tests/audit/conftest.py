"""A log as a run leaves it: snapshots with histories, decisions about a few jobs, a store and checkpoints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twin.audit import AuditLog, PolicyStamp, SnapshotStore, audited
from twin.audit.log import CHECKPOINTS, LOG, SNAPSHOTS
from twin.policy import FacilitySnapshot, History, JobRequest, first_fit

RACKS = 4
SAMPLES = 90
PERIOD = 10.0  # s


def history(first: int, things: int, samples: int = SAMPLES) -> History:
    """Samples ``first`` and on: readings that depend on the sample and the thing only; some are missing."""
    rows = np.arange(first, first + samples)
    values = np.round(40.0 + np.sin(rows[:, None] * 0.7 + np.arange(things)), 1)
    quality = np.zeros((samples, things), dtype=np.int8)
    lost = (rows[:, None] + np.arange(things)) % 17 == 0
    values[lost], quality[lost] = np.nan, 3
    return History(rows * PERIOD, values, quality)


def full_snapshot(first: int = 0, free: int = 18, samples: int = SAMPLES) -> FacilitySnapshot:
    """Four racks, with every field filled, ages, qualities, and histories that begin with sample ``first``."""
    many = {"rack": RACKS, "row": 1, "loop": 2, "breaker": 3, "phase": 6}
    names = {f"{kind}_names": tuple(f"{kind} {n}" for n in range(count)) for kind, count in many.items()}
    sensed: dict[str, Any] = {}
    for field in fields(FacilitySnapshot):
        kind, _, rest = field.name.partition("_")
        if kind in many and rest.endswith(("watts", "celsius", "minute", "ratio", "amperes")):
            sensed[field.name] = np.round(np.arange(many[kind]) * 0.3 + first + len(rest), 3)
    ahead = np.outer(np.arange(1.0, 3.0), sensed.pop("rack_declared_ahead_watts"))
    return FacilitySnapshot(
        time_seconds=first * PERIOD + 0.25,
        **names,
        **sensed,
        rack_row=np.zeros(RACKS, dtype=np.int64),
        rack_loop=np.array([0, 0, 1, -1]),
        rack_trays=np.full(RACKS, 18),
        rack_free_trays=np.full(RACKS, free),
        declared_ahead_seconds=np.array([1_800.0, 7_200.0]),
        rack_declared_ahead_watts=ahead,
        rack_kind_trays=np.arange(4 * RACKS).reshape(RACKS, 4),
        rack_healthy=np.array([True, True, True, False]),
        rack_production=np.ones(RACKS, dtype=bool),
        breaker_closed=np.array([True, False, True]),
        ages={name: np.full(len(value), 2.5) for name, value in sensed.items()},
        qualities={name: np.zeros(len(value), dtype=np.int8) for name, value in sensed.items()},
        histories={name: history(first, len(value), samples) for name, value in sensed.items()},
    )


def request(name: str, trays: int = 4) -> JobRequest:
    return JobRequest(name, "training", trays, True, 0, 5_000.0)


def same_bits(one: Any, other: Any) -> bool:
    """Whether two values are equal in type, dtype, shape and every bit; the order of mappings does not count."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, Mapping):
        return set(one) == set(other) and all(same_bits(one[key], other[key]) for key in one)
    if isinstance(one, FacilitySnapshot | History):
        return type(one) is type(other) and all(
            same_bits(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
        )
    return type(one) is type(other) and one == other


@dataclass(frozen=True)
class Written:
    """The files of a log."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / LOG

    @property
    def store(self) -> Path:
        return self.folder / SNAPSHOTS

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def lines(self) -> list[bytes]:
        return self.log.read_bytes().splitlines(keepends=True)

    def rewrite(self, lines: list[bytes]) -> None:
        self.log.write_bytes(b"".join(lines))


def write_log(folder: Path, policy: Any = first_fit, jobs: int = 12, **options: Any) -> Written:
    """A log of ``jobs`` decisions, three to a snapshot, with a checkpoint every five."""
    written = Written(folder)
    stamp = PolicyStamp("first_fit", "0.1.0", {"seed": 3})
    with (
        SnapshotStore(written.store) as store,
        AuditLog(
            written.log,
            source="/test",
            checkpoints=written.checkpoints,
            every=5,
            before_checkpoint=store.sync,
            **options,
        ) as log,
    ):
        place, state = audited(policy, log, store, stamp), None
        for n in range(jobs):
            snapshot = full_snapshot(first=n // 3)
            free = snapshot.rack_free_trays.copy()
            free[0] -= 4 * (n % 3)
            _, state = place(replace(snapshot, rack_free_trays=free), request(f"job-{n}", 4 + 12 * (n % 3)), state)
    return written


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A log of twelve decisions."""
    return write_log(tmp_path)


@pytest.fixture
def writer(tmp_path: Path) -> Callable[..., Written]:
    """``writer(policy=…, jobs=…, signer=…)``: :func:`write_log` in a folder of the test's own."""
    return lambda **options: write_log(tmp_path, **options)
