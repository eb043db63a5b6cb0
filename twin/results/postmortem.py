"""What a run teaches: did the canary land right, was shutdown late, which flag stayed too long, who did what in time.

Pure functions of a run's tables. A finding is an answer, the sentence for it and the figures that the sentence has.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from twin.results.incident import NEAR
from twin.results.kinds import EventKind
from twin.results.troubles import held_flags, racks_of, racks_of_service, troubles
from twin.results.wording import clock, count, duration, gpu_hours, listed, number

DEVICE_MAX, DEVICE_MEAN = "device_temperature_celsius_max", "device_temperature_celsius_mean"
LIKE = 2.0  # K from the median of the other racks: a canary rack like them
BEFORE = 600.0  # s before a canary has its release, over which racks are compared
EARLY = 5.0  # K below its slowdown at most in the minutes before: an order to shut down that could have waited
LATELY = 300.0  # s of "in the minutes before"
OVERSTAY = 60.0  # s that a flag may stay once what it was set for is over


@dataclass(frozen=True)
class Finding:
    """One answer about a release, a rack or a flag; ``figures`` are those of the sentence."""

    about: str
    answer: str
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def canaries(events: pd.DataFrame, rollouts: pd.DataFrame, racks: pd.DataFrame, series: pd.DataFrame) -> list[Finding]:
    """For each release, whether its canary racks were like the others, and whether its verdict was about the build.

    ``series`` has time_seconds, name and the mean device temperature [°C] of every rack and interval.
    """
    found = []
    for row in rollouts.to_dict("records"):
        names = [name for name in str(row["canaries"]).split(",") if name]
        if not names or pd.isna(row["canary_seconds"]):
            found.append(Finding(row["release"], "no canary", f"No rack had {row['release']} as a canary."))
            continue
        begun = float(row["canary_seconds"])
        found.append(_canary(row, names, begun, events, racks, series))
    return found


def _canary(
    row: Mapping[Any, Any],
    names: list[str],
    begun: float,
    events: pd.DataFrame,
    racks: pd.DataFrame,
    series: pd.DataFrame,
) -> Finding:
    spoken = row["seconds_to_verdict"]
    ended = begun + float(spoken) if not pd.isna(spoken) else float(row["ended_seconds"])
    known = series[(series["time_seconds"] >= begun - BEFORE) & (series["time_seconds"] < begun)]
    mean = known.groupby("name")[DEVICE_MEAN].mean()
    others = mean[[name for name in racks["name"] if name in mean.index and name not in names]]
    mine = mean[[name for name in names if name in mean.index]]
    gap = float(mine.mean() - others.median()) if len(mine) and len(others) else None
    loops = set(racks.loc[racks["name"].isin(names), "loop"])
    rows = set(racks.loc[racks["name"].isin(names), "row"])
    near = [
        each
        for each in troubles(events)
        if each.cools_less
        and each.touches({*names, *loops, *rows})
        and each.begun <= (ended if ended == ended else begun)
        and (each.ended is None or each.ended >= begun)
    ]
    verdict, outcome = str(row["verdict"] or "none"), str(row["outcome"])
    where = "" if gap is None else _gap(gap)
    told = f"Canaries {listed(names)}{where} {'had no verdict' if verdict == 'none' else f'were judged {verdict}'}"
    told += "" if pd.isna(spoken) else f" after {duration(float(spoken))}"
    told += f"; the rollout is {outcome}." if outcome in ("held", "running") else f"; it was {outcome}."
    stopped = outcome in ("rolled back", "held") or verdict == "fail"
    if near and stopped:
        answer = "not about the build"
        what = f"{near[0].kind.replace('_', ' ')} on {near[0].name} from {clock(near[0].begun)}"
        told += f" Their cooling was not sound then ({what}): what they showed does not speak of the build."
    elif verdict == "pass" and outcome in ("rolled back", "held"):
        answer = "did not tell"
        told += f" What stopped it was not seen on canaries: {row['reason']}."
    elif gap is not None and abs(gap) > LIKE:
        answer = "on a warm rack" if gap > 0 else "on a cool rack"
        hides = "blames the build for the rack" if gap > 0 else "hides what the build costs"
        told += f" They were not like the others: such a canary {hides}."
    elif stopped:
        answer = "landed right"
        told += f" They were like the others, and their cooling was sound: {row['reason']}."
    else:
        answer = "landed right"
        told += " They were like the others, and nothing spoke against the build."
    figures = {
        "canaries": names, "gap_kelvin": gap, "verdict": verdict, "outcome": outcome,
        "seconds_to_verdict": None if pd.isna(spoken) else float(spoken),
        "troubles": [f"{each.kind} {each.name} {clock(each.begun)}" for each in near],
        "throttled_gpu_seconds": row["canary_throttled_gpu_seconds"],
    }  # fmt: skip
    return Finding(str(row["release"]), answer, told, figures)


def _gap(gap: float) -> str:
    if abs(gap) < 0.05:
        return ", as warm as the median of the others before,"
    return f", {abs(gap):.1f} K {'warmer' if gap > 0 else 'cooler'} than the median of the others before,"


def shutdowns(events: pd.DataFrame, racks: pd.DataFrame, series: pd.DataFrame) -> list[Finding]:
    """For each rack that was shut down, or that shut itself down, whether the order came in time.

    ``series`` has time_seconds, name and the highest device temperature [°C] of every rack and interval.
    """
    found = []
    limits = racks.set_index("name")["slowdown_celsius"]
    for name in racks["name"]:
        mine = events[events["name"] == name].sort_values(["time_seconds", "event"])
        first = {
            kind: _first(mine, kind)
            for kind in (EventKind.SLOWDOWN_ON, EventKind.DEVICE_SHUTDOWN, EventKind.RACK_SHUT_DOWN)
        }
        slow, device, order = first.values()
        if device is None and order is None:
            continue
        until = min(each for each in (device, order) if each is not None)
        peak = _peak(series, str(name), until)
        margin = None if pd.isna(limits[name]) or peak is None else float(limits[name]) - peak
        figures = {
            "first_slowdown_seconds": slow, "device_shutdown_seconds": device, "order_seconds": order,
            "peak_celsius": peak, "margin_kelvin": margin,
        }  # fmt: skip
        left = "" if slow is None or slow > until else f", {duration(until - slow)} after its first slowdown"
        if device is not None and (order is None or order > device):
            wait = "and no order came" if order is None else f"the order came {duration(order - device)} later"
            sentence = f"Devices of {name} shut themselves down at {clock(device)}{left}; {wait}."
            found.append(Finding(str(name), "never ordered" if order is None else "too late", sentence, figures))
            continue
        assert order is not None
        hot = "" if peak is None else f"; its hottest device had reached {peak:.1f} °C"
        sentence = f"{name} was ordered down at {clock(order)}{left}{hot}"
        early = margin is not None and margin > EARLY
        if margin is not None:
            sentence += f", {abs(margin):.1f} K {'below' if margin >= 0 else 'above'} its slowdown"
        found.append(Finding(str(name), "too early" if early else "in time", f"{sentence}.", figures))
    return found


def _first(events: pd.DataFrame, kind: EventKind) -> float | None:
    times = events.loc[events["kind"] == kind, "time_seconds"]
    return None if times.empty else float(times.iloc[0])


def _peak(series: pd.DataFrame, name: str, until: float) -> float | None:
    """Hottest device of a rack in the minutes before a time, the interval of it included."""
    rows = series[(series["name"] == name) & (series["time_seconds"].between(until - LATELY, until))]
    peak = rows[DEVICE_MAX].max()
    return None if pd.isna(peak) else float(peak)


def flags(
    events: pd.DataFrame, racks: pd.DataFrame, jobs: pd.DataFrame, series: pd.DataFrame, ended: float
) -> list[Finding]:
    """How long each flag stayed once what it was set for was over, the longest first.

    A place's condition is over when its racks have no trouble of cooling or power left and none has a device within
    NEAR of its slowdown. A service's racks are those that its replicas held meanwhile. ``series`` is that of
    :func:`shutdowns`; ``ended`` [s] is the end of the run.
    """
    found = []
    all_troubles = [each for each in troubles(events) if each.kind != EventKind.TELEMETRY_LOST]
    limits = racks.set_index("name")["slowdown_celsius"]
    step = float(series["time_seconds"].drop_duplicates().sort_values().diff().min()) if len(series) else 0.0
    hot = series[series[DEVICE_MAX] >= series["name"].map(limits) - NEAR]
    for held in held_flags(events):
        until = ended if held.ended is None else held.ended
        if held.level == "service":
            mine: Collection[str] = racks_of_service(events, jobs, held.name, held.begun - LATELY, until)
        else:
            mine = racks_of(racks, held.level, held.name)
        places = {*mine, *racks.loc[racks["name"].isin(mine), "loop"], *racks.loc[racks["name"].isin(mine), "row"]}
        near = hot[hot["name"].isin(mine) & (hot["time_seconds"] < until)]["time_seconds"] + step
        ends = [min(float(end), until) for end in near if end > held.begun - LATELY]
        for each in all_troubles:
            if each.touches(places) and each.begun < until and (each.ended is None or each.ended > held.begun - LATELY):
                ends.append(until if each.ended is None else min(each.ended, until))
        over = max(ends, default=None)
        where = "the hall" if held.level == "hall" else f"{held.level} {held.name.removeprefix(held.level + ' ')}"
        by = f" by {held.by}" if held.by else ""
        until_words = "still set at the end of the run" if held.ended is None else f"cleared at {clock(until)}"
        about = f"{held.flag} = {held.variant} for {where}"
        told = f"{about}, set{by} at {clock(held.begun)}, was {until_words}"
        figures = {
            "flag": held.flag,
            "place": held.name,
            "set_seconds": held.begun,
            "cleared_seconds": held.ended,
            "condition_over_seconds": over,
            "overstay_seconds": None if over is None else until - over,
        }
        if over is None:
            answer, told = "no condition seen", f"{told}; its racks were neither hot nor in trouble."
        elif until - over > OVERSTAY:
            answer = "too long"
            told += f", {duration(until - over)} after its racks were cool and out of trouble ({clock(over)})."
        else:
            answer, told = "in time", f"{told}, with its condition."
        found.append(Finding(about, answer, told, figures))
    order = {"too long": 0, "no condition seen": 1, "in time": 2}
    return sorted(found, key=lambda each: (order[each.answer], -(each.figures["overstay_seconds"] or 0.0)))


def classes(racks: pd.DataFrame, jobs: pd.DataFrame) -> list[dict[str, Any]]:
    """Throttled, delivered and lost GPU-seconds by rack class, and per GPU of it.

    Work counts for the racks that its job ran on last, in equal parts; ``not placed`` has that of jobs that never ran.
    """
    known = racks["rack_class"].fillna("") if "rack_class" in racks else pd.Series("", index=racks.index)
    class_of = dict(zip(racks["name"], known, strict=True))
    work: dict[str, dict[str, float]] = {
        name: {"delivered": 0.0, "lost": 0.0} for name in dict.fromkeys([*known, "not placed"])
    }
    for job in jobs.to_dict("records"):
        names = [name for name in str(job["racks"] or "").split(",") if name in class_of]
        for name in [class_of[name] for name in names] or ["not placed"]:
            share = 1.0 / max(1, len(names))
            work[name]["delivered"] += share * float(job["delivered_gpu_seconds"])
            work[name]["lost"] += share * float(job["lost_gpu_seconds"])
    found = []
    for name, amounts in work.items():
        of = racks[known == name]
        gpus = int(of["gpus"].sum())
        if gpus or amounts["delivered"] or amounts["lost"]:
            throttled = float(of["throttled_gpu_seconds"].sum())
            found.append(_line(name or "unnamed", gpus, throttled, amounts["delivered"], amounts["lost"]))
    return found


def workloads(jobs: pd.DataFrame) -> list[dict[str, Any]]:
    """The same by kind of job; its GPUs are those that its jobs ask for."""
    found = []
    for kind, group in jobs.groupby("kind", sort=True):
        throttled = float(group["throttled_gpu_seconds"].fillna(0.0).sum()) if "throttled_gpu_seconds" in group else 0.0
        delivered, lost = (float(group[f"{what}_gpu_seconds"].sum()) for what in ("delivered", "lost"))
        found.append(_line(str(kind), int(group["gpus"].sum()), throttled, delivered, lost))
    return found


def _line(name: str, gpus: int, throttled: float, delivered: float, lost: float) -> dict[str, Any]:
    return {
        "name": name,
        "gpus": gpus,
        "throttled_gpu_seconds": throttled,
        "delivered_gpu_seconds": delivered,
        "lost_gpu_seconds": lost,
        "throttled_per_delivered": throttled / delivered if delivered else None,
        "lost_per_delivered": lost / delivered if delivered else None,
    }


def compared(lines: Sequence[Mapping[str, Any]], what: str) -> str:
    """Which of several lost or throttled most for what it delivered, in a sentence."""
    asked = [line for line in lines if line["delivered_gpu_seconds"] > 0.0]
    if len(asked) < 2:
        return ""
    told = []
    for key, words in (("throttled_per_delivered", "throttled"), ("lost_per_delivered", "lost")):
        worst = max(asked, key=lambda line: line[key])
        if worst[key] > 0.0:
            told.append(f"{worst['name']} {words} most for what it delivered ({number(100.0 * worst[key])} %)")
    return f"Of {what}, {' and '.join(told)}." if told else f"No {what} lost or throttled anything."


def summary(findings: Sequence[Finding], one: str) -> str:
    """How many of what had which answer: ``4 racks: 3 too late, 1 in time``."""
    if not findings:
        return f"No {one} to judge."
    answers = [each.answer for each in findings]
    told = [f"{answers.count(answer)} {answer}" for answer in dict.fromkeys(answers)]
    return f"{count(len(findings), one).capitalize()}: {', '.join(told)}."


def amounts(line: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """A line of a comparison as people read it."""
    return (
        str(line["name"]),
        f"{line['gpus']:,}",
        gpu_hours(line["delivered_gpu_seconds"]),
        gpu_hours(line["throttled_gpu_seconds"]),
        gpu_hours(line["lost_gpu_seconds"]),
    )
