"""A comparison for people: numbers with units and intervals, a forest plot, and a page in Markdown and HTML."""

import math
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform

from twin.results.drawing import DARK, MIDDLE, PALE, new_figure, png, settle, style, svg
from twin.results.rundir import write_whole
from twin.studies.comparison import Line, idle_labels, reasons, table
from twin.studies.intervals import EQUAL, NONE
from twin.studies.pairs import Pairing

MOST_PANELS = 12
PANELS_WIDE = 2
#: measures that a figure shows, in this order, as far as they differ anywhere
FIRST = (
    "breaker_trips_total", "throttled_gpu_seconds", "gpu_seconds_delivered", "gpu_seconds_lost", "capped_gpu_seconds",
    "latency_misses_total", "gpu_temperature_celsius_max", "breaker_thermal_fraction_max", "jobs.refused",
    "jobs.queued",
)  # fmt: skip


def amount(value: float, digits: int = 3) -> str:
    """A number with its significant digits and a proper minus."""
    if not math.isfinite(value):
        return "–"
    if value == 0.0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def signed(value: float) -> str:
    """A difference, with its sign."""
    return ("+" if value > 0.0 else "") + amount(value)


def difference(line: Line) -> str:
    """The difference and its interval as people read them: ``−12.3 [−15, −9.1]``."""
    told = line.difference
    mean = signed(told.mean * line.scale)
    if told.method == NONE:
        return f"{mean} (one pair)"
    if told.method == EQUAL:
        return f"{mean} in all {told.pairs}"
    return f"{mean} [{signed(told.low * line.scale)}, {signed(told.high * line.scale)}]"


def sides(line: Line) -> tuple[str, str]:
    """Both means as people read them."""
    return amount(line.baseline_mean * line.scale), amount(line.value_mean * line.scale)


LEGEND = "filled: the interval excludes zero.  hollow: it does not.  diamond: none, all pairs are alike or there is one"


def forest(pairing: Pairing, lines: Sequence[Line], level: float) -> Figure | None:
    """A panel per measure that differs anywhere: each value's difference to the baseline with its interval.

    None where nothing differs.
    """
    waits = [line.measure for line in lines if line.measure.startswith("waits.")]
    order = [*FIRST[:6], *dict.fromkeys(waits), *FIRST[6:]]
    chosen = [key for key in order if any(line.measure == key and line.difference.mean for line in lines)][:MOST_PANELS]
    if not chosen:
        return None
    names = list(dict.fromkeys((line.cell, line.value) for line in lines))
    deep = math.ceil(len(chosen) / PANELS_WIDE)
    with style():
        figure = new_figure(max(2.2, deep * (0.95 + 0.27 * len(names))))
        grid = figure.subplots(deep, PANELS_WIDE, squeeze=False).ravel()
        for index, (axes, key) in enumerate(zip(grid, chosen, strict=False)):
            rows = {(line.cell, line.value): line for line in lines if line.measure == key}
            _panel(axes, [rows.get(name) for name in names], names, first=index % PANELS_WIDE == 0)
        for axes in grid[len(chosen) :]:
            axes.set_visible(False)
        figure.suptitle(
            f"{pairing.axis}: difference to {pairing.baseline}, mean of paired worlds and {level:.0%} interval",
            x=0.01, ha="left", fontsize=11, fontweight="bold",
        )  # fmt: skip
        figure.supxlabel(LEGEND, x=0.01, ha="left", fontsize=8.5)
    return figure


def _panel(axes: Axes, rows: Sequence[Line | None], names: Sequence[tuple[str, str]], *, first: bool) -> None:
    shown = next(line for line in rows if line is not None)
    axes.axvline(0.0, color=MIDDLE, linewidth=1.0)
    for place, line in enumerate(rows):
        if line is None:
            axes.text(0.02, place, "no pair has it", va="center", color=MIDDLE, fontsize=8, transform=_aside(axes))
            continue
        told, scale = line.difference, line.scale
        if told.told:
            axes.plot([told.low * scale, told.high * scale], [place, place], color=DARK, linewidth=1.6)
            for end in (told.low * scale, told.high * scale):
                axes.plot([end, end], [place - 0.13, place + 0.13], color=DARK, linewidth=1.6)
        axes.plot(
            told.mean * scale, place, "o" if told.told else "D", markersize=6.5, color=DARK,
            markerfacecolor=DARK if line.clear else "white",
        )  # fmt: skip
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [", ".join(filter(None, reversed(name))) for name in names] if first else [])
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{shown.label}{f', {shown.shown}' if shown.shown else ''}")
    axes.set_xlabel(f"difference{f', {shown.shown}' if shown.shown else ', count' if shown.unit == '1' else ''}")
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.08)


def _aside(axes: Axes) -> Transform:
    """Across in shares of the panel, down in its rows."""
    return axes.get_yaxis_transform()


def write(folder: Path, pairing: Pairing, lines: Sequence[Line], level: float, command: str) -> list[Path]:
    """Write ``compare.csv``, ``.md``, ``.html`` and, where anything differs, ``compare.png``. Raises RunError."""
    figure = forest(pairing, lines, level)
    if figure is not None:
        settle(figure)
    pages = Environment(
        loader=PackageLoader("twin.studies", "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, autoescape=lambda name: name is not None and ".html" in name,
    )  # fmt: skip
    blocks = [
        (cell, value, [line for line in lines if (line.cell, line.value) == (cell, value)])
        for cell, value in dict.fromkeys((line.cell, line.value) for line in lines)
    ]
    given = {
        "pairing": pairing,
        "blocks": blocks,
        "level": level,
        "command": command,
        "difference": difference,
        "sides": sides,
        "reasons": reasons,
        "idle_labels": idle_labels,
        "figure": Markup(svg(figure)) if figure is not None else "",
        "pictured": figure is not None,
    }
    written = []
    for name in ("compare.md", "compare.html"):
        text = pages.get_template(f"{name}.jinja").render(**given)
        write_whole(folder / name, text.encode())
        written.append(folder / name)
    write_whole(folder / "compare.csv", table(pairing, lines).to_csv(index=False, lineterminator="\n").encode())
    written.append(folder / "compare.csv")
    if figure is not None:
        png(figure, folder / "compare.png")
        written.append(folder / "compare.png")
    return written
