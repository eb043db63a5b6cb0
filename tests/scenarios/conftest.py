"""``told`` tells a story as it is shipped or changed, and gives what came of it; nothing is written of the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin.places import scenarios_dir
from twin.results.balance import assert_balanced
from twin.setup import stories
from twin.setup.compose import compose_run
from twin.sim.scenario import short_form
from twin.sim.simulate import Result, simulate
from twin.units import SECONDS_PER_HOUR

Timeline = list[dict[str, Any]]


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Result]:
    """``told(name, *overrides, short=True, timeline=…)``: ``timeline`` changes the list of what happens."""

    def tell(
        name: str, *overrides: str, short: bool = True, timeline: Callable[[Timeline], Timeline] | None = None
    ) -> Result:
        story = stories.read_story(scenarios_dir() / f"{name}.yaml")
        told = {key: value for key, value in (short_form(story) if short else story).items() if key != "short"}
        told.pop("source")
        if timeline is not None:
            told |= {"timeline": timeline([dict(entry) for entry in told["timeline"]]), "expectations": []}
        file = tmp_path / "told.yaml"
        file.write_text(yaml.safe_dump(told, sort_keys=False))
        parts = compose_run([f"scenario={file}", *overrides]).parts()
        result = simulate(
            parts.hall, parts.workload, parts.policy, parts.scenario,
            seed=parts.configuration.seed, until=parts.configuration.hours * SECONDS_PER_HOUR, settings=parts.settings,
        )  # fmt: skip
        assert_balanced(result.metrics)
        return result

    return tell
