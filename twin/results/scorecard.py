"""How a rehearsed team did: steps by outcome, in all and by role. Pure functions of the table ``scorecard``."""

from typing import Any

import pandas as pd

from twin.results.wording import clock, duration

#: outcomes in the order in which they are told: the last two are nobody's fault, or asked of nobody
OUTCOMES = ("met", "late", "missed", "open", "not called for", "unasked")
HEADINGS = ("step", "role", "called for", "due", "done", "outcome")


def by_outcome(scorecard: pd.DataFrame) -> dict[str, Any]:
    """Steps by outcome, and under ``by_role`` the same for each role that has any, by name."""
    outcomes = scorecard["outcome"] if len(scorecard) else pd.Series(dtype=str)
    roles = sorted(set(scorecard["role"])) if len(scorecard) else []
    return {
        **_counts(outcomes),
        "by_role": {role: _counts(outcomes[scorecard["role"] == role]) for role in roles},
    }


def _counts(outcomes: pd.Series) -> dict[str, int]:
    return {outcome.replace(" ", "_"): int((outcomes == outcome).sum()) for outcome in OUTCOMES}


def lines(scorecard: pd.DataFrame) -> list[tuple[str, str, str, str, str, str]]:
    """Each row as people read it: step, role, when it was called for, due and done, and the outcome with its reason."""
    return [
        (
            _step(row),
            row["role"].replace("_", " "),
            _time(row["called_seconds"]),
            _time(row["due_seconds"]),
            _time(row["done_seconds"]),
            row["outcome"] + _why(row),
        )
        for row in scorecard.to_dict("records")
    ]


def sentence(scorecard: pd.DataFrame) -> str:
    """The scorecard in a sentence: ``3 of 5 steps met, 1 late, 1 missed``."""
    found = by_outcome(scorecard)
    asked = sum(found[key] for key in ("met", "late", "missed"))
    words = [f"{found['met']} of {asked} steps met their deadline"]
    words += [f"{found[key.replace(' ', '_')]} {key}" for key in OUTCOMES[1:] if found[key.replace(" ", "_")]]
    return ", ".join(words)


def _step(row: dict[Any, Any]) -> str:
    place = "" if row["target"] == "hall" else f" on {row['target']}"
    return f"{row['step']}{place}"


def _time(seconds: float | None) -> str:
    return "–" if seconds is None or pd.isna(seconds) else clock(seconds)


def _why(row: dict[Any, Any]) -> str:
    margin = row["margin_seconds"]
    if row["outcome"] == "met" and margin is not None and not pd.isna(margin):
        return f", {duration(margin)} to spare"
    return f": {row['detail']}" if row["detail"] else ""
