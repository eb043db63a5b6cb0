"""The store of a run: series and events are streamed to parquet, tables and the manifest follow at the end.

Every file is written under a temporary name and renamed, the manifest last. Memory stays flat: one row group of series
is held at a time. Two runs of one manifest give the same bytes, except ``wall_seconds`` and the manifest's stamps.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twin.results import rundir
from twin.results.catalogue import LEVELS, SIGNALS, STATISTICS, TABLES, signals_of
from twin.results.measures import flatten, measure
from twin.results.rundir import RunError
from twin.results.tables import arrow_schema, check_events, conform, event_table

ROWS_PER_GROUP = 65_536
EVENTS_PER_GROUP = 8_192
STREAMED = ("timeseries", "events")
KNOWN_FILES = (
    *(rundir.table_file(table) for table in TABLES),
    rundir.METRICS,
    rundir.SUMMARY,
    rundir.SCORECARD,
    rundir.REPORT,
    "audit.jsonl",
    "audit.snapshots",
    "audit.checkpoints.jsonl",
)

#: level → signal → least, mean and greatest of windows, shape (3, windows, things)
Windows = Mapping[str, Mapping[str, NDArray[np.float64]]]


class _Stream:
    """A parquet file that grows by row groups under a temporary name.

    A group is packed by a thread of its own while the run goes on; that it failed is told with the next one.
    """

    def __init__(self, directory: Path, table: str) -> None:
        self.path = directory / rundir.table_file(table)
        self.partial = self.path.with_name(self.path.name + rundir.PARTIAL)
        self.schema = arrow_schema(table)
        self._text = [c.name for c in TABLES[table] if c.dtype == "text"] + ["time_seconds"]
        try:
            self._writer = self._open(self.partial)
        except OSError as fault:
            raise rundir.unwritable(self.path, fault) from fault
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=table)
        self._packing: Future[None] | None = None

    def _open(self, path: Path) -> pq.ParquetWriter:
        # lz4: a quarter more on disk than zstd, and a fast run does not wait for its thread; which group has a time can
        # be told from its statistics, and nobody looks for groups by a reading
        return pq.ParquetWriter(
            path, self.schema, compression="lz4", use_dictionary=self._text, write_statistics=self._text
        )

    def write(self, pack: Callable[[pa.Schema], pa.Table]) -> None:
        """Have ``pack`` make a group and write it, once the group before is written."""
        self._packed()
        self._packing = self._thread.submit(self._write, pack)

    def _write(self, pack: Callable[[pa.Schema], pa.Table]) -> None:
        table = pack(self.schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def _packed(self) -> None:
        """Wait for the group that is under way, and raise what went wrong with it."""
        packing, self._packing = self._packing, None
        if packing is None:
            return
        try:
            packing.result()
        except OSError as fault:
            raise rundir.unwritable(self.path, fault) from fault

    def close(self, provenance: Mapping[str, str], corrected: Callable[[pa.Table], pa.Table] | None = None) -> None:
        """End the file, stamp it and give it its name; with ``corrected`` its groups are gone through once more."""
        self._packed()
        self._thread.shutdown()
        try:
            if corrected is not None:
                self._rewrite(corrected)
            self._writer.add_key_value_metadata(dict(provenance))
            self._writer.close()
            self.partial.replace(self.path)
        except OSError as fault:
            rundir.discard(self.partial)
            raise rundir.unwritable(self.path, fault) from fault

    def _rewrite(self, corrected: Callable[[pa.Table], pa.Table]) -> None:
        """Go on with a file whose groups are those written so far, each put through ``corrected``."""
        self._writer.close()
        written = pq.ParquetFile(pa.BufferReader(self.partial.read_bytes()))  # packed, some megabytes of a month
        self._writer = self._open(self.partial)
        for group in range(written.num_row_groups):
            table = corrected(written.read_row_group(group)).cast(self.schema)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))


class _SeriesBuffer:
    """One row group of the time series: an array (windows, things) per signal and statistic."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        unknown = sorted(set(names) - set(LEVELS))
        if unknown:
            raise ValueError(f"levels {unknown} are not in the catalogue; it has {list(LEVELS)}")
        self.names = {level: tuple(names[level]) for level in LEVELS if level in names}
        self.place: dict[str, slice] = {}
        start = 0
        for level, things in self.names.items():
            self.place[level] = slice(start, start + len(things))
            start += len(things)
        self.things = start
        self.windows = max(1, ROWS_PER_GROUP // max(1, start))
        self.times: list[float] = []
        self.signals = {level: frozenset(signals_of(level)) for level in self.names}
        self.arrays: dict[str, NDArray[np.float64]] = {}  # signal -> (statistic, window, thing)
        self._written: set[tuple[str, str]] = set()  # levels and signals that rows have, some perhaps of a group before
        level_of = np.repeat(np.arange(len(self.names)), [len(v) for v in self.names.values()])
        self._level = (level_of.astype(np.int32), pa.array(list(self.names), pa.string()))
        everything = [name for things in self.names.values() for name in things]
        distinct = {name: i for i, name in enumerate(dict.fromkeys(everything))}
        self._name = (np.array([distinct[n] for n in everything], np.int32), pa.array(list(distinct), pa.string()))

    def add(self, times: Sequence[float], windows: Windows, begin: int) -> int:
        """Take windows from number ``begin`` on, as many as there is room for; returns the number of the next."""
        at = len(self.times)
        count = min(self.windows - at, len(times) - begin)
        told = {(level, signal) for level, signals in windows.items() for signal in signals}
        for level, signal in self._written - told:
            self.arrays[signal][:, at : at + count, self.place[level]] = np.nan
        for level, signals in windows.items():
            if not self.signals[level].issuperset(signals):
                odd = sorted(set(signals) - self.signals[level])
                raise ValueError(f"signals {odd} do not live at level {level!r}; the catalogue has {signals_of(level)}")
            place = self.place[level]
            for signal, statistics in signals.items():
                if signal not in self.arrays:
                    self.arrays[signal] = np.full((3, self.windows, self.things), np.nan)
                self.arrays[signal][:, at : at + count, place] = statistics[:, begin : begin + count]
                self._written.add((level, signal))
        self.times += times[begin : begin + count]
        return begin + count

    def empty(self) -> None:
        """Forget the rows, once nobody reads them any more."""
        self.times = []

    @property
    def full(self) -> bool:
        return len(self.times) >= self.windows

    def pack(self, schema: pa.Schema) -> pa.Table:
        """The rows held, in the order time, level, thing. The table shares the buffer's memory."""
        count = len(self.times)
        rows = count * self.things
        columns: list[pa.Array] = [
            pa.array(np.repeat(np.array(self.times), self.things)),
            pa.DictionaryArray.from_arrays(pa.array(np.tile(self._level[0], count)), self._level[1]),
            pa.DictionaryArray.from_arrays(pa.array(np.tile(self._name[0], count)), self._name[1]),
        ]
        for signal in SIGNALS:
            array = self.arrays.get(signal.name)
            for i in range(len(STATISTICS)):
                if array is None:
                    columns.append(pa.nulls(rows, pa.float64()))
                else:
                    columns.append(_column(array[i, :count].reshape(-1)))
        return pa.Table.from_arrays(columns, schema=schema)


def _column(values: NDArray[np.float64]) -> pa.Array:
    """Values as a column that shares their memory, NaN as null. NumPy finds them without the interpreter's lock."""
    null = np.isnan(values)
    nulls = int(np.count_nonzero(null))
    if nulls == len(values):
        return pa.nulls(nulls, pa.float64())
    known = None if nulls == 0 else pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(pa.float64(), len(values), [known, pa.py_buffer(values)], null_count=nulls)


class RunStore:
    """Writes one run directory. Use it as a context manager: a run that fails leaves readable, marked files.

    ``RunStore(directory)`` claims the directory: it is created, or emptied of an earlier run's files. Raises RunError
    when it holds anything else or cannot be written.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        rundir.claim(self.directory, KNOWN_FILES)
        self._series = _Stream(self.directory, "timeseries")
        self._events = _Stream(self.directory, "events")
        self._buffer: _SeriesBuffer | None = None  # that fills
        self._packed: _SeriesBuffer | None = None  # the one before, which may still be on its way to the file
        self._names: Mapping[str, Sequence[str]] | None = None
        self._waiting: list[dict[str, Any]] = []
        self._joined: dict[int, int] = {}  # events that became part of an incident when they were waiting or written
        self._finished = False

    def append_windows(
        self, times_seconds: Sequence[float], signals: Windows, names: Mapping[str, Sequence[str]]
    ) -> None:
        """Append intervals of the time series.

        Args:
            times_seconds: start of each interval [s], W of them.
            signals: level -> signal -> min, mean and max, shape (3, W, things), things in the order of
                ``names[level]``, in the signal's unit of the catalogue; NaN (stored as null) for a thing that has no
                such signal.
            names: level -> names of its things; the same in every call.

        Raises:
            ValueError: a level or signal that is not in the catalogue, arrays of another shape, other names.
            RunError: the file cannot be written.
        """
        if self._buffer is None:
            self._buffer, self._names = _SeriesBuffer(names), names
        elif names is not self._names and {k: tuple(v) for k, v in names.items()} != self._buffer.names:
            raise ValueError("the names of things changed within a run; the time series has one set of names")
        taken = 0
        while taken < len(times_seconds):
            taken = self._buffer.add(times_seconds, signals, taken)
            if self._buffer.full:
                self._series.write(self._buffer.pack)  # the group before is written by now
                if self._packed is None:
                    self._packed = _SeriesBuffer(names)
                self._buffer, self._packed = self._packed, self._buffer
                self._buffer.empty()

    def append_events(self, events: Sequence[Mapping[str, Any]], joined: Mapping[int, int] | None = None) -> None:
        """Append events (keys: columns of the events table; what is left out is "none"), in order of time.

        ``joined``: numbers of earlier events, which have become part of an incident since, with its number: what had
        no consequence yet when it was written begins an incident with the first.

        Raises ValueError for an unknown kind or key, RunError when the file cannot be written.
        """
        check_events(events)
        self._joined.update(joined or {})
        self._waiting.extend(dict(event) for event in events)
        if len(self._waiting) >= EVENTS_PER_GROUP:
            self._flush_events()

    def finish(
        self,
        manifest: Mapping[str, Any],
        metrics: Mapping[str, Any],
        tables: Mapping[str, pd.DataFrame],
        complete: bool,
    ) -> None:
        """End the run: close the streams, write tables, ``summary.csv``, ``metrics.json`` and last the manifest.

        Args:
            manifest: what the run is (configuration, seed, versions, …); ``format``, ``digest``, ``complete`` and
                ``status`` are added here.
            metrics: what :func:`twin.results.metrics.compute_metrics` returned.
            tables: a frame for each of the other tables of the catalogue; one left out is written empty.
            complete: False for a run that was stopped: its files are the same, and the manifest says so.

        Raises:
            ValueError: a table does not agree with the catalogue, or is none of these.
            RunError: a file cannot be written.
        """
        taken = [table for table in TABLES if table not in STREAMED]
        unknown = sorted(set(tables) - set(taken))
        if unknown:
            raise ValueError(f"tables {unknown} are not written by finish; it takes {taken}")
        arrow = {
            table: conform(table, tables[table]) if table in tables else arrow_schema(table).empty_table()
            for table in taken
        }
        digest = rundir.manifest_digest(manifest)
        provenance = {"format": rundir.FORMAT, "manifest_digest": digest}
        self._close_streams(provenance)
        for table, content in arrow.items():
            self._write_table(table, content, provenance)
        if "scorecard" in tables:
            csv = tables["scorecard"].to_csv(index=False, lineterminator="\n")
            rundir.write_whole(self.directory / rundir.SCORECARD, csv.encode())
        rundir.write_whole(self.directory / rundir.SUMMARY, summary_csv(metrics))
        rundir.write_whole(self.directory / rundir.METRICS, rundir.canonical_json(metrics))
        added = {
            "format": rundir.FORMAT,
            "digest": digest,
            "complete": complete,
            "status": manifest.get("status") or ("complete" if complete else "interrupted"),
        }
        rundir.write_whole(self.directory / rundir.MANIFEST, rundir.canonical_json({**manifest, **added}))

    def _close_streams(self, provenance: Mapping[str, str]) -> None:
        if self._finished:
            raise RunError(f"{self.directory}: this run has been finished already; open a new store")
        self._finished = True
        if self._buffer is not None and self._buffer.times:
            self._series.write(self._buffer.pack)
        self._flush_events()
        self._series.close(provenance)
        self._events.close(provenance, self._corrected if self._joined else None)
        self._buffer = self._packed = None
        pa.default_memory_pool().release_unused()  # the report needs the room

    def _flush_events(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                if event["event"] in self._joined:
                    event["incident"] = self._joined.pop(event["event"])
            self._events.write(lambda _: event_table(waiting))

    def _corrected(self, group: pa.Table) -> pa.Table:
        """A group of events with the incidents that they became part of after it was written."""
        column = group.schema.get_field_index("incident")
        pairs = zip(group["event"].to_pylist(), group["incident"].to_pylist(), strict=True)
        incidents = pa.array([self._joined.get(event, incident) for event, incident in pairs], pa.int64())
        return group.set_column(column, group.schema.field(column), incidents)

    def _write_table(self, table: str, content: pa.Table, provenance: Mapping[str, str]) -> None:
        path = self.directory / rundir.table_file(table)
        partial = path.with_name(path.name + rundir.PARTIAL)
        try:
            schema = arrow_schema(table).with_metadata(dict(provenance))
            pq.write_table(content.cast(schema), partial, compression="zstd", store_schema=True)
            partial.replace(path)
        except OSError as fault:
            rundir.discard(partial)
            raise rundir.unwritable(path, fault) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A run that did not get to :meth:`finish` keeps its series and events, marked as failed or interrupted."""
        if self._finished:
            return
        status = "interrupted" if kind is not None and issubclass(kind, KeyboardInterrupt) else "failed"
        about = {"format": rundir.FORMAT, "complete": False, "status": status}
        try:
            self._close_streams({"format": rundir.FORMAT})
            rundir.write_whole(self.directory / rundir.MANIFEST, rundir.canonical_json(about))
        except RunError:
            if fault is None:
                raise


def summary_csv(metrics: Mapping[str, Any]) -> bytes:
    """The measures as ``metric,value,unit`` lines, sorted, for a spreadsheet."""
    lines = ["metric,value,unit"]
    for key, value in flatten(rundir.plain(metrics)):
        about = measure(key)
        text = format(value, ".12g") if isinstance(value, float) else "" if value is None else str(value)
        lines.append(",".join(_quoted(cell) for cell in (key, text, about.unit if about else "")))
    return ("\n".join(lines) + "\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\n') else cell
