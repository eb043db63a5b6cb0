"""Paired differences of measures between runs of the same worlds, with intervals, in units and per work done."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from twin.results.measures import looked_up, measure
from twin.studies.intervals import LEVEL, Difference, paired_difference
from twin.studies.pairs import Member, Pairing

DELIVERED = "gpu_seconds_delivered"
PER_WORK = " / " + DELIVERED


@dataclass(frozen=True)
class Measure:
    """A measure that is compared. ``per_work``: also per GPU-second delivered, since a policy that does less work has
    less trouble. ``scale`` and ``shown`` say how people read it: ``value * scale`` in the unit ``shown``."""

    key: str
    label: str
    scale: float = 1.0
    shown: str = ""
    per_work: bool = False


GPU_HOURS = 1.0 / 3600.0
MEASURES: tuple[Measure, ...] = (
    Measure("breaker_trips_total", "breaker trips", per_work=True),
    Measure("breaker_incidents_total", "incidents with a trip"),
    Measure("breaker_thermal_fraction_max", "closest breaker to its trip", 100.0, "%"),
    Measure("throttled_gpu_seconds", "throttled", GPU_HOURS, "GPU-h", per_work=True),
    Measure("hardware_slowdown_gpu_seconds", "of it in hardware slowdown", GPU_HOURS, "GPU-h"),
    Measure("capped_gpu_seconds", "capped", GPU_HOURS, "GPU-h"),
    Measure("gpu_temperature_celsius_max", "hottest device", 1.0, "°C"),
    Measure(DELIVERED, "delivered", GPU_HOURS, "GPU-h"),
    Measure("gpu_seconds_lost", "lost", GPU_HOURS, "GPU-h", per_work=True),
    Measure("latency_misses_total", "latency misses", per_work=True),
    Measure("jobs.completed", "jobs completed"),
    Measure("jobs.queued", "jobs queued at the end"),
    Measure("jobs.refused", "jobs refused"),
    Measure("jobs.killed", "jobs killed"),
    Measure("racks_used", "racks that had work"),
    Measure("stranded_power_watts", "power held unused", 1e-3, "kW"),
    Measure("it_energy_joules", "IT energy", 1.0 / 3.6e9, "MWh"),
    Measure("facility_energy_joules", "facility energy", 1.0 / 3.6e9, "MWh"),
    Measure("pue", "PUE"),
    Measure("peak_row_power_watts", "highest row power", 1e-3, "kW"),
)
ROUNDING = 1e-6  # relative: below it two runs differ by where their steps happened to end, and not by what was chosen
WORK_SCALE = 3.6e9  # per GPU-second to per million GPU-hours
WORK_SHOWN = "per 10⁶ GPU-h delivered"


@dataclass(frozen=True)
class Line:
    """One measure of one value of the axis against the baseline, over the worlds of one cell. All in ``unit``."""

    cell: str
    value: str
    measure: str
    label: str
    unit: str
    scale: float
    shown: str
    baseline_mean: float
    value_mean: float
    difference: Difference
    less: int  # worlds in which the value has less than the baseline
    more: int
    missing: int  # pairs that do not have the measure

    @property
    def clear(self) -> bool:
        """Whether the interval excludes no difference."""
        return self.difference.excludes(0.0)

    @property
    def idle(self) -> bool:
        """Whether neither side ever has any of it."""
        return self.baseline_mean == 0.0 and self.value_mean == 0.0 and self.difference.mean == 0.0


def compare(pairing: Pairing, level: float = LEVEL, seed: int = 0) -> list[Line]:
    """Every measure of every value of the axis against the baseline, cell by cell. ``seed`` is the bootstrap's.

    Measures that no pair has are left out.
    """
    lines = []
    for cell in pairing.cells:
        for value in pairing.values:
            pairs = pairing.pairs(cell, value)
            for each in _measures(pairs):
                lines += _lines(cell, value, each, pairs, level, seed)
    return lines


def _measures(pairs: Sequence[tuple[Member, Member]]) -> list[Measure]:
    """The table of measures, and the mean wait of each kind of job that there is."""
    kinds = sorted({kind for pair in pairs for member in pair for kind in member.metrics.get("waits") or {}})
    waits = [Measure(f"waits.{kind}.wait_seconds_mean", f"mean wait, {kind}", 1.0, "s") for kind in kinds]
    place = next(i for i, each in enumerate(MEASURES) if each.key == "jobs.completed")
    return [*MEASURES[:place], *waits, *MEASURES[place:]]


def _lines(
    cell: str, value: str, each: Measure, pairs: Sequence[tuple[Member, Member]], level: float, seed: int
) -> list[Line]:
    known = measure(each.key)
    unit = known.unit if known else "1"
    found = [_line(cell, value, each, unit, [_two(pair, each.key) for pair in pairs], level, seed)]
    if each.per_work:
        rates = [_rates(pair, each.key) for pair in pairs]
        whole = unit == "GPU s"
        rated = Measure(
            each.key + PER_WORK,
            f"{each.label} of delivered" if whole else each.label,
            100.0 if whole else WORK_SCALE,
            "%" if whole else WORK_SHOWN,
        )
        found.append(_line(cell, value, rated, "1" if whole else "1/(GPU s)", rates, level, seed))
    return [line for line in found if line is not None]


def _line(
    cell: str,
    value: str,
    each: Measure,
    unit: str,
    found: Sequence[tuple[float, float] | None],
    level: float,
    seed: int,
) -> Line | None:
    kept = [pair for pair in found if pair is not None]
    if not kept:
        return None
    below, above = [a for a, _ in kept], [b for _, b in kept]
    return Line(
        cell=cell,
        value=value,
        measure=each.key,
        label=each.label,
        unit=unit,
        scale=each.scale,
        shown=each.shown,
        baseline_mean=math.fsum(below) / len(kept),
        value_mean=math.fsum(above) / len(kept),
        difference=paired_difference(below, above, level, seed),
        less=sum(b < a for a, b in kept),
        more=sum(b > a for a, b in kept),
        missing=len(found) - len(kept),
    )


def _two(pair: tuple[Member, Member], key: str) -> tuple[float, float] | None:
    values = [looked_up(member.metrics, key) for member in pair]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    return _snapped(float(values[0]), float(values[1]))


def _rates(pair: tuple[Member, Member], key: str) -> tuple[float, float] | None:
    amounts, work = _two(pair, key), _two(pair, DELIVERED)
    if amounts is None or work is None or min(work) <= 0.0:
        return None  # a rate of no work is no number
    return _snapped(amounts[0] / work[0], amounts[1] / work[1])


def _snapped(a: float, b: float) -> tuple[float, float]:
    return (a, a) if abs(b - a) <= ROUNDING * max(abs(a), abs(b)) else (a, b)


def table(pairing: Pairing, lines: Sequence[Line]) -> pd.DataFrame:
    """The comparison as a table in SI units: a row per cell, value and measure."""
    rows = []
    for line in lines:
        rows.append(
            {
                "cell": line.cell,
                "axis": pairing.axis,
                "baseline": pairing.baseline,
                "value": line.value,
                "measure": line.measure,
                "unit": line.unit,
                "baseline_mean": line.baseline_mean,
                "value_mean": line.value_mean,
                **_spread(line.difference),
                "worlds_less": line.less,
                "worlds_more": line.more,
                "pairs_missing": line.missing,
            }
        )
    return pd.DataFrame(rows)


def _spread(found: Difference) -> Mapping[str, Any]:
    told = asdict(found)
    return {"difference": told.pop("mean"), **told}


def reasons(lines: Sequence[Line]) -> list[str]:
    """How the intervals of a block were made and why, each kind once."""
    found = {line.difference.method: line.difference.why for line in reversed(lines) if not line.idle}
    return [f"{method}: {why}" for method, why in sorted(found.items())]


def idle_labels(lines: Sequence[Line]) -> list[str]:
    """Labels of the measures of which neither side has any, each once."""
    return list(dict.fromkeys(line.label for line in lines if line.idle and PER_WORK not in line.measure))


def fewest_pairs(lines: Sequence[Line]) -> int:
    """Pairs of the cell and value that have fewest."""
    return min((line.difference.pairs + line.missing for line in lines), default=0)
