"""How often verdicts agree with the truth, with intervals. Bad builds are the positive ones; a build that is not
promoted counts as called bad.

``balanced accuracy = (TP/(TP + FN) + TN/(TN + FP))/2``; ``MCC = (TP·TN − FP·FN)/√((TP+FP)(TP+FN)(TN+FP)(TN+FN))``
(Matthews, Biochim. Biophys. Acta 405(2), 1975), 0 where a factor is. Rates and balanced accuracy have exact
intervals; a paired difference is resampled over builds, the same builds for both sides of the pair.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from twin.studies.intervals import LEVEL, RESAMPLES, Interval, exact_interval

Bools = NDArray[np.bool_]
UNTOLD = Interval(math.nan, math.nan, math.nan, LEVEL, "none")


@dataclass(frozen=True)
class Confusion:
    """Counts of verdicts by truth."""

    true_positives: int  # bad and not promoted
    false_negatives: int  # bad and promoted
    false_positives: int  # good and not promoted
    true_negatives: int  # good and promoted

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the shares of bad and of good builds that are told right; NaN without one kind."""
        bad, good = self.true_positives + self.false_negatives, self.true_negatives + self.false_positives
        return (self.true_positives / bad + self.true_negatives / good) / 2.0 if bad and good else math.nan

    @property
    def mcc(self) -> float:
        """Matthews' correlation coefficient."""
        tp, fn, fp, tn = self.true_positives, self.false_negatives, self.false_positives, self.true_negatives
        scale = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        return (tp * tn - fp * fn) / scale if scale else 0.0

    @property
    def accuracy(self) -> float:
        """Share told right."""
        total = self.true_positives + self.false_negatives + self.false_positives + self.true_negatives
        return (self.true_positives + self.true_negatives) / total if total else math.nan

    @property
    def false_positive_rate(self) -> Interval:
        """Share of the good builds that are not promoted."""
        return rate(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def false_negative_rate(self) -> Interval:
        """Share of the bad builds that are promoted."""
        return rate(self.false_negatives, self.false_negatives + self.true_positives)


def rate(count: int, of: int) -> Interval:
    """A share with its exact interval; told by nothing where there are none."""
    return exact_interval(count, of) if of else UNTOLD


def confusion(bad: Bools, called: Bools) -> Confusion:
    """Counts from truth and call, shape (N,) each."""
    return Confusion(
        int((bad & called).sum()), int((bad & ~called).sum()), int((~bad & called).sum()), int((~bad & ~called).sum())
    )


def _resampled(bad: Bools, calls: list[Bools], seed: int) -> list[NDArray[np.float64]]:
    """Balanced accuracy of each call in resamples of the builds, the same ones for all; good and bad apart, so that
    every resample has both."""
    rng = np.random.default_rng(seed)
    found = [np.zeros(RESAMPLES) for _ in calls]
    for side, right in ((bad, True), (~bad, False)):
        places = np.flatnonzero(side)
        drawn = places[rng.integers(len(places), size=(RESAMPLES, len(places)))]
        for total, call in zip(found, calls, strict=True):
            total += (call == right)[drawn].mean(axis=1) / 2.0
    return found


def _ends(estimate: float, drawn: NDArray[np.float64]) -> Interval:
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(estimate, float(low), float(high), LEVEL, "percentile bootstrap")


def balanced_interval(bad: Bools, called: Bools) -> Interval:
    """Balanced accuracy with its interval; told by nothing without good or without bad builds.

    The ends are the means of the ends of both shares' exact intervals, each of which errs half as often: resampling
    would give a point where no build, or every one, is told right.
    """
    if bad.all() or not bad.any():
        return UNTOLD
    each = 1.0 - (1.0 - LEVEL) / 2.0
    sides = [
        exact_interval(int((called[side] == truth).sum()), int(side.sum()), each)
        for side, truth in ((bad, True), (~bad, False))
    ]
    low, high = (sum(getattr(side, end) for side in sides) / 2.0 for end in ("low", "high"))
    return Interval(confusion(bad, called).balanced_accuracy, low, high, LEVEL, "Clopper-Pearson of both shares")


def balanced_difference(bad: Bools, called: Bools, reference: Bools, seed: int = 0) -> Interval:
    """Balanced accuracy of a call less that of a reference on the same builds, with its interval."""
    if bad.all() or not bad.any():
        return UNTOLD
    ours, theirs = _resampled(bad, [called, reference], seed)
    estimate = confusion(bad, called).balanced_accuracy - confusion(bad, reference).balanced_accuracy
    return _ends(estimate, ours - theirs)


def mcnemar(bad: Bools, called: Bools, reference: Bools) -> tuple[int, int, float]:
    """Builds that only the call told right, those that only the reference did, and the exact two-sided p of equal
    chances (McNemar, Psychometrika 12(2), 1947): 1 where they never differ."""
    ours, theirs = called == bad, reference == bad
    better, worse = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    if better + worse == 0:
        return 0, 0, 1.0
    return better, worse, float(stats.binomtest(better, better + worse, 0.5).pvalue)
