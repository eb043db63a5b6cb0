"""``twin ladder``: print the response ladder's state table."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.hall.errors import Fault, HallError
from twin.policy.causes import Comparison
from twin.policy.flag_files import flags_from_mapping
from twin.policy.ladder_rules import Ladder, LadderRules, Limit, Step, check_flags, rules_from_mapping
from twin.policy.playbook import HARD_LIMIT, SENTENCES
from twin.setup.documents import document_path, read_document

EXAMPLES = """
examples:
  twin ladder show                               the ladder of conf/policy/ladder/default.yaml
  twin ladder show my_ladder.yaml --flags my_flags.json
  twin ladder show --json
"""


def main(argv: list[str]) -> int:
    """Show a ladder. 0 fine, 3 a document that makes no sense, or that sets flags which are not there."""
    parser = argparse.ArgumentParser(
        prog="twin ladder",
        description="Print what the response ladder does: for each place the rungs with trigger, dwell, release and "
        "actions, the hard limits with their playbook, and the rules in business terms.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("show",))
    parser.add_argument(
        "name", nargs="?", default="default", metavar="NAME", help="a name in conf/policy/ladder, or a YAML file"
    )
    parser.add_argument(
        "--flags", default="default", metavar="FILE", help="the flags that it sets (default: conf/policy/flags/default)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    asked = parser.parse_args(argv)
    try:
        path = document_path(asked.name, "ladder", ".yaml")
        rules = read_document(path, rules_from_mapping)
        flags = read_document(document_path(asked.flags, "flags", ".json"), flags_from_mapping)
        found = check_flags(rules, flags)
        if found:
            raise HallError(Fault(str(path), each.key, each.value, each.problem, each.remedy) for each in found)
    except HallError as error:
        return refuse(str(fault) for fault in error.faults)
    if asked.json:
        print(json.dumps(_record(rules), indent=2, ensure_ascii=False))
    else:
        _show(rules)
    return Exit.FINE


def _show(rules: LadderRules) -> None:
    console = Console(highlight=False)
    console.print(f"ladder {rules.name}, version {rules.version}, owner {rules.owner}")
    console.print(
        f"readings: older than {rules.stale_seconds:g} s are none; time across more than "
        f"{rules.greatest_gap_seconds:g} s is no dwell; alert after {rules.unseen_seconds:g} s without any"
    )
    for ladder in rules.ladders:
        console.print(_table(ladder))
    for rule in rules.business_rules:
        console.print(f"{rule.name}: {rule.sentence}")
        done = ", ".join(SENTENCES[do] for do in rule.do)
        console.print(
            f"    flags of {', '.join(rule.kinds)} set for {', '.join(rule.levels)}, {rule.active_seconds:g} s: {done}"
        )


def _table(ladder: Ladder) -> Table:
    """A row per rung; the signal stands in the title where all have the same."""
    signals = {limit.signal for limit in ladder.limits}
    by = f", by {ladder.limits[0].signal}" if len(signals) == 1 else ""
    table = Table(title=f"\nevery {ladder.level}: {ladder.name}{by}", title_justify="left", show_lines=True)
    table.add_column("rung", no_wrap=True)
    for column in ("trigger", "dwell s", "release", "actions"):
        table.add_column(column, justify="right" if column == "dwell s" else "left", overflow="fold")
    for step in ladder.steps:
        table.add_row(
            step.rung.value,
            _said(step.trigger, len(signals) > 1)
            + (f"\n{step.after_seconds:g} s after the one before" if step.after_seconds else ""),
            f"{step.trigger.dwell_seconds:g}",
            _release(step),
            _actions(step),
        )
    if ladder.hard_limit is not None:
        limit = ladder.hard_limit
        table.add_row(
            "hard limit",
            _said(limit, len(signals) > 1),
            f"{limit.dwell_seconds:g}",
            "",
            f"all flags; {', '.join(HARD_LIMIT)}",
        )
    return table


def _said(limit: Limit, with_signal: bool) -> str:
    sign = ">" if limit.comparison is Comparison.ABOVE else "<"
    return f"{limit.signal} {sign} {limit.level:g}" if with_signal else f"{sign} {limit.level:g}"


def _release(step: Step) -> str:
    sign = "≤" if step.trigger.comparison is Comparison.ABOVE else "≥"
    latched = "\nand a person" if step.latched else ""
    return f"{sign} {step.release_level:g} for {step.release_dwell_seconds:g} s{latched}"


def _actions(step: Step) -> str:
    lines = [", ".join(f"{flag}={variant}" for flag, variant in step.flags), ", ".join(step.do)]
    lines.append(f"then {', '.join(step.undo)}" if step.undo else "")
    return "\n".join(line for line in lines if line)


def _record(rules: LadderRules) -> Mapping[str, Any]:
    return {
        "name": rules.name,
        "version": rules.version,
        "owner": rules.owner,
        "stale_seconds": rules.stale_seconds,
        "greatest_gap_seconds": rules.greatest_gap_seconds,
        "unseen_seconds": rules.unseen_seconds,
        "rungs": [_row(ladder, step) for ladder in rules.ladders for step in ladder.steps],
        "hard_limits": [
            {"scope": ladder.level, "ladder": ladder.name, **_limit(ladder.hard_limit), "do": list(HARD_LIMIT)}
            for ladder in rules.ladders
            if ladder.hard_limit is not None
        ],
        "business_rules": [
            {
                "name": rule.name,
                "sentence": rule.sentence,
                "kinds": list(rule.kinds),
                "flags": list(rule.flags),
                "scopes": list(rule.levels),
                "active_seconds": rule.active_seconds,
                "do": list(rule.do),
                "undo": list(rule.undo),
            }
            for rule in rules.business_rules
        ],
    }


def _row(ladder: Ladder, step: Step) -> Mapping[str, Any]:
    return {
        "scope": ladder.level,
        "ladder": ladder.name,
        "rung": step.rung,
        **_limit(step.trigger),
        "after_seconds": step.after_seconds,
        "release_level": step.release_level,
        "release_dwell_seconds": step.release_dwell_seconds,
        "latched": step.latched,
        "flags": dict(step.flags),
        "do": list(step.do),
        "undo": list(step.undo),
    }


def _limit(limit: Limit) -> Mapping[str, Any]:
    return {
        "signal": limit.signal,
        "comparison": limit.comparison,
        "level": limit.level,
        "dwell_seconds": limit.dwell_seconds,
    }
