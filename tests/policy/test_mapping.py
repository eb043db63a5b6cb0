"""Parameters from plain mappings: as they were meant, or refused with every fault."""

import math
from dataclasses import asdict

import pytest

from twin.policy import Design, Metric
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
    with pytest.raises(ValueError) as refused:
        Design.from_mapping(
            {
                "metrics": [{"name": "power", "unit": "W", "margin": 1}],
                "alhpa": 0.02,
                "beta": "low",
                "seed": 1.5,
                "spending": "all",
            }
        )
    assert str(refused.value).splitlines() == [
        "judge: unknown key 'alhpa': did you mean alpha?",
        "judge: beta = 'low': give a number",
        "judge: seed = 1.5: give a whole number",
        "judge: spending = 'all': give one of obrien_fleming, pocock",
    ]
    with pytest.raises(ValueError, match="judge: metric 1: margin is missing"):
        Design.from_mapping({"metrics": [{"name": "power", "unit": "W"}]})
    with pytest.raises(ValueError, match="unknown key 'colour': known are name, unit"):
        Design.from_mapping({"metrics": [{"name": "power", "unit": "W", "margin": 1.0, "colour": 1}]})


@pytest.mark.parametrize("metrics", [None, "power", ["power"], {"name": "power"}])
def test_metrics_that_are_no_list_of_mappings_are_refused(metrics):
    with pytest.raises(ValueError, match="give a list of mappings"):
        Design.from_mapping({"metrics": metrics})


def test_a_truth_value_is_no_number_and_a_number_no_truth_value():
    with pytest.raises(ValueError, match="alpha = True: give a number"):
        Design.from_mapping({"metrics": [], "alpha": True})
    plain = asdict(default_plan())
    plain["stages"][0]["staging"] = 1
    with pytest.raises(ValueError, match="stage 1: staging = 1: give true or false"):
        Plan.from_mapping(plain)
    with pytest.raises(ValueError, match="give hold and roll_back for each signal"):
        Plan.from_mapping(asdict(default_plan()) | {"limits": {"error_rate": 0.1}})
    with pytest.raises(ValueError, match="readiness = 'roles_assigned': give a list of words"):
        Plan.from_mapping(asdict(default_plan()) | {"readiness": "roles_assigned"})
