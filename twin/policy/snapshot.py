"""The state of a facility as a policy sees it: a struct of arrays over racks, rows, loops and breakers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FacilitySnapshot:
    """What is known at ``time_seconds``. R racks, W rows, L loops, B breakers; NaN means *not known*.

    Powers and currents are rounded to whole watts and milliamperes when a snapshot is taken, so that a comparison
    with a limit has one answer on every machine.
    """

    time_seconds: float
    rack_names: tuple[str, ...]
    row_names: tuple[str, ...]
    loop_names: tuple[str, ...]
    breaker_names: tuple[str, ...]
    rack_row: NDArray[np.int64]  # R
    rack_loop: NDArray[np.int64]  # R, −1 for none
    rack_trays: NDArray[np.int64]  # R, installed
    rack_free_trays: NDArray[np.int64]  # R, powered and not allocated
    rack_healthy: NDArray[np.bool_]  # R, powered and in service
    rack_production: NDArray[np.bool_]  # R, False for staging cells
    rack_power_watts: NDArray[np.float64]  # R
    rack_max_power_watts: NDArray[np.float64]  # R, nameplate
    rack_supply_temperature_celsius: NDArray[np.float64]  # R, coolant (or inlet air of air-cooled racks)
    rack_return_temperature_celsius: NDArray[np.float64]  # R
    rack_device_temperature_celsius: NDArray[np.float64]  # R, hottest device
    rack_flow_litres_per_minute: NDArray[np.float64]  # R
    row_power_watts: NDArray[np.float64]  # W
    loop_supply_temperature_celsius: NDArray[np.float64]  # L
    breaker_current_amperes: NDArray[np.float64]  # B, hottest pole
    breaker_rating_amperes: NDArray[np.float64]  # B
    breaker_closed: NDArray[np.bool_]  # B
