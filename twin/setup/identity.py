"""What makes two runs the same run: configuration, input files, and the code that makes it.

A study or sweep that is started again knows by it which of its runs are there already. Unlike the manifest's digest it
is known before a run is made, and unlike the commit it changes with code that is not committed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from twin.places import conf_dir
from twin.results.rundir import canonical_json
from twin.setup.configuration import Configuration
from twin.setup.manifest import PACKAGE, digest, versions

FILES = ("path", "nodes_path")  # keys whose values name a file that a run reads


def identity(configuration: Configuration) -> str:
    """SHA-256 of all that a run's results depend on."""
    mapping = configuration.mapping()
    if configuration.workload.get("nodes_path"):
        mapping = {**mapping, "hall": None}  # built from the node list, whose digest stands for it
    inputs = {key: digest(path) for key, path in _inputs(mapping) if path.is_file()}
    what = {"configuration": mapping, "inputs": inputs, "versions": versions(), "code": code_digest()}
    return "sha256:" + hashlib.sha256(canonical_json(what)).hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 of the package's modules and of the policy documents that are read by their names."""
    content = hashlib.sha256()
    for folder, pattern in ((PACKAGE, "*.py"), (conf_dir() / "policy", "*.json")):
        for path in sorted(folder.rglob(pattern)):
            content.update(path.relative_to(folder).as_posix().encode())
            content.update(path.read_bytes())
    return "sha256:" + content.hexdigest()


def _inputs(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Path]]:
    for key in sorted(mapping):
        value = mapping[key]
        if isinstance(value, Mapping):
            yield from _inputs(value, f"{prefix}{key}.")
        elif key in FILES and isinstance(value, str):
            yield f"{prefix}{key}", Path(value)
