"""Headroom of racks from peaks, against the currents of a hall worked out another way."""

import numpy as np
import pandas as pd
import pytest

from twin.hall.loads import liquid_heat_watts, node_currents
from twin.hall.reader import load_hall
from twin.results.headroom import headroom, headroom_map, weakest


def frames(hall, watts):
    """Tables of a run in which every rack drew ``watts`` at its peak."""
    currents = node_currents(hall, {rack.name: watts for rack in hall.racks})
    racks = pd.DataFrame(
        {
            "name": [rack.name for rack in hall.racks],
            "peak_power_watts": watts,
            "throttled_gpu_seconds": 0.0,
            "dark_seconds": 0.0,
        }
    )
    kept = [node for node in hall.nodes if node.breaker is not None]
    amperes = [float(np.max(currents[node.name])) for node in kept]
    breakers = pd.DataFrame({"name": [node.name for node in kept], "current_amperes_max": amperes})
    liquid = liquid_heat_watts(hall.racks[0].rack_class) / hall.racks[0].rack_class.max_power_watts
    heat = {loop.name: len(loop.racks) * watts * liquid for loop in hall.loops}
    return racks, breakers, heat


@pytest.mark.parametrize(
    ("overrides", "binds"),
    [(["row_feed.breaker.rating_amperes=310"], "row"), (["loop.oversubscription=0.8"], "loop"), ([], "rack")],
)
def test_a_rack_that_takes_its_headroom_reaches_the_limit_that_binds(overrides, binds):
    hall = load_hall("small", overrides)
    racks, breakers, heat = frames(hall, 100e3)
    found = headroom(hall, racks, breakers, heat, 0.85)
    first = found.iloc[0]
    assert first["binds"] == binds and first["headroom_watts"] > 0.0
    taken = {rack.name: 100e3 + (first["headroom_watts"] if rack.name == first["name"] else 0.0) for rack in hall.racks}
    if binds == "row":
        current = float(np.max(node_currents(hall, taken)[first["limit"]]))
        rating = next(node.breaker.rating_amperes for node in hall.nodes if node.name == first["limit"])
        assert current == pytest.approx(0.85 * rating, rel=1e-6)
    elif binds == "rack":
        assert taken[first["name"]] == pytest.approx(hall.racks[0].rack_class.max_power_watts)
    else:
        share = liquid_heat_watts(hall.racks[0].rack_class) / hall.racks[0].rack_class.max_power_watts
        assert sum(taken.values()) * share == pytest.approx(hall.loops[0].cdu.rated_heat_watts)


def test_the_map_says_what_binds():
    hall = load_hall("small", ["row_feed.breaker.rating_amperes=310"])
    racks, breakers, heat = frames(hall, 100e3)
    found = headroom(hall, racks, breakers, heat, 0.85)
    assert weakest(found)[0].startswith("row: binds 4 racks")
    words = [text.get_text() for text in headroom_map(found, "Headroom").axes[0].texts]
    assert len(words) == 4 and all(word.endswith(" R") for word in words)
