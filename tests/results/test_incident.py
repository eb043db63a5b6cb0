"""What was happening at a time: three racks by hand, an exponential by its algebra, troubles from events."""

import math

import numpy as np
import pandas as pd
import pytest

from twin.results.incident import BACK, State, incident, recovery, state
from twin.results.tables import event_frame
from twin.results.troubles import held_flags, troubles

RACKS = pd.DataFrame(
    {"name": ["A-01", "A-02", "B-01"], "row": ["A", "A", "B"], "loop": ["l1", "l1", "l2"], "slowdown_celsius": 87.0}
)


def events(*rows):
    return event_frame(
        [
            {
                "event": n,
                "time_seconds": at,
                "kind": kind,
                "level": level,
                "name": name,
                "detail": detail,
                "value": value,
            }
            for n, (at, kind, level, name, detail, value) in enumerate(rows)
        ]
    )


def series(**temperatures):
    """A row per minute for each rack."""
    rows = [
        {"time_seconds": 60.0 * n, "name": name.replace("_", "-"), "device_temperature_celsius_max": value}
        for name, values in temperatures.items()
        for n, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("now", "then", "hot_now", "hot_then", "expected"),
    [
        ("", "", [60, 60, 60], [60, 60, 60], State.QUIET),
        ("a", "", [80, 60, 60], [70, 60, 60], State.EXPANDING),
        ("ab", "bc", [80, 80, 60], [70, 85, 80], State.EXPANDING),  # one came back, and one was added
        ("a", "ab", [80, 60, 60], [80, 80, 60], State.RECOVERING),
        ("a", "a", [80, 60, 60], [82, 60, 60], State.RECOVERING),
        ("a", "a", [80, 60, 60], [80.5, 60, 60], State.LOCALIZED),
        ("", "a", [60, 60, 60], [80, 60, 60], State.RECOVERING),
    ],
)
def test_how_an_incident_stands_by_hand(now, then, hot_now, hot_then, expected):
    names = list("abc")
    hottest = [pd.Series(values, index=names, dtype=float) for values in (hot_now, hot_then)]
    assert state(frozenset(now), frozenset(then), *hottest) is expected


def test_recovery_of_an_exponential_is_what_its_time_constant_says():
    tau = 300.0
    excess = [40.0 * math.exp(-t / tau) for t in (0.0, 120.0)]
    assert recovery(*excess, 120.0) == pytest.approx(tau * math.log(40.0 / BACK) - 120.0)
    assert recovery(10.0, 10.0, 120.0) is None
    assert recovery(10.0, BACK, 120.0) == 0.0


LOG = events(
    (240.0, "pump_lost", "loop", "l1", "pump 1, 2", 0.0),
    (300.0, "slowdown_on", "rack", "A-01", "tray 1", 87.0),
    (310.0, "flag_set", "loop", "l1", "scale_back = halved; too warm", None),
    (350.0, "flag_set", "loop", "l1", "scale_back = quartered; still too warm", None),
    (355.0, "flag_set", "hall", "hall", "evacuate = drain by on_call ana; smell of burning", None),
    (360.0, "device_shutdown", "rack", "A-01", "tray 1", 95.0),
    (365.0, "job_requeued", "job", "gang", "", 1_440.0),
    (420.0, "pump_restored", "loop", "l1", "", 2.0),
    (700.0, "flag_cleared", "loop", "l1", "scale_back cleared; no held rung wants it", None),
    (960.0, "device_restarted", "rack", "A-01", "tray 1", None),
)
#: two racks of the loop without pumps warm up and cool down; the third has nothing to do with it
TEMPERATURES = series(
    A_01=[60.0] * 4 + [75.0, 95.0, 95.0, 80.0, 70.0, 65.0, 62.5, 61.0],
    A_02=[60.0] * 4 + [64.0, 70.0, 74.0, 66.0, 63.0, 61.5, 60.5, 60.0],
    B_01=[70.0] * 12,
)


@pytest.mark.parametrize(
    ("at", "word", "affected", "new"),
    [
        (240.0, "quiet", [], []),
        (300.0, "expanding", ["A-01"], ["A-01"]),
        (360.0, "expanding", ["A-01", "A-02"], ["A-01", "A-02"]),
        (480.0, "expanding", ["A-01", "A-02"], ["A-02"]),  # 180 s before it was one
        (540.0, "recovering", ["A-01"], []),
        (720.0, "recovering", ["A-01"], []),  # cool, and a device is off
    ],
)
def test_an_incident_spreads_and_goes_back(at, word, affected, new):
    found = incident(LOG, RACKS, TEMPERATURES, at)
    assert found.state.word == word
    assert sorted(rack.name for rack in found.affected) == affected
    assert list(found.new) == new
    assert found.places == (("l1",) if affected else ())


def test_a_summary_has_temperatures_flags_losses_and_when_it_will_be_over():
    found = incident(LOG, RACKS, TEMPERATURES, 540.0)
    hottest = found.racks[0]
    assert (hottest.name, hottest.device_temperature_celsius, hottest.rise_kelvin, hottest.margin_kelvin) == (
        "A-01", 70.0, 10.0, 17.0,
    )  # fmt: skip
    assert hottest.off
    # 35 K above before two intervals ago, 10 K now
    assert found.recovery_seconds == pytest.approx(120.0 / math.log(35.0 / 10.0) * math.log(10.0 / BACK))
    assert [(each.flag, each.variant, each.by) for each in found.flags] == [
        ("scale_back", "quartered", ""),
        ("evacuate", "drain", "on_call ana"),
    ]
    assert found.troubles == ()
    assert (found.lost["gpu_seconds"], found.lost["device_shutdown"]) == (1_440.0, 1.0)
    hotter = incident(LOG, RACKS, TEMPERATURES, 420.0 - 1e-6)
    assert hotter.recovery_seconds is None
    assert [each.kind for each in hotter.troubles] == ["pump_lost"]


def test_troubles_and_flags_have_their_beginning_and_end():
    ((pump),) = troubles(LOG)
    assert (pump.begun, pump.ended, pump.cools_less) == (240.0, 420.0, True)
    assert [(each.flag, each.begun, each.ended) for each in held_flags(LOG)] == [
        ("scale_back", 310.0, 700.0),
        ("evacuate", 355.0, None),
    ]


@pytest.mark.parametrize("at", [30.0, 5_000.0])
def test_a_time_that_was_not_recorded_is_refused(at):
    with pytest.raises(ValueError, match=r"recorded by 30 s|ended at 720 s"):
        incident(LOG, RACKS, TEMPERATURES, at)


def test_a_hall_without_limits_has_no_margins():
    found = incident(LOG, RACKS.assign(slowdown_celsius=np.nan), TEMPERATURES, 420.0)
    assert {rack.margin_kelvin for rack in found.racks} == {None}


def test_of_two_pumps_that_are_lost_at_a_time_each_has_its_own_end():
    log = events(
        (100.0, "pump_lost", "loop", "l1", "pump 1", 1.0),
        (200.0, "pump_lost", "loop", "l1", "pump 2", 0.0),
        (300.0, "pump_restored", "loop", "l1", "", 1.0),
        (400.0, "pump_restored", "loop", "l1", "", 2.0),
    )
    log["cause"] = [-1, -1, 1, 0]
    assert [(each.begun, each.ended) for each in troubles(log)] == [(100.0, 400.0), (200.0, 300.0)]
    log["cause"] = -1  # of an end that names no beginning all are over
    assert [(each.begun, each.ended) for each in troubles(log)] == [(100.0, 300.0), (200.0, 300.0)]
