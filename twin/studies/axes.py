"""What a hall's capacity is asked of: more racks, racks of more power, or warmer coolant, on the plant that is there.

A hall file sizes much of its plant by the racks behind it (``oversubscription`` and the like). Here the plant stays as
it was built for the racks of the file, so that what is added has to share it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.hall.errors import Fault
from twin.hall.loads import air_heat_watts, liquid_heat_watts
from twin.hall.parts import RackClass
from twin.hall.reader import read_hall
from twin.setup.refusals import Refused


@dataclass(frozen=True)
class Axis:
    """A quantity of a hall: its key on the command line, its name, its unit, and the step in which it is searched."""

    key: str
    name: str
    unit: str
    step: float
    span: tuple[float, float]  # searched by default, relative to the hall's own value, or added to it for temperatures


AXES: dict[str, Axis] = {
    "racks": Axis("racks", "racks in a row", "racks", 1.0, (0.5, 1.75)),
    "power_limit": Axis("power_limit", "power of a rack", "kW", 4.0, (0.6, 1.6)),
    "supply_temperature": Axis("supply_temperature", "coolant supply temperature", "°C", 1.0, (-8.0, 16.0)),
}


def present(mapping: Mapping[str, Any], axis: str) -> float:
    """A hall's own value on an axis, in the axis's unit. Raises Refused for halls whose plant cannot be kept."""
    if axis == "supply_temperature":
        return float(_section(mapping, "loop")["supply_temperature_celsius"])
    _check(mapping, axis)
    if axis == "racks":
        return float(mapping["racks_per_row"])
    return _rack_class(mapping).max_power_watts / 1e3


def searched(axis: str, own: float, low: float | None, high: float | None) -> list[float]:
    """The values to search, ascending, multiples of the axis's step; the hall's own end where none is given."""
    kind = AXES[axis]
    ends = [own + each if axis == "supply_temperature" else own * each for each in kind.span]
    first = kind.step * math.ceil((ends[0] if low is None else low) / kind.step - 1e-9)
    last = kind.step * math.floor((ends[1] if high is None else high) / kind.step + 1e-9)
    count = round((last - first) / kind.step) + 1
    return [float(value) for value in first + kind.step * np.arange(max(0, count))]


def changed(mapping: Mapping[str, Any], axis: str, value: float) -> dict[str, Any]:
    """A hall's mapping with another value on an axis and the plant of the hall as it was."""
    if axis == "supply_temperature":
        return {**mapping, "loop": {**mapping["loop"], "supply_temperature_celsius": value}}
    if axis == "racks":
        return _with_racks(mapping, round(value))
    return _with_power(mapping, value * 1e3)


def _with_racks(mapping: Mapping[str, Any], count: int) -> dict[str, Any]:
    before = int(mapping["racks_per_row"])
    loop = _section(mapping, "loop")
    of_row = math.ceil(before / loop["racks"])  # loops of a row
    each = math.ceil(count / of_row)
    made = _sized(mapping, before / count, _whole(mapping, before) / _whole(mapping, count), before / count)
    made["racks_per_row"] = count
    made["loop"] = {**loop, "racks": each}
    if loop.get("oversubscription") is not None:
        width = max(2, len(str(of_row * int(mapping["rows"]))))
        exceptions = {}
        for index in range(of_row * int(mapping["rows"])):
            place = index % of_row
            was = min(loop["racks"], before - place * loop["racks"])
            now = max(1, min(each, count - place * each))
            exceptions[f"loop {index + 1:0{width}d}"] = {"oversubscription": loop["oversubscription"] * was / now}
        made["exceptions"] = exceptions
    return made


def _with_power(mapping: Mapping[str, Any], watts: float) -> dict[str, Any]:
    before = _rack_class(mapping)
    beside = before.max_power_watts * before.shelf_efficiency - before.trays * before.tray_max_watts
    tray = (watts * before.shelf_efficiency - beside) / before.trays
    name = str(mapping["rack_class"])
    classes = dict(mapping.get("classes") or {})
    classes[name] = {**(classes.get(name) or {}), "tray_max_watts": tray}
    now = _rack_class({**mapping, "classes": classes})
    share = before.max_power_watts / now.max_power_watts
    air = air_heat_watts(before) / air_heat_watts(now)
    made = _sized({**mapping, "classes": classes}, share, share, air)
    loop = _section(mapping, "loop")
    if loop.get("oversubscription") is not None:
        liquid = liquid_heat_watts(before) / liquid_heat_watts(now)
        made["loop"] = {**loop, "oversubscription": loop["oversubscription"] * liquid}
    return made


def _rack_class(mapping: Mapping[str, Any]) -> RackClass:
    """The class of the hall's racks. Raises HallError."""
    return next(rack for rack in read_hall(dict(mapping), source="hall").racks if rack.cell == "hall").rack_class


def _whole(mapping: Mapping[str, Any], in_row: int) -> int:
    """Racks of the hall with the staging cell's, which UPS and facility water serve too."""
    return int(mapping["rows"]) * in_row + int((mapping.get("staging") or {}).get("racks") or 0)


def _sized(mapping: Mapping[str, Any], row: float, hall: float, air: float) -> dict[str, Any]:
    """A copy in which what is sized by the racks behind it is sized as before; ``row``, ``hall`` and
    ``air`` are the nameplate of a row, that of the hall and the air heat of a row, then over now."""
    made = dict(mapping)
    for key, field, share in (
        ("ups", "oversubscription", hall),
        ("ups", "battery_minutes", hall),
        ("pdu", "oversubscription", row),
        ("row_feed", "oversubscription", row),
        ("air", "capacity_fraction", air),
        ("facility", "capacity_fraction", hall),
        ("facility", "tank_minutes", hall),
    ):
        section = made.get(key)
        if isinstance(section, Mapping) and section.get(field) is not None:
            made[key] = {**section, field: section[field] * share}
    return made


def _section(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = mapping.get(key)
    if not isinstance(found, Mapping):
        raise Refused([str(Fault("hall", key, found, "this hall has none", "Choose another axis or hall"))])
    return found


def _check(mapping: Mapping[str, Any], axis: str) -> None:
    """Raise Refused for a hall that is not laid out of equal rows, whose plant nobody could keep while racks change."""
    odd = [key for key in ("exceptions", "racks", "nodes", "loops", "zones") if mapping.get(key)]
    if odd or not mapping.get("racks_per_row") or not mapping.get("rack_class"):
        what = ", ".join(odd) or "no equal rows"
        remedy = "Choose a hall of equal rows such as reference, or axis=supply_temperature"
        raise Refused([str(Fault("hall", "axis", axis, f"the hall has {what}", remedy))])
    _section(mapping, "loop")
