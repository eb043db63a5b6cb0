"""Named presets of racks, CDUs and breakers (``conf/parts``), and how a section lays its own figures over one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twin.hall.errors import Faults
from twin.hall.fields import join
from twin.hall.files import read_yaml
from twin.places import conf_dir

#: the files of ``conf/parts``, each a mapping of preset name to figures
PART_FILES: Final = ("racks", "cdus", "breakers")


def load_parts(folder: Path | None = None) -> dict[str, Mapping[str, Any]]:
    """Presets by kind ("racks", "cdus", "breakers") and name, as they stand in the files, in door units.

    ``folder`` is by default ``conf/parts`` of the project. Raises :class:`~twin.hall.errors.HallError` for a file that
    is missing or is not a mapping of mappings.
    """
    where = conf_dir() / "parts" if folder is None else folder
    return {kind: read_yaml(where / f"{kind}.yaml") for kind in PART_FILES}


def merged(
    mapping: Mapping[str, Any], presets: Mapping[str, Any], path: str, faults: Faults, kind: str
) -> dict[str, Any] | None:
    """The preset that ``mapping`` names with the mapping's own keys laid over it; None when there is no such preset."""
    own = {key: value for key, value in mapping.items() if key != "preset"}
    name = mapping.get("preset")
    if name is None:
        return own
    if not isinstance(name, str) or name not in presets:
        faults.unknown(join(path, "preset"), name, kind, presets)
        return None
    return {**presets[name], **own}
