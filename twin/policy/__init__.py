"""The placement policy that production imports: standard library and numpy only; no clock, no randomness, no IO."""

from twin.policy.baselines import first_fit, random_healthy
from twin.policy.business import BusinessState, step_business
from twin.policy.causes import Author, Role, Trigger
from twin.policy.decisions import Decision, Placement, Reason, Refusal, Wait
from twin.policy.degradation import Degradation
from twin.policy.documents import DocumentError
from twin.policy.enact import settle_flags
from twin.policy.evaluation import Resolution, degradation_in, evaluate
from twin.policy.flag_debt import lint_flags
from twin.policy.flag_files import flags_from_mapping
from twin.policy.flags import Change, ChangeRefused, Flags, FlagState, clear_flag, expire_flags, renew_flag, set_flag
from twin.policy.ladder import LadderState, wishes
from twin.policy.ladder_rules import LadderRules, rules_from_mapping
from twin.policy.playbook import Action, Do, containment
from twin.policy.protocol import JobRequest, Policy
from twin.policy.scope import Level, Scope
from twin.policy.sensed import Readings, readings_of
from twin.policy.snapshot import FacilitySnapshot, History, Quality

__all__ = [
    "Action",
    "Author",
    "BusinessState",
    "Change",
    "ChangeRefused",
    "Decision",
    "Degradation",
    "Do",
    "DocumentError",
    "FacilitySnapshot",
    "FlagState",
    "Flags",
    "History",
    "JobRequest",
    "LadderRules",
    "LadderState",
    "Level",
    "Placement",
    "Policy",
    "Quality",
    "Readings",
    "Reason",
    "Refusal",
    "Resolution",
    "Role",
    "Scope",
    "Trigger",
    "Wait",
    "clear_flag",
    "containment",
    "degradation_in",
    "evaluate",
    "expire_flags",
    "first_fit",
    "flags_from_mapping",
    "lint_flags",
    "random_healthy",
    "readings_of",
    "renew_flag",
    "rules_from_mapping",
    "set_flag",
    "settle_flags",
    "step_business",
    "wishes",
]
