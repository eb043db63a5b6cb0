"""``twin validate``: what it prints, what it refuses, what it ends with."""

import json
from dataclasses import replace

import pytest

from twin.cli import validate
from twin.validation import breakers
from twin.validation.case import Case, Check, Kind
from twin.validation.cases import CASES

KEYS = {"case", "kind", "source", "expected", "obtained", "passed"}


def test_chosen_cases_as_json(twin):
    ended = twin("validate", "v5", "V1", "--json")
    assert ended.code == 0
    rows = json.loads(ended.out)
    assert [row["case"] for row in rows] == ["V1", "V1", "V1", "V5", "V5"]
    assert all(set(row) == KEYS for row in rows)
    assert [row["kind"] for row in rows] == ["conformance", "conformance", "identity", "calibration", "calibration"]
    assert rows[0]["expected"] == {
        "check": "V1a", "quantity": "holds 1.13 In", "unit": "s", "low": 3600.0, "high": None, "exclusive": False,
    }  # fmt: skip
    assert rows[0]["obtained"] == 3600.0
    assert all(row["passed"] is True for row in rows)
    assert "Dynamo" in rows[3]["source"]
    assert "V1: MCB C16" in ended.err


def test_the_table_keeps_calibration_apart(twin):
    ended = twin("validate", "V1", "V5")
    assert ended.code == 0
    evidence, rest = ended.out.split("no evidence, but must hold")
    identities, calibration = rest.split("calibration: judged on what it was fitted to")
    assert "V1a" in evidence
    assert "V5" not in evidence + identities
    assert "V1c" in identities
    assert "V5a" in calibration
    assert "fitted: the trip curve" in calibration
    assert "evidence: 2 of 2 checks hold" in ended.out
    assert "calibration: 2 of 2 checks hold" in ended.out
    assert "all hold;" in ended.out


def test_a_miss_ends_with_1_and_is_named(twin, monkeypatch):
    monkeypatch.setattr(breakers, "MCB", {"preset": "mcb_c16", "trip_multiple": 1.1})
    ended = twin("validate", "V1")
    assert ended.code == 1
    assert "MISS" in ended.out
    assert "missed: V1a" in ended.out
    rows = json.loads(twin("validate", "V1", "--json").out)
    assert [row["passed"] for row in rows] == [False, False, False]  # what has tripped cannot trip again
    assert rows[1]["obtained"] is None


def test_what_never_happens_is_never_in_words_and_null_in_json(twin, monkeypatch):
    check = Check(Kind.EMPIRICAL, "trips after", "s", low=0.0, high=60.0)
    case = Case("V1", "a paper", "P", "a breaker under load", (check,), lambda: [float("inf")])
    monkeypatch.setattr(validate, "chosen", lambda names: (case,))
    ended = twin("validate", "V1")
    assert (ended.code, "never" in ended.out) == (1, True)
    (row,) = json.loads(twin("validate", "V1", "--json").out)
    assert (row["obtained"], row["passed"]) == (None, False)


def test_cases_that_are_none_are_refused_all_at_once(twin):
    ended = twin("validate", "V1", "V33", "W4")
    assert ended.code == 3
    assert "refused: 2 faults" in ended.err
    assert "'V33': there is none of that name. Did you mean 'V3'?" in ended.err
    assert "'W4': there is none of that name. Use one of 'V1'" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--figure", "loss.pdf"], ".png or .svg"),
        (["--figure", "nowhere/loss.png"], "no folder 'nowhere'"),
        (["--figure", "loss.png", "V4"], "draws and runs no cases"),
        (["--fast"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_refused(twin, tmp_path, words, said):
    ended = twin("validate", *words)
    assert ended.code == 3
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_cases(twin):
    ended = twin("validate", "--help")
    assert ended.code == 0
    for case in CASES:
        assert f"{case.name} " in ended.out
        assert case.statement in ended.out


@pytest.mark.parametrize(("name", "begin"), [("loss.png", b"\x89PNG"), ("loss.svg", b"<svg")])
def test_a_figure_is_written(twin, tmp_path, name, begin):
    ended = twin("validate", "--figure", name)
    assert (ended.code, ended.out) == (0, f"{name}\n")
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_an_entry_has_an_end_of_its_range_open():
    row = validate.Row(CASES[0], "a", replace(CASES[0].checks[0], high=float("inf")), 1.0)
    assert validate.entry(row)["expected"]["high"] is None
