"""The shipped policy documents as plain mappings, as a door reads them."""

import copy
from functools import cache
from typing import Any

from twin.places import conf_dir
from twin.sim.policy_files import policy_document


def shipped() -> dict[str, Any]:
    """``conf/policy/thermal_aware.yaml`` with the documents that it draws together, to be changed at will."""
    return copy.deepcopy(_read())


@cache
def _read() -> dict[str, Any]:
    document = policy_document(conf_dir() / "policy", "thermal_aware")
    del document["audit"]  # for whoever runs the policy
    return document
