"""Holds a project's score formulas in its own tests: marker ``score_formula``, fixture ``score_judgement``.

Installed with the package, so it loads with every pytest; what a judgement needs loads when one is asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from twin.studies.regress.judgement import Judgement

MARKER = "score_formula"
TAKES = ("baseline", "incidents", "fast", "settings", "cache", "workers")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(candidate, *, {', '.join(f'{name}=…' for name in TAKES)}): the formula that score_judgement judges; "
        "see twin/docs/regress.md",
    )


@pytest.fixture
def score_judgement(request: pytest.FixtureRequest) -> "Judgement":
    """The judgement of the formula that the test's marker names, by recorded decisions unless it says ``fast=False``.

    Paths are relative to pytest's root folder. What is refused is an error of the test, with every fault.
    """
    marker = request.node.get_closest_marker(MARKER)
    if marker is None or len(marker.args) != 1 or set(marker.kwargs) - set(TAKES):
        raise pytest.UsageError(
            f"{request.node.nodeid}: score_judgement needs @pytest.mark.{MARKER}(candidate) on the test, with no other "
            f"words than {', '.join(TAKES)}"
        )
    from twin.setup.refusals import REFUSALS, sentences

    try:
        return _judged(str(marker.args[0]), request.config.rootpath, marker.kwargs)
    except REFUSALS as error:
        pytest.fail("\n".join(["the formula cannot be judged", *sentences(error)]), pytrace=False)


def _judged(candidate: str, root: Path, given: dict[str, Any]) -> "Judgement":
    from twin.studies.regress.formulas import BASELINE, load
    from twin.studies.regress.judgement import judge
    from twin.studies.regress.settings import read_settings
    from twin.studies.regress.stories import kept_folder
    from twin.studies.work import on_cores

    def placed(spec: str) -> str:
        """A file from the root folder; the baseline and code as they are."""
        return str(root / spec) if spec.endswith((".yaml", ".yml")) else spec

    settings = given.get("settings")
    return judge(
        (load(placed(str(given.get("baseline", BASELINE))), "baseline"), load(placed(candidate), "candidate")),
        read_settings(None if settings is None else root / settings),
        kept=kept_folder() if given.get("cache") is None else root / given["cache"],
        incidents=[root / folder for folder in given.get("incidents", ())],
        mapped=on_cores(int(given.get("workers", 1))),
        fast=bool(given.get("fast", True)),
    )
