"""The placement policy that production imports: standard library and numpy only; no clock, no randomness, no IO."""

from twin.policy.aware import ThermalAware, thermal_aware
from twin.policy.baselines import first_fit, random_healthy
from twin.policy.decisions import Decision, Placement, Reason, Refusal, Wait
from twin.policy.facility import Facility
from twin.policy.protocol import JobRequest, Policy
from twin.policy.snapshot import FacilitySnapshot, History, Quality

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
    "first_fit",
    "random_healthy",
    "thermal_aware",
]
