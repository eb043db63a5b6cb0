"""The permutation test against scipy and by hand, its bounds against the test they invert, and Holm by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twin.policy.permutation import crossings, drawn_relabellings, every_relabelling, holm, relabellings

RNG = np.random.default_rng(20_261_126)


def _scipy(values, canaries, alternative):
    def statistic(a, b, axis):
        return a.mean(axis=axis) - b.mean(axis=axis)

    sides = (values[:canaries], values[canaries:])
    return stats.permutation_test(sides, statistic, alternative=alternative, n_resamples=np.inf, vectorized=True).pvalue


def _tested(values, canaries=3):
    return crossings(np.asarray(values, dtype=float), canaries, every_relabelling(canaries, len(values) - canaries))


# ---------------------------------------------------------------- p values


@pytest.mark.parametrize("canaries, controls", [(2, 9), (2, 5), (3, 8), (4, 4), (3, 24)])
def test_p_is_scipys_for_any_shift(canaries, controls):
    values = RNG.normal(size=canaries + controls)
    seen = _tested(values, canaries)
    for shift in (0.0, 0.7, -1.3):
        moved = values - np.where(np.arange(len(values)) < canaries, shift, 0.0)
        assert seen.p_above(shift) == pytest.approx(_scipy(moved, canaries, "greater"), rel=1e-12)
        assert seen.p_below(shift) == pytest.approx(_scipy(moved, canaries, "less"), rel=1e-12)


def test_ties_count_as_extreme_as_in_scipy():
    values = RNG.integers(0, 3, size=12).astype(float)
    assert _tested(values).p_above(0.0) == pytest.approx(_scipy(values, 3, "greater"), rel=1e-12)
    assert _tested(values).p_below(0.0) == pytest.approx(_scipy(values, 3, "less"), rel=1e-12)


@given(st.lists(st.integers(-9, 9), min_size=9, max_size=9), st.integers(-9, 9), st.integers(-99, 99))
@settings(max_examples=60, deadline=None)
def test_tenths_tie_as_whole_numbers_do(tenths, shift, constant):
    """0.1 + 0.2 is not 0.3 in binary: what ties in whole numbers must tie in tenths, on any level."""
    whole = _tested(np.array(tenths, dtype=float))
    broken = _tested((np.array(tenths) + constant) / 10.0)
    assert broken.p_above(shift / 10.0) == whole.p_above(float(shift))
    assert broken.p_below(shift / 10.0) == whole.p_below(float(shift))


def test_two_against_two_by_hand():
    """Values 5, 3 against 1, 2. Means of the pairs: 4 seen, then 3, 3.5, 2, 2.5, 1.5: p = 1/6 for no shift.

    Swapping 5 for 1 crosses at 4, for 2 at 3; 3 for 1 at 2, for 2 at 1; both at 4 − 1.5 = 2.5.
    """
    seen = _tested([5.0, 3.0, 1.0, 2.0], 2)
    assert seen.estimate == 2.5
    assert seen.shift == pytest.approx([1.0, 2.0, 2.5, 3.0, 4.0])
    assert seen.p_above(0.0) == pytest.approx(1 / 6)
    assert seen.p_above(2.2) == pytest.approx(3 / 6)
    assert seen.p_below(3.5) == pytest.approx(2 / 6)
    assert seen.upper_bound(1 / 6) == pytest.approx(4.0)
    assert seen.upper_bound(2 / 6) == pytest.approx(3.0)
    assert seen.upper_bound(0.1) == math.inf  # p is never below 1/6
    assert seen.lower_bound(2 / 6) == pytest.approx(2.0)
    assert seen.lower_bound(0.1) == -math.inf


@pytest.mark.parametrize(
    "canaries, controls, smallest", [(3, 24, 1 / 2925), (3, 8, 1 / 165), (1, 63, 1 / 64), (4, 4, 1 / 70)]
)
def test_the_smallest_p_is_one_labelling_of_all_and_is_reached(canaries, controls, smallest):
    assert every_relabelling(canaries, controls).smallest_p == pytest.approx(smallest, rel=1e-14)
    values = RNG.normal(size=canaries + controls)
    values[:canaries] += 100.0
    assert _tested(values, canaries).p_above(0.0) == pytest.approx(smallest, rel=1e-14)


def test_equal_values_show_nothing_and_are_bounded_at_nothing():
    seen = _tested(np.full(27, 3.5))
    assert seen.estimate == 0.0
    assert seen.p_above(0.0) == seen.p_below(0.0) == 1.0
    assert seen.p_below(0.1) == pytest.approx(1 / 2925)
    assert seen.upper_bound(0.05) == seen.lower_bound(0.05) == 0.0


# ---------------------------------------------------------------- bounds


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.001, 0.02, 0.05, 0.2]))
@settings(max_examples=40, deadline=None)
def test_bounds_are_where_bisection_of_the_test_finds_them(seed, level):
    values = np.random.default_rng(seed).standard_t(3, size=15)
    seen = _tested(values)

    def edge(rejects, low, high):
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if rejects(middle) else (middle, high)
        return 0.5 * (low + high)

    if level < 1 / 455:
        assert seen.upper_bound(level) == math.inf
        assert seen.lower_bound(level) == -math.inf
    else:
        found = edge(lambda d: seen.p_below(d) <= level, -100.0, 100.0)
        assert seen.upper_bound(level) == pytest.approx(found, abs=1e-6)
        found = -edge(lambda d: seen.p_above(-d) <= level, -100.0, 100.0)
        assert seen.lower_bound(level) == pytest.approx(found, abs=1e-6)


def test_a_bound_covers_the_true_shift_as_often_as_it_says():
    """95 % bound of 3 against 12: 22 of 455 labellings may be as extreme, so that it misses with chance 22/455."""
    missed = sum(_tested(RNG.exponential(size=15)).upper_bound(0.05) < 0.0 for _ in range(2_000))
    low, high = stats.binom.interval(0.999, 2_000, 22 / 455)
    assert low <= missed <= high


# ---------------------------------------------------------------- drawn


def test_a_draw_depends_on_seed_request_and_names_and_on_no_order():
    names = [f"A-{k:02d}" for k in range(12)]
    once = drawn_relabellings(names, 3, 0, "release 1", 500)
    assert np.array_equal(once.taken, drawn_relabellings(names, 3, 0, "release 1", 500).taken)
    assert not np.array_equal(once.taken, drawn_relabellings(names, 3, 1, "release 1", 500).taken)
    assert not np.array_equal(once.taken, drawn_relabellings(names, 3, 0, "release 2", 500).taken)
    turned = drawn_relabellings(names[::-1], 3, 0, "release 1", 500)
    # the true canaries are other racks now, so that other draws are the true labelling and left out of ``taken``
    named = [frozenset(names[k] for k in column) for column in once.taken.T.tolist()]
    again = [frozenset(names[::-1][k] for k in column) for column in turned.taken.T.tolist()]
    true, other = frozenset(names[:3]), frozenset(names[-3:])
    assert [s for s in named if s != other] == [s for s in again if s != true]


def test_draws_take_each_rack_and_each_set_equally_often():
    ways = drawn_relabellings([f"A-{k}" for k in range(6)], 2, 0, "r", 15_000)
    _, counts = np.unique(np.sort(ways.taken, axis=0), axis=1, return_counts=True)
    assert len(counts) == 14
    assert counts.sum() + ways.equal - 1 == 15_000
    assert stats.chisquare([*counts, ways.equal - 1]).pvalue > 0.001


def test_a_drawn_p_is_near_the_exact_one_and_never_zero():
    values = RNG.normal(size=27) + np.where(np.arange(27) < 3, 1.0, 0.0)
    names = [f"A-{k:02d}" for k in range(27)]
    exact = _tested(values).p_above(0.0)
    drawn = crossings(values, 3, relabellings(names, 3, 0, "r", exact_at_most=100, draws=9_999))
    assert drawn.p_above(0.0) * 10_000 - 1 == pytest.approx(
        exact * 9_999, abs=4.0 * math.sqrt(9_999 * exact * (1 - exact))
    )
    far = crossings(values + np.where(np.arange(27) < 3, 100.0, 0.0), 3, relabellings(names, 3, 0, "r", 100, 999))
    assert 1 / 1_000 <= far.p_above(0.0) <= 4 / 1_000
    assert far.total == 1_000


def test_no_canary_or_no_control_is_refused():
    for canaries in (0, 4):
        with pytest.raises(ValueError, match="at least one"):
            relabellings(["A", "B", "C", "D"], canaries, 0, "r")


# ---------------------------------------------------------------- Holm


def test_holm_by_hand():
    """Sorted 0.01, 0.015, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.045, 0.06, and 0.04 raised to 0.06."""
    assert holm([0.03, 0.01, 0.04, 0.015]) == pytest.approx([0.06, 0.04, 0.06, 0.045])


def test_holm_with_weights_by_hand():
    """Weights ½, ¼, ¼. Ratios 0.04, 0.02, 0.4: first the second metric, 0.005/0.25 · 1 = 0.02; then the primary,
    0.02/0.5 · ¾ = 0.03; last the third with its own p, 0.1.
    """
    assert holm([0.02, 0.005, 0.1], [0.5, 0.25, 0.25]) == pytest.approx([0.03, 0.02, 0.1])


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_holm_is_between_the_p_and_bonferroni_and_keeps_their_order(p):
    adjusted = holm(p)
    for one, more in zip(p, adjusted, strict=True):
        assert one <= more + 1e-15
        assert more <= min(1.0, len(p) * one) + 1e-15 or more in adjusted
    assert [adjusted[k] for k in np.argsort(p, kind="stable")] == sorted(adjusted)
    assert min(adjusted) == pytest.approx(min(1.0, len(p) * min(p)))


@pytest.mark.parametrize("weights", [[0.0, 1.0], [1.0], [1.0, math.nan]])
def test_weights_that_share_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        holm([0.1, 0.2], weights)
