"""The gallery, executed: every notebook runs from top to bottom, prints what is committed and draws its figures.

Not among the tests that run by default: each notebook needs a Python of its own, and the extra ``notebooks``.
"""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
BOOKS = sorted(HERE.glob("*.ipynb"))
LARGEST = 300_000  # bytes


def printed(cell) -> str:
    """What a cell printed; the order in which pieces of it came does not count."""
    return "".join(each["text"] for each in cell.get("outputs", []) if each["output_type"] == "stream")


def drawn(cell) -> int:
    """Figures of a cell."""
    return sum("image/png" in each.get("data", {}) for each in cell.get("outputs", []))


def test_there_are_five_and_the_page_lists_them():
    page = (HERE / "README.md").read_text("utf-8")
    assert len(BOOKS) == 5
    assert all(f"({path.name})" in page for path in BOOKS)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_is_committed(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures go into the notebook
    committed = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    NotebookClient(fresh, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    assert path.stat().st_size < LARGEST
    assert [printed(cell) for cell in fresh.cells] == [printed(cell) for cell in committed.cells]
    assert [drawn(cell) for cell in fresh.cells] == [drawn(cell) for cell in committed.cells]
    assert sum(map(drawn, committed.cells)) > 0
