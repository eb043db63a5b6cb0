"""The figures of a run by name, each made of its directory alone: as PNG in ``figures/``, and as SVG for the page."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twin.results import rundir
from twin.results.drawing import png, settle, svg
from twin.results.figures import SERIES, breaker_margins, day_timeline, losses_by_cause, throttling
from twin.results.floor import hall_map
from twin.results.grid import read_grids
from twin.results.measures import looked_up
from twin.results.read import Run, read_run

LOWEST_FLOW = "flow_litres_per_minute_min"


def permitted_of(manifest: Mapping[str, Any]) -> float | None:
    """Share of breakers' ratings [1] that the run's policy may use; None for a policy that knows no such share."""
    found = looked_up(manifest, "configuration.policy.permitted.limit_utilisation")
    return float(found) if isinstance(found, int | float) else None


def _warmup(run: Run) -> float:
    return float(run.metrics.get("warmup_seconds") or 0.0)


def timeline(run: Run) -> Figure:
    """The day: power, currents, temperatures, queue and events over time."""
    slowdown = run.table("racks")["slowdown_celsius"].min()
    return day_timeline(
        read_grids(run.directory, SERIES),
        run.table("events"),
        run.table("breakers"),
        warmup_seconds=_warmup(run),
        slowdown_celsius=None if pd.isna(slowdown) else float(slowdown),
        permitted=permitted_of(run.manifest),
    )


def racks_by_place(run: Run) -> Figure:
    """The hall from above: what each rack came to."""
    rack = read_grids(run.directory, {"rack": (LOWEST_FLOW,)})["rack"]
    flow = np.fmin.reduce(rack.values[LOWEST_FLOW][rack.times >= _warmup(run)], axis=0, initial=np.nan)
    return hall_map(run.table("racks"), pd.Series(flow, index=list(rack.names)))


def margins(run: Run) -> Figure:
    """How near each breaker came to its trip."""
    return breaker_margins(run.table("breakers"))


def slowed(run: Run) -> Figure | None:
    """Throttling by rack; None where there was none."""
    racks = run.table("racks")
    return throttling(racks) if (racks["throttled_gpu_seconds"] > 0.0).any() else None


def lost(run: Run) -> Figure | None:
    """What was lost by its cause; None where nothing was."""
    losses = run.table("losses")
    return losses_by_cause(losses) if (losses["amount"] > 0.0).any() else None


FIGURES: dict[str, Callable[[Run], Figure | None]] = dict(
    zip(rundir.PICTURES, (timeline, racks_by_place, margins, lost, slowed), strict=True)
)


def draw(directory: Path, name: str) -> str | None:
    """Write ``figures/<name>.png`` of a run and return the figure as an SVG element; None with nothing to show.

    Raises RunError when the directory is no run or cannot be written.
    """
    figure = FIGURES[name](read_run(directory))
    if figure is None:
        return None
    settle(figure)
    png(figure, directory / rundir.FIGURES / f"{name}.png")
    return svg(figure)
