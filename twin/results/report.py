"""``report.html``: one page that opens anywhere, made from a run directory alone, in a capacity planner's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from twin.results import rundir, scorecard, wording
from twin.results.balance import TOLERANCE
from twin.results.drawers import Draw, draw_here
from twin.results.lessons import QUESTIONS, lessons
from twin.results.measures import METRICS, NEAR_MISS_FRACTION
from twin.results.narrative import expectations, overloaded, stories, verdict
from twin.results.read import Run, read_run
from twin.results.rundir import RunError
from twin.results.traces import Trace, traces

MOST_JOBS = 15  # of the jobs hit, in the table
MOST_FINDINGS = 8  # of a post-mortem, for each of its questions

#: measures that the footnotes define
DEFINED = (
    "throttled_gpu_seconds", "capped_gpu_seconds", "gpu_seconds_delivered", "gpu_seconds_lost",
    "breaker_incidents_total", "breaker_thermal_fraction_max", "breaker_near_misses_total",
    "stranded_power_watts", "stranded_cooling_watts", "pue",
)  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A key figure: what it is, its value, and a clause that puts it in place; ``bad`` when it asks for attention."""

    label: str
    value: str
    note: str
    bad: bool = False


def write_report(run_dir: Path | str, draw: Draw = draw_here) -> Path:
    """Write ``report.html`` and ``figures/*.png`` of a run, reading nothing but its directory; returns the page.

    ``draw`` says who draws the figures, while the page is put together. Raises RunError when the directory is no run,
    has no measures, or cannot be written.
    """
    run = read_run(run_dir)
    if not run.metrics:
        raise RunError(
            f"{run.directory}: the run failed before it was measured, there is nothing to report; run it again"
        )
    _make_room(run.directory / rundir.FIGURES)
    page = run.directory / rundir.REPORT
    rundir.write_whole(page, render(run, draw(run.directory)).encode())
    return page


def render(run: Run, pictures: Callable[[], Mapping[str, str]]) -> str:
    """The page as text; ``pictures`` gives SVG elements by figure name, and is asked last."""
    environment = Environment(
        loader=PackageLoader("twin.results"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    told, untold = stories(run.table("events"), traces_of(run))
    residual = max((abs(v) for v in run.metrics["balance"].values() if v is not None), default=None)
    template = environment.get_template("report.html.jinja")
    words = dict(
        about=about(run.manifest),
        trace=trace(run.manifest),
        complete=run.complete,
        verdict=verdict(run.metrics, run.complete) + overloaded(run.table("breakers")),
        cards=cards(run.metrics),
        expectations=expectations(run.table("events")),
        rollouts=run.metrics.get("rollouts") or {},
        rehearsal=rehearsal(run),
        most_findings=MOST_FINDINGS,
        forecasts=forecasts(run.metrics.get("forecast") or {}),
        claims=(run.metrics.get("forecast") or {}).get("sustained"),
        stories=told,
        stories_left_out=untold,
        jobs=jobs_hit(run.table("jobs")),
        waits=run.metrics["waits"],
        throughput=run.metrics["throughput"],
        services=run.metrics["services"],
        losses=loss_sentences(run.metrics),
        definitions=[(m.name, m.sentence, m.unit) for m in METRICS if m.name in DEFINED],
        residual=residual,
        balanced=residual is not None and residual <= TOLERANCE,
        near_miss=NEAR_MISS_FRACTION,
        metrics=run.metrics,
        digest=run.manifest.get("digest", ""),
        say=wording,
    )
    return template.render(words, pictures={name: Markup(picture) for name, picture in pictures().items()})


def traces_of(run: Run) -> list[Trace]:
    """A line per root cause of a run."""
    return traces(run.table("events"), run.table("losses"), run.table("racks"), run.series)


def rehearsal(run: Run) -> dict[str, Any] | None:
    """Scorecard and post-mortem of a rehearsal; None where nothing was rehearsed."""
    if "operators" not in run.metrics:
        return None
    table, found = run.table("scorecard"), lessons(run)
    return {
        "sentence": scorecard.sentence(table),
        "headings": scorecard.HEADINGS,
        "rows": scorecard.lines(table),
        "questions": [(title, found[key]["summary"], found[key]["findings"]) for key, title in QUESTIONS.items()],
    }


def about(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What was run, as label and text: hall, workload, policy, scenario, seed, length, versions."""
    configuration = manifest.get("configuration") or {}

    def named(key: str) -> str:
        value = configuration.get(key, manifest.get(key))
        if isinstance(value, Mapping):
            value = value.get("name") or value.get("kind")
        return str(value) if value else "none"

    scenario = configuration.get("scenario", manifest.get("scenario"))
    scenario = scenario if isinstance(scenario, Mapping) else {}
    return {
        "name": str(manifest.get("name", "run")),
        "hall": named("hall"),
        "workload": named("workload"),
        "policy": named("policy"),
        "scenario": named("scenario"),
        "purpose": str(scenario.get("purpose") or ""),
        "moral": str(scenario.get("moral") or ""),
        "seed": str(manifest.get("seed", "")),
        "hours": wording.number(manifest.get("hours")),
        "twin": str((manifest.get("versions") or {}).get("twin", "")),
        "commit": str(manifest.get("commit") or manifest.get("git_commit") or "")[:12],
    }


def trace(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the demand came from: the workload's provenance (trace, window, scale, rows), flattened."""
    source = manifest.get("trace")
    if source is None:
        source = manifest.get("workload")
    return list(_flat(source, "")) if isinstance(source, Mapping) else []


def _flat(value: Any, prefix: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key in value for pair in _flat(value[key], f"{prefix} {key}".replace("_", " ").strip())]
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    return [(prefix, str(value))] if value not in (None, "") else []


def cards(metrics: Mapping[str, Any]) -> list[Card]:
    """The key figures, those first that a planner asks for first."""
    m = metrics
    jobs = m["jobs"]
    say = wording
    trips, near = int(m["breaker_trips_total"]), int(m["breaker_near_misses_total"])
    closest = m["breaker_thermal_fraction_max"]
    slow, hardware, off = (
        int(m[key]) for key in ("throttle_events_total", "hardware_slowdown_events_total", "shutdown_events_total")
    )
    stranded = m["stranded_power_watts"]
    allocated = m["allocated_ratio"]
    incidents = say.count(int(m["breaker_incidents_total"]), "incident")
    restarts = say.count(int(m["restarts_total"]), "restart")
    found = [
        Card(
            "breaker trips",
            str(trips),
            f"{incidents}, {say.count(near, 'near miss', 'near misses')}; "
            f"closest at {say.number(None if closest is None else 100.0 * closest)} % of its trip level",
            trips > 0,
        ),
        Card(
            "throttled for heat",
            say.gpu_hours(m["throttled_gpu_seconds"]),
            f"{say.count(slow, 'onset')}, {hardware or 'none'} by hardware; {say.count(off, 'shutdown')}",
            slow + off > 0,
        ),
        Card("hottest device", f"{say.number(m['gpu_temperature_celsius_max'])} °C", "of all racks"),
        Card(
            "work lost",
            say.gpu_hours(m["gpu_seconds_lost"]),
            f"of {say.gpu_hours(m['gpu_seconds_delivered'])} delivered; {restarts}",
            float(m["gpu_seconds_lost"]) > 0.0,
        ),
        Card(
            "jobs completed",
            f"{jobs['completed']:,} of {jobs['submitted']:,}",
            f"{jobs['running']} running, {jobs['queued']} queued, {jobs['refused']} refused, {jobs['killed']} killed",
            jobs["killed"] + jobs["refused"] > 0,
        ),
        Card("IT energy", say.energy(m["it_energy_joules"]), f"PUE {say.number(m['pue'], 4)} (boundary: see the end)"),
        Card(
            "peak row power",
            say.quantity(m["peak_row_power_watts"], "W"),
            f"row {m['peak_row']}" if m["peak_row"] else "",
        ),
    ]
    if stranded is not None:
        found.append(
            Card(
                "stranded power",
                say.quantity(stranded, "W"),
                f"held by allocated trays, not drawn; {100.0 * (allocated or 0.0):.0f} % of trays allocated on average",
            )
        )
    if m["services"]:
        requests = sum(service["requests"] for service in m["services"].values())
        misses = float(m["latency_misses_total"])
        share = 100.0 * misses / requests if requests else 0.0
        found.append(Card("latency misses", f"{say.number(share)} %", f"{misses:,.0f} of {requests:,.0f} requests"))
    if m["capped_gpu_seconds"]:
        found.append(Card("power-capped", say.gpu_hours(m["capped_gpu_seconds"]), "by policy or rack firmware"))
    return found


#: forecasts by their key: what was said, its unit here, how many of that make the measure's, and the measures' suffix
FORECASTS = (
    ("rack", "power of a rack, of its nameplate", "%", 0.01, ""),
    ("row", "power of a row, of its racks' nameplates", "%", 0.01, ""),
    ("phase", "current of a line, of its rating", "%", 0.01, ""),
    ("loop", "heat of a loop, of its exchanger's rating", "%", 0.01, ""),
    ("recovery", "when what was above its limit is back", "min", 60.0, "_seconds"),
)


def forecasts(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of what a policy forecast and how far off it was: bias, mean size and 90th percentile of its errors."""
    rows = []
    for key, what, unit, size, suffix in FORECASTS:
        found = metrics.get(key) or {}
        if found.get("count"):
            names = (f"bias{suffix}", f"mean_absolute_error{suffix}", f"absolute_error{suffix}_p90")
            bias, mean, p90 = (f"{wording.number(found[name] / size)} {unit}" for name in names)
            rows.append({"what": what, "count": f"{found['count']:,}", "bias": bias, "mean": mean, "p90": p90})
    return rows


def jobs_hit(jobs: pd.DataFrame) -> dict[str, Any]:
    """Whom it cost: jobs that lost work, were killed or refused, the largest losses first, and how many in all."""
    hit = jobs[(jobs["lost_gpu_seconds"] > 0.0) | jobs["status"].isin(("killed", "refused"))]
    top = hit.sort_values(["lost_gpu_seconds", "id"], ascending=[False, True]).head(MOST_JOBS)
    return {"total": len(hit), "rows": top.to_dict("records")}


def loss_sentences(metrics: Mapping[str, Any]) -> list[str]:
    """What it cost, a sentence per kind of loss that there was."""
    found = []
    for key, what, say in (
        ("gpu_seconds_lost_by_cause", "Work lost", wording.gpu_hours),
        ("power_watt_seconds_lost_by_cause", "Energy that jobs could not draw", wording.energy),
        ("jobs_lost_by_cause", "Jobs killed or refused", lambda amount: wording.number(amount, 6)),
    ):
        causes = {cause: amount for cause, amount in metrics[key].items() if amount}
        if causes:
            ranked = sorted(causes, key=lambda cause: (-causes[cause], cause))
            total = say(sum(causes.values()))
            if len(ranked) == 1:
                found.append(f"{what}: {total}, all through “{ranked[0]}”.")
            else:
                shares = [f"{say(causes[cause])} through “{cause}”" for cause in ranked]
                found.append(f"{what}: {total}, of which {wording.listed(shares)}.")
    return found


def _make_room(directory: Path) -> None:
    """A directory for figures without those of an earlier report, some of which may have nothing to show now."""
    try:
        directory.mkdir(exist_ok=True)
        for old in sorted(directory.glob("*.png")):
            old.unlink()
    except OSError as fault:
        raise rundir.unwritable(directory, fault) from fault
