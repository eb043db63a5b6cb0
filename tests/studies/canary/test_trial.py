"""What one canary is measured by, worked by hand on a world of five racks that is made of numbers alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from twin.policy.projection import Standing
from twin.policy.rollout import Action, Rule
from twin.policy.trial import Outcome, Window, Windows
from twin.results.kinds import EventKind
from twin.sim.log import EventLog
from twin.studies.canary.trial import _tried, verdict_of

RACKS = ("A-01", "A-02", "A-03", "A-04", "A-05")
WINDOWS = Windows(Window(50.0, 100.0), Window(100.0, 160.0), Window(200.0, 260.0))
#: what devices are at [°C]: before the canaries are chosen, in the window before, and in the window after
TRUTH = [
    (50.0, [70.0, 71.0, 72.0, 73.0, 80.0]), (60.0, [72.0, 73.0, 74.0, 75.0, 82.0]),
    (100.0, [70.0, 70.0, 70.0, 70.0, 70.0]), (150.0, [72.0, 72.0, 72.0, 72.0, 72.0]),
    (160.0, [99.0] * 5),  # after the window before has ended
    (200.0, [76.0, 75.0, 72.0, 71.0, 73.0]), (250.0, [76.0, 77.0, 72.0, 73.0, 73.0]),
]  # fmt: skip


def rollout(**changes):
    """Canaries A-02 and A-01, given the release at 170 s; the judge passed them, and the soak goes on."""
    evidence = SimpleNamespace(metric=SimpleNamespace(name="temperature"), estimate=3.5)
    verdict = SimpleNamespace(
        metrics=(evidence,), canaries=("A-01", "A-02"), controls=("A-03", "A-04", "A-05"), windows=WINDOWS,
        excluded=(("A-04", "temperature after is nan"),), lines=lambda: ["no harm is shown", "more"],
    )  # fmt: skip
    trial = SimpleNamespace(
        over=True, verdict=verdict, outcome=Outcome.PASS, canaries=("A-02", "A-01"), controls=("A-03", "A-04", "A-05"),
        selection=Window(50.0, 100.0), before={"temperature": np.full(5, 71.0)},
    )  # fmt: skip
    service = SimpleNamespace(
        answered=np.array([[900.0] * 5, [1.0, 2.0, 4.0, 8.0, 16.0], [10.0, 20.0, 40.0, 80.0, 160.0]])
    )
    deployment = SimpleNamespace(service=service, throttled_on=lambda racks: 100.0 * sum(racks))
    soaking = SimpleNamespace(action=Action.HOLD, grounds=(SimpleNamespace(rule=Rule.SOAK),))
    made = SimpleNamespace(
        step=soaking, trial=trial, ended=None, projection=SimpleNamespace(standing=Standing.FITS), reason="it soaks",
        deployment=deployment, canary_seconds=170.0, targets=[0, 1, 2, 3],
    )  # fmt: skip
    for name, value in changes.items():
        place, _, key = name.rpartition("__")
        setattr(getattr(made, place) if place else made, key, value)
    return made


def step(action, *rules):
    return SimpleNamespace(action=action, grounds=tuple(SimpleNamespace(rule=rule) for rule in rules))


@pytest.mark.parametrize(
    ("changes", "verdict", "by"),
    [
        ({}, "pass", "judge"),
        ({"trial__over": False}, None, None),
        ({"step": None}, None, None),
        ({"trial__verdict": None}, None, None),
        ({"trial__outcome": Outcome.INCONCLUSIVE}, "inconclusive", "judge"),
        ({"projection": None}, "inconclusive", "projection"),
        ({"projection": SimpleNamespace(standing=Standing.HOLD)}, "inconclusive", "projection"),
        ({"step": step(Action.HOLD, Rule.SOAK, Rule.NOT_RUNNING)}, "pass", "judge"),
        ({"step": step(Action.HOLD, Rule.SOAK, Rule.OVER_HOLD)}, "inconclusive", "signal"),
        ({"ended": 300.0, "step": step(Action.ROLL_BACK, Rule.JUDGED_HARMFUL)}, "fail", "judge"),
        ({"ended": 300.0, "step": step(Action.ROLL_BACK, Rule.OVER_ROLL_BACK)}, "fail", "signal"),
        ({"ended": 300.0, "step": step(Action.ROLL_BACK, Rule.OVER_ROLL_BACK, Rule.JUDGED_HARMFUL)}, "fail", "signal"),
        ({"ended": 300.0, "step": step(Action.ROLL_BACK)}, "fail", "projection"),
        ({"ended": 300.0, "trial__over": False, "step": step(Action.ROLL_BACK)}, "fail", "projection"),
    ],
)
def test_what_rollout_control_says_is_the_verdict(changes, verdict, by):
    found = verdict_of(rollout(**changes))
    assert (verdict, by) == (None, None) if found is None else (found[0], found[2]) == (verdict, by)


def tried(**changes):
    log = EventLog()
    for time in (60.0, 170.0, 200.0):
        log.add(time, EventKind.BREAKER_TRIP, "row", "row A/feed A")
    # readings from 200 s to 260 s: two of each rack, those of the canaries above all others; then one too late
    values = np.array([[76.0, 75.0, 72.0, 71.0, 73.0], [76.5, 77.0, 72.2, 73.4, 73.6], [60.0] * 5])
    past = SimpleNamespace(time_seconds=np.array([200.0, 250.0, 260.0]), values=values)
    world = SimpleNamespace(
        rollouts=[rollout(**changes)], rack_index={name: place for place, name in enumerate(RACKS)}, log=log,
        env=SimpleNamespace(now=290.0),
        snapshot=lambda: SimpleNamespace(histories={"rack_device_temperature_celsius": past}),
    )  # fmt: skip
    return _tried(world, {"truth": [(time, np.array(row)) for time, row in TRUTH]})


def test_a_canary_is_measured_by_hand():
    found = tried()
    assert (found.verdict, found.reason, found.by, found.seconds) == ("pass", "no harm is shown", "judge", 120.0)
    assert (found.canaries, found.controls, found.blind) == (("A-02", "A-01"), 3, "A-04: temperature after is nan")
    # of what the canaries answered, and nobody else
    assert (found.failed, found.late, found.throttled_gpu_seconds) == (3.0, 30.0, 100.0)
    assert found.trips == 2.0  # not the one before the release
    assert found.temperature_harm == 3.5
    # from 71 to 76 on both canaries; on the others to 72, 72 and 73
    assert found.temperature_true == pytest.approx(5.0 - (1.0 + 1.0 + 2.0) / 3.0)
    # five looks from the window that chose to the release: means of 76.6, 77, 77.4 and 77.8 of the targets
    assert found.canary_celsius == pytest.approx(76.8)
    assert (found.fleet_celsius, found.hottest_celsius) == pytest.approx((77.2, 77.8))


def test_p_by_racks_and_by_samples():
    """Two canaries of five racks rose most: one of ten ways to choose them; and all four of their ten readings did: one
    of 210."""
    found = tried()
    assert found.rack_p == pytest.approx(1 / 10)
    assert found.sample_p == pytest.approx(1 / 210)


def test_a_canary_that_never_began_has_no_figures():
    found = tried(canary_seconds=None, step=None, trial__verdict=None, trial__canaries=(), trial__selection=None)
    assert (found.verdict, found.reason, found.by) == ("inconclusive", "it soaks", "choice")
    assert (found.failed, found.late, found.trips) == (0.0, 0.0, 0.0)
    figures = (found.seconds, found.temperature_harm, found.temperature_true, found.canary_celsius, found.rack_p)
    assert np.isnan(figures).all() and np.isnan(found.sample_p)
    assert tried(step=None).by == "time"  # it began, and nothing was said before the end
