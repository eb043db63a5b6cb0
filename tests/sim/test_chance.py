"""Faults by chance: rates that hold, streams that are apart, draws that repeat, and a run that states its draw."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from twin.hall.files import read_yaml
from twin.hall.reader import load_hall
from twin.places import conf_dir
from twin.policy import first_fit
from twin.results.balance import assert_balanced
from twin.results.kinds import EventKind
from twin.sim.actions import ACTIONS
from twin.sim.chance import DEVICES, ChanceError, as_actions, devices_of, draw_faults, read_rates
from twin.sim.scenario import QUIET
from twin.sim.simulate import simulate
from twin.sim.world import Settings
from twin.workload.jobs import Workload

SMALL = load_hall("small")
YEAR = 365.0 * 86_400.0
DEFAULT = read_yaml(conf_dir() / "faults" / "default.yaml")


def rates(**mapping):
    return read_rates(mapping, "faults.yaml")


def faults_of(**mapping):
    with pytest.raises(ChanceError) as caught:
        rates(**mapping)
    assert all(str(fault).startswith("faults.yaml: ") and fault.remedy for fault in caught.value.faults)
    return [(fault.key.removeprefix("faults."), fault.problem) for fault in caught.value.faults]


# ---------------------------------------------------------------- rates


def test_counts_lie_in_the_exact_interval_of_their_rate():
    """100 h between faults of each of 4 racks over 10 years: 3504 expected; 99.9 % Poisson interval of what came."""
    drawn = draw_faults(rates(telemetry_outage={"hours_between": 100.0}), SMALL, 11, 10 * YEAR)
    expected = 4 * 10 * YEAR / 3_600.0 / 100.0
    low, high = 0.5 * chi2.ppf(0.0005, 2 * len(drawn)), 0.5 * chi2.ppf(0.9995, 2 * len(drawn) + 2)
    assert low < expected < high
    assert expected == pytest.approx(3_504.0)


def test_times_in_service_are_exponential_and_repairs_do_not_count_among_them():
    """3 pumps, 50 h in service, 20 h of repair, always: a device cannot fail while it is out."""
    drawn = draw_faults(rates(pump_loss={"hours_between": 50.0, "repair_hours": 20.0}), SMALL, 3, 4 * YEAR)
    waits = []
    for pump in (1, 2, 3):
        mine = [fault for fault in drawn if fault["pump"] == pump]
        back = 0.0
        for fault in mine:
            waits.append(fault["at"] - back)
            back = fault["at"] + fault["repair"]
    waits = np.array(waits)
    assert len(waits) == pytest.approx(3 * 4 * YEAR / 3_600.0 / 70.0, rel=0.1)
    assert waits.min() > 0.0
    error = waits.std() / math.sqrt(len(waits))
    assert abs(waits.mean() - 50.0 * 3_600.0) < 3.3 * error
    assert kstest(waits / (50.0 * 3_600.0), "expon").pvalue > 0.01


def test_repair_times_are_log_normal_about_their_median():
    drawn = draw_faults(
        rates(chiller_trip={"hours_between": 10.0, "repair_hours": 2.0, "repair_spread": 3.0}), SMALL, 5, 4 * YEAR
    )
    repairs = np.log([fault["repair"] / 7_200.0 for fault in drawn])
    assert kstest(repairs / math.log(3.0), "norm").pvalue > 0.01


def test_severity_lies_in_its_range_and_words_go_by_their_weights():
    drawn = draw_faults(
        rates(
            facility_water_loss={"hours_between": 20.0, "severity": [0.2, 0.6]},
            utility_loss={"hours_between": 20.0, "generator": {"starts": 3, "fails": 1}},
            phase_loss={"hours_between": 200.0},
        ),
        SMALL, 7, 2 * YEAR,
    )  # fmt: skip
    severity = np.array([fault["severity"] for fault in drawn if fault["do"] == "facility_water_loss"])
    assert 0.2 <= severity.min() < 0.21 and 0.59 < severity.max() <= 0.6
    assert severity.mean() == pytest.approx(0.4, abs=0.02)
    failed = [fault["generator"] == "fails" for fault in drawn if fault["do"] == "utility_loss"]
    assert np.mean(failed) == pytest.approx(0.25, abs=0.04)
    phases = [fault["phase"] for fault in drawn if fault["do"] == "phase_loss"]
    assert {phase: phases.count(phase) / len(phases) for phase in ("L1", "L2", "L3")} == pytest.approx(
        dict.fromkeys(("L1", "L2", "L3"), 1 / 3), abs=0.06
    )


def test_hot_weather_is_never_wetter_than_dry():
    """One number says how severe a fault is: both bulbs rise alike in their ranges."""
    hot = {"hours_between": 20.0, "dry_bulb_kelvin": [4, 8], "wet_bulb_kelvin": [3, 8], "over": "1 h"}
    drawn = draw_faults(rates(hot_weather=hot), SMALL, 1, YEAR)
    assert len(as_actions(drawn, SMALL)) == len(drawn) > 300
    assert all(fault["wet_bulb_kelvin"] <= fault["dry_bulb_kelvin"] for fault in drawn)


# ---------------------------------------------------------------- streams


def test_the_same_seed_draws_the_same_faults_and_another_draws_others():
    every = read_rates(DEFAULT, "default.yaml")
    assert draw_faults(every, SMALL, 4, YEAR) == draw_faults(every, SMALL, 4, YEAR)
    assert draw_faults(every, SMALL, 4, YEAR) != draw_faults(every, SMALL, 5, YEAR)


def test_a_loop_that_is_added_leaves_the_faults_of_the_others_as_they_were():
    larger = load_hall("small", ("rows=2",))
    every = read_rates(DEFAULT, "default.yaml")
    few, more = (draw_faults(every, hall, 9, 3 * YEAR) for hall in (SMALL, larger))
    loops = [[f for f in drawn if f.get("loop") == "loop 01"] for drawn in (few, more)]
    racks = [[f for f in drawn if f.get("rack", "").startswith("A-")] for drawn in (few, more)]
    assert loops[0] == loops[1] != []
    assert racks[0] == racks[1] != []
    assert any(fault.get("loop") == "loop 02" for fault in more)


def test_a_kind_that_is_added_or_changed_leaves_the_others_as_they_were():
    clog = {"hours_between": 100.0, "factor": [2, 5]}
    alone = draw_faults(rates(filter_clog=clog), SMALL, 2, YEAR)
    beside = draw_faults(rates(hx_fouling={"hours_between": 90.0, "severity": 0.3}, filter_clog=clog), SMALL, 2, YEAR)
    assert [fault for fault in beside if fault["do"] == "filter_clog"] == alone
    fixed = draw_faults(rates(filter_clog=clog | {"factor": 3}), SMALL, 2, YEAR)
    assert [fault["at"] for fault in fixed] == [fault["at"] for fault in alone]


def test_a_longer_run_begins_with_the_faults_of_a_shorter_one():
    every = read_rates(DEFAULT, "default.yaml")
    longer = draw_faults(every, SMALL, 4, 2 * YEAR)
    assert [fault for fault in longer if fault["at"] < YEAR] == draw_faults(every, SMALL, 4, YEAR)


# ---------------------------------------------------------------- devices


def test_every_fault_knows_whom_it_may_befall():
    for hall in (SMALL, load_hall("mixed"), load_hall("reference")):
        for rate in read_rates(DEFAULT, "default.yaml"):
            assert devices_of(hall, rate), (hall.name, rate.do)
    assert set(DEVICES) == set(DEFAULT) <= set(ACTIONS)
    drawn = draw_faults(read_rates(DEFAULT, "default.yaml"), load_hall("mixed"), 0, 20 * YEAR)
    assert {fault["do"] for fault in drawn} == set(DEFAULT)
    assert len(as_actions(drawn, load_hall("mixed"))) >= len(drawn)  # each fits its hall


def test_what_cannot_break_is_left_out():
    (stuck,) = rates(valve_stuck={"hours_between": 1.0})
    (battery,) = rates(ups_on_battery={"hours_between": 1.0})
    (phase,) = rates(phase_loss={"hours_between": 1.0})
    (trays,) = rates(thermal_interface={"hours_between": 1.0, "factor": 2})
    mixed = load_hall("mixed")
    liquid = {rack.name for rack in mixed.racks if rack.loop is not None}
    assert {name for name, _ in devices_of(mixed, stuck)} == liquid
    assert [name for name, _ in devices_of(SMALL, battery)] == ["ups A", "ups B"]
    assert "utility A" not in dict(devices_of(SMALL, phase))
    assert devices_of(SMALL, trays)[18] == ("A-02 tray 1", {"rack": "A-02", "tray": 1})


def test_per_chooses_among_what_a_fault_may_befall():
    (feed,) = rates(utility_loss={"hours_between": 1.0})
    (hall,) = rates(utility_loss={"hours_between": 1.0, "per": "hall"})
    assert devices_of(SMALL, feed) == [("A", {"feed": "A"}), ("B", {"feed": "B"})]
    assert devices_of(SMALL, hall) == [("hall", {})]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kind", "entry", "key", "problem"),
    [
        ("pump_lose", {"hours_between": 1}, "", "no fault that comes by chance"),
        ("submit_job", {"hours_between": 1}, "", "no fault that comes by chance"),
        ("pump_loss", 5, "", "not a mapping"),
        ("pump_loss", {}, ".hours_between", "no rate"),
        ("pump_loss", {"hours_between": 0}, ".hours_between", "not such a number"),
        ("pump_loss", {"hours_between": 9, "repair_hours": -1}, ".repair_hours", "not such a number"),
        ("pump_loss", {"hours_between": 9, "repair_spread": 0.5}, ".repair_spread", "not such a number"),
        ("pump_loss", {"hours_between": 9, "pump": 1}, ".pump", "unknown key of pump_loss"),
        ("pump_loss", {"hours_between": 9, "per": "rack"}, ".per", "not what it comes upon"),
        ("filter_clog", {"hours_between": 9}, ".factor", "filter_clog needs it"),
        ("filter_clog", {"hours_between": 9, "factor": [5, 2]}, ".factor", "a range that ends below its beginning"),
        ("filter_clog", {"hours_between": 9, "factor": [0.5, 2]}, ".factor", "out of bounds"),
        ("filter_clog", {"hours_between": 9, "factor": 2, "over": "soon"}, ".over", "not a time"),
        ("utility_loss", {"hours_between": 9, "generator": {"stops": 1}}, ".generator", "unknown word"),
        (
            "utility_loss",
            {"hours_between": 9, "generator": {"fails": -1}},
            ".generator",
            "the weight of fails is no number",
        ),
        (
            "utility_loss",
            {"hours_between": 9, "generator": {"fails": 0}},
            ".generator",
            "weights that add up to nothing",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_wrong_rates(kind, entry, key, problem):
    assert faults_of(**{kind: entry}) == [(f"{kind}{key}", problem)]


def test_all_faults_are_told_together():
    found = faults_of(explosion={}, filter_clog={"factor": 0}, pump_loss={"hours_between": 5})
    assert [key for key, _ in found] == ["explosion", "filter_clog.hours_between", "filter_clog.factor"]


# ---------------------------------------------------------------- runs


def _run(seed: int, policy=first_fit):
    often = rates(
        pump_degradation={"hours_between": 2.0, "repair_hours": 0.2, "severity": [0.1, 0.5], "over": "5 min"},
        breaker_nuisance_trip={"hours_between": 20.0},
        thermal_interface={"hours_between": 40.0, "factor": [1.5, 4], "repair_hours": 0.3},
    )
    work = Workload("told", (), (), {})
    settings = Settings(faults=often, reclose_seconds=300.0)
    return simulate(SMALL, work, policy, QUIET, seed=seed, until=2 * 3_600.0, settings=settings)


def test_a_run_meets_the_faults_that_it_drew_and_states_them():
    result = _run(1)
    assert_balanced(result.metrics)
    assert len(result.drawn) > 3
    events = result.tables["events"]
    came = events[events["kind"] == EventKind.FAULT_DRAWN]
    assert came["time_seconds"].tolist() == [fault["at"] for fault in result.drawn]
    assert came["detail"].str.startswith("drawn: ").all()
    assert {root.split()[0] for root in came["root"]} == {fault["do"] for fault in result.drawn}
    follow = events[events["kind"] == EventKind.PUMP_DEGRADED]
    assert set(follow["cause"]) <= set(came["event"])


def test_two_policies_meet_the_same_faults():
    def backwards(snapshot, request, state=None):
        return first_fit(snapshot, request, state)

    assert _run(1).drawn == _run(1, backwards).drawn != _run(2).drawn


def test_a_run_without_rates_draws_nothing():
    work = Workload("told", (), (), {})
    result = simulate(SMALL, work, first_fit, QUIET, seed=1, until=600.0, settings=Settings())
    assert result.drawn == ()
