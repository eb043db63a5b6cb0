"""Exit codes of every command, and how a refusal is printed."""

import sys
from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """What a command ends with; scripts may rely on the numbers."""

    FINE = 0
    FINDING = 1  # a regression, a miss, an expectation unmet
    UNTOLD = 2  # could not tell
    REFUSED = 3  # input or usage
    INTERNAL = 4  # an error of the twin itself
    INTERRUPTED = 130


def refuse(faults: Iterable[str]) -> Exit:
    """Print every fault on its own line to stderr and return the code of a refusal."""
    lines = list(faults)
    heading = "refused" if len(lines) == 1 else f"refused: {len(lines)} faults"
    print(f"twin: {heading}", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)
    return Exit.REFUSED
