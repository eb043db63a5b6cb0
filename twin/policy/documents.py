"""What is wrong with a policy document: every fault names key, value and remedy, and all are told at once."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard


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
