"""Halls as mappings that a test may change, and the way to read them."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from twin.hall.errors import HallError
from twin.hall.files import read_yaml
from twin.hall.parts import Hall
from twin.hall.presets import load_parts
from twin.hall.reader import read_hall
from twin.places import conf_dir

PARTS = load_parts()
SHIPPED = {name: read_yaml(conf_dir() / "hall" / f"{name}.yaml") for name in ("reference", "small", "mixed")}


def changed(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A shipped hall's mapping with dotted keys changed."""
    mapping = copy.deepcopy(SHIPPED[name])
    for key, value in changes.items():
        *path, last = key.split(".")
        place: Any = mapping
        for word in path:
            place = place.setdefault(word, {})
        place[last] = value
    return mapping


@pytest.fixture
def build() -> Callable[..., Hall]:
    """``build(name, {dotted key: value})``: a shipped hall, changed."""

    def made(name: str = "small", changes: Mapping[str, Any] | None = None) -> Hall:
        return read_hall(changed(name, changes or {}), source="my.yaml", parts=PARTS)

    return made


@pytest.fixture
def refused() -> Callable[..., list[str]]:
    """The faults, as lines, of a shipped hall with changes."""

    def lines(changes: Mapping[str, Any], name: str = "small") -> list[str]:
        with pytest.raises(HallError) as caught:
            read_hall(changed(name, changes), source="my.yaml", parts=PARTS)
        return [str(fault) for fault in caught.value.faults]

    return lines
