"""What happened, as sentences: from events to stories that lead from cause to consequence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from twin.results.catalogue import EVENT_NONE
from twin.results.kinds import MEANINGS, EventKind
from twin.results.traces import Trace
from twin.results.wording import clock, count, duration, gpu_hours, listed

#: kinds that are told; the ordinary life of jobs is not news
TOLD = frozenset(EventKind) - {
    EventKind.RUN_STARTED,
    EventKind.RUN_ENDED,
    EventKind.JOB_SUBMITTED,
    EventKind.JOB_STARTED,
    EventKind.JOB_COMPLETED,
    EventKind.JOB_RENEWED,
    EventKind.CHECKPOINT_SAVED,
    EventKind.EXPECTATION_MET,
    EventKind.EXPECTATION_UNMET,
}
TOGETHER = 60.0  # seconds: like events closer than this are one step of a story
MOST_STEPS = 24
MOST_STORIES = 10


@dataclass(frozen=True)
class Step:
    """One step of a story: when, what, and because of what."""

    when: str
    what: str
    why: str  # empty for a beginning


@dataclass(frozen=True)
class Story:
    """An incident from its cause on; ``left_out`` counts steps that were not told."""

    title: str
    steps: tuple[Step, ...]
    left_out: int = 0
    traces: tuple[str, ...] = ()  # a line per root cause in it


def stories(events: pd.DataFrame, traces: Sequence[Trace] = ()) -> tuple[list[Story], int]:
    """Incidents in order of time, then what belongs to none, by root cause; and how many stories were left out.

    Each story has the ``traces`` of its root causes.
    """
    lines = {trace.root: trace.text for trace in traces}
    told = events[events["kind"].isin(TOLD)]
    causes = events[events["event"].isin(told["cause"])]
    by_id = {int(row["event"]): row for row in causes.to_dict("records")}
    found: list[tuple[float, Story]] = []
    keys = told["incident"].where(told["incident"] != EVENT_NONE, "root " + told["root"].astype(str))
    for _, group in told.groupby(keys, sort=False):
        rows = group.sort_values(["time_seconds", "event"]).to_dict("records")
        found.append((float(rows[0]["time_seconds"]), _story(rows, by_id, lines)))
    found.sort(key=lambda pair: pair[0])
    return [story for _, story in found[:MOST_STORIES]], max(0, len(found) - MOST_STORIES)


def _story(rows: list[dict[Any, Any]], by_id: Mapping[int, Mapping[Any, Any]], lines: Mapping[str, str]) -> Story:
    roots = [str(row["root"]) for row in rows if row["root"]]
    start = float(rows[0]["time_seconds"])
    title = f"{clock(start)}: {roots[0] if roots else _one(rows[0])}"
    groups: list[list[dict[Any, Any]]] = []
    newest: dict[Any, list[dict[Any, Any]]] = {}
    for row in rows:
        # trips are told one by one, for their order is the story
        key = (row["kind"], row["event"] if row["kind"] == EventKind.BREAKER_TRIP else "")
        group = newest.get(key)
        if group is None or row["time_seconds"] - group[-1]["time_seconds"] > TOGETHER:
            group = newest[key] = []
            groups.append(group)
        group.append(row)
    told = tuple(_step(group, start, by_id) for group in groups[:MOST_STEPS])
    return Story(
        title, told, len(groups) - len(told), tuple(lines[root] for root in dict.fromkeys(roots) if root in lines)
    )


def _step(group: list[dict[Any, Any]], start: float, by_id: Mapping[int, Mapping[Any, Any]]) -> Step:
    first = group[0]
    after = float(first["time_seconds"]) - start
    when = clock(first["time_seconds"]) + (f" ({duration(after)} on)" if after >= 0.05 else "")
    if len(group) == 1:
        what = _one(first) + (f" – {first['detail']}" if first["detail"] else "")
    else:
        names = list(dict.fromkeys(str(row["name"]) for row in group))
        what = MEANINGS[EventKind(first["kind"])].many.format(count=len(group)) + f": {listed(names)}"
        span = float(group[-1]["time_seconds"]) - float(first["time_seconds"])
        what += f", within {duration(span)}" if span >= 0.05 else ""
    cause = by_id.get(int(first["cause"]))
    return Step(when, what, f"because {_one(cause)}" if cause is not None else "")


def _one(row: Mapping[Any, Any]) -> str:
    return MEANINGS[EventKind(row["kind"])].one.format(name=row["name"])


def verdict(metrics: Mapping[str, Any], complete: bool) -> str:
    """The run in one or two sentences: what tripped, what throttled, what it cost, or that nothing did."""
    trips = int(metrics["breaker_trips_total"])
    slow = int(metrics["throttle_events_total"])
    off = int(metrics["shutdown_events_total"])
    if trips:
        incidents = int(metrics["breaker_incidents_total"])
        power = f"{count(trips, 'breaker trip')} in {count(incidents, 'incident')}"
    else:
        power = "No breaker tripped"
    heat = f"{count(slow, 'slowdown')} for heat" if slow else "no GPU slowed down for heat"
    heat += f" and {count(off, 'shutdown')}" if off else ""
    text = f"{power}, {heat}"
    lost = float(metrics["gpu_seconds_lost"])
    if lost > 0.0:
        causes = metrics["gpu_seconds_lost_by_cause"]
        text += f"; {gpu_hours(lost)} of work were lost"
        if causes:
            worst = max(sorted(causes), key=lambda cause: causes[cause])
            most = "all" if causes[worst] >= 0.9995 * lost else f"{100.0 * causes[worst] / lost:.0f} %"
            text += f", {most} of it through “{worst}”"
    else:
        text += ", and no work was lost"
    text += "."
    if not complete:
        text += " The run was stopped before its end: this is its beginning only."
    return text


def overloaded(breakers: pd.DataFrame) -> str:
    """Breakers that held and yet carried more than their rating, in a sentence; empty where there is none.

    A trip unit lets a fifth more than its rating pass for ever, which no planner calls margin.
    """
    ratio = breakers["current_amperes_max"] / breakers["rating_amperes"]
    over = breakers.assign(ratio=ratio)[(ratio > 1.0) & (breakers["trips"] == 0)].sort_values(
        ["ratio", "name"], ascending=[False, True]
    )
    if over.empty:
        return ""
    most = 100.0 * float(over["ratio"].iloc[0])
    return f" Above its rating without tripping: {listed(over['name'].tolist())}, up to {most:.0f} % of it."


def expectations(events: pd.DataFrame) -> list[dict[str, Any]]:
    """The scenario's expectations as the run judged them: text, met, evidence."""
    judged = events[events["kind"].isin((EventKind.EXPECTATION_MET, EventKind.EXPECTATION_UNMET))]
    return [
        {"text": row["name"], "met": row["kind"] == EventKind.EXPECTATION_MET, "evidence": row["detail"]}
        for row in judged.sort_values("event").to_dict("records")
    ]
