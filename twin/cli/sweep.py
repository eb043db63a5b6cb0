"""``twin run -m``: the jobs that Hydra's launchers carry out, what became of them, and the table that they leave."""

import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from twin.cli.exits import Exit, refuse
from twin.cli.summary import print_sweep
from twin.results.rundir import RunError
from twin.setup.naming import RESULTS, axes_name, fresh
from twin.setup.refusals import REFUSALS, sentences
from twin.studies.sweep import (
    TABLE,
    Job,
    Outcome,
    clear_failure,
    leave_failure,
    outcomes,
    write_table,
)

SLURM = "pip install 'data-hall-twin[slurm]'"


def unlaunchable(words: Sequence[str]) -> list[str]:
    """Why the launcher that ``words`` ask for cannot be used here, if so."""
    asked = [word for word in words if word.startswith("hydra/launcher=submitit")]
    if not asked:
        return []
    if find_spec("submitit") is None:
        return [f"command line: {asked[-1]}: needs the extra slurm, which is not installed: {SLURM}"]
    if asked[-1].endswith("_slurm") and shutil.which("srun") is None:
        remedy = "start it on a machine of the cluster, or take hydra/launcher=submitit_local or joblib"
        return [f"command line: {asked[-1]}: there is no srun on this machine; {remedy}"]
    return []


def jobs_of(words: Sequence[str], axes: Sequence[str]) -> list[Job]:
    """The jobs of a sweep in its order; of a sweep over ``glob()`` none are known before it has run."""
    overrides = OverridesParser.create().parse_overrides([word for word in words if _sets(word)])
    try:
        batches = BasicSweeper.split_arguments(overrides, None)
    except HydraException:
        return []
    return [_job(number, task, axes) for number, task in enumerate(batches[0])]


def _sets(word: str) -> bool:
    return "=" in word and not word.startswith(("-", "hydra/", "hydra.", "out="))


def _job(number: int, task: Sequence[str], axes: Sequence[str]) -> Job:
    values = {word.partition("=")[0].lstrip("+~"): word.partition("=")[2].strip("'\"") for word in task}
    return Job(folder_of(number, task, axes), {axis: values[axis] for axis in axes if axis in values})


def folder_of(number: int, task: Sequence[str], axes: Sequence[str]) -> str:
    """The folder of a job: its values on the axes, or its number where there is no axis."""
    return axes_name(task, axes) or f"job={number}"


def sweep_folder(given: Sequence[str], axes: Sequence[str]) -> Path:
    """Where the jobs of a sweep go: ``out=DIR``, or a fresh folder under results/ named for what varies."""
    for word in given:
        if word.startswith("out="):
            return Path(word.removeprefix("out=").strip("'\"")).resolve()
    name = "-".join(["sweep", *(axis.rsplit(".", 1)[-1] for axis in axes)])
    return fresh(Path(RESULTS), name).resolve()


def guarded(directory: Path, run: Callable[[], object]) -> None:
    """Carry out a job of a sweep; what goes wrong with it is written down in ``directory``, and the sweep goes on."""
    clear_failure(directory)
    try:
        run()
    except REFUSALS as error:
        _leave(directory, sentences(error), internal=False)
    except MemoryError:
        _leave(directory, ["memory: there is not enough of it; run fewer jobs at once"], internal=False)
    except Exception as error:  # an error of ours in one job is no reason to lose the others
        told = "".join(traceback.format_exception(error)).rstrip().splitlines()
        _leave(directory, [f"{type(error).__name__}: {error}", *told], internal=True)


def _leave(directory: Path, lines: Sequence[str], *, internal: bool) -> None:
    try:
        leave_failure(directory, lines, internal=internal)
    except OSError:
        refuse([f"{directory.name}: {line}" for line in lines])  # nowhere to write it: say it at least


def swept(sweep: Path, jobs: Sequence[Job], before: Mapping[str, bytes], broken: Exception | None = None) -> Exit:
    """Write the table of a sweep and tell what became of it: a line per run, and every job that failed.

    ``broken`` is what ended the sweep before its end, if anything did. A finding in any run is a finding of the sweep;
    a failure weighs more.
    """
    found = outcomes(sweep, jobs or _on_disk(sweep), before)
    done = [outcome for outcome in found if outcome.finished]
    failed = [outcome for outcome in found if not outcome.finished]
    if done:
        try:
            write_table(sweep, found)
        except RunError as error:
            refuse([str(error)])
            return Exit.REFUSED
        print_sweep(sweep, [(outcome.job.folder, outcome.metrics) for outcome in done])
        print(f"table: {sweep / TABLE}")
    else:
        drop_empty(sweep)
    if kept := sum(outcome.reused for outcome in done):
        print(f"{kept} of {len(found)} runs were finished already, by the same configuration and versions: kept")
    code = _told(failed, len(found))
    if broken is not None:
        refuse([f"the launcher ended before its jobs: {type(broken).__name__}: {broken}; run it again to go on"])
        return Exit.INTERNAL
    if code is not Exit.FINE:
        return code
    unmet = any((outcome.metrics.get("expectations") or {}).get("unmet") for outcome in done)
    return Exit.FINDING if unmet else Exit.FINE


def _told(failed: Sequence[Outcome], of: int) -> Exit:
    if not failed:
        return Exit.FINE
    lines = [f"{outcome.job.folder}: {outcome.failure.split('; Traceback')[0]}" for outcome in failed]
    refuse([*lines, f"{len(failed)} of {of} jobs failed; with the same out=DIR only what is missing is made"])
    return Exit.INTERNAL if any(outcome.internal for outcome in failed) else Exit.REFUSED


def _on_disk(sweep: Path) -> list[Job]:
    found = []
    for folder in sorted(path for path in sweep.glob("*") if path.is_dir() and not path.name.startswith(".")):
        parts = [part.partition("=") for part in folder.name.split(",")]
        found.append(Job(folder.name, {key: value for key, _, value in parts}))
    return found


def drop_empty(sweep: Path | None) -> None:
    """Remove a sweep's folder again when no run has come into it."""
    if sweep is None or not sweep.is_dir() or any(_kept(entry) for entry in sweep.iterdir()):
        return
    for entry in sweep.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)  # what submitit keeps of its jobs
        else:
            entry.unlink()
    sweep.rmdir()


def _kept(entry: Path) -> bool:
    return entry.name not in ("multirun.yaml", ".submitit")
