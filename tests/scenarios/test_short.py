"""Every story that is shipped, told in its short form: what it expects comes true, and nothing is lost on the way.

And under the thermal-aware policy, which most stories are told on, each decision comes out again as it was recorded.
"""

import json
from pathlib import Path

import pytest

from twin.__main__ import main
from twin.audit import DECISION, read_records
from twin.cli.exits import Exit
from twin.places import scenarios_dir
from twin.results.balance import assert_balanced
from twin.results.read import read_run
from twin.setup import stories

STORIES = [path.stem for path in stories.files(scenarios_dir())]
PROMISED = (
    "baseline_day hot_day heavy_batch_then_deploy mass_restart backup_jobs_one_row pump_loss pump_loss_total "
    "stuck_valve fouling_week chiller_trip_slow_recovery utility_loss facility_water_ramp feed_loss feed_failover "
    "phase_imbalance breaker_nuisance_trip lying_sensor telemetry_outage_during_rollout coolant_rise_during_rollout "
    "good_build_hot_rack bad_build_cool_rack loop_evacuation maintenance_window flag_left_on"
)


def test_the_stories_that_were_promised_are_shipped():
    assert set(PROMISED.split()) <= set(STORIES)


@pytest.mark.parametrize("name", STORIES)
def test_the_short_form_comes_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    story = stories.read_story(scenarios_dir() / f"{name}.yaml")
    assert story["short"], "a story without a short form is not tested"
    code = main(["run", f"scenario={name}_short", "out=run"])
    shown = capsys.readouterr()
    assert code == Exit.FINE, shown.out + shown.err
    run = read_run(tmp_path / "run")
    expected = run.metrics["expectations"]
    assert (expected["met"], expected["unmet"]) == (shown.out.count("as expected"), 0)
    assert expected["met"] == len(story["short"].get("expectations", story["expectations"])) > 0
    assert_balanced(run.metrics)
    jobs = run.metrics["jobs"]
    assert jobs["submitted"] == sum(jobs[key] for key in ("completed", "running", "queued", "refused", "killed"))
    if not (tmp_path / "run/audit.jsonl").exists():  # of its own policy: what it expects is not looked at
        assert main(["run", f"scenario={name}_short", "policy=thermal_aware", "out=aware"]) in (Exit.FINE, Exit.FINDING)
    replays(tmp_path / ("run" if (tmp_path / "run/audit.jsonl").exists() else "aware"), capsys)


def replays(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The decisions of a run, taken again from its record, are the same."""
    decisions = sum(record["type"] == DECISION for record in read_records(run / "audit.jsonl"))
    capsys.readouterr()
    assert main(["audit", "replay", str(run), "--json"]) == Exit.FINE
    assert json.loads(capsys.readouterr().out) == {"same": decisions, "difference": None, "untold": []}
    assert decisions > 0
    assert main(["audit", "verify", str(run)]) == Exit.FINE
