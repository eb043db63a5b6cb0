"""``twin audit``: check a log of decisions, take them again, explain one, or see what they teach."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.audit.checkpoints import Checkpoint, read_checkpoints
from twin.audit.errors import AuditError
from twin.audit.lessons import Lessons, Limits, lessons
from twin.audit.log import CHECKPOINTS, LOG, SIMULATED, SNAPSHOTS, read_records, record_hash
from twin.audit.records import PolicyStamp
from twin.audit.replay import replay
from twin.audit.show import clock, subjects, why
from twin.audit.stored import StoredSnapshots
from twin.audit.verify import Verdict, verify
from twin.cli.exits import Exit, refuse
from twin.hall.errors import did_you_mean
from twin.policy.baselines import POLICIES
from twin.policy.protocol import Policy
from twin.results.rundir import METRICS

DESCRIPTION = """
Every placement, wait, refusal, override and flag change of a run is a line in its log, audit.jsonl. Each line holds
the hash of the line before, so that nobody can change, remove or insert one unseen.

  verify   is the log as it was written? Names the first record that is not, and why
  replay   take every decision again from what was recorded, and compare bit for bit
  show     why is this job on this rack? One answer in sentences
  report   who overruled the policy, racks chosen again and again though poor, rules that refuse by a hair, flags that
           stay set

LOG is a run's directory or the log itself. Beside it are the snapshots that the policy saw (audit.snapshots) and the
checkpoints (audit.checkpoints.jsonl). Keep a copy of the checkpoints elsewhere: only they show a tail that was cut off.
"""

EXAMPLES = """
examples:
  twin audit verify results/my-run
  twin audit verify results/my-run --checkpoints /safe/copy.jsonl --key auditor.pem
  twin audit replay results/my-run
  twin audit show results/my-run train-7             why is train-7 where it is
  twin audit show results/my-run train-7 --rack B-03
  twin audit report results/my-run --burden throttled.json --flag-hours 4

exit codes: 0 fine, 1 a finding, 2 could not tell, 3 input refused
"""


def main(argv: list[str]) -> int:
    """Verify, replay, show or report. 0 fine, 1 a finding, 2 could not tell, 3 refused."""
    asked = _parser().parse_args(argv)
    try:
        return int(asked.action(asked))
    except AuditError as error:
        return refuse([str(error)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twin audit",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="verify|replay|show|report")

    def add(word: str, action: Callable[[argparse.Namespace], Exit], sentence: str) -> argparse.ArgumentParser:
        made = actions.add_parser(word, help=sentence, description=sentence)
        made.set_defaults(action=action)
        made.add_argument("log", metavar="LOG", type=Path, help="a run's directory, or its audit.jsonl")
        made.add_argument("--json", action="store_true", help="as JSON, for scripts")
        return made

    made = add("verify", _verify, "Look for a changed, removed, moved or inserted record, and for a missing tail.")
    made.add_argument(
        "--checkpoints", metavar="FILE", type=Path, help="a copy kept elsewhere (default: those beside the log)"
    )
    made.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        help="public Ed25519 key, PEM or hex, that every checkpoint must be signed by",
    )
    _add_store(made)
    _add_store(add("replay", _replay, "Take every decision again from what was recorded, and compare bit for bit."))
    made = add("show", _show, "Say why a job is where it is, from its latest placement.")
    made.add_argument("job", metavar="JOB", help="the job's name")
    made.add_argument("--rack", metavar="RACK", help="the placement on this rack")
    made = add("report", _report, "Find poor racks chosen repeatedly, over-sensitive thresholds and long-lived flags.")
    usual = Limits()
    made.add_argument(
        "--burden", metavar="FILE", type=Path,
        help='JSON of what burdens each rack, such as {"A-01": 120.5} throttled GPU-seconds; judges placements '
        "whose record has no score",
    )  # fmt: skip
    for option, kind, default, sentence in (
        ("--placements", int, usual.placements, "on one poor rack, from which it is listed"),
        ("--poor-share", float, usual.poor_share, "of the racks that count as poor, 0 to 1"),
        ("--refusals", int, usual.refusals, "of one rule by a small margin, from which it is listed"),
        ("--margin", float, usual.margin_ratio, "of the limit, that a small margin is at most"),
        ("--flag-hours", float, usual.flag_seconds / 3600.0, "that a flag may be set"),
    ):
        made.add_argument(option, type=kind, default=default, metavar="N", help=f"{sentence} (default {default:g})")
    return parser


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="FILE", type=Path, help="the snapshots (default: those beside the log)")


# ---------------------------------------------------------------- files


def _log_of(path: Path) -> Path:
    """The log that LOG names. Raises AuditError where there is none."""
    log = path / LOG if path.is_dir() else path
    if not log.is_file():
        raise AuditError(f"{log}: there is no such log; give a run's directory or its {LOG}")
    return log


def _store_of(asked: argparse.Namespace, log: Path) -> StoredSnapshots | None:
    """The store that was asked for, or the one beside the log if there is one."""
    path = asked.store or log.with_name(SNAPSHOTS)
    return StoredSnapshots(path) if asked.store or path.exists() else None


def _checkpoints_of(asked: argparse.Namespace, log: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints that were asked for, or those beside the log if there are any."""
    if asked.checkpoints is None:
        path = log.with_name(CHECKPOINTS)
        return read_checkpoints(path) if path.exists() else ()
    found = read_checkpoints(asked.checkpoints)
    if not found:
        raise AuditError(f"{asked.checkpoints}: holds no checkpoint; give the copy that was kept")
    return found


def _print(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


# ---------------------------------------------------------------- verify


def _verify(asked: argparse.Namespace) -> Exit:
    log = _log_of(asked.log)
    checkpoints = _checkpoints_of(asked, log)
    holds = None
    untold = ""
    if asked.key is not None:
        holds, untold = _trust(asked.key)
        if not untold and not checkpoints:
            untold = "there is no checkpoint whose signature could be checked; give --checkpoints FILE"
    store, damage = None, ""
    try:
        store = _store_of(asked, log)
    except AuditError as error:
        if asked.store is not None:
            raise
        damage = str(error)  # of what the run left: the log is worth looking at all the same
    # a run that has measures has ended, and the checkpoints that it left have not grown since
    closed = asked.checkpoints is None and log.with_name(METRICS).exists()
    verdict = verify(log, checkpoints, store=store, holds=holds, closed=closed, damage=damage)
    code = Exit.FINDING if verdict.findings else Exit.UNTOLD if untold else Exit.FINE
    if asked.json:
        _print(_verdict_form(verdict, untold))
        return code
    for finding in verdict.findings:
        print(finding)
    if not verdict.findings:
        print(f"{log}: {verdict.records} records, chain unbroken, {_covered(verdict)}")
    for note in (*verdict.notes, *([f"could not tell: {untold}"] if untold else [])):
        print(f"note: {note}")
    return code


def _trust(path: Path) -> tuple[Callable[[Checkpoint], bool] | None, str]:
    """How a signature is checked by the key of a file, or why that cannot be done here."""
    try:
        from twin.audit.signing import read_public_key, signature_holds  # an extra
    except ImportError:
        return None, "signatures need the extra sign: pip install 'data-hall-twin[sign]'"
    public = read_public_key(path)
    return lambda checkpoint: signature_holds(checkpoint, public), ""


def _covered(verdict: Verdict) -> str:
    if not verdict.checkpoints:
        return f"root {verdict.root[:23]}…"
    return f"{verdict.covered} of them vouched for by {verdict.checkpoints} checkpoints"


def _verdict_form(verdict: Verdict, untold: str) -> Mapping[str, Any]:
    form = asdict(verdict)
    form["findings"] = [
        {"record": each.record, "problem": each.problem.name.lower(), "sentence": each.problem.value,
         "detail": each.detail}
        for each in verdict.findings
    ]  # fmt: skip
    form["untold"] = untold
    return form


# ---------------------------------------------------------------- replay


def policy_of(stamp: PolicyStamp) -> Policy:
    """The policy of a record's name and parameters. Raises AuditError for one that is not known here."""
    document = stamp.parameters.get("document")
    if isinstance(document, Mapping):
        from twin.setup.assembly import policy_of as policy_from  # which draws in all of the configuration

        return policy_from(document, int(stamp.parameters.get("seed", 0)))
    if stamp.name not in POLICIES:
        remedy = did_you_mean(stamp.name, POLICIES)
        raise AuditError(f"policy = {stamp.name!r}: there is none of that name here. {remedy}")
    return POLICIES[stamp.name](int(stamp.parameters.get("seed", 0)))


def _replay(asked: argparse.Namespace) -> Exit:
    log = _log_of(asked.log)
    store = _store_of(asked, log)
    if store is None:
        problem = f"{log.with_name(SNAPSHOTS)}: there is no such file; give the snapshots with --store FILE"
        if asked.json:
            _print({"same": 0, "difference": None, "untold": [{"record": None, "why": problem}]})
        else:
            print(f"could not tell: {problem}")
        return Exit.UNTOLD
    found = replay(log, store, policy_of)
    nothing = found.same == 0 and not found.untold and found.difference is None
    code = Exit.FINDING if found.difference else Exit.UNTOLD if found.untold or nothing else Exit.FINE
    if asked.json:
        _print({
            "same": found.same,
            "difference": None if found.difference is None else asdict(found.difference),
            "untold": [{"record": record, "why": reason} for record, reason in found.untold],
        })  # fmt: skip
        return code
    if found.difference is not None:
        print(f"{found.difference}")
    print(f"{log}: {found.same} decisions came out the same" + (" before that" if found.difference else ""))
    if nothing:
        print("could not tell: the log holds no decision of a policy")
    if found.untold:
        record, reason = found.untold[0]
        print(f"could not tell for {len(found.untold)} records, first {record}: {reason}")
    return code


# ---------------------------------------------------------------- show


def _show(asked: argparse.Namespace) -> Exit:
    log = _log_of(asked.log)
    records = read_records(log)
    answer = why(records, asked.job, asked.rack)
    if answer is None:
        known = subjects(records)
        if asked.job in known:
            raise AuditError(f"{log}: no record places {asked.job} on {asked.rack!r}; leave --rack out")
        raise AuditError(f"{log}: job = {asked.job!r}: no record is about it. {did_you_mean(asked.job, known)}")
    intact = answer.record.get("hash") == record_hash(answer.record)
    if asked.json:
        _print({
            "sentence": answer.sentence, "decisions": answer.decisions, "intact": intact, "record": answer.record,
        })  # fmt: skip
    else:
        Console(highlight=False, markup=False, soft_wrap=True).print(answer.sentence)
        print(f"record {answer.id}, at {answer.record['time']}; {answer.decisions} decisions about {asked.job} in all")
        if not intact:
            print(f"this record was changed after it was written: see 'twin audit verify {log}'")
    return Exit.FINE if intact else Exit.FINDING


# ---------------------------------------------------------------- report


def _report(asked: argparse.Namespace) -> Exit:
    log = _log_of(asked.log)
    if not 0.0 < asked.poor_share <= 1.0:
        raise AuditError(f"--poor-share = {asked.poor_share}: is no share; give one above 0 and at most 1")
    limits = Limits(
        placements=asked.placements,
        poor_share=asked.poor_share,
        refusals=asked.refusals,
        margin_ratio=asked.margin,
        flag_seconds=asked.flag_hours * 3600.0,
    )
    found = lessons(read_records(log), burden=_burden(asked.burden), limits=limits, until=_end_of(log))
    any_found = found.poor_racks or found.sensitive_rules or found.long_flags
    if asked.json:
        _print(asdict(found))
    else:
        _print_lessons(found)
    return Exit.FINDING if any_found else Exit.FINE


def _end_of(log: Path) -> str | None:
    """When the run that left a log ended, as its measures beside the log say; None for a log by itself."""
    try:
        measures = json.loads(log.with_name(METRICS).read_bytes())
        seconds = float(measures["simulated_seconds"]) + float(measures.get("warmup_seconds") or 0.0)
        return (SIMULATED + timedelta(seconds=seconds)).isoformat()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _burden(path: Path | None) -> Mapping[str, float]:
    """Racks and what burdens them, out of a JSON file."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        return {str(rack): float(value) for rack, value in found.items()}
    except (OSError, ValueError, TypeError) as error:
        raise AuditError(f'{path}: no burden per rack ({error}); write such as {{"A-01": 120.5}}') from error


def _print_lessons(found: Lessons) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{found.records} records, {found.decisions} decisions")
    overrides = _table("Operator overrides", ("role", "overrides", "jobs", "by", "reasons"))
    for each in found.overrides:
        overrides.add_row(
            each.role, str(each.overrides), *(_some(words) for words in (each.jobs, each.by, each.reasons))
        )
    racks = _table("Poor racks, chosen repeatedly", ("rack", "placements", "jobs", "because"))
    for rack in found.poor_racks:
        racks.add_row(rack.rack, str(rack.placements), _some(rack.jobs), rack.because)
    rules = _table("Over-sensitive thresholds", ("rule", "jobs refused", "by a small margin", "median margin"))
    for rule in found.sensitive_rules:
        rules.add_row(rule.rule, str(rule.refusals), str(rule.near), f"{rule.median_margin:.2%}")
    flags = _table("Long-lived flags", ("flag", "scope", "since", "set for", "cleared", "owner"))
    flags.columns[2].overflow = "fold"
    for flag in found.long_flags:
        ended = "yes" if flag.cleared else "no"
        flags.add_row(flag.flag, flag.scope, flag.since, clock(flag.seconds), ended, flag.owner)
    for table, nothing in (
        (overrides, "nobody overruled the policy"),
        (racks, "no poor rack was chosen repeatedly"),
        (rules, "no threshold refused often by a small margin"),
        (flags, "no flag stayed set for long"),
    ):
        console.print(table if table.row_count else nothing)


def _some(words: Sequence[str], shown: int = 3) -> str:
    """The first few words, and how many more there are."""
    more = f" and {len(words) - shown} more" if len(words) > shown else ""
    return ", ".join(words[:shown]) + more


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table
