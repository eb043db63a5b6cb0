"""Writes facility snapshots and policy states once each, to be referred to by digest.

Consecutive snapshots share most of what they hold: names and nameplates wholly, histories all but the newest sample.
So a snapshot is kept as pieces (see :mod:`twin.audit.objects`), a piece is stored once, and an entry of the file holds
what is new against the entries before. The file is one of frames (:mod:`twin.audit.frames`): one append per decision,
and a crash costs the last entry at most. A zip of arrays such as npz cannot be appended to after a
crash, and JSON with base64 is a third larger and slower to read.

What is unchanged is found by comparing bytes (values apart that cannot change): a service that fills one array again
and again is recorded as it was at each look. Of snapshots of one look, which their serial tells, free trays alone are
compared. Of histories in the very mapping that the snapshot before had, the newest row is compared, and none of those
that lie on in the same memory: rows of the past are written once.
"""

import json
from collections import deque
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twin.audit.canonical import PREFIX, spelt
from twin.audit.frames import FrameWriter
from twin.audit.objects import (
    VALUE,
    Bundle,
    Layout,
    array_bytes,
    header_of,
    history_digest,
    layout_of,
    parts_of,
    piece_digest,
    row_bytes,
    row_header,
    rows_on,
    snapshot_digest,
    value_bytes,
)
from twin.audit.parts import parted
from twin.audit.values import immutable
from twin.policy.snapshot import Block, FacilitySnapshot, History

GIVEN_AWAY = "rack_free_trays"
_OPEN = object()  # stands for a value that may change


class _Slot:
    """The last piece at one path: how its arrays lie, or the value that it is, where that cannot change."""

    __slots__ = ("data", "digest", "fixed", "header", "layout")

    def __init__(self, layout: Layout | None, header: str, data: bytes, digest: bytes, part: Any) -> None:
        self.layout, self.header, self.data, self.digest = layout, header, data, digest
        self.fixed = part if type(part) is not Bundle and immutable(part) else _OPEN


class _Lane:
    """The last block of histories at one path, and the digests of its rows."""

    def __init__(self, header: str) -> None:
        self.header = header
        self.times: NDArray[Any] = np.zeros(0)  # a copy
        self.arrays: tuple[NDArray[Any], ...] = ()  # values and qualities: where they lie …
        self.copies: tuple[NDArray[Any], ...] = ()  # … and how they were
        self.rows: list[bytes] = []  # digests
        self.digest = b""
        self.newest = b""

    def shared(self, past: History) -> tuple[int, int]:
        """(rows of the last histories that are gone, rows of the new ones that are known), bit for bit."""
        old, new = self.times, past.time_seconds
        if not len(old) or not len(new):
            return len(old), 0
        begins = np.flatnonzero(old == new[0])
        if not len(begins):
            return len(old), 0
        gone = int(begins[0])
        known = len(old) - gone
        if known > len(new) or old[gone:].tobytes() != new[:known].tobytes():
            return len(old), 0
        news: tuple[NDArray[Any], ...] = (past.values, past.quality)
        for mine, copy, theirs in zip(self.arrays, self.copies, news, strict=True):
            # a record that is moved up in one place lies where it lay, and is compared
            goes_on = gone > 0 and rows_on(mine, theirs) == gone
            if not goes_on and not _same_bits(copy[gone:], theirs[:known]):
                return len(old), 0
        return gone, known

    def ends_like(self, past: History) -> bool:
        """Whether the count of rows and the newest one are those of the last histories."""
        return len(past.time_seconds) == len(self.rows) > 0 and row_bytes(past, -1) == self.newest

    def keep(self, past: History, rows: list[bytes]) -> None:
        """Hold these histories."""
        self.newest = row_bytes(past, -1) if rows else b""
        self.times = past.time_seconds.copy()
        self.arrays = (past.values, past.quality)
        # who closes rows for writing keeps what History asks for
        self.copies = tuple([array.copy() if array.flags.writeable else array for array in self.arrays])
        self.rows = rows
        self.digest = history_digest(self.header, rows)


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays of one dtype and shape are equal to the bit, signs of zero and NaN payloads included."""
    whole = f"u{one.dtype.itemsize}"
    return bool((one.view(whole) == other.view(whole)).all())


class SnapshotStore:
    """A file of snapshots and values, written once each. Use it as a context manager.

    An existing file is continued; ``recovered`` says how many bytes of an incomplete last entry were cut off, which is
    what a crash in the middle of a write leaves. Raises :class:`twin.audit.errors.AuditError` for what cannot be
    recorded, and for a file that cannot be written or is none of ours.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = FrameWriter(self.path)
        self.recovered = self._file.recovered
        self._numbers: dict[bytes, int] = {}  # digest of every piece in the file → its number
        self._headers: dict[str, int] = {}  # header of any piece in the file → its number
        self._values: set[str] = set()  # digests of pieces that were put as values
        self._state: tuple[Any, str] = (object(), "")  # the last state that cannot change, and its digest
        self._parts: deque[tuple[Any, str]] = deque(maxlen=4)  # of states, that cannot change, with their digests
        self._count = 0
        for frame in self._file.frames:
            self._remember(frame.meta, frame.data)
        self._file.frames = []
        self._slots: dict[str, _Slot] = {}
        self._lanes: dict[str, _Lane] = {}
        self._paths: set[str] | None = None  # of the snapshot before; None when the next stands by itself
        self._histories: Any = None  # of the snapshot before
        self._before = ""  # digest of the snapshot before
        self._serial = 0  # of the look that it is of
        self._entries: dict[str, bytes] = {}  # digests of its parts by path
        self._new: list[tuple[str, bytes]] = []  # pieces of the entry that is being made
        self._new_headers: list[str] = []
        self._new_values: dict[str, int] = {}  # digest → number of piece
        self._snapshot: dict[str, Any] = {}  # what it says of a snapshot
        self._open = False  # more comes

    def _remember(self, meta: bytes, data: bytes) -> None:
        found = json.loads(meta)
        for header in found["headers"]:
            self._headers[header] = len(self._headers)
        headers, at = list(self._headers), 0
        for header, size in found["pieces"]:
            self._numbers[piece_digest(headers[header], data[at : at + size])] = self._count
            self._count += 1
            at += size
        self._values.update(found["values"])

    # ------------------------------------------------------------------ put

    def entry(self) -> "_Entry":
        """What is put inside is one entry of the file, which is written on leaving: wholly or not at all."""
        return _Entry(self)

    def put(self, snapshot: FacilitySnapshot) -> str:
        """Store a snapshot, unless it is the one before, and return its digest."""
        if self._snapshot:
            self._write()
        changed: dict[str, Any] = {}
        again = snapshot.serial != 0 and snapshot.serial == self._serial and self._paths is not None
        entries: dict[str, bytes] = dict(self._entries) if again else {}
        try:
            # two snapshots of one look differ in what has been given away since, and in nothing else
            for path, part in ((GIVEN_AWAY, snapshot.rack_free_trays),) if again else parts_of(snapshot):
                slot = self._slots.get(path)
                if slot is not None and part is slot.fixed:
                    entries[path] = slot.digest  # names, and what feeds and cools the racks
                elif isinstance(part, Block):
                    entries[path] = self._put_block(path, part, changed, snapshot.histories is self._histories)
                else:
                    entries[path] = self._put_part(path, part, changed)
            self._histories, self._serial, self._entries = snapshot.histories, snapshot.serial, entries
            if not changed and entries.keys() == self._paths:
                return self._before
            digest = self._follow(entries, changed)
        except BaseException:
            self._forget()
            raise
        if not self._open:
            self._write()
        return digest

    def _follow(self, entries: dict[str, bytes], changed: dict[str, Any]) -> str:
        """Have the entry tell of a snapshot with these digests by path, of which ``changed`` are new."""
        digest = snapshot_digest(entries)
        meta: dict[str, Any] = {"snapshot": digest, "set": changed}
        if self._paths is not None:
            meta["like"] = self._before
            gone = sorted(self._paths - entries.keys())
            if gone:
                meta["gone"] = gone
            for path in gone:
                self._slots.pop(path, None)
                self._lanes.pop(path, None)
        self._snapshot, self._paths, self._before = meta, set(entries), digest
        return digest

    def _write(self) -> None:
        """Write the entry that was made, if there is anything in it."""
        if not (self._snapshot or self._new_values):
            return
        pieces = [[self._header(header), len(data)] for header, data in self._new]
        meta = {"headers": self._new_headers, "pieces": pieces, "values": self._new_values, **self._snapshot}
        try:
            self._file.append(spelt(meta), b"".join([data for _, data in self._new]))
        except BaseException:
            self._forget()
            raise
        self._new, self._new_headers, self._new_values, self._snapshot = [], [], {}, {}

    def put_state(self, state: Any) -> str:
        """Store a policy's state in its parts (:mod:`twin.audit.parts`) and return its digest."""
        if state is self._state[0]:
            return self._state[1]  # it came out of one decision and goes into the next
        name = self.put_value(parted(state, self._put_part_of_state))
        if immutable(state, [part for part, _ in self._parts]):
            self._state = (state, name)
        return name

    def _put_part_of_state(self, value: Any) -> str:
        """A part is encoded once, if nothing inside it can change: states hand it on."""
        for known, name in self._parts:
            if known is value:
                return name
        name = self.put_value(value)
        if immutable(value):
            self._parts.append((value, name))
        return name

    def put_value(self, value: Any) -> str:
        """Store the encoded form of any value, unless it is there, and return its digest."""
        data = value_bytes(value)
        digest = piece_digest(VALUE, data)
        name = PREFIX + digest.hex()
        if name not in self._values:
            self._new_values[name] = self._intern(digest, VALUE, data)
            self._values.add(name)
            if not self._open:
                self._write()
        return name

    def _forget(self) -> None:
        """After an entry that was refused or not written, let the next snapshot stand by itself."""
        for header, data in self._new:
            self._numbers.pop(piece_digest(header, data), None)
        self._count -= len(self._new)
        for header in self._new_headers:
            del self._headers[header]
        self._values -= self._new_values.keys()
        self._state = (object(), "")
        self._parts.clear()
        self._new, self._new_headers, self._new_values, self._snapshot = [], [], {}, {}
        self._slots, self._lanes, self._paths, self._histories, self._serial = {}, {}, None, None, 0

    def _put_part(self, path: str, part: Any, changed: dict[str, Any]) -> bytes:
        slot = self._slots.get(path)
        if isinstance(part, np.ndarray | Bundle):
            layout, data = layout_of(part), array_bytes(part)
        else:
            layout, data = None, value_bytes(part)
        if slot is not None and slot.layout == layout:
            header = slot.header
            digest = slot.digest if slot.data == data else piece_digest(header, data)
        else:
            header = VALUE if layout is None else header_of(layout, path)
            digest = piece_digest(header, data)
        self._slots[path] = _Slot(layout, header, data, digest, part)
        if slot is None or slot.digest != digest:
            changed[path] = self._intern(digest, header, data)
            self._lanes.pop(path, None)
        return digest

    def _put_block(self, path: str, block: Block, changed: dict[str, Any], again: bool) -> bytes:
        """``again`` says that it is out of the mapping that the snapshot before had."""
        past = block.past
        header = row_header(block, path)
        what: dict[str, Any] = {"rows": self._header(header)}
        lane = self._lanes.get(path)
        if lane is None or lane.header != header:
            lane = self._lanes[path] = _Lane(header)
            self._slots.pop(path, None)
            gone, known = 0, 0
        else:
            if again and lane.ends_like(past):
                return lane.digest
            gone, known = lane.shared(past)
            if gone == 0 and known == len(past.time_seconds) == len(lane.rows):
                return lane.digest
            what["skip"] = gone
        rows, numbers = lane.rows[gone : gone + known], []
        for row in range(known, len(past.time_seconds)):
            data = row_bytes(past, row)
            digest = piece_digest(header, data)
            rows.append(digest)
            numbers.append(self._intern(digest, header, data))
        lane.keep(past, rows)
        changed[path] = {**what, "add": numbers}
        return lane.digest

    def _header(self, header: str) -> int:
        """The number of a header, which is stored with this entry if it is new."""
        number = self._headers.get(header)
        if number is None:
            number = self._headers[header] = len(self._headers)
            self._new_headers.append(header)
        return number

    def _intern(self, digest: bytes, header: str, data: bytes) -> int:
        """The number of a piece, which is stored with this entry if it is new."""
        number = self._numbers.get(digest)
        if number is None:
            number = self._numbers[digest] = self._count
            self._count += 1
            self._new.append((header, data))
        return number

    # ------------------------------------------------------------------ end

    def sync(self) -> None:
        """Wait until the disk has everything."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Entry:
    """Holds a store's entry open."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store._open = True

    def __exit__(self, *_: object) -> None:
        self._store._open = False
        self._store._write()
