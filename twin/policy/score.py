"""How good a rack is for a class of work: a weighted sum of factors, from a versioned formula.

``score = Σ w_i g_i / Σ w_i`` over a class's terms, with ``g = (x − worst)/(best − worst)`` held to [0, 1]: whether
more is better shows in which end is the best. A factor that is not known or older than its term allows counts as its
worst. Scores are rounded to 1e-6 before they are compared. The confidence is the share of weight that was known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twin.policy.documents import DocumentFaults, Reader
from twin.policy.factors import FACTORS

Floats = NDArray[np.float64]

DIGITS = 6
DEFAULT = "default"


@dataclass(frozen=True)
class Term:
    """One term of a formula: at ``worst`` the factor is worth nothing, at ``best`` its whole weight."""

    factor: str
    worst: float
    best: float
    weight: float
    greatest_age_seconds: float


class Terms(tuple[Term, ...]):
    """The terms for a class of work, in their order."""

    @cached_property
    def columns(self) -> tuple[Floats, ...]:
        """Worst, span from there to best, weight and greatest age of the terms, each of shape (terms, 1)."""
        each = [(term.worst, term.best - term.worst, term.weight, term.greatest_age_seconds) for term in self]
        return tuple(np.array(column)[:, None] for column in zip(*each, strict=True))


class Rating(Protocol):
    """What rates all racks for a class of work: a :class:`Formula`, or code of one's own.

    ``values`` and ``ages`` [s] are arrays over racks by factor (:data:`twin.policy.factors.FACTORS`).
    """

    def rate(self, kind: str, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> "Scores": ...


@dataclass(frozen=True)
class Formula:
    """Terms by class of work; a class that is not named has those of ``default``."""

    version: str
    owner: str
    terms: Mapping[str, Terms]

    def of(self, kind: str) -> Terms:
        return self.terms.get(kind, self.terms[DEFAULT])

    def rate(self, kind: str, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> "Scores":
        """Scores of all racks for a class of work."""
        return score(self.of(kind), values, ages)


@dataclass(frozen=True)
class Scores:
    """Scores and confidences in [0, 1], shape (R,), and what each term gave, shape (terms, R)."""

    score: Floats
    confidence: Floats
    parts: Floats


def read_formula(mapping: object, at: str, faults: DocumentFaults) -> Formula:
    """A formula from a plain mapping; what is wrong is added to ``faults``."""
    reader = Reader(mapping, at, faults)
    version, owner = reader.text("version"), reader.text("owner")
    terms: dict[str, Terms] = {}
    for kind, entries in reader.items("classes"):
        where = f"{at}.classes.{kind}" if at else f"classes.{kind}"
        inner = Reader({"terms": entries}, where, faults)
        read = []
        for place, entry in inner.items("terms"):
            term = Reader(entry, f"{where}.{place}", faults)
            found = Term(
                term.text("factor", among=FACTORS),
                term.number("worst"),
                term.number("best"),
                term.number("weight", low=0.0),
                term.number("greatest_age_seconds", low=0.0),
            )
            term.done()
            if found.worst == found.best:
                term.fault("best", found.best, "equal to worst", "Give two ends that differ")
            read.append(found)
        if sum(term.weight for term in read) <= 0.0:
            inner.fault("", entries, "no term has any weight", "Give a term a weight above 0")
        terms[kind] = Terms(read)
    reader.done()
    if DEFAULT not in terms:
        reader.fault("classes", list(terms), f"no class {DEFAULT!r}", "Say what holds for work that is not named")
    return Formula(version, owner, terms)


def score(terms: Terms, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> Scores:
    """Scores of all racks by some terms, added up in their order."""
    worst, span, weight, greatest_age = terms.columns
    value = np.array([values[term.factor] for term in terms])
    counts = np.isfinite(value) & (np.array([ages[term.factor] for term in terms]) <= greatest_age)
    share = np.minimum(np.maximum((value - worst) / span, 0.0), 1.0)
    parts = np.where(counts, weight * share, 0.0)
    total, known = np.add.reduce(parts, axis=0), np.add.reduce(np.where(counts, weight, 0.0), axis=0)
    sums = float(weight.sum())
    return Scores(np.round(total / sums, DIGITS), np.round(known / sums, DIGITS), parts)
