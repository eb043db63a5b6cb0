"""What is wrong with a workload, said so that a person can act on it: all faults at once."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any


class WorkloadError(ValueError):
    """A workload that is refused. ``faults`` has one sentence per fault: where, which key, its value, the remedy."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class Fields:
    """Reads a plain mapping key by key, collecting faults instead of stopping at the first.

    After a fault a reading returns a stand-in value, so that reading goes on; call :meth:`finish` on the root (it
    reports unknown keys, too) before using anything that was read.
    """

    def __init__(
        self, mapping: Mapping[str, Any], source: str, path: str = "", faults: list[str] | None = None
    ) -> None:
        self.mapping = mapping
        self.source = source
        self.path = path
        self.faults: list[str] = [] if faults is None else faults
        self._seen: set[str] = set()
        self._sections: list[Fields] = []

    def fault(self, key: str, what: str) -> None:
        """Record that ``key`` has a fault; ``what`` says the fault and the remedy."""
        value = f" = {self.mapping[key]!r}" if key in self.mapping else ""
        self.faults.append(f"{self.source}: {self.path}{key}{value}: {what}")

    def _get(self, key: str, wanted: str) -> Any:
        self._seen.add(key)
        if key not in self.mapping:
            self.fault(key, f"missing; add it ({wanted})")
            return None
        return self.mapping[key]

    def has(self, key: str) -> bool:
        """True when ``key`` is given and is not null; a null counts as seen."""
        self._seen.add(key)
        return self.mapping.get(key) is not None

    def number(self, key: str, low: float = 0.0, high: float = math.inf, *, above: bool = False) -> float:
        """A finite number in [low, high], or in (low, high] with ``above``."""
        wanted = f"a number {_range(low, high, above)}"
        value = self._get(key, wanted)
        if value is None and key not in self.mapping:
            return math.nan
        if not _inside(value, low, high, above):
            self.fault(key, f"must be {wanted}")
            return math.nan
        return float(value)

    def whole(self, key: str, low: int = 0) -> int:
        """A whole number ≥ low."""
        wanted = f"a whole number of at least {low}"
        value = self._get(key, wanted)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            if key in self.mapping:
                self.fault(key, f"must be {wanted}")
            return low
        return value

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self._get(key, "a text")
        if not isinstance(value, str) or not value:
            if key in self.mapping:
                self.fault(key, "must be a text that is not empty")
            return ""
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._get(key, "true or false")
        if not isinstance(value, bool) and key in self.mapping:
            self.fault(key, "must be true or false")
        return value is True

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of ``choices``."""
        wanted = f"one of {', '.join(choices)}"
        value = self._get(key, wanted)
        if value not in choices:
            if key in self.mapping:
                close = difflib.get_close_matches(str(value), choices, n=1)
                self.fault(key, f"must be {wanted}" + (f"; did you mean {close[0]}?" if close else ""))
            return choices[0]
        return str(value)

    def numbers(self, key: str, low: float = 0.0, high: float = math.inf, *, above: bool = False) -> tuple[float, ...]:
        """A list of at least one number, each in [low, high] (or above low)."""
        wanted = f"a list of numbers {_range(low, high, above)}"
        value = self._get(key, wanted)
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            if key in self.mapping:
                self.fault(key, f"must be {wanted}")
            return ()
        if not all(_inside(entry, low, high, above) for entry in value):
            self.fault(key, f"must be {wanted}")
            return ()
        return tuple(float(entry) for entry in value)

    def wholes(self, key: str, low: int = 1) -> tuple[int, ...]:
        """A list of at least one whole number ≥ low, without repetition."""
        wanted = f"a list of different whole numbers of at least {low}"
        value = self._get(key, wanted)
        fine = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
        if not fine or any(isinstance(n, bool) or not isinstance(n, int) or n < low for n in value):
            if key in self.mapping:
                self.fault(key, f"must be {wanted}")
            return ()
        if len(set(value)) < len(value):
            self.fault(key, f"must be {wanted}")
        return tuple(value)

    def pair(self, key: str, low: float = 0.0, high: float = math.inf, *, above: bool = False) -> tuple[float, float]:
        """A range: two numbers in [low, high], the first not above the second."""
        value = self.numbers(key, low, high, above=above)
        if not value:
            return (math.nan, math.nan)
        if len(value) != 2 or value[0] > value[1]:
            self.fault(key, "must be two numbers, the lower one first")
            return (math.nan, math.nan)
        return (value[0], value[1])

    def section(self, key: str) -> "Fields":
        """A mapping below this one."""
        value = self._get(key, "a group of keys")
        if not isinstance(value, Mapping):
            if key in self.mapping:
                self.fault(key, "must be a group of keys")
            child = Fields({}, self.source, f"{self.path}{key}.", [])  # its own missing keys would only be noise
        else:
            child = Fields(value, self.source, f"{self.path}{key}.", self.faults)
        self._sections.append(child)
        return child

    def unknown(self) -> None:
        """Record every key that nobody has read, here and in all sections, with the nearest known key."""
        for key in self.mapping:
            if key not in self._seen:
                close = difflib.get_close_matches(str(key), sorted(self._seen), n=1)
                known = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(self._seen))}"
                self.fault(key, f"unknown key; {known}")
        for child in self._sections:
            child.unknown()

    def finish(self) -> None:
        """Raise :class:`WorkloadError` if anything was wrong, unknown keys included."""
        self.unknown()
        if self.faults:
            raise WorkloadError(self.faults)


def _inside(value: Any, low: float, high: float, above: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return (low < value if above else low <= value) and value <= high


def _range(low: float, high: float, above: bool) -> str:
    if high == math.inf:
        return f"above {low:g}" if above else f"of at least {low:g}"
    return f"above {low:g} and at most {high:g}" if above else f"from {low:g} to {high:g}"
