"""A policy document from its files: what it draws together, and what it overrides."""

import pytest

from twin.hall.errors import HallError
from twin.sim.policy_files import policy_document


def test_parts_are_read_from_their_folders_and_own_keys_come_last(tmp_path):
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "mild.yaml").write_text("version: '3'\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("defaults:\n  - score: mild\n  - _self_\nname: mine\n", encoding="utf-8")
    assert policy_document(tmp_path, "mine") == {"name": "mine", "score": {"version": "3"}}


def test_a_file_that_is_no_yaml_is_told_by_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: [\n", encoding="utf-8")
    with pytest.raises(HallError, match=r"mine\.yaml"):
        policy_document(tmp_path, "mine")
