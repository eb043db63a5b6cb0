"""What a change per rack adds up to at full rollout, on every row, breaker and loop: power harm shows only there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from twin.policy.trial import Verdict

Floats = NDArray[np.float64]

DECIMALS = 6  # of a load before it is compared with its limit


class Standing(StrEnum):
    """What a projection says of going on."""

    FITS = "every thing stays within its limit"
    HOLD = "hold: a limit may be exceeded, or something is not known"
    FAIL = "fail: a limit would be exceeded"


@dataclass(frozen=True)
class Level:
    """Things of one kind that racks load: X rows, breakers, loops or racks themselves."""

    kind: str  # such as "row", "breaker", "loop"
    unit: str  # of present, limit and least
    names: tuple[str, ...]  # X
    present: Floats  # X, load now or its mean, with what is already rolled out
    limit: Floats  # X
    gain: Floats  # X×R, load of a thing per unit of a rack's change: 1 for members, A/W for breakers, a share for means
    change: str  # which change it takes: a name of the judge's metric, such as "power"
    least: float = 0.0  # a present load below is not believed; −273.15 for temperatures [°C]

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(self.present) != count or len(self.limit) != count or self.gain.ndim != 2 or len(self.gain) != count:
            raise ValueError(
                f"{self.kind}: {count} names, {len(self.present)} loads, {len(self.limit)} limits and gains of shape "
                f"{self.gain.shape}: give one of each per thing"
            )


@dataclass(frozen=True)
class Change:
    """What the canary shows that a rack changes by: the estimate, and the confidence bound on the side of harm."""

    estimate: float
    upper: float


@dataclass(frozen=True)
class Projected:
    """One thing at full rollout that exceeds its limit, may exceed it, or is not known."""

    kind: str
    name: str
    unit: str
    present: float
    value: float  # by the estimate
    upper: float  # by the upper bound
    limit: float
    standing: Standing

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.name}: {self.value:.6g} {self.unit} at full rollout (up to {self.upper:.6g}), limit "
            f"{self.limit:.6g}, now {self.present:.6g}"
        )


@dataclass(frozen=True)
class Projection:
    """All things that stand against a full rollout, the worst first within each kind."""

    against: tuple[Projected, ...]
    standing: Standing


def shown(verdict: Verdict) -> dict[str, Change]:
    """Changes per rack that a verdict's canary shows, by metric, in the metric's unit and direction."""
    return {e.metric.name: Change(e.change, e.metric.worse * e.upper) for e in verdict.metrics}


def members(group: NDArray[np.int64], groups: int) -> Floats:
    """Gains of sums over groups, shape (groups, R): 1 where a rack belongs; ``group``, shape (R,), −1 for none."""
    return (np.asarray(group)[None, :] == np.arange(groups)[:, None]).astype(np.float64)


def shares(group: NDArray[np.int64], groups: int, weight: Floats | None = None) -> Floats:
    """Gains of means over groups, shape (groups, R): a rack's part of its group's ``weight``, such as its flow.

    A loop's return warms by ``Σ Q_i ΔT_i / Σ Q_i``. Equal weights by default. NaN where a group's weight is not known.
    """
    inside = members(group, groups)
    parts = inside if weight is None else np.where(inside > 0.0, np.asarray(weight, dtype=np.float64), 0.0)
    total = parts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(inside > 0.0, parts / total, 0.0)


def project(
    levels: Sequence[Level], changes: Mapping[str, Change], target: NDArray[np.bool_], done: NDArray[np.bool_] | Floats
) -> Projection:
    """Loads at full rollout, ``present + gain · (change on racks of the target that are not done)``.

    ``target``, shape (R,), are racks that will have the release, ``done`` those that have it and whose change is in
    the present load; where that is a mean, the part of its time [1] for which they had it. *Fail* where the estimate
    takes a thing above its limit and above what it bears now; *hold* where only the upper bound does, where a thing is
    above its limit anyway, and where a load, limit, gain or change is not a finite number, a load is below the least
    that is believed, or a limit is not above it. Nothing to do projects what is there.
    """
    todo = np.where(target, 1.0 - np.asarray(done, dtype=np.float64), 0.0)
    against: list[Projected] = []
    for level in levels:
        if level.gain.shape[1] != len(todo):
            raise ValueError(
                f"{level.kind}: gains of {level.gain.shape[1]} racks, target of {len(todo)}: give the same"
            )
        against += _over(level, changes.get(level.change, Change(math.nan, math.nan)), todo)
    standings = {thing.standing for thing in against}
    worst = Standing.FAIL if Standing.FAIL in standings else Standing.HOLD if standings else Standing.FITS
    return Projection(tuple(against), worst)


def _over(level: Level, change: Change, todo: Floats) -> list[Projected]:
    """Things of one kind that exceed, may exceed or are not known; by excess over the limit, ties by name."""
    gain = np.where(todo > 0.0, level.gain * todo, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        value = np.round(level.present + np.where(gain == 0.0, 0.0, gain * change.estimate), DECIMALS)
        most = np.round(level.present + np.where(gain == 0.0, 0.0, gain * change.upper), DECIMALS)
    upper = np.maximum(value, most)
    known = np.isfinite(value) & np.isfinite(level.limit)
    known &= (level.present >= level.least) & (level.limit > level.least)
    found = []
    for k, name in enumerate(level.names):
        present, limit = float(level.present[k]), float(level.limit[k])
        if known[k] and upper[k] <= limit:
            continue
        fails = known[k] and value[k] > limit and value[k] > present
        standing = Standing.FAIL if fails else Standing.HOLD
        found.append(
            Projected(level.kind, name, level.unit, present, float(value[k]), float(upper[k]), limit, standing)
        )
    return sorted(found, key=_order)


def _order(thing: Projected) -> tuple[bool, float, str]:
    """Failures first, then the greatest excess; what is not known last."""
    excess = thing.value - thing.limit
    return (thing.standing is not Standing.FAIL, -excess if math.isfinite(excess) else math.inf, thing.name)
