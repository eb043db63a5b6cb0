"""``bench`` is a hall under its clock with doors to the inside; ``tell`` is a whole run as one call."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.hall.topology import Topology, compile_topology
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.policy import Policy, first_fit
from twin.policy.causes import Author, Role
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.sim.clock import HybridEnvironment
from twin.sim.log import EventLog
from twin.sim.protection import Protection
from twin.sim.runner import JobRun, Pin
from twin.sim.scenario import read_scenario
from twin.sim.scheduler import Scheduler
from twin.sim.simulate import Result, _Ledger, simulate
from twin.sim.world import Settings, World
from twin.workload.jobs import Job, JobKind, Phase, Service, Workload

GPUS = 4  # per tray of the small hall


@cache
def hall_of(*overrides: str) -> Topology:
    """The small hall with ``key=value`` overrides."""
    return compile_topology(load_hall("small", overrides))


def job(
    name: str,
    trays: int = 18,
    work: float = 1_000.0,
    *,
    submit: float = 0.0,
    estimate: float | None = None,
    utilisation: float = 0.5,
    load: float = 0.0,
    restore: float = 0.0,
    save: float = 0.0,
    every: float = np.inf,
    priority: int = 0,
    preemptible: bool = False,
    kind: JobKind = JobKind.TRAINING,
    service: str | None = None,
) -> Job:
    """A job whose times [s] are plain to see; phases of no length are left out."""

    def phase(title: str, seconds: float) -> Phase | None:
        return Phase(title, seconds, utilisation) if seconds > 0.0 else None

    opening = phase("load", load)
    return Job(
        id=name,
        kind=kind,
        submit_seconds=submit,
        trays=trays,
        work_seconds=work,
        estimate_seconds=work if estimate is None else estimate,
        startup=() if opening is None else (opening,),
        steady=Phase("steady", work, utilisation),
        restore=phase("restore", restore),
        checkpoint=phase("checkpoint", save),
        checkpoint_interval_seconds=every,
        priority=priority,
        preemptible=preemptible,
        service=service,
    )


class Bench:
    """A world put together by hand, so that a test can reach into it while it runs."""

    def __init__(self, topology: Topology, policy: Policy = first_fit, settings: Settings | None = None) -> None:
        self.plant = Plant(topology)
        self.env = HybridEnvironment(self.plant, lambda crossing: self.protection.carry_out(crossing))
        self.world = World(
            topology=topology,
            plant=self.plant,
            env=self.env,
            log=EventLog(),
            settings=settings or Settings(),
            holder=[None] * len(self.plant.c.idle),
            in_service=np.ones(len(topology.rack_names), dtype=bool),
            held=np.zeros(len(self.plant.c.idle), dtype=bool),
        )
        self.protection = Protection(self.world)
        self.scheduler = Scheduler(self.world, policy)
        self.env.process(self.scheduler.process())

    def at(self, time: float, act: Callable[[], Any]) -> None:
        """Call ``act`` at ``time`` [s]."""

        def wait() -> Any:
            yield self.env.timeout(time - self.env.now)
            act()

        self.env.process(wait())

    def submit(self, *jobs: Job, pin: str | None = None) -> list[JobRun]:
        """Queue each job at its time."""
        pinned = None if pin is None else Pin(pin, Author(Role.OPERATOR, "ana"), "to be told")
        runs = [JobRun(self.world, each, number, GPUS, pinned) for number, each in enumerate(jobs)]
        for run in runs:
            if run.job.submit_seconds > 0.0:
                self.at(run.job.submit_seconds, lambda run=run: self.scheduler.submit(run))
            else:
                self.scheduler.submit(run)
        return runs

    def run(self, until: float) -> None:
        """From equilibrium to ``until`` [s], and balance the books."""
        equilibrate(self.plant)
        ledger = _Ledger(self.world)
        self.plant.on_window = ledger.window
        self.env.run(until=until)
        assert_balanced({"balance": ledger.balance(len(self.world.runs))})

    def told(self, *kinds: EventKind) -> list[tuple[float, str, str]]:
        """The log: (time, kind, name) of the kinds asked for, or of all."""
        return [
            (round(event["time_seconds"], 6), str(event["kind"]), event["name"])
            for event in self.world.log
            if not kinds or event["kind"] in kinds
        ]


def told(result: Result, *kinds: EventKind) -> list[tuple[float, str, str]]:
    """The log of a run: (time, kind, name) of the kinds asked for."""
    events = result.tables["events"]
    chosen = events[events["kind"].isin([str(kind) for kind in kinds])]
    return [
        (round(float(time), 6), str(kind), str(name))
        for time, kind, name in zip(chosen["time_seconds"], chosen["kind"], chosen["name"], strict=True)
    ]


def whole_run(
    until: float,
    *,
    hall: Sequence[str] = (),
    jobs: Sequence[Job] = (),
    services: Sequence[Service] = (),
    timeline: Sequence[Mapping[str, Any]] = (),
    policy: Policy = first_fit,
    settings: Settings | None = None,
) -> Result:
    """``simulate`` on the small hall, balanced."""
    topology = hall_of(*hall)
    story = {"name": "story", "purpose": "to be told", "timeline": list(timeline)}
    scenario = read_scenario(story, topology.hall, "story.yaml")
    demand = Workload("told", tuple(sorted(jobs, key=lambda each: (each.submit_seconds, each.id))), tuple(services), {})
    result = simulate(topology.hall, demand, policy, scenario, seed=0, until=until, settings=settings or Settings())
    assert_balanced(result.metrics)
    assert result.complete
    return result


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """``bench(*overrides, policy=…, settings=…)``: a :class:`Bench` on the small hall."""

    def make(*overrides: str, policy: Policy = first_fit, settings: Settings | None = None) -> Bench:
        return Bench(hall_of(*overrides), policy, settings)

    return make


@pytest.fixture
def tell() -> Callable[..., Result]:
    """``tell(until, hall=…, jobs=…, services=…, timeline=…, policy=…)``: a balanced run of the small hall."""
    return whole_run


@pytest.fixture
def a_job() -> Callable[..., Job]:
    """``a_job(name, trays, work, …)``: :func:`job`."""
    return job


@pytest.fixture
def log_of() -> Callable[..., list[tuple[float, str, str]]]:
    """``log_of(result, kind, …)``: :func:`told`."""
    return told
