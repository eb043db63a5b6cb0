"""Laying out a generative hall: names of rows, racks, loops and zones, and where each rack stands.

Names sort in floor order. Rows are letters, all of one length (A … R, then AA, AB, …: a lone S is the staging row);
racks are "A-01", loops "loop 01", air zones "zone 1".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from twin.hall.parts import Cooling, RackClass

STAGING_ROW: Final = "S"


@dataclass
class Slot:
    """One rack while a hall is being laid out. ``path`` is the key of the file that speaks of it."""

    name: str
    class_name: str
    row: str
    position: int
    path: str
    cell: str = "hall"
    loop: str | None = None
    loop_given: bool = False
    zone: str | None = None
    feeds: tuple[str, ...] = field(default=())  # names of its rack nodes
    valve_position: float = 1.0
    risk_tier: str = "standard"
    rack_class: RackClass | None = None


def row_names(count: int) -> list[str]:
    """Names of ``count`` rows: the shortest words of capital letters, of equal length, that suffice.

    Of one letter there are 18, A to R, because S is the staging row.
    """
    if count <= ord(STAGING_ROW) - ord("A"):
        return [chr(ord("A") + i) for i in range(count)]
    length = 2
    while 26**length < count:
        length += 1
    return [_word(i, length) for i in range(count)]


def _word(index: int, length: int) -> str:
    letters = []
    for _ in range(length):
        index, letter = divmod(index, 26)
        letters.append(chr(ord("A") + letter))
    return "".join(reversed(letters))


def rack_names(row: str, count: int) -> list[str]:
    """Names of the racks of a row, "A-01" and on."""
    width = max(2, len(str(count)))
    return [f"{row}-{i:0{width}d}" for i in range(1, count + 1)]


def pdu_name(rows: Sequence[str]) -> str:
    """Name of the PDU pair of some rows: "pdu AB", "pdu A-H" for more than three, "pdu AA-AB" for longer names."""
    if len(rows[0]) == 1 and len(rows) <= 3:
        return "pdu " + "".join(rows)
    return f"pdu {rows[0]}" if len(rows) == 1 else f"pdu {rows[0]}-{rows[-1]}"


def chunks(names: Sequence[str], size: int) -> list[list[str]]:
    """``names`` in runs of ``size``; the last may be shorter."""
    return [list(names[i : i + size]) for i in range(0, len(names), size)]


def assign_loops(slots: Sequence[Slot], racks_per_loop: int) -> list[str]:
    """Give every liquid rack without a loop of its own one, so many racks to a loop, no loop across two rows.

    Returns the names of the loops in floor order.
    """
    groups: list[list[Slot]] = []
    for row in dict.fromkeys(slot.row for slot in slots):
        wet = [
            slot
            for slot in slots
            if slot.row == row
            and not slot.loop_given
            and slot.rack_class is not None
            and slot.rack_class.cooling is Cooling.LIQUID
        ]
        groups += [wet[i : i + racks_per_loop] for i in range(0, len(wet), racks_per_loop)]
    width = max(2, len(str(len(groups))))
    names = [f"loop {i:0{width}d}" for i in range(1, len(groups) + 1)]
    for name, group in zip(names, groups, strict=True):
        for slot in group:
            slot.loop = name
    return names


def assign_zones(slots: Sequence[Slot], rows: Sequence[str], rows_per_zone: int | None) -> list[str]:
    """Give every rack without a zone of its own one: so many rows to a zone, the staging row apart. Returns names."""
    groups = chunks(rows, rows_per_zone or max(1, len(rows)))
    width = len(str(len(groups)))
    of_row = {row: f"zone {i:0{width}d}" for i, group in enumerate(groups, start=1) for row in group}
    of_row.setdefault(STAGING_ROW, f"zone {STAGING_ROW}")
    used: dict[str, None] = dict.fromkeys(name for row, name in of_row.items() if row != STAGING_ROW)
    for slot in slots:
        if slot.zone is None and slot.row in of_row:
            slot.zone = of_row[slot.row]
            used.setdefault(slot.zone)
    return list(used)
