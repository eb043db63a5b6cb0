"""The log: one line of canonical JSON per record, each chained to the one before by its hash.

A record has the attributes of CloudEvents 1.0 and two extensions: ``hash``, SHA-256 of the record's canonical JSON
without that attribute, and ``previoushash``, the hash of the record before (of nothing: 64 zeros). ``id`` counts the
records of a log from 0. Every record is handed to the operating system when it is appended, so a stopped process loses
none; a stopped machine may lose what came after the last checkpoint, which is when the disk is waited for.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any, Self

from twin.audit.canonical import PREFIX, canonical, parse
from twin.audit.checkpoints import Checkpoint, Signer, signed
from twin.audit.errors import AuditError
from twin.audit.frames import write_all
from twin.audit.merkle import MerkleTree
from twin.audit.records import DECISION, OVERRIDE

#: names of the files in a run directory
LOG, SNAPSHOTS, CHECKPOINTS = "audit.jsonl", "audit.snapshots", "audit.checkpoints.jsonl"

NOTHING = PREFIX + "0" * 64
SIMULATED = datetime(2000, 1, 1, tzinfo=UTC)  # when simulated time is 0, unless a caller says otherwise
ID = "{:010d}"


@dataclass(frozen=True)
class Line:
    """One line of a log as it was read: its number from 0, its bytes, and the record where it is one."""

    number: int
    data: bytes  # without the newline
    record: dict[str, Any] | None
    whole: bool  # ends with a newline


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a log. Raises :class:`AuditError` for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file):
                bare = data.removesuffix(b"\n")
                try:
                    record = parse(bare)
                except (ValueError, RecursionError):
                    record = None
                yield Line(number, bare, record if isinstance(record, dict) else None, bare != data)
    except OSError as fault:
        raise AuditError(f"{path}: cannot be read ({fault.strerror or fault})") from fault


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records of a log. Raises :class:`AuditError` that names a line which is none."""
    found = []
    for line in read_lines(path):
        lacking = ["a JSON object"] if line.record is None else _lacking(line.record)
        if line.record is None or lacking:
            lacks = ", ".join(lacking)
            raise AuditError(f"{path}: line {line.number + 1} is no record, it lacks {lacks}; see 'twin audit verify'")
        found.append(line.record)
    return found


def _lacking(record: Mapping[str, Any]) -> list[str]:
    """What a reader needs of a record and does not find."""
    absent = [name for name in ("id", "type", "subject", "time", "data") if name not in record]
    data = record.get("data")
    if not isinstance(data, dict):
        return [*absent, "data"]
    for name, keys in _CONTENT.get(str(record.get("type")), {}).items():
        part = data.get(name)
        if not isinstance(part, dict):
            absent.append(f"data.{name}")
        else:
            absent += [f"data.{name}.{key}" for key in keys if key not in part]
    return absent


#: type of record → parts of its data that are objects, and what each must have
_CONTENT: dict[str, dict[str, tuple[str, ...]]] = {
    DECISION: {
        "request": ("id",),
        "decision": ("kind", "reason", "sentence", "detail", "racks", "digest"),
        "policy": ("name", "version", "digest", "parameters"),
        "snapshot": ("digest", "time_seconds"),
        "state": ("before", "after"),
    },
    OVERRIDE: {"request": ("id",), "override": ("identity", "role", "reason", "racks")},
}


def record_hash(record: Mapping[str, Any]) -> str:
    """The hash that a record should state."""
    bare = {key: value for key, value in record.items() if key != "hash"}
    return PREFIX + hashlib.sha256(canonical(bare)).hexdigest()


class AuditLog:
    """Appends records to a file. Use it as a context manager: on leaving, a last checkpoint is written.

    Args:
        path: the log; an existing one is continued, and an incomplete last line of it, which a crash leaves, is cut
            off (``recovered`` says how many bytes). Raises :class:`AuditError` for one whose chain does not hold.
        source: who writes it, a CloudEvents source such as ``/hall/reference/run/7``.
        start: the time that is 0 seconds; with a zone.
        checkpoints: the file for checkpoints; none are written without it.
        every: records from one checkpoint to the next.
        signer: signs the checkpoints.
        before_checkpoint: called before each checkpoint: the ``sync`` of the store, for instance.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        source: str,
        start: datetime = SIMULATED,
        checkpoints: Path | str | None = None,
        every: int = 1_000,
        signer: Signer | None = None,
        before_checkpoint: Callable[[], None] | None = None,
    ) -> None:
        if start.tzinfo is None:
            raise AuditError(f"start = {start}: has no time zone; use datetime(…, tzinfo=UTC)")
        if every < 1:
            raise AuditError(f"every = {every}: a checkpoint cannot come after fewer than 1 record")
        self.path, self.source, self._start = Path(path), source, start.astimezone(UTC)
        self._every, self._signer, self._before_checkpoint = every, signer, before_checkpoint
        self._tree = MerkleTree()
        self._last, self._last_time = NOTHING, ""
        self.recovered = 0
        self._checkpointed = -1  # size
        self._tail = b',"source":' + canonical(source) + b',"specversion":"1.0","subject":'
        self._stamp = (float("nan"), b"")
        try:
            if self.path.exists():
                self._continue()
            self._file = FileIO(self.path, "ab")
            self._checkpoints = FileIO(checkpoints, "ab") if checkpoints is not None else None
        except OSError as fault:
            raise AuditError(f"{path}: cannot be written ({fault.strerror or fault}); choose another place") from fault

    def _continue(self) -> None:
        whole = 0
        for line in read_lines(self.path):
            if not line.whole:
                self.recovered = len(line.data)
                break
            record = line.record
            if record is None or record.get("previoushash") != self._last or record.get("hash") != record_hash(record):
                raise AuditError(
                    f"{self.path}: line {line.number + 1} breaks the chain, so nothing is added to this log; "
                    f"see 'twin audit verify {self.path}'"
                )
            self._tree.append(line.data)
            self._last, self._last_time = record["hash"], record["time"]
            whole += len(line.data) + 1
        os.truncate(self.path, whole)
        self._checkpointed = self._tree.size

    @property
    def size(self) -> int:
        """Records so far."""
        return self._tree.size

    def append(self, kind: str, subject: str, time_seconds: float, data: Mapping[str, Any]) -> str:
        """Append a record and return its hash.

        Args:
            kind: the CloudEvents type, one of :mod:`twin.audit.records`.
            subject: what it is about: a job, a flag, a rack.
            time_seconds: when, from the log's start [s].
            data: its content, plain JSON values.
        """
        head = b'{"data":' + canonical(data) + b',"datacontenttype":"application/json",'
        tail = b"".join((
            b'"id":"', ID.format(self._tree.size).encode(), b'","previoushash":"', self._last.encode(), b'"',
            self._tail, canonical(subject), b',"time":"', self._time(time_seconds), b'","type":', canonical(kind), b"}",
        ))  # fmt: skip
        found = PREFIX + hashlib.sha256(head + tail).hexdigest()
        line = head + b'"hash":"' + found.encode() + b'",' + tail
        write_all(self._file, line + b"\n", self.path)
        self._tree.append(line)
        self._last = found
        if self._tree.size % self._every == 0:
            self.checkpoint()
        return found

    def _time(self, seconds: float) -> bytes:
        """Seconds from the start as RFC 3339 has it, to the microsecond."""
        if seconds != self._stamp[0]:
            try:
                at = self._start + timedelta(seconds=float(seconds))
            except (OverflowError, ValueError) as error:
                raise AuditError(
                    f"time_seconds = {seconds!r}: is no time ({error}); give seconds from start"
                ) from error
            self._last_time = at.isoformat().removesuffix("+00:00") + "Z"
            self._stamp = (seconds, self._last_time.encode())
        return self._stamp[1]

    def checkpoint(self) -> None:
        """Wait for the disk, then write a checkpoint, unless the last one is of this size."""
        if self._checkpoints is None or self._checkpointed == self.size:
            return
        if self._before_checkpoint is not None:
            self._before_checkpoint()
        os.fsync(self._file.fileno())
        root = PREFIX + self._tree.root().hex()
        made = signed(Checkpoint(self.source, self.size, root, self._last, self._last_time), self._signer)
        write_all(self._checkpoints, made.line(), self.path)
        os.fsync(self._checkpoints.fileno())
        self._checkpointed = self.size

    def close(self) -> None:
        """Write a last checkpoint and close the files."""
        try:
            self.checkpoint()
        finally:
            self._file.close()
            if self._checkpoints is not None:
                self._checkpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
