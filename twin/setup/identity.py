"""What makes two runs the same run: configuration, input files, and the code that makes it.

A study or sweep that is started again knows by it which of its runs are there already. Unlike the manifest's digest it
is known before a run is made, and unlike the commit it changes with code that is not committed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twin.results.rundir import canonical_json
from twin.setup.configuration import Configuration
from twin.setup.manifest import digest, versions

FILES = ("path", "nodes_path", "flags")  # keys whose values name a file that a run reads, if they are a path


def identity(configuration: Configuration) -> str:
    """SHA-256 of all that a run's results depend on."""
    mapping = configuration.mapping()
    if configuration.workload.get("nodes_path"):
        mapping = {**mapping, "hall": None}  # built from the node list, whose digest stands for it
    inputs = {key: digest(path) for key, path in _inputs(mapping) if path.is_file()}
    what = {"configuration": mapping, "inputs": inputs, "versions": versions()}
    return "sha256:" + hashlib.sha256(canonical_json(what)).hexdigest()


def _inputs(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Path]]:
    for key in sorted(mapping):
        value = mapping[key]
        if isinstance(value, Mapping):
            yield from _inputs(value, f"{prefix}{key}.")
        elif key in FILES and isinstance(value, str):
            yield f"{prefix}{key}", Path(value)
