"""What hardware does by itself: breakers by their curves, racks in the dark, devices in the heat, and the way back."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.breakers import lsi_time_constant, trip_seconds
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.results.kinds import EventKind
from twin.sim.world import Settings
from twin.workload.jobs import Phase

LOST = 7_200.0  # s; 18 time constants after the load came on, so that breakers know nothing else
TAU = lsi_time_constant(16.0)
POWER = (
    EventKind.FEED_LOST,
    EventKind.BREAKER_TRIP,
    EventKind.BATTERY_SPENT,
    EventKind.RACK_DARK,
    EventKind.BREAKER_RECLOSED,
    EventKind.RACK_RESTORED,
)
HEAT = (EventKind.SLOWDOWN_ON, EventKind.HARDWARE_SLOWDOWN_ON, EventKind.DEVICE_SHUTDOWN)
RACKS = [f"A-0{n}" for n in range(1, 5)]


@cache
def _steady(load: float, *overrides: str) -> Plant:
    """The hall at equilibrium, every tray at ``load``: what its breakers and racks carry."""
    plant = Plant(compile_topology(load_hall("small", overrides)))
    plant.set_load(np.arange(len(plant.c.idle)), load)
    equilibrate(plant)
    plant.settle(0.0)
    return plant


def _amperes(load: float, breaker: str) -> float:
    plant = _steady(load)
    index = plant.topology.breaker_names.index(breaker)
    return float(plant.breaker_ratio[index] * plant.c.breaker["rating"][index])


def _rated(row: float, load: float, pdu: float = 5_000.0) -> tuple[str, ...]:
    """Overrides that give the row breakers this rating in shares of what one feed carries at ``load``."""
    return (
        f"row_feed.breaker.rating_amperes={_amperes(load, 'row A/feed A') / row}",
        f"pdu.breaker.rating_amperes={pdu}",
        "ups.breaker.rating_amperes=5000",
    )


def _story(load: float, *more: dict) -> list[dict]:
    return [{"at": 0, "do": "set_load", "utilisation": load}, *more]


def _lose(node: str = "ups A", at: float = LOST, **more: str) -> dict:
    return {"at": at, "do": "feed_loss", "node": node} | more


# ---------------------------------------------------------------- breakers


def test_at_seventy_percent_a_feed_the_survivor_trips_when_its_curve_says(tell, log_of):
    """tr 16 s: τ ln((1.4² − 0.7²)/(1.4² − 1.2²)) = 407.3 s after the loss; all racks are dark with it."""
    result = tell(LOST + 500.0, hall=_rated(0.7, 0.6), timeline=_story(0.6, _lose()))
    log = log_of(result, *POWER)
    assert [(kind, name) for _, kind, name in log] == [
        ("feed_lost", "ups A"),
        ("breaker_trip", "row A/feed B"),
        *[("rack_dark", rack) for rack in RACKS],
    ]
    assert log[1][0] - LOST == pytest.approx(407.3, abs=1.0)
    assert log[1][0] - LOST == pytest.approx(trip_seconds(1.4, 0.7, TAU), abs=0.1)
    assert "long time element at 1.40" in result.tables["events"].query("kind == 'breaker_trip'")["detail"].item()
    assert result.metrics["breaker_trips_total"] == 1


def test_at_forty_five_percent_it_never_trips(tell, log_of):
    result = tell(LOST + 4 * 3_600.0, hall=_rated(0.45, 0.6), timeline=_story(0.6, _lose()))
    assert log_of(result, *POWER) == [(LOST, "feed_lost", "ups A")]
    theta = result.tables["breakers"].set_index("name").loc["row A/feed B", "thermal_fraction_max"]
    assert theta == pytest.approx(0.9**2 / 1.44, abs=0.01)


def test_a_feed_that_comes_back_in_time_saves_the_hall(tell, log_of):
    result = tell(LOST + 2_000.0, hall=_rated(0.7, 0.6), timeline=_story(0.6, _lose(repair="400 s")))
    assert log_of(result, *POWER) == [(LOST, "feed_lost", "ups A")]
    assert log_of(result, EventKind.FEED_RESTORED) == [(LOST + 400.0, "feed_restored", "ups A")]


@pytest.mark.parametrize(("row", "pdu", "first"), [(0.70, 0.75, "pdu A/feed B"), (0.75, 0.70, "row A/feed B")])
def test_of_two_breakers_in_line_the_more_loaded_one_goes_and_spares_the_other(tell, log_of, row, pdu, first):
    amperes = _amperes(0.6, "pdu A/feed A")
    hall = _rated(row, 0.6, amperes / pdu)
    result = tell(LOST + 1_000.0, hall=hall, timeline=_story(0.6, _lose()), settings=Settings(reclose_seconds=1e6))
    (trip,) = log_of(result, EventKind.BREAKER_TRIP)
    assert trip[2] == first
    assert trip[0] - LOST == pytest.approx(trip_seconds(1.5, 0.75, TAU), abs=1.0)


def test_rows_trip_in_the_order_of_their_loads(tell, log_of):
    """Two rows, two curves: each goes at its own time."""
    shares = {"A": 0.65, "B": 0.75}
    busy = {row: share * 0.6 / 0.75 for row, share in shares.items()}
    hall = ("rows=2", *_rated(0.75, 0.6))
    plant = Plant(compile_topology(load_hall("small", hall)))
    trays = np.arange(72)
    plant.set_load(trays, busy["A"])
    plant.set_load(trays + 72, busy["B"])
    equilibrate(plant)
    plant.settle(0.0)
    names = plant.topology.breaker_names
    before = {row: float(plant.breaker_ratio[names.index(f"row {row}/feed B")]) for row in shares}
    expected = {row: trip_seconds(2 * each, each, TAU) for row, each in before.items()}
    assert before["A"] < before["B"] and expected["A"] > expected["B"] + 60.0
    story = [{"at": 0, "do": "set_load", "row": row, "utilisation": busy[row]} for row in shares]
    result = tell(
        LOST + expected["A"] + 60.0,
        hall=hall,
        timeline=[*story, _lose("ups A")],
        settings=Settings(reclose_seconds=1e6),
    )
    log = log_of(result, EventKind.BREAKER_TRIP)
    assert [name for _, _, name in log] == ["row B/feed B", "row A/feed B"]
    assert [time - LOST for time, _, _ in log] == pytest.approx([expected["B"], expected["A"]], abs=1.0)
    assert result.metrics["breaker_incidents_total"] == 1  # one cascade
    dark = log_of(result, EventKind.RACK_DARK)
    assert [name[0] for _, _, name in dark] == ["B"] * 4 + ["A"] * 4


@pytest.mark.parametrize(
    ("row", "again", "root"),
    [
        (1.15, True, "restart_jobs 00:01:00"),  # beyond its rating at work, which it bears for ever
        (1.25, True, "load beyond the rating of row A/feed A"),  # it would have tripped in any case
        (1.0, False, "load beyond the rating of row A/feed A"),  # a first start, which nobody asked to be at once
    ],
)
def test_a_trip_through_a_restart_is_put_down_to_it(tell, a_job, row, again, root):
    """All trays at work of 0.5 carry ``row`` of the feed's rating, and start at 0.75."""
    work = replace(
        a_job("gang", 72, 20_000.0), startup=(Phase("compile", 900.0, 0.75),), elapsed_seconds=100.0 if again else 0.0
    )
    restart = {"at": 60, "do": "restart_jobs", "kind": "training", "cold": True, "reason": "a driver"}
    result = tell(900.0, hall=_rated(row, 0.5), jobs=[work], timeline=[restart] if again else [])
    events = result.tables["events"]
    trips = events[events["kind"] == EventKind.BREAKER_TRIP]
    assert trips["name"].iloc[0] == "row A/feed A" and trips["root"].iloc[0] == root
    assert (trips["incident"] == 0).all()
    actions = events.loc[events["kind"] == EventKind.SCENARIO_ACTION, "event"].tolist()
    assert [trips["cause"].iloc[0]] == (actions if root.startswith("restart") else [-1])


def test_a_utility_that_is_lost_leaves_the_time_of_its_batteries(tell, log_of):
    plant = _steady(0.6, "ups.breaker.rating_amperes=5000")
    ups = plant.topology.node_names.index("ups A")
    record = plant.c.node[ups]
    seconds = float(record["battery"] / ((plant.w.node_p[ups] + record["fixed"]) / record["eta"]))
    assert 120.0 < seconds < 1_200.0
    result = tell(
        LOST + seconds + 60.0,
        hall=("ups.breaker.rating_amperes=5000",),
        timeline=_story(0.6, _lose("utility A")),
    )
    log = log_of(result, *POWER)
    assert [(kind, name) for _, kind, name in log] == [("feed_lost", "utility A"), ("battery_spent", "ups A")]
    assert log[1][0] - LOST == pytest.approx(seconds, rel=1e-4)


# ---------------------------------------------------------------- racks


def test_racks_come_back_one_after_another_when_the_breaker_is_closed_again(tell, log_of):
    result = tell(LOST + 1_700.0, hall=_rated(0.7, 0.6), timeline=_story(0.6, _lose()))
    log = log_of(result, *POWER)
    trip = log[1][0]
    held = 2_640.0 / _steady(0.6).rack_power[0]
    assert [time - trip for time, _, _ in log[2:6]] == pytest.approx([held] * 4, rel=0.01)
    assert [(round(time - trip, 3), kind, name) for time, kind, name in log[6:]] == [
        (900.0, "breaker_reclosed", "row A/feed B"),
        (1_200.0, "rack_restored", "A-01"),  # 300 s to boot
        (1_210.0, "rack_restored", "A-02"),
        (1_220.0, "rack_restored", "A-03"),
        (1_230.0, "rack_restored", "A-04"),
    ]
    # the whole story is one incident with one root, and every joule not drawn is on its account
    events = result.tables["events"]
    told = events[events["kind"].isin([str(kind) for kind in POWER])]
    assert set(told["root"]) == {"feed_loss ups A 02:00:00"}
    losses = result.tables["losses"].query("kind == 'power_watt_seconds'")
    power = float(_steady(0.6).rack_power.sum())
    assert losses["cause"].tolist() == ["feed_loss ups A 02:00:00"]
    assert losses["amount"].item() == pytest.approx(power * (900.0 + 15.0 - held), rel=1e-3)


def test_power_is_missed_until_a_rack_draws_it_again_even_at_the_end_of_a_run(tell, log_of):
    """A run that ends between the restarts of the second and the third rack."""
    result = tell(LOST + 407.3 + 900.0 + 15.0, hall=_rated(0.7, 0.6), timeline=_story(0.6, _lose()))
    dark = log_of(result, EventKind.RACK_DARK)[0][0]
    closed = log_of(result, EventKind.BREAKER_RECLOSED)[0][0]
    end = LOST + 407.3 + 900.0 + 15.0
    power = float(_steady(0.6).rack_power[0])
    missed = (closed - dark) + (closed + 10.0 - dark) + 2 * (end - dark)
    assert result.metrics["power_watt_seconds_lost"] == pytest.approx(power * missed, rel=1e-3)


def test_a_dead_rack_draws_nothing(tell):
    energies = [
        tell(LOST + seconds, hall=_rated(0.7, 0.6), timeline=_story(0.6, _lose())).tables["racks"]["energy_joules"]
        for seconds in (410.0, 1_300.0)
    ]
    assert energies[0].min() > 0.0
    assert energies[1].tolist() == pytest.approx(energies[0].tolist(), abs=0.01)  # J, of 7e8


def test_a_dead_racks_trays_are_cold_dark_and_taken_by_nobody(bench, a_job):
    stage = bench()
    plant, world = stage.plant, stage.world
    (run,) = stage.submit(a_job("train", work=1_000.0))
    names = world.topology.breaker_names

    def cut() -> None:
        for side in ("A", "B"):
            plant.set_breaker(names.index(f"A-01/feed {side}"), False)

    stage.at(100.0, cut)
    stage.run(400.0)
    assert plant.rack_power[0] == 0.0
    assert plant.rack_power[1] > plant.rack_power[2] > 0.0  # the job moved next door
    assert run.racks == ("A-02",)
    assert plant.breaker_ratio[names.index("A-01/feed A")] == 0.0
    assert list(world.in_service) == [False, True, True, True]
    assert len(world.usable_trays(0)) == 0
    device = float(plant.x.td[plant.cur, 0])
    coolant = float(plant.x.tc[plant.cur, 0])
    assert device == pytest.approx(coolant, abs=0.1)


def test_one_feed_of_a_rack_is_enough(tell, log_of):
    opened = {"at": 100, "do": "breaker_open", "breaker": "A-01/feed A"}
    result = tell(600.0, timeline=_story(0.6, opened))
    assert log_of(result, *POWER) == []
    breakers = result.tables["breakers"].set_index("name")["current_amperes_max"]
    assert breakers["A-01/feed B"] == pytest.approx(2.0 * breakers["A-02/feed B"], rel=1e-3)


def test_a_rack_that_loses_power_again_while_it_boots_starts_anew(tell, log_of):
    """Dark at 100 s, lit at 200 s, dark again at 300 s, lit at 450 s: in service at 750 s and not before."""
    cuts = [
        {"at": at, "do": "breaker_open", "breaker": f"A-01/feed {side}", "repair": repair}
        for at, repair in ((100, "100 s"), (300, "150 s"))
        for side in ("A", "B")
    ]
    result = tell(900.0, timeline=cuts)
    assert [round(time) for time, _, _ in log_of(result, EventKind.RACK_DARK)] == [100, 300]
    assert log_of(result, EventKind.RACK_RESTORED) == [(750.0, "rack_restored", "A-01")]


def test_what_slowed_a_tray_before_a_blackout_is_not_blamed_after_it(tell):
    """Pumps are lost twice; between, the rack was dark. Each slowdown has the root of its own time."""
    pumps = [
        {"at": at, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": repair}
        for at, repair in ((600, "25 s"), (3_000, "25 s"))
    ]
    cut = [{"at": 618, "do": "breaker_open", "breaker": f"A-01/feed {s}", "repair": "5 min"} for s in ("A", "B")]
    events = tell(3_600.0, timeline=_story(0.9, *pumps, *cut)).tables["events"]
    slow = events[(events["kind"] == "slowdown_on") & (events["name"] == "A-01")]
    early, late = (set(slow[part]["root"]) for part in (slow["time_seconds"] < 1_000, slow["time_seconds"] > 3_000))
    assert early == {"pump_loss loop 01 00:10:00"}
    assert late == {"pump_loss loop 01 00:50:00"}


# ---------------------------------------------------------------- devices


def _heat(log: Sequence[tuple[float, str, str]]) -> set[str]:
    return {name for _, _, name in log}


def test_one_pump_lost_throttles_nobody(tell, log_of):
    lost = {"at": 1_800, "do": "pump_loss", "loop": "loop 01", "pump": 1}
    result = tell(5_400.0, hall=("rows=2",), timeline=_story(0.9, lost))
    assert log_of(result, *HEAT) == []
    assert [name for _, _, name in log_of(result, EventKind.PUMP_LOST)] == ["loop 01"]


def test_all_pumps_lost_reach_every_rack_of_the_loop_and_no_other(tell, log_of):
    lost = {"at": 1_800, "do": "pump_loss", "loop": "loop 01", "pump": "all"}
    result = tell(3_600.0, hall=("rows=2",), timeline=_story(0.9, lost))
    racks = result.tables["racks"].set_index("name")
    mine = set(racks.index[racks["loop"] == "loop 01"])
    log = log_of(result, *HEAT)
    assert len(mine) == 4
    assert _heat(log) == mine
    assert min(time for time, _, _ in log) > 1_800.0
    other = racks[racks["loop"] == "loop 02"]
    assert other["throttled_gpu_seconds"].sum() == 0.0
    assert other["shutdown_events"].sum() == 0
    # nothing burns: a device that is not cooled shuts itself down
    assert racks["device_temperature_celsius_max"].max() <= 95.0 + 0.1
    roots = set(result.tables["events"].query("kind == 'device_shutdown'")["root"])
    assert roots == {"pump_loss loop 01 00:30:00"}


def test_a_device_passes_its_levels_in_order(tell):
    lost = {"at": 600, "do": "pump_loss", "loop": "loop 01", "pump": "all"}
    result = tell(1_800.0, timeline=_story(1.0, lost))
    events = result.tables["events"]
    tray = events[(events["name"] == "A-02") & (events["detail"] == "tray 5")]
    passed = tray[tray["kind"].isin([str(kind) for kind in HEAT])]
    assert passed["kind"].tolist()[:1] == ["slowdown_on"]
    first = passed.drop_duplicates("kind")
    assert first["kind"].tolist() == ["slowdown_on", "hardware_slowdown_on", "device_shutdown"]
    assert first["time_seconds"].is_monotonic_increasing
    assert first["value"].tolist() == pytest.approx([87.0, 89.0, 95.0], abs=0.01)


def test_devices_start_again_when_the_coolant_runs_and_they_are_cool(tell, log_of):
    lost = {"at": 600, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": "10 min"}
    result = tell(3_600.0, timeline=_story(0.9, lost))
    down = [event for event in log_of(result, EventKind.DEVICE_SHUTDOWN)]
    up = log_of(result, EventKind.DEVICE_RESTARTED)
    assert len(down) == len(up) == 72
    assert min(time for time, _, _ in up) > 1_200.0  # never before the pumps are back
    started = {round(time - before, 3) % 600.0 for (time, _, _), (before, _, _) in zip(up, down, strict=True)}
    assert started == {0.0}  # looked at every ten minutes from each shutdown
    assert result.metrics["shutdown_events_total"] == 72


def test_a_slow_device_stays_slow_for_its_dwell_and_is_released_below_its_level(tell):
    lost = {"at": 600, "do": "pump_loss", "loop": "loop 01", "pump": "all", "repair": "20 s"}
    result = tell(1_800.0, timeline=_story(0.9, lost))
    events = result.tables["events"]
    on, off = (events[events["kind"] == kind] for kind in ("slowdown_on", "slowdown_off"))
    assert len(on) == len(off) > 0
    assert off["value"].tolist() == pytest.approx([84.0] * len(off), abs=0.01)  # 87 less a release of 3 K
    assert (off["time_seconds"].to_numpy() - on["time_seconds"].to_numpy()).min() >= 1.0
    assert math.isclose(result.metrics["shutdown_events_total"], 0)
