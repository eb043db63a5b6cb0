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
    from twin.policy.judge import judge_canary, window_means
    from twin.policy.matching import match
    from twin.policy.projection import project
    from twin.policy.protocol import JobRequest, Policy
    from twin.policy.rollout import decide_rollout
    from twin.policy.snapshot import FacilitySnapshot, History, Quality
    from twin.policy.trial import Design, JudgeState, Metric, Outcome, Readings, Verdict, Window, Windows

_MODULES = {
    "aware": ("ThermalAware", "thermal_aware"),
    "baselines": ("first_fit", "random_healthy"),
    "check": ("check_policy",),
    "decisions": ("Decision", "Placement", "Reason", "Refusal", "Wait"),
    "facility": ("Facility",),
    "judge": ("judge_canary", "window_means"),
    "matching": ("match",),
    "projection": ("project",),
    "protocol": ("JobRequest", "Policy"),
    "rollout": ("decide_rollout",),
    "snapshot": ("FacilitySnapshot", "History", "Quality"),
    "trial": ("Design", "JudgeState", "Metric", "Outcome", "Readings", "Verdict", "Window", "Windows"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Decision",
    "Design",
    "Facility",
    "FacilitySnapshot",
    "History",
    "JobRequest",
    "JudgeState",
    "Metric",
    "Outcome",
    "Placement",
    "Policy",
    "Quality",
    "Readings",
    "Reason",
    "Refusal",
    "ThermalAware",
    "Verdict",
    "Wait",
    "Window",
    "Windows",
    "check_policy",
    "decide_rollout",
    "first_fit",
    "judge_canary",
    "match",
    "project",
    "random_healthy",
    "thermal_aware",
    "window_means",
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
