"""One excursion of a loop's coolant, told to the plant, seen by sensors, answered by the ladder: dwells end to end."""

from dataclasses import replace
from functools import cache

import numpy as np

from tests.policy.documents import shipped
from twin.hall.reader import load_hall
from twin.policy.aware import thermal_aware
from twin.policy.flag_files import flags_from_mapping
from twin.policy.ladder_rules import rules_from_mapping
from twin.policy.playbook import Action
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.setup.documents import document_path, read_document
from twin.sim.response import ResponseSettings
from twin.sim.scenario import read_scenario
from twin.sim.sensor_settings import DIRECT, ideal
from twin.sim.simulate import Settings, simulate
from twin.workload.jobs import Job, JobKind, Phase, Workload

LOOP = "loop 01"
BEGIN = 300.0
LIMIT = 45.0  # °C, of the rung that scales work back
ACT = 5.0  # s
PERIOD, LATENCY = 10.0, 2.0  # s, of realistic sensors
RUNGS = ("alert", "throttle", "pause", "drain", "checkpoint", "migrate")


def settings() -> ResponseSettings:
    ladder = shipped()["ladder"]
    only = {**ladder, "ladders": {"loop_coolant": ladder["ladders"]["loop_coolant"]}, "business_rules": {}}
    flags = read_document(document_path("default", "flags", ".json"), flags_from_mapping)
    return ResponseSettings(rules_from_mapping(only), flags, period_seconds=1.0, act_seconds=ACT)


@cache
def excursion(celsius: float, seconds: float, realistic: bool = False):
    """Events of a run in which a loop's set point lies at ``celsius`` for ``seconds``, what its supply was at every
    second, and every action of the ladder."""
    hall = load_hall("small")
    timeline = [{"at": f"{BEGIN:g} s", "do": "supply_setpoint", "loop": LOOP, "celsius": celsius,
                 "repair": f"{seconds} s"}]  # fmt: skip
    story = read_scenario({"name": "story", "purpose": "to be told", "timeline": timeline}, hall, "story.yaml")
    steady = Phase("steady", 7_200.0, 0.8)
    jobs = tuple(
        Job(id=f"job-{n}", kind=JobKind.BATCH, submit_seconds=0.0, trays=14, work_seconds=7_200.0,
            estimate_seconds=7_200.0, startup=(), steady=steady)
        for n in range(4)
    )  # fmt: skip
    noisy = tuple(replace(spec, period_seconds=PERIOD, latency_seconds=LATENCY, noise=0.02) for spec in DIRECT)
    told = []
    supply = []

    def watch(world):
        def each_second():
            loop = world.topology.loop_names.index(LOOP)
            while True:
                world.env.read()
                supply.append((world.env.now, float(world.plant.x.loop[world.plant.cur, loop, 0])))
                yield world.env.timeout(1.0)

        world.env.process(each_second())

    response = replace(settings(), told=lambda each, _: told.append(each))
    result = simulate(
        hall, Workload("busy", jobs, (), {}), thermal_aware(shipped()), story, seed=0, until=3_600.0, watch=watch,
        settings=Settings(sensors=noisy if realistic else ideal(1.0), response=response),
    )  # fmt: skip
    assert_balanced(result.metrics)
    return result.tables["events"], np.array(supply), told


def past(supply, level: float = LIMIT) -> tuple[float, float]:
    """First and last second past a level."""
    beyond = supply[supply[:, 1] > level, 0]
    return float(beyond[0]), float(beyond[-1])


def rungs(told, because: str) -> list[tuple[float, str]]:
    """Rungs that were taken or released, in order: (time, rung)."""
    found = []
    for each in told:
        if isinstance(each, Action) and each.reason.because.name == because:
            rung = (each.time_seconds, each.reason.rule.removeprefix("loop_coolant "))
            if rung not in found:
                found.append(rung)
    return found


def flags(events, name: str = "") -> list[tuple[float, str]]:
    told = events[events["kind"].isin([EventKind.FLAG_SET, EventKind.FLAG_CLEARED])]
    told = told[told["detail"].str.startswith(name)]
    return [(row.time_seconds, row.kind) for row in told.itertuples()]


def test_59_seconds_past_the_lowest_rung_are_heard_of_by_nobody():
    events, supply, told = excursion(46.5, 60.0)
    first, last = past(supply, 43.0)
    assert last - first == 59.0
    assert told == [] and flags(events) == []


def test_59_seconds_past_the_limit_turn_nothing_down():
    events, supply, told = excursion(46.5, 71.0)
    first, last = past(supply)
    assert last - first == 59.0
    assert [rung for _, rung in rungs(told, "CLIMBED")] == ["alert"] and flags(events) == []


def test_61_seconds_scale_back_once_the_dwell_is_over_and_it_is_taken_back():
    events, supply, told = excursion(46.5, 73.0)
    first, last = past(supply)
    assert last - first == 61.0
    assert (first + 60.0, "throttle") in rungs(told, "CLIMBED")
    (begun, how), (over, back) = flags(events, "scale_back")
    assert flags(events, "new_build") == [(begun, how), (over, back)]  # no experiment runs on meanwhile
    assert (begun, how, back) == (first + 60.0, EventKind.FLAG_SET, EventKind.FLAG_CLEARED)
    cooler = supply[(supply[:, 0] > last) & (supply[:, 1] <= 43.0), 0][0]
    assert over == cooler + 180.0  # the dwell of the release


def test_a_worsening_excursion_climbs_rung_by_rung_and_recovers_in_reverse_without_flapping():
    events, supply, told = excursion(51.9, 900.0)
    assert supply[:, 1].max() < 53.0  # of the shutdown
    climbed, released = rungs(told, "CLIMBED"), rungs(told, "RELEASED")
    assert tuple(rung for _, rung in climbed) == RUNGS
    times = [time for time, _ in climbed]
    assert times == sorted(times) and times[-1] > times[1]
    with_undo = [rung for _, rung in released]
    assert with_undo == ["pause", "throttle"]  # those of the six that undo something, the highest first
    counts = events[events["kind"].isin([EventKind.FLAG_SET, EventKind.FLAG_CLEARED])]
    assert {detail.split(" ")[0] for detail in counts["detail"]} == {
        "scale_back",
        "pause_admissions",
        "evacuate",
        "new_build",
    }
    for name, every in counts.groupby(["name", counts["detail"].str.split(" ").str[0]]):
        kinds = list(every["kind"])
        assert kinds[-1] == EventKind.FLAG_CLEARED and kinds.count(EventKind.FLAG_CLEARED) == 1, name


def test_with_realistic_sensors_the_story_is_the_same_but_for_a_period_and_a_latency():
    _, _, exact = excursion(51.9, 900.0)
    _, _, late = excursion(51.9, 900.0, realistic=True)
    one, other = rungs(exact, "CLIMBED"), rungs(late, "CLIMBED")
    assert [rung for _, rung in one] == [rung for _, rung in other]
    for (at, rung), (then, _) in zip(one, other, strict=True):
        assert abs(then - at) <= PERIOD + LATENCY + 1.0, rung  # 1 s from one look to the next
