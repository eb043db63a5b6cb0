"""What a run teaches, on tables of three rows whose answers are worked by hand."""

import pandas as pd
import pytest

from tests.results.test_incident import RACKS, events
from twin.results.postmortem import canaries, classes, compared, flags, shutdowns, summary, workloads
from twin.results.scorecard import by_outcome, lines, sentence
from twin.results.troubles import racks_of_service

NOBODY = pd.DataFrame({"id": [], "service": [], "end_seconds": []})


def series(**temperatures):
    """A row per minute for each rack, the highest a kelvin above the mean."""
    rows = [
        {
            "time_seconds": 60.0 * n, "name": name.replace("_", "-"),
            "device_temperature_celsius_mean": value - 1.0, "device_temperature_celsius_max": value,
        }
        for name, values in temperatures.items()
        for n, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def rollout(verdict, outcome, canaries="A-01", **more):
    row = {
        "release": "r1", "canaries": canaries, "canary_seconds": 600.0, "seconds_to_verdict": 300.0,
        "verdict": verdict, "outcome": outcome, "ended_seconds": 1_000.0, "reason": "errors",
        "canary_throttled_gpu_seconds": 0.0,
    }  # fmt: skip
    return pd.DataFrame([{**row, **more}])


PUMP = (700.0, "pump_lost", "loop", "l1", "", 0.0)


@pytest.mark.parametrize(
    ("first", "log", "told", "answer", "gap"),
    [
        (60.0, [], rollout("pass", "done"), "landed right", 0.0),
        (66.0, [], rollout("fail", "rolled back"), "on a warm rack", 6.0),
        (54.0, [], rollout("pass", "done"), "on a cool rack", -6.0),
        (60.0, [], rollout("pass", "rolled back"), "did not tell", 0.0),
        (60.0, [PUMP], rollout("fail", "rolled back"), "not about the build", 0.0),
        (60.0, [(950.0, *PUMP[1:])], rollout("fail", "rolled back"), "landed right", 0.0),  # after the verdict
        (60.0, [(700.0, "pump_lost", "loop", "l2", "", 0.0)], rollout("fail", "rolled back"), "landed right", 0.0),
    ],
)
def test_whether_a_canary_landed_right(first, log, told, answer, gap):
    temperatures = series(A_01=[first] * 20, A_02=[60.0] * 20, B_01=[60.0] * 20)
    (found,) = canaries(events(*log), told, RACKS, temperatures)
    assert found.answer == answer
    assert found.figures["gap_kelvin"] == pytest.approx(gap)
    assert "5 min" in found.sentence


def test_a_release_without_a_canary_says_so():
    (found,) = canaries(events(), rollout("", "held", canaries="", canary_seconds=None), RACKS, series())
    assert found.answer == "no canary"


def test_whether_shutdown_was_late_or_early():
    """A-01 goes by itself and is ordered down later; A-02 is ordered down when hot, B-01 when it was cool."""
    log = events(
        (100.0, "slowdown_on", "rack", "A-01", "", 87.0),
        (130.0, "device_shutdown", "rack", "A-01", "", 95.0),
        (170.0, "rack_shut_down", "rack", "A-01", "", None),
        (100.0, "slowdown_on", "rack", "A-02", "", 87.0),
        (160.0, "rack_shut_down", "rack", "A-02", "", None),
        (160.0, "rack_shut_down", "rack", "B-01", "", None),
    )
    temperatures = series(A_01=[70.0, 88.0, 95.0], A_02=[70.0, 88.0, 90.0], B_01=[70.0, 75.0, 76.0])
    late, fine, early = shutdowns(log, RACKS, temperatures)
    assert late.answer == "too late"
    assert late.sentence == (
        "Devices of A-01 shut themselves down at 00:02:10, 30 s after its first slowdown; the order came 40 s later."
    )
    assert fine.answer == "in time"
    assert "1 min after its first slowdown; its hottest device had reached 90.0 °C, 3.0 K above" in fine.sentence
    assert early.answer == "too early"
    assert early.figures["margin_kelvin"] == pytest.approx(11.0)
    assert summary([late, fine, early], "rack") == "3 racks: 1 too late, 1 in time, 1 too early."
    never = shutdowns(log[log["kind"] != "rack_shut_down"], RACKS, temperatures)
    assert [each.answer for each in never] == ["never ordered"]


def test_which_flag_stayed_longer_than_it_was_needed():
    """The pumps of l1 are back at 420 s, and A-01 is hot until the interval that ends at 480 s."""
    log = events(
        (240.0, "pump_lost", "loop", "l1", "", 0.0),
        (250.0, "flag_set", "loop", "l1", "scale_back = halved; warm", None),
        (250.0, "flag_set", "rack", "A-02", "scale_back = halved; warm", None),
        (260.0, "flag_set", "loop", "l2", "evacuate = drain by operator bo; to be safe", None),
        (420.0, "pump_restored", "loop", "l1", "", 2.0),
        (430.0, "flag_cleared", "rack", "A-02", "scale_back cleared; no held rung wants it", None),
        (600.0, "flag_cleared", "loop", "l1", "scale_back cleared; no held rung wants it", None),
    )
    temperatures = series(
        A_01=[70.0] * 5 + [90.0, 90.0, 85.0] + [70.0] * 4, A_02=[70.0] * 12, B_01=[70.0] * 12
    )  # fmt: skip
    found = {each.about: each for each in flags(log, RACKS, NOBODY, temperatures, 720.0)}
    loop, rack = (found[f"scale_back = halved for {place}"] for place in ("loop l1", "rack A-02"))
    idle = found["evacuate = drain for loop l2"]
    assert (loop.answer, loop.figures["condition_over_seconds"], loop.figures["overstay_seconds"]) == (
        "too long", 480.0, 120.0,
    )  # fmt: skip
    assert (rack.answer, rack.figures["overstay_seconds"]) == ("in time", 10.0)
    assert idle.answer == "no condition seen"
    assert "still set at the end of the run" in idle.sentence


def test_a_flag_of_a_service_is_held_against_the_racks_that_its_replicas_held():
    """A replica left B-01 long before the flag; one of another service ended there, before its own."""
    log = events(
        (0.0, "job_started", "job", "chat-0", "on A-01", None),
        (0.0, "job_started", "job", "chat-1", "on A-02, B-01", None),
        (0.0, "job_started", "job", "code-0", "on B-01", None),
        (100.0, "job_started", "job", "chat-1", "on A-02", None),
        (1_000.0, "flag_set", "service", "chat", "shed = hard by operator bo; waits", None),
        (1_000.0, "flag_set", "service", "code", "shed = hard by operator bo; waits", None),
        (1_150.0, "flag_cleared", "service", "chat", "shed cleared; calm", None),
        (1_150.0, "flag_cleared", "service", "code", "shed cleared; calm", None),
    )  # fmt: skip
    jobs = pd.DataFrame(
        {"id": ["chat-0", "chat-1", "code-0"], "service": ["chat", "chat", "code"], "end_seconds": [None, None, 650.0]}
    )
    warm = [70.0] * 17 + [90.0] + [70.0] * 3  # from 1,020 to 1,080 s
    temperatures = series(A_01=[70.0] * 21, A_02=[70.0] * 21, B_01=warm)
    cool = {each.about: each for each in flags(log, RACKS, jobs, temperatures, 1_200.0)}
    assert {each.answer for each in cool.values()} == {"no condition seen"}
    hot = flags(log, RACKS, jobs, series(A_01=[70.0] * 21, A_02=warm, B_01=[70.0] * 21), 1_200.0)
    assert {each.about: each.answer for each in hot} == {
        "shed = hard for service chat": "too long",
        "shed = hard for service code": "no condition seen",
    }
    assert hot[0].figures["overstay_seconds"] == 70.0
    assert racks_of_service(log, jobs, "chat", 50.0, 200.0) == {"A-01", "A-02", "B-01"}
    assert racks_of_service(log, jobs, "code", 650.0, 700.0) == frozenset()


def test_classes_and_workloads_share_out_what_jobs_delivered_and_lost():
    racks = RACKS.assign(rack_class=["big", "big", "small"], gpus=[72, 72, 8], throttled_gpu_seconds=[10.0, 20.0, 4.0])
    jobs = pd.DataFrame(
        {
            "kind": ["training", "training", "batch"], "gpus": [80, 8, 8], "racks": ["A-01,B-01", "B-01", ""],
            "delivered_gpu_seconds": [100.0, 50.0, 0.0], "lost_gpu_seconds": [20.0, 0.0, 5.0],
            "throttled_gpu_seconds": [30.0, None, 4.0],
        }
    )  # fmt: skip
    big, small, nowhere = classes(racks, jobs)
    assert [big[key] for key in ("gpus", "throttled_gpu_seconds", "delivered_gpu_seconds", "lost_gpu_seconds")] == [
        144, 30.0, 50.0, 10.0,
    ]  # fmt: skip
    assert (small["delivered_gpu_seconds"], small["lost_gpu_seconds"]) == (100.0, 10.0)
    assert (nowhere["name"], nowhere["lost_gpu_seconds"]) == ("not placed", 5.0)
    assert compared([big, small, nowhere], "rack classes") == (
        "Of rack classes, big throttled most for what it delivered (60 %) and "
        "big lost most for what it delivered (20 %)."
    )
    kinds = workloads(jobs)
    assert [(each["name"], each["throttled_gpu_seconds"]) for each in kinds] == [("batch", 4.0), ("training", 30.0)]


def test_a_scorecard_of_three_rows():
    rows = [
        ("pumps", "facilities", "loop 01", 60.0, 120.0, 90.0, 30.0, "met", ""),
        ("empty", "on_call", "hall", 60.0, 120.0, 130.0, -10.0, "late", "10 s after its deadline"),
        ("look", "on_call", "hall", None, 120.0, None, None, "missed", "not done"),
    ]
    names = [
        "step",
        "role",
        "target",
        "called_seconds",
        "due_seconds",
        "done_seconds",
        "margin_seconds",
        "outcome",
        "detail",
    ]
    card = pd.DataFrame(rows, columns=names)
    counts = by_outcome(card)
    assert (counts["met"], counts["late"], counts["missed"]) == (1, 1, 1)
    assert counts["by_role"]["on_call"] == {
        "met": 0, "late": 1, "missed": 1, "open": 0, "not_called_for": 0, "unasked": 0,
    }  # fmt: skip
    assert sentence(card) == "1 of 3 steps met their deadline, 1 late, 1 missed"
    assert lines(card)[0] == (
        "pumps on loop 01",
        "facilities",
        "00:01:00",
        "00:02:00",
        "00:01:30",
        "met, 30 s to spare",
    )
    assert lines(card)[2][2:] == ("–", "00:02:00", "–", "missed: not done")
