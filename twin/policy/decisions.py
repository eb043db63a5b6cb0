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
    WAIT_PAUSED = "not enough free trays on racks that admit work"
    WAIT_FOR_TRAYS = "not enough free trays on healthy racks"
    PLACED_AWARE = "the best-scored racks that rules allow, with sustained headroom"
    WAIT_FOR_HEADROOM = "no headroom on racks that rules allow"
    WAIT_TRANSIENT_ONLY = "sustained headroom missing, transient present"
    WAIT_FOR_RULE = "a rule does not allow it on any rack with room"
    WAIT_EXCLUDED = "racks with room are excluded until they have recovered"
    WAIT_UNKNOWN = "what decides is not known"
    LARGER_THAN_HALL = "more trays asked for than the hall has"


@dataclass(frozen=True)
class Threshold:
    """A rule and what it was held against: allowed when ``value`` is on the side of ``limit`` that ``bound`` says."""

    rule: str
    value: float | None  # None for not known
    limit: float
    bound: str = "at most"  # or "at least"
    unit: str = ""
    passed: bool = True
    where: str = ""  # rack, row, loop or breaker


@dataclass(frozen=True)
class Placement:
    """Put a request on these racks: (rack name, trays) pairs.

    Where the policy scores, what it says of them is said of the worst of them.
    """

    request: str
    racks: tuple[tuple[str, int], ...]
    reason: Reason
    detail: str = ""
    score: float | None = None
    confidence: float | None = None
    scored: str | None = None  # the worst of its racks
    rank: int | None = None  # of that rack by score, 1 the best
    ranked: int | None = None  # racks that had a score
    runner_up: tuple[str, float] | None = None  # the best rack that was not taken, and its score
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Keep a request in the queue."""

    request: str
    reason: Reason
    detail: str = ""
    thresholds: tuple[Threshold, ...] = ()  # what was not allowed


@dataclass(frozen=True)
class Refusal:
    """Turn a request away for good."""

    request: str
    reason: Reason
    detail: str = ""


Decision = Placement | Wait | Refusal
