"""``twin regress``: is the new score formula worse?"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.cli.progress import progress

DESCRIPTION = """
Judges a candidate score formula against a baseline. First both are asked again what was asked in recordings of a small
hall (and in your own incidents), and where they would have put the work is held against what the racks did next. If
that is not clear, the whole policy runs with either formula in the same worlds, seed after seed, until it is.

A formula is a file such as conf/policy/score/default.yaml, or module:callable. What counts as worse, and by how much it
may be, stands in conf/study/regress.yaml; see twin/docs/regress.md. Recordings and runs are kept in
~/.cache/data-hall-twin/regress, so that a judgement that was stopped goes on where it was.
"""

EXAMPLES = """
examples:
  twin regress --candidate new.yaml
  twin regress --candidate new.yaml --baseline old.yaml --junit regress.xml --markdown summary.md
  twin regress --candidate scores.formula:build --fast
  twin regress --candidate new.yaml --incidents incidents/2026-03-pump incidents/2026-05-feed
  twin regress --record results/my-run out=incidents/mine     an audited run as an incident

exit codes: 0 no regression, 1 regression, 2 could not tell, 3 input refused, 4 internal error, 130 interrupted
"""


def main(argv: list[str]) -> int:
    """Judge a candidate, or record an incident."""
    parser = _parser()
    asked = parser.parse_args(argv)
    from twin.setup.refusals import REFUSALS, sentences  # and all that a run needs, after --help

    try:
        if asked.record is not None:
            return _record(asked)
        if asked.words:
            return refuse([f"command line: {asked.words[0]}: no such word. 'out=DIR' goes with --record RUN."])
        if asked.study is not None:
            return _study(asked)
        if asked.candidate is None:
            return refuse(["command line: --candidate: missing. Give a formula's file, or module:callable."])
        return _judge(asked)
    except REFUSALS as error:
        return refuse(sentences(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twin regress",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--candidate", metavar="F", help="the new formula: a file, or module:callable")
    parser.add_argument("--baseline", metavar="F", default="baseline", help="the old one (default: the shipped one)")
    parser.add_argument("--fast", action="store_true", help="recorded decisions only")
    parser.add_argument(
        "--incidents", metavar="DIR", type=Path, nargs="+", action="extend", default=[],
        help="recorded incidents, or folders of them, to judge decisions by as well",
    )  # fmt: skip
    parser.add_argument("--settings", metavar="FILE", type=Path, help="in place of conf/study/regress.yaml")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--cache", metavar="DIR", type=Path, help="where recordings and runs are kept")
    parser.add_argument("--json", action="store_true", help="the judgement as JSON on stdout")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="JUnit XML: a test case per guard and story")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="a summary for a pull request")
    parser.add_argument("--record", metavar="RUN", type=Path, help="write an audited run's incident to out=DIR")
    parser.add_argument(
        "--study", choices=("false-alarms", "mutations"),
        help="judge harmless changes, or mutations, of the baseline: how far this judgement can be trusted",
    )  # fmt: skip
    parser.add_argument("--number", metavar="N", type=int, default=100, help="of harmless changes (default 100)")
    parser.add_argument("words", nargs="*", metavar="out=DIR", help="where --record writes")
    return parser


# ---------------------------------------------------------------- judge


def _judge(asked: argparse.Namespace) -> int:
    from twin.studies.regress.formulas import load
    from twin.studies.regress.judgement import Outcome, judge, most_work
    from twin.studies.regress.settings import read_settings
    from twin.studies.regress.told import as_plain, junit, markdown

    settings = read_settings(asked.settings)
    both = load(asked.baseline, "--baseline"), load(asked.candidate)
    incidents = incident_folders(asked.incidents)
    most = most_work(settings, len(incidents), asked.fast)
    with progress("judging", most, recordings_done) as moved:
        found = judge(
            both,
            settings,
            kept=_kept(asked),
            incidents=incidents,
            mapped=_mapped(asked),
            moved=moved,
            fast=asked.fast,
        )
    for path, text in ((asked.junit, junit), (asked.markdown, markdown)):
        if path is not None:
            _write(path, text(found))
    if asked.json:
        print(json.dumps(as_plain(found), indent=2, ensure_ascii=False))
    else:
        _show(found)
    codes = {Outcome.WORSE: Exit.FINDING, Outcome.UNTOLD: Exit.UNTOLD}
    return codes.get(found.outcome, Exit.FINE)


def recordings_done(reached: float, total: float) -> str:
    """How much of a judgement is done; a clear one ends early."""
    return f"{reached:,.0f} of at most {total:,.0f} recordings and worlds"


def incident_folders(given: Sequence[Path]) -> list[Path]:
    """The incidents that folders are, or hold. Raises HallError for one that is none and holds none."""
    from twin.hall.errors import Fault, HallError
    from twin.studies.regress.layout import MANIFEST
    from twin.studies.regress.reading import is_incident

    found: list[Path] = []
    faults = []
    for folder in given:
        inside = [folder] if is_incident(folder) else sorted(filter(is_incident, folder.glob("*")))
        if not inside:
            problem = f"neither an incident (no {MANIFEST}) nor a folder of some"
            faults.append(Fault("command line", "--incidents", str(folder), problem, "See twin/docs/incidents.md"))
        found += inside
    if faults:
        raise HallError(faults)
    return found


def _kept(asked: argparse.Namespace) -> Path:
    from twin.studies.regress.stories import kept_folder

    return kept_folder() if asked.cache is None else Path(asked.cache)


def _mapped(asked: argparse.Namespace) -> Any:
    from twin.hall.errors import Fault, HallError
    from twin.studies.work import on_cores

    if asked.workers < 1:
        raise HallError([Fault("command line", "--workers", asked.workers, "not above 0", "Give 1 or more")])
    return on_cores(asked.workers)


def _write(path: Path, text: str) -> None:
    from twin.results.rundir import unwritable, write_whole

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise unwritable(path, fault) from fault
    write_whole(path, text.encode())


def _show(found: Any) -> None:
    from twin.studies.regress.evidence import ALL
    from twin.studies.regress.told import clock, explained, figure

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{found.outcome}: {found.why}", style="bold")
    console.print(f"candidate {found.candidate}, baseline {found.baseline}")
    if found.decisions:
        pairs = f"; {len(found.pairs)} pairs of runs" if found.pairs else ""
        console.print(f"{found.flipped} of {found.decisions} recorded decisions came out otherwise{pairs}")
    shown = [each for each in found.findings if each.worse or each.group == ALL]
    if shown:
        table = Table()
        for column in ("", "where", "guard", "baseline", "candidate", "worse by", "95 %", "tolerance", "unit"):
            words = column in ("", "where", "guard", "unit")
            table.add_column(column, justify="left" if words else "right", overflow="fold")
        for each in shown:
            table.add_row(
                each.word, each.group, each.guard.replace("_", " "), figure(each.baseline), figure(each.candidate),
                figure(each.difference.mean), f"{figure(each.difference.low)} … {figure(each.difference.high)}",
                figure(each.tolerance), each.unit,
            )  # fmt: skip
        Console(highlight=False, markup=False).print(table)
    for flip in found.flips if found.worse else ():
        guards = f" ({', '.join(flip.guards)}{': ' + flip.what if flip.what else ''})" if flip.guards else ""
        console.print(
            f"{flip.recording} {clock(flip.time_seconds)}: {flip.trays} trays of {flip.kind} went to {flip.baseline}, "
            f"by the candidate to {flip.candidate}{guards}"
        )
        for part in explained(flip):
            console.print(
                f"    {part.factor}: {figure(part.baseline_value)} there, {figure(part.candidate_value)} here; worth "
                f"{part.baseline_gain:+.3f} to the baseline, {part.candidate_gain:+.3f} to the candidate"
            )


# ---------------------------------------------------------------- record


def _record(asked: argparse.Namespace) -> int:
    from twin.results.read import read_run
    from twin.results.rundir import RunError
    from twin.setup.configuration import read_configuration
    from twin.setup.settings import settings_of
    from twin.studies.regress.corpus import times_of
    from twin.studies.regress.record import looks_of_run, write_incident
    from twin.studies.regress.settings import read_settings

    out = [word.removeprefix("out=") for word in asked.words if word.startswith("out=")]
    odd = [word for word in asked.words if not word.startswith("out=")]
    if odd or len(out) != 1 or not out[0]:
        what = odd[0] if odd else "out"
        return refuse([f"command line: {what}: give one out=DIR, the folder that the incident goes to."])
    run = read_run(asked.record)
    looks = looks_of_run(Path(asked.record))
    configuration = read_configuration(run.manifest["configuration"], source=f"{asked.record}/manifest.json")
    if not looks:
        raise RunError(
            f"{asked.record}: its log holds no decision after its start; run it for longer, or with more work"
        )
    write_incident(
        Path(out[0]),
        looks,
        run.table("events"),
        read_settings(asked.settings).decisions.bands,
        name=str(run.manifest.get("name", Path(asked.record).name)),
        purpose=" ".join(str(configuration.scenario.get("purpose", "")).split()),
        until_seconds=configuration.hours * 3600.0,
        times=times_of(settings_of(configuration, {}).sensors),
    )
    print(f"{out[0]}: {len(looks)} decisions; judge with 'twin regress --candidate F --incidents {out[0]}'")
    return Exit.FINE


# ---------------------------------------------------------------- studies of the judgement itself


def _study(asked: argparse.Namespace) -> int:
    from twin.studies.regress.formulas import load
    from twin.studies.regress.judgement import first_work
    from twin.studies.regress.mutations import MUTATIONS
    from twin.studies.regress.settings import read_settings
    from twin.studies.regress.trust import false_alarms, kill_rate

    settings = read_settings(asked.settings)
    baseline = load(asked.baseline, "--baseline")
    study = false_alarms if asked.study == "false-alarms" else kill_rate
    first = first_work(settings, 0)
    changes = asked.number if asked.study == "false-alarms" else min(asked.number, len(MUTATIONS))

    def done(reached: float, total: float) -> str:
        if reached <= first:
            return f"{reached:,.0f} of {first:,} recordings gone through"
        return f"{reached - first:,.0f} of {changes:,} changes judged"

    with progress(asked.study, first + changes, done) as moved:
        rows = study(
            baseline, settings, kept=_kept(asked), mapped=_mapped(asked), moved=moved, fast=asked.fast,
            number=asked.number,
        )  # fmt: skip
    if asked.json:
        print(json.dumps([vars(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        table = Table()
        for column in ("change", "named", "outcome", "decisions changed", "why"):
            table.add_column(column)
        for row in rows:
            table.add_row(row.name, "yes" if row.named else "", row.outcome, f"{row.flipped}", row.why)
        Console(highlight=False, markup=False).print(table)
        counts = {word: sum(row.outcome == word for row in rows) for word in dict.fromkeys(row.outcome for row in rows)}
        print(f"{len(rows)} judged: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    worse = [row for row in rows if row.outcome == "worse"]
    if asked.study == "false-alarms":
        return Exit.FINE if len(worse) <= 0.05 * len(rows) else Exit.FINDING
    return Exit.FINE if all(row.outcome == "worse" for row in rows if row.named) else Exit.FINDING
