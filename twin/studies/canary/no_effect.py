"""Does the judge keep to its word? Releases that change nothing (A/A), and releases at twice its margin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from twin.policy.canary import Strategy
from twin.studies.canary.parts import Done, Episode
from twin.studies.canary.population import build_of
from twin.studies.canary.settings import CanaryStudy
from twin.studies.canary.study import identity_of
from twin.studies.canary.tally import rate
from twin.studies.canary.worlds import words_of, world_seed
from twin.studies.intervals import Interval
from twin.units import SECONDS_PER_HOUR
from twin.workload.jobs import Build

ALPHA = 0.02  # of the tests by racks and by samples
SAME, TWICE = "same", "twice"
Holds = Callable[[float], bool]
Hits: TypeAlias = "pd.Series[bool]"


@dataclass(frozen=True)
class Check:
    """One line of V14."""

    name: str
    obtained: Interval
    of: int
    expected: str
    passed: bool


def episodes_of(study: CanaryStudy, runs: int, harmed: int, twice: float, folder: Path) -> list[Episode]:
    """``runs`` releases without effect, and ``harmed`` with power higher by ``twice`` [1], on canaries at random.

    They go through mixes, states and worlds in turn; each has its own canaries, by its name.
    """
    places = [
        (mix, state, world) for world in range(study.worlds) for state in study.states for mix in study.mixes
    ]  # fmt: skip
    made = []
    for kind, count, change in ((SAME, runs, 0.0), (TWICE, harmed, twice)):
        for number in range(count):
            mix, state, world = places[number % len(places)]
            name = f"{kind}-{number:04d}"
            build = Build(name) if kind == SAME else build_of(name, "power", change)
            hours = study.trial.seconds / SECONDS_PER_HOUR
            here = (study.base, study.mixes[mix], study.states[state])
            words = words_of(*here, world_seed(study.seed, world), hours)
            version = identity_of((*here[0], *here[1], *here[2]))
            made.append(
                Episode(
                    (kind, name), words, study.service, build, Strategy.RANDOM, study.truth, study.trial, version,
                    str(folder), judge_alone=True,
                )
            )  # fmt: skip
    return sorted(made, key=lambda each: (each.words, each.key))


def table_of(done: list[Done]) -> pd.DataFrame:
    """One row per run that went through."""
    rows = [
        {
            "kind": each.key[0], "release": each.key[1], "verdict": each.found["verdict"], "by": each.found["by"],
            "temperature_harm_kelvin": each.found["temperature_harm"],
            "temperature_true_kelvin": each.found["temperature_true"], "rack_p": each.found["rack_p"],
            "sample_p": each.found["sample_p"], "reason": each.found["reason"],
        }
        for each in sorted(done, key=lambda each: each.key)
        if each.found is not None
    ]  # fmt: skip
    return pd.DataFrame(rows)


def checks(table: pd.DataFrame, margin_kelvin: float) -> list[Check]:
    """V14's lines from the table; ``margin_kelvin`` is the judge's of temperature.

    Where devices slow for heat, more power warms them less: what a release did to its canaries is told by the devices
    themselves, and what is twice the margin by that.
    """
    same, harmed = table[table["kind"] == SAME], table[table["kind"] == TWICE]
    twice = harmed[harmed["temperature_true_kelvin"].astype(float) >= 2.0 * margin_kelvin]

    def line(
        name: str, of: pd.DataFrame, hit: "pd.Series[bool]", expected: str, holds: Callable[[float], bool]
    ) -> Check:
        found = rate(int(hit.sum()), len(of))
        return Check(name, found, len(of), expected, bool(len(of)) and holds(found.estimate))

    tested = same[same["rack_p"].notna()]
    by_sample = tested["sample_p"].astype(float) <= ALPHA
    return [
        line("A/A: the judge fails it", same, same["verdict"] == "fail", "at most 3 %", lambda x: x <= 0.03),
        line(
            "A/A: its test by racks at margin 0 finds harm", tested, tested["rack_p"].astype(float) <= ALPHA,
            "at most 3 %", lambda x: x <= 0.03,
        ),
        line("A/A: inconclusive", same, same["verdict"] == "inconclusive", "at most 10 %", lambda x: x <= 0.10),
        line(
            "more power, meant for twice the margin: the judge fails it", harmed, harmed["verdict"] == "fail",
            "at least 80 %", lambda x: x >= 0.80,
        ),
        line(
            f"of those, devices at least {2.0 * margin_kelvin:g} K warmer: the judge fails it", twice,
            twice["verdict"] == "fail", "at least 80 %", lambda x: x >= 0.80,
        ),
        line("A/A: the same by samples finds harm", tested, by_sample, "above 10 %", lambda x: x > 0.10),
    ]  # fmt: skip
