"""A hall's physics written a second time, in plain numpy and complex phasors, for scipy to integrate.

Nothing here comes from the kernels: parts of the hall go in, dy/dt comes out. Equal trays of a rack are one group,
which is exact and keeps the system small. Facility water is a state (the plant predicts it), viscosity follows the
supply temperature continuously (the plant takes it again now and then), and rack air sees its heat as it is (the plant
takes the mean over a stretch): the differences show what these are worth.

The setters bear the names of :class:`twin.plant.plant.Plant`'s, so that one change can be made to both.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from twin.hall.parts import BreakerKind, Cooling, Hall, NodeKind

WATER = 4.150e6  # J/(m³ K)
AIR = 1.16 * 1006.0  # J/(m³ K)
STILL = 0.05  # of a rack's air flow that passes when its fans stand
NORMAL, SLOWED, BRAKED, OFF = range(4)
ACCURATE = {"method": "LSODA", "rtol": 1e-9, "atol": 1e-9}


def viscosity(t: float) -> float:
    return float(np.exp(1.707482 - 0.04724096 * t + 3.545812e-4 * t**2 - 1.294375e-6 * t**3))


def volumetric_heat(t: float) -> float:
    return (1026.508 - 0.307760 * t - 0.00267993 * t**2) * (3871.154 + 2.493548 * t - 0.001403976 * t**2)


class Oracle:
    """dy/dt of a hall: any number of loops, air zones and racks of any class."""

    def __init__(self, hall: Hall, rating_factor: float | np.ndarray = 1.0, resistance: float | np.ndarray = 1.0):
        self.hall, self.racks, self.water = hall, hall.racks, hall.facility
        self.loops, self.zones = hall.loops, hall.zones
        kinds = [rack.rack_class for rack in hall.racks]
        self.kinds = kinds
        self.rack_of_tray = np.repeat(np.arange(len(kinds)), [kind.trays for kind in kinds])
        trays = len(self.rack_of_tray)
        # inputs at rest
        self.load, self.cap, self.on = np.zeros(trays), np.ones(trays), np.ones(trays, dtype=bool)
        self.mode, self.armed = np.zeros(trays, dtype=int), np.zeros(trays, dtype=bool)  # armed: to be released
        self.watched = True  # whether devices have levels at all
        self.linear = np.full(trays, 0.4)
        self.valve = np.array([rack.valve_position for rack in hall.racks])
        self.fans = np.ones(len(kinds))  # whether a rack's own fans turn
        self.dark = np.zeros(len(kinds), dtype=bool)
        self.supply_set = np.array([loop.supply_temperature for loop in hall.loops])
        self.pumps = [
            np.arange(loop.cdu.pumps) < (loop.cdu.pumps_needed if loop.cdu.mode == "standby" else loop.cdu.pumps)
            for loop in hall.loops
        ]
        self.crah = np.ones(len(hall.zones))
        self.water_set, self.water_available = hall.facility.setpoint, 1.0
        # power: nodes in the plant's order, so that breakers are numbered alike
        self.resistance = resistance * np.array([kinds[r].conduction_resistance for r in self.rack_of_tray])
        self.node = {node.name: node for node in hall.nodes}
        self.source = dict.fromkeys(self.node, True)
        self.breakers: tuple[str, ...] = ()
        self.rating_factor = rating_factor
        # of racks, for sums over them
        self.loop_of = np.array(
            [[loop.name for loop in hall.loops].index(r.loop) if r.loop else -1 for r in hall.racks]
        )
        self.zone_of = np.array([[zone.name for zone in hall.zones].index(r.zone) for r in hall.racks])
        self.liquid = np.array([kind.cooling is Cooling.LIQUID for kind in kinds])
        self.members = [np.flatnonzero(self.loop_of == k) for k in range(len(hall.loops))]
        n = len(kinds)
        self.recirculated = np.zeros((n, n))  # share of a rack's inlet air from another's exhaust
        for r, rack in enumerate(hall.racks):
            for o, other in enumerate(hall.racks):
                if other.row == rack.row and other.zone == rack.zone and abs(other.position - rack.position) == 1:
                    self.recirculated[r, o] = hall.zones[self.zone_of[r]].recirculation
        self.k = {
            name: np.array([float(getattr(kind, name)) for kind in kinds])
            for name in (
                "tray_idle_watts", "tray_max_watts", "die_share", "plate_share", "leakage_watts_per_kelvin",
                "leakage_reference_celsius", "die_heat_capacity", "plate_heat_capacity", "convection_resistance",
                "slowdown_celsius", "hardware_slowdown_celsius", "shutdown_celsius", "release_kelvin",
                "slowdown_per_kelvin", "minimum_clock", "hardware_clock", "overhead_watts", "shelf_fixed_loss_watts",
                "shelf_efficiency", "overhead_liquid_share", "coolant_heat_capacity", "nominal_flow",
                "minimum_flow_fraction", "quadratic_resistance", "linear_resistance", "valve_resistance",
                "air_heat_capacity", "air_flow", "ride_through_joules",
            )
        }  # fmt: skip
        self._pressure = [0.0] * len(hall.loops)  # last found, where to look first

    def number_breakers(self, names: Iterable[str]) -> None:
        """Take the plant's order of breakers (and of its rating factors)."""
        self.breakers = tuple(names)
        devices = [self.node[name].breaker for name in self.breakers]
        self.device = devices
        self.closed = dict.fromkeys(self.breakers, True)
        self.rating = np.array([d.rating_amperes for d in devices]) * self.rating_factor
        self.tau = np.array([d.time_constant_seconds for d in devices])
        self.level = np.array([1.0 if d.kind is BreakerKind.TABLE else d.trip_level for d in devices])
        self.table = [np.log(np.array(d.table) - [1.0, 0.0]) if d.table else None for d in devices]

    # ------------------------------------------------------------ changes, by the plant's names

    def set_load(self, trays: np.ndarray, utilisation: float) -> None:
        self.load[trays] = utilisation

    def set_cap(self, trays: np.ndarray, clock: float) -> None:
        self.cap[trays] = clock

    def set_on(self, trays: np.ndarray, on: bool) -> None:
        self.on[trays], self.mode[trays], self.armed[trays] = on, NORMAL if on else OFF, False

    def set_breaker(self, breaker: int, closed: bool) -> None:
        self.closed[self.breakers[breaker]] = closed

    def set_source(self, node: str, on: bool) -> None:
        self.source[node] = on

    def set_pump(self, loop: int, pump: int, on: bool) -> None:
        self.pumps[loop][pump] = on

    def set_valve(self, rack: int, position: float) -> None:
        self.valve[rack] = position

    def set_supply(self, loop: int, celsius: float) -> None:
        self.supply_set[loop] = celsius

    def darken(self, rack: int) -> None:
        self.dark[rack], self.fans[rack] = True, 0.0
        self.set_on(np.flatnonzero(self.rack_of_tray == rack), False)

    def light(self, rack: int) -> None:
        self.dark[rack], self.fans[rack] = False, 1.0

    # ------------------------------------------------------------ groups and states

    def group(self, td: np.ndarray, tp: np.ndarray) -> None:
        """Put trays of one rack together that are alike in everything; td and tp [°C] by tray."""
        inputs = (self.load, self.cap, self.on, self.mode, self.armed, self.linear, self.resistance)
        everything = np.stack([self.rack_of_tray, *inputs, td, tp])
        _, first, of, count = np.unique(everything, axis=1, return_index=True, return_inverse=True, return_counts=True)
        self.first, self.group_of, self.count = first, of.ravel(), count.astype(float)
        self.rack_of = self.rack_of_tray[first]
        sizes = {"td": len(first), "tp": len(first), "tc": len(self.racks), "ta": len(self.racks),
                 "ride": len(self.racks), "loop": 4 * len(self.loops), "pi": len(self.loops),
                 "speed": sum(len(p) for p in self.pumps), "room": len(self.zones), "tank": 1,
                 "theta": len(self.breakers)}  # fmt: skip
        ends = np.cumsum(list(sizes.values()))
        self.at = {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self.size = int(ends[-1])

    def pack(self, state: dict[str, np.ndarray]) -> np.ndarray:
        """A vector of scipy's, grouped afresh, from a state by name (devices and plates by tray)."""
        self.group(state["td"], state["tp"])
        y = np.empty(self.size)
        for name, where in self.at.items():
            y[where] = state[name][self.first] if name in ("td", "tp") else np.ravel(state[name])
        return y

    def unpack(self, y: np.ndarray) -> dict[str, np.ndarray]:
        """The state by name, devices and plates by tray."""
        state = {name: y[where].copy() for name, where in self.at.items()}
        state["td"], state["tp"] = state["td"][self.group_of], state["tp"][self.group_of]
        return state

    # ------------------------------------------------------------ the parts

    def clock(self, td: np.ndarray) -> np.ndarray:
        """Clock by mode: nominal, in proportion to the excess over release, half, or none."""
        k, r, mode = self.k, self.rack_of, self.mode[self.first]
        release = k["slowdown_celsius"] - k["release_kelvin"]
        slowed = np.clip(1.0 - k["slowdown_per_kelvin"][r] * (td - release[r]), k["minimum_clock"][r], 1.0)
        clock = np.select([mode == NORMAL, mode == SLOWED, mode == BRAKED], [1.0, slowed, k["hardware_clock"][r]], 0.0)
        return np.minimum(clock, self.cap[self.first])

    def hydraulics(self, loop: int, speeds: np.ndarray, supply: float) -> tuple[float, np.ndarray]:
        """Manifold pressure [Pa] and branch flows [m³/s] of a loop's racks, the pressure being the unknown."""
        k, cdu, racks = self.k, self.loops[loop].cdu, self.members[loop]
        flow = np.zeros(len(racks))
        wide = self.valve[racks] > 0.0
        some = racks[wide]
        quadratic = k["quadratic_resistance"][some] + k["valve_resistance"][some] / self.valve[some] ** 2
        linear = k["linear_resistance"][some] * viscosity(supply) / viscosity(40.0)
        head = np.maximum(speeds, 0.0) ** 2 * cdu.pump_head
        if head.max() < 1e-9 or not len(some):
            return 0.0, flow

        def branches(p: float) -> np.ndarray:
            return (np.sqrt(linear**2 + 4.0 * quadratic * max(p, 0.0)) - linear) / (2.0 * quadratic)

        def surplus(p: float) -> float:
            total = branches(p).sum()
            lift = p + cdu.main_resistance * total**2
            return float(np.sqrt(np.maximum(head - lift, 0.0) / cdu.pump_resistance).sum() - total)

        top = float(head.max())
        low, high = 0.0, top
        guess = self._pressure[loop]
        if 0.999 * guess > 0.0 and 1.001 * guess < top and surplus(0.999 * guess) > 0.0 > surplus(1.001 * guess):
            low, high = 0.999 * guess, 1.001 * guess
        p = brentq(surplus, low, high, xtol=1e-12 * cdu.pump_head, rtol=1e-14)
        self._pressure[loop] = p
        flow[wide] = branches(p)
        return p, flow

    def exchanger(self, loop: int, flow: float, rate: float, valve: float) -> float:
        """ε Cmin [W/K] by the counterflow relation."""
        cdu = self.loops[loop].cdu
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

    def live(self, name: str) -> bool:
        """Whether a power node has voltage at its output."""
        node = self.node[name]
        return self.source[name] and self.closed.get(name, True) and (node.parent is None or self.live(node.parent))

    def feed(self) -> None:
        """Find what is live; a rack's power is shared by its live feeds."""
        self.on_now = {name: self.live(name) for name in self.node}
        self.feeds = [[f for f in rack.feeds if self.on_now[f]] for rack in self.racks]
        self.powered = np.array([bool(f) for f in self.feeds])
        self.children: dict[str, list[str]] = {name: [] for name in self.node}
        for node in self.node.values():
            if node.parent is not None:
                self.children[node.parent].append(node.name)

    def currents(self, rack_watts: np.ndarray) -> dict[str, np.ndarray]:
        """Complex line currents [A] of a, b and c at each node's output, V_a having the angle 0."""
        turn = np.exp(-2j * np.pi * np.arange(3) / 3.0)  # of a, b, c
        pairs = turn * np.exp(1j * np.pi / 6.0)  # of V_ab, V_bc, V_ca

        def lines(watts: float, factor: float, weights: tuple[float, ...], volts: float) -> np.ndarray:
            apparent = watts * np.array(weights) * (1.0 + 1j * np.sqrt(1.0 / factor**2 - 1.0))
            delta = np.conj(apparent / (volts * pairs))
            return delta - np.roll(delta, 1)

        watts = dict.fromkeys(self.node, 0.0)
        amperes = {name: np.zeros(3, dtype=complex) for name in self.node}
        for r, rack in enumerate(self.racks):
            kind = rack.rack_class
            for f in self.feeds[r]:
                watts[f] += rack_watts[r] / len(self.feeds[r])
                amperes[f] += lines(
                    rack_watts[r] / len(self.feeds[r]), kind.power_factor, kind.phase_weights, self.node[f].voltage
                )
        for load in self.hall.auxiliary:
            if self.on_now[load.node]:
                watts[load.node] += load.power_watts
                amperes[load.node] += lines(
                    load.power_watts, load.power_factor, load.phase_weights, self.node[load.node].voltage
                )

        def gather(name: str) -> None:
            for child in self.children[name]:
                gather(child)
                if not self.on_now[child]:
                    continue
                node, volts = self.node[child], self.node[name].voltage
                taken = (watts[child] + node.fixed_loss_watts) / node.efficiency
                watts[name] += taken
                if node.kind is NodeKind.UPS:  # a rectifier: balanced, at unity displacement
                    amperes[name] += taken / (np.sqrt(3.0) * volts) * turn
                elif watts[child] > 0.0:
                    amperes[name] += amperes[child] * node.voltage / volts * taken / watts[child]

        for node in self.node.values():
            if node.parent is None:
                gather(node.name)
        return amperes

    def ratios(self, rack_watts: np.ndarray) -> np.ndarray:
        """Current of every breaker's hottest pole over its rating."""
        amperes = self.currents(rack_watts)
        return np.array([np.abs(amperes[name]).max() for name in self.breakers]) / self.rating

    def servers(self, td: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Power of a tray and its leakage [W] by group, AC power of the racks [W]."""
        k, r, first = self.k, self.rack_of, self.first
        f, a = self.clock(td), self.linear[first]
        on = (self.on[first] & ~self.dark[r]).astype(float)
        span = (k["tray_max_watts"] - k["tray_idle_watts"])[r]
        tray = on * (k["tray_idle_watts"][r] + self.load[first] * span * (a * f + (1.0 - a) * f**3))
        leak = on * k["leakage_watts_per_kelvin"][r] * (td - k["leakage_reference_celsius"][r])
        shelves = np.bincount(r, on, len(self.racks)) > 0.0  # switched off with the last tray
        trays = np.bincount(r, self.count * (tray + leak), len(self.racks))
        watts = shelves * (trays + k["overhead_watts"] + k["shelf_fixed_loss_watts"]) / k["shelf_efficiency"]
        return tray, leak, watts

    # ------------------------------------------------------------ the whole

    def __call__(self, t: float, y: np.ndarray) -> np.ndarray:
        k, at, r, n = self.k, self.at, self.rack_of, len(self.racks)
        td, tp, tc, ta = y[at["td"]], y[at["tp"]], y[at["tc"]], y[at["ta"]]
        room, tank = y[at["room"]], float(y[at["tank"]][0])
        rate_of = np.zeros(self.size)
        tray, leak, rack_watts = self.servers(td)
        trays = np.bincount(r, self.count * (tray + leak), n)
        rack_loss = rack_watts - trays
        to_water = 0.0
        flow, inlet, rate = np.zeros(n), np.zeros(n), np.zeros(n)

        # loops: flows first, since the racks need them
        states = y[at["loop"]].reshape(-1, 4)
        speed0 = at["speed"].start
        for j, loop in enumerate(self.loops):
            cdu, racks = loop.cdu, self.members[j]
            supply, ret, valve, integral = states[j]
            where = slice(speed0, speed0 + cdu.pumps)
            speed0 += cdu.pumps
            speeds, pi = y[where], y[at["pi"]][j]
            pressure, flow[racks] = self.hydraulics(j, speeds, supply)
            total = flow[racks].sum()
            heat = volumetric_heat(0.5 * (supply + ret))
            w = flow[racks] * heat
            inlet[racks], rate[racks] = supply, w
            pump = (pressure + cdu.main_resistance * total**2) * total / cdu.pump_efficiency
            rejected = self.exchanger(j, total, total * heat, valve) * (ret - tank)
            to_water += rejected
            error = supply - self.supply_set[j]
            raw = cdu.temperature_gain * error + integral
            command = min(max(raw, cdu.minimum_valve), 1.0)
            rate_of[at["loop"]][4 * j : 4 * j + 4] = (
                (w.sum() * (ret - supply) - rejected + pump) / cdu.supply_heat_capacity,
                (w @ tc[racks] - w.sum() * ret) / cdu.return_heat_capacity,
                (command - valve) / cdu.valve_seconds,
                (cdu.temperature_gain * error + command - raw) / cdu.temperature_integral_seconds,
            )
            error = cdu.pressure_setpoint - pressure
            raw = cdu.pressure_gain * error + pi
            command = min(max(raw, cdu.minimum_speed), 1.0)
            rate_of[where] = np.where(self.pumps[j], (command - speeds) / cdu.ramp_seconds, -speeds / cdu.coast_seconds)
            rate_of[at["pi"]][j] = (cdu.pressure_gain * error + command - raw) / cdu.pressure_integral_seconds

        # air: each rack draws a share of its inlet from each neighbour's exhaust
        blown = STILL + (1.0 - STILL) * self.fans
        draw = blown * k["air_flow"] * AIR
        shared = self.recirculated * draw[:, None]  # W/K from the column's exhaust to the row's inlet
        from_room = draw - shared.sum(axis=1)
        air_in = from_room * room[self.zone_of] + shared @ ta
        to_room = draw - shared.sum(axis=0)
        for z, zone in enumerate(self.zones):
            here = self.zone_of == z
            share = np.clip((room[z] - (zone.setpoint - zone.band / 2.0)) / zone.band, 0.0, 1.0)
            crah = self.crah[z] * zone.capacity_watts * share
            to_water += crah
            rate_of[at["room"]][z] = (
                (to_room * ta)[here].sum() - from_room[here].sum() * room[z] - crah + self.crah[z] * zone.fan_watts
            ) / zone.heat_capacity

        # trays, and the fluid that takes their heat
        passing = np.where(self.liquid, flow / np.where(self.liquid, k["nominal_flow"], 1.0), blown)
        film = np.maximum(passing, k["minimum_flow_fraction"]) ** 0.7 / k["convection_resistance"]
        fluid = np.where(self.liquid, tc, ta)
        through = (td - tp) / self.resistance[self.first]
        to_fluid = film[r] * (tp - fluid[r])
        rate_of[at["td"]] = (k["die_share"][r] * tray + leak - through) / k["die_heat_capacity"][r]
        rate_of[at["tp"]] = (k["plate_share"][r] * tray + through - to_fluid) / k["plate_heat_capacity"][r]
        gained = np.bincount(r, self.count * to_fluid, n)
        air_share = (1.0 - k["die_share"] - k["plate_share"])[r]
        rack_air = np.bincount(r, self.count * air_share * tray, n)
        liquid_loss = np.where(self.liquid, k["overhead_liquid_share"], 0.0) * rack_loss
        into_air = rack_air + rack_loss - liquid_loss + np.where(self.liquid, 0.0, gained)
        rate_of[at["ta"]] = (into_air + air_in - draw * ta) / k["air_heat_capacity"]
        coolant = np.where(self.liquid, k["coolant_heat_capacity"], 1.0)
        rate_of[at["tc"]] = np.where(self.liquid, (gained + liquid_loss + rate * (inlet - tc)) / coolant, 0.0)

        # facility water (with a chiller the set point is held whatever the weather)
        water = self.water
        low = self.water_set - 0.5 * water.capacity_watts / water.gain_watts_per_kelvin
        most = water.capacity_watts * self.water_available
        away = min(max(water.gain_watts_per_kelvin * (tank - low), 0.0), most)
        rate_of[at["tank"]] = (to_water - away) / water.tank_heat_capacity

        # ride-through, breakers
        rate_of[at["ride"]] = np.where(self.powered | self.dark, 0.0, -rack_watts)
        theta, ratio = y[at["theta"]], self.ratios(rack_watts)
        rate_of[at["theta"]] = (ratio**2 - theta) / self.tau
        for b, table in enumerate(self.table):
            if table is not None:
                rate_of[at["theta"]][b] = (
                    1.0 / self.trip_time(table, ratio[b]) if ratio[b] > 1.0 else -theta[b] / self.tau[b]
                )
        return rate_of

    @staticmethod
    def trip_time(table: np.ndarray, ratio: float) -> float:
        """Log-log between the points of a table of ln(r − 1), ln(seconds), and on along its outer pieces."""
        x, t = table[:, 0], table[:, 1]
        j = min(max(int(np.searchsorted(x, np.log(ratio - 1.0))) - 1, 0), len(x) - 2)
        return float(np.exp(t[j] + (np.log(ratio - 1.0) - x[j]) * (t[j + 1] - t[j]) / (x[j + 1] - x[j])))

    def run(
        self, y0: np.ndarray, start: float, until: float, margin: Callable[[np.ndarray], float] | None = None
    ) -> Any:
        """Integrate from ``start`` to ``until`` [s] or to where ``margin(y)`` rises through zero."""
        self.feed()
        events = None
        if margin is not None:

            def rising(t: float, y: np.ndarray) -> float:
                return margin(y)

            rising.terminal, rising.direction = True, 1.0  # type: ignore[attr-defined]
            events = [rising]
        return solve_ivp(self, (start, until), y0, dense_output=True, events=events, **ACCURATE)
