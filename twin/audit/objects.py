"""What a snapshot is made of: pieces with a digest each, and the digest of the whole.

A piece is a header line that says what it is, and its bytes: arrays (dtype, shape, little-endian bytes in C order), a
row of histories (the time of a sample, and N values and N qualities of each), or anything else as canonical JSON. Its
digest is SHA-256 of header, newline and bytes. The digest of histories is that of their rows' digests in order, and a
snapshot's that of its pieces' paths and digests in the order of the paths, so that it depends on what a snapshot holds
and on nothing else: neither on the order of its mappings nor on the file that keeps it.
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

from twin.audit.canonical import PREFIX, canonical, parse
from twin.audit.errors import AuditError
from twin.audit.parts import parted
from twin.audit.values import KINDS, WIDEST, decode, encode
from twin.policy.snapshot import FacilitySnapshot, History

VALUE = "value"
READINGS = "readings"  # path of the bundle of fields that sensors read
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


class Samples(dict[str, History]):
    """Histories by name, in the order of their names, that were sampled at the same times: their rows are one piece."""

    @property
    def times(self) -> AnyArray:
        """When the rows were taken [s]."""
        return next(iter(self.values())).time_seconds


def parts_of(snapshot: FacilitySnapshot) -> Iterator[tuple[str, Any]]:
    """(path, part) of everything in a snapshot: an array, a bundle of arrays, samples, or any other value.

    Readings (the fields that ``ages`` has) are one bundle, and so is each mapping of arrays. A mapping of histories has
    one part for each set of times, whose path is ``field/name`` with the first name.
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
        yield name, Bundle(sorted(mapping.items(), key=itemgetter(0)))
    elif kinds == {History}:
        groups: dict[bytes, list[tuple[str, History]]] = {}
        for key, history in sorted(mapping.items(), key=itemgetter(0)):
            groups.setdefault(history.time_seconds.tobytes(), []).append((key, history))
        for group in groups.values():
            yield f"{name}/{group[0][0]}", Samples(group)
    else:
        yield name, mapping


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
        return b"".join([array_bytes(array) for array in part.values()])
    if part.dtype.byteorder != ">" and LITTLE:
        return part.tobytes()
    return part.astype(part.dtype.newbyteorder("<")).tobytes()


def value_bytes(value: Any) -> bytes:
    """Any other value: the canonical JSON of its form."""
    return canonical(encode(value))


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


def row_header(samples: Samples, path: str) -> str:
    """What the rows of samples are: the dtype of time, and for each history its name, dtypes and count of things."""
    each = []
    for name, history in samples.items():
        times, values, quality = history.time_seconds, history.values, history.quality
        if times.ndim != 1 or values.shape != quality.shape or values.ndim != 2 or len(values) != len(times):
            raise AuditError(
                f"snapshot.{path.partition('/')[0]}/{name}: a history of shapes {times.shape}, {values.shape} and "
                f"{quality.shape}; give K times, K×N values and K×N qualities"
            )
        each.append((name, times.dtype, values.dtype, quality.dtype, values.shape[1]))
    return _row_header(tuple(each), path.partition("/")[0])


@lru_cache(maxsize=256)
def _row_header(each: tuple[tuple[str, AnyType, AnyType, AnyType, int], ...], where: str) -> str:
    form: list[Any] = [each[0][1].str]
    for name, time, *kinds, things in each:
        for kind in (time, *kinds):
            if kind.kind not in KINDS or kind.itemsize > WIDEST or kind.byteorder == ">" or not LITTLE:
                raise AuditError(f"snapshot.{where}/{name}: histories of dtype {kind} are not recorded; use numbers")
        if time.str != form[0]:
            raise AuditError(f"snapshot.{where}/{name}: its times are {time}, those of others {form[0]}; use one dtype")
        form.append([name, *(kind.str for kind in kinds), things])
    return "row " + json.dumps(form, separators=(",", ":"))


def row_bytes(samples: Samples, row: int) -> bytes:
    """One sample: its time, then values and qualities of each history."""
    parts = [samples.times[row].tobytes()]
    for history in samples.values():
        parts += (history.values[row].tobytes(), history.quality[row].tobytes())
    return b"".join(parts)


def read_samples(header: str, rows: list[bytes]) -> Samples:
    """The histories of these rows."""
    try:
        time, *each = json.loads(header.removeprefix("row "))
        at = np.dtype(time).itemsize
        times = np.frombuffer(b"".join(row[:at] for row in rows), dtype=time)
        found = Samples()
        for name, *kinds, things in each:
            parts = []
            for kind in kinds:
                end = at + np.dtype(kind).itemsize * things
                data = b"".join(row[at:end] for row in rows)
                parts.append(np.frombuffer(data, dtype=kind).reshape(len(rows), things))
                at = end
            found[name] = History(times, parts[0], parts[1])
        return found
    except (ValueError, TypeError, IndexError) as error:
        raise AuditError(f"a stored history ({header}) cannot be read: {error}; the store is damaged") from error
