"""The hall's two graphs: power flows from utilities to rack feeds, coolant from a loop's CDU to its racks."""

import networkx as nx

from twin.hall.parts import Hall, PowerNode


def power_graph(hall: Hall) -> "nx.DiGraph[str]":
    """Graph of the power tree, an edge from every parent to its child. Parents that do not exist are left out.

    Raises nothing: a graph with a cycle is returned as it is (see :mod:`twin.hall.faults`).
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    names = {node.name for node in hall.nodes}
    graph.add_nodes_from(node.name for node in hall.nodes)
    graph.add_edges_from((node.parent, node.name) for node in hall.nodes if node.parent in names)
    return graph


def coolant_graph(hall: Hall) -> "nx.DiGraph[str]":
    """Graph of the coolant side: facility water → loop → rack. Nodes carry their ``kind``."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("facility water", kind="facility")
    for loop in hall.loops:
        graph.add_node(loop.name, kind="loop")
        graph.add_edge("facility water", loop.name)
        for rack in loop.racks:
            graph.add_node(rack, kind="rack")
            graph.add_edge(loop.name, rack)
    return graph


def nodes_parents_first(hall: Hall) -> list[PowerNode]:
    """Nodes sorted so that a parent comes before its children; of those that are free to come next, by name.

    Raises networkx.NetworkXUnfeasible on a cycle.
    """
    by_name = {node.name: node for node in hall.nodes}
    return [by_name[name] for name in nx.lexicographical_topological_sort(power_graph(hall))]
