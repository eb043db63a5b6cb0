"""What paired worlds bear, on pairs made by hand: levels by guards and looks, and which sign is the worse one."""

from dataclasses import replace

import pytest

from twin.studies.regress.evidence import ALL, Finding
from twin.studies.regress.judgement import world_findings
from twin.studies.regress.settings import read_settings
from twin.studies.regress.worlds import Pair

SETTINGS = read_settings()
STORIES = SETTINGS.worlds.stories
METRICS = [guard.metric for guard in SETTINGS.worlds.guards]


def found(metric: str, by: float, worlds: int, stories: tuple[str, ...] = STORIES) -> dict[tuple[str, str], Finding]:
    """Findings by guard and group where the candidate's measure is higher by so much in every world."""
    usual = dict.fromkeys(METRICS, 1_000.0)
    theirs = {**usual, metric: 1_000.0 + by}
    pairs = [Pair(stories[each % len(stories)], each, usual, theirs, 9, 9, "") for each in range(worlds)]
    settings = replace(SETTINGS, worlds=replace(SETTINGS.worlds, stories=stories))
    return {(each.guard, each.group): each for each in world_findings(pairs, settings)}


@pytest.mark.parametrize(
    ("metric", "by", "worse"),
    [
        ("gpu_hours_delivered", -6.0, ["delivered"]),  # less of it is worse, by more than 5
        ("gpu_hours_delivered", 6.0, []),
        ("gpu_hours_delivered", -4.0, []),
        ("wait_seconds_mean", 31.0, ["waiting"]),
        ("wait_seconds_mean", -31.0, []),
    ],
)
def test_what_is_worse_is_told_by_its_sign(metric: str, by: float, worse: list[str]) -> None:
    told = found(metric, by, 24)
    assert [guard for (guard, group), each in told.items() if each.worse and group == ALL] == worse
    unclear = [guard for (guard, group), each in told.items() if not each.fine and group == ALL]
    assert unclear == worse


def test_claims_are_divided_by_guards_and_looks_alone() -> None:
    """A quarter of 0.02 over 9 guards and 3 looks is 1.85e-4: 13 worlds of one sign, 2^-13, show it, 12 do not."""
    assert (len(METRICS), len(SETTINGS.worlds.looks)) == (9, 3)
    told = found("breaker_trips_total", 1.0, 13)
    assert [key for key, each in told.items() if each.worse] == [("breaker_trips", ALL)]
    assert not any(each.worse for each in found("breaker_trips_total", 1.0, 12).values())


def test_of_a_story_nothing_is_claimed() -> None:
    told = found("breaker_trips_total", 1.0, 40, ("calm",))
    assert told["breaker_trips", ALL].worse and not told["breaker_trips", "calm"].worse


def test_each_look_has_its_part_of_the_misses() -> None:
    """0.05 over 3 looks is 0.0167: six worlds, 2^-6, clear a guard and five, 2^-5, do not."""
    assert not found("breaker_trips_total", 0.0, 5, ("calm",))["lost", ALL].fine
    assert found("breaker_trips_total", 0.0, 6, ("calm",))["lost", ALL].fine
