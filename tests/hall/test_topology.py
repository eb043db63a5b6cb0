"""Index arrays against a hall small enough to write them out by hand."""

import networkx as nx
import numpy as np

from twin.hall.graphs import coolant_graph, power_graph
from twin.hall.reader import load_hall
from twin.hall.topology import BREAKER_KINDS, NODE_KINDS, compile_topology


def test_the_arrays_of_a_small_hall(build):
    hall = build("small", {"racks_per_row": 2, "exceptions": {"A-02": {"feeds": ["B"]}}})
    top = compile_topology(hall)
    assert top.node_names == (
        "utility A", "ups A", "pdu A/feed A", "row A/feed A", "A-01/feed A",
        "utility B", "ups B", "pdu A/feed B", "row A/feed B", "A-01/feed B", "A-02/feed B",
    )  # fmt: skip
    assert top.node_parent.tolist() == [-1, 0, 1, 2, 3, -1, 5, 6, 7, 8, 8]
    assert [NODE_KINDS[kind] for kind in top.node_kind[:5]] == ["utility", "ups", "pdu", "row", "rack"]
    assert top.node_feed.tolist() == [0] * 5 + [1] * 6
    assert top.node_row.tolist() == [-1, -1, -1, 0, -1, -1, -1, -1, 0, -1, -1]
    assert top.node_breaker.tolist() == [-1, 0, 1, 2, 3, -1, 4, 5, 6, 7, 8]
    assert top.breaker_node.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert top.breaker_names == tuple(top.node_names[i] for i in top.breaker_node)
    assert [BREAKER_KINDS[kind] for kind in top.breaker_kind[:4]] == ["lsi", "lsi", "lsi", "thermal_magnetic"]
    assert top.rack_feed.tolist() == [[4, 9], [-1, 10]]
    assert top.rack_tray0.tolist() == [0, 18, 36]
    assert top.tray_rack.tolist() == [0] * 18 + [1] * 18
    assert top.rack_neighbour.tolist() == [[-1, 1], [0, -1]]
    assert top.loop_rack_ptr.tolist() == [0, 2] and top.loop_rack_idx.tolist() == [0, 1]
    assert top.zone_rack_ptr.tolist() == [0, 2] and top.zone_rack_idx.tolist() == [0, 1]
    assert top.node_efficiency[1] == 0.97 and top.node_fixed_loss[1] == 1000.0 and top.node_voltage[1] == 480.0
    assert top.node_battery[0] == 0.0 and top.node_battery[1] > 0.0


def test_the_arrays_of_a_hall_of_mixed_cooling():
    top = compile_topology(load_hall("mixed"))
    assert top.row_names == ("A", "B", "C", "D", "E", "S")
    names = np.array(top.rack_names)
    assert set(names[top.rack_loop < 0]) == {f"{row}-0{i}" for row in "DE" for i in range(1, 9)}
    for i, name in enumerate(top.loop_names):
        members = top.loop_rack_idx[top.loop_rack_ptr[i] : top.loop_rack_ptr[i + 1]]
        assert tuple(names[members]) == top.hall.loops[i].racks and top.hall.loops[i].name == name
        assert set(top.rack_loop[members]) == {i}
    assert top.loop_rack_ptr[-1] == (top.rack_loop >= 0).sum()
    assert top.zone_rack_ptr.tolist() == [0, 40, 42]
    assert (~top.rack_production).sum() == 2 and not top.rack_production[-1]
    trays = np.diff(top.rack_tray0)
    assert trays[top.rack_names.index("D-01")] == 4 and trays[0] == 18
    assert len(top.tray_rack) == top.rack_tray0[-1] == 26 * 18 + 16 * 4
    first = {row: top.rack_names.index(f"{row}-01") for row in "ABCDE"}
    assert all(top.rack_neighbour[i].tolist() == [-1, i + 1] for i in first.values())


def test_parents_come_before_their_children_and_the_order_is_that_of_names_not_of_the_file(build):
    hall = build("mixed")
    top = compile_topology(hall)
    assert (top.node_parent < np.arange(len(top.node_names))).all()
    backwards = compile_topology(type(hall)(**{**vars(hall), "nodes": hall.nodes[::-1]}))
    assert backwards.node_names == top.node_names
    assert (backwards.rack_feed == top.rack_feed).all()


def test_racks_with_a_gap_or_another_zone_between_them_are_no_neighbours(build):
    other = {"zones": [{"name": "zone X", "setpoint_celsius": 24, "band_kelvin": 4, "capacity_kilowatts": 40,
                        "fan_watts": 900, "heat_capacity_joules_per_kelvin": 50000}]}  # fmt: skip
    top = compile_topology(build("small", {**other, "exceptions": {"A-02": {"zone": "zone X"}}}))
    assert top.rack_neighbour.tolist() == [[-1, -1], [-1, -1], [-1, 3], [2, -1]]


def test_graphs_follow_power_and_coolant_downstream():
    hall = load_hall("reference")
    power, coolant = power_graph(hall), coolant_graph(hall)
    assert nx.is_forest(power) and sorted(n for n in power if power.in_degree(n) == 0) == ["utility A", "utility B"]
    assert len(nx.descendants(power, "pdu AB/feed A")) == 2 + 32
    assert set(nx.descendants(coolant, "loop 02")) == {f"A-{i:02d}" for i in range(9, 17)}
