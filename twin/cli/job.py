"""One job of Hydra: its configuration as plain values, its name, and the run made of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from twin.cli.assembly import node_list
from twin.cli.configuration import read_configuration
from twin.cli.execute import execute
from twin.cli.naming import RESULTS, axes_name, run_name
from twin.cli.stories import GROUPS

NAMED_FOR = ("hall", "workload", "policy", "scenario")


def axes_of(words: Sequence[str]) -> tuple[str, ...]:
    """The keys that the overrides among ``words`` sweep over."""
    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    parsed = OverridesParser.create().parse_overrides(overrides)
    return tuple(override.key_or_group for override in parsed if override.is_sweep_override())


def run_job(config: DictConfig, axes: Sequence[str], folder: Path) -> int:
    """Make the run of a configuration that was composed from ``folder``; returns its exit code."""
    hydra = HydraConfig.get()
    mapping = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    configuration = read_configuration(mapping)
    choices = hydra.runtime.choices
    sources = {group: str(folder / group / f"{choices.get(group)}.yaml") for group in GROUPS}
    words = {group: choices.get(group) for group in NAMED_FOR}
    if node_list(configuration.workload) is not None:
        words["hall"] = "nodes"  # the workload brings its own hall
    name = run_name([*words.values(), configuration.seed])
    if hydra.mode is not RunMode.MULTIRUN:
        return execute(configuration, sources, name=name, parent=Path(RESULTS))
    job = axes_name(hydra.overrides.task, axes) or f"job={hydra.job.num}"
    return execute(configuration, sources, name=name, parent=Path(hydra.sweep.dir), folder=job)
