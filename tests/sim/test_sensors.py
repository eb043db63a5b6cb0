"""What policies see: readings at their instants, late, rounded, wrong or gone; and a plant that knows nothing of it."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import yaml

from twin.hall.errors import Faults
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.places import conf_dir
from twin.plant.plant import Plant
from twin.policy import FacilitySnapshot, Quality, first_fit
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.results.store import RunStore
from twin.sim.bank import SensorFault
from twin.sim.measured import SIGNALS
from twin.sim.noise import bits, counted, counter, keys, normal, quantiles, split, uniform
from twin.sim.scenario import ScenarioError, read_scenario
from twin.sim.sensor_settings import DIRECT, SensorSpec, ideal, read_sensors
from twin.sim.sensors import Sensors
from twin.sim.simulate import simulate
from twin.sim.world import Settings, TelemetryOutage
from twin.workload.jobs import Workload


def conf(name: str) -> tuple[SensorSpec, ...]:
    faults = Faults(name)
    specs = read_sensors(yaml.safe_load((conf_dir() / "sensors" / f"{name}.yaml").read_text()), "sensors", faults)
    assert not faults
    return specs


def spec_of(specs: tuple[SensorSpec, ...], signal: str) -> SensorSpec:
    return next(each for each in specs if each.signal == signal)


def changed(specs: tuple[SensorSpec, ...], signal: str, **values: float) -> tuple[SensorSpec, ...]:
    return tuple(replace(each, **values) if each.signal == signal else each for each in specs)


@pytest.fixture
def hall():
    """A small hall's plant at its set points, whose rack powers may be set by hand."""
    topology = compile_topology(load_hall("small"))
    plant = Plant(topology)
    plant.settle(0.0)
    return plant


def sensors_of(plant: Plant, specs: tuple[SensorSpec, ...], seed: int = 0) -> Sensors:
    made = Sensors(plant.topology, plant, specs, seed)
    made.begin(0.0)
    return made


def seen_powers(plant: Plant, sensors: Sensors, powers: list[float], outages=()) -> list[float]:
    """Power of the first rack as it is seen at 10, 20, … s, while it is what ``powers`` says."""
    shown = []
    for k, power in enumerate(powers):
        plant.rack_power[:] = power
        shown.append(float(sensors.look(10.0 * (k + 1), outages).values["rack_power_watts"][0]))
    return shown


# ---------------------------------------------------------------- noise


def test_noise_is_a_function_of_seed_name_and_number():
    names = [("sensors", "rack_power", f"A-{n:02d}") for n in range(5)]
    here, fewer = keys(7, names, 2), keys(7, names[3:], 2)
    assert np.array_equal(here[:, 3:], fewer)  # other devices do not matter
    numbers = np.arange(-40, 40)[:, None]
    all_at_once = normal(here[0], here[1], numbers)
    one_by_one = np.array([normal(here[0], here[1], int(n[0])) for n in numbers])
    assert np.array_equal(all_at_once, one_by_one)
    assert not np.isin(keys(8, names, 2), here).any()


def test_one_number_is_counted_as_an_array_of_numbers_is():
    numbers = np.array([0, 1, 17, 8_640, 2**40 + 3])
    assert [counted(int(number)) for number in numbers] == list(counter(numbers))


def test_noise_is_normal_and_white():
    """Of 200,000 numbers the moments are within five standard errors of a normal's; neighbours do not correlate."""
    key = keys(1, [("a", str(n)) for n in range(20)], 2)
    noise = normal(key[0], key[1], np.arange(10_000)[:, None])
    error = 5.0 / math.sqrt(noise.size)
    assert abs(noise.mean()) < error
    assert abs(noise.var() - 1.0) < math.sqrt(2.0) * error
    assert abs((noise**4).mean() - 3.0) < math.sqrt(96.0) * error
    assert abs((noise[1:] * noise[:-1]).mean()) < error
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < error
    share = uniform(key[0], np.arange(10_000)[:, None])
    assert np.histogram(share, bins=10, range=(0.0, 1.0))[0] / share.size == pytest.approx(0.1, abs=0.005)


def test_one_word_is_three_independent_numbers_and_its_normal_is_normal():
    key = keys(1, [("a", str(n)) for n in range(20)], 1)
    one, other, first, second = split(bits(key[0], np.arange(10_000)[:, None]))
    noise = quantiles()[one] + quantiles()[other]
    error = 5.0 / math.sqrt(noise.size)
    assert abs(noise.mean()) < error
    assert abs(noise.var() - 1.0) < math.sqrt(2.0) * error
    assert abs((noise**4).mean() - 3.0) < math.sqrt(96.0) * error
    assert abs((noise[1:] * noise[:-1]).mean()) < error
    for share in (first, second):
        assert share.mean() == pytest.approx(0.5, abs=error * math.sqrt(1.0 / 12.0))
        assert abs(np.corrcoef(share.ravel(), noise.ravel())[0, 1]) < error
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < error
    table = quantiles()
    assert table.mean() == 0.0 and table.var() == pytest.approx(0.5, abs=1e-12)
    assert (np.diff(table) > 0.0).all()
    sums = np.sort((table[:, None] + table).ravel())
    normal_shares = np.array([NormalDist().cdf(each) for each in sums.tolist()])
    assert np.abs(normal_shares - (np.arange(sums.size) + 0.5) / sums.size).max() < 2e-3  # Kolmogorov's distance
    assert 4.3 < sums[-1] < 4.4


# ---------------------------------------------------------------- one reading


def test_direct_sensors_show_the_truth_of_every_look(hall):
    sensors = sensors_of(hall, DIRECT)
    assert seen_powers(hall, sensors, [1_000.4, 2_000.6]) == [1_000.0, 2_001.0]  # in whole watts
    seen = sensors.look(20.0, ())
    assert not seen.ages["rack_power_watts"].any()
    assert (seen.qualities["rack_power_watts"] == Quality.GOOD).all()
    assert seen.values["loop_flow_litres_per_minute"][0] == pytest.approx(
        seen.values["rack_flow_litres_per_minute"].sum()
    )


def test_a_reading_is_seen_a_latency_after_its_instant_and_ages_until_the_next(hall):
    late = tuple(replace(each, latency_seconds=4.0) for each in ideal())
    sensors = sensors_of(hall, late)
    hall.rack_power[:] = 5_000.0
    ages, values = [], []
    for now in (10.0, 13.0, 14.0, 19.0, 20.0, 24.0):
        seen = sensors.look(now, ())
        ages.append(float(seen.ages["rack_power_watts"][0]))
        values.append(float(seen.values["rack_power_watts"][0]))
        if now == 14.0:
            hall.rack_power[:] = 9_000.0
    assert ages == [10.0, 13.0, 4.0, 9.0, 10.0, 4.0]
    assert values[1:] == [values[0], 5_000.0, 5_000.0, 5_000.0, 9_000.0]


def test_readings_are_rounded_to_the_resolution_and_saturate_at_the_range(hall):
    specs = changed(ideal(), "rack_power", resolution=250.0, lowest=1_000.0, highest=3_000.0)
    sensors = sensors_of(hall, specs)
    assert seen_powers(hall, sensors, [1_130.0, 1_120.0, 2_999.0]) == [1_250.0, 1_000.0, 3_000.0]
    assert sensors.look(30.0, ()).qualities["rack_power_watts"][0] == Quality.GOOD
    assert seen_powers(hall, sensors_of(hall, specs), [4_000.0, 500.0]) == [3_000.0, 1_000.0]
    hall.rack_power[:] = 4_000.0
    assert sensors.look(40.0, ()).qualities["rack_power_watts"][0] == Quality.OUT_OF_RANGE


def test_constant_errors_are_those_of_the_device(hall):
    specs = changed(changed(ideal(), "rack_power", gain_fraction=0.01), "rack_return_temperature", bias=0.25)
    drawn = {(device, quantity): value for device, quantity, _, value in sensors_of(hall, specs, 3).draws()}
    assert len(drawn) == 8  # four racks, two quantities
    sensors = sensors_of(hall, specs, 3)
    seen = seen_powers(hall, sensors, [100_000.0, 50_000.0])
    gain = drawn["A-01", "rack_power_gain_factor"]
    assert seen == [round(100_000.0 * gain), round(50_000.0 * gain)]
    true = hall.x.tc[hall.cur]
    found = sensors.look(20.0, ()).values["rack_return_temperature_celsius"]
    biases = [drawn[f"A-0{n}", "rack_return_temperature_bias"] for n in range(1, 5)]
    assert found - true == pytest.approx(biases, abs=1e-12)
    assert len(set(biases)) == 4


def test_noise_has_the_deviation_asked_for_and_none_of_it_hangs_on_who_looks(hall):
    specs = changed(ideal(), "rack_power", noise=500.0)
    often, seldom = sensors_of(hall, specs), sensors_of(hall, specs)
    hall.rack_power[:] = 100_000.0
    every = [float(often.look(10.0 * k, ()).values["rack_power_watts"][0]) for k in range(1, 2_001)]
    some = [float(seldom.look(10.0 * k, ()).values["rack_power_watts"][0]) for k in range(7, 2_001, 7)]
    assert some == every[6::7]
    assert np.std(every) == pytest.approx(500.0, rel=0.08)  # five standard errors of 2,000 draws
    assert np.mean(every) == pytest.approx(100_000.0, abs=56.0)


def test_losses_come_at_their_rate_and_a_value_goes_stale_and_then_missing(hall):
    specs = changed(ideal(), "rack_power", dropout_probability=0.3)
    sensors = sensors_of(hall, specs)
    for k in range(1, 3_001):
        sensors.look(10.0 * k, ())
    lost = sensors_of_rate = 0
    for k in range(3_001, 6_001):
        age = sensors.look(10.0 * k, ()).ages["rack_power_watts"]
        lost += int((age > 0.0).sum())
        sensors_of_rate += len(age)
    assert lost / sensors_of_rate == pytest.approx(0.3, abs=0.021)  # five standard errors


def test_chance_sticks_a_sensor_for_its_time(hall):
    specs = changed(ideal(), "rack_power", stuck_per_hour=2.0, stuck_seconds=200.0)
    sensors = sensors_of(hall, specs)
    shown = np.array(seen_powers(hall, sensors, [1_000.0 + k for k in range(4_000)]))
    repeats = np.diff(shown) == 0.0
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[False], repeats, [False]]).astype(int))))[::2]
    assert set(runs) <= {20, 40}  # of 200 s, or two in a row
    assert repeats.mean() == pytest.approx(0.1, abs=0.04)  # 2/h × 200 s, of the time that it is not stuck


# ---------------------------------------------------------------- faults and outages


def test_a_stuck_sensor_repeats_its_last_reading_in_good_faith(hall):
    sensors = sensors_of(hall, ideal())
    fault = SensorFault("rack_power", 0, stuck=True)
    assert seen_powers(hall, sensors, [1_000.0]) == [1_000.0]
    sensors.add(fault)
    hall.rack_power[:] = 9_000.0
    seen = sensors.look(20.0, ())
    assert seen.values["rack_power_watts"].tolist() == [1_000.0, 9_000.0, 9_000.0, 9_000.0]
    assert (seen.qualities["rack_power_watts"][0], seen.ages["rack_power_watts"][0]) == (Quality.GOOD, 0.0)
    sensors.remove(fault)
    assert sensors.look(30.0, ()).values["rack_power_watts"][0] == 9_000.0


def test_two_faults_of_one_sensor_come_and_go_each_by_itself(hall):
    sensors = sensors_of(hall, ideal())
    more, less = SensorFault("rack_power", 0, offset=300.0), SensorFault("rack_power", 0, offset=-100.0)
    sensors.add(more, less)
    assert seen_powers(hall, sensors, [1_000.0]) == [1_200.0]
    sensors.remove(more)
    hall.rack_power[:] = 1_000.0
    assert sensors.look(20.0, ()).values["rack_power_watts"][0] == 900.0


def test_lost_readings_leave_the_last_value_to_age_and_a_hole_in_the_history(hall):
    sensors = sensors_of(hall, ideal())
    hall.rack_power[:] = 1_000.0
    sensors.look(10.0, ())
    sensors.add(SensorFault("rack_power", 0, lost=1.0))
    told = []
    for now in range(20, 331, 10):
        seen = sensors.look(float(now), ())
        told.append((seen.values["rack_power_watts"][0], seen.qualities["rack_power_watts"][0]))
    assert told[:3] == [(1_000.0, Quality.GOOD)] * 3  # 30 s old at the most
    assert told[3:30] == [(1_000.0, Quality.STALE)] * 27  # to 300 s
    assert all(math.isnan(value) and quality == Quality.MISSING for value, quality in told[30:])
    past = seen.histories["rack_power_watts"]
    assert np.isnan(past.values[-5:, 0]).all() and (past.quality[-5:, 0] == Quality.MISSING).all()
    assert (past.values[-5:, 1] == 1_000.0).all() and (past.quality[-5:, 1] == Quality.GOOD).all()


@pytest.mark.parametrize(
    ("outage", "silent"),
    [
        (TelemetryOutage("hall", None), {"rack": 4, "row": 1, "loop": 1, "breaker": 14}),
        (TelemetryOutage("row", "A"), {"rack": 4, "row": 1, "loop": 0, "breaker": 10}),
        (TelemetryOutage("rack", "A-02"), {"rack": 1, "row": 0, "loop": 0, "breaker": 2}),
        (TelemetryOutage("loop", "loop 01"), {"rack": 0, "row": 0, "loop": 1, "breaker": 0}),
    ],
    ids=lambda value: value.kind if isinstance(value, TelemetryOutage) else "",
)
def test_an_outage_silences_what_is_behind_it_and_nothing_else(hall, outage, silent):
    sensors = sensors_of(hall, ideal())
    sensors.look(10.0, ())
    seen = sensors.look(20.0, [outage])
    fields = ("rack_power_watts", "row_power_watts", "loop_supply_temperature_celsius", "breaker_current_amperes")
    assert {name.split("_")[0]: int((seen.ages[name] > 0.0).sum()) for name in fields} == silent
    assert not any((age > 0.0).any() for name, age in sensors.look(30.0, []).ages.items() if "power" in name)


def test_an_outage_of_one_signal_leaves_the_others(hall):
    sensors = sensors_of(hall, ideal())
    sensors.look(10.0, ())
    seen = sensors.look(20.0, [TelemetryOutage("rack", "A-01", ("power",))])
    assert seen.ages["rack_power_watts"].tolist() == [10.0, 0.0, 0.0, 0.0]
    assert not seen.ages["rack_return_temperature_celsius"].any()


# ---------------------------------------------------------------- history


def test_a_history_begins_full_of_the_equilibrium_and_stays_as_long(hall):
    hall.rack_power[:] = 500.0
    sensors = sensors_of(hall, ideal())
    first = sensors.look(10.0, ()).histories["rack_power_watts"]
    assert first.time_seconds.tolist() == [10.0 * k for k in range(-89, 2)]
    assert (first.values == 500.0).all()
    for k in range(2, 300):
        hall.rack_power[:] = 500.0 + k
        last = sensors.look(10.0 * k, ()).histories["rack_power_watts"]
    assert last.time_seconds.tolist() == [10.0 * k for k in range(209, 300)]
    assert last.values[:, 2].tolist() == [500.0 + k for k in range(209, 300)]


def test_a_history_that_somebody_keeps_does_not_change_under_them(hall):
    sensors = sensors_of(hall, ideal())
    kept = sensors.look(10.0, ()).histories["rack_power_watts"]
    copies = [part.copy() for part in (kept.time_seconds, kept.values, kept.quality)]
    seen_powers(hall, sensors, [float(k) for k in range(400)])
    for part, copy in zip((kept.time_seconds, kept.values, kept.quality), copies, strict=True):
        assert np.array_equal(part, copy, equal_nan=True)


# ---------------------------------------------------------------- settings


def test_the_configured_sensors_are_as_they_are_written():
    assert spec_of(conf("ideal"), "rack_power") == SensorSpec("rack_power")
    assert conf("ideal") == ideal()
    found = spec_of(conf("default"), "rack_return_temperature")
    assert (found.noise, found.bias, found.resolution, found.latency_seconds) == (0.05, 0.25, 0.1, 2.0)
    assert {each.period_seconds for each in conf("default")} == {10.0}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"rack_power": {"noise_watts": -1}}, "sensors.rack_power.noise_watts = -1: negative number"),
        ({"all": {"dropout_probability": 1.5}}, "sensors.all.dropout_probability = 1.5: out of range"),
        ({"rack_powr": {}}, "sensors.rack_powr = {}: unknown signal. Did you mean 'rack_power'?"),
        ({"rack_power": {"noise_kelvin": 1}}, "sensors.rack_power.noise_kelvin = 1: unknown key. Did you mean 'noise_"),
        ({"breaker_closed": {"noise_watts": 1}}, "sensors.breaker_closed.noise_watts = 1: unknown key"),
        ({"all": {"period_seconds": 60}}, "stale_seconds = 30.0: a value is 60 s old when the next one comes"),
        ({"all": {"missing_seconds": 20}}, "missing_seconds = 20.0: less than stale_seconds, 30"),
        ({"rack_valve": {"lowest_ratio": 1, "highest_ratio": 0}}, "the lowest is not below the highest"),
        ({"all": {"latency_seconds": "2 s"}}, "sensors.all.latency_seconds = '2 s': a number is expected"),
        ({"rack_power": 7}, "sensors.rack_power = 7: a mapping of keys is expected here"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value.split(":")[0],
)
def test_wrong_sensors_are_refused_in_a_sentence(written, said):
    faults = Faults("sensors.yaml")
    read_sensors(written, "sensors", faults)
    assert said in "\n".join(map(str, faults))


def test_nothing_written_reads_the_truth():
    assert read_sensors({}, "sensors", Faults("none")) == DIRECT == Settings().sensors


# ---------------------------------------------------------------- whole runs


class Watching:
    """First fit that keeps every snapshot it was shown, and heeds none of its readings."""

    def __init__(self) -> None:
        self.seen: list[FacilitySnapshot] = []

    def __call__(self, snapshot, request, state=None):
        self.seen.append(snapshot)
        return first_fit(snapshot, request, state)

    def at(self, time: float) -> FacilitySnapshot:
        return next(each for each in self.seen if each.time_seconds == time)


@pytest.fixture
def lived(tmp_path, a_job):
    """``lived(name, specs, timeline, …)``: the small hall at a held load, with a job every five minutes.

    Returns the file of its series, what its policy saw, and the result.
    """

    def run(name, specs=None, timeline=(), *, until=2_400.0, seed=5, jobs=range(8)):
        hall = load_hall("small")
        held = {"at": 0, "do": "set_load", "utilisation": 0.6}
        story = read_scenario({"name": "s", "purpose": "p", "timeline": [held, *timeline]}, hall, "s.yaml")
        demand = tuple(a_job(f"job {k}", 1, 60.0, submit=300.0 * k + 5.0) for k in jobs)
        watching = Watching()
        settings = Settings(sensors=conf("default") if specs is None else specs)
        with RunStore(tmp_path / name) as store:
            result = simulate(
                hall, Workload("w", demand, (), {}), watching, story, seed=seed, until=until, settings=settings,
                store=store,
            )  # fmt: skip
            store.finish({"name": "the same"}, result.metrics, {}, True)
        assert_balanced(result.metrics)
        return tmp_path / name / "timeseries.parquet", watching, result

    return run


def test_the_same_seed_senses_the_same_and_another_does_not(lived):
    seen = [lived(name, seed=seed, until=1_000.0)[1].at(910.0) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, again, other = (each.rack_power_watts.tolist() for each in seen)
    assert first == again != other


def test_two_policies_in_one_world_meet_the_same_noise(lived):
    """One has been asked for every job, the other for one: what they read at a common instant is equal."""
    often, seldom = lived("often", until=1_600.0)[1], lived("seldom", until=1_600.0, jobs=[5])[1]
    assert (len(often.seen), len(seldom.seen)) == (6, 1)
    one, other = often.at(1_510.0), seldom.at(1_510.0)
    for name in one.ages:
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_a_snapshot_through_default_sensors_is_near_the_truth_and_eight_seconds_behind_at_least(lived):
    _, watching, _ = lived("real")
    _, exact, _ = lived("exact", DIRECT)
    seen, true = watching.at(2_110.0), exact.at(2_110.0)
    assert set(seen.ages["rack_power_watts"]) <= {10.0, 20.0, 30.0, 40.0}
    assert seen.rack_power_watts == pytest.approx(true.rack_power_watts, rel=0.05)
    assert (seen.rack_power_watts != true.rack_power_watts).all()
    assert seen.rack_return_temperature_celsius == pytest.approx(true.rack_return_temperature_celsius, abs=1.3)
    assert seen.loop_flow_litres_per_minute == pytest.approx(true.loop_flow_litres_per_minute, rel=0.06)
    assert seen.phase_current_amperes == pytest.approx(true.phase_current_amperes, rel=0.03)
    assert seen.phase_names == true.phase_names and len(seen.phase_names) == len(seen.phase_current_amperes)
    assert seen.breaker_closed.all()
    assert seen.rack_free_trays.tolist() == true.rack_free_trays.tolist()  # software's own knowledge is not sensed
    assert set(seen.histories) == set(seen.ages) == set(seen.qualities) == {each.field for each in SIGNALS.values()}


def test_software_counts_the_trays_that_no_job_holds(bench, a_job):
    stage = bench()
    stage.submit(a_job("one", 5, 100.0), a_job("two", 20, 400.0), a_job("later", 18, 50.0, submit=200.0))
    for time in (1.0, 50.0, 150.0, 205.0, 300.0, 500.0):

        def count() -> None:
            held = np.array([each is not None for each in stage.world.holder])
            free = np.add.reduceat(~held, stage.world.topology.rack_tray0[:-1].astype(int), dtype=int)
            assert stage.world.snapshot().rack_free_trays.tolist() == free.tolist()

        stage.at(time, count)
    stage.run(600.0)


# ---------------------------------------------------------------- the plant does not know


FAULTS = {
    "dropout": {"at": 1_000, "do": "sensor_dropout", "rack": "A-02", "signal": "return_temperature"},
    "stuck": {"at": 1_000, "do": "sensor_stuck", "rack": "A-02", "signal": "return_temperature"},
    "bias": {"at": 1_000, "do": "sensor_bias", "rack": "A-02", "signal": "return_temperature", "offset": 6.0},
}
WARMER = {"at": 1_100, "do": "supply_setpoint", "loop": "loop 01", "celsius": 44}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_sensor_changes_what_a_snapshot_says_and_not_what_the_plant_does(lived, fault):
    """Supply rises by 4 K after the sensor broke. The series of both runs are the same file, byte for byte."""
    sound_file, sound, sound_result = lived("sound", ideal(), [WARMER])
    broken_file, broken, broken_result = lived("broken", ideal(), [FAULTS[fault], WARMER])
    assert sound_file.read_bytes() == broken_file.read_bytes()
    same, other = (
        {key: value for key, value in result.metrics.items() if key != "events_total"}
        for result in (sound_result, broken_result)
    )
    assert same == other
    field = "rack_return_temperature_celsius"
    before, after = (getattr(watching.at(910.0), field) for watching in (sound, broken))
    assert before.tolist() == after.tolist()
    true, said = sound.at(2_110.0), broken.at(2_110.0)
    others = [0, 2, 3]
    assert getattr(true, field)[others].tolist() == getattr(said, field)[others].tolist()
    assert getattr(true, field)[1] == pytest.approx(before[1] + 4.0, abs=0.3)
    value, age, quality = getattr(said, field)[1], said.ages[field][1], said.qualities[field][1]
    past = sound.at(1_210.0).histories[field]
    last = past.values[past.time_seconds == 990.0, 1].item()
    if fault == "dropout":
        assert math.isnan(value)
        assert (age, quality) == (1_120.0, Quality.MISSING)  # the reading of 990 s was the last
        early = broken.at(1_210.0)
        assert (early.ages[field][1], early.qualities[field][1]) == (220.0, Quality.STALE)
        assert getattr(early, field)[1] == last
    elif fault == "stuck":
        assert value == last
        assert (age, quality) == (0.0, Quality.GOOD)
    else:
        assert value == pytest.approx(getattr(true, field)[1] + 6.0, abs=1e-9)
        assert (age, quality) == (0.0, Quality.GOOD)


def test_a_repaired_sensor_tells_the_truth_again(lived):
    mended = {**FAULTS["bias"], "repair": "10 min"}
    _, broken, _ = lived("broken", ideal(), [mended])
    _, sound, _ = lived("sound", ideal())
    field = "rack_return_temperature_celsius"
    errors = [getattr(broken.at(t), field)[1] - getattr(sound.at(t), field)[1] for t in (910.0, 1_210.0, 1_810.0)]
    assert errors == pytest.approx([0.0, 6.0, 0.0], abs=1e-9)


def test_without_a_signal_all_sensors_of_a_thing_are_lost(lived):
    _, watching, _ = lived("lost", ideal(), [{"at": 1_000, "do": "sensor_dropout", "loop": "loop 01"}])
    seen = watching.at(1_210.0)
    lost = {name for name, age in seen.ages.items() if (age > 30.0).any()}
    assert lost == {each.field for each in SIGNALS.values() if each.kind == "loop"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"do": "sensor_stuck", "rack": "A-02", "signal": "pump_speed"}, "not measured at A-02"),
        ({"do": "sensor_stuck", "rack": "A-02", "signal": "powr"}, "unknown word"),
        ({"do": "sensor_bias", "rack": "A-02", "signal": "power"}, "sensor_bias needs it"),
        ({"do": "sensor_bias", "breaker": "A-02/feed A", "signal": "closed", "offset": 1}, "a switch has no offset"),
        ({"do": "sensor_dropout", "rack": "A-02", "probability": 1.5}, "out of bounds"),
        ({"do": "sensor_dropout"}, "no target"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_fault_of_a_sensor_is_refused(entry, said):
    with pytest.raises(ScenarioError, match=said):
        read_scenario({"name": "s", "purpose": "p", "timeline": [{"at": 1, **entry}]}, load_hall("small"), "s.yaml")


LOST = {"at": 1_000, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": "25 s"}


@pytest.mark.parametrize(("story", "slowdowns"), [(WARMER, 0), (LOST, 72)], ids=["set point", "pump loss"])
def test_sensor_ticks_change_no_event_and_hardly_a_temperature(lived, story, slowdowns):
    """The same things happen at the same times with ticks as without, and temperatures agree to the plant's 0.05 K."""
    plain_file, _, plain = lived("plain", DIRECT, [story], until=1_500.0)
    ticking_file, _, ticking = lived("ticking", ideal(), [story], until=1_500.0)
    one, other = plain.tables["events"], ticking.tables["events"]
    assert (one["kind"] == str(EventKind.SLOWDOWN_ON)).sum() == slowdowns
    for column in ("kind", "name", "cause", "root", "incident"):
        assert one[column].tolist() == other[column].tolist()
    assert np.abs(one["time_seconds"] - other["time_seconds"]).max() < 0.01
    first, second = pd.read_parquet(plain_file), pd.read_parquet(ticking_file)
    warmth = [f"{what}_temperature_celsius_mean" for what in ("device", "supply", "return")]
    assert np.nanmax(np.abs(first[warmth].to_numpy() - second[warmth].to_numpy())) < 0.05


def test_a_telemetry_outage_of_a_story_ages_what_is_behind_it_and_ends_with_its_repair(lived):
    outage = {"at": 1_000, "do": "telemetry_outage", "rack": "A-03", "repair": "5 min"}
    sound_file, _, _ = lived("sound", ideal())
    silent_file, silent, _ = lived("silent", ideal(), [outage])
    assert sound_file.read_bytes() == silent_file.read_bytes()
    during, after = silent.at(1_210.0), silent.at(1_510.0)
    assert during.ages["rack_power_watts"].tolist() == [0.0, 0.0, 220.0, 0.0]
    assert during.qualities["rack_power_watts"].tolist() == [0, 0, Quality.STALE, 0]
    assert not after.ages["rack_power_watts"].any()


def test_nobody_can_write_to_a_snapshot(bench):
    """It may be recorded some decisions later."""
    seen = bench().world.snapshot()
    arrays = [value for value in vars(seen).values() if isinstance(value, np.ndarray)]
    arrays += [each for kept in (seen.ages, seen.qualities) for each in kept.values()]
    arrays += [each for past in seen.histories.values() for each in (past.time_seconds, past.values, past.quality)]
    assert len(arrays) > 60
    assert not any(each.flags.writeable for each in arrays)


def test_a_telemetry_outage_of_the_world_reaches_the_snapshot(bench):
    stage = bench(settings=Settings(sensors=ideal()))
    world = stage.world
    world.sensors.begin(0.0)
    world.sensors.processes(stage.env, world.telemetry_outages)
    seen = []
    stage.at(100.0, lambda: world.telemetry_outages.append(TelemetryOutage("rack", "A-03")))
    stage.at(205.0, lambda: seen.append(world.snapshot()))
    stage.at(210.0, world.telemetry_outages.clear)
    stage.at(215.0, lambda: seen.append(world.snapshot()))
    stage.run(300.0)
    assert [each.ages["rack_power_watts"].tolist() for each in seen] == [[5.0, 5.0, 115.0, 5.0], [5.0] * 4]
    assert seen[0].qualities["rack_power_watts"].tolist() == [0, 0, Quality.STALE, 0]


# ---------------------------------------------------------------- a glance


@pytest.mark.parametrize(
    ("power", "highest", "outages", "until", "calm"),
    [
        (50_000.0, 50_000.0, (), 10.0, True),
        (50_001.0, 50_000.0, (), 10.0, False),  # a watt beyond
        (50_001.0, np.nan, (), 10.0, True),  # may read anything
        (900_000.0, np.inf, (), 10.0, False),  # at the end of its sensor's range: no reading, however wide the bound
        (50_000.0, 60_000.0, (TelemetryOutage("rack", "A-01"),), 30.0, True),  # the last one still counts …
        (50_000.0, 60_000.0, (TelemetryOutage("rack", "A-01"),), 40.0, False),  # … until it is stale, after 35 s
    ],
)
def test_a_glance_sees_what_a_look_shows(hall, power, highest, outages, until, calm):
    """Of one rack's power; all others have no bounds. Held to what a look says of the same reading."""
    hall.rack_power[:] = power
    sensors = sensors_of(hall, changed(ideal(), "rack_power", highest=800_000.0, stale_seconds=35.0))
    seen = sensors.look(until, outages)
    (bank,) = sensors.banks
    lowest, highest_of_all = np.full((2, len(bank.value)), np.nan)
    place = bank.fields["rack_power_watts"].start
    lowest[place], highest_of_all[place] = 0.0, highest
    assert bank.is_calm(until, until - 60.0, lowest, highest_of_all) == calm
    shown, quality = seen.values["rack_power_watts"][0], seen.qualities["rack_power_watts"][0]
    assert calm == bool(np.isnan(highest) or (quality == Quality.GOOD and shown <= highest))
    too_new = bank.is_calm(until, until + 1.0, lowest, highest_of_all)
    assert too_new == np.isnan(highest)
