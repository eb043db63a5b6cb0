"""The thermal-aware policy in the twin: through sensors, against the traditional pipeline in the same world."""

import numpy as np

from tests.policy.documents import shipped
from tests.sim.test_sensors import conf
from twin.hall.reader import load_hall
from twin.policy import JobRequest, Placement, first_fit
from twin.policy.aware import thermal_aware
from twin.results.balance import assert_balanced
from twin.sim.scenario import read_scenario
from twin.sim.sensor_settings import ideal
from twin.sim.simulate import Settings, simulate
from twin.workload.jobs import Job, JobKind, Phase, Workload

HOUR = 3_600.0
POLICY = thermal_aware(shipped())


def batch(name: str, submit: float, trays: int, utilisation: float = 0.9, work: float = HOUR) -> Job:
    return Job(
        id=name, kind=JobKind.BATCH, submit_seconds=submit, trays=trays, work_seconds=work, estimate_seconds=work,
        startup=(), steady=Phase("steady", work, utilisation),
    )  # fmt: skip


def told(policy, jobs, *, hall="small", overrides=(), until=0.5 * HOUR, timeline=(), sensors=None, **chosen):
    """A run with sensors of a 10 s period, balanced."""
    built = load_hall(hall, overrides)
    story = read_scenario({"name": "story", "purpose": "to be told", "timeline": list(timeline)}, built, "story.yaml")
    demand = Workload("told", tuple(sorted(jobs, key=lambda job: (job.submit_seconds, job.id))), (), {})
    settings = Settings(sensors=ideal() if sensors is None else sensors, **chosen)
    result = simulate(built, demand, policy, story, seed=0, until=until, settings=settings)
    assert_balanced(result.metrics)
    return result


def test_a_burst_is_spread_where_first_fit_fills_the_first_racks():
    jobs = [batch(f"job-{n:02d}", 61.0 + 0.01 * n, 2) for n in range(24)]
    racks = {}
    for name, policy in (("aware", POLICY), ("first_fit", first_fit)):
        table = told(policy, jobs).tables["jobs"]
        assert (table["status"] == "running").all()
        racks[name] = table["racks"].value_counts()
    assert len(racks["first_fit"]) < len(racks["aware"])
    assert racks["aware"].max() - racks["aware"].min() <= 1


def test_work_waits_for_the_loop_whose_temperatures_are_lost_and_goes_elsewhere():
    """A telemetry outage of one loop: within stale time plus a tick nothing new is placed on its racks."""
    outage = {"at": "0:05:00", "do": "telemetry_outage", "loop": "loop 01"}
    jobs = [batch(f"job-{n:02d}", 600.0 + 10.0 * n, 1) for n in range(30)]
    result = told(POLICY, jobs, timeline=[outage], overrides=("loop.racks=2",))
    built = load_hall("small", ("loop.racks=2",))
    lost = {rack.name for rack in built.racks if rack.loop == "loop 01"}
    table = result.tables["jobs"]
    assert 0 < len(lost) < len(built.racks)
    placed = set(",".join(table["racks"]).split(",")) - {""}
    assert placed and not placed & lost


def test_every_look_is_the_same_to_the_bit_on_a_second_run():
    jobs = [batch(f"job-{n:02d}", 61.0 + 7.0 * n, 1 + n % 5, 0.5 + 0.02 * n) for n in range(20)]
    noisy = conf("default")
    one, other = (told(POLICY, jobs, sensors=noisy).tables["jobs"] for _ in range(2))
    assert one.equals(other)


def test_the_decision_of_the_twin_is_that_of_the_policy_alone():
    """What the scheduler carries out is what the policy says of the very snapshot, called outside the twin."""
    seen = []

    def spy(snapshot, request, state):
        decision, following = POLICY(snapshot, request, state)
        seen.append((snapshot, request, state, decision))
        return decision, following

    told(spy, [batch(f"job-{n}", 30.0 + 40.0 * n, 3) for n in range(6)])
    assert len(seen) >= 6
    for snapshot, request, state, decision in seen:
        assert isinstance(request, JobRequest)
        assert POLICY(snapshot, request, state)[0] == decision
    assert all(isinstance(decision, Placement) and np.isfinite(decision.score) for *_, decision in seen)


def test_heat_profiles_begin_with_the_hall_at_work():
    """Three racks at 0.9 from before the start: had they learnt the idle hall's quarter of an hour too, after two
    minutes the mean would be near that of idle devices, and the excursion from it some 30 K."""
    flying = [batch(f"flying-{n}", 0.0, 17, 0.9, 7_200.0) for n in range(3)]
    table = told(POLICY, [*flying, batch("look", 125.0, 1, 0.0, 5.0)], until=200.0).tables
    profiles, racks = (table[name].set_index("name").iloc[:3] for name in ("heat_profiles", "racks"))
    assert (racks["device_temperature_celsius_max"] > 70.0).all()
    assert np.allclose(profiles["mean_celsius"], racks["device_temperature_celsius_max"], atol=2.0)
    assert (profiles["peak_excursion_kelvin"] < 2.0).all()


def test_a_run_leaves_the_heat_profiles_that_its_policy_learnt():
    """Full racks that stop are warm, cool in the time of their plates, and batch work is what warmed them."""
    jobs = [
        batch(f"job-{n:02d}-{turn}", 61.0 + 2_400.0 * turn, 18, 0.9, 1_200.0) for n in range(4) for turn in range(3)
    ]
    looks = [batch(f"look-{n:03d}", 65.0 + 60.0 * n, 1, 0.0, 5.0) for n in range(178)]
    result = told(POLICY, [*jobs, *looks], until=3 * HOUR)
    table = result.tables["heat_profiles"].set_index("name")
    racks = result.tables["racks"].set_index("name")
    assert list(table.index) == list(racks.index)
    highest = table["mean_celsius"] + table["peak_excursion_kelvin"]
    assert (highest <= racks["device_temperature_celsius_max"] + 0.5).all()
    used = table[table["falls"] > 0]
    assert len(used) > 0
    assert used["recovery_seconds"].between(5.0, 300.0).all()
    assert (used["batch_correlation"] > 0.5).all()
    assert used[["training_correlation", "inference_correlation"]].isna().all(axis=None)
    assert "heat_profiles" not in told(first_fit, looks[:2]).tables
