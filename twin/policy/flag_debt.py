"""Debt of flags: what their files leave open, and what has outlived its purpose."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from twin.policy import targeting
from twin.policy.flag_files import variant_name
from twin.policy.flags import EPOCH, Flag, Flags, Kind

LONGEST_THERMAL_SECONDS = 4 * 3600.0  # a thermal event that lasts longer needs a person, not a flag


class Debt(StrEnum):
    """What is wrong with a flag that can be read all the same."""

    EXPIRED = "the flag's own expiry has passed"
    PAST_RETIREMENT = "the flag should have been removed"
    NO_OWNER = "nobody owns it"
    NO_EXPIRY = "once set, it never expires"
    NO_RETIREMENT = "no date is given by which it should be gone"
    NO_REASON = "no reason is given"
    UNKNOWN_KIND = "it is of no known kind, and can therefore never be set"
    LONG_THERMAL = f"a protective flag that may stay set longer than {LONGEST_THERMAL_SECONDS / 3600:g} h"
    NEVER_SET = "nobody may set it, or nowhere"
    UNUSED_VARIANT = "a variant that nothing can choose"
    DUPLICATE_VARIANT = "two variants with one value"
    DEGRADES_BY_DEFAULT = "it degrades work where nobody has set it"


@dataclass(frozen=True)
class Owed:
    """One debt of one flag."""

    flag: str
    debt: Debt
    detail: str


def lint_flags(flags: Flags, at: datetime) -> tuple[Owed, ...]:
    """All debt at a date with its zone, by flag and then in the order of :class:`Debt`."""
    found = [owed for _, flag in sorted(flags.flags.items()) for owed in _debts(flag, at)]
    order = list(Debt)
    return tuple(sorted(found, key=lambda each: (each.flag, order.index(each.debt), each.detail)))


def _debts(flag: Flag, at: datetime) -> list[Owed]:
    found: list[Owed] = []

    def owe(debt: Debt, detail: str) -> None:
        found.append(Owed(flag.key, debt, detail))

    if flag.expires_at is not None and flag.expires_at <= at:
        owe(Debt.EXPIRED, f"expired {flag.expires_at.isoformat()}")
    if flag.retires is not None and flag.retires < at.date():
        owe(Debt.PAST_RETIREMENT, f"retires {flag.retires.isoformat()}")
    for debt, key, missing in (
        (Debt.NO_OWNER, "owner", not flag.owner),
        (Debt.NO_REASON, "reason", not flag.reason),
        (Debt.NO_EXPIRY, "expires", flag.expires_after_seconds is None and flag.expires_at is None),
        (Debt.NO_RETIREMENT, "retires", flag.retires is None),
    ):
        if missing:
            owe(debt, f"metadata.{key} is missing")
    if flag.kind not in set(Kind):
        owe(Debt.UNKNOWN_KIND, f"metadata.kind is {flag.kind!r}; kinds are {', '.join(Kind)}")
    if flag.kind == Kind.THERMAL_PROTECTION:
        _long(flag, at, found)
    settable = bool(flag.may_set and flag.scopes)
    if not settable and flag.kind != Kind.ROLLOUT:
        owe(Debt.NEVER_SET, f"metadata.{'scope' if flag.may_set else 'may_set'} is missing")
    if not settable:
        for name in flag.variants:
            if name not in _chosen(flag):
                owe(Debt.UNUSED_VARIANT, name)
    _duplicates(flag, found)
    if flag.kind in set(Kind) - {Kind.ROLLOUT} and any(flag.degradation(flag.default).severity):
        owe(Debt.DEGRADES_BY_DEFAULT, f"defaultVariant is {flag.default}")
    return found


def _long(flag: Flag, at: datetime, found: list[Owed]) -> None:
    limit = timedelta(seconds=LONGEST_THERMAL_SECONDS)
    after = flag.expires_after_seconds
    if after is not None and after > LONGEST_THERMAL_SECONDS:
        found.append(Owed(flag.key, Debt.LONG_THERMAL, f"expires after {after:g} s"))
    elif flag.expires_at is not None and flag.expires_at - max(at, EPOCH) > limit:
        found.append(Owed(flag.key, Debt.LONG_THERMAL, f"expires {flag.expires_at.isoformat()}"))


def _chosen(flag: Flag) -> set[Any]:
    """Variants that the file itself can choose: the default, and the results of targeting."""
    named = [variant_name(each) for each in targeting.results(flag.targeting)] if flag.targeting is not None else []
    return {flag.default, *(each for each in named if isinstance(each, str))}


def _duplicates(flag: Flag, found: list[Owed]) -> None:
    names = list(flag.variants)
    for n, name in enumerate(names):
        twins = [other for other in names[:n] if alike(flag.variants[other], flag.variants[name])]
        if twins:
            found.append(Owed(flag.key, Debt.DUPLICATE_VARIANT, f"{twins[0]} and {name}"))


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal; a bool equals no number."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
