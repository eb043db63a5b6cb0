"""Whether the fields of an action fit one another and the hall that it happens to."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from twin.hall.errors import did_you_mean
from twin.hall.parts import Hall, NodeKind
from twin.policy.rollout import READINESS
from twin.sim.measured import SIGNALS


class Misfit(NamedTuple):
    """A field that is fine by itself but not in this hall, or not beside the others."""

    key: str
    value: Any
    problem: str
    remedy: str


def targets_of(hall: Hall, kind: str) -> tuple[str, ...]:
    """Names in ``hall`` that a target key takes: loop, node, breaker, rack, row, feed or zone."""
    match kind:
        case "zone":
            return tuple(zone.name for zone in hall.zones)
        case "loop":
            return tuple(loop.name for loop in hall.loops)
        case "rack":
            return tuple(rack.name for rack in hall.racks)
        case "row":
            return tuple(dict.fromkeys(rack.row for rack in hall.racks))
        case "node":
            return tuple(node.name for node in hall.nodes)
        case "breaker":
            return tuple(node.name for node in hall.nodes if node.breaker is not None)
        case "service":
            return ()  # a hall has none: they are the workload's
        case "feed":
            return tuple(dict.fromkeys(node.feed for node in hall.nodes if node.kind is NodeKind.UTILITY))
        case _:
            raise KeyError(f"no target kind '{kind}'")


def check_pumps(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    installed = next(loop.cdu.pumps for loop in hall.loops if loop.name == target)
    beyond = [index + 1 for index in values["pump"] or () if index >= installed]
    return [Misfit("pump", n, f"{target} has {installed} pumps", f"Give 1 to {installed}, or all") for n in beyond]


def check_job(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    racks = {rack.name: rack.rack_class.trays for rack in hall.racks}
    trays, pin = values["trays"], values["rack"]
    if pin is None:
        said = next((key for key in ("role", "by", "reason") if values[key] is not None), None)
        if said is not None:
            return [Misfit(said, values[said], "goes with a rack to pin it to", "Give rack, or leave it out")]
        installed = sum(rack.rack_class.trays for rack in hall.racks if rack.cell == "hall")
        return [Misfit("trays", trays, f"the hall has {installed}", "Ask for fewer")] if trays > installed else []
    if pin not in racks:
        return [Misfit("rack", pin, "unknown rack", did_you_mean(pin, racks))]
    if trays > racks[pin]:
        return [Misfit("trays", trays, f"{pin} has {racks[pin]}", "Ask for fewer, or leave rack out")]
    return []


def check_weather(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    dry, wet = values["dry_bulb_celsius"], values["wet_bulb_celsius"]
    if wet > dry:
        return [Misfit("wet_bulb_celsius", wet, f"above the dry bulb of {dry:g}", "Give a wet bulb that is not")]
    return []


def check_tray(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    installed = next(rack.rack_class.trays for rack in hall.racks if rack.name == target)
    if values["tray"] > installed:
        return [Misfit("tray", values["tray"], f"{target} has {installed} trays", f"Give 1 to {installed}")]
    return []


def check_valve(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    if next(rack.loop for rack in hall.racks if rack.name == target) is None:
        return [Misfit("rack", target, "an air-cooled rack has no valve", "Name a rack on a coolant loop")]
    return []


def check_fouling(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    given = [key for key in ("severity", "kelvin_per_kilowatt") if values[key] is not None]
    if len(given) == 1:
        return []
    problem = "not one of the two measures of fouling" if not given else "two measures of one fouling"
    return [Misfit("severity", values["severity"], problem, "Give severity or kelvin_per_kilowatt")]


def check_hot_weather(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    dry, wet = values["dry_bulb_kelvin"], values["wet_bulb_kelvin"]
    if wet > dry:
        return [Misfit("wet_bulb_kelvin", wet, f"more than the dry bulb's rise of {dry:g}", "Give a rise that is not")]
    return []


def check_phase(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    parents = {node.name: node.parent for node in hall.nodes}
    for ups in hall.nodes:
        above = ups.parent if ups.kind is NodeKind.UPS else None
        while above is not None:
            if above == target:
                remedy = f"Name {ups.name} or a node below it, or put {ups.name} on battery with ups_on_battery"
                return [Misfit("node", target, f"{ups.name} makes three lines of its own from it", remedy)]
            above = parents[above]
    return []


def check_ups(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    node = next(each for each in hall.nodes if each.name == target)
    if node.kind is not NodeKind.UPS:
        units = [each.name for each in hall.nodes if each.kind is NodeKind.UPS]
        return [Misfit("node", target, "not a UPS", f"Name one of {', '.join(units)}")]
    beside = [each.name for each in hall.nodes if each.parent == node.parent and each.name != target]
    beside += [load.name for load in hall.auxiliary if load.node == node.parent]
    if beside:
        problem = f"its supply {node.parent} also feeds {', '.join(beside)}"
        return [Misfit("node", target, problem, f"Lose {node.parent} with feed_loss instead")]
    return []


SENSED = ("rack", "row", "loop", "breaker")  # targets that sensors belong to


def check_signal(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    kinds = [kind for kind in SENSED if target in targets_of(hall, kind)]
    measured = [signal.short for signal in SIGNALS.values() if signal.kind in kinds]
    word = values["signal"]
    if word is not None and word not in measured:
        return [Misfit("signal", word, f"not measured at {target}", did_you_mean(word, measured))]
    if word == "closed" and "offset" in values:
        return [Misfit("signal", word, "a switch has no offset", "Use sensor_stuck or sensor_dropout")]
    return []


HISTORY_SECONDS = 900.0  # of readings that are kept at least

#: effects of a build that its image shows in a service's replicas only
OF_SERVICES = {"concurrency": 1.0, "memory_bandwidth": 1.0, "error_rate": 0.0}


def check_release(hall: Hall, target: str | None, values: Mapping[str, Any]) -> list[Misfit]:
    if (values["service"] is None) == (values["image"] is None):
        return [Misfit("service", values["service"], "not one of service and image", "Give one of the two")]
    found = [
        Misfit("not_ready", item, "no readiness item", did_you_mean(item, READINESS))
        for item in values["not_ready"]
        if item not in READINESS
    ]
    if values["window"] is not None and values["window"] > HISTORY_SECONDS:
        found.append(Misfit("window", values["window"], "longer than sensors' history", "Give 15 min or less"))
    if values["image"] is not None:
        found += [
            Misfit(name, values[name], "an image of jobs shows power and latency only", "Leave it out")
            for name, as_built in OF_SERVICES.items()
            if values[name] != as_built
        ]
        if values["latency"] < 1.0:
            remedy = "Give 1 or more"
            found.append(Misfit("latency", values["latency"], "a job would end before its declared time", remedy))
    return found
