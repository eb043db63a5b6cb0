"""What a canary trial is made of: metrics with margins, the design, windows, readings per rack, and the verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.documents import build, listed
from twin.policy.permutation import DRAWS, EXACT_AT_MOST, count_relabellings
from twin.policy.spending import Spending, Spent

Floats = NDArray[np.float64]


class Outcome(StrEnum):
    """What the judge says of a release."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Finding(StrEnum):
    """Why a verdict is what it is; the sentences are what an audit quotes."""

    HARM_SHOWN = "harm above the margin is shown"
    HARM_BOUNDED = "the upper bound of harm is below the margin"
    NOT_BOUNDED = "neither harm above the margin nor its absence is shown"
    CANARY_MISSING = "a canary rack has no reading that counts, so this cannot pass"
    CONTROLS_MISSING = "more control racks have no reading that counts than may be left out, so this cannot pass"
    FEW_CANARIES = "fewer canary racks than the design asks for, so this cannot pass"
    FEW_CONTROLS = "with so few controls there is one look at one metric"
    NOTHING_LEFT = "no canary rack or no control rack has readings that count"
    NO_LEVEL = "this look could not have failed: its level is below the smallest attainable p, so it cannot pass"


@dataclass(frozen=True)
class Metric:
    """One measure of a rack that a release may harm."""

    name: str
    unit: str
    margin: float  # of harm that is accepted, in the unit, at least 0
    worse: int = 1  # 1 where more is worse, −1 where less is
    least: float = -math.inf  # a reading below is not believed
    carried: float = 1.0  # part of a rack's reading before that is its own and is taken off the one after, 0 to 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0.0):
            raise ValueError(f"metric {self.name}: margin = {self.margin}: give a number of at least 0")
        if not 0.0 <= self.carried <= 1.0:
            raise ValueError(f"metric {self.name}: carried = {self.carried}: give a number from 0 to 1")
        if self.worse not in (1, -1):
            raise ValueError(f"metric {self.name}: worse = {self.worse}: give 1 where more is worse, −1 where less is")


@dataclass(frozen=True)
class Design:
    """How a canary is judged. The first metric is the primary one."""

    metrics: tuple[Metric, ...]
    canaries: int = 3
    controls: int = 24
    alpha: float = 0.02  # chance that a harmless release fails, one-sided, over all looks and metrics
    beta: float = 0.05  # chance that a harmful release passes, over all looks
    primary_weight: float = 0.5  # part of the level that the primary metric has, where there are others
    spending: Spending = Spending.OBRIEN_FLEMING
    controls_spared: int = 0  # controls that may lack readings and still leave a pass possible
    exact_at_most: int = EXACT_AT_MOST
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        wrong = [
            *(["metrics: give at least one, the primary one first"] if not names else []),
            *([f"metrics: {names} has a name twice: rename one"] if len(set(names)) < len(names) else []),
            *(
                f"{name} = {value}: give a number above 0 and below 1"
                for name in ("alpha", "beta", "primary_weight")
                if not 0.0 < (value := getattr(self, name)) < 1.0
            ),
            *(
                f"{name} = {value}: give a whole number of at least {least}"
                for name, least in (("canaries", 1), ("controls", 1), ("controls_spared", 0), ("draws", 1))
                if (value := getattr(self, name)) < least
            ),
        ]
        if wrong:
            raise ValueError("The judge's design is refused.\n" + "\n".join(f"  {line}" for line in wrong))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Design":
        """A design from a plain mapping, ``metrics`` a list of them.

        Raises :class:`~twin.policy.documents.DocumentError` for what cannot be read, ValueError for what no design has.
        """
        items = enumerate(listed(mapping, "metrics", "judge"))
        metrics = tuple(build(Metric, item, f"judge.metrics[{place}]") for place, item in items)
        return build(cls, mapping, "judge", metrics=metrics)

    @property
    def smallest_p(self) -> float:
        """Smallest p that the design can reach, one-sided: 1/C(27, 3) = 0.034 % by default, 0.07 % two-sided."""
        count = count_relabellings(self.canaries, self.controls)
        return 1.0 / (count if count <= self.exact_at_most else self.draws + 1)


@dataclass(frozen=True)
class Window:
    """A stretch of time [s], its end not included."""

    begin_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.begin_seconds) and math.isfinite(self.end_seconds)):
            raise ValueError(f"window {self}: give finite times")
        if not self.begin_seconds < self.end_seconds:
            raise ValueError(f"window {self}: it must end after it begins")

    def __str__(self) -> str:
        return f"{self.begin_seconds:g}–{self.end_seconds:g} s"

    def overlaps(self, other: "Window") -> bool:
        """Whether the two share any time."""
        return self.begin_seconds < other.end_seconds and other.begin_seconds < self.end_seconds


@dataclass(frozen=True)
class Windows:
    """When the racks were chosen, and when they were read. Errors: ValueError where two overlap or are out of order."""

    selection: Window  # readings that chose canaries and controls
    before: Window
    after: Window

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            window: Window = getattr(self, name)
            if window.overlaps(self.selection):
                raise ValueError(
                    f"the window {name} ({window}) overlaps the one that chose the racks ({self.selection}): what made "
                    f"them be chosen would be taken for an effect. Give a window {name} after the choice"
                )
        if not self.before.end_seconds <= self.after.begin_seconds:
            raise ValueError(f"before ({self.before}) must end when after ({self.after}) begins, or sooner")


@dataclass(frozen=True)
class Readings:
    """What was read of R racks: per metric one number per rack, such as :func:`window_means`. NaN is *not known*."""

    racks: tuple[str, ...]
    canary: NDArray[np.bool_]  # R, True for canary racks, False for their controls
    before: Mapping[str, Floats]  # metric → R
    after: Mapping[str, Floats]  # metric → R
    windows: Windows

    def __post_init__(self) -> None:
        if len(set(self.racks)) < len(self.racks):
            raise ValueError("a rack is named twice: each rack is one unit, name it once")
        shapes = {len(self.canary), *(len(v) for side in (self.before, self.after) for v in side.values())}
        if shapes != {len(self.racks)}:
            raise ValueError(f"{len(self.racks)} racks, but arrays of {sorted(shapes)}: give one value per rack")


@dataclass(frozen=True)
class Evidence:
    """What one metric shows. Harm is in the metric's unit, above 0 where the release is worse than the controls."""

    metric: Metric
    estimate: float  # harm: mean change of the canary less that of the controls
    lower: float  # confidence bound at 1 − this look's level of alpha, before sharing between metrics
    upper: float  # confidence bound at 1 − this look's level of beta, inf where it has none
    p: float  # of *harm is at most the margin*: small fails
    adjusted_p: float  # shared between the metrics; 1 where the metric is not judged
    p_harm: float  # of *harm is at least the margin*: small passes
    smallest_adjusted_p: float  # that this metric could reach
    judged: bool  # False where few controls allow one metric only

    @property
    def change(self) -> float:
        """Estimated change per rack in the metric's own direction, such as watts."""
        return self.metric.worse * self.estimate

    def __str__(self) -> str:
        m = self.metric
        shares = f"p {self.p:.5f}, adjusted {self.adjusted_p:.5f}" if self.judged else f"p {self.p:.5f}, not judged"
        return (
            f"{m.name}: harm {self.estimate:.6g} {m.unit}, at most {self.upper:.6g}, margin {m.margin:g}; {shares}, "
            f"smallest attainable {self.smallest_adjusted_p:.5f}"
        )


@dataclass(frozen=True)
class JudgeState:
    """What earlier looks used, and what was decided; goes in and comes out."""

    alpha: Spent = field(default_factory=Spent)
    beta: Spent = field(default_factory=Spent)
    decided: Outcome | None = None  # pass or fail: there are no further looks


@dataclass(frozen=True)
class Verdict:
    """What the judge says, and all that it rests on."""

    outcome: Outcome
    findings: tuple[tuple[Finding, str], ...]  # sentence, and what it is about
    metrics: tuple[Evidence, ...]  # the primary one first; none where nothing could be tested
    canaries: tuple[str, ...]  # racks used
    controls: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...]  # rack, reason
    labellings: int  # counted, 0 where nothing was tested
    exact: bool
    level: float  # this look's part of alpha; 0 where it tested nothing
    beta_level: float
    looks: tuple[float, ...]  # information fractions, this look the last
    alpha_spent: float
    beta_spent: float
    windows: Windows

    @property
    def smallest_p(self) -> float:
        """Smallest attainable one-sided p of the racks used; NaN where nothing was tested."""
        return 1.0 / self.labellings if self.labellings else math.nan

    def lines(self) -> tuple[str, ...]:
        """The verdict in words, one statement a line."""
        how = "all counted" if self.exact else "drawn"
        return (
            f"{self.outcome}: " + "; ".join(f"{f} ({d})" if d else str(f) for f, d in self.findings),
            f"{len(self.canaries)} canary racks against {len(self.controls)} controls: {self.labellings} labellings, "
            f"{how}; smallest attainable p {self.smallest_p:.3%} one-sided, {min(1.0, 2 * self.smallest_p):.3%} "
            "two-sided",
            f"look {len(self.looks)} at {self.looks[-1]:.0%} of the information: level {self.level:.5f}, alpha spent "
            f"{self.alpha_spent:.5f}, beta spent {self.beta_spent:.5f}",
            f"chosen by {self.windows.selection}, before {self.windows.before}, after {self.windows.after}",
            *(str(evidence) for evidence in self.metrics),
            *(f"{rack} left out: {reason}" for rack, reason in self.excluded),
        )
