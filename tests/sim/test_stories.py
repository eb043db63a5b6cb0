"""From cause to consequence: whole runs, with what stands in their logs, tables and measures."""

import numpy as np
import pandas as pd
import pytest

from twin.hall.reader import load_hall
from twin.policy import FacilitySnapshot, first_fit
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.sim.scenario import QUIET
from twin.sim.simulate import simulate
from twin.sim.world import Settings
from twin.workload.jobs import Workload


class Watching:
    """First fit that keeps every snapshot it was shown."""

    def __init__(self) -> None:
        self.seen: list[FacilitySnapshot] = []

    def __call__(self, snapshot, request, state=None):
        self.seen.append(snapshot)
        return first_fit(snapshot, request, state)


def _load(utilisation: float = 0.6) -> dict:
    return {"at": 0, "do": "set_load", "utilisation": utilisation}


# ---------------------------------------------------------------- what a policy sees


def test_a_snapshot_at_the_instant_of_a_feed_loss_sees_the_failed_over_current(tell, a_job):
    """The control tick of 600 s comes after the loss of 600 s; half the hall's current has changed sides by then."""
    watching = Watching()
    jobs = [a_job("before", 1, submit=585.0), a_job("at", 1, submit=595.0)]
    lost = {"at": 600, "do": "feed_loss", "node": "ups A"}
    tell(700.0, jobs=jobs, timeline=[_load(), lost], policy=watching)
    before, at = watching.seen
    assert (before.time_seconds, at.time_seconds) == (590.0, 600.0)
    a, b = (before.breaker_names.index(f"row A/feed {side}") for side in ("A", "B"))
    amperes = before.breaker_current_amperes
    assert amperes[a] == pytest.approx(amperes[b], rel=1e-6)
    assert at.breaker_current_amperes[a] == 0.0
    assert at.breaker_current_amperes[b] == pytest.approx(amperes[a] + amperes[b], rel=1e-3)
    assert at.breaker_closed.all()
    assert at.rack_healthy.all()


def test_a_snapshot_sees_dark_racks_as_unhealthy_and_without_trays(tell, a_job):
    watching = Watching()
    cut = [{"at": 100, "do": "breaker_open", "breaker": f"A-02/feed {side}"} for side in ("A", "B")]
    tell(300.0, jobs=[a_job("later", submit=195.0)], timeline=[_load(), *cut], policy=watching)
    (seen,) = watching.seen
    assert seen.rack_healthy.tolist() == [True, False, True, True]
    assert seen.rack_free_trays.tolist() == [18, 0, 18, 18]
    assert seen.rack_power_watts[1] == 0.0
    assert seen.row_power_watts[0] == seen.rack_power_watts.sum()
    assert seen.breaker_closed.sum() == len(seen.breaker_names) - 2


# ---------------------------------------------------------------- from cause to consequence


def test_a_blackout_takes_jobs_along_and_gives_every_loss_its_cause(tell, a_job, log_of):
    """Feed B is gone for good and feed A for ten minutes: the gang loses what it had not saved, then comes back."""
    gang = a_job("gang", 36, work=2_000.0, submit=5.0, restore=60.0, save=20.0, every=500.0)
    cuts = [
        {"at": 500, "do": "feed_loss", "node": "ups B"},
        {"at": 1_000, "do": "feed_loss", "node": "ups A", "repair": "600 s"},
    ]
    result = tell(5_000.0, jobs=[gang], timeline=cuts)
    dark = log_of(result, EventKind.RACK_DARK)
    assert [name for _, _, name in dark] == ["A-01", "A-02", "A-03", "A-04"]  # the busier two first
    assert log_of(
        result, EventKind.JOB_STARTED, EventKind.CHECKPOINT_SAVED, EventKind.JOB_REQUEUED, EventKind.JOB_COMPLETED
    ) == [
        (10.0, "job_started", "gang"),
        (530.0, "checkpoint_saved", "gang"),
        (dark[0][0], "job_requeued", "gang"),
        # feed A is back at 1600; racks are lit at 1600, 1610, … and up 300 s later
        (1_910.0, "job_started", "gang"),  # the tick that finds two racks up
        (2_490.0, "checkpoint_saved", "gang"),  # 60 + 500 + 20
        (3_010.0, "checkpoint_saved", "gang"),
        (3_510.0, "job_completed", "gang"),
    ]
    lost = (dark[0][0] - 530.0 + 60.0) * 36 * 4
    losses = result.tables["losses"].set_index(["kind", "cause"])["amount"]
    assert losses["gpu_seconds"].to_dict() == {"feed_loss ups A 00:16:40": pytest.approx(lost)}
    assert set(losses["power_watt_seconds"].index) == {"feed_loss ups A 00:16:40"}
    metrics = result.metrics
    assert metrics["gpu_seconds_lost"] == pytest.approx(lost)
    assert metrics["power_watt_seconds_lost"] == pytest.approx(losses["power_watt_seconds"].sum())
    assert metrics["restarts_total"] == 1
    assert metrics["breaker_trips_total"] == 0


def test_causes_add_up_to_the_loss_when_several_things_go_wrong(tell, a_job):
    jobs = [a_job(f"job-{n}", 9, 3_000.0, submit=1.0 + n, save=10.0, every=400.0, restore=30.0) for n in range(8)]
    story = [
        {"at": at, "do": "breaker_open", "breaker": f"A-0{rack}/feed {side}", "repair": "200 s"}
        for at, rack in ((700, 1), (1_900, 3))
        for side in ("A", "B")
    ] + [{"at": 2_500, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": "5 min"}]
    result = tell(6_000.0, jobs=jobs, timeline=story)
    metrics, losses = result.metrics, result.tables["losses"]
    by_cause = losses[losses["kind"] == "gpu_seconds"]
    assert len(by_cause) == 3
    assert "unknown" not in set(losses["cause"])
    assert by_cause["amount"].sum() == pytest.approx(metrics["gpu_seconds_lost"])
    assert result.tables["jobs"]["lost_gpu_seconds"].sum() == pytest.approx(metrics["gpu_seconds_lost"])
    status = result.tables["jobs"]["status"].value_counts()
    assert status.sum() == metrics["jobs"]["submitted"] == 8
    events = result.tables["events"]
    assert (events["cause"] < events["event"]).all()  # nothing comes before its cause
    assert events["time_seconds"].is_monotonic_increasing


def test_throttling_makes_a_gang_late_by_the_work_that_its_slowest_tray_lost(tell, a_job, log_of):
    """Twenty seconds without pumps: the GPUs slow down, and the job ends later, by less than it was slow."""
    jobs = [a_job("gang", 72, 2_000.0, submit=5.0, utilisation=0.9)]
    lost = {"at": 600, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": "20 s"}
    plain = log_of(tell(2_500.0, jobs=jobs), EventKind.JOB_COMPLETED)
    result = tell(2_500.0, jobs=jobs, timeline=[lost])
    ((end, *_),) = log_of(result, EventKind.JOB_COMPLETED)
    assert plain == [(2_010.0, "job_completed", "gang")]
    slow = result.metrics["throttled_gpu_seconds"] / 288  # s per GPU
    assert 0.0 < end - 2_010.0 < slow < 60.0
    jobs_table = result.tables["jobs"]
    assert jobs_table["throttled_gpu_seconds"].item() == pytest.approx(result.metrics["throttled_gpu_seconds"])
    assert jobs_table["delivered_gpu_seconds"].item() == pytest.approx(2_000.0 * 288)


def test_a_load_that_is_held_and_let_go_leaves_trays_as_their_jobs_have_them(tell, a_job):
    """A job ends under a held load: when the hold ends its trays are idle, as those that had none all along."""
    jobs = [a_job("short", 18, 300.0, submit=5.0, utilisation=0.9)]
    held = {"at": 100, "do": "set_load", "utilisation": 0.5, "repair": "500 s"}
    watching = Watching()
    late = [*jobs, a_job("look", 1, submit=1_795.0)]
    tell(1_900.0, jobs=late, timeline=[held], policy=watching)
    power = watching.seen[-1].rack_power_watts
    assert watching.seen[-1].time_seconds == 1_800.0
    assert power[0] == pytest.approx(power[1], rel=1e-3)


def test_a_job_that_starts_under_a_held_load_has_its_own_when_the_hold_ends(tell, a_job):
    held = {"at": 1, "do": "set_load", "utilisation": 0.5, "repair": "500 s"}
    watching = Watching()
    jobs = [a_job("job", 18, 5_000.0, submit=5.0, utilisation=0.9), a_job("look", 1, submit=1_795.0)]
    tell(1_900.0, jobs=jobs, timeline=[held], policy=watching)
    held_power, power = watching.seen[0].rack_power_watts, watching.seen[-1].rack_power_watts
    assert power[0] > 1.3 * held_power[0]
    assert power[1] < 0.7 * held_power[1]


def test_of_two_holds_the_earlier_one_comes_back_when_the_later_ends(tell, a_job):
    holds = [
        {"at": 1, "do": "set_load", "utilisation": 0.5},
        {"at": 100, "do": "set_load", "rack": "A-01", "utilisation": 0.9, "repair": "500 s"},
    ]
    watching = Watching()
    jobs = [a_job("during", 1, submit=585.0), a_job("after", 1, submit=1_795.0)]
    tell(1_900.0, jobs=jobs, timeline=holds, policy=watching)
    during, after = (seen.rack_power_watts for seen in watching.seen)
    assert during[0] > 1.3 * during[1]
    assert after[0] == pytest.approx(after[1], rel=1e-3)


# ---------------------------------------------------------------- the run as a whole


def test_a_run_starts_from_equilibrium(tell, a_job):
    """Jobs in flight: an hour changes nothing in what the racks draw or how hot they are."""
    jobs = [a_job(f"job-{n}", 18, np.inf, utilisation=0.3 + 0.2 * n) for n in range(4)]
    racks = [tell(seconds, jobs=jobs).tables["racks"] for seconds in (60.0, 3_600.0)]
    assert (racks[1]["device_temperature_celsius_max"] - racks[0]["device_temperature_celsius_max"]).abs().max() < 1e-3
    assert (racks[1]["energy_joules"] / racks[0]["energy_joules"]).tolist() == pytest.approx([60.0] * 4, rel=1e-6)


def test_a_warm_up_is_left_out_of_the_measures(tell, a_job):
    jobs = [a_job("job", 18, np.inf)]
    whole = tell(1_800.0, jobs=jobs)
    warmed = tell(1_800.0, jobs=jobs, settings=Settings(warmup_seconds=600.0))
    for name in ("it_energy_joules", "facility_energy_joules"):
        assert warmed.metrics[name] == pytest.approx(whole.metrics[name] * 2.0 / 3.0, rel=1e-4)


def test_two_runs_of_one_story_are_equal_to_the_last_bit(tell, a_job):
    jobs = [a_job(f"job-{n}", 9 + n, 800.0, submit=1.0 + 30.0 * n, save=10.0, every=300.0) for n in range(9)]
    story = [
        {"at": 300, "do": "feed_loss", "node": "ups A", "repair": "10 min"},
        {"at": 500, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": "60 s"},
    ]
    one, two = (tell(2_400.0, jobs=jobs, timeline=story) for _ in range(2))
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, two.tables[name], check_exact=True)
    assert one.metrics == two.metrics


def test_a_run_that_is_interrupted_is_marked_and_balanced(a_job):
    def stop(time: float) -> None:
        if time >= 300.0:
            raise KeyboardInterrupt

    work = Workload("told", (a_job("job", 18, np.inf),), (), {})
    result = simulate(
        load_hall("small"), work, first_fit, QUIET, seed=0, until=3_600.0, settings=Settings(), progress=stop
    )
    assert not result.complete
    assert result.metrics["jobs"]["running"] == 1
    assert_balanced(result.metrics)
