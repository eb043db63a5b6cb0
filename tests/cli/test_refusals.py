"""What the command line refuses: exit code 3, the key, the value and a remedy, before anything is written."""

from dataclasses import replace

import pytest

from twin.setup.configuration import ConfigurationError, read_configuration
from twin.setup.settings import settings_of
from twin.sim.world import Settings

PLAIN = {
    "hall": {},
    "workload": {},
    "policy": {},
    "scenario": {},
    "seed": 1,
    "hours": 1,
    "warmup_seconds": 0,
    "control_period_seconds": 10,
    "greatest_restarts": 3,
}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hall=smal"], ("hall = 'smal'", "Did you mean 'small'?")),
        (["scenario=pump_los"], ("scenario = 'pump_los'", "Did you mean 'pump_loss'?")),
        (["policy=warmest"], ("policy = 'warmest'", "'first_fit'")),
        (["policy.name=first"], ("policy.name = 'first'", "Did you mean 'first_fit'?")),
        (["polcy=first_fit"], ("polcy = 'first_fit'", "Did you mean 'policy'?")),
        (["hours=0"], ("hours = 0", "not above 0")),
        (["hours=soon"], ("hours = 'soon'", "not a number")),
        (["seed=-1"], ("seed = -1", "seed=1")),
        (["seed=[1"], ("'seed=[1'", "KEY=VALUE")),
        (["warmup_seconds=90000"], ("warmup_seconds = 90000", "as long as the run")),
        (["hall.racks_per_row=-4"], ("racks_per_row", "-4")),
        (["workload.load=1.5"], ("load = 1.5", "at most 1")),
        (["workload.lod=0.5"], ("workload.lod = '0.5'", "Did you mean 'load'?")),
        (["plant.boot_seconds=-1"], ("plant.boot_seconds = -1", "from power to service")),
        (["plant.capping=maybe"], ("plant.capping = 'maybe'", "plant.capping=true")),
        (["+plant.boot_second=1"], ("plant.boot_second = 1", "Did you mean 'boot_seconds'?")),
        (["record.interval_seconds=0"], ("record.interval_seconds = 0", "above 0")),
        (["weather.path=none.csv"], ("none.csv", "cannot be read")),
        (["scenario=none.yaml"], ("none.yaml", "cannot be read")),
        (["--fast"], ("--fast", "no such option")),
        (["--config-dir", "nowhere"], ("nowhere", "config.yaml", "twin init")),
        (["--again", "nowhere"], ("nowhere",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_refused_in_a_sentence(twin, tmp_path, words, said):
    start = [] if any(word.startswith(("hall=", "--again")) for word in words) else ["hall=small"]
    ended = twin("run", *start, *words)
    assert ended.code == 3, ended.err
    for part in said:
        assert part in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_all_parts_are_refused_together(twin):
    ended = twin("run", "hall=small", "plant.boot_seconds=-1", "policy.name=x", "workload.load=2", "weather.path=x")
    assert ended.code == 3
    assert "refused: 4 faults" in ended.err


def test_a_folder_with_other_things_is_left_alone(twin, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", "utf-8")
    ended = twin("run", "hall=small", "hours=0.05", "out=mine")
    assert ended.code == 3
    assert "thesis.txt" in ended.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_commands_that_are_none(twin):
    for words, said in ((["rum"], "did you mean 'twin run'?"), (["hall=small"], "twin run hall=small")):
        ended = twin(*words)
        assert ended.code == 3
        assert said in ended.err
    assert twin("hall", "burn", "small").code == 3
    assert twin("report", "nowhere").code == 3
    assert twin("scenarios", "pump_los").code == 3


def test_settings_reach_the_engine():
    plant = {"capping": True, "reclose_seconds": 60, "boot_seconds": 0, "service_period_seconds": 5}
    settings = settings_of(read_configuration({**PLAIN, "plant": plant, "record": {"interval_seconds": 30}}), {})
    wanted = Settings(
        capping=True,
        reclose_seconds=60.0,
        boot_seconds=0.0,
        service_period_seconds=5.0,
        record_interval_seconds=30.0,
        greatest_restarts=3,
    )
    assert settings == wanted
    assert settings_of(read_configuration(PLAIN), {}) == replace(Settings(), greatest_restarts=3)


def test_services_are_advanced_by_whole_seconds():
    with pytest.raises(ConfigurationError, match=r"service_period_seconds = 2.5: not whole seconds"):
        settings_of(read_configuration({**PLAIN, "plant": {"service_period_seconds": 2.5}}), {})
