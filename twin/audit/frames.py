"""A file of frames: entries that are appended, never changed, and of which a crash can spoil only the last.

The file begins with a line that names its format. A frame is a header of 24 bytes (the letters ``TWAF``, the lengths
of its two parts and of the second one unpacked, their CRC-32, and that of the header), then a part of JSON that says
what is in it and a part of data, packed as an LZ4 block where that is worth it. A reader walks from header to
header, so it needs no index; a last frame that is incomplete is what a writer leaves that was stopped in the middle.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from pyarrow import Codec

from twin.audit.errors import AuditError

FORMAT = b"data-hall-twin audit store, version 3\n"
HEADER = struct.Struct("<4sIIII")
CHECK = struct.Struct("<I")  # of the header
MARK = b"TWAF"
WORTH = 256  # bytes from which packing is worth it
PACKER = Codec("lz4_raw")  # half as large again as Zstandard makes it, in a third of the time that a decision waits


@dataclass(frozen=True)
class Frame:
    """One entry: where it begins in the file, and its two parts."""

    offset: int
    meta: bytes
    data: bytes


class Scan:
    """The whole frames of a file, in order. Once it has been walked, ``end`` is where they end [bytes]."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = 0
        self.cut = 0  # bytes of an incomplete last frame

    def __iter__(self) -> Iterator[Frame]:
        """Raises :class:`AuditError` for a file of another format, or one that is damaged before its last frame."""
        try:
            size = self.path.stat().st_size
            with self.path.open("rb") as file:
                start = file.read(len(FORMAT))
                if FORMAT.startswith(start) and len(start) < len(FORMAT):
                    self.cut = size
                    return
                if start != FORMAT:
                    raise AuditError(f"{self.path}: is no audit store of this version; give the file that a run wrote")
                self.end = len(FORMAT)
                while self.end < size:
                    frame = _read(file.read, self.path, self.end, size)
                    if frame is None:
                        self.cut = size - self.end
                        return
                    yield frame[0]
                    self.end = frame[1]
        except OSError as fault:
            raise AuditError(f"{self.path}: cannot be read ({fault.strerror or fault})") from fault


def frame_at(path: Path, offset: int) -> Frame:
    """The frame that begins at ``offset`` [bytes]. Raises :class:`AuditError` where there is no whole one."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            frame = _read(file.read, path, offset, path.stat().st_size)
    except OSError as fault:
        raise AuditError(f"{path}: cannot be read ({fault.strerror or fault})") from fault
    if frame is None:
        raise AuditError(f"{path}: no whole frame at byte {offset}; the file was changed while it was read")
    return frame[0]


def _read(read: Callable[[int], bytes], path: Path, offset: int, size: int) -> tuple[Frame, int] | None:
    """The next frame and where it ends; None for an incomplete last one."""
    head = read(HEADER.size + CHECK.size)
    if len(head) < HEADER.size + CHECK.size:
        return None
    mark, meta_size, data_size, whole_size, check = HEADER.unpack_from(head)
    end = offset + len(head) + meta_size + data_size
    if mark != MARK or CHECK.unpack_from(head, HEADER.size)[0] != zlib.crc32(head[: HEADER.size]):
        raise AuditError(f"{path}: damaged at byte {offset}, where a frame should begin; use an undamaged copy")
    if end > size:
        return None
    body = read(meta_size + data_size)
    if zlib.crc32(body) != check:
        if end == size:
            return None
        raise AuditError(f"{path}: the frame at byte {offset} is damaged (its checksum differs); use an undamaged copy")
    meta, data = body[:meta_size], body[meta_size:]
    try:
        data = PACKER.decompress(data, whole_size, asbytes=True) if data_size < whole_size else data
    except (OSError, ValueError) as error:
        raise AuditError(f"{path}: the frame at byte {offset} cannot be unpacked ({error})") from error
    return Frame(offset, meta, data), end


def write_all(file: FileIO, data: bytes, path: Path) -> None:
    """Append all of ``data`` or, with an :class:`AuditError`, nothing of it."""
    done = 0
    try:
        while done < len(data):
            done += file.write(data[done:])
    except OSError as fault:
        with suppress(OSError):  # leave no half entry, after which nothing could be read
            os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size - done)
        raise AuditError(f"{path}: cannot be written ({fault.strerror or fault}); free some space") from fault


class FrameWriter:
    """Appends frames to a file, each handed to the operating system at once.

    An incomplete last frame of an existing file is cut off; ``recovered`` says how many bytes that were. ``frames``
    is walked over what the file already holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recovered = 0
        self.frames: list[Frame] = []
        try:
            if path.exists() and path.stat().st_size > 0:
                scan = Scan(path)
                self.frames = list(scan)
                self.recovered = scan.cut
                os.truncate(path, scan.end)
            self._file = FileIO(path, "ab")
            if self._file.tell() == 0:
                self._file.write(FORMAT)
        except OSError as fault:
            raise AuditError(f"{path}: cannot be written ({fault.strerror or fault}); choose another place") from fault
        self.end = self._file.tell()

    def append(self, meta: bytes, data: bytes) -> int:
        """Append a frame and return where it begins [bytes]."""
        packed = PACKER.compress(data, asbytes=True) if len(data) >= WORTH else data
        if len(packed) >= len(data):
            packed = data
        body = meta + packed
        head = HEADER.pack(MARK, len(meta), len(packed), len(data), zlib.crc32(body))
        frame = head + CHECK.pack(zlib.crc32(head)) + body
        offset = self.end
        write_all(self._file, frame, self.path)
        self.end += len(frame)
        return offset

    def sync(self) -> None:
        """Wait until the disk has everything."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
