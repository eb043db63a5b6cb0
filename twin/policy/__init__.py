"""The placement policy that production imports: standard library and numpy only; no clock, no randomness, no IO.

Names are loaded from their modules when they are first asked for: a pipeline that takes one policy need not wait for
all of the package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin.policy.aware import ThermalAware, thermal_aware
    from twin.policy.baselines import first_fit, random_healthy
    from twin.policy.check import check_policy
    from twin.policy.decisions import Decision, Placement, Reason, Refusal, Wait
    from twin.policy.facility import Facility
    from twin.policy.protocol import JobRequest, Policy
    from twin.policy.snapshot import FacilitySnapshot, History, Quality

_MODULES = {
    "aware": ("ThermalAware", "thermal_aware"),
    "baselines": ("first_fit", "random_healthy"),
    "check": ("check_policy",),
    "decisions": ("Decision", "Placement", "Reason", "Refusal", "Wait"),
    "facility": ("Facility",),
    "protocol": ("JobRequest", "Policy"),
    "snapshot": ("FacilitySnapshot", "History", "Quality"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Decision",
    "Facility",
    "FacilitySnapshot",
    "History",
    "JobRequest",
    "Placement",
    "Policy",
    "Quality",
    "Reason",
    "Refusal",
    "ThermalAware",
    "Wait",
    "check_policy",
    "first_fit",
    "random_healthy",
    "thermal_aware",
]


def __getattr__(name: str) -> Any:
    """A public name, from the module that has it."""
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
