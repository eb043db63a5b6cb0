"""Breakers against closed forms, scipy, and the limits of the standards."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from twin.hall.parts import Breaker, BreakerKind
from twin.hall.presets import load_parts
from twin.plant.breakers import crossing_seconds, damaged, heated, lsi_time_constant, table_trip_seconds, trip_seconds

TAU16 = lsi_time_constant(16.0)
PRESETS = load_parts()["breakers"]


def _device(name: str) -> Breaker:
    figures = PRESETS[name]
    return Breaker(
        kind=BreakerKind(figures["kind"]),
        rating_amperes=figures["rating_amperes"],
        time_constant_seconds=figures["time_constant_seconds"],
        trip_level=figures.get("trip_multiple", 1.0) ** 2,
        instantaneous_pickup=figures.get("instantaneous_pickup", math.inf),
    )


def _crossing(theta: float, ratio: float, span: float, tau: float, level: float = 1.44) -> float:
    """Crossing of a step at constant current."""
    return crossing_seconds(theta, ratio**2, ratio**2, ratio**2, span, tau, level)


# ---------------------------------------------------------------- the thermal element


drives = st.floats(0.0, 8.0)


@given(st.floats(0.0, 1.4), drives, drives, drives, st.floats(0.5, 120.0), st.floats(20.0, 600.0), st.floats(0.0, 1.0))
def test_heated_solves_its_equation(theta, start, mean, end, span, tau, share):
    c = 3.0 * (start + end - 2.0 * mean)
    b = end - start - c

    def rate(t, y):
        x = t / span
        return ((start + b * x + c * x * x) - y) / tau

    time = share * span
    if time <= 0.0:
        return
    exact = solve_ivp(rate, (0.0, time), [theta], method="DOP853", rtol=1e-11, atol=1e-12).y[0, -1]
    assert heated(theta, start, mean, end, span, time, tau) == pytest.approx(exact, rel=1e-7, abs=1e-7)


def test_the_parabola_has_the_mean_asked_for():
    """Over a step much shorter than τ the heating is that of the mean drive, whatever its shape."""
    gained = heated(0.5, 1.0, 3.0, 2.0, 1.0, 1.0, 1e4) - 0.5
    assert gained == pytest.approx((3.0 - 0.5) / 1e4, rel=1e-3)


def test_lsi_closed_form_of_the_makers_table():
    """tr 16 s: 400.43 s at 1.5 Ir and 16.00 s at 6 Ir, cold; 269 s at 1.5 Ir from 0.8."""
    assert pytest.approx(391.95, abs=0.05) == TAU16
    assert trip_seconds(1.5, 0.0, TAU16) == pytest.approx(400.43, abs=0.02)
    assert trip_seconds(6.0, 0.0, TAU16) == pytest.approx(16.00, abs=0.02)
    assert trip_seconds(1.5, 0.8, TAU16) == pytest.approx(269.0, abs=1.0)


def test_pickup_between_105_and_120_percent():
    assert trip_seconds(1.05, 0.0, TAU16) == math.inf
    assert trip_seconds(1.199, 0.0, TAU16) == math.inf
    assert trip_seconds(1.201, 0.0, TAU16) < math.inf
    assert _crossing(0.0, 1.05, 1e6, TAU16) == -1.0


@pytest.mark.parametrize(("ratio", "preload"), [(1.5, 0.0), (1.5, 0.8), (6.0, 0.0), (1.3, 0.65), (2.4, 1.1)])
def test_a_step_finds_the_closed_form_trip(ratio, preload):
    exact = trip_seconds(ratio, preload, TAU16)
    # in one long step, and carried through many short ones
    assert _crossing(preload**2, ratio, 1.7 * exact, TAU16) == pytest.approx(exact, abs=1e-6)
    theta, t, h = preload**2, 0.0, exact / 31.3
    while True:
        found = _crossing(theta, ratio, h, TAU16)
        if found >= 0.0:
            break
        theta = heated(theta, ratio**2, ratio**2, ratio**2, h, h, TAU16)
        t += h
    assert t + found == pytest.approx(exact, abs=1e-6)


def test_the_feed_that_is_lost_at_70_percent_trips_the_other_after_407_seconds():
    """Each feed at 0.7 of Ir, then one at 1.4: 407.3 s; at 0.45 the survivor carries 0.9 for ever."""
    assert trip_seconds(1.4, 0.7, TAU16) == pytest.approx(407.3, abs=0.1)
    assert trip_seconds(0.9, 0.45, TAU16) == math.inf


def test_memory_of_a_trip():
    """A trip under 1.5 Ir, open for a while, closed again onto 1.5 Ir."""
    cold = trip_seconds(1.5, 0.0, TAU16)
    after_a_minute = heated(1.44, 0.0, 0.0, 0.0, 60.0, 60.0, TAU16)
    assert after_a_minute == pytest.approx(1.44 * math.exp(-60.0 / TAU16), rel=1e-12)
    again = _crossing(after_a_minute, 1.5, 1000.0, TAU16)
    assert 40.0 < again < 0.25 * cold
    after_three = heated(1.44, 0.0, 0.0, 0.0, 3 * TAU16, 3 * TAU16, TAU16)
    assert 0.95 * cold < _crossing(after_three, 1.5, 1000.0, TAU16) < cold


def test_crossing_under_a_rising_drive_agrees_with_a_root_of_scipy():
    start, mean, end, span, tau = 1.0, 1.9, 2.6, 300.0, 200.0
    c = 3.0 * (start + end - 2.0 * mean)
    b = end - start - c
    dense = solve_ivp(
        lambda t, y: ((start + b * t / span + c * (t / span) ** 2) - y) / tau,
        (0.0, span), [0.6], method="DOP853", rtol=1e-11, atol=1e-12, dense_output=True,
    ).sol  # fmt: skip
    exact = brentq(lambda t: dense(t)[0] - 1.44, 0.0, span, xtol=1e-9)
    assert crossing_seconds(0.6, start, mean, end, span, tau, 1.44) == pytest.approx(exact, abs=1e-5)


def test_a_crossing_that_does_not_last_to_the_end_is_found():
    """The drive peaks inside the step: the element passes its level and would be below again at the end."""
    found = crossing_seconds(1.3, 0.2, 2.4, 0.2, 100.0, 5.0, 1.44)
    assert 0.0 < found < 50.0
    assert heated(1.3, 0.2, 2.4, 0.2, 100.0, 100.0, 5.0) < 1.44


# ---------------------------------------------------------------- table devices


def _table(name: str) -> tuple[np.ndarray, np.ndarray, int]:
    points = np.array(PRESETS[name]["table"], dtype=float)
    return np.log(points[:, 0] - 1.0), np.log(points[:, 1]), len(points)


@pytest.mark.parametrize(("ratio", "seconds"), [(1.1, 1020.0), (1.2, 255.0), (1.4, 63.75), (2.0, 10.2), (1.15, 453.3)])
def test_dynamo_device_follows_its_published_curve(ratio, seconds):
    """``t = 10.2/(r − 1)²``; log-log interpolation is exact for a power law, between the points too."""
    assert table_trip_seconds(ratio, *_table("dynamo_rack")) == pytest.approx(seconds, rel=1e-3)
    assert table_trip_seconds(1.1, *_table("dynamo_rack")) == pytest.approx(17 * 60, rel=0.15)
    assert table_trip_seconds(1.4, *_table("dynamo_rack")) == pytest.approx(60, rel=0.20)


def test_damage_adds_up_and_recovers():
    tables = _table("dynamo_rack")
    damage = damaged(0.0, 1.1, 510.0, 600.0, *tables)
    assert damage == pytest.approx(0.5)
    assert damaged(damage, 1.4, 63.75 / 2, 600.0, *tables) == pytest.approx(1.0)
    assert damaged(damage, 0.9, 600.0, 600.0, *tables) == pytest.approx(0.5 * math.exp(-1.0))
    assert table_trip_seconds(1.0, *tables) == math.inf
    assert damaged(0.3, 1.0, 1e9, 600.0, *tables) == pytest.approx(0.0, abs=1e-12)


# ---------------------------------------------------------------- conformance


def test_miniature_breaker_of_iec_60898():
    """V1, V2: C16 cold holds 1.13 In for an hour, then trips at 1.45 within one; 2.55 In in 1–60 s."""
    device = _device("mcb_c16")
    tau, level = device.time_constant_seconds, device.trip_level
    assert _crossing(0.0, 1.13, 3600.0, tau, level) == -1.0
    warm = heated(0.0, 1.13**2, 1.13**2, 1.13**2, 3600.0, 3600.0, tau)
    assert 0.0 < _crossing(warm, 1.45, 3600.0, tau, level) < 3600.0
    assert 1.0 < _crossing(0.0, 2.55, 3600.0, tau, level) < 60.0
    assert 5.0 <= device.instantaneous_pickup <= 10.0  # trips at 10 In, and does not at 4.9 In


def test_moulded_case_breaker_of_iec_60947_2():
    """V3: 250 A holds 1.05 for two hours, then trips at 1.30 within two."""
    device = _device("ul489_250a")
    tau, level = device.time_constant_seconds, device.trip_level
    assert _crossing(0.0, 1.05, 7200.0, tau, level) == -1.0
    warm = heated(0.0, 1.05**2, 1.05**2, 1.05**2, 7200.0, 7200.0, tau)
    assert 0.0 < _crossing(warm, 1.30, 7200.0, tau, level) < 7200.0
