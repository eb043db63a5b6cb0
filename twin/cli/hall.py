"""``twin hall``: draw a hall, or look for weak points in its design."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from twin.cli.exits import Exit, refuse
from twin.hall.checks import HallWarning, check_hall
from twin.hall.errors import HallError
from twin.hall.loads import air_heat_watts, liquid_heat_watts, node_currents
from twin.hall.parts import Hall, NodeKind, PowerNode
from twin.hall.reader import hall_names, load_hall, read_hall

EXAMPLES = """
examples:
  twin hall show reference --out hall.png
  twin hall check reference rows=6 loop.supply_temperature_celsius=35
  twin hall check my_hall.yaml --strict          exit code 1 when there is a warning
  twin hall headroom results/RUN                 what each rack had left at the peak of a run, and what would bind
"""


def main(argv: list[str]) -> int:
    """Show or check a hall, or map headroom. 0 fine, 1 warnings under ``--strict``, 3 a hall that makes no sense."""
    parser = argparse.ArgumentParser(
        prog="twin hall",
        description="Show a hall (tree in the terminal, sheet as a picture), or check it for non-selective breakers, "
        "overload, feed loss, valves without authority and loops that are too small; or map the headroom that a run "
        "left on its floor.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("show", "check", "headroom"))
    parser.add_argument(
        "name",
        metavar="NAME",
        help=f"a hall of conf/hall ({', '.join(hall_names())}), or a YAML file; headroom: a run directory",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes, for instance rows=6")
    parser.add_argument(
        "--out", metavar="FILE", help="where the picture goes (default hall-NAME.png, or headroom.png in the run)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    parser.add_argument("--strict", action="store_true", help="check: exit code 1 when there is a warning")
    asked = parser.parse_intermixed_args(argv)
    if asked.action == "headroom":
        return _headroom(asked.name, asked.json, asked.out)
    try:
        hall = load_hall(asked.name, asked.overrides)
    except HallError as error:
        return refuse(str(fault) for fault in error.faults)
    if asked.action == "check":
        return _check(hall, asked.json, asked.strict)
    return _show(hall, asked.json, asked.out)


def _check(hall: Hall, as_json: bool, strict: bool) -> int:
    warnings = check_hall(hall)
    if as_json:
        print(json.dumps([_warning_record(each) for each in warnings], indent=2, ensure_ascii=False))
    elif not warnings:
        print(f"hall {hall.name}: {len(hall.racks)} racks, no warnings")
    else:
        console = Console(highlight=False)
        console.print(f"hall {hall.name}: {len(warnings)} warnings")
        for each in warnings:
            more = f" and {len(each.names) - 1} more like it" if len(each.names) > 1 else ""
            console.print(Text.assemble((f"\n{each.names[0]}{more}", "bold"), f": {each.concern.value}"))
            console.print(Padding(Text(f"{each.evidence}."), (0, 0, 0, 4)))
            console.print(Padding(Text(f"→ {each.remedy}."), (0, 0, 0, 4)))
    return Exit.FINDING if strict and warnings else Exit.FINE


def _show(hall: Hall, as_json: bool, out: str | None) -> int:
    path = Path(f"hall-{hall.name}.png" if out is None else out)
    if not as_json or out is not None:
        from twin.hall.draw import draw_hall  # pulls in matplotlib, which the other actions do without

        try:
            draw_hall(hall, path)
        except (OSError, ValueError) as error:
            return refuse(
                [f"--out: '{path}' cannot be written: {error}. Choose another place, ending in .png or .svg."]
            )
    if as_json:
        print(json.dumps(_record(hall), indent=2, ensure_ascii=False))
    else:
        console = Console()
        console.print(power_tree(hall))
        console.print(_loop_table(hall))
        print(f"picture: {path}")
    return Exit.FINE


def _headroom(directory: str, as_json: bool, out: str | None) -> int:
    from twin.results.drawing import png, settle
    from twin.results.headroom import PERMITTED, headroom_map, headroom_of, weakest
    from twin.results.pictures import permitted_of
    from twin.results.read import read_run
    from twin.results.rundir import RunError

    path = Path(directory) / "headroom.png" if out is None else Path(out)
    try:
        run = read_run(directory)
        hall = read_hall(run.manifest["configuration"]["hall"], source=f"{directory}/manifest.json")
        permitted = permitted_of(run.manifest)
        permitted = PERMITTED if permitted is None else permitted
        found = headroom_of(run, hall, permitted)
        title = f"Headroom per rack at the peak of the run, kW, at {100.0 * permitted:g} % of breakers' ratings"
        figure = headroom_map(found, title)
        settle(figure)
        png(figure, path)
    except (RunError, HallError, KeyError) as error:
        return refuse(map(str, getattr(error, "faults", [f"{directory}: {error}"])))
    if as_json:
        print(found.to_json(orient="records", indent=2))
    else:
        print(f"at {100.0 * permitted:g} % of breakers' ratings")
        print("\n".join(weakest(found)))
        print(f"picture: {path}")
    return Exit.FINE


def power_tree(hall: Hall) -> Tree:
    """The power tree for a terminal; racks are counted, not listed. Currents at nameplate, both feeds alive."""
    full = node_currents(hall, {rack.name: rack.rack_class.max_power_watts for rack in hall.racks})
    children: dict[str | None, list[PowerNode]] = {}
    for node in hall.nodes:
        children.setdefault(node.parent, []).append(node)
    total = sum(rack.rack_class.max_power_watts for rack in hall.racks)
    root = Tree(f"[bold]{hall.name}[/bold]: {len(hall.racks)} racks, {total / 1e6:.2f} MW nameplate")

    def grow(branch: Tree, node: PowerNode) -> None:
        below = branch.add(_line(node, full[node.name]))
        feeds = [each for each in children.get(node.name, []) if each.kind is NodeKind.RACK]
        for each in children.get(node.name, []):
            if each.kind is not NodeKind.RACK:
                grow(below, each)
        if feeds:
            below.add(f"{len(feeds)} rack feeds, {_ratings(feeds)}")

    for node in children.get(None, []):
        grow(root, node)
    return root


def _line(node: PowerNode, amperes: float) -> str:
    guard = "no breaker" if node.breaker is None else f"{node.breaker.rating_amperes:.0f} A {node.breaker.kind}"
    return f"{node.name} · {guard} · {amperes:.0f} A at nameplate"


def _ratings(nodes: list[PowerNode]) -> str:
    found = sorted({0.0 if node.breaker is None else node.breaker.rating_amperes for node in nodes})
    return ", ".join("no breaker" if each == 0.0 else f"{each:g} A" for each in found)


def _loop_table(hall: Hall) -> Table:
    classes = {rack.name: rack.rack_class for rack in hall.racks}
    table = Table(title="Coolant loops", title_justify="left")
    for column in ("loop", "racks", "pumps", "supply °C", "rated kW", "nameplate kW"):
        table.add_column(column, justify="left" if column in ("loop", "racks", "pumps") else "right")
    for loop in hall.loops:
        heat = sum(liquid_heat_watts(classes[name]) for name in loop.racks)
        span = loop.racks[0] if len(loop.racks) == 1 else f"{loop.racks[0]} … {loop.racks[-1]}"
        table.add_row(
            loop.name,
            span,
            f"{loop.cdu.pumps_needed}+{loop.cdu.pumps - loop.cdu.pumps_needed} {loop.cdu.mode}",
            f"{loop.supply_temperature:g}",
            f"{loop.cdu.rated_heat_watts / 1e3:.0f}",
            f"{heat / 1e3:.0f}",
        )
    return table


def _record(hall: Hall) -> Mapping[str, Any]:
    return {
        "name": hall.name,
        "racks": [
            {
                "name": rack.name,
                "row": rack.row,
                "position": rack.position,
                "rack_class": rack.rack_class.name,
                "cell": rack.cell,
                "loop": rack.loop,
                "zone": rack.zone,
                "risk_tier": rack.risk_tier,
                "nameplate_watts": round(rack.rack_class.max_power_watts, 3),
                "liquid_heat_watts": round(liquid_heat_watts(rack.rack_class), 3),
                "air_heat_watts": round(air_heat_watts(rack.rack_class), 3),
            }
            for rack in hall.racks
        ],
        "nodes": [
            {
                "name": node.name,
                "kind": node.kind.value,
                "parent": node.parent,
                "feed": node.feed,
                "rating_amperes": None if node.breaker is None else round(node.breaker.rating_amperes, 3),
            }
            for node in hall.nodes
        ],
        "loops": [
            {
                "name": loop.name,
                "racks": list(loop.racks),
                "pumps": loop.cdu.pumps,
                "rated_heat_watts": round(loop.cdu.rated_heat_watts, 3),
                "supply_temperature_celsius": loop.supply_temperature,
            }
            for loop in hall.loops
        ],
    }


def _warning_record(warning: HallWarning) -> Mapping[str, Any]:
    return {
        "concern": warning.concern.name.lower(),
        "sentence": warning.concern.value,
        "names": list(warning.names),
        "evidence": warning.evidence,
        "remedy": warning.remedy,
    }
