"""Counts, classes and exceptions by name, spelled out rack by rack; and the overrides that sweeps use."""

from dataclasses import replace

import pytest

from twin.hall.checks import check_hall
from twin.hall.layout import chunks, pdu_name, rack_names, row_names
from twin.hall.parts import BreakerKind, NodeKind, PumpMode
from twin.hall.reader import hall_names, load_hall


def amperes_of_a_row() -> float:
    """A row of 16 racks at nameplate on one feed [A]."""
    return 132_000.0 * 16 / (3**0.5 * 480.0 * 0.98)


def node(hall, name):
    return next(each for each in hall.nodes if each.name == name)


def rating(hall, name):
    return node(hall, name).breaker.rating_amperes


def test_the_reference_hall_is_4_rows_of_16_racks_and_a_staging_cell():
    hall = load_hall("reference")
    main = [rack for rack in hall.racks if rack.cell == "hall"]
    assert [rack.name for rack in hall.racks][:2] == ["A-01", "A-02"]
    assert [rack.name for rack in hall.racks][-3:] == ["D-16", "S-01", "S-02"]
    assert len(main) == 64 and sum(rack.rack_class.max_power_watts for rack in main) == pytest.approx(8.448e6)
    assert [len(loop.racks) for loop in hall.loops] == [8] * 8 + [2]
    assert hall.loops[1].racks[0] == "A-09" and hall.loops[8].racks == ("S-01", "S-02")
    assert all(loop.cdu.pumps == loop.cdu.pumps_needed + 1 for loop in hall.loops)
    assert hall.backup is not None and hall.backup.trays == 288


def test_the_reference_hall_is_oversubscribed_as_it_says():
    hall = load_hall("reference")
    assert rating(hall, "row A/feed A") == 2000.0
    row = amperes_of_a_row()
    assert row == pytest.approx(2592.0, abs=1.0) and row / 2000.0 == pytest.approx(1.30, abs=0.005)
    both = rating(hall, "pdu AB/feed A") + rating(hall, "pdu AB/feed B")
    assert both == pytest.approx(0.75 * 2 * row)
    assert rating(hall, "pdu AB/feed A") == pytest.approx(1944.0, abs=0.5)
    assert node(hall, "pdu AB/feed A").breaker.continuous_fraction == 1.0
    assert hall.loops[0].cdu.rated_heat_watts == pytest.approx(0.80 * 8 * 115_000, rel=1e-5)
    assert rating(hall, "A-01/feed A") == 250.0


def test_the_power_tree_runs_from_utility_to_rack_twice():
    hall = load_hall("reference")
    chain = ["C-05/feed B"]
    while (parent := node(hall, chain[-1]).parent) is not None:
        chain.append(parent)
    assert chain == ["C-05/feed B", "row C/feed B", "pdu CD/feed B", "ups B", "utility B"]
    assert [node(hall, name).kind for name in chain] == [
        NodeKind.RACK, NodeKind.ROW, NodeKind.PDU, NodeKind.UPS, NodeKind.UTILITY,
    ]  # fmt: skip
    assert {node(hall, name).feed for name in chain} == {"B"}
    assert node(hall, "row S/feed A").parent == "ups A"
    assert node(hall, "ups A").battery_joules == pytest.approx(5 * 60 * 66 * 132_000.0 / 2)


def test_the_mixed_hall_has_three_classes_of_cooling_and_three_tiers():
    hall = load_hall("mixed")
    racks = {rack.name: rack for rack in hall.racks}
    assert racks["C-01"].rack_class.name == "gb300_nvl72" and racks["C-01"].loop == "loop 03"
    assert racks["D-01"].rack_class.name == "h100_line_to_line" and racks["D-01"].loop is None
    assert {racks[name].risk_tier for name in ("A-01", "B-01", "C-01")} == {"low", "standard", "high"}
    assert racks["B-08"].valve_position == 0.8
    assert rating(hall, "D-01/feed A") == 100.0 and rating(hall, "E-01/feed B") == 63.0
    assert node(hall, "D-01/feed A").breaker.kind is BreakerKind.THERMAL_MAGNETIC
    assert hall.loops[0].cdu.mode is PumpMode.STANDBY


def test_halls_that_ship_are_listed():
    assert {"mixed", "reference", "small"} <= set(hall_names())


def test_more_rows_need_no_other_key():
    hall = load_hall("reference", ["rows=6"])
    assert sum(rack.cell == "hall" for rack in hall.racks) == 96
    assert len(hall.loops) == 13
    assert node(hall, "row F/feed A").parent == "pdu EF/feed A"
    base = load_hall("reference")
    assert rating(hall, "pdu AB/feed A") == rating(base, "pdu AB/feed A")  # a pair serves two rows, however many pairs
    assert rating(hall, "ups A") == pytest.approx(rating(base, "ups A") * 98 / 66)  # and the UPS all racks
    assert hall.facility.tank_heat_capacity == pytest.approx(base.facility.tank_heat_capacity * 98 / 66)


def test_a_supply_temperature_changes_nothing_else():
    base, warm = load_hall("small"), load_hall("small", ["hall.loop.supply_temperature_celsius=45"])
    assert warm.loops[0].supply_temperature == 45.0
    assert replace(warm, loops=base.loops) == base
    assert replace(warm.loops[0], supply_temperature=40.0) == base.loops[0]


def test_wider_loops_are_rated_for_more():
    hall = load_hall("reference", ["loop.racks=16"])
    assert [len(loop.racks) for loop in hall.loops] == [16] * 4 + [2]
    assert hall.loops[0].cdu.rated_heat_watts == pytest.approx(0.80 * 16 * 115_000, rel=1e-5)


def test_without_oversubscription_a_cdu_and_a_breaker_are_as_their_presets_say():
    hall = load_hall("reference", ["loop.oversubscription=null", "pdu.oversubscription=null"])
    assert hall.loops[0].cdu.rated_heat_watts == 750e3
    assert rating(hall, "pdu AB/feed A") == 2000.0


def test_a_rating_that_is_given_wins_over_one_that_is_derived():
    hall = load_hall("reference", ["pdu.breaker.rating_amperes=9000"])
    assert rating(hall, "pdu CD/feed B") == 9000.0


def test_exceptions_reach_a_rack_a_feed_and_a_loop_and_nothing_else(build):
    exceptions = {
        "A-02": {"valve_position": 0.6, "risk_tier": "high"},
        "A-03/feed B": {"breaker": {"rating_amperes": 200}},
        "loop 01": {"pumps": 4, "supply_temperature_celsius": 38},
        "A-04": {"feeds": ["A"]},
    }
    hall, base = build("small", {"exceptions": exceptions}), build("small")
    assert [rack.valve_position for rack in hall.racks] == [1.0, 0.6, 1.0, 1.0]
    assert [rack.risk_tier for rack in hall.racks] == ["standard", "high", "standard", "standard"]
    assert rating(hall, "A-03/feed B") == 200.0 and rating(hall, "A-03/feed A") == 250.0
    assert node(hall, "A-03/feed B").breaker.time_constant_seconds == 300.0  # the rest of the preset stays
    assert hall.loops[0].cdu.pumps == 4 and hall.loops[0].supply_temperature == 38.0
    assert hall.racks[3].feeds == ("A-04/feed A",)
    assert {each.name for each in base.nodes} - {each.name for each in hall.nodes} == {"A-04/feed B"}


def test_a_class_of_the_hall_changes_single_figures_of_a_preset(build):
    hall = build("small", {"classes": {"gb200_nvl72": {"tray_max_watts": 7000}}})
    assert hall.racks[0].rack_class.max_power_watts == pytest.approx((18 * 7000 + 8194 + 500) / 0.975)
    assert hall.racks[0].rack_class.tray_idle_watts == 1000.0


def test_racks_nodes_loops_and_zones_can_be_spelled_out(build):
    hall = build(
        "small",
        {
            "nodes": [{"name": "X-01/feed B", "kind": "rack", "parent": "row A/feed B", "feed": "B"}],
            "loops": [{"name": "loop X", "cdu": "cdu_120kw", "supply_temperature_celsius": 30}],
            "zones": [
                {
                    "name": "zone X",
                    "setpoint_celsius": 20,
                    "band_kelvin": 3,
                    "capacity_kilowatts": 25,
                    "fan_watts": 900,
                    "heat_capacity_joules_per_kelvin": 50000,
                }
            ],
            "racks": [
                {
                    "name": "X-01",
                    "row": "X",
                    "position": 1,
                    "loop": "loop X",
                    "zone": "zone X",
                    "feeds": ["X-01/feed B"],
                }
            ],
        },
    )
    assert hall.racks[-1].rack_class.name == "gb200_nvl72" and hall.racks[-1].feeds == ("X-01/feed B",)
    assert hall.loops[-1].racks == ("X-01",) and hall.loops[-1].cdu.rated_heat_watts == 121e3
    assert hall.zones[-1].capacity_watts == 25e3


def test_an_air_zone_is_sized_to_the_air_heat_of_its_racks():
    hall = load_hall("reference", ["air.rows_per_zone=2"])
    assert [zone.name for zone in hall.zones] == ["zone 1", "zone 2", "zone S"]
    assert hall.zones[0].capacity_watts == pytest.approx(1.2 * 32 * 17_000, rel=1e-5)
    assert {rack.zone for rack in hall.racks if rack.row in "CD"} == {"zone 2"}


@pytest.mark.parametrize("count", [1, 18, 19, 26, 27, 676, 700])
def test_row_names_sort_in_floor_order_and_never_meet_the_staging_row(count):
    names = row_names(count)
    assert len(names) == len(set(names)) == count
    assert names == sorted(names) and len({len(name) for name in names}) == 1
    assert "S" not in names


def test_names_of_racks_and_pdus():
    assert rack_names("A", 2) == ["A-01", "A-02"] and rack_names("A", 100)[0] == "A-001"
    assert pdu_name(["A", "B"]) == "pdu AB" and pdu_name(["A", "B", "C", "D"]) == "pdu A-D"
    assert pdu_name(["AA", "AB"]) == "pdu AA-AB" and pdu_name(["AA"]) == "pdu AA"
    assert chunks(["A", "B", "C"], 2) == [["A", "B"], ["C"]]


@pytest.mark.parametrize(
    ("name", "racks", "trays", "loops"), [("exascale", 74, 9_472, 25), ("thousand", 1_000, 18_000, 100)]
)
def test_the_large_halls_have_the_size_they_are_named_for_and_no_weak_point(name, racks, trays, loops):
    hall = load_hall(name)
    assert len(hall.racks) == racks and len(hall.loops) == loops
    assert sum(rack.rack_class.trays for rack in hall.racks) == trays
    assert check_hall(hall) == []
