"""Laying out what carries heat away: coolant loops with their CDUs, air zones, facility water."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from twin.hall.cdu_figures import CDU_FIELDS, cdu
from twin.hall.errors import Faults
from twin.hall.fields import Field, join, read_fields
from twin.hall.hall_fields import AIR_FIELDS, EXPLICIT_LOOP_FIELDS, FACILITY_FIELDS, LOOP_FIELDS, ZONE_FIELDS
from twin.hall.layout import Slot, assign_loops, assign_zones
from twin.hall.loads import air_heat_watts, liquid_heat_watts
from twin.hall.parts import AirZone, Facility, Loop
from twin.hall.presets import merged

_CDU_KEYS: Final = frozenset(field.key for field in CDU_FIELDS)
_OWN_KEYS: Final = ("name", "cdu", "supply_temperature_celsius", "oversubscription")  # of a loop, not of its CDU


class CoolingLayout:
    """Collects loops and zones of a hall. ``slots`` are its generated racks, ``extra`` those spelled out."""

    def __init__(
        self, slots: Sequence[Slot], extra: Sequence[Slot], presets: Mapping[str, Any], faults: Faults
    ) -> None:
        self.made_loops: list[Loop] = []
        self.made_zones: list[AirZone] = []
        self.paths: dict[str, str] = {}  # loop or zone → key of the file that made it
        self._slots, self._all = slots, [*slots, *extra]
        self._presets, self._faults = presets, faults

    def loops(self, section: Any, exceptions: Mapping[str, Any], entries: Sequence[Any]) -> None:
        """Give the generated liquid racks their loops, and add those that the file spells out."""
        if section is not None:
            own = {key: value for key, value in section.items() if key != "racks"}
            size = section.get("racks")
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                problem = "racks per loop: a whole number from 1 up is expected"
                self._faults.add("loop.racks", size, problem, "Write 8")
                size = 8
            for name in assign_loops(self._slots, size):
                change = exceptions.get(name, {})
                path = f"exceptions.{name}" if name in exceptions else "loop"
                if isinstance(change, Mapping):
                    self._loop(name, {**own, **change}, LOOP_FIELDS, path)
                else:
                    self._faults.add(path, change, "a mapping of keys is expected here", "Write key: value lines")
        for i, entry in enumerate(entries):
            path = f"loops[{i}]"
            if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
                self._loop(entry["name"], entry, EXPLICIT_LOOP_FIELDS, path)
            else:
                self._faults.add(join(path, "name"), entry, "missing key", "Add it: name of the loop")

    def _loop(self, name: str, mapping: Mapping[str, Any], fields: Sequence[Field], path: str) -> None:
        before = self._faults.noted
        chosen = mapping.get("cdu")
        if isinstance(chosen, str) and chosen not in self._presets:
            self._faults.unknown(join(path, "cdu"), chosen, "CDU preset", self._presets)
            return
        preset = {"preset": chosen} if isinstance(chosen, str) else {}
        figures = {key: value for key, value in mapping.items() if key not in _OWN_KEYS}
        whole = merged({**preset, **figures}, self._presets, path, self._faults, "CDU preset")
        if whole is None:
            return
        own = {key: mapping[key] for key in _OWN_KEYS if key in mapping}
        v = read_fields({**whole, **own}, fields, path, self._faults)
        members = [slot for slot in self._all if slot.loop == name]
        heat = sum(liquid_heat_watts(slot.rack_class) for slot in members if slot.rack_class is not None)
        over = v.get("oversubscription")
        rating = over * heat if over is not None and heat > 0.0 else None
        known = {key: value for key, value in whole.items() if key in _CDU_KEYS}
        unit = cdu(str(chosen), known, path, self._faults, rating)
        self.paths.setdefault(name, path)
        if unit is not None and self._faults.noted == before:
            racks = tuple(slot.name for slot in members)
            self.made_loops.append(Loop(name, unit, v["supply_temperature_celsius"], racks))

    def zones(self, section: Any, rows: Sequence[str], entries: Sequence[Any]) -> None:
        """Give racks their air zones, sized to their air heat, and add those that the file spells out."""
        before = self._faults.noted
        v = {} if section is None else read_fields(section, AIR_FIELDS, "air", self._faults)
        if v and self._faults.noted == before:
            for name in assign_zones(self._all, rows, v["rows_per_zone"]):
                members = [slot for slot in self._all if slot.zone == name]
                air = sum(air_heat_watts(slot.rack_class) for slot in members if slot.rack_class is not None)
                capacity = v["capacity_fraction"] * air
                self.made_zones.append(
                    AirZone(
                        name=name,
                        setpoint=v["setpoint_celsius"],
                        band=v["band_kelvin"],
                        capacity_watts=capacity,
                        fan_watts=v["fan_fraction"] * capacity,
                        heat_capacity=v["heat_capacity_joules_per_kelvin_per_rack"] * max(1, len(members)),
                        recirculation=v["recirculation"],
                    )
                )
                self.paths.setdefault(name, "air")
        for i, entry in enumerate(entries):
            path = f"zones[{i}]"
            before = self._faults.noted
            z = read_fields(entry, ZONE_FIELDS, path, self._faults)
            if self._faults.noted > before:
                continue
            self.made_zones.append(
                AirZone(
                    name=z["name"],
                    setpoint=z["setpoint_celsius"],
                    band=z["band_kelvin"],
                    capacity_watts=z["capacity_kilowatts"],
                    fan_watts=z["fan_watts"],
                    heat_capacity=z["heat_capacity_joules_per_kelvin"],
                    recirculation=z["recirculation"],
                )
            )
            self.paths[z["name"]] = path

    def facility(self, section: Any) -> Facility | None:
        """Facility water, sized to the nameplate of the racks; None, with the faults noted, when it makes no sense."""
        if section is None:
            return None
        before = self._faults.noted
        v = read_fields(section, FACILITY_FIELDS, "facility", self._faults)
        if self._faults.noted > before:
            return None
        nameplate = sum(slot.rack_class.max_power_watts for slot in self._all if slot.rack_class is not None)
        capacity = v["capacity_fraction"] * nameplate
        return Facility(
            setpoint=v["setpoint_celsius"],
            tank_heat_capacity=nameplate * v["tank_minutes"] * 60.0 / v["tank_rise_kelvin"],
            capacity_watts=capacity,
            gain_watts_per_kelvin=capacity / v["band_kelvin"],
            approach=v["approach_kelvin"],
            chiller_cop=v["chiller_cop"] or 0.0,
            free_cooling_fraction=v["free_cooling_fraction"],
            dry_bulb=v["dry_bulb_celsius"],
            wet_bulb=v["wet_bulb_celsius"],
        )
