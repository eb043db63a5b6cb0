"""The air outside, hour by hour: a CSV file of dry- and wet-bulb temperatures."""

import csv
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from twin.hall.errors import Faults
from twin.units import SECONDS_PER_HOUR

COLUMNS = ("hour", "dry_bulb_celsius", "wet_bulb_celsius")
LOWEST, HIGHEST = -60.0, 60.0  # °C, wider than any weather on record
SHOWN = 20  # faulty rows that are listed one by one


def read_weather(path: Path) -> tuple[tuple[float, float, float], ...]:
    """Rows of (time [s], dry bulb [°C], wet bulb [°C]) of a weather file, in order of time.

    The file has a header with the columns ``hour`` (from the start of the run; fractions are fine),
    ``dry_bulb_celsius`` and ``wet_bulb_celsius``; others are passed over. Without ``hour`` each row is the next hour.
    Between rows the weather is taken as linear, before the first and after the last as constant. Raises
    :class:`~twin.hall.errors.HallError` with every fault, by line.
    """
    faults = Faults(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        faults.add("file", path.name, f"cannot be read ({fault})", "Give a CSV file with weather.path=FILE")
        lines = []
        faults.stop()
    header = [word.strip() for word in lines[0]] if lines else []
    missing = [column for column in COLUMNS[1:] if column not in header]
    for column in missing:
        faults.add("header", ",".join(header), f"no column {column}", f"Name the columns {', '.join(COLUMNS)}")
    faults.stop()
    rows: list[tuple[float, float, float]] = []
    faulty = 0
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        found = [_value(line, header, column, float(len(rows))) for column in COLUMNS]
        problem = _problem(*found)
        if problem is not None:
            faulty += 1
            if faulty <= SHOWN:
                faults.add(f"line {number}", ",".join(line), *problem)
        rows.append((found[0] * SECONDS_PER_HOUR, found[1], found[2]))
    if faulty > SHOWN:
        faults.add("lines", faulty, "so many are wrong; the first are listed", "Correct them")
    if not rows:
        faults.add("file", path.name, "no row after the header", "Give at least one hour")
    faults.stop()
    _in_order(rows, faults)
    faults.stop()
    return tuple(rows)


def _value(line: Sequence[str], header: Sequence[str], column: str, otherwise: float) -> float:
    """A cell as a number; NaN when it is none. A file without the column ``hour`` counts its rows."""
    if column not in header:
        return otherwise
    try:
        return float(line[header.index(column)])
    except (ValueError, IndexError):
        return math.nan


def _problem(hour: float, dry: float, wet: float) -> tuple[str, str] | None:
    if not all(map(math.isfinite, (hour, dry, wet))):
        return "not a number in every column", f"Write {', '.join(COLUMNS)} as numbers"
    if hour < 0.0:
        return "before the start", "Count hours from the start of the run, 0 or later"
    if not (LOWEST <= dry <= HIGHEST and LOWEST <= wet <= HIGHEST):
        return f"outside {LOWEST:g} to {HIGHEST:g} °C", "Write temperatures in °C"
    if wet > dry:
        return "the wet bulb is above the dry bulb", "Correct or exchange the two"
    return None


def _in_order(rows: Sequence[tuple[float, float, float]], faults: Faults) -> None:
    for before, after in pairwise(rows):
        if after[0] <= before[0]:
            hour = after[0] / SECONDS_PER_HOUR
            faults.add("hour", hour, f"not after {before[0] / SECONDS_PER_HOUR:g}", "Sort the rows, each hour once")
            return
