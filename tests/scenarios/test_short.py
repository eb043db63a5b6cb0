"""Every story that is shipped, told in its short form: what it expects comes true, and nothing is lost on the way."""

from pathlib import Path

import pytest

from twin.__main__ import main
from twin.cli.exits import Exit
from twin.places import scenarios_dir
from twin.results.balance import assert_balanced
from twin.results.read import read_run
from twin.setup import stories

STORIES = [path.stem for path in stories.files(scenarios_dir())]


def test_the_stories_that_were_promised_are_shipped():
    assert {"baseline_day", "pump_loss", "pump_loss_total", "feed_loss", "heavy_batch_then_deploy"} <= set(STORIES)


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
