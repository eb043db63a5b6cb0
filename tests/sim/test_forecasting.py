"""Forecasts held against what came: by hand, and in a run."""

import numpy as np
import pytest

from tests.policy.documents import shipped
from tests.sim.test_aware import batch, told
from twin.policy.aware import thermal_aware
from twin.sim.forecasting import Claims, Due, Recoveries, Tally


def test_a_tally_has_bias_mean_size_and_its_ninetieth_percentile():
    tally = Tally()
    tally.add(np.array([0.1, -0.3, np.nan, np.inf]))
    tally.add(np.linspace(0.011, 0.018, 8))
    found = tally.figures()
    assert found["count"] == 10
    assert found["bias"] == pytest.approx((-0.2 + 8 * 0.0145) / 10)
    assert found["mean_absolute_error"] == pytest.approx((0.4 + 8 * 0.0145) / 10)
    assert found["absolute_error_p90"] == pytest.approx(0.1)  # nine of ten are no larger
    assert Tally().figures()["bias"] is None


def test_a_forecast_is_compared_when_its_time_is_there():
    due = Due(2)
    for now, ahead in ((0.1, 0.5), (0.2, 0.6), (0.4, 0.7), (0.9, 0.8)):
        due.look(np.array([now]), np.array([ahead]))
    assert due.tally.count == 2
    assert due.tally.sum == pytest.approx((0.5 - 0.4) + (0.6 - 0.9))


def test_a_claim_holds_if_no_limit_is_passed_until_its_time():
    claims = Claims(2)
    yes, no = np.array([True]), np.array([False])
    for exceeded, sustained in ((no, yes), (no, yes), (no, no), (yes, yes), (no, yes), (yes, yes)):
        claims.look(exceeded, sustained)
    # said at looks 0, 1, 3 and due by 5; passed at looks 3 and 5: those of 1 and 3 did not hold
    assert (claims.count, claims.held) == (3, 1)


def test_a_recovery_is_compared_with_the_look_at_which_it_was():
    recoveries = Recoveries()
    recoveries.look(0.0, np.array([500.0, np.inf]))
    recoveries.look(450.0, np.array([100.0, 900.0]))
    recoveries.look(900.0, np.array([0.0, 400.0]))  # the first is back: 500 and 550 were said
    recoveries.look(1_350.0, np.array([0.0, 0.0]))  # the second: 1350 and 1300
    found = recoveries.tally.figures("_seconds")
    assert found["count"] == 4
    assert found["bias_seconds"] == pytest.approx((-400.0 - 350.0 + 0.0 - 50.0) / 4)
    assert recoveries.said == []


def test_a_run_keeps_score_of_its_policys_forecasts_and_is_the_same_without():
    policy = thermal_aware(shipped())
    jobs = [batch(f"job-{n:02d}", 61.0 + 45.0 * n, 3, 0.3 + 0.02 * n) for n in range(24)]
    scored = told(policy, jobs, until=4 * 3_600.0, forecaster=policy.forecast)
    alone = told(policy, jobs, until=4 * 3_600.0)
    found = scored.metrics["forecast"]
    racks = len(scored.tables["racks"])
    assert found["rack"]["count"] == racks * (31 - 2)  # 31 looks before the end, two of them are not due
    assert found["sustained"]["claims"] == racks * (31 - 4) and found["sustained"]["held_ratio"] == 1.0
    assert found["rack"]["mean_absolute_error"] < 0.2
    assert "forecast" not in alone.metrics
    for name in ("jobs", "events", "racks"):
        assert scored.tables[name].equals(alone.tables[name]), name


def test_a_calm_run_is_forecast_exactly():
    """Jobs that draw what they draw from the start, through ideal sensors: nothing will change, and nothing does."""
    policy = thermal_aware(shipped())
    found = told(
        policy, [batch(f"job-{n}", 0.0, 18, work=7_200.0) for n in range(2)], forecaster=policy.forecast, until=3_600.0
    ).metrics["forecast"]
    for level in ("rack", "row", "loop"):
        assert found[level]["count"] > 0
        assert found[level]["mean_absolute_error"] < 1e-4
