"""Tolerance bands: what is drawn, of whom it depends, and that physics follows the draw by closed forms."""

import math

import numpy as np
import pytest
import yaml

from twin.hall.errors import Faults
from twin.hall.reader import load_hall
from twin.hall.topology import BREAKER_KINDS, compile_topology
from twin.places import conf_dir
from twin.plant.arrays import constants
from twin.plant.breakers import trip_seconds
from twin.plant.guards import Guard
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.policy import first_fit
from twin.results.balance import assert_balanced
from twin.sim.scenario import read_scenario
from twin.sim.simulate import simulate
from twin.sim.tolerances import NOMINAL, Tolerances, digest_of, draw, read_tolerances, table_of, tray_names
from twin.sim.world import Settings
from twin.workload.jobs import Workload


def conf(name: str) -> Tolerances:
    faults = Faults(name)
    found = read_tolerances(
        yaml.safe_load((conf_dir() / "tolerances" / f"{name}.yaml").read_text()), "tolerances", faults
    )
    assert not faults
    return found


@pytest.fixture(scope="module")
def reference():
    return compile_topology(load_hall("reference"))


@pytest.fixture(scope="module")
def small():
    return compile_topology(load_hall("small"))


# ---------------------------------------------------------------- what is drawn


def test_equal_gpus_differ_by_22_percent_at_most_and_exceed_the_best_by_8_on_average(reference):
    """Of 1,200 trays or so the mean is within five standard errors of nominal; σ of Beta(1, 1.75) × 0.22 is 5.5 %."""
    factors = draw(reference, conf("default"), 0).factors["span_factor"]
    assert len(factors) == len(reference.tray_rack) > 1_000
    assert factors.max() / factors.min() <= 1.22
    assert factors.min() >= 1.0 / 1.08
    assert factors.max() / factors.min() > 1.15  # the band is used
    assert factors.mean() == pytest.approx(1.0, abs=5.0 * 0.055 / 1.08 / math.sqrt(len(factors)))


def test_every_draw_stays_in_its_band(reference):
    bands = conf("default")
    for seed in range(20):
        factors = draw(reference, bands, seed).factors
        electronic = reference.breaker_kind == BREAKER_KINDS.index("lsi")
        delay, rating = factors["tau_factor"], factors["rating_factor"]
        assert ((delay[electronic] >= 0.8) & (delay[electronic] <= 1.0)).all()
        assert ((delay[~electronic] >= 0.8) & (delay[~electronic] <= 1.2)).all()
        assert (rating[electronic] == 1.0).all()
        assert (np.abs(rating - 1.0) <= 0.05).all()
        assert (np.abs(factors["resistance_factor"] - 1.0) <= 3.0 * 0.08).all()
        assert (np.abs(factors["valve_factor"] - 1.0) <= 3.0 * 0.05).all()


def test_deviations_have_the_size_asked_for(reference):
    factors = draw(reference, Tolerances(resistance=0.08), 1).factors["resistance_factor"]
    error = 5.0 / math.sqrt(len(factors))
    assert factors.mean() == pytest.approx(1.0, abs=0.08 * error)
    assert factors.std() == pytest.approx(0.08 * 0.9866, rel=error)  # of a normal cut at 3 σ


def test_one_seed_is_one_draw_and_another_seed_another(small):
    bands = conf("default")
    first, again, other = (draw(small, bands, seed).rows for seed in (3, 3, 4))
    assert first == again
    assert [row[:3] for row in first] == [row[:3] for row in other]
    assert all(a[3] != b[3] for a, b in zip(first, other, strict=True))


def test_a_rack_that_is_added_leaves_the_draws_of_the_others(small):
    larger = compile_topology(load_hall("small", ["racks_per_row=6", "loop.racks=6"]))
    few = {row[:3]: row[3] for row in draw(small, conf("default"), 9).rows}
    many = {row[:3]: row[3] for row in draw(larger, conf("default"), 9).rows}
    assert len(many) > len(few)
    assert {key: many[key] for key in few} == few


def test_quantities_of_one_device_are_drawn_apart(reference):
    factors = draw(reference, conf("default"), 0).factors
    together = np.corrcoef(factors["span_factor"], factors["resistance_factor"])[0, 1]
    assert abs(together) < 5.0 / math.sqrt(len(reference.tray_rack))


def test_without_bands_nothing_is_drawn_and_constants_are_nominal(small):
    nothing = draw(small, NOMINAL, 5)
    assert conf("none") == NOMINAL == Settings().tolerances
    assert nothing.rows == () and nothing.factors == {}
    for ours, plain in zip(constants(small, **nothing.factors), constants(small), strict=True):
        assert ours.tobytes() == plain.tobytes()


def test_trays_are_named_by_rack_and_number(small):
    names = tray_names(small)
    assert (names[0], names[17], names[18]) == ("A-01/tray 01", "A-01/tray 18", "A-02/tray 01")
    assert len(set(names)) == 72


def test_a_digest_stands_for_every_value(small):
    rows = list(draw(small, conf("default"), 0).rows)
    name, quantity, unit, value = rows[-1]
    changed = [*rows[:-1], (name, quantity, unit, math.nextafter(value, 2.0))]
    assert digest_of(table_of(rows)) == digest_of(table_of(rows))
    assert digest_of(table_of(rows)) != digest_of(table_of(changed))
    assert len(table_of([])) == 0


# ---------------------------------------------------------------- standards


@pytest.mark.parametrize("rating", [0.95, 1.05])
@pytest.mark.parametrize("delay", [0.8, 1.2])
def test_every_thermal_breaker_that_can_be_drawn_conforms_to_its_standard(rating, delay):
    """IEC 60898-1: 1.13 holds, 1.45 trips in 1 h, 2.55 in 1–60 s. IEC 60947-2: 1.05 holds, 1.30 trips in 2 h."""
    presets = yaml.safe_load((conf_dir() / "parts" / "breakers.yaml").read_text())
    bands = conf("default")
    assert bands.thermal_rating[0] <= rating <= bands.thermal_rating[1]
    assert bands.thermal_delay[0] <= delay <= bands.thermal_delay[1]

    def seconds(preset: str, ratio: float) -> float:
        device = presets[preset]
        level = device["trip_multiple"] ** 2
        return trip_seconds(ratio / rating, 0.0, device["time_constant_seconds"] * delay, level)

    assert seconds("mcb_c16", 1.13) == math.inf
    assert seconds("mcb_c16", 1.45) < 3_600.0
    assert 1.0 < seconds("mcb_c16", 2.55) < 60.0
    for moulded in ("ul489_250a", "ul489_100a"):
        assert seconds(moulded, 1.05) == math.inf
        assert seconds(moulded, 1.30) < 7_200.0


# ---------------------------------------------------------------- physics follows


def _loaded(topology, **factors):
    """The small hall in the steady state of a load; breakers past their level start as if at their rating."""
    plant = Plant(topology, parameters=constants(topology, **factors))
    plant.set_load(np.arange(len(plant.c.idle)), 0.6)
    equilibrate(plant)
    return plant


def test_a_breaker_with_a_drawn_delay_trips_at_the_time_of_the_closed_form():
    """``t = f τ ln((r² − 1)/(r² − 1.44))`` from θ = 1, with the factor f that was drawn: 0.8 to 1.0 of nominal."""
    topology = compile_topology(load_hall("small", ["row_feed.breaker.rating_amperes=150"]))
    row = topology.breaker_names.index("row A/feed A")
    times = []
    for factor in (np.ones(len(topology.breaker_names)), draw(topology, conf("default"), 2).factors["tau_factor"]):
        plant = _loaded(topology, tau_factor=factor)
        others = np.arange(len(factor)) != row
        plant.c.breaker["level"][others] = np.inf  # alone
        plant.c.breaker["instant"][others] = np.inf
        plant.c.breaker["short_delay"][others] = np.inf
        drive = float(plant.breaker_ratio[row]) ** 2
        assert drive > 1.44
        crossing = plant.flow(0.0, 3_600.0)
        assert (crossing.guard, crossing.index) == (Guard.BREAKER_THERMAL, row)
        tau = 16.0 / math.log(36.0 / (36.0 - 1.44)) * factor[row]
        assert crossing.time == pytest.approx(tau * math.log((drive - 1.0) / (drive - 1.44)), rel=1e-4)
        times.append(crossing.time)
    assert times[1] / times[0] == pytest.approx(factor[row], rel=1e-3)
    assert 0.8 <= factor[row] < 1.0


def test_a_table_breaker_takes_its_delay_into_its_table(small):
    preset = {"preset": "dynamo_rpp", "rating_amperes": 660}
    topology = compile_topology(load_hall("small", [f"row_feed.breaker={preset}".replace("'", "")]))
    row = topology.breaker_names.index("row A/feed A")
    factor = np.full(len(topology.breaker_names), 0.9)
    slow, plain = constants(topology, tau_factor=factor), constants(topology)
    points = int(plain.breaker["points"][row])
    assert points == 8
    assert np.exp(slow.table[row, 1, :points] - plain.table[row, 1, :points]) == pytest.approx(0.9, rel=1e-12)
    assert np.array_equal(slow.table[row, 0], plain.table[row, 0])


def test_valves_out_of_balance_share_the_flow_by_the_branch_law(small):
    """``Δp = (a + f k/x²) Q² + b Q`` is one pressure for every branch of the manifold."""
    factor = np.array([1.15, 1.0, 0.9, 1.0])
    plant = _loaded(small, valve_factor=factor)
    even = _loaded(small)
    flow = plant.x.flow[plant.cur]
    k, nominal = plant.c.rack, constants(small).rack["branch_valve"]
    valve = plant.u.rack["valve"]
    law = (k["branch_a"] + factor * nominal / valve**2) * flow**2 + plant.d.branch_b * flow
    assert law == pytest.approx(plant.x.pressure[plant.cur, 0, 1], rel=1e-6)
    assert flow[0] < even.x.flow[even.cur, 0] < flow[2]


def test_a_bad_interface_raises_its_own_tray_in_proportion(small):
    """Without leakage a tray's heat does not hang on its temperature: device over plate is P R f."""
    factor = np.ones(72)
    factor[5] = 1.24
    parameters = constants(small, resistance_factor=factor)
    parameters = parameters._replace(leak=np.zeros(72))
    plant = Plant(small, parameters=parameters)
    plant.set_load(np.arange(72), 0.5)
    equilibrate(plant)
    rise = plant.x.td[plant.cur] - plant.x.tp[plant.cur]
    assert rise[5] / rise[4] == pytest.approx(1.24, rel=1e-9)


def test_power_hungry_gpus_draw_their_share_of_the_dynamic_range(small):
    """Without leakage ``P = (overhead + c + Σ idle + u span f)/η``."""
    factor = draw(small, conf("default"), 7).factors["span_factor"]
    powers = []
    for each in (np.ones(72), factor):
        parameters = constants(small, span_factor=each)._replace(leak=np.zeros(72))
        plant = Plant(small, parameters=parameters)
        plant.set_load(np.arange(72), 0.5)
        plant.settle(0.0)
        powers.append(plant.rack_power.copy())
    span = constants(small).span
    gained = np.add.reduceat(0.5 * span * (factor - 1.0), small.rack_tray0[:-1])
    assert (powers[1] - powers[0]) * plant.c.rack["shelf_eta"] == pytest.approx(gained, rel=1e-9)


# ---------------------------------------------------------------- runs


def _run(tolerances: Tolerances, seed: int = 0):
    hall = load_hall("small")
    entry = {"at": 0, "do": "set_load", "utilisation": 0.9}
    story = read_scenario({"name": "s", "purpose": "p", "timeline": [entry]}, hall, "s.yaml")
    settings = Settings(tolerances=tolerances)
    result = simulate(
        hall, Workload("none", (), (), {}), first_fit, story, seed=seed, until=600.0, settings=settings
    )  # fmt: skip
    assert_balanced(result.metrics)
    return result


def test_a_run_states_its_draw_and_nominal_runs_have_none():
    result = _run(conf("default"), seed=3)
    table = result.tables["tolerances"]
    drawn = draw(compile_topology(load_hall("small")), conf("default"), 3)
    assert list(table.itertuples(index=False, name=None)) == list(drawn.rows)
    assert len(_run(NOMINAL).tables["tolerances"]) == 0


def test_a_seed_changes_nothing_where_nothing_is_drawn_and_much_where_it_is():
    assert _run(NOMINAL, 0).metrics == _run(NOMINAL, 1).metrics
    hottest = {_run(conf("default"), seed).metrics["gpu_temperature_celsius_max"] for seed in (0, 0, 1)}
    assert len(hottest) == 2


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"breaker_electronic_delay_factors": [1.0, 0.8]}, "not two factors from 0.5 to 2, the lower one first"),
        ({"breaker_thermal_rating_factors": [0.9]}, "breaker_thermal_rating_factors = [0.9]: not two factors"),
        ({"breaker_thermal_delay_factors": 0.9}, "a list of finite numbers is expected"),
        ({"die_to_plate_resistance_fraction": -0.1}, "negative number"),
        ({"valve_resistance_fraction": 0.5}, "out of range"),
        ({"gpu_power_mean_fraction": 0.3, "gpu_power_most_fraction": 0.22}, "not above 0 and below the most, 0.22"),
        ({"gpu_power_mean_fraction": 0.08}, "Give such as 0.08 of at most 0.22"),
        ({"gpu_power_average": 0.08}, "unknown key. Did you mean 'gpu_power_mean_fraction'?"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_bands_are_refused_in_a_sentence(written, said):
    faults = Faults("tolerances.yaml")
    read_tolerances(written, "tolerances", faults)
    assert said in "\n".join(map(str, faults))
