"""What a log teaches: who overruled the policy, repeated placements on poor racks, over-sensitive thresholds, and flags
that stay set for long."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twin.audit.errors import AuditError
from twin.audit.records import DECISION, FLAG, OVERRIDE
from twin.audit.show import racks_of


@dataclass(frozen=True)
class Limits:
    """From when on something is worth a line in the report."""

    placements: int = 3  # on one poor rack
    poor_share: float = 0.25  # of racks, the worst of which are poor
    refusals: int = 5  # of jobs by one rule by a small margin
    near_share: float = 0.5  # of a rule's refusals, that were by a small margin
    margin_ratio: float = 0.02  # of the limit, that a small margin is at most
    flag_seconds: float = 86_400.0
    gap_seconds: float = 60.0  # within which a flag that is set again was never gone


@dataclass(frozen=True)
class PoorRack:
    """A rack that was chosen again and again although it was among the worst."""

    rack: str
    placements: int
    jobs: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class SensitiveRule:
    """A rule that refused many jobs by a small margin."""

    rule: str
    refusals: int  # jobs
    near: int
    median_margin: float  # of the limit, over the near ones


@dataclass(frozen=True)
class LongFlag:
    """A flag that was set for long: since when, how long [s], and whether it was cleared before the log ends."""

    flag: str
    scope: str
    since: str
    seconds: float
    cleared: bool
    owner: str


@dataclass(frozen=True)
class Overruled:
    """What people of one role decided in the policy's place."""

    role: str
    overrides: int
    jobs: tuple[str, ...]
    by: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Lessons:
    """The lists, worst first, and how much was read."""

    records: int
    decisions: int
    overrides: tuple[Overruled, ...]
    poor_racks: tuple[PoorRack, ...]
    sensitive_rules: tuple[SensitiveRule, ...]
    long_flags: tuple[LongFlag, ...]


def lessons(
    records: Sequence[Mapping[str, Any]],
    *,
    burden: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    until: str | None = None,
) -> Lessons:
    """Judge a log.

    Args:
        records: as :func:`twin.audit.log.read_records` has them.
        burden: something bad per rack by name, such as throttled GPU-seconds; judges the placements that no score does.
        limits: from when on something counts.
        until: when a flag that is still set is looked at, RFC 3339; the last record's time without it.

    Raises :class:`AuditError` for a record whose time is none.
    """
    limits = limits or Limits()
    flags = [record for record in records if record["type"] == FLAG]
    end = until if until is not None else str(records[-1]["time"]) if records else ""
    return Lessons(
        records=len(records),
        decisions=sum(record["type"] == DECISION for record in records),
        overrides=tuple(_overruled(records)),
        poor_racks=tuple(_poor_racks(records, burden or {}, limits)),
        sensitive_rules=tuple(_sensitive(records, limits)),
        long_flags=tuple(_long_flags(flags, end, limits)),
    )


def _overruled(records: Sequence[Mapping[str, Any]]) -> Iterable[Overruled]:
    """Overrides by role, the most first."""
    by_role: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if record["type"] in (DECISION, OVERRIDE) and "override" in record["data"]:
            by_role[str(record["data"]["override"]["role"])].append(record)
    found = [
        Overruled(
            role,
            len(own),
            tuple(dict.fromkeys(str(each["subject"]) for each in own)),
            tuple(dict.fromkeys(str(each["data"]["override"]["identity"]) for each in own)),
            tuple(dict.fromkeys(str(each["data"]["override"]["reason"]) for each in own)),
        )
        for role, own in by_role.items()
    ]
    return sorted(found, key=lambda each: (-each.overrides, each.role))


def _poor_racks(
    records: Sequence[Mapping[str, Any]], burden: Mapping[str, float], limits: Limits
) -> Iterable[PoorRack]:
    """Racks with repeated placements of poor rank, or that are among the worst by burden."""
    by_rank: dict[str, list[str]] = defaultdict(list)
    by_burden: dict[str, list[str]] = defaultdict(list)
    heavy = _worst(burden, limits.poor_share)
    for record in records:
        if record["type"] not in (DECISION, OVERRIDE):
            continue
        data, racks = record["data"], racks_of(record)
        if racks and "rank" in data and data.get("ranked") and "override" not in data:
            if data["rank"] > (1.0 - limits.poor_share) * data["ranked"]:
                by_rank[str(data.get("scored", racks[0][0]))].append(str(record["subject"]))
            continue
        for rack, _ in racks:
            if rack in heavy:
                by_burden[rack].append(str(record["subject"]))
    found = [
        PoorRack(rack, len(jobs), tuple(dict.fromkeys(jobs)), f"worst {limits.poor_share:.0%} by score")
        for rack, jobs in by_rank.items()
        if len(jobs) >= limits.placements
    ] + [
        PoorRack(
            rack, len(jobs), tuple(dict.fromkeys(jobs)),
            f"worst {limits.poor_share:.0%} by burden, {burden[rack]:g}",
        )
        for rack, jobs in by_burden.items()
        if len(jobs) >= limits.placements
    ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.placements, each.rack))


def _worst(burden: Mapping[str, float], share: float) -> frozenset[str]:
    """The racks with the greatest burden: ``share`` of all, at least one, and none without any."""
    loaded = sorted((rack for rack in burden if burden[rack] > 0.0), key=lambda rack: (-burden[rack], rack))
    return frozenset(loaded[: max(1, math.floor(share * len(burden)))])


def _sensitive(records: Sequence[Mapping[str, Any]], limits: Limits) -> Iterable[SensitiveRule]:
    """Rules most of whose refusals were by a small margin. A job that asks again and again is refused once, by its
    greatest margin."""
    margins: dict[str, dict[str, float]] = defaultdict(dict)
    for record in records:
        for each in record["data"].get("thresholds", []):
            if not each["passed"] and record["type"] == DECISION:
                of_rule, job = margins[each["rule"]], str(record["subject"])
                of_rule[job] = max(of_rule.get(job, 0.0), _margin(each["value"], each["limit"]))
    found = []
    for rule, of_rule in margins.items():
        all_margins = of_rule.values()
        near = sorted(margin for margin in all_margins if margin <= limits.margin_ratio)
        if len(near) >= limits.refusals and len(near) >= limits.near_share * len(all_margins):
            found.append(SensitiveRule(rule, len(all_margins), len(near), near[len(near) // 2]))
    return sorted(found, key=lambda each: (-each.near, each.rule))


def _margin(value: Any, limit: Any) -> float:
    """How far a value is past its limit, of the limit; inf where that makes no sense: limit 0, or a value unknown."""
    if not isinstance(value, int | float) or not isinstance(limit, int | float) or limit == 0:
        return math.inf
    return abs(value - limit) / abs(limit)


def _long_flags(flags: Sequence[Mapping[str, Any]], end: str, limits: Limits) -> Iterable[LongFlag]:
    """Flags between the change that set them and the one that cleared them, or the end.

    An end after which the flag is set again at once, as by a ladder whose rung outlasts it, ended nothing.
    """
    since: dict[tuple[str, str], Mapping[str, Any]] = {}
    found: list[LongFlag] = []

    def close(key: tuple[str, str], until: str, cleared: bool) -> None:
        begun = since.pop(key)
        seconds = (_moment(until) - _moment(begun["time"])).total_seconds()
        if seconds > limits.flag_seconds:
            owner = str(begun["data"].get("owner", ""))
            found.append(LongFlag(*key, str(begun["time"]), seconds, cleared, owner))

    ended: dict[tuple[str, str], str] = {}  # that may yet be set again
    for record in flags:
        data = record["data"]
        key, time = (str(data["flag"]), str(data.get("scope", ""))), str(record["time"])
        if data["set"]:
            over = ended.pop(key, None)
            if over is not None and (_moment(time) - _moment(over)).total_seconds() > limits.gap_seconds:
                close(key, over, True)
            since.setdefault(key, record)
        elif key in since:
            ended.setdefault(key, time)
    for key in list(since):
        close(key, ended.get(key, end), key in ended)
    return sorted(found, key=lambda each: (-each.seconds, each.flag, each.scope))


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError as error:
        raise AuditError(f"time = {text!r}: is no time as RFC 3339 has it; see 'twin audit verify'") from error
