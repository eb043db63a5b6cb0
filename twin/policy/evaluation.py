"""Evaluation of flags as OpenFeature has it: value, variant and reason, from flags, state and a context with time.

The context names where and what is asked for: ``time_seconds``, and any of ``rack``, ``row``, ``loop``, ``hall`` and
``service``, besides whatever targeting rules look at. A setting in force comes first, then targeting, then the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from twin.policy.degradation import Degradation, join
from twin.policy.documents import is_number
from twin.policy.flag_files import variant_name
from twin.policy.flags import Flag, Flags, FlagState, Kind, governing
from twin.policy.scope import scopes_of
from twin.policy.targeting import TargetingError, apply


class ResolutionReason(StrEnum):
    """Why a value was given, in OpenFeature's words."""

    STATIC = "STATIC"  # nothing that could make it otherwise
    TARGETING_MATCH = "TARGETING_MATCH"  # set for a place in the context, or chosen by a rule
    DEFAULT = "DEFAULT"  # no setting and no rule chose
    DISABLED = "DISABLED"
    ERROR = "ERROR"


class ErrorCode(StrEnum):
    """What went wrong, in OpenFeature's words."""

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    INVALID_CONTEXT = "INVALID_CONTEXT"


class ValueType(StrEnum):
    """What a caller wants."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"


@dataclass(frozen=True)
class Resolution:
    """An evaluated flag. On an error and for a disabled flag the value is the caller's default."""

    key: str
    value: Any
    variant: str | None
    reason: ResolutionReason
    error: ErrorCode | None = None
    message: str = ""
    metadata: Mapping[str, str | float | bool] = field(default_factory=dict)


def evaluate(
    flags: Flags,
    state: FlagState,
    key: str,
    context: Mapping[str, Any],
    default: Any = None,
    wanted: ValueType | None = None,
) -> Resolution:
    """Evaluate one flag in a context. Never raises: what goes wrong is a resolution with reason ERROR."""
    flag = flags.flags.get(key)
    if flag is None:
        return _failed(key, default, ErrorCode.FLAG_NOT_FOUND, f"there is no flag '{key}'")
    if not flag.enabled:
        return Resolution(key, default, None, ResolutionReason.DISABLED, metadata=_metadata(flag))
    time = context.get("time_seconds")
    if key in state.settings and not is_number(time):
        message = f"time_seconds is {time!r}, and whether the flag is still set depends on it"
        return _failed(key, default, ErrorCode.INVALID_CONTEXT, message, flag)
    setting = (
        governing(flags, state, key, scopes_of(context), float(time))
        if key in state.settings and time is not None
        else None
    )
    if setting is not None:
        return _given(flag, setting.variant, ResolutionReason.TARGETING_MATCH, default, wanted)
    if flag.targeting is None:
        reason = ResolutionReason.DEFAULT if key in state.settings else ResolutionReason.STATIC
        return _given(flag, flag.default, reason, default, wanted)
    try:
        chosen = variant_name(apply(flag.targeting, context))
    except TargetingError as error:
        return _failed(key, default, ErrorCode.INVALID_CONTEXT, str(error), flag)
    if chosen is None:
        return _given(flag, flag.default, ResolutionReason.DEFAULT, default, wanted)
    if not isinstance(chosen, str) or chosen not in flag.variants:
        return _failed(key, default, ErrorCode.PARSE_ERROR, f"targeting chose {chosen!r}, which is no variant", flag)
    return _given(flag, chosen, ResolutionReason.TARGETING_MATCH, default, wanted)


def degradation_in(flags: Flags, state: FlagState, context: Mapping[str, Any], time_seconds: float) -> Degradation:
    """What all flags together turn down in a context at a time. A rule that cannot be evaluated turns nothing down."""
    full = {**context, "time_seconds": time_seconds}
    parts = []
    for key, flag in flags.flags.items():
        if flag.kind in set(Kind) - {Kind.ROLLOUT}:
            found = evaluate(flags, state, key, full)
            if found.variant is not None:
                parts.append(flag.degradation(found.variant))
    return join(parts)


def _given(flag: Flag, variant: str, reason: ResolutionReason, default: Any, wanted: ValueType | None) -> Resolution:
    value = flag.variants[variant]
    if wanted is ValueType.FLOAT and is_number(value):
        value = float(value)
    if wanted is not None and not _fits(value, wanted):
        message = f"variant '{variant}' is {value!r}, not of type {wanted}"
        return _failed(flag.key, default, ErrorCode.TYPE_MISMATCH, message, flag)
    return Resolution(flag.key, value, variant, reason, metadata=_metadata(flag))


def _fits(value: Any, wanted: ValueType) -> bool:
    if isinstance(value, bool):
        return wanted is ValueType.BOOLEAN
    types: dict[ValueType, Any] = {
        ValueType.STRING: str,
        ValueType.INTEGER: int,
        ValueType.FLOAT: float,
        ValueType.OBJECT: Mapping | list,
    }
    return wanted in types and isinstance(value, types[wanted])


def _failed(key: str, default: Any, error: ErrorCode, message: str, flag: Flag | None = None) -> Resolution:
    metadata = {} if flag is None else _metadata(flag)
    return Resolution(key, default, None, ResolutionReason.ERROR, error, message, metadata)


def _metadata(flag: Flag) -> dict[str, str | float | bool]:
    return {"kind": flag.kind, "owner": flag.owner}
