"""The one spelling of a JSON value (RFC 8785, JSON Canonicalization Scheme) and its SHA-256.

Most values of a record are spelt by ``orjson``, which is compiled, exactly as the scheme spells them: strings (the same
escapes), integers up to 2⁵³ − 1, reals from 1e-4 to 1e16 (both write the shortest digits that read back), and objects
with ASCII keys (the order of UTF-16 is that of ASCII). Any other value goes to ``rfc8785``, which spells or refuses it.
That the two agree is a property test.
"""

import hashlib
import json
from typing import Any

import orjson
import rfc8785

from twin.audit.errors import AuditError

LARGEST = 2**53 - 1  # integer that a JSON number holds exactly
LEAST_REAL, GREATEST_REAL = 1e-4, 1e16  # between which both write reals alike
PREFIX = "sha256:"


class Spellable(dict[str, Any]):
    """A form in which nothing is left to look for: what :func:`twin.audit.values.encode` made, or text and counts."""


class _OddValue(Exception):
    """A value that orjson may not spell as RFC 8785 does."""


def canonical(value: Any) -> bytes:
    """The canonical JSON of ``value``: None, bool, int, float, str, list, tuple and dict with text for keys.

    Raises :class:`AuditError` for what has no JSON: NaN, infinities, integers past 2⁵³ − 1, lone surrogates, others.
    """
    try:
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    except (_OddValue, orjson.JSONEncodeError):
        return _odd(value)


def spelt(form: Any) -> bytes:
    """The canonical JSON of what :func:`twin.audit.values.encode` made, in which nothing is left to look for."""
    try:
        return orjson.dumps(form, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # text that is none, or 254 values inside one another
        return _odd(form)


def _odd(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise AuditError(f"a value has no canonical JSON: {error}; encode it with twin.audit.encode first") from error


def parse(text: bytes | str) -> Any:
    """The value of a JSON text. Numbers past 2⁵³ − 1 are reals, as all are in RFC 8785; raises ValueError."""
    return json.loads(text, parse_int=_whole, parse_constant=_no_number)


def _whole(text: str) -> int | float:
    value = int(text) if len(text) < 20 else float(text)
    return value if -LARGEST <= value <= LARGEST else float(text)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def digest(data: bytes) -> str:
    """SHA-256 of bytes, as ``sha256:`` and 64 hexadecimal digits."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def number(value: float) -> float | str:
    """A real for people to read: itself, or its name ("nan", "inf", "-inf") where JSON has none."""
    real = float(value)
    return real if real - real == 0.0 else repr(real)


def _plain(value: Any) -> Any:
    """The value with whole reals as integers, which is how the scheme writes them; raises where it would be odd."""
    kind = type(value)
    if kind is str or value is None or kind is bool or kind is Spellable:
        return value
    if kind is int:
        if -LARGEST <= value <= LARGEST:
            return value
    elif kind is float:
        if value.is_integer():
            if -LARGEST <= value <= LARGEST:
                return int(value)
        elif LEAST_REAL <= abs(value) < GREATEST_REAL:
            return value
    elif kind is dict:
        plain = {}
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise _OddValue
            plain[key] = item if type(item) is str else _plain(item)  # most are text
        return plain
    elif kind is list or kind is tuple:
        return [_plain(item) for item in value]
    raise _OddValue
