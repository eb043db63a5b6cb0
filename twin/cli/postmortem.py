"""``twin postmortem RUN``: what a run teaches, in Markdown on the terminal or as JSON."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from twin.cli.exits import Exit, refuse

if TYPE_CHECKING:
    from twin.results.read import Run

EXAMPLES = """
examples:
  twin run scenario=gameday_coolant_loss_short out=rehearsal && twin postmortem rehearsal
  twin postmortem rehearsal --markdown > postmortem.md
  twin postmortem rehearsal --json

exit codes: 0 fine, 3 input refused
"""
MOST = 12  # findings of one kind that are told
COLUMNS = ("", "GPUs", "delivered", "throttled", "lost")


def main(argv: list[str]) -> int:
    """Tell what a run teaches."""
    parser = argparse.ArgumentParser(
        prog="twin postmortem",
        description="What a run teaches: whether canaries landed right, whether shutdown came too late or too early, "
        "which flag stayed longer than needed, what each rack class and workload lost, what led to what, and how the "
        "team did. Every sentence rests on figures of the run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="the directory that a run wrote")
    parser.add_argument("--markdown", action="store_true", help="as plain Markdown, for a page")
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    asked = parser.parse_args(argv)
    # pandas loads here, so that help does not wait for it
    from twin.results.read import read_run
    from twin.results.rundir import RunError, plain

    try:
        run = read_run(asked.run)
        if not run.metrics:
            raise RunError(f"{run.directory}: the run failed before it was measured; run it again")
        found = look(run)
    except RunError as error:
        return refuse([str(error)])
    if asked.json:
        print(json.dumps(plain(found), indent=2, ensure_ascii=False, allow_nan=False))
    elif asked.markdown:
        print(page(found), end="")
    else:
        from rich.console import Console
        from rich.markdown import Markdown

        console = Console()
        if not console.is_terminal:
            console.width = max(120, console.width)
        console.print(Markdown(page(found)))
    return Exit.FINE


def look(run: "Run") -> dict[str, Any]:
    """Everything that a post-mortem tells, as plain values."""
    from twin.results import scorecard
    from twin.results.lessons import lessons
    from twin.results.narrative import stories, verdict
    from twin.results.report import traces_of

    traces = traces_of(run)
    told, _ = stories(run.table("events"), traces)
    found: dict[str, Any] = {
        "run": str(run.manifest.get("name", run.directory.name)),
        "verdict": verdict(run.metrics, run.complete),
        **lessons(run),
        "causes": [trace.text for trace in traces],
        "timeline": [{"title": each.title, "steps": [asdict(step) for step in each.steps]} for each in told],
    }
    if "operators" in run.metrics:
        card = run.table("scorecard")
        found["scorecard"] = {
            "summary": scorecard.sentence(card) + ".",
            "by_role": run.metrics["operators"]["by_role"],
            "rows": [dict(zip(scorecard.HEADINGS, row, strict=True)) for row in scorecard.lines(card)],
        }
    return found


def page(found: dict[str, Any]) -> str:
    """The post-mortem as Markdown."""
    from twin.results.lessons import QUESTIONS
    from twin.results.wording import markdown_table

    lines = [f"# Post-mortem of {found['run']}", "", found["verdict"], ""]
    for key, title in QUESTIONS.items():
        lines += [f"## {title}", "", found[key]["summary"], ""]
        told = found[key]["findings"]
        lines += [f"* **{each['answer']}**: {each['sentence']}" for each in told[:MOST]]
        lines += [f"* … and {len(told) - MOST} more, with --json"] if len(told) > MOST else []
        lines.append("")
    lines += _compared(found)
    if "scorecard" in found:
        lines += ["## How the team did", "", found["scorecard"]["summary"], ""]
        rows = found["scorecard"]["rows"]
        if rows:
            lines += [markdown_table(list(rows[0]), [list(row.values()) for row in rows]), ""]
    lines += ["## What led to what", ""]
    lines += [f"* {line}" for line in found["causes"]] or ["Nothing slowed, tripped or was lost."]
    lines.append("")
    for story in found["timeline"]:
        lines += [f"### {story['title']}", ""]
        lines += [
            f"* {step['when']}: {step['what']}" + (f" ({step['why']})" if step["why"] else "")
            for step in story["steps"]
        ]
        lines.append("")
    return "\n".join(lines)


def _compared(found: dict[str, Any]) -> list[str]:
    from twin.results.postmortem import amounts
    from twin.results.wording import markdown_table

    lines = ["## Rack classes and workloads", ""]
    for key in ("rack_classes", "workloads"):
        if found[key]["lines"]:
            lines += [markdown_table(COLUMNS, [amounts(line) for line in found[key]["lines"]]), ""]
        lines += [found[key]["summary"], ""] if found[key]["summary"] else []
    return lines
