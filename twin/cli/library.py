"""``twin compare --library``: every story of the scenario library under every policy, in pairs."""

import argparse
import json
import math
import os
import shlex
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from twin.cli.complaints import FAULTS, complaint
from twin.cli.exits import Exit, refuse
from twin.cli.progress import progress, runs_done
from twin.cli.run import top_keys
from twin.hall.errors import did_you_mean
from twin.places import conf_dir, scenarios_dir
from twin.results.rundir import plain, write_whole
from twin.setup.compose import compose_run
from twin.setup.naming import RESULTS
from twin.setup.refusals import REFUSALS, sentences
from twin.studies.comparing import difference, sides, write
from twin.studies.intervals import BOOTSTRAP_PAIRS, LEVEL
from twin.studies.ledger import Case, Ledger, Record, run_cases
from twin.studies.library import BASELINE, POLICIES, TAPAS, TOUR, Reduction, Study, Told, conclude, frame, names
from twin.studies.pairs import Pairing
from twin.studies.work import on_cores

OPTIONS = {"policy": "--policies", "scenario": "--stories", "seed": "--seeds"}  # in place of a word
ABOUT = """
Tell every story of the scenario library under every policy, with the same seeds, and compare each policy with
first_fit: trips and throttling per GPU-second delivered, and what that costs in waits, refusals and spread.

Runs are kept in DIR/runs.jsonl: the same command goes on where it was stopped. All stories in full take about an hour
on two cores, their short forms (--short) some minutes; --minutes ends the study in time with the stories told so far.
"""
EXAMPLES = """
examples:
  twin compare --library --short --seeds 5
  twin compare --library --minutes 20 out=results/library       again, to go on
  twin compare --library --stories pump_loss,feed_loss --policies first_fit,thermal_aware

exit codes: 0 fine, 2 could not tell (time was up before one story was told), 3 input refused, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="twin compare --library",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("words", nargs="*", metavar="KEY=VALUE", help="out=DIR, and what twin run takes")
    made.add_argument("--library", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--short", action="store_true", help="the stories' short forms, on small halls")
    made.add_argument("--seeds", type=int, default=20, help="runs of each story and policy (default %(default)s)")
    made.add_argument("--policies", default=",".join(POLICIES), help="default: %(default)s; first_fit is the baseline")
    made.add_argument("--stories", help="by default all of scenarios/")
    made.add_argument("--minutes", type=float, help="end the study after so long, with what is there")
    made.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    made.add_argument("--json", action="store_true", help="print what was found as JSON")
    return made


def main(argv: list[str]) -> int:
    """Run the study, or as much of it as there is time for. Returns an exit code."""
    asked = parser().parse_intermixed_args(argv)
    outs = [word.partition("=")[2] for word in asked.words if word.startswith("out=")]
    words = tuple(word for word in asked.words if not word.startswith("out="))
    folder = Path(outs[-1]) if outs else Path(RESULTS) / ("library-short" if asked.short else "library")
    policies = tuple(dict.fromkeys([BASELINE, *asked.policies.split(",")]))
    faults = [f"command line: '{word}': write KEY=VALUE" for word in words if "=" not in word]
    for word in words:
        key = word.partition("=")[0].lstrip("+")
        if key in OPTIONS:
            faults.append(f"command line: '{word}': the study sets {key} itself. Give {OPTIONS[key]}")
    if asked.seeds < 1 or asked.workers < 1:
        faults.append(f"command line: --seeds {asked.seeds}, --workers {asked.workers}: give 1 or more")
    if faults:
        return refuse(faults)
    try:
        chosen = asked.stories.split(",") if asked.stories else names(scenarios_dir())
        if asked.short:
            chosen = [name if name.endswith("_short") else f"{name}_short" for name in chosen]
        known = names(scenarios_dir())
        if strange := [story for story in chosen if story.removesuffix("_short") not in known]:
            return refuse(
                f"--stories {story}: there is none of that name. {did_you_mean(story, known)}" for story in strange
            )
        for (
            policy
        ) in policies:  # composing takes half a second, and more for each story: those are composed as they run
            compose_run([f"policy={policy}", *words])
        study = Study(tuple(chosen), policies, asked.seeds, words)
        found = _run(study, Ledger(folder / "runs.jsonl"), asked.workers, asked.minutes)
        if not found.study.stories or not found.lines:
            print("no story was told to its end under all policies", flush=True)
            for story, reason in found.left_out.items():
                print(f"left out: {story} {reason}")
            return Exit.UNTOLD
        written = _write(folder, found, shlex.join(["twin", "compare", *argv]))
    except FAULTS as error:
        return refuse([str(complaint(error, top_keys(conf_dir()), argv))])
    except REFUSALS as error:
        return refuse(sentences(error))
    if asked.json:
        told = {
            "stories": found.study.stories,
            "reductions": [
                {"policy": each.policy, "measure": each.measure, **vars(each.change)} for each in found.reductions
            ],
            "calm": found.calm,
            "left_out": found.left_out,
            "lines": frame(found).to_dict("records"),
        }
        print(json.dumps(plain(told), indent=2, ensure_ascii=False))
    else:
        show(found)
        print("written: " + ", ".join(str(path) for path in written))
    return Exit.FINE


def _run(study: Study, ledger: Ledger, workers: int, minutes: float | None) -> Told:
    """Story by story, until all are told or time is up."""
    mapped = on_cores(workers)
    until = None if minutes is None else time.monotonic() + 60.0 * minutes
    each = study.seeds * len(study.policies)
    told: list[str] = []
    records: dict[Case, Record] = {}
    with progress("library", each * len(study.stories), runs_done) as moved:
        for index, story in enumerate(study.stories):
            if until is not None and time.monotonic() > until:
                break
            one = Study((story,), study.policies, study.seeds, study.words)
            records |= run_cases(one.cases(), ledger, mapped, partial(_moved, moved, index * each))
            told.append(story)
    left = len(study.stories) - len(told)
    if left:
        print(f"time was up: {left} of {len(study.stories)} stories are still to be told; the same command goes on")
    return conclude(Study(tuple(told), study.policies, study.seeds, study.words), records)


def _moved(moved: Callable[[float], None], base: int, done: int) -> None:
    moved(base + done)


def _write(folder: Path, found: Told, command: str) -> list[Path]:
    write_whole(folder / "library.csv", frame(found).to_csv(index=False, lineterminator="\n").encode())
    others = tuple(policy for policy in found.study.policies if policy != BASELINE)
    pairing = Pairing("policy", BASELINE, others, (TOUR,), (), ())
    tours = [line for line in found.lines if line.cell == TOUR]
    return [folder / "library.csv", *write(folder, pairing, tours, LEVEL, command)]


def show(found: Told) -> None:
    """Print the tours of all stories policy by policy, the reductions, and the stories without trouble."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(160, console.width)
    others = [policy for policy in found.study.policies if policy != BASELINE]
    stories = len(found.study.stories) - len(found.left_out)
    title = (
        f"means of a tour of {stories} stories, {found.study.seeds} seeds; *: the {LEVEL:.0%} interval of the paired "
    )
    table = Table(title=f"{title}difference to {BASELINE} excludes none", title_justify="left")
    table.add_column("measure")
    for policy in (BASELINE, *others):
        table.add_column(policy, justify="right")
    tours = {(line.value, line.measure): line for line in found.lines if line.cell == TOUR}
    for measure in dict.fromkeys(key for _, key in tours):
        lines = [tours.get((policy, measure)) for policy in others]
        known = next(line for line in lines if line is not None)
        if all(line is None or line.idle for line in lines):
            continue
        label = f"{known.label}, {known.shown}" if known.shown else known.label
        cells = ["–" if line is None else sides(line)[1] + ("*" if line.clear else "") for line in lines]
        table.add_row(label, sides(known)[0], *cells)
    console.print(table)
    for each in found.reductions:
        told = _reduction(each, found.study.seeds)
        line = tours[each.policy, each.measure]
        per_tour = f"{difference(line)}{f' {line.shown}' if line.shown else ''} a tour"
        console.print(f"{each.policy}: {line.label} per GPU-second delivered {told}; {per_tour}", markup=False)
    console.print(f"{TAPAS}.", markup=False)
    for policy, calm in found.calm.items():
        console.print(
            f"neither {policy} nor {BASELINE} trips or throttles in: {', '.join(calm) or 'none'}", markup=False
        )
    for story, reason in found.left_out.items():
        console.print(f"left out: {story} {reason}", markup=False)


def _reduction(each: Reduction, seeds: int) -> str:
    change = each.change
    if change.told:
        return f"{change.estimate:+.0%} ({change.low:+.0%} to {change.high:+.0%})".replace("-", "−")
    if change.estimate == -1.0:
        return f"none, where {BASELINE} has some"
    if math.isnan(change.estimate):
        return f"no ratio, {BASELINE} has none"
    few = f"with fewer than {BOOTSTRAP_PAIRS} seeds" if seeds < BOOTSTRAP_PAIRS else "with so few events"
    return f"{change.estimate:+.0%} (no interval {few})".replace("-", "−")
