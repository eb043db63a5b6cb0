"""What a record holds: who decided what, by which policy and version, on which snapshot, and against which limits.

A record has the attributes of CloudEvents 1.0; the functions here make its ``data``. Four types of record are written:
decisions of policies, overrides by operators, changes of flags, and actions of the response ladder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from twin.audit.canonical import Spellable, digest, number, spelt
from twin.audit.values import encode
from twin.policy.decisions import Decision, Threshold
from twin.policy.protocol import JobRequest

DECISION = "datahall.decision"
OVERRIDE = "datahall.override"
FLAG = "datahall.flag"
ACTION = "datahall.action"


@dataclass(frozen=True)
class Person:
    """Who approved or overrode something, and in which role: "sre", "facilities", "service:deployer"."""

    identity: str
    role: str


@dataclass(frozen=True)
class PolicyStamp:
    """Which policy decides: its name, the package's version and its parameters, plain values as :func:`encode` has."""

    name: str
    version: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the three."""
        what = {"name": self.name, "version": self.version, "parameters": dict(self.parameters)}
        return digest(spelt(encode(what)))


@dataclass(frozen=True)
class Override:
    """An operator's decision in place of a policy's: who, why, and where to instead ("" and () for nowhere)."""

    by: Person
    reason: str
    racks: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Context:
    """What stands around a decision, as far as there is such a thing."""

    approver: Person | None = None
    override: Override | None = None
    score: float | None = None  # of the worst rack chosen
    confidence: float | None = None  # 0–1
    scored: str | None = None  # that rack
    rank: int | None = None  # of that rack by score, 1 the best
    ranked: int | None = None  # racks that had a score
    runner_up: tuple[str, float] | None = None  # rack and score
    trigger: str = ""
    thresholds: tuple[Threshold, ...] = ()


_NOTHING = Context()
_TAKEN = ("score", "confidence", "scored", "rank", "ranked", "runner_up", "trigger", "thresholds")


def context_of(decision: Decision) -> Context:
    """The context that a decision carries in fields of these names; the empty one where it has none."""
    found = {name: value for name in _TAKEN if (value := getattr(decision, name, None)) is not None}
    return Context(**found) if found else _NOTHING


# ---------------------------------------------------------------- data of a record


def decision_form(decision: Decision) -> Spellable:
    """A decision to read, and the digest of its encoded form, which a replay must meet."""
    reason = decision.reason
    return Spellable(
        kind=type(decision).__name__.lower(),
        reason=reason.name,
        sentence=reason.value,
        detail=getattr(decision, "detail", ""),
        racks=[[name, int(trays)] for name, trays in getattr(decision, "racks", ())],
        digest=digest(spelt(encode(decision))),
    )


def decision_data(
    decision: Decision,
    request: JobRequest,
    *,
    snapshot: str,
    snapshot_seconds: float,
    policy: Mapping[str, Any],
    before: str,
    after: str,
    context: Context,
) -> dict[str, Any]:
    """The data of a decision's record. ``snapshot``, ``before`` and ``after`` (the policy's state) are digests."""
    data: dict[str, Any] = {
        "request": Spellable(encode(request)),
        "decision": decision_form(decision),
        "policy": policy,
        "snapshot": snapshot_form(snapshot, snapshot_seconds),
        "state": {"before": before, "after": after},
    }
    if context is not _NOTHING:
        _add_context(data, context)
    return data


def policy_form(stamp: PolicyStamp, parameters: str) -> Spellable:
    """A policy in a record; ``parameters`` is the digest under which the store has them."""
    return Spellable(name=stamp.name, version=stamp.version, digest=stamp.digest, parameters=parameters)


def snapshot_form(digest: str, time_seconds: float) -> dict[str, Any]:
    """A snapshot in a record; ``digest`` is the one under which the store has it."""
    return {"digest": digest, "time_seconds": number(time_seconds)}


def override_data(request: JobRequest, override: Override) -> dict[str, Any]:
    """The data of an override that no policy was asked about, such as a job that is pinned to a rack."""
    return {"request": encode(request), "override": _override_form(override)}


def flag_data(
    flag: str,
    value: bool | int | float | str,
    before: bool | int | float | str,
    *,
    at_rest: bool | int | float | str = False,
    scope: str = "",
    reason: str = "",
    owner: str = "",
    by: Person | None = None,
    trigger: str = "",
    thresholds: tuple[Threshold, ...] = (),
    action: str = "",
    expires_seconds: float | None = None,
    policy: Mapping[str, Any] | None = None,
    snapshot: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The data of a flag change: it counts as set while its value is not ``at_rest``.

    ``policy`` (:func:`policy_form`) and ``snapshot`` (:func:`snapshot_form`) are what it was changed by and on.
    """
    data: dict[str, Any] = {
        "flag": flag,
        "value": value if not isinstance(value, float) else number(value),
        "before": before if not isinstance(before, float) else number(before),
        "set": value != at_rest,
        "scope": scope,
        "reason": reason,
        "owner": owner,
        "action": action,
    }
    if expires_seconds is not None:
        data["expires_seconds"] = number(expires_seconds)
    _add_source(data, policy, snapshot)
    _add_context(data, Context(approver=by, trigger=trigger, thresholds=thresholds))
    return data


def action_data(
    action: str,
    *,
    reason: str,
    by: Person | None = None,
    trigger: str = "",
    thresholds: tuple[Threshold, ...] = (),
    policy: Mapping[str, Any] | None = None,
    snapshot: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The data of an action of the ladder, such as a drain: what set it off, the exact limits, and what was done."""
    data: dict[str, Any] = {"action": action, "reason": reason}
    _add_source(data, policy, snapshot)
    _add_context(data, Context(approver=by, trigger=trigger, thresholds=thresholds))
    return data


def _add_source(data: dict[str, Any], policy: Mapping[str, Any] | None, snapshot: Mapping[str, Any] | None) -> None:
    if policy is not None:
        data["policy"] = policy
    if snapshot is not None:
        data["snapshot"] = snapshot


def _add_context(data: dict[str, Any], context: Context) -> None:
    for name in ("score", "confidence"):
        if (real := getattr(context, name)) is not None:
            data[name] = number(real)
    if context.scored is not None:
        data["scored"] = context.scored
    if context.rank is not None:
        data["rank"] = int(context.rank)
    if context.ranked is not None:
        data["ranked"] = int(context.ranked)
    if context.runner_up is not None:
        data["runner_up"] = {"rack": context.runner_up[0], "score": number(context.runner_up[1])}
    if context.trigger:
        data["trigger"] = context.trigger
    if context.thresholds:
        data["thresholds"] = [_threshold_form(each) for each in context.thresholds]
    if context.approver is not None:
        data["approver"] = {"identity": context.approver.identity, "role": context.approver.role}
    if context.override is not None:
        data["override"] = _override_form(context.override)


def _threshold_form(each: Threshold) -> dict[str, Any]:
    return {
        "rule": each.rule,
        "value": None if each.value is None else number(each.value),
        "limit": number(each.limit),
        "bound": each.bound,
        "unit": each.unit,
        "passed": bool(each.passed),
        "where": each.where,
    }


def _override_form(override: Override) -> dict[str, Any]:
    return {
        "identity": override.by.identity,
        "role": override.by.role,
        "reason": override.reason,
        "racks": [[name, int(trays)] for name, trays in override.racks],
    }
