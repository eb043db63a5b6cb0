"""Reading a plain mapping against a table of fields: types, ranges, units, unknown and missing keys, all at once."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twin.hall.errors import Faults, did_you_mean

REQUIRED: Final = object()  # a field without a default


@dataclass(frozen=True)
class Field:
    """One key of a hall file: its name with its unit, what it may hold, and its factor to SI.

    ``kind`` is "number", "count", "flag", "text", "choice", "numbers" (a list), "points" (a list of pairs), "names" (a
    list of texts) or "section" (a mapping that is read elsewhere). ``None`` is accepted where ``optional``.
    """

    key: str
    kind: str
    sentence: str
    default: Any = REQUIRED
    scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    above: bool = False  # ``low`` itself is refused
    choices: tuple[str, ...] = ()
    optional: bool = False


def number(
    key: str,
    sentence: str,
    default: Any = REQUIRED,
    scale: float = 1.0,
    low: float = 0.0,
    high: float = math.inf,
    above: bool = False,
    optional: bool = False,
) -> Field:
    """A finite number, by default not negative."""
    return Field(key, "number", sentence, default, scale, low, high, above, (), optional)


def share(key: str, sentence: str, default: Any = REQUIRED, above: bool = False) -> Field:
    """A number from 0 to 1."""
    return Field(key, "number", sentence, default, 1.0, 0.0, 1.0, above)


def count(key: str, sentence: str, default: Any = REQUIRED, low: int = 0, optional: bool = False) -> Field:
    """A whole number."""
    return Field(key, "count", sentence, default, 1.0, low, 1_000_000, optional=optional)


def flag(key: str, sentence: str, default: Any = REQUIRED) -> Field:
    """True or false."""
    return Field(key, "flag", sentence, default)


def text(key: str, sentence: str, default: Any = REQUIRED, optional: bool = False) -> Field:
    """A name or a remark."""
    return Field(key, "text", sentence, default, optional=optional)


def choice(key: str, sentence: str, choices: Iterable[str], default: Any = REQUIRED) -> Field:
    """One of a few words."""
    return Field(key, "choice", sentence, default, choices=tuple(choices))


def section(key: str, sentence: str, default: Any = REQUIRED, optional: bool = False) -> Field:
    """A nested mapping."""
    return Field(key, "section", sentence, default, optional=optional)


def read_fields(
    mapping: Any, fields: Sequence[Field], path: str, faults: Faults, *, partial: bool = False
) -> dict[str, Any]:
    """Values of ``fields`` in SI by key. Faults are noted; a faulty or missing required key is absent from the answer.

    ``path`` is the dotted key of ``mapping`` itself. With ``partial`` nothing is required and no default is filled in.
    """
    if not isinstance(mapping, Mapping):
        faults.add(path or "(file)", mapping, "a mapping of keys is expected here", "Write key: value lines")
        return {}
    by_key = {each.key: each for each in fields}
    for key in mapping:
        if str(key) not in by_key:
            faults.add(join(path, key), mapping[key], "unknown key", did_you_mean(str(key), by_key))
    values: dict[str, Any] = {}
    for each in fields:
        if each.key in mapping:
            good, value = _read(mapping[each.key], each, join(path, each.key), faults)
            if good:
                values[each.key] = value
        elif partial:
            continue
        elif each.default is REQUIRED:
            faults.add(join(path, each.key), None, "missing key", f"Add it: {each.sentence}")
        else:
            values[each.key] = each.default
    return values


def join(path: str, key: Any) -> str:
    """Dotted path of a key."""
    return f"{path}.{key}" if path else str(key)


def _read(value: Any, field: Field, path: str, faults: Faults) -> tuple[bool, Any]:
    if value is None and field.optional:
        return True, None
    if field.kind in ("number", "count"):
        return _read_number(value, field, path, faults)
    if field.kind == "flag":
        if isinstance(value, bool):
            return True, value
        faults.add(path, value, "neither true nor false", f"Write true or false: {field.sentence}")
    elif field.kind == "choice":
        if value in field.choices:
            return True, value
        faults.unknown(path, value, "word", field.choices)
    elif field.kind == "text":
        if isinstance(value, str) and value.strip():
            return True, value
        faults.add(path, value, "a text is expected", f"Write {field.sentence}, in quotes if it looks like a number")
    elif field.kind == "section":
        if isinstance(value, Mapping):
            return True, value
        faults.add(path, value, "a mapping of keys is expected here", f"Write key: value lines with {field.sentence}")
    elif field.kind == "names":
        if _is_list(value) and all(isinstance(each, str) for each in value):
            return True, tuple(value)
        faults.add(path, value, "a list of names is expected", f"Write [name, …] with {field.sentence}")
    elif field.kind == "numbers":
        if _is_list(value) and all(_finite(each) for each in value):
            return True, tuple(float(each) for each in value)
        faults.add(path, value, "a list of finite numbers is expected", f"Write [number, …]: {field.sentence}")
    elif field.kind == "points":
        if _is_list(value) and all(_is_list(p) and len(p) == 2 and all(_finite(x) for x in p) for p in value):
            return True, tuple((float(p[0]), float(p[1])) for p in value)
        faults.add(path, value, "a list of pairs of numbers is expected", f"Write [[x, y], …]: {field.sentence}")
    return False, None


def _read_number(value: Any, field: Field, path: str, faults: Faults) -> tuple[bool, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.add(path, value, "a number is expected", f"Write a number: {field.sentence}")
    elif not math.isfinite(value):
        faults.add(path, value, "not a finite number", f"Write a finite number: {field.sentence}")
    elif field.kind == "count" and value != int(value):
        faults.add(path, value, "a whole number is expected", f"Write a whole number: {field.sentence}")
    elif value < field.low or value > field.high or (field.above and value == field.low):
        faults.add(path, value, _range_problem(value, field), f"Write {_range(field)}: {field.sentence}")
    elif field.kind == "count":
        return True, int(value)
    else:
        return True, float(value) * field.scale
    return False, None


def _range_problem(value: float, field: Field) -> str:
    if value < 0 <= field.low:
        return "negative number"
    return "out of range"


def _range(field: Field) -> str:
    low, high = f"{field.low:g}", f"{field.high:g}"
    if math.isinf(field.high):
        return f"a number above {low}" if field.above else f"a number from {low} up"
    return f"a number above {low} and up to {high}" if field.above else f"a number from {low} to {high}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _finite(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
