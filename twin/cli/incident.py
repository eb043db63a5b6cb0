"""``twin incident RUN --at TIME``: what was happening at a time of a run."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.results.kinds import MEANINGS, EventKind
from twin.results.wording import clock, count, duration, gpu_hours, listed

if TYPE_CHECKING:
    from twin.results.incident import Incident

EXAMPLES = """
examples:
  twin incident results/RUN --at 00:12:00
  twin incident results/RUN --at "45 min" --json

A rack is affected when it is off, within 3 K of its slowdown, or 5 K warmer than before the trouble. It is cool again
2 K above what it was; the estimate goes on with the fall of the last two intervals, as an exponential.

exit codes: 0 fine, 3 input refused
"""
MOST = 12  # racks in the table


def main(argv: list[str]) -> int:
    """Tell what was happening at a time of a run."""
    parser = argparse.ArgumentParser(
        prog="twin incident",
        description="What was happening at a time of a run: rack temperatures, whether it is localized, expanding or "
        "recovering, until when at this pace, flags that are set, and what has been lost so far.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="the directory that a run wrote")
    parser.add_argument("--at", metavar="TIME", required=True, help="since the start: 00:12:00, '90 s', '45 min'")
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    asked = parser.parse_args(argv)
    # pandas loads here, so that help does not wait for it
    from twin.results.incident import incident
    from twin.results.read import read_run
    from twin.results.rundir import RunError, plain
    from twin.sim.written import Unfit, seconds_of

    try:
        time = seconds_of(asked.at)
    except Unfit as unfit:
        return refuse([f"command line: --at = '{asked.at}': {unfit}"])
    try:
        run = read_run(asked.run)
        series = run.series("rack", ("device_temperature_celsius",), ("max",))
        found = incident(run.table("events"), run.table("racks"), series, time)
    except RunError as error:
        return refuse([str(error)])
    except ValueError as error:
        return refuse([f"command line: --at = '{asked.at}': {error}. Give a time within the run."])
    if asked.json:
        print(json.dumps(plain(record(found)), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(found)
    return Exit.FINE


def record(found: "Incident") -> dict[str, Any]:
    """An incident as JSON has it; NaN as null."""
    from dataclasses import asdict

    from twin.results.rundir import plain

    return {
        "time_seconds": found.time_seconds,
        "state": found.state.word,
        "recovery_seconds": found.recovery_seconds,
        "affected": [rack.name for rack in found.affected],
        "newly_affected": list(found.new),
        "places": list(found.places),
        "racks": [plain(asdict(rack)) for rack in found.racks],
        "troubles": [plain(asdict(each)) for each in found.troubles],
        "flags": [plain(asdict(each)) for each in found.flags],
        "lost_so_far": dict(found.lost),
    }


def show(found: "Incident") -> None:
    """Print an incident."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(120, console.width)
    total, hit = len(found.racks), len(found.affected)
    console.print(f"{clock(found.time_seconds)}  {found.state}", markup=False)
    if hit:
        where = f" in {listed(list(found.places))}" if found.places else ""
        console.print(f"{hit} of {total} racks affected{where}", markup=False)
        if found.recovery_seconds is None:
            console.print("recovery: no estimate, for not every affected rack is cooling")
        elif found.recovery_seconds == 0.0:
            console.print("recovery: every affected rack is as cool as before; what is off waits to be switched on")
        else:
            console.print(f"recovery: cool in {duration(found.recovery_seconds)}, if it goes on to fall as it does")
    for each in found.troubles:
        what = MEANINGS[EventKind(each.kind)].one.format(name=each.name)
        console.print(f"since {clock(each.begun)}: {what}", markup=False)
    table = Table(title="racks, the affected and the hottest first", title_justify="left")
    for heading in ("rack", "row", "loop"):
        table.add_column(heading)
    for heading in ("hottest device °C", "above before K", "below slowdown K", "cool again in"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for rack in found.racks[:MOST]:
        back = "" if not rack.affected else "–" if rack.recovery_seconds is None else _time(rack.recovery_seconds)
        table.add_row(
            rack.name, rack.row, rack.loop, f"{rack.device_temperature_celsius:.1f}", _kelvin(rack.rise_kelvin),
            _kelvin(rack.margin_kelvin), back, "off" if rack.off else "affected" if rack.affected else "",
        )  # fmt: skip
    console.print(table)
    if total > MOST:
        console.print(f"… and {total - MOST} cooler racks")
    for flag in found.flags:
        by = f" by {flag.by}" if flag.by else ""
        place = f"{flag.level} {flag.name.removeprefix(flag.level + ' ')}" if flag.level != "hall" else "the hall"
        console.print(f"flag {flag.flag} = {flag.variant} for {place}, set{by} at {clock(flag.begun)}", markup=False)
    if not found.flags:
        console.print("no flag is set")
    lost = found.lost
    console.print(
        f"so far: {gpu_hours(lost['gpu_seconds'])} of work lost, {count(int(lost['job_requeued']), 'job')} set back, "
        f"{count(int(lost['slowdown_on']), 'slowdown')}, "
        f"{count(int(lost['device_shutdown']), 'device')} shut down, "
        f"{count(int(lost['rack_shut_down'] + lost['rack_dark']), 'rack')} switched off or dark, "
        f"{count(int(lost['breaker_trip']), 'breaker trip')}"
    )


def _time(seconds: float) -> str:
    return "it is" if seconds == 0.0 else duration(seconds)


def _kelvin(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:+.1f}"
