"""Which names belong to a place: the racks of a row or a loop, all that hangs below a power node."""

from collections.abc import Iterable

from twin.hall.parts import Hall


def names_within(hall: Hall, place: str) -> frozenset[str]:
    """Names of everything in ``place``: a rack, a loop, a zone, a row (``A`` or ``row A``), a power node or a feed.

    A loop, a zone or a row contains its racks; a power node contains the nodes below it and the racks that they feed.
    Raises KeyError where the hall has no such place.
    """
    for loop in hall.loops:
        if loop.name == place:
            return frozenset({place, *loop.racks})
    for zone in hall.zones:
        if zone.name == place:
            return frozenset({place, *(rack.name for rack in hall.racks if rack.zone == place)})
    rows = {rack.row for rack in hall.racks}
    row = place if place in rows else place.removeprefix("row ")
    if row in rows:
        return frozenset({row, f"row {row}", *(rack.name for rack in hall.racks if rack.row == row)})
    if any(rack.name == place for rack in hall.racks):
        return frozenset({place})
    if any(node.name == place for node in hall.nodes):
        return _below(hall, place)
    raise KeyError(place)


def _below(hall: Hall, top: str) -> frozenset[str]:
    below = {top}
    grown = True
    while grown:  # nodes may stand in any order in a hall
        found = {node.name for node in hall.nodes if node.parent in below} - below
        grown = bool(found)
        below |= found
    racks = {rack.name for rack in hall.racks if any(feed in below for feed in rack.feeds)}
    return frozenset(below | racks)


def places(hall: Hall) -> tuple[str, ...]:
    """Every name that :func:`names_within` takes, loops, rows and zones first."""
    rows = dict.fromkeys(f"row {rack.row.removeprefix('row ')}" for rack in hall.racks)
    return (
        *(loop.name for loop in hall.loops),
        *rows,
        *(zone.name for zone in hall.zones),
        *(rack.name for rack in hall.racks),
        *(node.name for node in hall.nodes),
    )


def belongs(name: str, names: Iterable[str]) -> bool:
    """Whether ``name``, or what it is a part of (``A-01/tray 3`` is part of ``A-01``), is among ``names``."""
    known = names if isinstance(names, set | frozenset) else frozenset(names)
    return name in known or any(name[:cut] in known for cut, letter in enumerate(name) if letter == "/")
