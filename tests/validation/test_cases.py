"""Every case holds on the plant as it is, and a wrong plant makes its case miss."""

import math
from pathlib import Path

import pytest

import twin
from twin.hall import breaker_figures, cdu_figures
from twin.hall.exchanger import conductance_at_rating
from twin.sim import capping as capping_firmware
from twin.validation import breakers, coolant, cooling_loss, storage
from twin.validation.case import Case, Check, Kind, judge
from twin.validation.cases import CASES, chosen, run

# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_holds(case, judged):
    assert [(row.name, row.obtained, str(row.check)) for row in judged(case.name) if not row.passed] == []


def test_the_table_has_the_cases_of_the_reference_in_their_order():
    names = [case.name for case in CASES]
    assert sorted(names, key=lambda name: int(name[1:])) == [f"V{n}" for n in range(1, 14)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_says_where_it_comes_from_and_what_was_fitted(case):
    assert set(case.confidence.split("/")) <= {"P", "S", "M", "C"}
    assert case.source
    calibrated = any(check.kind is Kind.CALIBRATION for check in case.checks)
    assert case.fitted != "nothing" or not calibrated


def test_cases_are_chosen_by_name_and_keep_their_order():
    assert [case.name for case in chosen(["V11", "V4"])] == ["V4", "V11"]
    assert chosen([]) == CASES
    with pytest.raises(KeyError):
        chosen(["V99"])


def test_each_case_is_announced_before_it_runs():
    log = []

    def obtain(name):
        return lambda: log.append(f"run {name}") or [1.0]

    made = [
        Case(name, "source", "P", "statement", (Check(Kind.IDENTITY, "one", "", low=1.0),), obtain(name))
        for name in ("X1", "X2")
    ]
    rows = list(run(made, lambda case: log.append(f"tell {case.name}")))
    assert log == ["tell X1", "run X1", "tell X2", "run X2"]
    assert [(row.name, row.passed) for row in rows] == [("X1", True), ("X2", True)]


# ---------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("check", "text", "inside", "outside"),
    [
        (Check(Kind.IDENTITY, "", "s", low=1.0, high=60.0), "1 to 60 s", (1.0, 60.0), (0.999, 60.001)),
        (Check(Kind.IDENTITY, "", "s", 1.0, 60.0, True), "between 1 and 60 s", (1.001,), (1.0, 60.0)),
        (Check(Kind.IDENTITY, "", "s", high=0.1, exclusive=True), "below 0.1 s", (0.0, 0.099), (0.1, math.inf)),
        (Check(Kind.IDENTITY, "", "", high=1.0), "at most 1", (1.0,), (1.1, math.nan)),
        (Check(Kind.IDENTITY, "", "K", low=0.0, exclusive=True), "above 0 K", (0.1,), (0.0, math.inf)),
        (Check(Kind.IDENTITY, "", "s", low=3600.0), "at least 3600 s", (3600.0,), (3599.0, math.inf)),
        (Check(Kind.IDENTITY, "", "", low=0.0, high=0.0), "0", (0.0,), (1.0,)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_range_reads_as_it_judges(check, text, inside, outside):
    assert str(check) == text
    assert all(check.holds(value) for value in inside)
    assert not any(check.holds(value) for value in outside)


# ---------------------------------------------------------------- what the cases would catch


def _half_exchanger(*figures):
    conductance = conductance_at_rating(*figures)
    return None if conductance is None else 0.5 * conductance


#: case, what is spoilt and how, and the rows that must miss
SPOILT = [
    ("V1", breakers, "MCB", {"preset": "mcb_c16", "trip_multiple": 1.1}, {"V1a"}),
    ("V2", breakers, "MCB", {"preset": "mcb_c16", "instantaneous_pickup": 4.5}, {"V2c"}),
    ("V2", breakers, "MCB", {"preset": "mcb_c16", "instantaneous_pickup": 11.0}, {"V2b"}),
    ("V2", breakers, "MCB", {"preset": "mcb_c16", "time_constant_seconds": 300}, {"V2a"}),
    ("V3", breakers, "MCCB", {"preset": "ul489_250a", "trip_multiple": 1.4}, {"V3b", "V3c"}),
    ("V4", breaker_figures, "lsi_time_constant", lambda delay: 24.0 * delay, {"V4a", "V4b"}),
    ("V4", breakers, "LOWEST_DELAY", 0.5, {"V4c"}),
    ("V5", breakers, "DYNAMO", {"preset": "dynamo_rack", "table": [[1.1, 600], [1.4, 100]]}, {"V5a", "V5b"}),
    ("V6", capping_firmware, "CAP_AT", 2.0, {"V6b", "V6c"}),
    ("V7", coolant, "ONE_RACK", (*coolant.ONE_RACK, "classes={gb300_nvl72: {pressure_drop_quadratic: 0.006}}"),
     {"V7c", "V7d"}),
    ("V9", cdu_figures, "conductance_at_rating", _half_exchanger, {"V9a", "V9b", "V9c"}),
    ("V10", cooling_loss, "HALL", (*cooling_loss.HALL, "loop.failover_seconds=5"), {"V10a"}),
    ("V10", cooling_loss, "HALL", (*cooling_loss.HALL, "loop.pumps_needed=3"), {"V10a", "V10d"}),
    ("V11", cooling_loss, "HALL",
     (*cooling_loss.HALL, "classes={gb200_nvl72: {plate_heat_capacity_joules_per_kelvin: 28000}}"), {"V11a", "V11b"}),
    ("V11", cooling_loss, "HALL", (*cooling_loss.HALL, "loop.supply_volume_litres=5", "loop.return_volume_litres=5"),
     {"V11e"}),
    ("V12", cooling_loss, "ROOM_CAPACITY", 60e3, {"V12"}),
    ("V13", storage, "JOULES", 1_000.0, {"V13a", "V13c"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "module", "attribute", "value", "rows"), SPOILT)
def test_a_wrong_plant_misses(name, module, attribute, value, rows, monkeypatch):
    monkeypatch.setattr(module, attribute, value)
    (case,) = chosen([name])
    assert rows <= {row.name for row in judge(case) if not row.passed}


def test_capping_takes_the_step_back_only_because_somebody_looks(judged):
    """The controller looks every 3 s; the step comes 0.01 s after a look."""
    below = next(row.obtained for row in judged("V6") if row.name == "V6b")
    assert below == pytest.approx(3.0, abs=0.11)
    alone = next(row.obtained for row in judged("V6") if row.name == "V6d")
    assert alone == pytest.approx(10.2 / 0.3**2, rel=0.05)  # the device's curve; leakage makes it a little sooner


def test_the_operating_points_are_those_that_were_asked_for():
    found = coolant._rack("gb300_nvl72", 117.5, 116e3, 40.0)
    assert found.flow * 60_000.0 == pytest.approx(117.5, rel=1e-4)
    assert found.heat == pytest.approx(116e3, rel=1e-4)
    assert found.supply == pytest.approx(40.0, abs=0.01)
    assert found.loop_return == pytest.approx(found.rack_return, abs=1e-3)


def test_a_store_that_is_large_enough_takes_the_whole_wave_and_a_small_one_a_known_part(monkeypatch):
    """±20 kW at 5 Hz moves 2 kJ per half wave. A quarter of that covers a quarter of every half: √0.75 is left."""
    monkeypatch.setattr(storage, "JOULES", 2_000.0)
    assert storage.step_by_step(5.0, 20e3) == pytest.approx(1.0, abs=1e-9)
    monkeypatch.setattr(storage, "JOULES", 500.0)
    assert storage.step_by_step(5.0, 20e3) == pytest.approx(1.0 - math.sqrt(0.75), rel=1e-3)


# ---------------------------------------------------------------- the page


def test_the_page_lists_the_cases_as_they_are():
    page = (Path(twin.__file__).parent / "docs" / "validation.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| V")]
    assert rows == [
        f"| {case.name} | {', '.join(dict.fromkeys(str(check.kind) for check in case.checks))} | {case.statement} "
        f"| {case.source} [{case.confidence}] | {case.fitted} |"
        for case in CASES
    ]
