"""The directory of a study: tables, summary and figures, each written whole."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from twin.results.drawing import png
from twin.results.rundir import canonical_json, write_whole
from twin.setup.manifest import commit, versions
from twin.studies.canary.figures import figures
from twin.studies.canary.settings import CanaryStudy
from twin.studies.canary.strategies import by_group, by_size, strategies_table
from twin.studies.canary.study import Found
from twin.studies.canary.summary import summary

FORMAT = "data-hall-twin canary study, version 1"


def manifest_of(study: CanaryStudy) -> dict[str, object]:
    """What a study is."""
    return {"format": FORMAT, "settings": study.plain(), "commit": commit(), "versions": versions()}


def write(folder: Path, study: CanaryStudy, found: Found, manifest: Mapping[str, object] | None = None) -> pd.DataFrame:
    """Write everything that a study found, by default with its own manifest; returns the table of strategies."""
    strategies = strategies_table(found.verdicts, study.seed)
    sizes = by_size(found.verdicts)
    tables = {
        "builds": found.builds, "truth": found.truth, "verdicts": found.verdicts, "strategies": strategies,
        "sizes": sizes, **{f"by_{name}": by_group(found.verdicts, name) for name in ("kind", "mix", "state")},
    }  # fmt: skip
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False).encode())
    write_whole(folder / "summary.md", summary(study, found, strategies).encode())
    write_whole(folder / "manifest.json", canonical_json(dict(manifest_of(study) if manifest is None else manifest)))
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures(strategies, sizes).items():
        png(figure, folder / "figures" / f"{name}.png")
    return strategies
