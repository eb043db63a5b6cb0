"""``twin canary``: does a canary tell the truth? Builds of known harm on the canaries that each strategy places."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.cli.complaints import FAULTS, complaint
from twin.cli.exits import Exit, refuse
from twin.cli.progress import progress, runs_done
from twin.hall.errors import HallError, did_you_mean
from twin.results.rundir import RunError, plain, write_whole
from twin.setup.naming import RESULTS
from twin.setup.refusals import REFUSALS, sentences
from twin.studies.canary import no_effect
from twin.studies.canary.pooled import pooled
from twin.studies.canary.settings import CanaryStudy, read_settings, shipped
from twin.studies.canary.study import (
    candidates_of,
    carried_out,
    check_worlds,
    episodes_of,
    gathered,
    temperature_margin,
)
from twin.studies.canary.summary import COLUMNS, conclusion, lines
from twin.studies.canary.written import write
from twin.studies.work import Map, on_cores

NUMBERS = ("builds", "seed", "worlds", "workers", "runs", "harmed")
KEYS = (*NUMBERS, "strategies", "settings", "out")
SHOWN = (0, 1, 2, 3, 4, 5, 9)  # columns that a terminal has room for


def parser() -> argparse.ArgumentParser:
    """The words of the command."""
    made = argparse.ArgumentParser(
        prog="twin canary",
        usage="twin canary [KEY=VALUE ...] [--quick] [--json]\n       twin canary --pool DIR ... [out=DIR]",
        description="Try builds whose harm is known on the canaries that each strategy places, judged by the rollout "
        "pipeline.\nWhat a build does to the fleet is told by the same world with it everywhere and without it.",
        epilog="keys:\n"
        "  builds=200              how many builds\n"
        "  strategies=random,...   some of random, first_fit, coolest, heat_aware, representative, two_stage, stress\n"
        "  seed=0                  another population, other worlds\n"
        "  worlds=3                in which each build's truth is told\n"
        "  workers=2               processes; the numbers do not depend on it\n"
        f"  settings=FILE           in place of {shipped()}\n"
        "  runs=1000 harmed=200    with --aa: releases without effect, and with more power\n"
        "  out=DIR                 the study's directory; what is there of it already is not run again\n\n"
        "example: twin canary --quick; twin canary builds=60 strategies=random,stress out=results/canary\n"
        "twin canary out=A; twin canary seed=1 out=B; twin canary --pool A B\n\n"
        "exit codes: 0 done, 1 an episode failed or a check of --aa misses, 2 too few builds to tell,\n"
        "3 input refused, 4 internal error, 130 interrupted: call it again with the same out=DIR and it goes on",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("words", nargs="*", metavar="KEY=VALUE")
    made.add_argument("--quick", action="store_true", help="a first look: 9 builds, one world, three strategies")
    made.add_argument(
        "--aa", action="store_true", help="V14 instead: how often the judge fails releases that change nothing"
    )
    made.add_argument(
        "--pool", nargs="+", metavar="DIR", default=[],
        help="no runs: tell studies of other seeds, which stand in these directories, as one",
    )  # fmt: skip
    made.add_argument("--json", action="store_true", help="print the table of strategies as JSON")
    return made


def main(argv: Sequence[str]) -> int:
    """Carry the study out, print its table, and say where it is."""
    words = parser().parse_args(list(argv))
    given, faults = read_words([*words.words, *(each for each in words.pool if "=" in each)])
    if faults:
        return refuse(faults)
    if words.pool:
        return pool([Path(each) for each in words.pool if "=" not in each], given, words)
    workers = given.pop("workers", min(2, os.cpu_count() or 1))
    out = given.pop("out", None)
    path = Path(given.pop("settings", shipped()))
    counts = {key: given.pop(key) for key in ("runs", "harmed") if key in given}
    if counts and not words.aa:
        return refuse([f"{', '.join(counts)}: counts of --aa. Add --aa, or leave them out"])
    try:
        study = read_settings(path, given)
        if words.quick:
            study = study.quick()
        study = replace(study, no_effect=replace(study.no_effect, **counts))
        mapped = on_cores(workers)
        check_worlds(study)
    except FAULTS as error:
        return refuse([str(complaint(error, KEYS, study.base))])
    except HallError as error:
        return refuse(map(str, error.faults))
    except ValueError as error:
        return refuse([str(error)])
    except REFUSALS as error:
        return refuse(sentences(error))
    name = f"canary{'-aa' if words.aa else ''}-seed{study.seed}{'-quick' if words.quick else ''}"
    folder = Path(out) if out else Path(RESULTS) / name
    if words.aa:
        return hold_to_word(study, folder, mapped, words.json)
    candidates = candidates_of(study)
    episodes = episodes_of(study, candidates, folder)
    done = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with progress("twin canary", float(len(episodes)), runs_done) as moved:
            for each in carried_out(episodes, mapped, lambda count: moved(float(count))):
                done.append(each)
        found = gathered(study, candidates, done)
        for failed in found.failed:
            print(f"twin canary: {' '.join(failed.key)}: {failed.failed}", file=sys.stderr)
        if found.verdicts.empty:
            print("twin canary: no build has both a truth and a verdict", file=sys.stderr)
            return Exit.FINDING
        strategies = write(folder, study, found)
    except KeyboardInterrupt:
        print(f"twin canary: interrupted; what is done stands in {folder}: call it again to go on", file=sys.stderr)
        return Exit.INTERRUPTED
    except (RunError, OSError) as error:
        return refuse([f"out: {error}"])
    show(strategies, folder, words.json)
    if found.failed:
        return Exit.FINDING
    return Exit.FINE if strategies["balanced_accuracy"].notna().all() else Exit.UNTOLD


def pool(folders: list[Path], given: dict[str, Any], words: argparse.Namespace) -> int:
    """Tell finished studies as one."""
    out = given.pop("out", None)
    if given or words.aa or words.quick:
        return refuse(["--pool: makes no runs, so that out=DIR alone goes with it. Leave the other words out"])
    if not folders:
        return refuse(["--pool: no directory. Give those of finished studies, such as --pool A B"])
    folder = Path(out) if out else Path(RESULTS) / "canary-pooled"
    if folder.resolve() in [each.resolve() for each in folders]:
        return refuse([f"out: {folder} is one of the studies, which would be lost. Choose another directory"])
    try:
        study, found, manifest = pooled(folders)
        folder.mkdir(parents=True, exist_ok=True)
        strategies = write(folder, study, found, manifest)
    except HallError as error:
        return refuse(map(str, error.faults))
    except (RunError, OSError) as error:
        return refuse([str(error)])
    show(strategies, folder, words.json)
    return Exit.FINE if strategies["balanced_accuracy"].notna().all() else Exit.UNTOLD


def hold_to_word(study: CanaryStudy, folder: Path, mapped: Map, as_json: bool) -> int:
    """V14: releases without effect, and at twice the judge's margin."""
    asked = study.no_effect
    episodes = no_effect.episodes_of(study, asked.runs, asked.harmed, asked.power_at_twice, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with progress("twin canary --aa", float(len(episodes)), runs_done) as moved:
            done = list(carried_out(episodes, mapped, lambda count: moved(float(count))))
        table = no_effect.table_of(done)
        if table.empty:
            print("twin canary: no run went through", file=sys.stderr)
            return Exit.FINDING
        write_whole(folder / "no_effect.csv", table.to_csv(index=False).encode())
    except KeyboardInterrupt:
        print(f"twin canary: interrupted; what is done stands in {folder}: call it again to go on", file=sys.stderr)
        return Exit.INTERRUPTED
    except (RunError, OSError) as error:
        return refuse([f"out: {error}"])
    failed = [each for each in done if each.found is None]
    for each in failed:
        print(f"twin canary: {' '.join(each.key)}: {each.failed}", file=sys.stderr)
    found = no_effect.checks(table, temperature_margin(study))
    if as_json:
        print(json.dumps([plain(asdict(each)) for each in found], indent=2, ensure_ascii=False))
    else:
        for check in found:
            share = check.obtained
            verdict = "holds" if check.passed else "MISS"
            print(
                f"V14  {check.name}: {share.estimate:.1%} of {check.of} (95 %: {share.low:.1%} to {share.high:.1%}), "
                f"expected {check.expected}: {verdict}"
            )
        print(folder)
    return Exit.FINE if all(each.passed for each in found) and not failed else Exit.FINDING


def read_words(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Values by key, and what is wrong with them."""
    given: dict[str, Any] = {}
    faults = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            faults.append(f"argument: '{word}': not one of the keys. {did_you_mean(key, KEYS)}")
        elif key in NUMBERS and not value.isdecimal():
            faults.append(f"{key}: '{value}' is no whole number. Give such as {key}=2")
        else:
            given[key] = int(value) if key in NUMBERS else value.split(",") if key == "strategies" else value
    return given, faults


def show(strategies: Any, folder: Path, as_json: bool) -> None:
    """Print the table and the finding, or the table alone as JSON."""
    if as_json:
        print(json.dumps(plain(strategies.to_dict("records")), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(150, console.width)
    table = Table(title="verdicts against the truth; in brackets intervals of 95 %", title_justify="left")
    for place in SHOWN:
        table.add_column(COLUMNS[place], justify="left" if place == 0 else "right")
    for line in lines(strategies):
        table.add_row(*(line[place] for place in SHOWN))
    console.print(table)
    for sentence in conclusion(strategies):
        console.print(sentence)
    console.print(str(folder))
