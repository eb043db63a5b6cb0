"""How far work is scaled back: what flags encode, as values that can be joined."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import reduce
from math import inf
from typing import Any

from twin.policy.documents import DocumentFaults, is_number, joined

CHOICES: dict[str, tuple[Any, Any]] = {  # as built, and degraded
    "precision": ("high", "low"),
    "auxiliary": (True, False),
    "admissions": ("open", "paused"),
    "drain": (False, True),
}


@dataclass(frozen=True)
class Degradation:
    """What is turned down; the defaults are as built. Names are those of a service's knobs where it has them."""

    concurrency: float = 1.0  # of the built concurrency, above 0
    batch_size: float = 1.0  # of the built batch, above 0
    precision: str = "high"  # or "low": cheaper, faster, less power
    auxiliary: bool = True  # nonessential side work
    admissions: str = "open"  # or "paused": nothing new is let in
    drain: bool = False  # running work leaves
    queue_seconds: float = inf  # that a request may wait at a service: what would wait longer is turned away

    @property
    def severity(self) -> tuple[bool, bool, float, float, bool, bool, float]:
        """What degradations are ranked by: drain, pause, least concurrency, batch, precision, side work, then wait."""
        return (
            self.drain,
            self.admissions == "paused",
            1.0 - self.concurrency,
            1.0 - self.batch_size,
            self.precision == "low",
            not self.auxiliary,
            1.0 / self.queue_seconds,
        )

    def value(self) -> dict[str, Any]:
        """What differs from as built, as a flag's variant writes it."""
        return {name: each for name, each in asdict(self).items() if each != getattr(AS_BUILT, name)}


AS_BUILT = Degradation()


def join(degradations: Iterable[Degradation]) -> Degradation:
    """The mildest degradation that is at least as strict as each of these in everything; none gives as built.

    Associative, commutative and idempotent: the order in which flags are looked at does not matter.
    """
    return reduce(_both, degradations, AS_BUILT)


def _both(one: Degradation, other: Degradation) -> Degradation:
    return Degradation(
        concurrency=min(one.concurrency, other.concurrency),
        batch_size=min(one.batch_size, other.batch_size),
        precision="low" if "low" in (one.precision, other.precision) else "high",
        auxiliary=one.auxiliary and other.auxiliary,
        admissions="paused" if "paused" in (one.admissions, other.admissions) else "open",
        drain=one.drain or other.drain,
        queue_seconds=min(one.queue_seconds, other.queue_seconds),
    )


def degradation_of(value: Any, path: str = "value", faults: DocumentFaults | None = None) -> Degradation:
    """A degradation from a variant such as ``{"concurrency": 0.5}``. Notes faults, or raises without ``faults``."""
    noted = DocumentFaults() if faults is None else faults
    given = noted.mapping(value, path, 'Write what is turned down, such as {"concurrency": 0.5}, or {} for nothing')
    noted.unknown_keys(given, [field.name for field in fields(Degradation)], path)
    kept: dict[str, Any] = {}
    for key in ("concurrency", "batch_size"):
        if key in given:
            if is_number(given[key]) and 0.0 < given[key] <= 1.0:
                kept[key] = float(given[key])
            else:
                noted.add(joined(path, key), given[key], "not a share above 0 and at most 1", "Write such as 0.5")
    if "queue_seconds" in given:
        if is_number(given["queue_seconds"]) and given["queue_seconds"] > 0.0:
            kept["queue_seconds"] = float(given["queue_seconds"])
        else:
            where = joined(path, "queue_seconds")
            noted.add(where, given["queue_seconds"], "not a time above 0", "Write seconds such as 60, or leave it out")
    for key, choices in CHOICES.items():
        if key in given:
            if any(type(given[key]) is type(each) and given[key] == each for each in choices):
                kept[key] = given[key]
            else:
                shown = " or ".join(str(each).lower() for each in choices)
                noted.add(joined(path, key), given[key], "not one of its values", f"Write {shown}")
    if faults is None:
        noted.stop()
    return Degradation(**kept)
