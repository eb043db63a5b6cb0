"""How far a run is: a bar on a terminal, a line now and then elsewhere. Always on stderr."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from twin.sim.written import clock_of

QUIET_SECONDS = 5.0  # between two lines where there is no terminal
PATIENT_SECONDS = 3.0  # without any step, before the reason is told
COMPILING = "the physics is compiled for this machine, once; later runs start at once"


def simulated(reached: float, total: float) -> str:
    """How much of a run is simulated [s]."""
    return f"{clock_of(reached // 1)} of {clock_of(total)} simulated"


def runs_done(reached: float, total: float) -> str:
    """How many runs of a study are done."""
    return f"{reached:,.0f} of {total:,.0f} runs"


@contextmanager
def progress(
    label: str, total: float, told: Callable[[float, float], str] = simulated
) -> Iterator[Callable[[float], None]]:
    """Show work under way; what is yielded takes how much of ``total`` is reached: seconds [s] simulated, or whatever
    ``told`` makes a sentence of, such as :func:`runs_done`.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        lines = _Lines(label, total, told)
        try:
            yield lines.moved
        finally:
            lines.waiting.cancel()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[reached]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, reached=COMPILING if told is simulated else "")

        def moved(reached: float) -> None:
            bar.update(task, completed=reached, reached=told(reached, total))

        yield moved


class _Lines:
    """A line every few seconds of real time: the first after that long, so that short runs stay silent."""

    def __init__(self, label: str, total: float, told: Callable[[float, float], str] = simulated) -> None:
        self.label, self.total, self.told = label, total, told
        self.started = self.last = time.monotonic()
        self.waiting = threading.Timer(PATIENT_SECONDS, self.wait)
        self.waiting.daemon = True
        self.waiting.start()

    def wait(self) -> None:
        """Say why nothing has moved yet."""
        if self.told is not simulated:
            return
        print(f"{self.label}: {COMPILING}", file=sys.stderr, flush=True)

    def moved(self, reached: float) -> None:
        """Take how much is reached."""
        self.waiting.cancel()
        now = time.monotonic()
        if now - self.last >= QUIET_SECONDS:
            self.last = now
            of = self.told(reached, self.total)
            print(f"{self.label}: {of} in {now - self.started:.0f} s", file=sys.stderr, flush=True)
