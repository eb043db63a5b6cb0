"""A change per rack, projected to full rollout: sums by hand, and nothing unknown is taken to fit."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.policy import Design, Metric, Outcome, Window, Windows, judge_canary, project
from twin.policy.projection import Change, Level, Standing, members, shares, shown
from twin.policy.trial import Readings

ROW = np.array([0, 0, 0, 1, 1, 1])
LOOP = np.array([0, 1, 0, 1, 0, -1])
ALL = np.ones(6, dtype=bool)
CANARY = np.array([1, 0, 0, 0, 0, 0], dtype=bool)
ROWS = Level("row", "W", ("A", "B"), np.array([300e3, 330e3]), np.array([340e3, 340e3]), members(ROW, 2), "watts")
BREAKERS = Level(
    "breaker",
    "A",
    ("A feed A", "B feed A", "PDU 1"),
    np.array([240.0, 250.0, 500.0]),
    np.array([260.0, 300.0, 600.0]),
    np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]]) * 1e-3,
    "watts",
)
RETURNS = Level(
    "loop return",
    "°C",
    ("loop 01", "loop 02"),
    np.array([54.0, 50.0]),
    np.array([55.0, 55.0]),
    shares(LOOP, 2, np.array([30.0, 20.0, 30.0, 60.0, 60.0, 99.0])),
    "kelvin",
    least=-273.15,
)


def test_membership_sums_over_the_racks_of_a_group():
    assert members(LOOP, 2).tolist() == [[1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 0]]
    assert shares(LOOP, 2).tolist() == [[1 / 3, 0, 1 / 3, 0, 1 / 3, 0], [0, 0.5, 0, 0.5, 0, 0]]
    assert RETURNS.gain.tolist() == [[0.25, 0, 0.25, 0, 0.5, 0], [0, 0.25, 0, 0.75, 0, 0]]


def test_a_change_that_no_rack_notices_overloads_a_row():
    """5 kW a rack: row A, of which one rack has it already, goes to 310 kW and fits; row B to 345 kW and does not."""
    found = project([ROWS], {"watts": Change(5e3, 5.2e3)}, ALL, CANARY)
    assert found.standing is Standing.FAIL
    (over,) = found.against
    assert (over.kind, over.name, over.standing) == ("row", "B", Standing.FAIL)
    assert (over.present, over.value, over.upper, over.limit) == pytest.approx((330e3, 345e3, 345.6e3, 340e3))
    assert str(over) == "row B: 345000 W at full rollout (up to 345600), limit 340000, now 330000"


def test_breakers_go_by_amperes_per_watt_and_all_that_exceed_are_named_the_worst_first():
    """20 kW a rack: 240 + 40 = 280 A over 260, 250 + 60 = 310 over 300, and the PDU just bears 500 + 100."""
    found = project([BREAKERS], {"watts": Change(20e3, 20e3)}, ALL, CANARY)
    assert [(t.name, pytest.approx(t.value)) for t in found.against] == [("A feed A", 280.0), ("B feed A", 310.0)]


def test_a_loop_warms_by_the_mean_over_its_flow():
    """2 K a rack, in half of loop 01 by flow: 54 + 2 · 0.5 = 55 °C fits; in all of it 56 °C does not."""
    half = np.array([1, 0, 1, 0, 0, 0], dtype=bool)
    assert project([RETURNS], {"kelvin": Change(2.0, 2.0)}, half, ~ALL).standing is Standing.FITS
    (over,) = project([RETURNS], {"kelvin": Change(2.0, 2.0)}, ALL, ~ALL).against
    assert (over.name, over.value) == ("loop 01", pytest.approx(56.0))


def test_only_the_upper_bound_over_a_limit_is_a_hold():
    found = project([ROWS], {"watts": Change(3e3, 4e3)}, ALL, CANARY)
    assert found.standing is Standing.HOLD
    assert [(t.name, t.value, t.upper) for t in found.against] == [("B", 339e3, 342e3)]
    assert project([ROWS], {"watts": Change(3e3, 3.3e3)}, ALL, CANARY) == project([], {}, ALL, CANARY)


def test_a_release_that_saves_is_not_to_blame_for_what_is_over_already():
    crowded = replace(ROWS, present=np.array([300e3, 350e3]))
    (over,) = project([crowded], {"watts": Change(-1e3, -500.0)}, ALL, CANARY).against
    assert (over.name, over.standing) == ("B", Standing.HOLD)
    assert project([crowded], {"watts": Change(-5e3, -4e3)}, ALL, CANARY).standing is Standing.FITS


def test_a_rack_that_has_it_already_is_not_counted_twice():
    assert project([ROWS], {"watts": Change(1e6, 1e6)}, ALL, ALL).standing is Standing.FITS
    assert project([ROWS], {"watts": Change(1e6, 1e6)}, ~ALL, CANARY).standing is Standing.FITS


@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("field", ["present", "limit"])
def test_a_load_or_limit_that_is_not_known_holds(field, unknown):
    bad = replace(ROWS, **{field: np.array([unknown, 330e3 if field == "present" else 340e3])})
    found = project([bad], {"watts": Change(0.0, 0.0)}, ALL, CANARY)
    assert found.standing is Standing.HOLD
    assert [t.name for t in found.against] == ["A"]


def test_a_limit_of_nothing_is_not_one_that_is_kept():
    idle = replace(ROWS, present=np.zeros(2), limit=np.array([0.0, 340e3]))
    found = project([idle], {"watts": Change(0.0, 0.0)}, ALL, CANARY)
    assert (found.standing, [t.name for t in found.against]) == (Standing.HOLD, ["A"])


def test_a_change_that_is_not_known_or_not_bounded_holds():
    calm = {"watts": Change(0.0, 0.0)}
    assert project([ROWS], {}, ALL, CANARY).standing is Standing.HOLD
    for change in (Change(math.nan, 0.0), Change(0.0, math.nan), Change(0.0, math.inf)):
        assert project([ROWS], {"watts": change}, ALL, CANARY).standing is Standing.HOLD
    assert project([ROWS, RETURNS], calm, ALL, CANARY).standing is Standing.HOLD
    leak = replace(ROWS, gain=np.where(ROWS.gain > 0.0, np.nan, 0.0))
    assert project([leak], calm, ALL, CANARY).standing is Standing.HOLD
    assert project([ROWS], {"watts": Change(9e3, math.inf)}, ALL, CANARY).standing is Standing.FAIL


@given(st.floats(-1e4, 2e4), st.floats(0.0, 1e4), st.floats(0.0, 1e4), st.permutations(range(6)))
def test_more_change_never_stands_better_and_order_does_not_matter(estimate, spread, more, order):
    rank = {Standing.FITS: 0, Standing.HOLD: 1, Standing.FAIL: 2}
    levels = [ROWS, BREAKERS]
    one = project(levels, {"watts": Change(estimate, estimate + spread)}, ALL, CANARY)
    worse = project(levels, {"watts": Change(estimate + more, estimate + more + spread)}, ALL, CANARY)
    assert rank[worse.standing] >= rank[one.standing]
    assert {t.name for t in one.against} <= {t.name for t in worse.against}
    moved = [replace(level, gain=level.gain[:, order]) for level in levels]
    other = project(moved, {"watts": Change(estimate, estimate + spread)}, ALL, CANARY[order])
    assert {(t.name, t.standing) for t in other.against} == {(t.name, t.standing) for t in one.against}


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="row: 2 names, 1 loads"):
        replace(ROWS, present=np.zeros(1))
    with pytest.raises(ValueError, match="gains of 6 racks, target of 5"):
        project([ROWS], {"watts": Change(0.0, 0.0)}, ALL[:5], CANARY[:5])


def test_a_verdict_shows_the_changes_that_are_projected():
    """Canaries take 6 kW more and return 2 K warmer than their controls; row B cannot bear that."""
    racks = 27
    on = np.where(np.arange(racks) < 3, 1.0, 0.0)
    design = Design((Metric("watts", "W", 10e3), Metric("kelvin", "K", 5.0), Metric("speed", "1/s", 0.1, worse=-1)))
    zero = {metric.name: np.zeros(racks) for metric in design.metrics}
    after = {"watts": 6e3 * on, "kelvin": 2.0 * on, "speed": -0.01 * on}
    windows = Windows(Window(0.0, 1.0), Window(1.0, 2.0), Window(2.0, 3.0))
    readings = Readings(tuple(f"B-{k:02d}" for k in range(racks)), on > 0.0, zero, after, windows)
    verdict, _ = judge_canary(design, "r", readings, 1.0)
    assert verdict.outcome is Outcome.PASS  # per rack there is no harm above the margin
    changes = shown(verdict)
    assert changes["watts"].estimate == pytest.approx(6e3)
    assert changes["watts"].upper >= changes["watts"].estimate
    assert changes["speed"].estimate == pytest.approx(-0.01)
    assert changes["speed"].upper <= changes["speed"].estimate
    found = project([ROWS, RETURNS], changes, ALL, ~ALL)
    assert [(t.kind, t.name, t.standing) for t in found.against] == [
        ("row", "B", Standing.FAIL),
        ("loop return", "loop 01", Standing.FAIL),
    ]
