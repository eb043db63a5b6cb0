"""From the plant's windows to the store's series: names, units and the order of the catalogue."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import NODE_KINDS, Topology
from twin.plant import meters as meter
from twin.plant.plant import Window
from twin.results.store import RunStore
from twin.units import litres_per_minute

Floats = NDArray[np.float64]
Statistics = tuple[Floats, Floats, Floats]
PHASE_KINDS = ("ups", "pdu", "row", "panel")


class Recording:
    """Turns windows into rows of the time series."""

    def __init__(self, topology: Topology, store: RunStore, counts: Callable[[], tuple[int, int]]) -> None:
        self.topology = topology
        self.store = store
        self.counts = counts  # jobs running and queued
        self.nodes = np.array(
            [n for n, kind in enumerate(topology.node_kind) if NODE_KINDS[kind] in PHASE_KINDS], dtype=np.int64
        )
        self.liquid = topology.rack_loop >= 0
        self.names: Mapping[str, Sequence[str]] = {
            "hall": (topology.hall.name,),
            "row": topology.row_names,
            "rack": topology.rack_names,
            "phase": tuple(f"{topology.node_names[n]}/L{k + 1}" for n in self.nodes for k in range(3)),
            "loop": topology.loop_names,
            "breaker": topology.breaker_names,
        }

    def write(self, window: Window) -> None:
        """Append one window."""

        def shown(array: Floats) -> Floats:
            values = array.copy()
            values[..., 2] /= window.seconds
            return values

        def of(array: Floats, signal: int) -> Statistics:
            return array[:, signal, 0], array[:, signal, 2], array[:, signal, 1]

        def steady(value: float) -> Statistics:
            one = np.array([value])
            return one, one, one

        flow = litres_per_minute(1.0)
        running, queued = self.counts()
        rack, loop = window.rack.copy(), window.loop.copy()
        rack[:, meter.RACK_FLOW] *= flow
        loop[:, meter.LOOP_FLOW] *= flow
        rack, loop = shown(rack), shown(loop)
        rack[~self.liquid, meter.RACK_FLOW] = np.nan
        row_trays = np.zeros((len(self.topology.row_names), 1, 3))
        np.add.at(row_trays[:, 0], self.topology.rack_row, window.rack[:, meter.RACK_TRAYS])
        row_trays = shown(row_trays)
        row, hall, breaker = shown(window.row), shown(window.hall), shown(window.breaker)
        phase = shown(window.node[self.nodes].reshape(-1, 1, 3))
        self.store.append_window(
            window.start,
            {
                "hall": {
                    "power_watts": of(hall, meter.HALL_POWER),
                    "facility_power_watts": of(hall, meter.HALL_FACILITY_POWER),
                    "facility_water_celsius": of(hall, meter.HALL_WATER),
                    "room_air_celsius": of(hall, meter.HALL_ROOM),
                    "jobs_running": steady(running),
                    "jobs_queued": steady(queued),
                },
                "row": {"power_watts": of(row, 0), "trays_allocated": of(row_trays, 0)},
                "rack": {
                    "power_watts": of(rack, meter.RACK_POWER),
                    "device_temperature_celsius": of(rack, meter.RACK_DEVICE),
                    "supply_temperature_celsius": of(rack, meter.RACK_SUPPLY),
                    "return_temperature_celsius": of(rack, meter.RACK_RETURN),
                    "flow_litres_per_minute": of(rack, meter.RACK_FLOW),
                    "inlet_air_temperature_celsius": of(rack, meter.RACK_INLET),
                    "trays_allocated": of(rack, meter.RACK_TRAYS),
                    "clock_ratio": of(rack, meter.RACK_CLOCK),
                },
                "phase": {"current_amperes": of(phase, 0)},
                "loop": {
                    "supply_temperature_celsius": of(loop, meter.LOOP_SUPPLY),
                    "return_temperature_celsius": of(loop, meter.LOOP_RETURN),
                    "flow_litres_per_minute": of(loop, meter.LOOP_FLOW),
                    "heat_watts": of(loop, meter.LOOP_HEAT),
                    "valve_ratio": of(loop, meter.LOOP_VALVE),
                    "pump_speed_ratio": of(loop, meter.LOOP_SPEED),
                },
                "breaker": {
                    "current_amperes": of(breaker, 0),
                    "thermal_fraction": of(breaker, 1),
                },
            },
            self.names,
        )
