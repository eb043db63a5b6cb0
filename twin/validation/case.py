"""What a case is: a source, a way to obtain numbers from the plant, and the range that each must lie in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a check can tell. Only the first two count as evidence, and only where nothing was fitted to them."""

    CONFORMANCE = "conformance"  # the limits of a standard
    EMPIRICAL = "empirical"  # what somebody measured and the model could miss
    IDENTITY = "identity"  # holds by construction, if the code does what it says
    PLAUSIBILITY = "plausibility"  # the order of magnitude that a source tells
    CALIBRATION = "calibration"  # judged on what it was fitted to


EVIDENCE = (Kind.CONFORMANCE, Kind.EMPIRICAL)


@dataclass(frozen=True)
class Check:
    """One number that a case must give, and the range that is expected of it.

    ``low`` and ``high`` belong to the range, unless it is ``exclusive``.
    """

    kind: Kind
    quantity: str
    unit: str
    low: float = -math.inf
    high: float = math.inf
    exclusive: bool = False

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies in the range; NaN never does, nor infinity, which stands for never."""
        inside = self.low < value < self.high if self.exclusive else self.low <= value <= self.high
        return math.isfinite(value) and inside

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        low, high = f"{self.low:.6g}", f"{self.high:.6g}"
        if self.low == -math.inf:
            return f"{'below' if self.exclusive else 'at most'} {high}{unit}"
        if self.high == math.inf:
            return f"{'above' if self.exclusive else 'at least'} {low}{unit}"
        if self.low == self.high:
            return f"{low}{unit}"
        return f"{'between ' if self.exclusive else ''}{low} {'and' if self.exclusive else 'to'} {high}{unit}"


@dataclass(frozen=True)
class Case:
    """One row of the table of cases.

    ``source`` names document and clause; ``confidence`` is how its figure was seen (P primary source, S secondary, M
    general knowledge, C computed from quoted inputs). ``obtain`` returns one number per check, infinite for what never
    happens. ``fitted`` says what was calibrated, or chosen with the source in view.
    """

    name: str
    source: str
    confidence: str
    statement: str
    checks: tuple[Check, ...]
    obtain: Callable[[], Sequence[float]]
    fitted: str = "nothing"


@dataclass(frozen=True)
class Row:
    """One check, judged."""

    case: Case
    letter: str  # "" for a case with one check
    check: Check
    obtained: float

    @property
    def name(self) -> str:
        return self.case.name + self.letter

    @property
    def passed(self) -> bool:
        return self.check.holds(self.obtained)


def judge(case: Case) -> list[Row]:
    """Obtain a case's numbers and hold each against its range."""
    values = case.obtain()
    letters = [chr(ord("a") + place) for place in range(len(case.checks))] if len(case.checks) > 1 else [""]
    return [
        Row(case, letter, check, float(value))
        for letter, check, value in zip(letters, case.checks, values, strict=True)
    ]
