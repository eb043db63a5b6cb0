"""Somebody else's policy, as the README has it: a file and its document beside an edited configuration."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.examples.coolest import Coolest
from twin.cli.exits import Exit
from twin.policy import JobRequest, Placement, Reason, Wait, check_policy
from twin.policy.check import example

HERE = Path(__file__).resolve().parents[1] / "examples"
ONE = JobRequest("job-1", "inference", 2, True, 10, 5_000.0)


@pytest.fixture
def installed(twin, monkeypatch):
    """`twin init my`, the policy's file in a folder that Python looks in, and its document in my/conf/policy."""
    assert twin("init", "my").code == Exit.FINE
    Path("mine").mkdir()
    shutil.copy(HERE / "coolest.py", "mine")
    shutil.copy(HERE / "coolest.yaml", "my/conf/policy")
    monkeypatch.syspath_prepend(str(Path("mine").resolve()))
    return twin


def test_it_is_thirty_lines_and_passes_the_check():
    assert len((HERE / "coolest.py").read_text(encoding="utf-8").splitlines()) <= 30
    assert check_policy(Coolest) == []


def test_it_takes_the_coolest_rack_and_waits_where_all_are_warm():
    snapshot = example()
    snapshot.rack_supply_temperature_celsius[6] = 38.0
    assert Coolest()(snapshot, ONE)[0] == Placement("job-1", (("B-03", 2),), Reason.PLACED_BELOW)
    waits, _ = Coolest(37.0)(snapshot, ONE)
    assert waits == Wait("job-1", Reason.WAIT_FOR_TRAYS, "2 trays short below 37.0 °C")


def test_it_runs_in_the_twin_and_its_audit_replays(installed):
    words = ("--config-dir", "my/conf", "hall=small", "hours=0.2", "policy=coolest", "out=there")
    assert installed("run", *words).code == Exit.FINE
    metrics = json.loads(Path("there/metrics.json").read_bytes())
    assert metrics["jobs"]["running"] + metrics["jobs"]["completed"] > 0
    replayed = installed("audit", "replay", "there")
    assert replayed.code == Exit.FINE and "decisions came out the same" in replayed.out
    cold = installed("run", *words[:-1], "policy.greatest_celsius=20", "out=cold")
    assert cold.code == Exit.FINE
    assert json.loads(Path("cold/metrics.json").read_bytes())["gpu_seconds_delivered"] == 0.0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "policy._target_=coolest.Hottest",
            ("policy._target_ = 'coolest.Hottest'", "No module named 'coolest.Hottest'", "Name a callable"),
        ),
        (
            "policy._target_=coldest.Coolest",
            ("policy._target_ = 'coldest.Coolest'", "named 'coldest'", "Name a callable"),
        ),
        ("+policy.colour=red", ("colour", "policy._target_")),
    ],
)
def test_a_document_that_makes_no_policy_is_refused_by_name(installed, override, said):
    ended = installed("run", "--config-dir", "my/conf", "hall=small", "policy=coolest", override, "out=there")
    assert ended.code == Exit.REFUSED
    assert all(word in ended.err for word in said), ended.err


def test_a_broken_variant_is_told_what_it_did_wrong():
    class Careless:
        """Remembers by itself, trusts every reading, forgets to ask for room, and books trays in the snapshot."""

        def __init__(self):
            self.asked = 0

        def __call__(self, snapshot, request, state=None):
            self.asked += 1
            rack = int(np.nanargmin(snapshot.rack_supply_temperature_celsius))
            snapshot.rack_free_trays[rack] -= request.trays
            detail = f"request {self.asked}"
            return Placement(
                request.id, ((snapshot.rack_names[rack], request.trays),), Reason.PLACED_BELOW, detail
            ), state

    careless = Careless()
    found = {str(finding) for finding in check_policy(lambda: careless)}
    assert {
        "a calm hall, one rack: changed its arguments",
        "a full hall, one rack: placed 2 trays on A-01, which has 0 free",
        "nothing healthy, one rack: placed on A-01, which is not in service",
        "rack_supply_temperature_celsius NaN, one rack: raised ValueError: All-NaN slice encountered",
    } <= found
    assert any("once and" in each and "the next time" in each for each in found)
