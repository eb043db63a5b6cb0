"""One figure: a loop that loses its pumps shuts down within a minute, one that loses its facility water in minutes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from twin.hall.parts import RackClass
from twin.hall.reader import load_hall
from twin.results.drawing import ALARM, COOL, DARK, MIDDLE, PALE, new_figure, quiet, style
from twin.results.wording import duration
from twin.validation.cooling_loss import HALL, Loss, loss_of_cooling

FIRST, LAST = 1.0, 600.0  # s of the time axis
MINUTE = 60.0
PERIOD = 0.25  # s between two points
TICKS = {1: "1 s", 2: "2 s", 5: "5 s", 10: "10 s", 20: "20 s", 60: "1 min", 120: "2 min", 300: "5 min", 600: "10 min"}
#: what was lost, how it is drawn, and where the label of its first slowdown stands from the mark (points)
LINES = (
    ("secondary side: all pumps of the loop lost", ALARM, "-", (-9, 4), "right"),
    ("facility side: the loop's facility water lost", COOL, "--", (9, -34), "left"),
)


def loss_of_flow_figure() -> Figure:
    """Run both losses with the GPUs at full power, and draw temperatures against the time since the loss."""
    pumps = loss_of_cooling(1.0, facility_side=False, after=LAST, period=PERIOD)
    water = loss_of_cooling(1.0, facility_side=True, after=LAST, period=PERIOD)
    return draw((pumps, water), load_hall("small", HALL).racks[0].rack_class)


def draw(losses: tuple[Loss, Loss], rack: RackClass) -> Figure:
    """The figure of a loss of pumps and a loss of facility water, with the limits of a rack class."""
    with style():
        figure = new_figure(6.6)
        device, supply = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
        device.set_title(
            "Without pumps a loop shuts down within a minute; without facility water in minutes", fontsize=13
        )
        for axes in (device, supply):
            quiet(axes)
            axes.axvspan(FIRST, MINUTE, color=PALE, alpha=0.35, linewidth=0)
        _device(device, losses, rack)
        _supply(supply, losses)
        supply.set_xscale("log")
        supply.set_xlim(FIRST, LAST)
        supply.xaxis.set_minor_locator(NullLocator())
        supply.xaxis.set_major_locator(FixedLocator(list(TICKS)))
        supply.xaxis.set_major_formatter(lambda seconds, _: TICKS[round(seconds)])
        supply.set_xlabel("time since the loss, on a logarithmic scale; grey: the first minute")
    return figure


def _device(axes: Axes, losses: tuple[Loss, Loss], rack: RackClass) -> None:
    axes.set_ylabel("hottest device, °C")
    limits = {
        "slowdown": rack.slowdown_celsius,
        "hardware slowdown": rack.hardware_slowdown_celsius,
        "shutdown": rack.shutdown_celsius,
    }
    axes.set_ylim(rack.slowdown_celsius - 12.0, rack.shutdown_celsius + 4.0)
    for name, level in limits.items():
        axes.axhline(level, color=DARK, linewidth=1.0, linestyle=":")
        axes.text(LAST * 0.97, level + 0.2, f"{name} {level:g} °C", color=MIDDLE, va="bottom", ha="right")
    for loss, (name, colour, line, offset, side) in zip(losses, LINES, strict=True):
        after = loss.time >= FIRST
        axes.plot(loss.time[after], loss.device[after], color=colour, linestyle=line, linewidth=2.2, label=name)
        slowed, off = f"first slowdown: {duration(loss.slowed)}", f"shutdown: {duration(loss.first_off)}"
        _mark(axes, loss.slowed, rack.slowdown_celsius, "o", slowed, colour, offset, side)
        _mark(axes, loss.first_off, rack.shutdown_celsius, "X", off, colour, (0, 9), "center")
    axes.legend(loc="lower left", fontsize=10.5)


def _mark(
    axes: Axes, time: float, level: float, marker: str, text: str, colour: str, offset: tuple[float, float], side: str
) -> None:
    """Mark when a limit [°C] was reached, and say so."""
    if not FIRST <= time <= LAST:
        return
    axes.plot([time], [level], marker=marker, markersize=11, color=colour, markeredgecolor="white", linestyle="none")
    axes.annotate(
        text, (time, level), offset, textcoords="offset points", color=colour, fontsize=11, va="bottom", ha=side
    )


def _supply(axes: Axes, losses: tuple[Loss, Loss]) -> None:
    axes.set_ylabel("coolant supply, °C")
    for loss, (_, colour, line, _, _) in zip(losses, LINES, strict=True):
        after = loss.time >= FIRST
        axes.plot(loss.time[after], loss.supply[after], color=colour, linestyle=line, linewidth=2.2)
    axes.text(
        LAST * 0.97, 42.0, "the supply's thermometer sees nothing of lost pumps", color=ALARM, va="bottom", ha="right",
        fontsize=10.5,
    )  # fmt: skip
