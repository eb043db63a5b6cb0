"""The balance of a run: what went in came out, was lost by name, or is stored."""

import math
from collections.abc import Mapping
from typing import Any

TOLERANCE = 1e-6

#: every run has these relative residuals; others may stand beside them and are held to the same bound
REQUIRED = ("power", "heat", "flow", "jobs", "power_window", "heat_window")


def residuals(result: Any) -> dict[str, float]:
    """The balance of a metrics mapping, or of an object with a ``metrics`` mapping. Raises ValueError without one."""
    metrics = result if isinstance(result, Mapping) else getattr(result, "metrics", None)
    if not isinstance(metrics, Mapping) or not isinstance(metrics.get("balance"), Mapping):
        raise ValueError("no balance: give the metrics of a run, or a result that has them")
    return {key: math.nan if value is None else float(value) for key, value in metrics["balance"].items()}


def assert_balanced(result: Any, tolerance: float = TOLERANCE) -> None:
    """Raise AssertionError naming every residual that is missing, not a number, or beyond ``tolerance`` in size."""
    found = residuals(result)
    faults = [f"{key}: missing" for key in REQUIRED if key not in found]
    faults += [f"{key}: {value:g}" for key, value in found.items() if not abs(value) <= tolerance]
    if faults:
        raise AssertionError(f"out of balance (bound {tolerance:g}): " + "; ".join(faults))
