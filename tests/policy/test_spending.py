"""Alpha spending against published values, and against the boundaries that they stand for."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from twin.policy.spending import Spending, Spent, idle, look, spent_at

OF, POCOCK = Spending.OBRIEN_FLEMING, Spending.POCOCK

functions = pytest.mark.parametrize("function", [OF, POCOCK])


@pytest.mark.parametrize(
    ("fraction", "spent", "level"),
    [
        (0.25, 8.85754e-5, 8.85754e-5),
        (0.5, 0.0055746, 0.00548602),
        (0.75, 0.0236251, 0.0180505),
        (1.0, 0.05, 0.0263749),
    ],
)
def test_four_looks_spend_what_a_published_table_says(fraction, spent, level):
    """SeqBounds.jl, README: one-sided, alpha 0.05, columns *function value* and *spend*."""
    assert spent_at(OF, 0.05, fraction) == pytest.approx(spent, rel=2e-6)
    state = Spent()
    for t in (0.25, 0.5, 0.75, 1.0):
        found, state = look(OF, 0.05, t, state)
        if t == fraction:
            assert found == pytest.approx(level, rel=3e-6)


@pytest.mark.parametrize(("function", "boundary"), [(OF, 4.8769), (POCOCK, 2.4380)])
def test_the_first_of_five_looks_has_its_published_boundary(function, boundary):
    """Two-sided 0.05, five equal looks: Reboussin, DeMets, Kim and Lan, Control. Clin. Trials 21(3), 2000."""
    level, _ = look(function, 0.025, 0.2, Spent())
    assert stats.norm.isf(level) == pytest.approx(boundary, abs=5e-5)


def test_published_boundaries_are_crossed_as_often_as_is_spent_and_levels_stay_below_theirs():
    """The same table, columns *Z* and *nominal p*: boundaries for a Brownian motion, which a look may not exceed."""
    boundaries, nominal = (3.74955, 2.53993, 2.01604, 1.72014), (8.85754e-5, 0.00554366, 0.0218979, 0.0427037)
    joint = stats.multivariate_normal(cov=[[1.0, math.sqrt(0.5)], [math.sqrt(0.5), 1.0]])  # looks at 0.25 and 0.5
    assert 1.0 - joint.cdf(boundaries[:2]) == pytest.approx(spent_at(OF, 0.05, 0.5), rel=1e-4)
    state = Spent()
    for t, most in zip((0.25, 0.5, 0.75, 1.0), nominal, strict=True):
        level, state = look(OF, 0.05, t, state)
        assert 0.6 * most < level <= most * (1.0 + 1e-6)


def test_a_pocock_like_look_at_half_has_spent_62_percent():
    assert spent_at(POCOCK, 0.05, 0.5) == pytest.approx(0.05 * math.log((1.0 + math.e) / 2.0), rel=1e-14)


@functions
@example(0.25, [0.9999999999999999])
@given(st.floats(1e-4, 0.5), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6, unique=True))
def test_levels_add_up_to_what_is_spent_and_never_to_more_than_alpha(function, alpha, fractions):
    state, total = Spent(), 0.0
    for t in sorted(fractions):
        level, state = look(function, alpha, t, state)
        assert level >= 0.0
        total += level
    assert total == pytest.approx(state.alpha, rel=1e-12)
    assert state.alpha <= alpha
    assert state.fractions == tuple(sorted(fractions))
    if state.fractions[-1] < 1.0:
        level, state = look(function, alpha, 1.0, state)
    assert state.alpha == alpha


@functions
def test_a_look_that_tested_nothing_leaves_its_level_to_the_next(function):
    level, _ = look(function, 0.05, 1.0, idle(0.5, Spent()))
    assert level == 0.05


@functions
def test_no_information_spends_nothing(function):
    assert spent_at(function, 0.05, 0.0) == 0.0
    assert spent_at(OF, 0.05, 1e-4) == 0.0  # below what a double holds


@pytest.mark.parametrize("fraction", [0.5, 0.4, 0.0, -0.1, 1.1, math.nan, math.inf])
def test_a_look_that_is_not_later_is_refused(fraction):
    _, state = look(OF, 0.05, 0.5, Spent())
    for call in (lambda: look(OF, 0.05, fraction, state), lambda: idle(fraction, state)):
        with pytest.raises(ValueError, match="information fraction"):
            call()


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_an_alpha_that_is_no_chance_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        spent_at(OF, alpha, 0.5)
