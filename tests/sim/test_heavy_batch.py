"""The moral of ``heavy_batch_then_deploy``: a deployment that a rested hall bears trips one that a batch has heated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from twin.hall.files import read_yaml
from twin.hall.reader import read_hall
from twin.places import conf_dir, scenarios_dir
from twin.policy import first_fit
from twin.results.balance import assert_balanced
from twin.setup import stories
from twin.sim.scenario import Scenario, read_scenario, short_form
from twin.sim.simulate import Result, Settings, simulate
from twin.workload.load import load_workload

STORY = short_form(stories.read_story(scenarios_dir() / "heavy_batch_then_deploy.yaml"))


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``change`` laid over it, at every depth."""
    inner = {key: merged(base[key], value) for key, value in change.items() if isinstance(value, Mapping)}
    return {**base, **change, **inner}


HALL = read_hall(merged(read_yaml(conf_dir() / "hall" / "small.yaml"), STORY["settings"]["hall"]), source="small")
SCENARIO = read_scenario(STORY, HALL, "heavy_batch_then_deploy")


def told(scenario: Scenario, tmp_path) -> Result:
    demand = merged(read_yaml(conf_dir() / "workload" / "default.yaml"), STORY["settings"]["workload"])
    seconds = STORY["hours"] * 3600.0
    workload = load_workload(demand, trays=72, gpus_per_tray=4, seconds=seconds, seed=1, cache_dir=tmp_path)
    result = simulate(HALL, workload, first_fit, scenario, seed=1, until=seconds, settings=Settings())
    assert_balanced(result.metrics)
    return result


def job(result: Result, name: str) -> Mapping[str, Any]:
    (row,) = result.tables["jobs"].query("id == @name").to_dict("records")
    return row


def test_the_deployment_after_the_batch_trips_both_feeds_of_the_pair(tmp_path):
    result = told(SCENARIO, tmp_path)
    trips = result.tables["events"].query("kind == 'breaker_trip'")
    assert sorted(trips["name"]) == ["pdu A/feed A", "pdu A/feed B"]
    assert job(result, "heavy batch")["status"] == "completed"  # alone it passed
    assert trips["time_seconds"].min() > job(result, "heavy batch")["end_seconds"]
    assert job(result, "deployment")["lost_gpu_seconds"] > 0
    assert all(outcome.met for outcome in result.expectations)


@pytest.mark.parametrize("kept", [0, 1], ids=["the batch alone", "the deployment alone"])
def test_either_alone_passes(tmp_path, kept):
    result = told(replace(SCENARIO, timeline=SCENARIO.timeline[kept : kept + 1]), tmp_path)
    assert result.metrics["breaker_trips_total"] == 0
    assert job(result, ("heavy batch", "deployment")[kept])["status"] == "completed"
    assert not all(outcome.met for outcome in result.expectations)
