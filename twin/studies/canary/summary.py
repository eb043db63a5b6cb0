"""What a study found, in words and tables of Markdown."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from twin.results.wording import markdown_table
from twin.studies.canary.explain import Why
from twin.studies.canary.settings import CanaryStudy
from twin.studies.canary.strategies import REFERENCE, by_group
from twin.studies.canary.study import Found

ALPHA = 0.05  # of the test against canaries at random, by Holm over strategies
COLUMNS = (
    "strategy", "balanced accuracy", "less random", "false positives", "false negatives", "inconclusive", "MCC",
    "without borderline", "without inconclusive", "min to verdict", "throttled GPU-s",
)  # fmt: skip


def spread(row: Mapping[str, Any], key: str, digits: int = 2) -> str:
    """A figure with its interval."""
    value, low, high = (float(row.get(k, math.nan)) for k in (key, f"{key}_low", f"{key}_high"))
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(low):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by the names of the columns."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def lines(strategies: pd.DataFrame) -> list[tuple[str, ...]]:
    """The table of strategies as text, a row each, by :data:`COLUMNS`."""
    found: list[tuple[str, ...]] = []
    for row in rows_of(strategies):
        good = row["false_positives"] + row["true_negatives"]
        bad = row["true_positives"] + row["false_negatives"]
        found.append(
            (
                str(row["strategy"]), spread(row, "balanced_accuracy"), spread(row, "difference"),
                f"{row['false_positives']} of {good}: {spread(row, 'false_positive_rate')}",
                f"{row['false_negatives']} of {bad}: {spread(row, 'false_negative_rate')}",
                spread(row, "inconclusive_share"), f"{row['mcc']:.2f}", spread(row, "clear_balanced_accuracy"),
                spread(row, "told_balanced_accuracy"), f"{row['seconds_to_verdict_median'] / 60.0:.0f}",
                f"{row['canary_throttled_gpu_seconds']:.1f}",
            )
        )  # fmt: skip
    return found


def conclusion(strategies: pd.DataFrame) -> list[str]:
    """The finding, as sentences that the figures bear."""
    rows = [row for row in rows_of(strategies) if math.isfinite(row["balanced_accuracy"])]
    if not rows:
        return ["Too few good or too few bad builds to tell which strategy tells the truth."]
    best = max(rows, key=lambda row: (row["balanced_accuracy"], row["strategy"] == "random"))
    said = [
        f"Best of {len(rows)}: {best['strategy']}, balanced accuracy {spread(best, 'balanced_accuracy')}: "
        + ("0.9 or more." if best["balanced_accuracy"] >= 0.9 else "below 0.9.")
    ]
    if best["strategy"] == REFERENCE:
        said.append("No strategy tells the truth more often than canaries at random.")
    elif "difference" in strategies:
        apart = best["mcnemar_p_adjusted"] <= ALPHA
        said.append(
            f"Its difference to random on the same builds is {spread(best, 'difference', 3)}, "
            f"{int(best['only_this_right'])} builds told right by it alone and {int(best['only_random_right'])} by "
            f"random alone (McNemar, p {best['mcnemar_p']:.3g}; by Holm over strategies "
            f"{best['mcnemar_p_adjusted']:.3g}): " + ("zero is excluded." if apart else "zero is not excluded.")
        )
    return said


def summary(study: CanaryStudy, found: Found, strategies: pd.DataFrame) -> str:
    """The whole summary."""
    builds = found.builds
    near = float(builds["near"].mean())
    counts = builds["truth"].value_counts()
    near_harm = ((builds["harm_margins"] >= 0.5) & (builds["harm_margins"] <= 1.5)).mean()
    text = [
        "# Does the canary tell the truth?",
        "",
        *conclusion(strategies),
        "",
        f"{len(builds)} builds in {len(study.mixes)} workload mixes × {len(study.states)} thermal states, truth in "
        f"{study.worlds} worlds each: {counts.get('good', 0)} good, {counts.get('bad', 0)} bad, "
        f"{counts.get('borderline', 0)} borderline (worlds disagree). {near:.0%} have an effect within "
        f"±50 % of the one at the margin; harm itself is within ±50 % of the margin for {near_harm:.0%}. A build that "
        "is not promoted counts as called bad, inconclusive ones among them; intervals are of 95 %.",
        "",
        markdown_table(COLUMNS, lines(strategies)),
        "",
        "## Errors by cause",
        "",
        markdown_table(
            ("strategy", *map(str, Why)),
            [(str(r["strategy"]), *(str(r[f"errors: {why}"]) for why in Why)) for r in rows_of(strategies)],
        ),
        "",
    ]
    for column in ("kind", "state", "mix"):
        table = by_group(found.verdicts, column)
        text += [
            f"## By {column}",
            "",
            markdown_table(
                ("strategy", column, "good", "false positives", "bad", "false negatives"),
                [
                    (
                        str(r["strategy"]),
                        str(r[column]),
                        str(r["good"]),
                        str(r["false_positives"]),
                        str(r["bad"]),
                        str(r["false_negatives"]),
                    )
                    for r in table.to_dict("records")
                ],
            ),
            "",
        ]
    if found.failed:
        text += [
            "## Episodes that failed",
            "",
            *(f"* {' '.join(each.key)}: {each.failed}" for each in found.failed),
            "",
        ]
    return "\n".join(text)
