"""Shipped configurations as plain mappings, and where the real traces would be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shipped() -> Callable[..., dict[str, Any]]:
    """``shipped(name, *overrides)``: a fresh plain mapping of ``conf/workload/<name>.yaml`` with Hydra overrides."""

    def read(name: str, *overrides: str) -> dict[str, Any]:
        with initialize_config_dir(str(ROOT / "conf" / "workload"), version_base=None):
            configuration = compose(name, overrides=list(overrides))
        mapping = OmegaConf.to_container(configuration, resolve=True)
        assert isinstance(mapping, dict)
        return mapping

    return read
