"""What a snapshot is made of: pieces with a digest each, and the digest of the whole.

A piece is a header line that says what it is, and its bytes: arrays (dtype, shape, little-endian bytes in C order), a
row of a history (the time, N values and N qualities of one sample), or anything else as canonical JSON. Its digest is
SHA-256 of header, newline and bytes. A history's digest is that of its rows' digests in order, and a snapshot's that of
its pieces' paths and digests in the order of the paths, so that it depends on what a snapshot holds and on nothing
else: neither on the order of its mappings nor on the file that keeps it.
"""

import hashlib
import json
import math
import sys
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
READINGS = "readings"  # path of the bundle of fields that sensors read
NAMES = tuple(field.name for field in fields(FacilitySnapshot))
LITTLE = sys.byteorder == "little"
AnyArray = NDArray[Any]
_SORTED = tuple(sorted(NAMES))


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


class Bundle(dict[str, AnyArray]):
    """Arrays by name, in the order of their names, that are one piece since they change together."""


def parts_of(snapshot: FacilitySnapshot) -> Iterator[tuple[str, Any]]:
    """(path, part) of everything in a snapshot: an array, a bundle of arrays, a history, or any other value.

    Readings (the fields that ``ages`` has) are one bundle, and so is each mapping of arrays; a mapping of histories is
    one part for each, ``field/key``.
    """
    read = snapshot.ages
    readings = Bundle()
    for name in _SORTED:
        value = getattr(snapshot, name)
        if isinstance(value, np.ndarray) and name in read:
            readings[name] = value
        elif isinstance(value, Mapping) and value:
            yield from _entries(name, value)
        else:
            yield name, value
    if readings:
        yield READINGS, readings


def _entries(name: str, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a mapping that has entries."""
    kinds = set()
    for key, value in mapping.items():
        if type(key) is not str:
            raise AuditError(f"snapshot.{name}: the key {key!r} is no text; use names of fields")
        kinds.add(type(value))
    if kinds == {np.ndarray}:
        yield name, Bundle(sorted(mapping.items()))
    elif kinds == {History}:
        for key, value in mapping.items():
            yield f"{name}/{key}", value
    else:
        yield name, mapping


Layout = tuple[tuple[str | None, "np.dtype[Any]", tuple[int, ...]], ...]


def layout_of(part: AnyArray | Bundle) -> Layout:
    """Name, dtype and shape of each array of a part; a single one has no name."""
    if isinstance(part, Bundle):
        return tuple([(name, array.dtype, array.shape) for name, array in part.items()])
    return ((None, part.dtype, part.shape),)


@lru_cache(maxsize=1_024)
def header_of(layout: Layout, path: str) -> str:
    """What an array or a bundle is. Raises :class:`AuditError` for one that is not of plain numbers."""
    each = []
    for name, kind, shape in layout:
        if kind.kind not in KINDS or kind.itemsize > WIDEST:
            where = path if name is None else name if path == READINGS else f"{path}/{name}"
            raise AuditError(f"snapshot.{where}: arrays of dtype {kind} are not recorded; use numbers or booleans")
        each.append([name, kind.newbyteorder("<").str, list(shape)])
    return "arrays " + json.dumps(each, separators=(",", ":"))


def array_bytes(part: AnyArray | Bundle) -> bytes:
    """The numbers of an array, or of all arrays of a bundle, little-endian and in C order."""
    if isinstance(part, Bundle):
        return b"".join([array_bytes(array) for array in part.values()])
    if part.dtype.byteorder != ">" and LITTLE:
        return part.tobytes()
    return part.astype(part.dtype.newbyteorder("<")).tobytes()


def value_bytes(value: Any) -> bytes:
    """Any other value: the canonical JSON of its form."""
    return canonical(encode(value))


def read_piece(header: str, data: bytes) -> Any:
    """The array, bundle or value of a piece. An array is read-only, as a policy must not write to a snapshot."""
    try:
        if header == VALUE:
            return decode(parse(data))
        word, text = header.split(" ", 1)
        if word != "arrays":
            raise ValueError(f"{word} is no array")
        found: dict[Any, AnyArray] = {}
        at = 0
        for name, dtype, shape in json.loads(text):
            count = math.prod(shape)
            found[name] = np.frombuffer(data, dtype=dtype, count=count, offset=at).reshape(shape)
            at += found[name].nbytes
        return found[None] if None in found else Bundle(found)
    except (ValueError, TypeError) as error:
        raise AuditError(f"a stored piece ({header}) cannot be read: {error}; the store is damaged") from error


# ---------------------------------------------------------------- histories


def row_header(history: History, path: str) -> str:
    """What the rows of a history are: the dtypes of time, values and quality, and the count of things."""
    times, values, quality = history.time_seconds, history.values, history.quality
    if times.ndim != 1 or values.shape != quality.shape or values.ndim != 2 or len(values) != len(times):
        raise AuditError(
            f"snapshot.{path}: a history of shapes {times.shape}, {values.shape} and {quality.shape}; "
            "give K times, K×N values and K×N qualities"
        )
    return _row_header((times.dtype, values.dtype, quality.dtype), values.shape[1], path)


@lru_cache(maxsize=256)
def _row_header(kinds: tuple["np.dtype[Any]", ...], things: int, path: str) -> str:
    for kind in kinds:
        if kind.kind not in KINDS or kind.itemsize > WIDEST or kind.byteorder == ">" or not LITTLE:
            raise AuditError(f"snapshot.{path}: histories of dtype {kind} are not recorded; use plain numbers")
    return f"row {' '.join(kind.str for kind in kinds)} {things}"


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
