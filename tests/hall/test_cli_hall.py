"""``twin hall`` as a person and a script use it."""

import json

import pytest

from twin.cli.hall import main
from twin.hall.draw import hall_figure
from twin.hall.reader import load_hall


def test_show_draws_the_sheet_and_the_tree(tmp_path, capsys):
    sheet = tmp_path / "small.png"
    assert main(["show", "small", "--out", str(sheet)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG") and sheet.stat().st_size > 20_000
    told = capsys.readouterr().out
    assert "small: 4 racks, 0.53 MW nameplate" in told
    assert "row A/feed A · 660 A lsi · 324 A at nameplate" in told and "4 rack feeds, 250 A" in told


@pytest.mark.parametrize("name", ["reference", "mixed"])
def test_the_sheet_names_every_rack_feed_level_and_loop(name):
    hall = load_hall(name)
    words = "\n".join(text.get_text() for axes in hall_figure(hall).axes for text in axes.texts)
    assert all(rack.name in words for rack in hall.racks)
    assert all(loop.name in words for loop in hall.loops)
    assert all(node.name.split("/")[0] in words for node in hall.nodes)


def test_show_as_json_is_the_hall_for_a_script(capsys):
    assert main(["show", "small", "--json", "rows=2"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["racks"]) == 8 and record["racks"][0]["nameplate_watts"] == 132000.0
    assert [loop["name"] for loop in record["loops"]] == ["loop 01", "loop 02"]


def test_check_exits_0_with_warnings_and_1_when_strict(capsys):
    assert main(["check", "reference"]) == 0
    assert "loss of one feed overloads the other" in capsys.readouterr().out
    assert main(["check", "reference", "--strict"]) == 1
    assert main(["check", "small", "--strict"]) == 0


def test_check_as_json(capsys):
    assert main(["check", "small", "loop.oversubscription=0.8", "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)
    assert warning["concern"] == "loop_rating" and warning["names"] == ["loop 01"]


def test_a_wrong_hall_exits_3_with_all_its_faults(capsys):
    assert main(["check", "small", "loop.pumps=0", "rows=-1"]) == 3
    told = capsys.readouterr().err
    assert "conf/hall/small.yaml: rows = -1: negative number" in told
    assert "conf/hall/small.yaml: loop.pumps = 0: a loop without a pump" in told


def test_a_place_that_cannot_be_written_exits_3(tmp_path, capsys):
    assert main(["show", "small", "--out", str(tmp_path / "none" / "x.png")]) == 3
    assert "cannot be written" in capsys.readouterr().err
    assert main(["show", "small", "--out", str(tmp_path / "x.picture")]) == 3


def test_a_file_of_ones_own_can_be_checked(tmp_path, capsys):
    from twin.places import conf_dir

    mine = tmp_path / "mine.yaml"
    mine.write_text((conf_dir() / "hall" / "small.yaml").read_text().replace("name: small", "name: mine"))
    assert main(["check", str(mine)]) == 0
    assert "hall mine: 4 racks, no warnings" in capsys.readouterr().out
