"""Confidence intervals that studies share: a proportion, a mean of pairs, a relative change of two totals.

What is the same in every run gives the same interval: the order of the pairs does not matter, and the resampling of
the bootstrap is seeded.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.95
RESAMPLES = 9999
FEWEST_PAIRS = 2
#: pairs from which on a bootstrap is used. Of 400 samples of normal, exponential, zero-inflated and rare differences,
#: BCa intervals of 5 to 12 pairs held the mean of a normal in 87 to 91 % where 95 % were asked for, Student's in 95 %;
#: from 20 on BCa is within 3 points of Student's there and up to 6 nearer to what is asked for skewed differences.
BOOTSTRAP_PAIRS = 20

STUDENT = "t"
BCA = "BCa"
EQUAL = "equal"
NONE = "none"


@dataclass(frozen=True)
class Interval:
    """A confidence interval of ``level``, from ``low`` to ``high``, about ``estimate``. NaN ends: it cannot be told."""

    estimate: float
    low: float
    high: float
    level: float
    method: str

    @property
    def told(self) -> bool:
        """Whether there is an interval at all."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside of it; False where it cannot be told."""
        return self.told and not self.low <= value <= self.high


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences ``b - a``, its interval, and why that kind of interval was taken.

    ``method`` is ``t`` (Student), ``BCa`` (bootstrap), ``equal`` (every pair differs by the same, so that there is no
    spread to go by; the ends are the mean) or ``none`` (fewer than two pairs; the ends are NaN).
    """

    mean: float
    low: float
    high: float
    level: float
    pairs: int
    method: str
    why: str

    @property
    def told(self) -> bool:
        """Whether there is an interval that rests on a spread."""
        return self.method in (STUDENT, BCA)

    def excludes(self, value: float = 0.0) -> bool:
        """Whether the interval lies to one side of ``value``; False where there is none."""
        return self.told and not self.low <= value <= self.high


def exact_interval(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Clopper and Pearson's interval of a proportion: it holds the true one with at least ``level``, whatever that is.

    Raises ValueError for no trials, or successes that are not among them.
    """
    _check_level(level)
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials}: give at least one trial, and successes among the trials")
    found = stats.binomtest(int(successes), int(trials)).proportion_ci(level, method="exact")
    return Interval(successes / trials, float(found.low), float(found.high), level, "Clopper-Pearson")


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = LEVEL, seed: int = 0) -> Difference:
    """The mean of ``b - a`` over pairs and its two-sided interval of ``level``.

    Student's t below :data:`BOOTSTRAP_PAIRS` pairs, from there on the BCa bootstrap of 9,999 resamples drawn from
    ``seed`` (Efron 1987, doi:10.1080/01621459.1987.10478410), which follows the skew of rare events.

    Raises ValueError when the two are not sequences of the same length, empty, or hold what is not finite.
    """
    _check_level(level)
    first, second = _pairs(a, b)
    # sorted, so that the resamples do not depend on the order in which runs are listed
    differences = np.sort(second - first)
    count = len(differences)
    mean = math.fsum(differences) / count

    def made(low: float, high: float, method: str, why: str) -> Difference:
        return Difference(mean, low, high, level, count, method, why)

    if count < FEWEST_PAIRS:
        return made(math.nan, math.nan, NONE, "one pair has no spread: give more seeds")
    if _alike(differences, first, second):
        most = 1.0 - (1.0 - level) ** (1.0 / count)
        why = f"all {count} pairs differ by the same; a share of up to {most:.0%} of worlds may be otherwise"
        return made(mean, mean, EQUAL, why)
    if count >= BOOTSTRAP_PAIRS:
        ends = _bca(differences, level, seed)
        if ends is not None:
            return made(*ends, BCA, f"{count} pairs: the bootstrap follows their skew")
    low, high = stats.t.interval(level, count - 1, loc=mean, scale=stats.sem(differences))
    why = f"{count} pairs: with fewer than {BOOTSTRAP_PAIRS} a bootstrap is too narrow"
    return made(float(low), float(high), STUDENT, why if count < BOOTSTRAP_PAIRS else "the bootstrap is degenerate")


def relative_change(a: ArrayLike, b: ArrayLike, level: float = LEVEL, seed: int = 0) -> Interval:
    """Change from the total of ``a`` to that of ``b``, relative to the former (-0.9: nine tenths less), over pairs.

    Percentile bootstrap over the pairs. The ends are NaN (it cannot be told) below :data:`BOOTSTRAP_PAIRS` pairs; where
    ``a`` is so often 0 that more than one resample in a thousand has none of it; and where ``b`` is always 0, which no
    resample would doubt. A ratio of rare events says little: the difference says what there is.

    Raises ValueError as :func:`paired_difference`.
    """
    _check_level(level)
    first, second = _pairs(a, b)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    total = math.fsum(first)
    estimate = math.fsum(second) / total - 1.0 if total > 0.0 else math.nan
    if len(first) < BOOTSTRAP_PAIRS or total <= 0.0 or not second.any():
        return Interval(estimate, math.nan, math.nan, level, NONE)
    drawn = np.random.default_rng(seed).integers(len(first), size=(RESAMPLES, len(first)))
    below, above = first[drawn].sum(axis=1), second[drawn].sum(axis=1)
    kept = below > 0.0
    if (~kept).mean() > 1e-3:
        return Interval(estimate, math.nan, math.nan, level, NONE)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(above[kept] / below[kept] - 1.0, [tail, 1.0 - tail])
    return Interval(estimate, float(low), float(high), level, "percentile bootstrap")


def _bca(differences: NDArray[np.float64], level: float, seed: int) -> tuple[float, float] | None:
    """Ends of the BCa interval of the mean; None where its correction is not defined."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # what is returned says it
        found = stats.bootstrap(
            (differences,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    ends = float(found.low), float(found.high)
    return ends if all(map(math.isfinite, ends)) else None


def _alike(differences: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether the differences are one number but for the rounding of the subtraction."""
    size = max(float(np.abs(a).max()), float(np.abs(b).max()))
    return float(np.ptp(differences)) <= 4.0 * float(np.finfo(float).eps) * size


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"{first.shape} and {second.shape} values: give two sequences of the same length, not empty")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite: leave out the pairs that have none")
    return first, second


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level = {level}: give a share between 0 and 1, such as 0.95")
