"""Policy documents from their files: a policy's own, and the parts that it draws together."""

from pathlib import Path
from typing import Any

from twin.hall.files import read_yaml


def policy_document(folder: Path, name: str) -> dict[str, Any]:
    """The mapping of ``folder/NAME.yaml``, with each ``- part: choice`` of its ``defaults`` read from
    ``folder/part/choice.yaml`` into the key ``part``, as a run's configuration has it.

    Raises :class:`twin.hall.errors.HallError` for a file that cannot be read, OSError for one that is not there.
    """
    own = dict(read_yaml(folder / f"{name}.yaml"))
    found: dict[str, Any] = {}
    for entry in own.pop("defaults", []):
        if isinstance(entry, dict):
            for part, choice in entry.items():
                found[part] = read_yaml(folder / part / f"{choice}.yaml")
    return {**found, **own}
