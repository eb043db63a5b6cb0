"""Whole processes: how long a command takes and how much memory, by the system's own account of it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KIBIBYTES = 1.0 if sys.platform != "darwin" else 1.0 / 1024.0  # of one unit of ru_maxrss
MEBIBYTE = 1024.0
QUOTED = 2_000  # characters of its last words that a failure is told with
UNUSUAL = "PYTHONDONTWRITEBYTECODE"  # where it is set, each process reads all sources anew: nobody's runs are like that


class ProcessError(RuntimeError):
    """A command that was to be measured failed; the message has its last words."""


@dataclass(frozen=True)
class Spent:
    """What one process took."""

    wall_seconds: float
    peak_mebibytes: float


def spent(command: Sequence[str], environment: Mapping[str, str] | None = None, *, fine: Sequence[int] = (0,)) -> Spent:
    """Run a command to its end. Raises :class:`ProcessError` for an exit code that is not among ``fine``."""
    asked = {name: value for name, value in {**os.environ, **(environment or {})}.items() if name != UNUSUAL}
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(list(command), stdout=output, stderr=output, env=asked)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in fine:
            output.seek(0)
            words = output.read().decode(errors="replace")[-QUOTED:]
            raise ProcessError(f"{' '.join(command)} ended with {process.returncode}:\n{words}")
    return Spent(wall, used.ru_maxrss * KIBIBYTES / MEBIBYTE)


def twin(*words: str, environment: Mapping[str, str] | None = None) -> Spent:
    """Run ``twin`` with this interpreter. An unmet expectation (exit code 1) is no failure here."""
    return spent([sys.executable, "-m", "twin", *words], environment, fine=(0, 1))


def said(statement: str) -> str:
    """What a statement prints in a fresh interpreter. Raises :class:`ProcessError` when it fails."""
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True)
    if done.returncode:
        raise ProcessError(f"{statement} failed:\n{done.stderr[-QUOTED:]}")
    return done.stdout.strip()
