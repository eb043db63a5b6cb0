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
from twin.plant.guards import Crossing, Guard
from twin.plant.hardware import Hardware
from twin.plant.integrate import DRIFT, NONE, REST, advance, amend, flow, guards_past
from twin.plant.march import first_past
from twin.plant.pumps import settle_loop
from twin.plant.server import NORMAL
from twin.plant.settle import resolve

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CERTAIN = 0.9  # of its rating: a breaker that can never carry more, whatever racks draw and however it swings, holds
PAST = 1e-9  # K: a device this close below its level counts as past it when the plant settles


# the arrays of every plant have the same types
_flow, _resolve, _past_guards, _past_devices = Direct(flow), Direct(resolve), Direct(guards_past), Direct(first_past)
_settle_loop, _add_up, _reset_windows = Direct(settle_loop), Direct(meter.add_up), Direct(meter.reset_windows)
_stored_joules = Direct(meter.stored_joules)
_advance, _amend, _commit = Direct(advance), Direct(amend), Direct(meter.commit)


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


class Plant(Hardware):
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
        self._tray_loop: Ints = self.c.rack["loop"][self.c.tray_rack]
        self.ready = (self.u.tray["on"] == 1) & (self.u.tray["mode"] == NORMAL)  # trays that are on and unhindered
        self.ready_changes = 0
        self._window_start = 0.0
        self._stored = 0.0
        self._mark: tuple[float, ...] = (0.0,) * 7
        self._energies = np.zeros(7)
        self._metered_from = 0.0
        self._open: _Open | None = None
        self.now = 0.0  # s, of the event that is being carried out while a stretch is open
        self._control_watts = float(self.c.loop["control_watts"].sum())

    # ------------------------------------------------------------------ settle

    def settle(self, now: float) -> Crossing | None:
        """Solve power tree and hydraulics under the present inputs; report an armed guard already past its level."""
        if self._open is not None and now < self._open.end:
            raise PlantError(f"the plant was asked for its state at {now} s within a stretch that ends later")
        crossing = self.close()
        if crossing is not None:
            return crossing
        c, u, x, d, w, cur = self.c, self.u, self.x, self.d, self.w, self.cur
        loops = np.count_nonzero(self._dirty_loop)
        if loops or self._dirty_feeds or self._dirty_swing or np.count_nonzero(self._dirty_rack):
            if loops:
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
            t, _, self.cur, guard, index = self._integrate(t, until, late=False, certain=False)
            self.time = t
            if guard >= 0:
                return self._land(t, guard, index)
            if t == (math.floor(t / window + 1e-9)) * window:
                self._close_window(t)
        return None

    def _integrate(self, now: float, until: float, *, late: bool, certain: bool) -> tuple[float, float, int, int, int]:
        """:func:`twin.plant.integrate.flow`; an error where a state stopped being finite."""
        found = _flow(
            self.c, self.u, self.x, self.d, self.w, self.m, self.topology.rack_row, self.rack_trays, self.rack_clock,
            self._unit, self._aux_unit, self._start_i, self._totals, self._asked, int(self.cur), now, until,
            float(self.window_seconds), late, certain,
        )  # fmt: skip
        t, span, cur, guard, index = found
        if guard == -2:
            self._broken(t, index)
        return t, span, cur, guard, index

    # ------------------------------------------------------------------ a stretch that is left open

    @property
    def hindered(self) -> bool:
        """Whether any device in the hall is slowed, braked, off or capped."""
        return bool(np.count_nonzero(self.d.metered))

    @property
    def certain(self) -> bool:
        """Whether nothing but a device can cross a guard, whatever jobs do, and none is hindered at present.

        A stretch may then be left open for changes of load that are still to happen in it.
        """
        return bool(self.w.most[0] < CERTAIN) and not self._dirty_feeds and not self.hindered

    def open(self, now: float, until: float) -> float:
        """Integrate a stretch from ``now`` towards ``until`` [s] and leave it open; returns the time it reaches.

        Until :meth:`close`, trays may change at times within it (:attr:`now`), in order of time: what they share a loop
        with is carried again from there by :meth:`catch_up`.
        """
        certain = self.certain
        end, span, _, guard, index = self._integrate(float(now), float(until), late=True, certain=certain)
        water, slope = float(self.x.tank[self.cur, 0]), float(self._totals[3])
        self._open = _Open(float(now), end, span, water, slope, set(), changed=certain)
        if guard >= 0:
            self._open.found = (guard, index)
        return end

    def _lag(self) -> float:
        return self._open.lag(self.now) if self._open is not None else 0.0

    def _before(self, trays: Ints) -> None:
        """Put the loops of ``trays`` into the state they have now, where a stretch is open."""
        stretch = self._open
        if stretch is None:
            return
        at = stretch.lag(self.now)
        for loop in sorted(set(self._tray_loop[trays].tolist())):
            self._amend(loop, at, before=True)
            stretch.late.add(loop)

    def _amend(self, loop: int, at: float, *, before: bool) -> tuple[float, int]:
        """:func:`twin.plant.integrate.amend` in the open stretch; an error where a state stopped being finite."""
        stretch = self._open
        assert stretch is not None
        t, tray = _amend(
            self.c, self.u, self.x, self.d, self.w, self.m, loop, int(self.cur), at, stretch.span, stretch.water,
            stretch.slope, self._dirty_rack, self.rack_clock, before,
        )  # fmt: skip
        if tray == -2:
            self._broken(stretch.start + t, loop)
        return t, tray

    def _advance(self, stretch: _Open, watch: int) -> None:
        """:func:`twin.plant.integrate.advance` over an open stretch, whose loops may have changed within it."""
        _advance(
            self.c, self.u, self.x, self.d, self.w, self._unit, self._aux_unit, int(self.cur), stretch.span, watch,
            self._totals, stretch.slope,
        )  # fmt: skip

    def catch_up(self) -> float | None:
        """Carry loops whose trays changed within an open stretch to its end, or to the first guard they cross.

        Returns the end [s] of the stretch, None where none is open.
        """
        stretch = self._open
        if stretch is None:
            return None
        if not stretch.late:
            return stretch.end
        if self._dirty_feeds or np.count_nonzero(self._dirty_loop):
            raise PlantError("switches or pumps changed within a stretch that was open for changes of load only")
        if stretch.found is not None and self._loop_of(stretch.found) in stretch.late:
            stretch.found = None  # it is found again, or no more
        first, tray = stretch.span, -1
        for loop in sorted(stretch.late):
            t, found = self._amend(loop, 0.0, before=False)
            if found >= 0 and (tray < 0 or (t, found) < (first, tray)):
                first, tray = t, found
        stretch.late.clear()
        stretch.changed = True
        if tray >= 0:
            stretch.span, stretch.end, stretch.found = first, stretch.start + first, (int(Guard.DEVICE), tray)
            self._advance(stretch, NONE)
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
            if stretch.changed:
                self._advance(stretch, REST)
                self.w.begin[:] = 0.0
            _commit(
                self.c, self.u, self.x, self.d, self.w, self.m, self.topology.rack_row, self.rack_trays,
                self.rack_clock, self._start_i, self._totals, int(self.cur), stretch.span,
            )  # fmt: skip
            self.cur = 1 - self.cur
            drifted = np.abs(self.x.loop[self.cur, :, 0] - self.d.viscous) > DRIFT
            for loop in drifted.nonzero()[0].tolist():
                _settle_loop(self.c, self.u, self.x, self.d, self.w.branch, loop, int(self.cur))
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
