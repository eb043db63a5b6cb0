"""Tables that agree with the catalogue, on their way to and from Arrow."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from twin.results.catalogue import EVENT_NONE, TABLES, EventKind

_TYPES = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "text": pa.string()}
_REPEATED = {("timeseries", "level"), ("timeseries", "name")}  # stored as dictionaries


def arrow_schema(table: str) -> pa.Schema:
    """Arrow schema of a table of the catalogue; each field carries its unit and sentence."""
    fields = []
    for column in TABLES[table]:
        kind = _TYPES[column.dtype]
        if (table, column.name) in _REPEATED:
            kind = pa.dictionary(pa.int32(), kind)
        about = {"unit": column.unit, "sentence": column.sentence}
        fields.append(pa.field(column.name, kind, metadata=about))
    return pa.schema(fields)


def conform(table: str, frame: pd.DataFrame) -> pa.Table:
    """A frame as an Arrow table in the catalogue's columns, order and types, without pandas' own metadata.

    Optional columns that are absent become null. Raises ValueError naming the table and every column that is missing,
    unknown or of another type.
    """
    columns = TABLES[table]
    faults = [f"column {c.name!r} is missing" for c in columns if not c.optional and c.name not in frame.columns]
    known = {column.name for column in columns}
    faults += [f"column {name!r} is not in the catalogue" for name in frame.columns if name not in known]
    arrays: list[pa.Array] = []
    for column in columns:
        if column.name not in frame.columns:
            arrays.append(pa.nulls(len(frame), _TYPES[column.dtype]))
            continue
        try:
            arrays.append(pa.Array.from_pandas(frame[column.name], type=_TYPES[column.dtype]))
        except (pa.ArrowException, TypeError, ValueError) as fault:
            faults.append(f"column {column.name!r} is not {column.dtype}: {fault}")
    if faults:
        raise ValueError(f"table {table!r}: " + "; ".join(faults))
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def empty(table: str) -> pd.DataFrame:
    """A table without rows, in the catalogue's columns."""
    return arrow_schema(table).empty_table().to_pandas()


_NONE = {"cause": EVENT_NONE, "incident": EVENT_NONE, "root": "", "level": "", "name": "", "detail": "", "value": None}

_KNOWN = frozenset(column.name for column in TABLES["events"])
_NEEDED = _KNOWN - set(_NONE)
_KINDS = frozenset(EventKind)


def check_events(events: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError naming the event whose kind is unknown, or that has a key unknown or a needed one missing."""
    known, needed = _KNOWN, _NEEDED
    for event in events:
        if event.get("kind") not in _KINDS:
            raise ValueError(f"event {event.get('event')}: kind {event.get('kind')!r} is not an EventKind")
        if not known.issuperset(event):
            raise ValueError(f"event {event.get('event')}: {sorted(set(event) - known)} not in the catalogue")
        if not needed.issubset(event):
            raise ValueError(f"event {event.get('event')}: {sorted(needed - set(event))} missing")


def event_table(events: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Events as an Arrow table; what an event leaves out takes the catalogue's "none"."""
    arrays = []
    schema = arrow_schema("events")
    for field in schema:
        values = [event.get(field.name, _NONE.get(field.name)) for event in events]
        if field.name == "kind":
            values = [str(value) for value in values]
        arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def event_columns(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The events table from its columns, each a sequence; a value of NaN is none."""
    schema = arrow_schema("events")
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema).to_pandas()


def event_frame(events: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Events as a frame in the catalogue's columns: the form that the measures and expectations read."""
    check_events(events)
    return event_table(events).to_pandas()
