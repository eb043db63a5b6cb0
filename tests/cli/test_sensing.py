"""Sensors and tolerances from the command line: chosen, changed, refused, and stated in the run's directory."""

import json

import pandas as pd
import pytest

from twin.sim.tolerances import digest_of

SHORT = ("hall=small", "hours=0.1")


def test_a_run_states_its_sensors_and_what_was_drawn(twin, tmp_path):
    ended = twin("run", *SHORT, "tolerances=default", "sensors.all.latency_seconds=5", "seed=3", "out=run")
    assert ended.code == 0, ended.err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["configuration"]["sensors"]["all"]["latency_seconds"] == 5
    assert manifest["configuration"]["tolerances"]["breaker_electronic_delay_factors"] == [0.8, 1.0]
    table = pd.read_parquet(tmp_path / "run" / "tolerances.parquet")
    assert manifest["tolerances"] == digest_of(table)
    quantities = set(table["quantity"])
    assert {"breaker_delay_factor", "gpu_power_factor", "rack_return_temperature_bias"} <= quantities
    again = twin("run", "--again", "run", "out=again")
    assert again.code == 0, again.err
    for name in ("tolerances.parquet", "timeseries.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_a_run_of_nominal_devices_and_ideal_sensors_has_drawn_nothing(twin, tmp_path):
    ended = twin("run", *SHORT, "sensors=ideal", "out=run")
    assert ended.code == 0, ended.err
    assert len(pd.read_parquet(tmp_path / "run" / "tolerances.parquet")) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sensors.rack_power.noise_fraction=-1"], ("sensors.rack_power.noise_fraction = -1", "negative number")),
        (["+sensors.rack_powr.noise_watts=1"], ("sensors.rack_powr", "Did you mean 'rack_power'?")),
        (["sensors=perfect"], ("sensors = 'perfect'", "'ideal'")),
        (["tolerances.valve_resistance_fraction=2"], ("valve_resistance_fraction = 2", "out of range")),
        (["tolerances.gpu_power_most_fraction=0.2"], ("gpu_power_mean_fraction", "0.08 of at most 0.22")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_sensors_and_bands_are_refused(twin, tmp_path, words, said):
    ended = twin("run", *SHORT, *words)
    assert ended.code == 3, ended.err
    for part in said:
        assert part in ended.err
    assert list(tmp_path.iterdir()) == []
