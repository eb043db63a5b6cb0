"""Numbers and names as a person would say them: clock times, durations, powers, amounts of work."""

import math
from collections.abc import Iterable, Sequence

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def clock(seconds: float) -> str:
    """Simulated time [s] as ``02:14:07``, after the first day as ``day 2, 02:14:07``."""
    whole = math.floor(seconds + 0.5)
    day, rest = divmod(whole, 86_400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return text if day == 0 else f"day {day + 1}, {text}"


def duration(seconds: float) -> str:
    """A length of time [s]: ``0.4 s``, ``47 s``, ``6 min 47 s``, ``3 h 5 min``, ``2 days 4 h``."""
    if seconds < 10.0:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "no time"
    whole = math.floor(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _pair(whole, 60, "min", 1, "s")
    if whole < 86_400:
        return _pair(whole, 3600, "h", 60, "min")
    days, rest = divmod(whole, 86_400)
    hours = rest // 3600
    return f"{days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")


def _pair(whole: int, big: int, big_unit: str, small: int, small_unit: str) -> str:
    rest = whole % big // small
    return f"{whole // big} {big_unit}" + (f" {rest} {small_unit}" if rest else "")


def quantity(value: float | None, unit: str, digits: int = 3) -> str:
    """A value with its unit and a metric prefix where that helps: ``8.41 MW``; a dash for None or NaN."""
    if value is None or not math.isfinite(value):
        return "–"
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{_figures(value / factor, digits)} {prefix}{unit}"
    return f"{_figures(value, digits)} {unit}"


def energy(joules: float | None) -> str:
    """An energy [J] in watt-hours, as bills have it: ``151 MWh``."""
    return quantity(None if joules is None else joules / 3600.0, "Wh")


def gpu_hours(gpu_seconds: float | None) -> str:
    """GPU-seconds as ``1,240 GPU-hours``, below a tenth of one as GPU-seconds."""
    if gpu_seconds is None or not math.isfinite(gpu_seconds):
        return "–"
    if gpu_seconds == 0.0:
        return "0 GPU-hours"
    if abs(gpu_seconds) < 360.0:
        return f"{_figures(gpu_seconds, 3)} GPU-seconds"
    return f"{_figures(gpu_seconds / 3600.0, 3)} GPU-hours"


def number(value: float | None, digits: int = 3) -> str:
    """A bare number with thousands separated; a dash for None or NaN."""
    return "–" if value is None or not math.isfinite(value) else _figures(value, digits)


def count(many: int, one: str, several: str | None = None) -> str:
    """``no breaker``, ``1 breaker``, ``3 breakers``."""
    if many == 1:
        return f"1 {one}"
    return f"{many:,} {several or one + 's'}" if many else f"no {several or one + 's'}"


def listed(things: list[str], most: int = 4) -> str:
    """``a, b and c``; of a long list the first ones and how many more."""
    if len(things) > most:
        return f"{', '.join(things[: most - 1])} and {len(things) - most + 1} more"
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def cell(text: object) -> str:
    """Text that may stand in a Markdown table: on one line, its bars escaped."""
    return " ".join(str(text).replace("|", "\\|").split())


def markdown_table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, a line each for the headings, the rule below them and every row; none ends the last."""
    told = [[cell(each) for each in row] for row in (headings, *rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (told[0], ["---"] * len(headings), *told[1:]))


def _figures(value: float, digits: int) -> str:
    if value == 0.0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
