"""What can be set and switched in a plant: loads, breakers, pumps, valves, set points, and its devices' protection.

Every method marks what has to be settled again; nothing is solved here.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from twin.plant import meters as meter
from twin.plant.arrays import Constants, Inputs, State
from twin.plant.compiled import Direct
from twin.plant.facility import AVAILABLE, DRY_BULB, SET, WET_BULB
from twin.plant.pumps import AFTER_CHANGE
from twin.plant.server import BRAKED, NORMAL, OFF, SLOWED

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_allot = Direct(meter.allot)


class Hardware(ABC):
    """The inputs of a plant, which is one of these (:class:`twin.plant.plant.Plant`)."""

    c: Constants
    u: Inputs
    x: State
    m: meter.Meters
    cur: int
    dark: NDArray[np.bool_]  # racks whose loss of power has been announced
    ready: NDArray[np.bool_]  # trays that are on and unhindered
    ready_changes: int  # how often any became so, or ceased to be
    rack_trays: Floats  # allocated
    _dirty_rack: NDArray[np.bool_]
    _dirty_loop: NDArray[np.bool_]
    _dirty_feeds: bool
    _dirty_swing: bool
    _check_devices: bool

    @abstractmethod
    def _before(self, trays: Ints) -> None:
        """Do what has to be done before inputs of ``trays`` change."""

    @abstractmethod
    def _lag(self) -> float:
        """How far [s] the present is from the start of a stretch that is still to be metered."""

    def _touch_trays(self, trays: Ints) -> None:
        """Inputs of ``trays`` are about to change."""
        self._before(trays)
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
        tray = self.u.tray
        tray["load"][trays] = utilisation
        tray["sigma"][trays] = sigma_watts
        tray["swing_hertz"][trays] = swing_hertz
        tray["gang"][trays] = gang
        tray["busy"][trays] = 1
        if linear_share is not None:
            tray["linear"][trays] = linear_share
        if speed_exponent is not None:
            tray["beta"][trays] = speed_exponent

    def move_load(self, trays: Ints, utilisation: float | Floats, sigma_watts: float | Floats) -> None:
        """Change utilisation [-] and swing [W per tray] of ``trays`` whose profiles and gangs stay as they are."""
        self._touch_trays(trays)
        self.u.tray["load"][trays] = utilisation
        self.u.tray["sigma"][trays] = sigma_watts

    def clear_load(self, trays: Ints) -> None:
        """Leave ``trays`` idle."""
        self._touch_trays(trays)
        tray = self.u.tray
        tray["load"][trays] = 0.0
        tray["sigma"][trays] = 0.0
        tray["gang"][trays] = -1
        tray["busy"][trays] = 0

    def allocate(self, trays: Ints, taken: bool) -> None:
        """Count ``trays`` as allocated (or free) in the recorded series."""
        change = 1.0 if taken else -1.0
        _allot(
            np.ascontiguousarray(trays), self.c.tray_rack, change, self._lag(), self.m.win_rack, self.rack_trays,
            self.m.allocated_s,
        )  # fmt: skip

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
        self.ready_changes += 1
        self.set_guards(trays, self.c.rack["t_slow"][rack] if on else np.inf, -np.inf)
        self._touch_trays(trays)

    def set_guards(self, trays: Ints | int, up: float | Floats, down: float | Floats) -> None:
        """Arm the devices of ``trays`` at levels above and below [°C]; an infinite level is none."""
        u, first = self.u, self.c.tray0[:-1]
        u.up[trays], u.down[trays] = up, down
        u.guard[:, 0], u.guard[:, 1] = np.minimum.reduceat(u.up, first), np.maximum.reduceat(u.down, first)
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
        self.ready_changes += 1
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
