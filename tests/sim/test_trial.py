"""What a canary trial reads while its canaries soak."""

from types import SimpleNamespace

import numpy as np
import pytest

from twin.policy.facility import Facility
from twin.policy.headroom import Permitted
from twin.policy.projection import Standing
from twin.policy.snapshot import History, Quality
from twin.policy.spending import Spent
from twin.policy.trial import JudgeState, Outcome, Window
from twin.sim.canary_trial import LINGERS_SECONDS, Trial


@pytest.fixture
def trial():
    """A trial with nothing but its looks; racks have been up since 1,000 s."""
    deployment = SimpleNamespace(world=SimpleNamespace(topology=SimpleNamespace(rack_names=("a", "b", "c"))))
    made = Trial(deployment, SimpleNamespace(design=None, looks=2), SimpleNamespace(), 1, 3_600.0)
    made._up_since = 1_000.0
    return made


def test_a_look_takes_all_windows_since_the_start_has_faded(trial):
    """Windows of 600 s: the first begins with the start-up, the one of 1,900 s reaches into the last one."""
    nan = np.nan
    for begin, values in ((1_000.0, [9.0, 9.0, 9.0]), (1_600.0, [1.0, nan, nan]), (2_200.0, [2.0, nan, 2.0])):
        trial._since.append((Window(begin, begin + 600.0), {"power": np.array(values)}))
    last = {"power": np.array([6.0, 3.0, 4.0])}
    window, found = trial._all_since(Window(2_800.0, 3_400.0), last)
    assert window == Window(1_600.0, 3_400.0)
    # of the second rack one window of three is known, which is too little; of the third two are
    assert found["power"][[0, 2]].tolist() == [3.0, 3.0] and np.isnan(found["power"][1])
    window, found = trial._all_since(Window(2_700.0, 3_300.0), last)
    assert window == Window(1_600.0, 3_300.0)
    assert found["power"].tolist() == [3.5, 3.0, 4.0]
    assert LINGERS_SECONDS < 600.0


def test_a_short_soak_has_its_last_window_alone(trial):
    trial._since.append((Window(1_000.0, 1_120.0), {"power": np.full(3, 9.0)}))
    last = {"power": np.ones(3)}
    assert trial._all_since(Window(1_180.0, 1_300.0), last) == (Window(1_180.0, 1_300.0), last)


@pytest.mark.parametrize(
    ("outcome", "looks", "over"), [(Outcome.PASS, 1, False), (Outcome.PASS, 2, True), (Outcome.FAIL, 1, True)]
)
def test_only_an_early_pass_may_be_looked_at_again(trial, outcome, looks, over):
    spent = Spent((0.5,), 0.001)
    trial.state, trial._looks = JudgeState(alpha=spent, beta=spent, decided=outcome), looks
    trial.verdict = SimpleNamespace(outcome=outcome)
    assert trial.over
    trial.look_again()
    assert trial.over is over
    assert (trial.state.alpha, trial.state.beta) == (spent, spent)  # what was spent is spent


@pytest.mark.parametrize(("count", "spared"), [(3, True), (4, False)])
def test_racks_beside_a_canary_are_no_controls_where_enough_others_are(trial, count, spared):
    """A row of seven with its canary third: the second and fourth stand beside it, and one more may not be asked."""
    places = np.arange(7)
    neighbours = np.column_stack([places - 1, np.where(places < 6, places + 1, -1)])
    has = neighbours >= 0
    beside = (has, np.maximum(neighbours, 0), has.sum(axis=1))
    names = tuple("abcdefg")
    trial.world = SimpleNamespace(
        rack_index={name: place for place, name in enumerate(names)}, facility=SimpleNamespace(beside=beside)
    )
    trial.chosen = SimpleNamespace(racks=("c",))
    eligible = np.array([True, True, True, True, True, True, False])
    left = [name for name, may in zip(names, trial._apart(eligible, count), strict=True) if may]
    assert left == (["a", "c", "e", "f"] if spared else ["a", "b", "c", "d", "e", "f"])


# ---------------------------------------------------------------- full rollout


LIMIT, RATING, PER_WATT = 85.0, 100.0, 0.01  # A, A, A/W
NOW, WINDOW = 3_600.0, 600.0
TIMES = np.arange(NOW - 900.0, NOW, 10.0)  # of readings: 60 of them in the window


def projected(amperes, quality=0, had_seconds=WINDOW, amount=1_000.0):
    """What a trial projects of two racks on one line, of which the first has had a release for a while.

    amperes: of the line at :data:`TIMES` [A]; quality likewise. amount: what the release adds to each rack [W].
    """
    line, codes = np.broadcast_to(amperes, TIMES.shape), np.broadcast_to(np.int8(quality), TIMES.shape)
    power = np.full((len(TIMES), 2), 1_000.0)
    every = {
        "phase_current_amperes": History(TIMES, line[:, None], codes[:, None]),
        "breaker_current_amperes": History(TIMES, np.zeros((len(TIMES), 1)), np.zeros((len(TIMES), 1), dtype=np.int8)),
        "rack_power_watts": History(TIMES, power, np.zeros(power.shape, dtype=np.int8)),
    }
    two, none = np.zeros((2, 1), dtype=np.int64), np.full((2, 2), -1)
    facility = Facility(
        ("row A/L1",), np.array([RATING]), np.array([-1]), np.array([0]), two, two, np.full((2, 1), PER_WATT),
        none, np.zeros(2), np.ones(2), np.zeros(0),
    )  # fmt: skip
    snapshot = SimpleNamespace(
        facility=facility, rack_names=("a", "b"), loop_names=(), rack_loop=np.full(2, -1),
        breaker_closed=np.ones(1, dtype=bool), rack_max_power_watts=np.full(2, 1e6), histories=every,
        qualities={name: past.quality[-1] for name, past in every.items()},
        **{name: past.values[-1] for name, past in every.items()},
    )  # fmt: skip
    deployment = SimpleNamespace(
        world=SimpleNamespace(
            env=SimpleNamespace(now=NOW), rack_index={"a": 0, "b": 1}, topology=SimpleNamespace(rack_names=("a", "b"))
        ),
        service=None, on={0: 7}, up_since={0: NOW - had_seconds}, weights=lambda: np.full(2, 4.0),
    )  # fmt: skip
    settings = SimpleNamespace(design=None, looks=1, permitted=Permitted(LIMIT / RATING), window_seconds=WINDOW)
    made = Trial(deployment, settings, SimpleNamespace(), 1, 600.0)
    made.chosen, made._looks = SimpleNamespace(racks=("a",)), 1
    power_metric = SimpleNamespace(name="power", worse=1.0)
    made.verdict = SimpleNamespace(metrics=[SimpleNamespace(metric=power_metric, change=amount, upper=amount)])
    return made.project(snapshot, [0, 1])


@pytest.mark.parametrize(("mean", "moment"), [(80.0, 70.0), (70.0, 80.0)])
def test_full_rollout_is_projected_from_the_mean_and_not_from_the_moment(mean, moment):
    """The other rack adds 10 A: 80 A comes over 85 A and 70 A does not, whatever the last reading says."""
    line = np.full(len(TIMES), (60 * mean - moment) / 59)
    line[-1] = moment
    found = projected(line)
    assert found.standing is (Standing.FAIL if mean > moment else Standing.FITS)
    if found.against:
        (over,) = found.against
        assert over.present == pytest.approx(80.0) and over.value == pytest.approx(90.0)


@pytest.mark.parametrize("bad", [31, 60])
def test_a_load_with_too_few_readings_holds(bad):
    """Of 60 readings in the window fewer than half are good; at 45 A none of this would be over any limit."""
    quality = np.zeros(len(TIMES), dtype=np.int8)
    quality[-60 : len(TIMES) - 60 + bad] = Quality.MISSING
    (unknown,) = projected(45.0, quality).against
    assert (unknown.standing, unknown.name) == (Standing.HOLD, "row A/L1") and np.isnan(unknown.value)
    assert projected(45.0).standing is Standing.FITS


def test_a_load_whose_latest_reading_is_none_holds():
    quality = np.zeros(len(TIMES), dtype=np.int8)
    quality[-1] = Quality.STALE
    assert projected(45.0, quality).standing is Standing.HOLD


def test_what_came_within_the_window_is_in_the_mean_by_the_part_of_it_that_it_was_there():
    """Half of the window had the first rack's 1 kW: 5 A of its 10 A are still to come, beside the other's 10 A."""
    (over,) = projected(75.0, had_seconds=WINDOW / 2).against
    assert over.value == pytest.approx(75.0 + 5.0 + 10.0)
    assert projected(75.0).standing is Standing.FITS
