"""Changes of a formula: harmless ones, which a judgement should pass, and mutations, which it should catch."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.studies.regress.formulas import Named, of_mapping

Entry = dict[str, Any]
HARMLESS = 0.01  # by which weights change
NEVER = 1e9  # s, a greatest age that nothing reaches
KELVIN = 273.15
KILO = 1000.0
PER_MINUTE = 60.0


@dataclass(frozen=True)
class Mutation:
    """One change; ``named`` ones stand for mistakes that a judgement has to catch."""

    name: str
    change: Callable[[list[Entry]], None]  # of a class's terms, in place
    named: bool = False


def _each(change: Callable[[Entry], None], *factors: str) -> Callable[[list[Entry]], None]:
    """A change of every term, or of those of some factors."""

    def made(terms: list[Entry]) -> None:
        for term in terms:
            if not factors or term["factor"] in factors:
                change(term)

    return made


def _sign(term: Entry) -> None:
    term["worst"], term["best"] = term["best"], term["worst"]


def _no_weight(term: Entry) -> None:
    term["weight"] = 0.0


def _scaled(by: float) -> Callable[[Entry], None]:
    def made(term: Entry) -> None:
        term["worst"], term["best"] = by * term["worst"], by * term["best"]

    return made


def _kelvin(term: Entry) -> None:
    term["worst"], term["best"] = term["worst"] + KELVIN, term["best"] + KELVIN


def _no_age(term: Entry) -> None:
    term["greatest_age_seconds"] = NEVER


def _moved(source: str, target: str) -> Callable[[list[Entry]], None]:
    """The weight of one factor goes to another."""

    def made(terms: list[Entry]) -> None:
        weight = sum(term["weight"] for term in terms if term["factor"] == source)
        for term in terms:
            if term["factor"] == source:
                term["weight"] = 0.0
            elif term["factor"] == target:
                term["weight"] += weight

    return made


def _only(*factors: str) -> Callable[[list[Entry]], None]:
    def made(terms: list[Entry]) -> None:
        for term in terms:
            if term["factor"] not in factors:
                term["weight"] = 0.0

    return made


def _halves(terms: list[Entry]) -> None:
    """Ends that are met half way: everything middling counts as best."""
    for term in terms:
        term["best"] = term["worst"] + 0.2 * (term["best"] - term["worst"])


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("all signs flipped", _each(_sign), named=True),
    Mutation("headroom in kW for W", _each(_scaled(KILO), "headroom_ratio"), named=True),
    Mutation("weight moved from flow stability to low temperature", _moved("cooling_stability", "inlet_celsius"), True),
    Mutation("neighbours ignored", _each(_no_weight, "neighbour_intensity"), named=True),
    Mutation("stale-data check removed", _each(_no_age), named=True),
    Mutation("sign of headroom flipped", _each(_sign, "headroom_ratio")),
    Mutation("sign of inlet temperature flipped", _each(_sign, "inlet_celsius")),
    Mutation("sign of temperature slope flipped", _each(_sign, "inlet_slope")),
    Mutation("sign of stability flipped", _each(_sign, "cooling_stability")),
    Mutation("sign of neighbours flipped", _each(_sign, "neighbour_intensity")),
    Mutation("sign of duty cycle flipped", _each(_sign, "duty_cycle")),
    Mutation("sign of cooling reserve flipped", _each(_sign, "cooling_reserve")),
    Mutation("inlet in kelvin for °C", _each(_kelvin, "inlet_celsius")),
    Mutation("slope in K/s for K/min", _each(_scaled(1.0 / PER_MINUTE), "inlet_slope")),
    Mutation("slope in K/h for K/min", _each(_scaled(PER_MINUTE), "inlet_slope")),
    Mutation("ratios in per cent", _each(_scaled(100.0), "headroom_ratio", "duty_cycle", "neighbour_intensity")),
    Mutation("headroom ignored", _each(_no_weight, "headroom_ratio")),
    Mutation("stability ignored", _each(_no_weight, "cooling_stability")),
    Mutation("only the coolest inlet counts", _only("inlet_celsius")),
    Mutation("only the idlest rack counts", _only("duty_cycle")),
    Mutation("a fifth of the way counts as best", _halves),
)


def mutated(baseline: Named, mutation: Mutation) -> Named | None:
    """The baseline with a mutation in every class; None where that changes nothing or leaves no weight."""
    mapping = _copied(baseline)
    for terms in mapping["classes"].values():
        mutation.change(terms)
        if not any(term["weight"] > 0.0 for term in terms):
            return None
    made = of_mapping(mapping, mutation.name)
    return None if made.digest == baseline.digest else made


def harmless(baseline: Named, seed: int) -> Named:
    """The baseline with every weight 1 % up or down, drawn from ``seed``."""
    mapping = _copied(baseline)
    rng = np.random.default_rng(seed)
    for terms in mapping["classes"].values():
        for term in terms:
            term["weight"] *= 1.0 + HARMLESS * float(rng.choice((-1.0, 1.0)))
    return of_mapping(mapping, f"weights ± 1 %, seed {seed}")


def _copied(baseline: Named) -> dict[str, Any]:
    if not isinstance(baseline.mapping, Mapping):
        raise ValueError(f"{baseline.spec}: only a formula of terms can be changed; give a formula's file")
    return copy.deepcopy(dict(baseline.mapping))
