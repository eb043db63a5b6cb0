"""The questions of a post-mortem, asked of a run: its tables go in, findings with their figures come out."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from twin.results import postmortem as ask
from twin.results.read import Run

QUESTIONS = {
    "canary": "Did the canary land right?",
    "shutdown": "Was shutdown too late or too early?",
    "flags": "Which flag stayed longer than needed?",
}


def lessons(run: Run) -> dict[str, Any]:
    """Summary and findings for each of :data:`QUESTIONS`, and rack classes and workloads compared, as plain values.

    Raises RunError when a table is missing.
    """
    events, racks, jobs = (run.table(name) for name in ("events", "racks", "jobs"))
    series = run.series("rack", ("device_temperature_celsius",), ("mean", "max"))
    ended = float(run.metrics["simulated_seconds"]) + float(run.metrics.get("warmup_seconds") or 0.0)
    rack_classes, workloads = ask.classes(racks, jobs), ask.workloads(jobs)
    return {
        "canary": _section(ask.canaries(events, run.table("rollouts"), racks, series), "release"),
        "shutdown": _section(ask.shutdowns(events, racks, series), "rack"),
        "flags": _section(ask.flags(events, racks, jobs, series, ended), "flag"),
        "rack_classes": {"summary": ask.compared(rack_classes, "rack classes"), "lines": rack_classes},
        "workloads": {"summary": ask.compared(workloads, "workloads"), "lines": workloads},
    }


def _section(findings: Sequence[ask.Finding], one: str) -> dict[str, Any]:
    return {"summary": ask.summary(findings, one), "findings": [asdict(each) for each in findings]}
