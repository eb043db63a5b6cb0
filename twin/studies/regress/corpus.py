"""The shipped recordings: made on this machine by a policy that scores nothing, and kept by what they depend on."""

import hashlib
import json
import os
import shutil
from collections.abc import Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from twin.policy.decisions import Decision, Placement
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot
from twin.results.rundir import unwritable
from twin.sim.sensor_settings import SensorSpec
from twin.sim.simulate import simulate
from twin.sim.world import World
from twin.studies.regress.reading import is_incident
from twin.studies.regress.record import Look, write_incident
from twin.studies.regress.settings import Decisions
from twin.studies.regress.stories import run_of
from twin.units import SECONDS_PER_HOUR

RECORDER = "random_healthy"  # neither formula has chosen what was loaded when it went bad
MINUTE = 60.0


def folder_of(kept: Path, story: str, seed: int, settings: Decisions, run: str) -> Path:
    """Where a recording is kept: a folder named for all that it depends on; ``run`` is the identity of its run."""
    asked = {
        "first": settings.first_minutes, "every": settings.every_seconds, "bands": asdict(settings.bands),
        "requests": [asdict(each) for each in settings.requests], "run": run,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    return kept / "recordings" / f"{story}-{seed}-{digest}"


def record(kept: Path, story: str, seed: int, settings: Decisions) -> Path:
    """The folder of a recording, which is made unless it is there. Raises what refuses a run, or RunError."""
    composed = run_of(story, seed, settings.hours, RECORDER)
    folder = folder_of(kept, story, seed, settings, composed.identity)
    if is_incident(folder):
        return folder
    parts = composed.parts()
    looks: list[Look] = []

    def recording(snapshot: FacilitySnapshot, request: JobRequest, state: Any) -> tuple[Decision, Any]:
        decision, after = parts.policy(snapshot, request, state)
        if snapshot.time_seconds > 0.0:
            looks.append(Look(snapshot, request, decision.racks if isinstance(decision, Placement) else ()))
        return decision, after

    def watch(world: World) -> None:
        world.env.process(_ask(world, settings, looks))

    until = parts.configuration.hours * SECONDS_PER_HOUR
    # forecasts and ladders are no matter of who places
    quiet = replace(parts.settings, response=None, rollout=None, forecaster=None)
    result = simulate(
        parts.hall, parts.workload, recording, parts.scenario, seed=seed, until=until, settings=quiet, watch=watch
    )
    if not result.complete:
        raise KeyboardInterrupt
    working = folder.with_name(f".{folder.name}.{os.getpid()}")
    write_incident(
        working,
        looks,
        result.tables["events"],
        settings.bands,
        name=f"{story} {seed}",
        purpose=" ".join(str(parts.configuration.scenario.get("purpose", "")).split()),
        until_seconds=until,
        times=times_of(parts.settings.sensors),
    )
    try:
        working.rename(folder)
    except OSError as fault:
        shutil.rmtree(working)
        if not is_incident(folder):  # nobody else was quicker
            raise unwritable(folder, fault) from fault
    return folder


def times_of(sensors: tuple[SensorSpec, ...]) -> dict[str, float | None]:
    """Latency and the ages from which readings are marked, as a manifest has them."""
    first = sensors[0]
    return {
        "latency_seconds": first.latency_seconds,
        "stale_seconds": first.stale_seconds,
        "missing_seconds": first.missing_seconds,
    }


def _ask(world: World, settings: Decisions, looks: list[Look]) -> Generator[Any, Any, None]:
    """Look at the hall now and then, and note the requests that are asked there; nothing is placed."""
    yield world.env.timeout(settings.first_minutes * MINUTE)
    while True:
        snapshot = world.snapshot()
        looks += [Look(snapshot, request, ()) for request in settings.requests]
        yield world.env.timeout(settings.every_seconds)
