"""The time series as pictures need it: one array (intervals, things) per column, read group by group and thinned.

A run of a month has more intervals than a screen has pixels. They are joined so that no more than ``MOST`` are left: of
minima the lowest is kept, of maxima the highest, of means the mean. So memory does not grow with the length of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twin.results import rundir
from twin.results.rundir import RunError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST = 1_500  # intervals, more than one for every pixel of a figure's axes


@dataclass(frozen=True)
class Grid:
    """Series of one level: starts of intervals [s], names of things, and values (intervals, things) by column."""

    times: Floats
    names: tuple[str, ...]
    values: Mapping[str, Floats]

    def highest(self, column: str) -> Floats:
        """Highest value over the things in every interval; NaN where none has one."""
        return np.fmax.reduce(self.values[column], axis=1, initial=np.nan)


class _Column:
    """One column of one level while it is read: values joined into intervals as they come."""

    def __init__(self, name: str, place: Ints, intervals: int) -> None:
        self.place = place
        self.mean = not name.endswith(("_min", "_max"))
        self.join = np.add if self.mean else np.fmin if name.endswith("_min") else np.fmax
        self.values = np.full((intervals, len(place)), 0.0 if self.mean else np.nan)
        self.counts = np.zeros((intervals, len(place)))

    def add(self, values: Floats, starts: Ints, into: Ints) -> None:
        """Join windows (rows of ``values``) that begin at ``starts`` into the intervals ``into``."""
        mine = values[:, self.place]
        if self.mean:
            known = np.isfinite(mine)
            self.counts[into] += np.add.reduceat(known.astype(np.float64), starts, axis=0)
            mine = np.where(known, mine, 0.0)
        self.values[into] = self.join(self.values[into], self.join.reduceat(mine, starts, axis=0))

    def whole(self) -> Floats:
        with np.errstate(invalid="ignore"):
            return self.values / self.counts if self.mean else self.values


def read_grids(directory: Path, asked: Mapping[str, Sequence[str]], most: int = MOST) -> dict[str, Grid]:
    """Grids of the levels asked for, with their columns (``<signal>_<statistic>``), in one pass over the file.

    Raises RunError when the file is missing, broken, or not written interval by interval with the same things.
    """
    path = directory / rundir.table_file("timeseries")
    try:
        with pq.ParquetFile(path) as file:
            return _read(file, asked, most)
    except FileNotFoundError:
        raise RunError(
            f"{path}: missing; this run did not get that far, or was only partly copied: run it again"
        ) from None
    except (OSError, ValueError, pa.ArrowException) as fault:
        raise RunError(f"{path}: cannot be read ({fault}); run it again") from fault


def _read(file: pq.ParquetFile, asked: Mapping[str, Sequence[str]], most: int) -> dict[str, Grid]:
    levels, names = _things(file)
    things = max(1, len(names))
    windows = file.metadata.num_rows // things
    joined = max(1, -(-windows // most))  # windows of an interval
    intervals = -(-windows // joined)
    places = {level: np.flatnonzero(levels == level) for level in asked}
    columns = {
        (level, name): _Column(name, places[level], intervals) for level, wanted in asked.items() for name in wanted
    }
    wanted = sorted({name for _, name in columns})
    times = np.zeros(intervals)
    seen = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=["time_seconds", *wanted])
        at = table["time_seconds"].to_numpy().reshape(-1, things)
        if (at != at[:, :1]).any():
            raise ValueError("its rows do not stand interval by interval")
        interval = (seen + np.arange(len(at))) // joined
        into, starts = np.unique(interval, return_index=True)
        fresh = (seen + starts) % joined == 0
        times[into[fresh]] = at[starts[fresh], 0]
        for name in wanted:
            values = table[name].to_numpy().reshape(-1, things)
            for (_, own), column in columns.items():
                if own == name:
                    column.add(values, starts, into)
        seen += len(at)
        del table
    pa.default_memory_pool().release_unused()
    return {
        level: Grid(times, tuple(names[places[level]]), {name: columns[level, name].whole() for name in asked[level]})
        for level in asked
    }


def _things(file: pq.ParquetFile) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Levels and names of the things of one interval, in the order of their rows."""
    if file.num_row_groups == 0:
        return np.zeros(0, dtype=str), np.zeros(0, dtype=str)
    first = file.read_row_group(0, columns=["time_seconds", "level", "name"])
    at = first["time_seconds"].to_numpy()
    count = int((at == at[0]).sum())
    return (
        np.array(first["level"][:count].to_pylist(), dtype=str),
        np.array(first["name"][:count].to_pylist(), dtype=str),
    )
