"""The run directory: names of its files, who may write into it, and writes that never leave half a file behind."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = "data-hall-twin run, version 1"

MANIFEST = "manifest.json"
METRICS = "metrics.json"
SUMMARY = "summary.csv"
SCORECARD = "scorecard.csv"  # of a rehearsal
REPORT = "report.html"
FIGURES = "figures"
PICTURES = ("timeline", "hall_map", "breaker_margins", "losses", "throttling")  # the longest to draw first
PARTIAL = ".partial"  # suffix of a file that is being written

#: manifest keys that say when and how a run went rather than what it was: they stay out of its digest
VOLATILE = (
    "complete",
    "digest",
    "format",
    "status",  # written by the store
    "started",
    "started_at",
    "finished",
    "finished_at",
    "created",
    "wall_seconds",
    "machine",
)


class RunError(Exception):
    """A run directory that cannot be written or read: the message names the path and the remedy."""


def table_file(table: str) -> str:
    """File name of a table."""
    return f"{table}.parquet"


def plain(value: Any) -> Any:
    """A value as JSON knows it: NumPy numbers as Python's, keys as text, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, str) else value
    return str(value)


def canonical_json(value: Any) -> bytes:
    """The one spelling of a value: sorted keys, two spaces, shortest floats, UTF-8, newline at the end."""
    text = json.dumps(plain(value), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what a run is: the manifest without time stamps and status."""
    what = {key: value for key, value in manifest.items() if key not in VOLATILE}
    return "sha256:" + hashlib.sha256(canonical_json(what)).hexdigest()


def unwritable(path: Path, fault: OSError) -> RunError:
    """The error for a failed write, with a remedy that fits it."""
    remedies = {
        errno.ENOSPC: "free some space or choose another directory with out=DIR",
        errno.EDQUOT: "the disk quota is used up: free some space or choose another directory with out=DIR",
        errno.EACCES: "choose a directory that you may write to with out=DIR",
        errno.EPERM: "choose a directory that you may write to with out=DIR",
        errno.EROFS: "the file system is read-only: choose another directory with out=DIR",
        errno.ENOTDIR: "a part of the path is a file: choose another directory with out=DIR",
        errno.EEXIST: "a file of that name is in the way: choose another directory with out=DIR",
    }
    remedy = remedies.get(fault.errno or 0, "choose another directory with out=DIR")
    return RunError(f"{path}: cannot write ({fault.strerror or fault}); {remedy}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it: it is there wholly or not at all. Raises RunError."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as fault:
        discard(partial)
        raise unwritable(path, fault) from fault


def discard(path: Path) -> None:
    """Remove a file if that is possible; used on the way out of another error, which it must not hide."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def is_run(directory: Path) -> bool:
    """Whether a directory holds a run of ours, finished or not."""
    try:
        return json.loads((directory / MANIFEST).read_bytes()).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def claim(directory: Path, known: tuple[str, ...]) -> None:
    """Make a directory ready for a new run.

    It is created if need be; an earlier run's own files (``known``) are removed, so that old and new never mix;
    hidden files and logs may stay. Anything else there is refused with a RunError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        found = sorted(entry.name for entry in directory.iterdir())
        strangers = [name for name in found if not name.startswith(".") and not name.endswith(".log")]
        if strangers and not is_run(directory):
            shown = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
            raise RunError(
                f"{directory}: holds what is not an earlier run ({shown}); choose an empty directory with out=DIR"
            )
        for name in known:
            for path in (directory / name, directory / (name + PARTIAL)):
                path.unlink(missing_ok=True)
        figures = directory / FIGURES
        if figures.is_dir():
            for picture in sorted(figures.glob("*.png")):
                picture.unlink()
    except OSError as fault:
        raise unwritable(directory, fault) from fault
    write_whole(directory / MANIFEST, canonical_json({"format": FORMAT, "complete": False, "status": "running"}))
