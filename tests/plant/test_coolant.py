"""Loop hydraulics against their defining equations and a general root finder; exchanger and film laws."""

import ht
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import root

from twin.plant.coolant import (
    branch_flow,
    effectiveness,
    exchanger_film,
    film_conductance,
    heat_and_slope,
    heat_per_kelvin,
    in_series,
    manifold_pressure,
    pump_flow,
)
from twin.plant.fluids import WATER_VOLUMETRIC_HEAT

LITRES = 60_000.0  # L/min in a m³/s
A, B = 0.0048e3 * LITRES**2, 0.0617e3 * LITRES  # the published rack curve, Δp[kPa] = 0.0048 Q² + 0.0617 Q


def exchanger_conductance(flow1, nominal1, h1, flow2, nominal2, h2, fouling):
    """UA [W/K] of the pieces that a step puts together."""
    return in_series(exchanger_film(flow1, nominal1, h1), exchanger_film(flow2, nominal2, h2), fouling)


def exchanger_heat_per_kelvin(flow1, capacity1, nominal1, h1, flow2, nominal2, h2, fouling):
    """ε·Cmin [W/K] of the pieces that a step puts together."""
    films = exchanger_film(flow1, nominal1, h1), exchanger_film(flow2, nominal2, h2)
    return heat_per_kelvin(films[0], capacity1, films[1], flow2 * WATER_VOLUMETRIC_HEAT, fouling)


@given(st.floats(1e-3, 1e6), st.floats(0.0, 1e12), st.floats(1.0, 1e9))
def test_branch_flow_gives_its_pressure_back(pressure, quadratic, linear):
    flow = branch_flow(pressure, quadratic, linear)
    assert quadratic * flow**2 + linear * flow == pytest.approx(pressure, rel=1e-9)


@pytest.mark.parametrize(("litres", "kilopascals"), [(92.6, 46.9), (117.5, 73.5)])
def test_published_rack_curve(litres, kilopascals):
    assert branch_flow(kilopascals * 1e3, A, B) * LITRES == pytest.approx(litres, rel=0.005)


def test_no_flow_without_pressure():
    assert branch_flow(0.0, A, B) == 0.0
    assert branch_flow(-5.0, A, B) == 0.0


networks = st.tuples(
    st.lists(st.tuples(st.floats(0.2, 50.0), st.floats(0.0, 10.0)), min_size=1, max_size=12),  # of A and of B
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4),  # speeds
    st.floats(100e3, 400e3),  # head
    st.floats(1e8, 3e9),  # pump resistance
    st.floats(1e5, 3e8),  # main
    st.floats(0.0, 4e5),  # guess
)


@settings(max_examples=300, deadline=None)
@given(networks)
def test_manifold_satisfies_every_law_of_the_network(network):
    """Branch law, pump law or shut check valve, and mass balance: together they have one solution."""
    branches, speeds, head, resistance, main, guess = network
    quadratic = np.array([a * A for a, _ in branches])
    linear = np.array([b * B for _, b in branches])
    speeds = np.array(speeds)
    pressure, total = manifold_pressure(quadratic, linear, speeds, head, resistance, main, guess)
    flows = np.array([branch_flow(pressure, a, b) for a, b in zip(quadratic, linear, strict=True)])
    assert (flows >= 0.0).all()
    assert flows.sum() == pytest.approx(total, rel=1e-9, abs=1e-14)
    lift = pressure + main * total**2
    shutoff = speeds**2 * head
    pumped = np.sqrt(np.maximum(shutoff - lift, 0.0) / resistance)  # none flows back through a check valve
    # a pump near its shut-off head gives √(rounding): allow what 1e-12 of the head does to it
    assert pumped.sum() == pytest.approx(total, rel=1e-6, abs=speeds.size * np.sqrt(1e-12 * head / resistance))
    np.testing.assert_allclose(quadratic * flows**2 + linear * flows, pressure, rtol=1e-9, atol=1e-9)


def test_manifold_agrees_with_a_general_root_finder():
    """All branch flows, pump flows and the pressure as unknowns of one nonlinear system."""
    rng = np.random.default_rng(20)
    for _ in range(20):
        n, k = int(rng.integers(2, 9)), int(rng.integers(1, 4))
        quadratic, linear = A * rng.uniform(0.5, 10.0, n), B * rng.uniform(0.5, 3.0, n)
        head, resistance, main = rng.uniform(2e5, 3e5), rng.uniform(2e8, 1e9), rng.uniform(1e6, 1e8)
        speeds = np.full(k, rng.uniform(0.5, 1.0))

        def system(z, quadratic=quadratic, linear=linear, speeds=speeds, laws=(head, resistance, main), n=n):
            # flows in L/s and pressure in bar, so that all unknowns are near one
            head, resistance, main = laws
            branch, pump, pressure = z[:n] * 1e-3, z[n:-1] * 1e-3, z[-1] * 1e5
            total = branch.sum()
            return np.concatenate([
                (quadratic * branch * np.abs(branch) + linear * branch - pressure) / 1e5,
                (speeds**2 * head - resistance * pump * np.abs(pump) - pressure - main * total * abs(total)) / 1e5,
                [(total - pump.sum()) * 1e3],
            ])  # fmt: skip

        found = root(system, np.full(n + k + 1, 1.0), method="hybr", tol=1e-13)
        assert np.abs(found.fun).max() < 1e-9
        pressure, total = manifold_pressure(quadratic, linear, speeds, head, resistance, main, 0.0)
        assert pressure == pytest.approx(found.x[-1] * 1e5, rel=1e-7)
        assert total == pytest.approx(found.x[:n].sum() * 1e-3, rel=1e-7)


def test_a_stopped_pump_lets_nothing_back():
    quadratic, linear = np.full(4, A), np.full(4, B)
    alone = manifold_pressure(quadratic, linear, np.array([1.0]), 200e3, 4e8, 1e7, 1e5)
    beside_a_stopped_one = manifold_pressure(quadratic, linear, np.array([1.0, 0.0]), 200e3, 4e8, 1e7, 1e5)
    assert beside_a_stopped_one == pytest.approx(alone, rel=1e-12)
    assert pump_flow(alone[0], 0.0, 200e3, 4e8) == 0.0


def test_a_shut_branch_pushes_its_flow_to_the_others():
    speeds = np.array([0.8, 0.8])
    open_ = manifold_pressure(np.full(4, A), np.full(4, B), speeds, 200e3, 4e8, 1e7, 1e5)
    shut = manifold_pressure(np.array([A, A, A, 1e30]), np.full(4, B), speeds, 200e3, 4e8, 1e7, 1e5)
    assert shut[0] > 1.03 * open_[0]
    assert branch_flow(shut[0], A, B) > branch_flow(open_[0], A, B)
    assert shut[1] < open_[1]


@pytest.mark.parametrize("guess", [0.0, 1e3, 7e4, 3e5])
def test_the_guess_does_not_matter(guess):
    answer = manifold_pressure(np.full(4, A), np.full(4, B), np.array([0.7, 0.9]), 200e3, 4e8, 1e7, guess)
    cold = manifold_pressure(np.full(4, A), np.full(4, B), np.array([0.7, 0.9]), 200e3, 4e8, 1e7, 0.0)
    assert answer == pytest.approx(cold, rel=1e-9)


def test_all_pumps_still():
    assert manifold_pressure(np.full(2, A), np.full(2, B), np.zeros(3), 200e3, 4e8, 1e7, 1e5) == (0.0, 0.0)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.786, 0.999, 1.0])
@pytest.mark.parametrize("ntu", [0.01, 0.5, 1.0, 4.28, 12.0])
def test_effectiveness_agrees_with_ht(ntu, ratio):
    assert effectiveness(ntu, ratio) == pytest.approx(ht.effectiveness_from_NTU(ntu, ratio, "counterflow"), rel=1e-9)


@given(st.floats(1e-3, 50.0), st.one_of(st.just(1.0), st.floats(0.0, 0.999)))
def test_effectiveness_agrees_with_ht_anywhere(ntu, ratio):
    assert effectiveness(ntu, ratio) == pytest.approx(ht.effectiveness_from_NTU(ntu, ratio, "counterflow"), rel=1e-9)


@given(st.floats(1e-3, 50.0), st.floats(1e-16, 1e-3))
def test_effectiveness_near_equal_rates_lies_beside_that_of_equal_ones(ntu, off):
    """Where the general formula loses its digits; another's loses them altogether."""
    assert effectiveness(ntu, 1.0 - off) == pytest.approx(ntu / (1.0 + ntu), rel=2.0 * ntu * off + 1e-6)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.05, 1.5), st.floats(0.05, 1.0), st.floats(0.0, 2e-5))
def test_exchanger_agrees_with_ht_at_any_flow(flow, valve, fouling):
    """Films by their power of flow, fouling in series, then another's ε-NTU for the whole exchanger."""
    nominal1, nominal2, h1, h2 = 0.02, 0.025, 8e5, 9e5
    flow1, flow2, capacity1 = flow * nominal1, valve * nominal2, flow * nominal1 * 4.0e6
    ua = 1.0 / (1.0 / (h1 * flow**0.7) + 1.0 / (h2 * valve**0.7) + fouling)
    solved = ht.effectiveness_NTU_method(
        mh=capacity1 / 4000.0, mc=flow2 * WATER_VOLUMETRIC_HEAT / 4180.0, subtype="counterflow", Cph=4000.0,
        Cpc=4180.0, Thi=51.0, Tci=35.0, UA=ua,
    )  # fmt: skip
    found = exchanger_heat_per_kelvin(flow1, capacity1, nominal1, h1, flow2, nominal2, h2, fouling) * (51.0 - 35.0)
    assert found == pytest.approx(solved["Q"], rel=1e-9)

    def by_water(share: float) -> tuple[float, float]:
        film1, film2 = exchanger_film(flow1, nominal1, h1), exchanger_film(share * flow2, nominal2, h2)
        return heat_and_slope(film1, capacity1, film2, share * flow2 * WATER_VOLUMETRIC_HEAT, fouling)

    assert by_water(1.0)[0] * (51.0 - 35.0) == pytest.approx(solved["Q"], rel=1e-6)
    # its slope over the logarithm of the water's flow, against a difference
    step = 1e-4
    difference = (by_water(1.0 + step)[0] - by_water(1.0 - step)[0]) / np.log((1.0 + step) / (1.0 - step))
    assert by_water(1.0)[1] == pytest.approx(difference, rel=1e-4, abs=1e-9 * by_water(1.0)[0])


def test_published_selection_point():
    """1250 kW: water 35 → 46 °C, PG25 51 → 37 °C gives ε 0.875 at Cr 0.786 and NTU 4.28."""
    assert effectiveness(4.28, 11.0 / 14.0) == pytest.approx(0.875, abs=0.005)


def test_exchanger_conductance_adds_resistances_and_follows_flow():
    assert exchanger_conductance(1.0, 1.0, 4e5, 1.0, 1.0, 4e5, 0.0) == pytest.approx(2e5)
    assert exchanger_conductance(1.0, 1.0, 4e5, 1.0, 1.0, 4e5, 5e-6) == pytest.approx(1e5)
    # with the facility film out of the way UA goes as flow^0.7
    full = exchanger_conductance(1.0, 1.0, 4e5, 1.0, 1.0, 1e15, 0.0)
    half = exchanger_conductance(0.5, 1.0, 4e5, 1.0, 1.0, 1e15, 0.0)
    assert half / full == pytest.approx(0.5**0.7, rel=1e-6)
    assert exchanger_conductance(0.0, 1.0, 4e5, 1.0, 1.0, 4e5, 0.0) == 0.0


def test_exchanger_heat_is_effectiveness_times_smaller_capacity():
    capacity1, flow2 = 9e4, 0.025
    capacity2 = flow2 * WATER_VOLUMETRIC_HEAT
    ua = exchanger_conductance(0.02, 0.02, 8e5, flow2, 0.025, 8e5, 0.0)
    expected = ht.effectiveness_NTU_method  # the whole exchanger, by another's code
    solved = expected(
        mh=capacity1 / 4000.0, mc=capacity2 / 4180.0, subtype="counterflow", Cph=4000.0, Cpc=4180.0, Thi=51.0, Tci=35.0,
        UA=ua,
    )  # fmt: skip
    ours = exchanger_heat_per_kelvin(0.02, capacity1, 0.02, 8e5, flow2, 0.025, 8e5, 0.0) * (51.0 - 35.0)
    assert ours == pytest.approx(solved["Q"], rel=1e-9)
    assert exchanger_heat_per_kelvin(0.0, 0.0, 0.02, 8e5, flow2, 0.025, 8e5, 0.0) == 0.0


@pytest.mark.parametrize("least", [1e-3, 1e-9, 1e-15, 1e-160])
def test_next_to_no_water_takes_all_that_it_can(least):
    """As a side's flow goes to nothing ε goes to 1, and the heat with that side's capacity rate."""
    film = exchanger_film(least, 1.0, 8e5)
    assert heat_and_slope(8e5, 9e4, film, least, 0.0) == pytest.approx((least, least), rel=1e-2)
    assert heat_and_slope(film, least, 8e5, 9e4, 0.0)[0] == pytest.approx(least, rel=1e-2)
    assert abs(heat_and_slope(film, least, 8e5, 9e4, 0.0)[1]) <= 1e-2 * least


def test_film_law():
    assert film_conductance(0.002, 1.0, 1.0, 0.02) == pytest.approx(500.0)
    assert film_conductance(0.002, 0.5, 1.0, 0.02) == pytest.approx(500.0 * 0.5**0.7)
    # natural convection holds where nothing is pumped
    assert film_conductance(0.002, 0.0, 1.0, 0.02) == pytest.approx(500.0 * 0.02**0.7)
    assert film_conductance(0.002, 0.01, 1.0, 0.02) == pytest.approx(500.0 * 0.02**0.7)
