"""Synthetic demand: its load is the target from the first second to the last, and a seed is a world."""

import math
from dataclasses import replace

import numpy as np
import pytest

from twin.workload.jobs import Job, JobKind, Workload
from twin.workload.load import load_workload
from twin.workload.profiles import checkpoint_seconds, draw_job, mean_occupied_seconds, occupied_seconds, work_done
from twin.workload.spec import read_spec
from twin.workload.streams import stream
from twin.workload.synthetic import synthetic

TRAYS, DAY = 1152, 86_400.0


def offered(workload: Workload, times: np.ndarray) -> np.ndarray:
    """Trays that the jobs would hold at ``times`` if each started when submitted."""
    held = np.zeros(len(times))
    for job in workload.jobs:
        end = job.submit_seconds + occupied_seconds(job)
        held += job.trays * ((times >= job.submit_seconds) & (times < end))
    return held


def draw(spec, seed=0, trays=TRAYS, seconds=DAY):
    return synthetic(spec, trays=trays, gpus_per_tray=4, seconds=seconds, seed=seed)


@pytest.mark.parametrize("name, load", [("default", 0.75), ("heavy", 0.90)])
def test_the_load_is_the_target_all_day(shipped, name, load):
    for seed in range(5):
        held = offered(draw(read_spec(shipped(name)), seed), np.arange(0.0, DAY, 600.0))
        assert abs(held - load * TRAYS).max() <= 4.0


def test_poisson_arrivals_keep_the_mean_and_scatter_as_an_m_g_infinity_queue(shipped):
    # small gangs with the same holding time: mean and variance of the held trays have closed forms
    mapping = shipped("default", "arrivals=poisson", "shares={training:0,inference:0,batch:1,backup:0}")
    mapping["batch"] |= {"gang_trays": [2], "gang_shares": [1.0], "duration_median_hours": 2.0, "duration_sigma": 0.5}
    spec = read_spec(mapping)
    late = np.array([offered(draw(spec, seed, trays=320), np.array([0.9 * DAY]))[0] for seed in range(60)])
    target = 0.75 * 320
    deviation = math.sqrt(target / 2) * 2  # n gangs of 2 trays: variance 4 n
    assert abs(late.mean() - target) < 3.0 * deviation / math.sqrt(60)
    assert 0.7 < late.std() / deviation < 1.3


def test_jobs_in_flight_are_length_biased_with_uniform_age(shipped):
    mix = read_spec(shipped("default")).training
    rng = stream(7, "test")
    plain = [occupied_seconds(draw_job(mix, JobKind.TRAINING, 4, rng, accuracy=(1, 1))) for _ in range(6000)]
    biased = [
        occupied_seconds(draw_job(mix, JobKind.TRAINING, 4, rng, accuracy=(1, 1), biased=True)) for _ in range(6000)
    ]
    assert np.mean(plain) == pytest.approx(mean_occupied_seconds(mix, 4), rel=0.06)
    # E[D] under the density D f(D)/E[D] is E[D²]/E[D]; its reciprocal moment E[1/D] is exactly 1/E[D]
    assert np.mean(1.0 / np.array(biased)) == pytest.approx(1.0 / mean_occupied_seconds(mix, 4), rel=0.05)
    workload = draw(read_spec(shipped("default")))
    past = [
        -job.submit_seconds / occupied_seconds(job)
        for job in workload.jobs
        if job.submit_seconds <= 0 and not job.service
    ]
    assert np.mean(past) == pytest.approx(0.5, abs=0.06)


def test_work_done_counts_startup_and_checkpoints(shipped):
    mapping = shipped("default")
    mapping["training"] |= {"load_seconds": 180.0, "compile_seconds": 120.0, "checkpoint_interval_minutes": 45.0}
    mapping["training"] |= {"state_gigabytes_per_tray": 400.0, "io_gigabytes_per_second": 400.0}
    mapping["training"] |= {"io_gigabytes_per_second_per_tray": 10.0}
    mix = read_spec(mapping).training
    job = draw_job(mix, JobKind.TRAINING, 4, stream(1, "test"), accuracy=(1, 1))
    job = replace(job, work_seconds=10_000.0)
    save = checkpoint_seconds(mix, 4)
    assert save == pytest.approx(40.0)  # 4 trays × 400 GB over 4 × 10 GB/s
    assert checkpoint_seconds(mix, 72) == pytest.approx(72.0)  # 72 × 400 GB over the store's 400 GB/s
    startup, interval = 300.0, 2700.0
    assert occupied_seconds(job) == pytest.approx(startup + 10_000.0 + 3 * save)
    assert work_done(job, 200.0) == 0.0
    assert work_done(job, startup + 1000.0) == pytest.approx(1000.0)
    assert work_done(job, startup + interval + 0.5 * save) == pytest.approx(interval)
    assert work_done(job, startup + interval + save + 10.0) == pytest.approx(interval + 10.0)
    assert work_done(job, occupied_seconds(job)) == pytest.approx(10_000.0)


def test_one_seed_is_one_world_and_another_is_another(shipped):
    spec = read_spec(shipped("default"))
    first, again, other = draw(spec, 3), draw(spec, 3), draw(spec, 4)
    assert first.jobs == again.jobs
    assert all(np.array_equal(a.requests, b.requests) for a, b in zip(first.services, again.services, strict=True))
    assert first.jobs != other.jobs


def test_streams_depend_on_names_alone():
    assert stream(1, "ab", "c").random() == stream(1, "ab", "c").random()
    assert stream(1, "ab", "c").random() != stream(1, "a", "bc").random()
    assert stream(1, "a").random() != stream(2, "a").random()
    with pytest.raises(ValueError):
        stream(-1, "a")


def test_jobs_are_sorted_and_named_once(shipped):
    jobs = draw(read_spec(shipped("default"))).jobs
    keys = [(job.submit_seconds, job.id) for job in jobs]
    assert keys == sorted(keys)
    assert len({job.id for job in jobs}) == len(jobs)
    assert all(0.0 < job.submit_seconds < DAY or job.submit_seconds <= 0.0 for job in jobs)
    assert all(job.estimate_seconds >= occupied_seconds(job) * (1 - 1e-12) for job in jobs)


def mean_utilisation(jobs: tuple[Job, ...], spec) -> float:
    full = {
        mix.name: mix.idle_utilisation + mix.mean_utilisation * (mix.full_utilisation - mix.idle_utilisation)
        for mix in spec.services
    }
    flying = [job for job in jobs if job.submit_seconds <= 0.0]
    drawn = [full.get(job.service, job.steady.utilisation) * job.trays for job in flying]
    return sum(drawn) / sum(job.trays for job in flying)


def test_default_is_moderate_and_heavy_training_is_at_84_to_93_percent_rms(shipped):
    spec = read_spec(shipped("default"))
    assert np.mean([mean_utilisation(draw(spec, seed).jobs, spec) for seed in range(5)]) == pytest.approx(
        0.68, abs=0.04
    )
    spec = read_spec(shipped("heavy"))
    largest = 0
    for seed in range(8):
        jobs = [job for job in draw(spec, seed).jobs if job.submit_seconds <= 0.0]
        training = [job for job in jobs if job.kind is JobKind.TRAINING]
        assert sum(job.trays for job in training) / sum(job.trays for job in jobs) == pytest.approx(0.75, abs=0.01)
        for job in training:
            mean = 0.15 + 0.85 * job.steady.utilisation  # a tray that idles at 15 % of its maximum
            assert 0.84 <= math.hypot(mean, job.steady.swing) <= 0.93
        largest = max(largest, *(job.trays for job in training))
    assert largest == 576


def test_a_service_is_busy_for_its_mean_over_a_day(shipped):
    spec = read_spec(shipped("default"))
    for service, mix in zip(draw(spec).services, spec.services, strict=True):
        work = (
            service.prompt_tokens / mix.prefill_tokens_per_second + service.output_tokens / mix.decode_tokens_per_second
        )
        busy = work / service.replicas
        assert busy.mean() == pytest.approx(
            mix.mean_utilisation, rel=0.06
        )  # noise over ten minutes leaves a few per cent
        hours = busy.reshape(24, 3600).mean(axis=1)
        ratio = hours.max() / hours.min()
        assert ratio == pytest.approx((1 + mix.diurnal_amplitude) / (1 - mix.diurnal_amplitude), rel=0.25)
        assert abs(int(hours.argmax()) - mix.peak_hour) <= 3
        assert service.replicas == sum(job.service == service.name for job in draw(spec).jobs)


def test_replicas_declare_what_the_peak_of_their_day_asks(shipped):
    """By hand for `chat`: 0.6 × 1.35 × exp(2 √(0.08² + 0.05²)) = 0.9782 busy, 0.12 + 0.9782 × 0.63 of the range.

    Of all replicas together no more than exp(2 × 0.08) is asked: what is added covers one that gets more than others.
    """
    spec = read_spec(shipped("default"))
    workload = draw(spec)
    declared = {job.service: job.declared_utilisation for job in workload.jobs if job.service}
    assert declared["chat"] == pytest.approx(
        0.12 + 0.63 * 0.6 * 1.35 * math.exp(2.0 * math.hypot(0.08, 0.05)), rel=1e-12
    )
    for service, mix in zip(workload.services, spec.services, strict=True):
        work = (
            service.prompt_tokens / mix.prefill_tokens_per_second + service.output_tokens / mix.decode_tokens_per_second
        )
        busy = (work / service.replicas).reshape(1440, 60).mean(axis=1)
        drawn = service.idle_utilisation + busy * (service.full_utilisation - service.idle_utilisation)
        peak = slice(int(mix.peak_hour - 1) * 60, int(mix.peak_hour + 1) * 60)
        assert np.mean(drawn[peak] > declared[service.name]) < 0.1  # 2.3 % is expected of long noise
        assert drawn.max() > 0.9 * declared[service.name]  # and it is not much more than that
        by_day = next(np.array(job.declared_by_day) for job in workload.jobs if job.service == service.name)
        part = 86_400.0 / len(by_day)
        phase = 2.0 * math.pi * (np.arange(1440) / 1440.0 - mix.peak_hour / 24.0)
        rate = (
            mix.mean_utilisation
            * (1.0 + mix.diurnal_amplitude * np.cos(phase))
            * math.exp(2.0 * math.hypot(mix.noise, mix.unevenness))
        )
        least = (0.12 + 0.63 * np.minimum(rate, 1.0)).reshape(len(by_day), -1)  # at every minute of each part
        assert (by_day >= least.max(axis=1) - 1e-12).all() and (by_day - least.max(axis=1)).max() < 0.003
        assert by_day.max() == declared[service.name] and part == 600.0
        assert np.mean(by_day < drawn.reshape(len(by_day), -1).T) < 0.05  # 2.3 %, and a little of short noise


def test_a_small_hall_leaves_out_gangs_that_it_could_not_hold(shipped):
    workload = draw(read_spec(shipped("heavy")), trays=72)
    assert workload.provenance["gangs_left_out"]["training"] == [576, 288, 144]
    assert offered(workload, np.array([0.0]))[0] == pytest.approx(0.9 * 72, abs=2)


FAULTS = [
    ("load=1.2", "workload: load = 1.2: must be a number above 0 and at most 1"),
    ("+lod=1", "workload: lod = 1: unknown key; did you mean load?"),
    ("~load", "workload: load: missing; add it (a number above 0 and at most 1)"),
    ("arrivals=poison", "workload: arrivals = 'poison': must be one of succession, poisson; did you mean poisson?"),
    (
        "shares={training: 0.5, inference: 0.3, batch: 0.5, backup: 0.0}",
        "workload: shares = {'training': 0.5, 'inference': 0.3, 'batch': 0.5, 'backup': 0.0}: "
        "add up to 1.3; make them add up to 1",
    ),
    (
        "training.gang_shares=[1.0]",
        "workload: training.gang_shares = [1.0]: has 1 entries for 5 gang_trays; give one for each",
    ),
    ("training.swing=[0.3,0.1]", "workload: training.swing = [0.3, 0.1]: must be two numbers, the lower one first"),
    ("batch.duration_median_hours=nan", "workload: batch.duration_median_hours = nan: must be a number above 0"),
    ("batch.preemptible=1", "workload: batch.preemptible = 1: must be true or false"),
    ("services.chat.share=0.9", "workload: services: the services' shares add up to 1.3; make them add up to 1"),
    ("services=many", "workload: services = 'many': must be a group of keys"),
    (
        "training.gang_trays=[0,4,8,16,36]",
        "workload: training.gang_trays = [0, 4, 8, 16, 36]: must be a list of different whole numbers of at least 1",
    ),
    ("services.chat.unevenness=1.5", "workload: services.chat.unevenness = 1.5: must be a number from 0 to 1"),
    ("services.chat.unevenness_minutes=0", "workload: services.chat.unevenness_minutes = 0: must be a number above 0"),
    (
        "services.code.full_utilisation=0.1",
        "workload: services.code.full_utilisation = 0.1: is below idle_utilisation = 0.12; raise it",
    ),
]


@pytest.mark.parametrize("override, message", FAULTS)
def test_a_wrong_key_is_refused_in_one_sentence(shipped, tmp_path, override, message):
    with pytest.raises(ValueError) as refusal:
        load_workload(shipped("default", override), trays=8, gpus_per_tray=4, seconds=60.0, seed=0, cache_dir=tmp_path)
    assert str(refusal.value) == message


def test_all_faults_are_named_at_once(shipped):
    with pytest.raises(ValueError) as refusal:
        read_spec(shipped("default", "load=-1", "batch.swing=3", "+training.gangs=2"), source="mine.yaml")
    lines = str(refusal.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("mine.yaml: ") for line in lines)


def test_a_hall_without_trays_is_refused(shipped):
    with pytest.raises(ValueError, match="got 0 trays"):
        draw(read_spec(shipped("default")), trays=0)
