"""What a team did at the table, as it stands in a CSV file: its rows as text, with the lines they stand on."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin.hall.errors import Fault, did_you_mean
from twin.setup.configuration import ConfigurationError
from twin.sim.operators_file import COLUMNS

EXAMPLE = "time,role,action,target"


def read_operators(path: str) -> dict[str, Any]:
    """``file`` and ``rows`` of a CSV file with the columns time, role, action and target; empty lines are left out.

    Raises :class:`ConfigurationError` when it cannot be read or has other columns.
    """

    def refused(key: str, value: Any, problem: str, remedy: str) -> ConfigurationError:
        return ConfigurationError([Fault(path, key, value, problem, remedy)])

    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, skipinitialspace=True)
            names = [str(name).strip() for name in lines.fieldnames or ()]
            for name in names:
                if name not in COLUMNS:
                    raise refused("line 1", name, "unknown column", did_you_mean(name, COLUMNS))
            for name in COLUMNS[:3]:
                if name not in names:
                    raise refused("line 1", ",".join(names), f"no column {name}", f"Begin the file with {EXAMPLE}")
            lines.fieldnames = names
            rows = [_row(lines.line_num, row) for row in lines if any(value for value in row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise refused("file", path, f"cannot be read ({fault})", "Give a CSV file in UTF-8") from None
    return {"file": path, "rows": rows}


def _row(line: int, row: Mapping[str | None, Any]) -> dict[str, Any]:
    """One row; what is beyond the last column goes to the target, where a comma was meant to be text."""
    beyond = row.get(None)
    found: dict[str, Any] = {"line": line, **{name: (row.get(name) or "").strip() for name in COLUMNS}}
    if beyond:
        found["target"] = ",".join([found["target"], *beyond])
    return found
