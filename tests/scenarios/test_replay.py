"""Every story that is shipped, under the thermal-aware policy: each decision comes out again as it was recorded."""

import json
from pathlib import Path

import pytest

from twin.__main__ import main
from twin.audit import DECISION, read_records
from twin.cli.exits import Exit
from twin.places import scenarios_dir
from twin.setup import stories

STORIES = [path.stem for path in stories.files(scenarios_dir())]


@pytest.mark.parametrize("name", STORIES)
def test_a_replay_equals_the_record(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    ended = main(["run", f"scenario={name}_short", "policy=thermal_aware", "out=run"])
    assert ended in (Exit.FINE, Exit.FINDING), capsys.readouterr().err  # what a story expects is told of its own policy
    decisions = sum(record["type"] == DECISION for record in read_records(Path("run/audit.jsonl")))
    capsys.readouterr()
    assert main(["audit", "replay", "run", "--json"]) == Exit.FINE
    found = json.loads(capsys.readouterr().out)
    assert found == {"same": decisions, "difference": None, "untold": []}
    assert decisions > 0
    assert main(["audit", "verify", "run"]) == Exit.FINE
