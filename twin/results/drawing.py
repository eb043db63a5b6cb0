"""What the figures share: greys with one warm colour, and writing them as SVG and PNG, the same bytes each time."""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from twin.results.rundir import write_whole

WIDTH = 12.4  # inches: 1,240 pixels of a laptop's screen
DARK = "#222222"
MIDDLE = "#6b6b6b"
PALE = "#d4d4d4"
ALARM = "#b2182b"  # dark in grey too
COOL = "#2166ac"

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MIDDLE,
    "text.color": DARK,
    "axes.labelcolor": DARK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "data-hall-twin",
    "svg.fonttype": "none",  # text stays text: small, searchable, sharp
}


def style() -> AbstractContextManager[None]:
    """The style as a context: figures are made and written inside it, and nothing global stays changed."""
    return mpl.rc_context(_STYLE)


def new_figure(height: float) -> Figure:
    """An empty figure of the common width; height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(h_pad=0.09))
    FigureCanvasAgg(figure)
    return figure


def settle(figure: Figure) -> None:
    """Lay the figure out once and for all, so that writing it, even twice, does not do it again."""
    with style():
        engine = figure.get_layout_engine()
        if engine is not None:  # it measures what it needs to, and need not draw
            engine.execute(figure)
        figure.set_layout_engine("none")


def quiet(axes: Axes) -> None:
    """Pale horizontal lines and nothing more."""
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def svg(figure: Figure) -> str:
    """The figure as an SVG element for a page (no XML header), scaled to the width it finds."""
    stream = io.StringIO()
    with style():
        # savefig would draw the figure once more, to find out what it needs
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def png(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, 130 dots per inch. Raises RunError when that fails."""
    stream = io.BytesIO()
    with style():
        quick = {"compress_level": 1}  # a few kilobytes more, in half the time
        figure.set_dpi(130)
        FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None}, pil_kwargs=quick)
    write_whole(path, stream.getvalue())
