"""The unit rule, conversions at the door, and constants with their sources.

Inside the twin every quantity is SI (W, J, A, V, Pa, m³/s, kg/s, s, J/K, K/W). Temperatures are degrees Celsius
everywhere, because only differences and fits in °C enter the equations. Names at the doors (files, tables, command
line) carry their unit: ``supply_temperature_celsius``, ``flow_litres_per_minute``, ``power_watts``.
"""

from typing import Final

SECONDS_PER_DAY: Final = 86_400.0
SECONDS_PER_HOUR: Final = 3_600.0
SQRT3: Final = 3.0**0.5

AIR_DENSITY: Final = 1.16  # kg/m³, dry air at 30 °C and 101.3 kPa (ideal gas)
AIR_HEAT_CAPACITY: Final = 1006.0  # J/(kg K), dry air near 30 °C


def cubic_metres_per_second(litres_per_minute: float) -> float:
    """Volume flow [m³/s] of a flow in litres per minute."""
    return litres_per_minute / 60_000.0


def litres_per_minute(cubic_metres_per_second: float) -> float:
    """Volume flow [L/min] of a flow in m³/s."""
    return cubic_metres_per_second * 60_000.0


def pascals(kilopascals: float) -> float:
    """Pressure [Pa] of a pressure in kPa."""
    return kilopascals * 1_000.0


def cubic_metres_per_second_from_cfm(cubic_feet_per_minute: float) -> float:
    """Air flow [m³/s] of a flow in cubic feet per minute (1 ft = 0.3048 m)."""
    return cubic_feet_per_minute * 0.3048**3 / 60.0
