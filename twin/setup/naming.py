"""Where a run goes when it is not told: a folder under results/ that says what the run was."""

import re
from collections.abc import Iterable
from pathlib import Path

RESULTS = "results"
DULL = ("none", "")  # words that say nothing in a name


def run_name(words: Iterable[object]) -> str:
    """``hall-workload-policy-scenario-seed`` without the words that say nothing."""
    return "-".join(safe(str(word)) for word in words if str(word) not in DULL)


def axes_name(overrides: Iterable[str], axes: Iterable[str]) -> str:
    """The values that one job of a sweep has on the sweep's axes: ``rows=4,seed=2``; empty without axes.

    A key goes by its last part, unless two axes share that.
    """
    keys = list(axes)
    short = {key: key.rsplit(".", 1)[-1] for key in keys}
    if len(set(short.values())) < len(keys):
        short = {key: key for key in keys}
    parts = []
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if key in short:
            parts.append(f"{short[key]}={safe(value)}")
    return ",".join(parts)


def safe(text: str) -> str:
    """Text as a part of a folder name: what a shell or a file system would trip over becomes an underscore."""
    kept = re.sub(r"[^\w.+=-]+", "_", text.strip("'\"")).strip("_")
    return kept[-60:]


def fresh(parent: Path, name: str) -> Path:
    """``parent/name``, or ``name-2``, ``name-3``, … where that is taken; the folder is made, so it stays ours."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path
