"""What a snapshot is made of: pieces with a digest each, and the digest of the whole.

A piece is a header line that says what it is, and its bytes: an array (dtype, shape, little-endian bytes in C order), a
row of a history (the time, N values and N qualities of one sample), or anything else as canonical JSON. Its digest is
SHA-256 of header, newline and bytes. A history's digest is that of its rows' digests in order, and a snapshot's that of
its pieces' paths and digests in the order of the paths, so that it depends on what a snapshot holds and on nothing
else: neither on the order of its mappings nor on the file that keeps it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.audit.canonical import PREFIX, canonical, parse
from twin.audit.errors import AuditError
from twin.audit.values import KINDS, WIDEST, decode, encode
from twin.policy.snapshot import FacilitySnapshot, History

VALUE = "value"
EMPTY = "empty"  # a mapping without entries, which has no pieces of its own
NAMES = tuple(field.name for field in fields(FacilitySnapshot))
AnyArray = NDArray[Any]


def piece_digest(header: str, data: bytes) -> bytes:
    """The digest of a piece, 32 bytes."""
    return hashlib.sha256(header.encode() + b"\n" + data).digest()


def history_digest(header: str, rows: list[bytes]) -> bytes:
    """The digest of a history from those of its rows; ``header`` is that of a row."""
    return hashlib.sha256(b"history " + header.encode() + b"\n" + b"".join(rows)).digest()


def snapshot_digest(pieces: Mapping[str, bytes]) -> str:
    """The digest of a snapshot from those of its pieces by path."""
    parts = [b"snapshot\n"]
    for path, mark in _order(tuple(pieces)):
        parts += (mark, pieces[path])
    return PREFIX + hashlib.sha256(b"".join(parts)).hexdigest()


@lru_cache(maxsize=16)
def _order(paths: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """The paths in their order, each with how it is written."""
    return tuple((path, path.encode() + b"\0") for path in sorted(paths))


def parts_of(snapshot: FacilitySnapshot) -> Iterator[tuple[str, Any]]:
    """(path, array, history or other value) of everything in a snapshot; entries of a mapping are ``field/key``."""
    for name in NAMES:
        value = getattr(snapshot, name)
        if isinstance(value, Mapping) and _holds_arrays(value):
            for key in value:
                if type(key) is not str:
                    raise AuditError(f"snapshot.{name}: the key {key!r} is no text; use names of fields")
                yield f"{name}/{key}", value[key]
        else:
            yield name, value


def _holds_arrays(mapping: Mapping[Any, Any]) -> bool:
    """Whether a mapping is from names to arrays or histories, which are kept apart from one another."""
    for value in mapping.values():
        return isinstance(value, np.ndarray | History)
    return False


def array_header(array: AnyArray, path: str) -> str:
    """What an array is. Raises :class:`AuditError` for one that is not of plain numbers."""
    kind = array.dtype
    if kind.kind not in KINDS or kind.itemsize > WIDEST:
        raise AuditError(f"snapshot.{path}: arrays of dtype {kind} are not recorded; use numbers or booleans")
    return f"array {kind.newbyteorder('<').str} {json.dumps(array.shape)}"


def array_bytes(array: AnyArray) -> bytes:
    """An array's numbers, little-endian and in C order."""
    if array.dtype.isnative and array.dtype.byteorder != ">":
        return array.tobytes()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def value_bytes(value: Any) -> bytes:
    """Any other value: the canonical JSON of its form."""
    return canonical(encode(value))


def read_piece(header: str, data: bytes) -> Any:
    """The array or value of a piece. An array is read-only, as a policy must not write to a snapshot."""
    try:
        if header == VALUE:
            return decode(parse(data))
        word, dtype, shape = header.split(" ", 2)
        if word != "array":
            raise ValueError(f"{word} is no array")
        return np.frombuffer(data, dtype=dtype).reshape(json.loads(shape))
    except (ValueError, TypeError) as error:
        raise AuditError(f"a stored piece ({header}) cannot be read: {error}; the store is damaged") from error


# ---------------------------------------------------------------- histories


def row_header(history: History, path: str) -> str:
    """What the rows of a history are: the dtypes of time, values and quality, and the count of things."""
    times, values, quality = history.time_seconds, history.values, history.quality
    for array in (times, values, quality):
        if (
            array.dtype.kind not in KINDS
            or array.dtype.itemsize > WIDEST
            or not array.dtype.isnative
            or array.dtype.byteorder == ">"
        ):
            raise AuditError(f"snapshot.{path}: histories of dtype {array.dtype} are not recorded; use plain numbers")
    if times.ndim != 1 or values.shape != quality.shape or values.ndim != 2 or len(values) != len(times):
        raise AuditError(
            f"snapshot.{path}: a history of shapes {times.shape}, {values.shape} and {quality.shape}; "
            "give K times, K×N values and K×N qualities"
        )
    return f"row {times.dtype.str} {values.dtype.str} {quality.dtype.str} {values.shape[1]}"


def row_bytes(history: History, row: int) -> bytes:
    """One sample: its time, values and qualities."""
    return history.time_seconds[row].tobytes() + history.values[row].tobytes() + history.quality[row].tobytes()


def read_history(header: str, rows: list[bytes]) -> History:
    """The history of these rows."""
    try:
        _, *dtypes, count = header.split(" ")
        things = int(count)
        sizes = [np.dtype(dtype).itemsize for dtype in dtypes]
        first, second = sizes[0], sizes[0] + sizes[1] * things
        return History(
            np.frombuffer(b"".join(row[:first] for row in rows), dtype=dtypes[0]),
            np.frombuffer(b"".join(row[first:second] for row in rows), dtype=dtypes[1]).reshape(len(rows), things),
            np.frombuffer(b"".join(row[second:] for row in rows), dtype=dtypes[2]).reshape(len(rows), things),
        )
    except (ValueError, TypeError, IndexError) as error:
        raise AuditError(f"a stored history ({header}) cannot be read: {error}; the store is damaged") from error
