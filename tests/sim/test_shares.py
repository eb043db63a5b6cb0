"""Uneven shares of a service's requests: their law, and what replicas draw and answer by them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from twin.policy import first_fit, random_healthy
from twin.sim.noise import keys, normal
from twin.sim.services import ServiceRun, serve
from twin.sim.shares import AHEAD, STEP_SECONDS, Shares, busy_replicas
from twin.workload.jobs import JobKind, Service
from twin.workload.service import utilisation_to_power

V, TAU = 0.2, 600.0
IDLE, FULL = 0.1, 0.8


def service(unevenness=V, replicas=4, prompt=2_000.0, seconds=2_000):
    """Replicas of a rack each that do 1,000 prompt tokens a second."""
    return Service(
        name="chat", replicas=replicas, trays_per_replica=18, prefill_tokens_per_second=1_000.0,
        decode_tokens_per_second=1_000.0, token_latency_seconds=0.05, latency_target_seconds=2.0,
        idle_utilisation=IDLE, full_utilisation=FULL, swing=0.04, prompt_tokens=np.full(seconds, prompt),
        output_tokens=np.zeros(seconds), requests=np.full(seconds, 4.0), unevenness=unevenness,
        unevenness_seconds=TAU,
    )  # fmt: skip


# ---------------------------------------------------------------- the law


def test_levels_are_a_stationary_autoregression():
    """Variance ln(1 + v²) from the first step on, correlation exp(−k · 60/τ) over k steps; e^x scatters by v."""
    replicas = 20_000
    shares = Shares(service(), seed=3)
    x = np.array([shares.levels(step, replicas) for step in range(31)])
    variance = np.log1p(V**2)
    error = variance * np.sqrt(2.0 / replicas)  # standard error of a variance
    for step in (0, 1, 10, 30):
        assert abs(x[step].mean()) < 4.0 * np.sqrt(variance / replicas)
        assert abs(x[step].var() - variance) < 4.0 * error
    for lag in (1, 5, 10, 30):
        expected = np.exp(-lag * STEP_SECONDS / TAU)
        assert np.corrcoef(x[0], x[lag])[0, 1] == pytest.approx(expected, abs=4.0 / np.sqrt(replicas))
    assert np.std(np.exp(x[30])) / np.mean(np.exp(x[30])) == pytest.approx(V, rel=0.03)


def test_levels_follow_the_recursion_of_their_own_innovations():
    a, sigma = np.exp(-STEP_SECONDS / TAU), np.sqrt(np.log1p(V**2))
    found, steps = Shares(service(), seed=3), 3 * AHEAD  # beyond what is drawn at a time
    key = keys(3, [("replica shares", "chat", str(number)) for number in range(3)], 2)
    drawn = np.array([normal(key[0], key[1], step) for step in range(steps)])
    drawn[1:] *= np.sqrt(1.0 - a**2)
    expected = lfilter([sigma], [1.0, -a], drawn, axis=0)
    assert [found.levels(step, 3) for step in range(steps)] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_replica_has_its_levels_whoever_else_lives_and_however_often_they_are_asked_for():
    often, seldom = Shares(service(), seed=3), Shares(service(), seed=3)
    every = [often.levels(step, 4) for step in range(20)]
    assert np.array_equal(seldom.levels(7, 2), every[7][:2])
    assert np.array_equal(seldom.levels(19, 4), every[19])  # two came later, with a past of their own
    assert not np.array_equal(Shares(service(), seed=4).levels(7, 4), every[7])
    other = replace(service(), name="code")
    assert not np.array_equal(Shares(other, seed=3).levels(7, 4), every[7])


def test_shares_of_live_replicas_have_mean_1():
    shares = Shares(service(), seed=3)
    for step, live in enumerate(([0, 1, 2, 3], [2], [3, 0], [1, 2, 3])):
        found = shares.of(step, np.array(live), 4)
        assert found.mean() == pytest.approx(1.0, abs=1e-15)
        x = shares.levels(step, 4)[live]
        assert found / found[0] == pytest.approx(np.exp(x - x[0]), rel=1e-12)


def test_what_a_full_replica_cannot_take_the_others_get_in_proportion():
    # 2 × 0.6 is above 1: it takes 1, and 1.8 − 1 goes to the other two as 3 to 1
    assert busy_replicas(np.array([2.0, 0.75, 0.25]), 0.6) == pytest.approx([1.0, 0.6, 0.2])
    # and where that fills the next one, too: of 2.4, two take 1 and the last the rest
    assert busy_replicas(np.array([2.0, 0.75, 0.25]), 0.8) == pytest.approx([1.0, 1.0, 0.4])
    assert busy_replicas(np.array([1.2, 0.8]), 0.5) == pytest.approx([0.6, 0.4])
    assert busy_replicas(np.array([1.2, 0.8]), 1.0).tolist() == [1.0, 1.0]
    assert busy_replicas(np.array([1.2, 0.8]), 0.0).tolist() == [0.0, 0.0]
    rng = np.random.default_rng(0)
    for utilisation in rng.uniform(0.5, 1.0, 200):
        shares = rng.lognormal(0.0, 0.5, 20)
        shares /= shares.mean()
        busy = busy_replicas(shares, utilisation)
        assert busy.max() <= 1.0 and busy.mean() == pytest.approx(utilisation, rel=1e-12)
        free = busy < 1.0
        if free.any():
            assert np.ptp(busy[free] / shares[free]) < 1e-12 * busy[free].max() / shares[free].min()


# ---------------------------------------------------------------- a service at work


@pytest.fixture
def staged(bench, a_job):
    """A small hall with a replica on each of its four racks, on shares as uneven as ``demand`` says."""

    def make(demand, policy=first_fit):
        stage = bench(policy=policy)
        run = ServiceRun(demand)
        jobs = [
            a_job(f"chat-{n}", work=np.inf, load=60.0, kind=JobKind.INFERENCE, service="chat")
            for n in range(demand.replicas)
        ]
        for replica in stage.submit(*jobs):
            run.enlist(replica)
        run.watch_answers(4)
        stage.env.process(serve(stage.world, [run]))
        return stage, run

    return make


def loads(stage, run):
    """Load [1] of each replica's trays, which must be one."""
    load = stage.plant.u.tray["load"]
    for replica in run.replicas:
        assert np.ptp(load[replica.trays]) == 0.0
    return np.array([load[replica.trays[0]] for replica in run.replicas])


def test_replicas_draw_by_their_shares_and_together_what_even_ones_would(staged):
    stage, run = staged(service())
    seen = {}
    for time in (155.0, 165.0, 175.0, 245.0):
        stage.at(time, lambda time=time: seen.update({time: loads(stage, run)}))
    stage.run(250.0)
    found = Shares(service(), seed=0)
    for time, step in ((155.0, 2), (175.0, 2), (245.0, 3)):  # the interval to 190 s begins at 180
        shares = found.of(step, np.arange(4), 4)
        assert seen[time] == pytest.approx(IDLE + 0.5 * shares * (FULL - IDLE), rel=1e-12)
        assert seen[time].mean() == pytest.approx(IDLE + 0.5 * (FULL - IDLE), rel=1e-12)
    assert np.array_equal(seen[155.0], seen[165.0])
    sigma = stage.plant.u.tray["sigma"][[replica.trays[0] for replica in run.replicas]]
    assert sigma == pytest.approx(0.04 * np.sqrt(0.5 * shares) * stage.world.tray_watts[0], rel=1e-12)


def test_racks_answer_by_their_shares_and_together_all_that_is_served(staged):
    stage, run = staged(service())
    marks = {}
    for time in (245.0, 295.0):
        stage.at(time, lambda time=time: marks.update({time: run.answered.copy()}))
    stage.run(300.0)
    served = marks[295.0][0] - marks[245.0][0]  # five periods of 10 s, all within one step
    shares = Shares(service(), seed=0).of(4, np.arange(4), 4)
    racks = [stage.world.topology.tray_rack[replica.trays[0]] for replica in run.replicas]
    assert served[racks] == pytest.approx(5 * 10.0 * shares, rel=1e-12)
    assert run.answered[0].sum() == pytest.approx(run.served_requests, rel=1e-12)


def test_a_full_service_is_full_on_every_replica(staged):
    stage, run = staged(service(prompt=5_000.0))
    stage.run(300.0)
    assert loads(stage, run).tolist() == [FULL] * 4


def test_shares_stay_with_replicas_whatever_the_placement(staged):
    seen, racks = [], []
    for policy in (first_fit, random_healthy(1)):
        stage, run = staged(service(), policy)
        stage.run(250.0)
        seen.append(loads(stage, run))
        racks.append([replica.racks for replica in run.replicas])
    assert racks[0] != racks[1]
    assert np.array_equal(*seen)


def test_no_unevenness_is_one_load_for_all(staged):
    stage, run = staged(service(unevenness=0.0))
    stage.run(250.0)
    load, _ = utilisation_to_power(service(), 0.5, service().knobs, service().build)
    assert loads(stage, run).tolist() == [load] * 4
    assert run.answered[0].tolist() == [run.answered[0][0]] * 4
