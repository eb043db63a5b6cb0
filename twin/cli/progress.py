"""How far a run is: a bar on a terminal, a line now and then elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from twin.sim.written import clock_of

QUIET_SECONDS = 5.0  # between two lines where there is no terminal


@contextmanager
def progress(label: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """Show a run of ``seconds`` [s] under way; what is yielded takes the simulated time [s] reached."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(label, seconds)
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
        task = bar.add_task(label, total=seconds, reached=clock_of(0.0))

        def moved(reached: float) -> None:
            bar.update(task, completed=reached, reached=clock_of(reached // 1))

        yield moved


def _lines(label: str, seconds: float) -> Callable[[float], None]:
    """A line every few seconds of real time: the first after that long, so that short runs stay silent."""
    started = last = time.monotonic()

    def moved(reached: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= QUIET_SECONDS:
            last = now
            of = f"{clock_of(reached // 1)} of {clock_of(seconds)}"
            print(f"{label}: {of} simulated in {now - started:.0f} s", file=sys.stderr, flush=True)

    return moved
