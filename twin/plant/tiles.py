"""Tiles: the trays of a rack side by side, field by field, so that one instruction steps several of them.

A tile holds up to ``WIDTH`` trays of one rack; a rack has as many tiles as it needs. Its fields stand in one array at
distances that are known when kernels are compiled: without that a compiler must prove anew in every rack that no two
arrays overlap, which costs more than the arithmetic. Tiles are scratch, used again for every loop and air zone so that
they stay in a processor's nearest cache: a stretch loads them from the state and from the linear laws, and puts the
trays back.
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
FIELDS = 14
TILE = FIELDS * WIDTH


def first_tiles(tray0: Ints, place: Ints) -> tuple[Ints, int]:
    """First tile of every rack, shape (R,), counted from 0 in its ``place``, and how many the largest place needs.

    place: shape (R,), a number for each loop and air zone whose racks are stepped together.
    """
    needs = -(-np.diff(tray0) // WIDTH)
    first = np.zeros(len(needs), dtype=np.int64)
    for each in np.unique(place):
        racks = np.flatnonzero(place == each)
        first[racks[1:]] = np.cumsum(needs[racks])[:-1]
    return first, int((first + needs).max(initial=0))


@inner
def place(first: int, k: int) -> int:
    """Index of tray ``k`` (from 0 in its rack) of the rack whose first tile is ``first``; add a field to it."""
    return (first + k // WIDTH) * TILE + k % WIDTH


@inner
def _copy(source: Floats, start: int, to: Floats, at: int, n: int) -> None:
    """Copy ``n`` values: between two arrays, and no more, a processor's wide registers take several at once."""
    s, t = source[start : start + n], to[at : at + n]
    for i in range(n):
        t[i] = s[i]


@inner
def load(m: Floats, first: int, i0: int, i1: int, td: Floats, tp: Floats, ir: Floats, law: Floats) -> None:
    """Put temperatures and linear laws of trays ``i0`` to ``i1`` into their rack's tiles.

    law: shape (3, T), slope, device heat at 0 °C and plate heat.
    """
    tile = first * TILE
    while i0 < i1:
        n = min(i1 - i0, WIDTH)
        _copy(td, i0, m, tile + TD, n)
        _copy(tp, i0, m, tile + TP, n)
        _copy(ir, i0, m, tile + IR, n)
        _copy(law[0], i0, m, tile + G, n)
        _copy(law[1], i0, m, tile + QD, n)
        _copy(law[2], i0, m, tile + QP, n)
        i0 += n
        tile += TILE


@inner
def unload(m: Floats, first: int, i0: int, i1: int, td: Floats, tp: Floats) -> None:
    """Take the temperatures of trays ``i0`` to ``i1`` out of their rack's tiles."""
    tile = first * TILE
    while i0 < i1:
        n = min(i1 - i0, WIDTH)
        _copy(m, tile + TD, td, i0, n)
        _copy(m, tile + TP, tp, i0, n)
        i0 += n
        tile += TILE


@inner
def keep_law(m: Floats, first: int, i0: int, i1: int, law: Floats) -> None:
    """Take the linear laws of trays ``i0`` to ``i1`` out of their rack's tiles."""
    for i in range(i0, i1):
        o = place(first, i - i0)
        law[0, i] = m[o + G]
        law[1, i] = m[o + QD]
        law[2, i] = m[o + QP]


@inner
def count_past(m: Floats, first: int, i0: int, i1: int, up: Floats, down: Floats) -> int:
    """How many of the trays ``i0`` to ``i1`` have stepped to or past a guard level of theirs [°C], shape (T,)."""
    past = 0
    for i in range(i0, i1):
        t = m[place(first, i - i0) + TDN]
        past += 1 if t >= up[i] or t <= down[i] else 0
    return past


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
