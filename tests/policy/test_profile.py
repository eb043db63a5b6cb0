"""Heat profiles against NumPy's own statistics over all samples, and recoveries against exponentials."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.policy.documents import shipped
from twin.policy import JobRequest, profile
from twin.policy.aware import thermal_aware
from twin.policy.check import NAMEPLATE, example
from twin.policy.factors import FACTORS
from twin.policy.snapshot import History, Quality

DEVICE, POWER = "rack_device_temperature_celsius", "rack_power_watts"
SAMPLES, PERIOD = 90, 10.0


def looks(device, power=None, trays=None, every=30, quality=None):
    """Snapshots every five minutes of a record (samples × 16) of device temperatures, with the 15 minutes before."""
    times = PERIOD * np.arange(1.0, len(device) + 1.0)
    power = np.full_like(device, 0.5 * NAMEPLATE) if power is None else power
    quality = np.zeros(device.shape, dtype=np.int8) if quality is None else quality
    for end in range(SAMPLES, len(device) + 1, every):
        span = slice(end - SAMPLES, end)
        calm = example()
        histories = {
            **calm.histories,
            DEVICE: History(times[span], device[span], quality[span]),
            POWER: History(times[span], power[span], np.zeros(power[span].shape, dtype=np.int8)),
        }
        kinds = np.zeros((16, 4), dtype=np.int64) if trays is None else trays[end - 1]
        yield replace(
            calm, time_seconds=times[end - 1] + 2.0, serial=end, histories=histories, rack_kind_trays=kinds,
            **{DEVICE: device[end - 1].copy(), POWER: power[end - 1].copy()},
        )  # fmt: skip


def learnt(*args, **kwargs):
    found = None
    for snapshot in looks(*args, **kwargs):
        found = profile.step(found, snapshot)
    return found


def test_mean_and_peak_are_those_of_all_readings_however_they_came():
    device = 70.0 + np.random.default_rng(1).normal(0.0, 5.0, (300, 16))
    for every in (1, 6, 30):
        found = learnt(device, every=every)
        assert found.samples == pytest.approx(300.0)
        assert found.mean_celsius == pytest.approx(device.mean(axis=0), rel=1e-12)
        assert profile.peak_excursion(found) == pytest.approx(device.max(axis=0) - device.mean(axis=0), rel=1e-12)


def test_readings_that_are_not_good_teach_nothing():
    device = np.full((120, 16), 70.0)
    quality = np.zeros(device.shape, dtype=np.int8)
    device[40:60, 3], quality[40:60, 3] = 300.0, Quality.STALE
    quality[:, 5] = Quality.MISSING
    found = learnt(device, quality=quality)
    assert (found.samples[3], found.mean_celsius[3], found.highest_celsius[3]) == (100.0, 70.0, 70.0)
    assert found.samples[5] == 0.0 and np.isnan(found.mean_celsius[5])


def test_a_look_within_five_minutes_of_the_last_step_teaches_nothing_yet():
    one, other = list(looks(np.full((119, 16), 70.0), every=29))
    first = profile.step(None, one)
    assert profile.step(first, one) is first
    assert profile.step(first, other) is first


# ---------------------------------------------------------------- recovery


def drop(tau, at=100, rack=2, samples=300, watts=60_000.0):
    """Power of one rack drops at a sample; its device falls from 80 to 50 °C with a time constant."""
    device, power = np.full((samples, 16), 80.0), np.full((samples, 16), 100_000.0)
    since = PERIOD * np.arange(samples - at)
    device[at:, rack] = 50.0 + 30.0 * np.exp(-since / tau)
    power[at:, rack] -= watts
    return device, power


@pytest.mark.parametrize("tau", [25.0, 60.0, 180.0])
def test_the_time_constant_of_a_fall_after_a_load_drop_is_exact(tau):
    found = learnt(*drop(tau))
    assert found.falls.tolist() == [0.0, 0.0, 1.0, *[0.0] * 13]
    assert found.recovery_seconds[2] == pytest.approx(tau, rel=1e-9)
    assert np.isnan(np.delete(found.recovery_seconds, 2)).all()


def test_several_falls_are_averaged_and_each_counts_once():
    fast, slow = drop(30.0, at=100, samples=200), drop(90.0, at=100, samples=200)
    device, power = (np.concatenate(pair) for pair in zip(fast, slow, strict=True))
    for every in (1, 6, 18):
        found = learnt(device, power, every=every)
        assert found.falls[2] == 2.0
        assert found.recovery_seconds[2] == pytest.approx((30.0 + 90.0) / 2, rel=1e-9)


def test_a_small_drop_one_that_does_not_last_and_one_that_cools_nothing_are_no_falls():
    assert learnt(*drop(60.0, watts=0.14 * NAMEPLATE)).falls.sum() == 0.0
    device, power = drop(60.0)
    power[115:, 2] += 60_000.0
    assert learnt(device, power).falls.sum() == 0.0
    still, power = drop(60.0)
    still[:, 2] = 80.0
    assert learnt(still, power).falls.sum() == 0.0


def test_a_fall_through_a_sensor_is_found_within_its_noise():
    """Whole degrees and 0.3 K of noise, as the shipped device sensors have: 10 % of the time constant."""
    device, power = drop(60.0)
    noisy = np.round(device + np.random.default_rng(3).normal(0.0, 0.3, device.shape))
    assert learnt(noisy, power).recovery_seconds[2] == pytest.approx(60.0, rel=0.1)


# ---------------------------------------------------------------- work and heat


def test_the_correlation_of_work_and_rise_is_that_of_all_pairs():
    rng = np.random.default_rng(5)
    steps, every = 100, 30
    trays = np.repeat(rng.integers(0, 9, (steps + 3, 16, 4)), every, axis=0)
    device = 45.0 + 2.0 * trays[:, :, 0] + 0.5 * trays[:, :, 2] + rng.normal(0.0, 1.0, trays.shape[:2])
    seen = list(looks(device, trays=trays))
    found = None
    for snapshot in seen:
        found = profile.step(found, snapshot)
    related = profile.correlation(found)
    rise = np.array([getattr(each, DEVICE) - each.rack_supply_temperature_celsius for each in seen])
    work = np.array([each.rack_kind_trays for each in seen])
    assert found.pairs == pytest.approx(len(seen))
    for rack in range(16):
        for kind in range(4):
            expected = np.corrcoef(work[:, rack, kind], rise[:, rack])[0, 1]
            assert related[rack, kind] == pytest.approx(expected, abs=1e-9)
    assert (related[:, 0] > 0.8).all()


def test_nothing_is_said_of_work_that_never_changed_or_of_too_few_pairs():
    device = 60.0 + np.random.default_rng(7).normal(0.0, 1.0, (600, 16))
    assert np.isnan(profile.correlation(learnt(device))).all()
    trays = np.random.default_rng(8).integers(0, 9, (200, 16, 4))
    few = learnt(device[:200], trays=trays)
    assert (few.pairs < profile.LEAST_PAIRS).all() and np.isnan(profile.correlation(few)).all()
    untold = replace(next(looks(device)), rack_kind_trays=np.zeros((16, 0), dtype=np.int64))
    assert profile.step(None, untold).pairs.sum() == 0.0


def test_what_is_older_than_its_memory_is_forgotten():
    """With a memory of n samples a step of n/10 moves a tenth of the way, and no further."""
    full = replace(
        learnt(np.full((SAMPLES, 16), 60.0)), samples=np.full(16, profile.MEMORY_SAMPLES),
        pairs=np.full(16, profile.MEMORY_PAIRS), rise_mean=np.full(16, 20.0),
    )  # fmt: skip
    device = np.full((SAMPLES + 60, 16), 70.0)
    last = list(looks(device, every=60))[-1]
    found = profile.step(full, last)
    assert found.samples == pytest.approx(profile.MEMORY_SAMPLES)
    assert found.mean_celsius == pytest.approx(60.0 + 10.0 * 60.0 / profile.MEMORY_SAMPLES)
    assert found.rise_mean == pytest.approx(20.0 + 10.0 / profile.MEMORY_PAIRS)


# ---------------------------------------------------------------- in the policy


def test_profiles_are_factors_that_a_formula_may_weigh():
    """A rack that cools in 40 s goes before equal ones that take 80 s, once the formula weighs that."""
    document = shipped()
    term = {"factor": "profile_recovery_seconds", "worst": 120, "best": 20, "weight": 0.2, "greatest_age_seconds": 300}
    document["score"]["classes"]["inference"] = [*document["score"]["classes"]["inference"], term]
    policy, plain = thermal_aware(document), thermal_aware(shipped())
    request = JobRequest("job-1", "inference", 2, True, 10, 5_000.0)
    (snapshot,) = looks(np.full((SAMPLES, 16), 70.0))
    _, state = policy(snapshot, request, None)
    seconds = np.where(np.arange(16) == 9, 40.0, 80.0)
    taught = replace(state, promised_watts=np.zeros(16), profiles=replace(state.profiles, recovery_seconds=seconds))
    assert policy(snapshot, request, taught)[0].racks == (("C-02", 2),)
    # at one look, whatever was asked before and with no other promises: by the profiles that it is given
    other = replace(
        taught, profiles=replace(taught.profiles, recovery_seconds=np.where(np.arange(16) == 5, 40.0, 80.0))
    )
    assert policy(snapshot, request, other)[0].racks == (("B-02", 2),)
    assert plain(snapshot, request, taught)[0].racks == (("A-01", 2),)
    assert set(profile.FACTORS) <= set(FACTORS)


def test_a_state_carries_its_profiles_from_look_to_look_unchanged_in_between():
    policy, request = thermal_aware(shipped()), JobRequest("job-1", "batch", 2, True, 10, 5_000.0)
    device = 70.0 + np.random.default_rng(2).normal(0.0, 1.0, (SAMPLES + 60, 16))
    state, states = None, []
    for snapshot in looks(device):
        for number in range(2):
            _, state = policy(snapshot, replace(request, id=f"job-{number}"), state)
            states.append(state)
    assert states[0].profiles is states[1].profiles
    assert [each.profiles.samples[0] for each in states[::2]] == [90.0, 120.0, 150.0]
    assert not states[0].profiles.mean_celsius.flags.writeable
    assert math.isclose(states[-1].profiles.mean_celsius[4], device[:, 4].mean(), rel_tol=1e-12)
