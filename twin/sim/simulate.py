"""One run: a hall, a workload, a policy and a story in; tables and metrics out."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import simpy

from twin.hall.parts import Hall
from twin.hall.topology import compile_topology
from twin.plant.arrays import constants
from twin.plant.meters import stored_joules
from twin.plant.plant import Plant, Window
from twin.plant.start import equilibrate
from twin.policy.profile import Profiles, unknown
from twin.policy.protocol import Policy
from twin.results.kinds import EventKind
from twin.results.metrics import compute_metrics
from twin.results.scorecard import by_outcome
from twin.results.store import RunStore
from twin.sim import capping
from twin.sim.chance import as_actions, draw_faults
from twin.sim.clock import Aside, HybridEnvironment
from twin.sim.expectations import Outcome, evaluate
from twin.sim.faults import Story
from twin.sim.forecasting import Forecasts
from twin.sim.interrupt import between_events
from twin.sim.log import EventLog
from twin.sim.operators import draw_surprises
from twin.sim.operators_run import Team
from twin.sim.outcome import flow_residual, profiles_table, tables_of, totals_of
from twin.sim.people import NEEDING_RESPONSE, misfits_of_flags
from twin.sim.protection import Protection
from twin.sim.recording import Recording
from twin.sim.releases import misfits
from twin.sim.runner import JobRun
from twin.sim.scenario import Scenario, ScenarioError
from twin.sim.scheduler import Scheduler
from twin.sim.services import ServiceRun, serve
from twin.sim.tolerances import draw, table_of
from twin.sim.world import Settings, World
from twin.workload.jobs import Job, Workload

__all__ = ["Result", "Settings", "simulate"]

SEEN_AGAIN = 0.01  # of the trays: while jobs in flight are placed, the policy sees what so many of them did


@dataclass(frozen=True)
class Result:
    """What a run left: every table but the streamed series, the measures, and what its story expected."""

    tables: dict[str, pd.DataFrame]
    metrics: dict[str, Any]
    expectations: tuple[Outcome, ...]
    complete: bool
    simulated_seconds: float
    drawn: tuple[dict[str, Any], ...] = ()  # faults that came by chance, as entries of a timeline


class _Ledger:
    """Balance residuals: the worst of all windows, and over the run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heat = 0.0
        self.power = 0.0
        self.flow = 0.0
        self.mark = world.plant._ledger()
        self.stored = float(stored_joules(world.plant.c, world.plant.x, world.plant.cur))

    def window(self, window: Window) -> None:
        self.heat = max(self.heat, abs(window.heat_residual))
        self.power = max(self.power, abs(window.power_residual))
        self.flow = max(self.flow, flow_residual(self.world))

    def restart(self) -> None:
        plant = self.world.plant
        self.mark = plant._ledger()
        self.stored = float(stored_joules(plant.c, plant.x, plant.cur))

    def balance(self, submitted: int) -> dict[str, float]:
        heat, power = self.world.plant.residuals(self.mark, self.stored)
        statuses = ("completed", "running", "stopping", "queued", "refused", "killed")
        accounted = sum(run.status in statuses for run in self.world.runs)
        return {
            "power": abs(power),
            "heat": abs(heat),
            "flow": max(self.flow, flow_residual(self.world)),
            "jobs": abs(submitted - accounted) / max(1, submitted),
            "power_window": self.power,
            "heat_window": self.heat,
        }


def simulate(
    hall: Hall,
    workload: Workload,
    policy: Policy,
    scenario: Scenario,
    *,
    seed: int,
    until: float,
    settings: Settings,
    store: RunStore | None = None,
    progress: Callable[[float], None] | None = None,
    watch: Callable[[World], simpy.Event | None] | None = None,
) -> Result:
    """Run ``until`` [s] of simulated time and return what happened.

    ``store`` takes the time series and events as they come; ``progress`` is told the simulated time [s] reached. A
    KeyboardInterrupt ends the run where it is: the result is marked incomplete. The workload's random draws stand in
    it; ``seed`` is that of what is drawn in the run itself: how devices differ, the errors of sensors, and the faults
    that ``settings`` lets come by chance. ``watch`` is handed the world before time starts, and may start processes in
    it: whoever checks the plant looks at its truth that way. An event that it returns ends the run when it happens.
    """
    planned = scenario.planned()
    asked_of = [each.name for each in workload.services]
    unfit = misfits(planned, asked_of, settings.rollout, scenario.name)
    unfit += misfits_of_flags(planned, asked_of, settings.response, scenario.name)
    if unfit:
        raise ScenarioError(unfit)
    chance = draw_faults(settings.faults, hall, seed, until)
    topology = compile_topology(hall)
    drawn = draw(topology, settings.tolerances, seed)
    parameters = constants(topology, **drawn.factors)
    plant = Plant(topology, parameters=parameters, window_seconds=settings.record_interval_seconds)
    protection: Protection | None = None

    def on_crossing(crossing: Any) -> None:
        assert protection is not None
        protection.carry_out(crossing)

    env = HybridEnvironment(plant, on_crossing)
    trays = len(plant.c.idle)
    world = World(
        topology=topology,
        plant=plant,
        env=env,
        log=EventLog(),
        settings=settings,
        holder=[None] * trays,
        in_service=np.ones(len(topology.rack_names), dtype=bool),
        held=np.zeros(trays, dtype=bool),
        seed=seed,
    )
    protection = Protection(world)
    scheduler = Scheduler(world, policy)
    gpus_per_tray = _usual_gpus(hall)
    services = {service.name: ServiceRun(service) for service in workload.services}
    world.services = services
    world.log.add(0.0, EventKind.RUN_STARTED, "hall", hall.name)
    _weather(world, 0.0)
    if settings.greatest_clock < 1.0:
        capping.hold(world)
    env.read()
    world.sensors.begin(0.0)  # what policies see before the jobs in flight have their places: an idle hall
    later = _begin(world, scheduler, workload.jobs, services, gpus_per_tray)
    equilibrate(plant)
    world.sensors.begin(0.0)
    _forget_idle_hall(scheduler)
    ledger = _Ledger(world)
    recording = (
        Recording(topology, store, lambda: (world.tally["running"], world.tally["queued"]))
        if store is not None
        else None
    )

    def on_window(window: Window) -> None:
        ledger.window(window)
        if recording is not None and store is not None:
            recording.write(window)
            store.append_events(world.log.take(), world.log.joined())
        if settings.weather:
            _weather(world, window.start + window.seconds)
        if progress is not None:
            progress(window.start + window.seconds)

    plant.on_window = on_window
    world.sensors.processes(env, world.telemetry_outages)
    response = None
    if settings.response is not None:
        from twin.sim.response import Response  # with all of the ladder, which few runs have

        by_people = scenario.is_rehearsal or any(action.do in NEEDING_RESPONSE for action in planned)
        response = Response(world, protection, settings.response, attended=by_people)
    story = Story(world, protection, scheduler, gpus_per_tray, response)
    env.process(scheduler.process())
    env.process(_arrivals(world, scheduler, later, services, gpus_per_tray))
    if services:
        env.process(serve(world, list(services.values())))
    for action in (*scenario.timeline, *draw_surprises(scenario.surprises, seed), *as_actions(chance, hall)):
        env.process(story.tell(action))
    team = Team(world, story, scenario.steps, scenario.deeds, seed) if scenario.is_rehearsal else None
    if team is not None:
        team.start()
    if settings.capping:
        capping.install(world)
    if response is not None:
        env.process(response.process())
    forecasts: Forecasts | None = None
    if settings.forecaster is not None:
        forecasts = Forecasts(world, settings.forecaster)
        env.process(forecasts.process())
    if settings.warmup_seconds > 0.0:
        env.process(_warm(world, ledger))
    ended_by = None if watch is None else watch(world)
    complete = True
    try:
        with between_events(env):
            env.run(until=until if ended_by is None else ended_by | env.timeout(until))
    except KeyboardInterrupt:
        complete = False
    finally:
        if recording is not None:
            recording.flush()
    protection.finish()
    ended = float(env.now)
    for each in services.values():
        each.advance(world, int(ended))  # the seconds since its last period
    world.log.add(ended, EventKind.RUN_ENDED, "hall", hall.name, detail="" if complete else "interrupted")
    for run in world.runs:
        if run.status == "stopping":
            run.status = "running"
    tables = tables_of(world, list(services.values()))
    profiles = getattr(scheduler.state, "profiles", None)
    if isinstance(profiles, Profiles):
        tables["heat_profiles"] = profiles_table(world, profiles)
    tables["tolerances"] = table_of([*drawn.rows, *world.sensors.draws()])
    arrived = len(world.runs)
    totals = totals_of(world, ended, ledger.balance(arrived))
    if team is not None:
        tables["scorecard"] = team.scorecard(ended)
        totals["operators"] = by_outcome(tables["scorecard"])
    if forecasts is not None:
        totals["forecast"] = forecasts.figures()
    metrics = compute_metrics(tables, totals)
    outcomes: tuple[Outcome, ...] = ()
    if scenario.expectations:
        outcomes = tuple(evaluate(scenario.expectations, tables, metrics))
        for outcome in outcomes:
            kind = EventKind.EXPECTATION_MET if outcome.met else EventKind.EXPECTATION_UNMET
            world.log.add(ended, kind, "hall", outcome.expectation, detail=outcome.evidence)
        tables["events"] = world.log.frame()
        metrics = compute_metrics(tables, totals)
    if store is not None:
        store.append_events(world.log.take(), world.log.joined())
    return Result(tables, metrics, outcomes, complete, ended, tuple(chance))


def _usual_gpus(hall: Hall) -> int:
    """GPUs of most production trays."""
    counts: dict[int, int] = {}
    for rack in hall.racks:
        if rack.cell == "hall":
            counts[rack.rack_class.gpus_per_tray] = counts.get(rack.rack_class.gpus_per_tray, 0) + rack.rack_class.trays
    return max(sorted(counts), key=lambda size: counts[size], default=1)


def _weather(world: World, time: float) -> None:
    """Set the weather of a time, linear between the rows of the weather file."""
    rows = world.settings.weather
    if rows:
        hours = [row[0] for row in rows]
        dry = float(np.interp(time, hours, [row[1] for row in rows]))
        wet = float(np.interp(time, hours, [row[2] for row in rows]))
        world.levers("weather").rest_at((dry, wet))


def _begin(
    world: World, scheduler: Scheduler, jobs: Sequence[Job], services: dict[str, ServiceRun], gpus_per_tray: int
) -> list[Job]:
    """Put the jobs in flight on trays through the policy, by priority and then size; returns those that come later."""
    for service in services.values():
        service.guess()
    flying = [job for job in jobs if job.submit_seconds <= 0.0]
    flying.sort(key=lambda job: (-job.priority, -job.trays, job.id))
    unseen = 0  # trays given away since the policy last saw the hall
    for job in flying:
        if unseen > len(world.holder) * SEEN_AGAIN:
            scheduler.forget()
            unseen = 0
        run = JobRun(world, job, len(world.runs), gpus_per_tray)
        unseen += job.trays
        if job.service is not None:
            services[job.service].enlist(run)
        world.runs.append(run)
        world.log.add(0.0, EventKind.JOB_SUBMITTED, "job", job.id, value=float(job.trays))
        if not scheduler._try(run):
            scheduler.queue.append(run)
    for service in services.values():
        service.begin(world)
    if scheduler.queue:
        scheduler.wake()
    return [job for job in jobs if job.submit_seconds > 0.0]


def _forget_idle_hall(scheduler: Scheduler) -> None:
    """Have a policy that learns heat profiles begin them with the hall at work: nobody ran it idle before."""
    profiles = getattr(scheduler.state, "profiles", None)
    if isinstance(profiles, Profiles):
        scheduler.state = replace(scheduler.state, profiles=unknown(len(profiles.samples)))


def _arrivals(
    world: World, scheduler: Scheduler, jobs: Sequence[Job], services: dict[str, ServiceRun], gpus_per_tray: int
) -> Generator[simpy.Event, Any, None]:
    """Submit each job at its time."""
    for job in jobs:
        if job.submit_seconds > world.env.now:
            yield Aside(world.env, job.submit_seconds - world.env.now, world.tick_after(job.submit_seconds))
        run = JobRun(world, job, len(world.runs), gpus_per_tray)
        if job.service is not None:
            services[job.service].enlist(run)
        scheduler.submit(run)


def _warm(world: World, ledger: _Ledger) -> Generator[simpy.Event, Any, None]:
    """End the warm-up: totals start again."""
    yield world.env.timeout(world.settings.warmup_seconds)
    world.env.read()
    world.plant.reset_meters()
    ledger.restart()
    for run in world.runs:
        run.slow_before = 0.0
