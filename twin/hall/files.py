"""Reading a YAML file strictly: a key that stands twice is a fault, and 1e6 is a number."""

import re
from pathlib import Path
from typing import Any

import yaml

from twin.hall.errors import Fault, Faults, HallError

_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?
         |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
         |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.X,
)


class _Loader(yaml.SafeLoader):
    """Safe loader that notes duplicate keys."""

    duplicates: list[tuple[str, int]]


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        word = str(key.value)
        if word in seen:
            loader.duplicates.append((word, key.start_mark.line + 1))
        seen.add(word)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(content: str, source: str) -> Any:
    """The plain value of a YAML text. Raises HallError, naming ``source`` and line, when it cannot be read."""
    loader = _Loader(content)
    loader.duplicates = []
    try:
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark is not None else "(file)"
        problem = getattr(error, "problem", None) or str(error)
        raise HallError([Fault(source, line, "", f"not YAML: {problem}", "Correct that line")]) from error
    finally:
        loader.dispose()
    if loader.duplicates:
        faults = Faults(source)
        for key, row in loader.duplicates:
            faults.add(f"line {row}", key, "duplicate name in one mapping", "Rename or remove one of the two")
        faults.stop()
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises HallError when it cannot be read or is not a mapping."""
    source = shown(path)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise HallError(
            [Fault(source, "(file)", str(path), f"cannot be read: {why}", "Check the path and its permissions")]
        ) from error
    value = parse_yaml(content, source)
    if not isinstance(value, dict):
        raise HallError([Fault(source, "(file)", value, "a mapping of keys is expected", "Write key: value lines")])
    return value


def shown(path: Path) -> str:
    """A path as messages show it: from the configuration folder down when it lies there."""
    parts = path.parts
    return "/".join(parts[parts.index("conf") :]) if "conf" in parts else str(path)
