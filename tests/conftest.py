"""What holds for all tests: a property takes the time it takes, and kernels are compiled once, before workers start."""

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    workers = getattr(config.option, "numprocesses", None)  # one process compiles what it needs when it needs it
    if workers and not config.option.collectonly:
        from twin.plant.warm import ensure_compiled  # with all of the plant

        ensure_compiled()
