"""Why a verdict was wrong, by what was measured of the canary and of the world."""

from enum import StrEnum

import numpy as np

HOTTER = 0.5  # K above the median of the service's racks, from which on canaries count as hot


class Why(StrEnum):
    """Causes of errors; the sentences are what tables show."""

    SENSOR = "sensor"  # what sensors said, and not what was so, decided
    EVIDENCE = "too little evidence"  # the judge could not tell, or had no canaries
    HOT = "hot rack"  # canaries that were hotter than the fleet throttled, or rose, where the fleet does not
    COOL = "masked by a cool rack"  # racks hotter than the canaries throttle
    STRICT = "limit stricter than the harm"  # the change is real and over a limit, and the hall bears it
    UNSEEN = "harm that the canary does not show"  # it comes of the whole fleet, or of what nobody judges


def why(
    *,
    bad: bool,
    verdict: str,
    by: str,
    reason: str,
    blind: str,
    measure: str,
    margin: float,
    sensed: float,
    true: float,
    canary_celsius: float,
    fleet_celsius: float,
    canary_throttled: float,
) -> Why:
    """The cause of a wrong verdict.

    ``measure`` is the fleet's worst, ``margin`` the judge's of temperature [K], ``sensed`` and ``true`` the canaries'
    harm in it as the sensors and as the devices had it.
    """
    heat = "temperature" in reason or "throttled" in reason
    crossed = np.isfinite(sensed) and np.isfinite(true) and (sensed > margin) != (true > margin)
    if bad:
        if crossed and true > margin:
            return Why.SENSOR
        return Why.COOL if measure == "throttled_share" and canary_throttled == 0.0 else Why.UNSEEN
    if blind or (crossed and heat and sensed > margin):
        return Why.SENSOR
    if heat and canary_throttled > 0.0 and canary_celsius > fleet_celsius + HOTTER:
        return Why.HOT
    if verdict == "inconclusive" and by in ("judge", "choice", "time"):
        return Why.EVIDENCE
    return Why.STRICT
