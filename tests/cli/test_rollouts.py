"""Rollout pipelines at the door: chosen and overridden by key, refused by key, value and remedy, recorded and shown."""

import json
from pathlib import Path

import pandas as pd
import pytest

from twin.cli.exits import Exit
from twin.hall.errors import HallError
from twin.places import conf_dir
from twin.policy.canary import Strategy
from twin.policy.rollout import default_plan
from twin.setup.rollouts import rollout_of
from twin.sim.policy_files import policy_document

STORY = "bad_build_cool_rack_short"
NAME = "2026.04.14.13"


def document(policy="thermal_aware"):
    return policy_document(conf_dir() / "policy", policy)


def test_every_policy_says_how_it_rolls_out():
    for path in (conf_dir() / "policy").glob("*.yaml"):
        found = rollout_of(document(path.stem))
        aware = path.stem == "thermal_aware"
        assert found.canary.strategy is (Strategy.REPRESENTATIVE if aware else Strategy.FIRST_FIT)
        assert (found.design is not None) is aware


def test_the_shipped_plan_is_the_default_of_the_package_but_for_the_age_of_signals():
    plan = rollout_of(document()).plan
    assert plan.stages == default_plan().stages and plan.limits == default_plan().limits
    assert plan.greatest_age_seconds == 60.0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "policy.rollout.canary.strategy=hottest",
            "canary.strategy = 'hottest': unknown. Use one of 'coolest'",
        ),
        ("policy.rollout.plan.limits.error_rate.hold=2", "error_rate: hold = 2.0, roll_back = 0.05"),
        ("policy.rollout.judge=null", "nobody judges, and a stage is judged"),
        ("policy.rollout.judge.metrics.0.name=luck", "policy.rollout.judge.metrics = 'luck'"),
        ("policy.rollout.looks=0", "policy.rollout.looks = 0"),
        ("policy.rollout.window_seconds=1000", "policy.rollout.window_seconds = 1000"),
        ("+policy.rollout.colour=red", "policy.rollout.colour = 'red'"),
        ("policy.rollout.permitted.limit_utilisation=9", "policy.rollout.permitted.limit_utilisation = 9"),
        ("policy.rollout.plan.stages.0.soak_seconds=x", "policy.rollout.plan.stages[0].soak_seconds = 'x'"),
        ("policy.rollout.judge.metrics.0.margin=x", "margin = 'x': not a number"),
        ("policy.rollout=5", "policy.rollout = 5"),
        ("policy.rollout.plan=null", "policy.rollout.plan = None"),
        ("policy/rollout=mine", "Use one of 'default', 'traditional'"),
    ],
)
def test_a_wrong_pipeline_is_refused_by_key_value_and_remedy(twin, override, said):
    ended = twin("run", "hall=small", "hours=0.05", "policy=thermal_aware", override, "out=there")
    assert ended.code == Exit.REFUSED
    assert said in ended.err
    assert not Path("there").exists()


def test_all_faults_of_a_pipeline_are_told_at_once():
    wrong = document()
    wrong["rollout"] = {"plan": {"stages": [], "limits": {}}, "canary": {"strategy": "x"}, "judge": None, "looks": "y"}
    with pytest.raises(HallError) as refused:
        rollout_of(wrong)
    keys = [fault.key for fault in refused.value.faults]
    assert {"policy.rollout.plan", "policy.rollout.canary.strategy", "policy.rollout.looks"} <= set(keys)


@pytest.mark.parametrize(
    ("policy", "service", "said"),
    [
        ("first_fit", "chatt", "mine.yaml: timeline.service = 'chatt': the workload has no such service. Did you mean"),
        ("none", "chat", "mine.yaml: timeline.do = 'roll_out': the policy does not say how to roll out. Add"),
    ],
)
def test_a_release_that_nothing_can_roll_out_is_refused(twin, policy, service, said):
    entry = f"{{at: 60 s, do: roll_out, release: r1, service: {service}}}"
    Path("mine.yaml").write_text(f"purpose: to be told\nchoose: {{hall: small}}\ntimeline:\n  - {entry}\n")
    words = ["policy=first_fit"] if policy == "first_fit" else ["~policy.rollout"]
    ended = twin("run", "scenario=mine.yaml", "hours=0.05", *words, "out=there")
    assert ended.code == Exit.REFUSED and said in ended.err
    assert not Path("there").exists()


def test_strategy_is_an_override_and_a_rollout_is_in_tables_metrics_summary_and_record(twin):
    ended = twin("run", f"scenario={STORY}", "policy.rollout.canary.strategy=random", "out=there")
    assert ended.code == Exit.FINE, ended.out
    (row,) = pd.read_parquet("there/rollouts.parquet").to_dict("records")
    assert f"rollout {NAME}: rolled back after 3 of 14 racks, judged pass" in ended.out
    # the story names a strategy of its own, and what is said on the command line goes before it
    assert (row["release"], row["strategy"], row["outcome"]) == (NAME, "random", "rolled back")
    found = json.loads(Path("there/metrics.json").read_bytes())["rollouts"][NAME]
    assert (found["verdict"], found["racks_reached"], found["racks_targeted"]) == ("pass", 3, 14)
    assert found["canaries"] == row["canaries"] and found["rolled_back_seconds"] == row["ended_seconds"]
    page = Path("there/report.html").read_text("utf-8")
    assert "<h2>Releases</h2>" in page and f"<td>{NAME}</td><td>chat</td><td>rolled back</td>" in page
    kept = json.loads(Path("there/manifest.json").read_bytes())["configuration"]["policy"]["rollout"]
    assert kept["canary"]["strategy"] == "random"
    records = [json.loads(line) for line in Path("there/audit.jsonl").read_text().splitlines()]
    told = [record for record in records if record.get("subject") == NAME]
    assert told and told[-1]["data"]["action"].startswith("rollout roll back on ")
    assert "at full rollout a limit would be exceeded" in told[-1]["data"]["reason"]
    assert twin("audit", "verify", "there").code == Exit.FINE
    assert twin("audit", "replay", "there").code == Exit.FINE


def test_a_rollout_is_made_again_from_its_manifest(twin):
    assert twin("run", f"scenario={STORY}", "out=one").code == Exit.FINE
    assert twin("run", "--again", "one", "out=other").code == Exit.FINE
    for name in ("events.parquet", "rollouts.parquet", "timeseries.parquet"):
        assert (Path("one") / name).read_bytes() == (Path("other") / name).read_bytes(), name


def test_what_a_pipeline_sees_decides(twin):
    """The same release under a pipeline that sees errors alone goes on to where the judge's projection stopped it."""
    ended = twin("run", f"scenario={STORY}", "policy=first_fit", "hours=1", "out=there")
    assert ended.code == Exit.FINDING
    assert json.loads(Path("there/metrics.json").read_bytes())["rollouts"][NAME]["racks_reached"] > 3
