"""Studies of other populations in other worlds, told as one: what a single seed finds may be its luck."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from twin.hall.errors import Fault, HallError
from twin.results.rundir import RunError
from twin.studies.canary.settings import CanaryStudy, settings_of
from twin.studies.canary.study import Found
from twin.studies.canary.written import FORMAT, manifest_of

#: columns whose empty fields are numbers that are not known; in all others they are text
NUMBERS = (
    "seconds_to_verdict", "temperature_harm_kelvin", "temperature_true_kelvin", "canary_celsius", "fleet_celsius",
    "hottest_celsius", "harm_margins",
)  # fmt: skip


def pooled(folders: Sequence[Path]) -> tuple[CanaryStudy, Found, dict[str, object]]:
    """The settings of the studies in some directories, all of their builds, and the manifest of the whole.

    A build's name begins with its study's seed. Raises RunError for what is no study or cannot be read, and
    :class:`~twin.hall.errors.HallError` for studies that differ in more than their seed, or not in that.
    """
    manifests = [_manifest(folder) for folder in folders]
    studies = [settings_of(each["settings"], str(folder)) for each, folder in zip(manifests, folders, strict=True)]
    first = studies[0]
    faults: list[Fault] = []
    seeds: list[int] = []
    for each, folder in zip(studies, folders, strict=True):
        if each.seed in seeds:
            faults.append(Fault(str(folder), "seed", each.seed, "is counted already", "Give each study once"))
        seeds.append(each.seed)
        mine, its = first.plain(), replace(each, seed=first.seed).plain()
        for key in sorted(key for key in mine if mine[key] != its[key]):
            said = f"differs from that of {folders[0]}"
            faults.append(Fault(str(folder), key, its[key], said, "Pool studies that differ in their seed alone"))
    if faults:
        raise HallError(faults)
    in_order = [folder for _, folder in sorted(zip(seeds, folders, strict=True), key=lambda each: each[0])]
    whole = [
        pd.concat([_table(folder / f"{name}.csv", seed) for seed, folder in zip(sorted(seeds), in_order, strict=True)])
        for name in ("builds", "truth", "verdicts")
    ]
    builds, truth, verdicts = (each.reset_index(drop=True) for each in whole)
    found = Found(builds, truth, verdicts, ())
    commits = {str(each["settings"]["seed"]): each["commit"] for each in manifests}
    manifest = {**manifest_of(first), "seeds": sorted(seeds), "commits": dict(sorted(commits.items()))}
    return first, found, manifest


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); give the directory of a study that has ended") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or "seeds" in found:
        raise RunError(f"{path}: is not that of a canary study of one seed; give directories that 'twin canary' wrote")
    return found


def _table(path: Path, seed: int) -> pd.DataFrame:
    """A table of a study, its builds named after its seed too."""
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in NUMBERS})
        table["build"] = [f"seed {seed} {build}" for build in table["build"]]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path}: cannot be read ({error}); give the directory of a study that has ended") from error
    return table
