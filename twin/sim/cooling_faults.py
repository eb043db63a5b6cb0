"""Effects on coolant loops: pumps, valves, the exchanger, the filter, the set point."""

import numpy as np

from twin.hall.parts import PumpMode
from twin.results.kinds import EventKind
from twin.sim.actions import Action
from twin.sim.effects import Effect, Hands, Steps, Undo, place


def pump_loss(hands: Hands, action: Action, event: int) -> Undo:
    """Pumps lose their drive; a standby spare starts after its failover time."""
    world, plant = hands.world, hands.world.plant
    loop = place(hands, action)
    cdu = world.topology.hall.loops[loop].cdu
    asked = action.values["pump"]
    pumps = range(cdu.pumps) if asked is None else asked
    ran = [k for k in pumps if plant.u.pump_on[loop, k]]
    pushes = [hands.push(world.levers("pump", loop, k), bool) for k in pumps]
    trouble = hands.trouble(
        event, EventKind.PUMP_LOST, "loop", str(action.target), world.racks_of_loop(loop),
        value=float(plant.u.pump_on[loop].sum()), detail=f"pump {', '.join(str(k + 1) for k in ran)}",
    )  # fmt: skip
    spare = [
        k
        for k in range(cdu.pumps)
        if k not in pumps and not plant.u.pump_on[loop, k] and not world.levers("pump", loop, k).pushed
    ]
    if cdu.mode is PumpMode.STANDBY and spare and ran and asked is not None:
        world.env.process(_start_spare(hands, loop, spare[0], cdu.failover_seconds, trouble.event))

    def undo() -> None:
        for push in pushes:
            push.go(0.0)
        hands.over(trouble, EventKind.PUMP_RESTORED, value=float(plant.u.pump_on[loop].sum()))

    return undo


def _start_spare(hands: Hands, loop: int, pump: int, seconds: float, cause: int) -> Steps:
    world = hands.world
    yield world.env.timeout(seconds)
    world.levers("pump", loop, pump).rest_at(True)
    world.log.add(
        world.env.now, EventKind.PUMP_STARTED, "loop", world.topology.loop_names[loop], cause=cause,
        value=float(world.plant.u.pump_on[loop].sum()),
    )  # fmt: skip


def pump_degradation(hands: Hands, action: Action, event: int) -> Undo:
    """Pumps reach only a part of the speed that they are told: a worn impeller, a drive that limits itself."""
    world = hands.world
    loop = place(hands, action)
    lost, asked = float(action.values["severity"]), action.values["pump"]
    pumps = range(world.topology.hall.loops[loop].cdu.pumps) if asked is None else asked
    pushes = [
        hands.push(world.levers("health", loop, k), lambda part: 1.0 - part * lost, action.values["over"])
        for k in pumps
    ]
    trouble = hands.trouble(
        event, EventKind.PUMP_DEGRADED, "loop", str(action.target), world.racks_of_loop(loop), value=1.0 - lost,
        detail=f"pump {', '.join(str(k + 1) for k in pumps)}",
    )  # fmt: skip

    def undo() -> None:
        for push in pushes:
            push.go(0.0)
        hands.over(trouble, EventKind.PUMP_RESTORED, value=float(world.plant.u.pump_on[loop].sum()))

    return undo


def supply_setpoint(hands: Hands, action: Action, event: int) -> Undo:
    """Move a loop's supply set point."""
    world = hands.world
    loop = place(hands, action)
    celsius = float(action.values["celsius"])
    push = hands.push(world.levers("supply", loop), lambda part: celsius)
    found = world.disturb_cooling(event, world.racks_of_loop(loop), lasting=True)

    def undo() -> None:
        push.go(0.0)
        found.ended = world.env.now

    return undo


def valve(hands: Hands, action: Action, event: int) -> Undo:
    """Move a rack's coolant valve, unless it is stuck: then it will be where it was told once it is free."""
    world = hands.world
    rack = place(hands, action)
    position = float(action.values["position"])
    told = world.levers("valve command", rack)
    push = hands.push(told, lambda part: position)
    loop = int(world.topology.rack_loop[rack])
    reached = world.racks_of_loop(loop) & (world.topology.rack_loop >= 0)
    found = world.disturb_cooling(event, reached, lasting=True)

    def undo() -> None:
        push.go(0.0)
        found.ended = world.env.now

    return undo


def valve_stuck(hands: Hands, action: Action, event: int) -> Undo:
    """A rack's valve sticks where it is, or where it went as it broke, and moves for nobody."""
    world, plant = hands.world, hands.world.plant
    rack = place(hands, action)
    written = action.values["position"]
    before = float(plant.u.rack["valve"][rack])
    position = before if written is None else float(written)
    push = hands.push(world.levers("valve", rack), lambda part: position)
    loop = world.racks_of_loop(int(world.topology.rack_loop[rack]))
    own = np.arange(len(loop)) == rack
    # a valve that opens takes water from its neighbours, one that closes only from its own rack
    trouble = hands.trouble(
        event, EventKind.VALVE_STUCK, "rack", str(action.target), loop if position > before else own, value=position
    )

    def undo() -> None:
        push.go(0.0)
        hands.over(trouble, EventKind.VALVE_FREED, value=float(plant.u.rack["valve"][rack]))

    return undo


def hx_fouling(hands: Hands, action: Action, event: int) -> Undo:
    """Fouling grows in a heat exchanger: ``R = s/((1 − s) UA)`` takes the share s of its conductance UA."""
    world, plant = hands.world, hands.world.plant
    loop = place(hands, action)
    record = plant.c.loop[loop]
    resistance = 1.0 / float(record["hx1"]) + 1.0 / float(record["hx2"]) + float(plant.u.loop["fouling"][loop])
    share, written = action.values["severity"], action.values["kelvin_per_kilowatt"]

    def part(at: float) -> float:
        if share is None:
            return at * float(written) * 1e-3
        return resistance * at * float(share) / (1.0 - at * float(share))

    trouble = hands.trouble(
        event, EventKind.EXCHANGER_FOULED, "loop", str(action.target), world.racks_of_loop(loop),
        value=float(plant.u.loop["fouling"][loop]) + part(1.0),
    )  # fmt: skip
    push = hands.push(world.levers("fouling", loop), part, action.values["over"])

    def undo() -> None:
        push.go(0.0)
        hands.over(trouble, EventKind.EXCHANGER_CLEANED, value=float(plant.u.loop["fouling"][loop]))

    return undo


def filter_clog(hands: Hands, action: Action, event: int) -> Undo:
    """A filter clogs: the main of a loop resists more."""
    world, plant = hands.world, hands.world.plant
    loop = place(hands, action)
    factor = float(action.values["factor"])
    push = hands.push(world.levers("main", loop), lambda at: 1.0 + at * (factor - 1.0), action.values["over"])
    trouble = hands.trouble(
        event, EventKind.FILTER_CLOGGED, "loop", str(action.target), world.racks_of_loop(loop), value=factor
    )

    def undo() -> None:
        push.go(0.0)
        hands.over(trouble, EventKind.FILTER_CLEANED, value=float(plant.u.loop["main_factor"][loop]))

    return undo


EFFECTS: dict[str, Effect] = {
    "pump_loss": pump_loss,
    "pump_degradation": pump_degradation,
    "supply_setpoint": supply_setpoint,
    "valve": valve,
    "valve_stuck": valve_stuck,
    "hx_fouling": hx_fouling,
    "filter_clog": filter_clog,
}
