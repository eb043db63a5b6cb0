"""Who draws a run's figures: another process, or this one, and the same figures."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twin.results.drawers import Draw, draw_here, drawers
from twin.results.rundir import FIGURES, RunError


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_run(tmp_path_factory.mktemp("drawn") / "run", windows=12)
    (made / FIGURES).mkdir(exist_ok=True)
    return made


def drawn(run: Path, draw: Draw) -> tuple[dict[str, str], dict[str, bytes]]:
    for old in (run / FIGURES).iterdir():
        old.unlink()
    return draw(run)(), {path.name: path.read_bytes() for path in (run / FIGURES).iterdir()}


def test_another_process_draws_the_same_figures(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = drawn(run, draw_here)
    assert {f"{name}.png" for name in here[0]} == here[1].keys() >= {"timeline.png", "hall_map.png"}
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with drawers() as draw:
        monkeypatch.setattr("twin.results.drawers.draw_here", None)  # it is not fallen back on
        assert draw is not draw_here
        assert drawn(run, draw) == here


def test_where_the_other_process_fails_or_there_is_no_second_core_figures_are_drawn_here(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = drawn(run, draw_here)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", shutil.which("false"))
        with drawers() as draw:
            assert drawn(run, draw) == here
    with drawers() as draw, pytest.raises(RunError, match="is not the directory of a run"):
        draw(tmp_path)()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with drawers() as draw:
        assert draw is draw_here


def test_a_script_that_starts_a_run_at_its_top_level_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from twin.cli.run import main\nprint('once')\n"
        "main(['hall=small', 'hours=0.02', 'policy=first_fit', 'out=run'])\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.count("once") == 1 and "Traceback" not in ended.stderr
    assert (tmp_path / "run" / FIGURES / "timeline.png").exists()
