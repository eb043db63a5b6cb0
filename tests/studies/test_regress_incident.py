"""What is recorded and read again is what was seen, and what cannot be read is refused by file, column and remedy."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twin.hall.errors import HallError
from twin.places import conf_dir
from twin.policy.protocol import JobRequest
from twin.setup.compose import compose_run
from twin.sim.simulate import simulate
from twin.studies.regress.corpus import times_of
from twin.studies.regress.incident import Incident
from twin.studies.regress.layout import TABLES
from twin.studies.regress.reading import read_incident
from twin.studies.regress.record import Bands, Look, bad_stretches, write_incident

BANDS = Bands(46.0, 86.0, 0.25, 120.0)
ASKED = JobRequest("asked", "batch", 2, True, 0, 4_000.0, declared_seconds=5_400.0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Look]]:
    """Three looks at a small hall whose sensors are as production's, with a silent rack."""
    parts = compose_run(["hall=small", "hours=0.2", "policy=first_fit", "seed=5"]).parts()
    looks: list[Look] = []

    def watch(world):
        def ask():
            for gap in (235.0, 131.0, 240.0):
                yield world.env.timeout(gap)
                looks.append(Look(world.snapshot(), ASKED, (("A-02", 2),)))
                world.telemetry_outages.extend(outage)

        from twin.sim.world import TelemetryOutage

        outage = [TelemetryOutage("rack", "A-03")]
        world.env.process(ask())

    quiet = replace(parts.settings, response=None, rollout=None, forecaster=None)
    result = simulate(
        parts.hall, parts.workload, parts.policy, parts.scenario, seed=5, until=720.0, settings=quiet, watch=watch
    )
    folder = tmp_path_factory.mktemp("incident") / "one"
    times = times_of(parts.settings.sensors)
    write_incident(
        folder, looks, result.tables["events"], BANDS, name="one", purpose="p", until_seconds=720.0, times=times
    )
    return folder, looks


@pytest.fixture(scope="module")
def incident(recorded: tuple[Path, list[Look]]) -> Incident:
    return read_incident(recorded[0])


def test_a_look_made_again_is_the_look_that_was(recorded, incident) -> None:
    for look in recorded[1]:
        seen, again = look.snapshot, incident.snapshot(look.snapshot.time_seconds)
        for name, values in seen.ages.items():
            np.testing.assert_array_equal(getattr(again, name), getattr(seen, name), err_msg=name)
            np.testing.assert_array_equal(again.qualities[name], seen.qualities[name], err_msg=name)
            np.testing.assert_allclose(again.ages[name], values, atol=1e-9, err_msg=name)
        for name in (
            "rack_free_trays",
            "rack_healthy",
            "rack_declared_power_watts",
            "rack_loop",
            "rack_row",
            "declared_ahead_seconds",
            "rack_declared_ahead_watts",
        ):
            np.testing.assert_array_equal(getattr(again, name), getattr(seen, name), err_msg=name)
        past, before = again.histories["rack_power_watts"], seen.histories["rack_power_watts"]
        count = min(len(past.time_seconds), len(before.time_seconds))
        np.testing.assert_array_equal(past.time_seconds[-count:], before.time_seconds[-count:])
        np.testing.assert_array_equal(past.values[-count:], before.values[-count:])
    silent = incident.names.index("A-03")
    last = incident.snapshot(recorded[1][-1].snapshot.time_seconds)
    assert last.ages["rack_power_watts"][silent] > 200.0


def test_nothing_later_than_a_look_is_in_it(recorded, incident) -> None:
    now = recorded[1][1].snapshot.time_seconds
    for name, past in incident.snapshot(now).histories.items():
        assert past.time_seconds[-1] <= now - incident.latency_seconds + 1e-9, name


def test_the_facility_is_the_same(recorded, incident) -> None:
    theirs = recorded[1][0].snapshot.facility
    for name in ("limit_names", "limit_rating_amperes", "limit_breaker", "rack_neighbours", "loop_capacity_watts"):
        assert np.array_equal(getattr(incident.facility, name), getattr(theirs, name)), name
    lines = incident.lines
    phases = recorded[1][0].snapshot.phase_names
    mine = [lines[each] if each >= 0 else "" for each in incident.facility.limit_phase]
    assert mine == [phases[each] if each >= 0 else "" for each in theirs.limit_phase]


def test_requests_and_racks_come_back(recorded, incident) -> None:
    assert [each.request for each in incident.asked] == [ASKED] * 3
    assert incident.asked[0].racks == (("A-02", 2),)


def test_stretches_by_hand() -> None:
    events = pd.DataFrame(
        [(10.0, "slowdown_on", "A"), (30.0, "slowdown_off", "A"), (50.0, "rack_dark", "B"), (60.0, "slowdown_on", "C")],
        columns=["time_seconds", "kind", "name"],
    )
    readings = pd.DataFrame(
        [(float(t), "rack_supply_temperature_celsius", "A", 40.0 + t, 0) for t in range(0, 10, 2)]
        + [(3.0, "rack_supply_temperature_celsius", "B", 99.0, 3)],
        columns=["time_seconds", "field", "name", "value", "quality"],
    )
    found = bad_stretches(events, readings, BANDS, {"A", "B"}, 100.0)
    assert found.values.tolist() == [
        ["A", 8.0, 8.0, "hot inlet"], ["A", 10.0, 30.0, "slowed"], ["B", 50.0, 100.0, "dark"],
    ]  # fmt: skip


def test_a_flow_that_stays_at_nothing_is_lost_and_one_reading_is_no_swing() -> None:
    def flow(rack: str, values: list[float]) -> pd.DataFrame:
        times = 60.0 * np.arange(len(values))
        return pd.DataFrame(
            {"time_seconds": times, "field": "rack_flow_litres_per_minute", "name": rack, "value": values, "quality": 0}
        )

    readings = pd.concat([flow("A", [0.0] * 6), flow("B", [50.0] * 6), flow("C", [50.0])])
    no_events = pd.DataFrame(columns=["time_seconds", "kind", "name"])
    found = bad_stretches(no_events, readings, BANDS, {"A", "B", "C"}, 600.0)
    assert found.values.tolist() == [["A", 60.0, 300.0, "flow lost"]]  # from the first full window of two readings


def spoilt(folder: Path, tmp_path: Path, table: str, change) -> str:
    """What reading says of a copy with one table changed."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / f"{table}.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(HallError) as refused:
        read_incident(copy)
    return str(refused.value)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("racks", lambda t: t.drop(columns="trays"), "racks.parquet: trays"),
        ("racks", lambda t: t.assign(trays="many"), "is not whole number throughout"),
        ("decisions", lambda t: t.assign(racks="A-99:2"), "no such rack. Use one of 'A-01'"),
        ("decisions", lambda t: t.assign(racks="A-01"), "not written as rack:trays"),
        ("decisions", lambda t: t.iloc[:0], "no decisions"),
        ("telemetry", lambda t: t.assign(field="rack_powr_watts"), "Did you mean 'rack_power_watts'?"),
        ("allocation", lambda t: t[t["rack"] != "A-01"], "a rack without any row"),
        ("limits", lambda t: t.assign(rating_amperes=np.nan), "not finite"),
        ("bad", lambda t: pd.concat([t, t.head(0), pd.DataFrame([{"rack": "Z", "since_seconds": 0.0,
         "until_seconds": 1.0, "what": "x"}])]), "bad.rack = 'Z': none of racks"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(recorded, tmp_path, table, change, said) -> None:
    assert said in spoilt(recorded[0], tmp_path, table, change)


def test_every_missing_file_is_told_at_once(tmp_path) -> None:
    (tmp_path / "incident.json").write_text(json.dumps({"format": "mine", "stale_seconds": -1}))
    with pytest.raises(HallError) as refused:
        read_incident(tmp_path)
    told = str(refused.value)
    assert "format = 'mine'" in told and "stale_seconds = -1" in told
    assert all(table.file in told for table in TABLES.values() if table.needed)


def test_the_page_lists_every_column() -> None:
    page = (conf_dir().parent / "twin" / "docs" / "incidents.md").read_text(encoding="utf-8")
    for table in TABLES.values():
        assert f"`{table.file}`" in page
        for column in table.columns:
            assert f"| `{column.name}` | {column.kind} |" in page, (table.name, column.name)
