"""What a canary trial reads while its canaries soak."""

from types import SimpleNamespace

import numpy as np
import pytest

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
