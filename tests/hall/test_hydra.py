"""The hall files under Hydra, as ``twin run`` reads them: same halls, overridable key by key."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from twin.hall.parts import Hall
from twin.hall.reader import hall_names, load_hall, read_hall
from twin.places import conf_dir


def composed(name: str, *overrides: str) -> Hall:
    with initialize_config_dir(str(conf_dir() / "hall"), version_base=None):
        mapping = OmegaConf.to_container(compose(name, overrides=list(overrides)), resolve=True)
    return read_hall(mapping, source=name)


@pytest.mark.parametrize("name", hall_names())
def test_hydra_and_the_plain_reader_make_the_same_hall(name):
    assert composed(name) == load_hall(name)


@pytest.mark.parametrize(
    "overrides",
    [
        ["rows=6"],
        ["loop.supply_temperature_celsius=35"],
        ["loop.racks=4", "loop.oversubscription=null"],
        ["row_feed.breaker.rating_amperes=1e4", "pdu.breaker.rating_amperes=2e4", "ups.oversubscription=4"],
        ["loop.pumps=4", "loop.mode=standby", "air.recirculation=0", "facility.setpoint_celsius=30"],
    ],
    ids=" ".join,
)
def test_the_keys_that_sweeps_use_need_no_plus_sign(overrides):
    assert composed("reference", *overrides) == load_hall("reference", overrides)
    assert composed("reference", *overrides) != load_hall("reference")


def test_exceptions_and_classes_can_be_added():
    hall = composed("small", "+exceptions.A-02.valve_position=0.6", "+classes.gb200_nvl72.tray_max_watts=7000")
    assert hall.racks[1].valve_position == 0.6
    assert hall.racks[0].rack_class.tray_max_watts == 7000.0
