"""Faults of sensors as actions of a story: they change what a snapshot says and nothing that the plant does."""

from collections.abc import Callable

from twin.sim.actions import Action
from twin.sim.sensors import SensorFault
from twin.sim.world import World

Undo = Callable[[], None]


def effects(world: World) -> dict[str, Callable[[Action, int], Undo | None]]:
    """What each action does, by its name; every effect returns what undoes it."""

    def broken(action: Action, *, stuck: bool = False, offset: float = 0.0, lost: float = 0.0) -> Undo:
        word = action.values["signal"]
        kind = "breaker" if action.target_kind == "node" else str(action.target_kind)
        chosen = world.sensors.devices_of(kind, str(action.target), () if word is None else (word,))
        faults = [SensorFault(signal, device, stuck, offset, lost) for signal, device in chosen]
        world.sensors.add(*faults)
        return lambda: world.sensors.remove(*faults)

    return {
        "sensor_stuck": lambda action, event: broken(action, stuck=True),
        "sensor_bias": lambda action, event: broken(action, offset=float(action.values["offset"])),
        "sensor_dropout": lambda action, event: broken(action, lost=float(action.values["probability"])),
    }
