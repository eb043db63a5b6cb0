"""Policies by name from the command line: the aware one against the traditional, and documents that are refused."""

import json
import sys
from pathlib import Path

import pandas as pd
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
    # its ladder scales the batch back before devices slow: it is what acts, and first fit has none
    events = {policy: pd.read_parquet(Path(policy) / "events.parquet") for policy in found}
    scaled = {policy: each["detail"].str.startswith("scale_back = halved").any() for policy, each in events.items()}
    assert scaled == {"first_fit": False, "thermal_aware": True}
    assert found["first_fit"]["throttled_gpu_seconds"] > 0.0
    assert found["thermal_aware"]["throttled_gpu_seconds"] < 0.1 * found["first_fit"]["throttled_gpu_seconds"]
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
        ("policy.response=5", "policy.response"),
        ("policy.response.act_seconds=-1", "policy.response.act_seconds"),
        ("policy.response.flags=mine", "mine"),
        ("policy.ladder.ladders.loop_coolant.scope=planet", "policy.ladder.ladders.loop_coolant.scope"),
        ("+policy.colour=red", "policy.colour"),
        ("policy.score.classes.default.0.factor=luck", "policy.score.classes.default.terms[0].factor"),
    ],
)
def test_a_wrong_document_is_refused_by_key_value_and_remedy(twin, override, said):
    ended = twin("run", "hall=small", "hours=0.05", "policy=thermal_aware", override, "out=there")
    assert ended.code == Exit.REFUSED
    assert said in ended.err
    assert not Path("there").exists()


@pytest.mark.parametrize("words", [("policy=thermal_aware",), ("policy=random_healthy", "policy.audit=true")])
def test_a_run_that_is_audited_verifies_and_replays_and_tells_why(twin, words):
    assert twin("run", "hall=small", "hours=0.3", *words, "out=there").code == Exit.FINE
    assert twin("audit", "verify", "there").code == Exit.FINE
    replayed = twin("audit", "replay", "there")
    assert replayed.code == Exit.FINE and "decisions came out the same" in replayed.out
    line = next(line for line in Path("there/audit.jsonl").read_text("utf-8").splitlines() if '"Placement"' in line
                or '"placement"' in line)  # fmt: skip
    subject = json.loads(line)["subject"]
    told = twin("audit", "show", "there", subject)
    assert told.code == Exit.FINE and subject in told.out and "was placed on" in told.out
    log = Path("there/audit.jsonl")
    log.write_bytes(log.read_bytes().replace(b'"trays":1', b'"trays":2', 1))
    assert twin("audit", "verify", "there").code == Exit.FINDING


def test_an_audit_changes_nothing_and_is_written_anew_with_its_run(twin):
    words = ("run", "hall=small", "hours=0.1", "policy=thermal_aware")
    for audit in ("true", "false"):
        twin(*words, f"policy.audit={audit}", f"out=audit-{audit}")
    kept, without = Path("audit-true"), Path("audit-false")
    assert {**metrics(kept), "wall_seconds": 0} == {**metrics(without), "wall_seconds": 0}
    assert not (without / "audit.jsonl").exists()
    first = (kept / "audit.jsonl").read_bytes()
    twin(*words, "out=audit-true")
    assert (kept / "audit.jsonl").read_bytes() == first
    twin("run", "hall=small", "hours=0.1", "policy=first_fit", "out=audit-true")
    assert not (kept / "audit.jsonl").exists()


def test_the_ladder_and_its_flags_stand_in_the_audit(twin):
    ended = twin("run", "scenario=chiller_trip", "policy=thermal_aware", "hours=1", "out=there")
    assert ended.code == Exit.FINE, ended.err
    kinds = {json.loads(line)["type"] for line in Path("there/audit.jsonl").read_text("utf-8").splitlines()}
    assert {"datahall.decision", "datahall.action", "datahall.flag"} <= kinds


@pytest.mark.long
def test_a_heavy_day_trips_under_first_fit_and_not_under_the_aware_policy(twin):
    """One seed of `heavy` on `reference`; what the caution costs stands in the README."""
    found = {}
    for policy in ("first_fit", "thermal_aware"):
        twin("run", "workload=heavy", f"policy={policy}", "policy.audit=false", f"out={policy}")
        found[policy] = metrics(Path(policy))["breaker_trips_total"]
    assert found["first_fit"] > 0 and found["thermal_aware"] == 0


@pytest.mark.long
def test_on_a_default_day_headroom_that_was_claimed_holds_and_no_limit_is_passed(twin):
    twin("run", "policy.audit=false", "out=day")
    assert metrics(Path("day"))["forecast"]["sustained"]["held_ratio"] >= 0.95
    breakers = pd.read_parquet("day/breakers.parquet").query("level in ('ups', 'pdu', 'row')")
    assert (breakers["current_amperes_max"] <= 1.01 * 0.85 * breakers["rating_amperes"]).all()


def test_what_a_policy_offers_beside_decisions_reaches_the_run(twin):
    """The clock that `cap_all` holds, and the score of `thermal_aware`'s forecasts."""
    assert twin("run", "hall=small", "hours=0.1", "policy=cap_all", "out=capped").code == Exit.FINE
    assert metrics(Path("capped"))["capped_gpu_seconds"] > 0.0
    assert "forecast" not in metrics(Path("capped"))
    words = ("hall=small", "hours=0.8", "policy=thermal_aware", "policy.audit=false")
    assert twin("run", *words, "out=aware").code == Exit.FINE
    found = metrics(Path("aware"))
    assert found["capped_gpu_seconds"] == 0.0
    assert found["forecast"]["rack"]["count"] > 0 and found["forecast"]["sustained"]["claims"] > 0
    assert "forecast.rack.bias" in Path("aware/summary.csv").read_text(encoding="utf-8")


def test_a_site_rule_in_cel_holds_in_a_run_and_without_its_extra_is_refused_with_what_to_install(twin, monkeypatch):
    rules = "policy.admission.rules=[{name: cool, allow: 'inlet_celsius < 20.0', greatest_age_seconds: 35}]"
    words = ("run", "hall=small", "hours=0.1", "policy=thermal_aware", rules)
    assert twin(*words, "out=there").code == Exit.FINE
    assert metrics(Path("there"))["jobs"]["queued"] == metrics(Path("there"))["jobs"]["submitted"] > 0
    assert twin("audit", "replay", "there").code == Exit.FINE
    monkeypatch.setitem(sys.modules, "cel", None)
    monkeypatch.delitem(sys.modules, "twin.cel")
    ended = twin(*words, "out=other")
    assert ended.code == Exit.REFUSED
    assert "policy.admission.rules[0].allow = 'inlet_celsius < 20.0'" in ended.err
    assert "pip install 'data-hall-twin[cel]'" in ended.err
