"""Tests of paired differences: against scipy's permutation test, by hand, and by how often they are wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from twin.studies.regress.evidence import Finding, flipped_p, judge_guard, rare_p
from twin.studies.regress.told import figure


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


@pytest.mark.parametrize(
    ("harmed", "loss", "others", "word"),
    [
        (0, 5.0, 0.0, "fine"),
        (1, 5.0, 0.0, "not told"),  # a fifth of the worlds would be tolerable: 0.8^20 + 20 × 0.2 × 0.8^19 = 0.069
        (1, 4.0, 0.0, "fine"),  # a quarter would be: 0.75^20 + 20 × 0.25 × 0.75^19 = 0.024
        (1, 5.0, -1.0, "fine"),  # the others got better by 1: a third would be
        (2, 3.0, 0.0, "fine"),  # a third: 0.018
        (3, 3.0, 0.0, "not told"),  # and 0.060
    ],
)
def test_rare_and_heavy_harm_is_cleared_by_how_many_worlds_show_it(harmed, loss, others, word) -> None:
    """Losses in some of 20 worlds, and a tolerance of 1 on average."""
    found = guard([0.0] * 20, [loss] * harmed + [others] * (20 - harmed))
    assert found.word == word
    tolerable = (1.0 - others) / (loss - others)
    seen = [math.comb(20, k) * tolerable**k * (1.0 - tolerable) ** (20 - k) for k in range(harmed + 1)]
    if harmed:
        assert rare_p([loss] * harmed + [others] * (20 - harmed), 1.0) == pytest.approx(sum(seen), rel=1e-12)
    assert flipped_p([1.0 - loss] * harmed + [1.0 - others] * (20 - harmed)) < 0.05  # which would clear them all


def test_rare_harm_at_its_tolerance_is_cleared_as_rarely_as_promised() -> None:
    """A fifth of the worlds loses five times the tolerance: over all counts that 20 worlds may show, exactly."""
    cleared = sum(
        stats.binom.pmf(count, 20, 0.2)
        for count in range(21)
        if guard([0.0] * 20, [5.0] * count + [0.0] * (20 - count)).fine
    )
    assert 0.0 < cleared <= 0.05


def test_the_ends_of_rare_harm() -> None:
    assert rare_p([0.0, 1.0, 1.0], 1.0) == 0.0  # nobody is beyond the tolerance
    assert rare_p([2.0, 3.0], 1.0) == 1.0  # everybody is
    assert rare_p([2.0, 1.0, 1.0], 1.0) == 1.0  # none may be, where the others are at the tolerance
    assert rare_p([], 1.0) == 0.0


def test_what_rounding_leaves_is_told_as_nothing_and_a_small_share_as_it_is():
    assert [figure(each) for each in (-2.8e-9, 0.0, 0.00012, -0.5, float("nan"))] == ["0", "0", "0.00012", "-0.5", "–"]
