"""A state in parts: what of it stays the same from one decision to the next is stored once.

A policy's state is recorded with every decision. Each dataclass inside it is a value of its own there, and the state
holds its digest in its place; whoever reads the state gets it whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

from twin.audit.values import register


@register
@dataclass(frozen=True)
class Part:
    """Stands in a state for a value that is stored apart."""

    digest: str


def parted(state: Any, put: Callable[[Any], str]) -> Any:
    """The state with each dataclass in its fields put apart; ``put`` stores a value and returns its digest.

    Anything but a dataclass is left as it is. Neither way is a class's own constructor run, which may check its fields.
    """
    return _with(state, lambda value: Part(put(value)) if _is_value(value) else value)


def whole(state: Any, get: Callable[[str], Any]) -> Any:
    """The state as it was before :func:`parted`; ``get`` finds the value of a digest."""
    return _with(state, lambda value: get(value.digest) if isinstance(value, Part) else value)


def _with(state: Any, change: Callable[[Any], Any]) -> Any:
    if not _is_value(state):
        return state
    changed = {}
    kind: Any = type(state)
    for name in _names(kind):
        old = getattr(state, name)
        new = change(old)
        if new is not old:
            changed[name] = new
    if not changed:
        return state
    other: Any = object.__new__(kind)
    for name in _names(kind):
        object.__setattr__(other, name, changed[name] if name in changed else getattr(state, name))
    return other


def _is_value(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


@lru_cache(maxsize=64)
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
