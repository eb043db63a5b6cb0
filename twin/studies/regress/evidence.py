"""Is it worse? Exact tests of paired differences, and how chance is shared out among them.

The unit is a world: a recording, a block of minutes of an incident, or a pair of runs. Decisions within one are not
independent, and are not treated as if they were. A claim of *worse* tests the mean of ``d − tolerance`` by flipping
signs (Fisher's randomization: exact where the differences are symmetric about their mean; counted in full up to 12
worlds, from there on drawn from a fixed seed); *not worse* tests ``tolerance − d`` likewise. The chance of a false
alarm is divided by the number of claims that could be made (Bonferroni: guards × groups of recordings, guards × looks
at worlds), so it stays below its level whatever hangs together with what.
To clear a candidate every guard has to be cleared over all worlds, so that nothing is divided there but by the looks,
each of which may clear.

Flipped signs take every world without a difference for evidence of the same weight, which is wrong of harm that is rare
and heavy. Let a world lose five times the tolerance with a chance of a fifth, which is the tolerance on average: of 20
worlds one or none shows it in 7 of 100 studies, and flipped signs then give p = 0.005. So *not worse* has to pass a
second test, of how many worlds were harmed beyond the tolerance (:func:`rare_p`). Of harm that no world shows neither
says anything: what befalls fewer than ``1 − α^(1/n)`` of the worlds shows in none of n with a chance above α (14 % of
20 worlds, at 5 %). A guard is cleared of harm that is no rarer.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from twin.studies.intervals import Difference, paired_difference

RESAMPLES = 49_999
FULL = 12  # worlds up to which all signs are tried
ROUNDED = 9  # digits to which differences are rounded: sums in another order are the same
ALL = "all"  # group of all worlds


def flipped_p(differences: ArrayLike) -> float:
    """One-sided p of a mean above 0 under flipped signs; 1 for no differences.

    Sums that equal the observed one count as reaching it. Drawn signs add one to numerator and denominator, so that p
    is valid and never 0 (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    values = np.round(np.asarray(differences, dtype=np.float64), ROUNDED)
    values = values[values != 0.0]
    count = len(values)
    if not count:
        return 1.0
    observed = float(values.sum())
    slack = 1e-9 * float(np.abs(values).sum())
    if count <= FULL:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float((signs @ values >= observed - slack).mean())
    if (values > 0.0).all():
        return float(max(0.5**count, 1e-300))
    drawn = _signs(count).astype(np.float64) @ np.sort(values)  # sorted: the order of the worlds does not matter
    return float((1 + (drawn >= observed - slack).sum()) / (RESAMPLES + 1))


def rare_p(worse_by: ArrayLike, tolerance: float) -> float:
    """p of *harm is not worse than its tolerance on average*, by the number of worlds harmed beyond it.

    Let k of n worlds be worse by more than the tolerance t, by h on average, and the others by r ≤ t. Harm of these two
    sizes is t on average where it befalls a share ``q = (t − r)/(h − r)`` of worlds; p is the chance that k worlds or
    fewer show it then, of the binomial distribution. It is large where few of few worlds are harmed heavily, however
    many show nothing. 0 where no world is harmed beyond the tolerance: of what is not seen it says nothing.
    """
    values = np.round(np.asarray(worse_by, dtype=np.float64), ROUNDED)
    harmed = values > tolerance
    count = int(harmed.sum())
    if count == 0:
        return 0.0
    if count == len(values):
        return 1.0
    heavy, rest = float(values[harmed].mean()), float(values[~harmed].mean())
    return float(stats.binom.cdf(count, len(values), (tolerance - rest) / (heavy - rest)))


@lru_cache(maxsize=4)
def _signs(count: int) -> NDArray[np.int8]:
    return (1 - 2 * np.random.default_rng(count).integers(0, 2, size=(RESAMPLES, count), dtype=np.int8)).astype(np.int8)


@dataclass(frozen=True)
class Finding:
    """One guard in one group of worlds: how much worse the candidate is, against its tolerance, and how sure that is.

    ``worse`` and ``fine`` are claims at their levels; neither means that it cannot be told yet. ``p_fine`` is the
    greater of the two tests' of *not worse*: it may be believed of harm that most worlds share, and of rare harm that
    some world showed. It says nothing of harm that no world showed.
    """

    tier: str
    guard: str
    group: str
    baseline: float
    candidate: float
    difference: Difference  # of worse, so below 0 is better; interval of 95 %
    tolerance: float
    unit: str
    p_worse: float
    p_fine: float
    worse: bool
    fine: bool
    reason: str

    @property
    def word(self) -> str:
        """Its outcome in a word."""
        return "worse" if self.worse else "fine" if self.fine else "not told"


def judge_guard(
    baseline: ArrayLike,
    candidate: ArrayLike,
    *,
    tier: str,
    guard: str,
    group: str,
    tolerance: float,
    unit: str,
    reason: str,
    less_is_worse: bool,
    alarm_level: float,
    miss_level: float,
) -> Finding:
    """What paired worlds say of one guard; ``alarm_level`` is this claim's own share of the false alarms."""
    a, b = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    order = (b, a) if less_is_worse else (a, b)
    difference = paired_difference(*order)
    worse_by = order[1] - order[0]
    p_worse = flipped_p(worse_by - tolerance)
    p_fine = max(flipped_p(tolerance - worse_by), rare_p(worse_by, tolerance))
    return Finding(
        tier, guard, group, float(a.mean()), float(b.mean()), difference, tolerance, unit, p_worse, p_fine,
        worse=p_worse <= alarm_level and float(worse_by.mean()) > tolerance,
        fine=p_fine <= miss_level,
        reason=reason,
    )  # fmt: skip
