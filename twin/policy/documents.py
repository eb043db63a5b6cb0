"""Policy documents: versioned parameters that come in as plain mappings, are checked whole, and have a digest."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DocumentFault:
    """One thing wrong with a document."""

    key: str
    value: Any
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.what}. {self.remedy}."


class DocumentError(ValueError):
    """A policy document that cannot be used; ``faults`` are all that is wrong with it."""

    def __init__(self, faults: Sequence[DocumentFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


class Reader:
    """Takes values out of a mapping and notes what is wrong; ``at`` is where the mapping stands, for messages."""

    def __init__(self, mapping: Any, at: str, faults: list[DocumentFault]) -> None:
        self.at = at
        self.faults = faults
        self.mapping: Mapping[str, Any] = mapping if isinstance(mapping, Mapping) else {}
        self._taken: set[str] = set()
        if not isinstance(mapping, Mapping):
            self.fault("", mapping, "not a mapping of keys to values", "Write key: value lines")

    def fault(self, key: str, value: Any, what: str, remedy: str) -> None:
        place = f"{self.at}.{key}" if key and self.at else key or self.at
        self.faults.append(DocumentFault(place, value, what, remedy))

    def number(
        self, key: str, default: float | None = None, *, low: float = -math.inf, high: float = math.inf
    ) -> float:
        """A number from ``low`` to ``high``; NaN and a fault where there is none."""
        self._taken.add(key)
        value = self.mapping.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            self.fault(key, value, "not a number" if key in self.mapping else "missing", "Give a number")
            return math.nan
        if not low <= value <= high:
            self.fault(key, value, f"not from {low:g} to {high:g}", "Give a number in that range")
        return float(value)

    def text(self, key: str, default: str | None = None, *, among: Iterable[str] = ()) -> str:
        """Words; one of ``among`` where that is given."""
        self._taken.add(key)
        value = self.mapping.get(key, default)
        known = tuple(among)
        if not isinstance(value, str) or (known and value not in known):
            what = "missing" if value is None else "unknown" if known else "not a text"
            self.fault(key, value, what, f"One of {', '.join(known)}" if known else "Give a text")
            return known[0] if known else ""
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        self._taken.add(key)
        value = self.mapping.get(key, default)
        if not isinstance(value, bool):
            self.fault(key, value, "neither true nor false", "Write true or false")
            return default
        return value

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of words."""
        self._taken.add(key)
        value = self.mapping.get(key, list(default))
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
            self.fault(key, value, "not a list of texts", "Write [one, other]")
            return tuple(default)
        return tuple(value)

    def items(self, key: str) -> list[tuple[str, Any]]:
        """The entries of a list or mapping under ``key``, with where each stands."""
        self._taken.add(key)
        value = self.mapping.get(key)
        if isinstance(value, Mapping):
            return [(str(name), each) for name, each in value.items()]
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [(f"{key}[{place}]", each) for place, each in enumerate(value)]
        self.fault(key, value, "missing" if value is None else "neither a list nor a mapping", "List the entries")
        return []

    def has(self, key: str) -> bool:
        return key in self.mapping

    def done(self) -> None:
        """Note the keys that nobody asked for."""
        for key in self.mapping:
            if key not in self._taken:
                self.fault(str(key), self.mapping[key], "unknown key", f"Known here: {', '.join(sorted(self._taken))}")


def digest(parameters: Any, version: str) -> str:
    """SHA-256 of parameters (plain values) and the package's version: what a decision was taken by."""
    text = json.dumps([parameters, version], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
