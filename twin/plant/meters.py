"""Meters: what a committed stretch adds to the run's totals and to the window being recorded."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.plant.air import inlet_temperature
from twin.plant.arrays import Constants, Derived, Inputs, Ints, State, Work
from twin.plant.compiled import inner, kernel
from twin.plant.facility import cooling_watts
from twin.plant.power import phase_amperes

Floats = NDArray[np.float64]

# signals of the window, by level
RACK_POWER, RACK_DEVICE, RACK_RETURN, RACK_SUPPLY, RACK_FLOW, RACK_INLET, RACK_TRAYS, RACK_CLOCK = range(8)
LOOP_SUPPLY, LOOP_RETURN, LOOP_FLOW, LOOP_HEAT, LOOP_VALVE, LOOP_SPEED = range(6)
HALL_POWER, HALL_FACILITY_POWER, HALL_WATER, HALL_ROOM = range(4)
RACK_FEED = 5  # code in topology.NODE_KINDS: rack feeds have their breaker's window only
# totals
SOURCE, CONVERSION, REJECTED, COOLING, AUXILIARY, BATTERY, RIDE = range(7)


class Meters(NamedTuple):
    """Totals over the run (or since the warm-up) and the window's (min, max, integral) per signal."""

    rack_joules: Floats  # R
    lag: Floats  # T, seconds of work lost to slow clocks since the start of the run (never reset)
    slow_s: Floats  # T
    brake_s: Floats  # T
    cap_s: Floats  # T
    hx: Floats  # L, J
    pump: Floats  # L, J
    crah: Floats  # Z, J
    fan: Floats  # Z, J
    total: Floats  # J, by the names above
    dark_s: Floats  # R
    allocated_s: Floats  # R, tray-seconds
    win_rack: Floats  # R×8×3
    win_loop: Floats  # L×6×3
    win_row: Floats  # W×1×3
    win_node: Floats  # N×3×3, phase currents, A
    win_breaker: Floats  # B×2×3, hottest RMS current A, thermal fraction
    win_hall: Floats  # 1×4×3
    theta_max: Floats  # B, fraction of the trip level
    amperes_max: Floats  # B
    row_peak: Floats  # W
    rack_peak: Floats  # R
    device_max: Floats  # R
    supply_max: Floats  # L
    return_max: Floats  # L
    flow_min: Floats  # L


def meters(c: Constants, u: Inputs, rows: int) -> Meters:
    trays, racks, loops, zones = len(c.idle), len(c.rack), len(c.loop), len(c.zone)
    nodes, breakers = len(c.node), len(c.breaker)
    zero = np.zeros

    def window(*shape: int) -> Floats:
        out = zero((*shape, 3))
        reset(out)
        return out

    return Meters(
        zero(racks), zero(trays), zero(trays), zero(trays), zero(trays), zero(loops), zero(loops), zero(zones),
        zero(zones), zero(7), zero(racks), zero(racks), window(racks, 8), window(loops, 6), window(rows, 1),
        window(nodes, 3), window(breakers, 2), window(1, 4), zero(breakers), zero(breakers), zero(rows), zero(racks),
        np.full(racks, -273.15), np.full(loops, -273.15), np.full(loops, -273.15), np.full(loops, np.inf),
    )  # fmt: skip


def reset(window: Floats) -> None:
    """Empty a window's minimum, maximum and integral, shape (…, 3)."""
    window[..., 0] = np.inf
    window[..., 1] = -np.inf
    window[..., 2] = 0.0


@inner
def _reset(window: Floats) -> None:
    for i in range(window.shape[0]):
        for j in range(window.shape[1]):
            window[i, j, 0] = np.inf
            window[i, j, 1] = -np.inf
            window[i, j, 2] = 0.0


@kernel
def reset_windows(rack: Floats, loop: Floats, row: Floats, node: Floats, breaker: Floats, hall: Floats) -> None:
    """Empty every window: :func:`reset` of six."""
    _reset(rack)
    _reset(loop)
    _reset(row)
    _reset(node)
    _reset(breaker)
    _reset(hall)


@kernel
def allot(
    trays: Ints, tray_rack: Ints, change: float, late: float, window: Floats, rack_trays: Floats, allocated: Floats
) -> None:
    """Add ``change`` to the allocated trays of a rack for each of ``trays``, ``late`` [s] after the last stretch.

    window: that of the racks; allocated: tray-seconds so far, shape (R,). The stretch that is open will count the trays
    for all of its length, and see nothing of what there was before.
    """
    if late > 0.0:
        for tray in trays:
            r = tray_rack[tray]
            seen = window[r, RACK_TRAYS]
            seen[0] = min(seen[0], rack_trays[r])
            seen[1] = max(seen[1], rack_trays[r])
    for tray in trays:
        r = tray_rack[tray]
        if late > 0.0:
            window[r, RACK_TRAYS, 2] -= change * late
            allocated[r] -= change * late
        rack_trays[r] += change


@kernel
def add_up(rack: Floats, pump: Floats, fan: Floats, hx: Floats, crah: Floats, total: Floats, out: Floats) -> None:
    """Energies [J] so far into ``out``: racks, pumps, fans, exchangers, CRAHs, supplied, lost on the way to racks."""
    out[:] = 0.0
    for joules in rack:
        out[0] += joules
    for joules in pump:
        out[1] += joules
    for joules in fan:
        out[2] += joules
    for joules in hx:
        out[3] += joules
    for joules in crah:
        out[4] += joules
    out[5] = total[SOURCE] + total[BATTERY] + total[RIDE]
    out[6] = total[CONVERSION] + total[AUXILIARY]


@inner
def _put(window: Floats, index: int, signal: int, before: float, after: float, span: float) -> None:
    window[index, signal, 0] = min(window[index, signal, 0], before, after)
    window[index, signal, 1] = max(window[index, signal, 1], before, after)
    window[index, signal, 2] += 0.5 * span * (before + after)


@inner
def _put_mean(window: Floats, index: int, signal: int, before: float, after: float, mean: float, span: float) -> None:
    window[index, signal, 0] = min(window[index, signal, 0], before, after)
    window[index, signal, 1] = max(window[index, signal, 1], before, after)
    window[index, signal, 2] += span * mean


@inner
def see_power(m: Meters, r: int, watts: float) -> None:
    """Note a power [W] that a rack had on the way, of which the ends of the stretch may know nothing."""
    m.win_rack[r, RACK_POWER, 0] = min(m.win_rack[r, RACK_POWER, 0], watts)
    m.win_rack[r, RACK_POWER, 1] = max(m.win_rack[r, RACK_POWER, 1], watts)
    m.rack_peak[r] = max(m.rack_peak[r], watts)


@kernel
def commit(
    c: Constants,
    u: Inputs,
    x: State,
    d: Derived,
    w: Work,
    m: Meters,
    row_of: Ints,
    rack_trays: Floats,
    rack_clock: Floats,
    start_i: Floats,
    totals: Floats,
    cur: int,
    span: float,
) -> None:
    """Add the stretch from row ``cur`` to the other row, of ``span`` [s], to the meters.

    start_i: line currents at the stretch's start, shape (N, 6); w.node_i holds those at its end. What holds at the end
    then becomes what the next stretch starts with.
    """
    nxt = 1 - cur
    it0 = 0.0
    it1 = 0.0
    rows = m.row_peak.size
    row0, row1, mean = w.row_power[0], w.row_power[1], w.row_power[2]
    for row in range(rows):
        row0[row] = 0.0
        row1[row] = 0.0
        mean[row] = 0.0
    it_joules = 0.0
    for r in range(c.tray0.size - 1):
        p0, p1 = w.rack_power[0, r], w.rack_power[1, r]
        m.rack_joules[r] += w.rack[r].rack_joules
        it0 += p0
        it1 += p1
        it_joules += w.rack[r].rack_joules
        if row_of[r] >= 0:
            row0[row_of[r]] += p0
            row1[row_of[r]] += p1
            mean[row_of[r]] += w.rack[r].rack_joules / span
        win = m.win_rack[r]
        win[RACK_POWER, 0] = min(win[RACK_POWER, 0], p0, p1)
        win[RACK_POWER, 1] = max(win[RACK_POWER, 1], p0, p1)
        win[RACK_POWER, 2] += w.rack[r].rack_joules
        for s in range(2):
            win[RACK_DEVICE + s, 0] = min(win[RACK_DEVICE + s, 0], w.seen[r, 0, s])
            win[RACK_DEVICE + s, 1] = max(win[RACK_DEVICE + s, 1], w.seen[r, 1, s])
            win[RACK_DEVICE + s, 2] += w.seen[r, 2, s]
        m.device_max[r] = max(m.device_max[r], w.seen[r, 1, 0])
        m.rack_peak[r] = max(m.rack_peak[r], p0, p1)
        z = c.rack[r].zone
        inlet0 = inlet_temperature(c, u, r, x.zone[cur, z], x.ta[cur])
        inlet1 = inlet_temperature(c, u, r, x.zone[nxt, z], x.ta[nxt])
        _put(m.win_rack, r, RACK_INLET, inlet0, inlet1, span)
        if not c.rack[r].liquid:
            _put(m.win_rack, r, RACK_SUPPLY, inlet0, inlet1, span)
        _put(m.win_rack, r, RACK_FLOW, x.flow[cur, r], x.flow[nxt, r], span)
        _put(m.win_rack, r, RACK_TRAYS, rack_trays[r], rack_trays[r], span)
        _put(m.win_rack, r, RACK_CLOCK, rack_clock[r], rack_clock[r], span)
        m.allocated_s[r] += rack_trays[r] * span
        if d.powered[r] == 0.0:
            m.dark_s[r] += span
        if d.metered[r]:
            for i in range(c.tray0[r], c.tray0[r + 1]):
                m.lag[i] += w.meter[i].lag
                m.slow_s[i] += w.meter[i].slow_s
                m.brake_s[i] += w.meter[i].brake_s
                m.cap_s[i] += w.meter[i].cap_s
    mechanical = 0.0
    for loop in range(c.loop.size):
        total0 = 0.0
        total1 = 0.0
        for j in range(c.loop_ptr[loop], c.loop_ptr[loop + 1]):
            r = c.loop_idx[j]
            total0 += x.flow[cur, r]
            total1 += x.flow[nxt, r]
            win = m.win_rack[r]
            win[RACK_SUPPLY, 0] = min(win[RACK_SUPPLY, 0], w.seen_loop[loop, 0, 0])
            win[RACK_SUPPLY, 1] = max(win[RACK_SUPPLY, 1], w.seen_loop[loop, 1, 0])
            win[RACK_SUPPLY, 2] += w.seen_loop[loop, 2, 0]
        for s in range(2):
            m.win_loop[loop, s, 0] = min(m.win_loop[loop, s, 0], w.seen_loop[loop, 0, s])
            m.win_loop[loop, s, 1] = max(m.win_loop[loop, s, 1], w.seen_loop[loop, 1, s])
            m.win_loop[loop, s, 2] += w.seen_loop[loop, 2, s]
        m.supply_max[loop] = max(m.supply_max[loop], w.seen_loop[loop, 1, 0])
        m.return_max[loop] = max(m.return_max[loop], w.seen_loop[loop, 1, 1])
        m.flow_min[loop] = min(m.flow_min[loop], total0, total1)
        _put(m.win_loop, loop, LOOP_FLOW, total0, total1, span)
        heat = w.loop[loop].hx_joules / span
        _put(m.win_loop, loop, LOOP_HEAT, heat, heat, span)
        _put(m.win_loop, loop, LOOP_VALVE, x.loop[cur, loop, 2], x.loop[nxt, loop, 2], span)
        fastest0 = 0.0
        fastest1 = 0.0
        for k in range(c.loop[loop].pumps):
            fastest0 = max(fastest0, x.speed[cur, loop, k])
            fastest1 = max(fastest1, x.speed[nxt, loop, k])
        _put(m.win_loop, loop, LOOP_SPEED, fastest0, fastest1, span)
        m.hx[loop] += w.loop[loop].hx_joules
        m.pump[loop] += w.loop[loop].pump_joules
        mechanical += w.loop[loop].pump_joules / span
    room = 0.0
    for z in range(c.zone.size):
        m.crah[z] += w.zone[z].crah_joules
        fan = c.zone[z].fan_watts * u.zone[z].factor
        m.fan[z] += fan * span
        mechanical += fan
        room = max(room, x.zone[nxt, z])
    cooling = cooling_watts(c, u, totals[2] / span)
    auxiliary = 0.0
    for a in range(c.aux.size):
        if d.aux_on[a]:
            auxiliary += c.aux[a].watts
    m.total[SOURCE] += totals[0]
    m.total[CONVERSION] += totals[1]
    m.total[REJECTED] += totals[2]
    m.total[COOLING] += cooling * span
    m.total[AUXILIARY] += auxiliary * span
    for n in range(c.node.size):
        m.total[BATTERY] += x.battery[cur, n] - x.battery[nxt, n]
    for r in range(c.tray0.size - 1):
        if d.share[r, 0] + d.share[r, 1] == 0.0:
            m.total[RIDE] += x.ride[cur, r] - x.ride[nxt, r]
    facility = totals[0] / span + mechanical + cooling
    for row in range(rows):
        _put_mean(m.win_row, row, 0, row0[row], row1[row], mean[row], span)
        m.row_peak[row] = max(m.row_peak[row], row0[row], row1[row])
    for n in range(c.node.size):
        if c.node[n].kind == RACK_FEED:
            continue
        for k in range(3):
            first, last = phase_amperes(start_i, n, k), phase_amperes(w.node_i, n, k)
            _put_mean(m.win_node, n, k, first, last, w.amperes[n, k], span)
    for b in range(c.breaker.size):
        a0, a1 = w.breaker_r[0, b] * c.breaker[b].rating, w.breaker_r[1, b] * c.breaker[b].rating
        f0, f1 = x.theta[cur, b] / c.breaker[b].level, x.theta[nxt, b] / c.breaker[b].level
        _put_mean(m.win_breaker, b, 0, a0, a1, w.mean_r[b] * c.breaker[b].rating, span)
        _put(m.win_breaker, b, 1, f0, f1, span)
        m.theta_max[b] = max(m.theta_max[b], f0, f1)
        m.amperes_max[b] = max(m.amperes_max[b], a0, a1)
    _put_mean(m.win_hall, 0, HALL_POWER, it0, it1, it_joules / span, span)
    _put(m.win_hall, 0, HALL_FACILITY_POWER, facility, facility, span)
    _put(m.win_hall, 0, HALL_WATER, x.tank[cur, 0], x.tank[nxt, 0], span)
    _put(m.win_hall, 0, HALL_ROOM, room, room, span)
    for b in range(c.breaker.size):
        w.breaker_r[0, b] = w.breaker_r[1, b]
    for r in range(c.tray0.size - 1):
        w.rack_power[0, r] = w.rack_power[1, r]
    for n in range(c.node.size):
        for k in range(6):
            start_i[n, k] = w.node_i[n, k]


@kernel
def stored_joules(c: Constants, x: State, row: int) -> float:
    """Heat [J] held above 0 °C by every tray, fluid, loop volume, rack air and room in row ``row``."""
    total = 0.0
    for r in range(c.tray0.size - 1):
        dies = 0.0
        plates = 0.0
        for i in range(c.tray0[r], c.tray0[r + 1]):
            dies += x.td[row, i]
            plates += x.tp[row, i]
        total += c.rack[r].cd * dies + c.rack[r].cp * plates + c.rack[r].air_capacity * x.ta[row, r]
        if c.rack[r].liquid:
            total += c.rack[r].fluid_capacity * x.tc[row, r]
    for loop in range(c.loop.size):
        total += (
            c.loop[loop].supply_capacity * x.loop[row, loop, 0] + c.loop[loop].return_capacity * x.loop[row, loop, 1]
        )
    for z in range(c.zone.size):
        total += c.zone[z].capacity * x.zone[row, z]
    return total
