"""One row per strategy: how often it told the truth, how soon, at what risk, and why not."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from twin.policy.permutation import holm
from twin.studies.canary.explain import Why
from twin.studies.canary.tally import balanced_difference, balanced_interval, confusion, mcnemar, rate
from twin.studies.intervals import Interval

REFERENCE = "random"
BINS = (-np.inf, 0.5, 0.8, 1.0, 1.25, 1.5, 2.0, np.inf)  # of sizes


def strategies_table(verdicts: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Figures of every strategy over the same builds, with intervals as columns ``…_low`` and ``…_high``.

    Without an affix all builds count, borderline ones by the median of their worlds, and *inconclusive* is *not
    promoted*. ``clear_`` leaves borderline builds out, ``told_`` leaves inconclusive verdicts out. ``difference_`` is
    to ``random`` on the same builds; its p values are Holm's over the strategies.
    """
    rows = []
    order = list(dict.fromkeys(verdicts["strategy"]))
    wide = {name: verdicts[verdicts["strategy"] == name].set_index("build") for name in order}
    common = sorted(set.intersection(*(set(each.index) for each in wide.values())))
    for name in order:
        mine = wide[name].loc[common]
        bad, called = mine["bad"].to_numpy(bool), ~mine["promoted"].to_numpy(bool)
        clear, told = ~mine["borderline"].to_numpy(bool), (mine["verdict"] != "inconclusive").to_numpy(bool)
        counts, clear_counts, told_counts = (
            confusion(bad, called), confusion(bad[clear], called[clear]), confusion(bad[told], called[told])
        )  # fmt: skip
        seconds = mine["seconds_to_verdict"].dropna()
        row: dict[str, Any] = {
            "strategy": name, "builds": len(mine), "bad": int(bad.sum()), "borderline": int((~clear).sum()),
            "true_positives": counts.true_positives, "false_negatives": counts.false_negatives,
            "false_positives": counts.false_positives, "true_negatives": counts.true_negatives,
            **_interval("balanced_accuracy", balanced_interval(bad, called)), "mcc": counts.mcc,
            "accuracy": counts.accuracy, **_interval("false_positive_rate", counts.false_positive_rate),
            **_interval("false_negative_rate", counts.false_negative_rate),
            **_interval("inconclusive_share", rate(int((~told).sum()), len(mine))),
            **_interval("clear_balanced_accuracy", balanced_interval(bad[clear], called[clear])),
            "clear_mcc": clear_counts.mcc,
            **_interval("told_balanced_accuracy", balanced_interval(bad[told], called[told])),
            "told_mcc": told_counts.mcc,
            "seconds_to_verdict_median": float(seconds.median()) if len(seconds) else np.nan,
            "seconds_to_verdict_p90": float(seconds.quantile(0.9)) if len(seconds) else np.nan,
            "canary_throttled_gpu_seconds": float(mine["throttled_gpu_seconds"].mean()),
            "canary_late_requests": float(mine["late_requests"].mean()),
            "canary_failed_requests": float(mine["failed_requests"].mean()),
            "canary_trips": float(mine["trips"].mean()),
        }  # fmt: skip
        for cause in Why:
            row[f"errors: {cause}"] = int((mine["cause"] == str(cause)).sum())
        if REFERENCE in wide and name != REFERENCE:
            reference = ~wide[REFERENCE].loc[common]["promoted"].to_numpy(bool)
            row |= _interval("difference", balanced_difference(bad, called, reference, seed))
            row["only_this_right"], row["only_random_right"], row["mcnemar_p"] = mcnemar(bad, called, reference)
        rows.append(row)
    table = pd.DataFrame(rows)
    if "mcnemar_p" in table:
        known = table["mcnemar_p"].notna()
        table.loc[known, "mcnemar_p_adjusted"] = holm(table.loc[known, "mcnemar_p"].tolist())
    return table


def by_size(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Share of verdicts that are right by the size of the effect, with exact intervals."""
    rows = []
    for name, mine in verdicts.groupby("strategy", sort=False):
        for low, high in pairwise(BINS):
            inside = mine[(mine["size"] >= low) & (mine["size"] < high)]
            if len(inside):
                found = rate(int(inside["right"].sum()), len(inside))
                rows.append(
                    {
                        "strategy": name, "size_low": low, "size_high": high, "size_median": inside["size"].median(),
                        "builds": len(inside), **_interval("accuracy", found),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def by_group(verdicts: pd.DataFrame, column: str) -> pd.DataFrame:
    """False positives and false negatives of every strategy by kind of build, mix or state."""
    rows = []
    for (name, group), mine in verdicts.groupby(["strategy", column], sort=False):
        bad, called = mine["bad"].to_numpy(bool), ~mine["promoted"].to_numpy(bool)
        counts = confusion(bad, called)
        rows.append(
            {
                "strategy": name, column: group, "good": int((~bad).sum()), "bad": int(bad.sum()),
                "false_positives": counts.false_positives, "false_negatives": counts.false_negatives,
                "balanced_accuracy": counts.balanced_accuracy,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _interval(name: str, found: Interval) -> dict[str, float]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
