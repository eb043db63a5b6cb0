"""What a run came to, on the terminal: the headline measures, the expectations, where the report is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.results.measures import looked_up

#: label, dotted metric, format
HEADLINES: tuple[tuple[str, str, str], ...] = (
    ("simulated", "simulated_seconds", "hours"),
    ("IT energy", "it_energy_joules", "megawatt hours"),
    ("PUE", "pue", ".3f"),
    ("breaker trips", "breaker_trips_total", "d"),
    ("closest breaker to its trip", "breaker_thermal_fraction_max", "%"),
    ("hottest device", "gpu_temperature_celsius_max", "celsius"),
    ("slowdowns for heat", "throttle_events_total", "d"),
    ("hardware slowdowns", "hardware_slowdown_events_total", "d"),
    ("shutdowns for heat", "shutdown_events_total", "d"),
    ("GPU-hours delivered", "gpu_seconds_delivered", "GPU hours"),
    ("GPU-hours lost", "gpu_seconds_lost", "GPU hours"),
    ("jobs completed", "jobs.completed", "d"),
    ("jobs running at the end", "jobs.running", "d"),
    ("jobs queued at the end", "jobs.queued", "d"),
    ("jobs refused", "jobs.refused", "d"),
    ("jobs killed", "jobs.killed", "d"),
    ("real time", "wall_seconds", "seconds"),
)
MOST_TRACES = 6  # lines from cause to consequence
WIDE = 160  # characters of a sweep's table where there is no terminal to fit
SWEEP = (
    ("trips", "breaker_trips_total", "d"),
    ("slowdowns", "throttle_events_total", "d"),
    ("hottest", "gpu_temperature_celsius_max", "celsius"),
    ("closest breaker", "breaker_thermal_fraction_max", ".2f"),
    ("GPU-h delivered", "gpu_seconds_delivered", "GPU hours"),
    ("GPU-h lost", "gpu_seconds_lost", "GPU hours"),
    ("PUE", "pue", ".3f"),
)


def print_summary(
    name: str,
    metrics: Mapping[str, Any],
    outcomes: Sequence[Any],
    traces: Sequence[str],
    complete: bool,
    page: Path,
) -> None:
    """Print one run. ``outcomes`` have ``expectation``, ``met`` and ``evidence``; ``traces`` are lines from cause to
    consequence."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(
        title=name if complete else f"{name}: stopped before its end", show_header=False, title_justify="left"
    )
    table.add_column("measure")
    table.add_column("value", justify="right")
    for label, key, unit in HEADLINES:
        table.add_row(label, shown(looked_up(metrics, key), unit))
    console.print(table)
    for release, told in (metrics.get("rollouts") or {}).items():
        reach = f"{told['racks_reached']} of {told['racks_targeted']} racks"
        verdict = f", judged {told['verdict']}" if told["verdict"] else ""
        console.print(f"rollout {release}: {told['outcome']} after {reach}{verdict}. {told['reason']}", markup=False)
    for line in traces[:MOST_TRACES]:
        console.print(line, markup=False)
    if len(traces) > MOST_TRACES:
        console.print(f"… and {len(traces) - MOST_TRACES} further causes, in the report")
    for outcome in outcomes:
        mark = "[green]as expected[/green]" if outcome.met else "[red]NOT as expected[/red]"
        console.print(f"{mark}  {outcome.expectation}: {outcome.evidence}")
    console.print(f"report: {page}", markup=False)


def print_sweep(sweep: Path, runs: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Print a sweep, a line per run."""
    table = Table(title=str(sweep), title_justify="left")
    table.add_column("run", overflow="fold")
    for label, _, _ in SWEEP:
        table.add_column(label, justify="right", overflow="fold")
    table.add_column("as expected", justify="right")
    for name, metrics in runs:
        cells = [shown(looked_up(metrics, key), unit) for _, key, unit in SWEEP]
        met, unmet = (int(looked_up(metrics, f"expectations.{word}") or 0) for word in ("met", "unmet"))
        table.add_row(name, *cells, f"{met} of {met + unmet}" if met + unmet else "none")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(WIDE, console.width)
    console.print(table)


def shown(value: Any, unit: str) -> str:
    """A measure as people read it; a dash where the run has none."""
    if not isinstance(value, int | float):
        return "–"
    match unit:
        case "d":
            return f"{value:,.0f}"
        case "%":
            return f"{value:.0%} of its level"
        case "celsius":
            return f"{value:.1f} °C"
        case "hours":
            return f"{value / 3600:.2f} h"
        case "GPU hours":
            return f"{value / 3600:,.1f}"
        case "megawatt hours":
            return f"{value / 3.6e9:,.2f} MWh"
        case "seconds":
            return f"{value:.1f} s"
        case _:
            return format(value, unit)
