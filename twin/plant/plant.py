"""The plant: settle the algebra, flow through time, and report the first guard that is crossed.

The plant knows guards by index, never what a policy is. Inputs change only through its methods, each of which marks
what has to be settled again; every read of an output settles first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.hall.topology import Topology
from twin.plant import meters as meter
from twin.plant.arrays import Constants, constants, derived, inputs, state, work
from twin.plant.compiled import Direct
from twin.plant.facility import AVAILABLE, DRY_BULB, SET, WET_BULB
from twin.plant.guards import Crossing, Guard
from twin.plant.integrate import NONE, advance, close_stretch, cut, flow, guards_past, open_stretch, resume
from twin.plant.march import first_past
from twin.plant.pumps import AFTER_CHANGE, settle_loop
from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED
from twin.plant.settle import resolve

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CERTAIN = 0.9  # of its rating: a breaker that can never carry more, whatever racks draw and however it swings, holds
PAST = 1e-9  # K: a device this close below its level counts as past it when the plant settles


# the arrays of every plant have the same types
_flow, _resolve, _past_guards, _past_devices = Direct(flow), Direct(resolve), Direct(guards_past), Direct(first_past)
_settle_loop, _add_up, _reset_windows = Direct(settle_loop), Direct(meter.add_up), Direct(meter.reset_windows)
_stored_joules = Direct(meter.stored_joules)
_open_stretch, _close_stretch, _cut, _resume = Direct(open_stretch), Direct(close_stretch), Direct(cut), Direct(resume)


class PlantError(RuntimeError):
    """The plant's state stopped being finite; the message names the loop or zone and the time."""


class Window(NamedTuple):
    """One recorded interval: arrays of (min, max, integral) per signal, and its balance."""

    start: float
    seconds: float
    rack: Floats
    loop: Floats
    row: Floats
    node: Floats
    breaker: Floats
    hall: Floats
    heat_residual: float
    power_residual: float


def _residuals(now: tuple[float, ...], since: tuple[float, ...], gained: float) -> tuple[float, float]:
    """Heat and power residuals [-] between two ledgers, ``gained`` [J] being the change of stored heat."""
    rack, pump, fan, hx, crah, supplied, lost = (a - b for a, b in zip(now, since, strict=True))
    heat_in = rack + pump + fan
    return (heat_in - hx - crah - gained) / max(heat_in, 1.0), (supplied - rack - lost) / max(supplied, 1.0)


@dataclass
class _Open:
    """A stretch that is integrated and not committed: start and end [s], span, water at its start [°C], its slope."""

    start: float
    end: float
    span: float
    water: float
    slope: float
    late: set[int]  # loops that have changed since it was carried to its end
    found: tuple[int, int] | None = None  # guard and index of what is crossed at its end
    changed: bool = False  # whether zones, power and water are still to follow what loops did

    def lag(self, now: float) -> float:
        """From its start to ``now`` [s]."""
        return min(max(0.0, now - self.start), self.span)


class Plant:
    """A hall's physics. ``on_window`` is called with a :class:`Window` at every multiple of ``window_seconds``."""

    def __init__(
        self,
        topology: Topology,
        *,
        parameters: Constants | None = None,
        window_seconds: float = 60.0,
        on_window: Callable[[Window], None] | None = None,
    ) -> None:
        self.topology = topology
        self.c = constants(topology) if parameters is None else parameters
        self.u = inputs(topology, self.c)
        self.x = state(self.c, self.u)
        self.d = derived(self.c)
        self.w = work(self.c, self.u, len(topology.row_names))
        self.m = meter.meters(self.c, self.u, len(topology.row_names))
        self.on_window = on_window
        self.window_seconds = window_seconds
        self.time = 0.0
        self.cur = 0
        racks = len(topology.rack_names)
        self.dark = np.zeros(racks, dtype=bool)  # racks whose loss of power has been announced
        self.rack_trays = np.zeros(racks)  # allocated
        self.rack_clock = np.ones(racks)
        self._unit = np.zeros((racks, 2, 6))
        self._aux_unit = np.zeros((len(self.c.aux), 6))
        self._totals = np.zeros(4)
        self._start_i = np.zeros((len(topology.node_names), 6))
        self._dirty_rack = np.ones(racks, dtype=bool)
        self._dirty_loop = np.ones(len(topology.loop_names), dtype=bool)
        self._dirty_feeds = True
        self._dirty_swing = True
        self._check_devices = True
        self._asked = np.array([window_seconds])  # s of stretch to ask for next
        self._all_racks = np.arange(racks)
        self.ready = (self.u.tray["on"] == 1) & (self.u.tray["mode"] == NORMAL)  # trays that are on and unhindered
        self._window_start = 0.0
        self._stored = 0.0
        self._mark: tuple[float, ...] = (0.0,) * 7
        self._energies = np.zeros(7)
        self._metered_from = 0.0
        self._open: _Open | None = None
        self.now = 0.0  # s, of the event that is being carried out while a stretch is open
        self._control_watts = float(self.c.loop["control_watts"].sum())

    # ------------------------------------------------------------------ inputs

    def _touch_trays(self, trays: Ints) -> None:
        """Inputs of ``trays`` are about to change."""
        if self._open is not None:
            self._cut(trays)
        self._dirty_rack[self.c.tray_rack[trays]] = True
        self._dirty_swing = True

    def set_load(
        self,
        trays: Ints,
        utilisation: float | Floats,
        *,
        linear_share: float | None = None,
        speed_exponent: float | None = None,
        sigma_watts: float | Floats = 0.0,
        swing_hertz: float = 1.0,
        gang: int | Ints = -1,
    ) -> None:
        """Give ``trays`` (indices) a power profile. utilisation [-] of the dynamic range; sigma_watts [W] per tray."""
        self._touch_trays(trays)
        u = self.u
        u.tray["load"][trays] = utilisation
        u.tray["sigma"][trays] = sigma_watts
        u.tray["swing_hertz"][trays] = swing_hertz
        u.tray["gang"][trays] = gang
        u.tray["busy"][trays] = 1
        if linear_share is not None:
            u.tray["linear"][trays] = linear_share
        if speed_exponent is not None:
            u.tray["beta"][trays] = speed_exponent

    def move_load(self, trays: Ints, utilisation: float, sigma_watts: float) -> None:
        """Change utilisation [-] and swing [W per tray] of ``trays`` whose profiles and gangs stay as they are."""
        self._touch_trays(trays)
        self.u.tray["load"][trays] = utilisation
        self.u.tray["sigma"][trays] = sigma_watts

    def clear_load(self, trays: Ints) -> None:
        """Leave ``trays`` idle."""
        self._touch_trays(trays)
        u = self.u
        u.tray["load"][trays] = 0.0
        u.tray["sigma"][trays] = 0.0
        u.tray["gang"][trays] = -1
        u.tray["busy"][trays] = 0

    def allocate(self, trays: Ints, taken: bool) -> None:
        """Count ``trays`` as allocated (or free) in the recorded series."""
        racks, sign = self.c.tray_rack[trays], 1.0 if taken else -1.0
        before = self._open.lag(self.now) if self._open is not None else 0.0
        if before > 0.0:
            # the open stretch will count them for all of its length
            window = self.m.win_rack[:, meter.RACK_TRAYS]
            window[racks, 0] = np.minimum(window[racks, 0], self.rack_trays[racks])
            window[racks, 1] = np.maximum(window[racks, 1], self.rack_trays[racks])
            np.add.at(window[:, 2], racks, -sign * before)
            np.add.at(self.m.allocated_s, racks, -sign * before)
        np.add.at(self.rack_trays, racks, sign)

    def set_cap(self, trays: Ints, clock: float | Floats) -> None:
        """Limit the clock of ``trays`` to a fraction of nominal, as policy or firmware does."""
        self.u.tray["cap"][trays] = clock
        self._touch_trays(trays)

    def set_on(self, trays: Ints, on: bool) -> None:
        """Switch trays on (idle, cold-started guards) or off (they draw nothing)."""
        u = self.u
        rack = self.c.tray_rack[trays]
        u.tray["on"][trays] = 1 if on else 0
        u.tray["mode"][trays] = NORMAL if on else OFF
        self.ready[trays] = on
        self.set_guards(trays, self.c.rack["t_slow"][rack] if on else np.inf, -np.inf)
        self._touch_trays(trays)

    def set_guards(self, trays: Ints | int, up: float | Floats, down: float | Floats) -> None:
        """Arm the devices of ``trays`` at levels above and below [°C]; an infinite level is none."""
        u, first = self.u, self.c.tray0[:-1]
        u.up[trays], u.down[trays] = up, down
        u.guard[:, 0], u.guard[:, 1] = np.minimum.reduceat(u.up, first), np.maximum.reduceat(u.down, first)
        self.x.age[self.cur] = -1.0  # steps ahead were found to cross no level that was armed then
        self._check_devices = True

    def set_breaker(self, breaker: int, closed: bool) -> None:
        self.u.closed[breaker] = 1 if closed else 0
        self._dirty_feeds = True

    def set_source(self, node: int, on: bool) -> None:
        """Give or take the supply of a power node (a utility, or the feed into a UPS, PDU or row)."""
        self.u.source_on[node] = 1 if on else 0
        self._dirty_feeds = True

    def set_pump(self, loop: int, pump: int, on: bool) -> None:
        self.u.pump_on[loop, pump] = 1 if on else 0
        self._dirty_loop[loop] = True

    def set_health(self, loop: int, pump: int, share: float) -> None:
        """Let a pump reach only a share [-] of the speed that it is told."""
        self.u.pump_health[loop, pump] = share
        self._dirty_loop[loop] = True

    def set_fouling(self, loop: int, resistance: float) -> None:
        """Fouling resistance [K/W] of a loop's heat exchanger."""
        self.u.loop["fouling"][loop] = resistance
        self._dirty_loop[loop] = True

    def set_main(self, loop: int, factor: float) -> None:
        """Resistance of a loop's main and filter, of nominal [-]."""
        self.u.loop["main_factor"][loop] = factor
        self._dirty_loop[loop] = True

    def set_facility_water(self, celsius: float) -> None:
        """Set point [°C] of the facility water."""
        self.u.facility[SET] = celsius

    def set_rejection(self, share: float) -> None:
        """Share [-] of the facility's heat rejection that is available."""
        self.u.facility[AVAILABLE] = share

    def set_phase(self, node: int, phase: int, on: bool) -> None:
        """Break a line of a power node, or join it again: ``phase`` 0, 1 or 2."""
        self.u.phase_on[node, phase] = 1 if on else 0
        self._dirty_feeds = True

    def set_interface(self, trays: Ints, factor: float) -> None:
        """Resistance between device and plate of ``trays``, of that as built [-]."""
        self.u.ir[trays] = self.c.ir[trays] / factor
        self._touch_trays(trays)

    def set_valve(self, rack: int, position: float) -> None:
        self.u.rack["valve"][rack] = position
        loop = self.c.rack["loop"][rack]
        if loop >= 0:
            self._dirty_loop[loop] = True

    def set_supply(self, loop: int, celsius: float) -> None:
        self.u.loop["supply_set"][loop] = celsius
        self._dirty_loop[loop] = True

    def set_pressure(self, loop: int, pascals: float) -> None:
        """Move the set point of the pressure across a loop's manifold."""
        self.u.loop["pressure_set"][loop] = pascals
        self._dirty_loop[loop] = True

    def set_water(self, loop: int, share: float) -> None:
        """Leave a loop's exchanger only a share of its facility water; 0 is the loss of it."""
        self.u.loop["water_factor"][loop] = share
        self._dirty_loop[loop] = True

    def set_crah(self, zone: int, share: float) -> None:
        """Leave a zone only a share of its CRAHs' capacity; 0 is the loss of all."""
        self.u.zone["factor"][zone] = share
        self.x.h_zone[self.cur, zone] = min(self.x.h_zone[self.cur, zone], AFTER_CHANGE)

    def set_weather(self, dry_bulb: float, wet_bulb: float) -> None:
        self.u.facility[DRY_BULB], self.u.facility[WET_BULB] = dry_bulb, wet_bulb

    def darken(self, rack: int) -> None:
        """Carry out a loss of power: the rack's trays are off and stay off until :meth:`set_on`."""
        self.dark[rack] = True
        self.u.rack["air_on"][rack] = 0.0
        trays = np.arange(self.c.tray0[rack], self.c.tray0[rack + 1])
        self.set_on(trays, False)

    def light(self, rack: int) -> None:
        """Take back a rack that has power again; its trays are still off."""
        self.dark[rack] = False
        self.u.rack["air_on"][rack] = 1.0
        self._dirty_rack[rack] = True

    # ------------------------------------------------------------------ device protection

    def step_device(self, tray: int) -> tuple[int, int]:
        """Carry out a device's guard: returns (old mode, new mode). Its release is armed by :meth:`arm_release`."""
        u, c = self.u, self.c
        rack = int(c.tray_rack[tray])
        old = int(u.tray["mode"][tray])
        temperature = self.x.td[self.cur, tray]
        # landed on one of its two levels, to within what the last stretch's water forecast moved it
        rising = u.up[tray] - temperature <= temperature - u.down[tray]
        new = old + 1 if rising else old - 1
        u.tray["mode"][tray] = new
        self.ready[tray] = new == NORMAL and bool(u.tray["on"][tray])
        levels = (c.rack["t_slow"][rack], c.rack["t_brake"][rack], c.rack["t_off"][rack], np.inf)
        self.set_guards(tray, levels[new], -np.inf)
        if new == OFF:
            u.tray["on"][tray] = 0
        self._touch_trays(np.array([tray]))
        return old, new

    def arm_release(self, tray: int) -> None:
        """Arm the lower level of a slowed or braked device, its dwell being over."""
        mode = int(self.u.tray["mode"][tray])
        part = self.c.rack[int(self.c.tray_rack[tray])]
        if mode in (SLOWED, BRAKED):
            level = part["t_slow"] if mode == SLOWED else part["t_brake"]
            self.set_guards(tray, self.u.up[tray], level - part["release"])
        self._check_devices = True

    # ------------------------------------------------------------------ settle

    def settle(self, now: float) -> Crossing | None:
        """Solve power tree and hydraulics under the present inputs; report an armed guard already past its level."""
        if self._open is not None and now < self._open.end:
            raise PlantError(f"the plant was asked for its state at {now} s within a stretch that ends later")
        crossing = self.close()
        if crossing is not None:
            return crossing
        c, u, x, d, w, cur = self.c, self.u, self.x, self.d, self.w, self.cur
        dirty = self._dirty_feeds or self._dirty_swing or bool(self._dirty_rack.any()) or bool(self._dirty_loop.any())
        if dirty:
            if self._dirty_loop.any():
                for loop in np.flatnonzero(self._dirty_loop).tolist():
                    _settle_loop(c, u, x, d, w.branch, loop, cur)
                self._dirty_loop[:] = False
            _resolve(
                c, u, x, d, w, self._unit, self._aux_unit, cur, self._dirty_rack, self._dirty_feeds, self._dirty_swing,
                self.rack_clock, self._start_i,
            )  # fmt: skip
            self._dirty_feeds = self._dirty_swing = False
        return self._past(now)

    def _past(self, now: float) -> Crossing | None:
        c, u, x, d, cur = self.c, self.u, self.x, self.d, self.cur
        guard, index = _past_guards(
            c.breaker, u.closed, self.w.breaker_r[0], x.timer[cur], x.theta[cur], d.powered, self.dark
        )
        if guard >= 0:
            return Crossing(now, Guard(guard), index)
        if self._check_devices:
            tray = _past_devices(c, u, x.td[cur], self._all_racks, PAST, -1)
            if tray >= 0:
                return Crossing(now, Guard.DEVICE, int(tray))
            self._check_devices = False
        return None

    # ------------------------------------------------------------------ flow

    def flow(self, now: float, until: float) -> Crossing | None:
        """Integrate from ``now`` to ``until`` [s], or to the earliest crossing of an armed guard, on its far side."""
        crossing = self.close()
        if crossing is not None:
            return crossing
        t, until, window = float(now), float(until), float(self.window_seconds)
        while t < until:
            t, self.cur, guard, index = _flow(
                self.c, self.u, self.x, self.d, self.w, self.m, self.topology.rack_row, self.rack_trays,
                self.rack_clock, self._unit, self._aux_unit, self._start_i, self._totals, self._asked, int(self.cur), t,
                until, window,
            )  # fmt: skip
            self.time = t
            if guard == -2:
                self._broken(t, index)
            if guard >= 0:
                return self._land(t, guard, index)
            if t == (math.floor(t / window + 1e-9)) * window:
                self._close_window(t)
        return None

    # ------------------------------------------------------------------ a stretch that is left open

    @property
    def certain(self) -> bool:
        """Whether nothing but a device can cross a guard, whatever jobs do, and none is hindered at present.

        A stretch may then be left open for changes of load that are still to happen in it.
        """
        return bool(self.w.most[0] < CERTAIN) and not self._dirty_feeds and not self.d.metered.any()

    def open(self, now: float, until: float) -> float:
        """Integrate a stretch from ``now`` towards ``until`` [s] and leave it open; returns the time it reaches.

        Until :meth:`close`, trays may change at times within it (:attr:`now`), in order of time: what they share a loop
        with is carried again from there by :meth:`catch_up`.
        """
        certain = self.certain
        end, span, guard, index = _open_stretch(
            self.c, self.u, self.x, self.d, self.w, self._unit, self._aux_unit, self._totals, self._asked,
            int(self.cur), float(now), float(until), float(self.window_seconds), certain,
        )  # fmt: skip
        if guard == -2:
            self._broken(end, index)
        water, slope = float(self.x.tank[self.cur, 0]), float(self._totals[3])
        self._open = _Open(float(now), end, span, water, slope, set(), changed=certain)
        if guard >= 0:
            self._open.found = (guard, index)
        return end

    def _cut(self, trays: Ints) -> None:
        """Put the loops of ``trays`` into the state they have now, before they change."""
        stretch = self._open
        assert stretch is not None
        at = stretch.lag(self.now)
        for loop in np.unique(self.c.rack["loop"][self.c.tray_rack[trays]]).tolist():
            _cut(self.c, self.u, self.x, self.d, self.w, self.m, loop, int(self.cur), at, stretch.water, stretch.slope)
            stretch.late.add(loop)

    def catch_up(self) -> float | None:
        """Carry loops whose trays changed within an open stretch to its end, or to the first guard they cross.

        Returns the end [s] of the stretch, None where none is open.
        """
        stretch = self._open
        if stretch is None:
            return None
        if not stretch.late:
            return stretch.end
        if self._dirty_feeds or self._dirty_loop.any():
            raise PlantError("switches or pumps changed within a stretch that was open for changes of load only")
        if stretch.found is not None and self._loop_of(stretch.found) in stretch.late:
            stretch.found = None  # it is found again, or no more
        first, tray = stretch.span, -1
        for loop in sorted(stretch.late):
            t, found = _resume(
                self.c, self.u, self.x, self.d, self.w, self.m, loop, int(self.cur), stretch.span, stretch.water,
                stretch.slope, self._dirty_rack, self.rack_clock,
            )  # fmt: skip
            if found == -2:
                self._broken(stretch.start + t, loop)
            if found >= 0 and (tray < 0 or (t, found) < (first, tray)):
                first, tray = t, found
        stretch.late.clear()
        stretch.changed = True
        if tray >= 0:
            advance(
                self.c, self.u, self.x, self.d, self.w, self._unit, self._aux_unit, self.cur, first, NONE, self._totals,
                stretch.slope,
            )  # fmt: skip
            stretch.span, stretch.end, stretch.found = first, stretch.start + first, (int(Guard.DEVICE), tray)
        return stretch.end

    def _loop_of(self, found: tuple[int, int]) -> int:
        """The loop of a device that crosses a guard, −1 for other guards."""
        guard, index = found
        return int(self.c.rack["loop"][self.c.tray_rack[index]]) if guard == Guard.DEVICE else -1

    def close(self) -> Crossing | None:
        """Commit the stretch that is open, if one is; returns what it crossed at its end. A window ends with it."""
        stretch = self._open
        if stretch is None:
            return None
        self._open = None
        self.time = stretch.end
        if stretch.span > 0.0:
            _close_stretch(
                self.c, self.u, self.x, self.d, self.w, self.m, self.topology.rack_row, self.rack_trays,
                self.rack_clock, self._unit, self._aux_unit, self._start_i, self._totals, int(self.cur), stretch.span,
                stretch.changed,
            )  # fmt: skip
            self.cur = 1 - self.cur
        if stretch.found is not None:
            return self._land(stretch.end, *stretch.found)
        if self.time == (math.floor(self.time / self.window_seconds + 1e-9)) * self.window_seconds:
            self._close_window(self.time)
        return None

    def _land(self, time: float, guard: int, index: int) -> Crossing:
        """Put the crossed quantity on the far side of its level."""
        x, c = self.x, self.c
        if guard == Guard.BREAKER_THERMAL:
            x.theta[self.cur, index] = max(x.theta[self.cur, index], c.breaker["level"][index])
        elif guard == Guard.BREAKER_SHORT_TIME:
            x.timer[self.cur, index] = max(x.timer[self.cur, index], c.breaker["short_delay"][index])
        elif guard == Guard.RACK_DARK:
            x.ride[self.cur, index] = 0.0
            self._dirty_feeds = True
        elif guard == Guard.BATTERY_SPENT:
            x.battery[self.cur, index] = 0.0
            self._dirty_feeds = True
        else:
            self._check_devices = True
        return Crossing(time, Guard(guard), index)

    def _broken(self, t: float, index: int) -> None:
        name = self.topology.loop_names[index] if index >= 0 else self.topology.zone_names[-1 - index]
        raise PlantError(
            f"{name}: a temperature stopped being finite near t = {t:.3f} s; look for heat capacities of zero, "
            "negative resistances or a load beyond any cooling in the hall file"
        )

    # ------------------------------------------------------------------ windows and balance

    def _ledger(self) -> tuple[float, ...]:
        m = self.m
        _add_up(m.rack_joules, m.pump, m.fan, m.hx, m.crah, m.total, self._energies)
        rack, pump, fan, hx, crah, supplied, lost = self._energies.tolist()
        # what a CDU's controls take does not enter the coolant
        return rack, pump - self._control_watts * (self.time - self._metered_from), fan, hx, crah, supplied, lost

    def _held(self) -> float:
        """Heat [J] stored in the hall above 0 °C."""
        return float(_stored_joules(self.c, self.x, self.cur))

    def residuals(self, since: tuple[float, ...], stored: float) -> tuple[float, float]:
        """Heat and power residuals [-] since a ledger and a stored energy [J]: (in − out − stored)/in."""
        return _residuals(self._ledger(), since, self._held() - stored)

    def _close_window(self, t: float) -> None:
        ledger, held = self._ledger(), self._held()
        if self.on_window is not None:
            m = self.m
            heat, power = _residuals(ledger, self._mark, held - self._stored)
            self.on_window(
                Window(self._window_start, t - self._window_start, m.win_rack, m.win_loop, m.win_row, m.win_node,
                       m.win_breaker, m.win_hall, heat, power)
            )  # fmt: skip
            if self.m is not m:
                return  # the meters were started again, and with them a window
        self._begin_window(t, ledger, held)

    def open_window(self, t: float) -> None:
        """Start a window at ``t`` [s]: empty its meters and mark its energy."""
        self._begin_window(t, self._ledger(), self._held())

    def _begin_window(self, t: float, ledger: tuple[float, ...], held: float) -> None:
        m = self.m
        _reset_windows(m.win_rack, m.win_loop, m.win_row, m.win_node, m.win_breaker, m.win_hall)
        self._window_start = t
        self._mark = ledger
        self._stored = held

    def reset_meters(self) -> None:
        """Start all totals again (the end of a warm-up). Work lost to slow clocks goes on counting."""
        lag = self.m.lag.copy()
        self.m = meter.meters(self.c, self.u, len(self.topology.row_names))
        self.m.lag[:] = lag
        self._metered_from = self.time
        self.open_window(self.time)

    # ------------------------------------------------------------------ outputs (call settle first)

    @property
    def rack_power(self) -> Floats:
        """AC power of every rack [W], shape (R,)."""
        return self.w.rack_power[0]

    @property
    def device_temperature(self) -> Floats:
        """Hottest device of every rack [°C], shape (R,)."""
        return np.maximum.reduceat(self.x.td[self.cur], self.c.tray0[:-1])

    @property
    def breaker_ratio(self) -> Floats:
        """RMS current over rating of every breaker, shape (B,)."""
        return self.w.breaker_r[0]
