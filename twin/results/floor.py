"""The hall as a heat map: rows and positions, each rack a cell, dark where trouble is near."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from twin.results.drawing import DARK, new_figure, style

MOST_LABELLED = 20  # cells of longer rows carry no number
MOST_ROWS = 30  # of halls with more rows every fifth is named
MOST_CELLS = 400  # nor do those of larger halls: nobody could read them


def floor_positions(racks: pd.DataFrame) -> pd.DataFrame:
    """Row number and position (from 0) of each rack; without a ``position`` the order within the row counts."""
    rows = {name: i for i, name in enumerate(dict.fromkeys(racks["row"]))}
    order = racks.groupby("row", sort=False).cumcount()
    place = racks["position"].fillna(order + 1) - 1 if "position" in racks.columns else order
    return pd.DataFrame(
        {"row": racks["row"].map(rows).to_numpy(int), "position": place.to_numpy(int)}, index=racks.index
    )


def hall_map(racks: pd.DataFrame, lowest_flow: pd.Series | None = None) -> Figure:
    """Heat map of the hall, a panel each: hottest device, peak power against nameplate, lowest coolant flow.

    Args:
        racks: the racks table.
        lowest_flow: lowest flow [L/min] by rack name; None, or racks left out, stay empty (air-cooled). Where it would
            read the same in all racks, and not 0, a sentence says so instead of a panel.

    A thick frame marks a rack that throttled, a cross one that was without power.
    """
    power = 100.0 * racks["peak_power_watts"] / racks["max_power_watts"]
    flow = racks["name"].map(lowest_flow) if lowest_flow is not None else pd.Series(np.nan, index=racks.index)
    heat = racks["device_temperature_celsius_max"]
    limit = racks["slowdown_celsius"].max() if "slowdown_celsius" in racks.columns else np.nan
    known = bool(np.isfinite(limit))
    title = "Hottest device, °C" + (f" (slows down at {limit:.0f})" if known else "")
    panels: list[tuple[str, Any, str, float | None, float | None]] = [
        (title, heat, "YlOrRd", float(limit) - 30.0 if known else None, float(limit) if known else None),
        ("Peak power, % of the rack's nameplate", power, "YlOrBr", min(40.0, float(power.min())), 110.0),
    ]
    flows = {f"{each:.0f}" for each in flow.dropna()}
    alike = len(flows) == 1 and "0" not in flows
    if flows and not alike:
        panels.append(("Lowest coolant flow, L/min", flow, "GnBu_r", 0.0, None))
    places = floor_positions(racks)
    depth = int(places["row"].max()) + 1 if len(racks) else 1
    with style():
        figure = new_figure(max(2.0, len(panels) * (0.85 + min(0.36, 9.0 / depth) * depth)))
        for axes, (title, values, colours, low, high) in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True
        ):
            panel(axes, racks, places, title, values.astype(float), colours, low, high)
        if alike:
            which = "every rack" if flow.notna().all() else "every liquid-cooled rack"
            axes.set_xlabel(f"Lowest coolant flow: {flows.pop()} L/min in {which}", loc="left", labelpad=8)
    return figure


def panel(
    axes: Axes,
    racks: pd.DataFrame,
    places: pd.DataFrame,
    title: str,
    values: "pd.Series[float]",
    colours: str,
    low: float | None,
    high: float | None,
    words: Sequence[str] | None = None,
) -> None:
    """Draw the floor into ``axes``: a value and, of a rack that throttled or was dark, a mark per cell. ``words`` are
    what the cells say, by default their values."""
    names = list(dict.fromkeys(racks["row"]))
    width = int(places["position"].max()) + 1
    grid: NDArray[np.float64] = np.full((len(names), width), np.nan)
    grid[places["row"], places["position"]] = values
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(grid), cmap=colours, vmin=low, vmax=high, edgecolors="white", linewidth=1.5
    )
    axes.set_facecolor("#f4f4f4")
    axes.set_title(title)
    axes.invert_yaxis()
    every = 1 if len(names) <= MOST_ROWS else 5
    axes.set_yticks(np.arange(0, len(names), every) + 0.5, [str(name) for name in names[::every]])
    axes.set_ylabel("row")
    step = 1 if width <= 32 else 10
    axes.set_xticks(np.arange(0, width, step) + 0.5, [str(i + 1) for i in range(0, width, step)])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.03, aspect=12)
    crowded = width > MOST_LABELLED or len(places) > MOST_CELLS
    throttled = racks["throttled_gpu_seconds"].to_numpy(float) > 0.0
    dark = racks["dark_seconds"].to_numpy(float) > 0.0
    for i, (y, x) in enumerate(places[["row", "position"]].to_numpy()):
        if throttled[i]:
            frame = Rectangle((x + 0.06, y + 0.08), 0.88, 0.84, fill=False, linewidth=2.2, edgecolor=DARK)
            axes.add_patch(frame).set_in_layout(False)  # cells lie inside the axes: no need to measure each
        value = grid[y, x]
        said = words[i] if words is not None else f"{value:.0f}" if np.isfinite(value) else "air"
        text = "" if crowded else said
        text = f"{text} ×".strip() if dark[i] else text
        if text:
            ink = _ink(mesh.to_rgba(np.array([value]))[0]) if np.isfinite(value) else DARK
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=ink).set_in_layout(False)


def _ink(colour: NDArray[np.float64]) -> str:
    red, green, blue = colour[:3]
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else DARK
