"""What a run is: every file that it reads without passing through the configuration changes its identity."""

import shutil
from dataclasses import replace

import pytest

from twin.places import conf_dir
from twin.setup import manifest
from twin.setup.configuration import GROUPS, read_configuration
from twin.setup.identity import identity


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of the configuration that a run is told by."""
    copy = tmp_path / "conf"
    shutil.copytree(conf_dir(), copy)
    monkeypatch.setattr(manifest, "conf_dir", lambda: copy)
    monkeypatch.setattr(manifest, "code_digest", manifest.code_digest.__wrapped__)
    return copy


CONFIGURATION = read_configuration(
    {
        **{name: {} for name in GROUPS},
        "seed": 1,
        "hours": 1.0,
        "warmup_seconds": 0,
        "control_period_seconds": 10,
        "greatest_restarts": 10,
    }
)


@pytest.mark.parametrize(
    "path", ["parts/breakers.yaml", "policy/flags/default.json", "policy/score/default.yaml", "flags.json"]
)
def test_every_file_that_a_run_reads_changes_its_identity(conf, path):
    file = conf / path
    file.touch()
    policy = {**CONFIGURATION.policy, "response": {"flags": str(conf / "flags.json")}}
    configuration = replace(CONFIGURATION, policy=policy)
    before = identity(configuration)
    assert identity(configuration) == before
    file.write_bytes(file.read_bytes() + b"\n")
    assert identity(configuration) != before
