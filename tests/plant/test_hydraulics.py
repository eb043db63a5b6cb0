"""Networks of branches, check valves and pumps as one system of equations, solved by scipy with flows as unknowns.

The plant solves for one pressure with flows as its functions; here every branch flow, every pump flow and the pressure
are unknowns. A pump behind a check valve either gives what its curve says or gives nothing against a higher lift:
``Q ≥ 0``, ``s = lift − head(Q) ≥ 0``, ``Q s = 0``, which Fischer and Burmeister write as ``Q + s − √(Q² + s²) = 0``.
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import root

from tests.plant.oracle import viscosity
from tests.plant.telling import duplicate
from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.coolant import branch_flow, manifold_pressure
from twin.plant.plant import Plant

LITRES = 60_000.0  # L/min in a m³/s
A, B = 0.0048e3 * LITRES**2, 0.0617e3 * LITRES  # the published rack curve
FLOW, PRESSURE = 1e-3, 1e5  # units of the unknowns: L/s and bar


class Network(NamedTuple):
    """Branch coefficients (inf for a shut valve), pump speeds, and head, pump and main coefficients."""

    quadratic: np.ndarray
    linear: np.ndarray
    speeds: np.ndarray
    head: float
    pump: float
    main: float


class Flows(NamedTuple):
    branches: np.ndarray
    pumps: np.ndarray
    pressure: float


def equations(z: np.ndarray, net: Network) -> np.ndarray:
    """Residuals of every law, in L/s and bar."""
    n = len(net.linear)
    branch, pump, pressure = z[:n] * FLOW, z[n:-1] * FLOW, z[-1] * PRESSURE
    total = branch.sum()
    shut = np.isinf(net.quadratic)
    quadratic = np.where(shut, 0.0, net.quadratic)
    fall = (quadratic * branch * np.abs(branch) + net.linear * branch - pressure) / PRESSURE
    lift = pressure + net.main * total * np.abs(total)
    spare = (lift - (net.speeds**2 * net.head - net.pump * pump * np.abs(pump))) / PRESSURE
    given = pump / FLOW
    valve = given + spare - np.hypot(given, spare)
    return np.concatenate([np.where(shut, branch / FLOW, fall), valve, [(total - pump.sum()) / FLOW]])


def solved(net: Network) -> Flows:
    """The network's flows by a general root finder, from a start that knows only that pumps push."""
    n, k = len(net.linear), len(net.speeds)
    top = float((net.speeds**2).max()) * net.head / PRESSURE
    for share in (0.5, 0.2, 0.8, 0.05, 0.95, 0.01):
        pressure = share * top
        quadratic = np.where(np.isinf(net.quadratic), 1e30, net.quadratic)
        start = (np.sqrt(net.linear**2 + 4.0 * quadratic * pressure * PRESSURE) - net.linear) / (2.0 * quadratic) / FLOW
        pumps = np.where(net.speeds**2 * net.head / PRESSURE > pressure, start.sum() / k, 0.01)
        found = root(equations, np.concatenate([start, pumps, [pressure]]), args=(net,), method="hybr", tol=1e-13)
        if np.abs(found.fun).max() < 1e-9:
            z = found.x
            return Flows(z[:n] * FLOW, z[n:-1] * FLOW, float(z[-1]) * PRESSURE)
    raise AssertionError(f"no solution found for {net}")


def ours(net: Network) -> Flows:
    quadratic = np.where(np.isinf(net.quadratic), 1e30, net.quadratic)
    pressure, total = manifold_pressure(
        quadratic, net.linear, net.speeds, net.head, net.pump, net.main, 0.0
    )  # fmt: skip
    branches = np.array([branch_flow(pressure, a, b) for a, b in zip(quadratic, net.linear, strict=True)])
    lift = pressure + net.main * total**2
    pumps = np.sqrt(np.maximum(net.speeds**2 * net.head - lift, 0.0) / net.pump)
    return Flows(branches, pumps, pressure)


def agree(net: Network) -> Flows:
    mine, other = ours(net), solved(net)
    np.testing.assert_allclose(mine.branches, other.branches, rtol=1e-6, atol=1e-9)
    # a pump near its shut-off head gives √(rounding)
    np.testing.assert_allclose(mine.pumps, other.pumps, rtol=1e-6, atol=2e-6)
    assert mine.pressure == pytest.approx(other.pressure, rel=1e-6, abs=1e-3)
    return other


def usual(valves: list[float], speeds: list[float]) -> Network:
    """GB200 branches on a 750 kW CDU's pumps."""
    position = np.array(valves)
    with np.errstate(divide="ignore"):
        quadratic = A + 9.0e9 / position**2
    return Network(quadratic, np.full(len(valves), B), np.array(speeds), 299e3, 9e8, 6e8)


def test_pumps_alike():
    flows = agree(usual([1.0, 1.0, 0.8, 0.5], [0.8, 0.8, 0.8]))
    np.testing.assert_allclose(flows.pumps, flows.branches.sum() / 3.0, rtol=1e-9)


def test_a_stopped_pump_stays_shut_and_nothing_flows_back():
    both = agree(usual([1.0, 1.0, 0.8, 0.5], [0.8, 0.8]))
    beside = agree(usual([1.0, 1.0, 0.8, 0.5], [0.8, 0.0, 0.8]))
    assert abs(beside.pumps[1]) < 1e-9
    np.testing.assert_allclose(beside.branches, both.branches, rtol=1e-7)


def test_a_slow_pump_is_shut_by_a_fast_one():
    """At a fifth of the speed a pump's shut-off head lies below the lift of the others."""
    flows = agree(usual([1.0, 1.0, 1.0, 1.0], [1.0, 0.2]))
    assert abs(flows.pumps[1]) < 1e-9
    # and at nine tenths it gives, though less
    flows = agree(usual([1.0, 1.0, 1.0, 1.0], [1.0, 0.9]))
    assert 0.05 * flows.pumps[0] < flows.pumps[1] < 0.95 * flows.pumps[0]


def test_a_shut_valve_gives_its_flow_to_the_others():
    before, after = agree(usual([1.0, 1.0, 0.8, 0.5], [0.8, 0.7])), agree(usual([1.0, 0.0, 0.8, 0.5], [0.8, 0.7]))
    assert abs(after.branches[1]) < 1e-9
    others = [0, 2, 3]
    assert (after.branches[others] > 1.02 * before.branches[others]).all()
    assert after.branches.sum() < before.branches.sum()


networks = st.builds(
    lambda branches, speeds, head, pump, main: Network(
        np.array([np.inf if a > 45.0 else a * A for a, _ in branches]), np.array([b * B for _, b in branches]),
        np.array([0.0 if n < 0.1 else n for n in speeds]), head, pump, main,
    ),
    st.lists(st.tuples(st.floats(0.2, 50.0), st.floats(0.1, 10.0)), min_size=1, max_size=10),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4),
    st.floats(100e3, 400e3),
    st.floats(1e8, 3e9),
    st.floats(1e5, 3e8),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(networks)
def test_any_network_agrees_with_the_root_finder(net):
    """Branches of any width, some shut; pumps at any speed, some still."""
    if net.speeds.max() == 0.0 or np.isinf(net.quadratic).all():
        assert ours(net).branches.max() < 1e-9
        return
    agree(net)


def test_a_loop_of_unlike_racks_agrees_with_the_root_finder():
    """GB200 beside GB300, valves at all positions, one pump still: each rack has the flow of its own branch."""
    hall = load_hall("small", ["exceptions={A-02: {rack_class: gb300_nvl72}}"])
    plant = Plant(compile_topology(hall))
    valves = [1.0, 0.5, 0.0, 0.2]
    for rack, position in enumerate(valves):
        plant.set_valve(rack, position)
    for supply, speeds in ((40.0, (0.8, 0.8, 0.8)), (25.0, (0.9, 0.0, 0.85)), (50.0, (1.0, 0.3, 0.0))):
        plant.x.loop[plant.cur, 0, 0], plant.x.speed[plant.cur, 0] = supply, speeds
        plant.set_valve(0, valves[0])
        plant.settle(0.0)
        _agrees(plant, valves)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.floats(0.1, 20.0),
)
def test_a_loop_of_the_plant_agrees_with_the_root_finder(steady, valves, running, seconds):
    """After valves have moved, and while pumps that were lost coast down: each rack has the flow of its own branch."""
    plant: Plant = duplicate(steady)
    for rack, position in enumerate(valves):
        plant.set_valve(rack, position)
    for pump, on in enumerate(running):
        plant.set_pump(0, pump, on)
    plant.set_guards(np.arange(len(plant.c.idle)), np.inf, -np.inf)
    plant.settle(0.0)
    _agrees(plant, valves)
    assert plant.flow(0.0, seconds) is None
    plant.set_valve(0, valves[0])  # so that it settles again, viscosity and all
    plant.settle(seconds)
    _agrees(plant, valves)


def _agrees(plant: Plant, valves: list[float]) -> None:
    cdu, racks = plant.topology.hall.loops[0].cdu, plant.topology.hall.racks
    supply, speeds = float(plant.x.loop[plant.cur, 0, 0]), plant.x.speed[plant.cur, 0].copy()
    kinds = [rack.rack_class for rack in racks]
    open_ = np.array(valves) > 0.0
    quadratic = [
        kind.quadratic_resistance + kind.valve_resistance / x**2 if x > 0.0 else np.inf
        for kind, x in zip(kinds, valves, strict=True)
    ]
    linear = [kind.linear_resistance * viscosity(supply) / viscosity(40.0) for kind in kinds]
    flow = plant.x.flow[plant.cur]
    if not open_.any():
        assert flow.max() < 1e-9
        return
    net = Network(
        np.array(quadratic), np.array(linear), speeds, cdu.pump_head, cdu.pump_resistance, cdu.main_resistance
    )
    np.testing.assert_allclose(flow, solved(net).branches, rtol=1e-6, atol=1e-9)
