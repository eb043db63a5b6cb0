"""How long coolant rose, on rises whose length is plain to see."""

import numpy as np
import pytest

from twin.policy.rise import rise_of
from twin.policy.snapshot import Quality

TIME = np.arange(0.0, 901.0, 10.0)
GOOD = np.full(len(TIME), Quality.GOOD, dtype=np.int8)


@pytest.mark.parametrize(("start", "length"), [(300.0, 240.0), (0.0, 900.0), (600.0, 95.0)])
def test_a_straight_rise_is_timed_exactly(start, length):
    values = 40.0 + 8.0 * np.clip((TIME - start) / length, 0.0, 1.0)
    found = rise_of(TIME, values, GOOD)
    assert found.amount == pytest.approx(8.0)
    # the corners fall between readings, 10 s apart
    assert found.seconds == pytest.approx(length, abs=1e-9 if length % 10 == 0 else 7.0)


def test_a_rise_that_has_ended_or_fell_again_is_told_by_its_top():
    values = np.interp(TIME, [0, 300, 420, 700, 900], [40.0, 40.0, 46.0, 46.0, 43.0])
    assert rise_of(TIME, values, GOOD).seconds == pytest.approx(120.0)


def test_an_exponential_rise_is_timed_between_its_tenths():
    """1 − e^{−t/τ} passes a tenth at τ ln(10/9) and nine tenths at τ ln 10: (t90 − t10)/0.8 = τ ln 9/0.8."""
    tau = 60.0
    values = 40.0 + 6.0 * (1.0 - np.exp(-TIME / tau))
    assert rise_of(TIME, values, GOOD).seconds == pytest.approx(tau * np.log(9.0) / 0.8, rel=0.02)


def test_what_is_below_a_kelvin_or_falls_is_no_rise():
    assert rise_of(TIME, 40.0 + 0.9 * TIME / 900.0, GOOD) is None
    assert rise_of(TIME, 50.0 - 8.0 * TIME / 900.0, GOOD) is None
    assert rise_of(TIME, np.full(len(TIME), 40.0), GOOD) is None
    assert rise_of(TIME[:1], np.array([40.0]), GOOD[:1]) is None


def test_readings_that_do_not_count_change_nothing():
    values = 40.0 + 8.0 * np.clip((TIME - 300.0) / 240.0, 0.0, 1.0)
    spoilt, quality = values.copy(), GOOD.copy()
    spoilt[::7], quality[::7] = 90.0, Quality.STALE
    spoilt[20] = np.nan
    found = rise_of(TIME, spoilt, quality)
    assert (found.amount, found.seconds) == (pytest.approx(8.0), pytest.approx(240.0, abs=5.0))
    assert rise_of(TIME, values, np.full(len(TIME), Quality.MISSING, dtype=np.int8)) is None
