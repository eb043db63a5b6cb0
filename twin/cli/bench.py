"""``twin bench``: how fast this machine is, as medians, beside what is asked of the twin."""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.march import fixed_steps
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.units import SECONDS_PER_DAY

STEP_SECONDS = 1.0
STEPS = 2_000


@dataclass(frozen=True)
class Figure:
    """One measured figure. must and aim are None where none is set yet."""

    figure: str
    value: float
    unit: str
    must: float | None
    aim: float | None


def _loaded(rows: int | None = None) -> Plant:
    """The reference hall in the steady state of a load that differs from tray to tray."""
    hall = load_hall("reference", [] if rows is None else [f"rows={rows}"])
    plant = Plant(compile_topology(hall))
    trays = np.arange(len(plant.c.idle))
    plant.set_load(trays, 0.5 + 0.3 * np.sin(trays) ** 2)
    equilibrate(plant)
    return plant


def kernel(repeats: int) -> Figure:
    """Cost of one step of die, plate, and their share of rack and loop, per tray."""
    plant = _loaded()
    loops, trays = len(plant.topology.loop_names), len(plant.c.idle)
    groups = (plant.c, plant.u, plant.x, plant.d, plant.w, False)
    fixed_steps(*groups, 0, plant.cur, STEP_SECONDS, 1)

    def once() -> float:
        start = time.perf_counter()
        for loop in range(loops):
            fixed_steps(*groups, loop, plant.cur, STEP_SECONDS, STEPS)
        return (time.perf_counter() - start) / (STEPS * trays) * 1e9

    return Figure("kernel, per tray and step", _median(once, repeats), "ns", 10.0, 5.0)


def calm_day(repeats: int) -> Figure:
    """Effective cost of a day without events, per tray and simulated second, accuracy control on."""
    plant = _loaded()
    trays = len(plant.c.idle)
    plant.flow(plant.time, plant.time + 60.0)

    def once() -> float:
        begin = plant.time
        start = time.perf_counter()
        plant.settle(begin)
        plant.flow(begin, begin + SECONDS_PER_DAY)
        return (time.perf_counter() - start) / (SECONDS_PER_DAY * trays) * 1e9

    return Figure("calm day, per tray and simulated second", _median(once, repeats), "ns", 5.0, 1.0)


def _median(once: Callable[[], float], repeats: int) -> float:
    return statistics.median(once() for _ in range(repeats))


def main(argv: Sequence[str]) -> int:
    """Measure, print a table or JSON, and return 1 when a figure misses what it must be."""
    parser = argparse.ArgumentParser(prog="twin bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print a list of {figure, value, unit, must, aim}")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each figure, of which the median counts")
    words = parser.parse_args(list(argv))
    if words.repeats < 1:
        print("twin bench: --repeats must be 1 or more, such as --repeats 5", file=sys.stderr)
        return Exit.REFUSED
    figures = []
    for measure in (kernel, calm_day):
        print(f"measuring: {measure.__name__.replace('_', ' ')} …", file=sys.stderr)
        figures.append(measure(words.repeats))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    figures.append(Figure("peak memory of this process", peak, "MiB", None, None))
    if words.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    else:
        _print(figures, words.repeats)
    missed = [f for f in figures if f.must is not None and f.value > f.must]
    return Exit.FINDING if missed else Exit.FINE


def _print(figures: Sequence[Figure], repeats: int) -> None:
    table = Table(title=f"{platform.machine()}, Python {platform.python_version()}, medians of {repeats}")
    for heading in ("figure", "value", "must", "aim"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for f in figures:
        limits = ["" if limit is None else f"≤ {limit:g} {f.unit}" for limit in (f.must, f.aim)]
        table.add_row(f.figure, f"{f.value:.3g} {f.unit}", *limits)
    Console().print(table)
