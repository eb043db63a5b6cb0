"""Faults of sensors as actions of a story: they change what a snapshot says and nothing that the plant does."""

from twin.sim.actions import Action
from twin.sim.bank import SensorFault
from twin.sim.effects import Effect, Hands, Undo
from twin.sim.world import World


def sensor_stuck(hands: Hands, action: Action, event: int) -> Undo:
    """A sensor repeats its last reading and does not know it."""
    return _break(hands.world, action, stuck=True)


def sensor_bias(hands: Hands, action: Action, event: int) -> Undo:
    """A sensor reads too much or too little."""
    return _break(hands.world, action, offset=float(action.values["offset"]))


def sensor_dropout(hands: Hands, action: Action, event: int) -> Undo:
    """Readings of a sensor are lost."""
    return _break(hands.world, action, lost=float(action.values["probability"]))


#: effects by the names of their actions; each returns what undoes it
EFFECTS: dict[str, Effect] = {
    "sensor_stuck": sensor_stuck,
    "sensor_bias": sensor_bias,
    "sensor_dropout": sensor_dropout,
}


def _break(world: World, action: Action, *, stuck: bool = False, offset: float = 0.0, lost: float = 0.0) -> Undo:
    """Break the sensors that an action names: one signal of its target, or all of them."""
    word = action.values["signal"]
    kind = "breaker" if action.target_kind == "node" else str(action.target_kind)
    chosen = world.sensors.devices_of(kind, str(action.target), () if word is None else (word,))
    faults = [SensorFault(signal, device, stuck, offset, lost) for signal, device in chosen]
    world.sensors.add(*faults)
    return lambda: world.sensors.remove(*faults)
