"""What scaling back does to work that is no service: a smaller batch draws less and goes slower."""

from twin.workload.service import AUXILIARY_SHARE, BATCH_POWER, STEP_GROWTH


def scaled(batch_size: float, auxiliary: bool) -> tuple[float, float]:
    """Share of a job's utilisation, and its speed, with a batch of ``batch_size`` [of built] and side work or none.

    ``u = (1 − γ) + γ b − a [auxiliary off]``, ``v = b/((1 − κ) + κ b) / (1 − a [auxiliary off])``: the laws of a
    replica's decode (:mod:`twin.workload.service`), whose assumptions γ, κ and a they share.
    """
    stopped = 0.0 if auxiliary else AUXILIARY_SHARE
    power = (1.0 - BATCH_POWER) + BATCH_POWER * batch_size - stopped
    speed = batch_size / ((1.0 - STEP_GROWTH) + STEP_GROWTH * batch_size) / (1.0 - stopped)
    return max(0.0, power), min(1.0, speed)
