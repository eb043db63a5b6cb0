"""Coolant and water properties.

PG25 (25 % propylene glycol by mass): fits for 15–65 °C, checked against CoolProp 8 ``INCOMP::MPG[0.25]`` (errors
below 0.01 %, of the conductivity below 0.08 %).
"""

from math import exp

from twin.hall import fluids
from twin.plant.compiled import kernel

WATER_VOLUMETRIC_HEAT = 4.150e6  # J/(m³ K), water: 0.1 % below CoolProp at 35 °C, within 0.3 % at 30–45 °C


# one set of figures: the hall sizes its exchangers by the same fits
pg25_density = kernel(fluids.pg25_density)
pg25_heat_capacity = kernel(fluids.pg25_heat_capacity)


@kernel
def pg25_viscosity(temperature: float) -> float:
    """Dynamic viscosity [Pa s] of PG25 at ``temperature`` [°C]."""
    t = temperature
    return 1e-3 * exp(1.707482 - 0.04724096 * t + 3.545812e-4 * t * t - 1.294375e-6 * t * t * t)


@kernel
def pg25_conductivity(temperature: float) -> float:
    """Thermal conductivity [W/(m K)] of PG25 at ``temperature`` [°C]."""
    return 0.45032 + 0.00088385 * temperature


@kernel
def pg25_volumetric_heat(temperature: float) -> float:
    """ρ·cp [J/(m³ K)] of PG25 at ``temperature`` [°C]."""
    return pg25_density(temperature) * pg25_heat_capacity(temperature)
