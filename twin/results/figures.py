"""Figures of a run: each a function of tables. Axes carry units; darkness and line style carry what colour does."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from twin.results.drawing import ALARM, COOL, DARK, MIDDLE, PALE, new_figure, quiet, style
from twin.results.grid import Grid
from twin.results.kinds import EventKind
from twin.results.measures import NEAR_MISS_FRACTION
from twin.results.wording import clock, number

#: units of the time axis: name, seconds, the shortest run that is told in it, and steps between its ticks
TIMES = (
    ("days", 86_400.0, 4.0 * 86_400.0, (1.0, 2.0, 5.0, 10.0, 30.0)),
    ("hours", 3_600.0, 2.0 * 3_600.0, (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0)),
    ("minutes", 60.0, 0.0, (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0)),
)
MOST_STEPS = 7.5  # between the first tick and the end
LINES = ("-", "--", "-.", ":")
#: columns of the time series that the timeline shows, by level
SERIES: dict[str, tuple[str, ...]] = {
    "hall": (
        *(f"power_watts_{statistic}" for statistic in ("min", "mean", "max")),
        "facility_power_watts_mean",
        "facility_water_celsius_mean",
        "room_air_celsius_mean",
        "jobs_running_mean",
        "jobs_queued_mean",
    ),
    "row": ("power_watts_mean",),
    "phase": ("current_amperes_max",),
    "rack": ("device_temperature_celsius_max",),
    "loop": ("return_temperature_celsius_max", "supply_temperature_celsius_max"),
}
MOST_ROWS = 8  # of more rows only the hall is drawn
MOST_LINES = 40  # more feeds than this are drawn as one band
NAMED = 3  # feeds with a line of their own, those with the highest currents

#: lanes of the timeline's event strip
LANES: tuple[tuple[str, tuple[EventKind, ...], str], ...] = (
    ("scenario", (EventKind.SCENARIO_ACTION, EventKind.FAULT_DRAWN), "v"),
    ("done by people", (EventKind.OPERATOR_STEP,), "P"),
    (
        "power lost",
        (
            EventKind.FEED_LOST,
            EventKind.UTILITY_LOST,
            EventKind.PHASE_LOST,
            EventKind.BREAKER_TRIP,
            EventKind.RACK_DARK,
            EventKind.BATTERY_SPENT,
        ),
        "X",
    ),
    ("cooling lost", (EventKind.PUMP_LOST, EventKind.WATER_LOST, EventKind.CHILLER_TRIPPED, EventKind.CRAH_LOST), "s"),
    ("turned down by flags", (EventKind.FLAG_SET, EventKind.RACK_SHUT_DOWN), "^"),
    ("slowed or shut down", (EventKind.SLOWDOWN_ON, EventKind.HARDWARE_SLOWDOWN_ON, EventKind.DEVICE_SHUTDOWN), "o"),
    ("jobs hit", (EventKind.JOB_REQUEUED, EventKind.JOB_KILLED, EventKind.JOB_PREEMPTED, EventKind.JOB_REFUSED), "D"),
)


def day_timeline(
    series: Mapping[str, Grid],
    events: pd.DataFrame,
    breakers: pd.DataFrame,
    *,
    warmup_seconds: float = 0.0,
    slowdown_celsius: float | None = None,
    permitted: float | None = None,
) -> Figure:
    """The run over time, panels stacked: IT power by row, phase currents against ratings, temperatures, jobs, events.

    ``series`` has the levels hall, row, phase, rack and loop; ``events`` and ``breakers`` are tables. Lines are means
    over an interval, the bands around them reach from its lowest to its highest value. ``permitted`` is the share of
    breakers' ratings that the run's policy may use.
    """
    hall = series["hall"]
    with style():
        figure = new_figure(9.4)
        panels = figure.subplots(5, 1, sharex=True, height_ratios=(2.2, 2.2, 2.2, 1.5, 1.3))
        _power(panels[0], hall, series["row"])
        _currents(panels[1], series["phase"], breakers, permitted)
        _temperatures(panels[2], series, slowdown_celsius)
        _jobs(panels[3], hall)
        _events(panels[4], events)
        for axes in panels:
            if warmup_seconds > 0.0:
                axes.axvspan(0.0, warmup_seconds, color=PALE, alpha=0.5, linewidth=0)
        # a row of the series has the time at which its interval begins: the run ends with its last event
        ends = [float(times.max()) for times in (hall.times, events["time_seconds"]) if len(times)]
        name = _time_axis(panels[-1], max([1.0, *ends]))
        panels[-1].set_xlabel(
            f"{name} since the start" + (" (grey: warm-up, left out of the measures)" if warmup_seconds > 0.0 else "")
        )
    return figure


def _time_axis(axes: Axes, end: float) -> str:
    """Scale the axis from 0 to ``end`` [s], with a tick at every step of the unit that suits it; returns the unit."""
    name, unit, _, steps = next(each for each in TIMES if end > each[2])
    step = next((step for step in steps if end / (step * unit) <= MOST_STEPS), end / (6.0 * unit))
    axes.set_xlim(0.0, end)
    axes.xaxis.set_major_locator(MultipleLocator(step * unit))
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds / unit:g}")
    return name


def _power(axes: Axes, hall: Grid, rows: Grid) -> None:
    axes.set_title("IT power at the racks, MW: rows stacked, hall as line")
    quiet(axes)
    power = {name: hall.highest(f"power_watts_{name}") / 1e6 for name in ("min", "mean", "max")}
    if 0 < len(rows.names) <= MOST_ROWS:
        shades = [str(shade) for shade in np.linspace(0.86, 0.5, len(rows.names))]
        by_row = rows.values["power_watts_mean"].T / 1e6
        axes.stackplot(rows.times, by_row, colors=shades, labels=rows.names, linewidth=0)
    axes.fill_between(hall.times, power["min"], power["max"], color=COOL, alpha=0.25, lw=0)
    axes.plot(hall.times, power["mean"], color=DARK, lw=1.2, label="hall, IT")
    facility = hall.highest("facility_power_watts_mean") / 1e6
    axes.plot(hall.times, facility, color=DARK, lw=1.0, ls="--", label="facility, all")
    axes.set_ylabel("MW")
    axes.set_ylim(bottom=0.0)
    _legend(axes)


def _currents(axes: Axes, phases: Grid, breakers: pd.DataFrame, permitted: float | None) -> None:
    quiet(axes)
    rating = dict(zip(breakers["name"], breakers["rating_amperes"], strict=True))
    feed_of = [name.rsplit("/", 1)[0] for name in phases.names]
    feeds = list(dict.fromkeys(feed_of))
    limits = np.array([rating.get(feed, np.nan) for feed in feeds], dtype=float)
    rated = bool(len(limits)) and bool(np.isfinite(limits).all())
    hottest = np.full((len(phases.times), len(feeds)), np.nan)
    for column, feed in enumerate(feed_of):
        at = feeds.index(feed)
        hottest[:, at] = np.fmax(hottest[:, at], phases.values["current_amperes_max"][:, column])
    if rated:
        hottest *= 100.0 / limits
    axes.set_title(
        "Highest phase current of each feed, " + ("% of its breaker's rating (line at 100)" if rated else "A")
    )
    axes.set_ylabel("% of rating" if rated else "A")
    peaks = np.fmax.reduce(hottest, axis=0, initial=-np.inf)
    highest = sorted(range(len(feeds)), key=lambda at: (-peaks[at], feeds[at]))[:NAMED]
    if len(feeds) > MOST_LINES:
        low, high = np.fmin.reduce(hottest, axis=1), np.fmax.reduce(hottest, axis=1)
        axes.fill_between(phases.times, low, high, color=PALE, lw=0, label="all feeds")
    else:
        for i, at in enumerate(at for at in range(len(feeds)) if at not in highest):
            label = "the others" if i == 0 else None
            axes.plot(phases.times, hottest[:, at], color="#a8a8a8", lw=0.7, label=label)
    for at, colour, line in zip(highest, (ALARM, DARK, COOL), LINES, strict=False):
        axes.plot(phases.times, hottest[:, at], color=colour, lw=1.1, ls=line, label=feeds[at])
    if rated:
        axes.axhline(100.0, color=ALARM, lw=1.0, ls=(0, (6, 3)))
        if permitted is not None:
            label = f"permitted: {number(100.0 * permitted)} %"
            axes.axhline(100.0 * permitted, color=DARK, lw=0.9, ls=(0, (1, 2)), label=label)
    axes.set_ylim(bottom=0.0)
    _legend(axes)


def _temperatures(axes: Axes, series: Mapping[str, Grid], slowdown: float | None) -> None:
    axes.set_title("Temperatures, °C")
    axes.set_ylabel("°C")
    quiet(axes)
    for level, column, label, colour, line in (
        ("rack", "device_temperature_celsius_max", "hottest device of the hall", ALARM, "-"),
        ("loop", "return_temperature_celsius_max", "warmest loop return", DARK, "-."),
        ("loop", "supply_temperature_celsius_max", "warmest loop supply", DARK, "-"),
        ("hall", "facility_water_celsius_mean", "facility water", COOL, "--"),
        ("hall", "room_air_celsius_mean", "room air", MIDDLE, ":"),
    ):
        highest = series[level].highest(column)
        if np.isfinite(highest).any():
            axes.plot(series[level].times, highest, color=colour, ls=line, lw=1.2, label=label)
    if slowdown is not None:
        axes.axhline(slowdown, color=ALARM, lw=1.0, ls=(0, (6, 3)), label="devices slow down")
    _legend(axes)


def _jobs(axes: Axes, hall: Grid) -> None:
    axes.set_title("Jobs")
    axes.set_ylabel("jobs")
    quiet(axes)
    running, queued = (hall.highest(f"jobs_{state}_mean") for state in ("running", "queued"))
    axes.step(hall.times, running, color=DARK, lw=1.2, where="post", label="running")
    axes.step(hall.times, queued, color=ALARM, lw=1.2, ls="--", where="post", label="queued")
    axes.set_ylim(bottom=0.0)
    _legend(axes)


def _events(axes: Axes, events: pd.DataFrame) -> None:
    shown = [kind for _, kinds, _ in LANES for kind in kinds]
    axes.set_title("Events" if events["kind"].isin(shown).any() else "Events: none of these")
    for lane, (_, kinds, marker) in enumerate(LANES):
        times = events.loc[events["kind"].isin(kinds), "time_seconds"].to_numpy()
        axes.axhline(lane, color=PALE, lw=0.6, zorder=0)
        axes.plot(times, np.full(len(times), lane), ls="", marker=marker, ms=5, color=ALARM, mec="white", mew=0.4)
    axes.set_yticks(range(len(LANES)), [label for label, _, _ in LANES])
    axes.set_ylim(len(LANES) - 0.5, -0.5)


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.3, handlelength=2.4)


def breaker_margins(breakers: pd.DataFrame, most: int = 20) -> Figure:
    """The breakers that came closest to tripping: highest thermal element, of the level that trips it."""
    top = breakers.sort_values(["thermal_fraction_max", "name"], ascending=[False, True]).head(most)[::-1]
    with style():
        figure = new_figure(1.0 + 0.26 * max(1, len(top)))
        axes = figure.subplots()
        tripped = (top["trips"] > 0).to_numpy()
        fractions = top["thermal_fraction_max"].to_numpy(float)
        colours = np.where(tripped, ALARM, np.where(fractions >= NEAR_MISS_FRACTION, DARK, "#9a9a9a"))
        bars = axes.barh(np.arange(len(top)), fractions, color=list(colours), height=0.7)
        for bar, hit in zip(bars, tripped, strict=True):
            bar.set_hatch("//" if hit else "")
            bar.set_edgecolor("white")
        for i, row in enumerate(top.to_dict("records")):
            amperes = f"{number(row['current_amperes_max'], 4)} A of {number(row['rating_amperes'], 4)} A"
            note = f"{row['thermal_fraction_max']:.2f} · {amperes}"
            if row["trips"] > 0:
                note += f" · tripped {clock(row['first_trip_seconds'])}"
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            axes.text(float(fractions[i]) + 0.008, i, note, va="center", fontsize=8.5, bbox=paper)
        axes.axvline(1.0, color=ALARM, lw=1.2)
        axes.axvline(NEAR_MISS_FRACTION, color=MIDDLE, lw=1.0, ls="--")
        axes.set_yticks(np.arange(len(top)), list(top["name"]))
        axes.set_ylim(-0.6, len(top) - 0.4)
        axes.set_xlim(0.0, max(1.35, float(np.nanmax(fractions, initial=0.0)) + 0.35))
        axes.set_xticks(np.arange(0.0, 1.21, 0.2))
        axes.set_xlabel(f"thermal element, of the level that trips (trips at 1, near miss from {NEAR_MISS_FRACTION:g})")
    return figure


def throttling(racks: pd.DataFrame, most: int = 20) -> Figure:
    """GPU-hours throttled by coolant loop (left) and by rack, the most affected ones (right)."""
    hours = racks.assign(hours=racks["throttled_gpu_seconds"] / 3600.0, loop=racks["loop"].replace("", "no loop (air)"))
    by_loop = hours.groupby("loop", sort=True)["hours"].sum()
    by_rack = hours[hours["hours"] > 0.0].sort_values(["hours", "name"], ascending=[False, True]).head(most)
    with style():
        figure = new_figure(1.1 + 0.24 * max(4, len(by_loop), len(by_rack)))
        left, right = figure.subplots(1, 2)
        _bars(left, list(by_loop.index.astype(str)), list(by_loop), "GPU-hours throttled, by loop")
        _bars(right, list(by_rack["name"]), list(by_rack["hours"]), f"GPU-hours throttled, by rack (up to {most})")
    return figure


def losses_by_cause(losses: pd.DataFrame, most: int = 10) -> Figure:
    """What was lost and through what: GPU-hours, energy not drawn [MWh] and jobs, each by cause, largest first."""
    kinds = (
        ("gpu_seconds", 3600.0, "GPU-hours lost"),
        ("power_watt_seconds", 3.6e9, "MWh not drawn"),
        ("jobs", 1.0, "jobs lost"),
    )
    groups = {
        kind: losses[losses["kind"] == kind]
        .groupby("cause")["amount"]
        .sum()
        .sort_values(ascending=False, kind="stable")
        for kind, _, _ in kinds
    }
    groups = {kind: group[group > 0.0].head(most) for kind, group in groups.items()}
    shown = [(kind, scale, title) for kind, scale, title in kinds if len(groups[kind])]
    with style():
        figure = new_figure(1.1 + 0.26 * max([2, *(len(group) for group in groups.values())]))
        for axes, (kind, scale, title) in zip(
            figure.subplots(1, max(1, len(shown)), squeeze=False)[0], shown, strict=False
        ):
            group = groups[kind]
            _bars(axes, [_short(str(cause)) for cause in group.index], list(group / scale), f"{title}, by cause")
    return figure


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], title: str) -> None:
    axes.set_title(title)
    at = np.arange(len(names))
    axes.barh(at, values, color="#7a7a7a", height=0.7)
    for i, value in enumerate(values):
        axes.annotate(number(value), (value, i), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(at, names)
    axes.set_ylim(max(3, len(names)) - 0.4, -0.6)
    axes.margins(x=0.16)
    axes.set_xlim(left=0.0)


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
