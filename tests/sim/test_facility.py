"""The facility that policies are told of, against the plant: what a watt of a rack really puts on its limits."""

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.policy.headroom import amperes_per_watt
from twin.sim.facility import facility_of
from twin.sim.readings import Truth


def limits_of(plant, truth, facility):
    """Present current of every limit [A]."""
    currents = np.concatenate([truth.of("phase_current"), truth.of("breaker_current")])
    lines = len(truth.of("phase_current"))
    return currents[np.where(facility.limit_phase >= 0, facility.limit_phase, lines + facility.limit_breaker)]


@pytest.mark.parametrize("name", ["small", "reference", "mixed"])
@pytest.mark.parametrize("lost", [None, 0, 1])
def test_a_rack_puts_on_its_limits_what_the_facility_says(name, lost):
    """One rack's load is raised: every limit above it rises by what is said of it, and no other limit rises."""
    plant = Plant(compile_topology(load_hall(name)))
    topology = plant.topology
    facility, truth = facility_of(topology, plant.c), Truth(topology, plant)
    rack = 1
    if lost is not None and topology.rack_feed[rack].min() >= 0:
        plant.set_breaker(int(topology.node_breaker[topology.rack_feed[rack, lost]]), False)
    plant.set_load(np.arange(len(plant.c.idle)), 0.5)
    equilibrate(plant)
    plant.settle(plant.time)
    before, power = limits_of(plant, truth, facility), plant.rack_power.copy()
    trays = np.arange(topology.rack_tray0[rack], topology.rack_tray0[rack + 1])
    plant.set_load(trays, 0.9)
    plant.settle(plant.time)
    rise, watts = limits_of(plant, truth, facility) - before, plant.rack_power[rack] - power[rack]
    assert watts > 1_000.0
    said = np.zeros(len(before))
    per_watt = amperes_per_watt(facility, plant.u.closed == 1)[rack]
    for limit, amperes in zip(facility.rack_limits[rack], per_watt, strict=True):
        if limit >= 0:
            said[limit] += amperes * watts
    assert (said > 0.0).any()
    # racks are balanced, so that magnitudes add as phasors do but for panels' small loads of other angles
    assert (rise <= said + 1e-6).all() and (rise >= said * (1.0 - 1e-4) - 1e-6).all()


def test_every_breaker_is_a_limit_with_its_rating_and_every_rack_is_below_some():
    plant = Plant(compile_topology(load_hall("reference")))
    facility = facility_of(plant.topology, plant.c)
    assert set(facility.limit_breaker.tolist()) == set(range(len(plant.topology.breaker_names)))
    for limit, breaker in enumerate(facility.limit_breaker):
        assert facility.limit_names[limit].startswith(plant.topology.breaker_names[breaker])
        assert facility.limit_rating_amperes[limit] == pytest.approx(plant.c.breaker["rating"][breaker])
    assert (facility.rack_limits >= 0).any(axis=1).all()
