"""Rules allow or do not, formulas rank, exclusions last: each by hand, and whole documents with all their faults."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.documents import shipped
from twin.policy import exclusion
from twin.policy.admission import Chosen, Rule, admit, read_rules
from twin.policy.documents import DocumentFaults, digest
from twin.policy.exclusion import Exclusion, read_exclusions
from twin.policy.score import Term, Terms, read_formula, score

WARM = Rule("inlet temperature", "inlet_celsius", 45.0, True, 35.0)
STEADY = Rule("cooling stability", "cooling_stability", 0.9, False, 60.0, roles=("canary",))
ODD = st.sampled_from([math.nan, math.inf, -math.inf])


def arrays(**values):
    return {name: np.array(value, dtype=np.float64) for name, value in values.items()}


# ---------------------------------------------------------------- rules


def test_the_first_rule_that_does_not_allow_is_the_reason():
    values = arrays(inlet_celsius=[45.0, 45.1, 40.0], cooling_stability=[1.0, 0.5, 0.5])
    ages = arrays(inlet_celsius=[2, 2, 2], cooling_stability=[2, 2, 2])
    allowed, first = admit(Chosen((WARM, STEADY)), values, ages)
    assert allowed.tolist() == [True, False, False]
    assert first.tolist() == [-1, 0, 1]
    assert WARM.sentence(45.1, 2.0) == "inlet temperature: inlet_celsius 45.1 °C, at most 45 °C allowed"
    assert STEADY.sentence(0.5, 2.0) == "cooling stability: cooling_stability 0.5, at least 0.9 allowed"


@given(ODD, st.floats(0.0, 1e6))
def test_what_is_not_known_or_too_old_allows_nothing(odd, age):
    for rule in (WARM, STEADY):

        def allows(value, age, rule=rule):
            return admit(Chosen((rule,)), {rule.factor: np.array([value])}, {rule.factor: np.array([age])})[0][0]

        best = 0.0 if rule.at_most else 1.0
        assert not allows(odd, 0.0)
        assert allows(best, age) == (age <= rule.greatest_age_seconds)
        assert not allows(best, math.nan)
    assert WARM.sentence(math.nan, 0.0).endswith("is not known")
    assert WARM.sentence(20.0, 36.0).endswith("is 36 s old, 35 s allowed")


def test_rules_hold_for_the_work_and_the_roles_that_they_name():
    rules = read_rules(shipped()["admission"], "admission", DocumentFaults())
    names = [rule.name for rule in rules.of("training", "")]
    assert "cooling stability" not in names and "inlet temperature" in names
    assert "cooling stability" in [rule.name for rule in rules.of("inference", "canary")]


# ---------------------------------------------------------------- scores


def test_a_score_is_the_weighted_mean_of_where_factors_lie_between_worst_and_best():
    terms = Terms((Term("headroom_ratio", 0.0, 0.5, 3.0, 60.0), Term("inlet_celsius", 50.0, 30.0, 1.0, 60.0)))
    values = arrays(headroom_ratio=[0.25, 0.5, -1.0, 0.5], inlet_celsius=[40.0, 30.0, 60.0, math.nan])
    ages = arrays(headroom_ratio=[0, 0, 0, 0], inlet_celsius=[0, 61, 0, 0])
    found = score(terms, values, ages)
    assert found.score.tolist() == [0.5, 0.75, 0.0, 0.75]
    assert found.confidence.tolist() == [1.0, 0.75, 1.0, 0.75]
    assert found.parts[:, 0].tolist() == [1.5, 0.5]


@given(st.permutations(list(range(6))), st.lists(st.floats(-1.0, 2.0), min_size=6, max_size=6))
def test_scores_go_with_their_racks(order, ratios):
    terms = Terms((Term("headroom_ratio", 0.0, 1.0, 1.0, 60.0), Term("duty_cycle", 1.0, 0.0, 0.3, 60.0)))
    values = arrays(headroom_ratio=ratios, duty_cycle=ratios[::-1])
    ages = {name: np.zeros(6) for name in values}
    found = score(terms, values, ages).score
    mixed = score(terms, {name: value[list(order)] for name, value in values.items()}, ages).score
    assert np.array_equal(found[list(order)], mixed)


@given(st.floats(-1.0, 2.0), st.floats(0.0, 1.0))
def test_more_headroom_never_scores_less(ratio, more):
    formula = read_formula(shipped()["score"], "score", DocumentFaults())
    values = {term.factor: np.array([0.5, 0.5]) for term in formula.of("training")}
    values["headroom_ratio"] = np.array([ratio, ratio + more])
    found = score(formula.of("training"), values, {name: np.zeros(2) for name in values}).score
    assert found[1] >= found[0]


# ---------------------------------------------------------------- exclusions

HOT = Exclusion("hot inlet", "inlet_celsius", 47.0, 45.0, 300.0)


def story(readings):
    """Whether a rack is out after each (time, inlet)."""
    state, told = None, []
    for time, inlet in readings:
        state = exclusion.step((HOT,), state, arrays(inlet_celsius=[inlet]), time)
        told.append(bool(state.out[0, 0]))
    return told


def test_a_rack_is_out_above_the_threshold_and_back_after_its_dwell_below_the_other():
    assert story([(0, 46.0), (10, 47.0), (20, 47.1), (30, 46.0), (40, 45.0), (339, 44.0), (340, 44.0)]) == [
        False, False, True, True, True, True, False,
    ]  # fmt: skip


def test_a_relapse_begins_the_dwell_again():
    assert story([(0, 48.0), (10, 44.0), (300, 45.5), (310, 44.0), (609, 44.0), (610, 44.0)])[-2:] == [True, False]


def test_what_is_not_known_brings_no_rack_back_and_takes_none_out():
    assert story([(0, 48.0), (10, 44.0), (200, math.nan), (310, 44.0), (609, 44.0)]) == [True] * 5
    assert story([(0, 40.0), (10, math.nan)]) == [False, False]


# ---------------------------------------------------------------- documents


def test_every_fault_of_a_document_is_told_with_key_value_and_remedy():
    faults = DocumentFaults()
    read_rules(
        {
            "version": "1",
            "rules": [
                {"name": "a", "factor": "inlet", "at_most": 40, "greatest_age_seconds": 35},
                {"name": "b", "factor": "inlet_celsius", "at_most": "hot", "greatest_age_seconds": -1, "limit": 3},
                {"name": "b", "factor": "inlet_celsius", "greatest_age_seconds": 35},
            ],
        },
        "admission",
        faults,
    )
    assert {fault.key for fault in faults} == {
        "admission.owner", "admission.rules[0].factor", "admission.rules[1].at_most",
        "admission.rules[1].greatest_age_seconds", "admission.rules[1].limit", "admission.rules[2].at_most",
        "admission.rules[2].at_least", "admission.rules[2].name",
    }  # fmt: skip
    assert all(fault.remedy for fault in faults)


def test_a_formula_needs_weights_two_ends_and_a_default():
    faults = DocumentFaults()
    term = {"factor": "duty_cycle", "worst": 1, "best": 1, "weight": 0, "greatest_age_seconds": 60}
    read_formula({"version": "1", "owner": "us", "classes": {"training": [term]}}, "score", faults)
    assert [fault.key for fault in faults] == ["score.classes.training.terms[0].best", "score.classes.training",
                                               "score.classes"]  # fmt: skip


def test_an_exclusion_without_a_gap_would_flap_and_is_refused():
    faults = DocumentFaults()
    entry = {"name": "x", "factor": "inlet_celsius", "out_above": 45, "back_below": 45, "dwell_seconds": 0}
    read_exclusions([entry], "exclusions", faults)
    assert [fault.key for fault in faults] == ["exclusions.exclusions[0].back_below"]


def test_a_digest_is_of_the_values_and_the_version_alone():
    one, other = {"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}
    assert digest(one, "1") == digest(other, "1")
    assert len({digest(one, "1"), digest(one, "2"), digest({**one, "a": 2}, "1")}) == 3
