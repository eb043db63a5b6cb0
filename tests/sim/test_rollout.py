"""Rollouts as stories with a log: what goes on, what is held, what goes back and why, on what sensors say."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.policy.documents import shipped
from twin.hall.files import read_yaml
from twin.hall.reader import load_hall
from twin.places import conf_dir
from twin.policy import first_fit
from twin.policy.rollout import Action, Rule
from twin.policy.scope import Level, Scope
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.setup.rollouts import rollout_of
from twin.sim.canary_trial import Trial
from twin.sim.rollout_signals import Baseline
from twin.sim.scenario import ScenarioError, read_scenario
from twin.sim.sensor_settings import ideal
from twin.sim.simulate import Settings, simulate
from twin.workload.jobs import Job, JobKind, Phase, Service, Workload

WIDE = ("rows=2", "racks_per_row=8", "facility.capacity_fraction=1.3")  # 16 racks on four loops, no staging cell
NAME = "2026.04.14.12"
KINDS = [
    EventKind.ROLLOUT_STAGE,
    EventKind.ROLLOUT_HELD,
    EventKind.ROLLOUT_ROLLED_BACK,
    EventKind.ROLLOUT_DONE,
    EventKind.CANARY_VERDICT,
    EventKind.CANARY_CHOSEN,
]


@cache
def pipeline(name="default"):
    """A shipped pipeline."""
    document = {**shipped(), "rollout": read_yaml(conf_dir() / "policy" / "rollout" / f"{name}.yaml")}
    return rollout_of(document)


def short(name="default", **changes):
    return replace(pipeline(name), window_seconds=120.0, **changes)


def chat(replicas, busy, seconds):
    """A service whose replicas take half a rack and are busy for a share of their time."""
    work = np.full(seconds, round(busy * replicas * 1_000.0))
    service = Service(
        name="chat", replicas=replicas, trays_per_replica=9, prefill_tokens_per_second=1_000.0,
        decode_tokens_per_second=1_000.0, token_latency_seconds=0.05, latency_target_seconds=2.0,
        idle_utilisation=0.12, full_utilisation=0.75, swing=0.0, prompt_tokens=work,
        output_tokens=np.zeros(seconds), requests=np.full(seconds, 10.0 * replicas),
    )  # fmt: skip
    jobs = tuple(
        Job(
            id=f"chat-{n:02d}", kind=JobKind.INFERENCE, submit_seconds=0.0, trays=9, work_seconds=np.inf,
            estimate_seconds=np.inf, startup=(Phase("load", 60.0, 0.3),), steady=Phase("steady", np.inf, 0.45),
            service="chat", elapsed_seconds=1.0,
        )
        for n in range(replicas)
    )  # fmt: skip
    return service, jobs


def told(
    until=3_600.0,
    *,
    settings=None,
    hall=WIDE,
    busy=0.6,
    spare=0,
    timeline=(),
    response=None,
    others=(),
    watch=None,
    **release,
):
    """A run in which a release begins its way after a minute, with soaks of five."""
    topology = load_hall(hall[0], hall[1:]) if hall[0] in ("small", "reference") else load_hall("small", hall)
    racks = sum(rack.cell == "hall" for rack in topology.racks)
    service, jobs = chat(2 * racks - spare, busy, int(until) + 1)
    asked = {"at": 60, "do": "roll_out", "release": NAME, "service": "chat", "soak": "5 min", "window": "2 min"}
    entries = [{**asked, **release}, *timeline]
    story = read_scenario({"name": "story", "purpose": "to be told", "timeline": entries}, topology, "story.yaml")
    result = simulate(
        topology, Workload("chat", (*others, *jobs), (service,), {}), first_fit, story, seed=0, until=until,
        settings=Settings(sensors=ideal(), rollout=settings or short(), response=response), watch=watch,
    )  # fmt: skip
    assert_balanced(result.metrics)
    return result


def log(result, *kinds):
    events = result.tables["events"]
    return events[events["kind"].isin([str(kind) for kind in kinds or KINDS])]


def details(result, kind):
    return list(log(result, kind)["detail"])


def row(result):
    (found,) = result.tables["rollouts"].to_dict("records")
    return found


# ---------------------------------------------------------------- a harmless release


@cache
def harmless():
    heard = []
    result = told(5_400.0, settings=short(told=heard.append))
    return result, heard


def test_a_harmless_release_passes_and_is_done():
    result, _ = harmless()
    found = row(result)
    assert (found["outcome"], found["verdict"]) == ("done", "pass")
    assert found["racks_reached"] == found["racks_targeted"] == 16
    assert log(result, EventKind.ROLLOUT_HELD, EventKind.ROLLOUT_ROLLED_BACK).empty
    assert result.metrics["services"]["chat"]["failed_requests"] == 0.0
    batches = log(result, EventKind.ROLLOUT_STAGE)
    assert batches["value"].tolist() == [3.0, 1.0, 4.0, 4.0, 4.0]  # a quarter of 16 racks at most restarts together
    racks = ", ".join(detail.partition(": ")[2] for detail in batches["detail"]).split(", ")
    assert sorted(racks) == sorted(result.tables["racks"]["name"])
    assert result.metrics["jobs"]["running"] == 32
    assert (result.tables["jobs"]["restarts"] == 1).all()  # each replica started again once
    assert found["seconds_to_verdict"] == pytest.approx(60.0 + 300.0, abs=30.0)  # start-up, then the soak


def test_each_batch_soaks_before_the_next():
    result, _ = harmless()
    times = log(result, EventKind.ROLLOUT_STAGE, EventKind.ROLLOUT_DONE)["time_seconds"].to_numpy()
    assert (np.diff(times) >= 60.0 + 300.0).all()


def test_the_window_before_is_not_the_one_that_chose():
    result, _ = harmless()
    (chosen,) = log(result, EventKind.CANARY_CHOSEN)["time_seconds"]
    put = log(result, EventKind.ROLLOUT_STAGE)["time_seconds"].iloc[0]
    assert put - chosen >= 120.0
    verdict = details(result, EventKind.CANARY_VERDICT)[-1]
    assert f"chosen by {chosen - 120:g}–{chosen:g} s, before {put - 120:g}–{put:g} s" in verdict
    assert "smallest attainable p 0.179% one-sided" in verdict  # 3 canaries against 13 controls: 1 of C(16, 3) = 560


def test_every_decision_that_differs_is_told():
    _, heard = harmless()
    assert [told.step.action for told in heard].count(Action.CONTINUE) == 5
    assert heard[-1].step.action is Action.DONE and heard[-1].release == NAME
    times = [told.time_seconds for told in heard]
    assert times == sorted(times)
    assert {ground.rule for told in heard for ground in told.step.grounds} >= {Rule.NOT_RUNNING, Rule.SOAK}


def test_two_runs_are_equal_to_the_bit():
    one, other = harmless()[0], told(5_400.0)
    for name in ("events", "racks", "rollouts", "services", "jobs"):
        assert one.tables[name].equals(other.tables[name]), name


# ---------------------------------------------------------------- harm


def test_a_release_that_fails_requests_goes_back_the_latest_racks_first():
    result = told(error_rate=0.08)
    (back,) = log(result, EventKind.ROLLOUT_ROLLED_BACK).to_dict("records")
    assert "error_rate = 0.08, limit 0.05" in back["detail"]
    assert row(result)["outcome"] == "rolled back"
    renewed = log(result, EventKind.JOB_RENEWED)
    after = renewed[renewed["time_seconds"] >= back["time_seconds"]]
    jobs = result.tables["jobs"].set_index("id")["racks"]
    gone = list(dict.fromkeys(jobs[name] for name in after["name"]))
    (stage,) = details(result, EventKind.ROLLOUT_STAGE)
    assert gone == stage.partition(": ")[2].split(", ")[::-1]
    assert sorted(set(after["time_seconds"])) == [back["time_seconds"] + k * 30.0 for k in range(3)]
    # 3 of 16 racks answered it for a look or two: served × share × error rate, and nothing after
    failed = result.metrics["services"]["chat"]["failed_requests"]
    assert failed == pytest.approx(320.0 * 3 / 16 * 0.08 * 20.0 + 320.0 * 0.08 * (2 / 16 + 1 / 16) * 30.0, rel=0.2)


def test_a_few_errors_hold_a_release_where_it_is():
    result = told(error_rate=0.03)
    assert "error_rate = 0.03, limit 0.01" in details(result, EventKind.ROLLOUT_HELD)[0]
    found = row(result)
    assert (found["outcome"], found["racks_reached"]) == ("held", 3)


def test_power_that_no_rack_is_harmed_by_is_failed_where_racks_share_a_limit():
    """A third more power, borne easily by every rack; the row's breakers would carry more than they may."""
    loose = replace(pipeline().design, metrics=tuple(replace(m, margin=1e6) for m in pipeline().design.metrics))
    plan = pipeline().plan
    limits = {**plan.limits, "temperature_rise": replace(plan.limits["temperature_rise"], hold=30.0, roll_back=40.0)}
    settings = short(design=loose, plan=replace(plan, limits=limits))
    tight = (*WIDE, "row_feed.breaker.rating_amperes=420")
    result = told(settings=settings, hall=tight, power=1.3, busy=0.55)
    (back,) = details(result, EventKind.ROLLOUT_ROLLED_BACK)
    assert "at full rollout a limit would be exceeded" in back and "limit row" in back
    found = row(result)
    assert (found["verdict"], found["racks_reached"], found["canary_throttled_gpu_seconds"]) == ("pass", 3, 0.0)
    wide = told(5_400.0, settings=settings, hall=(*WIDE, "row_feed.breaker.rating_amperes=700"), power=1.3, busy=0.55)
    assert row(wide)["outcome"] == "done"


def test_a_build_beyond_its_declared_peak_is_seen_at_once():
    """A start at four times the power that its owner declared for it."""
    result = told(startup_power=4.0)
    (back,) = log(result, EventKind.ROLLOUT_ROLLED_BACK).to_dict("records")
    assert "power_spike" in back["detail"]
    (put,) = log(result, EventKind.ROLLOUT_STAGE)["time_seconds"]
    assert back["time_seconds"] - put <= 30.0


# ---------------------------------------------------------------- what is not known, not ready, or frozen


def test_nothing_goes_on_while_readings_are_old():
    outage = {"at": 400, "do": "telemetry_outage", "repair": "10 min"}
    result = told(5_400.0, timeline=[outage])
    batches = log(result, EventKind.ROLLOUT_STAGE)["time_seconds"]
    assert not batches.between(400.0 + 60.0, 1_000.0).any()
    held = log(result, EventKind.ROLLOUT_HELD)
    assert held["time_seconds"].iloc[0] <= 400.0 + 70.0 and "not a number that can be" in held["detail"].iloc[0]
    assert row(result)["outcome"] == "done"
    assert log(result, EventKind.ROLLOUT_ROLLED_BACK).empty


def test_canaries_are_never_chosen_blindly():
    outage = {"at": 1, "do": "telemetry_outage"}
    result = told(1_200.0, timeline=[outage])
    assert log(result, EventKind.CANARY_CHOSEN, EventKind.ROLLOUT_STAGE).empty
    assert "fewer racks may be canaries than are asked for: 0 of 3" in details(result, EventKind.ROLLOUT_HELD)[-1]
    assert row(result)["outcome"] == "held"


def test_what_is_not_ready_holds_with_its_name():
    result = told(1_800.0, not_ready="checkpoint_proven")
    assert "readiness is not proven: checkpoint_proven" in details(result, EventKind.ROLLOUT_HELD)[0]
    assert log(result, EventKind.ROLLOUT_STAGE).empty


def frozen_between(begin, end, experimental=False, where="frozen"):
    """Freezes racks of a world for a while, as the response ladder does."""

    def watch(world):
        def process():
            yield world.env.timeout(begin)
            setattr(world, where, {"response ladder for loop 01": world.topology.rack_loop == 0})
            yield world.env.timeout(end - begin)
            getattr(world, where).clear()

        world.env.process(process())

    return told(5_400.0, watch=watch, experimental=experimental)


def test_a_freeze_holds_and_lets_go():
    result = frozen_between(500.0, 1_500.0)
    held = log(result, EventKind.ROLLOUT_HELD)
    assert held["time_seconds"].tolist() == [500.0]
    assert "nothing may be deployed now: deploys = response ladder for loop 01" in held["detail"].iloc[0]
    batches = log(result, EventKind.ROLLOUT_STAGE)["time_seconds"]
    assert batches[batches > 500.0].min() == 1_490.0 + 300.0  # a soak after the last look that held
    assert row(result)["outcome"] == "done"


@pytest.mark.parametrize("experimental", [False, True])
def test_switching_experiments_off_holds_experimental_releases_alone(experimental):
    result = frozen_between(500.0, 1_500.0, experimental, where="experiments_off")
    assert log(result, EventKind.ROLLOUT_HELD).empty is not experimental


def test_the_response_ladder_freezes_deploys_and_switches_experiments_off(bench):
    from tests.sim.test_response import settings_of
    from twin.sim.response import Response

    built = bench(settings=Settings(sensors=ideal()))
    response = Response(built.world, built.protection, settings_of())
    built.plant.set_supply(0, 46.0)
    built.env.process(response.process())
    built.world.sensors.begin(0.0)
    built.world.sensors.processes(built.env, ())
    seen = []
    built.at(400.0, lambda: seen.append((dict(built.world.frozen), dict(built.world.experiments_off))))
    built.at(400.0, lambda: built.plant.set_supply(0, 36.0))
    built.run(3_600.0)
    frozen, off = seen[0]
    assert "response ladder for loop 01" in frozen and "flag new_build on loop/loop 01" in off
    everywhere = response.hands.racks_in(Scope(Level.LOOP, "loop 01"))
    assert all(np.array_equal(racks, everywhere) for racks in (*frozen.values(),) if racks.sum() == 4)
    assert built.world.frozen == {} and built.world.experiments_off == {}


# ---------------------------------------------------------------- alerts


def test_people_are_told_of_a_canary_that_throttles_with_its_coolant_and_the_release():
    water = {"at": 300, "do": "facility_water_loss", "severity": 0.95, "over": "4 min"}
    result = told(900.0, busy=0.95, timeline=[water])
    alerts = log(result, EventKind.ALERT)
    events = result.tables["events"].set_index("event")
    pattern = rf"^canary throttled after a \d-minute coolant rise on rack [AB]-0\d during rollout {NAME}$"
    assert len(alerts) == 3 and alerts["detail"].str.match(pattern).all()
    for alert in alerts.to_dict("records"):
        slowed = events.loc[alert["cause"]]
        assert (slowed["kind"], slowed["name"]) == (EventKind.SLOWDOWN_ON, alert["name"])
        assert 0.0 <= alert["time_seconds"] - slowed["time_seconds"] <= 30.0
    assert (alerts["root"] == "facility_water_loss 00:05:00").all()
    (back,) = log(result, EventKind.ROLLOUT_ROLLED_BACK).to_dict("records")
    assert "throttled_share" in back["detail"] and back["root"] == "facility_water_loss 00:05:00"
    assert row(result)["canary_throttled_gpu_seconds"] > 0.0
    found = result.metrics["rollouts"][NAME]
    assert found["rolled_back_seconds"] == back["time_seconds"] and found["outcome"] == "rolled back"


# ---------------------------------------------------------------- the staging cell, and other pipelines


def test_the_staging_cell_comes_first_and_its_tests_are_jobs():
    settings = short(test_seconds=120.0)
    result = told(3_000.0, settings=settings, hall=("reference", "rows=1"), soak="10 min")
    tests = log(result, EventKind.STAGING_TEST)
    assert tests["detail"].tolist() == ["load test: passed", "warm restart: passed", "fault injection: passed"]
    jobs = result.tables["jobs"]
    staged = jobs[jobs["racks"].isin(["S-01", "S-02"])]
    assert len(staged) == 6 and (staged["status"] == "completed").all()
    assert staged["restarts"].tolist() == [0, 0, 1, 1, 1, 1]
    stages = log(result, EventKind.ROLLOUT_STAGE)
    assert stages["detail"].iloc[0] == "staging: S-01, S-02"
    assert stages["time_seconds"].iloc[1] > tests["time_seconds"].max()


def test_the_staging_cell_takes_one_release_at_a_time():
    image = {"at": 120, "do": "roll_out", "release": "image 7", "image": "batch", "soak": "5 min", "window": "2 min"}
    result = told(4_000.0, settings=short(test_seconds=120.0), hall=("reference", "rows=1"), timeline=[image])
    held = log(result, EventKind.ROLLOUT_HELD).iloc[0]
    assert (held["name"], held["detail"]) == ("image 7", f"the rollout of {NAME} is under way")
    stages = log(result, EventKind.ROLLOUT_STAGE)
    left = stages[(stages["name"] == NAME) & stages["detail"].str.startswith("canary")]["time_seconds"].iloc[0]
    begun = log(result, EventKind.ROLLOUT_STARTED).set_index("name")["time_seconds"]
    assert left <= begun["image 7"] <= left + 20.0
    tests = log(result, EventKind.STAGING_TEST)
    assert tests["detail"].str.endswith("passed").all() and len(tests) == 6


def test_a_build_that_fails_in_staging_reaches_nobody():
    result = told(2_000.0, settings=short(test_seconds=120.0), hall=("reference", "rows=1"), error_rate=0.2)
    assert details(result, EventKind.STAGING_TEST)[0] == "load test: error rate 0.2"
    assert "a test in the staging cell failed: load_test" in details(result, EventKind.ROLLOUT_ROLLED_BACK)[0]
    assert len(details(result, EventKind.STAGING_TEST)) == 1  # the first failure ends them
    assert row(result)["racks_reached"] == 0
    assert result.metrics["services"]["chat"]["failed_requests"] == 0.0


def test_a_traditional_pipeline_sees_errors_and_nothing_else():
    hot = told(3_600.0, settings=pipeline("traditional"), power=1.3)
    assert row(hot)["outcome"] == "done" and row(hot)["verdict"] == ""
    assert details(hot, EventKind.CANARY_CHOSEN) == ["A-01, A-02, A-03 by first_fit"]
    bad = told(1_200.0, settings=pipeline("traditional"), error_rate=0.08)
    assert row(bad)["outcome"] == "rolled back"


def test_the_first_rack_of_two_stages_goes_alone():
    result = told(2_400.0, canary="two_stage")
    assert log(result, EventKind.ROLLOUT_STAGE)["value"].tolist()[:2] == [1.0, 2.0]
    assert row(result)["verdict"] == "pass"


def test_other_work_beside_a_release_is_not_taken_for_it(monkeypatch):
    """A job that heats the last rack by far more than the limit, while others have the release alone."""
    hot = Job(
        id="hot", kind=JobKind.BATCH, submit_seconds=1_750.0, trays=9, work_seconds=600.0, estimate_seconds=600.0,
        startup=(), steady=Phase("steady", 600.0, 1.0),
    )  # fmt: skip
    calm, beside = told(spare=1), told(spare=1, others=(hot,))
    jobs = beside.tables["jobs"].set_index("id")
    assert (jobs.loc["hot", "status"], jobs.loc["hot", "racks"]) == ("completed", "B-08")
    rise = [result.tables["racks"].set_index("name").loc["B-08"] for result in (calm, beside)]
    assert rise[1]["device_temperature_celsius_max"] > rise[0]["device_temperature_celsius_max"] + 6.0
    assert row(beside)["outcome"] == row(calm)["outcome"] == "done"
    every = np.ones(16, dtype=bool)
    monkeypatch.setattr(Trial, "baseline", lambda trial: Baseline(trial.before.get("temperature"), every))
    blamed = told(spare=1, others=(hot,))
    assert "temperature_rise" in details(blamed, EventKind.ROLLOUT_ROLLED_BACK)[0]
    monkeypatch.setattr(Trial, "baseline", lambda trial: Baseline(trial.before.get("temperature"), ~every))
    unsure = told(spare=1, others=(hot,))  # without a witness it holds, and is not taken back
    assert "temperature_rise" in details(unsure, EventKind.ROLLOUT_HELD)[-1]
    assert log(unsure, EventKind.ROLLOUT_ROLLED_BACK).empty


def test_a_service_that_nothing_runs_is_rolled_out_nowhere():
    result = told(600.0, spare=32)
    assert "no production rack runs chat" in details(result, EventKind.ROLLOUT_HELD)[0]
    assert (row(result)["outcome"], row(result)["racks_targeted"]) == ("held", 0)


def test_releases_of_one_service_go_one_after_another():
    """The second waits until the first is off all racks, and then goes its own way."""
    second = {"at": 240, "do": "roll_out", "release": "next", "service": "chat", "soak": "5 min", "window": "2 min"}
    result = told(3_600.0, error_rate=0.08, timeline=[second])
    held = log(result, EventKind.ROLLOUT_HELD).to_dict("records")
    assert (held[0]["name"], held[0]["time_seconds"]) == ("next", 240.0)
    assert f"the rollout of {NAME} is under way" in held[0]["detail"]
    (back,) = log(result, EventKind.ROLLOUT_ROLLED_BACK).to_dict("records")
    begun = log(result, EventKind.ROLLOUT_STARTED).set_index("name")["time_seconds"]
    assert back["time_seconds"] + 60.0 <= begun["next"] <= back["time_seconds"] + 80.0  # three racks, 30 s apart
    outcomes = result.tables["rollouts"].set_index("release")["outcome"]
    assert dict(outcomes) == {NAME: "rolled back", "next": "done"}


# ---------------------------------------------------------------- refused before the clock starts


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"service": "chatt"}, "timeline.service = 'chatt': the workload has no such service. Did you mean 'chat'"),
        ({"service": None, "image": None}, "not one of service and image"),
        ({"image": "training"}, "not one of service and image"),
        ({"not_ready": "roles"}, "no readiness item"),
        ({"canary": "hottest"}, "unknown word. Choose from random"),
        ({"power": 0.0}, "out of bounds"),
        ({"service": None, "image": "training", "error_rate": 0.1}, "shows power and latency only"),
        ({"service": None, "image": "training", "latency": 0.5}, "end before its declared time"),
        ({"window": "20 min"}, "longer than sensors' history"),
        ({"experimental": 1}, "neither true nor false"),
    ],
)
def test_a_rollout_that_cannot_be_is_refused(asked, message):
    given = {key: value for key, value in asked.items() if value is not None}
    if asked.get("service", "") is None:
        topology = load_hall("small", WIDE)
        entry = {"at": 60, "do": "roll_out", "release": NAME, **given}
        with pytest.raises(ScenarioError, match=message):
            read_scenario({"name": "s", "purpose": "p", "timeline": [entry]}, topology, "story.yaml")
        return
    with pytest.raises(ScenarioError, match=message):
        told(600.0, **given)


def test_a_name_twice_and_a_missing_pipeline_are_refused():
    again = {"at": 90, "do": "roll_out", "release": NAME, "service": "chat"}
    with pytest.raises(ScenarioError, match="rolled out twice"):
        told(600.0, timeline=[again])
    topology = load_hall("small", WIDE)
    service, jobs = chat(4, 0.5, 601)
    story = read_scenario({"name": "s", "purpose": "p", "timeline": [again]}, topology, "story.yaml")
    with pytest.raises(ScenarioError, match=r"does not say how to roll out.*policy/rollout=default"):
        simulate(
            topology, Workload("chat", jobs, (service,), {}), first_fit, story, seed=0, until=600.0, settings=Settings()
        )
