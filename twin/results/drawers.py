"""Another process draws a run's figures, side by side, and reads what that takes while the run is simulated.

It is started anew, by ``python -m twin.results.drawers``, rather than by :mod:`multiprocessing`, whose processes would
begin by importing whatever script the run was started from. It is told a directory by its input and answers with the
figures as JSON.
"""

import gc
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from twin.results.rundir import PICTURES

#: has the figures of a run directory drawn, and returns what gives them once they are: SVG elements by name, without
#: those that have nothing to show
Draw = Callable[[Path], Callable[[], dict[str, str]]]

CORES = 2  # with fewer there is nothing to be won
ABREAST = 2  # figures at a time: the timeline takes as long as the two after it


def draw_here(directory: Path) -> Callable[[], dict[str, str]]:
    """Draw the figures one after another in this process, when they are asked for.

    To ask raises RunError when the directory is no run, or figures cannot be written.
    """

    def drawn() -> dict[str, str]:
        from twin.results.pictures import draw  # Matplotlib takes a while to load, and the other process has it already

        return _shown([draw(directory, name) for name in PICTURES])

    return drawn


@contextmanager
def drawers() -> Iterator[Draw]:
    """Have figures drawn by another process; by this one where there is no second core, or where the other fails.

    Enter it before a run.
    """
    if (os.cpu_count() or 1) < CORES:
        yield draw_here
        return
    with subprocess.Popen(
        [sys.executable, "-m", "twin.results.drawers"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the run alone
    ) as other:

        def draw_there(directory: Path) -> Callable[[], dict[str, str]]:
            assert other.stdin is not None and other.stdout is not None
            answers = other.stdout
            with suppress(BrokenPipeError), other.stdin as told:  # one that ended says so when it is asked
                told.write(os.fsencode(directory.resolve()))

            def drawn() -> dict[str, str]:
                answer = answers.read()
                if other.wait() != 0:
                    return draw_here(directory)()  # which tells what is wrong
                found: dict[str, str] = json.loads(answer)
                return found

            return drawn

        try:
            yield draw_there
        finally:
            other.kill()


def _shown(drawn: list[str | None]) -> dict[str, str]:
    return {name: picture for name, picture in zip(PICTURES, drawn, strict=True) if picture is not None}


def _serve() -> None:
    """Draw the figures of the directory that the input names, as soon as it is there."""
    from twin.results.pictures import draw

    gc.disable()  # its processes end with a few figures, too soon for what those leave to matter
    named = sys.stdin.buffer.read()
    if not named:
        return  # nothing is to be drawn
    directory = Path(os.fsdecode(named))
    if "fork" in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context("fork").Pool(ABREAST) as pool:
            drawn = pool.map(partial(draw, directory), PICTURES, chunksize=1)
    else:
        drawn = [draw(directory, name) for name in PICTURES]
    json.dump(_shown(drawn), sys.stdout)
    gc.freeze()  # nothing is to be tidied up: the run waits for this process to end


if __name__ == "__main__":
    _serve()
