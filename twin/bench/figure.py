"""A measured figure, what is asked of it, and the verdict."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a value is worth against its limits."""

    AIM = "meets aim"
    MUST = "meets must"
    MISSED = "misses"
    NONE = ""  # nothing is asked


@dataclass(frozen=True)
class Asked:
    """What a figure is called and what is asked of it. ``least`` turns the limits round: they are to be reached."""

    figure: str
    unit: str
    must: float | None = None
    aim: float | None = None
    least: bool = False

    def verdict(self, value: float) -> Verdict:
        """The verdict on a value."""
        if self.must is None:
            return Verdict.NONE
        if self._within(value, self.aim):
            return Verdict.AIM
        return Verdict.MUST if self._within(value, self.must) else Verdict.MISSED

    def _within(self, value: float, limit: float | None) -> bool:
        return limit is not None and (value >= limit if self.least else value <= limit)

    def limit(self, value: float | None) -> str:
        """A limit as people read it."""
        return "" if value is None else f"{'≥' if self.least else '≤'} {value:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Measured:
    """Values of a figure, one per run."""

    asked: Asked
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> Verdict:
        return self.asked.verdict(self.value)

    def plain(self) -> dict[str, str | float | None]:
        """As JSON has it."""
        asked = self.asked
        return {
            "figure": asked.figure, "value": self.value, "unit": asked.unit, "must": asked.must, "aim": asked.aim,
        }  # fmt: skip


def gathered(asked: Sequence[Asked], runs: Sequence[Sequence[float]]) -> list[Measured]:
    """The figures of a measurement from its runs, each of which gave one value for every figure."""
    return [Measured(each, tuple(values)) for each, values in zip(asked, zip(*runs, strict=True), strict=True)]
