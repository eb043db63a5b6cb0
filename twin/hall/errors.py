"""What is wrong with a hall file: every fault names the file, the key, the value and the remedy."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what to do about it."""

    source: str  # the file
    key: str  # dotted path inside it
    value: Any
    problem: str
    remedy: str

    def __str__(self) -> str:
        end = "" if self.remedy.endswith("?") else "."
        return f"{self.source}: {self.key} = {_shown(self.value)}: {self.problem}. {self.remedy}{end}"


class HallError(ValueError):
    """A hall is refused. ``faults`` holds all of them; the message lists them one per line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = "The hall is refused: 1 fault." if count == 1 else f"The hall is refused: {count} faults."
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class Faults(list[Fault]):
    """Faults found so far in one source. ``noted`` counts repeats, which are listed once."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.noted = 0

    def add(self, key: str, value: Any, problem: str, remedy: str) -> None:
        """Note a fault. What many racks have from one key is listed once."""
        self.noted += 1
        fault = Fault(self.source, key, value, problem, remedy)
        if fault not in self:
            self.append(fault)

    def unknown(self, key: str, value: Any, kind: str, known: Iterable[str]) -> None:
        """Note a name that is not one of ``known``, with the nearest one as the remedy."""
        self.add(key, value, f"unknown {kind} {value!r}", did_you_mean(str(value), known))

    def stop(self) -> None:
        """Raise :class:`HallError` if anything was found."""
        if self:
            raise HallError(self)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: the nearest known one, or the whole list when nothing is near."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    if not names:
        return "There are none to choose from"
    shown = ", ".join(repr(name) for name in names[:12])
    return f"Use one of {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
