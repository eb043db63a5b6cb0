"""One run from its configuration to its report: read every part, refuse them together, simulate, write, tell."""

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from twin.cli.exits import Exit
from twin.cli.progress import progress
from twin.cli.scorecard import print_scorecard
from twin.cli.summary import print_summary
from twin.plant.warm import ensure_compiled
from twin.policy.protocol import Policy
from twin.results.drawers import Draw, draw_here, drawers
from twin.results.read import read_run
from twin.results.report import traces_of, write_report
from twin.results.rundir import RunError, unwritable
from twin.results.store import RunStore
from twin.setup.assembly import Parts, read_parts
from twin.setup.configuration import Configuration
from twin.setup.identity import identity
from twin.setup.manifest import manifest_of
from twin.setup.naming import fresh
from twin.sim.simulate import Settings, simulate
from twin.sim.tolerances import digest_of
from twin.units import SECONDS_PER_HOUR


def execute(
    configuration: Configuration, sources: Mapping[str, str], *, name: str, parent: Path, folder: str | None = None
) -> Exit:
    """Make a run, into ``out`` or a fresh folder ``parent/name``. ``sources`` are the files that hall and workload came
    from, for messages. With ``folder`` it is one job of a sweep: it goes to ``parent/folder``, and whoever started the
    sweep tells what came of it.

    Raises :class:`twin.setup.refusals.Refused` with the faults of hall, workload, policy and scenario together, before
    anything is written; RunError when the directory cannot be. Returns the exit code; a run that was stopped
    raises KeyboardInterrupt once its files are closed.
    """
    parts = read_parts(configuration, sources)
    directory = place_of(configuration, name, parent, folder)
    try:
        return carry_out(parts, directory, name=name, alone=folder is None)
    except OSError as fault:  # a disk that fills up under the figures or the report
        raise unwritable(directory, fault) from fault


@contextmanager
def _recording(parts: Parts, directory: Path, alone: bool) -> Iterator[tuple[Policy, Settings]]:
    """Policy and settings of a run, which record into ``directory`` if the policy's document asks for it.

    Raises RunError for what cannot be recorded or written.
    """
    if not parts.configuration.policy.get("audit", False):
        yield parts.policy, parts.settings
        return
    from twin.audit.errors import AuditError  # with all of the audit, which takes a while to load
    from twin.setup.auditing import audited_run

    try:
        # runs of a sweep have a process each already
        with audited_run(parts, directory, other_process=alone) as recorded:
            yield recorded
    except AuditError as fault:
        raise RunError(str(fault)) from fault


def place_of(configuration: Configuration, name: str, parent: Path, folder: str | None) -> Path:
    """The directory of a run; made where it is named for the run. Raises RunError when that is not possible."""
    if folder is not None:
        return parent / folder
    if configuration.out:
        return Path(configuration.out)
    try:
        return fresh(parent, name)
    except OSError as fault:
        raise unwritable(parent / name, fault) from fault


def carry_out(parts: Parts, directory: Path, *, name: str, alone: bool) -> Exit:
    """Simulate, write and, for a run that is ``alone``, tell."""
    # runs of a sweep have a process each already
    with drawers() if alone else nullcontext(draw_here) as draw:
        gc.freeze()  # a search for cycles among all that was loaded until now would take a tenth of a second
        try:
            return _carry_out(parts, directory, draw, name=name, alone=alone)
        finally:
            gc.unfreeze()


def _carry_out(parts: Parts, directory: Path, draw: Draw, *, name: str, alone: bool) -> Exit:
    started = datetime.now(UTC)
    seconds = parts.configuration.hours * SECONDS_PER_HOUR
    before = time.perf_counter()
    same = identity(parts.configuration)  # of the files as the run finds them
    with RunStore(directory) as store:
        with progress(name if alone else directory.name, seconds) as moved:
            ensure_compiled()
            with _recording(parts, directory, alone) as (policy, settings):
                result = simulate(
                    parts.hall,
                    parts.workload,
                    policy,
                    parts.scenario,
                    seed=parts.configuration.seed,
                    until=seconds,
                    settings=settings,
                    store=store,
                    progress=moved,
                )
        manifest = manifest_of(
            parts.configuration,
            name=name,
            identity=same,
            workload=parts.workload.provenance,
            drawn_faults=result.drawn,
            tolerances=digest_of(result.tables["tolerances"]),
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        metrics = {**result.metrics, "wall_seconds": time.perf_counter() - before}
        kept = {name: table for name, table in result.tables.items() if name != "events"}  # events were streamed
        store.finish(manifest, metrics, kept, result.complete)
    page = write_report(directory, draw)
    if alone:
        lines = [trace.text for trace in traces_of(read_run(directory))]
        print_summary(name, metrics, result.expectations, lines, result.complete, page)
        if "scorecard" in result.tables:
            print_scorecard(result.tables["scorecard"])
    if not result.complete:
        raise KeyboardInterrupt
    return Exit.FINE if all(outcome.met for outcome in result.expectations) else Exit.FINDING
