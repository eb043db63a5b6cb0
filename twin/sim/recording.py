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
PHASE_KINDS = ("ups", "pdu", "row", "panel")
PARTS = ("rack", "loop", "row", "node", "breaker", "hall")  # of a window
TOGETHER = 64  # windows that are turned into rows at a time: one by one, each costs as much as a dozen of them


class Recording:
    """Turns windows into rows of the time series."""

    def __init__(self, topology: Topology, store: RunStore, counts: Callable[[], tuple[int, int]]) -> None:
        self.topology = topology
        self.store = store
        self.counts = counts  # jobs running and queued
        self.nodes = np.array(
            [n for n, kind in enumerate(topology.node_kind) if NODE_KINDS[kind] in PHASE_KINDS], dtype=np.int64
        )
        self._held: list[tuple[float, float, int, int]] = []  # start and length [s], jobs running and queued
        self._parts: dict[str, Floats] = {}  # of the windows held, shape (TOGETHER, things, signals, 3)
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
        """Take one window, and hand those held to the store once there are enough."""
        if not self._held:
            for name in PARTS:
                self._parts.setdefault(name, np.empty((TOGETHER, *getattr(window, name).shape)))
        at = len(self._held)
        for name in PARTS:
            self._parts[name][at] = getattr(window, name)
        self._held.append((window.start, window.seconds, *self.counts()))
        if len(self._held) == TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Hand the windows held to the store."""
        if not self._held:
            return
        starts, seconds, running, queued = zip(*self._held, strict=True)
        count = len(starts)
        span = np.array(seconds)[:, None]
        parts = {name: part[:count] for name, part in self._parts.items()}
        self._held = []

        def shown(array: Floats) -> Floats:
            """Least, mean and greatest of (windows, things, signals, 3): shape (signals, 3, windows, things)."""
            found = np.empty((array.shape[2], 3, count, array.shape[1]))
            for place, of in enumerate((0, 2, 1)):
                found[:, place] = array[..., of].transpose(2, 0, 1)
            found[:, 1] /= span
            return found

        def steady(values: Sequence[int]) -> Floats:
            return np.tile(np.array(values, dtype=np.float64)[:, None], (3, 1, 1))

        flow = litres_per_minute(1.0)
        parts["rack"][:, :, meter.RACK_FLOW] *= flow
        parts["loop"][:, :, meter.LOOP_FLOW] *= flow
        rack, loop = shown(parts["rack"]), shown(parts["loop"])
        rack[meter.RACK_FLOW][..., ~self.liquid] = np.nan
        rows = len(self.topology.row_names)
        of_row = (rows * np.arange(count)[:, None] + self.topology.rack_row).ravel()
        trays = parts["rack"][:, :, meter.RACK_TRAYS].reshape(-1, 3).T
        row_trays = np.empty((count, rows, 1, 3))
        for statistic, each in enumerate(trays):
            row_trays[:, :, 0, statistic] = np.bincount(of_row, each, count * rows).reshape(count, rows)
        row, hall, breaker = shown(parts["row"]), shown(parts["hall"]), shown(parts["breaker"])
        phase = shown(parts["node"][:, self.nodes].reshape(count, -1, 1, 3))
        self.store.append_windows(
            starts,
            {
                "hall": {
                    "power_watts": hall[meter.HALL_POWER],
                    "facility_power_watts": hall[meter.HALL_FACILITY_POWER],
                    "facility_water_celsius": hall[meter.HALL_WATER],
                    "room_air_celsius": hall[meter.HALL_ROOM],
                    "jobs_running": steady(running),
                    "jobs_queued": steady(queued),
                },
                "row": {"power_watts": row[0], "trays_allocated": shown(row_trays)[0]},
                "rack": {
                    "power_watts": rack[meter.RACK_POWER],
                    "device_temperature_celsius": rack[meter.RACK_DEVICE],
                    "supply_temperature_celsius": rack[meter.RACK_SUPPLY],
                    "return_temperature_celsius": rack[meter.RACK_RETURN],
                    "flow_litres_per_minute": rack[meter.RACK_FLOW],
                    "inlet_air_temperature_celsius": rack[meter.RACK_INLET],
                    "trays_allocated": rack[meter.RACK_TRAYS],
                    "clock_ratio": rack[meter.RACK_CLOCK],
                },
                "phase": {"current_amperes": phase[0]},
                "loop": {
                    "supply_temperature_celsius": loop[meter.LOOP_SUPPLY],
                    "return_temperature_celsius": loop[meter.LOOP_RETURN],
                    "flow_litres_per_minute": loop[meter.LOOP_FLOW],
                    "heat_watts": loop[meter.LOOP_HEAT],
                    "valve_ratio": loop[meter.LOOP_VALVE],
                    "pump_speed_ratio": loop[meter.LOOP_SPEED],
                },
                "breaker": {
                    "current_amperes": breaker[0],
                    "thermal_fraction": breaker[1],
                },
            },
            self.names,
        )
