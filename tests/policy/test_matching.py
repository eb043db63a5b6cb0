"""Matched controls: by hand, their balance, and no matter in which order racks stand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.policy import match


def _names(count):
    return tuple(f"A-{k + 1:02d}" for k in range(count))


def test_the_nearest_rack_is_taken_and_ties_go_by_name():
    """Temperatures 20, 21, 23, 19, 40: racks 2 and 4 are equally near to the first, rack 3 is next."""
    inlet = np.array([20.0, 21.0, 23.0, 19.0, 40.0])
    found = match(_names(5), ["A-01"], {"inlet": inlet}, controls=2)
    assert [control for _, control, _ in found.pairs] == ["A-02", "A-04"]
    assert found.pairs[0][2] == found.pairs[1][2] == pytest.approx(1.0 / inlet.std(ddof=1), abs=1e-6)
    assert match(_names(5), ["A-01"], {"inlet": inlet}, controls=1).controls == ("A-02",)
    assert match(_names(5), ["A-01"], {"inlet": inlet}, controls=3).controls == ("A-02", "A-03", "A-04")


def test_a_rack_is_used_once_and_the_nearest_pair_has_it():
    """Canaries at 0 and 10, others at 4, 9 and 30. 9 is the nearest of 10; 4 goes to 0, 30 to nobody."""
    found = match(_names(5), ["A-01", "A-02"], {"x": np.array([0.0, 10.0, 4.0, 9.0, 30.0])}, controls=2)
    assert [(canary, control) for canary, control, _ in found.pairs] == [("A-02", "A-04"), ("A-01", "A-03")]


def test_covariates_count_in_their_own_deviations():
    """A kilowatt is little among kilowatts and a kelvin much among kelvins: without units the answer would turn."""
    power = np.array([50e3, 52e3, 50e3, 90e3, 10e3, 50e3])
    inlet = np.array([20.0, 20.0, 22.0, 20.0, 20.0, 18.0])
    racks = _names(6)
    for unit in (1.0, 1e-3):
        assert match(racks, ["A-01"], {"power": power * unit, "inlet": inlet}, controls=1).controls == ("A-02",)


def test_a_category_is_equal_or_counts_a_deviation():
    racks, inlet = _names(4), np.array([20.0, 20.0, 20.2, 26.0])
    loops, classes = [1, 2, 1, 1], ["a", "a", "b", "a"]
    near = match(racks, ["A-01"], {"inlet": inlet}, {"loop": loops}, controls=1)
    assert near.controls == ("A-03",)  # 0.2 K are less than another loop
    plain = match(racks, ["A-01"], {"inlet": inlet}, {"loop": loops, "class": classes}, exact=["class"], controls=1)
    assert plain.controls == ("A-02",)
    assert plain.pairs[0][2] == 1.0
    both = match(racks, ["A-01"], {"inlet": inlet}, {"loop": loops, "class": classes}, exact=["class"], controls=3)
    assert both.controls == ("A-02", "A-04")  # fewer than asked for: a third of this class is not there


def test_three_canaries_share_24_controls_and_the_rest_goes_by_name():
    x = np.arange(40.0)
    found = match(_names(40), ["A-01", "A-20", "A-40"], {"x": x})
    assert len(found.controls) == 24
    assert [sum(c == canary for c, _, _ in found.pairs) for canary in ("A-01", "A-20", "A-40")] == [8, 8, 8]
    found = match(_names(40), ["A-40", "A-01", "A-20"], {"x": x}, controls=8)
    assert [sum(c == canary for c, _, _ in found.pairs) for canary in ("A-01", "A-20", "A-40")] == [3, 3, 2]


def test_balance_is_the_difference_of_means_in_deviations():
    inlet = np.array([30.0, 20.0, 29.0, 22.0])
    found = match(_names(4), ["A-01"], {"inlet": inlet}, {"loop": [1, 2, 1, 2]}, controls=1)
    line, loop = found.balance
    deviation = inlet.std(ddof=1)
    assert line.before == pytest.approx((30.0 - 71.0 / 3.0) / deviation)
    assert line.after == pytest.approx(1.0 / deviation)
    assert (loop.covariate, loop.before, loop.after) == ("loop = 1", pytest.approx(2.0 / 3.0), 0.0)
    assert found.worst == pytest.approx(1.0 / deviation)


def test_matching_brings_means_together_that_were_apart():
    rng = np.random.default_rng(3)
    inlet, load = rng.normal(25.0, 3.0, 120), rng.uniform(0.2, 1.0, 120)
    hot = [_names(120)[k] for k in np.argsort(inlet)[60:120:20]]
    found = match(_names(120), hot, {"inlet": inlet, "load": load})
    assert max(abs(line.before) for line in found.balance) > 0.5
    assert found.worst < 0.2


def test_what_is_not_known_is_left_out_with_a_reason():
    inlet = np.array([20.0, np.nan, 21.0, np.inf, 22.0])
    found = match(_names(5), ["A-01", "A-04"], {"inlet": inlet}, eligible=np.array([1, 1, 1, 1, 0], dtype=bool))
    assert found.left_out == (("A-02", "inlet not known"), ("A-04", "inlet not known"))
    assert found.controls == ("A-03",)
    nothing = match(_names(2), ["A-01"], {"inlet": np.array([np.nan, 20.0])})
    assert (nothing.controls, nothing.balance, nothing.worst) == ((), (), 0.0)


def test_a_covariate_without_spread_counts_nothing():
    found = match(_names(3), ["A-01"], {"flat": np.full(3, 0.1), "x": np.array([0.0, 2.0, 1.0])}, controls=1)
    assert found.controls == ("A-03",)
    assert found.balance[0].after == 0.0


@given(st.integers(0, 2**32 - 1), st.permutations(range(20)), st.integers(1, 17))
@settings(max_examples=60, deadline=None)
def test_the_order_of_racks_changes_nothing_and_no_rack_is_taken_twice(seed, order, controls):
    rng = np.random.default_rng(seed)
    names = np.array(_names(20))
    covariates = {"x": rng.integers(0, 4, 20) * 1.0, "y": rng.normal(size=20)}
    loop = rng.integers(0, 3, 20)
    canaries = ["A-03", "A-11", "A-17"]
    one = match(names.tolist(), canaries, covariates, {"loop": loop.tolist()}, controls=controls)
    moved = {name: x[order] for name, x in covariates.items()}
    other = match(names[order].tolist(), canaries[::-1], moved, {"loop": loop[order].tolist()}, controls=controls)
    assert other.pairs == one.pairs
    assert [line.covariate for line in other.balance] == [line.covariate for line in one.balance]
    for a, b in zip(one.balance, other.balance, strict=True):
        assert b.before == pytest.approx(a.before, abs=1e-12)
        assert b.after == pytest.approx(a.after, abs=1e-12)
    assert len(one.controls) == len(set(one.controls)) == controls
    assert not set(one.controls) & set(canaries)
    assert all(math.isfinite(distance) for _, _, distance in one.pairs)


def test_a_matching_is_refused_with_all_that_is_wrong():
    with pytest.raises(ValueError) as refused:
        match(
            ("A", "A", "B"),
            ["C", "C"],
            {"x": np.zeros(2)},
            {"loop": [1]},
            exact=["row"],
            eligible=np.ones(2, dtype=bool),
        )
    for words in ("name each once", "canary 'C'", "x: 2 values", "loop: 1 values", "exact 'row'", "eligible: 2"):
        assert words in str(refused.value)
