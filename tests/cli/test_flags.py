"""``twin flags``: a table, the debt, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from twin.places import conf_dir

DEFAULT = conf_dir() / "policy" / "flags" / "default.json"


def file_with(folder: Path, **metadata: Any) -> Path:
    """The default flags, with metadata of ``scale_back`` changed; None takes a key out."""
    document = json.loads(DEFAULT.read_text("utf-8"))
    for key, value in metadata.items():
        if value is None:
            document["flags"]["scale_back"]["metadata"].pop(key)
        else:
            document["flags"]["scale_back"]["metadata"][key] = value
    path = folder / "flags.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_show_is_a_table_of_the_default_file(twin: Any) -> None:
    ended = twin("flags", "show")
    assert (ended.code, ended.err) == (0, "")
    for word in ("scale_back", "evacuation", "rack/*", "operator"):
        assert word in ended.out


def test_show_as_json_has_every_flag_in_full(twin: Any) -> None:
    records = json.loads(twin("flags", "show", DEFAULT, "--json").out)
    found = {record["key"]: record for record in records}
    assert list(found) == sorted(found) == sorted(json.loads(DEFAULT.read_text("utf-8"))["flags"])
    assert found["scale_back"]["variants"]["halved"] == {"concurrency": 0.5, "batch_size": 0.5, "auxiliary": False}
    assert found["scale_back"]["expires_after_seconds"] == 3600.0
    assert found["new_build"]["experimental"] is True


def test_no_debt_is_said_in_a_sentence(twin: Any) -> None:
    ended = twin("flags", "lint", "default", "--at", "2026-06-01")
    assert (ended.code, ended.out) == (0, "6 flags, no debt at 2026-06-01\n")


def test_debt_is_listed_and_is_no_finding_but_under_strict(twin: Any, tmp_path: Path) -> None:
    path = file_with(tmp_path, owner=None, expires=20000)
    ended = twin("flags", "lint", path, "--at", "2026-06-01", "--json")
    assert ended.code == 0
    assert [(each["flag"], each["debt"], each["detail"]) for each in json.loads(ended.out)] == [
        ("scale_back", "no_owner", "metadata.owner is missing"),
        ("scale_back", "long_thermal", "expires after 20000 s"),
    ]
    ended = twin("flags", "lint", path, "--at", "2026-06-01", "--strict")
    assert ended.code == 1 and "nobody owns it" in ended.out


@pytest.mark.parametrize(
    ("at", "code"), [("2026-05-31T23:59:59", 0), ("2026-06-01", 1), ("2026-06-02T00:00:00+00:00", 1)]
)
def test_an_expired_flag_is_a_finding(twin: Any, tmp_path: Path, at: str, code: int) -> None:
    path = file_with(tmp_path, expires="2026-06-01T00:00:00Z")
    ended = twin("flags", "lint", path, "--at", at)
    assert ended.code == code
    assert ("has passed" in ended.out) == (code == 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", ("flags.json: file", "not JSON", "line 1")),
        ("[]", ("not a mapping",)),
        ('{"flags": {"a": {}, "a": {}}}', ("written twice",)),
        ('{"flags": {"a": {"state": NaN}}}', ("NaN", "not a number")),
        ('{"flags": {"a": {"state": "on"}}, "flag": 1}', ("flags.json: flag = 1", "flags.a.state = 'on'", "faults")),
        ("[" * 100_000, ("nested without end",)),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(twin: Any, tmp_path: Path, content: str, said: tuple[str, ...]) -> None:
    (tmp_path / "flags.json").write_text(content, "utf-8")
    for action in ("show", "lint"):
        ended = twin("flags", action, "flags.json")
        assert (ended.code, ended.out) == (3, "")
        for words in said:
            assert words in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lint", "gone.json"), "cannot be read"),
        (("lint", "defalt"), "Did you mean 'default'?"),
        (("lint", "--at", "soon"), "--at = 'soon': not a date"),
        (("lnt",), "invalid choice"),
    ],
)
def test_wrong_words_are_refused(twin: Any, words: tuple[str, ...], said: str) -> None:
    ended = twin("flags", *words)
    assert ended.code == 3 and said in ended.err
