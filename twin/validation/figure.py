"""One figure: a loop without pumps shuts its racks down within a minute, a loop without facility water leaves minutes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from twin.results.drawing import ALARM, COOL, DARK, MIDDLE, PALE, new_figure, quiet, style
from twin.results.wording import duration
from twin.validation.cooling_loss import Loss, loss_of_cooling

FIRST, LAST = 1.0, 600.0  # s of the time axis
MINUTE = 60.0
PERIOD = 0.25  # s between two points
TICKS = ((1, "1 s"), (2, "2 s"), (5, "5 s"), (10, "10 s"), (20, "20 s"), (60, "1 min"), (120, "2 min"), (300, "5 min"), (600, "10 min"))  # fmt: skip
LEVELS = ((87.0, "slowdown 87 °C"), (95.0, "shutdown 95 °C"))


def loss_of_flow_figure() -> Figure:
    """Run both losses at full load, and draw device and supply temperature against the time since the loss."""
    pumps = loss_of_cooling(1.0, facility_side=False, after=LAST, period=PERIOD)
    water = loss_of_cooling(1.0, facility_side=True, after=LAST, period=PERIOD)
    return draw(pumps, water)


def draw(pumps: Loss, water: Loss) -> Figure:
    """The figure of two losses."""
    with style():
        figure = new_figure(6.4)
        device, supply = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
        title = "Pumps lost: shut down within a minute. Facility water lost: minutes to act"
        device.set_title(title, fontsize=13)
        _device(device, pumps, water)
        _supply(supply, pumps, water)
        for axes in (device, supply):
            quiet(axes)
            axes.axvspan(FIRST, MINUTE, color=PALE, alpha=0.35, linewidth=0)
            axes.set_xscale("log")
            axes.set_xlim(FIRST, LAST)
            axes.xaxis.set_major_locator(FixedLocator([seconds for seconds, _ in TICKS]))
            axes.xaxis.set_minor_locator(NullLocator())
        supply.set_xticks([seconds for seconds, _ in TICKS], [label for _, label in TICKS])
        supply.set_xlabel("time since the loss, logarithmic (grey: the first minute)")
    return figure


LINES = (
    ("all pumps of the loop lost", ALARM, "-"),
    ("facility water of the loop lost", COOL, "--"),
)


def _device(axes: Axes, pumps: Loss, water: Loss) -> None:
    axes.set_ylabel("hottest device, °C")
    axes.set_ylim(55.0, 100.0)
    for level, label in LEVELS:
        axes.axhline(level, color=MIDDLE, linewidth=0.9, linestyle=":")
        axes.text(1.03, level + 0.4, label, color=MIDDLE, va="bottom")
    for loss, (name, colour, line) in zip((pumps, water), LINES, strict=True):
        after = loss.time >= FIRST
        axes.plot(loss.time[after], loss.device[after], color=colour, linestyle=line, linewidth=2.0, label=name)
        _mark(axes, loss, loss.slowed, "o", f"slows down\nafter {duration(loss.slowed)}", colour, (8, -30))
        _mark(axes, loss, loss.first_off, "X", f"shuts down\nafter {duration(loss.first_off)}", colour, (8, 2))
    axes.legend(loc="lower left", fontsize=10)


def _mark(axes: Axes, loss: Loss, time: float, marker: str, text: str, colour: str, offset: Sequence[float]) -> None:
    if not FIRST <= time <= LAST:
        return
    value = float(np.interp(time, loss.time, loss.device))
    axes.plot([time], [value], marker=marker, markersize=9, color=colour, markeredgecolor="white", linestyle="none")
    axes.annotate(text, (time, value), offset, textcoords="offset points", color=colour, fontsize=10, va="bottom")


def _supply(axes: Axes, pumps: Loss, water: Loss) -> None:
    axes.set_ylabel("coolant supply, °C")
    for loss, (_, colour, line) in zip((pumps, water), LINES, strict=True):
        after = loss.time >= FIRST
        axes.plot(loss.time[after], loss.supply[after], color=colour, linestyle=line, linewidth=2.0)
    axes.text(1.03, 42.0, "without flow the supply thermometer sees nothing", color=DARK, va="bottom")
