"""Intervals against their closed forms and published tables, and against how often they hold the truth."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from twin.studies.intervals import BCA, EQUAL, NONE, STUDENT, exact_interval, paired_difference, relative_change


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 20, 0.0, 1.0 - 0.025 ** (1 / 20)),  # closed form at the ends
        (20, 20, 0.025 ** (1 / 20), 1.0),
        (1, 10, 0.002529, 0.445016),  # tables of Clopper and Pearson (1934)
        (81, 263, 0.252719, 0.367651),  # Newcombe (1998), table I: 0.2527, 0.3676
    ],
)
def test_exact_interval_of_a_proportion(successes: int, trials: int, low: float, high: float) -> None:
    found = exact_interval(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert found.estimate == successes / trials


def test_students_interval_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1/√3, and t of 2 degrees is 4.302653."""
    found = paired_difference([5.0, 5.0, 5.0], [6.0, 7.0, 8.0])
    half = 4.3026527 / math.sqrt(3.0)
    assert found.method == STUDENT and found.pairs == 3
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert not found.excludes() and found.excludes(7.0)


def test_bootstrap_is_scipys_whatever_the_order() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=24), rng.exponential(size=24)
    found = paired_difference(a, b, seed=3)
    expected = stats.bootstrap(
        (np.sort(b - a),), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(3)
    ).confidence_interval
    assert found.method == BCA
    assert (found.low, found.high) == (expected.low, expected.high)
    order = rng.permutation(24)
    assert paired_difference(a[order], b[order], seed=3) == found


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    for pairs in (6, 20):
        held = sum(
            not paired_difference(np.zeros(pairs), rng.normal(0.5, 1.0, pairs), seed=1).excludes(0.5)
            for _ in range(120)
        )
        assert held >= stats.binom(120, 0.92).ppf(0.001)


def test_no_spread_is_no_certainty() -> None:
    found = paired_difference([0.0] * 20, [0.0] * 20)
    assert (found.method, found.mean, found.told, found.excludes(1.0)) == (EQUAL, 0.0, False, False)
    assert "14 %" in found.why.replace("14%", "14 %")  # 1 - 0.05^(1/20)
    assert paired_difference([0.1, 0.3], [0.4, 0.6]).method == EQUAL  # but for rounding
    alone = paired_difference([1.0], [2.0])
    assert alone.method == NONE and math.isnan(alone.low) and alone.mean == 1.0


def test_relative_change() -> None:
    a = np.arange(1.0, 25.0)
    found = relative_change(a, a / 10.0)
    assert (found.estimate, found.low, found.high) == pytest.approx((-0.9, -0.9, -0.9))
    noisy = relative_change(a, a * np.random.default_rng(2).uniform(0.0, 0.4, len(a)))
    assert noisy.told and noisy.low < -0.8 < noisy.high and noisy.high - noisy.low < 0.2


def test_a_ratio_of_rare_events_is_not_told() -> None:
    rare = relative_change([0.0] * 19 + [1.0], [0.0] * 19 + [0.5])
    assert rare.estimate == -0.5 and not rare.told  # a third of the resamples have no event
    assert not relative_change([1.0] * 20, [0.0] * 20).told  # none seen is not none possible
    assert not relative_change([1.0, 2.0], [1.0, 1.0]).told  # two pairs
    assert math.isnan(relative_change([0.0, 0.0], [1.0, 0.0]).estimate)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [([], [], "not empty"), ([1.0], [1.0, 2.0], "same length"), ([math.nan], [1.0], "not finite")],
)
def test_what_is_no_pairs_is_refused(a: list[float], b: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paired_difference(a, b)


def test_what_is_no_proportion_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        exact_interval(3, 2)
    with pytest.raises(ValueError, match="level = 95"):
        exact_interval(1, 2, level=95)


def test_where_the_bootstrap_says_nothing_students_t_does_and_nobody_is_warned():
    a, b = [0.0] * 25, [0.0] * 24 + [1e-110]  # its square, which the acceleration needs, is nothing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired_difference(a, b)
    assert found.method == STUDENT and found.why == "the bootstrap is degenerate" and math.isfinite(found.high)
