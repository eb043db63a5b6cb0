"""The scorecard of a rehearsal on the terminal."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from twin.results.scorecard import HEADINGS, by_outcome, lines, sentence


def print_scorecard(scorecard: pd.DataFrame) -> None:
    """Print every step with its outcome, and how each role did."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(160, console.width)
    table = Table(title=f"rehearsal: {sentence(scorecard)}", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for row in lines(scorecard):
        table.add_row(*row)
    console.print(table)
    for role, counts in by_outcome(scorecard)["by_role"].items():
        console.print(f"{role.replace('_', ' ')}: {_counted(counts)}", markup=False)


def _counted(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in counts.items() if number)
