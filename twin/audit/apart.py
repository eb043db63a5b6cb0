"""An audit in a process of its own: whoever is audited hands over what happened, and goes on.

A record takes 0.4 ms of a run's time, and a fifth of that to hand over what it is of (:mod:`twin.audit.handed`). The
other process is a fork, so that it knows every class that this one knows. It ends when this one does, however that
comes about: what was handed over until then is recorded.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from twin.audit.errors import AuditError
from twin.audit.handed import Packer, Unpacker

Do = Callable[..., None]  # takes the name of what is to be done, and what it takes
CORES = 2  # with fewer there is nothing to be won
WAITING_BYTES = 1 << 20  # that may be handed over before they are taken: some twenty decisions of a hall of 64 racks
ENDED = "the process that records was ended by somebody else: the audit lacks what came last; run it again"


def is_possible() -> bool:
    """Whether there is a second core, and a system on which a process may safely begin as a copy of this one."""
    return (os.cpu_count() or 1) >= CORES and sys.platform == "linux"


@contextmanager
def apart(begin: Callable[[], AbstractContextManager[Do]]) -> Iterator[Do]:
    """Have ``begin`` entered in another process, and what it gives called there, in order, with what this gives is.

    On leaving, all that was handed over has been done. Faults of the other process are raised here: of its beginning at
    once, others with what is handed over next, or on leaving. Raises :class:`AuditError` for what cannot be pickled.
    """
    context = multiprocessing.get_context("fork")
    (there, here), (answers, answer) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    with suppress(ImportError, AttributeError, OSError):  # where a pipe can be made to hold that much
        import fcntl

        fcntl.fcntl(here.fileno(), fcntl.F_SETPIPE_SZ, WAITING_BYTES)
    other = context.Process(target=_serve, args=(begin, there, answer, (here, answers)), daemon=True)
    packed = Packer()

    def do(*message: Any) -> None:
        if here.closed:
            return
        try:
            here.send_bytes(packed(message))
            if answers.poll():
                _heard(answers)
        except BrokenPipeError:
            here.close()
            raise AuditError(ENDED) from None  # on leaving, what the other process says of it comes instead
        except BaseException:
            here.close()  # nothing may follow what was handed over in part, or could not be recorded
            raise

    other.start()
    try:
        there.close()
        answer.close()
        _heard(answers)  # it has begun
        yield do
    finally:
        here.close()
        try:
            _heard(answers)
        finally:
            other.join()
    if other.exitcode != 0:
        raise AuditError(ENDED)


def _heard(answers: Connection) -> None:
    """Wait for word from the other process, which is that it has begun, or has ended; raises what went wrong there."""
    try:
        fault = answers.recv()
    except EOFError:
        return
    if fault is not None:
        raise fault


def _serve(
    begin: Callable[[], AbstractContextManager[Do]],
    messages: Connection,
    answer: Connection,
    theirs: tuple[Connection, ...],
) -> None:
    """Do what is asked until nobody can ask any more."""
    for each in theirs:
        each.close()
    for number in (signal.SIGINT, signal.SIGTERM):  # the end of the one that asks is the end of this
        signal.signal(number, signal.SIG_IGN)
    try:
        with begin() as do:
            answer.send(None)
            unpacked = Unpacker()
            while True:
                try:
                    message = messages.recv_bytes()
                except (EOFError, OSError):  # between two messages, or in the middle of one
                    break
                do(*unpacked(message))
    except Exception as fault:
        messages.close()  # nobody waits until it is read
        with suppress(BrokenPipeError):
            answer.send(fault if isinstance(fault, AuditError) else AuditError(f"{type(fault).__name__}: {fault}"))
