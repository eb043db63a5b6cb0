"""Tiles: the trays of a rack side by side, field by field, so that one instruction steps several of them.

A tile holds up to ``WIDTH`` trays of one rack; a rack has as many tiles as it needs. Its fields stand in one array at
distances that are known when kernels are compiled: without that a compiler must prove anew in every rack that no two
arrays overlap, which costs more than the arithmetic. Tiles are scratch: a stretch loads them from the state and puts
the trays back, except for the linear laws (IR to QP), which :func:`twin.plant.racks.linearise` writes when inputs
change.
"""

import numpy as np
from numpy.typing import NDArray

from twin.plant.compiled import fast_inner, inner, largest_inner

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WIDTH = 32  # trays
TD = 0 * WIDTH  # device temperature, °C
TP = 1 * WIDTH  # plate temperature, °C
TDN = 2 * WIDTH  # device temperature after the step that was tried
TPN = 3 * WIDTH  # plate temperature after it
IR = 4 * WIDTH  # conductance from device to plate, W/K
G = 5 * WIDTH  # slope of device heat against device temperature, W/K
QD = 6 * WIDTH  # device heat at 0 °C by that slope, W
QP = 7 * WIDTH  # plate heat, W
INV = 8 * WIDTH  # 1/determinant of the tray's two equations
BB = 9 * WIDTH  # plate against plate heat, K/J
RD = 10 * WIDTH  # residual of the device, W
RY = 11 * WIDTH  # residual of the plate, W
KD = 12 * WIDTH  # dT/dt of the device, first stage, K/s
KP = 13 * WIDTH  # dT/dt of the plate, first stage, K/s
UP = 14 * WIDTH  # guard level above, °C
DOWN = 15 * WIDTH  # guard level below, °C
FIELDS = 16
TILE = FIELDS * WIDTH


def first_tiles(tray0: Ints) -> Ints:
    """First tile of every rack, and their number last: shape (R+1,)."""
    return np.concatenate([[0], np.cumsum(-(-np.diff(tray0) // WIDTH))]).astype(np.int64)


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
def accept(m: Floats, first: int, trays: int) -> None:
    """Take the step that was tried."""
    tile = first
    while trays > 0:
        n = min(trays, WIDTH)
        t = m[tile * TILE : (tile + 1) * TILE]
        for i in range(n):
            t[TD + i] = t[TDN + i]
            t[TP + i] = t[TPN + i]
        trays -= n
        tile += 1


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
