"""A study composes the configuration that ``twin run`` would."""

from twin.setup.compose import compose_run


def test_words_choose_and_set() -> None:
    found = compose_run(["hall=small", "seed=7", "policy=first_fit", "hours=0.5"])
    assert found.name == "small-default-first_fit-7"
    assert (found.configuration.seed, found.configuration.hours) == (7, 0.5)
    assert found.sources["hall"].endswith("conf/hall/small.yaml")


def test_a_story_brings_its_hall_and_the_words_win() -> None:
    found = compose_run(["scenario=pump_loss_short", "seed=3"])
    assert found.configuration.scenario["name"] == "pump_loss_short"
    assert found.configuration.seed == 3
