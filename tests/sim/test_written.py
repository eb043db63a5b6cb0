"""Times and values as people write them."""

import pytest

from twin.sim.written import Unfit, clock_of, number, pumps, seconds_of, whole


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("09:12:04", 9 * 3600 + 12 * 60 + 4),
        ("00:00:00.5", 0.5),
        ("26:00:00", 93_600),
        ("90 s", 90),
        ("90s", 90),
        ("1.5 min", 90),
        ("2 h", 7_200),
        ("2 hours", 7_200),
        ("1 day", 86_400),
        ("45", 45),
        (45, 45),
        (0.25, 0.25),
        (0, 0),
    ],
)
def test_times(written, seconds):
    assert seconds_of(written) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("-5 s", "before the start"),
        (-5, "before the start"),
        ("3 parsecs", "unknown unit of time 'parsecs'"),
        ("3 m", "unknown unit of time 'm'"),  # metres or minutes: say which
        ("12:30", "hours and minutes, or minutes and seconds"),
        ("09:72:00", "not a time"),
        ("noon", "not a time"),
        ("", "not a time"),
        ("1.2.3 s", "not a time"),
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        (True, "not a time"),
        (None, "not a time"),
        ([1], "not a time"),
    ],
)
def test_no_times(written, problem):
    with pytest.raises(Unfit) as caught:
        seconds_of(written)
    assert caught.value.problem == problem
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00"), (33_124, "09:12:04"), (407.3, "00:06:47.3"), (59.9996, "00:01:00"), (90_000, "25:00:00")],
)
def test_clock(seconds, text):
    assert clock_of(seconds) == text


@pytest.mark.parametrize("seconds", [0.0, 0.001, 59.999, 3_600.25, 86_399.5])
def test_a_clock_reads_back(seconds):
    assert seconds_of(clock_of(seconds)) == pytest.approx(seconds, abs=1e-9)


def test_pumps_are_counted_from_one_outside_and_from_zero_inside():
    assert pumps(1) == (0,)
    assert pumps([3, 1, 3]) == (0, 2)
    assert pumps("all") is None


@pytest.mark.parametrize("written", [0, -1, 1.5, "both", [], [0], True, None])
def test_no_pumps(written):
    with pytest.raises(Unfit):
        pumps(written)


@pytest.mark.parametrize("written", ["0.5", True, None, float("nan"), 1.01, -0.01])
def test_no_numbers_within_bounds(written):
    with pytest.raises(Unfit):
        number(0.0, 1.0)(written)


def test_bounds_are_within():
    assert number(0.0, 1.0)(0) == 0.0
    assert number(0.0, 1.0)(1) == 1.0
    assert whole(1)(1) == 1
    for written in (0, 1.0, True):
        with pytest.raises(Unfit):
            whole(1)(written)
