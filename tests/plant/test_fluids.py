"""Coolant and water properties against CoolProp."""

import CoolProp.CoolProp as coolprop
import numpy as np
import pytest

from twin.hall import fluids as at_the_door
from twin.plant import fluids

RANGE = np.arange(15.0, 65.1, 2.5)
ATMOSPHERE = 101_325.0
EXACT = 1e-4  # relative, the 0.01 % that the module promises
CONDUCTIVITY = 8e-4


def _published(symbol: str, celsius: float, fluid: str = "INCOMP::MPG[0.25]") -> float:
    return coolprop.PropsSI(symbol, "T", celsius + 273.15, "P", ATMOSPHERE, fluid)


@pytest.mark.parametrize(
    ("symbol", "ours", "promised"),
    [
        ("D", fluids.pg25_density, EXACT),
        ("C", fluids.pg25_heat_capacity, EXACT),
        ("V", fluids.pg25_viscosity, EXACT),
        ("L", fluids.pg25_conductivity, CONDUCTIVITY),
    ],
)
def test_pg25_lies_within_its_documented_error_of_coolprop(symbol, ours, promised):
    for celsius in RANGE:
        assert ours(celsius) == pytest.approx(_published(symbol, celsius), rel=promised)


def test_volumetric_heat_is_density_times_specific_heat():
    for celsius in RANGE:
        product = _published("D", celsius) * _published("C", celsius)
        assert fluids.pg25_volumetric_heat(celsius) == pytest.approx(product, rel=2 * EXACT)


def test_facility_water_lies_within_its_documented_error_of_coolprop():
    for celsius in np.arange(30.0, 45.1, 2.5):
        published = _published("D", celsius, "Water") * _published("C", celsius, "Water")
        assert pytest.approx(published, rel=3e-3) == fluids.WATER_VOLUMETRIC_HEAT


def test_the_halls_sizing_and_the_plant_use_one_coolant():
    for celsius in RANGE:
        assert at_the_door.pg25_volumetric_heat(celsius) == fluids.pg25_volumetric_heat(celsius)
    door = at_the_door.WATER_DENSITY * at_the_door.WATER_HEAT_CAPACITY
    assert pytest.approx(door, rel=2e-3) == fluids.WATER_VOLUMETRIC_HEAT
