"""Laying out the power tree: utility → UPS → PDU → row → rack feed, twice, A and B, and the auxiliary panel."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from twin.hall.breaker_figures import breaker
from twin.hall.errors import Faults
from twin.hall.fields import join, read_fields
from twin.hall.hall_fields import (
    AUXILIARY_FIELDS,
    EXPLICIT_NODE_FIELDS,
    LOAD_FIELDS,
    NODE_EXCEPTION_FIELDS,
    NODE_FIELDS,
    PDU_FIELDS,
)
from twin.hall.layout import STAGING_ROW, Slot, chunks, pdu_name
from twin.hall.parts import AuxiliaryLoad, Breaker, NodeKind, PowerNode
from twin.units import SQRT3

SIDES: Final = ("A", "B")
PANEL: Final = "auxiliary panel"
#: phase of an auxiliary load → shares of its power on A–B, B–C, C–A
PHASES: Final[dict[str, tuple[float, float, float]]] = {
    "AB": (1.0, 0.0, 0.0),
    "BC": (0.0, 1.0, 0.0),
    "CA": (0.0, 0.0, 1.0),
    "ABC": (1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0),
}


class PowerLayout:
    """Collects the nodes of a hall. ``slots`` are its generated racks, whose classes are known."""

    def __init__(
        self,
        voltage: float,
        slots: Sequence[Slot],
        exceptions: Mapping[str, Any],
        presets: Mapping[str, Any],
        faults: Faults,
    ) -> None:
        self.nodes: list[PowerNode] = []
        self.loads: list[AuxiliaryLoad] = []
        self.paths: dict[str, str] = {}  # node or load → key of the file that made it
        self._voltage, self._slots, self._exceptions = voltage, slots, exceptions
        self._presets, self._faults = presets, faults

    def level(self, mapping: Any, path: str, *, pdu: bool = False) -> dict[str, Any]:
        """Read the section of one level of the tree. The answer keeps its own ``path`` for messages."""
        values = read_fields(mapping, PDU_FIELDS if pdu else NODE_FIELDS, path, self._faults)
        return {"efficiency": 1.0, "fixed_loss_watts": 0.0, "battery_minutes": 0.0, "rows": 1, "path": path, **values}

    def add(
        self, name: str, kind: NodeKind, parent: str | None, side: str, level: Mapping[str, Any], behind: Sequence[Slot]
    ) -> str:
        """Add a node of a level, with the exception of its name if there is one. Returns its name.

        ``behind`` are the racks that it serves: they set a derived rating and the battery's energy.
        """
        path = str(level["path"])
        change: dict[str, Any] = {}
        if name in self._exceptions:
            path = join("exceptions", name)
            change = read_fields(self._exceptions[name], NODE_EXCEPTION_FIELDS, path, self._faults, partial=True)
        whole = {**level, **change}
        if "breaker" in change and change["breaker"] is not None:
            whole["breaker"] = _laid_over(level.get("breaker"), change["breaker"])
        voltage = whole.get("voltage_volts", self._voltage)
        amperes = sum(_half_amperes(slot, side, voltage) for slot in behind)
        watts = sum(slot.rack_class.max_power_watts for slot in behind if slot.rack_class) / len(SIDES)
        guard: Breaker | None = None
        if whole.get("breaker") is not None:
            over = whole.get("oversubscription")
            rating = over * amperes if over is not None and amperes > 0.0 else None
            guard = breaker(whole["breaker"], self._presets, join(path, "breaker"), self._faults, rating)
        self.nodes.append(
            PowerNode(
                name=name,
                kind=kind,
                parent=whole.get("parent", parent),
                feed=side,
                voltage=voltage,
                breaker=guard,
                efficiency=whole["efficiency"],
                fixed_loss_watts=whole["fixed_loss_watts"],
                battery_joules=whole["battery_minutes"] * 60.0 * watts,
            )
        )
        self.paths.setdefault(name, path)
        return name

    def tree(self, values: Mapping[str, Any], rows: Sequence[str], staging_feed: Any) -> None:
        """Lay out the two sides for the rows and, with ``staging_feed`` not None, for the staging row."""
        utility = self.level(values["utility"], "utility")
        ups = self.level(values["ups"], "ups")
        pdu = self.level(values["pdu"], "pdu", pdu=True)
        row_feed = self.level(values["row_feed"], "row_feed")
        rack_feed = self.level(values["rack_feed"], "rack_feed")
        staging = None if staging_feed is None else self.level(staging_feed, "staging.row_feed")
        if not rows and staging is None:
            return
        for side in SIDES:
            source = self.add(f"utility {side}", NodeKind.UTILITY, None, side, utility, self._slots)
            backed = self.add(f"ups {side}", NodeKind.UPS, source, side, ups, self._slots)
            for group in chunks(rows, pdu["rows"]):
                served = [slot for slot in self._slots if slot.row in group]
                unit = self.add(f"{pdu_name(group)}/feed {side}", NodeKind.PDU, backed, side, pdu, served)
                for row in group:
                    self._row(row, side, unit, row_feed, rack_feed)
            if staging is not None:
                self._row(STAGING_ROW, side, backed, staging, rack_feed)

    def _row(self, row: str, side: str, parent: str, row_feed: Mapping[str, Any], rack_feed: Mapping[str, Any]) -> None:
        members = [slot for slot in self._slots if slot.row == row]
        row_feed = self._changed(row_feed, f"row {row}", "row_feed")
        rack_feed = self._changed(rack_feed, f"row {row}", "rack_feed")
        feed = self.add(f"row {row}/feed {side}", NodeKind.ROW, parent, side, row_feed, members)
        for slot in members:
            if (name := f"{slot.name}/feed {side}") in slot.feeds:
                self.add(name, NodeKind.RACK, feed, side, rack_feed, [slot])

    def _changed(self, level: Mapping[str, Any], row: str, key: str) -> Mapping[str, Any]:
        """A level with the changes that the exception of a row makes to it."""
        own = self._exceptions.get(row)
        if not isinstance(own, Mapping) or not isinstance(own.get(key), Mapping):
            return level
        path = f"exceptions.{row}.{key}"
        change = read_fields(own[key], NODE_FIELDS, path, self._faults, partial=True)
        whole = {**level, **change, "path": path}
        if change.get("breaker") is not None:
            whole["breaker"] = _laid_over(level.get("breaker"), change["breaker"])
        return whole

    def explicit(self, entry: Any, path: str) -> None:
        """Add a node that the file spells out."""
        before = self._faults.noted
        v = read_fields(entry, EXPLICIT_NODE_FIELDS, path, self._faults)
        if self._faults.noted > before:
            return
        guard = None
        if v["breaker"] is not None:
            guard = breaker(v["breaker"], self._presets, join(path, "breaker"), self._faults)
        voltage = self._voltage if v["voltage_volts"] is None else v["voltage_volts"]
        self.nodes.append(
            PowerNode(
                v["name"],
                NodeKind(v["kind"]),
                v["parent"],
                v["feed"],
                voltage,
                guard,
                v["efficiency"],
                v["fixed_loss_watts"],
                v["battery_joules"],
            )
        )
        self.paths[v["name"]] = path

    def auxiliary(self, mapping: Any) -> None:
        """Add the auxiliary panel and its loads."""
        v = read_fields(mapping, AUXILIARY_FIELDS, "auxiliary", self._faults)
        side = v.get("feed", "A")
        level = {"efficiency": 1.0, "fixed_loss_watts": 0.0, "battery_minutes": 0.0, **v, "path": "auxiliary"}
        level["parent"] = v.get("parent") or f"ups {side}"
        self.add(PANEL, NodeKind.PANEL, None, side, level, ())
        for name, entry in v.get("loads", {}).items():
            path = f"auxiliary.loads.{name}"
            before = self._faults.noted
            load = read_fields(entry, LOAD_FIELDS, path, self._faults)
            if "phase" in load and load["phase"] not in PHASES:
                self._faults.unknown(join(path, "phase"), load["phase"], "phase", PHASES)
            if self._faults.noted > before:
                continue
            node = PANEL if load["node"] is None else load["node"]
            self.loads.append(
                AuxiliaryLoad(str(name), node, load["power_watts"], load["power_factor"], PHASES[load["phase"]])
            )
            self.paths.setdefault(str(name), path)


def _laid_over(below: Mapping[str, Any] | None, above: Mapping[str, Any]) -> dict[str, Any]:
    """Breaker settings over those of the level; a preset of its own starts afresh."""
    return dict(above) if "preset" in above or "kind" in above else {**(below or {}), **above}


def _half_amperes(slot: Slot, side: str, voltage: float) -> float:
    """Current [A] of a rack at nameplate on one of its feeds while the others live; 0 on a side that it lacks."""
    if slot.rack_class is None or not any(feed.endswith(f"/feed {side}") for feed in slot.feeds):
        return 0.0
    cls = slot.rack_class
    return cls.max_power_watts / (SQRT3 * voltage * cls.power_factor * len(slot.feeds))
