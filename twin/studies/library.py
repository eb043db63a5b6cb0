"""Aware against traditional over the scenario library: every story under every policy, the same seeds, in pairs.

A story chooses hall, work and policy; here the policy is the study's. The unit of a pair is a seed: its tour of all the
stories under one policy against its tour under another, so that nothing is assumed of stories being alike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from twin.results.measures import looked_up
from twin.setup import stories
from twin.studies.comparison import DELIVERED, Line, compare
from twin.studies.intervals import LEVEL, Interval, relative_change
from twin.studies.ledger import METRICS, Case, Record
from twin.studies.pairs import Member, Pairing, World

BASELINE = "first_fit"
POLICIES = ("first_fit", "thermal_aware", "random_healthy", "best_fit", "static_thresholds", "refuse_all", "cap_all")
TOUR = "all stories"
TROUBLE = ("breaker_trips_total", "throttled_gpu_seconds")
#: what a tour adds up; the mean waits are weighed by the jobs that waited
SUMMED = (
    "breaker_trips_total", "breaker_incidents_total", "throttled_gpu_seconds", "hardware_slowdown_gpu_seconds",
    "capped_gpu_seconds", "gpu_seconds_delivered", "gpu_seconds_lost", "latency_misses_total", "jobs.completed",
    "jobs.queued", "jobs.refused", "jobs.killed", "it_energy_joules", "facility_energy_joules", "racks_used",
)  # fmt: skip
HIGHEST = ("gpu_temperature_celsius_max", "breaker_thermal_fraction_max")
TAPAS = (
    "TAPAS (Stojkovic et al., ASPLOS 2025, arXiv:2501.02600) reports 97 % fewer thermal and 99 % fewer power "
    "throttling events than a thermally blind baseline, in another hall with other work"
)


@dataclass(frozen=True)
class Study:
    """Which stories under which policies with which seeds; ``words`` go to every run."""

    stories: tuple[str, ...]
    policies: tuple[str, ...] = POLICIES
    seeds: int = 20
    words: tuple[str, ...] = ()

    def cases(self) -> list[Case]:
        """Every run, story by story, so that a study that is stopped has whole stories."""
        return [
            self.case(story, policy, seed)
            for story in self.stories
            for seed in range(self.seeds)
            for policy in self.policies
        ]

    def case(self, story: str, policy: str, seed: int) -> Case:
        """One run."""
        return Case((f"scenario={story}", f"policy={policy}", *self.words), seed)


def names(folder: Path) -> list[str]:
    """The stories of a folder as ``scenario=`` takes them, in full."""
    return [next(iter(stories.options_of(path))) for path in stories.files(folder)]


@dataclass(frozen=True)
class Told:
    """What the study found. ``lines`` compare tour with tour and, by story, run with run. ``calm`` are stories in which
    neither the baseline nor the policy named trips or throttles; ``left_out`` stories that a policy cannot be told."""

    study: Study
    lines: tuple[Line, ...]
    reductions: tuple["Reduction", ...]
    calm: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Reduction:
    """Relative change of trouble per GPU-second delivered from the baseline's tours to a policy's."""

    policy: str
    measure: str
    change: Interval


def conclude(study: Study, records: Mapping[Case, Record], level: float = LEVEL, seed: int = 0) -> Told:
    """What the runs say. Stories with a run that was refused or failed under any policy are left out."""
    left = dict(_unusable(study, records))
    kept = [story for story in study.stories if story not in left]
    if not kept:
        return Told(study, (), (), {}, left)
    others = tuple(policy for policy in study.policies if policy != BASELINE)
    worlds = []
    tours = []
    for number in range(study.seeds):
        runs = {
            policy: [records[study.case(story, policy, number)][METRICS] for story in kept] for policy in study.policies
        }
        tours.append(World(TOUR, number, {p: _member(p, tour(found)) for p, found in runs.items()}))
        worlds += [
            World(story, number, {policy: _member(policy, found[index]) for policy, found in runs.items()})
            for index, story in enumerate(kept)
        ]
    pairing = Pairing("policy", BASELINE, others, (TOUR, *kept), (*tours, *worlds), ())
    lines = compare(pairing, level, seed)
    return Told(study, tuple(lines), tuple(_reductions(tours, others, level, seed)), _calm(lines, kept, others), left)


def _unusable(study: Study, records: Mapping[Case, Record]) -> Iterable[tuple[str, str]]:
    for story in study.stories:
        for policy in study.policies:
            for number in range(study.seeds):
                record = records[study.case(story, policy, number)]
                if METRICS not in record:
                    (sentences,) = record.values()
                    yield story, f"under {policy}: {sentences[0]}"
                    break


def _member(policy: str, metrics: Mapping[str, Any]) -> Member:
    return Member(policy, {}, metrics)


def tour(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The measures of several runs as of one: sums, the highest, and mean waits over all jobs that started."""
    made: dict[str, Any] = {}
    for key in SUMMED:
        head, _, rest = key.partition(".")
        total = math.fsum(float(looked_up(run, key) or 0.0) for run in runs)
        if rest:
            made.setdefault(head, {})[rest] = total
        else:
            made[head] = total
    for key in HIGHEST:
        made[key] = max((float(run[key]) for run in runs if run.get(key) is not None), default=None)
    waits: dict[str, dict[str, float]] = {}
    for kind in sorted({kind for run in runs for kind in run.get("waits") or {}}):
        told = [run["waits"][kind] for run in runs if kind in (run.get("waits") or {})]
        jobs = sum(each["jobs"] for each in told)
        waits[kind] = {
            "jobs": jobs,
            "wait_seconds_mean": math.fsum(each["jobs"] * each["wait_seconds_mean"] for each in told) / jobs,
        }
    return {**made, "waits": waits}


def _reductions(tours: Sequence[World], others: Sequence[str], level: float, seed: int) -> Iterable[Reduction]:
    for policy in others:
        for measure in TROUBLE:
            a, b = ([_rate(world.runs[name], measure) for world in tours] for name in (BASELINE, policy))
            if all(map(math.isfinite, [*a, *b])):  # a policy that delivers nothing has no rate
                yield Reduction(policy, measure, relative_change(a, b, level, seed))


def _rate(member: Member, measure: str) -> float:
    work = float(member.metrics[DELIVERED])
    return float(member.metrics[measure]) / work if work > 0.0 else math.nan


def _calm(lines: Sequence[Line], kept: Sequence[str], others: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found = {(line.cell, line.value): True for line in lines}
    for line in lines:
        if line.measure in TROUBLE and not line.idle:
            found[line.cell, line.value] = False
    return {policy: tuple(story for story in kept if found.get((story, policy))) for policy in others}


def frame(found: Told) -> pd.DataFrame:
    """The study as a table: a row per story (and all of them), policy and measure, in SI units."""
    from twin.studies.comparison import table

    pairing = Pairing("policy", BASELINE, (), (), (), ())
    return table(pairing, found.lines).rename(columns={"cell": "story", "value": "policy"}).drop(columns="axis")
