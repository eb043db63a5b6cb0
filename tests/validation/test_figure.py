"""The figure of a loss of pumps beside a loss of facility water."""

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.validation.cooling_loss import HALL, loss_of_cooling
from twin.validation.figure import draw


@pytest.fixture(scope="module")
def losses():
    return tuple(loss_of_cooling(1.0, facility_side=side, after=300.0) for side in (False, True))


def test_the_two_losses_tell_their_story(losses):
    pumps, water = losses
    for loss in losses:
        before = loss.time < 0.0
        assert loss.supply[before] == pytest.approx(40.0, abs=0.01)
        assert (loss.device[before] < 87.0).all()
    assert pumps.slowed < pumps.last_off < 60.0
    assert water.slowed < 60.0 < 120.0 < water.first_off
    assert np.abs(pumps.supply - 40.0).max() < 1.0  # coolant that stands still does not warm the supply
    assert water.supply[water.time == 60.0] > 60.0


def test_the_figure_marks_limits_and_firsts_in_words(losses):
    figure = draw(losses, load_hall("small", HALL).racks[0].rack_class)
    device, supply = figure.axes
    words = " ".join(text.get_text() for axes in (device, supply) for text in axes.texts)
    for part in ("slowdown 87 °C", "hardware slowdown 89 °C", "shutdown 95 °C", "first slowdown: 4.6 s"):
        assert part in words
    assert f"shutdown: {losses[0].first_off:.0f} s" in words
    assert supply.get_xscale() == "log"
    assert supply.get_xlim() == (1.0, 600.0)
