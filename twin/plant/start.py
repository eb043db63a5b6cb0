"""A run starts from equilibrium: the steady state of its initial load."""

import math

import numpy as np

from twin.plant.breakers import TABLE
from twin.plant.integrate import NONE, advance
from twin.plant.plant import Plant
from twin.plant.pumps import solve_flows

STEADY = 1e-7  # K/s, asked of every temperature between two stretches of the search
LONGEST = 400  # stretches


def equilibrate(plant: Plant) -> float:
    """Carry the plant to |dT/dt| < 1e-6 K/s under its inputs without time passing; returns the rate found [K/s].

    Guards are not watched: a device past its level is reported when the run begins. Breakers are put at their drive r².
    Where more heat comes in than is carried away there is no steady state: the search ends as soon as a device is past
    its shutdown, and the rate found tells.
    """
    plant.settle(plant.time)
    shutdown = plant.c.rack["t_off"][plant.topology.tray_rack]
    rate = np.inf
    for _ in range(LONGEST):
        span = 300.0
        before = [plant.x.td[plant.cur].copy(), plant.x.loop[plant.cur].copy(), plant.x.zone[plant.cur].copy()]
        advance(
            plant.c, plant.u, plant.x, plant.d, plant.w, plant._unit, plant._aux_unit, plant.cur, span, NONE,
            plant._totals, math.nan,
        )  # fmt: skip
        plant.cur = 1 - plant.cur
        plant.w.rack_power[0] = plant.w.rack_power[1]
        after = [plant.x.td[plant.cur], plant.x.loop[plant.cur], plant.x.zone[plant.cur]]
        rate = max(float(np.abs(b - a).max(initial=0.0)) for a, b in zip(before, after, strict=True)) / span
        supply = plant.x.loop[plant.cur, :, 0]
        drifted = np.abs(supply - plant.d.viscous) > 0.01
        plant._dirty_loop |= drifted
        plant._dirty_rack[:] = plant.d.slowed > 0
        plant._dirty_feeds = True  # powers and currents at the temperatures just found
        plant.settle(plant.time)
        if rate < STEADY and not drifted.any():
            break
        if (plant.x.td[plant.cur] > shutdown).any():
            break
    for loop in range(len(plant.topology.loop_names)):
        solve_flows(
            plant.c, plant.u, plant.d, loop, plant.x.speed[plant.cur, loop], plant.x.pressure[plant.cur, loop, 1],
            plant.w.branch, plant.x.flow[plant.cur],
        )  # fmt: skip
    # a breaker that its load would trip has no steady state: it starts as if it had carried its rating
    drive = np.where(plant.breaker_ratio**2 < plant.c.breaker["level"], plant.breaker_ratio**2, 1.0)
    table = plant.c.breaker["kind"] == TABLE
    plant.x.theta[plant.cur] = np.where(table, 0.0, drive)
    plant.x.theta[1 - plant.cur] = plant.x.theta[plant.cur]
    plant.x.timer[:] = 0.0
    plant.x.ride[:] = plant.c.rack["ride_through"]
    plant.x.battery[:] = plant.c.node["battery"]
    plant._asked[0] = plant.window_seconds
    plant.open_window(plant.time)
    plant._check_devices = True
    return rate
