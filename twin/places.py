"""Where the files that travel with the project live, in a checkout and in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_dir() -> Path:
    """Folder of the configuration groups: ``twin/conf`` of a wheel, else ``conf`` beside the package."""
    return _folder("conf")


def scenarios_dir() -> Path:
    """Folder of the scenarios: ``twin/scenarios`` of a wheel, else ``scenarios`` beside the package."""
    return _folder("scenarios")
