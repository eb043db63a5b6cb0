"""The placement policy that production imports: standard library and numpy only; no clock, no randomness, no IO.

Names are loaded from their modules when they are first asked for: a pipeline that takes one policy need not wait for
all of the package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin.policy.aware import ThermalAware, thermal_aware
    from twin.policy.baselines import first_fit, random_healthy
    from twin.policy.business import BusinessState, step_business
    from twin.policy.canary import CanaryRule, Strategy, candidates_of, choose_canaries
    from twin.policy.causes import Author, Role, Trigger
    from twin.policy.check import check_policy
    from twin.policy.decisions import Decision, Placement, Reason, Refusal, Wait
    from twin.policy.degradation import Degradation
    from twin.policy.documents import DocumentError
    from twin.policy.enact import settle_flags
    from twin.policy.evaluation import Resolution, degradation_in, evaluate
    from twin.policy.facility import Facility
    from twin.policy.flag_debt import lint_flags
    from twin.policy.flag_files import flags_from_mapping
    from twin.policy.flags import (
        Change,
        ChangeRefused,
        Flags,
        FlagState,
        clear_flag,
        expire_flags,
        renew_flag,
        set_flag,
    )
    from twin.policy.judge import judge_canary, window_means
    from twin.policy.ladder import LadderState, acknowledge, wishes
    from twin.policy.ladder_rules import LadderRules, rules_from_mapping
    from twin.policy.matching import match
    from twin.policy.playbook import Action, Do, containment
    from twin.policy.projection import project
    from twin.policy.protocol import JobRequest, Policy
    from twin.policy.rollout import decide_rollout
    from twin.policy.scope import Level, Scope
    from twin.policy.sensed import Sensed, readings_of
    from twin.policy.snapshot import FacilitySnapshot, History, Quality
    from twin.policy.static import best_fit, cap_all, refuse_all, static_thresholds
    from twin.policy.trial import Design, JudgeState, Metric, Outcome, Readings, Verdict, Window, Windows

_MODULES = {
    "aware": ("ThermalAware", "thermal_aware"),
    "baselines": ("first_fit", "random_healthy"),
    "business": ("BusinessState", "step_business"),
    "canary": ("CanaryRule", "Strategy", "candidates_of", "choose_canaries"),
    "causes": ("Author", "Role", "Trigger"),
    "check": ("check_policy",),
    "decisions": ("Decision", "Placement", "Reason", "Refusal", "Wait"),
    "degradation": ("Degradation",),
    "documents": ("DocumentError",),
    "enact": ("settle_flags",),
    "evaluation": ("Resolution", "degradation_in", "evaluate"),
    "facility": ("Facility",),
    "flag_debt": ("lint_flags",),
    "flag_files": ("flags_from_mapping",),
    "flags": ("Change", "ChangeRefused", "FlagState", "Flags", "clear_flag", "expire_flags", "renew_flag", "set_flag"),
    "judge": ("judge_canary", "window_means"),
    "ladder": ("LadderState", "acknowledge", "wishes"),
    "ladder_rules": ("LadderRules", "rules_from_mapping"),
    "matching": ("match",),
    "playbook": ("Action", "Do", "containment"),
    "projection": ("project",),
    "protocol": ("JobRequest", "Policy"),
    "rollout": ("decide_rollout",),
    "scope": ("Level", "Scope"),
    "sensed": ("Sensed", "readings_of"),
    "snapshot": ("FacilitySnapshot", "History", "Quality"),
    "static": ("best_fit", "cap_all", "refuse_all", "static_thresholds"),
    "trial": ("Design", "JudgeState", "Metric", "Outcome", "Readings", "Verdict", "Window", "Windows"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Action",
    "Author",
    "BusinessState",
    "CanaryRule",
    "Change",
    "ChangeRefused",
    "Decision",
    "Degradation",
    "Design",
    "Do",
    "DocumentError",
    "Facility",
    "FacilitySnapshot",
    "FlagState",
    "Flags",
    "History",
    "JobRequest",
    "JudgeState",
    "LadderRules",
    "LadderState",
    "Level",
    "Metric",
    "Outcome",
    "Placement",
    "Policy",
    "Quality",
    "Readings",
    "Reason",
    "Refusal",
    "Resolution",
    "Role",
    "Scope",
    "Sensed",
    "Strategy",
    "ThermalAware",
    "Trigger",
    "Verdict",
    "Wait",
    "Window",
    "Windows",
    "acknowledge",
    "best_fit",
    "candidates_of",
    "cap_all",
    "check_policy",
    "choose_canaries",
    "clear_flag",
    "containment",
    "decide_rollout",
    "degradation_in",
    "evaluate",
    "expire_flags",
    "first_fit",
    "flags_from_mapping",
    "judge_canary",
    "lint_flags",
    "match",
    "project",
    "random_healthy",
    "readings_of",
    "refuse_all",
    "renew_flag",
    "rules_from_mapping",
    "set_flag",
    "settle_flags",
    "static_thresholds",
    "step_business",
    "thermal_aware",
    "window_means",
    "wishes",
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
