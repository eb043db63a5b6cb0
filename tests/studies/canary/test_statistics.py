"""Tally, truth and causes against closed forms and tables worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from twin.studies.canary import no_effect
from twin.studies.canary.explain import Why, why
from twin.studies.canary.tally import balanced_difference, balanced_interval, confusion, mcnemar, rate
from twin.studies.canary.truth import BAD, BORDERLINE, GOOD, Counts, Margins, harm_of, truth_of

BAD_BUILDS = np.array([True] * 4 + [False] * 6)
CALLED = np.array([True, True, True, False, True, False, False, False, False, False])


def test_confusion_of_a_table_worked_by_hand():
    found = confusion(BAD_BUILDS, CALLED)
    assert (found.true_positives, found.false_negatives, found.false_positives, found.true_negatives) == (3, 1, 1, 5)
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert found.mcc == pytest.approx((3 * 5 - 1 * 1) / math.sqrt(4 * 4 * 6 * 6))
    assert found.mcc == pytest.approx(np.corrcoef(BAD_BUILDS, CALLED)[0, 1])  # Matthews' is Pearson's of two truths


@pytest.mark.parametrize(("count", "of"), [(0, 50), (3, 50), (50, 50)])
def test_rates_have_the_ends_of_clopper_and_pearson(count, of):
    found = rate(count, of)
    low = stats.beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert not rate(0, 0).told


def test_mcnemar_is_the_sign_test_of_builds_that_one_alone_told_right():
    reference = ~CALLED
    better, worse, p = mcnemar(BAD_BUILDS, CALLED, reference)
    assert (better, worse) == (8, 2)
    assert p == pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10)
    assert mcnemar(BAD_BUILDS, CALLED, CALLED) == (0, 0, 1.0)


def test_intervals_of_balanced_accuracy_hold_it_and_follow_the_pairs():
    rng = np.random.default_rng(1)
    bad = rng.random(400) < 0.4
    called = np.where(rng.random(400) < 0.9, bad, ~bad)
    found = balanced_interval(bad, called)
    right = [np.mean(called[side] == truth) for side, truth in ((bad, True), (~bad, False))]
    ends = []
    for side, truth in ((bad, True), (~bad, False)):
        hits, of = int((called[side] == truth).sum()), int(side.sum())
        ends.append((stats.beta.ppf(0.0125, hits, of - hits + 1), stats.beta.ppf(0.9875, hits + 1, of - hits)))
    assert found.estimate == pytest.approx(np.mean(right))
    assert (found.low, found.high) == pytest.approx(np.mean(ends, axis=0), abs=1e-9)
    perfect = balanced_interval(bad, bad)
    assert perfect.estimate == perfect.high == 1.0 and perfect.low < 0.99  # few builds prove little
    shifted = balanced_difference(bad, bad, called)
    assert shifted.low < 1.0 - found.estimate < shifted.high and shifted.low > 0.0
    none = balanced_difference(bad, called, called)
    assert (none.estimate, none.low, none.high) == (0.0, 0.0, 0.0)
    assert not balanced_interval(np.ones(3, bool), np.ones(3, bool)).told


def counts(**changes):
    values = {
        "throttled_gpu_seconds": 0.0, "gpu_seconds": 1e6, "late": 0.0, "failed": 0.0, "requests": 1e4,
        "lost_gpu_seconds": 0.0, "delivered_gpu_seconds": 1e6, "trips": 0.0,
    }  # fmt: skip
    return Counts(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "harm", "measure"),
    [
        ({}, 0.0, ""),
        ({"throttled_gpu_seconds": 3_000.0}, 1.5, "throttled_share"),  # 0.3 % of device time, 0.2 % accepted
        ({"failed": 25.0}, 0.5, "error_share"),  # 0.25 % of requests, 0.5 % accepted
        ({"late": 100.0, "failed": 25.0}, 2.0, "late_share"),  # the greatest counts
        ({"trips": 1.0}, 2.0, "trips"),
        ({"lost_gpu_seconds": 1_000.0}, 0.2, "lost_share"),
    ],
)
def test_harm_is_the_greatest_excess_over_the_world_without_in_margins(changes, harm, measure):
    found = harm_of(counts(**changes), counts(), Margins())
    assert (found.harm, found.measure) == (pytest.approx(harm), measure)


def test_what_a_world_suffers_anyway_is_not_the_builds_doing():
    both = {"throttled_gpu_seconds": 5_000.0, "trips": 2.0}
    assert harm_of(counts(**both), counts(**both), Margins()).harm == 0.0
    assert harm_of(counts(), counts(**both), Margins()).harm == 0.0  # better than without


@pytest.mark.parametrize(
    ("harms", "standing", "bad"),
    [([0.0, 0.9, 1.0], GOOD, False), ([1.1, 9.0, 2.0], BAD, True), ([0.9, 1.1, 3.0], BORDERLINE, True),
     ([0.1, 0.9, 1.1], BORDERLINE, False)],
)  # fmt: skip
def test_a_build_is_borderline_where_worlds_disagree_and_counts_by_their_median(harms, standing, bad):
    assert truth_of(harms) == (standing, bad)


CASE = {
    "bad": False, "verdict": "fail", "by": "judge", "reason": "", "blind": "", "measure": "", "margin": 3.0,
    "sensed": 1.0, "true": 1.0, "canary_celsius": 80.0, "fleet_celsius": 80.0, "canary_throttled": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"sensed": 3.4, "true": 2.6, "reason": "harm above the margin is shown (temperature)"}, Why.SENSOR),
        ({"blind": "A-03: temperature after is nan", "verdict": "inconclusive"}, Why.SENSOR),
        (
            {"by": "signal", "reason": "throttled_share = 0.02", "canary_throttled": 9.0, "canary_celsius": 83.0},
            Why.HOT,
        ),
        ({"verdict": "inconclusive"}, Why.EVIDENCE),
        ({"verdict": "inconclusive", "by": "choice"}, Why.EVIDENCE),
        ({"by": "projection", "verdict": "inconclusive"}, Why.STRICT),
        ({"by": "signal", "reason": "power_spike = 0.2"}, Why.STRICT),
        ({"bad": True, "verdict": "pass", "measure": "throttled_share"}, Why.COOL),
        ({"bad": True, "verdict": "pass", "measure": "late_share"}, Why.UNSEEN),
        ({"bad": True, "verdict": "pass", "measure": "throttled_share", "sensed": 2.6, "true": 3.4}, Why.SENSOR),
    ],
)
def test_an_error_has_its_cause(changes, cause):
    assert why(**{**CASE, **changes}) is cause


def test_checks_of_the_judge_are_shares_of_runs():
    rows = [
        {"kind": "same", "verdict": "pass", "rack_p": 0.5, "sample_p": 0.001},
        {"kind": "same", "verdict": "inconclusive", "rack_p": 0.01, "sample_p": 0.4},
        {"kind": "twice", "verdict": "fail", "rack_p": 0.0, "sample_p": 0.0},
        {"kind": "twice", "verdict": "pass", "rack_p": 0.0, "sample_p": 0.0},
    ]
    found = no_effect.checks(pd.DataFrame(rows))
    assert [each.obtained.estimate for each in found] == [0.0, 0.5, 0.5, 0.5, 0.5]
    assert [each.passed for each in found] == [True, False, False, False, True]
