"""The search for a capacity against worlds whose risk is known, and plants that stay as they are while racks come."""

import math

import numpy as np
import pytest
from scipy import stats

from twin.cli import capacity as cli
from twin.hall.parts import NodeKind
from twin.hall.reader import read_hall
from twin.setup.compose import compose_run
from twin.studies.axes import changed, present, searched
from twin.studies.capacity import Limits, Plan, Verdict, assess, broken, gain, search, verdict
from twin.studies.capacity_pages import sentence
from twin.studies.ledger import METRICS, REFUSED

VALUES = tuple(float(value) for value in range(8, 25))


def world(threshold: dict[str, float]):
    """Runs that trip with a chance that rises from 0 to 1 in four racks about each policy's threshold."""
    asked = []

    def run(cases):
        found = {}
        for case in cases:
            asked.append(case)
            policy = case.words[-1].removeprefix("policy=")
            chance = min(1.0, max(0.0, (case.value - threshold[policy]) / 4.0))
            trips = int(np.random.default_rng(case.seed).random() < chance)  # the seed alone decides: common numbers
            found[case] = {METRICS: metrics(trips)}
        return found

    return run, asked


def metrics(trips=0, throttled=0.0, misses=0.0):
    return {
        "breaker_trips_total": trips,
        "throttled_gpu_seconds": throttled,
        "gpu_seconds_delivered": 1000.0,
        "latency_misses_total": misses,
        "services": {"chat": {"requests": 100.0}},
    }


def test_the_search_brackets_what_a_policy_bears():
    """Chance 0 up to 12 and to 16, more than the allowed 0.1 from 13 and 17 on."""
    run, asked = world({"blind": 12.0, "aware": 16.0})
    plan = Plan((), "racks", VALUES, own=16.0)
    blind, aware = (search(plan, policy, run) for policy in ("blind", "aware"))
    for found, last in ((blind, 12.0), (aware, 16.0)):
        assert found.safe <= last and found.unsafe >= last + 1.0
        assert last - 1.0 <= found.safe and found.unsafe <= last + 3.0
        assert [point.value for point in found.points] == sorted({point.value for point in found.points})
    more = gain(plan, aware, blind)
    assert more.low <= 4.0 <= more.high and more.estimate == aware.safe - blind.safe
    # bisection, and early stops: a fifth of what a full scan would make
    assert len(set(asked)) < 2 * len(VALUES) * plan.most / 4
    far = next(point for point in aware.points if point.value == 16.0)
    assert far.runs == 40 and far.verdict is Verdict.SAFE  # none of 40, and no sooner


def test_an_end_that_is_never_reached_stays_open():
    run, _ = world({"calm": 90.0, "wild": -90.0})
    plan = Plan((), "racks", VALUES, own=16.0)
    calm, wild = search(plan, "calm", run), search(plan, "wild", run)
    assert (calm.safe, wild.unsafe) == (24.0, 8.0) and math.isnan(calm.unsafe) and math.isnan(wild.safe)
    assert math.isnan(gain(plan, calm, wild).high)


def test_a_policy_that_cannot_run_everywhere_still_says_what_it_bears():
    run, _ = world({"calm": 90.0})

    def some(cases):
        return {case: told if case.value < 20.0 else {REFUSED: ["too warm"]} for case, told in run(cases).items()}

    plan = Plan((), "racks", VALUES, own=16.0)
    told = sentence(plan, search(plan, "calm", some))
    assert told.startswith("calm: 19 racks") and told.endswith("; some values cannot be run: too warm")


@pytest.mark.parametrize(("first_that_runs_not", "code"), [(20.0, 0), (0.0, 3)])
def test_only_what_cannot_run_at_all_is_refused(first_that_runs_not, code, monkeypatch, tmp_path, capsys):
    def some(cases, *_):
        return {
            case: {METRICS: metrics()} if case.value < first_that_runs_not else {REFUSED: ["too warm"]}
            for case in cases
        }

    monkeypatch.setattr(cli, "run_cases", some)
    plan = Plan((), "racks", VALUES, own=16.0)
    monkeypatch.setattr(cli, "_plan", lambda *_: plan)
    assert cli.main(["policy=first_fit", f"out={tmp_path}"]) == code
    assert "too warm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "runs", "told"),
    [(0, 8, Verdict.OPEN), (0, 20, Verdict.SAFE), (1, 20, Verdict.SAFE), (2, 20, Verdict.OPEN), (11, 20, Verdict.OPEN),
     (12, 20, Verdict.UNSAFE)],
)  # fmt: skip
def test_what_counts_show_worked_by_hand(count, runs, told):
    """A risk of 0.3 is allowed. At that very risk so few have to have a chance of 0.05/3 = 0.0167 at most, for 3 looks:
    0.7^8 = 0.058, 0.7^20 = 0.0008, one or none of 20 0.0076, two 0.035. So many: a third of it, for 3 limits, 0.0056:
    11 of 20 or more 0.0171, 12 0.0051."""
    plan = Plan((), "racks", VALUES, own=16.0, limits=Limits(risk=0.3))
    assert verdict((count, 0, 0), runs, plan) is told
    assert verdict((0, count, 0), runs, plan) is told


@pytest.mark.parametrize(("breaking", "runs", "told"), [(0, 20, "safe"), (1, 20, "safe"), (2, 40, "safe")])
def test_a_point_ends_at_the_first_look_that_shows_it_safe(breaking, runs, told):
    """None or one of 20 shows it; two of 20 does not, and two of 40 do. The runs are those of the first seeds."""
    asked = []

    def run(cases):
        asked.append([case.seed for case in cases])
        return {case: {METRICS: metrics(trips=int(case.seed < breaking), throttled=0.5)} for case in cases}

    plan = Plan((), "racks", VALUES, own=16.0, limits=Limits(risk=0.3))
    point = assess(plan, "calm", 12.0, run)
    assert (point.verdict.value, point.runs, point.broken) == (told, runs, (breaking, 0, 0))
    assert asked == [list(range(look)) for look in plan.looks if look <= runs]
    assert point.delivered_gpu_seconds == 1000.0


@pytest.mark.parametrize("which", [Verdict.UNSAFE, Verdict.SAFE])
def test_a_point_is_called_wrongly_as_rarely_as_promised(which):
    """At the very risk that is allowed, all looks together call it unsafe in at most 5 % of studies, and safe likewise:
    exactly, by following every path of counts."""
    plan = Plan((), "racks", VALUES, own=16.0, limits=Limits(risk=0.1 if which is Verdict.UNSAFE else 0.3))
    reach, wrong, before = {0: 1.0}, 0.0, 0
    for look in plan.looks:
        after: dict[int, float] = {}
        for count, chance in reach.items():
            for more in range(look - before + 1):
                after[count + more] = after.get(count + more, 0.0) + chance * stats.binom.pmf(
                    more, look - before, plan.limits.risk
                )
        told = {count: verdict((count, 0, 0), look, plan) for count in after}
        wrong += sum(after[count] for count in after if told[count] is which)
        reach = {count: after[count] for count in after if told[count] is Verdict.OPEN}
        before = look
    assert 0.0 < wrong <= 0.05


def test_what_breaks_a_limit():
    limits = Limits(throttled=0.01, latency=0.05)
    assert broken(metrics(), limits) == (False, False, False)
    assert broken(metrics(trips=1, throttled=10.0, misses=5.0), limits) == (True, False, False)
    assert broken(metrics(throttled=10.1, misses=5.1), limits) == (False, True, True)


@pytest.mark.parametrize(("axis", "value"), [("racks", 5), ("racks", 3), ("power_limit", 160.0)])
def test_the_plant_stays_as_it_was_built(axis, value):
    mapping = compose_run(["hall=reference", "hall.rows=2", "hall.racks_per_row=4", "hall.loop.racks=2"])
    mapping = mapping.configuration.hall
    before, after = (read_hall(each, source="hall") for each in (mapping, changed(mapping, axis, value)))
    for hall in (before, after):
        assert len({node.name for node in hall.nodes}) == len(hall.nodes)
    assert plant(after) == pytest.approx(plant(before))
    racks = [rack for rack in after.racks if rack.cell == "hall"]
    assert len(racks) == (2 * value if axis == "racks" else 8)
    assert racks[0].rack_class.max_power_watts == pytest.approx(160e3 if axis == "power_limit" else 132e3, rel=1e-3)
    assert present(changed(mapping, axis, value), axis) == pytest.approx(value) if axis != "racks" else True


def plant(hall):
    """What a hall is built of, by name: ratings, batteries, loops, air and water; the staging cell's air apart."""
    found = {node.name: node.breaker.rating_amperes for node in hall.nodes if node.breaker and _shared(node)}
    found |= {f"{node.name} battery": node.battery_joules for node in hall.nodes}
    found |= {loop.name: loop.cdu.rated_heat_watts for loop in hall.loops}
    found |= {zone.name: zone.capacity_watts for zone in hall.zones if zone.name != "zone S"}
    found |= {"water": hall.facility.capacity_watts, "tank": hall.facility.tank_heat_capacity}
    return {name: value for name, value in found.items() if "-0" not in name}


def _shared(node):
    return node.kind is not NodeKind.RACK


def test_values_to_search_are_steps_of_the_axis():
    assert searched("racks", 16.0, None, None)[::20] == [8.0, 28.0]
    assert searched("supply_temperature", 40.0, 38.5, 41.0) == [39.0, 40.0, 41.0]
    assert searched("power_limit", 132.0, 130.0, 131.0) == []
