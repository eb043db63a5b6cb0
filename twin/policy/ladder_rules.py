"""Rules of the response ladder, as a plain mapping: rungs with trigger, dwell, release and actions, hard limits, and
rules in business terms. Read strictly, all faults at once.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy.causes import Comparison
from twin.policy.documents import DocumentFaults, joined, nearest
from twin.policy.flags import Flags, Kind
from twin.policy.playbook import Do
from twin.policy.scope import ANY, RANK, Level
from twin.policy.sensed import SIGNALS


class Rung(StrEnum):
    """Responses, the mildest first."""

    ALERT = "alert"
    THROTTLE = "throttle"
    PAUSE = "pause"
    DRAIN = "drain"
    CHECKPOINT = "checkpoint"
    MIGRATE = "migrate"
    SHUT_DOWN = "shut_down"


ORDER = {rung: n for n, rung in enumerate(Rung)}


@dataclass(frozen=True)
class Limit:
    """A signal past a level for a time. The level itself is not past it."""

    signal: str
    comparison: Comparison
    level: float  # in the unit that the signal's name ends with
    dwell_seconds: float  # on the sensor's time stamps

    @property
    def sign(self) -> float:
        """1 if high values are out of order, −1 if low ones are."""
        return 1.0 if self.comparison is Comparison.ABOVE else -1.0


@dataclass(frozen=True)
class Step:
    """One rung of one ladder."""

    rung: Rung
    trigger: Limit
    release_level: float  # at which, or on the good side of which, the signal counts as recovered
    release_dwell_seconds: float
    after_seconds: float  # that the rung below must have been held
    flags: tuple[tuple[str, str], ...]  # set while the rung is held: (flag, variant)
    do: tuple[Do, ...]  # when it is taken
    undo: tuple[Do, ...]  # when it is released
    latched: bool  # released only once a person has acknowledged it


@dataclass(frozen=True)
class Ladder:
    """Rungs for every place of a level, the mildest first."""

    name: str
    level: Level
    steps: tuple[Step, ...]
    hard_limit: Limit | None  # past which all rungs are taken at once and the playbook is run

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Triggers of the rungs, then the hard limit if there is one."""
        return (*(step.trigger for step in self.steps), *(() if self.hard_limit is None else (self.hard_limit,)))

    @cached_property
    def table(self) -> "LimitTable":
        """The limits as arrays."""
        limits, steps = self.limits, self.steps
        signals = tuple(dict.fromkeys(limit.signal for limit in limits))
        signs = [limit.sign for limit in limits]
        return LimitTable(
            signals=signals,
            which=np.array([signals.index(limit.signal) for limit in limits]),
            sign=np.array(signs)[:, None],
            level=np.array([limit.sign * limit.level for limit in limits])[:, None],
            dwell_seconds=np.array([limit.dwell_seconds for limit in limits])[:, None],
            release=np.array([step.trigger.sign * step.release_level for step in steps])[:, None],
            release_dwell_seconds=np.array([step.release_dwell_seconds for step in steps]),
            latched=np.array([step.latched for step in steps]),
            bounds=tuple(
                (
                    min((x.level for x in limits if x.signal == name and x.sign > 0.0), default=math.inf),
                    max((x.level for x in limits if x.signal == name and x.sign < 0.0), default=-math.inf),
                )
                for name in signals
            ),
        )


@dataclass(frozen=True)
class LimitTable:
    """The K limits of a ladder, of which R are rungs', over S signals. Levels are times sign: above is out of order."""

    signals: tuple[str, ...]
    which: NDArray[np.int64]  # K, the signal of each limit
    sign: NDArray[np.float64]  # K×1
    level: NDArray[np.float64]  # K×1
    dwell_seconds: NDArray[np.float64]  # K×1
    release: NDArray[np.float64]  # R×1
    release_dwell_seconds: NDArray[np.float64]  # R
    latched: NDArray[np.bool_]  # R
    bounds: tuple[tuple[float, float], ...]  # S, the lowest limit above each signal, and the highest below it


@dataclass(frozen=True)
class BusinessRule:
    """A rule that people outside engineering can read: if flags of a kind are set for long, do this."""

    name: str
    sentence: str
    kinds: tuple[Kind, ...]
    flags: tuple[str, ...]  # only these; empty for all of the kinds
    levels: tuple[Level, ...]
    active_seconds: float
    do: tuple[Do, ...]
    undo: tuple[Do, ...]


@dataclass(frozen=True)
class LadderRules:
    """A rules document."""

    name: str
    version: str
    owner: str
    stale_seconds: float  # older readings are no readings
    greatest_gap_seconds: float  # between two readings, for the time between them to count as dwell
    unseen_seconds: float  # without a good reading, after which there is an alert
    ladders: tuple[Ladder, ...]  # by level, then name
    business_rules: tuple[BusinessRule, ...]  # by name

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Levels that have a ladder, in the order of their ladders."""
        return tuple(dict.fromkeys(ladder.level for ladder in self.ladders))


WHEN = ("signal", "above", "below", "for_seconds")
STEP_KEYS = ("rung", "when", "release", "after_seconds", "flags", "do", "undo", "latched")
LADDER_KEYS = ("scope", "rungs", "hard_limit")
BUSINESS_KEYS = ("sentence", "kinds", "flags", "scopes", "active_seconds", "do", "undo")
#: what a business rule may ask for where it looks at services; all else takes racks, which services share with others
OF_SERVICES = frozenset({Do.ALERT, Do.FREEZE_DEPLOYS, Do.ALLOW_DEPLOYS})
TOP_KEYS = ("name", "version", "owner", "readings", "ladders", "business_rules")
READING_KEYS = ("stale_seconds", "greatest_gap_seconds", "unseen_seconds")


def rules_from_mapping(document: Any, signals: Mapping[Level, Sequence[str]] = SIGNALS) -> LadderRules:
    """Rules from a plain mapping. ``signals`` are those that a level's places have.

    Raises :class:`~twin.policy.documents.DocumentError` with all faults.
    """
    faults = DocumentFaults()
    top = faults.mapping(document, "file", "Write name, version, owner, readings, ladders and business_rules")
    faults.unknown_keys(top, TOP_KEYS, "")
    version = top.get("version")
    if isinstance(version, bool) or not isinstance(version, int | str) or not str(version).strip():
        faults.add("version", version, "no version", "Write such as 1, and count up with every change")
    readings = faults.mapping(top.get("readings"), "readings", f"Write {', '.join(READING_KEYS)}")
    faults.unknown_keys(readings, READING_KEYS, "readings")
    ladders = faults.mapping(top.get("ladders"), "ladders", "Write a mapping from names to ladders")
    business = faults.mapping(top.get("business_rules") or {}, "business_rules", "Write a mapping from names to rules")
    rules = LadderRules(
        name=faults.text(top, "name", "", "Name the document"),
        version=str(version),
        owner=faults.text(top, "owner", "", "Say who answers for it"),
        stale_seconds=faults.number(readings, "stale_seconds", "readings", "Write such as 60", 0.0),
        greatest_gap_seconds=faults.number(readings, "greatest_gap_seconds", "readings", "Write such as 30", 0.0),
        unseen_seconds=faults.number(readings, "unseen_seconds", "readings", "Write such as 120", 0.0),
        ladders=_sorted(_ladder(name, each, signals, faults) for name, each in ladders.items()),
        business_rules=tuple(_business(name, each, faults) for name, each in sorted(business.items())),
    )
    faults.stop()
    return rules


def check_flags(rules: LadderRules, flags: Flags) -> DocumentFaults:
    """Faults of rules against the flags they set: unknown flags or variants, places where they may not be set."""
    faults = DocumentFaults()
    for ladder in rules.ladders:
        for step in ladder.steps:
            for key, variant in step.flags:
                _check_flag(f"ladders.{ladder.name}.{step.rung}.flags", key, variant, ladder.level, flags, faults)
    for rule in rules.business_rules:
        for key in rule.flags:
            if key not in flags.flags:
                faults.add(f"business_rules.{rule.name}.flags", key, "there is no such flag", nearest(key, flags.flags))
    return faults


def _check_flag(path: str, key: str, variant: str, level: Level, flags: Flags, faults: DocumentFaults) -> None:
    flag = flags.flags.get(key)
    if flag is None:
        faults.add(path, key, "there is no such flag", nearest(key, flags.flags))
        return
    if variant not in flag.variants:
        faults.add(joined(path, key), variant, "the flag has no such variant", nearest(variant, flag.variants))
    if not any(each.level is level and each.name == ANY for each in flag.scopes):
        faults.add(joined(path, key), variant, f"the flag may not be set for every {level}", f"Add {level}/* to scope")
    if "policy" not in flag.may_set:
        faults.add(joined(path, key), variant, "the policy may not set the flag", "Add policy to may_set")


def _sorted(ladders: Iterable[Ladder]) -> tuple[Ladder, ...]:
    return tuple(sorted(ladders, key=lambda each: (RANK[each.level], each.name)))


def _ladder(name: str, value: Any, signals: Mapping[Level, Sequence[str]], faults: DocumentFaults) -> Ladder:
    path = f"ladders.{name}"
    given = faults.mapping(value, path, "Write scope and rungs")
    faults.unknown_keys(given, LADDER_KEYS, path)
    scope = faults.choice(given, "scope", path, [level for level in Level if level in signals])
    level = Level(scope) if scope is not None else Level.RACK
    known = signals.get(level, ()) if scope is not None else None
    rungs = given.get("rungs")
    if not isinstance(rungs, list) or not rungs:
        faults.add(f"{path}.rungs", rungs, "not a list of rungs", "Write at least one")
        rungs = []
    before = len(faults)
    steps = tuple(_step(each, f"{path}.rungs[{n}]", known, faults) for n, each in enumerate(rungs))
    hard = None
    if given.get("hard_limit") is not None:
        hard = _limit(given["hard_limit"], f"{path}.hard_limit", known, faults)
    if len(faults) == before:
        _check_order(steps, hard, path, faults)
    return Ladder(name, level, steps, hard)


def _step(value: Any, path: str, known: Sequence[str] | None, faults: DocumentFaults) -> Step:
    given = faults.mapping(value, path, f"Write {', '.join(STEP_KEYS)}")
    faults.unknown_keys(given, STEP_KEYS, path)
    rung = faults.choice(given, "rung", path, Rung)
    trigger = _limit(given.get("when"), f"{path}.when", known, faults)
    where = f"{path}.release"
    release = faults.mapping(given.get("release"), where, "Write level and for_seconds")
    faults.unknown_keys(release, ("level", "for_seconds"), where)
    level = faults.number(release, "level", where, "Write a number on the good side of the trigger's")
    if not math.isnan(level + trigger.level) and level * trigger.sign >= trigger.level * trigger.sign:
        side = "below" if trigger.comparison is Comparison.ABOVE else "above"
        faults.add(f"{where}.level", level, "no hysteresis", f"Write less: a level {side} {trigger.level:g}")
    after = faults.number(given, "after_seconds", path, "Write such as 120", 0.0) if "after_seconds" in given else 0.0
    latched = given.get("latched", False)
    if not isinstance(latched, bool):
        faults.add(f"{path}.latched", latched, "not true or false", "Write true, or leave it out")
    return Step(
        rung=Rung(rung) if rung is not None else Rung.ALERT,
        trigger=trigger,
        release_level=level,
        release_dwell_seconds=faults.number(release, "for_seconds", where, "Write such as 120", 0.0),
        after_seconds=after,
        flags=_flags(given, path, faults),
        do=_words(given, "do", path, faults),
        undo=_words(given, "undo", path, faults),
        latched=latched is True,
    )


def _limit(value: Any, path: str, known: Sequence[str] | None, faults: DocumentFaults) -> Limit:
    given = faults.mapping(value, path, "Write signal, above or below, and for_seconds")
    faults.unknown_keys(given, WHEN, path)
    if known is None:
        signal: str | None = faults.text(given, "signal", path, "Name a signal")
    else:
        signal = faults.choice(given, "signal", path, known)
    sides = [side for side in Comparison if side in given]
    level = math.nan
    if len(sides) == 1:
        level = faults.number(given, sides[0], path, "Write a number in the signal's unit")
    else:
        faults.add(path, dict(given), f"{len(sides)} of above and below", "Write one of them")
    return Limit(
        signal or "",
        sides[0] if len(sides) == 1 else Comparison.ABOVE,
        level,
        faults.number(given, "for_seconds", path, "Write how long, such as 60; 0 for at once", 0.0),
    )


def _check_order(steps: tuple[Step, ...], hard: Limit | None, path: str, faults: DocumentFaults) -> None:
    """Rungs get stronger, and of one signal their levels do not get milder."""
    for n, (one, other) in enumerate(pairwise(steps), start=1):
        where = f"{path}.rungs[{n}]"
        if ORDER[other.rung] <= ORDER[one.rung]:
            faults.add(f"{where}.rung", str(other.rung), f"not above '{one.rung}'", f"Order them {', '.join(Rung)}")
        _check_levels(one.trigger, other.trigger, f"{where}.when", faults)
    if hard is not None:
        for step in steps[-1:]:
            _check_levels(step.trigger, hard, f"{path}.hard_limit", faults)
            if step.rung is not Rung.SHUT_DOWN:
                faults.add(
                    f"{path}.hard_limit", hard.level, f"the last rung is {step.rung}", "A hard limit needs shut_down"
                )


def _check_levels(one: Limit, other: Limit, path: str, faults: DocumentFaults) -> None:
    alike = one.signal == other.signal and one.comparison is other.comparison
    if alike and other.level * other.sign < one.level * one.sign:
        faults.add(
            f"{path}.{other.comparison}",
            other.level,
            "milder than the rung before it",
            f"Write {one.level:g} or further",
        )


def _flags(given: Mapping[str, Any], path: str, faults: DocumentFaults) -> tuple[tuple[str, str], ...]:
    flags = faults.mapping(given.get("flags") or {}, f"{path}.flags", "Write such as {scale_back: halved}")
    for key, variant in flags.items():
        if not isinstance(variant, str):
            faults.add(f"{path}.flags.{key}", variant, "not the name of a variant", "Quote it")
    return tuple(sorted((key, str(variant)) for key, variant in flags.items()))


def _words(given: Mapping[str, Any], key: str, path: str, faults: DocumentFaults) -> tuple[Do, ...]:
    words = given.get(key, [])
    allowed = [do for do in Do if do not in (Do.SET_FLAG, Do.CLEAR_FLAG)]
    if not isinstance(words, list):
        faults.add(f"{path}.{key}", words, "not a list", "Write such as [alert]")
        return ()
    found = []
    for n, word in enumerate(words):
        if isinstance(word, str) and word in allowed:
            found.append(Do(word))
        else:
            faults.add(f"{path}.{key}[{n}]", word, "there is no such action", nearest(str(word), allowed))
    return tuple(found)


def _business(name: str, value: Any, faults: DocumentFaults) -> BusinessRule:
    path = f"business_rules.{name}"
    given = faults.mapping(value, path, f"Write {', '.join(BUSINESS_KEYS)}")
    faults.unknown_keys(given, BUSINESS_KEYS, path)
    do = _words(given, "do", path, faults)
    if not do and isinstance(given.get("do", []), list):
        faults.add(f"{path}.do", given.get("do"), "nothing to do", "Write such as [shift_low_priority]")
    keys = given.get("flags", [])
    if not isinstance(keys, list) or not all(isinstance(each, str) for each in keys):
        faults.add(f"{path}.flags", keys, "not a list of flags", "Write such as [scale_back], or leave it out")
        keys = []
    levels = _some(given, "scopes", path, list(Level), faults)
    undo = _words(given, "undo", path, faults)
    if Level.SERVICE in levels and not OF_SERVICES.issuperset((*do, *undo)):
        wrong = [str(each) for each in (*do, *undo) if each not in OF_SERVICES]
        remedy = f"Write a rule of its own for services, which may do {', '.join(sorted(OF_SERVICES))}"
        faults.add(f"{path}.scopes", Level.SERVICE.value, f"{', '.join(wrong)}: that is of racks, not services", remedy)
    return BusinessRule(
        name=name,
        sentence=faults.text(given, "sentence", path, "Say it so that anybody understands it"),
        kinds=tuple(Kind(each) for each in _some(given, "kinds", path, list(Kind), faults)),
        flags=tuple(keys),
        levels=tuple(map(Level, levels)),
        active_seconds=faults.number(given, "active_seconds", path, "Write such as 600", 0.0),
        do=do,
        undo=undo,
    )


def _some(given: Mapping[str, Any], key: str, path: str, known: Sequence[str], faults: DocumentFaults) -> list[str]:
    """A list of at least one of ``known``."""
    values = given.get(key)
    if not isinstance(values, list) or not values:
        faults.add(joined(path, key), values, "not a list of at least one", f"Use {', '.join(known)}")
        return []
    for n, value in enumerate(values):
        if value not in known:
            faults.add(f"{joined(path, key)}[{n}]", value, "not one of those there are", nearest(str(value), known))
    return [value for value in values if value in known]
