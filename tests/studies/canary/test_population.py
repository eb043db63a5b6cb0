"""The population: strata filled evenly, sizes near the margin, and the same builds whatever the count."""

from collections import Counter

import numpy as np
import pytest

from twin.hall.errors import HallError
from twin.hall.files import read_yaml
from twin.studies.canary.population import NEAR, build_of
from twin.studies.canary.settings import read_settings, shipped
from twin.studies.canary.study import candidates_of


@pytest.fixture(scope="module")
def study():
    return read_settings(shipped(), {})


@pytest.mark.parametrize("seed", range(5))
def test_default_population(study, seed):
    builds = candidates_of(read_settings(shipped(), {"seed": seed}))
    strata = Counter(each.stratum for each in builds)
    assert len(builds) == 200 and len(strata) == 9 and max(strata.values()) - min(strata.values()) <= 1
    sizes = np.array([each.size for each in builds])
    assert np.mean((sizes >= NEAR[0]) & (sizes <= NEAR[1])) >= 0.3
    assert study.reach[0] <= sizes.min() < 0.0 < 1.5 < sizes.max() <= study.reach[1]
    assert len(np.unique(sizes)) == 200  # continuous
    assert {each.kind for each in builds} == set(study.effects)
    assert {each.world for each in builds} == set(range(study.worlds))


def test_a_larger_population_begins_with_the_smaller_one(study):
    few = candidates_of(read_settings(shipped(), {"builds": 30}))
    assert few == candidates_of(study)[:30]
    assert [each.build for each in few] == [each.build for each in candidates_of(study)[:30]]
    assert few != candidates_of(read_settings(shipped(), {"builds": 30, "seed": 1}))


def test_a_size_of_one_is_the_effect_at_the_margin():
    assert build_of("b", "power", 0.1).power == pytest.approx(1.1)
    assert build_of("b", "concurrency", 0.2).concurrency == pytest.approx(0.8)  # less is worse
    assert build_of("b", "error_rate", 0.005).error_rate == 0.005
    assert build_of("b", "error_rate", -0.005).error_rate == 0.0  # it cannot better what does not fail
    with_sides = build_of("b", "power", 0.1, {"power": 0.5, "latency": 0.01})
    assert (with_sides.power, with_sides.latency) == (pytest.approx(1.1), pytest.approx(1.01))


def test_settings_are_refused_with_all_that_is_wrong(tmp_path):
    wrong = {**read_yaml(shipped()), "margins": {"trips": 0.0}, "near": 2, "mood": "good"}
    path = tmp_path / "study.yaml"
    path.write_text(repr(wrong))
    with pytest.raises(HallError) as refused:
        read_settings(path, {"builds": 0, "strategies": ["stres"]})
    said = "\n".join(map(str, refused.value.faults))
    for part in ("mood", "builds", "strategies", "stress", "near", "margins.trips"):
        assert part in said
