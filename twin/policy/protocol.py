"""What a policy is: a callable from snapshot, request and state to a decision and the next state."""

import math
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
    declared_seconds: float = 0.0  # how long it runs by its owner's word; 0 or infinite for endless

    @property
    def lasts_seconds(self) -> float:
        """How long it may run [s]: infinite where its owner does not say."""
        return self.declared_seconds if self.declared_seconds > 0.0 else math.inf

    def asks_no_less_than(self, other: "JobRequest") -> bool:
        """Whether whoever has no place for ``other`` has none for this: of its class, role and spread, no smaller, no
        cooler, no shorter, and not more urgent. Unknown power is never no less."""
        return (
            self.trays >= other.trays
            and self.power_watts_per_tray >= other.power_watts_per_tray
            and self.peak_watts_per_tray >= other.peak_watts_per_tray
            and self.lasts_seconds >= other.lasts_seconds
            and self.priority <= other.priority
            and self.one_rack == other.one_rack
            and self.kind == other.kind
            and self.role == other.role
        )


class Policy(Protocol):
    """Pure and deterministic: equal arguments give equal results. ``state`` is opaque to the caller; None at first.

    Asking for more does not help: at one look, a scheduler need not ask about work that asks for no less than other
    work (:meth:`JobRequest.asks_no_less_than`) which was just told to wait.

    A policy may have a method ``short_of(snapshot, request, state) -> Reason | None`` besides: what a request would
    certainly be told to wait for, and None where only asking tells. Who told it to wait before need not ask again then.
    """

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any) -> tuple[Decision, Any]: ...
