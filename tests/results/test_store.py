"""The store: what goes in comes out, in the same bytes each time, and never half of it under a final name."""

import errno
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.results.windows import append
from twin.results import rundir, store
from twin.results.catalogue import MEANINGS, TABLES, EventKind
from twin.results.read import read_run
from twin.results.rundir import RunError
from twin.results.store import RunStore
from twin.results.tables import arrow_schema, conform, empty

NAMES = {"rack": ["A-01", "A-02"], "hall": ["hall"]}


def window(value: float) -> dict:
    rack = np.array([value, value + 0.5])
    return {
        "hall": {"power_watts": ([value - 1], [value], [value + 1])},
        "rack": {
            "power_watts": (rack - 0.1, rack, rack + 0.1),
            "flow_litres_per_minute": (np.array([3.0, np.nan]),) * 3,  # the second is cooled by air
        },
    }


def start(directory: Path) -> RunStore:
    return RunStore(directory)


def test_series_come_back_by_time_level_and_name_across_row_groups(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "ROWS_PER_GROUP", 6)  # two windows of three things
    run = start(tmp_path / "run")
    for i in range(5):
        append(run, 60.0 * i, window(float(i)), NAMES)
    run.finish({}, {}, {}, True)
    path = tmp_path / "run" / "timeseries.parquet"
    assert pq.ParquetFile(path).num_row_groups == 3
    frame = pq.read_table(path).to_pandas()
    assert list(frame["time_seconds"]) == [t for t in (0.0, 60.0, 120.0, 180.0, 240.0) for _ in range(3)]
    assert list(frame["level"][:3]) == ["hall", "rack", "rack"]
    assert list(frame["name"][:3]) == ["hall", "A-01", "A-02"]
    assert list(frame["power_watts_mean"]) == [v for i in range(5) for v in (i, i, i + 0.5)]
    assert list(frame["power_watts_max"][:3]) == [1.0, 0.1, 0.6]
    raw = pq.read_table(path)
    assert raw["flow_litres_per_minute_min"].null_count == 10  # hall and air-cooled rack: null, not NaN
    assert raw["heat_watts_mean"].null_count == 15
    assert raw.schema.names == [column.name for column in TABLES["timeseries"]]
    racks = read_run(tmp_path / "run").series("rack", ("power_watts",), ("max",))
    assert list(racks.columns) == ["time_seconds", "name", "power_watts_max"]
    assert list(racks["power_watts_max"][:2]) == [0.1, 0.6]


def test_a_signal_that_stops_leaves_nothing_behind_in_later_groups(tmp_path: Path, monkeypatch) -> None:
    """Row groups are filled in memory that was used before."""
    monkeypatch.setattr(store, "ROWS_PER_GROUP", 6)  # two windows of three things
    run = start(tmp_path / "run")
    for i in range(9):
        told = window(float(i))
        if i in (5, 6):
            del told["rack"]["flow_litres_per_minute"]
        if i == 8:
            del told["hall"]
        append(run, 60.0 * i, told, NAMES)
    run.finish({}, {}, {}, True)
    frame = pq.read_table(tmp_path / "run" / "timeseries.parquet").to_pandas()
    flow = frame.loc[frame["name"] == "A-01", "flow_litres_per_minute_mean"]
    assert flow.isna().tolist() == [i in (5, 6) for i in range(9)]
    assert frame.loc[frame["name"] == "hall", "power_watts_mean"].isna().tolist() == [i == 8 for i in range(9)]


def test_wrong_windows_are_refused(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    with pytest.raises(ValueError, match=r"levels \['shelf'\]"):
        append(run, 0.0, {}, {"shelf": ["x"]})
    append(run, 0.0, window(1.0), NAMES)
    with pytest.raises(ValueError, match=r"signals \['valve_ratio'\] do not live at level 'rack'"):
        append(run, 60.0, {"rack": {"valve_ratio": (1.0, 1.0, 1.0)}}, NAMES)
    with pytest.raises(ValueError, match="names of things changed"):
        append(run, 60.0, window(1.0), {"rack": ["A-01", "A-03"], "hall": ["hall"]})
    with pytest.raises(ValueError, match="broadcast"):
        append(run, 60.0, {"rack": {"power_watts": (np.zeros(3),) * 3}}, NAMES)


def test_events_are_streamed_with_what_they_leave_out_as_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "EVENTS_PER_GROUP", 2)
    run = start(tmp_path / "run")
    run.append_events([{"event": 0, "time_seconds": 1.0, "kind": EventKind.PUMP_LOST, "name": "loop 01"}])
    run.append_events([{"event": 1, "time_seconds": 2.0, "kind": "slowdown_on", "cause": 0, "value": 88.5}])
    run.append_events([])
    with pytest.raises(ValueError, match="'melted' is not an EventKind"):
        run.append_events([{"event": 2, "time_seconds": 3.0, "kind": "melted"}])
    with pytest.raises(ValueError, match=r"\['colour'\] not in the catalogue"):
        run.append_events([{"event": 2, "time_seconds": 3.0, "kind": "cap_on", "colour": "red"}])
    with pytest.raises(ValueError, match=r"\['time_seconds'\] missing"):
        run.append_events([{"event": 2, "kind": "cap_on"}])
    run.finish({}, {}, {}, True)
    events = read_run(tmp_path / "run").table("events")
    assert list(events["kind"]) == ["pump_lost", "slowdown_on"]
    assert list(events["cause"]) == [-1, 0]
    assert list(events["incident"]) == [-1, -1]
    assert list(events["detail"]) == ["", ""]
    assert np.isnan(events["value"][0]) and events["value"][1] == 88.5


@pytest.mark.parametrize("finished", [True, False])
def test_events_that_join_an_incident_later_are_written_so(tmp_path: Path, monkeypatch, finished: bool) -> None:
    """Whether they are in the file by then (0 and 1), wait (2) or come with it; in the same groups, stamped alike."""
    monkeypatch.setattr(store, "EVENTS_PER_GROUP", 2)
    run = start(tmp_path / "run")
    about = {"time_seconds": 0.0, "kind": "cap_on"}
    run.append_events([{"event": number, **about} for number in (0, 1)])
    run.append_events([{"event": 2, **about}])
    run.append_events([{"event": 3, **about, "incident": 7}, {"event": 4, **about}], {1: 5, 2: 6, 4: 8})
    if finished:
        run.finish({"seed": 1}, {}, {}, True)
    else:
        with pytest.raises(ZeroDivisionError), run:
            raise ZeroDivisionError
    file = pq.ParquetFile(tmp_path / "run" / "events.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [2, 3]
    assert file.read()["incident"].to_pylist() == [-1, 5, 6, 7, 8]
    assert file.read()["event"].to_pylist() == [0, 1, 2, 3, 4]
    assert file.schema_arrow.remove_metadata() == arrow_schema("events").remove_metadata()
    assert (b"manifest_digest" in file.metadata.metadata) == finished
    assert not list((tmp_path / "run").glob("*.partial"))


def test_two_runs_of_one_manifest_are_equal_to_the_byte(make_run, tmp_path: Path) -> None:
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted([*(f"{t}.parquet" for t in TABLES), "manifest.json", "metrics.json", "summary.csv"])
    assert [name for name in files if (one / name).read_bytes() != (two / name).read_bytes()] == []


def test_time_stamps_change_neither_the_digest_nor_the_tables(tmp_path: Path) -> None:
    digests = []
    for name, manifest in (
        ("a", {"seed": 1, "started": "2026-01-01"}),
        ("b", {"seed": 1, "started": "2027-07-07", "machine": "another"}),
        ("c", {"seed": 2, "started": "2026-01-01"}),
    ):
        run = start(tmp_path / name)
        append(run, 0.0, window(1.0), NAMES)
        run.finish(manifest, {}, {}, True)
        digests.append(json.loads((tmp_path / name / "manifest.json").read_text())["digest"])
    assert digests[0] == digests[1] != digests[2]
    same = [(tmp_path / name / "timeseries.parquet").read_bytes() for name in "ab"]
    assert same[0] == same[1]
    metadata = pq.read_schema(tmp_path / "a" / "timeseries.parquet").metadata or {}
    stamped = pq.ParquetFile(tmp_path / "a" / "timeseries.parquet").metadata.metadata
    assert {**metadata, **stamped}[b"manifest_digest"].decode() == digests[0]
    assert pq.ParquetFile(tmp_path / "a" / "jobs.parquet").metadata.metadata[b"manifest_digest"].decode() == digests[0]


def test_tables_must_agree_with_the_catalogue(tmp_path: Path) -> None:
    loops = pd.DataFrame({"name": ["x"], "rated_heat_watts": ["hot"], "colour": ["red"]})
    with pytest.raises(ValueError) as refused:
        conform("loops", loops)
    for fault in ("'heat_joules' is missing", "'colour' is not in the catalogue", "'rated_heat_watts' is not float"):
        assert fault in str(refused.value)
    run = start(tmp_path / "run")
    with pytest.raises(ValueError, match=r"tables \['events'\] are not written by finish"):
        run.finish({}, {}, {"events": empty("events")}, True)
    assert not (tmp_path / "run" / "timeseries.parquet").exists()


def test_optional_columns_may_be_left_out_and_are_null() -> None:
    racks = empty("racks").drop(columns=["trays", "position", "slowdown_celsius", "rack_class"])
    racks.loc[0] = ["A-01", "A", "", 72, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0]
    table = conform("racks", racks)
    assert table["trays"].null_count == 1
    assert table.schema.names == [column.name for column in TABLES["racks"]]


def test_summary_is_a_spreadsheet_with_units() -> None:
    metrics = {"pue": 1.25, "jobs": {"killed": 2}, "peak_row": "A, the first", "it_energy_joules": None}
    assert store.summary_csv(metrics).decode().splitlines() == [
        "metric,value,unit",
        "it_energy_joules,,J",
        "jobs.killed,2,1",
        'peak_row,"A, the first",',
        "pue,1.25,1",
    ]


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.finish({"limit": float("inf")}, {"pue": float("nan"), "n": np.int64(3), "x": np.float64(0.1)}, {}, True)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == {"n": 3, "pue": None, "x": 0.1}
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["limit"] is None


def test_a_stopped_run_is_readable_and_marked(make_run, tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", complete=False))
    assert not run.complete
    assert run.manifest["status"] == "interrupted"
    assert len(run.table("racks")) == 66


@pytest.mark.parametrize(("fault", "status"), [(ZeroDivisionError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_run_that_breaks_off_keeps_its_series_and_is_marked(
    tmp_path: Path, fault: type[BaseException], status: str
) -> None:
    with pytest.raises(fault), start(tmp_path / "run") as run:
        append(run, 0.0, window(1.0), NAMES)
        run.append_events([{"event": 0, "time_seconds": 0.0, "kind": "run_started"}])
        raise fault
    found = read_run(tmp_path / "run")
    assert (found.complete, found.manifest["status"], found.metrics) == (False, status, {})
    assert len(found.table("timeseries")) == 3
    assert len(found.table("events")) == 1
    assert not list((tmp_path / "run").glob("*.partial"))


def test_a_run_that_is_being_written_says_so(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    append(run, 0.0, window(1.0), NAMES)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "events.parquet.partial",
        "manifest.json",
        "timeseries.parquet.partial",
    ]
    with pytest.raises(RunError, match="has not ended"):
        read_run(tmp_path / "run")


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"thesis\.tex.*out=DIR"):
        start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(RunError, match=r"manifest\.json, thesis\.tex"):
        start(tmp_path)


def test_an_earlier_run_gives_way_but_not_what_others_put_beside_it(make_run, tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    (directory / "notes.txt").write_text("keep")
    (directory / ".hidden").write_text("keep")
    again = start(directory)
    assert not (directory / "jobs.parquet").exists()
    assert not (directory / "metrics.json").exists()
    assert (directory / "notes.txt").exists() and (directory / ".hidden").exists()
    again.finish({}, {}, {}, True)
    with pytest.raises(RunError, match="finished already"):
        again.finish({}, {}, {}, True)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunError, match=r"run: cannot write .*out=DIR"):
        start(tmp_path / "run")


def test_a_full_disk_names_the_path_and_leaves_no_half_file(tmp_path: Path, monkeypatch) -> None:
    run = start(tmp_path / "run")
    append(run, 0.0, window(1.0), NAMES)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(RunError, match=r"jobs\.parquet: cannot write \(No space left on device\); free some space"):
        run.finish({"seed": 1}, {}, {}, True)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"manifest.json", "timeseries.parquet", "events.parquet"}
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["complete"] is False


def test_a_failed_rename_discards_its_temporary_file(tmp_path: Path, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(RunError, match=r"x\.json: cannot write \(Permission denied\); choose a directory"):
        rundir.write_whole(tmp_path / "x.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_flat(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "ROWS_PER_GROUP", 300)
    run = start(tmp_path / "run")

    def grow(windows: int) -> int:
        for i in range(windows):
            append(run, float(i), window(float(i)), NAMES)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = grow(500)
        later = grow(5000)
    finally:
        tracemalloc.stop()
    run.finish({}, {}, {}, True)
    assert later - first < 200_000  # 5,000 windows hold 360 kB of these numbers, and 6.5 MB with empty columns


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (None, "missing, so this is not the directory of a run"),
        ("{", "cannot be read"),
        ("[]", "not a mapping"),
        ('{"format": "other 9"}', "format is 'other 9'"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, write: str | None, message: str) -> None:
    if write is not None:
        (tmp_path / "manifest.json").write_text(write)
    with pytest.raises(RunError, match=message):
        read_run(tmp_path)


def test_reading_names_what_is_missing_or_broken(make_run, tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    run = read_run(directory)
    (directory / "jobs.parquet").unlink()
    (directory / "loops.parquet").write_bytes(b"half a file")
    with pytest.raises(RunError, match=r"jobs\.parquet: missing"):
        run.table("jobs")
    with pytest.raises(RunError, match=r"loops\.parquet: cannot be read"):
        run.table("loops")
    with pytest.raises(ValueError, match="'tables' is not in the catalogue"):
        run.table("tables")
    with pytest.raises(ValueError, match="do not live at level 'row'"):
        run.series("row", ("valve_ratio",))
    with pytest.raises(ValueError, match="level 'tray'"):
        run.series("tray")
    with pytest.raises(RunError, match="no such directory"):
        read_run(tmp_path / "nowhere")
    assert run.table("racks") is run.table("racks")


def test_every_column_has_a_type_and_a_sentence() -> None:
    for table, columns in TABLES.items():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names), table
        assert all(column.sentence for column in columns), table
        assert arrow_schema(table).names == names
    assert set(MEANINGS) == set(EventKind)
