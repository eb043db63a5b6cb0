"""Flags that are set for a service: its own replicas are turned down, kept from starting or emptied, and no others."""

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from tests.policy.documents import shipped
from twin.places import conf_dir
from twin.policy.aware import thermal_aware
from twin.policy.causes import Author, Role
from twin.policy.degradation import Degradation
from twin.policy.documents import DocumentError
from twin.policy.flag_files import flags_from_mapping
from twin.policy.flags import FlagState, set_flag
from twin.policy.ladder_rules import rules_from_mapping
from twin.policy.scope import scope_of
from twin.results.kinds import EventKind
from twin.results.metrics import service_metrics
from twin.sim.outcome import services_table
from twin.sim.response import Response, ResponseSettings
from twin.sim.scenario import ScenarioError
from twin.sim.sensor_settings import ideal
from twin.sim.service_flags import ServiceFlags
from twin.sim.services import ServiceRun, serve
from twin.sim.simulate import Settings
from twin.workload.jobs import Build, Job, JobKind, Phase, Service
from twin.workload.service import AUXILIARY_SHARE, STEP_GROWTH, Part, served_shares, utilisation_to_power

BY = Author(Role.OPERATOR, "ana")
CHAT, CODE = scope_of("service/chat"), scope_of("service/code")
BUSY = 0.4


def document(**targeting):
    """The shipped flags, of which a draining one may be set for services too; rules by flag in ``targeting``."""
    found = json.loads((conf_dir() / "policy" / "flags" / "default.json").read_text("utf-8"))
    found["flags"]["evacuate"]["metadata"]["scope"] += ", service/*"
    for flag, rule in targeting.items():
        found["flags"][flag]["targeting"] = rule
    return found


def service_of(name, seconds=2_000, busy=BUSY, replicas=4):
    work = np.full(seconds, round(busy * replicas * 1_000.0))
    return Service(
        name=name, replicas=replicas, trays_per_replica=9, prefill_tokens_per_second=1_000.0,
        decode_tokens_per_second=1_000.0, token_latency_seconds=0.05, latency_target_seconds=2.0,
        idle_utilisation=0.12, full_utilisation=0.75, swing=0.0, prompt_tokens=np.zeros(seconds),
        output_tokens=work, requests=np.full(seconds, 10.0 * replicas),
    )  # fmt: skip


def replicas_of(name, count=4):
    return [
        Job(
            id=f"{name}-{n}", kind=JobKind.INFERENCE, submit_seconds=0.0, trays=9, work_seconds=np.inf,
            estimate_seconds=np.inf, startup=(), steady=Phase("steady", np.inf, 0.3), service=name,
        )
        for n in range(count)
    ]  # fmt: skip


class Two:
    """Two services on the small hall, of each of which every rack holds one replica."""

    def __init__(self, bench, flags=None, busy=BUSY):
        self.built = bench()
        read = flags_from_mapping(document() if flags is None else flags)
        settings = ResponseSettings(rules_from_mapping(shipped()["ladder"]), read)
        self.response = Response(self.built.world, self.built.protection, settings)
        self.services = {name: ServiceRun(service_of(name, busy=busy)) for name in ("chat", "code")}
        self.built.world.services = self.services
        self.runs = self.built.submit(
            *(each for pair in zip(*map(replicas_of, self.services), strict=True) for each in pair)
        )
        for run in self.runs:
            self.services[run.job.service].enlist(run)
        self.built.env.process(serve(self.built.world, list(self.services.values())))
        self.seen = {}

    def set(self, at, flag, variant, scope=CHAT, **more):
        self.built.at(at, lambda: self.response.set_flag(flag, variant, scope, BY, "to see", -1, **more))

    def clear(self, at, flag, scope=CHAT):
        self.built.at(at, lambda: self.response.clear_flag(flag, scope, BY, "seen", -1))

    def look(self, *times):
        """Note, by service: how many replicas serve, the loads that their trays are set to, and how busy they are."""

        def act():
            self.seen[self.built.env.now] = {
                name: (sum(run.serving for run in each.replicas), self.loads(each), each.utilisation)
                for name, each in self.services.items()
            }

        for at in times:
            self.built.at(at, act)

    def loads(self, service):
        trays = [run.trays for run in service.replicas if run.serving]
        return np.unique(self.built.plant.u.tray["load"][np.concatenate(trays)]).tolist() if trays else []


HALVED = 0.5 / ((1.0 - STEP_GROWTH) + STEP_GROWTH * 0.5) / (1.0 - AUXILIARY_SHARE)  # of the rate, as the batch is


def test_a_flag_of_a_service_turns_its_replicas_down_wherever_they_are_and_nobody_elses(bench):
    """Half the batch and no side work: chat is busier by what its rate falls, its trays bear less; code stays."""
    two = Two(bench)
    two.set(95.0, "scale_back", "halved", seconds=300.0)
    two.set(500.0, "scale_back", "halved")
    two.clear(600.0, "scale_back")
    two.look(90.0, 150.0, 480.0, 560.0, 650.0)
    two.built.env.process(two.response.process())  # that flags expire is seen at a look
    two.built.run(660.0)
    built = two.services["chat"].service.knobs
    plain = utilisation_to_power(two.services["chat"].service, BUSY, built, two.services["chat"].build)[0]
    knobs = replace(built, concurrency=0.5, batch_size=0.5, auxiliary=False)
    low = utilisation_to_power(two.services["chat"].service, BUSY / HALVED, knobs, two.services["chat"].build)[0]
    assert low < plain
    for at, busy, load in ((90.0, BUSY, plain), (150.0, BUSY / HALVED, low), (480.0, BUSY, plain),
                           (560.0, BUSY / HALVED, low), (650.0, BUSY, plain)):  # fmt: skip
        count, loads, utilisation = two.seen[at]["chat"]
        assert (count, loads) == (4, [pytest.approx(load)]) and utilisation == pytest.approx(busy)
        assert two.seen[at]["code"] == (4, [pytest.approx(plain)], pytest.approx(BUSY))


def test_a_flag_of_a_rack_and_one_of_a_service_are_joined_on_its_replicas_there(bench):
    """A-01 is scaled back to a quarter for all, chat to a half: what is on A-01 goes by the stricter, in everything."""
    two = Two(bench)
    two.set(95.0, "scale_back", "halved")
    two.set(95.0, "scale_back", "quartered", scope_of("rack/A-01"))
    two.built.run(200.0)
    found = {run.job.id: run.degradation() for run in two.runs}
    assert {found[f"chat-{n}"].concurrency for n in (1, 2, 3)} == {0.5}
    assert found["chat-0"] == found["code-0"] and found["chat-0"].concurrency == 0.25
    assert {found[f"code-{n}"].concurrency for n in (1, 2, 3)} == {1.0}


def test_a_drained_service_leaves_and_stays_away_until_the_flag_is_gone(bench):
    """Replicas go 10 s apart, five seconds after the flag; the other service and the hall's other work stay."""
    two = Two(bench)
    two.set(95.0, "evacuate", "drain")
    two.clear(300.0, "evacuate")
    two.look(95.0, 115.0, 290.0, 400.0)
    two.built.run(410.0)
    assert [two.seen[at]["chat"][0] for at in (95.0, 115.0, 290.0, 400.0)] == [4, 2, 0, 4]
    assert [two.seen[at]["code"][0] for at in (95.0, 115.0, 290.0, 400.0)] == [4, 4, 4, 4]
    gone = two.built.told(EventKind.JOB_PREEMPTED)
    assert [(at, name) for at, _, name in gone] == [(100.0 + 10.0 * n, f"chat-{n}") for n in range(4)]
    assert two.built.world.admitting.all()  # racks take what comes


@pytest.mark.parametrize("place", ["service/chat", "hall/hall"])
def test_who_has_not_left_yet_stays_once_the_draining_flag_is_gone(bench, place):
    """Cleared six seconds after it was set, which takes effect after the first has left and before the second goes."""
    two = Two(bench)
    two.set(95.0, "evacuate", "drain", scope_of(place))
    two.clear(101.0, "evacuate", scope_of(place))
    two.built.run(200.0)
    assert [(at, name) for at, _, name in two.built.told(EventKind.JOB_PREEMPTED)] == [(100.0, "chat-0")]


def test_a_service_whose_admissions_are_paused_starts_no_replica_and_keeps_those_it_has(bench):
    two = Two(bench)
    two.set(95.0, "pause_admissions", "paused")
    two.built.at(150.0, lambda: [two.runs[n].interrupt(-1, preempted=True) for n in (0, 1)])
    two.clear(300.0, "pause_admissions")
    two.look(290.0, 400.0)
    two.built.run(410.0)
    assert [two.seen[at]["chat"][0] for at in (290.0, 400.0)] == [3, 4]
    assert [two.seen[at]["code"][0] for at in (290.0, 400.0)] == [4, 4]


def test_a_replica_that_comes_while_its_service_is_paused_waits(bench):
    service = ServiceRun(service_of("chat"))
    service.admit(False)
    service.enlist(run := bench().submit(replicas_of("chat", 1)[0])[0])
    assert run.not_before == np.inf
    service.admit(True)
    assert run.not_before == 0.0


@pytest.mark.parametrize("rule", ["service", "both"])
def test_a_rule_that_tells_services_apart_reaches_them(bench, rule):
    """Without anybody's setting: scaled back where a rule says so, from the beginning."""
    said = {"==": [{"var": "service"}, "chat"]}
    if rule == "both":
        said = {"and": [said, {"==": [{"var": "rack"}, "A-02"]}]}
    two = Two(bench, document(scale_back={"if": [said, "halved", None]}))
    two.built.env.process(two.response.process())
    two.built.run(30.0)
    scaled = {run.job.id for run in two.runs if run.degradation().concurrency == 0.5}
    assert scaled == ({f"chat-{n}" for n in range(4)} if rule == "service" else {"chat-1"})


@pytest.mark.parametrize("rule", ["rack", "service"])
def test_a_rule_that_drains_sends_away_what_runs_there(bench, rule):
    """Nobody set it, so nobody asked for the drain: replicas leave one by one as if somebody had, and no others do."""
    said = {"==": [{"var": rule}, "A-02" if rule == "rack" else "chat"]}
    two = Two(bench, document(evacuate={"if": [said, "drain", None]}))
    two.built.at(95.0, lambda: two.built.env.process(two.response.process()))
    two.built.run(160.0)
    gone = [(at, name) for at, _, name in two.built.told(EventKind.JOB_PREEMPTED)]
    places = ["chat-1", "code-1"] if rule == "rack" else [f"chat-{n}" for n in range(4)]
    assert gone == [(95.0 + 10.0 * n, name) for n, name in enumerate(places)]
    (event,) = (each for each in two.built.world.log if each["kind"] == EventKind.RESPONSE)
    assert event["detail"] == f"rules of flags drain {len(places)} jobs"


def test_a_rule_that_drains_lets_work_be_saved_before_it_goes(bench):
    """A job on a drained rack saves for 30 s and goes; what cannot be saved runs to its end there."""
    flags = flags_from_mapping(document(evacuate={"if": [{"==": [{"var": "rack"}, "A-01"]}, "drain", None]}))
    built = bench()
    response = Response(built.world, built.protection, ResponseSettings(rules_from_mapping(shipped()["ladder"]), flags))
    lasts = Phase("steady", 2_000.0, 0.3)
    kept = Job(
        id="kept", kind=JobKind.BATCH, submit_seconds=0.0, trays=2, work_seconds=2_000.0, estimate_seconds=2_000.0,
        startup=(), steady=lasts,
    )  # fmt: skip
    saves = {"checkpoint": Phase("checkpoint", 30.0, 0.2), "restore": Phase("restore", 5.0, 0.2)}
    runs = built.submit(kept, replace(kept, id="saved", **saves))
    built.at(95.0, lambda: built.env.process(response.process()))
    built.run(200.0)
    assert [run.racks for run in runs] == [("A-01",), ("A-02",)]
    assert [(at, name) for at, _, name in built.told(EventKind.JOB_PREEMPTED)] == [(125.0, "saved")]


# ---------------------------------------------------------------- requests that wait


def test_a_flag_bounds_how_long_a_services_requests_wait(bench):
    """Three times what four replicas bear: with the flag on, the wait falls to its bound and stays; code's grows on."""
    flags = document()
    flags["flags"]["shed_load"]["variants"]["strong"] = {"queue_seconds": 60}
    del flags["flags"]["shed_load"]["targeting"]
    two = Two(bench, flags, busy=3.0)
    two.set(95.0, "shed_load", "strong")
    two.built.run(600.0)
    chat, code = two.services["chat"], two.services["code"]
    # by then both had let in 100 s × 3; chat lets no more in until 200 s have come down to 60 s
    assert chat.wait == pytest.approx(60.0, abs=0.1) and chat.wait_max == pytest.approx(200.0, abs=0.1)
    assert code.wait == pytest.approx(2.0 * code.second, abs=0.1) and code.shed == code.shed_requests == 0.0
    for service in (chat, code):
        assert service.arrived == service.served + service.shed + service.queue.output_tokens
        assert service.requests == service.served_requests + service.shed_requests + service.queue.requests
        assert service.late <= service.requests


def test_a_bound_on_one_rack_is_of_what_falls_to_the_replica_there(bench):
    """A-01 has one of four replicas: it lets none of its quarter of the requests in."""
    flags = document()
    flags["flags"]["scale_back"]["variants"]["halved"] = {"queue_seconds": 1}
    two = Two(bench, flags, busy=3.0)
    two.set(95.0, "scale_back", "halved", scope_of("rack/A-01"))
    two.built.run(600.0)
    for service in two.services.values():
        since = service.second - 100  # s with the flag
        assert service.shed_requests == pytest.approx(0.25 * since * 40.0, rel=1e-3)


def test_a_rule_by_the_wait_of_requests_speaks_when_they_have_waited_so_long(bench):
    """The shipped shed_load stops side work at 600 s: at three times the capacity that is after 300 s."""
    two = Two(bench, busy=3.0)
    two.services["code"].service = service_of("code")
    two.built.env.process(two.response.process())
    two.look(250.0, 350.0)
    two.built.run(360.0)
    ((at, _, name),) = two.built.told(EventKind.RESPONSE)
    assert (at, name) == (300.0, "chat")
    (event,) = (each for each in two.built.world.log if each["kind"] == EventKind.RESPONSE)
    assert event["level"] == "service" and event["detail"] == "shed_load = mild; requests waited 600 s"
    assert {run.job.service for run in two.runs if not run.degradation().auxiliary} == {"chat"}
    built = two.services["chat"].service
    lean = utilisation_to_power(built, 1.0, replace(built.knobs, auxiliary=False), built.build)[0]
    assert two.seen[350.0]["chat"][1] == [pytest.approx(lean)] and two.seen[250.0]["chat"][1][0] > lean


def test_a_service_that_nobody_serves_speaks_by_no_rule_until_somebody_does(bench):
    """A drained service has a wait without end; once it is back its queue of 300 s is short of the rule's 600 s."""
    two = Two(bench, busy=1.0)
    two.built.env.process(two.response.process())
    two.set(95.0, "evacuate", "drain")
    two.clear(400.0, "evacuate")
    two.built.run(700.0)
    assert 250.0 < two.services["chat"].wait < 350.0 and two.services["chat"].late > 0.0
    assert two.built.told(EventKind.RESPONSE) == []


def looking(flags=None):
    """One service, whose wait is given, and what looks at it; nothing else runs."""
    chat = SimpleNamespace(service=SimpleNamespace(name="chat"), wait=0.0)
    world = SimpleNamespace(env=SimpleNamespace(now=0.0), services={"chat": chat})
    eyes = ServiceFlags(world, flags_from_mapping(document() if flags is None else flags))

    def look(at, wait, state):
        world.env.now, chat.wait = at, wait
        return [words.partition(";")[0] for _, words in eyes.look(state)], eyes.longest("chat")

    return look


def test_the_longest_wait_of_the_last_ten_minutes_is_that_also_when_a_longer_one_has_gone():
    look, none = looking(), FlagState()
    assert look(0.0, 700.0, none) == (["shed_load = mild"], 700.0)
    assert look(300.0, 650.0, none) == ([], 700.0)
    assert look(590.0, 690.0, none) == ([], 700.0)
    assert look(600.0, 100.0, none) == ([], 690.0)
    assert look(1_180.0, 50.0, none) == ([], 690.0)
    assert look(1_190.0, 60.0, none) == (["shed_load = as before"], 100.0)
    assert look(1_200.0, 10.0, none) == ([], 60.0)


def test_a_wait_is_forgotten_ten_minutes_after_the_last_one_though_nobody_waits_any_more():
    look, none = looking(), FlagState()
    assert look(0.0, 0.0, none) == ([], 0.0)
    assert look(10.0, 700.0, none) == (["shed_load = mild"], 700.0)
    assert look(20.0, 0.0, none) == ([], 700.0)
    assert look(600.0, 0.0, none) == ([], 700.0)
    assert look(610.0, 0.0, none) == (["shed_load = as before"], 0.0)
    assert look(620.0, 0.0, none) == ([], 0.0)
    assert look(630.0, 700.0, none) == (["shed_load = mild"], 700.0)


def test_a_rule_by_the_wait_does_not_speak_where_a_setting_of_the_hall_stands():
    """The setting comes first, for every service: that the rule would choose another variant changes nothing."""
    read = flags_from_mapping(document())
    state = set_flag(read, FlagState(), "shed_load", "strong", scope_of("hall/hall"), BY, "to see", 0.0)[0]
    assert looking()(10.0, 700.0, state)[0] == []
    assert looking()(10.0, 700.0, FlagState())[0] == ["shed_load = mild"]


def test_a_bound_is_of_what_falls_to_its_replicas_while_builds_of_two_speeds_serve():
    """Two replicas of a build at half the rate have a third of the requests; all four count as they are."""
    slow = Build(memory_bandwidth=2.0)
    live = [
        SimpleNamespace(build=build, degradation=partial(Degradation, queue_seconds=bound))
        for build, bound in [(None, np.inf)] * 2 + [(slow, 60.0)] * 2
    ]
    service = ServiceRun(service_of("chat"))
    able, ((bound, share),) = service._able(live)
    parts = (Part(service.service.build, 0.5), Part(slow, 0.5))
    falls = served_shares(service.service, parts, service.service.knobs)
    assert (able, bound) == (4.0, 60.0) and share == pytest.approx(falls[1]) == pytest.approx(1.0 / 3.0)


@pytest.mark.parametrize(("shed", "requests"), [(0.0, 0.0), (40.0, 0.0), (40.0, 1.0)])
def test_what_was_turned_away_is_told_where_it_was_only_a_part_of_a_request(shed, requests):
    service = ServiceRun(service_of("chat"), shed=shed, shed_requests=requests)
    table = services_table([service])
    assert ("tokens_shed" in table) == ("requests_shed" in table) == (shed > 0.0)
    found = service_metrics(table, 60.0)["services"]["chat"]
    assert found.get("requests_shed") == (requests if shed > 0.0 else None)


# ---------------------------------------------------------------- stories and documents


SETTINGS = ResponseSettings(rules_from_mapping(shipped()["ladder"]), flags_from_mapping(document()))


def told(tell, *timeline, response=SETTINGS):
    jobs = [replace(each, elapsed_seconds=1.0) for name in ("chat", "code") for each in replicas_of(name)]
    services = [service_of(name, 901) for name in ("chat", "code")]
    settings = Settings(sensors=ideal(), response=response)
    return tell(
        900.0, jobs=jobs, services=services, timeline=timeline, policy=thermal_aware(shipped()), settings=settings
    )


def test_a_story_sets_a_flag_for_a_service_and_takes_it_back_at_its_repair(tell, log_of):
    flag = {"at": 100, "do": "set_flag", "service": "chat", "flag": "evacuate", "variant": "drain"}
    result = told(tell, {**flag, "reason": "a bad model", "repair": "5 min"})
    events = result.tables["events"]
    flags = events[events["kind"].isin([EventKind.FLAG_SET, EventKind.FLAG_CLEARED])]
    assert flags[["level", "name"]].drop_duplicates().to_numpy().tolist() == [["service", "chat"]]
    left = [name for _, _, name in log_of(result, EventKind.JOB_PREEMPTED)]
    assert left == [f"chat-{n}" for n in range(4)]
    late = result.tables["services"].set_index("name")["latency_misses"]
    assert late["chat"] > 0.0 and late["code"] == 0.0


@pytest.mark.parametrize("do", ["set_flag", "clear_flag"])
def test_a_service_that_the_workload_has_not_is_refused(tell, do):
    asked = {"at": 100, "do": do, "service": "chatt", "flag": "scale_back", "reason": "to see"}
    with pytest.raises(ScenarioError) as refused:
        told(tell, {**asked, **({"variant": "halved"} if do == "set_flag" else {})})
    (fault,) = refused.value.faults
    assert str(fault).startswith("story: timeline.service = 'chatt': the workload has no such service. Did you mean")


def test_a_business_rule_that_would_take_a_services_racks_is_refused():
    rules = json.loads(json.dumps(shipped()["ladder"]))
    rules["business_rules"]["shift_low_priority"]["scopes"].append("service")
    with pytest.raises(DocumentError) as refused:
        rules_from_mapping(rules)
    (fault,) = refused.value.faults
    assert "business_rules.shift_low_priority.scopes" in str(fault) and "Write a rule of its own" in str(fault)


def test_a_ladder_of_services_is_refused():
    rules = json.loads(json.dumps(shipped()["ladder"]))
    next(iter(rules["ladders"].values()))["scope"] = "service"
    with pytest.raises(DocumentError, match="scope = 'service'"):
        rules_from_mapping(rules)
