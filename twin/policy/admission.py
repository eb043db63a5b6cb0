"""Rules that say what allows work on a rack. What is not known, or too old, allows nothing.

A rule names a factor and the limit up to which, or from which on, it allows, or is an expression over the factors
(:mod:`twin.policy.expressions`); it may hold for some classes of work or roles only. Rules are looked at in their
order, and the first that does not allow is the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.policy.decisions import Threshold
from twin.policy.documents import DocumentFaults, Reader
from twin.policy.expressions import Compiler, ExpressionRefused, ExpressionRule, no_compiler
from twin.policy.factors import FACTORS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NONE = -1
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Rule:
    """One thing that has to hold: ``factor`` at most, or at least, ``limit``."""

    name: str
    factor: str
    limit: float
    at_most: bool
    greatest_age_seconds: float
    kinds: tuple[str, ...] = ()  # of work, empty for all
    roles: tuple[str, ...] = ()  # such as "canary", empty for all

    def applies(self, kind: str, role: str) -> bool:
        return (not self.kinds or kind in self.kinds) and (not self.roles or role in self.roles)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value that it allows: finite, so that neither unknown nor infinite values are within."""
        return (-LARGEST, self.limit) if self.at_most else (self.limit, LARGEST)

    def told(self, values: Mapping[str, Floats], ages: Mapping[str, Floats], rack: int) -> str:
        """Why a rack was not allowed."""
        return self.sentence(float(values[self.factor][rack]), float(ages[self.factor][rack]))

    def held(
        self, values: Mapping[str, Floats], ages: Mapping[str, Floats], rack: int, where: str
    ) -> tuple[Threshold, ...]:
        """What a rack that was not allowed was held against."""
        value, age = float(values[self.factor][rack]), float(ages[self.factor][rack])
        known, bound = bool(np.isfinite(value)), "at most" if self.at_most else "at least"
        if known and not age <= self.greatest_age_seconds:
            return (Threshold(f"{self.name}, age", age, self.greatest_age_seconds, "at most", "s", False, where),)
        unit = FACTORS[self.factor].unit
        return (Threshold(self.name, value if known else None, self.limit, bound, unit, False, where),)

    def sentence(self, value: float, age: float) -> str:
        """Why a rack with this value [the factor's unit] and age [s] was not allowed: rule, value, limit."""
        unit = FACTORS[self.factor].unit
        unit = "" if unit == "1" else f" {unit}"
        if not np.isfinite(value):
            return f"{self.name}: {self.factor} is not known"
        if not age <= self.greatest_age_seconds:
            return f"{self.name}: {self.factor} is {age:.0f} s old, {self.greatest_age_seconds:g} s allowed"
        bound = "at most" if self.at_most else "at least"
        return f"{self.name}: {self.factor} {value:.4g}{unit}, {bound} {self.limit:g}{unit} allowed"


AnyRule = Rule | ExpressionRule


class Chosen(tuple[AnyRule, ...]):
    """Rules that hold together, in their order."""

    @cached_property
    def columns(self) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
        """Factors of the rules, and least value, greatest value and greatest age that they allow, each of shape
        (rules, 1). An expression's row stands for its first factor until the expression itself has been asked."""
        factors, rows = [], []
        for rule in self:
            if isinstance(rule, Rule):
                factors.append(rule.factor)
                rows.append((*rule.bounds, rule.greatest_age_seconds))
            else:
                factors.append(rule.expression.factors[0])
                rows.append((-LARGEST, LARGEST, rule.greatest_age_seconds))
        low, high, age = (np.array(column)[:, None] for column in zip(*rows, strict=True))
        return tuple(factors), low, high, age


@dataclass(frozen=True)
class Rules:
    """A versioned set of rules."""

    version: str
    owner: str
    rules: tuple[AnyRule, ...]
    _found: dict[tuple[str, str], Chosen] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, kind: str, role: str) -> Chosen:
        """Those that hold for a class of work in a role."""
        found = self._found.get((kind, role))
        if found is None:
            found = self._found[kind, role] = Chosen(rule for rule in self.rules if rule.applies(kind, role))
        return found


def read_rules(mapping: object, at: str, faults: DocumentFaults, compiler: Compiler = no_compiler) -> Rules:
    """Rules from a plain mapping; what is wrong is added to ``faults``. ``compiler`` reads expressions."""
    reader = Reader(mapping, at, faults)
    version, owner = reader.text("version"), reader.text("owner")
    rules: list[AnyRule] = []
    for place, entry in reader.items("rules"):
        rule = Reader(entry, f"{at}.{place}" if at else place, faults)
        name = rule.text("name")
        if any(each.name == name for each in rules):
            rule.fault("name", name, "the name of another rule", "Give each rule a name of its own")
        if rule.has("allow"):
            rules += _expression(rule, name, compiler)
            continue
        factor = rule.text("factor", among=FACTORS)
        if rule.has("at_most") == rule.has("at_least"):
            rule.fault("at_most", entry, "not one of at_most and at_least", "Give the limit on one side")
        at_most = rule.has("at_most")
        limit = rule.number("at_most" if at_most else "at_least")
        found = Rule(
            name,
            factor,
            limit,
            at_most,
            rule.number("greatest_age_seconds", low=0.0),
            rule.texts("kinds"),
            rule.texts("roles"),
        )
        rule.done()
        rules.append(found)
    reader.done()
    return Rules(version, owner, tuple(rules))


def _expression(rule: Reader, name: str, compiler: Compiler) -> list[AnyRule]:
    """A rule that is an expression; none, and a fault, for one that cannot be read."""
    source, age = rule.text("allow"), rule.number("greatest_age_seconds", low=0.0)
    kinds, roles = rule.texts("kinds"), rule.texts("roles")
    rule.done()
    if not source:
        return []
    try:
        return [ExpressionRule(name, source, compiler(source), age, kinds, roles)]
    except ExpressionRefused as refused:
        rule.fault("allow", source, refused.problem, refused.remedy)
        return []


def admit(rules: Chosen, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> tuple[Bools, NDArray[np.int64]]:
    """Racks that all rules allow, and for each rack the first rule that does not, −1 for none; shapes (R,)."""
    if not rules:
        nobody = np.full(len(next(iter(values.values()))), NONE, dtype=np.int64)
        return nobody == NONE, nobody
    factors, low, high, greatest_age = rules.columns
    value = np.array([values[factor] for factor in factors])
    allowed = (value >= low) & (value <= high)  # not a number is neither
    allowed &= np.array([ages[factor] for factor in factors]) <= greatest_age
    for place, rule in enumerate(rules):
        if isinstance(rule, ExpressionRule):
            allowed[place] = rule.allowed(values, ages)
    by_all = np.logical_and.reduce(allowed, axis=0)
    return by_all, np.where(by_all, NONE, allowed.argmin(axis=0)).astype(np.int64)
