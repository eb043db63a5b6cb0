"""``twin bench``: how fast the twin is on this machine, as medians, beside what is asked of it."""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from twin.bench.catalogue import MEASUREMENTS, Measurement
from twin.bench.figure import Measured, Verdict, gathered
from twin.bench.machine import machine
from twin.cli.exits import Exit, refuse
from twin.hall.errors import did_you_mean

LONG_REPEATS = 1  # of measurements that take minutes each


def main(argv: Sequence[str]) -> int:
    """Measure, print a table or JSON, and return 1 when a figure misses what it must be."""
    names = "\n".join(
        f"  {each.name:<10}{each.sentence}{' (with --long)' if each.long else ''}" for each in MEASUREMENTS.values()
    )
    parser = argparse.ArgumentParser(
        prog="twin bench",
        usage="twin bench [NAME ...] [--repeats N] [--long] [--json]",
        description=f"{__doc__}\n\nmeasurements:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; all but the long ones by default")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each figure, of which the median counts")
    parser.add_argument("--long", action="store_true", help="also what takes many minutes, which runs once")
    parser.add_argument("--json", action="store_true", help="print a list of {figure, value, unit, must, aim}")
    words = parser.parse_args(list(argv))
    if words.repeats < 1:
        return refuse([f"--repeats: {words.repeats} is no number of runs; give 1 or more, such as --repeats 5"])
    unknown = [name for name in words.names if name not in MEASUREMENTS]
    if unknown:
        return refuse([f"NAME: '{name}' is no measurement. {did_you_mean(name, MEASUREMENTS)}" for name in unknown])
    chosen = [
        each
        for each in MEASUREMENTS.values()
        if (each.name in words.names if words.names else words.long or not each.long)
    ]
    print(f"on {machine()}", file=sys.stderr)
    figures = [figure for each in chosen for figure in measured(each, words.repeats)]
    if words.json:
        print(json.dumps([figure.plain() for figure in figures], indent=2))
    else:
        print_table(figures, words.repeats)
    return Exit.FINDING if any(figure.verdict is Verdict.MISSED for figure in figures) else Exit.FINE


def measured(measurement: Measurement, repeats: int) -> list[Measured]:
    """Carry out a measurement and say so."""
    count = LONG_REPEATS if measurement.long else repeats
    print(f"measuring {measurement.name}: {measurement.sentence} …", end="", file=sys.stderr, flush=True)
    start = time.monotonic()
    figures = gathered(measurement.figures, measurement.measure(count))
    print(f" {time.monotonic() - start:.0f} s", file=sys.stderr)
    return figures


def print_table(figures: Sequence[Measured], repeats: int) -> None:
    """Print the figures with their spread, their limits and the verdict."""
    table = Table(title=f"{machine()}; medians of {repeats} runs", title_justify="left")
    table.add_column("figure")
    for heading in ("value", "lowest – highest", "must", "aim"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for each in figures:
        asked = each.asked
        spread = f"{min(each.values):.3g} – {max(each.values):.3g}" if len(each.values) > 1 else "one run"
        table.add_row(
            asked.figure, f"{each.value:.3g} {asked.unit}", spread, asked.limit(asked.must), asked.limit(asked.aim),
            each.verdict.value, style="red" if each.verdict is Verdict.MISSED else None,
        )  # fmt: skip
    console = Console()
    if not console.is_terminal:
        console.width = max(140, console.width)
    console.print(table)
