"""``twin flags``: show the flags of a file, or list their debt."""

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.hall.errors import HallError
from twin.policy.flag_debt import Debt, lint_flags
from twin.policy.flag_files import flags_from_mapping, instant
from twin.policy.flags import Flag, Flags
from twin.setup.documents import document_path, read_document

EXAMPLES = """
examples:
  twin flags show                                the flags of conf/policy/flags/default.json
  twin flags lint my_flags.json                  exit code 1 when a flag has expired
  twin flags lint my_flags.json --at 2027-01-01 --strict
"""


def main(argv: list[str]) -> int:
    """Show or lint flags. 0 fine, 1 a flag has expired (``--strict``: any debt), 3 a file that makes no sense."""
    parser = argparse.ArgumentParser(
        prog="twin flags",
        description="Show the flags of a file in flagd's JSON format, or list their debt: flags without owner, expiry, "
        "reason or retirement date, expired ones, those past retirement, unused and duplicate variants.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("show", "lint"))
    parser.add_argument(
        "file", nargs="?", default="default", metavar="FILE", help="a JSON file, or a name in conf/policy/flags"
    )
    parser.add_argument("--at", metavar="DATE", help="lint: as of this date, such as 2027-01-01 (default: now)")
    parser.add_argument("--strict", action="store_true", help="lint: exit code 1 for any debt")
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    asked = parser.parse_args(argv)
    try:
        at = datetime.now(UTC) if asked.at is None else instant(asked.at)
    except ValueError:
        return refuse([f"command line: --at = '{asked.at}': not a date. Write such as 2027-01-01."])
    try:
        flags = read_document(document_path(asked.file, "flags", ".json"), flags_from_mapping)
    except HallError as error:
        return refuse(str(fault) for fault in error.faults)
    if asked.action == "lint":
        return _lint(flags, at, asked.json, asked.strict)
    if asked.json:
        print(json.dumps([_record(flag) for _, flag in sorted(flags.flags.items())], indent=2, ensure_ascii=False))
    else:
        Console().print(_table(flags))
    return Exit.FINE


def _lint(flags: Flags, at: datetime, as_json: bool, strict: bool) -> int:
    owed = lint_flags(flags, at)
    if as_json:
        records = [
            {"flag": each.flag, "debt": each.debt.name.lower(), "sentence": each.debt.value, "detail": each.detail}
            for each in owed
        ]
        print(json.dumps(records, indent=2, ensure_ascii=False))
    elif not owed:
        print(f"{len(flags.flags)} flags, no debt at {at.date()}")
    else:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        console.print(f"{len(flags.flags)} flags, debt at {at.date()}: {len(owed)}")
        for each in owed:
            console.print(f"  {each.flag}: {each.debt.value} ({each.detail})")
    expired = any(each.debt is Debt.EXPIRED for each in owed)
    return Exit.FINDING if expired or (strict and owed) else Exit.FINE


def _table(flags: Flags) -> Table:
    table = Table(title="Flags", title_justify="left", show_lines=True)
    table.add_column("flag, kind, owner", no_wrap=True)
    for column in ("variants, the default first", "may be set"):
        table.add_column(column, overflow="fold", ratio=1)
    for _, flag in sorted(flags.flags.items()):
        names = [flag.default, *(name for name in flag.variants if name != flag.default)]
        table.add_row(
            "\n".join(
                (flag.key, flag.kind or "no kind", flag.owner or "nobody", *([] if flag.enabled else ["disabled"]))
            ),
            "\n".join(f"{name}: {_brief(flag.variants[name])}" for name in names),
            f"for {', '.join(map(str, flag.scopes)) or 'nothing'}\nby {', '.join(flag.may_set) or 'nobody'}\n"
            f"{_expiry(flag)}; retires {'never' if flag.retires is None else flag.retires.isoformat()}",
        )
    return table


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_brief(each)}" for key, each in value.items()) or "as built"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def _expiry(flag: Flag) -> str:
    if flag.expires_at is not None:
        return f"until {flag.expires_at.isoformat()}"
    return "until cleared" if flag.expires_after_seconds is None else f"for {flag.expires_after_seconds:g} s"


def _record(flag: Flag) -> Mapping[str, Any]:
    return {
        "key": flag.key,
        "kind": flag.kind,
        "enabled": flag.enabled,
        "variants": flag.variants,
        "default": flag.default,
        "targeting": flag.targeting,
        "owner": flag.owner,
        "reason": flag.reason,
        "scope": [str(scope) for scope in flag.scopes],
        "may_set": list(flag.may_set),
        "expires_after_seconds": flag.expires_after_seconds,
        "expires_at": None if flag.expires_at is None else flag.expires_at.isoformat(),
        "retires": None if flag.retires is None else flag.retires.isoformat(),
        "experimental": flag.experimental,
    }
