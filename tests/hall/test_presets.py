"""Presets against the figures that they were taken from, and the arithmetic from data sheet to SI."""

import math

import pytest

from twin.hall.breaker_figures import breaker
from twin.hall.cdu_figures import cdu
from twin.hall.curves import trip_seconds
from twin.hall.errors import Faults
from twin.hall.exchanger import conductance_at_rating
from twin.hall.fluids import pg25_density, pg25_heat_capacity
from twin.hall.loads import air_heat_watts, imbalance, line_currents, liquid_heat_watts, node_pairs, pair_power
from twin.hall.parts import Breaker, Cdu, RackClass
from twin.hall.presets import load_parts
from twin.hall.rack_figures import rack_class

PARTS = load_parts()


def rack(name: str) -> RackClass:
    faults = Faults("racks.yaml")
    made = rack_class(name, PARTS["racks"][name], name, faults)
    assert faults == [] and made is not None
    return made


def device(name: str, **changes: object) -> Breaker:
    faults = Faults("breakers.yaml")
    made = breaker({"preset": name, **changes}, PARTS["breakers"], name, faults)
    assert faults == [] and made is not None
    return made


def unit(name: str, heat: float | None = None) -> Cdu:
    faults = Faults("cdus.yaml")
    made = cdu(name, PARTS["cdus"][name], name, faults, heat)
    assert faults == [] and made is not None
    return made


def test_every_preset_can_be_read():
    assert all(rack(name).source for name in PARTS["racks"])
    assert all(device(name).source for name in PARTS["breakers"])
    assert all(unit(name).source for name in PARTS["cdus"])


def test_a_gb200_rack_draws_132_kw_of_which_115_go_to_liquid():
    gb200 = rack("gb200_nvl72")
    assert gb200.trays * gb200.gpus_per_tray == 72
    assert gb200.max_power_watts == pytest.approx(132_000.0, abs=1e-6)
    assert liquid_heat_watts(gb200) == pytest.approx(115_000.0, abs=1.0)
    assert air_heat_watts(gb200) == pytest.approx(17_000.0, abs=1.0)
    assert gb200.idle_power_watts == pytest.approx((18 * 1000 + 8194 + 500) / 0.975)


def test_a_gb300_rack_gives_116_kw_to_liquid_and_19_to_air():
    gb300 = rack("gb300_nvl72")
    assert liquid_heat_watts(gb300) == pytest.approx(116_000.0, rel=1e-3)
    assert air_heat_watts(gb300) == pytest.approx(19_300.0, rel=1e-3)
    assert gb300.smoothing_joules == 72 * 65


@pytest.mark.parametrize("name", ["h100_8gpu_air", "a100_8gpu_air"])
def test_air_cooled_racks_give_everything_to_air(name):
    air = rack(name)
    assert liquid_heat_watts(air) == 0.0
    assert air_heat_watts(air) == air.max_power_watts
    assert air.trays * air.gpus_per_tray == 32


def test_rack_hydraulics_are_the_published_curve():
    gb200 = rack("gb200_nvl72")
    for litres, kilopascals in ((92.6, 46.9), (117.5, 73.5)):
        flow = litres / 60_000.0
        drop = gb200.quadratic_resistance * flow**2 + gb200.linear_resistance * flow
        assert drop == pytest.approx(kilopascals * 1e3, rel=2e-3)
    assert gb200.valve_resistance * gb200.nominal_flow**2 == pytest.approx(35e3)


def test_time_constants_of_a_gb200_tray():
    gb200 = rack("gb200_nvl72")
    assert gb200.die_heat_capacity * gb200.conduction_resistance == pytest.approx(0.5, abs=0.05)
    assert 6.0 <= gb200.plate_heat_capacity * gb200.convection_resistance <= 18.0


def test_the_coolant_is_pg25_at_40_celsius():
    assert pg25_density(40.0) == pytest.approx(1009.9, abs=0.05)
    assert pg25_heat_capacity(40.0) == pytest.approx(3969.0, abs=1.0)


def test_an_lsi_breaker_of_band_16_trips_at_its_published_times():
    lsi = device("lsi_tr16", rating_amperes=1000)
    assert trip_seconds(lsi, 1500.0) == pytest.approx(400.43, abs=0.02)
    assert trip_seconds(lsi, 1500.0, 800.0) == pytest.approx(269.0, abs=0.5)
    assert trip_seconds(lsi, 5999.99) == pytest.approx(16.0, abs=0.01)
    assert trip_seconds(lsi, 6000.0) == 0.2  # short time
    assert trip_seconds(lsi, 10_000.0) == 0.0
    assert math.isinf(trip_seconds(lsi, 1050.0)) and math.isinf(trip_seconds(lsi, 1200.0))


def test_the_survivor_of_a_feed_loss_at_70_percent_trips_after_407_seconds():
    assert trip_seconds(device("lsi_tr16", rating_amperes=1000), 1400.0, 700.0) == pytest.approx(407.3, abs=0.1)
    assert math.isinf(trip_seconds(device("lsi_tr16", rating_amperes=1000), 900.0, 450.0))


def test_a_c16_miniature_breaker_meets_iec_60898():
    mcb = device("mcb_c16")
    assert math.isinf(trip_seconds(mcb, 1.13 * 16))
    assert trip_seconds(mcb, 1.45 * 16, 1.13 * 16) < 3600.0
    assert 1.0 < trip_seconds(mcb, 2.55 * 16) < 60.0
    assert trip_seconds(mcb, 4.9 * 16) > 0.1 > trip_seconds(mcb, 10.0 * 16)


def test_a_250_a_moulded_case_breaker_holds_105_percent_and_trips_at_130():
    mccb = device("ul489_250a")
    assert math.isinf(trip_seconds(mccb, 1.05 * 250))
    assert trip_seconds(mccb, 1.30 * 250, 1.05 * 250) < 7200.0
    assert mccb.continuous_fraction == 0.8


def test_the_dynamo_table_follows_its_curve_between_and_beyond_its_points():
    rpp = device("dynamo_rpp", rating_amperes=100)
    for ratio in (1.02, 1.1, 1.3, 1.4, 2.5, 8.0):
        assert trip_seconds(rpp, 100 * ratio) == pytest.approx(10.2 / (ratio - 1) ** 2, rel=1e-3)
    assert math.isinf(trip_seconds(rpp, 100.0))


def test_the_exchanger_of_the_selection_point_has_382_kw_per_kelvin():
    # 1250 kW; primary water 35 → 46 °C, PG25 51 → 37 °C: approach 2 K, NTU 4.28, UA 382 kW/K
    heat = 1250e3
    ua = conductance_at_rating(heat, 2.0, heat / 14.0, heat / 11.0)
    assert ua == pytest.approx(382e3, rel=5e-3)


def test_equal_capacities_have_their_own_closed_form():
    # Cr = 1: ε = NTU/(1 + NTU); 100 kW, 10 kW/K both, approach 10 K: ε = 100/(10·20) = 0.5, NTU = 1
    assert conductance_at_rating(100e3, 10.0, 10e3, 10e3) == pytest.approx(10e3)


def test_a_cdu_moves_its_rated_heat_at_its_rated_approach():
    made = unit("cdu_1350kw")
    hot = made.hx_secondary_flow * pg25_density(40.0) * pg25_heat_capacity(40.0)
    cold = made.facility_flow * 994.0 * 4180.0
    ua = 1.0 / (1.0 / made.hx_secondary_conductance + 1.0 / made.hx_facility_conductance + made.hx_fouling_resistance)
    least, ratio = min(hot, cold), min(hot, cold) / max(hot, cold)
    decay = math.exp(-ua / least * (1.0 - ratio))
    effectiveness = (1.0 - decay) / (1.0 - ratio * decay)
    heat = effectiveness * least * (4.0 + 1368e3 / hot)  # hot inlet: 4 K approach and the secondary's own rise
    assert heat == pytest.approx(1368e3, rel=1e-9)
    assert made.hx_secondary_flow == pytest.approx(1200 / 60_000)


def test_two_of_three_pumps_meet_the_rated_point():
    made = unit("cdu_1350kw")
    head = made.pump_head - made.pump_resistance * (made.hx_secondary_flow / 2) ** 2
    assert head == pytest.approx((244 + 90) * 1e3)
    assert made.main_resistance * made.hx_secondary_flow**2 == pytest.approx((90 + 20) * 1e3)


def test_a_scaled_cdu_keeps_its_pressures_and_its_exchanger_its_effectiveness():
    whole, half = unit("cdu_1350kw"), unit("cdu_1350kw", 1368e3 / 2)
    assert half.pump_head == whole.pump_head
    assert half.hx_secondary_flow == pytest.approx(whole.hx_secondary_flow / 2)
    assert half.hx_secondary_conductance == pytest.approx(whole.hx_secondary_conductance / 2)
    assert half.supply_heat_capacity == pytest.approx(whole.supply_heat_capacity / 2)


def test_fouling_comes_out_of_the_same_rating():
    faults = Faults("x")
    made = cdu("x", {**PARTS["cdus"]["cdu_1350kw"], "fouling_kelvin_per_kilowatt": 0.001}, "x", faults)
    clean = unit("cdu_1350kw")
    assert made is not None and made.hx_fouling_resistance == pytest.approx(1e-6)
    total = 1 / made.hx_secondary_conductance + 1 / made.hx_facility_conductance + 1e-6
    assert total == pytest.approx(1 / clean.hx_secondary_conductance + 1 / clean.hx_facility_conductance)


def test_a_balanced_load_draws_p_over_root_three_v_pf_on_every_line():
    currents = line_currents(pair_power(132_000.0, 0.98, (1 / 3, 1 / 3, 1 / 3)), 480.0)
    assert currents == pytest.approx([132_000.0 / (math.sqrt(3) * 480.0 * 0.98)] * 3)
    assert currents[0] == pytest.approx(162.0, abs=0.05)


def test_a_line_to_line_load_draws_on_two_lines_only():
    currents = line_currents(pair_power(4800.0, 1.0, (1.0, 0.0, 0.0)), 480.0)
    assert currents == pytest.approx([10.0, 10.0, 0.0], abs=1e-9)


def test_two_equal_line_to_line_loads_share_a_line_as_phasors():
    # 10 A on A–B and 10 A on B–C: line B carries √3 · 10 A, not 20
    currents = line_currents(pair_power(9600.0, 1.0, (0.5, 0.5, 0.0)), 480.0)
    assert currents == pytest.approx([10.0, 10.0 * math.sqrt(3.0), 10.0], abs=1e-9)


@pytest.mark.parametrize("name", ["reference", "mixed"])
def test_the_auxiliary_panel_is_ten_percent_out_of_balance(name, build):
    hall = build(name)
    pairs = node_pairs(hall, {each.name: 0.0 for each in hall.racks})
    assert imbalance(line_currents(pairs["auxiliary panel"], 480.0)) == pytest.approx(0.10, abs=1e-4)


def test_the_air_cooled_rows_of_mixed_are_ten_percent_out_of_balance(build):
    hall = build("mixed")
    pairs = node_pairs(hall, {each.name: each.rack_class.max_power_watts for each in hall.racks})
    nodes = [each for each in hall.nodes if each.name in ("row D/feed A", "row E/feed B")]
    assert [imbalance(line_currents(pairs[n.name], n.voltage)) for n in nodes] == pytest.approx([0.10, 0.10], abs=1e-4)
    assert imbalance(line_currents(pairs["row A/feed A"], 480.0)) == pytest.approx(0.0, abs=1e-12)
