"""Weak points: halls with one each, found with the figures that make it one."""

import math

import pytest

from twin.hall.checks import Concern, check_hall, guarded_pairs, valve_authority
from twin.hall.reader import load_hall


def of(hall, concern):
    return [each for each in check_hall(hall) if each.concern is concern]


def test_a_hall_without_weak_points_has_none():
    assert check_hall(load_hall("small")) == []


def test_the_concerns_of_the_reference_hall_are_those_it_was_built_with():
    found = check_hall(load_hall("reference"))
    assert {each.concern for each in found} == {
        Concern.SELECTIVITY, Concern.OVERLOAD, Concern.FEED_LOSS, Concern.LOOP_RATING,
    }  # fmt: skip
    assert [each.names[0] for each in found if each.concern is Concern.SELECTIVITY] == ["row A/feed A"]


def test_feed_loss_tells_the_closed_form_time_of_the_survivor(build):
    # four racks of 132 kW on one feed: 648.1 A; each of two carries 324.0 A. Ir such that one carries 70 % of it.
    rating = 4 * 132_000 / (math.sqrt(3) * 480 * 0.98) / 1.4
    hall = build("small", {"row_feed.breaker.rating_amperes": rating, "row_feed.efficiency": 1.0})
    told = next(each for each in of(hall, Concern.FEED_LOSS) if each.names[0] == "row A/feed A")
    assert "at nameplate 648 A and trips after 6.8 min" in told.evidence  # 407.3 s
    assert "486 A at 75% load and never trips" in told.evidence  # 1.05 Ir, below 1.2
    assert told.names == ("row A/feed A", "row A/feed B")


def test_feed_loss_is_no_concern_where_one_side_carries_all(build):
    assert of(build("small"), Concern.FEED_LOSS) == []


def test_a_parent_that_trips_before_its_child_is_told(build):
    # PDU of the row's own rating and a quicker curve: every overload of the row trips it first
    hall = build("small", {"pdu.breaker": {"preset": "lsi_tr2", "rating_amperes": 660}})
    told = of(hall, Concern.SELECTIVITY)
    assert told[0].names == ("row A/feed A", "row A/feed B")
    assert "pdu A/feed A, which carries" in told[0].evidence
    slower = build("small", {"pdu.breaker": {"preset": "lsi_tr24", "rating_amperes": 700}})
    assert of(slower, Concern.SELECTIVITY) == []


def test_what_others_draw_counts_for_the_parent(build):
    # 16 racks behind a row feed of 1000 A: at 75 % load it carries 972 A, so a rack's own overload trips the row
    changes = {"racks_per_row": 16, "loop.racks": 16, "row_feed.breaker.rating_amperes": 1000}
    told = of(build("small", changes), Concern.SELECTIVITY)
    assert told[0].names[0] == "A-01/feed A" and "row A/feed A, which carries 911 A for others" in told[0].evidence


def test_load_above_80_percent_is_told_but_not_of_a_100_percent_rated_breaker(build):
    # nameplate on both feeds: 324 A on the row; 324/380 = 85 %
    eighty = {"row_feed.breaker": {"preset": "lsi_tr16", "rating_amperes": 380, "continuous_fraction": 0.8}}
    told = [each for each in of(build("small", eighty), Concern.OVERLOAD)]
    assert [each.names for each in told] == [("row A/feed A", "row A/feed B")]
    assert "324 A at nameplate on both feeds is 85% of a breaker of 380 A that may carry 80%" in told[0].evidence
    assert told[0].remedy.startswith("Rate it at 405 A")
    full = {"row_feed.breaker": {"preset": "lsi_tr16", "rating_amperes": 380, "continuous_fraction": 1.0}}
    assert of(build("small", full), Concern.OVERLOAD) == []


def test_a_valve_without_authority_is_told(build):
    weak = {"classes": {"gb200_nvl72": {"valve_pressure_drop_kilopascals": 10}}}
    told = of(build("small", weak), Concern.AUTHORITY)
    assert told[0].names == ("A-01", "A-02", "A-03", "A-04")
    assert "12% of the branch's pressure drop" in told[0].evidence  # 10/(10 + 73.5)
    assert valve_authority(build("small").racks[0].rack_class) == pytest.approx(35 / (35 + 73.5), rel=1e-3)


def test_loops_and_air_below_their_heat_are_told(build):
    told = of(build("small", {"loop.oversubscription": 0.8}), Concern.LOOP_RATING)
    assert told[0].names == ("loop 01",) and "368 kW of 460 kW at nameplate, 80%" in told[0].evidence
    told = of(build("small", {"air.capacity_fraction": 0.5}), Concern.AIR_RATING)
    assert told[0].names == ("zone 1",) and "34 kW of 68 kW" in told[0].evidence
    told = of(build("small", {"facility.capacity_fraction": 0.5}), Concern.FACILITY_RATING)
    assert "264 kW of 528 kW" in told[0].evidence


def test_pairs_pass_over_nodes_without_a_breaker(build):
    hall = build("small", {"pdu.breaker": None})
    pairs = {(child.name, parent.name) for child, parent in guarded_pairs(hall)}
    assert ("row A/feed A", "ups A") in pairs and ("A-01/feed B", "row A/feed B") in pairs
    assert not any("utility" in parent for _, parent in pairs)
