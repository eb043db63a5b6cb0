"""The shipped ladder goes by what a rack is: devices by their class's own limit, coolant on loops, air elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from twin.hall.files import read_yaml
from twin.places import conf_dir
from twin.policy.check import example
from twin.policy.factors import sense
from twin.policy.ladder import start, step, wishes
from twin.policy.ladder_rules import rules_from_mapping
from twin.policy.sensed import readings_of
from twin.policy.snapshot import FacilitySnapshot

RULES = rules_from_mapping(read_yaml(conf_dir() / "policy" / "ladder" / "default.yaml"))


def hall(time: float, **fields: object) -> FacilitySnapshot:
    """Two rows: the first without a loop and with devices that slow down at 80 °C, the second as it comes (87 °C)."""
    base = example(2)
    first = base.rack_row == 0
    assert base.facility is not None
    slowdown = np.where(first, 80.0, 87.0)
    supply = np.where(first, 24.0, 40.0)  # a rack without a loop reads its inlet air
    return replace(
        base,
        time_seconds=time,
        rack_loop=np.where(first, -1, base.rack_loop),
        facility=replace(base.facility, rack_slowdown_celsius=slowdown),
        **{"rack_supply_temperature_celsius": supply, **fields},  # type: ignore[arg-type]
    )


def reached(until: float = 200.0, **fields: object) -> set[tuple[str, str]]:
    """(place, rung) of all that is held after readings every 10 s."""
    state = start(RULES, readings_of(hall(0.0)).members, 0.0)
    for time in np.arange(10.0, until + 1.0, 10.0):
        state, _ = step(RULES, state, readings_of(hall(float(time), **fields)), float(time))
    found = set()
    for ladder in RULES.ladders:
        held = state.ladders[ladder.name]
        assert not held.unseen.any(), ladder.name  # nobody misses coolant where there is none
        found |= {
            (state.members[ladder.level][place], f"{ladder.name} {ladder.steps[held.rungs[place] - 1].rung}")
            for place in np.flatnonzero(held.rungs).tolist()
        }
    assert bool(found) or not wishes(RULES, state)
    return found


def of_racks(first: float, second: float) -> np.ndarray:
    """A value for the first rack of either row, 20 below in all others."""
    base = example(2)
    values = np.where(base.rack_row == 0, first, second) - 20.0
    for row, value in ((0, first), (1, second)):
        values[np.flatnonzero(base.rack_row == row)[0]] = value
    return values


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (78.0, 85.0, set()),  # both 2 K below their limits: ordinary work
        (80.0, 80.0, {("A-01", "rack_devices throttle")}),  # the one is at its limit, the other 7 K below
        (70.0, 87.0, {("B-01", "rack_devices throttle")}),
    ],
)
def test_devices_are_held_to_the_limit_of_their_class(first, second, expected):
    assert reached(rack_device_temperature_celsius=of_racks(first, second)) == expected


def test_air_is_held_to_limits_of_air_and_only_where_it_cools():
    inlet = of_racks(36.0, 36.0)  # racks on loops bear warm air
    assert reached(rack_inlet_air_temperature_celsius=inlet) == {("A-01", "rack_air throttle")}


def test_means_of_coolant_leave_out_racks_that_have_none():
    base = example(2)
    supply = np.where(base.rack_row == 0, 24.0, 46.0)  # the mean of all racks would be 35 °C
    found = reached(rack_supply_temperature_celsius=supply)
    assert ("hall", "hall_coolant throttle") in found
    assert not any(place.startswith("A") for place, _ in found)


def test_a_rack_without_a_loop_has_no_flow_that_could_be_too_old():
    """Its meter of flow is not there and has never measured; no rule about circulation may keep work off for that."""
    base = example(2)
    assert base.facility is not None
    without = np.arange(len(base.rack_names)) < 1
    ages = {**base.ages, "rack_flow_litres_per_minute": np.where(without, np.inf, 2.0)}
    air = replace(base, rack_loop=np.where(without, -1, base.rack_loop), ages=ages)
    found = sense(air, base.facility)
    assert found.values["cooling_stability"][0] == 1.0 and found.ages["cooling_stability"][0] == 0.0
    liquid = sense(replace(base, ages=ages), base.facility)
    assert liquid.ages["cooling_stability"][0] == np.inf


def test_coolant_of_a_rack_that_has_none_is_missed_by_nobody():
    """Its meters of flow, valve and temperatures are not there: neither an alert, nor a rung where 0 is too little."""
    air = hall(0.0).rack_loop < 0
    names = ("rack_flow_litres_per_minute", "rack_valve_ratio", "rack_return_temperature_celsius")
    rungs = [{
        "rung": "alert", "when": {"signal": name, "below": 0.5, "for_seconds": 20},
        "release": {"level": 0.6, "for_seconds": 20}, "do": ["alert"],
    } for name in names]  # fmt: skip
    ladders = {f"of {name}": {"scope": "rack", "rungs": [rung]} for name, rung in zip(names, rungs, strict=True)}
    readings = {"stale_seconds": 60, "greatest_gap_seconds": 30, "unseen_seconds": 120}
    mapping = {"name": "flow", "version": 1, "owner": "tests", "readings": readings, "ladders": ladders}
    rules = rules_from_mapping(mapping)
    for value in (0.0, np.nan):
        state = start(rules, readings_of(hall(0.0)).members, 0.0)
        for time in np.arange(10.0, 201.0, 10.0):
            fields = {name: np.where(air, value, 1.0) for name in names}
            state, actions = step(rules, state, readings_of(hall(float(time), **fields)), float(time))
            assert actions == ()


def test_a_mean_is_bounded_by_its_racks_also_where_some_rows_have_none():
    """One bound for all rows, as long as every rack that counts was read at once; a row without such racks has none."""
    base = hall(0.0)
    supply = np.where(base.rack_loop < 0, 60.0, np.linspace(40.0, 41.0, len(base.rack_loop)))
    mean = readings_of(hall(0.0, rack_supply_temperature_celsius=supply)).of(
        "row_mean_supply_temperature_celsius", "row"
    )
    assert mean.absent.tolist() == [True, False]
    lowest, highest, first, last = mean.extent
    assert 40.0 < lowest < mean.values[1] < highest < 41.1 and first == last
    assert mean.measured_seconds.tolist() == [-np.inf, first]
    ages = {**base.ages, "rack_supply_temperature_celsius": np.arange(len(supply), dtype=float)}
    late = readings_of(hall(0.0, ages=ages)).of("row_mean_supply_temperature_celsius", "row")
    assert late.extent is None and late.measured_seconds[1] == -len(supply) + 1.0


def test_without_limits_of_classes_devices_are_unseen():
    base = hall(0.0)
    assert base.facility is not None
    blind = replace(base, facility=replace(base.facility, rack_slowdown_celsius=np.zeros(0)))
    found = readings_of(blind).signals["rack_device_over_slowdown_kelvin"]
    assert found.extent is None and (found.quality != 0).all()
