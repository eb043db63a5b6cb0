"""Weak pumps against an independent integration of the same controller, pumps and network."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq


def _manifold(plant, speeds: np.ndarray) -> float:
    """Pressure [Pa] at which four branches take what the pumps give, by bracketing."""
    k, u, c = plant.c.loop[0], plant.u, plant.c
    a = c.rack["branch_a"] + c.rack["branch_valve"] / u.rack["valve"] ** 2
    b = plant.d.branch_b
    main = k["main"] * u.loop["main_factor"][0]

    def excess(pressure: float) -> float:
        branches = (np.sqrt(b * b + 4.0 * a * pressure) - b) / (2.0 * a)
        total = branches.sum()
        lift = pressure + main * total**2
        return total - np.sqrt(np.maximum(speeds**2 * k["head"] - lift, 0.0) / k["pump_b"]).sum()

    top = float((speeds**2).max() * k["head"])
    return float(brentq(excess, 0.0, top, xtol=1e-9 * top, rtol=1e-13)) if top > 1e-6 else 0.0


def _by_hand(plant, health: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Speeds of the pumps at ``times`` [s]: a PI controller with back calculation, a lag, and each pump's health."""
    k, cur = plant.c.loop[0], plant.cur
    target = float(plant.u.loop["pressure_set"][0])
    start = np.append(plant.x.speed[cur, 0], plant.x.pressure[cur, 0, 0])

    def rates(_: float, y: np.ndarray) -> np.ndarray:
        speeds, integral = np.maximum(y[:-1], 0.0), y[-1]
        error = target - _manifold(plant, speeds)
        raw = k["dp_gain"] * error + integral
        command = min(1.0, max(float(k["n_min"]), raw))
        return np.append((health * command - speeds) / k["ramp"], (k["dp_gain"] * error + command - raw) / k["dp_time"])

    return solve_ivp(rates, (0.0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-8, atol=1e-10).y[:-1]


@pytest.mark.parametrize("health", [(0.6, 1.0, 1.0), (0.5, 0.5, 0.5), (0.9, 0.7, 0.0)])
def test_weak_pumps_follow_their_equations(steady, health):
    times = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    expected = _by_hand(steady, np.array(health), times)
    for pump, share in enumerate(health):
        steady.set_health(0, pump, share)
    now, found = 0.0, []
    for time in times:
        steady.settle(now)
        while now < time:
            crossing = steady.flow(now, time)
            now = time if crossing is None else crossing.time
        found.append(steady.x.speed[steady.cur, 0].copy())
    np.testing.assert_allclose(np.array(found).T, expected, atol=2e-3)
