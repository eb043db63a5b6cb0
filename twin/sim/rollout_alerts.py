"""What people are told when a rack with a release throttles: what its coolant did before, where, and during what."""

from twin.policy.rise import rise_of
from twin.policy.snapshot import FacilitySnapshot

SUPPLY = "rack_supply_temperature_celsius"
MINUTE = 60.0


def throttle_sentence(snapshot: FacilitySnapshot, rack: int, role: str, release: str) -> str:
    """One line, such as *canary throttled after a 4-minute coolant rise on rack B-17 during rollout 2026.04.14.12*.

    The rise is that of the coolant at the rack's inlet in its sensed history; where there is none that counts, or none
    can be seen, the line says so.
    """
    past, name = snapshot.histories.get(SUPPLY), snapshot.rack_names[rack]
    where = f"on rack {name} during rollout {release}"
    if past is None or not len(past.time_seconds):
        return f"{role} throttled, coolant not known, {where}"
    rise = rise_of(past.time_seconds, past.values[:, rack], past.quality[:, rack])
    if rise is None:
        return f"{role} throttled at steady coolant {where}"
    return f"{role} throttled after a {_length(rise.seconds)} coolant rise {where}"


def _length(seconds: float) -> str:
    """``4-minute``; ``50-second`` below a minute and a half."""
    if seconds < 1.5 * MINUTE:
        return f"{max(1, round(seconds))}-second"
    return f"{round(seconds / MINUTE)}-minute"
