"""A hall compiled to index arrays: what the plant, the recorder and the policies' snapshots are laid out by."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.hall.graphs import nodes_parents_first
from twin.hall.parts import Hall, NodeKind

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: codes of ``node_kind`` and ``breaker_kind``
NODE_KINDS = ("utility", "ups", "pdu", "row", "panel", "rack")
BREAKER_KINDS = ("lsi", "thermal_magnetic", "table")
#: codes of ``node_feed`` and columns of ``rack_feed``
FEEDS = ("A", "B")


@dataclass(frozen=True)
class Topology:
    """Index arrays of a hall. R racks, T trays, N power nodes, B breakers, L loops, Z zones, W rows.

    Racks keep the order of ``hall.racks``; trays are contiguous by rack; nodes are sorted parents first; breakers
    follow their nodes. ``*_ptr``/``*_idx`` pairs are compressed rows: members of i are ``idx[ptr[i]:ptr[i+1]]``.
    """

    hall: Hall
    rack_names: tuple[str, ...]
    row_names: tuple[str, ...]
    loop_names: tuple[str, ...]
    zone_names: tuple[str, ...]
    node_names: tuple[str, ...]
    breaker_names: tuple[str, ...]  # the name of the node it protects
    # racks
    rack_row: Ints  # R, index into row_names
    rack_loop: Ints  # R, −1 for none
    rack_zone: Ints  # R
    rack_feed: Ints  # R×2, node index of feed A and B, −1 for none
    rack_tray0: Ints  # R+1
    rack_production: Bools  # R, True for cell "hall"
    rack_neighbour: Ints  # R×2, left and right neighbour in the same row and zone, −1 for none
    # trays
    tray_rack: Ints  # T
    tray_gpus: Ints  # T
    # power
    node_kind: Ints  # N, code in NODE_KINDS
    node_parent: Ints  # N, −1 for a source
    node_feed: Ints  # N, 0 for A, 1 for B
    node_row: Ints  # N, row index for ROW nodes, else −1
    node_breaker: Ints  # N, −1 for none
    node_voltage: Floats  # N, V
    node_efficiency: Floats  # N
    node_fixed_loss: Floats  # N, W
    node_battery: Floats  # N, J
    breaker_node: Ints  # B
    breaker_kind: Ints  # B
    # coolant
    loop_rack_ptr: Ints  # L+1
    loop_rack_idx: Ints  # racks of each loop
    # air
    zone_rack_ptr: Ints  # Z+1
    zone_rack_idx: Ints


def compile_topology(hall: Hall) -> Topology:
    """Compile a hall that has passed :mod:`twin.hall.faults` to index arrays.

    Rows are numbered in the order in which ``hall.racks`` first names them, loops and zones as they stand in the hall,
    nodes parents first with ties by name, breakers in node order. A row node belongs to the row of its first rack.

    Raises KeyError or networkx.NetworkXUnfeasible for a hall that was not checked.
    """
    racks, nodes = hall.racks, nodes_parents_first(hall)
    row_names = tuple(dict.fromkeys(rack.row for rack in racks))
    row = {name: i for i, name in enumerate(row_names)}
    loop = {each.name: i for i, each in enumerate(hall.loops)}
    zone = {each.name: i for i, each in enumerate(hall.zones)}
    node = {each.name: i for i, each in enumerate(nodes)}
    rack_loop = _ints(-1 if rack.loop is None else loop[rack.loop] for rack in racks)
    rack_zone = _ints(zone[rack.zone] for rack in racks)
    loop_ptr, loop_idx = _members(rack_loop, len(hall.loops))
    zone_ptr, zone_idx = _members(rack_zone, len(hall.zones))
    trays = _ints(rack.rack_class.trays for rack in racks)
    guarded = [i for i, each in enumerate(nodes) if each.breaker is not None]
    node_breaker = np.full(len(nodes), -1, dtype=np.int64)
    node_breaker[guarded] = np.arange(len(guarded))
    rack_feed = np.full((len(racks), 2), -1, dtype=np.int64)
    node_row = np.full(len(nodes), -1, dtype=np.int64)
    for r, rack in enumerate(racks):
        for feed in rack.feeds:
            f = node[feed]
            rack_feed[r, FEEDS.index(nodes[f].feed)] = f
            parent = nodes[f].parent
            if parent is not None and nodes[node[parent]].kind is NodeKind.ROW and node_row[node[parent]] < 0:
                node_row[node[parent]] = row[rack.row]
    return Topology(
        hall=hall,
        rack_names=tuple(rack.name for rack in racks),
        row_names=row_names,
        loop_names=tuple(loop),
        zone_names=tuple(zone),
        node_names=tuple(node),
        breaker_names=tuple(nodes[i].name for i in guarded),
        rack_row=_ints(row[rack.row] for rack in racks),
        rack_loop=rack_loop,
        rack_zone=rack_zone,
        rack_feed=rack_feed,
        rack_tray0=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(trays, dtype=np.int64)]),
        rack_production=np.array([rack.cell == "hall" for rack in racks], dtype=np.bool_),
        rack_neighbour=_neighbours(hall),
        tray_rack=np.repeat(np.arange(len(racks), dtype=np.int64), trays),
        tray_gpus=np.repeat(_ints(rack.rack_class.gpus_per_tray for rack in racks), trays),
        node_kind=_ints(NODE_KINDS.index(each.kind) for each in nodes),
        node_parent=_ints(-1 if each.parent is None else node[each.parent] for each in nodes),
        node_feed=_ints(FEEDS.index(each.feed) for each in nodes),
        node_row=node_row,
        node_breaker=node_breaker,
        node_voltage=_floats(each.voltage for each in nodes),
        node_efficiency=_floats(each.efficiency for each in nodes),
        node_fixed_loss=_floats(each.fixed_loss_watts for each in nodes),
        node_battery=_floats(each.battery_joules for each in nodes),
        breaker_node=_ints(guarded),
        breaker_kind=_ints(BREAKER_KINDS.index(b.kind) for each in nodes if (b := each.breaker) is not None),
        loop_rack_ptr=loop_ptr,
        loop_rack_idx=loop_idx,
        zone_rack_ptr=zone_ptr,
        zone_rack_idx=zone_idx,
    )


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def _members(group: Ints, count: int) -> tuple[Ints, Ints]:
    """Compressed rows: which racks belong to each of ``count`` groups, in rack order; −1 belongs to none."""
    order = np.argsort(group, kind="stable").astype(np.int64)
    order = order[group[order] >= 0]
    ptr = np.searchsorted(group[order], np.arange(count + 1)).astype(np.int64)
    return ptr, order


def _neighbours(hall: Hall) -> Ints:
    """Indices of the racks at the next lower and next higher position of the same row and air zone, −1 for none."""
    place = {(rack.row, rack.zone, rack.position): i for i, rack in enumerate(hall.racks)}
    pairs = [[place.get((rack.row, rack.zone, rack.position + step), -1) for step in (-1, 1)] for rack in hall.racks]
    return np.array(pairs, dtype=np.int64).reshape(len(hall.racks), 2)
