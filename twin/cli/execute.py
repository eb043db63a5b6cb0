"""One run from its configuration to its report: read every part, refuse them together, simulate, write, tell."""

import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from twin.cli.configuration import SOURCE, Configuration
from twin.cli.exits import Exit
from twin.cli.manifest import manifest_of
from twin.cli.naming import fresh
from twin.cli.progress import progress
from twin.cli.refusals import REFUSALS, Refused, sentences
from twin.cli.settings import settings_of
from twin.cli.summary import print_summary
from twin.hall.errors import Fault, did_you_mean
from twin.hall.parts import Hall
from twin.hall.reader import read_hall
from twin.policy import Policy
from twin.policy.baselines import POLICIES
from twin.results.report import write_report
from twin.results.store import RunStore
from twin.sim.scenario import Scenario, read_scenario
from twin.sim.simulate import Settings, simulate
from twin.units import SECONDS_PER_HOUR
from twin.workload.jobs import Workload
from twin.workload.load import load_workload


def execute(
    configuration: Configuration, sources: Mapping[str, str], *, name: str, parent: Path, folder: str | None = None
) -> Exit:
    """Make a run, into ``out`` or a fresh folder ``parent/name``. ``sources`` are the files that hall and workload came
    from, for messages. With ``folder`` it is one job of a sweep: it goes to ``parent/folder``, and whoever started the
    sweep tells what came of it.

    Raises :class:`twin.cli.refusals.Refused` with the faults of hall, workload, policy and scenario together, before
    anything is written; RunError when the directory cannot be. Returns the exit code; a run that was stopped
    raises KeyboardInterrupt once its files are closed.
    """
    started = datetime.now(UTC)
    hall, workload, policy, scenario = parts_of(configuration, sources)
    if folder is not None:
        directory = parent / folder
    else:
        directory = Path(configuration.out) if configuration.out else fresh(parent, name)
    seconds = configuration.hours * SECONDS_PER_HOUR
    before = time.perf_counter()
    with RunStore(directory) as store:
        with progress(folder or name, seconds) as moved:
            result = simulate(
                hall,
                workload,
                policy,
                scenario,
                seed=configuration.seed,
                until=seconds,
                settings=settings_of(configuration),
                store=store,
                progress=moved,
            )
        manifest = manifest_of(
            configuration,
            name=name,
            workload=workload.provenance,
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        metrics = {**result.metrics, "wall_seconds": time.perf_counter() - before}
        kept = {name: table for name, table in result.tables.items() if name != "events"}  # events were streamed
        store.finish(manifest, metrics, kept, result.complete)
    page = write_report(directory)
    if folder is None:
        print_summary(name, metrics, result.expectations, result.complete, page)
    if not result.complete:
        raise KeyboardInterrupt
    return Exit.FINE if all(outcome.met for outcome in result.expectations) else Exit.FINDING


def parts_of(configuration: Configuration, sources: Mapping[str, str]) -> tuple[Hall, Workload, Policy, Scenario]:
    """Hall, workload, policy and scenario of a configuration; Refused with the faults of all of them."""
    faults: list[str] = []
    hall: Hall | None = None
    workload: Workload | None = None
    policy: Policy | None = None
    scenario: Scenario | None = None
    try:
        hall = read_hall(configuration.hall, source=sources.get("hall", "hall"))
    except REFUSALS as error:
        faults += sentences(error)
    try:
        policy = policy_of(configuration.policy, configuration.seed)
    except REFUSALS as error:
        faults += sentences(error)
    if hall is not None:
        trays, gpus = trays_of(hall)
        try:
            workload = load_workload(
                configuration.workload,
                trays=trays,
                gpus_per_tray=gpus,
                seconds=configuration.hours * SECONDS_PER_HOUR,
                seed=configuration.seed,
                cache_dir=cache_dir(),
                source=sources.get("workload", "workload"),
            )
        except REFUSALS as error:
            faults += sentences(error)
        source = str(configuration.scenario.get("source") or "scenario")
        try:
            scenario = read_scenario(configuration.scenario, hall, source, hours=configuration.hours)
        except REFUSALS as error:
            faults += sentences(error)
    if hall is None or workload is None or policy is None or scenario is None:
        raise Refused(faults)
    return hall, workload, policy, scenario


def policy_of(mapping: Mapping[str, Any], seed: int) -> Policy:
    """The policy that a mapping names: one of :data:`twin.policy.baselines.POLICIES`, or the callable at
    ``_target_`` made with the other keys. Raises Refused."""
    if "_target_" in mapping:
        target = mapping["_target_"]
        try:
            made = instantiate(dict(mapping))
        except Exception as error:  # whatever somebody else's code raises is a fault of what they named
            reason = str(error.__cause__ or error).splitlines()[0]
            fault = Fault(SOURCE, "policy._target_", target, reason, "Name a callable as package.module.name")
            raise Refused([str(fault)]) from error
        if not callable(made):
            fault = Fault(SOURCE, "policy._target_", target, "makes no policy", "Name what returns a callable")
            raise Refused([str(fault)])
        return made
    name = mapping.get("name")
    if name not in POLICIES:
        fault = Fault(SOURCE, "policy.name", name, "unknown policy", did_you_mean(str(name), POLICIES))
        raise Refused([str(fault)])
    odd = [
        Fault(SOURCE, f"policy.{key}", mapping[key], "unknown key", "Leave it out") for key in mapping if key != "name"
    ]
    if odd:
        raise Refused([str(fault) for fault in odd])
    return POLICIES[name](seed)


def trays_of(hall: Hall) -> tuple[int, int]:
    """Trays of the production cell, and the GPUs of most of them."""
    classes = Counter[int]()
    for rack in hall.racks:
        if rack.cell == "hall":
            classes[rack.rack_class.gpus_per_tray] += rack.rack_class.trays
    gpus = max(sorted(classes), key=lambda size: classes[size], default=0)
    return classes.total(), gpus


def cache_dir() -> Path:
    """Where generated samples of trace formats are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "data-hall-twin"
