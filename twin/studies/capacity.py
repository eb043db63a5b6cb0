"""How much a hall bears: the largest value on an axis at which runs stay within limits, found by bisection.

A point is *safe* when, for every limit, the share of runs that break it is shown to be at most the risk that is
allowed, *unsafe* when for some limit it is shown to be more, else *open*. Runs come in looks: after each the exact
bounds are read, and a clear answer ends the point. Every look and, on the unsafe side, every limit takes its part of
the chance of error (Bonferroni), so that a point is called wrongly with at most that chance. All points have the same
seeds.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pandas as pd

from twin.studies.axes import AXES
from twin.studies.intervals import LEVEL, Interval, exact_interval
from twin.studies.ledger import METRICS, Case, Record


class Verdict(Enum):
    """What the runs of a point show."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    OPEN = "open"


@dataclass(frozen=True)
class Limits:
    """What a run may not do, and in which share of runs it may. ``throttled`` is throttled over delivered GPU-seconds,
    ``latency`` latency misses over requests; a trip is one too many."""

    risk: float = 0.1
    throttled: float = 0.001
    latency: float = 0.01


RISKS = ("breaker trip", "throttling", "latency misses")


def broken(metrics: Mapping[str, Any], limits: Limits) -> tuple[bool, bool, bool]:
    """Which limits a run breaks, in the order of :data:`RISKS`."""
    requests = math.fsum(float(each.get("requests") or 0.0) for each in (metrics.get("services") or {}).values())
    return (
        metrics["breaker_trips_total"] > 0,
        metrics["throttled_gpu_seconds"] > limits.throttled * metrics["gpu_seconds_delivered"],
        metrics["latency_misses_total"] > limits.latency * requests,
    )


@dataclass(frozen=True)
class Point:
    """What is known of one policy at one value: runs, how many broke each limit, and what that shows."""

    policy: str
    value: float
    runs: int
    broken: tuple[int, ...]
    verdict: Verdict
    delivered_gpu_seconds: float  # mean of the runs
    refusals: tuple[str, ...] = ()  # why there are none

    def interval(self, risk: int, level: float = LEVEL) -> Interval:
        """The share of runs that break a limit, with its exact interval."""
        return exact_interval(self.broken[risk], self.runs, level)


@dataclass(frozen=True)
class Plan:
    """How a capacity is looked for: the words that all runs share, the axis and its values, limits and looks."""

    words: tuple[str, ...]
    axis: str
    values: tuple[float, ...]
    own: float
    limits: Limits = field(default_factory=Limits)
    looks: tuple[int, ...] = (8, 20, 40)
    level: float = LEVEL
    first_seed: int = 0

    def cases(self, policy: str, value: float, runs: int) -> list[Case]:
        """The first ``runs`` runs of a point."""
        words = (*self.words, f"policy={policy}")
        return [Case(words, self.first_seed + number, self.axis, value) for number in range(runs)]

    @property
    def most(self) -> int:
        """Runs of a point that stays open."""
        return self.looks[-1]


Runner = Callable[[Iterable[Case]], Mapping[Case, Record]]


def verdict(counts: Sequence[int], runs: int, plan: Plan) -> Verdict:
    """What ``counts`` of ``runs`` that break each limit show at one look."""
    error = (1.0 - plan.level) / len(plan.looks)
    highest = [exact_interval(count, runs, 1.0 - 2.0 * error).high for count in counts]
    lowest = [exact_interval(count, runs, 1.0 - 2.0 * error / len(counts)).low for count in counts]
    if all(bound <= plan.limits.risk for bound in highest):
        return Verdict.SAFE
    return Verdict.UNSAFE if any(bound > plan.limits.risk for bound in lowest) else Verdict.OPEN


def assess(plan: Plan, policy: str, value: float, run: Runner) -> Point:
    """Make the runs of a point, look by look, until they show something or there are no more looks."""
    counts: tuple[int, ...] = (0,) * len(RISKS)
    for look in plan.looks:
        records = run(plan.cases(policy, value, look))
        lacking = [sentence for record in records.values() if METRICS not in record for sentence in _told(record)]
        if lacking:
            return Point(policy, value, 0, counts, Verdict.OPEN, math.nan, tuple(dict.fromkeys(lacking)))
        metrics = [record[METRICS] for record in records.values()]
        each = [broken(one, plan.limits) for one in metrics]
        counts = tuple(sum(column) for column in zip(*each, strict=True))
        found = verdict(counts, look, plan)
        delivered = math.fsum(one["gpu_seconds_delivered"] for one in metrics) / look
        if found is not Verdict.OPEN:
            break
    return Point(policy, value, look, counts, found, delivered)


def _told(record: Record) -> list[str]:
    return [str(sentence) for sentences in record.values() for sentence in sentences]


@dataclass(frozen=True)
class Capacity:
    """What a policy bears: the largest value shown safe and the smallest shown unsafe (NaN where none is), and all
    points on the way. What lies between the two cannot be told from the runs."""

    policy: str
    safe: float
    unsafe: float
    most: float  # the largest value that is not shown unsafe
    points: tuple[Point, ...]

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why points have no runs."""
        return tuple(dict.fromkeys(sentence for point in self.points for sentence in point.refusals))


def search(plan: Plan, policy: str, run: Runner) -> Capacity:
    """Bisect for the two ends, on the understanding that more is never safer. The hall's own value is looked at too."""
    points: dict[int, Point] = {}

    def at(index: int) -> Verdict:
        if index not in points:
            points[index] = assess(plan, policy, plan.values[index], run)
        return points[index].verdict

    if plan.own in plan.values:
        at(plan.values.index(plan.own))
    low, high = -1, len(plan.values)
    while high - low > 1:
        middle = _middle(low, high, points)
        low, high = (middle, high) if at(middle) is Verdict.SAFE else (low, middle)
    safe = low
    high = len(plan.values)
    while high - low > 1:
        middle = _middle(low, high, points)
        low, high = (low, middle) if at(middle) is Verdict.UNSAFE else (middle, high)
    values = plan.values
    return Capacity(
        policy,
        safe=values[safe] if safe >= 0 else math.nan,
        unsafe=values[high] if high < len(values) else math.nan,
        most=values[high - 1] if high > 0 else math.nan,
        points=tuple(points[index] for index in sorted(points)),
    )


def _middle(low: int, high: int, points: Mapping[int, Point]) -> int:
    """The next index to look at: one that is known already if there is one between, else the middle."""
    known = [index for index in points if low < index < high]
    return min(known, key=lambda index: (abs(2 * index - low - high), index)) if known else (low + high) // 2


@dataclass(frozen=True)
class Gain:
    """How much more one policy bears than another, as an interval; ends are NaN where they are open."""

    policy: str
    baseline: str
    low: float
    high: float
    estimate: float


def gain(plan: Plan, found: Capacity, baseline: Capacity) -> Gain:
    """What ``found`` bears beyond ``baseline``: at least its safe value beyond what the other is not shown to fail at,
    at most the reverse. The estimate is the difference of the values shown safe."""
    step = AXES[plan.axis].step
    open_above = math.isnan(found.unsafe)
    low = found.safe - baseline.most if not math.isnan(baseline.unsafe) else math.nan
    high = math.nan if open_above else found.unsafe - step - baseline.safe
    return Gain(found.policy, baseline.policy, low, high, found.safe - baseline.safe)


def table(plan: Plan, found: Sequence[Capacity]) -> pd.DataFrame:
    """Every point: a row per policy, value and limit, with the share of runs that broke it and its exact interval."""
    rows = []
    for capacity in found:
        for point in capacity.points:
            for index, risk in enumerate(RISKS if point.runs else ()):
                share = point.interval(index, plan.level)
                rows.append(
                    {
                        "policy": capacity.policy,
                        "axis": plan.axis,
                        "value": point.value,
                        "unit": AXES[plan.axis].unit,
                        "risk": risk,
                        "runs": point.runs,
                        "broken": point.broken[index],
                        "share": share.estimate,
                        "low": share.low,
                        "high": share.high,
                        "level": plan.level,
                        "allowed": plan.limits.risk,
                        "verdict": point.verdict.value,
                        "gpu_seconds_delivered_mean": point.delivered_gpu_seconds,
                    }
                )
    return pd.DataFrame(rows)
