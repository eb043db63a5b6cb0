"""Tally, truth and causes against closed forms and tables worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from twin.studies.canary import no_effect
from twin.studies.canary.explain import Why, why
from twin.studies.canary.strategies import by_group, by_size, strategies_table
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
        {"kind": "same", "verdict": "pass", "rack_p": 0.5, "sample_p": 0.001, "temperature_true_kelvin": 0.1},
        {"kind": "same", "verdict": "inconclusive", "rack_p": 0.01, "sample_p": 0.4, "temperature_true_kelvin": 0.0},
        {"kind": "twice", "verdict": "fail", "rack_p": 0.0, "sample_p": 0.0, "temperature_true_kelvin": 6.0},
        {"kind": "twice", "verdict": "pass", "rack_p": 0.0, "sample_p": 0.0, "temperature_true_kelvin": 5.9},
    ]
    found = no_effect.checks(pd.DataFrame(rows), 3.0)
    assert [each.obtained.estimate for each in found] == [0.0, 0.5, 0.5, 0.5, 1.0, 0.5]
    assert [each.of for each in found] == [2, 2, 2, 2, 1, 2]
    assert [each.passed for each in found] == [True, False, False, False, True, True]


def verdicts_of(strategy, told, **more):
    """A row per build: four bad ones, then six good ones of which the last is borderline."""
    rows = []
    for build, verdict in enumerate(told):
        bad, promoted = build < 4, verdict == "pass"
        rows.append(
            {
                "strategy": strategy, "build": f"build-{build}", "bad": bad, "borderline": build == 9,
                "promoted": promoted, "verdict": verdict, "right": bad != promoted, "size": 0.5 + 0.25 * build,
                "kind": "power" if build % 2 else "latency", "cause": "" if bad != promoted else str(Why.EVIDENCE),
                "seconds_to_verdict": 60.0 * (build + 1) if verdict != "inconclusive" else math.nan,
                "throttled_gpu_seconds": float(build), "late_requests": 2.0 * build, "failed_requests": 0.0,
                "trips": float(build == 0), **more,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


#: bad builds: 3 of 4 held back; good ones: 4 of 6 promoted, one by mistake failed, the borderline one not told
STRESS = ["fail", "fail", "inconclusive", "pass", "pass", "pass", "pass", "pass", "fail", "inconclusive"]
#: bad builds: 1 of 4 held back; good ones: all promoted
RANDOM = ["fail", "pass", "pass", "pass", "pass", "pass", "pass", "pass", "pass", "pass"]


@pytest.fixture(scope="module")
def both_strategies():
    # a build that one of them alone has tried counts for neither
    alone = verdicts_of("stress", ["fail"] * 11).iloc[10:]
    return pd.concat([verdicts_of("stress", STRESS), verdicts_of("random", RANDOM), alone])


def test_a_strategys_figures_worked_by_hand(both_strategies):
    table = strategies_table(both_strategies).set_index("strategy")
    stress, random = table.loc["stress"], table.loc["random"]
    counted = ["builds", "bad", "borderline", "true_positives", "false_negatives", "false_positives", "true_negatives"]
    assert stress[counted].tolist() == [10, 4, 1, 3, 1, 2, 4] and random[counted].tolist() == [10, 4, 1, 1, 3, 0, 6]
    assert stress["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert random["balanced_accuracy"] == pytest.approx((1 / 4 + 1) / 2)
    assert stress["accuracy"] == pytest.approx(7 / 10) and random["accuracy"] == pytest.approx(7 / 10)
    assert (stress["false_positive_rate"], stress["false_negative_rate"]) == pytest.approx((2 / 6, 1 / 4))
    assert (random["false_positive_rate"], random["false_negative_rate"]) == pytest.approx((0.0, 3 / 4))
    assert random["false_positive_rate_high"] == pytest.approx(1.0 - 0.025 ** (1 / 6))  # none of six
    assert stress["mcc"] == pytest.approx((3 * 4 - 2 * 1) / math.sqrt(5 * 4 * 6 * 5))
    assert stress["inconclusive_share"] == pytest.approx(2 / 10)
    assert stress["clear_balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 5) / 2)  # without the last good one
    assert stress["told_balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)  # and without the third bad one
    assert stress[f"errors: {Why.EVIDENCE}"] == 3 and random[f"errors: {Why.EVIDENCE}"] == 3
    assert stress["seconds_to_verdict_median"] == 330.0  # minutes 1, 2, 4 to 9
    assert stress["canary_throttled_gpu_seconds"] == 4.5 and stress["canary_late_requests"] == 9.0
    assert stress["canary_trips"] == pytest.approx(0.1)


def test_a_strategy_is_held_against_random_on_the_same_builds(both_strategies):
    """Stress alone is right of two bad builds, random alone of two good ones: nothing apart."""
    table = strategies_table(both_strategies).set_index("strategy")
    stress = table.loc["stress"]
    assert stress["difference"] == pytest.approx((3 / 4 + 4 / 6) / 2 - 5 / 8)
    assert stress["difference_low"] < 0.0 < stress["difference_high"]
    assert (stress["only_this_right"], stress["only_random_right"], stress["mcnemar_p"]) == (2, 2, 1.0)
    assert math.isnan(table.loc["random"]["mcnemar_p"])
    third = verdicts_of("coolest", ["pass"] * 4 + ["fail"] * 6)  # wrong of all
    table = strategies_table(pd.concat([both_strategies, third])).set_index("strategy")
    assert (table.loc["coolest"]["only_this_right"], table.loc["coolest"]["only_random_right"]) == (0, 7)
    assert table.loc["coolest"]["mcnemar_p"] == pytest.approx(2 / 2**7)
    assert table.loc["coolest"]["mcnemar_p_adjusted"] == pytest.approx(4 / 2**7)  # Holm: the least of two, twice
    assert table.loc["stress"]["mcnemar_p_adjusted"] == 1.0


def test_figures_by_size_and_by_group_worked_by_hand(both_strategies):
    sizes = by_size(both_strategies[both_strategies["strategy"] == "random"]).set_index("size_low")
    # 0.5, 0.75 | – | 1, 1.25 … in bins that hold their lower end
    assert sizes["builds"].to_dict() == {0.5: 2, 1.0: 1, 1.25: 1, 1.5: 2, 2.0: 4}
    assert sizes["accuracy"].to_dict() == {0.5: 0.5, 1.0: 0.0, 1.25: 0.0, 1.5: 1.0, 2.0: 1.0}
    groups = by_group(verdicts_of("stress", STRESS), "kind").set_index("kind")
    assert groups.loc["power", ["good", "bad", "false_positives", "false_negatives"]].tolist() == [3, 2, 1, 1]
    assert groups.loc["latency", ["good", "bad", "false_positives", "false_negatives"]].tolist() == [3, 2, 1, 0]
    assert groups.loc["power", "balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
