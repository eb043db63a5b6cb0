"""The pytest plugin, in a suite of its own."""

import subprocess
import sys
from pathlib import Path

import yaml

from twin.places import conf_dir

SUITE = """
import pytest

@pytest.mark.score_formula("{formula}", incidents=["{incident}"], settings="{settings}", cache="kept")
def test_my_formula(score_judgement):
    assert score_judgement.outcome.name in ("FINE", "SAME"), score_judgement.why

@pytest.mark.score_formula("nowhere.yaml", settings="{settings}", cache="kept")
def test_no_formula(score_judgement):
    pass

def test_without_a_marker(score_judgement):
    pass
"""


def test_a_suite_holds_a_formula(warm_incident: Path, settings_file: Path, tmp_path: Path) -> None:
    formula = yaml.safe_load((conf_dir() / "policy" / "score" / "default.yaml").read_text(encoding="utf-8"))
    for terms in formula["classes"].values():
        for term in terms:
            if term["factor"] == "inlet_celsius":
                term["worst"], term["best"] = term["best"], term["worst"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(formula), encoding="utf-8")
    text = SUITE.format(formula="mine.yaml", incident=warm_incident, settings=settings_file)
    (tmp_path / "test_mine.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "twin.pytest_plugin", "-p", "no:cacheprovider",
         f"--rootdir={tmp_path}", "test_mine.py"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "trays on racks that slowed" in done.stdout and "1 failed, 2 errors" in done.stdout
    assert f"there is no file nowhere.yaml in {tmp_path}" in done.stdout
    assert "score_judgement needs @pytest.mark.score_formula(candidate) on the test" in done.stdout
