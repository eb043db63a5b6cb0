"""The placement policy that production imports: standard library and numpy only; no clock, no randomness, no IO."""

from twin.policy.baselines import first_fit, random_healthy
from twin.policy.decisions import Decision, Placement, Reason, Refusal, Wait
from twin.policy.judge import judge_canary, window_means
from twin.policy.matching import match
from twin.policy.projection import project
from twin.policy.protocol import JobRequest, Policy
from twin.policy.rollout import decide_rollout
from twin.policy.snapshot import FacilitySnapshot, History, Quality
from twin.policy.trial import Design, JudgeState, Metric, Outcome, Readings, Verdict, Window, Windows

__all__ = [
    "Decision",
    "Design",
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
    "Verdict",
    "Wait",
    "Window",
    "Windows",
    "decide_rollout",
    "first_fit",
    "judge_canary",
    "match",
    "project",
    "random_healthy",
    "window_means",
]
