"""A hall from a plain mapping: counts and classes first, then exceptions by name, then entries one by one.

The mapping is what a YAML file of ``conf/hall`` holds, or what Hydra makes of it. Everything wrong is reported at once
(:class:`~twin.hall.errors.HallError`), before anything is compiled.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twin.hall.cdu_figures import cdu
from twin.hall.errors import Fault, Faults, HallError, did_you_mean
from twin.hall.faults import find_faults
from twin.hall.fields import join, read_fields
from twin.hall.files import parse_yaml, read_yaml, shown
from twin.hall.hall_fields import (
    AIR_FIELDS,
    BACKUP_FIELDS,
    EXPLICIT_LOOP_FIELDS,
    EXPLICIT_RACK_FIELDS,
    FACILITY_FIELDS,
    HALL_FIELDS,
    LISTS,
    LOOP_FIELDS,
    RACK_EXCEPTION_FIELDS,
    ROW_EXCEPTION_FIELDS,
    STAGING_FIELDS,
    ZONE_FIELDS,
)
from twin.hall.layout import STAGING_ROW, Slot, assign_loops, assign_zones, rack_names, row_names
from twin.hall.loads import air_heat_watts, liquid_heat_watts
from twin.hall.parts import AirZone, Backup, Facility, Hall, Loop, Rack, RackClass
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
        rows = row_names(v.get("rows", 0))
        slots, staging_feed = self._slots(rows)
        explicit = [self._explicit_rack(entry, f"racks[{i}]") for i, entry in enumerate(self.lists.get("racks", ()))]
        extra = [slot for slot in explicit if slot is not None]
        loops = self._loops(slots, extra)
        zones = self._zones(slots, extra, rows)
        power = PowerLayout(v.get("voltage_volts", 480.0), slots, self.exceptions, self.parts["breakers"], self.faults)
        if all(key in v for key in ("utility", "ups", "pdu", "row_feed", "rack_feed")):
            power.tree(v, rows, staging_feed)
        for i, entry in enumerate(self.lists.get("nodes", ())):
            power.explicit(entry, f"nodes[{i}]")
        if v.get("auxiliary") is not None:
            power.auxiliary(v["auxiliary"])
        facility = self._facility(slots + extra)
        backup = None
        if v.get("backup") is not None:
            b = read_fields(v["backup"], BACKUP_FIELDS, "backup", self.faults)
            backup = Backup(b.get("name", "backup"), b.get("trays", 0))
        self._unknown_exceptions(rows, slots, loops, zones, power)
        self.faults.stop()
        assert facility is not None  # a missing facility is a fault and has stopped the reading
        hall = Hall(
            name=v["name"],
            racks=tuple(_rack(slot) for slot in slots + extra),
            nodes=tuple(power.nodes),
            loops=tuple(loops),
            zones=tuple(zones),
            facility=facility,
            auxiliary=tuple(power.loads),
            backup=backup,
            source=self.source,
        )
        find_faults(hall, {**self.paths, **power.paths}, self.faults)
        self.faults.stop()
        return hall

    # --- racks ---

    def _slots(self, rows: Sequence[str]) -> tuple[list[Slot], Any]:
        """Generated racks with their exceptions, and the section of the staging row's feeds (None without one)."""
        v = self.values
        slots: list[Slot] = []
        if rows and v.get("racks_per_row", 0) < 1:
            self.faults.add("racks_per_row", v.get("racks_per_row"), "rows without racks", "Write 1 or more")
        plans = [(row, v.get("racks_per_row", 0), "hall", v.get("rack_class"), "rack_class") for row in rows]
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

    # --- coolant, air, facility ---

    def _loops(self, slots: list[Slot], extra: list[Slot]) -> list[Loop]:
        section = self.values.get("loop")
        loops: list[Loop] = []
        if section is not None:
            own = {key: value for key, value in section.items() if key != "racks"}
            size = section.get("racks")
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                self.faults.add("loop.racks", size, "racks per loop: a whole number from 1 up is expected", "Write 8")
                size = 8
            names = assign_loops(slots, size)
            for name in names:
                change = self.exceptions.get(name, {})
                path = f"exceptions.{name}" if name in self.exceptions else "loop"
                if isinstance(change, Mapping):
                    loop = self._loop(name, {**own, **change}, LOOP_FIELDS, path, slots + extra)
                    loops += [] if loop is None else [loop]
                else:
                    self.faults.add(path, change, "a mapping of keys is expected here", "Write key: value lines")
        for i, entry in enumerate(self.lists.get("loops", ())):
            path = f"loops[{i}]"
            if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
                loop = self._loop(entry["name"], entry, EXPLICIT_LOOP_FIELDS, path, slots + extra)
                loops += [] if loop is None else [loop]
            else:
                self.faults.add(join(path, "name"), entry, "missing key", "Add it: name of the loop")
        return loops

    def _loop(self, name: str, mapping: Mapping[str, Any], fields: Any, path: str, slots: list[Slot]) -> Loop | None:
        before = self.faults.noted
        own = {"preset": mapping["cdu"]} if isinstance(mapping.get("cdu"), str) else {}
        top = ("name", "cdu", "supply_temperature_celsius", "oversubscription")
        figures = {key: value for key, value in mapping.items() if key not in top}
        whole = merged({**own, **figures}, self.parts["cdus"], path, self.faults, "CDU preset")
        if whole is None:
            return None
        v = read_fields({**whole, **{k: mapping[k] for k in top if k in mapping}}, fields, path, self.faults)
        if self.faults.noted > before:
            return None
        members = [slot for slot in slots if slot.loop == name]
        heat = sum(liquid_heat_watts(slot.rack_class) for slot in members if slot.rack_class is not None)
        over = v["oversubscription"]
        unit = cdu(v["cdu"], whole, path, self.faults, over * heat if over is not None and heat > 0.0 else None)
        self.paths.setdefault(name, path)
        if unit is None:
            return None
        return Loop(name, unit, v["supply_temperature_celsius"], tuple(slot.name for slot in members))

    def _zones(self, slots: list[Slot], extra: list[Slot], rows: Sequence[str]) -> list[AirZone]:
        zones: list[AirZone] = []
        if "air" in self.values:
            before = self.faults.noted
            v = read_fields(self.values["air"], AIR_FIELDS, "air", self.faults)
            if self.faults.noted == before:
                for name in assign_zones(slots + extra, rows, v["rows_per_zone"]):
                    members = [slot for slot in slots + extra if slot.zone == name]
                    air = sum(air_heat_watts(slot.rack_class) for slot in members if slot.rack_class is not None)
                    capacity = v["capacity_fraction"] * air
                    zones.append(
                        AirZone(
                            name,
                            v["setpoint_celsius"],
                            v["band_kelvin"],
                            capacity,
                            v["fan_fraction"] * capacity,
                            v["heat_capacity_joules_per_kelvin_per_rack"] * max(1, len(members)),
                            v["recirculation"],
                        )
                    )
                    self.paths.setdefault(name, "air")
        for i, entry in enumerate(self.lists.get("zones", ())):
            path = f"zones[{i}]"
            before = self.faults.noted
            z = read_fields(entry, ZONE_FIELDS, path, self.faults)
            if self.faults.noted == before:
                zones.append(
                    AirZone(
                        z["name"],
                        z["setpoint_celsius"],
                        z["band_kelvin"],
                        z["capacity_kilowatts"],
                        z["fan_watts"],
                        z["heat_capacity_joules_per_kelvin"],
                        z["recirculation"],
                    )
                )
                self.paths[z["name"]] = path
        return zones

    def _facility(self, slots: list[Slot]) -> Facility | None:
        if "facility" not in self.values:
            return None
        before = self.faults.noted
        v = read_fields(self.values["facility"], FACILITY_FIELDS, "facility", self.faults)
        if self.faults.noted > before:
            return None
        nameplate = sum(slot.rack_class.max_power_watts for slot in slots if slot.rack_class is not None)
        capacity = v["capacity_fraction"] * nameplate
        return Facility(
            setpoint=v["setpoint_celsius"],
            tank_heat_capacity=nameplate * v["tank_minutes"] * 60.0 / v["tank_rise_kelvin"],
            capacity_watts=capacity,
            gain_watts_per_kelvin=capacity / v["band_kelvin"],
            approach=v["approach_kelvin"],
            chiller_cop=v["chiller_cop"],
            free_cooling_fraction=v["free_cooling_fraction"],
            dry_bulb=v["dry_bulb_celsius"],
            wet_bulb=v["wet_bulb_celsius"],
        )

    def _unknown_exceptions(
        self, rows: Sequence[str], slots: list[Slot], loops: list[Loop], zones: list[AirZone], power: PowerLayout
    ) -> None:
        known = {f"row {row}" for row in (*rows, STAGING_ROW)} | {slot.name for slot in slots}
        known |= {loop.name for loop in loops} | {slot.loop for slot in slots if slot.loop is not None}
        known |= {node.name for node in power.nodes}
        for name in self.exceptions:
            if name not in known:
                self.faults.unknown(f"exceptions.{name}", name, "row, rack, feed or loop", known)


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
