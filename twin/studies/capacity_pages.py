"""A capacity for people: sentences, and the figure of risk against the axis with its intervals."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from twin.results.drawing import DARK, MIDDLE, new_figure, quiet, style
from twin.studies.axes import AXES
from twin.studies.capacity import RISKS, Capacity, Gain, Plan, Verdict

MARKERS = ("o", "s", "^", "D", "v", "P")
INKS = (DARK, "#8c8c8c", "#4d4d4d", "#b3b3b3", "#666666", "#999999")


def shown(value: float) -> str:
    """A value on an axis."""
    return "–" if math.isnan(value) else f"{value:g}"


def sentence(plan: Plan, found: Capacity) -> str:
    """What a policy bears, in words."""
    axis = AXES[plan.axis]
    refused = f"; some values cannot be run: {found.refusals[0]}" if found.refusals else ""
    most = f"{shown(found.safe)} {axis.unit}"
    unsafe = "nothing shown unsafe" if math.isnan(found.unsafe) else f"{shown(found.unsafe)} shown unsafe"
    if math.isnan(found.safe):
        return f"{found.policy}: not even {plan.values[0]:g} {axis.unit} shown safe, {unsafe}{refused}"
    if math.isnan(found.unsafe):
        return f"{found.policy}: {most} shown safe, and nothing up to {plan.values[-1]:g} shown unsafe{refused}"
    return f"{found.policy}: {most} shown safe, {shown(found.unsafe)} shown unsafe{refused}"


def gain_sentence(plan: Plan, found: Gain) -> str:
    """How much more one policy bears than another, in words, with what is certain of it."""
    axis = AXES[plan.axis]
    if math.isnan(found.estimate):
        return f"{found.policy} against {found.baseline}: cannot be told, one of them is nowhere shown safe"
    word = "more" if found.estimate >= 0.0 else "less"
    low = "–∞" if math.isnan(found.low) else f"{found.low:+g}"
    high = "∞" if math.isnan(found.high) else f"{found.high:+g}"
    span = f"between {low} and {high}".replace("-", "−")
    return f"{found.policy} bears {abs(found.estimate):g} {axis.unit} {word} than {found.baseline} ({span})"


def risk_figure(plan: Plan, found: Sequence[Capacity]) -> Figure:
    """A panel per limit: the share of runs that break it against the axis, with exact intervals, policy by policy.

    A filled mark is a point that is shown safe or unsafe, a hollow one is open.
    """
    axis = AXES[plan.axis]
    panels = [
        index
        for index in range(len(RISKS))
        if any(point.broken[index] for capacity in found for point in capacity.points)
    ] or [0]
    shift = axis.step * 0.16
    with style():
        figure = new_figure(1.2 + 2.3 * len(panels))
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for axes, index in zip(grid, panels, strict=True):
            quiet(axes)
            axes.axhline(plan.limits.risk, color=MIDDLE, linestyle="--", linewidth=1.0)
            axes.axvline(plan.own, color=MIDDLE, linestyle=":", linewidth=1.0)
            for number, capacity in enumerate(found):
                ink, marker = INKS[number % len(INKS)], MARKERS[number % len(MARKERS)]
                aside = shift * (number - (len(found) - 1) / 2.0)
                told = [point for point in capacity.points if point.runs]
                axes.plot(
                    [point.value + aside for point in told],
                    [point.broken[index] / point.runs for point in told],
                    color=ink, linewidth=0.8, marker=marker, markersize=0.1,
                )  # fmt: skip
                for point in told:
                    share = point.interval(index, plan.level)
                    axes.plot([point.value + aside] * 2, [share.low, share.high], color=ink, linewidth=1.6)
                    clear = point.verdict is not Verdict.OPEN
                    axes.plot(
                        point.value + aside, share.estimate, marker, color=ink, markersize=6.5,
                        markerfacecolor=ink if clear else "white",
                    )  # fmt: skip
                axes.plot([], [], marker=marker, color=ink, label=capacity.policy)
            axes.set_ylim(-0.03, 1.03)
            axes.set_ylabel("share of runs")
            axes.set_title(f"Runs with {_title(plan, index)}")
        grid[-1].set_xlabel(f"{axis.name}, {axis.unit}")
        right = f"dashed: allowed, {plan.limits.risk:.0%}; dotted: the hall as it is; hollow: open"
        figure.legend(
            *grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=len(found) or 1, title=right,
            alignment="left", title_fontsize=8.5,
        )  # fmt: skip
    return figure


def _title(plan: Plan, risk: int) -> str:
    if risk == 0:
        return "a breaker trip"
    if risk == 1:
        return f"throttling above {100 * plan.limits.throttled:g} % of delivered GPU-seconds"
    return f"latency misses above {100 * plan.limits.latency:g} % of requests"
