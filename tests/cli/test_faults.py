"""``faults=`` on the command line: the draw stands in the manifest, a run repeats it, and wrong rates are refused."""

import json
from pathlib import Path

import pytest

from twin.__main__ import main
from twin.cli.exits import Exit
from twin.results.balance import assert_balanced
from twin.results.read import read_run

OFTEN = "+faults.filter_clog={hours_between: 0.05, factor: [2, 4], repair_hours: 0.02}"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_states_its_draw_and_is_made_again_with_it(tmp_path: Path) -> None:
    assert main(["run", "hall=small", "hours=0.3", "seed=3", OFTEN, "out=one"]) == Exit.FINE
    assert main(["run", "--again", "one", "out=two"]) == Exit.FINE
    one, two = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two"))
    assert one["drawn_faults"] == two["drawn_faults"] != []
    assert all(fault["do"] == "filter_clog" and 2 <= fault["factor"] <= 4 for fault in one["drawn_faults"])
    run = read_run(tmp_path / "one")
    assert_balanced(run.metrics)
    events = run.table("events")
    assert (events["kind"] == "fault_drawn").sum() == len(one["drawn_faults"])


def test_nothing_comes_by_chance_unless_it_is_chosen(tmp_path: Path) -> None:
    assert main(["run", "hall=small", "hours=0.1", "out=run"]) == Exit.FINE
    assert read_run(tmp_path / "run").manifest["drawn_faults"] == []


def test_the_default_rates_run(tmp_path: Path) -> None:
    assert main(["run", "hall=small", "hours=0.1", "faults=default", "faults.chiller_trip.hours_between=0.02"]) in (
        0,
        1,
    )


def test_wrong_rates_are_refused_with_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "hall=small", "faults=default", "faults.pump_loss.hours_between=-1", "plant.boot_seconds=-1"]
    assert main([*words, "out=run"]) == Exit.REFUSED
    said = capsys.readouterr().err
    assert "faults.pump_loss.hours_between = -1: not such a number" in said
    assert "plant.boot_seconds" in said
    assert not Path("run").exists()
