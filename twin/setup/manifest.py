"""What a run is, for its manifest: enough to make it again."""

import hashlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from twin import __version__
from twin.places import conf_dir
from twin.setup.configuration import Configuration

LIBRARIES = ("numpy", "numba", "simpy", "networkx", "pandas", "pyarrow", "scipy", "hydra-core", "omegaconf")
PACKAGE = Path(__file__).resolve().parents[1]


def manifest_of(
    configuration: Configuration,
    *,
    name: str,
    identity: str,
    workload: Mapping[str, Any],
    drawn_faults: Sequence[Mapping[str, Any]],
    tolerances: str,
    started: str,
    finished: str,
) -> dict[str, Any]:
    """The manifest of a run; ``workload`` is where its demand came from, the stamps are ISO 8601, ``identity`` is what
    :func:`twin.setup.identity.identity` says before the run is made.

    ``drawn_faults`` came by chance: each is an entry as a scenario's timeline has it. ``tolerances`` is the digest of
    what was drawn of its devices.
    """
    found = {
        "name": name,
        "identity": identity,
        "configuration": configuration.mapping(),
        "seed": configuration.seed,
        "hours": configuration.hours,
        "workload": dict(workload),
        "drawn_faults": [dict(fault) for fault in drawn_faults],
        "tolerances": tolerances,
        "versions": versions(),
        "commit": commit(),
        "started": started,
        "finished": finished,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }
    for key, path in (("weather", configuration.weather_path), ("nodes", configuration.workload.get("nodes_path"))):
        if path is not None:
            found[key] = {"path": path, "sha256": digest(Path(path))}
    return found


def versions() -> dict[str, str]:
    """Versions of the twin, its code, Python and the libraries that a result may depend on."""
    found = {"twin": __version__, "code": code_digest(), "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@cache
def code_digest() -> str:
    """SHA-256 of the modules and of the files that are read by their names: parts, policy documents, scores."""
    content = hashlib.sha256()
    parts, policy = conf_dir() / "parts", conf_dir() / "policy"
    read = ((PACKAGE, "*.py"), (parts, "*.yaml"), (policy, "*.json"), (policy / "score", "*.yaml"))
    for folder, pattern in read:
        for path in sorted(folder.rglob(pattern)):
            content.update(path.relative_to(folder).as_posix().encode())
            content.update(path.read_bytes())
    return "sha256:" + content.hexdigest()


def commit() -> str | None:
    """The commit of the checkout that runs, with ``+changes`` when it has any; None outside a checkout."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
