"""A run starts from equilibrium, in every hall."""

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.breakers import TABLE
from twin.plant.plant import Plant
from twin.plant.start import equilibrate


@pytest.mark.parametrize("name", ["small", "mixed", "reference"])
@pytest.mark.parametrize("load", [0.0, 0.6])
def test_nothing_moves_at_the_start(name, load):
    top = compile_topology(load_hall(name))
    plant = Plant(top)
    rng = np.random.default_rng(3)
    plant.set_load(np.arange(len(top.tray_rack)), load * rng.uniform(0.5, 1.5, len(top.tray_rack)))
    assert equilibrate(plant) < 1e-6
    assert plant.time == 0.0
    assert plant.settle(0.0) is None
    x, cur = plant.x, plant.cur
    before = [a[cur].copy() for a in (x.td, x.tp, x.tc, x.ta, x.loop, x.zone, x.tank, x.speed, x.theta)]
    drive = plant.breaker_ratio**2
    rated = plant.c.breaker["kind"] != TABLE
    np.testing.assert_allclose(x.theta[cur][rated], drive[rated], rtol=1e-12)
    power = plant.rack_power.copy()
    assert plant.flow(0.0, 100.0) is None
    cur = plant.cur
    after = [a[cur] for a in (x.td, x.tp, x.tc, x.ta, x.loop, x.zone, x.tank, x.speed, x.theta)]
    for a, b in zip(before, after, strict=True):
        assert np.abs(b - a).max() < 1e-4  # 1e-6 K/s for 100 s
    np.testing.assert_allclose(plant.rack_power, power, rtol=1e-7)


def test_more_heat_than_is_carried_away_begins_at_the_shutdown():
    """A loop rated for 40 % of its racks' heat warms without end: the run starts within one stretch of 300 s after its
    first device would shut down, and at once some do."""
    top = compile_topology(load_hall("small", ["loop.oversubscription=0.4"]))
    plant = Plant(top)
    plant.set_load(np.arange(len(top.tray_rack)), 1.0)
    rate = equilibrate(plant)
    over = plant.x.td[plant.cur].max() - plant.c.rack["t_off"].max()
    assert 0.0 < over <= 300.0 * rate
    assert plant.settle(0.0) is not None


@pytest.mark.parametrize("name", ["small", "mixed", "reference"])
def test_steady_heat_in_is_heat_out(name):
    """In the steady state every loop's exchanger takes what its racks' plates and its pumps give."""
    top = compile_topology(load_hall(name))
    plant = Plant(top)
    plant.set_load(np.arange(len(top.tray_rack)), 0.5)
    equilibrate(plant)
    plant.settle(0.0)
    plant.reset_meters()
    plant.flow(0.0, 60.0)
    m = plant.m
    racks, cooled = m.rack_joules.sum(), m.hx.sum() + m.crah.sum()
    controls = plant.c.loop["control_watts"].sum() * 60.0
    assert racks + m.pump.sum() - controls + m.fan.sum() == pytest.approx(cooled, rel=1e-7)


def test_closed_form_of_a_rack_at_rest(steady):
    """Plate and die above coolant by their resistances times heat; coolant above supply by heat over W."""
    c, x, cur = steady.c, steady.x, steady.cur
    rack = steady.topology.hall.racks[0].rack_class
    tray = 1000.0 + 0.5 * 5667.0  # watts at full clock
    die = 0.72 * tray + 4.0 * (x.td[cur, 0] - 60.0)
    assert x.td[cur, 0] - x.tp[cur, 0] == pytest.approx(die * 0.00275, abs=1e-5)
    plate = die + 0.19 * tray
    film = 0.00225 * (x.flow[cur, 0] / rack.nominal_flow) ** -0.7
    assert x.tp[cur, 0] - x.tc[cur, 0] == pytest.approx(plate * film, abs=1e-5)
    assert c.rack["liquid"].all()


def test_supply_stands_at_its_set_point_and_pressure_at_its(steady):
    assert steady.x.loop[steady.cur, 0, 0] == pytest.approx(40.0, abs=1e-4)
    assert steady.x.pressure[steady.cur, 0, 1] == pytest.approx(70.6e3, rel=1e-6)


def test_a_device_past_its_level_at_the_start_is_reported(small):
    """Guards are not watched while the equilibrium is sought; the run then begins with the crossing."""
    plant = Plant(small)
    plant.set_load(np.arange(18, 36), 1.0)
    plant.set_valve(1, 0.3)
    equilibrate(plant)
    crossing = plant.settle(0.0)
    assert crossing is not None
    assert (crossing.time, crossing.guard.name, crossing.index) == (0.0, "DEVICE", 18)
