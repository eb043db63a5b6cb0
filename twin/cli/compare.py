"""``twin compare``: paired differences between runs of the same worlds, with intervals, a table and a figure."""

import argparse
import json
import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.results.rundir import RunError, plain, unwritable
from twin.setup.naming import RESULTS, fresh, safe
from twin.studies.comparing import difference, sides, write
from twin.studies.comparison import Line, compare, fewest_pairs, idle_labels, reasons, table
from twin.studies.intervals import FEWEST_PAIRS, LEVEL
from twin.studies.pairs import Incomparable, Pairing, axis_of, pair, read_members

ABOUT = """
Compare runs that met the same world: same hall, work, faults and seed, and one thing between them.

Runs are paired by world, so that what both met cancels out; each pair gives a difference, and the mean difference
comes with a confidence interval: Student's t below 20 pairs, the BCa bootstrap from there on. Differences and not
ratios, since trips are rare. Rates per GPU-second delivered stand beside the amounts: who does less has less trouble.
"""
EXAMPLES = """
examples:
  twin run -m policy=first_fit,thermal_aware workload=heavy 'seed=range(20)' hydra/launcher=joblib out=sweep
  twin compare sweep --by policy --baseline first_fit    leaves pages, .csv and .png in sweep/compare-policy
  twin compare results/RUN results/OTHER                   two runs; the first is the baseline
  twin compare sweep --by policy --json | jq .lines[0]
  twin compare --library --help                            aware against traditional over the scenario library

exit codes: 0 fine, 2 could not tell (one pair has no interval), 3 refused: no such runs, or not comparable, and why
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="twin compare", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="run directories, or the folder of a sweep")
    made.add_argument("--by", metavar="KEY", help="what is compared, such as policy; by default what differs")
    made.add_argument("--baseline", metavar="VALUE", help="its value to compare with; by default that of the first run")
    made.add_argument("--level", type=float, default=LEVEL, help="confidence of the intervals (default %(default)s)")
    made.add_argument("--seed", type=int, default=0, help="of the bootstrap's resamples (default %(default)s)")
    made.add_argument("--out", metavar="DIR", type=Path, help="folder of the pages; by default beside the runs")
    made.add_argument("--json", action="store_true", help="print the comparison as JSON instead of tables")
    return made


def main(argv: list[str]) -> int:
    """Compare runs, or with ``--library`` policies over the scenario library. Returns an exit code."""
    if "--library" in argv:
        from twin.cli import library  # takes a while to load

        return library.main(argv)
    asked = parser().parse_args(argv)
    if not 0.0 < asked.level < 1.0 or asked.seed < 0:
        return refuse([f"--level {asked.level:g}, --seed {asked.seed}: give a share below 1 and a seed of 0 or more"])
    try:
        members = read_members(asked.runs)
        axis = axis_of(members, asked.by)
        pairing = pair(members, axis, asked.baseline)
        lines = compare(pairing, asked.level, asked.seed)
        folder = _folder(asked.out, asked.runs, axis)
        written = write(folder, pairing, lines, asked.level, shlex.join(["twin", "compare", *argv]))
    except Incomparable as error:
        return refuse(error.faults)
    except RunError as error:
        return refuse([str(error)])
    if asked.json:
        rows = table(pairing, lines).to_dict("records")
        found = {"axis": axis, "baseline": pairing.baseline, "left_out": pairing.left_out, "lines": rows}
        print(json.dumps(plain(found), indent=2, ensure_ascii=False))
    else:
        show(pairing, lines, asked.level)
        print("written: " + ", ".join(str(path) for path in written))
    return Exit.FINE if fewest_pairs(lines) >= FEWEST_PAIRS else Exit.UNTOLD


def _folder(out: Path | None, runs: list[Path], axis: str) -> Path:
    """Where the pages go: ``--out``, a folder in the sweep, or a fresh one under results/. Raises RunError."""
    folder = out
    try:
        if folder is None and len(runs) == 1:
            folder = runs[0] / f"compare-{safe(axis)}"
        if folder is None:
            return fresh(Path(RESULTS), f"compare-{safe(axis)}")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise unwritable(folder or Path(RESULTS), fault) from fault
    return folder


def show(pairing: Pairing, lines: list[Line], level: float) -> None:
    """Print a table per cell and value."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(120, console.width)
    for cell, value in dict.fromkeys((line.cell, line.value) for line in lines):
        block = [line for line in lines if (line.cell, line.value) == (cell, value)]
        title = f"{pairing.axis}: {value} against {pairing.baseline}" + (f" ({cell})" if cell else "")
        shown = Table(title=title, title_justify="left")
        shown.add_column("measure")
        for name in (pairing.baseline, value, f"difference, {level:.0%} interval"):
            shown.add_column(name, justify="right")
        shown.add_column("pairs", justify="right")
        for line in block:
            if line.idle:
                continue
            told = f"[bold]{difference(line)}[/bold]" if line.clear else difference(line)
            label = f"{line.label}, {line.shown}" if line.shown else line.label
            shown.add_row(
                label, *sides(line), told.replace("[−", "\\[−").replace("[+", "\\[+"), str(line.difference.pairs)
            )
        console.print(shown)
        if idle := idle_labels(block):
            console.print(f"none on either side: {', '.join(idle)}", markup=False)
        for reason in reasons(block):
            console.print(reason, markup=False)
    if pairing.left_out:
        console.print(f"left out, for want of a partner: {', '.join(pairing.left_out)}", markup=False)
