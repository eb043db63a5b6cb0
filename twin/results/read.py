"""Reading a run directory back: the manifest and measures at once, tables when they are asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twin.results import rundir
from twin.results.catalogue import LEVELS, STATISTICS, TABLES, signals_of
from twin.results.rundir import RunError


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk. Tables are read when first asked for and kept."""

    directory: Path
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """False for a run that was stopped or failed: what is here covers its beginning only."""
        return bool(self.manifest.get("complete"))

    def table(self, name: str) -> pd.DataFrame:
        """A table of the catalogue, whole. Raises RunError when its file is missing or broken."""
        if name not in self._tables:
            self._tables[name] = _frame(self.directory, name)
        return self._tables[name]

    def series(
        self, level: str, signals: Sequence[str] | None = None, statistics: Sequence[str] = STATISTICS
    ) -> pd.DataFrame:
        """The time series of one level: time_seconds, name, and ``<signal>_<statistic>`` for the signals asked for
        (all of the level by default). Raises ValueError for a level or signal that is not in the catalogue."""
        if level not in LEVELS:
            raise ValueError(f"level {level!r} is not in the catalogue; it has {', '.join(LEVELS)}")
        asked = signals_of(level) if signals is None else tuple(signals)
        odd = [signal for signal in asked if signal not in signals_of(level)]
        if odd:
            raise ValueError(f"{odd} do not live at level {level!r}; it has {', '.join(signals_of(level))}")
        columns = ["time_seconds", "level", "name", *(f"{s}_{statistic}" for s in asked for statistic in statistics)]
        frame = _frame(self.directory, "timeseries", columns, level).drop(columns="level")
        return frame.assign(name=frame["name"].astype(str))


def read_run(directory: Path | str) -> Run:
    """Open a run directory. Raises RunError when it is none, is still being written, or is broken."""
    path = Path(directory)
    if not path.is_dir():
        raise RunError(f"{path}: no such directory; give the directory that a run wrote")
    manifest = _json(path / rundir.MANIFEST)
    if manifest.get("format") != rundir.FORMAT:
        raise RunError(
            f"{path / rundir.MANIFEST}: format is {manifest.get('format')!r}, this version reads {rundir.FORMAT!r}; "
            "run it again with this version"
        )
    if manifest.get("status") == "running":
        raise RunError(f"{path}: this run has not ended, or was ended from outside; wait for it or run it again")
    metrics = _json(path / rundir.METRICS) if (path / rundir.METRICS).exists() or manifest.get("complete") else {}
    return Run(path, manifest, metrics)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path}: missing, so this is not the directory of a run; give one that a run wrote") from None
    except (OSError, ValueError) as fault:
        raise RunError(f"{path}: cannot be read ({fault}); run it again") from fault
    if not isinstance(value, dict):
        raise RunError(f"{path}: holds {type(value).__name__}, not a mapping; run it again")
    return value


def _frame(directory: Path, table: str, columns: list[str] | None = None, level: str | None = None) -> pd.DataFrame:
    if table not in TABLES:
        raise ValueError(f"table {table!r} is not in the catalogue; it has {', '.join(TABLES)}")
    path = directory / rundir.table_file(table)
    try:
        if level is None:
            content = pq.read_table(path, columns=columns)
        else:
            with pq.ParquetFile(path) as file:
                groups = (file.read_row_group(group, columns=columns) for group in range(file.num_row_groups))
                kept = [table.filter(pc.equal(table["level"], level)) for table in groups]
            content = pa.concat_tables(kept) if kept else pq.read_table(path, columns=columns)
    except FileNotFoundError:
        raise RunError(
            f"{path}: missing; this run did not get that far, or was only partly copied: run it again"
        ) from None
    except (OSError, pa.ArrowException) as fault:
        raise RunError(f"{path}: cannot be read ({fault}); run it again") from fault
    return content.to_pandas()
