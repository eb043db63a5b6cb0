"""A facility as a policy sees it, with as many racks as a test asks for."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from twin.policy import FacilitySnapshot


def snapshot_of(
    free: Sequence[int],
    *,
    names: Sequence[str] | None = None,
    healthy: Sequence[bool] | None = None,
    production: Sequence[bool] | None = None,
    trays: int = 18,
) -> FacilitySnapshot:
    """Racks with these free trays, all in one row on one loop; powers and temperatures are not known."""
    count = len(free)
    unknown = np.full(count, np.nan)
    return FacilitySnapshot(
        time_seconds=600.0,
        rack_names=tuple(names) if names is not None else tuple(f"A-{n + 1:02d}" for n in range(count)),
        row_names=("A",),
        loop_names=("loop 01",),
        breaker_names=(),
        rack_row=np.zeros(count, dtype=np.int64),
        rack_loop=np.zeros(count, dtype=np.int64),
        rack_trays=np.full(count, trays, dtype=np.int64),
        rack_free_trays=np.array(free, dtype=np.int64),
        rack_healthy=np.ones(count, dtype=bool) if healthy is None else np.array(healthy),
        rack_production=np.ones(count, dtype=bool) if production is None else np.array(production),
        rack_power_watts=unknown,
        rack_max_power_watts=unknown,
        rack_supply_temperature_celsius=unknown,
        rack_return_temperature_celsius=unknown,
        rack_device_temperature_celsius=unknown,
        rack_flow_litres_per_minute=unknown,
        row_power_watts=np.full(1, np.nan),
        loop_supply_temperature_celsius=np.full(1, np.nan),
        breaker_current_amperes=np.zeros(0),
        breaker_rating_amperes=np.zeros(0),
        breaker_closed=np.zeros(0, dtype=bool),
    )


@pytest.fixture(scope="session")
def facility() -> Callable[..., FacilitySnapshot]:
    """``facility(free, names=…, healthy=…, production=…)``: :func:`snapshot_of`."""
    return snapshot_of
