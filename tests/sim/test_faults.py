"""Faults one by one: what each does to the plant, what stands in the log, and that its repair leaves nothing behind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from twin.results.kinds import EventKind
from twin.sim.world import Settings, TelemetryOutage

LOOP = {"loop": "loop 01"}
FAULTS = frozenset(EventKind) - {
    EventKind.RUN_STARTED,
    EventKind.RUN_ENDED,
    EventKind.SCENARIO_ACTION,
    EventKind.SLOWDOWN_ON,
    EventKind.SLOWDOWN_OFF,
    EventKind.HARDWARE_SLOWDOWN_ON,
    EventKind.HARDWARE_SLOWDOWN_OFF,
}
HEAT = (EventKind.SLOWDOWN_ON, EventKind.HARDWARE_SLOWDOWN_ON, EventKind.DEVICE_SHUTDOWN)


@pytest.fixture
def fault(tell: Callable[..., Any]) -> Callable[..., Any]:
    """``fault(until, action, …)``: a balanced run of the small hall under 90 % load."""

    def run(until: float, *actions: dict[str, Any], load: float = 0.9, **more: Any) -> Any:
        held = {"at": 0, "do": "set_load", "utilisation": load}
        return tell(until, timeline=[held, *actions], **more)

    return run


def _roots(result: Any, *kinds: EventKind) -> set[str]:
    events = result.tables["events"]
    return set(events.loc[events["kind"].isin([str(kind) for kind in kinds]), "root"])


def _slowed(result: Any) -> pd.DataFrame:
    events = result.tables["events"]
    return events[events["kind"] == EventKind.SLOWDOWN_ON]


# ---------------------------------------------------------------- pumps and loops


def test_weak_pumps_turn_slower_move_less_and_slow_the_whole_loop(fault, log_of):
    weak = {"at": 600, "do": "pump_degradation", **LOOP, "pump": "all", "severity": 0.5, "over": "60 s"}
    result = fault(1_800.0, weak | {"repair": "10 min"})
    assert log_of(result, *FAULTS) == [
        (600.0, "pump_degraded", "loop 01"),
        (1_200.0, "pump_restored", "loop 01"),
    ]
    slow = _slowed(result)
    assert len(slow) == 72
    assert 600.0 < slow["time_seconds"].min() < 660.0  # still under way
    assert set(slow["root"]) == {"pump_degradation loop 01 00:10:00"}


def test_a_weak_pump_reaches_its_share_of_the_speed_it_is_told_and_flows_follow(bench):
    """All pumps at 60 %: told full speed, they turn at 0.6, and flow is the root of their curve against the racks."""
    stage = bench()
    plant = stage.plant
    plant.set_load(np.arange(72), 0.9)
    levers = [stage.world.levers("health", 0, pump) for pump in range(3)]
    stage.at(100.0, lambda: [lever.push(0.6) for lever in levers])
    stage.run(400.0)
    np.testing.assert_allclose(plant.x.speed[plant.cur, 0], 0.6, rtol=1e-6)
    k, r = plant.c.loop[0], plant.c.rack[0]
    a, b = r["branch_a"] + r["branch_valve"], plant.d.branch_b[0]

    def excess(rack: float) -> float:  # four racks alike, three pumps alike
        total = 4.0 * rack
        lift = 0.36 * k["head"] - k["pump_b"] * (total / 3.0) ** 2
        return a * rack**2 + b * rack + k["main"] * total**2 - lift

    flow = brentq(excess, 1e-6, 1.0, xtol=1e-15)
    np.testing.assert_allclose(plant.x.flow[plant.cur], flow, rtol=1e-6)


def test_one_weak_pump_of_three_is_made_up_for_by_the_others(fault, log_of):
    result = fault(1_800.0, {"at": 600, "do": "pump_degradation", **LOOP, "pump": 1, "severity": 0.4})
    assert log_of(result, *HEAT) == []
    assert log_of(result, *FAULTS) == [(600.0, "pump_degraded", "loop 01")]


def test_a_fouled_exchanger_warms_the_loop_until_it_is_cleaned(fault, log_of):
    fouled = {"at": 600, "do": "hx_fouling", **LOOP, "severity": 0.6, "over": "10 min", "repair": "20 min"}
    result = fault(3_000.0, fouled)
    assert log_of(result, *FAULTS) == [
        (600.0, "exchanger_fouled", "loop 01"),
        (1_800.0, "exchanger_cleaned", "loop 01"),
    ]
    slow = _slowed(result)
    assert 1_200.0 < slow["time_seconds"].min() < 1_800.0
    assert set(slow["root"]) == {"hx_fouling loop 01 00:10:00"}
    assert len(log_of(result, EventKind.SLOWDOWN_OFF)) == 72


def test_fouling_takes_its_share_of_the_conductance(bench):
    """R = s/((1 − s) UA): with a share of 0.6 lost, 1/UA grows by 1/0.4; two foulings add up."""
    stage = bench()
    record = stage.plant.c.loop[0]
    clean = 1.0 / float(record["hx1"]) + 1.0 / float(record["hx2"])
    lever = stage.world.levers("fouling", 0)
    first = lever.push(clean * 0.6 / 0.4)
    second = lever.push(1e-6)
    assert clean / (clean + stage.plant.u.loop["fouling"][0] - 1e-6) == pytest.approx(0.4)
    lever.drop(first)
    assert stage.plant.u.loop["fouling"][0] == pytest.approx(1e-6)
    lever.drop(second)
    assert stage.plant.u.loop["fouling"][0] == 0.0


def test_a_clogged_filter_starves_the_loop_and_a_new_one_feeds_it_again(fault, log_of):
    """Thirty times the resistance: flow falls from 376 to 138 L/min, whatever the pumps do."""
    clogged = {"at": 600, "do": "filter_clog", **LOOP, "factor": 30, "over": "5 min", "repair": "8 min"}
    result = fault(1_800.0, clogged)
    assert log_of(result, *FAULTS) == [(600.0, "filter_clogged", "loop 01"), (1_080.0, "filter_cleaned", "loop 01")]
    assert result.tables["loops"]["flow_litres_per_minute_min"].item() == pytest.approx(138.2, abs=0.5)
    assert _roots(result, *HEAT) == {"filter_clog loop 01 00:10:00"}


def test_of_two_faults_on_one_filter_the_repair_of_one_leaves_the_other(bench):
    stage = bench()
    main = stage.plant.u.loop["main_factor"]
    lever = stage.world.levers("main", 0)
    first, second = lever.push(4.0), lever.push(3.0)
    assert main[0] == 12.0
    lever.drop(first)
    assert main[0] == 3.0
    lever.drop(second)
    assert main[0] == 1.0


def test_a_pump_that_two_faults_hold_runs_when_both_are_over(fault, log_of):
    one = {"at": 600, "do": "pump_loss", **LOOP, "pump": 1, "repair": "10 min"}
    more = {"at": 700, "do": "pump_loss", **LOOP, "pump": [1, 2], "repair": "3 min"}
    result = fault(1_500.0, one, more, load=0.3)
    events = result.tables["events"]
    told = events[events["kind"].isin(["pump_lost", "pump_restored"])]
    assert list(zip(told["time_seconds"], told["kind"], told["value"], strict=True)) == [
        (600.0, "pump_lost", 2.0),
        (700.0, "pump_lost", 1.0),
        (880.0, "pump_restored", 2.0),  # pump 1 is still out
        (1_200.0, "pump_restored", 3.0),
    ]


# ---------------------------------------------------------------- valves


def test_a_stuck_valve_moves_for_nobody_and_goes_where_it_was_told_once_it_is_free(bench, tell, log_of):
    stuck = {"at": 600, "do": "valve_stuck", "rack": "A-02", "position": 0.3, "repair": "10 min"}
    told = {"at": 700, "do": "valve", "rack": "A-02", "position": 0.6}
    result = tell(1_800.0, timeline=[stuck, told])
    assert log_of(result, *FAULTS) == [(600.0, "valve_stuck", "A-02"), (1_200.0, "valve_freed", "A-02")]
    events = result.tables["events"].set_index("kind")["value"]
    assert (events["valve_stuck"], events["valve_freed"]) == (0.3, 0.6)


def test_a_valve_that_sticks_shut_starves_its_rack_and_feeds_the_others(fault, log_of):
    result = fault(700.0, {"at": 600, "do": "valve_stuck", "rack": "A-02", "position": 0.0})
    assert {name for _, _, name in log_of(result, EventKind.SLOWDOWN_ON)} == {"A-02"}
    assert _roots(result, *HEAT) == {"valve_stuck A-02 00:10:00"}


# ---------------------------------------------------------------- facility


def test_a_loop_without_facility_water_heats_up_within_minutes(fault, log_of):
    result = fault(1_800.0, {"at": 600, "do": "facility_water_loss", **LOOP, "repair": "5 min"})
    assert log_of(result, EventKind.WATER_LOST, EventKind.WATER_RESTORED) == [
        (600.0, "water_lost", "loop 01"),
        (900.0, "water_restored", "loop 01"),
    ]
    first = {kind: log_of(result, kind)[0][0] - 600.0 for kind in HEAT}
    assert 5.0 < first[EventKind.SLOWDOWN_ON] < first[EventKind.HARDWARE_SLOWDOWN_ON] < first[EventKind.DEVICE_SHUTDOWN]
    assert first[EventKind.DEVICE_SHUTDOWN] > 60.0  # where a loop without pumps is down in less than a minute
    assert _roots(result, *HEAT) == {"facility_water_loss loop 01 00:10:00"}


def test_half_the_facility_water_of_the_whole_hall(fault, log_of):
    """The loop's valve opens further; at this load that is enough."""
    result = fault(1_800.0, {"at": 600, "do": "facility_water_loss", "severity": 0.4, "over": "2 min"}, load=0.5)
    assert log_of(result, *FAULTS) == [(600.0, "water_lost", "facility water")]
    assert log_of(result, *HEAT) == []


def test_facility_water_that_drifts_warms_every_loop(fault, log_of):
    drift = {"at": 600, "do": "facility_water_ramp", "kelvin": 20, "over": "10 min", "repair": "20 min"}
    result = fault(4_000.0, drift, load=0.75)
    assert log_of(result, *FAULTS) == [
        (600.0, "water_drifted", "facility water"),
        (1_800.0, "water_corrected", "facility water"),
    ]
    assert _roots(result, *HEAT) == {"facility_water_ramp 00:10:00"}
    assert 700.0 < _slowed(result)["time_seconds"].min() < 1_800.0
    assert len(log_of(result, EventKind.SLOWDOWN_OFF)) == 72


def test_a_chiller_trip_leaves_the_minutes_of_the_tank_and_ramps_back(fault, log_of):
    """The tank takes nameplate heat for 7 min per 8 K: at 90 % load the water warms by 1.07 K/min."""
    result = fault(4_000.0, {"at": 600, "do": "chiller_trip", "repair": "10 min"})
    assert log_of(result, *FAULTS) == [
        (600.0, "chiller_tripped", "the chillers"),
        (1_320.0, "chiller_restarted", "the chillers"),  # ten minutes and the ramp of two
    ]
    slow = _slowed(result)
    assert 3 * 60.0 < slow["time_seconds"].min() - 600.0 < 10 * 60.0
    assert set(slow["root"]) == {"chiller_trip 00:10:00"}


def test_a_partial_chiller_trip_at_low_load_is_borne(fault, log_of):
    result = fault(3_000.0, {"at": 600, "do": "chiller_trip", "severity": 0.3}, load=0.3)
    assert log_of(result, *HEAT) == []
    assert log_of(result, *FAULTS) == [(600.0, "chiller_tripped", "the chillers")]


AIR = ("rack_class=h100_8gpu_air", "loop=null", "facility.tank_minutes=60")


def test_racks_that_air_cools_shut_down_without_crahs_and_their_fans_draw_nothing(fault, log_of):
    lost = {"at": 600, "do": "crah_failure", "zone": "zone 1", "repair": "20 min"}
    result, calm = fault(1_900.0, lost, hall=AIR), fault(1_900.0, hall=AIR)
    assert log_of(result, EventKind.CRAH_LOST, EventKind.CRAH_RESTORED) == [
        (600.0, "crah_lost", "zone 1"),
        (1_800.0, "crah_restored", "zone 1"),
    ]
    assert _roots(result, *HEAT) == {"crah_failure zone 1 00:10:00"}
    assert len(log_of(result, EventKind.DEVICE_SHUTDOWN)) > 0
    energy = [run.metrics["facility_energy_joules"] - run.metrics["it_energy_joules"] for run in (result, calm)]
    assert energy[0] < energy[1]


def test_half_the_crahs_of_every_zone(fault, log_of):
    result = fault(1_800.0, {"at": 600, "do": "crah_failure", "severity": 0.5}, hall=AIR, load=0.2)
    assert log_of(result, *FAULTS) == [(600.0, "crah_lost", "the hall")]


def test_hot_weather_comes_and_goes_over_its_time(bench, tell, log_of):
    hot = {"at": 600, "do": "hot_weather", "dry_bulb_kelvin": 15, "wet_bulb_kelvin": 12, "over": "10 min"}
    free = ("facility.chiller_cop=100", "facility.setpoint_celsius=20")  # a trim chiller that makes up for it
    plain, warm = tell(3_600.0, hall=free), tell(3_600.0, hall=free, timeline=[hot | {"repair": "20 min"}])
    assert log_of(warm, *FAULTS) == [(600.0, "weather_hot", "the weather"), (1_800.0, "weather_over", "the weather")]
    assert warm.metrics["facility_energy_joules"] > plain.metrics["facility_energy_joules"]
    stage = bench()
    facility = stage.plant.u.facility
    lever = stage.world.levers("weather")
    number = lever.push(("added", 15.0, 12.0))
    assert facility[2:].tolist() == [35.0, 26.0]
    lever.rest_at((18.0, 17.0))  # the weather file moves on beneath it
    assert facility[2:].tolist() == [33.0, 29.0]
    lever.drop(number)
    assert facility[2:].tolist() == [18.0, 17.0]


# ---------------------------------------------------------------- racks


def test_a_bad_interface_raises_one_device_above_its_plate_and_no_other(fault, log_of):
    bad = {"at": 600, "do": "thermal_interface", "rack": "A-02", "tray": 5, "factor": 3, "repair": "10 min"}
    result = fault(1_800.0, bad)
    assert log_of(result, EventKind.INTERFACE_WORSENED, EventKind.INTERFACE_RENEWED) == [
        (600.0, "interface_worsened", "A-02"),
        (1_200.0, "interface_renewed", "A-02"),
    ]
    slow = _slowed(result)
    assert set(zip(slow["name"], slow["detail"], strict=True)) == {("A-02", "tray 5")}
    assert set(slow["root"]) == {"thermal_interface A-02 00:10:00"}


def test_the_rise_over_the_plate_goes_with_the_resistance_of_the_interface(bench):
    stage = bench()
    plant = stage.plant
    plant.set_load(np.arange(72), 0.4)
    before = plant.u.ir.copy()
    stage.at(50.0, lambda: stage.world.levers("interface", 22).push(2.5))
    stage.run(600.0)
    rise = plant.x.td[plant.cur] - plant.x.tp[plant.cur]
    part = plant.topology.hall.racks[0].rack_class
    power = part.tray_idle_watts + 0.4 * (part.tray_max_watts - part.tray_idle_watts)
    leaked = part.leakage_watts_per_kelvin * (plant.x.td[plant.cur] - part.leakage_reference_celsius)
    heat = part.die_share * power + leaked  # W into the device
    assert rise[21] / heat[21] == pytest.approx(part.conduction_resistance, rel=1e-6)
    assert rise[22] / heat[22] == pytest.approx(2.5 * part.conduction_resistance, rel=1e-6)
    assert plant.u.ir[21] == before[21] == plant.c.ir[21]
    plant.set_interface(np.array([22]), 1.0)
    np.testing.assert_array_equal(plant.u.ir, before)


def test_telemetry_that_falls_silent_is_listed_and_the_plant_does_not_notice(bench, tell, log_of):
    silent = [
        {"at": 600, "do": "telemetry_outage", "rack": "A-02", "signals": "power_watts", "repair": "5 min"},
        {"at": 700, "do": "telemetry_outage", "repair": "1 min"},
        {"at": 720, "do": "telemetry_outage", "loop": "loop 01", "signals": ["flow", "supply"]},
    ]
    calm, result = tell(1_200.0), tell(1_200.0, timeline=silent)
    assert log_of(result, *FAULTS) == [
        (600.0, "telemetry_lost", "A-02"),
        (700.0, "telemetry_lost", "the hall"),
        (720.0, "telemetry_lost", "loop 01"),
        (760.0, "telemetry_restored", "the hall"),
        (900.0, "telemetry_restored", "A-02"),
    ]
    pd.testing.assert_frame_equal(calm.tables["racks"], result.tables["racks"], rtol=1e-6)


def test_the_outages_under_way_stand_in_the_world(bench):
    from twin.sim.faults import Story
    from twin.sim.scenario import read_scenario

    stage = bench()
    story = Story(stage.world, stage.protection, stage.scheduler, 4)
    told = {"name": "tale", "purpose": "To see.", "timeline": [
        {"at": 10, "do": "telemetry_outage", "rack": "A-02", "signals": "power_watts", "repair": "10 s"},
        {"at": 12, "do": "telemetry_outage", "row": "A"},
    ]}  # fmt: skip
    for action in read_scenario(told, stage.world.topology.hall, "tale.yaml").timeline:
        stage.env.process(story.tell(action))
    seen = []
    for time in (5.0, 11.0, 15.0, 25.0):
        stage.at(time, lambda: seen.append(list(stage.world.telemetry_outages)))
    stage.run(30.0)
    rack, row = TelemetryOutage("rack", "A-02", ("power_watts",)), TelemetryOutage("row", "A")
    assert seen == [[], [rack], [rack, row], [row]]


# ---------------------------------------------------------------- causes


def test_of_two_faults_the_later_one_is_blamed_while_it_lasts_and_the_earlier_one_after(fault):
    """A filter that clogs for good slows the loop; a valve that stuck on one rack is blamed there until it is free."""
    clog = {"at": 600, "do": "filter_clog", **LOOP, "factor": 12, "over": "10 min"}
    stuck = {"at": 605, "do": "valve_stuck", "rack": "A-02", "position": 0.25, "repair": "5 min"}
    slow = _slowed(fault(2_000.0, clog, stuck, load=0.9))
    blamed = slow.groupby("name")["root"].agg(set).to_dict()
    assert blamed.pop("A-02") == {"valve_stuck A-02 00:10:05"}
    assert blamed == {rack: {"filter_clog loop 01 00:10:00"} for rack in ("A-01", "A-03", "A-04")}


def test_a_fault_that_lasts_explains_what_comes_hours_later(fault):
    """Fouling that takes three hours to be felt is still its cause; a memory of an hour would have lost it."""
    fouled = {"at": 60, "do": "hx_fouling", **LOOP, "severity": 0.62, "over": "4 h"}
    slow = _slowed(fault(5 * 3_600.0, fouled))
    assert slow["time_seconds"].min() > 60.0 + 3_600.0
    assert set(slow["root"]) == {"hx_fouling loop 01 00:01:00"}


# ---------------------------------------------------------------- power


def test_a_nuisance_trip_spares_the_racks_and_is_closed_after_the_usual_time(fault, log_of):
    result = fault(2_000.0, {"at": 600, "do": "breaker_nuisance_trip", "breaker": "row A/feed A"})
    assert log_of(result, *FAULTS) == [
        (600.0, "breaker_trip", "row A/feed A"),
        (1_500.0, "breaker_reclosed", "row A/feed A"),
    ]
    trip = result.tables["events"].query("kind == 'breaker_trip'").iloc[0]
    assert trip["root"] == "breaker_nuisance_trip row A/feed A 00:10:00"
    assert trip["detail"].startswith("nuisance at 0.")
    assert result.metrics["breaker_trips_total"] == 1
    assert result.metrics["rack_dark_seconds"] == 0.0


def test_a_reclosure_that_was_overtaken_by_another_trip_does_not_close_it(fault, log_of):
    """Tripped at 600, closed by hand at 700, tripped again at 1000: open until 1900, not until 1500."""
    name = "row A/feed A"
    trips = [{"at": at, "do": "breaker_nuisance_trip", "breaker": name} for at in (600, 1_000)]
    result = fault(2_000.0, *trips, {"at": 700, "do": "breaker_close", "breaker": name})
    assert [(time, kind) for time, kind, _ in log_of(result, *FAULTS)] == [
        (600.0, "breaker_trip"),
        (700.0, "breaker_reclosed"),
        (1_000.0, "breaker_trip"),
        (1_900.0, "breaker_reclosed"),
    ]


def test_a_nuisance_trip_of_the_only_feed_left_darkens_what_hangs_on_it(fault, log_of):
    cut = {"at": 300, "do": "feed_loss", "node": "ups B"}
    result = fault(900.0, cut, {"at": 600, "do": "breaker_nuisance_trip", "breaker": "A-03/feed A", "repair": "2 min"})
    assert [(kind, name) for _, kind, name in log_of(result, *FAULTS)] == [
        ("feed_lost", "ups B"),
        ("breaker_trip", "A-03/feed A"),
        ("rack_dark", "A-03"),
        ("breaker_reclosed", "A-03/feed A"),
    ]
    assert _roots(result, EventKind.RACK_DARK) == {"breaker_nuisance_trip A-03/feed A 00:10:00"}


def test_a_ups_on_battery_comes_back_with_what_is_left_of_it(fault, log_of):
    result = fault(1_800.0, {"at": 600, "do": "ups_on_battery", "node": "ups A", "repair": "2 min"})
    assert log_of(result, *FAULTS) == [(600.0, "battery_on", "ups A"), (720.0, "battery_off", "ups A")]
    left = result.tables["events"].set_index("kind")["value"]
    calm = fault(600.0)
    watts = calm.tables["racks"]["energy_joules"].sum() / 600.0 / 2.0
    at_ups = ((watts + 300.0) / 0.995 + 1_000.0) / 0.97  # PDU and UPS: P_in = (P_out + c)/η
    assert left["battery_on"] - left["battery_off"] == pytest.approx(120.0 * at_ups, rel=1e-3)


def test_a_ups_whose_battery_is_spent_leaves_its_racks_to_the_other_feed(fault, log_of):
    result = fault(2_400.0, {"at": 600, "do": "ups_on_battery", "node": "ups A", "repair": "20 min"})
    log = log_of(result, *FAULTS)
    assert [(kind, name) for _, kind, name in log] == [
        ("battery_on", "ups A"),
        ("battery_spent", "ups A"),
        ("battery_off", "ups A"),
    ]
    assert log[1][0] - 600.0 == pytest.approx(308.3, abs=1.0)
    assert log[2][0] == 1_800.0
    assert _roots(result, EventKind.BATTERY_SPENT) == {"ups_on_battery ups A 00:10:00"}


# ---------------------------------------------------------------- a lost phase


def _lines(plant: Any, node: str) -> np.ndarray:
    n = plant.topology.node_names.index(node)
    return np.hypot(plant.w.node_i[n, 0::2], plant.w.node_i[n, 1::2])


def test_a_lost_phase_leaves_a_third_of_the_shelves_of_its_feed(bench):
    """Line L1 of row A/feed A: A–B and C–A shelves are dead there, so the feed keeps 1 of 4 live thirds.

    Feed A: I_a = 0, I_b = I_c = (P/4)/(V pf). Feed B: balanced, (3P/4)/(√3 V pf) on each line.
    """
    stage = bench()
    plant = stage.plant
    stage.run(10.0)
    names = plant.topology.node_names
    lever = stage.world.levers("phase", names.index("row A/feed A"), 0)
    number = lever.push(True)
    plant.settle(10.0)
    factor = float(plant.c.rack[0]["power_factor"])
    for rack, power in zip(plant.topology.rack_names, plant.rack_power, strict=True):
        whole = power / (480.0 * factor)
        np.testing.assert_allclose(_lines(plant, f"{rack}/feed A"), [0.0, whole / 4, whole / 4], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(_lines(plant, f"{rack}/feed B"), 0.75 * whole / np.sqrt(3.0), rtol=1e-9)
    total = plant.rack_power.sum() / (480.0 * factor)
    np.testing.assert_allclose(_lines(plant, "row A/feed A"), [0.0, total / 4, total / 4], rtol=1e-9, atol=1e-9)
    assert plant.d.powered.all()
    lever.drop(number)
    plant.settle(10.0)
    np.testing.assert_allclose(_lines(plant, "row A/feed A"), total / 2 / np.sqrt(3.0), rtol=1e-9)


def test_two_lost_phases_leave_nothing_of_a_feed_and_a_ups_makes_its_own(bench):
    stage = bench()
    plant = stage.plant
    stage.run(10.0)
    names = plant.topology.node_names
    for phase in (0, 1):
        stage.world.levers("phase", names.index("pdu A/feed A"), phase).push(True)
    plant.settle(10.0)
    assert _lines(plant, "row A/feed A").max() == 0.0
    np.testing.assert_array_equal(plant.d.share, [[0.0, 1.0]] * 4)
    assert plant.d.live[names.index("ups A")].tolist() == [1, 1, 1]
    assert plant.d.live[names.index("A-01/feed A")].tolist() == [0, 0, 1]  # propagated down


def test_a_rack_that_hangs_on_the_lost_pair_of_its_only_feed_goes_dark(tell, log_of):
    """Power supplies of one rack stand between L1 and L2 alone, on feed A alone; the others have thirds."""
    hall = (
        "classes.pair={preset: gb200_nvl72, phase_weights: [1.0, 0.0, 0.0]}",
        "exceptions.A-04={rack_class: pair, feeds: [A]}",
    )
    lost = {"at": 600, "do": "phase_loss", "node": "row A/feed A", "phase": "L2", "repair": "5 min"}
    result = tell(2_000.0, hall=hall, timeline=[{"at": 0, "do": "set_load", "utilisation": 0.4}, lost])
    log = log_of(result, *FAULTS)
    assert [(kind, name) for _, kind, name in log] == [
        ("phase_lost", "row A/feed A"),
        ("rack_dark", "A-04"),
        ("phase_restored", "row A/feed A"),
        ("rack_restored", "A-04"),
    ]
    assert log[1][0] - 600.0 < 0.1  # its ride-through
    assert [time for time, _, _ in log[2:]] == [900.0, 1_200.0]
    assert _roots(result, EventKind.RACK_DARK) == {"phase_loss row A/feed A 00:10:00"}


def test_a_lost_phase_loads_the_other_feed_until_its_breaker_trips(tell, log_of):
    """Feed B carries 3/4 in place of 1/2: a row breaker at 90 % of its rating before is at 1.35 after."""
    calm = tell(60.0, timeline=[{"at": 0, "do": "set_load", "utilisation": 0.6}])
    amperes = calm.tables["breakers"].set_index("name").loc["row A/feed B", "current_amperes_max"]
    hall = (f"row_feed.breaker.rating_amperes={amperes / 0.9}", "pdu.breaker.rating_amperes=5000")
    lost = {"at": 7_200, "do": "phase_loss", "node": "pdu A/feed A", "phase": "L3"}
    result = tell(9_000.0, hall=hall, timeline=[{"at": 0, "do": "set_load", "utilisation": 0.6}, lost])
    log = log_of(result, EventKind.PHASE_LOST, EventKind.BREAKER_TRIP)
    assert [name for _, _, name in log][:2] == ["pdu A/feed A", "row A/feed B"]
    tau = 16.0 / np.log(36.0 / 34.56)
    expected = tau * np.log((1.35**2 - 0.9**2) / (1.35**2 - 1.44))
    assert log[1][0] - log[0][0] == pytest.approx(expected, rel=5e-3)
    assert _roots(result, EventKind.BREAKER_TRIP) == {"phase_loss pdu A/feed A 02:00:00"}


# ---------------------------------------------------------------- the utility


POWER = (
    EventKind.UTILITY_LOST, EventKind.BATTERY_ON, EventKind.PUMP_LOST, EventKind.CRAH_LOST, EventKind.WATER_LOST,
    EventKind.CHILLER_TRIPPED, EventKind.GENERATOR_STARTED, EventKind.GENERATOR_FAILED, EventKind.BATTERY_OFF,
    EventKind.PUMP_RESTORED, EventKind.CRAH_RESTORED, EventKind.WATER_RESTORED, EventKind.CHILLER_RESTARTED,
    EventKind.BATTERY_SPENT, EventKind.RACK_DARK, EventKind.UTILITY_RESTORED, EventKind.GENERATOR_STOPPED,
    EventKind.RACK_RESTORED,
)  # fmt: skip


def test_a_utility_loss_walks_through_battery_generator_and_chiller(fault, log_of):
    result = fault(1_800.0, {"at": 600, "do": "utility_loss", "repair": "15 min"}, load=0.6)
    assert log_of(result, *POWER) == [
        (600.0, "utility_lost", "utility A"),
        (600.0, "utility_lost", "utility B"),
        (600.0, "battery_on", "ups A"),
        (600.0, "battery_on", "ups B"),
        (600.0, "crah_lost", "zone 1"),
        (600.0, "chiller_tripped", "the chillers"),
        (612.0, "generator_started", "utility A"),
        (612.0, "generator_started", "utility B"),
        (612.0, "battery_off", "ups A"),
        (612.0, "battery_off", "ups B"),
        (612.0, "crah_restored", "zone 1"),
        (1_332.0, "chiller_restarted", "the chillers"),  # 600 s to start and 120 s of ramp after the generators
        (1_500.0, "utility_restored", "utility A"),
        (1_500.0, "generator_stopped", "utility A"),
        (1_500.0, "utility_restored", "utility B"),
        (1_500.0, "generator_stopped", "utility B"),
    ]
    assert _roots(result, *POWER) == {"utility_loss 00:10:00"}
    assert len(set(result.tables["events"].query("incident >= 0")["incident"])) == 1


def test_pumps_that_are_not_on_ups_coast_down_until_the_generators_carry_them(fault, log_of):
    hall = ("emergency.cdu_pumps_on_ups=false",)
    result = fault(1_200.0, {"at": 600, "do": "utility_loss", "repair": "9 min"}, hall=hall)
    pumps = log_of(result, EventKind.PUMP_LOST, EventKind.PUMP_RESTORED)
    assert pumps == [(600.0, "pump_lost", "loop 01"), (612.0, "pump_restored", "loop 01")]
    assert result.tables["loops"]["flow_litres_per_minute_min"].item() < 5.0
    slow = _slowed(result)
    assert len(slow) == 72
    assert 600.0 < slow["time_seconds"].min() < 612.0


def test_generators_that_do_not_start_leave_the_batteries_and_then_the_dark(fault, log_of):
    result = fault(2_700.0, {"at": 600, "do": "utility_loss", "generator": "fails", "repair": "15 min"}, load=0.6)
    log = log_of(result, *POWER)
    order = list(dict.fromkeys(kind for _, kind, _ in log))
    assert order == [
        "utility_lost",
        "battery_on",
        "crah_lost",
        "chiller_tripped",
        "generator_failed",
        "battery_spent",
        "pump_lost",
        "water_lost",
        "rack_dark",
        "utility_restored",
        "battery_off",
        "pump_restored",
        "crah_restored",
        "water_restored",
        "rack_restored",
        "chiller_restarted",
    ]
    dark = [time for time, kind, _ in log if kind == "rack_dark"]
    assert len(dark) == 4
    losses = result.tables["losses"]
    assert set(losses.loc[losses["kind"] == "power_watt_seconds", "cause"]) == {"utility_loss 00:10:00"}


def test_a_utility_that_is_back_before_the_generators_needs_none(fault, log_of):
    result = fault(1_500.0, {"at": 600, "do": "utility_loss", "repair": "5 s"}, load=0.5)
    assert log_of(result, EventKind.GENERATOR_STARTED, EventKind.GENERATOR_STOPPED) == []
    assert log_of(result, EventKind.UTILITY_RESTORED)[0][0] == 605.0
    assert log_of(result, EventKind.CHILLER_RESTARTED) == [(1_325.0, "chiller_restarted", "the chillers")]


def test_a_utility_that_is_out_cannot_fail_again_while_its_generator_runs(fault, log_of):
    hall = {"at": 600, "do": "utility_loss", "repair": "10 min"}
    result = fault(1_500.0, hall, {"at": 900, "do": "utility_loss", "feed": "A", "repair": "1 min"}, load=0.5)
    assert log_of(result, EventKind.UTILITY_LOST, EventKind.UTILITY_RESTORED) == [
        (600.0, "utility_lost", "utility A"),
        (600.0, "utility_lost", "utility B"),
        (1_200.0, "utility_restored", "utility A"),
        (1_200.0, "utility_restored", "utility B"),
    ]
    assert len(log_of(result, EventKind.BATTERY_ON)) == 2


def test_chillers_that_lose_power_again_while_they_start_begin_anew(fault, log_of):
    """Lost at 600 and 900, each time for 60 s, without generators: 960 + 600 + 120."""
    lost = [{"at": at, "do": "utility_loss", "repair": "60 s"} for at in (600, 900)]
    result = fault(2_000.0, *lost, hall=("emergency.generator_start_seconds=null",), load=0.3)
    assert log_of(result, EventKind.CHILLER_TRIPPED, EventKind.CHILLER_RESTARTED) == [
        (600.0, "chiller_tripped", "the chillers"),
        (1_680.0, "chiller_restarted", "the chillers"),
    ]


def test_a_hall_without_generators(fault, log_of):
    hall = ("emergency.generator_start_seconds=null",)
    result = fault(1_200.0, {"at": 600, "do": "utility_loss"}, hall=hall, load=0.6)
    assert log_of(result, EventKind.GENERATOR_STARTED, EventKind.GENERATOR_FAILED) == []
    assert len(log_of(result, EventKind.RACK_DARK)) == 4


def test_one_utility_of_two_stops_no_chiller(fault, log_of):
    result = fault(1_800.0, {"at": 600, "do": "utility_loss", "feed": "A", "repair": "5 min"})
    assert log_of(result, *POWER) == [
        (600.0, "utility_lost", "utility A"),
        (600.0, "battery_on", "ups A"),
        (612.0, "generator_started", "utility A"),
        (612.0, "battery_off", "ups A"),
        (900.0, "utility_restored", "utility A"),
        (900.0, "generator_stopped", "utility A"),
    ]


def test_everything_at_once_balances_and_repeats_itself(tell, a_job):
    jobs = [a_job(f"job-{n}", 9, 2_000.0, submit=1.0 + n, save=10.0, every=300.0) for n in range(7)]
    story = [
        {"at": 300, "do": "hx_fouling", **LOOP, "severity": 0.3, "over": "10 min"},
        {"at": 400, "do": "pump_degradation", **LOOP, "pump": "all", "severity": 0.3, "repair": "10 min"},
        {"at": 450, "do": "phase_loss", "node": "row A/feed B", "phase": "L2", "repair": "20 min"},
        {"at": 500, "do": "utility_loss", "repair": "10 min"},
        {"at": 505, "do": "pump_loss", **LOOP, "pump": 1, "repair": "5 min"},
        {"at": 700, "do": "filter_clog", **LOOP, "factor": 8, "repair": "10 min"},
        {"at": 800, "do": "breaker_nuisance_trip", "breaker": "A-01/feed A"},
        {"at": 900, "do": "thermal_interface", "rack": "A-03", "tray": 1, "factor": 2.5},
        {"at": 950, "do": "chiller_trip", "severity": 0.5, "repair": "10 min"},
    ]
    one, two = (tell(3_000.0, jobs=jobs, timeline=story, settings=Settings()) for _ in range(2))
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, two.tables[name], check_exact=True)
    events = one.tables["events"]
    assert (events["cause"] < events["event"]).all()
    assert "unknown" not in set(one.tables["losses"]["cause"])
