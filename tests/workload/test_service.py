"""The inference queue against fluid closed forms worked by hand, and exact conservation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.workload.jobs import Build, Knobs, Service
from twin.workload.service import (
    AUXILIARY_SHARE,
    Part,
    Queue,
    advance,
    machine_of,
    rates,
    served_shares,
    utilisation_to_power,
)


def service(prompt: list[float], output: list[float], requests: list[float]) -> Service:
    return Service(
        name="chat",
        replicas=2,
        trays_per_replica=1,
        prefill_tokens_per_second=1000.0,
        decode_tokens_per_second=100.0,
        token_latency_seconds=0.02,
        latency_target_seconds=1.5,
        idle_utilisation=0.1,
        full_utilisation=0.7,
        swing=0.04,
        prompt_tokens=np.array(prompt, dtype=float),
        output_tokens=np.array(output, dtype=float),
        requests=np.array(requests, dtype=float),
    )


def test_below_capacity_everything_is_served_at_once():
    # work per second: 500/1000 + 50/100 = 1 replica-second of 2
    queue, served = advance(service([500] * 10, [50] * 10, [5] * 10), Queue(), 0, 10, live=2)
    assert queue == Queue()
    assert served.utilisation == pytest.approx(0.5, abs=1e-15)
    assert (served.served_prompt_tokens, served.served_output_tokens, served.served_requests) == (5000, 500, 50)
    assert served.wait_seconds_max == served.late_requests == served.queued_request_seconds == 0


def test_backlog_rises_and_drains_as_a_fluid_does():
    # 10 s of work 3/s against 2/s: the backlog grows by 1 replica-second a second to 10; then 1/s: it drains in 10 s
    load = service([1500] * 10 + [500] * 20, [150] * 10 + [50] * 20, [15] * 10 + [5] * 20)
    top, rising = advance(load, Queue(), 0, 10, live=2)
    assert top.prompt_tokens / 1000 + top.output_tokens / 100 == pytest.approx(10.0, abs=0.02)
    assert rising.wait_seconds == pytest.approx(5.0, abs=0.01)  # 10 replica-seconds over 2 replicas
    assert rising.utilisation == 1.0
    # the wait in second n is n/2 s, the first token takes 0.1 + 0.02 s more: late where n/2 + 0.12 > 1.5, n >= 3
    assert rising.late_requests == 8 * 15
    end, draining = advance(load, top, 10, 30, live=2)
    assert end == Queue()
    assert draining.utilisation == pytest.approx((10 * 1.0 + 10 * 0.5) / 20, abs=0.002)


def test_littles_law_gives_the_mean_wait_of_a_constant_backlog():
    # 20 requests of 1 replica-second each arrive at once, then nothing; 2 replicas finish 2 a second: 18, 16, … 0
    load = service([0] * 12, [2000] + [0] * 11, [20] + [0] * 11)
    queue, served = advance(load, Queue(), 0, 12, live=2)
    assert queue == Queue()
    assert served.queued_request_seconds == 18 + 16 + 14 + 12 + 10 + 8 + 6 + 4 + 2
    assert served.utilisation == pytest.approx(10 / 12)


def test_splitting_an_interval_changes_nothing():
    rng = np.random.default_rng(1)
    load = service(list(rng.integers(0, 4000, 60)), list(rng.integers(0, 400, 60)), list(rng.integers(1, 30, 60)))
    whole, once = advance(load, Queue(), 0, 60, live=2)
    queue, total = Queue(), 0.0
    for start in range(0, 60, 7):
        queue, part = advance(load, queue, start, min(start + 7, 60), live=2)
        total += part.late_requests
    assert queue == whole
    assert total == once.late_requests


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**4)), min_size=1, max_size=40),
    st.integers(0, 5),
    st.floats(0.2, 1.0),
)
def test_tokens_are_conserved_exactly(seconds, live, speed):
    load = service(*(list(column) for column in zip(*seconds, strict=True)))
    queue, served = advance(
        load, Queue(7.0, 5.0, 1.0), 0, len(seconds), live=live, machine=machine_of(load, speed=speed)
    )
    assert served.arrived_prompt_tokens + 7.0 == served.served_prompt_tokens + queue.prompt_tokens
    assert served.arrived_output_tokens + 5.0 == served.served_output_tokens + queue.output_tokens
    assert served.arrived_requests + 1.0 == served.served_requests + queue.requests
    assert served.arrived_prompt_tokens == sum(second[0] for second in seconds)
    assert min(queue.prompt_tokens, queue.output_tokens, queue.requests) >= 0.0
    assert 0.0 <= served.utilisation <= 1.0


def test_without_replicas_all_wait_and_are_late():
    queue, served = advance(service([500] * 3, [50] * 3, [5] * 3), Queue(), 0, 3, live=0)
    assert queue == Queue(1500, 150, 15)
    assert served.wait_seconds == math.inf
    assert (served.late_requests, served.utilisation, served.served_requests) == (15, 0.0, 0.0)


def test_a_slower_clock_takes_its_share_of_the_capacity():
    load = service([500] * 4, [50] * 4, [5] * 4)
    _, served = advance(load, Queue(), 0, 4, live=2, machine=machine_of(load, speed=0.5))
    assert served.utilisation == pytest.approx(1.0)


def test_seconds_outside_the_run_are_refused():
    with pytest.raises(ValueError, match="service chat has requests for seconds 0 to 3; asked for 2 to 4"):
        advance(service([1] * 3, [1] * 3, [1] * 3), Queue(), 2, 4, live=1)


def test_knobs_and_builds_change_rates_as_documented():
    one = service([0], [0], [0])
    built = rates(one, 1.0, Knobs(), Build())
    assert (built.prefill_tokens_per_second, built.decode_tokens_per_second) == (1000.0, 100.0)
    assert built.token_latency_seconds == 0.02
    half = rates(one, 1.0, Knobs(concurrency=0.5), Build())
    assert half.decode_tokens_per_second == pytest.approx(100 * 0.5 / 0.8)  # L = 0.6 + 0.4/2
    assert half.token_latency_seconds == pytest.approx(0.02 * 0.8)
    assert half.prefill_tokens_per_second == 1000.0
    assert rates(one, 1.0, Knobs(batch_size=0.5), Build()) == half
    assert rates(one, 1.0, Knobs(), Build(concurrency=0.5)) == half
    hungry = rates(one, 1.0, Knobs(), Build(memory_bandwidth=1.25))
    assert hungry.decode_tokens_per_second == pytest.approx(80.0)
    lean = rates(one, 1.0, Knobs(auxiliary=False), Build())
    assert lean.prefill_tokens_per_second == pytest.approx(1000 / (1 - AUXILIARY_SHARE))
    assert rates(one, 0.0, Knobs(), Build()).decode_tokens_per_second == 0.0


def test_power_follows_utilisation_batch_precision_and_build():
    one = service([0], [0], [0])
    assert utilisation_to_power(one, 0.0, Knobs(), Build()) == (0.1, 0.0)
    assert utilisation_to_power(one, 1.0, Knobs(), Build()) == pytest.approx((0.7, 0.04))
    assert utilisation_to_power(one, 0.25, Knobs(), Build()) == pytest.approx((0.25, 0.02))
    assert utilisation_to_power(one, 1.0, Knobs(concurrency=0.5), Build())[0] == pytest.approx(0.1 + 0.6 * 0.75)
    assert utilisation_to_power(one, 1.0, Knobs(precision="low"), Build())[0] == pytest.approx(0.1 + 0.6 * 0.92)
    assert utilisation_to_power(one, 1.0, Knobs(auxiliary=False), Build())[0] == pytest.approx(0.65)
    assert utilisation_to_power(one, 1.0, Knobs(), Build(power=1.1))[0] == pytest.approx(0.77)
    assert utilisation_to_power(one, 1.0, Knobs(), Build(power=2.0))[0] == 1.0


def test_failed_requests_are_a_share_of_the_served():
    one = replace(service([500] * 4, [50] * 4, [5] * 4), build=Build(error_rate=0.1))
    _, served = advance(one, Queue(), 0, 4, live=2)
    assert served.failed_requests == pytest.approx(2.0)


# ---------------------------------------------------------------- turned away


def conserved(load, before, queue, served):
    """Whether arrived = served + turned away + what the queue has gained, exactly."""
    arrived = (load.prompt_tokens.sum(), load.output_tokens.sum(), load.requests.sum())
    done = (served.served_prompt_tokens, served.served_output_tokens, served.served_requests)
    away = (served.shed_prompt_tokens, served.shed_output_tokens, served.shed_requests)
    gained = (
        queue.prompt_tokens - before.prompt_tokens, queue.output_tokens - before.output_tokens,
        queue.requests - before.requests,
    )  # fmt: skip
    return arrived == tuple(map(sum, zip(done, away, gained, strict=True)))


DOUBLE = service([0] * 20, [400] * 20, [10] * 20)  # 4 replica-seconds a second, of which two replicas serve 2


def test_what_would_wait_past_the_bound_is_turned_away():
    """The backlog grows by 1 s a second to the bound of 5 s; of the 15 seconds after it half of the work goes away."""
    queue, served = advance(DOUBLE, Queue(), 0, 20, live=2, bounds=[(5.0, 1.0)])
    assert (served.shed_output_tokens, served.shed_requests) == (15 * 200, 15 * 5)
    assert served.wait_seconds == served.wait_seconds_max == 5.0 and served.utilisation == 1.0
    assert conserved(DOUBLE, Queue(), queue, served)


def test_turned_away_is_late_and_what_is_let_in_is_not():
    """A bound of 1 s is within the target of 1.5 s: the backlog stands there after a second."""
    queue, served = advance(DOUBLE, Queue(), 0, 20, live=2, bounds=[(1.0, 1.0)])
    assert served.late_requests == served.shed_requests == 19 * 5
    assert sum(served.late_of_parts) == served.late_requests and conserved(DOUBLE, Queue(), queue, served)
    _, unbounded = advance(DOUBLE, Queue(), 0, 20, live=2)
    assert unbounded.late_requests == 19 * 10 and unbounded.shed_requests == 0.0


def test_of_a_part_of_the_replicas_only_what_falls_to_them_is_turned_away():
    """One of two sheds 2 of the 4 that arrive each second once all 4 are past its bound: 10 + 4 − 2 are then left."""
    load = service([0] * 60, [400] * 60, [10] * 60)
    queue, served = advance(load, Queue(), 0, 60, live=2, bounds=[(5.0, 0.5)])
    assert served.wait_seconds == pytest.approx(6.0, abs=0.01) and served.wait_seconds_max <= 6.0
    assert conserved(load, Queue(), queue, served)


def test_each_bound_is_of_its_own_replicas():
    """Bounds of 5 s and of 1,000 s: of the second nothing is turned away."""
    one = advance(DOUBLE, Queue(), 0, 20, live=2, bounds=[(5.0, 0.5)])
    assert advance(DOUBLE, Queue(), 0, 20, live=2, bounds=[(5.0, 0.5), (1_000.0, 0.5)]) == one


def test_what_waits_already_is_kept():
    """100 s wait when the bound of 5 s comes: nothing is let in for 20 s, and 2 replica-seconds a second are served."""
    before = Queue(0.0, 20_000.0, 500.0)
    queue, served = advance(DOUBLE, before, 0, 20, live=2, bounds=[(5.0, 1.0)])
    assert (served.shed_requests, queue.output_tokens) == (200.0, 20_000.0 - 20 * 200.0)
    assert conserved(DOUBLE, before, queue, served)


@pytest.mark.parametrize("requests", [1, 2, 3])
@pytest.mark.parametrize("bound", [0.5, 20.0])
def test_few_requests_are_turned_away_as_their_tokens_are(requests, bound):
    """1.4 s of work a second for one replica: 0.4/1.4 goes away past the bound, however often one looks."""
    load = service([0] * 700, [140] * 700, [requests] * 700)
    queue, served = advance(load, Queue(), 0, 700, live=1, bounds=[(bound, 1.0)])
    assert served.shed_output_tokens == pytest.approx(700 * 40.0 - 100.0 * bound, abs=1.0)
    of_tokens = served.shed_output_tokens / served.arrived_output_tokens
    assert served.shed_requests == pytest.approx(of_tokens * served.arrived_requests, abs=1.0)
    assert served.shed_requests <= served.late_requests and conserved(load, Queue(), queue, served)
    again, away = Queue(), 0.0
    for second in range(0, 700, 7):
        again, part = advance(load, again, second, second + 7, live=1, bounds=[(bound, 1.0)])
        away += part.shed_requests
    assert (again, away) == (queue, served.shed_requests)


@given(
    seconds=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, 300), st.integers(0, 20)), min_size=1, max_size=30
    ),
    bound=st.floats(0.1, 20.0), share=st.floats(0.0, 1.0), live=st.floats(0.0, 5.0),
)  # fmt: skip
def test_requests_and_tokens_are_conserved_whatever_is_turned_away(seconds, bound, share, live):
    load, before = service(*map(list, zip(*seconds, strict=True))), Queue(7.0, 5.0, 1.0)
    queue, served = advance(load, before, 0, len(seconds), live=live, bounds=[(bound, share)])
    assert conserved(load, before, queue, served)
    assert 0.0 <= served.shed_requests <= served.late_requests <= served.arrived_requests + 1e-9


# ---------------------------------------------------------------- several builds at once


def test_parts_of_one_build_are_that_build():
    load = service([900] * 30, [90] * 30, [9] * 30)
    build = Build("new", memory_bandwidth=1.3, latency=1.2, error_rate=0.1)
    whole = advance(load, Queue(), 0, 30, live=2, machine=machine_of(load, build=build))
    assert advance(load, Queue(), 0, 30, live=2, machine=machine_of(load, parts=(Part(build, 1.0),))) == whole


def test_failures_go_by_who_served():
    """Three of four replicas on a build that fails 8 %: 6 % of all that is served, whatever is served."""
    load = service([500] * 10, [50] * 10, [5] * 10)
    parts = (Part(Build(), 0.25), Part(Build("new", error_rate=0.08), 0.75))
    _, served = advance(load, Queue(), 0, 10, live=4, machine=machine_of(load, parts=parts))
    assert served.failed_requests == pytest.approx(served.served_requests * 0.06, rel=1e-12)


def test_a_slower_build_serves_its_share_and_the_queue_goes_by_the_mean_rate():
    """A build that needs twice the memory traffic decodes half as fast: half of the replicas serve a third."""
    load = service([0] * 10, [100] * 10, [4] * 10)
    slow = Build("slow", memory_bandwidth=2.0, error_rate=0.3)
    parts = (Part(Build(), 0.5), Part(slow, 0.5))
    assert served_shares(load, parts, Knobs()) == pytest.approx((2 / 3, 1 / 3))
    _, served = advance(load, Queue(), 0, 10, live=2, machine=machine_of(load, parts=parts))
    # 100 tokens each second against 2 × (100 + 50)/2
    assert served.utilisation == pytest.approx(100 / 150)
    assert served.failed_requests == pytest.approx(40 * 0.3 / 3)


def test_each_build_is_late_by_its_own_latency():
    """First token 0.5 s + 0.02 s; at a latency of 4 it is 2.08 s, past the target of 1.5 s: that half is late."""
    load = service([2500] * 10, [0] * 10, [5] * 10)
    parts = (Part(Build(), 0.5), Part(Build("slow", latency=4.0), 0.5))
    _, served = advance(load, Queue(), 0, 10, live=4, machine=machine_of(load, parts=parts))
    assert served.late_requests == pytest.approx(25.0)
