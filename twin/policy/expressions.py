"""Rules of a site, written as expressions over the factors: what somebody outside has to bring to read them.

This package evaluates no language. Whoever reads policy documents may hand it a :class:`Compiler`, such as that of
:mod:`twin.cel`; an expression that comes of it says for each rack whether it allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twin.policy.decisions import Threshold

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Expression(Protocol):
    """A condition over factors: pure, and the same for equal values."""

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors that it reads, at least one."""

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether it holds for one rack, of which all of its factors are known and finite."""


class Compiler(Protocol):
    """Makes an expression of its text. Raises :class:`ExpressionRefused`."""

    def __call__(self, source: str) -> Expression: ...


class ExpressionRefused(ValueError):
    """A text is no expression that can be read; ``problem`` and ``remedy`` say why, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


def no_compiler(source: str) -> Expression:
    """What a policy has that was handed no compiler: refuses every expression."""
    raise ExpressionRefused("no reader of expressions was handed over", "Give thermal_aware(…, compiler=…) one")


@dataclass(frozen=True)
class ExpressionRule:
    """One thing that has to hold, as an expression. What is missing or older than its greatest age allows nothing."""

    name: str
    source: str
    expression: Expression
    greatest_age_seconds: float
    kinds: tuple[str, ...] = ()  # of work, empty for all
    roles: tuple[str, ...] = ()  # such as "canary", empty for all

    def applies(self, kind: str, role: str) -> bool:
        return (not self.kinds or kind in self.kinds) and (not self.roles or role in self.roles)

    def allowed(self, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> Bools:
        """Racks that it allows, shape (R,)."""
        names = self.expression.factors
        known = np.ones(len(values[names[0]]), dtype=np.bool_)
        for name in names:
            known &= np.isfinite(values[name]) & (ages[name] <= self.greatest_age_seconds)
        for rack in np.flatnonzero(known).tolist():
            known[rack] = self.expression.holds({name: float(values[name][rack]) for name in names})
        return known

    def held(
        self, values: Mapping[str, Floats], ages: Mapping[str, Floats], rack: int, where: str
    ) -> tuple[Threshold, ...]:
        """What a rack that was not allowed was held against: an age, or nothing, as an expression has no limit."""
        found = ((name, float(ages[name][rack])) for name in self.expression.factors)
        limit = self.greatest_age_seconds
        return tuple(
            Threshold(f"{self.name}, age of {name}", age, limit, "at most", "s", False, where)
            for name, age in found
            if not age <= limit
        )

    def told(self, values: Mapping[str, Floats], ages: Mapping[str, Floats], rack: int) -> str:
        """Why a rack was not allowed: the rule, and what its factors are there."""
        read = []
        for name in self.expression.factors:
            value, age = float(values[name][rack]), float(ages[name][rack])
            if not np.isfinite(value):
                return f"{self.name}: {name} is not known"
            if not age <= self.greatest_age_seconds:
                return f"{self.name}: {name} is {age:.0f} s old, {self.greatest_age_seconds:g} s allowed"
            read.append(f"{name} {value:.4g}")
        return f"{self.name}: {self.source} does not hold with {', '.join(read)}"
