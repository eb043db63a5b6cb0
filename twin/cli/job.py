"""One job of Hydra: its configuration as plain values, its name, and the run made of it."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from twin.cli.execute import execute
from twin.cli.exits import Exit
from twin.cli.sweep import folder_of, guarded
from twin.setup.compose import of_job
from twin.setup.identity import identity
from twin.setup.naming import RESULTS
from twin.studies.sweep import finished


def axes_of(words: Sequence[str]) -> tuple[str, ...]:
    """The keys that the overrides among ``words`` sweep over."""
    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    parsed = OverridesParser.create().parse_overrides(overrides)
    return tuple(override.key_or_group for override in parsed if override.is_sweep_override())


def run_job(config: DictConfig, axes: Sequence[str], folder: Path) -> int:
    """Make the run of a configuration that was composed from ``folder``; returns its exit code."""
    hydra = HydraConfig.get()
    if hydra.mode is not RunMode.MULTIRUN:
        found = of_job(config, folder)
        return execute(found.configuration, found.sources, name=found.name, parent=Path(RESULTS))
    sweep, job = Path(hydra.sweep.dir), folder_of(hydra.job.num, hydra.overrides.task, axes)

    def run() -> None:
        found = of_job(config, folder)
        if not finished(sweep / job, identity(found.configuration)):
            execute(found.configuration, found.sources, name=found.name, parent=sweep, folder=job)

    guarded(sweep / job, run)
    return Exit.FINE  # whoever started the sweep looks at what came of it
