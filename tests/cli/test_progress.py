"""How far a run is, without a terminal: nothing for short runs, the reason for a wait, then a line now and then."""

import time

from twin.cli import progress


def test_a_short_run_says_nothing(capsys):
    with progress.progress("run", 100.0) as moved:
        moved(100.0)
    assert capsys.readouterr().err == ""


def test_a_wait_is_explained_and_steps_are_told(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENT_SECONDS", 0.05)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.2)
    with progress.progress("run", 7200.0) as moved:
        time.sleep(0.4)
        moved(3600.0)
        moved(3660.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"run: {progress.COMPILING}", "run: 01:00:00 of 02:00:00 simulated in 0 s"]


def test_nothing_is_said_after_a_run_has_failed(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENT_SECONDS", 0.1)
    try:
        with progress.progress("run", 10.0):
            raise ValueError
    except ValueError:
        time.sleep(0.25)
    assert capsys.readouterr().err == ""
