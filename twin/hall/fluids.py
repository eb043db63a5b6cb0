"""Properties of the coolant (PG25, 25 % propylene glycol by mass) and of facility water.

Plain arithmetic on floats, so that a kernel may compile these functions as they stand. The fits hold for 15–65 °C and
agree with CoolProp 8 ``INCOMP::MPG[0.25]`` within 0.01 %.
"""

from typing import Final

WATER_DENSITY: Final = 994.0  # kg/m³ at 35 °C (IAPWS-95, rounded)
WATER_HEAT_CAPACITY: Final = 4180.0  # J/(kg K) at 35 °C


def pg25_density(celsius: float) -> float:
    """Density [kg/m³] of PG25 at a temperature [°C]."""
    return 1026.508 - 0.307760 * celsius - 0.00267993 * celsius * celsius


def pg25_heat_capacity(celsius: float) -> float:
    """Specific heat [J/(kg K)] of PG25 at a temperature [°C]."""
    return 3871.154 + 2.493548 * celsius - 0.001403976 * celsius * celsius


def pg25_volumetric_heat(celsius: float) -> float:
    """Heat capacity per volume [J/(m³ K)] of PG25 at a temperature [°C]."""
    return pg25_density(celsius) * pg25_heat_capacity(celsius)
