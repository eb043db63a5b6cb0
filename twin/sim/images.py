"""Which build of a service, or of the images of a kind of job, stands on which rack.

A replica or a job starts with the build that all of its racks have; where they differ, with the one that was everywhere
before. What runs goes on as it started until it is started again.
"""

from collections.abc import Iterable

from twin.workload.jobs import Build


class Images:
    """Builds by what they are of: the name of a service, or a kind of job such as ``training``."""

    def __init__(self) -> None:
        self._on: dict[str, dict[int, Build]] = {}
        self._everywhere: dict[str, Build] = {}

    @property
    def any(self) -> bool:
        """Whether there is any build but those of the run's beginning."""
        return bool(self._on) or bool(self._everywhere)

    def put(self, work: str, rack: int, build: Build) -> None:
        """Put a build on a rack, in place of what was put there before."""
        self._on.setdefault(work, {})[rack] = build

    def take(self, work: str, rack: int) -> None:
        """Take off what was put on a rack: it has the build that is everywhere again."""
        self._on.get(work, {}).pop(rack, None)

    def spread(self, work: str, build: Build) -> None:
        """Make a build the one that is everywhere."""
        self._everywhere[work] = build
        self._on.pop(work, None)

    def of(self, work: str, racks: Iterable[int]) -> Build | None:
        """The build that something on ``racks`` starts with; None for the one of the run's beginning."""
        on = self._on.get(work)
        found = {on.get(rack) for rack in racks} if on else {None}
        mine = found.pop() if len(found) == 1 else None
        return self._everywhere.get(work) if mine is None else mine
