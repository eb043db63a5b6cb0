"""Halls that make no sense, and what their author is told."""

import copy
import math
from pathlib import Path

import pytest

from twin.hall.checks import check_hall
from twin.hall.errors import HallError
from twin.hall.files import parse_yaml, read_yaml
from twin.hall.presets import load_parts
from twin.hall.reader import load_hall, read_hall
from twin.hall.topology import compile_topology
from twin.places import conf_dir

PARTS = load_parts()
MIXED = read_yaml(conf_dir() / "hall" / "mixed.yaml")

NODE = {"name": "ring 1", "kind": "pdu", "parent": "ring 2", "feed": "A"}
RACK = {"name": "X-01", "row": "X", "position": 1, "loop": "loop 01", "zone": "zone 1", "feeds": ["A-01/feed A"]}

#: what is wrong → (changes to ``small``, the lines that say so)
WRONG = {
    "a loop without a pump": (
        {"loop.pumps": 0},
        ["my.yaml: loop.pumps = 0: a loop without a pump moves no coolant. Give it pumps_needed pumps and a spare."],
    ),
    "fewer pumps than needed": (
        {"loop.pumps": 1},
        ["my.yaml: loop.pumps_needed = 2: more than the 1 pumps installed. Install more or need fewer."],
    ),
    "an unknown phase": (
        {"auxiliary": {"loads": {"lamps": {"power_watts": 1000, "phase": "AD"}}}},
        ["my.yaml: auxiliary.loads.lamps.phase = 'AD': unknown phase 'AD'. Use one of 'AB', 'ABC', 'BC', 'CA'."],
    ),
    "a negative number": (
        {"row_feed.breaker.rating_amperes": -660},
        ["my.yaml: row_feed.breaker.rating_amperes = -660: negative number. "
         "Write a number above 0: rating, or long-time pickup Ir."],
    ),
    "not a number": (
        {"air.recirculation": math.nan},
        ["my.yaml: air.recirculation = nan: not a finite number. "
         "Write a finite number: fraction of a rack's inlet air drawn from each neighbour's exhaust."],
    ),
    "an infinite number": (
        {"facility.tank_minutes": math.inf},
        ["my.yaml: facility.tank_minutes = inf: not a finite number. "
         "Write a finite number: time in which the tank takes up the nameplate heat."],
    ),
    "a text for a number": (
        {"loop.supply_temperature_celsius": "warm"},
        ["my.yaml: loop.supply_temperature_celsius = 'warm': a number is expected. "
         "Write a number: set point of the coolant supply."],
    ),
    "a truth value for a count": (
        {"rows": True},
        ["my.yaml: rows = True: a number is expected. Write a number: rows to lay out."],
    ),
    "a share above one": (
        {"ups.efficiency": 97},
        ["my.yaml: ups.efficiency = 97: out of range. "
         "Write a number above 0 and up to 1: η of P_in = (P_out + c)/η."],
    ),
    "half a rack": (
        {"racks_per_row": 3.5},
        ["my.yaml: racks_per_row = 3.5: a whole number is expected. Write a whole number: racks of a row."],
    ),
    "an unknown key": (
        {"loop.supply_temprature_celsius": 35},
        ["my.yaml: loop.supply_temprature_celsius = 35: unknown key. Did you mean 'supply_temperature_celsius'?"],
    ),
    "an unknown class": (
        {"rack_class": "gb200_nvl27"},
        ["my.yaml: rack_class = 'gb200_nvl27': unknown rack class 'gb200_nvl27'. Did you mean 'gb200_nvl72'?"],
    ),
    "an unknown breaker preset": (
        {"rack_feed.breaker.preset": "ul489_25a"},
        ["my.yaml: rack_feed.breaker.preset = 'ul489_25a': unknown breaker preset 'ul489_25a'. "
         "Did you mean 'ul489_250a'?"],
    ),
    "an unknown CDU preset": (
        {"loop.cdu": "cdu_75kw"},
        ["my.yaml: loop.cdu = 'cdu_75kw': unknown CDU preset 'cdu_75kw'. Did you mean 'cdu_750kw'?"],
    ),
    "an exception to nothing": (
        {"exceptions": {"A-05": {"valve_position": 0.6}}},
        ["my.yaml: exceptions.A-05 = {'valve_position': 0.6}: no row, rack, feed or loop is called 'A-05'. "
         "Did you mean 'A-04'?"],
    ),
    "a breaker smaller than the idle load": (
        # idle rack (18 000 + 8 194 + 500)/0.975 = 27 378 W on two feeds: 16.8 A each; a row of four 67.2 A
        {"row_feed.breaker.rating_amperes": 60},
        ["my.yaml: row_feed.breaker.rating_amperes = 60.0: breaker smaller than the idle load behind it: "
         "67 A at row A/feed A, row A/feed B. Write more than 67, or put fewer racks behind it."],
    ),
    "an orphan rack without a feed": (
        {"exceptions": {"A-02": {"feeds": []}}},
        ["my.yaml: exceptions.A-02.feeds = []: orphan rack: no feed supplies A-02. Give it one or two rack nodes."],
    ),
    "an orphan rack without a loop": (
        {"exceptions": {"A-02": {"loop": None}}},
        ["my.yaml: exceptions.A-02.loop = None: orphan rack: A-02 is liquid-cooled and on no loop. Name its loop."],
    ),
    "no loops at all": (
        {"loop": None},
        ["my.yaml: loop = None: orphan racks: A-01, A-02 and 2 more are liquid-cooled and the hall has no loop. "
         "Add a loop section."],
    ),
    "an orphan rack without a zone": (
        {"exceptions": {"A-02": {"zone": "zone 9"}}},
        ["my.yaml: exceptions.A-02.zone = 'zone 9': unknown air zone 'zone 9'. Did you mean 'zone 1'?"],
    ),
    "a loop for an air-cooled rack": (
        {"exceptions": {"A-02": {"rack_class": "h100_8gpu_air", "loop": "loop 01"}}},
        ["my.yaml: exceptions.A-02.loop = 'loop 01': A-02 is air-cooled and takes no coolant. Remove the key."],
    ),
    "a cycle": (
        {"nodes": [NODE, {**NODE, "name": "ring 2", "parent": "ring 1"}]},
        ["my.yaml: nodes[0].parent = 'ring 1': cycle in the power tree: ring 1 → ring 2 → ring 1. "
         "Feed one of them from a utility or UPS."],
    ),
    "an unknown parent": (
        {"nodes": [{**NODE, "parent": "ups C"}]},
        ["my.yaml: nodes[0].parent = 'ups C': unknown parent 'ups C'. Did you mean 'ups B'?"],
    ),
    "a node of the other side": (
        {"nodes": [{**NODE, "parent": "ups B"}]},
        ["my.yaml: nodes[0].parent = 'ups B': ring 1 is on side A, its parent on side B. Feed it from its own side."],
    ),
    "a duplicate name": (
        {"nodes": [{**NODE, "name": "ups A", "parent": "utility A"}]},
        ["my.yaml: nodes[0].name = 'ups A': duplicate name: 2 power nodes have it. Rename all but one."],
    ),
    "two racks on one feed": (
        {"racks": [RACK]},
        ["my.yaml: exceptions.A-01.feeds = 'A-01/feed A': 2 racks share one rack feed. Give each rack its own.",
         "my.yaml: racks[0].feeds = 'A-01/feed A': 2 racks share one rack feed. Give each rack its own."],
    ),
    "a missing key": (
        {"racks": [{key: RACK[key] for key in RACK if key != "row"}]},
        ["my.yaml: racks[0].row = None: missing key. Add it: name of its row."],
    ),
    "limits out of order": (
        {"classes": {"gb200_nvl72": {"shutdown_celsius": 88}}},
        ["my.yaml: classes.gb200_nvl72.hardware_slowdown_celsius = 89.0: limits must rise: "
         "slowdown 87 < hardware slowdown < shutdown 88. Put them in order."],
    ),
    "phase shares that do not add up": (
        {"classes": {"gb200_nvl72": {"phase_weights": [0.5, 0.3, 0.1]}}},
        ["my.yaml: classes.gb200_nvl72.phase_weights = [0.5, 0.3, 0.1]: three shares, none negative, with sum 1 are "
         "expected. Write the shares of power on A–B, B–C and C–A."],
    ),
    "an exchanger that cannot be": (
        {"loop.rated_approach_kelvin": 0.1, "loop.facility_flow_litres_per_minute": 300},
        ["my.yaml: loop.rated_approach_kelvin = 0.1: no heat exchanger moves rated_heat_kilowatts at these flows and "
         "this approach. Raise the flows or the approach."],
    ),
    "no racks": (
        {"rows": 0, "loop": None},
        ["my.yaml: rows = 0: a hall without racks. Write rows and racks_per_row, or racks one by one."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_hall_is_refused_with_a_message_to_act_on(what, refused):
    changes, expected = WRONG[what]
    assert refused(changes) == expected


def test_all_faults_are_told_at_once(refused):
    several = ["a negative number", "not a number", "an unknown key", "an unknown phase", "a loop without a pump"]
    changes = {key: value for what in several for key, value in WRONG[what][0].items()}
    assert sorted(refused(changes)) == sorted(line for what in several for line in WRONG[what][1])


def test_what_many_racks_have_from_one_key_is_told_once(refused):
    lines = refused({"rack_feed.breaker.rating_amperes": 5}, "reference")
    assert lines == [
        "my.yaml: rack_feed.breaker.rating_amperes = 5.0: breaker smaller than the idle load behind it: 17 A at "
        "A-01/feed A, A-02/feed A and 130 more. Write more than 17, or put fewer racks behind it."
    ]


NONSENSE = (None, -1, 0, 1e12, math.nan, math.inf, "words", "", [], [1], {}, {"x": 1}, True)


def keys_of(mapping, path=()):
    """Every path in a nested mapping, sections and leaves."""
    for key, value in mapping.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from keys_of(value, (*path, key))


@pytest.mark.parametrize("path", list(keys_of(MIXED)), ids=".".join)
def test_nonsense_under_any_key_is_read_or_refused_by_that_key_never_worse(path):
    for value in NONSENSE:
        mapping = copy.deepcopy(MIXED)
        place = mapping
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        try:
            hall = read_hall(mapping, source="my.yaml", parts=PARTS)
        except HallError as error:
            assert error.faults and all(fault.problem and fault.remedy for fault in error.faults)
        else:
            compile_topology(hall)
            check_hall(hall)


@pytest.mark.parametrize("value", [None, 3, "words", [], {"rows": {}}, {1: 2}])
def test_a_file_of_something_else_is_refused(value):
    with pytest.raises(HallError):
        read_hall(value, source="my.yaml", parts=PARTS)


def test_a_mapping_that_is_none_at_all_is_refused():
    with pytest.raises(HallError, match="a mapping of keys is expected"):
        load_hall("small", ["loop=3"])


def test_a_key_that_stands_twice_in_a_file_is_refused_with_its_line():
    with pytest.raises(HallError) as caught:
        parse_yaml("rows: 1\nloop:\n  racks: 4\n  racks: 8\n", "my.yaml")
    assert [str(fault) for fault in caught.value.faults] == [
        "my.yaml: line 4 = 'racks': duplicate name in one mapping. Rename or remove one of the two."
    ]


def test_a_file_that_is_not_yaml_is_refused_with_its_line():
    with pytest.raises(HallError, match=r"my\.yaml: line 3"):
        parse_yaml("rows: 1\nloop: {racks: 4\n", "my.yaml")


def test_an_unknown_hall_is_refused_with_the_nearest_name():
    with pytest.raises(HallError, match=r"unknown hall 'refrence'\. Did you mean 'reference'"):
        load_hall("refrence")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(HallError, match="cannot be read: No such file"):
        load_hall(str(tmp_path / "none.yaml"))


def test_an_override_without_a_value_is_refused():
    with pytest.raises(HallError, match="not key=value"):
        load_hall("small", ["rows"])
