"""Canary strategies by algebra: each picks what its definition says, whatever the order of racks; the unknown never."""

import numpy as np
import pytest

from twin.policy.canary import ENVELOPE, READS, SCORED, CanaryRule, Candidates, Safe, Strategy, choose_canaries
from twin.policy.score import Scores

NAMES = ("A-01", "A-02", "A-03", "A-04", "A-05")
FACTORS = sorted({name for names in READS.values() for name in names})
INFORMED = [each for each in Strategy if each not in (Strategy.RANDOM, Strategy.FIRST_FIT)]
PLAIN = {
    "inlet_celsius": [42.0, 40.0, 41.0, 44.0, 40.0],
    "inlet_slope": [0.0, 0.0, 0.0, 0.0, 0.0],
    "device_celsius": [70.0, 60.0, 65.0, 80.0, 61.0],
    "device_over_slowdown_kelvin": [-17.0, -27.0, -22.0, -7.0, -26.0],
    "power_ratio": [0.7, 0.5, 0.6, 0.9, 0.5],
    "utilisation_now": [0.5, 0.5, 0.5, 0.5, 0.5],
    "cooling_stability": [1.0, 0.8, 1.0, 1.0, 0.9],
    "headroom_ratio": [0.2, 0.4, 0.3, 0.1, 0.4],
}
SCORES = [0.5, 0.9, 0.7, 0.1, 0.9]


def candidates(order=range(5), eligible=None, ages=None, scores=SCORES, confidence=None, **values):
    """Five racks, given in an order; ``values`` replace factors."""
    order = list(order)
    pick = lambda row: np.array(row, dtype=float)[order]  # noqa: E731
    known = {name: pick(values.get(name, PLAIN.get(name, [0.0] * 5))) for name in FACTORS}
    return Candidates(
        tuple(NAMES[k] for k in order),
        pick(eligible or [1] * 5) > 0,
        np.ones(5, dtype=bool),
        known,
        {name: pick((ages or {}).get(name, [5.0] * 5)) for name in FACTORS},
        None if scores is None else Scores(pick(scores), pick(confidence or [1.0] * 5), np.zeros((0, 5))),
    )


def picked(strategy, count=2, safe=Safe(), release="r1", seed=0, **given):  # noqa: B008
    return choose_canaries(
        CanaryRule(Strategy(strategy), safe=safe), candidates(**given), count, seed=seed, release=release
    )


@pytest.mark.parametrize(
    ("strategy", "racks"),
    [
        ("first_fit", ("A-01", "A-02")),
        ("coolest", ("A-05", "A-02")),  # both at 40 °C, and A-05 is the steadier
        ("heat_aware", ("A-02", "A-05")),  # 0.9 both: by name
        ("stress", ("A-04", "A-01")),  # 80 and 70 °C
    ],
)
def test_each_strategy_picks_what_its_definition_says(strategy, racks):
    assert picked(strategy).racks == racks


def test_representative_is_nearest_the_fleets_medians():
    """Medians 41 °C, 65 °C, 0.6: A-03 is all of them, at a distance of 0. The farthest comes last."""
    assert picked("representative", 5).racks[0] == "A-03"
    assert picked("representative", 5).racks[-1] == "A-04"


def test_the_distance_of_representative_racks_by_hand():
    """With spread in the inlet alone, d = |x − median|/s: the order of |x − 41|, ties by name."""
    flat = {name: [1.0] * 5 for name in ENVELOPE if name != "inlet_celsius"}
    assert picked("representative", 5, **flat).racks == ("A-03", "A-01", "A-02", "A-05", "A-04")


def test_two_stage_takes_the_safest_first_and_then_the_representative_ones():
    first = picked("heat_aware", 1).racks
    rest = [rack for rack in picked("representative", 5).racks if rack not in first]
    assert picked("two_stage", 3).racks == (*first, *rest[:2])


def test_stress_stays_within_what_is_safe():
    found = picked("stress", 5, safe=Safe(inlet_celsius=43.0, device_over_slowdown_kelvin=-12.0, headroom_ratio=0.25))
    assert found.racks == ("A-03", "A-05", "A-02")
    assert dict(found.left_out) == {"A-01": "headroom below 0.25", "A-04": "inlet above 43 °C"}


def test_random_is_a_hash_of_seed_release_and_rack():
    orders = {picked("random", 5, seed=seed, release=name).racks for seed in range(4) for name in ("r1", "r2")}
    assert len(orders) > 4
    assert all(sorted(order) == list(NAMES) for order in orders)
    assert picked("random", 5).racks == picked("random", 5, **PLAIN).racks


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_order_of_racks_changes_nothing(strategy):
    first = picked(strategy, 3).racks
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        assert picked(strategy, 3, order=order).racks == first


@pytest.mark.parametrize("strategy", list(Strategy))
def test_equal_racks_go_by_name(strategy):
    """But for random, which is by hash."""
    same = {name: [value[0]] * 5 for name, value in PLAIN.items()}
    found = picked(strategy, 3, order=[3, 1, 4, 0, 2], scores=[0.5] * 5, **same).racks
    assert found == NAMES[:3] or strategy is Strategy.RANDOM


@pytest.mark.parametrize("strategy", INFORMED)
def test_what_is_not_known_or_old_is_no_canary(strategy):
    best = picked(strategy, 1).racks[0]
    place = NAMES.index(best)
    for name in READS[strategy]:
        unknown = list(PLAIN[name])
        unknown[place] = np.nan
        assert best not in picked(strategy, 5, **{name: unknown}).racks
        old = [5.0] * 5
        old[place] = 61.0
        found = picked(strategy, 5, ages={name: old})
        assert best not in found.racks and best in dict(found.left_out)
    if strategy in SCORED:
        doubt = [1.0] * 5
        doubt[place] = 0.99
        assert best not in picked(strategy, 5, confidence=doubt).racks


@pytest.mark.parametrize("strategy", list(Strategy))
def test_who_may_not_be_a_canary_is_none(strategy):
    assert set(picked(strategy, 5, eligible=[0, 1, 0, 1, 0]).racks) == {"A-02", "A-04"}
    assert picked(strategy, 5, eligible=[0] * 5).racks == ()
    assert picked(strategy, 0).racks == ()


@pytest.mark.parametrize("strategy", SCORED)
def test_scores_are_asked_for_where_they_decide(strategy):
    with pytest.raises(ValueError, match="have no scores"):
        picked(strategy, scores=None)


def test_a_rule_is_read_from_a_mapping_and_refused_with_every_fault():
    rule = CanaryRule.from_mapping({"strategy": "stress", "safe": {"device_over_slowdown_kelvin": -7}})
    assert rule == CanaryRule(Strategy.STRESS, 60.0, Safe(device_over_slowdown_kelvin=-7.0))
    with pytest.raises(ValueError, match=r"strategy = 'hottest'.*'random'"):
        CanaryRule.from_mapping({"strategy": "hottest"})
    meant = r"canary\.safe\.devise_over_slowdown_kelvin = 0.*Did you mean 'device_over_slowdown_kelvin'"
    with pytest.raises(ValueError, match=meant):
        CanaryRule.from_mapping({"safe": {"devise_over_slowdown_kelvin": 0}})
    with pytest.raises(ValueError, match="greatest_age_seconds = 0"):
        CanaryRule.from_mapping({"greatest_age_seconds": 0})
