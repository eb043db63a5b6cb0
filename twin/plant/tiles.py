"""Tiles: the trays of a rack side by side, field by field, so that one instruction steps several of them.

A tile holds up to ``WIDTH`` trays of one rack; a rack has as many tiles as it needs. Its fields stand in one array at
distances that are known when kernels are compiled: without that a compiler must prove anew in every rack that no two
arrays overlap, which costs more than the arithmetic. Tiles are scratch: a stretch loads them from the state and puts
the trays back, except for the linear laws (IR to QP), which :func:`twin.plant.racks.linearise` writes when inputs
change. The tiles of a step's own (``v``) are shared by all loops and so stay in the fastest memory.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twin.plant.compiled import fast_inner, inner, largest_inner

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WIDTH = 32  # trays
# what a stretch begins with and a step takes on
TD = 0 * WIDTH  # device temperature, °C
TP = 1 * WIDTH  # plate temperature, °C
IR = 2 * WIDTH  # conductance from device to plate, W/K
G = 3 * WIDTH  # slope of device heat against device temperature, W/K
QD = 4 * WIDTH  # device heat at 0 °C by that slope, W
QP = 5 * WIDTH  # plate heat, W
UP = 6 * WIDTH  # guard level above, °C
DOWN = 7 * WIDTH  # guard level below, °C
# what a step makes: in tiles that the racks of one loop (or zone) use and those of the next use again
TDN = 0 * WIDTH  # device temperature after the step that was tried
TPN = 1 * WIDTH  # plate temperature after it
INV = 2 * WIDTH  # 1/determinant of the tray's two equations
BB = 3 * WIDTH  # plate against plate heat, K/J
RD = 4 * WIDTH  # residual of the device, W
RY = 5 * WIDTH  # residual of the plate, W
KD = 6 * WIDTH  # dT/dt of the device, first stage, K/s
KP = 7 * WIDTH  # dT/dt of the plate, first stage, K/s
FIELDS = 8
TILE = FIELDS * WIDTH


def first_tiles(tray0: Ints) -> Ints:
    """First tile of every rack, and their number last: shape (R+1,)."""
    return np.concatenate([[0], np.cumsum(-(-np.diff(tray0) // WIDTH))]).astype(np.int64)


def seats(first: Ints, groups: Sequence[Ints]) -> Ints:
    """First tile of every rack among those that its group, a loop or zone, shares with the others: shape (R,)."""
    size = np.diff(first)
    seat = np.zeros(len(size), dtype=np.int64)
    for racks in groups:
        seat[racks] = np.cumsum(size[racks]) - size[racks]
    return seat


@inner
def place(first: int, k: int) -> int:
    """Index of tray ``k`` (from 0 in its rack) of the rack whose first tile is ``first``; add a field to it."""
    return (first + k // WIDTH) * TILE + k % WIDTH


@inner
def load(m: Floats, first: int, i0: int, i1: int, td: Floats, tp: Floats, up: Floats, down: Floats) -> None:
    """Put temperatures and guard levels of trays ``i0`` to ``i1`` into their rack's tiles."""
    tile = first
    while i0 < i1:
        n = min(i1 - i0, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            t[TD + i] = td[i0 + i]
            t[TP + i] = tp[i0 + i]
            t[UP + i] = up[i0 + i]
            t[DOWN + i] = down[i0 + i]
        i0 += n
        tile += 1


@inner
def unload(m: Floats, first: int, i0: int, i1: int, td: Floats, tp: Floats) -> None:
    """Take the temperatures of trays ``i0`` to ``i1`` out of their rack's tiles."""
    tile = first
    while i0 < i1:
        n = min(i1 - i0, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            td[i0 + i] = t[TD + i]
            tp[i0 + i] = t[TP + i]
        i0 += n
        tile += 1


@fast_inner
def accept(m: Floats, first: int, v: Floats, seat: int, trays: int) -> None:
    """Take the step that was tried."""
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        o = v[seat * TILE : (seat + 1) * TILE]
        for i in range(n):
            t[TD + i] = o[TDN + i]
            t[TP + i] = o[TPN + i]
        trays -= n
        tile += 1
        seat += 1


@largest_inner
def largest(m: Floats, first: int, trays: int, field: int) -> float:
    """Largest value of a field of a rack whose values are finite."""
    found = -1e300
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE + field : tile * TILE + field + WIDTH]
        for i in range(n):
            v = t[i]
            found = v if v > found else found
        trays -= n
        tile += 1
    return found


@fast_inner
def device_heat(m: Floats, first: int, trays: int) -> float:
    """Σ device heat [W] of a rack at its trays' temperatures."""
    total = 0.0
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            total += t[QD + i] + t[G + i] * t[TD + i]
        trays -= n
        tile += 1
    return total
