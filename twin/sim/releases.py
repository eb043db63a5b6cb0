"""What a rollout is made of: the release that a story asks for, and the settings of the pipeline that rolls it out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from twin.hall.errors import Fault, did_you_mean
from twin.policy.canary import CanaryRule, Strategy
from twin.policy.headroom import Permitted
from twin.policy.rollout import Plan, Step
from twin.policy.score import Formula
from twin.policy.trial import Design
from twin.sim.actions import Action
from twin.workload.jobs import Build

ROLL_OUT = "roll_out"

#: what the judge may compare, and the field of a snapshot whose history has it; None for what software counts itself
METERS: dict[str, str | None] = {
    "temperature": "rack_device_temperature_celsius",
    "power": "rack_power_watts",
    "outlet_temperature": "rack_return_temperature_celsius",
    "error_rate": None,
    "late_share": None,
    "served_ratio": None,
    "throttled_share": None,
}


@dataclass(frozen=True)
class Told:
    """One decision of a rollout, for whoever keeps a record of them."""

    release: str
    time_seconds: float
    step: Step


@dataclass(frozen=True)
class RolloutSettings:
    """How releases are rolled out. Times in seconds."""

    plan: Plan
    canary: CanaryRule
    formula: Formula  # what heat-aware strategies score by
    design: Design | None = None  # of the judge; None for a pipeline without one
    permitted: Permitted = field(default_factory=Permitted)
    period_seconds: float = 10.0  # between two decisions
    window_seconds: float = 600.0  # of readings before and after
    signal_seconds: float = 60.0  # over which signals are taken
    looks: int = 2  # of the judge during the canary's soak
    test_seconds: float = 300.0  # of each staging test
    take_back_seconds: float = 30.0  # between two racks that go back
    most_busy: float = 0.95  # that full rollout may take a service [1], of its replicas' time
    most_at_once: float = 0.25  # of the racks to reach [1], that restart together after the first production stage
    strategy_fixed: bool = False  # canaries are chosen by the pipeline's strategy, whatever a story says
    told: Callable[[Told], None] | None = None  # hears of every decision that differs from the one before


@dataclass(frozen=True)
class Release:
    """A build on its way to racks, and what its story says of its rollout."""

    work: str  # name of a service, or a kind of job for its images
    build: Build
    is_service: bool
    not_ready: tuple[str, ...] = ()  # readiness items that are not proven
    strategy: Strategy | None = None  # in place of the pipeline's
    experimental: bool = False  # held where flags switch experiments off
    soak_seconds: float | None = None  # of every stage, in place of the plan's
    window_seconds: float | None = None  # of the judge, in place of the pipeline's

    @property
    def name(self) -> str:
        """Its name, such as 2026.04.14.12."""
        return self.build.name


def release_of(action: Action) -> Release:
    """The release that an action asks for."""
    values = action.values
    build = Build(
        name=values["release"],
        power=values["power"],
        startup_power=values["startup_power"],
        concurrency=values["concurrency"],
        memory_bandwidth=values["memory_bandwidth"],
        error_rate=values["error_rate"],
        latency=values["latency"],
    )
    return Release(
        work=values["service"] or values["image"],
        build=build,
        is_service=values["service"] is not None,
        not_ready=values["not_ready"],
        strategy=None if values["canary"] is None else Strategy(values["canary"]),
        experimental=values["experimental"],
        soak_seconds=values["soak"],
        window_seconds=values["window"],
    )


def misfits(
    timeline: Sequence[Action], services: Collection[str], settings: RolloutSettings | None, source: str
) -> list[Fault]:
    """What of a timeline's rollouts does not fit a run: a service that is not there, a name twice, no pipeline."""
    found: list[Fault] = []
    names: set[str] = set()
    for action in timeline:
        if action.do != ROLL_OUT:
            continue
        service, name = action.values["service"], action.values["release"]
        if service is not None and service not in services:
            remedy = did_you_mean(service, services) if services else "Choose a workload with services"
            found.append(Fault(source, "timeline.service", service, "the workload has no such service", remedy))
        if name in names:
            found.append(Fault(source, "timeline.release", name, "rolled out twice", "Give each release its own name"))
        names.add(name)
        if settings is None:
            remedy = "Add rollout to it, such as with '+policy/rollout=default'"
            found.append(Fault(source, "timeline.do", ROLL_OUT, "the policy does not say how to roll out", remedy))
    return found
