"""The log on its way to a file: what is written is what the run knew at its end."""

import pandas as pd
import pytest

from twin.hall.reader import load_hall
from twin.policy import first_fit
from twin.results import store
from twin.results.kinds import EventKind
from twin.results.read import read_run
from twin.results.store import RunStore
from twin.sim.log import EventLog
from twin.sim.scenario import read_scenario
from twin.sim.simulate import simulate
from twin.sim.world import Settings
from twin.workload.jobs import Workload


def test_an_event_that_was_taken_tells_once_that_it_joined_an_incident() -> None:
    log = EventLog()
    one = log.add(0.0, EventKind.SCENARIO_ACTION, "hall", "one")
    other = log.add(0.0, EventKind.SCENARIO_ACTION, "hall", "other")
    log.add(0.0, EventKind.BREAKER_TRIP, "row", "at once", cause=other, opens=True)
    assert [row["incident"] for row in log.take()] == [-1, 0, 0]
    assert log.joined() == {}
    log.add(60.0, EventKind.BREAKER_TRIP, "row", "late", cause=one, opens=True)
    log.add(60.0, EventKind.BREAKER_TRIP, "row", "later", cause=one, opens=True)
    assert [row["incident"] for row in log.take()] == [1, 1]
    assert (log.joined(), log.joined()) == ({one: 1}, {})


@pytest.mark.parametrize("per_group", [2, 1_000])
def test_events_are_written_with_the_incidents_that_they_joined_later(tmp_path, monkeypatch, per_group) -> None:
    """One begins nothing for two windows, by when its group is in the file (2) or waits for it (1,000)."""
    monkeypatch.setattr(store, "EVENTS_PER_GROUP", per_group)
    hall = load_hall("small")
    story = read_scenario({"name": "s", "purpose": "p", "timeline": []}, hall, "s.yaml")

    def watch(world):
        def happens():
            yield world.env.timeout(5.0)
            causes = [
                world.log.add(5.0, EventKind.SCENARIO_ACTION, "hall", name, root=name)
                for name in ("harmless", "harmful", "harmful later")
            ]
            for time, cause in ((25.0, causes[1]), (35.0, causes[2])):
                yield world.env.timeout(time - world.env.now)
                world.log.add(time, EventKind.BREAKER_TRIP, "row", "row A/feed A", cause=cause, opens=True)

        world.env.process(happens())

    with RunStore(tmp_path) as written:
        result = simulate(
            hall, Workload("w", (), (), {}), first_fit, story, seed=0, until=40.0,
            settings=Settings(record_interval_seconds=10.0), store=written, watch=watch,
        )  # fmt: skip
        written.finish({}, result.metrics, {}, True)
    events = read_run(tmp_path).table("events")
    pd.testing.assert_frame_equal(events, result.tables["events"])
    assert dict(zip(events["name"], events["incident"], strict=True)) == {
        hall.name: -1, "harmless": -1, "harmful": 0, "harmful later": 1, "row A/feed A": 1,
    }  # fmt: skip
