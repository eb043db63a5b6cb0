"""A hall compiled to index arrays: what the plant, the recorder and the policies' snapshots are laid out by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.hall.parts import Hall

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: codes of ``node_kind`` and ``breaker_kind``
NODE_KINDS = ("utility", "ups", "pdu", "row", "panel", "rack")
BREAKER_KINDS = ("lsi", "thermal_magnetic", "table")


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
    """Compile a checked hall. Raises KeyError-free: a hall that reached here has passed :mod:`twin.hall.faults`."""
    raise NotImplementedError
