"""The shipped policy documents as plain mappings, as a door would read them."""

from typing import Any

import yaml

from twin.places import conf_dir


def shipped() -> dict[str, Any]:
    """``conf/policy/thermal_aware.yaml`` with the documents that it draws together."""
    folder = conf_dir() / "policy"
    parameters = yaml.safe_load((folder / "thermal_aware.yaml").read_text(encoding="utf-8"))
    del parameters["defaults"]
    for part in ("admission", "score"):
        parameters[part] = yaml.safe_load((folder / part / "default.yaml").read_text(encoding="utf-8"))
    return dict(parameters)
