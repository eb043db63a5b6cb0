"""Trace files, row by row: gzip or plain, malformed rows named by line and skipped or refused, none lost silently.

Every row that is read ends in exactly one place: used, malformed (with a reason) or set aside by the reader (with a
reason: a pod that never ran is well formed, but no demand), so ``read = used + Σ malformed + Σ set aside``.
"""

import csv
import gzip
import hashlib
import io
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from twin.workload.faults import WorkloadError

Parse = Callable[[str], Any]  # raises ValueError whose text is the reason, without the column's name

MALFORMED = ("skip", "refuse")
EXAMPLES = 20  # malformed rows named in full


@dataclass
class Account:
    """What became of the rows of one file."""

    path: str
    sha256: str
    read: int = 0
    used: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    set_aside: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def refuse_row(self, line: int, reason: str) -> None:
        """Count a malformed row."""
        self.malformed[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"line {line}: {reason}")

    def provenance(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "rows_read": self.read,
            "rows_used": self.used,
            "rows_malformed": dict(sorted(self.malformed.items())),
            "rows_set_aside": dict(sorted(self.set_aside.items())),
            "malformed_examples": list(self.examples),
        }

    def check(self, malformed: str) -> None:
        """Raise :class:`WorkloadError` for malformed rows that are to be refused, and for a file with no row to use."""
        bad = sum(self.malformed.values())
        if malformed == "refuse" and bad:
            faults = [f"{self.path}: {example}; mend the row, or set malformed=skip" for example in self.examples]
            if bad > len(self.examples):
                faults.append(f"{self.path}: {bad - len(self.examples)} more malformed rows; set malformed=skip")
            raise WorkloadError(faults)
        if self.used == 0:
            why = ", ".join(f"{count} × {reason}" for reason, count in (self.malformed + self.set_aside).most_common(5))
            raise WorkloadError([f"{self.path}: no row can be used of {self.read} read ({why or 'the file is empty'})"])


def open_account(path: Path, *, key: str = "workload.path") -> Account:
    """Begin the account of a file that ``key`` named. Raises :class:`WorkloadError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return Account(str(path), hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        reason = error.strerror or error
        raise WorkloadError([f"{path}: {key}: cannot be read ({reason}); give {key} a file that is there"]) from error


def text_lines(path: Path) -> Iterator[str]:
    """Lines of a plain or gzip file, told apart by their first bytes, decoded as UTF-8 (bad bytes become U+FFFD).

    Raises :class:`WorkloadError` for a truncated or damaged gzip file.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        binary = cast(IO[bytes], gzip.GzipFile(fileobj=file) if packed else file)
        try:
            yield from io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="")
        except EOFError as error:
            raise WorkloadError([f"{path}: the gzip file ends too early (truncated); fetch it again"]) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise WorkloadError([f"{path}: the gzip file is damaged ({error}); fetch it again"]) from error


def read_rows(path: Path, columns: Mapping[str, Parse], account: Account) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield (line number, values in the order of ``columns``) of every well-formed row of a CSV file with a header.

    Columns may stand in any order among others. The caller adds to ``account.used`` or ``account.set_aside`` for each
    row it gets and calls ``account.check`` at the end. Raises :class:`WorkloadError` when the header lacks a column.
    """
    reader = csv.reader(text_lines(path), strict=True)
    header = _next(reader)
    if not isinstance(header, list):
        raise WorkloadError([f"{path}: line 1: the header cannot be read; the file needs {', '.join(columns)}"])
    names = [name.strip() for name in header]
    missing = [name for name in columns if name not in names]
    if missing:
        has, needs = ", ".join(names)[:200] or "none", ", ".join(columns)
        raise WorkloadError(
            [f"{path}: line 1: the header has no column {', '.join(missing)}; it has {has}, this format needs {needs}"]
        )
    places = [(names.index(name), name, parse) for name, parse in columns.items()]
    while (row := _next(reader)) is not None:
        if row == []:
            continue  # an empty line is no row
        account.read += 1
        line = reader.line_num
        if isinstance(row, str):
            account.refuse_row(line, row)
        elif len(row) != len(names):
            account.refuse_row(line, f"{len(names)} fields expected" if len(row) > len(names) else "too few fields")
        else:
            values = []
            for place, name, parse in places:
                try:
                    values.append(parse(row[place]))
                except ValueError as error:
                    account.refuse_row(line, f"{name} {error}")
                    break
            else:
                yield line, tuple(values)


def _next(reader: Any) -> list[str] | str | None:
    """The next row; its fault as a text where it is no CSV; None at the end."""
    try:
        return next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        return f"is not CSV ({error})"


def text(value: str) -> str:
    """A text that is not blank."""
    if not value.strip():
        raise ValueError("is blank")
    return value.strip()


def number(value: str) -> float:
    """A finite number that is not negative."""
    if not value.strip():
        raise ValueError("is blank")
    try:
        result = float(value)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(result):
        raise ValueError("is not finite")
    if result < 0.0:
        raise ValueError("is negative")
    return result


def whole(value: str) -> int:
    """A whole number that is not negative."""
    result = number(value)
    if result != math.floor(result):
        raise ValueError("is not a whole number")
    if result >= 2.0**53:
        raise ValueError("is too large")
    return int(result)


def number_or_blank(value: str) -> float | None:
    """A finite number that is not negative, or None for a blank field."""
    return number(value) if value.strip() else None
