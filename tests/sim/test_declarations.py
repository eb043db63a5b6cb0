"""What is declared within some time: by hand on a day of 24 hours, against every tray by itself, and in the twin."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.documents import shipped
from twin.policy import JobRequest, Placement, Reason
from twin.policy.aware import thermal_aware
from twin.sim.declarations import HORIZONS, Declarations, below_by_horizon
from twin.sim.scheduler import declared_seconds
from twin.workload.jobs import JobKind

HOUR = 3_600.0
DAY = 24 * HOUR
NOON = tuple(1.0 if hour == 12 else 0.2 for hour in range(24))  # a service that is busy from 12 to 13


def rowed(seconds):
    return HORIZONS.tolist().index(seconds)


@pytest.mark.parametrize(("hour", "hours", "below"), [
    (9, 0.5, 0.8),   # until half past nine, or from five to ten on until 10:25
    (9, 1.0, 0.8),
    (9, 2.0, 0.8),   # from 9:59 on until 11:59
    (9, 4.0, 0.0),
    (10, 2.0, 0.0),  # from 10:59 on until 12:59
    (11, 0.5, 0.0),
    (12, 0.5, 0.0),
    (13, 16.0, 0.8), # until 5 or 6 on the next day
    (20, 16.0, 0.0), # into the noon of the next day
    (13, 24.0, 0.0),
])  # fmt: skip
def test_what_a_horizon_reaches_counts_by_hand(hour, hours, below):
    assert below_by_horizon(NOON)[hour, rowed(hours * HOUR)] == pytest.approx(below)


def hall_of_two():
    """Racks of three and two trays: 1 kW idle, 4 kW more at work, when they are warm; a tenth is lost, and fans take
    500 W."""
    return Declarations(
        np.array([0, 3, 5]),
        np.full(5, 1_000.0),
        np.full(5, 3_900.0),
        np.full(5, 100.0),
        np.full(2, 1.1),
        np.full(2, 500.0),
    )


def test_racks_add_up_by_hand_and_only_what_changed_is_added_again():
    told = hall_of_two()
    ever, ahead = told.watts(9 * HOUR)
    assert ever.tolist() == [3_800.0, 2_700.0] and (ahead == ever).all()
    told.declare(np.array([0, 3]), 0.5)  # a gang over both racks
    told.declare(np.array([1]), 1.0, NOON)
    ever, ahead = told.watts(9 * HOUR)
    assert ever.tolist() == [3_800.0 + 1.1 * 6_000.0, 2_700.0 + 1.1 * 2_000.0]
    spared = 1.1 * 0.8 * 4_000.0
    assert ahead[:, 0].tolist() == [10_400.0 - spared] * 3 + [10_400.0] * 5  # from 4 hours on noon is in it
    assert ahead[:, 1].tolist() == [4_900.0] * 8
    again = told.watts(9.9 * HOUR)
    assert again[0] is ever and again[1] is ahead and not ahead.flags.writeable
    assert told.watts(13 * HOUR)[1][:, 0].tolist() == [10_400.0 - spared] * 7 + [10_400.0]
    assert told.watts(DAY + 9 * HOUR)[1].tolist() == ahead.tolist()  # and so every day
    told.declare(np.array([4]), 0.99)  # 1000 + 0.99 × 4000 W are more than its nameplate has
    assert told.watts(9 * HOUR)[0][1] == 4_900.0 + 1.1 * 3_900.0
    told.declare(np.array([0, 1, 3, 4]), 0.0)
    assert told.watts(9 * HOUR)[1].tolist() == [[3_800.0, 2_700.0]] * 8


days = st.sampled_from([(), NOON, (0.3,), (0.1, 0.9, 0.4)])
words = st.tuples(st.sets(st.integers(0, 4), min_size=1), st.floats(0.0, 1.0), days)


@settings(max_examples=50, deadline=None)
@given(st.lists(words, max_size=8), st.floats(0.0, 3 * DAY), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_sums_are_those_of_every_tray_by_itself(said, now, looked):
    told = hall_of_two()
    trays = {tray: (0.0, ()) for tray in range(5)}
    for (which, utilisation, day), look in zip(said, looked, strict=False):
        most = max((utilisation, *day))
        told.declare(np.array(sorted(which)), most, day)
        trays |= dict.fromkeys(which, (most, day))
        if look:
            told.watts(now / 2.0)
    ever, ahead = told.watts(now)
    for place, horizon in enumerate(HORIZONS.tolist()):
        drawn = []
        for most, day in trays.values():
            parts, length = len(day), DAY / max(len(day), 1)
            first = math.floor(now / length)
            reached = [day[k % parts] for k in range(first, first + math.ceil(horizon / length) + 1)] if day else [most]
            drawn.append(
                1_000.0 + (4_000.0 * (most - max(day) + max(reached)) if day else min(4_000.0 * most, 3_900.0))
            )
        by_rack = [1.1 * sum(drawn[:3]) + 500.0, 1.1 * sum(drawn[3:]) + 500.0]
        assert ahead[place] == pytest.approx(by_rack, abs=0.501)
    assert ahead[-1].tolist() == ever.tolist()
    assert (np.diff(ahead, axis=0) >= 0.0).all()


# ---------------------------------------------------------------- in the twin


def fitted(snapshot, left_watts):
    """A policy that permits so much [W] above what was declared at most, on whatever feeds all racks."""
    facility = snapshot.facility
    amperes = facility.limit_amperes(snapshot.phase_current_amperes, snapshot.breaker_current_amperes)
    to_come = np.maximum(snapshot.rack_declared_power_watts - snapshot.rack_power_watts, 0.0)
    amperes += facility.added_amperes(facility.usual_amperes_per_watt, to_come)
    amperes += left_watts * facility.usual_amperes_per_watt.max()
    above = np.bincount(facility.entry_limits, minlength=len(amperes))
    used = (amperes / facility.limit_rating_amperes)[above == len(snapshot.rack_names)].max()
    document = shipped()
    document["permitted"]["limit_utilisation"] = float(used)
    document["admission"]["rules"] = []
    document["least_confidence"] = 0.0  # a hall without histories
    return thermal_aware(document)


def test_before_a_services_hour_short_work_is_let_in_and_long_work_waits(bench, a_job):
    """Replicas on half of the hall that are idle but from 12 to 13: at 9 what they will draw by noon is not there for
    8 hours, nor for ever, and is there for one. The breaker bears the noon and two kilowatts beside it."""
    stage = bench()
    replicas = [
        replace(a_job(f"chat-{n}", 1, math.inf, utilisation=0.2, kind=JobKind.INFERENCE), declared_by_day=NOON)
        for n in range(36)
    ]
    stage.submit(*replicas)
    stage.run(120.0)
    seen = stage.world.snapshot()
    assert seen.rack_declared_ahead_watts[-1].tolist() == seen.rack_declared_power_watts.tolist()
    policy = fitted(seen, 2_000.0)
    asked = JobRequest("new", "batch", 4, False, 0, float(seen.facility.rack_tray_idle_watts[0]) + 4_000.0)

    def decided(hours, snapshot=seen):
        return policy(snapshot, replace(asked, declared_seconds=hours * HOUR), None)[0]

    early = seen  # at 0:02, noon is ten hours ahead
    assert isinstance(decided(1.0, early), Placement) and isinstance(decided(8.0, early), Placement)
    for hours in (12.0, 100.0, 0.0, math.inf):
        refused = decided(hours, early)
        assert refused.reason in (Reason.WAIT_TRANSIENT_ONLY, Reason.WAIT_FOR_RULE), hours
    ever, ahead = stage.world.declared.watts(9 * HOUR)
    later = replace(seen, serial=2, rack_declared_power_watts=ever, rack_declared_ahead_watts=ahead)
    assert isinstance(decided(1.0, later), Placement)
    assert not isinstance(decided(8.0, later), Placement) and not isinstance(decided(0.0, later), Placement)


def test_work_that_has_had_its_time_is_endless_and_goes_on_counting(bench, a_job):
    stage = bench()
    over = replace(a_job("over", 18, 5_000.0, estimate=1_000.0, utilisation=0.8), elapsed_seconds=1_500.0)
    within = replace(a_job("within", 18, 5_000.0, estimate=2_000.0), elapsed_seconds=500.0)
    later = a_job("later", 18, 900.0, estimate=100.0, submit=50.0, utilisation=0.6)
    ever = a_job("ever", 1, math.inf, submit=1.0, kind=JobKind.INFERENCE)
    runs = stage.submit(over, within, later, ever)
    assert [declared_seconds(run) for run in runs] == [0.0, 1_500.0, 100.0, 0.0]
    seen = []
    stage.at(70.0, lambda: seen.append(stage.world.declared.watts(70.0)[1].copy()))
    stage.at(500.0, lambda: seen.append(stage.world.declared.watts(500.0)[1].copy()))  # 400 s past its word
    stage.run(600.0)
    assert np.array_equal(*seen)
    assert runs[1].starts == 1 and declared_seconds(runs[1]) == 2_000.0  # started again it would take all of it


def test_warm_trays_draw_no_more_than_was_declared_of_them(bench, a_job):
    """Their leakage is in it: without, racks at work would draw more than the declarations that headroom counts."""
    stage = bench()
    stage.submit(
        *(a_job(f"train-{n}", 18, 5_000.0, utilisation=share) for n, share in enumerate((0.5, 0.7, 0.8, 0.88)))
    )
    stage.run(1_800.0)
    seen = stage.world.snapshot()
    assert (seen.rack_power_watts <= seen.rack_declared_power_watts).all()
    assert (seen.rack_power_watts >= 0.985 * seen.rack_declared_power_watts).all()
    leakage = stage.world.tray_warm_watts.reshape(4, 18).sum(axis=1) * np.array([0.5, 0.7, 0.8, 0.88])
    assert (seen.rack_power_watts > seen.rack_declared_power_watts - leakage).all()  # it is needed
