"""One job of Hydra: its configuration as plain values, its name, and the run made of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from twin.cli.assembly import node_list
from twin.cli.configuration import ConfigurationError, read_configuration
from twin.cli.execute import execute
from twin.cli.naming import RESULTS, axes_name, run_name
from twin.cli.stories import GROUPS
from twin.hall.errors import Fault

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
    choices = hydra.runtime.choices
    if node_list(mapping.get("workload")) is not None:
        mapping["workload"] = hall_of_choice(mapping["workload"], hydra.overrides.task)
    configuration = read_configuration(mapping)
    sources = {group: str(folder / group / f"{choices.get(group)}.yaml") for group in GROUPS}
    words = {group: choices.get(group) for group in NAMED_FOR}
    if node_list(configuration.workload) is not None:
        words["hall"] = "nodes"  # the workload brings its own hall
    name = run_name([*words.values(), configuration.seed])
    if hydra.mode is not RunMode.MULTIRUN:
        return execute(configuration, sources, name=name, parent=Path(RESULTS))
    job = axes_name(hydra.overrides.task, axes) or f"job={hydra.job.num}"
    return execute(configuration, sources, name=name, parent=Path(hydra.sweep.dir), folder=job)


def hall_of_choice(workload: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """A workload with a node list, and whose hall it is: the list's, unless the command line chose ``hall=``.

    Says so on stderr. Raises :class:`ConfigurationError` for settings of a hall that the list would replace.
    """
    keys = {word.lstrip("+~").partition("=")[0]: word.partition("=")[2] for word in words}
    nodes = workload["nodes_path"]
    if "hall" in keys:
        print(f"twin: workload.nodes_path={nodes} is not used: hall={keys['hall']} was chosen", file=sys.stderr)
        return {**workload, "nodes_path": None}
    lost = [key for key in keys if key.startswith("hall.")]
    if lost:
        problem = "the hall is built from workload.nodes_path"
        remedy = "Leave it out, or choose a hall to change with hall=NAME"
        raise ConfigurationError(Fault("command line", key, keys[key], problem, remedy) for key in lost)
    print(f"twin: the hall is built from the nodes in {nodes}", file=sys.stderr)
    return workload
