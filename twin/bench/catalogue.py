"""What is asked of the twin's speed, as data: a measurement is one entry here and one function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twin.bench.audit import audit
from twin.bench.days import aware_day, exascale_day, month, seeds_on_two_cores, study, thousand_day
from twin.bench.decisions import decisions
from twin.bench.figure import Asked
from twin.bench.growth import growth
from twin.bench.kernel import calm_day, kernel
from twin.bench.startup import help_page, policy_import

Measure = Callable[[int], Sequence[tuple[float, ...]]]


@dataclass(frozen=True)
class Measurement:
    """One thing that is measured. ``measure`` takes the number of runs and gives, for each, a value per figure."""

    name: str
    sentence: str
    figures: tuple[Asked, ...]
    measure: Measure
    long: bool = False  # left out unless it is named or asked for


MEASUREMENTS: dict[str, Measurement] = {
    each.name: each
    for each in (
        Measurement(
            "kernel",
            "one step of the physics: die, plate, and their share of rack and loop",
            (Asked("kernel, per tray and step", "ns", 10.0, 5.0),),
            kernel,
        ),
        Measurement(
            "calm",
            "a day of the reference hall without events, at the accuracy of a run",
            (Asked("calm day, per tray and simulated second", "ns", 5.0, 1.0),),
            calm_day,
        ),
        Measurement(
            "exascale",
            "a day of 74 racks with 9,472 trays on 25 loops, batch jobs, telemetry every 15 s",
            (
                Asked("exascale day, simulation", "s", 5.0, 1.0),
                Asked("exascale day, whole process", "s", 9.0, 3.0),
                Asked("exascale day, peak memory", "MB", 500.0, 300.0),
            ),
            exascale_day,
        ),
        Measurement(
            "thousand",
            "a day of 1,000 racks of 18 trays, 20,000 jobs, control every 10 s",
            (
                Asked("thousand racks' day, whole process", "s", 30.0, 10.0),
                Asked("thousand racks' day, peak memory", "MB", 1_000.0),
                Asked("thousand racks' day, of it simulation", "s"),
            ),
            thousand_day,
        ),
        Measurement(
            "growth",
            "cost of a rack under load steps in a hall of 4,096 against one of 64",
            (
                Asked("growth of a rack's cost, 64 to 4,096 racks", "%", 20.0, 0.0),
                Asked("64 racks, per rack and simulated second", "ns"),
                Asked("4,096 racks, per rack and simulated second", "ns"),
            ),
            growth,
        ),
        Measurement(
            "seeds",
            "16 seeds of a day through the joblib launcher, two workers against one",
            (
                Asked("16 seeds, speed-up of two workers", "×", 1.7, 1.9, least=True),
                Asked("16 seeds, one worker", "s"),
                Asked("16 seeds, two workers", "s"),
            ),
            seeds_on_two_cores,
        ),
        Measurement("help", "the page of help", (Asked("twin --help", "s", 0.5, 0.2),), help_page),
        Measurement(
            "policy",
            "the policy package as production imports it",
            (Asked("import twin.policy, beyond NumPy", "s", 0.05, 0.02), Asked("with every name of it", "s")),
            policy_import,
        ),
        Measurement(
            "decisions",
            "the thermal-aware policy over 1,000 racks",
            (
                Asked("1,000 racks scored", "µs", 200.0),
                Asked("placement of a job in one rack", "ms", 2.0),
                Asked("placement of a gang of 72 trays", "ms", 2.0),
                Asked("look at new readings, 15 minutes of them", "ms"),
            ),
            decisions,
        ),
        Measurement(
            "aware",
            "a day of the reference hall under thermal_aware, with its audit, against first_fit",
            (
                Asked("a day under thermal_aware, over first_fit", "×", 2.0),
                Asked("a day under thermal_aware, whole process", "s", 10.0),
                Asked("a day under first_fit, whole process", "s"),
                Asked("a day under thermal_aware without audit, whole process", "s"),
            ),
            aware_day,
        ),
        Measurement(
            "study",
            "days under thermal_aware as studies run them: six worlds, two at a time, without recording",
            (
                Asked("a world of a study under thermal_aware, on one of two workers", "s", 10.0),
                Asked("six such worlds, whole study", "s"),
            ),
            study,
        ),
        Measurement(
            "audit",
            "decisions of the thermal-aware policy recorded: 64 racks, 10 minutes of readings",
            (
                Asked("decision record appended", "µs", 150.0),
                Asked("the same with state and last look stored", "µs"),
                Asked("the same with a new look stored", "µs"),
            ),
            audit,
        ),
        Measurement(
            "month",
            "30 days of the reference hall: what a run keeps in memory",
            (
                Asked("30 days of the reference hall, peak memory", "MB", 1_000.0),
                Asked("30 days of the reference hall, above 5 days", "MB"),
            ),
            month,
            long=True,
        ),
    )
}
