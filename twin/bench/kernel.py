"""The physics alone, in processor time of the one thread that it takes: a step of it, and a day without events."""

import time

import numpy as np

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.march import fixed_steps
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.units import SECONDS_PER_DAY

STEP_SECONDS = 1.0
STEPS = 2_000


def loaded(hall: str, *overrides: str) -> Plant:
    """A hall in the steady state of a load that differs from tray to tray."""
    plant = Plant(compile_topology(load_hall(hall, overrides)))
    trays = np.arange(len(plant.c.idle))
    plant.set_load(trays, 0.5 + 0.3 * np.sin(trays) ** 2)
    equilibrate(plant)
    return plant


def kernel(repeats: int, hall: str = "reference", steps: int = STEPS) -> list[tuple[float]]:
    """Cost [ns] per tray and step of die, plate, and their share of rack and loop."""
    plant = loaded(hall)
    loops, trays = len(plant.topology.loop_names), len(plant.c.idle)
    groups = (plant.c, plant.u, plant.x, plant.d, plant.w, False)
    fixed_steps(*groups, 0, plant.cur, STEP_SECONDS, 1)

    def once() -> tuple[float]:
        start = time.process_time()
        for loop in range(loops):
            fixed_steps(*groups, loop, plant.cur, STEP_SECONDS, steps)
        return ((time.process_time() - start) / (steps * trays) * 1e9,)

    return [once() for _ in range(repeats)]


def calm_day(repeats: int, hall: str = "reference", seconds: float = SECONDS_PER_DAY) -> list[tuple[float]]:
    """Cost [ns] per tray and simulated second of a day without events, accuracy control on."""
    plant = loaded(hall)
    trays = len(plant.c.idle)
    plant.flow(plant.time, plant.time + 60.0)

    def once() -> tuple[float]:
        begin = plant.time
        start = time.process_time()
        plant.settle(begin)
        plant.flow(begin, begin + seconds)
        return ((time.process_time() - start) / (seconds * trays) * 1e9,)

    return [once() for _ in range(repeats)]
