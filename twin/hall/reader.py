"""A hall from a plain mapping: counts and classes first, then exceptions by name, then entries one by one.

The mapping is what a YAML file of ``conf/hall`` holds, or what Hydra makes of it. Everything wrong is reported at once
(:class:`~twin.hall.errors.HallError`), before anything is compiled.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twin.hall.cooling_layout import CoolingLayout
from twin.hall.errors import Fault, Faults, HallError, did_you_mean
from twin.hall.faults import find_faults
from twin.hall.fields import join, read_fields
from twin.hall.files import parse_yaml, read_yaml, shown
from twin.hall.hall_fields import (
    BACKUP_FIELDS,
    EMERGENCY_FIELDS,
    EXPLICIT_RACK_FIELDS,
    HALL_FIELDS,
    LISTS,
    RACK_EXCEPTION_FIELDS,
    ROW_EXCEPTION_FIELDS,
    STAGING_FIELDS,
)
from twin.hall.layout import STAGING_ROW, Slot, rack_names, row_names
from twin.hall.parts import Backup, Emergency, Hall, Rack, RackClass
from twin.hall.power_layout import SIDES, PowerLayout
from twin.hall.presets import load_parts, merged
from twin.hall.rack_figures import rack_class
from twin.places import conf_dir


def read_hall(mapping: Any, *, source: str, parts: Mapping[str, Mapping[str, Any]] | None = None) -> Hall:
    """The hall that ``mapping`` describes, every rack spelled out.

    ``source`` is the file's name for messages; ``parts`` the presets by kind and name, by default ``conf/parts``.
    Raises HallError with every fault found: first those of the file's words and numbers, then, when these are right,
    those of the hall as a whole.
    """
    return _Reading(mapping, source, load_parts() if parts is None else parts).hall()


def load_hall(name: str, overrides: Sequence[str] = ()) -> Hall:
    """The hall of a preset of ``conf/hall`` or of a YAML file, with ``key=value`` overrides (``rows=6``).

    Raises HallError when there is no such hall, or it makes no sense.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = conf_dir() / "hall" / f"{name}.yaml"
        if not path.is_file():
            known = hall_names()
            raise HallError(
                [
                    Fault(
                        "twin hall",
                        "NAME",
                        name,
                        f"unknown hall {name!r}",
                        did_you_mean(name, known) + ("" if name in known else " A path must end in .yaml"),
                    )
                ]
            )
    mapping = read_yaml(path)
    source = shown(path)
    for override in overrides:
        _apply(mapping, override)
    return read_hall(mapping, source=source)


def hall_names() -> list[str]:
    """Names of the halls that come with the project."""
    return sorted(path.stem for path in (conf_dir() / "hall").glob("*.yaml"))


def _apply(mapping: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    words = key.strip().removeprefix("hall.").split(".")
    if not equals or not all(words):
        raise HallError([Fault("twin hall", "override", override, "not key=value", "Write for instance rows=6")])
    place = mapping
    for word in words[:-1]:
        if not isinstance(place.get(word), dict):
            place[word] = {}
        place = place[word]
    place[words[-1]] = parse_yaml(value, f"override {key}")


class _Reading:
    """One pass over one hall file."""

    def __init__(self, mapping: Any, source: str, parts: Mapping[str, Mapping[str, Any]]) -> None:
        self.faults = Faults(source)
        self.parts = parts
        self.source = source
        self.paths: dict[str, str] = {}
        lists = {key: mapping.get(key) or () for key in LISTS} if isinstance(mapping, Mapping) else {}
        plain = mapping if not lists else {key: mapping[key] for key in mapping if key not in LISTS}
        self.values = read_fields(plain, HALL_FIELDS, "", self.faults)
        self.lists: dict[str, Sequence[Any]] = {}
        for key, entries in lists.items():
            good = isinstance(entries, Sequence) and not isinstance(entries, str)
            if not good:
                self.faults.add(key, entries, "a list of entries is expected", "Write - name: … lines")
            self.lists[key] = entries if good else ()
        self.exceptions: Mapping[str, Any] = {str(k): v for k, v in self.values.get("exceptions", {}).items()}
        self.classes: dict[str, RackClass | None] = {}

    def hall(self) -> Hall:
        """The whole hall, or HallError."""
        v = self.values
        rows = row_names(v.get("rows", 1))  # a faulty count is a fault; one row lets the rest be read
        slots, staging_feed = self._slots(rows)
        explicit = [self._explicit_rack(entry, f"racks[{i}]") for i, entry in enumerate(self.lists.get("racks", ()))]
        extra = [slot for slot in explicit if slot is not None]
        cooling = CoolingLayout(slots, extra, self.parts["cdus"], self.faults)
        cooling.loops(v.get("loop"), self.exceptions, self.lists.get("loops", ()))
        cooling.zones(v.get("air"), rows, self.lists.get("zones", ()))
        power = PowerLayout(v.get("voltage_volts", 480.0), slots, self.exceptions, self.parts["breakers"], self.faults)
        if all(key in v for key in ("utility", "ups", "pdu", "row_feed", "rack_feed")):
            power.tree(v, rows, staging_feed)
        for i, entry in enumerate(self.lists.get("nodes", ())):
            power.explicit(entry, f"nodes[{i}]")
        if v.get("auxiliary") is not None:
            power.auxiliary(v["auxiliary"])
        facility = cooling.facility(v.get("facility"))
        backup = None
        if v.get("backup") is not None:
            b = read_fields(v["backup"], BACKUP_FIELDS, "backup", self.faults)
            backup = Backup(b.get("name", "backup"), b.get("trays", 0))
        emergency = read_fields(v.get("emergency", {}), EMERGENCY_FIELDS, "emergency", self.faults)
        self._unknown_exceptions(rows, slots, power)
        self.faults.stop()
        assert facility is not None  # a missing facility is a fault and has stopped the reading
        hall = Hall(
            name=v["name"],
            racks=tuple(_rack(slot) for slot in slots + extra),
            nodes=tuple(power.nodes),
            loops=tuple(cooling.made_loops),
            zones=tuple(cooling.made_zones),
            facility=facility,
            auxiliary=tuple(power.loads),
            backup=backup,
            emergency=Emergency(**emergency),
            source=self.source,
        )
        find_faults(hall, {**self.paths, **cooling.paths, **power.paths}, self.faults)
        self.faults.stop()
        return hall

    # --- racks ---

    def _slots(self, rows: Sequence[str]) -> tuple[list[Slot], Any]:
        """Generated racks with their exceptions, and the section of the staging row's feeds (None without one)."""
        v = self.values
        slots: list[Slot] = []
        if rows and v.get("racks_per_row", 1) < 1:
            self.faults.add("racks_per_row", v.get("racks_per_row"), "rows without racks", "Write 1 or more")
        plans = [(row, v.get("racks_per_row", 1), "hall", v.get("rack_class"), "rack_class") for row in rows]
        staging_feed = None
        if v.get("staging") is not None:
            s = read_fields(v["staging"], STAGING_FIELDS, "staging", self.faults)
            own = s.get("rack_class")
            name, path = (v.get("rack_class"), "rack_class") if own is None else (own, "staging.rack_class")
            if s.get("racks", 0) > 0:
                plans.append((STAGING_ROW, s["racks"], "staging", name, path))
                staging_feed = s.get("row_feed", {})
        for row, count, cell, class_name, path in plans:
            own = self._exception(f"row {row}", ROW_EXCEPTION_FIELDS)
            if "rack_class" in own:
                path = f"exceptions.row {row}.rack_class"
            for position, rack in enumerate(rack_names(row, count), start=1):
                change = {**own, **self._exception(rack, RACK_EXCEPTION_FIELDS)}
                slots.append(self._slot(rack, row, position, cell, class_name, path, change))
        return slots, staging_feed

    def _slot(
        self, name: str, row: str, position: int, cell: str, class_name: str | None, path: str, change: dict[str, Any]
    ) -> Slot:
        mine = f"exceptions.{name}"
        if name in self.exceptions and isinstance(self.exceptions[name], Mapping):
            path = f"{mine}.rack_class" if "rack_class" in self.exceptions[name] else path
        chosen = change.get("rack_class", class_name)
        letters = change.get("feeds", SIDES)
        for letter in letters:
            if letter not in SIDES:
                self.faults.unknown(f"{mine}.feeds", list(letters), "feed", SIDES)
        self.paths.setdefault(name, mine)
        return Slot(
            name=name,
            class_name=str(chosen),
            row=row,
            position=position,
            path=mine,
            cell=cell,
            loop=change.get("loop"),
            loop_given="loop" in change,
            zone=change.get("zone"),
            feeds=tuple(f"{name}/feed {letter}" for letter in letters),
            valve_position=change.get("valve_position", 1.0),
            risk_tier=change.get("risk_tier", "standard"),
            rack_class=self._class(chosen, path),
        )

    def _explicit_rack(self, entry: Any, path: str) -> Slot | None:
        before = self.faults.noted
        v = read_fields(entry, EXPLICIT_RACK_FIELDS, path, self.faults)
        if self.faults.noted > before:
            return None
        given = v["rack_class"] is not None
        name = v["rack_class"] if given else self.values.get("rack_class")
        cls = self._class(name, join(path, "rack_class") if given else "rack_class")
        self.paths[v["name"]] = path
        return Slot(
            v["name"],
            str(name),
            v["row"],
            v["position"],
            path,
            v["cell"],
            v["loop"],
            True,
            v["zone"],
            v["feeds"],
            v["valve_position"],
            v["risk_tier"],
            cls,
        )

    def _class(self, name: str | None, path: str) -> RackClass | None:
        """The rack class of a name: a class of this hall, or a preset. ``path`` is the key that asks for it."""
        own, presets = self.values.get("classes", {}), self.parts["racks"]
        if name is None:
            self.faults.add(path, None, "missing key", "Add it: class of the racks, one of conf/parts/racks.yaml")
            return None
        if name in self.classes:
            return self.classes[name]
        self.classes[name] = None
        if name in own:
            where = f"classes.{name}"
            if isinstance(own[name], Mapping):
                base = {"preset": name} if name in presets else {}
                whole = merged({**base, **own[name]}, presets, where, self.faults, "rack preset")
                self.classes[name] = None if whole is None else rack_class(name, whole, where, self.faults)
            else:
                self.faults.add(where, own[name], "a mapping of keys is expected here", "Write key: value lines")
        elif name in presets:
            self.classes[name] = rack_class(name, presets[name], f"rack class {name}", self.faults)
        else:
            self.faults.unknown(path, name, "rack class", [*own, *presets])
        return self.classes[name]

    def _exception(self, name: str, fields: Any) -> dict[str, Any]:
        if name not in self.exceptions:
            return {}
        return read_fields(self.exceptions[name], fields, f"exceptions.{name}", self.faults, partial=True)

    def _unknown_exceptions(self, rows: Sequence[str], slots: list[Slot], power: PowerLayout) -> None:
        known = {f"row {row}" for row in rows} | {slot.name for slot in slots} | {node.name for node in power.nodes}
        known |= {f"row {slot.row}" for slot in slots} | {slot.loop for slot in slots if slot.loop is not None}
        for name in self.exceptions:
            if name not in known:
                problem = f"no row, rack, feed or loop is called {name!r}"
                self.faults.add(f"exceptions.{name}", self.exceptions[name], problem, did_you_mean(name, known))


def _rack(slot: Slot) -> Rack:
    assert slot.rack_class is not None  # an unknown class is a fault and has stopped the reading
    return Rack(
        slot.name,
        slot.rack_class,
        slot.row,
        slot.position,
        slot.cell,
        slot.loop,
        slot.zone or "",
        slot.feeds,
        slot.valve_position,
        slot.risk_tier,
    )
