"""What makes a hall impossible although each of its words is right: references, shapes and sizes, all at once."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from twin.hall.errors import Faults
from twin.hall.fields import join
from twin.hall.graphs import power_graph
from twin.hall.loads import node_currents
from twin.hall.parts import Cooling, Hall, NodeKind, PowerNode, Rack


def find_faults(hall: Hall, paths: Mapping[str, str], faults: Faults) -> None:
    """Note everything that makes ``hall`` impossible. ``paths`` gives the file's key for the name of a thing."""
    if not hall.racks:
        faults.add("rows", 0, "a hall without racks", "Write rows and racks_per_row, or racks one by one")
    _names(hall, paths, faults)
    nodes = {node.name: node for node in hall.nodes}
    for node in hall.nodes:
        _parent(node, nodes, paths, faults)
    cyclic = _cycles(hall, paths, faults)
    users = Counter(feed for rack in hall.racks for feed in rack.feeds)
    for rack in hall.racks:
        _feeds(rack, nodes, users, paths, faults)
    _coolant(hall, paths, faults)
    _air(hall, paths, faults)
    for load in hall.auxiliary:
        if load.node not in nodes:
            faults.unknown(join(paths.get(load.name, load.name), "node"), load.node, "node", nodes)
    if not cyclic:
        _idle(hall, paths, faults)


def _names(hall: Hall, paths: Mapping[str, str], faults: Faults) -> None:
    groups: list[tuple[str, Iterable[str]]] = [
        ("rack", (rack.name for rack in hall.racks)),
        ("power node", (node.name for node in hall.nodes)),
        ("loop", (loop.name for loop in hall.loops)),
        ("air zone", (zone.name for zone in hall.zones)),
        ("auxiliary load", (load.name for load in hall.auxiliary)),
    ]
    for kind, names in groups:
        for name, times in Counter(names).items():
            if times > 1:
                faults.add(
                    join(paths.get(name, name), "name"),
                    name,
                    f"duplicate name: {times} {kind}s have it",
                    "Rename all but one",
                )
    places = Counter((rack.row, rack.position) for rack in hall.racks)
    for rack in hall.racks:
        if places[rack.row, rack.position] > 1:
            faults.add(
                join(paths.get(rack.name, rack.name), "position"),
                rack.position,
                f"two racks at one place of row {rack.row}",
                "Move one",
            )
            places[rack.row, rack.position] = 1


def _parent(node: PowerNode, nodes: Mapping[str, PowerNode], paths: Mapping[str, str], faults: Faults) -> None:
    key = join(paths.get(node.name, node.name), "parent")
    if node.kind is NodeKind.UTILITY:
        if node.parent is not None:
            faults.add(key, node.parent, f"{node.name} is a utility and has no parent", "Write null")
    elif node.parent is None:
        faults.add(key, None, f"{node.name} is fed by nothing", "Name the node that feeds it")
    elif node.parent not in nodes:
        faults.unknown(key, node.parent, "parent", (name for name in nodes if name != node.name))
    elif nodes[node.parent].kind is NodeKind.RACK:
        faults.add(key, node.parent, "a rack feed feeds its rack only", "Name a row feed, PDU, UPS or utility")
    elif nodes[node.parent].feed != node.feed:
        faults.add(
            key,
            node.parent,
            f"{node.name} is on side {node.feed}, its parent on side {nodes[node.parent].feed}",
            "Feed it from its own side",
        )


def _cycles(hall: Hall, paths: Mapping[str, str], faults: Faults) -> bool:
    graph = power_graph(hall)
    rings = [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]
    rings += [[name] for name in nx.nodes_with_selfloops(graph)]
    for ring in sorted(rings):
        faults.add(
            join(paths.get(ring[0], ring[0]), "parent"),
            ring[0],
            "cycle in the power tree: " + " → ".join([*ring, ring[0]]),
            "Feed one of them from a utility or UPS",
        )
    return bool(rings)


def _feeds(
    rack: Rack, nodes: Mapping[str, PowerNode], users: Mapping[str, int], paths: Mapping[str, str], faults: Faults
) -> None:
    key = join(paths.get(rack.name, rack.name), "feeds")
    if not rack.feeds:
        faults.add(key, [], f"orphan rack: no feed supplies {rack.name}", "Give it one or two rack nodes")
    if len(rack.feeds) > 2:
        faults.add(key, list(rack.feeds), f"{rack.name} has {len(rack.feeds)} feeds", "Give it A and B at most")
    sides = []
    for feed in rack.feeds:
        if feed not in nodes:
            faults.unknown(key, feed, "feed", (n.name for n in nodes.values() if n.kind is NodeKind.RACK))
            continue
        sides.append(nodes[feed].feed)
        if nodes[feed].kind is not NodeKind.RACK:
            faults.add(key, feed, f"{feed} is a {nodes[feed].kind} node, not a rack feed", "Add a node of kind rack")
        elif users[feed] > 1:
            faults.add(key, feed, f"{users[feed]} racks share one rack feed", "Give each rack its own")
    if len(set(sides)) < len(sides):
        faults.add(key, list(rack.feeds), f"both feeds of {rack.name} are on side {sides[0]}", "Take one from A and B")


def _coolant(hall: Hall, paths: Mapping[str, str], faults: Faults) -> None:
    loops = {loop.name: loop for loop in hall.loops}
    for rack in hall.racks:
        key = join(paths.get(rack.name, rack.name), "loop")
        if rack.rack_class.cooling is Cooling.LIQUID:
            if rack.loop is None:
                if hall.loops:
                    faults.add(key, None, f"orphan rack: {rack.name} is liquid-cooled and on no loop", "Name its loop")
            elif rack.loop not in loops:
                faults.unknown(key, rack.loop, "loop", loops)
            if rack.valve_position <= 0.0:
                faults.add(
                    join(paths.get(rack.name, rack.name), "valve_position"),
                    rack.valve_position,
                    f"the valve of {rack.name} is shut",
                    "Open it, 0.05 to 1",
                )
        elif rack.loop is not None:
            faults.add(key, rack.loop, f"{rack.name} is air-cooled and takes no coolant", "Remove the key")
    dry = [rack.name for rack in hall.racks if rack.rack_class.cooling is Cooling.LIQUID]
    if dry and not hall.loops:
        faults.add(
            "loop", None, f"orphan racks: {_some(dry)} are liquid-cooled and the hall has no loop", "Add a loop section"
        )
    for loop in hall.loops:
        if not loop.racks:
            faults.add(paths.get(loop.name, loop.name), loop.name, "a loop without racks", "Remove it or give it racks")


def _air(hall: Hall, paths: Mapping[str, str], faults: Faults) -> None:
    zones = {zone.name for zone in hall.zones}
    for rack in hall.racks:
        key = join(paths.get(rack.name, rack.name), "zone")
        if not rack.zone:
            faults.add(key, None, f"orphan rack: {rack.name} is in no air zone", "Name its air zone")
        elif rack.zone not in zones:
            faults.unknown(key, rack.zone, "air zone", zones)
    for zone in hall.zones:
        if zone.recirculation > 0.5:
            faults.add(
                join(paths.get(zone.name, zone.name), "recirculation"),
                zone.recirculation,
                "more than half from each of two neighbours is more than all",
                "Write 0.5 or less",
            )


def _idle(hall: Hall, paths: Mapping[str, str], faults: Faults) -> None:
    """A breaker that the idle hall alone would open."""
    idle = {rack.name: rack.rack_class.idle_power_watts for rack in hall.racks}
    currents = node_currents(hall, idle)
    small: dict[str, list[PowerNode]] = {}
    for node in hall.nodes:
        if node.breaker is not None and currents[node.name] > node.breaker.rating_amperes:
            small.setdefault(join(paths.get(node.name, node.name), "breaker.rating_amperes"), []).append(node)
    for key, group in small.items():
        worst = max(group, key=lambda node: currents[node.name])
        amperes = currents[worst.name]
        faults.add(
            key,
            round(worst.breaker.rating_amperes if worst.breaker is not None else 0.0, 3),
            f"breaker smaller than the idle load behind it: {amperes:.0f} A at {_some([n.name for n in group])}",
            f"Write more than {amperes:.0f}, or put fewer racks behind it",
        )


def _some(names: Sequence[str]) -> str:
    """The first names of a list and how many more there are."""
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
