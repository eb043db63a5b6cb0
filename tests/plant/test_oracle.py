"""The plant against scipy: the whole small hall written a second time, in plain numpy, and integrated by LSODA.

Equal trays of a rack are one group, which is exact and keeps the system small. Facility water is a state here (the
plant predicts it), viscosity follows the supply temperature continuously (the plant takes it again now and then), and
rack air sees its heat as it is (the plant takes the mean over a stretch): the differences show what these are worth.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from twin.hall.parts import Hall, NodeKind
from twin.plant.guards import Guard
from twin.plant.plant import Plant

KELVIN = 0.05
SECONDS = 0.010
WATER = 4.150e6  # J/(m³ K)
AIR = 1.16 * 1006.0  # J/(m³ K)


def viscosity(t):
    return np.exp(1.707482 - 0.04724096 * t + 3.545812e-4 * t**2 - 1.294375e-6 * t**3)


def volumetric_heat(t):
    return (1026.508 - 0.307760 * t - 0.00267993 * t**2) * (3871.154 + 2.493548 * t - 0.001403976 * t**2)


class Oracle:
    """dy/dt of a hall with one loop, one air zone and balanced liquid racks, from its parts and a plant's inputs."""

    def __init__(self, plant: Plant) -> None:
        hall: Hall = plant.topology.hall
        self.hall, self.cdu, self.zone, self.facility = hall, hall.loops[0].cdu, hall.zones[0], hall.facility
        self.racks = hall.racks
        self.kind = hall.racks[0].rack_class
        u = plant.u
        self.load, self.cap = u.tray["load"].copy(), u.tray["cap"].copy()
        self.linear = u.tray["linear"].copy()
        self.mode, self.on = u.tray["mode"].copy(), u.tray["on"].copy()
        self.valve = u.rack["valve"].copy()
        self.pump_on = u.pump_on[0].copy()
        self.set_point, self.pressure_set = float(u.loop["supply_set"][0]), float(u.loop["pressure_set"][0])
        self.source_on = dict(zip(plant.topology.node_names, u.source_on, strict=True))
        self.closed = dict(zip(plant.topology.breaker_names, u.closed, strict=True))
        self.rating = dict(zip(plant.topology.breaker_names, plant.c.breaker["rating"], strict=True))
        self.breakers = plant.topology.breaker_names
        devices = {node.name: node.breaker for node in hall.nodes}
        self.tau = np.array([each.time_constant_seconds for name in self.breakers if (each := devices[name])])
        self.rack_watts = np.zeros(len(hall.racks))  # of the last call
        tray0 = plant.topology.rack_tray0
        self.groups: list[tuple[int, int, int]] = []  # rack, first tray, number of trays like it
        self.group_of = np.empty(tray0[-1], dtype=int)
        for r in range(len(self.racks)):
            alike: dict[tuple[float, ...], int] = {}
            for i in range(tray0[r], tray0[r + 1]):
                x, c = plant.x, plant.cur
                key = (self.load[i], self.cap[i], self.mode[i], self.on[i], x.td[c, i], x.tp[c, i])
                if key not in alike:
                    alike[key] = len(self.groups)
                    self.groups.append((r, i, 0))
                g = alike[key]
                self.groups[g] = (*self.groups[g][:2], self.groups[g][2] + 1)
                self.group_of[i] = g
        self.rack_of = np.array([g[0] for g in self.groups])
        self.first = np.array([g[1] for g in self.groups])
        self.count = np.array([g[2] for g in self.groups], dtype=float)
        groups, racks = len(self.groups), len(self.racks)
        sizes = {"td": groups, "tp": groups, "tc": racks, "ta": racks, "loop": 4, "speed": len(self.pump_on), "pi": 1,
                 "room": 1, "tank": 1, "theta": len(self.breakers)}  # fmt: skip
        ends = np.cumsum(list(sizes.values()))
        self.at = {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self.size = int(ends[-1])

    def state(self, plant: Plant) -> np.ndarray:
        x, cur = plant.x, plant.cur
        y = np.empty(self.size)
        y[self.at["td"]], y[self.at["tp"]] = x.td[cur, self.first], x.tp[cur, self.first]
        y[self.at["tc"]], y[self.at["ta"]] = x.tc[cur], x.ta[cur]
        y[self.at["loop"]], y[self.at["speed"]] = x.loop[cur, 0], x.speed[cur, 0]
        y[self.at["pi"]], y[self.at["room"]] = x.pressure[cur, 0, 0], x.zone[cur, 0]
        y[self.at["tank"]], y[self.at["theta"]] = x.tank[cur, 0], x.theta[cur]
        return y

    # ------------------------------------------------------------ the parts

    def clock(self, td: np.ndarray) -> np.ndarray:
        """Clock by mode: nominal, in proportion to the excess over release, half, or none."""
        k = self.kind
        slowed = np.clip(
            1.0 - k.slowdown_per_kelvin * (td - (k.slowdown_celsius - k.release_kelvin)), k.minimum_clock, 1.0
        )
        clock = np.select([self.mode[self.first] == m for m in range(3)], [1.0, slowed, k.hardware_clock], 0.0)
        return np.minimum(clock, self.cap[self.first])

    def hydraulics(self, speeds: np.ndarray, supply: float) -> tuple[float, np.ndarray]:
        """Manifold pressure and branch flows, with the total flow as the unknown."""
        k, cdu = self.kind, self.cdu
        quadratic = k.quadratic_resistance + k.valve_resistance / self.valve**2
        linear = k.linear_resistance * viscosity(supply) / viscosity(40.0)
        head = speeds**2 * cdu.pump_head

        def branches(p: float) -> np.ndarray:
            return (np.sqrt(linear**2 + 4.0 * quadratic * max(p, 0.0)) - linear) / (2.0 * quadratic)

        def surplus(p: float) -> float:
            total = branches(p).sum()
            lift = p + cdu.main_resistance * total**2
            return np.sqrt(np.maximum(head - lift, 0.0) / cdu.pump_resistance).sum() - total

        if head.max() < 1e-9:
            return 0.0, np.zeros(len(self.racks))
        p = brentq(surplus, 0.0, head.max(), xtol=1e-12 * cdu.pump_head, rtol=1e-14)
        return p, branches(p)

    def exchanger(self, flow: float, rate: float, valve: float) -> float:
        """ε Cmin [W/K] by the counterflow relation."""
        cdu = self.cdu
        rate2 = valve * cdu.facility_flow * WATER
        if flow <= 0.0 or rate2 <= 0.0:
            return 0.0
        ua = 1.0 / (
            1.0 / (cdu.hx_secondary_conductance * (flow / cdu.hx_secondary_flow) ** 0.7)
            + 1.0 / (cdu.hx_facility_conductance * valve**0.7)
            + cdu.hx_fouling_resistance
        )
        least, most = min(rate, rate2), max(rate, rate2)
        ratio, ntu = least / most, ua / least
        if abs(1.0 - ratio) < 1e-9:
            return least * ntu / (1.0 + ntu)
        drop = np.exp(-ntu * (1.0 - ratio))
        return least * (1.0 - drop) / (1.0 - ratio * drop)

    def currents(self, rack_watts: np.ndarray) -> dict[str, float]:
        """Line amperes at each node's output: balanced loads at the racks' power factor, losses on the way up."""
        nodes = {node.name: node for node in self.hall.nodes}
        children: dict[str, list[str]] = {name: [] for name in nodes}
        for node in nodes.values():
            if node.parent is not None:
                children[node.parent].append(node.name)

        def live(name: str) -> bool:
            node = nodes[name]
            return bool(self.source_on[name]) and bool(self.closed.get(name, 1)) and (
                node.parent is None or live(node.parent)
            )  # fmt: skip

        share: dict[str, float] = {}
        for r, rack in enumerate(self.racks):
            feeds = [f for f in rack.feeds if live(f)]
            for f in feeds:
                share[f] = rack_watts[r] / len(feeds)
        amperes: dict[str, float] = {}

        def taken(name: str) -> float:
            node = nodes[name]
            if not live(name):
                amperes[name] = 0.0
                for child in children[name]:
                    taken(child)
                return 0.0
            out = share.get(name, 0.0) + sum(taken(child) for child in children[name])
            factor = self.kind.power_factor if node.kind is not NodeKind.UTILITY else 1.0
            amperes[name] = out / (np.sqrt(3.0) * node.voltage * factor)
            return (out + node.fixed_loss_watts) / node.efficiency

        for node in nodes.values():
            if node.parent is None:
                taken(node.name)
        return amperes

    # ------------------------------------------------------------ the whole

    def __call__(self, t: float, y: np.ndarray) -> np.ndarray:
        k, cdu, zone, water = self.kind, self.cdu, self.zone, self.facility
        at = self.at
        td, tp, tc, ta = y[at["td"]], y[at["tp"]], y[at["tc"]], y[at["ta"]]
        supply, ret, valve, integral = y[at["loop"]]
        speeds, pi, room, tank = y[at["speed"]], y[at["pi"]][0], y[at["room"]][0], y[at["tank"]][0]
        rate_of = np.zeros(self.size)
        n = len(self.racks)

        # servers
        f, first = self.clock(td), self.first
        a, on = self.linear[first], self.on[first]
        span = k.tray_max_watts - k.tray_idle_watts
        tray = on * (k.tray_idle_watts + self.load[first] * span * (a * f + (1.0 - a) * f**3))
        leak = on * k.leakage_watts_per_kelvin * (td - k.leakage_reference_celsius)
        trays = np.bincount(self.rack_of, self.count * (tray + leak), n)
        rack_watts = (trays + k.overhead_watts + k.shelf_fixed_loss_watts) / k.shelf_efficiency
        rack_loss = rack_watts - trays
        self.rack_watts = rack_watts

        # hydraulics
        pressure, flow = self.hydraulics(np.maximum(speeds, 0.0), supply)
        total = flow.sum()
        heat = volumetric_heat(0.5 * (supply + ret))
        w = flow * heat

        # trays and coolant
        film = np.maximum(flow / k.nominal_flow, k.minimum_flow_fraction) ** 0.7 / k.convection_resistance
        through = (td - tp) / k.conduction_resistance
        to_coolant = film[self.rack_of] * (tp - tc[self.rack_of])
        rate_of[at["td"]] = (k.die_share * tray + leak - through) / k.die_heat_capacity
        rate_of[at["tp"]] = (k.plate_share * tray + through - to_coolant) / k.plate_heat_capacity
        gained = np.bincount(self.rack_of, self.count * to_coolant, n)
        rate_of[at["tc"]] = (gained + k.overhead_liquid_share * rack_loss + w * (supply - tc)) / k.coolant_heat_capacity

        # loop, its exchanger and controllers
        pump = (pressure + cdu.main_resistance * total**2) * total / cdu.pump_efficiency
        rejected = self.exchanger(total, total * heat, valve) * (ret - tank)
        raw = cdu.temperature_gain * (supply - self.set_point) + integral
        command = min(max(raw, cdu.minimum_valve), 1.0)
        rate_of[at["loop"]] = (
            (w.sum() * (ret - supply) - rejected + pump) / cdu.supply_heat_capacity,
            (w @ tc - w.sum() * ret) / cdu.return_heat_capacity,
            (command - valve) / cdu.valve_seconds,
            (cdu.temperature_gain * (supply - self.set_point) + command - raw) / cdu.temperature_integral_seconds,
        )
        raw = cdu.pressure_gain * (self.pressure_set - pressure) + pi
        command = min(max(raw, cdu.minimum_speed), 1.0)
        rate_of[at["speed"]] = np.where(
            self.pump_on == 1, (command - speeds) / cdu.ramp_seconds, -speeds / cdu.coast_seconds
        )
        rate_of[at["pi"]] = (
            cdu.pressure_gain * (self.pressure_set - pressure) + command - raw
        ) / cdu.pressure_integral_seconds

        # air: each rack draws a share of its inlet from each neighbour's exhaust
        draw = np.full(n, k.air_flow * AIR)
        air_share = 1.0 - k.die_share - k.plate_share
        rack_air = air_share * np.bincount(self.rack_of, self.count * tray, n)
        rack_air += (1.0 - k.overhead_liquid_share) * rack_loss
        out, drawn = draw.copy(), 0.0
        for r, rack in enumerate(self.racks):
            beside = [
                o for o, other in enumerate(self.racks)
                if other.row == rack.row and abs(other.position - rack.position) == 1
            ]  # fmt: skip
            from_room = 1.0 - zone.recirculation * len(beside)
            inlet = from_room * room + zone.recirculation * ta[beside].sum()
            rate_of[at["ta"]][r] = (rack_air[r] + draw[r] * (inlet - ta[r])) / k.air_heat_capacity
            drawn += from_room * draw[r]
            out[beside] -= zone.recirculation * draw[r]
        crah = zone.capacity_watts * np.clip((room - (zone.setpoint - zone.band / 2)) / zone.band, 0.0, 1.0)
        rate_of[at["room"]] = (out @ ta - drawn * room - crah + zone.fan_watts) / zone.heat_capacity

        # facility water (with a chiller the set point is held whatever the weather)
        gain = water.gain_watts_per_kelvin
        low = water.setpoint - 0.5 * water.capacity_watts / gain
        away = np.clip(gain * (tank - low), 0.0, water.capacity_watts)
        rate_of[at["tank"]] = (rejected + crah - away) / water.tank_heat_capacity

        # breakers
        amperes = self.currents(rack_watts)
        ratio = np.array([amperes[name] / self.rating[name] for name in self.breakers])
        rate_of[at["theta"]] = (ratio**2 - y[at["theta"]]) / self.tau
        return rate_of

    def run(self, y0: np.ndarray, until: float, event: Callable[[np.ndarray], float] | None = None):
        """Integrate from 0 to ``until`` or to where ``event(y)`` rises through zero."""
        events = None
        if event is not None:

            def rising(t: float, y: np.ndarray) -> float:
                return event(y)

            rising.terminal, rising.direction = True, 1.0  # type: ignore[attr-defined]
            events = [rising]
        return solve_ivp(self, (0.0, until), y0, method="LSODA", rtol=1e-9, atol=1e-9, dense_output=True, events=events)


def temperatures(oracle: Oracle, y: np.ndarray) -> np.ndarray:
    """Every temperature of a state: devices, plates, coolant, rack air, supply, return, room, tank."""
    at = oracle.at
    return np.concatenate([
        y[at["td"]], y[at["tp"]], y[at["tc"]], y[at["ta"]], y[at["loop"]][:2], y[at["room"]], y[at["tank"]]
    ])  # fmt: skip


# ---------------------------------------------------------------- the plant against it


def through_windows(plant: Plant, until: float, window: float = 60.0):
    """Settle and flow from 0 to ``until``, as the clock does at every recorded window at least."""
    t = 0.0
    while t < until:
        crossing = plant.settle(t) or plant.flow(t, min(until, t + window))
        if crossing is not None:
            return crossing
        t = min(until, t + window)
    return None


def slow(plant: Plant, trays: np.ndarray, mode: int) -> None:
    """Put trays in software (1) or hardware (2) slowdown, whatever their temperature, and take their guards away."""
    plant.u.tray["mode"][trays] = mode
    plant.u.up[:] = np.inf
    plant._touch_trays(trays)


def furthest(plant: Plant, oracle: Oracle, solution, times, duplicated) -> float:
    """Largest difference [K] between any temperature of the plant, flowing in strides of its own, and the oracle's."""
    worst = 0.0
    for time in times:
        there = duplicated(plant)
        assert through_windows(there, float(time)) is None
        exact = temperatures(oracle, solution.sol(time))
        worst = max(worst, float(np.abs(temperatures(oracle, oracle.state(there)) - exact).max()))
    return worst


def grid(until: float) -> np.ndarray:
    """Every second, and the first second in more detail."""
    return np.concatenate([[0.05, 0.1, 0.2, 0.35, 0.5, 0.75], np.arange(1.0, until)])


def test_equilibrium_is_one_by_another_account(steady):
    """Nothing moves faster than 1e-6 K/s at the plant's equilibrium when the oracle is asked; breakers stand at r²."""
    oracle = Oracle(steady)
    y = oracle.state(steady)
    rate = oracle(0.0, y)
    assert np.abs(temperatures(oracle, rate)).max() < 1e-6
    assert np.abs(rate[oracle.at["loop"]]).max() < 1e-6
    assert np.abs(rate[oracle.at["speed"]]).max() < 1e-6
    assert np.abs(rate[oracle.at["theta"]]).max() < 1e-9
    np.testing.assert_allclose(steady.rack_power, oracle.rack_watts, rtol=1e-9)


def test_breakers_of_the_tree_carry_what_the_oracle_says(steady):
    oracle = Oracle(steady)
    amperes = oracle.currents(steady.rack_power)
    expected = [amperes[name] / oracle.rating[name] for name in oracle.breakers]
    np.testing.assert_allclose(steady.breaker_ratio, expected, rtol=1e-12)


CASES = {
    "load up": lambda plant, trays: plant.set_load(trays(plant, 0, 3), 0.8),
    "load down": lambda plant, trays: plant.set_load(trays(plant, 0, 1, 2, 3), 0.05),
    "some trays only": lambda plant, trays: plant.set_load(trays(plant, 0)[:7], 0.95),
    "cap": lambda plant, trays: plant.set_cap(trays(plant, 1), 0.6),
    "trays off": lambda plant, trays: plant.set_on(trays(plant, 2)[:9], False),
    "one pump lost": lambda plant, trays: plant.set_pump(0, 0, False),
    "two pumps lost": lambda plant, trays: [plant.set_pump(0, k, False) for k in range(2)],
    "valve half shut": lambda plant, trays: plant.set_valve(3, 0.5),
    "supply set point": lambda plant, trays: plant.set_supply(0, 38.0),
    "supply set point, far": lambda plant, trays: plant.set_supply(0, 35.0),
}


@pytest.mark.parametrize("name", CASES)
def test_every_temperature_follows_the_oracle(name, steady, trays, duplicated):
    CASES[name](steady, trays)
    steady.settle(0.0)
    oracle = Oracle(steady)
    solution = oracle.run(oracle.state(steady), 200.0)
    assert furthest(steady, oracle, solution, grid(200.0), duplicated) < KELVIN


CROSSINGS = {
    "all pumps lost": lambda plant, trays: [plant.set_pump(0, k, False) for k in range(3)],
    "valve closure": lambda plant, trays: plant.set_valve(1, 0.3),
    "overload": lambda plant, trays: plant.set_load(trays(plant, 0, 1), 1.0),
    "overload in a rack short of flow": lambda plant, trays: (
        plant.set_valve(1, 0.35), plant.set_load(trays(plant, 1), 1.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CROSSINGS)
def test_first_device_crosses_when_the_oracle_says(name, steady, trays, duplicated):
    CROSSINGS[name](steady, trays)
    steady.settle(0.0)
    oracle = Oracle(steady)
    level = steady.u.up[oracle.first]
    devices = oracle.at["td"]
    solution = oracle.run(oracle.state(steady), 200.0, lambda y: float((y[devices] - level).max()))
    exact = float(solution.t_events[0][0])
    there = solution.sol(exact)
    found = through_windows(duplicated(steady), 200.0)
    assert found.guard is Guard.DEVICE
    assert oracle.group_of[found.index] == int(np.argmax(there[devices] - level))
    slope = float(oracle(exact, there)[devices].max())
    assert abs(found.time - exact) < max(SECONDS, KELVIN / slope)
    assert furthest(steady, oracle, solution, grid(min(exact, found.time)), duplicated) < KELVIN


@pytest.mark.parametrize("mode", [1, 2])
def test_slowed_trays_follow_the_oracle(mode, steady, trays, duplicated):
    """A rack short of flow in software slowdown (its clock follows its temperature) and in hardware slowdown."""
    plant = steady
    plant.set_valve(1, 0.35)
    plant.set_load(trays(plant, 1), 1.0)
    plant.settle(0.0)
    assert plant.flow(0.0, 60.0) is not None
    slow(plant, trays(plant, 1), mode)
    plant.settle(plant.time)
    plant.time, plant._span = 0.0, 60.0  # the clock starts again
    oracle = Oracle(plant)
    solution = oracle.run(oracle.state(plant), 120.0)
    assert furthest(plant, oracle, solution, grid(120.0), duplicated) < KELVIN
    if mode == 1:
        # it is the law that is tested: the clock lies between its limits
        clock = oracle.clock(solution.y[oracle.at["td"], -1])
        assert 0.5 < clock.min() < 0.95


def test_a_feed_that_takes_over_trips_when_the_oracle_says(small, steady, trays, duplicated):
    """Half the feed breakers open, power still rising with leakage: heating by the power that the oracle has."""
    plant = steady
    names = small.breaker_names
    survivor = names.index("A-02/feed B")
    plant.set_load(trays(plant, 1), 0.8)
    plant.set_load(trays(plant, 0), 0.3)
    plant.set_breaker(names.index("A-02/feed A"), False)
    plant.settle(0.0)
    plant.c.breaker["rating"][survivor], before = 100.0, plant.c.breaker["rating"][survivor]
    plant._dirty_feeds = True
    plant.settle(0.0)
    try:
        oracle = Oracle(plant)
        theta = oracle.at["theta"].start + survivor
        level = plant.c.breaker["level"][survivor]
        solution = oracle.run(oracle.state(plant), 900.0, lambda y: float(y[theta] - level))
        exact = float(solution.t_events[0][0])
        found = through_windows(duplicated(plant), 900.0)
        assert (found.guard, found.index) == (Guard.BREAKER_THERMAL, survivor)
        assert found.time == pytest.approx(exact, abs=SECONDS)
        for time in (1.0, 10.0, 100.0, exact - 1.0):
            there = duplicated(plant)
            through_windows(there, time)
            heat = solution.sol(time)[oracle.at["theta"]]
            np.testing.assert_allclose(there.x.theta[there.cur], heat, atol=2e-5)
    finally:
        plant.c.breaker["rating"][survivor] = before
