"""A configuration from the words of a command line, as ``twin run`` and the studies take them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from twin.hall.errors import Fault
from twin.places import conf_dir, scenarios_dir
from twin.setup import stories
from twin.setup.assembly import Parts, node_list, read_parts
from twin.setup.configuration import Configuration, ConfigurationError, read_configuration
from twin.setup.identity import identity
from twin.setup.naming import run_name
from twin.setup.operators import read_operators
from twin.setup.stories import GROUPS

NAMED_FOR = ("hall", "workload", "policy", "scenario")


@dataclass(frozen=True)
class Composed:
    """A configuration, the name that its choices give a run, and the files that its groups came from."""

    configuration: Configuration
    name: str
    sources: Mapping[str, str]

    def parts(self) -> Parts:
        """What :func:`twin.sim.simulate.simulate` takes. Raises :class:`~twin.setup.refusals.Refused`."""
        return read_parts(self.configuration, self.sources)

    @property
    def identity(self) -> str:
        """What makes this run the same run as another: see :mod:`twin.setup.identity`."""
        return identity(self.configuration)


def compose_run(words: Sequence[str], configuration: Path | None = None, scenarios: Path | None = None) -> Composed:
    """The configuration of overrides such as ``hall=small`` or ``seed=7``, outside of a Hydra application.

    ``configuration`` and ``scenarios`` are the folders to compose from, by default the project's own. Raises what
    Hydra raises for words that fit nowhere (see :mod:`twin.cli.complaints`) and the errors of
    :data:`~twin.setup.refusals.REFUSALS`.
    """
    folder = conf_dir() if configuration is None else configuration
    given = register(words, folder, scenarios_dir() if scenarios is None else scenarios)
    if folder != conf_dir():
        given.append(f"hydra.searchpath=[file://{conf_dir()}]")  # what a copy leaves out
    with initialize_config_dir(version_base="1.3", config_dir=str(folder.resolve())):
        config = compose("config", overrides=given, return_hydra_config=True)
    hydra = config.hydra
    with open_dict(config):
        del config["hydra"]  # as Hydra does where nobody asks for it
    return composed(config, hydra.runtime.choices, hydra.overrides.task, folder)


def composed(config: DictConfig, choices: Mapping[str, Any], words: Sequence[str], folder: Path) -> Composed:
    """What Hydra composed from ``folder``, as plain values; ``choices`` by group and ``words`` are its record."""
    mapping = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    unread = stories.unread(mapping.get("scenario"))
    if unread is not None:
        problem, remedy = "a story is chosen by the command line or by config.yaml alone", f"Give scenario={unread}"
        raise ConfigurationError([Fault(str(folder), "scenario", unread, problem, remedy)])
    if node_list(mapping.get("workload")) is not None:
        mapping["workload"] = hall_of_choice(mapping["workload"], words)
    if isinstance(mapping.get("operators"), str):
        mapping["operators"] = read_operators(mapping["operators"])
    found = read_configuration(mapping)
    sources = {group: str(folder / group / f"{choices.get(group)}.yaml") for group in GROUPS}
    named = {group: choices.get(group) for group in NAMED_FOR}
    if node_list(found.workload) is not None:
        named["hall"] = "nodes"  # the workload brings its own hall
    return Composed(found, run_name([*named.values(), found.seed]), sources)


def of_job(config: DictConfig, folder: Path) -> Composed:
    """The configuration of the Hydra job that is running."""
    hydra = HydraConfig.get()
    return composed(config, hydra.runtime.choices, hydra.overrides.task, folder)


def register(given: Sequence[str], folder: Path, scenarios: Path) -> list[str]:
    """Put the stories into Hydra's store as the group ``scenario``; returns the words with files turned into names.

    Stories are read that the words or ``config.yaml`` of the folder to compose from name.
    """
    config = folder / "config.yaml"
    chosen = config.read_text(encoding="utf-8") if config.is_file() else ""
    options = stories.options(scenarios, " ".join((*given, chosen)))
    words = []
    for word in given:
        key, equals, value = word.partition("=")
        if key == "scenario" and equals:
            names = value.split(",")
            for index, name in enumerate(names):
                if name.endswith((".yaml", ".yml")):
                    options |= stories.options_of(Path(name))
                    names[index] = Path(name).stem
            word = f"scenario={','.join(names)}"
        words.append(word)
    store = ConfigStore.instance()
    for name, node in options.items():
        store.store(group="scenario", name=name, node=node, package="_global_", provider="scenarios")
    return words


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
