"""Pictures of a hall: the one-line diagram, the coolant loops and the floor, on one sheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import networkx as nx

from twin.hall.graphs import power_graph
from twin.hall.loads import liquid_heat_watts
from twin.hall.parts import Cooling, Hall, NodeKind, PowerNode, Rack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVEL: Final = {
    NodeKind.UTILITY: 4.0,
    NodeKind.UPS: 3.0,
    NodeKind.PDU: 2.0,
    NodeKind.ROW: 1.0,
    NodeKind.PANEL: 1.0,
}
_GAP: Final = 1.5  # rack widths between two rows in the one-line diagram
_LOOP_COLOURS: Final = (
    "#a6cee3", "#b2df8a", "#fdbf6f", "#cab2d6", "#fb9a99", "#ffff99", "#d9c3a5", "#80cdc1", "#f4b6d7", "#9fb4f0",
    "#c8d66b", "#e0b090",
)  # fmt: skip
_AIR_COLOUR: Final = "#e6e6e6"
_SIDE_COLOUR: Final = {"A": "#1f4e9c", "B": "#b03a2e"}
_TIER_MARK: Final = {"low": "▽", "standard": "", "high": "△"}


def draw_hall(hall: Hall, path: Path) -> None:
    """Write the sheet of a hall to ``path``; the ending chooses the format (png, svg, pdf). Raises OSError."""
    figure = hall_figure(hall)
    figure.savefig(path, dpi=130, facecolor="white")


def hall_figure(hall: Hall) -> "Figure":
    """One-line diagram, loops and floor of a hall as a figure."""
    from matplotlib.figure import Figure  # heavy, and only drawing needs it

    rows = list(dict.fromkeys(rack.row for rack in hall.racks))
    widest = max((rack.position for rack in hall.racks), default=1)
    floor_height = 0.42 * len(rows) + 0.9
    loops_height = 2.0 if hall.loops else 0.4
    width = min(60.0, max(13.0, 0.2 * (len(hall.racks) + _GAP * len(rows)), 0.62 * widest))
    figure = Figure(figsize=(width, 6.6 + loops_height + floor_height), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, height_ratios=[6.0, loops_height, floor_height])
    total = sum(rack.rack_class.max_power_watts for rack in hall.racks)
    figure.suptitle(f"Hall “{hall.name}”: {len(hall.racks)} racks, {total / 1e6:.2f} MW nameplate", fontsize=14)
    places = _places(hall, rows)
    spots = _node_spots(hall, places)
    end = max([*places.values(), *(x for x, _ in spots.values())], default=1.0)
    _one_line(top, hall, places, spots, end)
    _loops(middle, hall, places, end)
    _floor(bottom, hall, rows, widest)
    return figure


def _places(hall: Hall, rows: list[str]) -> dict[str, float]:
    """Abscissa of every rack, row after row."""
    places: dict[str, float] = {}
    at = 0.0
    for row in rows:
        for rack in sorted((rack for rack in hall.racks if rack.row == row), key=lambda rack: rack.position):
            places[rack.name] = at
            at += 1.0
        at += _GAP
    return places


def _one_line(
    axes: "Axes", hall: Hall, places: dict[str, float], spots: dict[str, tuple[float, float]], end: float
) -> None:
    axes.set_title("One-line diagram: feed A above, feed B below, breaker ratings in amperes", fontsize=11, loc="left")
    colours = _rack_colours(hall)
    for rack in hall.racks:
        _rack_box(axes, places[rack.name] - 0.45, -0.22, 0.9, 0.44, colours[rack.name], rack)
    for node in hall.nodes:
        colour = _SIDE_COLOUR[node.feed]
        x, y = spots[node.name]
        if node.parent in spots:
            px, py = spots[node.parent]
            sign = 1.0 if py > y else -1.0
            bend = py - sign * (0.58 if abs(y) >= 1.0 else 0.48)  # one bus below each parent
            axes.plot([px, px, x, x], [py, bend, bend, y], color=colour, lw=0.7 if abs(y) < 1 else 1.2, zorder=1)
        if node.kind is not NodeKind.RACK:
            axes.text(
                x,
                y,
                _node_label(node),
                ha="center",
                va="center",
                fontsize=8,
                zorder=3,
                bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour, "lw": 1.2},
            )
    ratings = sorted({n.breaker.rating_amperes for n in hall.nodes if n.kind is NodeKind.RACK and n.breaker})
    if ratings:
        amperes = ", ".join(f"{rating:g}" for rating in ratings)
        axes.text(-0.4, 4.45, f"rack feeds: {amperes} A each side", fontsize=9, ha="left", va="center")
    axes.set_ylim(-4.6, 4.7)
    _bare(axes, end)


def _node_spots(hall: Hall, places: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Where each node stands: above the middle of the racks that it serves; those that serve none, at the right."""
    graph = power_graph(hall)
    owner = {feed: rack.name for rack in hall.racks for feed in rack.feeds}
    right = max(places.values(), default=0.0) + 4.0
    spots: dict[str, tuple[float, float]] = {}
    for node in hall.nodes:
        sign = 1.0 if node.feed == "A" else -1.0
        if node.name in owner:
            spots[node.name] = (places[owner[node.name]], 0.22 * sign)
            continue
        below = [places[owner[name]] for name in nx.descendants(graph, node.name) if name in owner]
        x = (min(below) + max(below)) / 2.0 if below else right
        spots[node.name] = (x, _LEVEL.get(node.kind, 0.6) * sign)
    return spots


def _node_label(node: PowerNode) -> str:
    name = node.name.removesuffix(f"/feed {node.feed}")
    lines = [name]
    if node.breaker is not None:
        lines.append(f"{node.breaker.rating_amperes:,.0f} A".replace(",", " "))
    if node.battery_joules > 0.0:
        lines.append(f"battery {node.battery_joules / 3.6e6:.0f} kWh")
    return "\n".join(lines)


def _loops(axes: "Axes", hall: Hall, places: dict[str, float], end: float) -> None:
    axes.set_title(
        "Coolant loops: rated heat over the liquid heat of their racks, pumps, supply", fontsize=11, loc="left"
    )
    classes = {rack.name: rack.rack_class for rack in hall.racks}
    colours = {loop.name: _LOOP_COLOURS[i % len(_LOOP_COLOURS)] for i, loop in enumerate(hall.loops)}
    axes.plot([-0.5, end + 0.5], [0.0, 0.0], color="#2e86c1", lw=4, solid_capstyle="butt", zorder=1)
    axes.text(
        -0.5,
        -0.32,
        f"facility water {hall.facility.setpoint:g} °C, rejects {hall.facility.capacity_watts / 1e6:.2f} MW",
        fontsize=9,
        va="center",
    )
    for loop in hall.loops:
        xs = sorted(places[name] for name in loop.racks)
        middle = (xs[0] + xs[-1]) / 2.0
        heat = sum(liquid_heat_watts(classes[name]) for name in loop.racks)
        axes.plot([middle, middle], [0.0, 1.0], color="#2e86c1", lw=2, zorder=1)
        axes.plot([xs[0] - 0.4, xs[-1] + 0.4], [1.75, 1.75], color="#555555", lw=1.5)
        for x in xs:
            axes.plot([x, x], [1.75, 1.9], color="#555555", lw=1.0)
        axes.plot([middle, middle], [1.0, 1.75], color="#555555", lw=1.5, zorder=1)
        spare = loop.cdu.pumps - loop.cdu.pumps_needed
        lines = [
            loop.name,
            f"{loop.cdu.rated_heat_watts / 1e3:.0f}/{heat / 1e3:.0f} kW",
            f"{loop.cdu.pumps_needed}+{spare} · {loop.supply_temperature:g} °C",
        ]
        axes.text(
            middle,
            0.92,
            "\n".join(lines),
            ha="center",
            va="center",
            fontsize=8,
            zorder=3,
            bbox={"boxstyle": "round,pad=0.25", "fc": colours[loop.name], "ec": "#555555"},
        )
    if not hall.loops:
        axes.text(end / 2.0, 1.0, "no coolant loops: every rack is air-cooled", ha="center", fontsize=9)
    axes.set_ylim(-0.6, 2.0)
    _bare(axes, end)


def _floor(axes: "Axes", hall: Hall, rows: list[str], widest: int) -> None:
    marks = {rack.risk_tier for rack in hall.racks}
    note = "; △ high, ▽ low thermal-risk tier" if marks - {"standard"} else ""
    zones = f"{len(hall.zones)} air zone" + ("s" if len(hall.zones) != 1 else "")
    axes.set_title(f"Floor: colour is the coolant loop, grey is air-cooled; {zones}{note}", fontsize=11, loc="left")
    colours = _rack_colours(hall)
    small = 8 if widest <= 20 else 6
    for rack in hall.racks:
        y = float(rows.index(rack.row))
        _rack_box(axes, rack.position - 0.96, y - 0.42, 0.92, 0.84, colours[rack.name], rack)
        name = f"{rack.name}{_TIER_MARK.get(rack.risk_tier, '')}"
        axes.text(rack.position - 0.5, y, name, ha="center", va="center", fontsize=small)
    for y, row in enumerate(rows):
        members = [rack for rack in hall.racks if rack.row == row]
        kinds = sorted({rack.rack_class.name for rack in members})
        cell = " (staging)" if any(rack.cell == "staging" for rack in members) else ""
        axes.text(widest + 0.2, y, f"{', '.join(kinds)}{cell}", ha="left", va="center", fontsize=8)
    axes.set_xlim(-0.1, max(10.0, widest + max(2.0, 0.22 * widest)))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_axis_off()


def _rack_colours(hall: Hall) -> dict[str, str]:
    order = {loop.name: i for i, loop in enumerate(hall.loops)}
    return {
        rack.name: _AIR_COLOUR if rack.loop is None else _LOOP_COLOURS[order[rack.loop] % len(_LOOP_COLOURS)]
        for rack in hall.racks
    }


def _rack_box(axes: "Axes", x: float, y: float, width: float, height: float, colour: str, rack: Rack) -> None:
    from matplotlib.patches import Rectangle  # heavy, and only drawing needs it

    style: dict[str, Any] = (
        {"hatch": "//", "ec": "#c0c0c0"} if rack.rack_class.cooling is Cooling.AIR else {"ec": "#555555"}
    )
    axes.add_patch(Rectangle((x, y), width, height, fc=colour, lw=0.8, zorder=2, **style))


def _bare(axes: "Axes", end: float) -> None:
    spare = max(0.0, 12.0 - end) / 2.0  # keeps the racks of a small hall narrow
    axes.set_xlim(-1.0 - spare, end + 3.0 + spare)
    axes.set_axis_off()
