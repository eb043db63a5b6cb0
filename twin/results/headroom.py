"""Headroom on the floor: how much more power each rack could have taken at the peak of a run, and what binds it."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from twin.hall.loads import liquid_heat_watts
from twin.hall.parts import Hall, PowerNode, Rack
from twin.results.drawing import new_figure, style
from twin.results.floor import floor_positions, panel
from twin.results.read import Run
from twin.units import SQRT3

PERMITTED = 0.85  # of a breaker's rating, for a run whose policy knows no such share

#: what binds, by its kind, and the letter that stands on the map
LETTERS = {"rack": "N", "rack feed": "F", "row": "R", "pdu": "P", "ups": "U", "utility": "U", "loop": "L"}
LEGEND = "what binds: N nameplate, F rack feed, R row, P PDU, U UPS or utility, L coolant loop"


def headroom_of(run: Run, hall: Hall, permitted: float = PERMITTED) -> pd.DataFrame:
    """Headroom of the production cell's racks at the peaks of a run. Raises RunError for a table that is missing."""
    heat = run.series("loop", ["heat_watts"], ["max"]).groupby("name")["heat_watts_max"].max()
    return headroom(
        hall,
        run.table("racks"),
        run.table("breakers"),
        {str(name): float(watts) for name, watts in heat.items()},
        permitted,
    )


def headroom(
    hall: Hall, racks: pd.DataFrame, breakers: pd.DataFrame, loop_heat: Mapping[str, float], permitted: float
) -> pd.DataFrame:
    """A row per rack: ``headroom_watts``, ``limit`` (its name) and ``binds`` (its kind).

    For a limit k above a rack, ``(u I_r,k − max I_k) / a_k`` with a [A/W] of the rack's power on that feed, losses on
    the way up included; what its loop has left over the share of a watt that the coolant takes; and its nameplate less
    its own peak. The least of them binds. Peaks of different limits need not be at one time: this is what held
    throughout. ``loop_heat`` is the peak heat of each loop [W], ``permitted`` is u.
    """
    peak = breakers.set_index("name")["current_amperes_max"]
    own = racks.set_index("name")["peak_power_watts"]
    nodes = {node.name: node for node in hall.nodes}
    loops = {loop.name: loop for loop in hall.loops}
    rows = []
    for rack in hall.racks:
        if rack.cell != "hall":
            continue
        left: list[tuple[float, str, str]] = [
            (rack.rack_class.max_power_watts - float(own[rack.name]), rack.name, "rack")
        ]
        for node, slope in _above(rack, nodes):
            if node.breaker is not None and node.name in peak.index:
                spare = permitted * node.breaker.rating_amperes - float(peak[node.name])
                kind = "rack feed" if node.kind.value == "rack" else node.kind.value
                left.append((spare / slope, node.name, kind))
        share = liquid_heat_watts(rack.rack_class) / rack.rack_class.max_power_watts
        if rack.loop is not None and share > 0.0:
            spare = loops[rack.loop].cdu.rated_heat_watts - float(loop_heat[rack.loop])
            left.append((spare / share, rack.loop, "loop"))
        watts, limit, kind = min(left)
        rows.append((rack.name, rack.row, rack.position, watts, limit, kind))
    found = pd.DataFrame(rows, columns=["name", "row", "position", "headroom_watts", "limit", "binds"])
    trouble = racks.set_index("name").loc[found["name"], ["throttled_gpu_seconds", "dark_seconds"]]
    return pd.concat([found, trouble.reset_index(drop=True)], axis=1)


def _above(rack: Rack, nodes: Mapping[str, PowerNode]) -> list[tuple[PowerNode, float]]:
    """The nodes that a rack's power flows through while all feeds live, and amperes at each per watt at the rack."""
    found = []
    for feed in rack.feeds:
        watts = 1.0 / len(rack.feeds)
        node: PowerNode | None = nodes[feed]
        while node is not None:
            watts /= node.efficiency
            found.append((node, watts / (SQRT3 * node.voltage * rack.rack_class.power_factor)))
            node = nodes[node.parent] if node.parent is not None else None
    return found


def headroom_map(found: pd.DataFrame, title: str) -> Figure:
    """The floor, each rack with its headroom in kW and the letter of what binds it; dark where there is least. A thick
    frame marks a rack that throttled, a cross one that was without power."""
    places = floor_positions(found)
    depth = int(places["row"].max()) + 1
    kilowatts = found["headroom_watts"] / 1e3
    words = [
        f"{value:.0f} {LETTERS[kind]}".replace("-", "−") for value, kind in zip(kilowatts, found["binds"], strict=True)
    ]
    with style():
        figure = new_figure(max(2.2, 1.3 + min(0.5, 9.0 / depth) * depth))
        axes = figure.subplots()
        highest = max(1.0, math.ceil(float(kilowatts.max())))
        # what is far beyond its limit is no darker, so that the rest of the floor can be told apart
        lowest = max(min(0.0, float(kilowatts.min())), -highest)
        panel(axes, found, places, title, kilowatts, "YlOrRd_r", lowest, highest, words)
        axes.set_xlabel(f"position in the row.   kW and {LEGEND}")
    return figure


def weakest(found: pd.DataFrame) -> Sequence[str]:
    """What binds most racks, in words: a line per kind of limit."""
    lines = []
    for kind, group in found.groupby("binds", sort=True):
        least = group.nsmallest(1, "headroom_watts").to_dict("records")[0]
        median, low = float(group["headroom_watts"].median()) / 1e3, float(least["headroom_watts"]) / 1e3
        where = f"{least['name']}, by {least['limit']}"
        lines.append(f"{kind}: binds {len(group)} racks, median {median:.1f} kW; least {low:.1f} kW at {where}")
    return lines
