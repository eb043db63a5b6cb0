"""Phasors, the tree and its losses, failover, swings and their smoothing, against cases worked by hand."""

import math

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.hall.topology import Topology, compile_topology
from twin.plant.meters import AUXILIARY
from twin.plant.plant import Plant
from twin.plant.power import line_currents
from twin.plant.swings import smoothed_swing

THIRDS = (1 / 3, 1 / 3, 1 / 3)
#: P/(V pf) of 100 kW line to line at 480 V and power factor 0.98
WHOLE = 100e3 / (480.0 * 0.98)


def _amperes(*loads: tuple[float, tuple[float, float, float]], factor: float = 0.98) -> np.ndarray:
    out = np.zeros(6)
    for watts, weights in loads:
        line_currents(watts, factor, np.array(weights), 480.0, out)
    return np.hypot(out[0::2], out[1::2])


def test_balanced_load():
    """100 kW at 480 V, pf 0.98: 100 000/(√3 · 480 · 0.98) = 122.7 A on each line."""
    np.testing.assert_allclose(_amperes((100e3, THIRDS)), 122.7, atol=0.05)


def test_a_rack_and_a_row_on_one_feed():
    """132 kW draw 162 A; 16 of them 2,592 A."""
    np.testing.assert_allclose(_amperes((132e3, THIRDS)), 162.0, atol=0.05)
    np.testing.assert_allclose(_amperes((16 * 132e3, THIRDS)), 2592.0, atol=0.5)


def test_one_load_line_to_line():
    """All of it on A–B: |Ia| = |Ib| = P/(V pf) = 212.6 A, nothing on C."""
    np.testing.assert_allclose(_amperes((100e3, (1.0, 0.0, 0.0))), [WHOLE, WHOLE, 0.0], atol=1e-9)
    assert pytest.approx(212.585, abs=1e-3) == WHOLE


def test_two_loads_that_share_a_line():
    """A–B and B–C, 100 kW each: their currents in B stand 60° apart (120° and turned round): √3 × one of them."""
    two = _amperes((100e3, (1.0, 0.0, 0.0)), (100e3, (0.0, 1.0, 0.0)))
    np.testing.assert_allclose(two, [WHOLE, math.sqrt(3.0) * WHOLE, WHOLE], rtol=1e-12)


def test_loads_add_as_phasors_and_not_as_magnitudes():
    """Three equal line-to-line loads are one balanced load: 122.7 A, not the 245.4 A of adding magnitudes."""
    three = [(100e3 / 3, tuple(float(k == j) for j in range(3))) for k in range(3)]
    np.testing.assert_allclose(_amperes(*three), 122.744, atol=0.01)


def test_ten_percent_imbalance():
    """Weights of the mixed hall: |Ia| = k √(ab² + ca² + ab·ca); the largest deviation from the mean is 10 %."""
    ab, bc, ca = 0.39863, 0.300685, 0.300685
    lines = _amperes((100e3, (ab, bc, ca)))
    by_hand = [WHOLE * math.sqrt(p * p + q * q + p * q) for p, q in ((ab, ca), (bc, ab), (ca, bc))]
    np.testing.assert_allclose(lines, by_hand, rtol=1e-12)
    assert np.abs(lines / lines.mean() - 1.0).max() == pytest.approx(0.10, abs=1e-4)


def test_power_factor_turns_currents_of_different_loads_apart():
    """A pf of 1 beside one of 0.8 lagging on one pair: |1 + (1 − 0.75 j)| = √(4 + 0.5625)."""
    out = np.zeros(6)
    line_currents(48e3, 1.0, np.array([1.0, 0.0, 0.0]), 480.0, out)
    line_currents(48e3, 0.8, np.array([1.0, 0.0, 0.0]), 480.0, out)
    assert math.hypot(out[0], out[1]) == pytest.approx(100.0 * math.sqrt(4.5625), rel=1e-12)


def test_the_phasor_sum_delivers_the_power():
    """Σ Re(V conj I) over the lines of any load, with phase voltages from the line voltages, is its power."""
    out = np.zeros(6)
    line_currents(90e3, 0.9, np.array([0.5, 0.2, 0.3]), 480.0, out)
    phases = 480.0 / math.sqrt(3.0) * np.exp(-1j * (np.pi / 6 + 2 * np.pi * np.arange(3) / 3))
    apparent = (phases * np.conj(out[0::2] + 1j * out[1::2])).sum()
    assert apparent.real == pytest.approx(90e3, rel=1e-9)
    assert apparent.imag == pytest.approx(90e3 * math.tan(math.acos(0.9)), rel=1e-9)


# ---------------------------------------------------------------- the tree


def _node(top: Topology, name: str) -> int:
    return top.node_names.index(name)


def test_losses_on_the_way_up(steady, small):
    """Each of two sides carries half the racks: P_in = (P_out + c)/η at PDU (300 W, 0.995) and UPS (1 kW, 0.97)."""
    half = steady.rack_power.sum() / 2
    at_pdu = (half + 300.0) / 0.995
    at_ups = (at_pdu + 1000.0) / 0.97
    power = steady.w.node_p
    assert power[_node(small, "row A/feed A")] == pytest.approx(half, rel=1e-12)
    assert power[_node(small, "pdu A/feed A")] == pytest.approx(half, rel=1e-12)
    assert power[_node(small, "ups A")] == pytest.approx(at_pdu, rel=1e-12)
    source = small.node_parent[_node(small, "ups A")]
    assert power[source] == pytest.approx(at_ups, rel=1e-12)
    # a rectifier draws at unity displacement
    expected = at_ups / (math.sqrt(3.0) * small.node_voltage[source])
    drawn = steady.w.node_i[source]
    np.testing.assert_allclose(np.hypot(drawn[0::2], drawn[1::2]), expected, rtol=1e-12)


def test_a_lost_feed_doubles_the_survivor_at_once(steady, small):
    survivors = [small.breaker_names.index(name) for name in ("row A/feed B", "A-01/feed B", "A-04/feed B")]
    before = steady.breaker_ratio[survivors].copy()
    rack_power = steady.rack_power.copy()
    steady.set_source(_node(small, "row A/feed A"), False)
    assert steady.settle(0.0) is None
    np.testing.assert_allclose(steady.breaker_ratio[survivors], 2.0 * before, rtol=1e-12)
    assert steady.breaker_ratio[small.breaker_names.index("row A/feed A")] == 0.0
    np.testing.assert_allclose(steady.rack_power, rack_power, rtol=1e-12)
    # and back
    steady.set_source(_node(small, "row A/feed A"), True)
    steady.settle(0.0)
    np.testing.assert_allclose(steady.breaker_ratio[survivors], before, rtol=1e-12)


def test_ups_carries_its_side_from_its_battery(steady, small):
    source = small.node_parent[_node(small, "ups A")]
    before = steady.w.node_p[_node(small, "ups A")]
    steady.set_source(source, False)
    assert steady.settle(0.0) is None
    assert steady.w.node_p[_node(small, "ups A")] == pytest.approx(before, rel=1e-12)
    energy = steady.x.battery[steady.cur, _node(small, "ups A")]
    drawn = (before + 1000.0) / 0.97
    crossing = None
    while crossing is None:
        crossing = steady.flow(steady.time, steady.time + 3600.0) or steady.settle(steady.time)
    assert crossing.guard.name == "BATTERY_SPENT"
    assert crossing.time == pytest.approx(energy / drawn, rel=1e-6)
    assert steady.settle(crossing.time) is None  # the racks go on from B
    assert steady.w.node_p[_node(small, "ups A")] == 0.0


def test_a_rack_goes_dark_when_both_feeds_and_its_ride_through_are_gone(steady, small):
    for side in "AB":
        steady.set_breaker(small.breaker_names.index(f"A-02/feed {side}"), False)
    assert steady.settle(0.0) is None
    watts = steady.rack_power[1]
    crossing = steady.flow(0.0, 10.0)
    assert (crossing.guard.name, crossing.index) == ("RACK_DARK", 1)
    assert crossing.time == pytest.approx(2640.0 / watts, rel=1e-4)


# ---------------------------------------------------------------- swings


def _swinging(small: Topology, gangs: dict[int, tuple[int, ...]], sigma: float, hertz: float = 1.0) -> Plant:
    plant = Plant(small)
    for gang, racks in gangs.items():
        for rack in racks:
            trays = np.arange(small.rack_tray0[rack], small.rack_tray0[rack + 1])
            plant.set_load(trays, 0.7, sigma_watts=sigma, swing_hertz=hertz, gang=gang)
    plant.settle(0.0)
    return plant


def test_one_gang_adds_deviations_and_two_add_variances(small):
    """18 trays of σ 500 W behind η 0.975 swing a rack by 9,231 W; a row feed carries half of each of two racks."""
    rack = 18 * 500.0 / 0.975
    row = small.breaker_names.index("row A/feed A")
    node = _node(small, "row A/feed A")
    together = _swinging(small, {1: (0, 1)}, 500.0)
    assert together.d.cv2[row] * together.w.node_p[node] ** 2 == pytest.approx((0.5 * (rack + rack)) ** 2, rel=1e-9)
    apart = _swinging(small, {1: (0,), 2: (1,)}, 500.0)
    assert apart.d.cv2[row] * apart.w.node_p[node] ** 2 == pytest.approx(2 * (0.5 * rack) ** 2, rel=1e-9)
    still = _swinging(small, {1: (0, 1)}, 0.0)
    expected = still.breaker_ratio[row] * math.sqrt(1.0 + together.d.cv2[row])
    assert together.breaker_ratio[row] == pytest.approx(expected, rel=1e-12)


def test_a_tray_that_is_off_does_not_swing(small):
    plant = _swinging(small, {1: (0,)}, 500.0)
    plant.set_on(np.arange(9), False)
    plant.settle(0.0)
    b = small.breaker_names.index("A-01/feed A")
    swing = 0.5 * 9 * 500.0 / 0.975
    assert plant.d.cv2[b] * plant.w.node_p[_node(small, "A-01/feed A")] ** 2 == pytest.approx(swing**2, rel=1e-9)


def _variances(plant: Plant) -> np.ndarray:
    """W² at every node, from the trays' inputs alone: each gang's deviations added up the tree, and squared."""
    c, u, d = plant.c, plant.u, plant.d
    found = np.zeros(len(c.node))
    for gang in sorted(set(u.tray["gang"][u.tray["gang"] >= 0].tolist())):
        amplitude = np.zeros(len(c.node))
        for rack in range(len(c.rack)):
            trays = np.arange(c.tray0[rack], c.tray0[rack + 1])
            mine = trays[(u.tray["gang"][trays] == gang) & (u.tray["on"][trays] == 1)]
            sigma = u.tray["sigma"][mine].sum() / c.rack["shelf_eta"][rack]
            watts = smoothed_swing(sigma, 1.0, c.rack["smoothing"][rack])
            for feed in range(2):
                node = c.rack_feed[rack, feed]
                while node >= 0:
                    amplitude[node] += d.share[rack, feed] * watts
                    node = c.parent[node]
        found += amplitude**2
    return found


def test_gangs_that_come_and_go_leave_what_they_would_if_all_were_counted_anew(small):
    """Each change counts its own gangs only, and numbers that fall on one place of the table stay apart."""
    plant, draw = Plant(small), np.random.default_rng(5)
    places = len(plant.w.gang_table)
    names = [*range(1, 8), *(places * n + 3 for n in range(1, 6)), 7 * places - 1, places - 1]
    node = plant.c.breaker["node"]
    for step in range(120):
        rack, racks = (
            int(draw.integers(len(plant.c.rack))),
            int(draw.integers(1, 3)),
        )  # a few: the rest has to stay right
        end = plant.c.tray0[min(rack + racks, len(plant.c.rack))]
        trays = np.unique(draw.integers(plant.c.tray0[rack], end, draw.integers(1, 20)))
        kind = draw.choice(["load", "load", "load", "clear", "off", "on", "feed"])
        if kind == "load":
            sigma = float(draw.choice([0.0, 300.0, 800.0]))
            plant.set_load(trays, 0.6, sigma_watts=sigma, gang=int(draw.choice(names)))
        elif kind == "clear":
            plant.clear_load(trays)
        elif kind == "feed":
            plant.set_breaker(int(draw.integers(len(node))), bool(draw.integers(2)))
        else:
            plant.set_on(trays[:3], kind == "on")
        plant.settle(float(step))
        variance, watts = _variances(plant), plant.w.node_p
        expected = np.where(watts > 1.0, variance / np.maximum(watts, 1.0) ** 2, 0.0)[node]
        assert plant.d.cv2 == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert plant.d.swell == pytest.approx(np.sqrt(1.0 + expected), rel=1e-12)


@pytest.mark.parametrize("hertz", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_smoothing_uses_its_storage_and_no_more(hertz):
    """A square wave ±σ leaves as ±left: what lies between is stored and returned in each half period."""
    sigma, joules = 20e3, 72 * 65.0
    left = smoothed_swing(sigma, hertz, joules)
    moved = (sigma - left) / (2.0 * hertz)
    assert moved <= joules * (1 + 1e-12)
    assert left == 0.0 or moved == pytest.approx(joules)


@pytest.mark.parametrize("peak_to_peak", [40e3, 80e3])
def test_smoothing_of_gb300_storage(peak_to_peak):
    """V13, 72 × 65 J against a 40 kW square wave, read either way: 5 Hz −90 % or more, 0.2 Hz −15 % at most."""
    sigma = peak_to_peak / 2
    assert smoothed_swing(sigma, 5.0, 72 * 65.0) <= 0.10 * sigma
    assert 0.85 * sigma <= smoothed_swing(sigma, 0.2, 72 * 65.0) < sigma


def test_every_tree_balances_with_phasors_on_mixed_halls():
    """Power drawn = racks + auxiliary + losses, and each source's phasors carry at least that power."""
    top = compile_topology(load_hall("mixed"))
    plant = Plant(top)
    plant.set_load(np.arange(len(top.tray_rack)), 0.6)
    plant.settle(0.0)
    loads = plant.rack_power.sum() + sum(load.power_watts for load in top.hall.auxiliary)
    power, current = plant.w.node_p, plant.w.node_i
    lost = sum((power[n] + top.node_fixed_loss[n]) / top.node_efficiency[n] - power[n] for n in range(len(power)))
    sources = np.flatnonzero(top.node_parent < 0)
    drawn = sum((power[n] + top.node_fixed_loss[n]) / top.node_efficiency[n] for n in sources)
    assert drawn == pytest.approx(loads + lost, rel=1e-12)
    for n in range(len(power)):
        volts = top.node_voltage[n] / math.sqrt(3.0)
        phases = volts * np.exp(-1j * (np.pi / 6 + 2 * np.pi * np.arange(3) / 3))
        real = (phases * np.conj(current[n, 0::2] + 1j * current[n, 1::2])).sum().real
        assert real == pytest.approx(power[n], rel=1e-9)


def test_a_load_between_lost_lines_draws_nothing():
    """Line 1 of the panel breaks: what hangs on A–B and on C–A is off, what hangs on B–C draws as before."""
    top = compile_topology(load_hall("mixed"))
    plant = Plant(top)
    plant.settle(0.0)
    node = _node(top, top.hall.auxiliary[0].node)
    assert all(load.node == top.hall.auxiliary[0].node for load in top.hall.auxiliary)
    left = sum(load.power_watts for load in top.hall.auxiliary if load.phase_weights[1] == 1.0)
    assert 0.0 < left < plant.w.node_p[node] == pytest.approx(sum(load.power_watts for load in top.hall.auxiliary))
    plant.set_phase(node, 0, False)
    plant.settle(0.0)
    assert plant.w.node_p[node] == pytest.approx(left, rel=1e-12)
    plant.flow(0.0, 60.0)
    assert plant.m.total[AUXILIARY] == pytest.approx(60.0 * left, rel=1e-12)
    plant.set_phase(node, 0, True)
    plant.settle(60.0)
    assert plant.w.node_p[node] == pytest.approx(sum(load.power_watts for load in top.hall.auxiliary))
