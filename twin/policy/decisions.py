"""Decisions are values: what to do and why. Somebody else carries them out."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a decision was taken; the sentences are what an audit quotes."""

    PLACED_FIRST_FIT = "the first healthy racks in name order with room"
    PLACED_RANDOM = "healthy racks with room, in an order drawn from the seed and the request"
    WAIT_FOR_TRAYS = "not enough free trays on healthy racks"
    LARGER_THAN_HALL = "more trays asked for than the hall has"


@dataclass(frozen=True)
class Placement:
    """Put a request on these racks: (rack name, trays) pairs."""

    request: str
    racks: tuple[tuple[str, int], ...]
    reason: Reason


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
