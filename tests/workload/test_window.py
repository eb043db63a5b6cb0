"""The busiest window against brute force, and a replay worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.workload.jobs import JobKind
from twin.workload.replay import Profile, Record, Replay, replay
from twin.workload.window import busiest_window, mean_in_use

interval = st.tuples(st.integers(0, 60), st.integers(1, 40), st.integers(1, 8))


@settings(max_examples=150, deadline=None)
@given(st.lists(interval, min_size=1, max_size=8), st.integers(1, 50))
def test_no_window_holds_more_than_the_busiest(jobs, length):
    start = np.array([job[0] for job in jobs], dtype=float)
    end = start + np.array([job[1] for job in jobs])
    weight = np.array([job[2] for job in jobs], dtype=float)
    begin = busiest_window(start, end, weight, float(length))
    last = max(start.min(), end.max() - length)
    everywhere = np.append(np.arange(start.min(), last, 0.25), last)
    held = [mean_in_use(start, end, weight, one, length) for one in everywhere]
    assert mean_in_use(start, end, weight, begin, length) == pytest.approx(max(held), rel=1e-9)
    assert start.min() <= begin <= last
    assert begin <= everywhere[int(np.argmax(np.array(held) >= max(held) * (1 - 1e-12)))] + 1e-9


def test_mean_in_use_by_hand():
    # 2 from 0 to 10 and 4 from 5 to 25, window 5 to 15: (2·5 + 4·10)/10
    assert mean_in_use(np.array([0.0, 5.0]), np.array([10.0, 25.0]), np.array([2.0, 4.0]), 5.0, 10.0) == 5.0


PROFILE = Profile(0.8, 0.08, 1.0, 30.0, 0.1, 5, False, 0.4, 0.7)


def rules(jitter: float = 0.0) -> Replay:
    return Replay(None, 1000.0, None, 0.6, jitter, (0.5, 0.5), {JobKind.BATCH: PROFILE, JobKind.TRAINING: PROFILE})


def pod(name, submit, start, end, *, trays=1, copies=1, share=1.0, gpus=4.0):
    return Record(name, JobKind.BATCH, submit, start, end, trays, copies, share, gpus)


def run(records, scale=1, jitter=0.0, seconds=1000.0):
    return replay(records, rules(jitter), begin=5000.0, scale=scale, seconds=seconds, gpus_per_tray=4, seed=1)


def test_pods_before_across_and_after_the_window():
    records = [
        pod("over", 4000, 4000, 4990),
        pod("flying", 4400, 4500, 5500),
        pod("pending", 4900, 5100, 5200),
        pod("later", 5300, 5310, 9000),
        pod("queued at the end", 5900, 6500, 7000),
        pod("after", 6000, 6100, 6200),
    ]
    done = run(records)
    log = [(job.id, job.submit_seconds, job.elapsed_seconds, job.work_seconds) for job in done.jobs]
    assert log == [
        ("flying-000", -500.0, 470.0, 970.0),  # 30 s of loading came first
        ("pending-000", 0.001, 0.0, 80.0),  # loading takes at most a fifth of 100 s
        ("later-000", 300.0, 0.0, 3660.0),
        ("queued at the end-000", 900.0, 0.0, 470.0),
    ]
    assert (done.records, done.copies, done.gpus_asked) == (4, 4, 16.0)
    assert done.jobs[0].estimate_seconds == 2000.0  # accuracy 0.5


def test_copies_share_trays_and_what_was_asked_stays_true():
    done = run([pod("half", 5100, 5100, 6100, copies=8, share=0.125, gpus=0.5)], scale=19)
    assert [job.gpus for job in done.jobs] == [None, None, 2]  # 8 and 8 halves fill four GPUs, 3 halves take two
    assert [job.steady.utilisation for job in done.jobs] == pytest.approx([0.8, 0.8, 0.3])
    assert done.copies == 19
    assert done.gpus_asked == 9.5
    asked = sum(job.steady.utilisation / 0.8 * 4 for job in done.jobs)
    assert asked == pytest.approx(9.5)


def test_jitter_is_seeded_bounded_and_absent_at_scale_one():
    record = pod("one", 5400, 5400, 5600)
    shifts = np.array([job.submit_seconds - 400.0 for job in run([record], scale=400, jitter=300.0).jobs])
    assert len(shifts) == 400
    assert abs(shifts).max() <= 300.0
    assert shifts.min() < -280.0
    assert shifts.max() > 280.0
    assert run([record], scale=400, jitter=300.0) == run([record], scale=400, jitter=300.0)
    assert run([record], scale=1, jitter=300.0).jobs[0].submit_seconds == 400.0


def test_jitter_brings_in_copies_from_beyond_the_edges():
    late = run([pod("late", 6100, 6100, 6200)], scale=1000, jitter=300.0)
    assert 0.25 < len(late.jobs) / 1000 < 0.42  # a third of ±300 s moves it below 6000
    assert all(job.submit_seconds < 1000.0 for job in late.jobs)
    flying = run([pod("early", 4000, 4000, 4900)], scale=1000, jitter=300.0)
    assert 0.25 < len(flying.jobs) / 1000 < 0.42
    assert all(job.elapsed_seconds < job.work_seconds for job in flying.jobs)
