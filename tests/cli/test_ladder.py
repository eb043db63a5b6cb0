"""``twin ladder show``: the state table, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from twin.places import conf_dir

DEFAULT = conf_dir() / "policy" / "ladder" / "default.yaml"


def test_show_prints_scopes_rungs_limits_and_business_rules(twin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ended = twin("ladder", "show")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "ladder default, version 2, owner thermal operations"
    titles = [line.strip() for line in lines if line.startswith("every ")]
    assert titles == [
        "every rack: rack_air, by rack_air_supply_temperature_celsius",
        "every rack: rack_coolant, by rack_supply_temperature_celsius",
        "every rack: rack_devices, by rack_device_over_slowdown_kelvin",
        "every row: row_coolant, by row_mean_supply_temperature_celsius",
        "every loop: loop_coolant, by loop_supply_temperature_celsius",
        "every hall: hall_coolant, by hall_mean_supply_temperature_celsius",
    ]
    loops = lines[next(n for n, line in enumerate(lines) if line.startswith("every loop")) :]
    cells = [cell.strip() for cell in next(line for line in loops if "throttle" in line).strip("│").split("│")]
    assert cells == ["throttle", "> 45", "60", "≤ 43 for 180 s", "scale_back=halved"]
    assert any("hard limit" in line and "> 58" in line for line in lines)
    assert any("more than 10 minutes, shift low-priority work to the backup cluster" in line for line in lines)


def test_show_as_json_has_a_row_per_rung(twin: Any) -> None:
    found = json.loads(twin("ladder", "show", DEFAULT, "--json").out)
    rows = [row for row in found["rungs"] if row["ladder"] == "loop_coolant"]
    assert [row["rung"] for row in rows] == [
        "alert",
        "throttle",
        "pause",
        "drain",
        "checkpoint",
        "migrate",
        "shut_down",
    ]
    assert rows[1] == {
        "scope": "loop",
        "ladder": "loop_coolant",
        "rung": "throttle",
        "signal": "loop_supply_temperature_celsius",
        "comparison": "above",
        "level": 45.0,
        "dwell_seconds": 60.0,
        "after_seconds": 0.0,
        "release_level": 43.0,
        "release_dwell_seconds": 180.0,
        "latched": False,
        "flags": {"scale_back": "halved"},
        "do": ["freeze_deploys", "disable_experiments", "shed_queue", "scale_down", "alert"],
        "undo": ["allow_deploys", "scale_up"],
    }
    assert found["business_rules"][0]["active_seconds"] == 600.0


def test_all_faults_of_a_document_are_told(twin: Any, tmp_path: Path) -> None:
    text = DEFAULT.read_text("utf-8").replace("owner: thermal operations", "ower: x").replace("level: 42", "level: 44")
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    ended = twin("ladder", "show", "mine.yaml")
    assert (ended.code, ended.out) == (3, "")
    assert "mine.yaml: ower = 'x': there is no such key. Did you mean 'owner'?" in ended.err
    assert "mine.yaml: ladders.loop_coolant.rungs[0].release.level = 44" in ended.err
    assert "no hysteresis" in ended.err


def test_flags_that_are_not_there_are_told(twin: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(DEFAULT.read_text("utf-8").replace("{evacuate: drain}", "{evacuat: drain}"))
    ended = twin("ladder", "show", "mine.yaml")
    assert ended.code == 3
    assert "mine.yaml: ladders.loop_coolant.drain.flags = 'evacuat': there is no such flag." in ended.err
    assert "Did you mean 'evacuate'?" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "defalt"), "Did you mean 'default'?"),
        (("show", "gone.yaml"), "cannot be read"),
        (("show", "--flags", "gone.json"), "cannot be read"),
        (("shw",), "invalid choice"),
    ],
)
def test_wrong_words_are_refused(twin: Any, words: tuple[str, ...], said: str) -> None:
    ended = twin("ladder", *words)
    assert ended.code == 3 and said in ended.err
