"""Weak points of a hall that is possible all the same: what ``twin hall check`` says.

Loads here are of two kinds: *nameplate*, every tray at its maximum, and *load*, ``LOAD`` of nameplate, the share of
trays that a hall usually has in use. Both feeds share unless one is said to be lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from twin.hall.curves import trip_seconds
from twin.hall.loads import air_heat_watts, liquid_heat_watts, node_currents
from twin.hall.parts import Breaker, Cooling, Hall, PowerNode, RackClass

LOAD: Final = 0.75  # of nameplate
AUTHORITY: Final = 0.3  # least share of a branch's pressure drop that its open valve should take
MARGIN: Final = 0.98  # a parent trips first when its time is below this share of its child's
OVERLOADS: Final = np.geomspace(1.05, 40.0, 160)  # currents of a child, over its rating, that are tried


class Concern(StrEnum):
    """Kinds of warnings, as sentences."""

    SELECTIVITY = "the upstream breaker trips first"
    OVERLOAD = "load above what the breaker may carry continuously"
    FEED_LOSS = "loss of one feed overloads the other"
    AUTHORITY = "the rack valve has no authority over its branch"
    LOOP_RATING = "the loop is rated below the heat of its racks"
    AIR_RATING = "the air handlers are rated below the heat of their racks"
    FACILITY_RATING = "heat rejection is rated below the nameplate of the hall"


@dataclass(frozen=True)
class HallWarning:
    """One weak point. ``names`` are all the things that have it, the one that ``evidence`` speaks of first."""

    concern: Concern
    names: tuple[str, ...]
    evidence: str
    remedy: str

    def __str__(self) -> str:
        more = f" (and {len(self.names) - 1} more like it)" if len(self.names) > 1 else ""
        return f"{self.names[0]}{more}: {self.concern.value}: {self.evidence}. {self.remedy}."


def check_hall(hall: Hall) -> list[HallWarning]:
    """Every weak point of ``hall``; things with the same figures share one warning."""
    found: list[HallWarning] = []
    full = {rack.name: rack.rack_class.max_power_watts for rack in hall.racks}
    usual = {name: LOAD * watts for name, watts in full.items()}
    at_full, at_usual = node_currents(hall, full), node_currents(hall, usual)
    found += _selectivity(hall, at_usual)
    found += _overload(hall, at_full)
    found += _feed_loss(hall, full, usual, at_full, at_usual)
    found += _authority(hall)
    found += _heat(hall)
    return _grouped(found)


def valve_authority(rack_class: RackClass) -> float:
    """Share of a branch's pressure drop across its open valve at nominal flow; 1 for a class without hydraulics."""
    flow = rack_class.nominal_flow
    rest = rack_class.quadratic_resistance * flow * flow + rack_class.linear_resistance * flow
    valve = rack_class.valve_resistance * flow * flow
    return valve / (valve + rest) if valve + rest > 0.0 else 1.0


def guarded_pairs(hall: Hall) -> list[tuple[PowerNode, PowerNode]]:
    """Every node with a breaker and the nearest node above it that has one."""
    by_name = {node.name: node for node in hall.nodes}
    pairs = []
    for node in hall.nodes:
        above = by_name.get(node.parent or "")
        while above is not None and above.breaker is None:
            above = by_name.get(above.parent or "")
        if node.breaker is not None and above is not None:
            pairs.append((node, above))
    return pairs


def _selectivity(hall: Hall, usual: Mapping[str, float]) -> Iterable[HallWarning]:
    """An overload of a child passes through its parent on top of what the parent carries for others."""
    for child, parent in guarded_pairs(hall):
        lower, upper = _guard(child), _guard(parent)
        others = max(0.0, usual[parent.name] - usual[child.name])
        for ratio in OVERLOADS:
            amperes = float(ratio) * lower.rating_amperes
            low = trip_seconds(lower, amperes, usual[child.name])
            high = trip_seconds(upper, amperes + others, usual[parent.name])
            if high < MARGIN * low:
                below = "would never trip" if np.isinf(low) else f"trips after {_time(low)}"
                yield HallWarning(
                    Concern.SELECTIVITY,
                    (child.name,),
                    f"at {amperes:.0f} A through it {parent.name}, which carries {others:.0f} A for others, "
                    f"trips after {_time(high)}, and this one {below}",
                    f"Raise the rating or delay of {parent.name} ({upper.rating_amperes:.0f} A) or lower those of "
                    f"this one ({lower.rating_amperes:.0f} A)",
                )
                break


def _overload(hall: Hall, full: Mapping[str, float]) -> Iterable[HallWarning]:
    for node in hall.nodes:
        if node.breaker is None:
            continue
        may = node.breaker.continuous_fraction * node.breaker.rating_amperes
        if full[node.name] > may * (1.0 + 1e-9):
            share = full[node.name] / node.breaker.rating_amperes
            yield HallWarning(
                Concern.OVERLOAD,
                (node.name,),
                f"{full[node.name]:.0f} A at nameplate on both feeds is {share:.0%} of a breaker of "
                f"{node.breaker.rating_amperes:.0f} A that may carry {node.breaker.continuous_fraction:.0%} for long",
                f"Rate it at {full[node.name] / node.breaker.continuous_fraction:.0f} A or more, or cap the load",
            )


def _feed_loss(
    hall: Hall,
    full: Mapping[str, float],
    usual: Mapping[str, float],
    at_full: Mapping[str, float],
    at_usual: Mapping[str, float],
) -> Iterable[HallWarning]:
    for lost, side in (("B", "A"), ("A", "B")):
        then_full, then_usual = node_currents(hall, full, lost), node_currents(hall, usual, lost)
        for node in hall.nodes:
            if node.breaker is None or node.feed != side:
                continue
            name = node.name
            fast = trip_seconds(node.breaker, then_full[name], at_full[name])
            if np.isinf(fast) or then_full[name] <= at_full[name] * (1.0 + 1e-9):
                continue
            yield HallWarning(
                Concern.FEED_LOSS,
                (name,),
                f"with feed {lost} lost it carries {then_usual[name]:.0f} A at {LOAD:.0%} load and "
                f"{_then(node.breaker, then_usual[name], at_usual[name])}; at nameplate {then_full[name]:.0f} A and "
                f"{_then(node.breaker, then_full[name], at_full[name])} (rated {node.breaker.rating_amperes:.0f} A)",
                "Shed load within that time, or rate each side for all",
            )


def _authority(hall: Hall) -> Iterable[HallWarning]:
    for rack in hall.racks:
        authority = valve_authority(rack.rack_class)
        if rack.rack_class.cooling is Cooling.LIQUID and authority < AUTHORITY:
            yield HallWarning(
                Concern.AUTHORITY,
                (rack.name,),
                f"open it takes {authority:.0%} of the branch's pressure drop, less than {AUTHORITY:.0%}",
                "Choose a smaller valve (a larger valve_pressure_drop_kilopascals)",
            )


def _heat(hall: Hall) -> Iterable[HallWarning]:
    classes = {rack.name: rack.rack_class for rack in hall.racks}
    for loop in hall.loops:
        heat = sum(liquid_heat_watts(classes[name]) for name in loop.racks)
        if loop.cdu.rated_heat_watts < heat * (1.0 - 1e-9):
            yield HallWarning(
                Concern.LOOP_RATING,
                (loop.name,),
                f"rated {loop.cdu.rated_heat_watts / 1e3:.0f} kW of {heat / 1e3:.0f} kW at nameplate, "
                f"{loop.cdu.rated_heat_watts / heat:.0%}",
                "Place work so that its racks are not all full, or choose a larger CDU",
            )
    for zone in hall.zones:
        heat = sum(air_heat_watts(rack.rack_class) for rack in hall.racks if rack.zone == zone.name)
        if zone.capacity_watts < heat * (1.0 - 1e-9):
            yield HallWarning(
                Concern.AIR_RATING,
                (zone.name,),
                f"rated {zone.capacity_watts / 1e3:.0f} kW of {heat / 1e3:.0f} kW at nameplate",
                "Add air handlers",
            )
    nameplate = sum(rack.rack_class.max_power_watts for rack in hall.racks)
    if hall.facility.capacity_watts < nameplate * (1.0 - 1e-9):
        yield HallWarning(
            Concern.FACILITY_RATING,
            ("facility water",),
            f"rated {hall.facility.capacity_watts / 1e3:.0f} kW of {nameplate / 1e3:.0f} kW at nameplate",
            "Add heat rejection",
        )


def _grouped(found: Sequence[HallWarning]) -> list[HallWarning]:
    """Warnings of one concern, on one level and with the same figures, as one: digits kept, names set aside."""
    groups: dict[tuple[str, str], list[HallWarning]] = {}
    for warning in found:
        figures = " ".join(word for word in warning.evidence.split() if word[0].isdigit())
        groups.setdefault((warning.concern, figures), []).append(warning)
    return [
        HallWarning(same[0].concern, tuple(each.names[0] for each in same), same[0].evidence, same[0].remedy)
        for same in groups.values()
    ]


def _guard(node: PowerNode) -> Breaker:
    assert node.breaker is not None  # callers choose nodes with a breaker
    return node.breaker


def _then(guard: Breaker, amperes: float, before: float) -> str:
    """What a breaker does at ``amperes`` after long ``before`` [A]."""
    if np.isinf(trip_seconds(guard, amperes, before)):
        return "never trips"
    if np.isfinite(trip_seconds(guard, before)):
        return "trips even before the loss"
    return f"trips after {_time(trip_seconds(guard, amperes, before))}"


def _time(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.3g} s"
    return f"{seconds / 60.0:.1f} min"
