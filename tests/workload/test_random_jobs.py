"""Batch jobs drawn one by one: the distributions that were asked for, in the bounds that were asked for."""

import numpy as np
import pytest

from twin.workload.faults import WorkloadError
from twin.workload.load import load_workload
from twin.workload.random_jobs import random_jobs, read_spec

DAY = 86_400.0


def draw(mapping, seconds=DAY, seed=0):
    return random_jobs(read_spec(mapping), trays=9_472, gpus_per_tray=4, seconds=seconds, seed=seed)


def test_arrivals_sizes_run_times_and_power_are_those_asked_for(shipped):
    jobs = draw(shipped("exascale_batch"), 40 * DAY).jobs
    gaps = np.diff([job.submit_seconds for job in jobs])
    assert gaps.mean() == pytest.approx(100.0, rel=0.02)
    assert gaps.std() == pytest.approx(100.0, rel=0.03)  # of an exponential: its mean
    trays = np.array([job.trays for job in jobs])
    assert trays.min() >= 1 and trays.max() <= 3_000
    assert trays.mean() == pytest.approx(1_500.5, rel=0.02)
    runs = np.array([job.work_seconds for job in jobs])
    assert runs.min() >= 60.0 and runs.max() <= 43_200.0
    assert runs.mean() == pytest.approx(21_630.0, rel=0.02)
    # a normal distribution cut at ±3 standard deviations has 0.9866 of its standard deviation
    assert runs.std() == pytest.approx(0.9866 * 7_190.0, rel=0.02)
    assert np.mean([job.steady.utilisation for job in jobs]) == pytest.approx(0.5, rel=0.02)
    assert all(job.estimate_seconds >= job.work_seconds for job in jobs)


def test_the_hall_starts_empty_and_jobs_come_in_order(shipped):
    workload = draw(shipped("exascale_batch"))
    times = [job.submit_seconds for job in workload.jobs]
    assert times == sorted(times) and times[0] > 0.0 and times[-1] < DAY
    assert workload.services == ()
    assert len({job.id for job in workload.jobs}) == len(workload.jobs) == workload.provenance["jobs"]
    # 1,500 trays for 21,600 s every 100 s on 9,472 trays
    assert workload.provenance["offered_share"] == pytest.approx(1_500.5 * 21_630.0 / 100.0 / 9_472.0, rel=0.15)


def test_a_seed_is_a_world(shipped):
    mapping = shipped("exascale_batch")
    assert draw(mapping).jobs == draw(mapping).jobs
    assert draw(mapping).jobs != draw(mapping, seed=1).jobs


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("run.most_seconds=30", "most_seconds = 30: is not above least_seconds"),
        ("run.mean_seconds=50000", "mean_seconds = 50000: is not between 60 and 43200"),
        ("trays.most=0", "trays.most = 0: must be a whole number of at least 1"),
        ("trays.least=4000", "trays.most = 3000: is below least = 4000"),
        ("interarrival_seconds=0", "interarrival_seconds = 0: must be a number above 0"),
        ("+arrivals=poisson", "arrivals = 'poisson': unknown key"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(shipped, change, sentence):
    with pytest.raises(WorkloadError) as refused:
        read_spec(shipped("exascale_batch", change))
    assert any(sentence in fault for fault in refused.value.faults), refused.value.faults


@pytest.mark.parametrize("name", ["many_jobs", "many_mixed"])
def test_the_many_jobs_of_a_day_are_twenty_thousand(shipped, name, tmp_path):
    workload = load_workload(shipped(name), trays=18_000, gpus_per_tray=4, seconds=DAY, seed=0, cache_dir=tmp_path)
    assert 20_000 <= sum(job.submit_seconds > 0.0 for job in workload.jobs) <= 22_000
    if name == "many_jobs":
        assert workload.provenance["offered_share"] == pytest.approx(0.744, rel=0.03)
