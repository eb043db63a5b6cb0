"""Values of policies as JSON and back, without loss: requests, decisions and states.

A state is made of None, booleans, numbers, text, bytes, tuples, lists, sets, mappings, NumPy arrays and scalars,
enumerations, and frozen dataclasses. Anything else is refused by name. What JSON has is written as JSON; the rest is an
object with one key that begins with ``$``:

=====================  ========================================================================
tuple                  a JSON list
list                   ``{"$list": […]}``
float                  a JSON number; whole, tiny, huge or not finite ``{"$float": "1.0"}``
int past 2⁵³           ``{"$int": "…"}``
mapping                a JSON object; with other keys than ASCII text ``{"$map": [[key, value], …]}``
set, frozenset         ``{"$set": […]}``, ``{"$frozenset": […]}``
bytes                  ``{"$bytes": base64}``
NumPy array            ``{"$array": [dtype, shape, base64]}``, little-endian, in C order
NumPy scalar           ``{"$scalar": [dtype, base64]}``
enumeration            ``{"$enum": "module.Class.MEMBER"}``
frozen dataclass       ``{"$type": "module.Class", field: …}``
=====================  ========================================================================

A field that is annotated ``float`` holds its whole numbers as JSON numbers, so that a record reads ``5000`` watts.
The order of a mapping is not part of its value: it is read back as a dict in the order of its keys. Classes are known
by their qualified name: those of ``twin.policy`` at once, others after :func:`register`.
"""

import base64
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from math import copysign
from typing import Any, TypeVar

import numpy as np

from twin.audit.canonical import GREATEST_REAL, LARGEST, LEAST_REAL, canonical
from twin.audit.errors import AuditError

HOME = "twin.policy."  # modules whose classes are known without being registered
KINDS = "biuf"  # of NumPy's dtypes: booleans, integers and reals
WIDEST = 8  # bytes: a longdouble is another number on another machine

AnyClass = TypeVar("AnyClass", bound=type)

_registered: dict[str, type] = {}


def register(cls: AnyClass) -> AnyClass:
    """Make a frozen dataclass or an enumeration from outside ``twin.policy`` known; use it as a decorator."""
    if not issubclass(cls, Enum):
        _refuse_open(cls)
    _registered[_name(cls)] = cls
    return cls


def encode(value: Any) -> Any:
    """The JSON form of a value, of which a JSON encoder makes canonical JSON as it is (:func:`canonical.spelt`).

    Raises :class:`AuditError` that names the place and type of what has none.
    """
    try:
        return _encode(value)
    except _Refused as refused:
        where = "".join(reversed(refused.path))
        raise AuditError(f"{type(value).__name__}{where}: {refused.problem}") from None


def decode(form: Any) -> Any:
    """The value of a JSON form, equal to what was encoded in every type and bit (a NaN's payload aside)."""
    try:
        return _decode(form)
    except AuditError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise AuditError(
            f"a stored value cannot be read: {error}; the file is damaged or of another version"
        ) from error


# ---------------------------------------------------------------- encode


class _Refused(AuditError):
    """Something inside a value has no form; the path to it is put together on the way out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []


def _encode(value: Any) -> Any:
    kind = type(value)
    encoder = _ENCODERS.get(kind)
    if encoder is not None:
        return encoder(value)
    if isinstance(value, Enum):
        _known(kind)
        return {"$enum": f"{_name(kind)}.{value.name}"}
    if is_dataclass(kind):
        return _encode_dataclass(value)
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, np.generic):
        if value.dtype.kind not in KINDS or value.dtype.itemsize > WIDEST:
            raise _Refused(f"NumPy scalars of dtype {value.dtype} are not recorded; use numbers or text")
        plain = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"$scalar": [plain.dtype.str, base64.b64encode(plain.tobytes()).decode()]}
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    raise _Refused(
        f"values of type {kind.__module__}.{kind.__qualname__} are not recorded; "
        "use frozen dataclasses, tuples, mappings, numbers, text and NumPy arrays"
    )


def _encode_int(value: int) -> Any:
    return value if -LARGEST <= value <= LARGEST else {"$int": str(value)}


def _encode_float(value: float) -> Any:
    if LEAST_REAL <= abs(value) < GREATEST_REAL and not value.is_integer():
        return value
    return {"$float": repr(value)}


def _encode_sequence(value: Any) -> list[Any]:
    found = []
    for index, item in enumerate(value):
        try:
            found.append(_encode(item))
        except _Refused as refused:
            refused.path.append(f"[{index}]")
            raise
    return found


def _encode_mapping(value: Mapping[Any, Any]) -> Any:
    plain = all(type(key) is str and key.isascii() and not key.startswith("$") for key in value)
    found = []
    for key, item in value.items():
        try:
            found.append((key if plain else _encode(key), _encode(item)))
        except _Refused as refused:
            refused.path.append(f"[{key!r}]")
            raise
    if plain:
        return dict(found)
    return {"$map": [list(pair) for pair in sorted(found, key=lambda pair: canonical(pair[0]))]}


def _encode_set(value: Any) -> Any:
    return {f"${type(value).__name__}": sorted(_encode_sequence(value), key=canonical)}


def _encode_array(value: Any) -> Any:
    if type(value) is not np.ndarray or value.dtype.kind not in KINDS or value.dtype.itemsize > WIDEST:
        raise _Refused(f"arrays of {type(value).__name__} and dtype {value.dtype} are not recorded; use numbers")
    plain = np.asarray(value, dtype=value.dtype.newbyteorder("<"))
    return {"$array": [plain.dtype.str, list(plain.shape), base64.b64encode(plain.tobytes()).decode()]}


def _encode_dataclass(value: Any) -> Any:
    kind: Any = type(value)
    plan = _plan(kind)
    form: dict[str, Any] = {"$type": plan.name}
    for name, real in plan.fields:
        item = getattr(value, name)
        if real:
            if (
                type(item) is float
                and item.is_integer()
                and abs(item) <= LARGEST
                and (item or copysign(1.0, item) > 0.0)
            ):
                form[name] = int(item)
                continue
            if type(item) is int:
                form[name] = {"$int": str(item)}
                continue
        if type(item) in _PLAIN:  # most are text
            form[name] = item
            continue
        try:
            form[name] = _encode(item)
        except _Refused as refused:
            refused.path.append(f".{name}")
            raise
    return form


_PLAIN = frozenset((type(None), bool, str))  # what is its own form

_ENCODERS: dict[type, Callable[[Any], Any]] = {
    type(None): lambda value: value,
    bool: lambda value: value,
    str: lambda value: value,
    int: _encode_int,
    float: _encode_float,
    tuple: _encode_sequence,
    list: lambda value: {"$list": _encode_sequence(value)},
    dict: _encode_mapping,
    set: _encode_set,
    frozenset: _encode_set,
    bytes: lambda value: {"$bytes": base64.b64encode(value).decode()},
    np.ndarray: _encode_array,
}


# ---------------------------------------------------------------- decode


def _decode(form: Any) -> Any:
    if isinstance(form, list):
        return tuple(_decode(item) for item in form)
    if not isinstance(form, dict):
        return form
    if "$type" in form:
        return _decode_dataclass(form)
    if len(form) == 1:
        tag, item = next(iter(form.items()))
        if tag.startswith("$"):
            decoder = _DECODERS.get(tag)
            if decoder is None:
                raise AuditError(f"a stored value has the unknown mark {tag!r}; it was written by another version")
            return decoder(item)
    return {key: _decode(form[key]) for key in sorted(form)}


def _decode_dataclass(form: Mapping[str, Any]) -> Any:
    kind: Any = _class_of(form["$type"])
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise AuditError(f"{form['$type']} is no dataclass here; replay with the version that wrote the record")
    plan = _plan(kind)
    names = {name for name, _ in plan.fields}
    if names != form.keys() - {"$type"}:
        odd = ", ".join(sorted(names ^ (form.keys() - {"$type"})))
        raise AuditError(f"{plan.name} has other fields here ({odd}); replay with the version that wrote the record")
    made = object.__new__(kind)
    for name, real in plan.fields:
        item = form[name]
        object.__setattr__(made, name, float(item) if real and type(item) is int else _decode(item))
    return made


def _decode_array(form: Any) -> Any:
    dtype, shape, text = form
    return np.frombuffer(base64.b64decode(text), dtype=dtype).reshape(shape).copy()


def _decode_enum(name: str) -> Any:
    kind, _, member = name.rpartition(".")
    return _class_of(kind)[member]


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$list": lambda form: [_decode(item) for item in form],
    "$float": float,
    "$int": int,
    "$map": lambda form: {_decode(key): _decode(item) for key, item in form},
    "$set": lambda form: {_decode(item) for item in form},
    "$frozenset": lambda form: frozenset(_decode(item) for item in form),
    "$bytes": base64.b64decode,
    "$array": _decode_array,
    "$scalar": lambda form: np.frombuffer(base64.b64decode(form[1]), dtype=form[0])[0],
    "$enum": _decode_enum,
}


def immutable(value: Any, known: Sequence[Any] = ()) -> bool:
    """Whether nothing inside a value can change: numbers, text, enumerations, arrays that are nobody's view and cannot
    be written to, and tuples and frozen dataclasses of such. Of ``known`` ones it is known."""
    kind = type(value)
    if kind in _FIXED:
        return True
    if kind is np.ndarray:
        return value.base is None and not value.flags.writeable
    for each in known:
        if value is each:
            return True
    if kind is tuple or kind is frozenset:
        return all(map(immutable, value))
    if is_dataclass(kind):
        frozen: bool = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        return frozen and all([immutable(getattr(value, name), known) for name, _ in _plan(kind).fields])
    return isinstance(value, Enum)


_FIXED = frozenset((type(None), bool, int, float, str, bytes))


# ---------------------------------------------------------------- classes by name


@dataclass(frozen=True)
class _Plan:
    """How a dataclass is written: its name, and for each field whether it is annotated ``float``."""

    name: str
    fields: tuple[tuple[str, bool], ...]


@lru_cache(maxsize=256)
def _plan(kind: Any) -> _Plan:
    _known(kind)
    _refuse_open(kind)
    each = tuple((field.name, field.type in (float, "float")) for field in fields(kind))
    return _Plan(_name(kind), each)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _known(kind: type) -> None:
    """Refuse a class that a reader could not find again."""
    name = _name(kind)
    if _registered.get(name) is not kind and not (name.startswith(HOME) and "." not in kind.__qualname__):
        raise _Refused(f"the class {name} is not known; make it known with twin.audit.register")


def _refuse_open(kind: type) -> None:
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise _Refused(f"the class {_name(kind)} is no frozen dataclass; write @dataclass(frozen=True)")
    if not all(field.name.isascii() for field in fields(kind)):
        raise _Refused(f"the class {_name(kind)} has names of fields beyond ASCII, which have another order in JSON")


def _class_of(name: str) -> Any:
    """The class of a qualified name: a registered one, or one of ``twin.policy``."""
    if name in _registered:
        return _registered[name]
    module, _, word = name.rpartition(".")
    found = None
    if name.startswith(HOME):
        try:
            found = getattr(importlib.import_module(module), word, None)
        except ImportError:
            found = None
    if not isinstance(found, type) or _name(found) != name:
        raise AuditError(f"the class {name} is not known here; register it, or use the version that wrote the record")
    return found
