"""Parameters from plain mappings: as they were meant, or refused with every fault."""

import math
from dataclasses import asdict

import pytest

from twin.policy import Design, Metric
from twin.policy.documents import DocumentError
from twin.policy.rollout import Plan, default_plan
from twin.policy.spending import Spending


def test_a_design_comes_from_a_mapping():
    design = Design.from_mapping(
        {
            "metrics": [
                {"name": "power", "unit": "W", "margin": 500},
                {"name": "speed", "unit": "1/s", "margin": 1.5, "worse": -1},
            ],
            "alpha": 0.01,
            "spending": "pocock",
            "controls": 30,
        }
    )
    metrics = (Metric("power", "W", 500.0), Metric("speed", "1/s", 1.5, worse=-1))
    assert design == Design(metrics, alpha=0.01, spending=Spending.POCOCK, controls=30)
    assert isinstance(design.metrics[0].margin, float)
    assert math.comb(33, 3) == round(1.0 / design.smallest_p)


def test_a_plan_comes_from_a_mapping():
    assert Plan.from_mapping(asdict(default_plan())) == default_plan()


def test_every_fault_is_told_at_once_with_its_remedy():
    with pytest.raises(DocumentError) as refused:
        Design.from_mapping(
            {
                "metrics": [{"name": "power", "unit": "W", "margin": 1}],
                "alhpa": 0.02,
                "beta": "low",
                "seed": 1.5,
                "spending": "all",
            }
        )
    assert sorted(str(fault) for fault in refused.value.faults) == [
        "judge.alhpa = 0.02: there is no such key. Did you mean 'alpha'?",
        "judge.beta = 'low': not a number. Give a number.",
        "judge.seed = 1.5: not a whole number. Give a whole number.",
        "judge.spending = 'all': unknown. Use one of 'obrien_fleming', 'pocock'.",
    ]
    with pytest.raises(DocumentError, match=r"judge\.metrics\[0\]\.margin = None: missing\. Give a number"):
        Design.from_mapping({"metrics": [{"name": "power", "unit": "W"}]})
    with pytest.raises(DocumentError, match=r"metrics\[0\]\.colour = 1: there is no such key\. Use one of 'carried'"):
        Design.from_mapping({"metrics": [{"name": "power", "unit": "W", "margin": 1.0, "colour": 1}]})


@pytest.mark.parametrize("metrics", [None, "power", ["power"], {"name": "power"}])
def test_metrics_that_are_no_list_of_mappings_are_refused(metrics):
    with pytest.raises(DocumentError, match=r"judge\.metrics = .*: not a list of mappings\. List them"):
        Design.from_mapping({"metrics": metrics})


def test_a_truth_value_is_no_number_and_a_number_no_truth_value():
    with pytest.raises(DocumentError, match=r"judge\.alpha = True: not a number\. Give a number"):
        Design.from_mapping({"metrics": [], "alpha": True})
    plain = asdict(default_plan())
    plain["stages"][0]["staging"] = 1
    with pytest.raises(DocumentError, match=r"rollout\.stages\[0\]\.staging = 1: neither true nor false"):
        Plan.from_mapping(plain)
    with pytest.raises(DocumentError, match=r"rollout\.limits\.error_rate = 0\.1: not a mapping of keys to values"):
        Plan.from_mapping(asdict(default_plan()) | {"limits": {"error_rate": 0.1}})
    with pytest.raises(DocumentError, match=r"rollout\.readiness = 'roles_assigned': not a list of texts"):
        Plan.from_mapping(asdict(default_plan()) | {"readiness": "roles_assigned"})
