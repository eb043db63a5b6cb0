"""The three figures of a study: who tells the truth, for which sizes, and at what risk. Intervals are of 95 %."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twin.results.drawing import ALARM, COOL, DARK, MIDDLE, PALE, new_figure, quiet, settle, style

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TALLEST = 4.2  # inches


def figures(strategies: pd.DataFrame, sizes: pd.DataFrame) -> dict[str, Figure]:
    """Figures by the names of their files."""
    with style():
        made = {
            "accuracy": accuracy_figure(strategies),
            "sizes": sizes_figure(sizes),
            "risk": risk_figure(strategies),
        }
        for figure in made.values():
            settle(figure)
    return made


def accuracy_figure(strategies: pd.DataFrame) -> Figure:
    """Balanced accuracy, all builds and without borderline ones, and its difference to random."""
    figure = new_figure(TALLEST)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    at = np.arange(len(strategies))[::-1]
    for shift, key, marker, colour, said in (
        (0.14, "balanced_accuracy", "o", DARK, "all builds"),
        (-0.14, "clear_balanced_accuracy", "s", COOL, "without borderline builds"),
    ):
        value = strategies[key]
        ends = [value - strategies[f"{key}_low"], strategies[f"{key}_high"] - value]
        left.errorbar(value, at + shift, xerr=ends, fmt=marker, color=colour, capsize=3, markersize=5, label=said)
    left.axvline(0.5, color=MIDDLE, linestyle=":", linewidth=1.0)
    left.axvline(0.9, color=ALARM, linestyle="--", linewidth=1.0)
    left.annotate("chance", (0.5, at[0] + 0.55), color=MIDDLE, ha="center", fontsize=8, annotation_clip=False)
    left.annotate("0.9", (0.9, at[0] + 0.55), color=ALARM, ha="center", fontsize=8, annotation_clip=False)
    left.set(xlabel="balanced accuracy [1]", xlim=(0.4, 1.02), yticks=at, yticklabels=strategies["strategy"])
    left.set_title("How often the verdict agrees with the truth", pad=18)
    left.grid(axis="x", color=PALE, linewidth=0.6)
    left.legend(loc="lower left")
    if "difference" in strategies:
        known = strategies["difference"].notna().to_numpy()
        value = strategies["difference"][known]
        ends = [value - strategies["difference_low"][known], strategies["difference_high"][known] - value]
        right.errorbar(value, at[known], xerr=ends, fmt="o", color=DARK, capsize=3, markersize=5)
    right.axvline(0.0, color=MIDDLE, linewidth=1.0)
    right.set(xlabel="balanced accuracy less that of random [1]", yticks=at, yticklabels=[])
    right.set_ylim(left.get_ylim())
    right.set_title("Against random, the same builds", pad=18)
    right.grid(axis="x", color=PALE, linewidth=0.6)
    return figure


def sizes_figure(sizes: pd.DataFrame) -> Figure:
    """Share of verdicts that are right, by the size of the effect over its margin; a panel per strategy."""
    names = list(dict.fromkeys(sizes["strategy"]))
    figure = new_figure(TALLEST)
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    for axes, name in zip(panels, names, strict=True):
        mine = sizes[sizes["strategy"] == name]
        ends = [mine["accuracy"] - mine["accuracy_low"], mine["accuracy_high"] - mine["accuracy"]]
        axes.axvspan(0.5, 1.5, color=PALE, alpha=0.5, linewidth=0)
        axes.axvline(1.0, color=MIDDLE, linestyle=":", linewidth=1.0)
        axes.errorbar(mine["size_median"], mine["accuracy"], yerr=ends, fmt="o", color=DARK, capsize=2, markersize=4)
        axes.set(title=name, ylim=(0.0, 1.04), xlim=(-0.6, 2.1))
        quiet(axes)
    panels[0].set_ylabel("share of verdicts that are right [1]")
    figure.supxlabel("size of the effect over the one at the margin [1]; shaded: within ±50 %", fontsize=9)
    return figure


def risk_figure(strategies: pd.DataFrame) -> Figure:
    """What a canary costs the racks it runs on, against how often it tells the truth."""
    figure = new_figure(TALLEST)
    axes = figure.subplots()
    for marker, (_, row) in zip(MARKERS, strategies.iterrows(), strict=False):
        low, high = row["balanced_accuracy_low"], row["balanced_accuracy_high"]
        centre = row["balanced_accuracy"]
        axes.errorbar(
            row["canary_throttled_gpu_seconds"], centre, yerr=[[centre - low], [high - centre]], fmt=marker, capsize=3,
            color=ALARM if row["strategy"] == "random" else DARK, markersize=7, label=row["strategy"], alpha=0.85,
        )  # fmt: skip
    axes.set(
        xlabel="GPU-seconds throttled on canary racks, mean of all builds", ylabel="balanced accuracy [1]",
        title="Risk that the canary takes, against how often it tells the truth",
    )  # fmt: skip
    axes.margins(x=0.12)
    quiet(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
