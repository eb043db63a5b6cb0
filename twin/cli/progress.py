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


@contextmanager
def progress(label: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """Show a run of ``seconds`` [s] under way; what is yielded takes the simulated time [s] reached."""
    console = Console(stderr=True)
    if not console.is_terminal:
        lines = _Lines(label, seconds)
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
        task = bar.add_task(label, total=seconds, reached=COMPILING)

        def moved(reached: float) -> None:
            bar.update(task, completed=reached, reached=clock_of(reached // 1))

        yield moved


class _Lines:
    """A line every few seconds of real time: the first after that long, so that short runs stay silent."""

    def __init__(self, label: str, seconds: float) -> None:
        self.label, self.seconds = label, seconds
        self.started = self.last = time.monotonic()
        self.waiting = threading.Timer(PATIENT_SECONDS, self.wait)
        self.waiting.daemon = True
        self.waiting.start()

    def wait(self) -> None:
        """Say why nothing has moved yet."""
        print(f"{self.label}: {COMPILING}", file=sys.stderr, flush=True)

    def moved(self, reached: float) -> None:
        """Take the simulated time [s] reached."""
        self.waiting.cancel()
        now = time.monotonic()
        if now - self.last >= QUIET_SECONDS:
            self.last = now
            of = f"{clock_of(reached // 1)} of {clock_of(self.seconds)}"
            print(f"{self.label}: {of} simulated in {now - self.started:.0f} s", file=sys.stderr, flush=True)
