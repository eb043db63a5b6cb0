"""Policy documents come in as plain mappings: checked whole, every fault with key, value and remedy, and digested."""

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, TypeGuard, TypeVar, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True)
class DocumentFault:
    """One thing that is wrong in a document, and what to do about it."""

    key: str  # dotted path inside the document
    value: Any
    problem: str
    remedy: str

    def __str__(self) -> str:
        text = repr(self.value)
        shown = text if len(text) <= 80 else text[:77] + "..."
        end = "" if self.remedy.endswith("?") else "."
        return f"{self.key} = {shown}: {self.problem}. {self.remedy}{end}"


class DocumentError(ValueError):
    """A document is refused. ``faults`` holds all of them; the message lists them one per line."""

    def __init__(self, faults: Iterable[DocumentFault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = "The document is refused: 1 fault." if count == 1 else f"The document is refused: {count} faults."
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class DocumentFaults(list[DocumentFault]):
    """Faults found so far. Its readers note what is wrong and return something harmless instead."""

    def add(self, key: str, value: Any, problem: str, remedy: str) -> None:
        """Note a fault."""
        self.append(DocumentFault(key, value, problem, remedy))

    def stop(self) -> None:
        """Raise :class:`DocumentError` if anything was found."""
        if self:
            raise DocumentError(self)

    def unknown_keys(self, mapping: Mapping[str, Any], known: Iterable[str], path: str) -> None:
        """Note the keys of ``mapping`` that are none of ``known``, each with the nearest that is."""
        names = tuple(known)
        for key in mapping:
            if key not in names:
                self.add(joined(path, key), mapping[key], "there is no such key", nearest(str(key), names))

    def mapping(self, value: Any, path: str, remedy: str) -> Mapping[str, Any]:
        """``value`` if it is a mapping with texts as keys, else an empty one."""
        if not isinstance(value, Mapping):
            self.add(path, value, "not a mapping", remedy)
            return {}
        for key in value:
            if not isinstance(key, str):
                self.add(path, key, "a key that is not a text", "Quote it")
        return {key: each for key, each in value.items() if isinstance(key, str)}

    def text(self, mapping: Mapping[str, Any], key: str, path: str, remedy: str) -> str:
        """A text that is not blank, else an empty one."""
        value = mapping.get(key)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())
        self.add(joined(path, key), value, "missing" if key not in mapping else "not a text", remedy)
        return ""

    def number(self, mapping: Mapping[str, Any], key: str, path: str, remedy: str, least: float = -math.inf) -> float:
        """A finite number of at least ``least``, else NaN."""
        value = mapping.get(key)
        if not is_number(value):
            self.add(joined(path, key), value, "missing" if key not in mapping else "not a finite number", remedy)
        elif value < least:
            self.add(joined(path, key), value, f"less than {least:g}", remedy)
        else:
            return float(value)
        return math.nan

    def choice(self, mapping: Mapping[str, Any], key: str, path: str, known: Iterable[str]) -> str | None:
        """A text that is one of ``known``, else None."""
        names = tuple(known)
        value = mapping.get(key)
        if isinstance(value, str) and value in names:
            return value
        problem = "missing" if key not in mapping else "not one of those there are"
        self.add(joined(path, key), value, problem, nearest(str(value), names))
        return None


class Reader:
    """Takes values out of a mapping and notes what is wrong; ``at`` is where the mapping stands, for messages."""

    def __init__(self, mapping: Any, at: str, faults: DocumentFaults) -> None:
        self.at = at
        self.faults = faults
        self.mapping: Mapping[str, Any] = mapping if isinstance(mapping, Mapping) else {}
        self._taken: set[str] = set()
        if not isinstance(mapping, Mapping):
            self.fault("", mapping, "not a mapping of keys to values", "Write key: value lines")

    def fault(self, key: str, value: Any, what: str, remedy: str) -> None:
        self.faults.add(joined(self.at, key) if key else self.at, value, what, remedy)

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

    def whole(self, key: str) -> int:
        """A whole number; 0 and a fault where there is none."""
        self._taken.add(key)
        value = self.mapping.get(key)
        if type(value) is not int:
            what = "not a whole number" if key in self.mapping else "missing"
            self.fault(key, value, what, "Give a whole number")
            return 0
        return value

    def text(self, key: str, default: str | None = None, *, among: Iterable[str] = ()) -> str:
        """Words; one of ``among`` where that is given."""
        self._taken.add(key)
        value = self.mapping.get(key, default)
        known = tuple(among)
        if not isinstance(value, str) or (known and value not in known):
            what = "missing" if value is None else "unknown" if known else "not a text"
            self.fault(key, value, what, nearest(str(value), known) if known else "Give a text")
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

    def given(self, keys: Iterable[str]) -> None:
        """These keys are read by somebody else."""
        self._taken.update(keys)

    def of_type(self, key: str, hint: Any) -> Any:
        """A value of a dataclass's field: a number, a whole number, a truth value, a text, a list of texts, or a member
        of an enumeration of texts. Whole numbers serve as numbers, truth values do not."""
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return hint(self.text(key, among=hint))
        if hint is bool:
            if not self.has(key):
                self.fault(key, None, "missing", "Write true or false")
            return self.flag(key, False)
        read: dict[Any, Callable[[str], Any]] = {
            float: self.number,
            int: self.whole,
            str: self.text,
            tuple[str, ...]: self.texts,
        }
        return read[hint](key)

    def done(self) -> None:
        """Note the keys that nobody asked for."""
        for key in self.mapping:
            if key not in self._taken:
                self.fault(str(key), self.mapping[key], "there is no such key", nearest(str(key), self._taken))


def build(kind: type[T], mapping: Any, at: str, **made: Any) -> T:
    """A dataclass ``kind`` from a mapping that stands at ``at``; ``made`` are fields that were read elsewhere.

    Raises :class:`DocumentError` with every unknown or missing key and every value of a wrong type.
    """
    faults = DocumentFaults()
    reader = Reader(mapping, at, faults)
    reader.given(made)
    hints = get_type_hints(kind)
    values: dict[str, Any] = dict(made)
    for field in fields(kind):  # type: ignore[arg-type]
        required = field.default is MISSING and field.default_factory is MISSING
        if field.name in made or not (required or reader.has(field.name)):
            reader.given([field.name])
            continue
        values[field.name] = reader.of_type(field.name, hints[field.name])
    reader.done()
    faults.stop()
    return kind(**values)


def listed(mapping: Mapping[str, Any], key: str, at: str) -> list[Mapping[str, Any]]:
    """The list of mappings under ``key``. Raises :class:`DocumentError` where it is none."""
    value = mapping.get(key)
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        what = "not a list of mappings" if key in mapping else "missing"
        raise DocumentError([DocumentFault(joined(at, key), value, what, "List them, each as key: value lines")])
    return list(value)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a finite number; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def joined(path: str, key: str) -> str:
    """A dotted path one key further."""
    return f"{path}.{key}" if path else key


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: the nearest known one, or the list when nothing is near."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Use one of {', '.join(map(repr, names))}" if names else "Leave it out"


def digest(parameters: Any, version: str) -> str:
    """SHA-256 of parameters (plain values) and the package's version: what a decision was taken by."""
    text = json.dumps([parameters, version], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
