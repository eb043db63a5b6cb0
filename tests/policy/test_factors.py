"""Factors of racks against the functions of one field that they are made of."""

from dataclasses import replace

import numpy as np
import pytest

from twin.policy import factors, signals
from twin.policy.check import example
from twin.policy.factors import sense
from twin.policy.snapshot import History, Quality

FIELDS = (
    "rack_power_watts", "rack_supply_temperature_celsius", "rack_flow_litres_per_minute", "loop_pump_speed_ratio",
)  # fmt: skip


def restless(*, together):
    """A look whose histories wander and have gaps; ``together`` is whether they share one array of times."""
    look, rng = example(), np.random.default_rng(3)
    time = look.time_seconds - 10.0 * np.arange(89.0, -1.0, -1.0)
    histories = {}
    for name in FIELDS:
        now = getattr(look, name)
        values = now * (1.0 + rng.normal(0.0, 0.004, (90, len(now))).cumsum(axis=0))
        lost = rng.random(values.shape) < 0.01
        values[lost] = np.nan
        quality = np.where(lost, Quality.MISSING, Quality.GOOD).astype(np.int8)
        histories[name] = History(time if together else time.copy(), values, quality)
    return replace(look, histories=histories)


@pytest.mark.parametrize(("together", "narrow"), [(True, 512), (False, 512), (True, 3)])
def test_what_is_looked_through_together_tells_what_each_field_tells_by_itself(together, narrow, monkeypatch):
    monkeypatch.setattr(factors, "NARROW", narrow)
    look = restless(together=together)
    power, inlet, flow, pumps = (
        (past.time_seconds, past.values, past.quality) for past in (look.histories[name] for name in FIELDS)
    )
    found = sense(look, look.facility).values
    assert any(np.isnan(past.values).any() for past in look.histories.values())
    np.testing.assert_array_equal(found["inlet_slope"], 60.0 * signals.slope(*inlet))
    np.testing.assert_array_equal(found["flow_stability"], signals.stability(*flow))
    np.testing.assert_array_equal(found["pump_stability"], signals.stability(*pumps)[look.rack_loop])
    np.testing.assert_array_equal(found["duty_cycle"], signals.mean(*power, 900.0) / look.rack_max_power_watts)
    rise = np.maximum(signals.slope(*power), 0.0) * 900.0
    spare = np.maximum(look.rack_declared_power_watts - look.rack_power_watts, 0.0)
    np.testing.assert_array_equal(found["power_rise_watts"], np.minimum(rise, spare))
    assert np.isfinite(found["cooling_stability"]).all() and (found["cooling_stability"] < 1.0).all()


def test_without_a_past_nothing_is_said_of_trends_and_work_is_told_by_power_now():
    look = replace(example(), histories={})
    found = sense(look, look.facility).values
    for name in ("inlet_slope", "flow_stability", "pump_stability", "power_rise_watts"):
        assert np.isnan(found[name]).all()
    np.testing.assert_array_equal(found["duty_cycle"], look.rack_power_watts / look.rack_max_power_watts)
