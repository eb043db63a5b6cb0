"""A study composes the configuration that ``twin run`` would."""

import shutil

import pytest

from twin.places import conf_dir, scenarios_dir
from twin.setup.compose import compose_run
from twin.setup.configuration import ConfigurationError
from twin.sim.scenario import ScenarioError


def test_words_choose_and_set() -> None:
    found = compose_run(["hall=small", "seed=7", "policy=first_fit", "hours=0.5"])
    assert found.name == "small-default-first_fit-7"
    assert (found.configuration.seed, found.configuration.hours) == (7, 0.5)
    assert found.sources["hall"].endswith("conf/hall/small.yaml")


def test_a_story_brings_its_hall_and_the_words_win() -> None:
    found = compose_run(["scenario=pump_loss_short", "seed=3"])
    assert found.configuration.scenario["name"] == "pump_loss_short"
    assert found.configuration.seed == 3


def test_stories_that_nobody_names_are_not_read(tmp_path) -> None:
    shutil.copy(scenarios_dir() / "pump_loss.yaml", tmp_path)
    (tmp_path / "broken.yaml").write_text("purpose: [")
    assert compose_run(["hall=small"], scenarios=tmp_path).configuration.scenario["name"] == "none"
    assert compose_run(["scenario=pump_loss"], scenarios=tmp_path).configuration.scenario["name"] == "pump_loss"
    with pytest.raises(ScenarioError, match="is no YAML"):
        compose_run(["scenario=broken"], scenarios=tmp_path)


def test_a_story_may_be_chosen_in_a_copied_configuration(tmp_path) -> None:
    copy = shutil.copytree(conf_dir(), tmp_path / "conf")
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("scenario: none", "scenario: pump_loss_short"))
    assert compose_run(["hall=small"], configuration=copy).configuration.scenario["name"] == "pump_loss_short"


def test_a_story_that_another_group_chooses_is_refused_and_not_left_out(tmp_path) -> None:
    copy = shutil.copytree(conf_dir(), tmp_path / "conf")
    (copy / "experiment").mkdir()
    experiment = "# @package _global_\ndefaults:\n  - override /scenario: pump_loss\n  - _self_\n"
    (copy / "experiment" / "mine.yaml").write_text(experiment)
    with pytest.raises(ConfigurationError, match="scenario=pump_loss"):
        compose_run(["+experiment=mine"], configuration=copy)
    words = ["+experiment=mine", "scenario=pump_loss"]
    assert compose_run(words, configuration=copy).configuration.scenario["name"] == "pump_loss"
