"""Where a flag or a response holds: one rack, row, loop, service, or the hall."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """Kinds of place, the smallest first. Actions are ordered by it."""

    RACK = "rack"
    ROW = "row"
    LOOP = "loop"
    HALL = "hall"
    SERVICE = "service"


RANK = {level: rank for rank, level in enumerate(Level)}

#: the narrower of two scopes comes first; a service may be spread over the hall, but is what its owner runs
NARROWEST = (Level.SERVICE, Level.RACK, Level.LOOP, Level.ROW, Level.HALL)

ANY = "*"  # as a name: every place of its level


@dataclass(frozen=True)
class Scope:
    """A place, or with the name ``*`` every place of a level."""

    level: Level
    name: str

    def __str__(self) -> str:
        return f"{self.level}/{self.name}"

    @property
    def order(self) -> tuple[int, str]:
        """What scopes are sorted by: the level, then the name."""
        return RANK[self.level], self.name

    def holds(self, other: "Scope") -> bool:
        """Whether ``other`` is this place or one of these places."""
        return self.level == other.level and self.name in (ANY, other.name)


def scope_of(text: str) -> Scope:
    """A scope written as ``rack/B-17`` or ``rack/*``. Raises ValueError on anything else."""
    level, slash, name = text.strip().partition("/")
    if not slash or not name.strip() or level not in RANK:
        raise ValueError(f"'{text}' is no scope; write such as rack/B-17, loop/* or hall/*")
    return Scope(Level(level), name.strip())


def scopes_of(context: Mapping[str, Any]) -> tuple[Scope, ...]:
    """The places that a context names, such as ``{"rack": "B-17", "row": "B"}``, narrowest first."""
    return tuple(
        Scope(level, context[level]) for level in NARROWEST if isinstance(context.get(level), str) and context[level]
    )
