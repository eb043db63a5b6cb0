"""``twin scenarios``: the stories there are, what each asks and what it expects."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.cli.exits import Exit, refuse
from twin.hall.errors import did_you_mean
from twin.places import scenarios_dir
from twin.setup import stories
from twin.sim.scenario import ScenarioError

EXAMPLES = """
examples:
  twin scenarios                            all stories: what each asks, what it expects, how long it is
  twin scenarios loop_evacuation            one in full, with its moral
  twin run scenario=loop_evacuation_short   tell its short form

exit codes: 0 fine, 3 no such story or a file that cannot be read
"""


def main(argv: list[str]) -> int:
    """List the scenarios, or show one. A file that cannot be read is a refusal, after the others are listed."""
    parser = argparse.ArgumentParser(
        prog="twin scenarios",
        description="List the stories that can happen to a hall, or show one. 'twin run scenario=NAME' tells it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one scenario, in full")
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    parser.add_argument("--dir", metavar="DIR", help="another folder of scenarios")
    asked = parser.parse_args(argv)
    folder = scenarios_dir() if asked.dir is None else Path(asked.dir)
    if not folder.is_dir():
        return refuse([f"--dir: '{folder}' is no folder. Give one with scenario files."])
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for path in stories.files(folder):
        try:
            found.append(stories.read_story(path))
        except ScenarioError as error:
            faults += [str(fault) for fault in error.faults]
    if asked.name is not None:
        names = [story["name"] for story in found]
        found = [story for story in found if story["name"] == asked.name]
        if not found:
            mine = [fault for fault in faults if Path(fault.split(":")[0]).stem == asked.name]
            return refuse(
                mine or [f"twin scenarios: '{asked.name}': no such scenario. {did_you_mean(asked.name, names)}."]
            )
        faults = []
    if asked.json:
        print(json.dumps(found[0] if asked.name else [brief(story) for story in found], indent=2, ensure_ascii=False))
    elif asked.name:
        show(found[0])
    else:
        listing(found)
    return refuse(faults) if faults else Exit.FINE


def brief(story: Mapping[str, Any]) -> dict[str, Any]:
    """What the list shows of a story."""
    return {
        "name": story["name"],
        "purpose": sentence(story.get("purpose")),
        "moral": sentence(story.get("moral")),
        "hours": hours(story),
        "expectations": [expectation(entry) for entry in story.get("expectations") or []],
        "short": bool(story.get("short")),
        "short_hours": hours(story["short"]) if story.get("short") else None,
    }


def hours(form: Mapping[str, Any]) -> Any:
    """Length of a form as it is written [h]; 24 h, as of any run, where it says nothing."""
    return form.get("hours", 24)


def length(written: Any) -> str:
    """A length in hours, or in minutes where that is less than one."""
    if not isinstance(written, int | float):
        return f"{written} h"  # a fault that telling it will name
    return f"{written:g} h" if written >= 1 else f"{60 * written:.0f} min"


def sentence(written: object) -> str:
    """Text that a file breaks over lines, on one."""
    return " ".join(str(written or "").split())


def expectation(entry: object) -> str:
    """An expectation on one line."""
    return "; ".join(f"{key}: {value}" for key, value in entry.items()) if isinstance(entry, Mapping) else str(entry)


def listing(found: list[dict[str, Any]]) -> None:
    """Print the stories as a table."""
    table = Table(
        show_lines=True,
        title="twin run scenario=NAME",
        caption="scenario=NAME_short tells the short form in seconds; twin scenarios NAME shows one with its moral",
    )
    table.add_column("name, length, short form", no_wrap=True)
    table.add_column("purpose", ratio=1)
    table.add_column("expects", ratio=1, overflow="fold")
    for story in map(brief, found):
        lengths = length(story["hours"]) + (f"; short {length(story['short_hours'])}" if story["short"] else "")
        table.add_row(f"{story['name']}\n{lengths}", story["purpose"], "\n".join(story["expectations"]) or "nothing")
    Console().print(table)


def show(story: Mapping[str, Any]) -> None:
    """Print one story as its file tells it."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{story['name']}: {sentence(story.get('purpose'))}", style="bold")
    chosen = [f"{group}={name}" for group, name in (story.get("choose") or {}).items()]
    chosen += [f"hours={story['hours']}"] if "hours" in story else []
    if chosen:
        console.print(f"told on: {' '.join(chosen)}")
    console.print("what happens:")
    for entry in story.get("timeline") or []:
        rest = ", ".join(f"{key}: {value}" for key, value in entry.items() if key not in ("at", "do"))
        console.print(f"  {entry.get('at')}  {entry.get('do')}" + (f"  ({rest})" if rest else ""))
    if not story.get("timeline"):
        console.print("  nothing but the work")
    for entry in story.get("surprises") or []:
        rest = ", ".join(f"{key}: {value}" for key, value in entry.items() if key != "do")
        console.print(f"  surprise  {entry.get('do')}  ({rest})")
    if story.get("operators"):
        console.print("who has to do what:")
    for entry in story.get("operators") or []:
        due = f"within {entry['within']}" if "within" in entry else f"due {entry.get('due')}"
        console.print(f"  {entry.get('role')}: {entry.get('step') or entry.get('do')}, {due}")
    console.print("what is expected:")
    for entry in story.get("expectations") or []:
        console.print(f"  {expectation(entry)}")
    if story.get("moral"):
        console.print(f"moral: {sentence(story['moral'])}")
    console.print(f"file: {story['source']}")
    if story.get("short"):
        console.print(f"short form: scenario={story['name']}_short, {length(hours(story['short']))}")
