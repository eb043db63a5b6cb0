"""The builds that are tried: what each changes, how much of it, and in which kind of hall.

A build's *size* is its main effect over the one at which the fleet's harm reaches its margin; below 0 it betters
things. Sizes are continuous, and a stated share of them lies within half a margin of 1, where verdicts are hard. Strata
of workload mix and thermal state are filled in turn, so that no count differs by more than one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from twin.workload.jobs import Build
from twin.workload.streams import stream

NEAR = (0.5, 1.5)  # sizes that are near the margin
SIDES = {"power": 0.005, "latency": 0.01}  # standard deviations of what else every build changes a little [1]
KINDS = ("power", "startup_power", "concurrency", "memory_bandwidth", "error_rate", "latency")


@dataclass(frozen=True)
class Effect:
    """One way in which builds differ, and how many do."""

    weight: float  # relative number of builds whose main effect it is
    at_margin: Mapping[str, float]  # thermal state → change [1] at which harm reaches its margin


@dataclass(frozen=True)
class Candidate:
    """One build under test."""

    name: str
    number: int
    mix: str
    state: str
    world: int  # in which its canaries run, common to all strategies
    kind: str  # of its main effect
    size: float  # of it, over the one at the margin
    build: Build = field(compare=False)

    @property
    def stratum(self) -> tuple[str, str]:
        """Workload mix and thermal state."""
        return self.mix, self.state


def population(
    seed: int,
    count: int,
    mixes: Sequence[str],
    states: Sequence[str],
    worlds: int,
    effects: Mapping[str, Effect],
    near: float,
    reach: tuple[float, float],
) -> tuple[Candidate, ...]:
    """``count`` builds. ``near`` is the share of sizes within :data:`NEAR`, ``reach`` the least and greatest size.

    Builds are drawn in the order of their numbers from a stream of their own, so that a larger population of the same
    seed begins with the smaller one.
    """
    strata = [(mix, state) for state in states for mix in mixes]
    kinds = sorted(effects)
    weights = np.array([effects[kind].weight for kind in kinds])
    made = []
    for number in range(count):
        rng = stream(seed, "canary study", "build", str(number))
        mix, state = strata[number % len(strata)]
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
        size = _size(rng, near, reach)
        sides = {name: float(rng.normal(0.0, deviation)) for name, deviation in SIDES.items()}
        world = int(rng.integers(worlds))
        name = f"build-{number:03d}"
        build = build_of(name, kind, size * effects[kind].at_margin[state], sides)
        made.append(Candidate(name, number, mix, state, world, kind, size, build))
    return tuple(made)


def _size(rng: np.random.Generator, near: float, reach: tuple[float, float]) -> float:
    """Uniform within :data:`NEAR` with the chance ``near``, else uniform over what is left of the reach."""
    place = rng.random()
    if rng.random() < near:
        return NEAR[0] + place * (NEAR[1] - NEAR[0])
    below, above = NEAR[0] - reach[0], reach[1] - NEAR[1]
    at = place * (below + above)
    return reach[0] + at if at < below else NEAR[1] + at - below


def build_of(name: str, kind: str, change: float, sides: Mapping[str, float] | None = None) -> Build:
    """A build whose main effect is worse by ``change`` [1], and which changes ``sides`` besides.

    ``concurrency`` counts less as worse, all others more; an error rate is never below 0.
    """
    values = {"power": 1.0, "startup_power": 1.0, "concurrency": 1.0, "memory_bandwidth": 1.0, "latency": 1.0}
    values |= {side: 1.0 + value for side, value in (sides or {}).items() if side != kind}
    if kind == "error_rate":
        return Build(name, error_rate=min(1.0, max(0.0, change)), **values)
    values[kind] = max(0.05, 1.0 - change if kind == "concurrency" else 1.0 + change)
    return Build(name, **values)
