"""What the response ladder asks for, carried out: work slows, waits, saves, moves and ends, and is accounted for."""

from dataclasses import replace

import numpy as np
import pytest

from tests.policy.documents import shipped
from tests.sim.test_sensors import conf
from twin.hall.reader import load_hall
from twin.policy.aware import thermal_aware
from twin.policy.causes import Author, Role
from twin.policy.degradation import Degradation
from twin.policy.flag_files import flags_from_mapping
from twin.policy.ladder_rules import rules_from_mapping
from twin.policy.playbook import Do
from twin.policy.scope import Level, Scope
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.setup.documents import document_path, read_document
from twin.sim.response import Response, ResponseSettings
from twin.sim.scenario import read_scenario
from twin.sim.sensor_settings import ideal
from twin.sim.services import ServiceRun, serve
from twin.sim.simulate import Settings, simulate
from twin.workload.jobs import Job, JobKind, Phase, Service, Workload
from twin.workload.scaling import scaled

HALVED = Degradation(concurrency=0.5, batch_size=0.5, auxiliary=False)
WORK = 600.0


def settings_of(**changes) -> ResponseSettings:
    rules = rules_from_mapping(shipped()["ladder"])
    flags = read_document(document_path("default", "flags", ".json"), flags_from_mapping)
    return ResponseSettings(rules, flags, **changes)


def job(name="job", trays=4, work=WORK, checkpoint=None, preemptible=False, submit=1.0) -> Job:
    return Job(
        id=name, kind=JobKind.BATCH, submit_seconds=submit, trays=trays, work_seconds=work, estimate_seconds=work,
        startup=(), steady=Phase("steady", work, 0.8), preemptible=preemptible,
        checkpoint=None if checkpoint is None else Phase("checkpoint", checkpoint, 0.2),
        restore=None if checkpoint is None else Phase("restore", 5.0, 0.2),
    )  # fmt: skip


def responding(bench, **changes):
    """A bench on the small hall with a response whose actions a test asks for itself."""
    world = bench()
    return world, Response(world.world, world.protection, settings_of(**changes))


def everywhere(response):
    return response.hands.racks_in(Scope(Level.HALL, "hall"))


# ---------------------------------------------------------------- scaled back


def test_scaling_back_by_hand():
    """Half the batch and no side work: 0.75 − 0.05 of the utilisation, and (0.5/0.8)/0.95 of the speed."""
    assert scaled(1.0, True) == (1.0, 1.0)
    assert scaled(0.5, False) == pytest.approx((0.7, 0.5 / 0.8 / 0.95))


def test_a_job_that_is_scaled_back_draws_less_and_ends_later_by_what_it_lost(bench):
    built, _ = responding(bench)
    (run,) = built.submit(job())
    powers = {}

    def set_to(found):
        def act():
            built.env.read()
            powers[built.env.now] = built.plant.rack_power[0]
            built.world.degraded = found
            run.degrade()
            built.env.read()
            powers[built.env.now + 0.5] = built.plant.rack_power[0]

        return act

    built.at(110.0, set_to({0: HALVED}))
    built.at(210.0, set_to({}))
    built.run(1_000.0)
    assert run.status == "completed"
    _, speed = scaled(0.5, False)
    assert run.end == pytest.approx(10.0 + WORK + (1.0 - speed) * 100.0, abs=1e-3)
    assert powers[110.5] < powers[110.0] and powers[210.5] > powers[210.0]
    assert run.delivered() == pytest.approx(WORK * run.gpus)
    tray = built.plant.c.span[0] * 0.8 * 0.3 * 4  # 30 % of the dynamic power of four trays, before conversion
    assert powers[110.0] - powers[110.5] == pytest.approx(tray * (1.0 + built.plant.c.rack[0]["loss_share"]), rel=0.01)


def test_a_gang_goes_by_the_strictest_of_its_racks(bench):
    built, _ = responding(bench)
    (run,) = built.submit(job(trays=30))
    built.at(50.0, lambda: None)
    built.run(60.0)
    built.world.degraded = {0: Degradation(batch_size=0.9), 1: HALVED}
    assert run.degradation() == replace(HALVED)
    built.world.degraded = {3: HALVED}
    assert run.degradation() == Degradation()


# ---------------------------------------------------------------- pause, drain, save, move, switch off


def test_paused_racks_admit_nothing_until_they_do_again(bench):
    built, _ = responding(bench)
    built.world.admitting[:] = False
    first, second = built.submit(job("first"), job("second", submit=100.0))

    def again():
        built.world.admitting[:] = True
        built.world.wake()

    built.at(55.0, again)
    built.run(200.0)
    assert first.first_start == 60.0 and second.first_start == 110.0


def test_saved_work_that_moves_is_not_lost(bench):
    built, response = responding(bench)
    (run,) = built.submit(job(checkpoint=20.0))
    built.at(210.0, lambda: response.hands.migrate(everywhere(response), -1))
    built.run(1_000.0)
    # 200 s are done when the save begins, and kept; the 20 s of the save are worked beside it, and done again
    moved = [event for event in built.world.log if event["kind"] == EventKind.JOB_PREEMPTED]
    assert [event["time_seconds"] for event in moved] == [230.0]
    assert sum(amount for _, amount in run.losses) == pytest.approx((20.0 + 5.0) * run.gpus)
    assert run.status == "completed"
    assert run.end == pytest.approx(240.0 + 5.0 + 400.0, abs=1e-3)


def test_what_cannot_be_saved_stays_where_it_is(bench):
    built, response = responding(bench)
    (run,) = built.submit(job())
    built.at(210.0, lambda: response.hands.migrate(everywhere(response), -1))
    built.run(1_000.0)
    assert run.starts == 1 and run.end == pytest.approx(610.0, abs=1e-3)


def test_low_priority_work_waits_for_the_backup_cluster_to_give_it_back(bench):
    built, response = responding(bench)
    low, high = built.submit(job("low", checkpoint=20.0, preemptible=True), job("high", checkpoint=20.0))
    hall = response._log(EventKind.RESPONSE, Scope(Level.HALL, "hall"), "for a test")
    built.at(110.0, lambda: response.hands.shift(everywhere(response), hall))
    built.at(500.0, lambda: response.hands.give_back(everywhere(response), hall))
    built.run(1_500.0)
    assert high.starts == 1 and low.starts == 2
    assert low.started == 510.0 and low.status == "completed"


def test_a_place_that_recovers_gives_back_no_work_that_another_still_sends_away(bench):
    """Two racks and the hall send work away; one rack recovers, then the hall, and a person sees to the other."""
    built, response = responding(bench)
    first, second = built.submit(*(job(name, trays=18, checkpoint=20.0, preemptible=True) for name in ("one", "two")))
    scopes = {name: Scope(Level.RACK, name) for name in ("A-01", "A-02")} | {"hall": Scope(Level.HALL, "hall")}
    events = {name: response._log(EventKind.RESPONSE, scope, "for a test") for name, scope in scopes.items()}

    def at(time, act, name):
        built.at(time, lambda: act(response.hands.racks_in(scopes[name]), events[name]))

    for name in scopes:
        at(110.0, response.hands.shift, name)
    at(300.0, response.hands.give_back, "A-01")
    at(500.0, response.hands.give_back, "hall")
    by = Author(Role.ON_CALL, "ana")
    built.at(700.0, lambda: response.by_hand(Do.RETURN_LOW_PRIORITY, scopes["A-02"], by, "cool again", events["A-02"]))
    built.run(1_500.0)
    assert (first.started, second.started) == (510.0, 710.0)
    assert not response.hands.away and not response.hands.shifted


def test_racks_that_are_switched_off_draw_nothing_and_come_back_when_allowed(bench):
    built, response = responding(bench)
    (run,) = built.submit(job(checkpoint=20.0))
    drawn = {}

    def look():
        built.env.read()
        drawn[built.env.now] = built.plant.rack_power.copy()

    built.at(110.0, lambda: response.hands.shut_down(everywhere(response), -1))
    built.at(200.0, look)
    built.at(300.0, lambda: response.hands.start(everywhere(response), -1))
    built.run(1_500.0)
    assert (drawn[200.0] == 0.0).all()
    assert len(built.told(EventKind.RACK_SHUT_DOWN)) == 4 and len(built.told(EventKind.RACK_RESTORED)) == 4
    assert run.starts == 2 and run.started >= 300.0 + built.world.settings.boot_seconds
    assert run.status == "completed"


# ---------------------------------------------------------------- the whole ladder


def heated(response, minutes=12.0, sensors=ideal(), busy=0.95):  # noqa: B008 — a value
    """A busy small hall whose heat rejection fails for some minutes; sensors read every 10 s, at once and exactly."""
    hall = load_hall("small")
    timeline = [{"at": "0:05:00", "do": "chiller_trip", "repair": f"{minutes} min"}]
    story = read_scenario({"name": "story", "purpose": "to be told", "timeline": timeline}, hall, "story.yaml")
    work = tuple(job(f"job-{n}", trays=14, work=7_200.0, submit=0.0) for n in range(4))
    work = tuple(replace(each, steady=Phase("steady", 7_200.0, busy)) for each in work)
    result = simulate(
        hall, Workload("busy", work, (), {}), thermal_aware(shipped()), story, seed=0, until=5_400.0,
        settings=Settings(sensors=sensors, response=response),
    )  # fmt: skip
    assert_balanced(result.metrics)
    return result


def test_the_ladder_relieves_devices_that_slow_and_takes_back_what_it_did():
    without, aware = heated(None), heated(settings_of())
    # a minute's dwell and a rise of 1 K a minute: the devices are slowed for the few seconds that software takes to act
    assert without.metrics["throttled_gpu_seconds"] > 0.0
    assert aware.metrics["throttled_gpu_seconds"] < 0.1 * without.metrics["throttled_gpu_seconds"]
    events = aware.tables["events"]
    told = events[events["kind"].isin([EventKind.FLAG_SET, EventKind.FLAG_CLEARED])]
    per_place = told.groupby("name")["kind"].agg(list)
    assert len(per_place) > 0
    for kinds in per_place:  # nothing is left on, and nothing flaps
        assert kinds.count(EventKind.FLAG_CLEARED) >= 1 and len(kinds) <= 6
    last = told.groupby("name").last()
    assert (last["kind"] == EventKind.FLAG_CLEARED).all()
    first_flag = told["time_seconds"].min()
    alerts = events[events["kind"] == EventKind.ALERT]
    assert alerts["time_seconds"].min() < first_flag  # people hear of it before anything is turned down
    assert (alerts["root"] == "chiller_trip 00:05:00").all()
    assert (
        alerts["detail"].str.contains(r"(?:celsius|slowdown_kelvin) -?[\d.]+ (?:above|below) -?\d+|business rule").all()
    )


def test_a_response_is_the_same_to_the_bit_on_a_second_run():
    one, other = (heated(settings_of()).tables["events"] for _ in range(2))
    assert one.equals(other)


@pytest.mark.parametrize("sensors", [ideal(), conf("default")], ids=["ideal", "default"])
def test_a_ladder_that_is_only_glanced_at_is_as_one_that_is_stepped(monkeypatch, sensors):
    """Before, within and after a trip of the chiller; most looks of a calm hall are glances, some readings are lost."""
    looks = []
    at_rest = Response._at_rest
    monkeypatch.setattr(Response, "_at_rest", lambda self: looks.append(at_rest(self)) or looks[-1])
    glanced = heated(settings_of(), 20.0, sensors, busy=0.8)
    assert 100 < sum(looks) < len(looks) - 50
    assert (glanced.tables["events"]["kind"] == EventKind.FLAG_SET).any()
    monkeypatch.setattr(Response, "_watch", lambda self, seen: None)
    stepped = heated(settings_of(), 20.0, sensors, busy=0.8)
    for name, table in glanced.tables.items():
        assert table.equals(stepped.tables[name]), name
    assert glanced.metrics == stepped.metrics


def test_where_people_act_every_look_is_whole(bench):
    """Of what they do it is told what was seen at the look before, whether or not anything moved the ladder."""
    told = []
    built = bench(settings=Settings(sensors=ideal()))
    settings = settings_of(told=lambda each, seen: told.append((each, seen.time_seconds)))
    response = Response(built.world, built.protection, settings, attended=True)
    built.env.process(response.process())
    built.world.sensors.begin(0.0)
    built.world.sensors.processes(built.env, ())
    who = Author(Role.ON_CALL, "someone")
    where = Scope(Level.RACK, built.world.topology.rack_names[0])
    built.at(605.0, lambda: response.by_hand(Do.CHECKPOINT, where, who, "to be safe", -1))
    built.run(700.0)
    assert [time for _, time in told] == [600.0]


def test_a_calm_hall_never_hears_of_the_ladder():
    hall = load_hall("small")
    story = read_scenario({"name": "story", "purpose": "to be told", "timeline": []}, hall, "story.yaml")
    work = Workload("calm", (job("job-1", submit=0.0),), (), {})
    runs = [
        simulate(hall, work, thermal_aware(shipped()), story, seed=0, until=1_800.0,
                 settings=Settings(sensors=ideal(), response=response))
        for response in (None, settings_of())
    ]  # fmt: skip
    assert runs[0].tables["events"].equals(runs[1].tables["events"])
    assert np.array_equal(runs[0].tables["racks"]["energy_joules"], runs[1].tables["racks"]["energy_joules"])


def test_replicas_in_a_warm_place_are_turned_down_and_counted_by_their_rate(bench):
    """Two of four replicas at half concurrency: each counts b/L = 0.5/0.8 over 0.95, and draws less than the others."""
    built, _ = responding(bench)
    requests = np.full(600, 2.0)
    service = Service(
        name="chat", replicas=4, trays_per_replica=18, prefill_tokens_per_second=20_000.0,
        decode_tokens_per_second=2_000.0, token_latency_seconds=0.02, latency_target_seconds=2.0,
        idle_utilisation=0.2, full_utilisation=0.9, swing=0.05, prompt_tokens=1_000.0 * requests,
        output_tokens=400.0 * requests, requests=requests,
    )  # fmt: skip
    run = ServiceRun(service)
    replica = replace(job(trays=18, work=float("inf"), submit=0.0), service="chat")
    replicas = built.submit(*(replace(replica, id=f"chat-{n}") for n in range(4)))
    for each in replicas:
        run.enlist(each)
    built.env.process(serve(built.world, [run]))

    def warm():
        built.world.degraded = {rack: HALVED for rack in (0, 1)}
        for each in replicas:
            each.degrade()

    built.at(205.0, warm)
    seen = {}

    def look():
        built.env.read()
        seen[built.env.now] = built.plant.rack_power.copy()

    built.at(204.0, look)
    built.at(231.0, look)
    built.run(300.0)
    able, bounds = run._able([each for each in replicas if each.serving])
    assert able == pytest.approx(2.0 + 2.0 * 0.5 / 0.8 / 0.95) and bounds == ()
    before, after = seen[204.0], seen[231.0]
    assert np.allclose(before, before[0]) and after[0] == after[1] and after[2] == after[3]
    assert after[0] < before[0] < after[2]  # the others take over what these leave


def test_a_person_looks_at_a_shutdown_and_recovery_releases_it(bench):
    """A loop whose supply was past every level: after the person's time, and the release's dwell, racks come back."""
    built = bench(settings=Settings(sensors=ideal()))
    response = Response(built.world, built.protection, settings_of(acknowledge_seconds=300.0))
    built.plant.set_supply(0, 56.0)
    built.env.process(response.process())
    built.world.sensors.begin(0.0)
    built.world.sensors.processes(built.env, ())
    built.at(1_500.0, lambda: built.plant.set_supply(0, 36.0))
    built.run(5_400.0)
    off = [event["time_seconds"] for event in built.world.log if event["kind"] == EventKind.RACK_SHUT_DOWN]
    on = [event["time_seconds"] for event in built.world.log if event["kind"] == EventKind.RACK_RESTORED]
    assert len(off) == 4 and len(on) == 4
    assert max(off) < 1_500.0 < min(on)
    assert built.world.in_service.all() and not response.hands.off


def test_power_that_comes_back_starts_no_rack_that_policy_keeps_off(bench):
    built, response = responding(bench)
    built.at(110.0, lambda: response.hands.shut_down(everywhere(response), -1))
    built.at(200.0, lambda: built.plant.set_source(0, False))
    built.at(260.0, lambda: built.plant.set_source(0, True))
    drawn = {}

    def dark():
        for rack in range(4):
            built.protection.darken(rack)

    def look():
        built.env.read()
        drawn[built.env.now] = float(built.plant.rack_power.sum())

    built.at(210.0, dark)
    built.at(261.0, built.protection.revive)
    built.at(900.0, look)
    built.at(1_000.0, lambda: response.hands.start(everywhere(response), -1))
    built.at(1_800.0, look)
    built.run(2_000.0)
    assert drawn[900.0] == 0.0 and not built.plant.dark.any()
    assert drawn[1_800.0] > 0.0 and built.world.in_service.all()
