"""Flags and their state: what may be set, by whom, for how long. Each change is a value; time comes from outside.

A flag set for a place is in force from ``since_seconds`` until, and not at, ``expires_seconds``. What a person set,
the policy neither replaces nor clears.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from twin.policy.causes import Author, Role, Trigger
from twin.policy.degradation import Degradation, degradation_of
from twin.policy.scope import NARROWEST, Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What a flag is for. All but rollout encode a degradation."""

    ROLLOUT = "rollout"  # who gets a new version
    LOAD_SHEDDING = "load_shedding"  # less pressure when performance degrades
    THERMAL_PROTECTION = "thermal_protection"  # temperature or power past a threshold
    MAINTENANCE = "maintenance"  # keep jobs away from what is being serviced
    EVACUATION = "evacuation"  # stop new work and drain what runs


@dataclass(frozen=True)
class Flag:
    """A flag as its file declares it. Blank and None mean *not said*, which is debt."""

    key: str
    kind: str  # a Kind; anything else is debt, and such a flag is never set
    enabled: bool
    variants: Mapping[str, Any]
    default: str  # variant when nothing else says so: the safe side
    targeting: Any = None
    owner: str = ""
    reason: str = ""
    scopes: tuple[Scope, ...] = ()  # where it may be set
    may_set: tuple[Role, ...] = ()
    expires_after_seconds: float | None = None  # s after it was set
    expires_at: datetime | None = None
    retires: date | None = None
    experimental: bool = False  # a rollout that containment turns off

    def degradation(self, variant: str) -> Degradation:
        """What a variant encodes; as built for a rollout flag."""
        return Degradation() if self.kind == Kind.ROLLOUT else degradation_of(self.variants[variant])


@dataclass(frozen=True)
class Flags:
    """All flags of a file, and the date that second 0 of time stands for."""

    flags: Mapping[str, Flag]
    epoch: datetime = EPOCH

    def end_seconds(self, flag: Flag) -> float:
        """Time [s] at which a flag ends for good; inf where its file names no date."""
        return math.inf if flag.expires_at is None else (flag.expires_at - self.epoch).total_seconds()


@dataclass(frozen=True)
class Setting:
    """A flag that is set for a place."""

    flag: str
    scope: Scope
    variant: str
    by: Author
    why: str
    since_seconds: float
    active_since_seconds: float  # since when, without a gap, it was set to anything but its default
    expires_seconds: float  # inf for never
    trigger: Trigger | None = None


@dataclass(frozen=True)
class FlagState:
    """What is set: flag → scope → setting. A value; the functions below return new ones."""

    settings: Mapping[str, Mapping[Scope, Setting]] = field(default_factory=dict)

    def get(self, flag: str, scope: Scope, time_seconds: float) -> Setting | None:
        """The setting in force for exactly this scope, or None."""
        found = self.settings.get(flag, {}).get(scope)
        return None if found is None or found.expires_seconds <= time_seconds else found

    def in_order(self) -> tuple[Setting, ...]:
        """All settings, by flag, then scope."""
        return tuple(
            scopes[scope]
            for _, scopes in sorted(self.settings.items())
            for scope in sorted(scopes, key=lambda each: each.order)
        )


class ChangeKind(StrEnum):
    """What happened to a flag; the sentences are what an audit quotes."""

    SET = "set"
    REPLACED = "set to another variant"
    RENEWED = "set for longer"
    CLEARED = "cleared"
    EXPIRED = "expired by itself"


@dataclass(frozen=True)
class Change:
    """One change of a flag, with all that an audit asks for."""

    kind: ChangeKind
    flag: str
    scope: Scope
    old: str | None  # variant; None for not set
    new: str | None
    by: Author
    why: str
    time_seconds: float
    expires_seconds: float  # of the new setting, or of the old one where there is no new
    trigger: Trigger | None = None


class NoChange(StrEnum):
    """Why a flag was not changed."""

    UNKNOWN_FLAG = "there is no such flag"
    UNKNOWN_KIND = "the flag is of no known kind"
    UNKNOWN_VARIANT = "the flag has no such variant"
    DISABLED = "the flag is disabled in its file"
    PLACE = "the flag may not be set for this place"
    ROLE = "this role may not change the flag"
    NO_REASON = "no reason was given"
    TIME = "a time or a duration makes no sense"
    ENDED = "the flag's own expiry has passed"
    ALREADY_SO = "it is so already"
    NOT_SET = "the flag is not set for this place"
    A_PERSON_SET_IT = "a person set it, and the policy does not overrule people"


@dataclass(frozen=True)
class ChangeRefused:
    """A change that was asked for and not made; the state stays as it was."""

    flag: str
    scope: Scope
    by: Author
    reason: NoChange
    detail: str
    time_seconds: float


FlagOutcome = Change | ChangeRefused
POLICY = Author(Role.POLICY, "expiry")


def set_flag(
    flags: Flags,
    state: FlagState,
    key: str,
    variant: str,
    scope: Scope,
    by: Author,
    why: str,
    time_seconds: float,
    *,
    trigger: Trigger | None = None,
    expires_after_seconds: float | None = None,
) -> tuple[FlagState, tuple[FlagOutcome, ...]]:
    """Set a flag for one place. It lasts as long as its file says, or shorter if asked.

    Returns the new state and its changes (an expiry that came first, then the setting), or the same state and one
    refusal.
    """
    refused = _refusal(flags, state, key, scope, by, why, time_seconds)
    if refused is None and variant not in flags.flags[key].variants:
        refused = NoChange.UNKNOWN_VARIANT, f"{variant}; there are {', '.join(flags.flags[key].variants)}"
    if refused is None and expires_after_seconds is not None and not expires_after_seconds > 0.0:
        refused = NoChange.TIME, f"to expire after {expires_after_seconds:g} s"
    before = state.get(key, scope, time_seconds)
    if refused is None and before is not None and before.variant == variant:
        refused = NoChange.ALREADY_SO, f"{variant} since {before.since_seconds:g} s"
    if refused is not None:
        return state, (ChangeRefused(key, scope, by, *refused, time_seconds),)
    flag = flags.flags[key]
    state, ended = expire_flags(state, time_seconds, key)
    active = before is not None and before.variant != flag.default
    setting = Setting(
        flag=key,
        scope=scope,
        variant=variant,
        by=by,
        why=why,
        since_seconds=time_seconds,
        active_since_seconds=before.active_since_seconds if before is not None and active else time_seconds,
        expires_seconds=_end(flags, flag, time_seconds, expires_after_seconds),
        trigger=trigger,
    )
    kind = ChangeKind.SET if before is None else ChangeKind.REPLACED
    return _with(state, setting), (*ended, _change(kind, before, setting, by, why, time_seconds, trigger))


def renew_flag(
    flags: Flags, state: FlagState, key: str, scope: Scope, by: Author, why: str, time_seconds: float
) -> tuple[FlagState, tuple[FlagOutcome, ...]]:
    """Let a setting last, from now, as long as its file says. Refused where that is no later than it lasts already."""
    refused = _refusal(flags, state, key, scope, by, why, time_seconds)
    before = state.get(key, scope, time_seconds)
    if refused is None and before is None:
        refused = NoChange.NOT_SET, str(scope)
    if refused is None and before is not None:
        later = _end(flags, flags.flags[key], time_seconds, None)
        if later > before.expires_seconds:
            setting = replace(before, expires_seconds=later)
            change = _change(ChangeKind.RENEWED, before, setting, by, why, time_seconds, before.trigger)
            return _with(state, setting), (change,)
        refused = NoChange.ALREADY_SO, f"it lasts until {before.expires_seconds:g} s"
    assert refused is not None
    return state, (ChangeRefused(key, scope, by, *refused, time_seconds),)


def clear_flag(
    flags: Flags,
    state: FlagState,
    key: str,
    scope: Scope,
    by: Author,
    why: str,
    time_seconds: float,
    *,
    trigger: Trigger | None = None,
) -> tuple[FlagState, tuple[FlagOutcome, ...]]:
    """Take a setting back. Returns the new state and the change, or the same state and one refusal."""
    refused = _refusal(flags, state, key, scope, by, why, time_seconds, clearing=True)
    before = state.get(key, scope, time_seconds)
    if refused is None and before is None:
        refused = NoChange.NOT_SET, str(scope)
    if refused is not None or before is None:
        return state, (ChangeRefused(key, scope, by, *(refused or (NoChange.NOT_SET, "")), time_seconds),)
    change = _change(ChangeKind.CLEARED, before, None, by, why, time_seconds, trigger)
    return _without(state, before), (change,)


def expire_flags(state: FlagState, time_seconds: float, key: str | None = None) -> tuple[FlagState, tuple[Change, ...]]:
    """Take out what has expired by ``time_seconds``, of one flag or of all. Changes in the order of expiry, then name.

    Pure and total: doing it late or twice changes nothing but when it is recorded. Each change has the time at which
    the setting ended, not the time of the call.
    """
    over = [
        setting
        for setting in state.in_order()
        if setting.expires_seconds <= time_seconds and (key is None or setting.flag == key)
    ]
    changes = []
    for setting in sorted(over, key=lambda each: each.expires_seconds):
        why = f"it was set for {setting.expires_seconds - setting.since_seconds:g} s"
        changes.append(_change(ChangeKind.EXPIRED, setting, None, POLICY, why, setting.expires_seconds, None))
        state = _without(state, setting)
    return state, tuple(changes)


def governing(
    flags: Flags, state: FlagState, key: str, scopes: tuple[Scope, ...], time_seconds: float
) -> Setting | None:
    """The one setting of a flag that counts for something in these places, or None.

    Of several the most severe degradation counts. For a rollout the default counts before all else, so that it can be
    switched off for a hall; then the narrowest place.
    """
    flag = flags.flags[key]
    found = [setting for scope in scopes if (setting := state.get(key, scope, time_seconds)) is not None]

    def rank(setting: Setting) -> tuple[Any, ...]:
        narrow = -NARROWEST.index(setting.scope.level)
        if flag.kind == Kind.ROLLOUT:
            return setting.variant == flag.default, narrow, setting.variant
        return (*flag.degradation(setting.variant).severity, narrow, setting.variant)

    return max(found, key=rank, default=None)


def _refusal(
    flags: Flags,
    state: FlagState,
    key: str,
    scope: Scope,
    by: Author,
    why: str,
    time_seconds: float,
    clearing: bool = False,
) -> tuple[NoChange, str] | None:
    """Why nobody, or not this author, may change this flag here; None where it may be."""
    flag = flags.flags.get(key)
    if flag is None:
        return NoChange.UNKNOWN_FLAG, key
    if flag.kind not in set(Kind):
        return NoChange.UNKNOWN_KIND, flag.kind
    if by.role not in flag.may_set:
        return NoChange.ROLE, f"{by.role}; allowed are {', '.join(flag.may_set) or 'none'}"
    if not why.strip():
        return NoChange.NO_REASON, ""
    if not math.isfinite(time_seconds):
        return NoChange.TIME, f"at {time_seconds:g} s"
    before = state.get(key, scope, time_seconds)
    if before is not None and before.by.is_person and not by.is_person:
        return NoChange.A_PERSON_SET_IT, f"{before.by.role} {before.by.identity}: {before.why}"
    if clearing:
        return None
    if not flag.enabled:
        return NoChange.DISABLED, key
    if scope.name == "*" or not any(each.holds(scope) for each in flag.scopes):
        return NoChange.PLACE, f"{scope}; allowed are {', '.join(map(str, flag.scopes)) or 'none'}"
    if flags.end_seconds(flag) <= time_seconds:
        return NoChange.ENDED, f"on {flag.expires_at}"
    return None


def _end(flags: Flags, flag: Flag, time_seconds: float, asked: float | None) -> float:
    lengths = [each for each in (flag.expires_after_seconds, asked) if each is not None]
    return min(time_seconds + min(lengths, default=math.inf), flags.end_seconds(flag))


def _change(
    kind: ChangeKind,
    before: Setting | None,
    after: Setting | None,
    by: Author,
    why: str,
    time_seconds: float,
    trigger: Trigger | None,
) -> Change:
    one = before if after is None else after
    assert one is not None
    return Change(
        kind=kind,
        flag=one.flag,
        scope=one.scope,
        old=None if before is None else before.variant,
        new=None if after is None else after.variant,
        by=by,
        why=why,
        time_seconds=time_seconds,
        expires_seconds=one.expires_seconds,
        trigger=trigger,
    )


def _with(state: FlagState, setting: Setting) -> FlagState:
    scopes = {**state.settings.get(setting.flag, {}), setting.scope: setting}
    return FlagState({**state.settings, setting.flag: scopes})


def _without(state: FlagState, setting: Setting) -> FlagState:
    scopes = {scope: each for scope, each in state.settings[setting.flag].items() if scope != setting.scope}
    rest = {key: each for key, each in state.settings.items() if key != setting.flag}
    return FlagState({**rest, setting.flag: scopes} if scopes else rest)
