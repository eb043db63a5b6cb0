"""What the sensors of each signal are like, and how ``conf/sensors`` is read: units in the names, and refusals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from twin.hall.errors import Faults, did_you_mean
from twin.hall.fields import Field, number, read_fields, share
from twin.sim.measured import SIGNALS, Signal


@dataclass(frozen=True)
class SensorSpec:
    """The sensors of one signal: values in the unit of its field in a snapshot, temperatures' errors in kelvin."""

    signal: str
    period_seconds: float = 10.0  # between two readings; 0 for one whenever a policy looks
    latency_seconds: float = 0.0  # from reading to snapshot
    noise: float = 0.0  # standard deviation of one reading
    noise_fraction: float = 0.0  # the same, of the reading
    bias: float = 0.0  # standard deviation among devices of a constant error
    gain_fraction: float = 0.0  # the same, of an error in proportion to the reading
    resolution: float = 0.0  # 0 for none
    lowest: float = -math.inf  # beyond which it saturates
    highest: float = math.inf
    dropout_probability: float = 0.0  # of losing a reading
    stuck_per_hour: float = 0.0  # rate of getting stuck at the last reading
    stuck_seconds: float = 600.0  # for which it stays so
    stale_seconds: float = 30.0  # age from which a value counts as stale
    missing_seconds: float = 300.0  # age from which it counts as missing


#: the truth at every look: no processes, no errors
DIRECT: tuple[SensorSpec, ...] = tuple(SensorSpec(name, period_seconds=0.0) for name in SIGNALS)


def ideal(period_seconds: float = 10.0) -> tuple[SensorSpec, ...]:
    """The truth at every multiple of a period, without delay."""
    return tuple(replace(spec, period_seconds=period_seconds) for spec in DIRECT)


COMMON = (
    number("period_seconds", "between two readings; 0 for one whenever a policy looks", 10.0, high=3_600.0),
    number("latency_seconds", "from a reading to the snapshot that shows it", 0.0, high=3_600.0),
    share("dropout_probability", "of losing a reading", 0.0),
    number("stuck_per_hour", "rate at which a sensor gets stuck at its last reading", 0.0),
    number("stuck_seconds", "for which it stays stuck", 600.0, above=True),
    number("stale_seconds", "age from which a value counts as stale", 30.0, above=True),
    number("missing_seconds", "age from which a value counts as missing", 300.0, above=True),
)


def error_unit(signal: Signal) -> str:
    """Unit of a signal's errors: a difference of temperatures is in kelvin."""
    return "kelvin" if signal.unit == "celsius" else signal.unit


def fields_of(signal: Signal) -> tuple[Field, ...]:
    """The keys of a signal's section."""
    if not signal.unit:
        return COMMON
    error = error_unit(signal)
    return (
        *COMMON,
        number(f"noise_{error}", "standard deviation of one reading", 0.0),
        number("noise_fraction", "standard deviation of one reading, of the reading", 0.0, high=1.0),
        number(f"bias_{error}", "standard deviation among devices of a constant error", 0.0),
        number("gain_fraction", "standard deviation among devices of an error in proportion", 0.0, high=0.3),
        number(f"resolution_{error}", "step of the readings, 0 for none", 0.0),
        number(f"lowest_{signal.unit}", "least that it can show", -math.inf, low=-math.inf),
        number(f"highest_{signal.unit}", "most that it can show", math.inf, low=-math.inf),
    )


def read_sensors(mapping: Mapping[str, Any], path: str, faults: Faults) -> tuple[SensorSpec, ...]:
    """The sensors of a mapping: section ``all`` for every signal, and a section by name for what differs.

    An empty mapping reads the truth directly. Every fault is noted in ``faults``; ``path`` is the mapping's own key.
    """
    if not mapping:
        return DIRECT
    for key in mapping:
        if key not in SIGNALS and key != "all":
            faults.add(f"{path}.{key}", mapping[key], "unknown signal", did_you_mean(str(key), ["all", *SIGNALS]))
    shared = read_fields(mapping.get("all") or {}, COMMON, f"{path}.all", faults, partial=True)
    specs = []
    for signal in SIGNALS.values():
        section = f"{path}.{signal.name}"
        own = read_fields(mapping.get(signal.name) or {}, fields_of(signal), section, faults, partial=True)
        error = error_unit(signal)
        values = {
            key.removesuffix(f"_{signal.unit}").removesuffix(f"_{error}") if signal.unit else key: value
            for key, value in {**shared, **own}.items()
        }
        spec = SensorSpec(signal.name, **values)
        _check(spec, section, faults)
        specs.append(spec)
    return tuple(specs)


def _check(spec: SensorSpec, path: str, faults: Faults) -> None:
    """What the keys of one section mean together."""
    newest = spec.period_seconds + spec.latency_seconds
    if spec.stale_seconds < newest:
        problem = f"a value is {newest:g} s old when the next one comes"
        faults.add(f"{path}.stale_seconds", spec.stale_seconds, problem, "Give more than period and latency together")
    if spec.missing_seconds < spec.stale_seconds:
        problem = f"less than stale_seconds, {spec.stale_seconds:g}"
        faults.add(f"{path}.missing_seconds", spec.missing_seconds, problem, "Give a longer time")
    if spec.lowest >= spec.highest:
        faults.add(path, [spec.lowest, spec.highest], "the lowest is not below the highest", "Give the lower one first")
