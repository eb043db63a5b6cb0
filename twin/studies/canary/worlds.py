"""The halls in which builds are tried, composed once in every process that needs them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from twin.setup.assembly import Parts
from twin.setup.compose import compose_run


@lru_cache(maxsize=64)
def parts_of(words: tuple[str, ...]) -> Parts:
    """The parts of a run, by the words that compose it, without the response ladder and its forecasts.

    They act on the hall in ways that answer to more than the build. Raises what
    :func:`~twin.setup.compose.compose_run` raises.
    """
    found = compose_run(words).parts()
    return replace(found, settings=replace(found.settings, response=None, forecaster=None))


def words_of(base: Sequence[str], mix: Sequence[str], state: Sequence[str], seed: int, hours: float) -> tuple[str, ...]:
    """Words that compose one world; what comes later wins."""
    return (*base, *mix, *state, f"seed={seed}", f"hours={hours:g}")


def world_seed(seed: int, world: int) -> int:
    """Seed of a world of a study."""
    return 1_000 * (seed + 1) + world
