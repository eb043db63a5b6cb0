"""Reads what :class:`twin.audit.store.SnapshotStore` wrote, and checks every digest on the way."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.audit.canonical import PREFIX
from twin.audit.errors import AuditError
from twin.audit.frames import Scan, frame_at
from twin.audit.objects import (
    NAMES,
    NUMBERS,
    READINGS,
    Bundle,
    history_digest,
    piece_digest,
    read_block,
    read_piece,
    snapshot_digest,
)
from twin.audit.parts import whole
from twin.policy.snapshot import Block, FacilitySnapshot, Histories

CACHED_FRAMES = 512  # whose data is kept unpacked


@dataclass(frozen=True)
class _Piece:
    """Where a piece is: in the data of the frame at ``frame`` bytes, from ``start`` to ``stop``."""

    header: str
    frame: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Span:
    """The rows of a history: part of the list of all rows that its path ever had."""

    header: str
    lane: list[int]
    start: int
    stop: int


class StoredSnapshots:
    """The snapshots and values of a store, by digest.

    ``cut`` is how many bytes of an incomplete last entry are at the end of the file: what a crash in the middle of a
    write leaves. Raises :class:`AuditError` for a file that is none of ours or is damaged before its last entry.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._headers: list[str] = []
        self._pieces: list[_Piece] = []
        self._digests: dict[int, bytes] = {}  # of pieces that were read
        self._values: dict[str, int] = {}
        self._snapshots: dict[str, dict[str, int | _Span]] = {}
        self._data: Callable[[int], bytes] = lru_cache(maxsize=CACHED_FRAMES)(
            lambda offset: frame_at(self.path, offset).data
        )
        scan = Scan(self.path)
        for frame in scan:
            try:
                self._index(frame.offset, json.loads(frame.meta))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise AuditError(f"{self.path}: the entry at byte {frame.offset} makes no sense ({error!r})") from error
        self.cut = scan.cut

    def _index(self, offset: int, meta: dict[str, Any]) -> None:
        self._headers += meta["headers"]
        at = 0
        for header, size in meta["pieces"]:
            self._pieces.append(_Piece(self._headers[header], offset, at, at + size))
            at += size
        self._values.update({name: int(number) for name, number in meta["values"].items()})
        if "snapshot" not in meta:
            return
        entries = dict(self._snapshots[meta["like"]]) if "like" in meta else {}
        for path in meta.get("gone", ()):
            del entries[path]
        for path, what in meta["set"].items():
            if isinstance(what, int):
                entries[path] = what
                continue
            before = entries.get(path)
            if "skip" in what and isinstance(before, _Span):
                entries[path] = _follow(before, what)
            else:
                entries[path] = _Span(self._headers[what["rows"]], list(what["add"]), 0, len(what["add"]))
        self._snapshots[meta["snapshot"]] = entries

    # ------------------------------------------------------------------ read

    def snapshots(self) -> tuple[str, ...]:
        """The digests of all snapshots, in the order in which they were first stored."""
        return tuple(self._snapshots)

    def snapshot(self, digest: str) -> FacilitySnapshot:
        """The snapshot of a digest, bit for bit; its arrays are read-only.

        Raises :class:`AuditError` when it is not there, or what is there has another digest.
        """
        entries = self._checked(digest)
        made: dict[str, Any] = {}
        blocks: dict[str, list[Block]] = {}
        for path, what in entries.items():
            if isinstance(what, _Span):
                blocks.setdefault(path.partition("/")[0], []).append(self._block(what))
                continue
            value = self._value(what)
            if path in (READINGS, NUMBERS):
                made.update(value)
            else:
                made[path] = dict(value) if isinstance(value, Bundle) else value
        made |= {name: Histories(tuple(each)) for name, each in blocks.items()}
        if set(made) != set(NAMES):
            odd = ", ".join(sorted(set(made) ^ set(NAMES)))
            raise AuditError(
                f"{self.path}: snapshot {digest} has other fields than snapshots here ({odd}); "
                "use the version that wrote it"
            )
        snapshot = object.__new__(FacilitySnapshot)
        for name in NAMES:
            object.__setattr__(snapshot, name, made[name])
        return snapshot

    def value(self, digest: str) -> Any:
        """The value of a digest. Raises :class:`AuditError` when it is not there or has another digest."""
        number = self._values.get(digest)
        if number is None:
            raise AuditError(f"{self.path}: there is no value {digest}; give the store that was written with the log")
        found = self._digest(number)
        if PREFIX + found.hex() != digest:
            raise AuditError(f"{self.path}: value {digest} was changed: its content has the digest {found.hex()}")
        return whole(self._value(number), self.value)

    def check(self, digest: str) -> None:
        """Raise :class:`AuditError` unless the snapshot or value of a digest is there and has that digest."""
        if digest in self._values:
            self.value(digest)
        else:
            self._checked(digest)

    def _checked(self, digest: str) -> dict[str, int | _Span]:
        entries = self._snapshots.get(digest)
        if entries is None:
            raise AuditError(
                f"{self.path}: there is no snapshot {digest}; give the store that was written with the log"
            )
        found = {}
        for path, what in entries.items():
            if isinstance(what, _Span):
                rows = [self._digest(number) for number in what.lane[what.start : what.stop]]
                found[path] = history_digest(what.header, rows)
            else:
                found[path] = self._digest(what)
        if snapshot_digest(found) != digest:
            raise AuditError(f"{self.path}: snapshot {digest} was changed: its content has another digest")
        return entries

    def _digest(self, number: int) -> bytes:
        found = self._digests.get(number)
        if found is None:
            found = self._digests[number] = piece_digest(self._piece(number).header, self._bytes(number))
        return found

    def _piece(self, number: int) -> _Piece:
        if not 0 <= number < len(self._pieces):
            raise AuditError(f"{self.path}: an entry refers to piece {number}, which is not there")
        return self._pieces[number]

    def _bytes(self, number: int) -> bytes:
        piece = self._piece(number)
        return self._data(piece.frame)[piece.start : piece.stop]

    def _value(self, number: int) -> Any:
        return read_piece(self._piece(number).header, self._bytes(number))

    def _block(self, span: _Span) -> Block:
        return read_block(span.header, [self._bytes(number) for number in span.lane[span.start : span.stop]])


def _follow(before: _Span, what: dict[str, Any]) -> _Span:
    """The span after ``skip`` rows left at the front and those of ``add`` came at the end."""
    lane = before.lane
    if len(lane) != before.stop:  # another snapshot went on from here: begin a list of its own
        lane = lane[: before.stop]
    lane.extend(what["add"])
    return _Span(before.header, lane, min(before.start + what["skip"], before.stop), len(lane))
