"""Values as people write them in a story: times such as ``09:12:04`` or ``90 s``, numbers in bounds, words, pumps.

Every reader raises :class:`Unfit`, which has the problem and the remedy apart.
"""

import math
import re
from collections.abc import Callable
from typing import Any

UNITS = {
    "s": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3_600.0,
    "hour": 3_600.0,
    "hours": 3_600.0,
    "d": 86_400.0,
    "day": 86_400.0,
    "days": 86_400.0,
}
CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)")
AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([^\d\s.]*)")
EXAMPLES = "Write '09:12:04', '90 s', '15 min', '2 h' or a number of seconds"
FROM_START = "Times count from the start of the run: write 0 or later"


class Unfit(ValueError):
    """A value that cannot be used: what is wrong with it, and what to write instead."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}.")
        self.problem = problem
        self.remedy = remedy


def seconds_of(written: Any) -> float:
    """Seconds [s], finite and not negative, of a time or a duration.

    Raises :class:`Unfit`. ``12:30`` is refused, because it may mean minutes or hours.
    """
    if isinstance(written, str):
        return _seconds_of_text(written.strip())
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise Unfit("not a time", EXAMPLES)
    if not math.isfinite(written):
        raise Unfit("not finite", EXAMPLES)
    if written < 0:
        raise Unfit("before the start", FROM_START)
    return float(written)


def _seconds_of_text(text: str) -> float:
    if clock := CLOCK.fullmatch(text):
        return int(clock[1]) * 3_600.0 + int(clock[2]) * 60.0 + float(clock[3])
    if text.startswith("-"):
        raise Unfit("before the start", FROM_START)
    if re.fullmatch(r"\d+:\d+", text):
        raise Unfit("hours and minutes, or minutes and seconds", f"Write '{text}:00' or '0:{text}'")
    amount = AMOUNT.fullmatch(text)
    if amount is None:
        raise Unfit("not a time", EXAMPLES)
    unit = amount[2].lower() or "s"
    if unit not in UNITS:
        raise Unfit(f"unknown unit of time '{amount[2]}'", "Use s, min, h or d")
    return float(amount[1]) * UNITS[unit]


def clock_of(seconds: float) -> str:
    """``hh:mm:ss``, with decimals where there are any, of seconds since the start."""
    thousandths = round(seconds * 1_000)
    whole, rest = divmod(thousandths, 1_000)
    text = f"{whole // 3_600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return text if rest == 0 else f"{text}.{rest:03d}".rstrip("0")


def duration(written: Any) -> float:
    """Seconds [s] above 0."""
    seconds = seconds_of(written)
    if seconds == 0:
        raise Unfit("no time at all", "Give a duration above 0")
    return seconds


def number(minimum: float = -math.inf, maximum: float = math.inf) -> Callable[[Any], float]:
    """A reader of finite numbers from ``minimum`` to ``maximum``."""

    def read(written: Any) -> float:
        if isinstance(written, bool) or not isinstance(written, int | float):
            raise Unfit("not a number", "Give one without a unit; the key says which unit it has")
        if not math.isfinite(written):
            raise Unfit("not finite", f"Give a number from {minimum:g} to {maximum:g}")
        if not minimum <= written <= maximum:
            raise Unfit("out of bounds", f"Give a number from {minimum:g} to {maximum:g}")
        return float(written)

    return read


def whole(minimum: int) -> Callable[[Any], int]:
    """A reader of whole numbers from ``minimum`` up."""

    def read(written: Any) -> int:
        if isinstance(written, bool) or not isinstance(written, int) or written < minimum:
            raise Unfit("not such a whole number", f"Give a whole number of {minimum} or more")
        return written

    return read


def choice(*words: str) -> Callable[[Any], str]:
    """A reader of one word out of several."""

    def read(written: Any) -> str:
        if written not in words:
            raise Unfit("unknown word", f"Choose from {', '.join(words)}")
        return str(written)

    return read


def text(written: Any) -> str:
    """A name."""
    if not isinstance(written, str) or not written.strip():
        raise Unfit("not a name", "Give a text")
    return written


def names(written: Any) -> tuple[str, ...]:
    """Names written as one text or a list of them."""
    listed = written if isinstance(written, list | tuple) else [written]
    if not listed:
        raise Unfit("no names", "Give a text or a list of them, or leave it out for all")
    return tuple(text(each) for each in listed)


def truth(written: Any) -> bool:
    """True or false."""
    if not isinstance(written, bool):
        raise Unfit("neither true nor false", "Write true or false")
    return written


def pumps(written: Any) -> tuple[int, ...] | None:
    """Zero-based indices of pumps written as ``1``, ``[1, 2]`` or ``all``; None for all."""
    if written == "all":
        return None
    numbers = written if isinstance(written, list | tuple) else [written]
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers):
        raise Unfit("not a pump", "Give a number from 1 up, a list of them, or all")
    return tuple(sorted({n - 1 for n in numbers}))
