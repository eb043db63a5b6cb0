"""The configuration of a run as plain values: checked as a whole, then passed on in parts."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twin.hall.errors import Fault, did_you_mean
from twin.units import SECONDS_PER_HOUR

SOURCE = "the command line or conf/config.yaml"
GROUPS = ("hall", "workload", "policy", "plant", "sensors", "tolerances", "record", "faults", "scenario", "weather")
OPTIONAL = ("plant", "sensors", "tolerances", "record", "faults", "weather")  # groups that may be left out
VALUES = (
    "seed",
    "hours",
    "warmup_seconds",
    "control_period_seconds",
    "control_always",
    "greatest_restarts",
    "out",
    "operators",
)


class ConfigurationError(ValueError):
    """A configuration is refused. ``faults`` holds all of them."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True)
class Configuration:
    """A run in plain values. The groups are mappings that their own readers check; names are those they go by."""

    hall: Mapping[str, Any]
    workload: Mapping[str, Any]
    policy: Mapping[str, Any]
    plant: Mapping[str, Any]
    sensors: Mapping[str, Any]
    tolerances: Mapping[str, Any]
    record: Mapping[str, Any]
    faults: Mapping[str, Any]
    scenario: Mapping[str, Any]
    weather_path: str | None
    seed: int
    hours: float
    warmup_seconds: float
    control_period_seconds: float
    control_always: bool
    greatest_restarts: int
    out: str | None
    operators: Mapping[str, Any] | None = None  # what a team did at the table: ``file`` and ``rows``

    def mapping(self) -> dict[str, Any]:
        """The configuration as a manifest keeps it: :func:`read_configuration` makes the same run of it.

        Where it went and which folder its story came from are left out: they say nothing about the run.
        """
        kept = {name: getattr(self, name) for name in GROUPS if name != "weather"}
        kept |= {name: getattr(self, name) for name in VALUES if name not in ("out", "operators")}
        kept |= {} if self.operators is None else {"operators": self.operators}
        kept["scenario"] = {key: value for key, value in self.scenario.items() if key != "source"}
        return {**kept, "weather": {"path": self.weather_path}}


def read_configuration(mapping: Mapping[str, Any], source: str = SOURCE) -> Configuration:
    """The configuration of a plain mapping. Raises :class:`ConfigurationError` with every fault."""
    faults: list[Fault] = []

    def add(key: str, value: Any, problem: str, remedy: str) -> None:
        faults.append(Fault(source, key, value, problem, remedy))

    for key in mapping:
        if key not in (*GROUPS, *VALUES):
            add(str(key), mapping[key], "unknown key", did_you_mean(str(key), (*GROUPS, *VALUES)))
    groups: dict[str, Mapping[str, Any]] = {}
    for name in GROUPS:
        group = mapping.get(name, {} if name in OPTIONAL else None)
        if isinstance(group, Mapping):
            groups[name] = group
        else:
            add(name, group, "not a group of keys", f"Choose one by name, such as {name}=NAME")
    path = groups.get("weather", {}).get("path")
    if path is not None and not isinstance(path, str):
        add("weather.path", path, "not a path", "Give the path of a CSV file")
    out = mapping.get("out")
    if isinstance(out, int | float):
        out = str(out)  # a folder named by a number
    if not isinstance(out, str | None) or out == "":
        add("out", out, "not a path", "Give the directory that the run may write")
    operators = mapping.get("operators")
    if operators is not None and not (isinstance(operators, Mapping) and isinstance(operators.get("rows"), list)):
        add("operators", operators, "no rows of a file", "Give the path of a CSV file: operators=FILE.csv")

    def whole(name: str, example: str) -> int:
        value = mapping.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            add(name, value, "not a whole number of 0 or more", f"Give one, such as {name}={example}")
            return 0
        return value

    def positive(name: str, example: str, *, zero: bool) -> float:
        value = mapping.get(name)
        wanted = "of 0 or more" if zero else "above 0"
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            add(name, value, f"not a number {wanted}", f"Give one, such as {name}={example}")
        elif value < 0 or (value == 0 and not zero):
            add(name, value, f"not {wanted}", f"Give such as {name}={example}")
        else:
            return float(value)
        return math.nan

    seed = whole("seed", "1")
    restarts = whole("greatest_restarts", "10")
    hours = positive("hours", "24", zero=False)
    warmup = positive("warmup_seconds", "0", zero=True)
    period = positive("control_period_seconds", "10", zero=False)
    always = mapping.get("control_always", False)
    if not isinstance(always, bool):
        add("control_always", always, "neither true nor false", "Write control_always=true or control_always=false")
    if warmup >= hours * SECONDS_PER_HOUR:
        add("warmup_seconds", warmup, "as long as the run", "Give less, or more hours")
    if faults:
        raise ConfigurationError(faults)
    return Configuration(
        hall=groups["hall"],
        workload=groups["workload"],
        policy=groups["policy"],
        plant=groups["plant"],
        sensors=groups["sensors"],
        tolerances=groups["tolerances"],
        record=groups["record"],
        faults=groups["faults"],
        scenario=groups["scenario"],
        weather_path=path,
        seed=seed,
        hours=hours,
        warmup_seconds=warmup,
        control_period_seconds=period,
        control_always=always is True,
        greatest_restarts=restarts,
        out=out,
        operators=operators,
    )
