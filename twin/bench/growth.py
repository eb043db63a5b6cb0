"""What a rack costs in a large hall against a small one: the plant under load steps, from 64 racks to 4,096.

Rows of 16 racks on loops of 8, as many as are asked for. Every minute one rack in twenty changes its load, others each
time, so that a rack has as many events in one hall as in the other. Measured is settling and flowing, per rack and
simulated second, in processor time, since one thread does it all. Halls take turns, so that both meet the same machine,
and a smaller hall runs for so much longer that both have the same work.
"""

import time

import numpy as np

from twin.bench.kernel import loaded
from twin.plant.plant import Plant

RACKS_PER_ROW = 16
SMALL, LARGE = 64, 4_096  # racks
MINUTES = 20
EVERY = 20  # one rack in so many changes its load each minute
LOADS = (0.45, 0.85)  # that a rack changes between


def hall_of(racks: int) -> Plant:
    """A loaded hall of ``racks``."""
    rows = max(1, racks // RACKS_PER_ROW)
    return loaded("thousand", f"rows={rows}", f"racks_per_row={min(racks, RACKS_PER_ROW)}", "loop.racks=8")


def cost(plant: Plant, minutes: int = MINUTES) -> float:
    """Processor time [ns] per rack and simulated second over ``minutes`` of load steps."""
    racks = len(plant.topology.rack_names)
    rack_of = plant.topology.tray_rack
    begin = plant.time
    start = time.process_time()
    for minute in range(minutes):
        moved = np.flatnonzero(rack_of % EVERY == minute % EVERY)
        if len(moved):
            plant.set_load(moved, LOADS[minute // EVERY % 2])
        now = begin + 60.0 * minute
        plant.settle(now)
        plant.flow(now, now + 60.0)
    return (time.process_time() - start) / (racks * 60.0 * minutes) * 1e9


def growth(
    repeats: int, small: int = SMALL, large: int = LARGE, minutes: int = MINUTES
) -> list[tuple[float, float, float]]:
    """Growth [%] of the cost of a rack from the small hall to the large one, and both costs [ns]."""
    halls = [hall_of(small), hall_of(large)]
    for plant in halls:
        cost(plant, 1)
    runs = []
    for _ in range(repeats):
        few, many = cost(halls[0], minutes * max(1, large // small)), cost(halls[1], minutes)
        runs.append((100.0 * (many / few - 1.0), few, many))
    return runs
