"""Every group of measures on a table of about three rows, worked by hand."""

import pandas as pd
import pytest

from twin.results.balance import assert_balanced
from twin.results.measures import METRICS, flatten, measure
from twin.results.metrics import (
    balance_metrics,
    breaker_metrics,
    compute_metrics,
    energy_metrics,
    expectation_metrics,
    peak_metrics,
    service_metrics,
    stranded_metrics,
    throttle_metrics,
    throughput_metrics,
    wait_metrics,
    work_metrics,
)
from twin.results.tables import empty, event_frame

GOOD = dict.fromkeys(("power", "heat", "flow", "jobs", "power_window", "heat_window"), 0.0)


def trip(event: int, level: str, incident: int, value: float, root: str, time: float = 100.0) -> dict:
    return {
        "event": event, "time_seconds": time, "kind": "breaker_trip", "level": level, "name": f"b{event}",
        "incident": incident, "value": value, "root": root,
    }  # fmt: skip


BREAKERS = pd.DataFrame(
    {"name": ["b0", "b1", "b2"], "trips": [1, 0, 0], "thermal_fraction_max": [1.0, 0.8, 0.79]}
)  # fmt: skip

JOBS = pd.DataFrame(
    {
        "id": ["t1", "t2", "b1"],
        "kind": ["training", "training", "batch"],
        "status": ["completed", "running", "killed"],
        "start_seconds": [10.0, 20.0, None],
        "wait_seconds": [0.0, 100.0, 7.0],
        "restarts": [0, 2, 1],
        "delivered_gpu_seconds": [3600.0, 1800.0, 0.0],
        "lost_gpu_seconds": [0.0, 30.0, 70.0],
        "throttled_gpu_seconds": [5.0, 6.0, 7.0],
    }
)

LOSSES = pd.DataFrame(
    [
        ("gpu_seconds", "pump", 30.0),
        ("gpu_seconds", "feed", 70.0),
        ("jobs", "feed", 1.0),
        ("power_watt_seconds", "feed", 500.0),
    ],
    columns=["kind", "cause", "amount"],
)


def test_a_cascade_is_one_incident_with_several_trips_and_a_lone_trip_is_its_own() -> None:
    events = event_frame(
        [
            trip(0, "row", 4, 900.0, "feed lost"),
            trip(1, "pdu", 4, 2000.0, "feed lost"),
            trip(2, "rack", -1, 50.0, ""),
            trip(3, "rack", -1, 60.0, ""),
        ]
    )
    found = breaker_metrics(events, BREAKERS)
    assert found == {
        "breaker_trips_total": 4,
        "breaker_trips_by_level": {"pdu": 1, "rack": 2, "row": 1},
        "breaker_trips_by_cause": {"feed lost": 2, "unknown": 2},
        "breaker_incidents_total": 3,
        "breaker_trip_power_watts": 900.0 + 50.0 + 60.0,  # not 2,000 again: the same watts, one level up
        "breaker_thermal_fraction_max": 1.0,
        "breaker_near_misses_total": 1,  # b0 tripped, b2 stayed below 0.8
    }


def test_throttling_counts_hardware_among_the_onsets_and_leaves_caps_apart() -> None:
    kinds = ["slowdown_on", "slowdown_off", "hardware_slowdown_on", "cap_on"]
    events = event_frame([{"event": i, "time_seconds": 1.0, "kind": kind} for i, kind in enumerate(kinds)])
    racks = pd.DataFrame(
        {
            "loop": ["loop 1", "loop 1", ""],
            "throttled_gpu_seconds": [1.0, 2.0, 4.0],
            "hardware_slowdown_gpu_seconds": [0.5, 0.0, 0.0],
            "capped_gpu_seconds": [0.0, 8.0, 16.0],
            "dark_seconds": [60.0, 0.0, 30.0],
            "device_temperature_celsius_max": [70.0, None, 91.5],
            "shutdown_events": [0, 2, 1],
        }
    )
    assert throttle_metrics(events, racks, JOBS) == {
        "throttle_events_total": 2,
        "hardware_slowdown_events_total": 1,
        "shutdown_events_total": 3,
        "throttled_gpu_seconds": 7.0,
        "throttled_gpu_seconds_by_loop": {"loop 1": 3.0},
        "throttled_gpu_seconds_by_kind": {"batch": 7.0, "training": 11.0},
        "hardware_slowdown_gpu_seconds": 0.5,
        "capped_gpu_seconds": 24.0,
        "rack_dark_seconds": 90.0,
        "gpu_temperature_celsius_max": 91.5,
    }


def test_work_is_counted_by_status_and_lost_by_cause() -> None:
    found = work_metrics(JOBS, LOSSES)
    assert found["jobs"] == {"submitted": 3, "completed": 1, "running": 1, "queued": 0, "refused": 0, "killed": 1}
    assert found["restarts_total"] == 3
    assert found["gpu_seconds_delivered"] == 5400.0
    assert found["gpu_seconds_lost"] == 100.0
    assert found["gpu_seconds_lost_by_cause"] == {"feed": 70.0, "pump": 30.0}
    assert found["power_watt_seconds_lost"] == 500.0
    assert found["jobs_lost_by_cause"] == {"feed": 1.0}


def test_waits_are_of_jobs_that_started() -> None:
    assert wait_metrics(JOBS) == {
        "training": {
            "jobs": 2,
            "wait_seconds_mean": 50.0,
            "wait_seconds_p95": pytest.approx(95.0),
            "wait_seconds_max": 100.0,
        }
    }


def test_throughput_is_per_measured_second() -> None:
    assert throughput_metrics(JOBS, 1800.0) == {
        "batch": {"jobs_per_hour": 0.0, "gpus_delivered": 0.0},
        "training": {"jobs_per_hour": 2.0, "gpus_delivered": 3.0},
    }
    assert throughput_metrics(JOBS, 0.0) == {}


def test_services_miss_targets_and_serve_tokens() -> None:
    services = pd.DataFrame(
        {
            "name": ["chat", "code"], "requests": [200.0, 0.0], "latency_misses": [50.0, 0.0],
            "tokens_arrived": [1000.0, 0.0], "tokens_served": [900.0, 0.0], "tokens_backlog": [100.0, 0.0],
            "wait_seconds_mean": [2.0, None], "wait_seconds_max": [9.0, None], "mean_utilisation": [0.6, 0.0],
        }
    )  # fmt: skip
    found = service_metrics(services, 100.0)
    assert found["latency_misses_total"] == 50.0
    assert found["services"]["chat"]["latency_miss_ratio"] == 0.25
    assert found["services"]["chat"]["tokens_per_second"] == 9.0
    assert found["services"]["code"]["latency_miss_ratio"] == 0.0
    assert found["services"]["code"]["wait_seconds_mean"] is None


def test_pue_is_facility_over_it_and_states_its_boundary() -> None:
    found = energy_metrics({"it_energy_joules": 200.0, "facility_energy_joules": 250.0})
    assert found["pue"] == 1.25
    assert "utility" in found["pue_boundary"] and "AC inlets" in found["pue_boundary"]
    assert energy_metrics({"it_energy_joules": 0.0, "facility_energy_joules": 5.0})["pue"] is None


def test_the_peak_row_is_the_first_by_name_of_equals() -> None:
    assert peak_metrics({"peak_row_power_watts": {"B": 5.0, "A": 5.0, "C": 4.0}}) == {
        "peak_row_power_watts": 5.0,
        "peak_row": "A",
    }
    assert peak_metrics({}) == {"peak_row_power_watts": None, "peak_row": None}


def test_stranded_is_what_allocated_trays_hold_and_do_not_use() -> None:
    racks = pd.DataFrame(
        {
            "loop": ["x", "x", ""], "trays": [10, 10, 4], "allocated_tray_seconds": [1000.0, 500.0, 0.0],
            "max_power_watts": [100.0, 100.0, 40.0], "energy_joules": [8000.0, 6000.0, 500.0],
        }
    )  # fmt: skip
    loops = pd.DataFrame({"name": ["x"], "rated_heat_watts": [200.0], "heat_joules": [13_000.0]})
    found = stranded_metrics(racks, loops, 100.0)
    # full rack: 100 W − 80 W; half a rack: 50 W − 60 W, nothing; empty rack: nothing
    assert found["stranded_power_watts"] == pytest.approx(20.0)
    # three quarters of the loop's trays hold 150 W, 130 W were used
    assert found["stranded_cooling_watts"] == pytest.approx(20.0)
    assert found["allocated_ratio"] == pytest.approx(15.0 / 24.0)
    assert stranded_metrics(racks.drop(columns="trays"), loops, 100.0)["stranded_power_watts"] is None


def test_expectations_are_counted() -> None:
    kinds = ["expectation_met", "expectation_unmet", "expectation_met"]
    events = event_frame([{"event": i, "time_seconds": 9.0, "kind": kind} for i, kind in enumerate(kinds)])
    assert expectation_metrics(events) == {"met": 2, "unmet": 1}


def test_losses_that_causes_do_not_add_up_to_are_out_of_balance() -> None:
    whole = balance_metrics(JOBS, LOSSES, {"balance": GOOD, "power_watt_seconds_lost": 500.0})
    assert whole == {**GOOD, "losses_gpu_seconds": 0.0, "losses_jobs": 0.0, "losses_power_watt_seconds": 0.0}
    assert_balanced({"balance": whole})
    short = balance_metrics(JOBS, LOSSES.iloc[1:], {"balance": GOOD, "power_watt_seconds_lost": 1000.0})
    assert short["losses_gpu_seconds"] == pytest.approx(-0.3)
    assert short["losses_power_watt_seconds"] == pytest.approx(-0.5)
    with pytest.raises(AssertionError, match=r"losses_gpu_seconds: -0\.3.*losses_power"):
        assert_balanced({"balance": short})


def test_a_job_of_no_known_status_is_out_of_balance() -> None:
    odd = JOBS.assign(status=["completed", "vanished", "killed"])
    assert balance_metrics(odd, LOSSES, {"balance": GOOD})["jobs"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({k: v for k, v in GOOD.items() if k != "heat"}, "heat: missing"),
        ({**GOOD, "flow": float("nan")}, "flow: nan"),
        ({**GOOD, "flow": None}, "flow: nan"),
        ({**GOOD, "power": -2e-6}, "power: -2e-06"),
    ],
)
def test_what_is_missing_or_no_number_is_not_balanced(balance: dict, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_balanced({"balance": balance})


def test_a_result_with_metrics_is_balanced_like_its_metrics() -> None:
    class Result:
        metrics = {"balance": {**GOOD, "heat": 5e-7}}  # noqa: RUF012

    assert_balanced(Result())
    with pytest.raises(AssertionError, match="heat"):
        assert_balanced(Result(), tolerance=1e-7)
    with pytest.raises(ValueError, match="no balance"):
        assert_balanced({})


def test_events_of_the_warm_up_are_left_out() -> None:
    events = event_frame([trip(0, "row", 1, 5.0, "x", 59.9), trip(1, "row", 2, 7.0, "y", 60.0)])
    totals = {
        "it_energy_joules": 1.0, "facility_energy_joules": 1.0, "simulated_seconds": 100.0, "warmup_seconds": 60.0,
        "balance": GOOD,
    }  # fmt: skip
    found = compute_metrics({"events": events}, totals)
    assert found["breaker_trips_total"] == 1
    assert found["breaker_trips_by_cause"] == {"y": 1}
    assert found["simulated_seconds"] == 40.0
    assert found["jobs"]["submitted"] == 0


def test_every_measure_has_a_unit_and_every_unit_a_measure(story_run) -> None:
    import json

    metrics = json.loads((story_run / "metrics.json").read_text())
    keys = [key for key, _ in flatten(metrics) if key != "pue_boundary"]
    assert [key for key in keys if measure(key) is None] == []
    heads = {key.split(".")[0] for key in keys}
    # the made-up jobs do not record the first; nobody forecast or rehearsed, and nothing was rolled out
    optional = {"throttled_gpu_seconds_by_kind", "forecast", "operators", "rollouts"}
    assert {column.name.split(".")[0] for column in METRICS} - heads == optional
    assert measure("waits.training.jobs").unit == "1"
    assert measure("waits.training.wait_seconds_max").unit == "s"
    assert measure("services.a.b.requests").unit == "1"
    assert measure("nonsense") is None
    assert empty("jobs").empty
