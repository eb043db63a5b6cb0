"""What is measured in a hall, as data: every signal, the kind of thing that has it, and its unit.

A new signal is one entry here, one in :data:`twin.sim.readings.READ`, and its field in
:class:`twin.policy.snapshot.FacilitySnapshot`; what its sensors are like stands in ``conf/sensors``.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Signal:
    """One signal of every thing of a kind. ``name`` and ``unit`` make the field of a snapshot."""

    name: str
    kind: str  # "rack", "row", "phase", "breaker" or "loop"
    unit: str  # watts, celsius, …; empty for a switch
    decimals: int | None = None  # to which a snapshot rounds

    @cached_property
    def field(self) -> str:
        return f"{self.name}_{self.unit}" if self.unit else self.name

    @property
    def short(self) -> str:
        """Its name among the signals of its kind: ``power`` of a rack."""
        return self.name.removeprefix(f"{self.kind}_")


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("rack_power", "rack", "watts", 0),
        Signal("rack_supply_temperature", "rack", "celsius"),
        Signal("rack_return_temperature", "rack", "celsius"),
        Signal("rack_device_temperature", "rack", "celsius"),
        Signal("rack_flow", "rack", "litres_per_minute"),
        Signal("rack_inlet_air_temperature", "rack", "celsius"),
        Signal("rack_valve", "rack", "ratio"),
        Signal("row_power", "row", "watts", 0),
        Signal("phase_current", "phase", "amperes", 3),
        Signal("breaker_current", "breaker", "amperes", 3),
        Signal("breaker_closed", "breaker", ""),
        Signal("loop_supply_temperature", "loop", "celsius"),
        Signal("loop_return_temperature", "loop", "celsius"),
        Signal("loop_flow", "loop", "litres_per_minute"),
        Signal("loop_pump_speed", "loop", "ratio"),
        Signal("loop_valve", "loop", "ratio"),
    )
}
