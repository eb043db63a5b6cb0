"""The canary judge: canary racks against matched control racks, and a verdict with its evidence.

The unit of analysis is the rack. Each metric of a rack is one number, its change from *before* to *after*, turned so
that more is worse. Of *before* that part is taken off which a rack carries along (``carried``): all of what sets racks
apart for good, such as their heat; nothing of what is dealt anew, such as requests, where a difference would have twice
the variance of *after* alone. The harm of a release is the canary's shift against the controls; a permutation test over
racks (:mod:`twin.policy.permutation`) tells whether it is above the margin that the metric allows.

* *fail*: harm above the margin is shown, at a level that all metrics of all looks share. The looks share it by alpha
  spending, the metrics of a look by Holm's step-down with weights: the primary metric has a part of its own, the
  others have the rest in equal parts. So a harmless release fails at most with chance ``alpha``.
* *pass*: the upper confidence bound of harm is below the margin, in every metric. All must hold, so that no share is
  taken off (intersection–union: Berger, Technometrics 24(4), 1982); the looks share ``beta`` by spending. A release
  whose harm is at or above a margin passes at most with chance ``beta``.
* *inconclusive*: otherwise. What is missing never makes a pass, and neither does a look that could not have failed.

Labels are exchangeable only if what chose the canary says nothing of its change: the window that chose the racks is
never *before*, else their return to the mean is taken for an effect.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from twin.policy.permutation import Crossings, Relabellings, crossings, holm, relabellings
from twin.policy.signals import good
from twin.policy.spending import Spent, idle, later, look
from twin.policy.trial import Design, Evidence, Finding, JudgeState, Outcome, Readings, Verdict, Window

Floats = NDArray[np.float64]
Notes = list[tuple[Finding, str]]

FEW_CONTROLS = 15  # with fewer: one look, one metric
SLACK = 1e-12  # of a p value against a level


def window_means(
    time: Floats, values: Floats, quality: NDArray[np.int8], window: Window, least_share: float = 0.5
) -> Floats:
    """Mean per rack over a window, of readings of quality GOOD; the number that a rack brings to the judge.

    ``time`` [s], shape (K,); ``values`` and ``quality``, shape (K, R). NaN where fewer than ``least_share`` of the
    window's readings are good, or it has none.
    """
    inside = (np.asarray(time) >= window.begin_seconds) & (np.asarray(time) < window.end_seconds)
    y = np.asarray(values, dtype=np.float64)[inside]
    use = good(y, np.asarray(quality)[inside])
    count = use.sum(axis=0)
    enough = (count > 0) & (count >= least_share * len(y))
    return np.where(enough, np.where(use, y, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def judge_canary(
    design: Design, release: str, readings: Readings, fraction: float, state: JudgeState | None = None
) -> tuple[Verdict, JudgeState]:
    """One look at a canary: the verdict, and the state for the next look.

    ``fraction`` [1] is the information so far, 1 at the last look, such as the part of the planned soak that is over.
    A rack that lacks a reading of any metric is left out, with a reason. Errors: ValueError for a look that is not
    later than the last, or after a pass or fail.
    """
    state = state or JudgeState()
    if state.decided is not None:
        raise ValueError(f"release {release} was judged {state.decided}: there are no further looks")
    later(fraction, state.alpha)
    order = sorted(range(len(readings.racks)), key=lambda k: (not readings.canary[k], readings.racks[k]))
    names = tuple(readings.racks[k] for k in order)
    given = int(np.count_nonzero(readings.canary))
    harms, excluded = _harms(design, readings, order)
    kept = [k for k, name in enumerate(names) if name not in excluded]
    canaries, controls = tuple(names[k] for k in kept if k < given), tuple(names[k] for k in kept if k >= given)

    blocks = _missing(design, names, given, excluded)
    ways = _ways(design, release, names, kept, len(canaries)) if canaries and controls else None
    if ways is None:
        blocks.append((Finding.NOTHING_LEFT, f"{len(canaries)} canary racks, {len(controls)} controls"))
    few = len(controls) < FEW_CONTROLS
    waits = few and fraction < 1.0
    notes: Notes = [(Finding.FEW_CONTROLS, f"{len(controls)}, {FEW_CONTROLS} needed for more")] if few else []
    weights = _weights(design, 1 if few else len(design.metrics))
    level, alpha = _level(design, design.alpha, weights[0], fraction, state.alpha, None if waits else ways)
    beta_level, beta = _level(design, design.beta, 1.0, fraction, state.beta, None if waits else ways)
    if ways is not None and not waits and level == 0.0:
        blocks.append((Finding.NO_LEVEL, f"smallest attainable {ways.smallest_p / weights[0]:.5f}"))

    evidence: tuple[Evidence, ...] = ()
    if ways is not None:
        found = [crossings(harm[kept], len(canaries), ways) for harm in harms]
        worst = _with_spared(design, release, names, harms, kept, given) if not blocks else []
        evidence = _evidence(design, found, worst, weights, level, beta_level, ways)

    outcome, findings = _decide(evidence, blocks, level, beta_level)
    verdict = Verdict(
        outcome,
        (*findings, *notes),
        evidence,
        canaries,
        controls,
        tuple((name, excluded[name]) for name in names if name in excluded),
        ways.total if ways is not None else 0,
        ways.exact if ways is not None else True,
        level,
        beta_level,
        alpha.fractions,
        alpha.alpha,
        beta.alpha,
        readings.windows,
    )
    decided = None if outcome is Outcome.INCONCLUSIVE else outcome
    return verdict, replace(state, alpha=alpha, beta=beta, decided=decided)


def _harms(design: Design, readings: Readings, order: list[int]) -> tuple[list[Floats], dict[str, str]]:
    """Harm of each rack in each metric, in order, NaN where not known; and racks to leave out with the reasons."""
    harms = []
    excluded: dict[str, list[str]] = {}
    for metric in design.metrics:
        sides = []
        for side, values in (("before", readings.before), ("after", readings.after)):
            y = np.asarray(values.get(metric.name, np.full(len(order), np.nan)), dtype=np.float64)[order]
            known = np.isfinite(y) & (y >= metric.least)
            for k in np.flatnonzero(~known).tolist():
                excluded.setdefault(readings.racks[order[k]], []).append(f"{metric.name} {side} is {y[k]:g}")
            sides.append(np.where(known, y, np.nan))
        harms.append(metric.worse * (sides[1] - metric.carried * sides[0]))
    return harms, {rack: ", ".join(reasons) for rack, reasons in excluded.items()}


def _missing(design: Design, names: tuple[str, ...], given: int, excluded: Mapping[str, str]) -> Notes:
    """What of the racks stands against a pass: the first ``given`` are canaries."""
    canaries = [name for name in names[:given] if name in excluded]
    controls = [name for name in names[given:] if name in excluded]
    found: Notes = []
    if canaries:
        found.append((Finding.CANARY_MISSING, ", ".join(canaries)))
    if len(controls) > design.controls_spared:
        found.append((Finding.CONTROLS_MISSING, ", ".join(controls)))
    if given < design.canaries:
        found.append((Finding.FEW_CANARIES, f"{given} of {design.canaries}"))
    return found


def _ways(design: Design, release: str, names: tuple[str, ...], kept: list[int], canaries: int) -> Relabellings:
    """Relabellings of the racks that are kept."""
    chosen = [names[k] for k in kept]
    return relabellings(chosen, canaries, design.seed, release, design.exact_at_most, design.draws)


def _weights(design: Design, judged: int) -> tuple[float, ...]:
    """Shares of the level: the primary metric's own, the rest in equal parts; the whole where it is alone."""
    if judged == 1:
        return (1.0,)
    return (design.primary_weight, *[(1.0 - design.primary_weight) / (judged - 1)] * (judged - 1))


def _level(
    design: Design, total: float, weight: float, fraction: float, state: Spent, ways: Relabellings | None
) -> tuple[float, Spent]:
    """Level of this look and the state after it. A look that cannot reach its level spends nothing."""
    level, after = look(design.spending, total, fraction, state)
    if ways is None or ways.smallest_p > weight * level + SLACK:
        return 0.0, idle(fraction, state)
    return level, after


def _with_spared(
    design: Design, release: str, names: tuple[str, ...], harms: list[Floats], kept: list[int], given: int
) -> list[Crossings]:
    """The same test with every control that was left out at the least harm of any control: against a pass."""
    if len(kept) == len(names):
        return []
    ways = _ways(design, release, names, list(range(len(names))), given)
    controls = [k for k in kept if k >= given]
    return [crossings(np.where(np.isnan(harm), harm[controls].min(), harm), given, ways) for harm in harms]


def _evidence(
    design: Design,
    found: list[Crossings],
    worst: list[Crossings],
    weights: tuple[float, ...],
    level: float,
    beta_level: float,
    ways: Relabellings,
) -> tuple[Evidence, ...]:
    p = [c.p_above(metric.margin) for metric, c in zip(design.metrics, found, strict=True)]
    adjusted = holm(p[: len(weights)], weights)
    every = []
    for k, (metric, seen) in enumerate(zip(design.metrics, found, strict=True)):
        is_judged = k < len(weights)
        both = [seen, worst[k]] if worst else [seen]
        every.append(
            Evidence(
                metric,
                seen.estimate,
                seen.lower_bound(level),
                max(c.upper_bound(beta_level) for c in both),
                p[k],
                adjusted[k] if is_judged else 1.0,
                max(c.p_below(metric.margin) for c in both),
                min(1.0, ways.smallest_p / weights[k]) if is_judged else 1.0,
                is_judged,
            )
        )
    return tuple(every)


def _decide(
    evidence: tuple[Evidence, ...], blocks: Notes, level: float, beta_level: float
) -> tuple[Outcome, tuple[tuple[Finding, str], ...]]:
    """Fail on harm that is shown; pass where nothing stands against it and every bound is below its margin."""
    judged = [e for e in evidence if e.judged]
    harmed = [e for e in judged if e.adjusted_p <= level + SLACK]
    if level > 0.0 and harmed:
        shown = tuple(
            (Finding.HARM_SHOWN, f"{e.metric.name} {e.estimate:.6g} {e.metric.unit}, margin {e.metric.margin:g}")
            for e in harmed
        )
        return Outcome.FAIL, (*shown, *blocks)
    open_ = [e.metric.name for e in judged if not (beta_level > 0.0 and e.p_harm <= beta_level + SLACK)]
    if judged and not open_ and not blocks:
        return Outcome.PASS, ((Finding.HARM_BOUNDED, ", ".join(e.metric.name for e in judged)),)
    if open_:
        blocks = [*blocks, (Finding.NOT_BOUNDED, ", ".join(open_))]
    return Outcome.INCONCLUSIVE, tuple(blocks)
