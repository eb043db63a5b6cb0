"""Rules of a site as expressions: what they allow, what never does, and what is refused at the door."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from tests.policy.documents import shipped
from twin.cel import compiled
from twin.policy import JobRequest, Placement, Reason, check_policy
from twin.policy.admission import Chosen, Rule, admit, read_rules
from twin.policy.aware import thermal_aware
from twin.policy.check import example
from twin.policy.documents import DocumentError, DocumentFaults
from twin.policy.expressions import ExpressionRefused, ExpressionRule
from twin.policy.factors import FACTORS

ONE = JobRequest("job-1", "batch", 2, True, 10, 5_000.0)


def rule(source, age=30.0, **scope):
    return ExpressionRule("site", source, compiled(source), age, **scope)


def factors(**known):
    """All factors of four racks: NaN but for those that are given."""
    return {name: np.array(known.get(name, [np.nan] * 4), dtype=float) for name in FACTORS}


FRESH = {name: np.zeros(4) for name in FACTORS}


def test_an_expression_allows_what_the_same_limits_allow():
    """Against plain rules, which are arrays: on every rack of a grid of values."""
    rng = np.random.default_rng(1)
    values = {name: rng.uniform(0.0, 1.0, 200) for name in FACTORS}
    values["inlet_celsius"] = rng.uniform(30.0, 50.0, 200)
    ages = {name: rng.uniform(0.0, 60.0, 200) for name in FACTORS}
    warm, busy = Rule("warm", "inlet_celsius", 44.0, True, 30.0), Rule("busy", "power_ratio", 0.6, True, 30.0)
    both = rule("inlet_celsius <= 44.0 && power_ratio <= 0.6").allowed(values, ages)
    assert both.tolist() == admit(Chosen((warm, busy)), values, ages)[0].tolist()
    assert 0 < both.sum() < 200
    young = (ages["inlet_celsius"] <= 30.0) & (ages["power_ratio"] <= 30.0)
    either = rule("inlet_celsius <= 44.0 || power_ratio <= 0.6").allowed(values, ages)
    expected = young & ((values["inlet_celsius"] <= 44.0) | (values["power_ratio"] <= 0.6))
    assert either.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "source", ["inlet_celsius < 45.0", "!(inlet_celsius > 45.0)", "inlet_celsius < 45.0 || duty_cycle < 1.0"]
)
def test_what_is_missing_infinite_or_stale_never_allows(source):
    """Not by a negation, and not by an alternative that would do alone."""
    found = rule(source).allowed(
        factors(inlet_celsius=[40.0, np.nan, np.inf, 40.0], duty_cycle=[0.5] * 4),
        {**FRESH, "inlet_celsius": np.array([0.0, 0.0, 0.0, 31.0])},
    )
    assert found.tolist() == [True, False, False, False]


def test_a_refusal_tells_rule_expression_and_values():
    site = rule("inlet_celsius < 40.0 || power_ratio < 0.3")
    values = factors(inlet_celsius=[41.5, np.nan, 41.0, 39.0], power_ratio=[0.5] * 4)
    ages = {**FRESH, "power_ratio": np.array([0.0, 0.0, 60.0, 0.0])}
    assert site.told(values, ages, 0) == (
        "site: inlet_celsius < 40.0 || power_ratio < 0.3 does not hold with inlet_celsius 41.5, power_ratio 0.5"
    )
    assert site.told(values, ages, 1) == "site: inlet_celsius is not known"
    assert site.told(values, ages, 2) == "site: power_ratio is 60 s old, 30 s allowed"
    allowed, first = admit(Chosen((Rule("warm", "inlet_celsius", 48.0, True, 30.0), site)), values, ages)
    assert (allowed.tolist(), first.tolist()) == ([False, False, False, True], [1, 0, 1, -1])


@pytest.mark.parametrize(
    ("source", "problem", "remedy"),
    [
        ("inlet_celsius <", "is no CEL", "Write such as"),
        ("inlet_celcius < 45.0", "reads 'inlet_celcius', which is no factor", "Did you mean 'inlet_celsius'?"),
        ("[1.0].exists(i, i > inlet_celsius)", "reads 'i', which is no factor", "Use one of"),
        ("true", "reads no factor", "Write such as"),
        ("inlet_celsius", "is float, neither true nor false", "Compare it with a limit"),
        ("inlet_celsius < 'warm'", "cannot be evaluated", "Factors are doubles"),
        ("inlet_celsius < 99.0 || now() > 3.0", "calls now()", "Use comparisons"),
    ],
)
def test_what_is_no_rule_is_refused_with_problem_and_remedy(source, problem, remedy):
    with pytest.raises(ExpressionRefused) as refused:
        compiled(source)
    assert problem in refused.value.problem and remedy in refused.value.remedy


def document(*rules):
    found = shipped()
    found["admission"]["rules"] = [*found["admission"]["rules"], *rules]
    return found


WARM = {"name": "warm", "allow": "inlet_celsius < 39.0", "greatest_age_seconds": 35, "kinds": ["batch"]}


def test_a_document_with_a_site_rule_holds_for_its_class_of_work_and_passes_the_check():
    policy = thermal_aware(document(WARM), compiled)
    waits, _ = policy(example(), ONE, None)
    assert waits.reason is Reason.WAIT_FOR_RULE
    assert waits.detail == "warm: inlet_celsius < 39.0 does not hold with inlet_celsius 40 on A-01"
    assert isinstance(policy(example(), replace(ONE, kind="inference"), None)[0], Placement)
    assert check_policy(partial(thermal_aware, document(WARM), compiled)) == []
    assert policy.digest != thermal_aware(shipped()).digest


def test_faults_of_a_document_are_told_by_key_all_at_once():
    wrong = [
        {**WARM, "allow": "warmth < 3.0"},
        {**WARM, "name": "other", "factor": "inlet_celsius"},
        {"name": "third", "allow": "inlet_celsius < 45.0"},
        {**WARM, "name": "fourth", "allow": 45},
    ]
    with pytest.raises(DocumentError) as refused:
        thermal_aware(document(*wrong), compiled)
    first = len(shipped()["admission"]["rules"])
    assert [fault.key for fault in refused.value.faults] == [
        f"policy.admission.rules[{first}].allow",
        f"policy.admission.rules[{first + 1}].factor",
        f"policy.admission.rules[{first + 2}].greatest_age_seconds",
        f"policy.admission.rules[{first + 3}].allow",
    ]


def test_without_a_compiler_an_expression_is_refused():
    faults = DocumentFaults()
    read_rules({"version": "1", "owner": "us", "rules": [WARM]}, "rules", faults)
    (fault,) = faults
    assert fault.key.endswith("allow") and "no reader of expressions" in fault.problem


@dataclass(frozen=True)
class Doubled:
    """Somebody else's expressions: the interface asks for no more than this."""

    factors: tuple[str, ...]

    def holds(self, values):
        return 2.0 * values[self.factors[0]] <= 1.0


def drawing_more():
    """The calm hall, which is at half of its nameplates, and 10 % more."""
    calm = example()
    return replace(calm, rack_power_watts=1.1 * calm.rack_power_watts)


def test_any_reader_of_expressions_will_do():
    other = thermal_aware(document({**WARM, "allow": "power_ratio"}), lambda source: Doubled((source,)))
    assert isinstance(other(example(), ONE, None)[0], Placement)
    assert other(drawing_more(), ONE, None)[0].reason is Reason.WAIT_FOR_RULE
