"""Tests of a release in the staging cell: real jobs on its racks, whose outcome the sensors and the jobs tell.

* *load test*: the release at the full load of its service, or of the busiest job of its kind, on every tray; passed
  when it runs to its end, fails no more requests than the plan's limit, and neither a device slows down nor a rack
  passes its nameplate.
* *warm restart*: the same, started again in the middle; passed when it comes up again and runs to its end.
* *fault injection*: one tray of each rack is lost in the middle; passed when the work is placed again and runs to its
  end.

What is not known is not passed: a test whose readings are not all good fails.
"""

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from twin.policy.causes import Author, Role
from twin.policy.headroom import readings
from twin.policy.rollout import Plan
from twin.results.kinds import EventKind
from twin.sim.deployment import Deployment
from twin.sim.runner import JobRun, Pin
from twin.sim.scheduler import Scheduler
from twin.workload.jobs import Job, JobKind, Phase

Steps = Generator[simpy.Event, Any, None]
LOAD = Phase("load", 60.0, 0.1)  # image and model, where nothing says how a service starts
TITLES = {"load_test": "load test", "warm_restart": "warm restart", "fault_injection": "fault injection"}
TRIES = 3.0  # times its planned length that a test may take
BUSY = 0.8  # utilisation of a busy job, where none of its kind has been seen
SWING = 0.05


class Staging:
    """The staging cell of one rollout. ``results`` are the tests that have ended: passed or not."""

    def __init__(
        self, deployment: Deployment, scheduler: Scheduler, plan: Plan, test_seconds: float, gpus_per_tray: int
    ) -> None:
        self.deployment = deployment
        self.world = deployment.world
        self.scheduler = scheduler
        self.plan = plan
        self.test_seconds = test_seconds
        self.gpus_per_tray = gpus_per_tray
        self.results: dict[str, bool] = {}
        self.busy = False  # a test is under way

    def process(self, racks: list[int], event: int) -> Steps:
        """One test after the other, up to the first failure, on the racks of the cell that got the release first."""
        self.busy = True
        for test in self.plan.staging_tests:
            if not all(self.results.values()):
                break
            passed, why = True, "passed"
            if not self.world.in_service[racks].all() or not self.world.free_trays()[racks].all():
                self._end(test, False, "a rack of the cell is not free or not in service", event)
                continue
            runs = [self._run(test, rack) for rack in racks]
            for run in runs:
                self.scheduler.submit(run)
            planned = self._startup_seconds() + self.test_seconds
            yield self.world.env.timeout(planned - 0.5 * self.test_seconds)
            self._disturb(test, runs, event)
            begun, seen = self.world.env.now, ""
            while any(run.status in ("queued", "running", "stopping") for run in runs):
                yield self.world.env.timeout(self.world.settings.control_period_seconds)
                seen = seen or self._harm(racks)
                if self.world.env.now - begun > TRIES * planned:
                    break
            if any(run.status != "completed" for run in runs):
                passed, why = False, "it did not run to its end"
            elif seen:
                passed, why = False, seen
            elif test == "load_test" and self.deployment.release.build.error_rate > self._most_errors():
                passed, why = False, f"error rate {self.deployment.release.build.error_rate:g}"
            self._end(test, passed, why, event)
        self.busy = False

    def _end(self, test: str, passed: bool, why: str, event: int) -> None:
        self.results[test] = passed
        self.world.log.add(
            self.world.env.now, EventKind.STAGING_TEST, "hall", self.deployment.release.name, cause=event,
            value=float(passed), detail=f"{TITLES.get(test, test)}: {why}",
        )  # fmt: skip

    def _most_errors(self) -> float:
        limit = self.plan.limits.get("error_rate")
        return math.inf if limit is None else limit.hold

    def _startup(self) -> tuple[Phase, ...]:
        """How the release's service starts; its image is loaded where that is not known."""
        service = self.deployment.service
        return service.replicas[0].job.startup if service is not None and service.replicas else (LOAD,)

    def _startup_seconds(self) -> float:
        return sum(phase.seconds for phase in self._startup())

    def _run(self, test: str, rack: int) -> JobRun:
        """A job on all free trays of a rack: the release at full load."""
        world, release, service = self.world, self.deployment.release, self.deployment.service
        name = world.topology.rack_names[rack]
        alike = [each.job.steady.utilisation for each in world.runs if each.job.kind.value == release.work]
        full = max(alike, default=BUSY) if service is None else service.service.full_utilisation
        job = Job(
            id=f"{release.name} {TITLES.get(test, test)} {name}",
            kind=JobKind.INFERENCE if release.is_service else JobKind(release.work),
            submit_seconds=max(world.env.now, 1e-9),
            trays=int(world.free_trays()[rack]),
            work_seconds=self.test_seconds,
            estimate_seconds=self._startup_seconds() + self.test_seconds,
            startup=self._startup(),
            steady=Phase("steady", self.test_seconds, full, SWING),
            priority=100,
            source="staging",
        )
        pin = Pin(name, Author(Role.RELEASE, release.name), f"{TITLES.get(test, test)} in the staging cell")
        return JobRun(world, job, len(world.runs), self.gpus_per_tray, pin, image=release.work)

    def _disturb(self, test: str, runs: list[JobRun], event: int) -> None:
        """What the test does in the middle of it."""
        for run in runs:
            if test == "warm_restart":
                run.renew(event)
            elif test == "fault_injection":
                run.interrupt(event)

    def _harm(self, racks: list[int]) -> str:
        """What stands against the release on racks of the cell now, by readings; empty for nothing."""
        world = self.world
        snapshot = world.snapshot()
        power = readings(snapshot, "rack_power_watts")[racks]
        device = readings(snapshot, "rack_device_temperature_celsius")[racks]
        if np.isnan(power).any() or np.isnan(device).any():
            return "a reading is not known"
        slowdown = world.plant.c.rack["t_slow"][racks]
        if (device >= slowdown).any():
            return f"a device at {device.max():g} °C"
        if (power > world.nameplate[racks]).any():
            return f"power of {power.max() / 1e3:.1f} kW, above the nameplate"
        return ""
