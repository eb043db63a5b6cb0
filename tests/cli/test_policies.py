"""Policies by name from the command line: the aware one against the traditional, and documents that are refused."""

import json
from pathlib import Path

import pytest

from twin.cli.exits import Exit


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_bytes())


def test_the_deploy_that_trips_under_first_fit_runs_through_under_the_aware_policy(twin):
    """`heavy_batch_then_deploy` in full: first fit heats one pair of PDUs twice over, the aware policy spreads."""
    found = {}
    for policy in ("first_fit", "thermal_aware"):
        ended = twin("run", "scenario=heavy_batch_then_deploy", f"policy={policy}", f"out={policy}")
        # the story expects a trip
        assert ended.code == (Exit.FINE if policy == "first_fit" else Exit.FINDING), ended.err
        found[policy] = metrics(Path(policy))
    assert found["first_fit"]["breaker_trips_total"] == 2
    assert found["thermal_aware"]["breaker_trips_total"] == 0
    # its ladder scales the batch back, which then still runs beside the deployment: some devices slow for a while
    assert 0.0 < found["thermal_aware"]["throttled_gpu_seconds"] < 0.1 * found["first_fit"]["throttled_gpu_seconds"]
    assert found["thermal_aware"]["gpu_seconds_delivered"] > found["first_fit"]["gpu_seconds_delivered"]


def test_a_limit_of_the_policy_is_an_override_and_shows_in_the_manifest(twin):
    assert twin("run", "hall=small", "hours=0.05", "policy=thermal_aware", "policy.permitted.limit_utilisation=0.9",
                "out=there").code == Exit.FINE  # fmt: skip
    kept = json.loads(Path("there/manifest.json").read_bytes())["configuration"]["policy"]
    assert kept["permitted"]["limit_utilisation"] == 0.9
    assert kept["score"]["version"] and kept["admission"]["rules"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("policy.permitted.limit_utilisation=-1", "policy.permitted.limit_utilisation"),
        ("policy.least_confidence=high", "policy.least_confidence"),
        ("+policy.colour=red", "policy.colour"),
        ("policy.score.classes.default.0.factor=luck", "policy.score.classes.default.terms[0].factor"),
    ],
)
def test_a_wrong_document_is_refused_by_key_value_and_remedy(twin, override, said):
    ended = twin("run", "hall=small", "hours=0.05", "policy=thermal_aware", override, "out=there")
    assert ended.code == Exit.REFUSED
    assert said in ended.err
    assert not Path("there").exists()
