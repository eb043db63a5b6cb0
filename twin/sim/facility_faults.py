"""Effects beyond the loops: facility water, chillers, room air, the weather."""

import numpy as np

from twin.plant.facility import AVAILABLE
from twin.results.kinds import EventKind
from twin.sim.actions import Action
from twin.sim.effects import Effect, Hands, Racks, Undo, place
from twin.sim.mechanical import CHILLERS, FACILITY_WATER


def facility_water_loss(hands: Hands, action: Action, event: int) -> Undo:
    """Facility water no longer reaches one loop's exchanger, or any; in part or wholly."""
    world = hands.world
    loops = range(len(world.topology.loop_names)) if action.target is None else (place(hands, action),)
    lost, over = float(action.values["severity"]), action.values["over"]
    pushes = [hands.push(world.levers("water", loop), lambda at: 1.0 - at * lost, over) for loop in loops]
    reached = np.isin(world.topology.rack_loop, loops)
    level, name = ("loop", action.target) if action.target is not None else ("hall", FACILITY_WATER)
    trouble = hands.trouble(event, EventKind.WATER_LOST, level, str(name), reached, value=1.0 - lost)

    def undo() -> None:
        for push in pushes:
            push.go(0.0)
        hands.over(trouble, EventKind.WATER_RESTORED, value=float(world.plant.u.loop["water_factor"][loops].max()))

    return undo


def facility_water_ramp(hands: Hands, action: Action, event: int) -> Undo:
    """The set point of the facility water drifts away, and drifts back when it is put right."""
    rise, over = float(action.values["kelvin"]), action.values["over"]
    push = hands.push(hands.world.levers("set point"), lambda at: at * rise, over)
    trouble = hands.trouble(
        event, EventKind.WATER_DRIFTED, "hall", FACILITY_WATER, hands.everywhere, value=rise
    )  # fmt: skip

    def undo() -> None:
        push.go(0.0, over)
        hands.over(trouble, EventKind.WATER_CORRECTED)

    return undo


def chiller_trip(hands: Hands, action: Action, event: int) -> Undo:
    """Heat rejection trips, in part or wholly; repaired, it comes back over the hall's ramp."""
    world = hands.world
    lost = float(action.values["severity"])
    push = hands.push(world.levers("rejection"), lambda at: 1.0 - at * lost)
    trouble = hands.trouble(
        event, EventKind.CHILLER_TRIPPED, "hall", CHILLERS, hands.everywhere, value=1.0 - lost
    )  # fmt: skip

    def undo() -> None:
        push.go(0.0, world.topology.hall.emergency.chiller_ramp_seconds, back)

    def back() -> None:
        hands.over(trouble, EventKind.CHILLER_RESTARTED, value=float(world.plant.u.facility[AVAILABLE]))

    return undo


def crah_failure(hands: Hands, action: Action, event: int) -> Undo:
    """CRAHs of a zone stop, or of every zone, in part or wholly; their fans draw nothing while they stand."""
    world, topology = hands.world, hands.world.topology
    zones = range(len(topology.zone_names)) if action.target is None else (place(hands, action),)
    lost = float(action.values["severity"])
    pushes = [hands.push(world.levers("crah", zone), lambda at: 1.0 - at * lost) for zone in zones]
    level, name = ("zone", action.target) if action.target is not None else ("hall", "the hall")
    trouble = hands.trouble(
        event, EventKind.CRAH_LOST, level, str(name), air_cooled(hands, zones), value=1.0 - lost
    )  # fmt: skip

    def undo() -> None:
        for push in pushes:
            push.go(0.0)
        hands.over(trouble, EventKind.CRAH_RESTORED, value=float(world.plant.u.zone["factor"][list(zones)].min()))

    return undo


def air_cooled(hands: Hands, zones: range | tuple[int, ...]) -> Racks:
    """Racks of zones whose devices give their heat to the air: the others do not feel it."""
    topology = hands.world.topology
    return np.asarray(np.isin(topology.rack_zone, list(zones)) & (topology.rack_loop < 0), dtype=np.bool_)


def weather(hands: Hands, action: Action, event: int) -> Undo:
    """The air outside is another, whatever the weather file says."""
    part = ("instead", float(action.values["dry_bulb_celsius"]), float(action.values["wet_bulb_celsius"]))
    push = hands.push(hands.world.levers("weather"), lambda at: part)
    found = hands.world.disturb_cooling(event, hands.everywhere, lasting=True)

    def undo() -> None:
        push.go(0.0)
        found.ended = hands.world.env.now

    return undo


def hot_weather(hands: Hands, action: Action, event: int) -> Undo:
    """It grows hot outside, and cools down again when it is over, each in the same time."""
    dry, wet, over = (action.values[key] for key in ("dry_bulb_kelvin", "wet_bulb_kelvin", "over"))
    push = hands.push(hands.world.levers("weather"), lambda at: ("added", at * dry, at * wet), over)
    trouble = hands.trouble(event, EventKind.WEATHER_HOT, "hall", "the weather", hands.everywhere, value=wet)

    def undo() -> None:
        push.go(0.0, over)
        hands.over(trouble, EventKind.WEATHER_OVER)

    return undo


EFFECTS: dict[str, Effect] = {
    "facility_water_loss": facility_water_loss,
    "facility_water_ramp": facility_water_ramp,
    "chiller_trip": chiller_trip,
    "crah_failure": crah_failure,
    "weather": weather,
    "hot_weather": hot_weather,
}
