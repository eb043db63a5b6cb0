"""Tests of paired differences: against scipy's permutation test, by hand, and by how often they are wrong."""

import numpy as np
import pytest
from scipy import stats

from twin.studies.regress.evidence import Finding, flipped_p, judge_guard


@pytest.mark.parametrize("count", [5, 9, 12])
def test_all_signs_are_counted_as_scipy_counts_them(count: int) -> None:
    values = np.random.default_rng(count).normal(0.4, 1.0, count).round(3)
    theirs = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert flipped_p(values) == pytest.approx(theirs.pvalue, rel=1e-12)


def test_drawn_signs_come_near_to_all_of_them() -> None:
    values = np.concatenate([np.random.default_rng(3).normal(0.5, 1.0, 15)])
    signs = 1.0 - 2.0 * ((np.arange(2**15)[:, None] >> np.arange(15)) & 1)
    exact = float((signs @ values >= values.sum() - 1e-12).mean())
    assert flipped_p(values) == pytest.approx(exact, abs=4.0 * np.sqrt(exact * (1.0 - exact) / 49_999))


@pytest.mark.parametrize(
    ("values", "p"),
    [([1.0, 1.0, 1.0], 1 / 8), ([0.0, 0.0], 1.0), ([], 1.0), ([1.0, -1.0], 3 / 4), ([0.5] * 20, 0.5**20)],
)
def test_small_samples_by_hand(values: list[float], p: float) -> None:
    assert flipped_p(values) == p


def guard(baseline: list[float], candidate: list[float], **changes: object) -> Finding:
    given: dict[str, object] = {
        "tier": "decisions", "guard": "bad", "group": "all", "tolerance": 1.0, "unit": "trays", "reason": "because",
        "less_is_worse": False, "alarm_level": 0.01, "miss_level": 0.05,
    }  # fmt: skip
    return judge_guard(baseline, candidate, **{**given, **changes})  # type: ignore[arg-type]


def test_worse_fine_and_not_told() -> None:
    zeros = [0.0] * 8
    assert guard(zeros, [3.0] * 8).word == "worse"
    assert guard(zeros, zeros).word == "fine"
    assert guard(zeros, [0.9] * 8).word == "fine"  # worse, and within its tolerance
    assert guard(zeros, [5.0, -5.0] * 4).word == "not told"
    assert guard(zeros[:3], [3.0] * 3).word == "not told"  # three worlds prove nothing


def test_less_may_be_what_is_worse() -> None:
    more, less = [10.0] * 8, [7.0] * 8
    assert guard(more, less, less_is_worse=True).word == "worse"
    assert guard(more, less).word == "fine"
    assert guard(more, less, less_is_worse=True).difference.mean == 3.0


def test_claims_of_what_is_not_worse_stay_below_their_level() -> None:
    """Differences without an effect, of which most are 0 and some large: claims are as rare as they should be."""
    rng = np.random.default_rng(1)
    claims = sum(flipped_p(rng.choice([0.0, 0.0, 1.0, -1.0, 8.0, -8.0], size=11) - 0.0) <= 0.05 for _ in range(400))
    assert claims <= stats.binom.ppf(0.999, 400, 0.05)
