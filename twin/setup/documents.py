"""Policy documents at the door: files of flags and of ladder rules, read as plain mappings that policy checks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twin.hall.errors import Fault, Faults, HallError, did_you_mean
from twin.hall.files import read_yaml
from twin.places import conf_dir
from twin.policy.documents import DocumentError

Made = TypeVar("Made")

LARGEST = 4_000_000  # bytes of a JSON file


def document_path(name: str, group: str, suffix: str) -> Path:
    """The file that ``name`` means: itself if it is a path, else ``conf/policy/GROUP/NAME``.

    Raises :class:`~twin.hall.errors.HallError` for a name that is neither.
    """
    folder = conf_dir() / "policy" / group
    if name.endswith((".json", ".yaml", ".yml")) or "/" in name or Path(name).is_file():
        return Path(name)
    known = sorted(path.stem for path in folder.glob(f"*{suffix}"))
    if name in known:
        return folder / f"{name}{suffix}"
    raise HallError([Fault("command line", group, name, "there is none of that name", did_you_mean(name, known))])


def read_document(path: Path, make: Callable[[Any], Made]) -> Made:
    """What ``make`` makes of a JSON or YAML file. Raises :class:`~twin.hall.errors.HallError` with all faults."""
    content = _json(path) if path.suffix == ".json" else read_yaml(path)
    try:
        return make(content)
    except DocumentError as error:
        raise HallError(
            Fault(str(path), fault.key, fault.value, fault.problem, fault.remedy) for fault in error.faults
        ) from error


def _json(path: Path) -> Any:
    faults = Faults(str(path))

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                faults.add(key, value, "written twice in one place", "Keep one of them")
            found[key] = value
        return found

    def odd(word: str) -> None:
        faults.add("file", word, "not a number that JSON has", "Write a finite number")

    content: Any = None
    try:
        if path.stat().st_size > LARGEST:
            faults.add("file", path.stat().st_size, "more bytes than a file of flags has", "Give the right file")
        else:
            content = json.loads(path.read_text("utf-8"), object_pairs_hook=unique, parse_constant=odd)
    except OSError as error:
        faults.add("file", path.name, f"cannot be read ({error.strerror or error})", "Give a file that is there")
    except json.JSONDecodeError as error:
        faults.add("file", path.name, f"not JSON: {error.msg} in line {error.lineno}", "Mend that line")
    except (UnicodeDecodeError, RecursionError):
        faults.add("file", path.name, "not JSON in UTF-8, or nested without end", "Give a file in flagd's format")
    faults.stop()
    return content
