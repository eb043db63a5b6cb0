"""Sizing a counterflow heat exchanger from the point at which its maker rates it."""

import math


def conductance_at_rating(
    heat_watts: float, approach_kelvin: float, secondary_capacity: float, facility_capacity: float
) -> float | None:
    """UA [W/K] with which ``heat_watts`` [W] pass at ``approach_kelvin`` [K], secondary outlet above facility inlet.

    ``secondary_capacity`` and ``facility_capacity`` are ρ·cp·Q [W/K]. With the hot inlet at ``approach + q/C₁`` above
    the cold inlet, ``ε = q/(Cmin·ΔT)`` and, in counterflow, ``NTU = ln((1 − ε Cr)/(1 − ε))/(1 − Cr)``
    (Kays & London, Compact Heat Exchangers). None when no exchanger of any size can do it (ε ≥ 1).
    """
    least, most = sorted((secondary_capacity, facility_capacity))
    effectiveness = heat_watts / (least * (approach_kelvin + heat_watts / secondary_capacity))
    if effectiveness >= 1.0:
        return None
    ratio = least / most
    if math.isclose(ratio, 1.0, abs_tol=1e-9):
        return least * effectiveness / (1.0 - effectiveness)
    return least * math.log((1.0 - effectiveness * ratio) / (1.0 - effectiveness)) / (1.0 - ratio)
