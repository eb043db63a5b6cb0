"""What sensors are given is what the plant has, signal by signal, in the units of a snapshot."""

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.sim.measured import SIGNALS
from twin.sim.readings import READ, Truth, phase_nodes


@pytest.fixture(scope="module", params=["small", "mixed"])
def hall(request):
    """A hall in the middle of a transient: loads that differ from tray to tray, a pump off, a valve half shut."""
    topology = compile_topology(load_hall(request.param))
    plant = Plant(topology)
    trays = np.arange(len(plant.c.idle))
    plant.set_load(trays, 0.3 + 0.5 * np.sin(trays) ** 2)
    equilibrate(plant)
    plant.set_load(trays[::3], 0.95)
    plant.set_pump(0, 0, False)
    plant.u.rack["valve"][1] = 0.7
    plant.settle(0.0)
    plant.flow(0.0, 7.3)
    plant.settle(7.3)
    return topology, plant


def told(topology, plant):
    """Every signal from the plant's arrays by NumPy alone."""
    x, cur, rack = plant.x, plant.cur, plant.c.rack
    racks, liquid = len(topology.rack_names), topology.rack_loop >= 0
    share = np.where(plant.c.neighbour >= 0, rack["recirculation"][:, None], 0.0)
    beside = np.where(plant.c.neighbour >= 0, x.ta[cur][plant.c.neighbour], 0.0)
    air = (1.0 - share.sum(axis=1)) * x.zone[cur][topology.rack_zone] + (share * beside).sum(axis=1)
    members = [np.flatnonzero(topology.rack_loop == loop) for loop in range(len(topology.loop_names))]
    lines = plant._start_i[phase_nodes(topology)]
    rows = [np.round(plant.rack_power[topology.rack_row == row]).sum() for row in range(len(topology.row_names))]
    edges = topology.rack_tray0
    return {
        "rack_power": plant.rack_power,
        "rack_supply_temperature": np.where(liquid, x.loop[cur, topology.rack_loop, 0], air),
        "rack_return_temperature": np.where(liquid, x.tc[cur], x.ta[cur]),
        "rack_device_temperature": np.array([x.td[cur, edges[r] : edges[r + 1]].max() for r in range(racks)]),
        "rack_flow": np.where(liquid, 60_000.0 * x.flow[cur], np.nan),
        "rack_inlet_air_temperature": air,
        "rack_valve": np.where(liquid, plant.u.rack["valve"], np.nan),
        "row_power": np.array(rows),
        "phase_current": np.abs(lines[:, 0::2] + 1j * lines[:, 1::2]).ravel(),
        "breaker_current": plant.breaker_ratio * plant.c.breaker["rating"],
        "breaker_closed": plant.u.closed.astype(float),
        "loop_supply_temperature": x.loop[cur, :, 0],
        "loop_return_temperature": x.loop[cur, :, 1],
        "loop_flow": np.array([60_000.0 * x.flow[cur, each].sum() for each in members]),
        "loop_pump_speed": x.speed[cur].max(axis=1),
        "loop_valve": x.loop[cur, :, 2],
    }


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_is_read_as_the_plant_has_it(hall, signal):
    topology, plant = hall
    expected = told(topology, plant)[signal]
    assert len(expected) > 0
    assert Truth(topology, plant).of(signal) == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def test_every_signal_has_a_way_of_its_own():
    assert set(READ) == set(SIGNALS) and len(set(READ.values())) == len(SIGNALS)
