"""An inference service at work: load on its trays, and what the loss of a replica does to its users."""

import numpy as np
import pytest

from twin.results.kinds import EventKind
from twin.sim.services import ServiceRun, serve
from twin.workload.jobs import JobKind, Service

PROMPT = 1_500.0  # tokens each second: three requests of 500, 1.5 replica-seconds of work
IDLE, FULL = 0.1, 0.8


def _service(seconds: int, prompt: float = PROMPT) -> Service:
    return Service(
        name="chat",
        replicas=2,
        trays_per_replica=18,
        prefill_tokens_per_second=1_000.0,
        decode_tokens_per_second=1_000.0,
        token_latency_seconds=0.05,
        latency_target_seconds=2.0,
        idle_utilisation=IDLE,
        full_utilisation=FULL,
        swing=0.0,
        prompt_tokens=np.full(seconds, prompt),
        output_tokens=np.zeros(seconds),
        requests=np.full(seconds, 3.0 if prompt else 0.0),
    )


@pytest.fixture
def replicas(a_job):
    """Two replicas that take ``load`` seconds to come up again after a loss."""

    def make(load: float = 0.0):
        return [
            a_job(f"chat-{n}", work=np.inf, load=load, kind=JobKind.INFERENCE, service="chat", priority=10)
            for n in range(2)
        ]

    return make


def _staged(bench, replicas, service):
    stage = bench()
    run = ServiceRun(service)
    for replica in stage.submit(*replicas):
        run.enlist(replica)
    stage.env.process(serve(stage.world, [run]))
    return stage, run


def test_load_follows_the_requests(bench, replicas):
    stage, run = _staged(bench, replicas(), _service(100))
    stage.run(95.0)
    assert run.utilisation == pytest.approx(0.75)
    load = stage.plant.u.tray["load"]
    assert load[:36] == pytest.approx(np.full(36, IDLE + 0.75 * (FULL - IDLE)))
    assert load[36:] == pytest.approx(np.zeros(36))


def test_a_service_without_requests_idles(bench, replicas):
    stage, run = _staged(bench, replicas(), _service(100, 0.0))
    stage.run(95.0)
    assert stage.plant.u.tray["load"][:36] == pytest.approx(np.full(36, IDLE))
    assert (run.arrived, run.late, run.wait_max) == (0.0, 0.0, 0.0)


def test_a_lost_replica_leaves_its_work_to_the_other_and_its_latency_shows_it(bench, replicas):
    """One replica serves 1 of 1.5 s of work a second from 100 s to 160 s; both together work off the rest by 220 s."""
    stage, run = _staged(bench, replicas(load=60.0), _service(400))
    first, second = run.replicas

    def lose() -> None:
        event = stage.world.log.add(stage.env.now, EventKind.RACK_DARK, "rack", "A-01", root="a test")
        first.interrupt(event)

    loads: list[tuple[float, float, float]] = []

    def look() -> None:
        load = stage.plant.u.tray["load"]
        loads.append((stage.env.now, round(float(load[0]), 6), round(float(load[18]), 6)))

    stage.at(101.0, lose)
    for time in (95.0, 105.0, 115.0, 175.0, 255.0):
        stage.at(time, look)
    stage.run(301.0)
    assert stage.told(EventKind.JOB_STARTED, EventKind.JOB_REQUEUED)[2:] == [
        (101.0, "job_requeued", "chat-0"),
        (110.0, "job_started", "chat-0"),  # and loads until 170
    ]
    busy = IDLE + 0.75 * (FULL - IDLE)
    assert loads == [
        (95.0, busy, busy),
        (105.0, 0.0, busy),  # not yet found out
        (115.0, 0.5, FULL),  # loading at the load of its first phase; the other is as busy as it can be
        (175.0, FULL, FULL),  # both work off what has queued
        (255.0, busy, busy),
    ]
    assert run.wait_max == pytest.approx(30.0)  # 60 s × 0.5 s of work, before one replica
    # late: wait + 0.55 s of first token > 2 s. Going up 0.5 s a second: all but 2 of 60 s. Down by half: 54 s more
    assert run.late == 3.0 * (58 + 54)
    assert run.arrived == 300 * PROMPT
    assert run.served + run.queue.prompt_tokens == run.arrived
    assert run.queue.prompt_tokens == 0.0
    assert run.live_seconds == pytest.approx(2 * 300 - 60)
    assert first.losses == []  # a service's replica has no work to lose
    assert second.starts == 1


def test_a_service_without_replicas_answers_nobody(bench, replicas):
    stage, run = _staged(bench, [], _service(100))
    stage.run(95.0)
    assert (run.arrived, run.served, run.late) == (90 * PROMPT, 0.0, 90 * 3.0)
    assert run.queue.prompt_tokens == 90 * PROMPT


def test_slow_trays_serve_less(bench, replicas):
    """At a pace of 0.5 two replicas do 1.0 s of the 1.5 s of work that arrive each second."""
    stage, run = _staged(bench, replicas(), _service(100))
    stage.at(0.5, lambda: stage.plant.set_cap(np.arange(36), 0.5 ** (1.0 / 0.7)))
    stage.run(101.0)
    assert run.served == pytest.approx(100 * 1_000.0, rel=1e-3)
    assert run.queue.prompt_tokens == pytest.approx(100 * 500.0, rel=1e-3)


def test_a_run_answers_for_every_second_of_its_trace(tell, replicas):
    result = tell(595.0, jobs=replicas(), services=[_service(700)])
    row = result.tables["services"].iloc[0]
    assert row["tokens_arrived"] == 595 * PROMPT
    assert row["tokens_served"] == row["tokens_arrived"]
    assert row["requests"] == 595 * 3
    assert row["mean_utilisation"] == pytest.approx(0.75)
    assert row["latency_misses"] == 0


def test_a_dark_rack_takes_its_replica_along(tell, replicas, log_of):
    cut = [{"at": 101, "do": "breaker_open", "breaker": f"A-01/feed {side}"} for side in ("A", "B")]
    result = tell(400.0, jobs=replicas(load=60.0), services=[_service(400)], timeline=cut)
    assert [(kind, name) for _, kind, name in log_of(result, EventKind.RACK_DARK, EventKind.JOB_REQUEUED)] == [
        ("rack_dark", "A-01"),
        ("job_requeued", "chat-0"),
    ]
    jobs = result.tables["jobs"].set_index("id")
    assert jobs.loc["chat-0", "racks"] == "A-03"  # the first free rack in service
    row = result.tables["services"].iloc[0]
    assert row["wait_seconds_max"] == pytest.approx(30.0)
    assert row["latency_misses"] == 3 * (58 + 54)
    assert result.metrics["jobs"]["running"] == 2
