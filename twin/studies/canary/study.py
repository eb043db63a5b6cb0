"""The study: all episodes carried out, and truth and verdicts gathered in tables."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twin.setup.compose import compose_run
from twin.studies.canary.explain import why
from twin.studies.canary.parts import Done, Episode, carry_out, kept
from twin.studies.canary.population import NEAR, Candidate, population
from twin.studies.canary.settings import CanaryStudy
from twin.studies.canary.truth import BORDERLINE, MEASURES, Counts, harm_of, truth_of
from twin.studies.canary.worlds import parts_of, words_of, world_seed
from twin.studies.work import Map
from twin.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class Found:
    """What a study found. Tables as they are written."""

    builds: pd.DataFrame
    truth: pd.DataFrame
    verdicts: pd.DataFrame
    failed: tuple[Done, ...]


@lru_cache(maxsize=64)
def identity_of(words: tuple[str, ...]) -> str:
    """What the results in a world depend on but for its seed and its length: its files, the code, the libraries."""
    return compose_run(words).identity


def candidates_of(study: CanaryStudy) -> tuple[Candidate, ...]:
    """The population of a study."""
    return population(
        study.seed, study.builds, list(study.mixes), list(study.states), study.worlds, study.effects, study.near,
        study.reach,
    )  # fmt: skip


def episodes_of(study: CanaryStudy, candidates: tuple[Candidate, ...], folder: Path) -> list[Episode]:
    """Every episode of a study, those of one world together, so that a process composes few worlds."""
    made: list[Episode] = []
    for mix, state in dict.fromkeys(each.stratum for each in candidates):
        version = identity_of((*study.base, *study.mixes[mix], *study.states[state]))
        mine = [each for each in candidates if each.stratum == (mix, state)]
        for world in range(study.worlds):
            seed = world_seed(study.seed, world)

            def words(seconds: float, seed: int = seed, mix: str = mix, state: str = state) -> tuple[str, ...]:
                hours = seconds / SECONDS_PER_HOUR
                return words_of(study.base, study.mixes[mix], study.states[state], seed, hours)

            none = Episode(
                ("without", mix, state, str(world)), words(study.truth.seconds), study.service, None, None, study.truth,
                study.trial, version, str(folder),
            )  # fmt: skip
            made.append(none)
            made += [replace(none, key=("truth", each.name, str(world)), build=each.build) for each in mine]
            made += [
                replace(
                    none, key=("trial", each.name, str(strategy)), words=words(study.trial.seconds), build=each.build,
                    strategy=strategy,
                )
                for each in mine if each.world == world for strategy in study.strategies
            ]  # fmt: skip
    return made


def carried_out(episodes: list[Episode], mapped: Map, told: Callable[[int], None]) -> Iterator[Done]:
    """Results of all episodes: those on disk first, then the others. ``told`` is told how many are done."""
    done = [(each, kept(each)) for each in episodes]
    count = 0
    for _, found in done:
        if found is not None:
            count += 1
            yield found
    told(count)
    for found in mapped(carry_out, [each for each, found in done if found is None]):
        count += 1
        told(count)
        yield found


def check_worlds(study: CanaryStudy) -> None:
    """Read every world once, so that what is wrong with its words is told before anything runs."""
    for mix in study.mixes.values():
        for state in study.states.values():
            parts = parts_of(words_of(study.base, mix, state, 0, 1.0))
            names = [each.name for each in parts.workload.services]
            if study.service not in names:
                raise ValueError(f"service = {study.service}: the workload has {', '.join(names) or 'none'}")
            if parts.settings.rollout is None or parts.settings.rollout.design is None:
                raise ValueError("base: the policy has no rollout with a judge: add policy/rollout=default")


def gathered(study: CanaryStudy, candidates: tuple[Candidate, ...], done: list[Done]) -> Found:
    """Tables from the results, in whatever order those came."""
    results = {each.key: each.found for each in done if each.found is not None}
    failed = tuple(sorted((each for each in done if each.found is None), key=lambda each: each.key))
    truths, verdicts, builds = [], [], []
    margin = temperature_margin(study)
    for each in candidates:
        harms, measures = [], []
        for world in range(study.worlds):
            with_, without = (
                results.get(("truth", each.name, str(world))), results.get(("without", *each.stratum, str(world)))
            )  # fmt: skip
            if with_ is None or without is None:
                continue
            found = harm_of(Counts(**with_), Counts(**without), study.margins)
            harms.append(found.harm)
            measures.append(found.measure)
            truths.append(
                {
                    "build": each.name, "mix": each.mix, "state": each.state, "world": world,
                    "harm_margins": found.harm,
                    "measure": found.measure, **{f"{m}_margins": found.of_margins[m] for m in MEASURES},
                }
            )  # fmt: skip
        if len(harms) < study.worlds:
            continue  # its truth is not known
        standing, bad = truth_of(harms)
        harm = float(np.median(harms))
        measure = measures[int(np.argsort(harms, kind="stable")[len(harms) // 2])]
        b = each.build
        builds.append(
            {
                "build": each.name, "mix": each.mix, "state": each.state, "world": each.world, "kind": each.kind,
                "size": each.size, "near": NEAR[0] <= each.size <= NEAR[1], "power": b.power,
                "startup_power": b.startup_power, "concurrency": b.concurrency, "memory_bandwidth": b.memory_bandwidth,
                "error_rate": b.error_rate, "latency": b.latency, "truth": standing, "bad": bad, "harm_margins": harm,
                "measure": measure,
            }
        )  # fmt: skip
        for strategy in study.strategies:
            tried = results.get(("trial", each.name, str(strategy)))
            if tried is not None:
                verdicts.append(_row(each, str(strategy), tried, standing, bad, measure, margin))
    return Found(pd.DataFrame(builds), pd.DataFrame(truths), pd.DataFrame(verdicts), failed)


def _row(
    each: Candidate, strategy: str, tried: Any, standing: str, bad: bool, measure: str, margin: float
) -> dict[str, Any]:
    """One verdict, and its cause where it is wrong."""
    value: dict[str, Any] = {key: math.nan if found is None else found for key, found in tried.items()}
    called = value["verdict"] != "pass"
    cause = ""
    if called != bad:
        cause = str(
            why(
                bad=bad, verdict=value["verdict"], by=value["by"], reason=value["reason"], blind=value["blind"],
                measure=measure, margin=margin, sensed=value["temperature_harm"], true=value["temperature_true"],
                canary_celsius=value["canary_celsius"], fleet_celsius=value["fleet_celsius"],
                canary_throttled=value["throttled_gpu_seconds"],
            )
        )  # fmt: skip
    return {
        "build": each.name, "strategy": strategy, "mix": each.mix, "state": each.state, "kind": each.kind,
        "size": each.size, "truth": standing, "bad": bad, "borderline": standing == BORDERLINE,
        "verdict": value["verdict"], "promoted": not called, "right": called == bad, "cause": cause, "by": value["by"],
        "seconds_to_verdict": value["seconds"], "canaries": ",".join(value["canaries"]), "controls": value["controls"],
        "temperature_harm_kelvin": value["temperature_harm"], "temperature_true_kelvin": value["temperature_true"],
        "canary_celsius": value["canary_celsius"], "fleet_celsius": value["fleet_celsius"],
        "hottest_celsius": value["hottest_celsius"], "throttled_gpu_seconds": value["throttled_gpu_seconds"],
        "late_requests": value["late"], "failed_requests": value["failed"], "trips": value["trips"],
        "reason": value["reason"],
    }  # fmt: skip


def temperature_margin(study: CanaryStudy) -> float:
    """The judge's margin of temperature [K]."""
    mix, state = next(iter(study.mixes.values())), next(iter(study.states.values()))
    rollout = parts_of(words_of(study.base, mix, state, 0, 1.0)).settings.rollout
    assert rollout is not None and rollout.design is not None
    return next((m.margin for m in rollout.design.metrics if m.name == "temperature"), math.inf)
