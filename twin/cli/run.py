"""``twin run``: Hydra composes the configuration, one or many runs are made of it."""

import os
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from twin.cli.exits import Exit, refuse
from twin.places import conf_dir, scenarios_dir
from twin.setup import stories
from twin.setup.naming import RESULTS

#: options that go to Hydra as they are
FLAGS = (
    "-m",
    "--multirun",
    "-c",
    "--cfg",
    "-p",
    "--package",
    "--resolve",
    "--info",
    "--hydra-help",
    "-sc",
    "--shell-completion",
)

HELP = """usage: twin run [KEY=VALUE ...] [-m] [--config-dir DIR] [--cfg job]
       twin run --again RUN [out=DIR]

Simulate a hall and leave a run directory with tables, metrics and report.html.

choose with:
{choices}

set with, for example:
  seed=7                                  other arrivals, faults and noise
  hours=2                                 a shorter run
  out=DIR                                 the run directory; by default a named folder under results/
  operators=FILE.csv                      what a team did at the table: time,role,action,target
  weather.path=FILE.csv                   hourly dry- and wet-bulb temperatures
  workload.path=FILE                      a trace, for workload=azure_llm, openb or swf
  hall.loop.supply_temperature_celsius=35 any key of any file under conf/

options:
  -m                  every combination of comma-separated values: twin run -m policy=first_fit,random_healthy seed=1,2
                      in parallel: hydra/launcher=joblib; on a Slurm cluster: hydra/launcher=submitit_slurm, which needs
                      the extra slurm; out=DIR again makes only what is missing. Leaves sweep.csv beside the runs
  --config-dir DIR    use an edited copy of the configuration: twin init DIR writes DIR/conf and DIR/scenarios
  --cfg job           print the composed configuration and stop; --cfg job --package hall shows one group
  --again RUN         make a run again from its manifest

exit codes: 0 fine, 1 an expectation of the scenario unmet, 3 input refused, 4 internal error, 130 interrupted;
a sweep ends with the worst of its jobs, and a job that fails does not stop the others
"""


def help_text(configuration: Path, scenarios: Path) -> str:
    """The page of ``twin run --help``, with what there is to choose from."""
    lines = []
    for group in ("hall", "workload", "policy", "plant", "sensors", "tolerances", "record", "faults"):
        names = sorted(path.stem for path in (configuration / group).glob("*.yaml"))
        lines.append(f"  {group + '=':<11}{', '.join(names)}")
    names = [path.stem for path in stories.files(scenarios)]
    told = f"none, {', '.join(names)}; NAME_short for the short form of a story, or FILE.yaml for one of yours"
    lines.append(textwrap.fill(told, 110, initial_indent=f"  {'scenario=':<11}", subsequent_indent=" " * 13))
    return HELP.format(choices="\n".join(lines))


def main(argv: list[str]) -> int:
    """Run with Hydra overrides, sweep with ``-m``, or repeat a run with ``--again``. Returns an exit code."""
    given = list(argv)
    folder = taken(given, "--config-dir", "-cd")
    configuration = conf_dir() if folder is None else Path(folder).resolve()
    scenarios = scenarios_dir() if folder is None else beside(configuration)
    if any(word in ("-h", "--help") for word in given):
        print(help_text(configuration, scenarios), end="")
        return Exit.FINE
    if not (configuration / "config.yaml").is_file():
        return refuse([f"--config-dir: '{folder}' has no config.yaml. 'twin init DIR' writes a DIR/conf to edit."])
    again = taken(given, "--again")
    if again is not None:
        return repeat(again, given)
    strange = [word for word in given if word.startswith("-") and word not in FLAGS]
    if strange:
        return refuse([f"command line: {word}: no such option. See 'twin run --help'." for word in strange])
    if all("=" in word and not word.lstrip("+~").startswith(("hydra.", "hydra/")) for word in given):
        return single(given, configuration, scenarios)
    if folder is not None and configuration != conf_dir():
        given.append(f"hydra.searchpath=[file://{conf_dir()}]")  # what the copy leaves out
    return compose(given, configuration, scenarios)


def single(given: list[str], configuration: Path, scenarios: Path) -> int:
    """Make the one run of ``given``; returns its exit code. Hydra as an application would compose it twice."""
    from twin.cli.complaints import FAULTS, complaint
    from twin.cli.execute import execute
    from twin.setup.compose import compose_run
    from twin.setup.refusals import REFUSALS, sentences

    try:
        found = compose_run(given, configuration, scenarios)
        return execute(found.configuration, found.sources, name=found.name, parent=Path(RESULTS))
    except FAULTS as error:
        return refuse([str(complaint(error, top_keys(configuration), given))])
    except REFUSALS as error:
        return refuse(sentences(error))


def taken(words: list[str], *flags: str) -> str | None:
    """The value after one of ``flags`` (or after ``flag=``), both removed from ``words``."""
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag not in flags:
            continue
        if equals:
            del words[index]
            return value
        if index + 1 < len(words):
            value = words[index + 1]
            del words[index : index + 2]
            return value
    return None


def beside(configuration: Path) -> Path:
    """The scenarios that stand beside a copied configuration, or else the project's own."""
    near = configuration.parent / "scenarios"
    return near if near.is_dir() else scenarios_dir()


def compose(given: list[str], configuration: Path, scenarios: Path) -> int:
    """Let Hydra compose the configuration of ``given`` and run its jobs, or show it; returns the worst exit code."""
    # Hydra and all that a run needs load here, so that help does not wait for them
    import hydra
    from omegaconf import DictConfig

    from twin.cli.complaints import FAULTS, complaint
    from twin.cli.job import axes_of, run_job
    from twin.cli.sweep import drop_empty, jobs_of, sweep_folder, swept, unlaunchable
    from twin.setup.compose import register
    from twin.setup.refusals import REFUSALS, sentences
    from twin.studies.sweep import stamps

    sweep: Path | None = None
    before: dict[str, bytes] = {}
    made: list[int] = []
    broken: Exception | None = None
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    try:
        given = register(given, configuration, scenarios)
        axes = axes_of(given)
        if {"-m", "--multirun"} & set(given):
            if faults := unlaunchable(given):
                return refuse(faults)
            sweep = sweep_folder(given, axes)
            before = stamps(sweep)
            given = [*(word for word in given if not word.startswith("out=")), f"hydra.sweep.dir='{sweep}'"]

        @hydra.main(version_base="1.3", config_path=str(configuration), config_name="config")
        def job(config: DictConfig) -> None:
            try:
                made.append(run_job(config, axes, configuration))
            except REFUSALS as error:  # those of a sweep's jobs stand in their folders
                made.append(refuse(sentences(error)))

        sys.argv = ["twin run", *given]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us as they are, and become sentences below
        job()
    except FAULTS as error:
        drop_empty(sweep)
        return refuse([str(complaint(error, top_keys(configuration), given))])
    except REFUSALS as error:
        drop_empty(sweep)
        return refuse(sentences(error))
    except KeyboardInterrupt:
        if sweep is not None:
            swept(sweep, jobs_of(given, axes), before)
        raise
    except Exception as error:  # a launcher whose worker was killed, for one
        if sweep is None:
            raise
        broken = error
    finally:
        sys.argv = argv
        if full is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = full
    if sweep is None:
        return max(made, default=Exit.FINE)
    return swept(sweep, jobs_of(given, axes), before, broken)


def repeat(run: str, given: Sequence[str]) -> int:
    """Make a run again from its manifest; ``out=`` is the only setting that goes with it."""
    from twin.cli.execute import execute
    from twin.results.read import read_run
    from twin.setup.configuration import read_configuration
    from twin.setup.refusals import REFUSALS, sentences

    out: str | None = None
    for word in given:
        key, _, value = word.partition("=")
        if key != "out" or not value:
            return refuse([f"command line: '{word}': a run is repeated as it was. Only out=DIR goes with --again."])
        out = value
    try:
        manifest = read_run(run).manifest
        found = manifest.get("configuration")
        if not isinstance(found, dict):
            return refuse([f"{run}/manifest.json: configuration: it has none. Give the directory of a finished run."])
        again = read_configuration({**found, "out": out}, source=f"{run}/manifest.json")
        return execute(again, {}, name=str(manifest.get("name") or "run"), parent=Path(RESULTS))
    except REFUSALS as error:
        return refuse(sentences(error))


def top_keys(configuration: Path) -> list[str]:
    """The top-level keys of a configuration, to find the one that was meant."""
    text = (configuration / "config.yaml").read_text(encoding="utf-8")
    keys = re.findall(r"^(?:  - )?(\w+):", text, flags=re.MULTILINE)
    return [key for key in dict.fromkeys(keys) if key not in ("defaults", "hydra")]
