"""What a policy is: a callable from snapshot, request and state to a decision and the next state."""

from dataclasses import dataclass
from typing import Any, Protocol

from twin.policy.decisions import Decision
from twin.policy.snapshot import FacilitySnapshot


@dataclass(frozen=True)
class JobRequest:
    """A job as a policy sees it."""

    id: str
    kind: str  # "training", "inference", "batch" or "backup"
    trays: int
    one_rack: bool  # must not be split over racks
    priority: int
    power_watts_per_tray: float  # declared, steady
    peak_watts_per_tray: float = 0.0  # declared, of the phase that draws most; 0 for none above steady
    role: str = ""  # "canary", "bulk", … of a rollout; empty for a job


class Policy(Protocol):
    """Pure and deterministic: equal arguments give equal results. ``state`` is opaque to the caller; None at first."""

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any) -> tuple[Decision, Any]: ...
