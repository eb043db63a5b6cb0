"""Who caused a change, and what was measured when it was caused."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """In which capacity a flag is changed. ``policy`` is the software itself; all others are people."""

    POLICY = "policy"
    OPERATOR = "operator"
    ON_CALL = "on_call"
    FACILITIES = "facilities"
    PLATFORM = "platform"
    RELEASE = "release"


@dataclass(frozen=True)
class Author:
    """Who did it: a role and an identity, such as operator and an account name."""

    role: Role
    identity: str

    @property
    def is_person(self) -> bool:
        """Whether a person did it, rather than the policy."""
        return self.role is not Role.POLICY


class Comparison(StrEnum):
    """On which side of its limit a signal is out of order."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True)
class Trigger:
    """What was measured against which limit. Values are in the unit that the signal's name ends with."""

    rule: str
    signal: str
    comparison: Comparison
    limit: float
    value: float
    dwell_seconds: float  # asked for
    held_seconds: float  # seen, on the sensor's time stamps
    measured_seconds: float  # time stamp of the value

    def __str__(self) -> str:
        return (
            f"{self.signal} {self.value:g} {self.comparison} {self.limit:g} for {self.held_seconds:g} s "
            f"(asked: {self.dwell_seconds:g} s)"
        )
