"""Breaking physics and policy on purpose: every mutation of the table makes a quick test fail.

Each runs in a copy of the project with a compile cache of its own, since a cached kernel does not know that a function
which it took in has changed. Ask for them with ``-m long``; the table at the end says which test caught which mutation.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mutation.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("twin", "tests", "conf", "scenarios")
UNCOMPILED = re.compile("TypingError|LoweringError|SyntaxError|NameError|ImportError")
BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}


def copied(place: Path) -> Path:
    """The project's sources and tests, without anything compiled."""
    for folder in COPIED:
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def mutated(text: str, mutation: Mutation) -> str:
    """The file with the mutation in it; its pattern must match once."""
    found = len(re.findall(mutation.old, text))
    assert found == 1, (
        f"{mutation.name}: the pattern matches {found} times in twin/{mutation.file}; bring it up to date"
    )
    return re.sub(mutation.old, mutation.new, text)


def run(place: Path, tests: tuple[str, ...], *words: str) -> tuple[int, list[str], str]:
    """Exit code of pytest, the tests that failed, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-n", "0", "-p", "no:cacheprovider", *words, *tests],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place), "NUMBA_CACHE_DIR": str(place / "compiled")},
        capture_output=True,
        text=True,
        timeout=1800.0,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return done.returncode, failed, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a mutation every test of the table passes."""
    place = copied(tmp_path_factory.mktemp("sound"))
    code, failed, said = run(place, tuple(dict.fromkeys(test for mutation in MUTATIONS for test in mutation.tests)))
    assert code == 0, (failed, said)


@pytest.fixture(scope="module")
def runs(
    sound: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future]]:
    """Every mutation that was selected, under way on all processors."""
    picked = [item for item in request.session.items if item.name.startswith("test_a_mutation_is_caught[")]
    names = [item.callspec.params["name"] for item in picked]  # type: ignore[attr-defined]

    def tried(name: str) -> tuple[int, list[str], str]:
        mutation = BY_NAME[name]
        place = copied(tmp_path_factory.mktemp("mutated"))
        file = place / "twin" / mutation.file
        file.write_text(mutated(file.read_text(), mutation))
        outcome = run(place, mutation.tests, "-x")
        shutil.rmtree(place)
        return outcome

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(tried, name) for name in names}


def test_there_are_enough_of_them_and_each_matches_once():
    assert len(MUTATIONS) >= 10 and len(BY_NAME) == len(MUTATIONS)
    for mutation in MUTATIONS:
        text = (ROOT / "twin" / mutation.file).read_text()
        assert mutated(text, mutation) != text


@pytest.mark.long
@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutation_is_caught(name, runs, record_property):
    code, failed, said = runs[name].result()
    assert code == 1, f"{name} survives:\n{said[-3000:]}"
    assert failed
    assert not UNCOMPILED.search(said), f"{name} is no mutation, it does not compile:\n{said[-3000:]}"
    record_property("caught by", failed[0].removeprefix("tests/"))
