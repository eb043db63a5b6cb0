"""Releases on racks: what a build draws, serves and fails there, and how it comes and goes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from twin.policy.projection import Standing
from twin.policy.snapshot import History
from twin.policy.trial import Outcome
from twin.results.kinds import EventKind
from twin.sim.canary_trial import Trial
from twin.sim.deployment import Deployment
from twin.sim.images import Images
from twin.sim.releases import Release, RolloutSettings
from twin.sim.services import ServiceRun, serve
from twin.workload.jobs import Build, JobKind, Service

IDLE, FULL, BUSY = 0.1, 0.8, 0.5
NEW = Build("2026.04.14.12", power=1.1, startup_power=1.6, error_rate=0.04)
LOAD = 60.0  # s that a replica takes to come up


def service(replicas=4, seconds=2_000):
    """Four replicas of a rack each, busy for half of their time: 2,000 prompt tokens a second at 1,000 each."""
    return Service(
        name="chat", replicas=replicas, trays_per_replica=18, prefill_tokens_per_second=1_000.0,
        decode_tokens_per_second=1_000.0, token_latency_seconds=0.05, latency_target_seconds=2.0,
        idle_utilisation=IDLE, full_utilisation=FULL, swing=0.0, prompt_tokens=np.full(seconds, 2_000.0),
        output_tokens=np.zeros(seconds), requests=np.full(seconds, 4.0),
    )  # fmt: skip


@pytest.fixture
def stage(bench, a_job):
    """A small hall whose four racks have a replica each; a deployment of ``build``; what racks draw at times."""

    def make(build=NEW, kind=None):
        built = bench()
        run = ServiceRun(service())
        jobs = [
            a_job(f"chat-{n}", work=np.inf, load=LOAD, utilisation=0.5, kind=JobKind.INFERENCE, service="chat")
            for n in range(4)
        ]
        for replica in built.submit(*jobs):
            run.enlist(replica)
        built.world.services["chat"] = run
        built.env.process(serve(built.world, [run]))
        built.deployment = Deployment(built.world, Release("chat", build, True), 600.0)
        built.service = run
        built.drawn = {}
        return built

    return make


def event(built):
    return built.world.log.add(built.env.now, EventKind.ROLLOUT_STAGE, "hall", NEW.name, root="a test")


def load_of(built, rack):
    return float(built.plant.u.tray["load"][built.world.trays_of(rack)][0])


# ---------------------------------------------------------------- which build stands where


def test_a_replica_starts_with_the_build_that_all_of_its_racks_have():
    images, old = Images(), Build("old")
    assert images.of("chat", [0, 1]) is None
    images.put("chat", 0, NEW)
    assert images.of("chat", [0]) == NEW
    assert images.of("chat", [0, 1]) is None and images.of("code", [0]) is None
    images.put("chat", 1, NEW)
    assert images.of("chat", [0, 1]) == NEW
    images.take("chat", 0)
    assert images.of("chat", [0]) is None and images.of("chat", [1]) == NEW
    images.spread("chat", old)
    assert images.of("chat", [0]) == images.of("chat", [1, 2]) == old
    images.put("chat", 2, NEW)
    assert images.of("chat", [2]) == NEW and images.of("chat", [2, 3]) == old


# ---------------------------------------------------------------- power


def test_racks_with_a_release_draw_what_the_tray_law_says(stage):
    """u = (idle + ρ (full − idle)) · power, and a rack's inlet follows its trays: exactly, at one and the same heat."""
    built = stage()
    built.at(205.0, lambda: built.deployment.put([0, 1], event(built)))
    loads = {}
    built.at(395.0, lambda: loads.update({rack: load_of(built, rack) for rack in range(4)}))

    def law():
        """Move a rack from one build to the other within an instant: heat has no time to change."""
        built.env.read()
        before = built.plant.rack_power.copy()
        for run in built.service.replicas[:2]:
            run.build = None
        built.service.parts = ()
        built.service._put = None
        built.service.put(built.world, built.service._live)
        built.env.read()
        built.drawn["law"] = before - built.plant.rack_power

    built.at(396.0, law)
    built.run(400.0)
    busy = IDLE + BUSY * (FULL - IDLE)
    assert loads == {0: pytest.approx(busy * 1.1), 1: pytest.approx(busy * 1.1), 2: busy, 3: busy}
    c = built.plant.c
    per_rack = 18 * c.span[0] * busy * 0.1 * (1.0 + c.rack[0]["loss_share"])
    assert built.drawn["law"] == pytest.approx([per_rack, per_rack, 0.0, 0.0], rel=1e-12, abs=1e-6)


def test_replicas_start_again_where_they_are_and_spike_while_they_do(stage):
    built = stage()
    built.at(205.0, lambda: built.deployment.put([2], event(built)))
    loads = {}
    for time in (204.0, 206.0, 264.0, 266.0, 275.0):
        built.at(time, lambda time=time: loads.update({time: load_of(built, 2)}))
    built.run(400.0)
    busy = IDLE + BUSY * (FULL - IDLE)
    # three replicas carry what four did while it is away: 2/3 busy
    assert loads[204.0] == pytest.approx(busy)
    assert loads[206.0] == loads[264.0] == pytest.approx(0.5 * 1.6)
    assert loads[275.0] == pytest.approx(busy * 1.1)
    (renewed,) = built.told(EventKind.JOB_RENEWED)
    assert renewed == (205.0, "job_renewed", "chat-2")
    assert [run.starts for run in built.service.replicas] == [1, 1, 2, 1]
    assert all(run.status == "running" and run.losses == [] for run in built.service.replicas)


def test_a_build_draws_no_more_than_a_tray_can(stage):
    built = stage(Build("hungry", power=5.0, startup_power=5.0))
    built.at(205.0, lambda: built.deployment.put([0], event(built)))
    seen = []
    built.at(210.0, lambda: seen.append(load_of(built, 0)))
    built.at(300.0, lambda: seen.append(load_of(built, 0)))
    built.run(310.0)
    assert seen == [1.0, 1.0]


# ---------------------------------------------------------------- failures


def test_failed_requests_are_what_the_release_served_times_its_error_rate(stage):
    """Two of four racks from 265 s on: half of 4 requests a second, 4 % of them fail."""
    built = stage()
    built.at(205.0, lambda: built.deployment.put([0, 1], event(built)))
    built.at(266.0, built.deployment.count)
    built.at(399.0, built.deployment.count)
    built.run(401.0)
    run = built.service
    seconds = 400 - 260  # up at 265 s, and counted with the period that ends then
    assert run.failed == pytest.approx(4.0 * seconds * 0.5 * 0.04, rel=1e-9)
    assert run.answered.sum(axis=1)[1] == pytest.approx(run.failed)
    rates = built.deployment.error_rates(266.0, 399.0)
    assert rates == pytest.approx([0.04, 0.04, 0.0, 0.0])
    assert built.deployment.error_rate(266.0, 399.0, np.array([0, 2])) == pytest.approx(0.02)
    assert np.isnan(built.deployment.error_rate(266.0, 266.0, np.array([0])))


#: a first token of 0.5 s and a decode step of 0.05 s take 4 × (0.5 + 0.05 × 1.25) = 2.25 s, beyond the target of 2 s;
#: tokens come at 0.8 of the rate, so that a router gives it 0.8 of what it gives the build before
SLOW = Build("slow", memory_bandwidth=1.25, latency=4.0)


@pytest.fixture
def side_by_side(stage):
    """Two of four racks with a build that is slow, up from 265 s on; looks before, at the restart and after."""
    built = stage(SLOW)
    built.at(205.0, lambda: built.deployment.put([0, 1], event(built)))
    for time in (195.0, 221.0, 251.0, 291.0, 399.0):
        built.at(time, built.deployment.count)
    built.run(400.0)
    return built


def test_two_builds_side_by_side_are_told_apart_by_what_they_answer(side_by_side):
    """4 requests a second: 4/9 of them to the slow two, 5/9 to the others; one a second and rack in the mean."""
    found = side_by_side.deployment
    assert found.late_shares(291.0, 399.0) == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-12)
    assert found.served_ratios(291.0, 399.0) == pytest.approx([8 / 9, 8 / 9, 10 / 9, 10 / 9], rel=1e-9)
    late, served = found.late_shares(221.0, 251.0), found.served_ratios(221.0, 251.0)
    assert np.isnan(late[:2]).all() and np.isnan(served[:2]).all()  # they were coming up
    assert late[2:].tolist() == [0.0, 0.0]
    # the mean is over all trays of the service, also of those that answered nothing: twice as much as it
    assert served[2:] == pytest.approx([2.0, 2.0], rel=1e-9)


def test_a_tray_less_answers_as_much_a_tray(side_by_side):
    """What a rack answers is held against its trays: with 9 of 18, and the same answers, it does twice as much."""
    found = side_by_side.deployment
    last = found._kept[-1]
    found._kept[-1] = replace(last, trays=last.trays * np.array([1.0, 1.0, 1.0, 0.5]))
    of_all = 72.0 / 63.0  # requests a tray
    expected = [8 / 9 / of_all, 8 / 9 / of_all, 10 / 9 / of_all, 20 / 9 / of_all]
    assert found.served_ratios(291.0, 399.0) == pytest.approx(expected, rel=1e-9)


def test_the_busiest_look_since_a_time(side_by_side):
    """2,000 tokens a second to four replicas of 1,000 each, and to two while the others come up."""
    found = side_by_side.deployment
    assert [each.busy for each in found._kept] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.5])
    assert found.busiest(0.0) == 1.0 and found.busiest(252.0) == pytest.approx(0.5)


def test_a_rack_has_had_a_release_since_it_was_up_with_it_whatever_restarts_later(stage):
    built = stage(SLOW)
    built.at(205.0, lambda: built.deployment.put([0], event(built)))
    built.at(300.0, lambda: built.deployment.on_rack(0)[0].interrupt(-1, preempted=True))
    for time in (195.0, 221.0, 291.0, 301.0, 399.0):
        built.at(time, built.deployment.running)
    built.run(400.0)
    assert built.deployment.on_rack(0)[0].starts > 2
    assert built.deployment.up_since == {0: 291.0}  # the first look at which it was
    built.deployment.take(0, event(built))
    assert built.deployment.up_since == {}


@pytest.mark.parametrize(
    ("most_busy", "standing"), [(0.56, Standing.FAIL), (0.58, Standing.HOLD), (0.62, Standing.FITS)]
)
def test_a_service_whose_replicas_bear_less_is_busier_at_full_rollout(side_by_side, most_busy, standing):
    """Busy for 0.5 with two of four racks done. The other two will bear 0.3 less, 0.4 at worst: 0.5 × (1 + 0.3/2) =
    0.575 and 0.6 of its time."""
    built = side_by_side
    settings = RolloutSettings(SimpleNamespace(), SimpleNamespace(), SimpleNamespace(), window_seconds=120.0)
    trial = Trial(built.deployment, replace(settings, most_busy=most_busy), SimpleNamespace(), 2, 600.0)
    trial.chosen = SimpleNamespace(racks=("A-01", "A-02"))
    change = {"power": (1, 0.0, 0.0), "served_ratio": (-1, -0.3, 0.4)}  # worse is less: the bound is of harm
    trial.verdict = SimpleNamespace(
        metrics=[
            SimpleNamespace(metric=SimpleNamespace(name=name, worse=worse), change=by, upper=most)
            for name, (worse, by, most) in change.items()
        ],
        outcome=Outcome.PASS,
    )
    trial.state = SimpleNamespace(decided=Outcome.PASS)
    seen = built.world.snapshot()  # of sensors without a history: what they read has been so for the window
    times = np.arange(280.0, 400.0, 10.0)
    known = ("rack_power_watts", "phase_current_amperes", "breaker_current_amperes")
    every = {name: np.tile(getattr(seen, name), (len(times), 1)) for name in known}
    past = {name: History(times, values, np.zeros(values.shape, dtype=np.int8)) for name, values in every.items()}
    found = trial.project(seen.with_fields(histories=past), built.deployment.targets())
    assert found.standing is standing
    for thing in found.against:
        assert (thing.kind, thing.name) == ("service", "chat")
        assert (thing.present, thing.value, thing.upper) == pytest.approx((0.5, 0.575, 0.6))


def test_images_of_jobs_answer_nobody(bench):
    found = Deployment(bench().world, Release("training", Build("image 7"), False), 600.0)
    assert found.late_shares(0.0, 1.0).tolist() == [0.0] * 4 and found.served_ratios(0.0, 1.0).tolist() == [1.0] * 4


# ---------------------------------------------------------------- back again


def test_a_rack_that_goes_back_runs_what_it_ran_before(stage):
    built = stage()
    built.at(205.0, lambda: built.deployment.put([0, 1], event(built)))
    built.at(405.0, lambda: built.deployment.take(1, event(built)))
    built.run(600.0)
    busy = IDLE + BUSY * (FULL - IDLE)
    assert [run.build for run in built.service.replicas] == [NEW, None, None, None]
    assert load_of(built, 0) == pytest.approx(busy * 1.1) and load_of(built, 1) == pytest.approx(busy)
    assert [name for _, _, name in built.told(EventKind.JOB_RENEWED)] == ["chat-0", "chat-1", "chat-1"]
    assert set(built.deployment.on) == {0}


def test_a_release_that_is_done_is_everywhere_also_for_who_comes_later(stage):
    built = stage()
    built.at(205.0, lambda: built.deployment.put([0, 1], event(built)))
    built.at(405.0, lambda: built.deployment.spread(event(built)))
    built.at(605.0, lambda: built.service.replicas[0].interrupt(event(built), preempted=True))
    built.run(800.0)
    assert [run.build for run in built.service.replicas] == [NEW] * 4
    # who had it does not start again for that
    assert [name for _, _, name in built.told(EventKind.JOB_RENEWED)] == ["chat-0", "chat-1", "chat-2", "chat-3"]


def test_a_rack_is_confirmed_once_all_of_it_has_been_up_for_a_look(stage):
    built = stage()
    seen = []
    built.at(205.0, lambda: built.deployment.put([0], event(built)))
    for time in (210.0, 264.0, 266.0, 276.0):
        built.at(time, lambda: seen.append(set(built.deployment.running())))

    def dark():
        built.world.in_service[0] = False
        seen.append(set(built.deployment.running()))

    built.at(300.0, dark)
    built.run(301.0)
    assert seen == [set(), set(), set(), {"A-01"}, set()]


def test_a_renewal_at_the_instant_of_a_loss_is_a_loss(stage):
    """The rack goes dark as its replica is to start again: it is queued, and not left on trays that have no power."""
    built = stage()

    def both():
        number = event(built)
        built.world.in_service[3] = False
        built.service.replicas[3].renew(number)
        built.service.replicas[3].interrupt(number)

    built.at(205.0, both)
    built.run(230.0)
    assert built.service.replicas[3].status == "queued"


# ---------------------------------------------------------------- images of jobs


def test_an_image_takes_effect_where_a_job_starts_and_slows_it_by_its_latency(bench, a_job):
    """100 s of start-up and 600 s of work at a latency of 1.5: 900 s, and 1.2 of the power."""
    built = bench()
    image = Build("image 7", power=1.2, startup_power=1.5, latency=1.5)
    deployment = Deployment(built.world, Release("training", image, False), 600.0)
    first, second = built.submit(
        a_job("first", work=600.0, load=100.0, utilisation=0.5),
        a_job("second", work=600.0, load=100.0, utilisation=0.5, submit=300.0),
    )
    built.at(200.0, lambda: deployment.put([0, 1, 2, 3], event(built)))
    loads = {}
    for time in (250.0, 350.0, 500.0):
        built.at(time, lambda time=time: loads.update({time: (load_of(built, 0), load_of(built, 1))}))
    built.run(1_500.0)
    assert loads == {250.0: (0.5, 0.0), 350.0: (0.5, 0.5 * 1.5), 500.0: (0.5, pytest.approx(0.6))}
    assert first.end == pytest.approx(700.0)  # it went on as it had started
    assert second.end == pytest.approx(310.0 + (100.0 + 600.0) * 1.5, abs=0.01)


def test_an_image_that_goes_back_takes_jobs_back_to_their_checkpoints(bench, a_job):
    built = bench()
    deployment = Deployment(built.world, Release("training", Build("image 7"), False), 600.0)
    built.at(5.0, lambda: deployment.put([0], event(built)))
    (run,) = built.submit(a_job("job", work=1_000.0, submit=10.0, save=10.0, every=300.0, restore=20.0))
    built.at(500.0, lambda: deployment.take(0, event(built)))
    built.run(2_000.0)
    # begun at 20, 300 s kept at 330; renewed at 500: 20 s of restore, 700 s of work and two more saves
    assert run.status == "completed" and run.starts == 2
    assert run.end == pytest.approx(500.0 + 20.0 + 700.0 + 2 * 10.0)
    assert sum(amount for _, amount in run.losses) == pytest.approx((170.0 + 20.0) * run.gpus)


def test_targets_are_spread_over_loops(bench, a_job):
    built = bench("rows=2", "racks_per_row=4", "loop.racks=2")
    deployment = Deployment(built.world, Release("batch", Build("image 7"), False), 600.0)
    names = [built.world.topology.rack_names[rack] for rack in deployment.targets()]
    assert names == ["A-01", "A-03", "B-01", "B-03", "A-02", "A-04", "B-02", "B-04"]
