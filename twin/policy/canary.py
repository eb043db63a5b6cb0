"""Canary strategies: on which racks a release is tried first. Pure: equal arguments choose equal racks.

* ``random``: an order hashed from seed, release and rack.
* ``first_fit``: the order of names.
* ``coolest``: the lowest inlet, in steps of half a kelvin; among equal ones the most stable cooling.
* ``heat_aware``: the highest score of the formula (:mod:`twin.policy.score`).
* ``representative``: nearest the fleet's envelope, ``d² = Σ ((x − median)/s)²`` over :data:`ENVELOPE`, with median and
  standard deviation s of all production racks that are known; a factor without spread counts nothing.
* ``two_stage``: the safest rack first, which is that of the highest score; then the representative ones. It is for a
  plan whose first batch is that one rack: nothing is risked where it would hurt, and then what holds for the fleet is
  learnt.
* ``stress``: the hottest device first, among racks that are safe (:class:`Safe`).

The first two are blind. The others are informed: a rack of which anything that they read is not known, or older than
allowed, is never their canary. Quantities are rounded to 1e-6 before they are compared, and ties go by name.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from twin.policy import profile
from twin.policy.documents import build
from twin.policy.factors import FACTORS, sense, with_headroom
from twin.policy.headroom import Permitted, Readings, ground, headroom
from twin.policy.score import Formula, Scores, score
from twin.policy.snapshot import FacilitySnapshot

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DECIMALS = 6
INLET_STEP = 0.5  # K, within which inlets count as the same
ENVELOPE = ("inlet_celsius", "inlet_slope", "device_celsius", "power_ratio", "utilisation_now")
SAFE = ("inlet_celsius", "device_over_slowdown_kelvin", "headroom_ratio")


class Strategy(StrEnum):
    """How canary racks are chosen."""

    RANDOM = "random"
    FIRST_FIT = "first_fit"
    COOLEST = "coolest"
    HEAT_AWARE = "heat_aware"
    REPRESENTATIVE = "representative"
    TWO_STAGE = "two_stage"
    STRESS = "stress"


#: factors that each strategy reads of a rack; those of the formula beside them, where it goes by scores
READS: dict[Strategy, tuple[str, ...]] = {
    Strategy.RANDOM: (),
    Strategy.FIRST_FIT: (),
    Strategy.COOLEST: ("inlet_celsius", "cooling_stability"),
    Strategy.HEAT_AWARE: (),
    Strategy.REPRESENTATIVE: ENVELOPE,
    Strategy.TWO_STAGE: ENVELOPE,
    Strategy.STRESS: SAFE,
}
SCORED = (Strategy.HEAT_AWARE, Strategy.TWO_STAGE)


@dataclass(frozen=True)
class Safe:
    """What a rack must keep to be a canary under ``stress``."""

    inlet_celsius: float = 46.0  # at most
    device_over_slowdown_kelvin: float = -3.0  # at most: so far below the temperature at which its devices slow down
    headroom_ratio: float = 0.05  # at least, sustained headroom over nameplate


@dataclass(frozen=True)
class CanaryRule:
    """How canaries are chosen. Errors: ValueError for an age that is not above 0."""

    strategy: Strategy = Strategy.REPRESENTATIVE
    greatest_age_seconds: float = 60.0  # of what a strategy reads
    safe: Safe = field(default_factory=Safe)

    def __post_init__(self) -> None:
        if not self.greatest_age_seconds > 0.0:
            raise ValueError(f"canary: greatest_age_seconds = {self.greatest_age_seconds}: give more than 0")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> "CanaryRule":
        """A rule from a plain mapping, ``safe`` a mapping of its own. Errors: ValueError with what is wrong."""
        safe = mapping.get("safe", {})
        if not isinstance(safe, Mapping):
            raise ValueError(f"canary: safe = {safe!r}: give {', '.join(SAFE)}")
        return build(cls, mapping, "canary", safe=build(Safe, safe, "canary.safe"))


@dataclass(frozen=True)
class Candidates:
    """What strategies know of R racks at one look."""

    names: tuple[str, ...]  # R
    eligible: Bools  # R, may be a canary
    fleet: Bools  # R, production racks: the envelope is theirs
    values: Mapping[str, Floats]  # factor → R, NaN for what is not known
    ages: Mapping[str, Floats]  # factor → R [s]
    scores: Scores | None = None  # of the formula; needed by what goes by scores


@dataclass(frozen=True)
class Chosen:
    """Canary racks in the order to take them, and racks that could have been, with the reason against them."""

    racks: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def candidates_of(
    snapshot: FacilitySnapshot, eligible: Bools, permitted: Permitted, formula: Formula, kind: str
) -> Candidates:
    """Candidates of a look, with factors and scores for work of a ``kind``.

    ``eligible``, shape (R,). Errors: ValueError for a snapshot without a description of the facility.
    """
    if snapshot.facility is None:
        raise ValueError("the snapshot has no description of the facility: give FacilitySnapshot.facility")
    nothing = np.zeros(len(snapshot.rack_names))
    read = Readings(snapshot)
    base = ground(snapshot, snapshot.facility, permitted, read)
    sensed = sense(snapshot, snapshot.facility, read)
    values, ages = with_headroom(sensed, snapshot, base, headroom(base, nothing), nothing)
    values |= profile.factors(None, len(nothing))  # profiles are the placement policy's own
    ages |= dict.fromkeys(profile.FACTORS, np.full(len(nothing), np.inf))
    scores = score(formula.of(kind), values, ages)
    return Candidates(snapshot.rack_names, eligible, snapshot.rack_production, values, ages, scores)


def choose_canaries(
    rule: CanaryRule, candidates: Candidates, count: int, *, seed: int = 0, release: str = ""
) -> Chosen:
    """The ``count`` best racks by the rule's strategy, fewer where fewer may be had.

    Errors: ValueError for a strategy that goes by scores without scores.
    """
    strategy = rule.strategy
    if strategy in SCORED and candidates.scores is None:
        raise ValueError(f"canary strategy {strategy}: candidates have no scores, give some")
    able, left_out = _able(rule, candidates)
    racks = sorted(np.flatnonzero(able).tolist(), key=lambda rack: candidates.names[rack])
    ranked = [racks[place] for place in _order(strategy, candidates, np.array(racks, dtype=np.int64), seed, release)]
    return Chosen(tuple(candidates.names[rack] for rack in ranked[: max(0, count)]), left_out)


def _able(rule: CanaryRule, candidates: Candidates) -> tuple[Bools, tuple[tuple[str, str], ...]]:
    """Eligible racks of which all is known that the strategy reads, and which are safe where it asks for that."""
    able = candidates.eligible.copy()
    against: dict[int, str] = {}

    def keep(passes: Bools, reason: str) -> None:
        for rack in np.flatnonzero(able & ~passes).tolist():
            against[rack] = reason
        able[~passes] = False

    for name in READS[rule.strategy]:
        keep(_known(candidates, name, rule.greatest_age_seconds), f"{FACTORS[name].meaning} is not known or too old")
    if rule.strategy in SCORED:
        assert candidates.scores is not None
        keep(candidates.scores.confidence >= 1.0, "not all that its score is made of is known")
    if rule.strategy is Strategy.STRESS:
        values, safe = candidates.values, rule.safe
        with np.errstate(invalid="ignore"):
            keep(values["inlet_celsius"] <= safe.inlet_celsius, f"inlet above {safe.inlet_celsius:g} °C")
            over = safe.device_over_slowdown_kelvin
            keep(values["device_over_slowdown_kelvin"] <= over, f"device less than {-over:g} K below its slowdown")
            keep(values["headroom_ratio"] >= safe.headroom_ratio, f"headroom below {safe.headroom_ratio:g}")
    names = candidates.names
    return able, tuple((names[rack], against[rack]) for rack in sorted(against, key=lambda rack: names[rack]))


def _known(candidates: Candidates, name: str, greatest_age_seconds: float) -> Bools:
    return np.isfinite(candidates.values[name]) & (candidates.ages[name] <= greatest_age_seconds)


def _order(strategy: Strategy, candidates: Candidates, racks: NDArray[np.int64], seed: int, release: str) -> list[int]:
    """Places among ``racks``, which stand in the order of their names, the best first."""
    values = candidates.values

    def by(*keys: Floats) -> list[int]:
        """Least first; the earlier key decides, and what is equal stays in the order of names."""
        return list(np.lexsort([np.round(key, DECIMALS) for key in reversed(keys)]).tolist()) if len(racks) else []

    match strategy:
        case Strategy.RANDOM:
            return sorted(range(len(racks)), key=lambda k: _hash(seed, release, candidates.names[racks[k]]))
        case Strategy.FIRST_FIT:
            return list(range(len(racks)))
        case Strategy.COOLEST:
            steps = np.floor(np.round(values["inlet_celsius"][racks] / INLET_STEP, DECIMALS))
            return by(steps, -values["cooling_stability"][racks])
        case Strategy.HEAT_AWARE:
            return by(-_scores(candidates)[racks])
        case Strategy.REPRESENTATIVE:
            return by(_distance(candidates)[racks])
        case Strategy.TWO_STAGE:
            first = by(-_scores(candidates)[racks])[:1]
            return [*first, *(place for place in by(_distance(candidates)[racks]) if place not in first)]
        case Strategy.STRESS:
            return by(-values["device_over_slowdown_kelvin"][racks])


def _hash(seed: int, release: str, rack: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{release}/{rack}".encode(), digest_size=16).digest()


def _scores(candidates: Candidates) -> Floats:
    assert candidates.scores is not None
    return candidates.scores.score


def _distance(candidates: Candidates) -> Floats:
    """Standardised distance [1] of every rack to the fleet's medians; NaN where one of its factors is."""
    total = np.zeros(len(candidates.names))
    for name in ENVELOPE:
        value = candidates.values[name]
        # sorted, so that sums do not depend on the order in which racks are given
        known = np.sort(value[candidates.fleet & np.isfinite(value)])
        spread = float(known.std(ddof=1)) if len(known) > 1 and float(np.ptp(known)) > 0.0 else 0.0
        if spread > 0.0:
            total = total + ((value - float(np.median(known))) / spread) ** 2
        elif len(known):
            total = total + np.where(np.isfinite(value), 0.0, math.nan)
    return np.sqrt(total)
