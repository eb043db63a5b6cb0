"""How far a judgement can be trusted: false alarms on harmless changes, and mutations that it catches. Long."""

import json
from pathlib import Path

import pytest

from twin.cli.regress import main


def study(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[dict]]:
    code = main([*map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.long
def test_a_hundred_harmless_changes_raise_five_alarms_at_most(tmp_path: Path, capsys) -> None:
    code, rows = study(capsys, "--study", "false-alarms", "--number", 100, "--cache", tmp_path)
    assert len(rows) == 100
    assert sum(row["outcome"] == "worse" for row in rows) <= 5 and code == 0


@pytest.mark.long
def test_the_named_mutations_are_all_caught(tmp_path: Path, capsys) -> None:
    code, rows = study(capsys, "--study", "mutations", "--fast", "--cache", tmp_path)
    assert len(rows) >= 20 and sum(row["named"] for row in rows) == 5
    with capsys.disabled():
        print(f"\nkilled {sum(row['outcome'] == 'worse' for row in rows)} of {len(rows)}")
    assert [row["name"] for row in rows if row["named"] and row["outcome"] != "worse"] == [] and code == 0
