"""Telling a story to a hall, through the very engine of ``twin run``, while somebody looks at the plant's truth."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from twin.hall.parts import Hall
from twin.policy import first_fit
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.sim.scenario import read_scenario
from twin.sim.simulate import Result, simulate
from twin.sim.world import Settings, World
from twin.workload.jobs import Workload

Watch = Callable[[World], None]
IDLE = Workload("nobody", (), (), {})


def tell(
    hall: Hall,
    timeline: Sequence[Mapping[str, Any]],
    until: float,
    *,
    capping: bool = False,
    watch: Watch | None = None,
) -> Result:
    """Run ``timeline`` on ``hall`` from equilibrium to ``until`` [s], and balance the books."""
    story = {"name": "validation", "purpose": "a case of twin validate", "timeline": list(timeline)}
    scenario = read_scenario(story, hall, "validation")
    settings = Settings(capping=capping, record_interval_seconds=60.0)
    result = simulate(hall, IDLE, first_fit, scenario, seed=0, until=until, settings=settings, watch=watch)
    assert_balanced(result.metrics)
    return result


def times(result: Result, kind: EventKind) -> list[float]:
    """When events of a kind happened [s], in order."""
    events = result.tables["events"]
    return [float(time) for time in events.loc[events["kind"] == str(kind), "time_seconds"]]


def every(seconds: float, since: float, read: Callable[[World], None]) -> Watch:
    """A watch that calls ``read`` at ``since`` [s] and every ``seconds`` [s] from then on, the plant settled."""

    def watch(world: World) -> None:
        def look() -> Generator[Any, Any, None]:
            yield world.env.timeout(since)
            while True:
                world.env.read()
                read(world)
                yield world.env.timeout(seconds)

        world.env.process(look())

    return watch


def at(time: float, act: Callable[[World], None]) -> Watch:
    """A watch that calls ``act`` at ``time`` [s]: for what no action of a story does."""

    def watch(world: World) -> None:
        def wait() -> Generator[Any, Any, None]:
            yield world.env.timeout(time)
            act(world)

        world.env.process(wait())

    return watch


def both(*watches: Watch) -> Watch:
    """Several watches as one."""

    def watch(world: World) -> None:
        for each in watches:
            each(world)

    return watch
