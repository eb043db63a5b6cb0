"""``twin validate``: the physics held against standards, makers' figures and papers, as a table."""

import argparse
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.cli.progress import COMPILING, PATIENT_SECONDS
from twin.hall.errors import did_you_mean
from twin.results.drawing import png, svg
from twin.results.rundir import write_whole
from twin.validation.case import EVIDENCE, Case, Kind, Row
from twin.validation.cases import CASES, chosen, run
from twin.validation.figure import loss_of_flow_figure

WIDE = 140  # columns where there is no terminal
#: the tables: title, and the kinds of check that stand in it
TABLES: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("evidence: limits of standards, and what others measured", EVIDENCE),
    ("no evidence, but must hold: identities and orders of magnitude", (Kind.IDENTITY, Kind.PLAUSIBILITY)),
    ("calibration: judged on what it was fitted to, counts as no evidence", (Kind.CALIBRATION,)),
)
WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".png": png,
    ".svg": lambda figure, path: write_whole(path, svg(figure).encode()),
}


def parser() -> argparse.ArgumentParser:
    """The words of the command."""
    cases = "\n".join(f"  {case.name:<4} {case.statement}" for case in CASES)
    made = argparse.ArgumentParser(
        prog="twin validate",
        description="Hold the physics against standards, makers' figures and papers: what each source expects, and "
        "what the plant gives. Calibrated\nfigures stand apart: they count as no evidence.",
        epilog=f"cases:\n{cases}\n\nconfidence of a source: P primary, S secondary, M general knowledge, C computed\n"
        "exit codes: 0 all hold, 1 one misses, 3 wrong usage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("cases", nargs="*", metavar="CASE", help="cases to run, such as V4 V11; all without")
    made.add_argument(
        "--json", action="store_true", help="print a list of {case, kind, source, expected, obtained, passed}"
    )
    made.add_argument(
        "--figure", metavar="FILE", help="instead of the cases: draw a loss of pumps beside a loss of facility water"
    )
    return made


def main(argv: Sequence[str]) -> int:
    """Run cases and print them, or draw the figure. Returns 1 when a case misses."""
    words = parser().parse_args(list(argv))
    if words.figure is not None:
        return _draw(Path(words.figure), words.cases, words.json)
    names = [name.upper() for name in words.cases]
    known = [case.name for case in CASES]
    unknown = [name for name in names if name not in known]
    if unknown:
        return refuse(f"case: '{name}': there is none of that name. {did_you_mean(name, known)}" for name in unknown)
    begun = time.monotonic()
    waiting = _patience()
    rows = []
    try:
        for row in run(chosen(names), _tell):
            waiting.cancel()
            rows.append(row)
    finally:
        waiting.cancel()
    if words.json:
        print(json.dumps([entry(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        _print(rows, time.monotonic() - begun)
    return Exit.FINE if all(row.passed for row in rows) else Exit.FINDING


def entry(row: Row) -> dict[str, Any]:
    """A check as JSON has it. An end of a range that is open, and what never happened, are null."""
    check = row.check
    return {
        "case": row.case.name,
        "kind": str(check.kind),
        "source": f"{row.case.source} [{row.case.confidence}]",
        "expected": {
            "check": row.name,
            "quantity": check.quantity,
            "unit": check.unit,
            "low": check.low if math.isfinite(check.low) else None,
            "high": check.high if math.isfinite(check.high) else None,
            "exclusive": check.exclusive,
        },
        "obtained": row.obtained if math.isfinite(row.obtained) else None,
        "passed": row.passed,
    }


def _patience() -> threading.Timer:
    """A line that explains the wait of a first run."""
    waiting = threading.Timer(PATIENT_SECONDS, lambda: print(f"twin validate: {COMPILING}", file=sys.stderr))
    waiting.daemon = True
    waiting.start()
    return waiting


def _tell(case: Case) -> None:
    print(f"{case.name}: {case.statement} …", file=sys.stderr, flush=True)


def _draw(path: Path, cases: Sequence[str], as_json: bool) -> int:
    if cases or as_json:
        return refuse(["--figure: draws and runs no cases. Leave CASE and --json out, or call the command twice."])
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        return refuse([f"--figure: '{path}': the name must end in .png or .svg. Write for instance loss_of_flow.png."])
    if not path.parent.is_dir():
        return refuse([f"--figure: '{path}': there is no folder '{path.parent}'. Make it, or name another."])
    print("running a loss of pumps and a loss of facility water …", file=sys.stderr, flush=True)
    waiting = _patience()
    try:
        figure = loss_of_flow_figure()
    finally:
        waiting.cancel()
    write(figure, path)
    print(path)
    return Exit.FINE


def obtained(row: Row) -> str:
    """What a check gave, in the words of the table."""
    if not math.isfinite(row.obtained):
        return "never"
    return f"{row.obtained:.6g} {row.check.unit}".rstrip()


def _print(rows: Sequence[Row], seconds: float) -> None:
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDE)
    for title, kinds in TABLES:
        mine = [row for row in rows if row.check.kind in kinds]
        if mine:
            console.print(_table(title, mine))
    for title, kinds in TABLES:
        mine = [row for row in rows if row.check.kind in kinds]
        held = sum(row.passed for row in mine)
        if mine:
            console.print(f"{title.split(':')[0].split(',')[0]}: {held} of {len(mine)} checks hold")
    missed = [row.name for row in rows if not row.passed]
    console.print(f"{'missed: ' + ', '.join(missed) if missed else 'all hold'}; {seconds:.1f} s")


def _table(title: str, rows: Sequence[Row]) -> Table:
    """One table: a line per case with its source, and under it a line per check."""
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("case", no_wrap=True)
    table.add_column("check", ratio=5)
    table.add_column("kind", no_wrap=True)
    table.add_column("expected", no_wrap=True)
    table.add_column("obtained", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("source", ratio=4)
    shown: Case | None = None
    for row in rows:
        case = row.case
        if case is not shown:
            if shown is not None:
                table.add_section()
            fitted = f"\n[i]fitted: {case.fitted}[/i]" if case.fitted != "nothing" else ""
            table.add_row(
                case.name, f"[b]{case.statement}[/b]{fitted}", "", "", "", "", f"{case.source} \\[{case.confidence}]"
            )
            shown = case
        verdict = "holds" if row.passed else "[bold red]MISS[/]"
        table.add_row(
            row.name if row.letter else "",
            row.check.quantity,
            str(row.check.kind),
            str(row.check),
            obtained(row),
            verdict,
            "",
        )
    return table
