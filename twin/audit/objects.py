"""What a snapshot is made of: pieces with a digest each, and the digest of the whole.

A piece is a header line that says what it is, and its bytes: arrays (dtype, shape, little-endian bytes in C order), a
row of histories (the time of a sample, and N values and N qualities of all that are sampled together), or anything else
as canonical JSON. Its digest is SHA-256 of header, newline and bytes. The digest of histories is that of their rows'
digests in order, and a snapshot's that of its pieces' paths and digests in the order of the paths, so that it depends
on what a snapshot holds and on which histories share a block, and on nothing else: neither on the order of its mappings
nor on the file that keeps it.
"""

import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.audit.canonical import PREFIX, parse, spelt
from twin.audit.errors import AuditError
from twin.audit.parts import parted
from twin.audit.values import KINDS, WIDEST, decode, encode
from twin.policy.snapshot import Block, FacilitySnapshot, Histories, History

VALUE = "value"
READINGS = "readings"  # path of the bundle of fields that sensors read
NUMBERS = "numbers"  # path of the fields that are one number each
NAMES = tuple(field.name for field in fields(FacilitySnapshot))
LITTLE = sys.byteorder == "little"
AnyArray = NDArray[Any]
AnyType = np.dtype[Any]
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
    """(path, part) of everything in a snapshot: an array, a bundle of arrays, a block of histories, or any other value.

    Readings (the fields that ``ages`` has) are one bundle, so is each mapping of arrays, and single numbers are one
    value. Histories have one part for each block, whose path is ``field/name`` with the first name.
    """
    read, held = snapshot.ages, vars(snapshot)
    readings = Bundle()
    numbers = {}
    for name in _SORTED:
        value = held[name]
        kind = type(value)
        if kind is np.ndarray and name in read:
            readings[name] = value
        elif kind is np.ndarray or kind is tuple:
            yield name, value
        elif kind is int or kind is float:
            numbers[name] = value
        elif isinstance(value, Mapping) and value:
            yield from _entries(name, value)
        else:
            yield name, value
    yield NUMBERS, numbers
    if readings:
        yield READINGS, readings


def _entries(name: str, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a mapping that has entries."""
    if isinstance(mapping, Histories):
        for block in mapping.blocks:
            yield f"{name}/{next(iter(block.parts))}", block
        return
    if set(map(type, mapping)) != {str}:
        key = next(key for key in mapping if type(key) is not str)
        raise AuditError(f"snapshot.{name}: the key {key!r} is no text; use names of fields")
    kinds = set(map(type, mapping.values()))
    if kinds == {np.ndarray}:
        yield name, Bundle(sorted(mapping.items(), key=itemgetter(0)))
    elif kinds == {History}:
        for block in _blocks(name, mapping):
            yield f"{name}/{next(iter(block.parts))}", block
    else:
        yield name, mapping


def _blocks(name: str, mapping: Mapping[str, History]) -> Iterator[Block]:
    """Histories that were sampled at the same times side by side, in the order of their names."""
    groups: dict[tuple[Any, ...], dict[str, History]] = {}
    for key, past in sorted(mapping.items(), key=itemgetter(0)):
        _check(past, f"{name}/{key}")
        times = past.time_seconds
        like = (times.tobytes(), times.dtype.str, past.values.dtype.str, past.quality.dtype.str)
        groups.setdefault(like, {})[key] = past
    for group in groups.values():
        parts, end = {}, 0
        for key, past in group.items():
            parts[key] = slice(end, end := end + past.values.shape[1])
        values = np.concatenate([past.values for past in group.values()], axis=1)
        quality = np.concatenate([past.quality for past in group.values()], axis=1)
        for each in (values, quality):
            each.setflags(write=False)  # nobody else has it
        yield Block(History(past.time_seconds, values, quality), parts)


def _check(past: History, where: str) -> None:
    """Refuse a history that is not of plain numbers, one row to a time."""
    times, values, quality = past.time_seconds, past.values, past.quality
    if times.ndim != 1 or values.shape != quality.shape or values.ndim != 2 or len(values) != len(times):
        raise AuditError(
            f"snapshot.{where}: a history of shapes {times.shape}, {values.shape} and {quality.shape}; "
            "give K times, K×N values and K×N qualities"
        )
    for kind in (times.dtype, values.dtype, quality.dtype):
        if kind.kind not in KINDS or kind.itemsize > WIDEST or kind.byteorder == ">" or not LITTLE:
            raise AuditError(f"snapshot.{where}: histories of dtype {kind} are not recorded; use numbers")


Layout = tuple[tuple[str | None, AnyType, tuple[int, ...]], ...]


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
        if LITTLE and all([array.dtype.byteorder != ">" for array in part.values()]):
            return b"".join([array.tobytes() for array in part.values()])
        return b"".join([array_bytes(array) for array in part.values()])
    if part.dtype.byteorder != ">" and LITTLE:
        return part.tobytes()
    return part.astype(part.dtype.newbyteorder("<")).tobytes()


def value_bytes(value: Any) -> bytes:
    """Any other value: the canonical JSON of its form."""
    return spelt(encode(value))


def state_name(state: Any) -> str:
    """The digest of a policy's state as a record has it."""
    return _value_name(parted(state, _value_name))


def _value_name(value: Any) -> str:
    return PREFIX + piece_digest(VALUE, value_bytes(value)).hex()


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


def row_header(block: Block, path: str) -> str:
    """What the rows of a block are: dtypes of time, values and quality, count of columns, and those of each field."""
    past = block.past
    _check(past, path)
    fields = tuple([(name, part.start, part.stop) for name, part in block.parts.items()])
    return _row_header(past.time_seconds.dtype, past.values.dtype, past.quality.dtype, past.values.shape[1], fields)


@lru_cache(maxsize=256)
def _row_header(
    time: AnyType, values: AnyType, quality: AnyType, columns: int, parts: tuple[tuple[str, int, int], ...]
) -> str:
    return "row " + json.dumps([time.str, values.str, quality.str, columns, parts], separators=(",", ":"))


def rows_on(old: AnyArray, new: AnyArray) -> int:
    """How many rows later ``new`` begins in the very array that ``old`` is a part of; −1 where it is no later part.

    Rows of a history are written once (:class:`twin.policy.snapshot.History`), so what both have is the same.
    """
    if new.base is None or new.base is not old.base or new.strides != old.strides or new.shape[1:] != old.shape[1:]:
        return -1
    bytes_on = int(new.__array_interface__["data"][0]) - int(old.__array_interface__["data"][0])
    return bytes_on // old.strides[0] if bytes_on >= 0 and bytes_on % old.strides[0] == 0 else -1


def row_bytes(past: History, row: int) -> bytes:
    """One sample: its time, then its values, then its qualities."""
    return past.time_seconds[row].tobytes() + past.values[row].tobytes() + past.quality[row].tobytes()


def read_block(header: str, rows: list[bytes]) -> Block:
    """The histories of these rows."""
    try:
        time, values, quality, columns, parts = json.loads(header.removeprefix("row "))
        kind = np.dtype([("time", time), ("values", values, (columns,)), ("quality", quality, (columns,))])
        found = np.frombuffer(b"".join(rows), dtype=kind)
        past = History(*(found[name].copy() for name in ("time", "values", "quality")))
        for each in (past.time_seconds, past.values, past.quality):
            each.setflags(write=False)
        return Block(past, {name: slice(start, stop) for name, start, stop in parts})
    except (ValueError, TypeError) as error:
        raise AuditError(f"a stored history ({header}) cannot be read: {error}; the store is damaged") from error
