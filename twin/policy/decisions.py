"""Decisions are values: what to do and why. Somebody else carries them out."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a decision was taken; the sentences are what an audit quotes."""

    PLACED_FIRST_FIT = "the first healthy racks in name order with room"
    PLACED_RANDOM = "healthy racks with room, in an order drawn from the seed and the request"
    PLACED_BEST_FIT = "the racks with least free power that still have enough"
    PLACED_BELOW = "the first racks in name order below fixed thresholds"
    REFUSED_ALL = "this policy refuses all work"
    WAIT_FOR_TRAYS = "not enough free trays on healthy racks"
    PLACED_AWARE = "the best-scored racks that rules allow, with sustained headroom"
    WAIT_FOR_HEADROOM = "no headroom on racks that rules allow"
    WAIT_TRANSIENT_ONLY = "sustained headroom missing, transient present"
    WAIT_FOR_RULE = "a rule does not allow it on any rack with room"
    WAIT_EXCLUDED = "racks with room are excluded until they have recovered"
    WAIT_UNKNOWN = "what decides is not known"
    LARGER_THAN_HALL = "more trays asked for than the hall has"


@dataclass(frozen=True)
class Placement:
    """Put a request on these racks: (rack name, trays) pairs."""

    request: str
    racks: tuple[tuple[str, int], ...]
    reason: Reason
    detail: str = ""
    score: float | None = None  # of the worst of its racks, where the policy scores
    confidence: float | None = None  # likewise


@dataclass(frozen=True)
class Wait:
    """Keep a request in the queue."""

    request: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Refusal:
    """Turn a request away for good."""

    request: str
    reason: Reason
    detail: str = ""


Decision = Placement | Wait | Refusal
