"""An hourly weather file, read at the door: dry and wet bulb over the time of a run."""

import csv
import math
from datetime import UTC, datetime
from pathlib import Path

from twin.hall.errors import Fault, Faults
from twin.units import SECONDS_PER_HOUR

TIMES = ("hour", "time")
DRY, WET = "dry_bulb_celsius", "wet_bulb_celsius"
COLDEST, HOTTEST = -60.0, 60.0  # °C, beyond which a column holds something else
SHOWN = 20  # faults listed in full

Row = tuple[float, float, float]


class WeatherError(ValueError):
    """A weather file is refused. ``faults`` holds all of them, or the first few and a count."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def read_weather(path: Path) -> tuple[Row, ...]:
    """The rows (seconds, dry bulb [°C], wet bulb [°C]) of a CSV file, for :class:`twin.sim.world.Settings`.

    Columns: ``hour`` (hours from the start of the run) or ``time`` (dates and times in ISO 8601, counted from the first
    row), ``dry_bulb_celsius`` and ``wet_bulb_celsius``; others are left alone. Between rows a run takes weather as
    linear, before the first and after the last as constant. Raises :class:`WeatherError` with every fault: a file that
    cannot be read, a missing column, no row, a number that is not finite or not weather, a wet bulb above the dry one,
    times that do not increase.
    """
    faults = Faults(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
            columns = [name for name in (lines[0] if lines else ()) if name]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        faults.add("weather.path", str(path), f"cannot be read ({reason})", "Give the path of a CSV file")
        raise WeatherError(list(faults)) from None
    if not lines:
        remedy = f"Write the columns {TIMES[0]}, {DRY} and {WET} with a row per hour"
        faults.add("rows", 0, "no row below the heading", remedy)
        raise WeatherError(list(faults))
    clock = next((name for name in TIMES if name in columns), None)
    if clock is None:
        faults.add("columns", ", ".join(columns), "no column of times", "Add 'hour' (hours from the start) or 'time'")
    for name in (DRY, WET):
        if name not in columns:
            faults.add("columns", ", ".join(columns), f"no column '{name}'", "Add it, in degrees Celsius")
    if clock is None or faults:
        raise WeatherError(list(faults))
    rows = _rows(lines, clock, faults)
    if faults:
        kept = list(faults)[:SHOWN]
        if len(faults) > SHOWN:
            rest = len(faults) - SHOWN
            kept.append(Fault(str(path), "rows", rest, "more faults of these kinds", "Correct those above first"))
        raise WeatherError(kept)
    return rows


def _rows(lines: list[dict[str, str]], clock: str, faults: Faults) -> tuple[Row, ...]:
    rows: list[Row] = []
    start = 0.0
    last = -math.inf
    for number, line in enumerate(lines, start=2):
        place = f"line {number}"
        at = _value(line, clock, place, faults)
        dry = _value(line, DRY, place, faults)
        wet = _value(line, WET, place, faults)
        for name, degrees in ((DRY, dry), (WET, wet)):
            if degrees is not None and not COLDEST <= degrees <= HOTTEST:
                remedy = f"Give degrees Celsius from {COLDEST:g} to {HOTTEST:g}"
                faults.add(f"{place}, {name}", degrees, "no weather on earth", remedy)
        if dry is not None and wet is not None and wet > dry:
            remedy = f"Air of {dry:g} °C is saturated at that; are the columns swapped?"
            faults.add(f"{place}, {WET}", wet, "above the dry bulb", remedy)
        if at is None:
            continue
        if at <= last:
            faults.add(f"{place}, {clock}", line[clock], "not after the row before", "Sort the rows by time")
        elif math.isinf(last) and clock == "time":
            start = at
        last = at
        if dry is not None and wet is not None:
            rows.append((at - start, dry, wet))
    return tuple(rows)


def _value(line: dict[str, str], name: str, place: str, faults: Faults) -> float | None:
    """The number of a column, times in seconds; None, with a fault noted, where there is none."""
    written = (line[name] or "").strip()
    wanted = "a date and time in ISO 8601" if name == "time" else "a finite number"
    try:
        found = _stamp(written) if name == "time" else float(written) * (SECONDS_PER_HOUR if name == "hour" else 1.0)
    except ValueError:
        found = math.nan
    if math.isfinite(found):
        return found
    faults.add(f"{place}, {name}", written, f"not {wanted}", "Correct it, or take the row out")
    return None


def _stamp(written: str) -> float:
    """Seconds of a date and time; one without a zone counts as UTC, so that no clock change shifts it."""
    stamp = datetime.fromisoformat(written)
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
