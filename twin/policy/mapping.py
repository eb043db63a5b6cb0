"""Parameters from plain mappings, as a door outside reads them from a file: every fault at once, with its remedy."""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")

_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}


def build(kind: type[T], mapping: Mapping[str, Any], where: str, **made: Any) -> T:
    """A dataclass ``kind`` from ``mapping``; ``where`` names it in errors, ``made`` are fields built elsewhere.

    Numbers, words, truth values and enumerations are checked against the field's type; whole numbers serve as numbers,
    truth values do not. Errors: ValueError with every unknown or missing key and every value of a wrong type.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    values: dict[str, Any] = dict(made)
    wrong = []
    for key, value in mapping.items():
        if key in made:
            continue
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            wrong.append(f"{where}: unknown key {key!r}: {remedy}")
            continue
        try:
            values[key] = _typed(hints[key], value)
        except (TypeError, ValueError) as error:
            wrong.append(f"{where}: {key} = {value!r}: {error}")
    for name, field in known.items():
        if name not in mapping and name not in made and field.default is MISSING and field.default_factory is MISSING:
            wrong.append(f"{where}: {name} is missing")
    if wrong:
        raise ValueError("\n".join(wrong))
    return kind(**values)


def _typed(hint: Any, value: Any) -> Any:
    """The value, if it is of a field's type. Errors: TypeError, or ValueError for no member of an enumeration."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if value not in list(hint):
            raise ValueError(f"give one of {', '.join(hint)}")
        return hint(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint in (int, bool, str) and type(value) is hint:
        return value
    if hint == tuple[str, ...] and isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise TypeError(f"give {_WORDS.get(hint, 'a list of words')}")


def listed(mapping: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    """The list of mappings under ``key``. Errors: ValueError where it is none."""
    value = mapping.get(key)
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError(f"{where}: {key} = {value!r}: give a list of mappings")
    return list(value)
