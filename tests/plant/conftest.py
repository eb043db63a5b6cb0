"""Plants at equilibrium, made once and copied for each test."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.plant.telling import duplicate
from twin.hall.reader import load_hall
from twin.hall.topology import Topology, compile_topology
from twin.plant.plant import Plant
from twin.plant.start import equilibrate

#: AC power of the small hall's racks before anything happens, as shares of their range
LOADS = (0.5, 0.7, 0.6, 0.4)


@pytest.fixture(scope="session")
def small() -> Topology:
    return compile_topology(load_hall("small"))


@pytest.fixture(scope="session")
def duplicated() -> Callable[[Plant], Plant]:
    return duplicate


@pytest.fixture(scope="session")
def _steady_small(small: Topology) -> Plant:
    plant = Plant(small)
    for rack, load in enumerate(LOADS):
        plant.set_load(np.arange(small.rack_tray0[rack], small.rack_tray0[rack + 1]), load)
    equilibrate(plant)
    plant.settle(0.0)
    return plant


@pytest.fixture
def steady(_steady_small: Plant) -> Plant:
    """The small hall at equilibrium under :data:`LOADS`, to be changed at will."""
    return duplicate(_steady_small)


@pytest.fixture(scope="session")
def trays() -> Callable[..., np.ndarray]:
    """``trays(plant, rack, …)``: indices of the trays of these racks."""

    def members(plant: Plant, *racks: int) -> np.ndarray:
        return np.concatenate([np.arange(plant.c.tray0[r], plant.c.tray0[r + 1]) for r in racks])

    return members
