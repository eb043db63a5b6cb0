"""The life of a job, to the second, and what a loss does to it: all times worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from twin.plant.plant import Plant
from twin.results.kinds import EventKind
from twin.sim.world import Settings

LIFE = (
    EventKind.JOB_SUBMITTED,
    EventKind.JOB_STARTED,
    EventKind.CHECKPOINT_SAVED,
    EventKind.JOB_REQUEUED,
    EventKind.JOB_KILLED,
    EventKind.JOB_COMPLETED,
)
RACK = 72  # GPUs
SLOW = 0.5**0.7  # pace at half clock: f^β


def _open_both(at: float, rack: str, repair: str = "100 s") -> list[dict]:
    return [{"at": at, "do": "breaker_open", "breaker": f"{rack}/feed {side}", "repair": repair} for side in ("A", "B")]


def _lose(bench, run, root: str = "a test"):
    """Interrupt a job as the loss of a tray does."""
    event = bench.world.log.add(bench.env.now, EventKind.RACK_DARK, "rack", "A-01", root=root)
    run.interrupt(event)


def test_a_job_with_checkpoints_takes_the_time_that_its_phases_add_up_to(tell, a_job, log_of):
    result = tell(1_500.0, jobs=[a_job("train", submit=5.0, load=100.0, work=1_000.0, save=20.0, every=300.0)])
    assert log_of(result, *LIFE) == [
        (5.0, "job_submitted", "train"),
        (10.0, "job_started", "train"),  # at the next control tick
        (430.0, "checkpoint_saved", "train"),  # 10 + 100 of loading + 300 of work + 20 of saving
        (750.0, "checkpoint_saved", "train"),
        (1_070.0, "checkpoint_saved", "train"),
        (1_170.0, "job_completed", "train"),  # the last 100 s need no saving
    ]
    row = result.tables["jobs"].iloc[0]
    assert row["delivered_gpu_seconds"] == pytest.approx(1_000.0 * RACK)
    assert row["lost_gpu_seconds"] == 0.0
    assert row["wait_seconds"] == pytest.approx(5.0)
    assert result.metrics["jobs"]["completed"] == 1


def test_work_that_ends_on_a_checkpoint_is_not_saved(tell, a_job, log_of):
    result = tell(1_000.0, jobs=[a_job("train", submit=5.0, work=600.0, save=20.0, every=300.0)])
    assert log_of(result, *LIFE)[2:] == [(330.0, "checkpoint_saved", "train"), (630.0, "job_completed", "train")]


def test_a_job_in_flight_goes_on_from_where_it_is(tell, a_job, log_of):
    flying = replace(a_job("train", work=1_000.0, load=100.0, save=20.0, every=300.0), elapsed_seconds=450.0)
    result = tell(1_000.0, jobs=[flying])
    assert log_of(result, *LIFE) == [
        (0.0, "job_submitted", "train"),
        (0.0, "job_started", "train"),
        (170.0, "checkpoint_saved", "train"),  # work 450 → 600, and 20 of saving; no loading
        (490.0, "checkpoint_saved", "train"),
        (590.0, "job_completed", "train"),
    ]
    assert result.tables["jobs"]["delivered_gpu_seconds"][0] == pytest.approx(550.0 * RACK)


def test_a_lost_tray_reverts_the_gang_to_its_last_checkpoint(tell, a_job, log_of):
    gang = a_job("train", submit=5.0, load=100.0, work=1_000.0, restore=60.0, save=20.0, every=300.0)
    result = tell(1_500.0, jobs=[gang], timeline=_open_both(500.0, "A-01"))
    (dark, _, rack), *_ = log_of(result, EventKind.RACK_DARK)
    assert rack == "A-01" and 500.0 < dark < 500.1  # the hold-up of its supplies
    assert log_of(result, *LIFE) == [
        (5.0, "job_submitted", "train"),
        (10.0, "job_started", "train"),
        (430.0, "checkpoint_saved", "train"),
        (dark, "job_requeued", "train"),
        (510.0, "job_started", "train"),
        (890.0, "checkpoint_saved", "train"),  # 510 + 60 of restoring + 300 + 20
        (1_210.0, "checkpoint_saved", "train"),
        (1_310.0, "job_completed", "train"),
    ]
    row = result.tables["jobs"].iloc[0]
    assert row["racks"] == "A-02"
    assert row["restarts"] == 1
    assert row["delivered_gpu_seconds"] == pytest.approx(1_000.0 * RACK)
    assert row["lost_gpu_seconds"] == pytest.approx((dark - 430.0 + 60.0) * RACK)
    assert row["lost_cause"].startswith("breaker_open A-01/feed")
    assert result.metrics["gpu_seconds_lost"] == pytest.approx(row["lost_gpu_seconds"])
    assert result.metrics["gpu_seconds_delivered"] == pytest.approx(1_000.0 * RACK)


def test_a_loss_in_the_middle_of_saving_reverts_to_the_save_before(bench, a_job):
    stage = bench()
    (run,) = stage.submit(a_job("train", work=1_000.0, save=20.0, every=300.0))
    stage.at(630.0, lambda: _lose(stage, run))  # 320 to 620 is work, 620 to 640 would be the second save
    stage.run(700.0)
    assert run.saved == 300.0
    assert run.losses == [("a test", pytest.approx(300.0 * RACK))]


def test_without_a_checkpoint_everything_is_done_again(bench, a_job):
    stage = bench()
    (run,) = stage.submit(a_job("train", work=500.0, load=50.0, restore=10.0))
    stage.at(350.0, lambda: _lose(stage, run))
    stage.run(1_000.0)
    assert stage.told(*LIFE)[2:] == [
        (350.0, "job_requeued", "train"),
        (360.0, "job_started", "train"),
        (910.0, "job_completed", "train"),  # nothing to restore: it loads again
    ]
    assert sum(amount for _, amount in run.losses) == pytest.approx(300.0 * RACK)
    assert run.delivered() == pytest.approx(500.0 * RACK)


def test_a_restore_that_is_cut_short_is_lost_as_far_as_it_went(bench, a_job):
    stage = bench()
    (run,) = stage.submit(a_job("train", work=1_000.0, restore=60.0, save=20.0, every=300.0))
    stage.at(365.0, lambda: _lose(stage, run, "the first"))  # saved at 320
    stage.at(395.0, lambda: _lose(stage, run, "the second"))  # 25 s into the restore that began at 370
    stage.run(500.0)
    assert run.losses == [
        ("the first", pytest.approx(45.0 * RACK)),
        ("the first", pytest.approx(25.0 * RACK)),
        ("the second", pytest.approx(60.0 * RACK)),
    ]
    assert run.delivered() == pytest.approx((300.0 + 500.0 - 460.0) * RACK)


def test_a_job_that_is_lost_too_often_is_killed_with_its_cause(bench, a_job):
    stage = bench(settings=Settings(greatest_restarts=1))
    (run,) = stage.submit(a_job("train", work=500.0))
    for time in (105.0, 205.0):
        stage.at(time, lambda: _lose(stage, run))
    stage.run(400.0)
    assert stage.told(*LIFE)[2:] == [
        (105.0, "job_requeued", "train"),
        (110.0, "job_started", "train"),
        (205.0, "job_killed", "train"),
    ]
    assert run.status == "killed" and "a test" in run.reason
    assert list(stage.world.holder) == [None] * 72
    assert run.delivered() == 0.0


# ---------------------------------------------------------------- slow trays


@pytest.mark.parametrize(
    ("slow", "release"),
    [(200.0, 500.0), (5.0, 410.0), (905.0, 1_050.0), (200.0, 5_000.0)],
    ids=["in the middle", "before it starts", "near its end", "for good"],
)
def test_a_slow_tray_delays_its_gang_by_the_work_lost_and_no_more(bench, a_job, slow, release):
    stage = bench()
    (run,) = stage.submit(a_job("train", submit=5.0, work=1_000.0))
    one = np.array([3])
    stage.at(slow, lambda: stage.plant.set_cap(one, 0.5))
    stage.at(release, lambda: stage.plant.set_cap(one, 1.0))
    stage.run(3_000.0)
    began = max(slow, 10.0)
    all_slow = began + (1_000.0 - (began - 10.0)) / SLOW  # end, were it never let go
    end = min(all_slow, 1_010.0 + (release - began) * (1.0 - SLOW))
    assert stage.told(EventKind.JOB_COMPLETED) == [(pytest.approx(end, abs=0.01), "job_completed", "train")]
    assert run.delivered() == pytest.approx(1_000.0 * RACK)


def test_the_slowest_tray_sets_the_pace(bench, a_job):
    stage = bench()
    stage.submit(a_job("train", submit=5.0, work=1_000.0))
    stage.at(10.0, lambda: stage.plant.set_cap(np.arange(4), np.array([0.9, 0.5, 0.8, 1.0])))
    stage.run(3_000.0)
    assert stage.told(EventKind.JOB_COMPLETED)[0][0] == pytest.approx(10.0 + 1_000.0 / SLOW, abs=0.01)


def test_a_loss_while_slow_counts_only_the_work_that_was_done(bench, a_job):
    stage = bench()
    (run,) = stage.submit(a_job("train", submit=5.0, work=1_000.0))
    stage.at(10.0, lambda: stage.plant.set_cap(np.arange(18), 0.5))
    stage.at(310.0, lambda: _lose(stage, run))
    stage.run(315.0)
    assert run.losses == [("a test", pytest.approx(300.0 * SLOW * RACK, rel=1e-6))]


def test_jobs_that_end_within_an_open_stretch_end_as_they_do_where_the_plant_stops_for_them(tell, a_job, monkeypatch):
    """The small hall is certain that loads trip nothing, so that the plant runs past the ends of jobs."""
    jobs = [
        a_job(f"job {n:02d}", 1 + n % 5, 61.3 + 17.7 * n, submit=7.1 * n, load=13.3, save=5.9, every=41.0)
        for n in range(30)
    ]
    opened: list[float] = []
    plain = Plant.open

    def opening(plant: Plant, now: float, until: float) -> float:
        opened.append(now)
        return plain(plant, now, until)

    monkeypatch.setattr(Plant, "open", opening)
    ahead = tell(900.0, jobs=jobs)
    assert len(opened) > 50
    monkeypatch.setattr(Plant, "certain", property(lambda plant: False))
    halting = tell(900.0, jobs=jobs)
    for column in ("time_seconds", "kind", "name", "value", "detail"):
        assert ahead.tables["events"][column].equals(halting.tables["events"][column])
    for table, columns in (("jobs", ("start_seconds", "end_seconds")), ("racks", ("allocated_tray_seconds",))):
        for column in columns:
            assert np.allclose(ahead.tables[table][column], halting.tables[table][column], rtol=1e-12, equal_nan=True)
    racks = [result.tables["racks"] for result in (ahead, halting)]
    assert np.allclose(racks[0]["energy_joules"], racks[1]["energy_joules"], rtol=1e-5)
    assert np.allclose(racks[0]["peak_power_watts"], racks[1]["peak_power_watts"], rtol=1e-4)
    warmest = [each["device_temperature_celsius_max"] for each in racks]
    assert np.allclose(*warmest, rtol=0.0, atol=0.05)
