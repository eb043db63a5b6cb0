"""Ctrl-C ends a run between two events: anywhere else it would leave half of an event behind, in log, plant or jobs."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from twin.sim.clock import HybridEnvironment


@contextmanager
def between_events(env: HybridEnvironment) -> Iterator[None]:
    """While inside, Ctrl-C asks ``env`` to stop before its next event; asked again, it stops at once.

    Does nothing outside the main thread, or where somebody else handles or ignores the signal.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if env.asked_to_stop:
            raise KeyboardInterrupt
        env.asked_to_stop = True

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
