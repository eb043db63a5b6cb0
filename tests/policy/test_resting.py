"""A ladder at rest that is only glanced at is where its steps would have brought it, and no glance misses a limit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.policy.test_shipped_ladder import RULES
from twin.policy.check import example
from twin.policy.ladder import LadderState, start, step
from twin.policy.ladder_rules import LadderRules, rules_from_mapping
from twin.policy.resting import Calm, after_calm, calm_of
from twin.policy.sensed import readings_of
from twin.policy.snapshot import FacilitySnapshot, Quality

DEVICE, SUPPLY = "rack_device_temperature_celsius", "rack_supply_temperature_celsius"
AIR, LOOPS = "rack_inlet_air_temperature_celsius", "loop_supply_temperature_celsius"
PERIOD = 10.0


def hall(time: float, fields: Mapping[str, np.ndarray], measured: Mapping[str, np.ndarray]) -> FacilitySnapshot:
    """Two rows, the first rack of which has no loop; slowdown temperatures of both kinds of devices."""
    base = example(2)
    assert base.facility is not None
    racks = len(base.rack_names)
    loop = base.rack_loop.copy()
    loop[0] = -1
    facility = replace(base.facility, rack_slowdown_celsius=np.where(np.arange(racks) % 2, 87.3, 80.1))
    return replace(
        base,
        time_seconds=time,
        rack_loop=loop,
        facility=facility,
        ages={**base.ages, **{name: time - stamps for name, stamps in measured.items()}},
        qualities={name: np.zeros(len(stamps), dtype=np.int8) for name, stamps in measured.items()},
        **fields,  # type: ignore[arg-type]
    )


def sizes() -> dict[str, int]:
    base = example(2)
    return {DEVICE: len(base.rack_names), SUPPLY: len(base.rack_names), AIR: len(base.rack_names),
            LOOPS: len(base.loop_names)}  # fmt: skip


def is_calm(calm: Calm, seen: FacilitySnapshot) -> bool:
    """What a glance tells, by definition."""
    for field, highest in calm.highest.items():
        values, looked_at = getattr(seen, field), ~np.isnan(highest)
        if not ((calm.lowest[field] <= values) & (values <= highest))[looked_at].all():
            return False
    return True


def equal(one: LadderState, other: LadderState) -> bool:
    assert one.time_seconds == other.time_seconds and one.start_seconds == other.start_seconds
    for name, held in one.ladders.items():
        for each in vars(held):
            first, second = getattr(held, each), getattr(other.ladders[name], each)
            np.testing.assert_array_equal(first, second, f"{name} {each}")
        assert held.newest == other.ladders[name].newest
    return True


def story(rng: np.random.Generator, warm: float, lost: float = 0.0, rounds: int = 40) -> list[FacilitySnapshot]:
    """Looks at readings near the limits of the shipped ladder: ``warm`` [K] above what is usual; some are lost."""
    count = sizes()
    level = {DEVICE: 76.5, SUPPLY: 41.0, AIR: 30.0, LOOPS: 41.5}
    measured = {name: np.zeros(size) for name, size in count.items()}
    fields = {name: np.full(size, level[name]) for name, size in count.items()}
    looks = []
    for n in range(1, rounds + 1):
        for name, size in count.items():
            came = rng.random(size) >= lost
            fields[name] = np.where(came, np.round(level[name] + warm + rng.normal(0.0, 0.4, size), 1), fields[name])
            measured[name] = np.where(came, n * PERIOD - 2.0, measured[name])
        looks.append(hall(n * PERIOD, dict(fields), {name: stamps.copy() for name, stamps in measured.items()}))
    return looks


@pytest.mark.parametrize(("warm", "lost"), [(0.0, 0.0), (0.0, 0.02), (0.8, 0.0), (1.2, 0.02), (1.6, 0.0), (2.5, 0.01)])
@pytest.mark.parametrize("seed", range(4))
def test_glances_come_to_what_steps_come_to(warm: float, lost: float, seed: int) -> None:
    """Every look is stepped by one ladder; the other is stepped only where a glance does not hold. They never differ
    when both have looked."""
    looks = story(np.random.default_rng(seed), warm, lost)
    calm = calm_of(RULES, looks[0])
    assert calm is not None
    whole = glanced = start(RULES, readings_of(looks[0]).members, 0.0)
    held: FacilitySnapshot | None = None
    glances = 0
    for n, seen in enumerate(looks):
        whole, actions = step(RULES, whole, readings_of(seen), seen.time_seconds)
        if n and glanced.rests and is_calm(calm, seen):
            assert not actions
            held, glances = seen, glances + 1
        else:
            if held is not None:
                glanced = after_calm(RULES, glanced, calm, stamps_of(held), held.time_seconds)
                held = None
            glanced, told = step(RULES, glanced, readings_of(seen), seen.time_seconds)
            assert told == actions
            assert equal(whole, glanced)
    if held is not None:
        assert equal(whole, after_calm(RULES, glanced, calm, stamps_of(held), held.time_seconds))
    assert warm > 0.5 or glances > 30, "a calm hall is glanced at"


def stamps_of(seen: FacilitySnapshot) -> dict[str, np.ndarray]:
    return {name: seen.time_seconds - seen.ages[name] for name in sizes()}


def rules_for(signal: str, scope: str, level: float, side: str = "above") -> LadderRules:
    release = level - 1.0 if side == "above" else level + 1.0
    rungs = [
        {
            "rung": "alert",
            "when": {"signal": signal, side: level, "for_seconds": 10},
            "release": {"level": release, "for_seconds": 10},
            "do": ["alert"],
        }
    ]
    readings = {"stale_seconds": 60, "greatest_gap_seconds": 30, "unseen_seconds": 120}
    ladders = {"one": {"scope": scope, "rungs": rungs}}
    return rules_from_mapping({"name": "t", "version": 1, "owner": "t", "readings": readings, "ladders": ladders})


@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize(
    ("signal", "scope", "level"),
    [
        ("rack_power_ratio", "rack", 0.7),
        ("rack_device_over_slowdown_kelvin", "rack", -1.1),
        ("rack_supply_temperature_celsius", "rack", 45.1),
        ("rack_air_supply_temperature_celsius", "rack", 32.3),
        ("row_power_watts", "row", 123_456.7),
        ("row_mean_supply_temperature_celsius", "row", 45.1),
        ("hall_mean_supply_temperature_celsius", "hall", 45.1),
        ("loop_supply_temperature_celsius", "loop", 45.1),
        ("loop_pump_speed_ratio", "loop", 0.3),
    ],
)
def test_nothing_within_the_bounds_is_past_a_limit(signal: str, scope: str, level: float, side: str) -> None:
    """Held to the step itself, at the very bounds and a millionth beyond: none is too wide, or narrower than that."""
    seen = hall(600.0, {}, {})
    rules = rules_for(signal, scope, level, side)
    calm = calm_of(rules, seen)
    assert calm is not None
    (field,) = calm.highest
    bounds = calm.highest[field] if side == "above" else calm.lowest[field]
    looked_at = ~np.isnan(bounds)
    assert looked_at.any()
    outward = 1.0 if side == "above" else -1.0
    for moved, past in ((bounds, False), (bounds * (1.0 + 1e-6 * outward), True)):
        values = np.where(looked_at, moved, 20.0)
        state = start(rules, readings_of(seen).members, 0.0)
        for time in (600.0, 620.0):
            readings = replace(seen, time_seconds=time, ages={}, qualities={}, **{field: values})  # type: ignore[arg-type]
            state, actions = step(rules, state, readings_of(readings), time)
        assert bool(state.ladders["one"].rungs.any()) == past, moved
        assert bool(actions) == past


def test_what_bounds_cannot_tell_is_stepped() -> None:
    seen = hall(600.0, {}, {})
    assert calm_of(rules_for("hall_power_watts", "hall", 1e6), seen) is None, (
        "a sum is past a limit of which no part is"
    )
    assert calm_of(RULES, replace(seen, facility=None)) is None, "slowdown temperatures are not known"
    unknown = replace(seen, rack_max_power_watts=np.full(len(seen.rack_names), np.nan))
    assert calm_of(rules_for("rack_power_ratio", "rack", 0.7), unknown) is None


@pytest.mark.parametrize("spoilt", ["held", "past", "missing"])
def test_a_ladder_that_does_not_rest_is_refused(spoilt: str) -> None:
    looks = story(np.random.default_rng(1), 0.0, rounds=14)
    calm = calm_of(RULES, looks[0])
    assert calm is not None
    state = start(RULES, readings_of(looks[0]).members, 0.0)
    change: Any = {LOOPS: np.full(sizes()[LOOPS], 50.0)} if spoilt != "missing" else {}
    for n, seen in enumerate(looks[: 2 if spoilt == "past" else None]):
        if spoilt == "missing" and n:
            change["qualities"] = {LOOPS: np.full(sizes()[LOOPS], Quality.MISSING, dtype=np.int8)}
        state, _ = step(RULES, state, readings_of(replace(seen, **change)), seen.time_seconds)
    assert not state.rests
    with pytest.raises(ValueError, match="has to be stepped"):
        after_calm(RULES, state, calm, stamps_of(seen), seen.time_seconds)
