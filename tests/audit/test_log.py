"""The log: what a record looks like, how a log goes on, and what it refuses."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.audit.conftest import full_snapshot, request
from twin.audit import (
    AuditError,
    AuditLog,
    Context,
    Override,
    Person,
    PolicyStamp,
    SnapshotStore,
    Threshold,
    audited,
    canonical,
    read_checkpoints,
    read_records,
    verify,
)
from twin.audit.log import NOTHING, record_hash
from twin.policy import first_fit, random_healthy


def test_a_record_is_a_cloud_event(written):
    records = read_records(written.log)
    assert len(records) == 12
    for n, record in enumerate(records):
        assert sorted(record) == [
            "data", "datacontenttype", "hash", "id", "previoushash", "source", "specversion", "subject", "time", "type",
        ]  # fmt: skip
        assert record["specversion"] == "1.0"
        assert record["datacontenttype"] == "application/json"
        assert record["type"] == "datahall.decision"
        assert (record["id"], record["source"], record["subject"]) == (f"{n:010d}", "/test", f"job-{n}")
        assert record["hash"] == record_hash(record)
        assert record["previoushash"] == (records[n - 1]["hash"] if n else NOTHING)
        assert canonical(record) + b"\n" == written.lines()[n]
    assert [record["time"] for record in records[2:4]] == ["2000-01-01T00:00:00.250000Z", "2000-01-01T00:00:10.250000Z"]


def test_a_decision_holds_what_is_asked_of_it(written):
    record = read_records(written.log)[1]
    data = record["data"]
    assert sorted(data) == ["decision", "policy", "request", "snapshot", "state"]
    assert data["request"]["power_watts_per_tray"] == 5_000
    decision = data["decision"]
    assert (decision["kind"], decision["reason"]) == ("placement", "PLACED_FIRST_FIT")
    assert decision["sentence"] == "the first healthy racks in name order with room"
    assert decision["racks"] == [["rack 1", 16]]  # rack 0 has 14 trays free
    assert data["policy"]["name"] == "first_fit"
    assert data["policy"]["digest"] == PolicyStamp("first_fit", "0.1.0", {"seed": 3}).digest
    assert data["snapshot"]["time_seconds"] == 0.25
    assert data["state"]["before"] == data["state"]["after"]


def test_a_policys_digest_is_of_name_version_and_parameters():
    stamps = [
        PolicyStamp("a", "1"), PolicyStamp("b", "1"), PolicyStamp("a", "2"), PolicyStamp("a", "1", {"seed": 1}),
        PolicyStamp("a", "1", {"seed": 1.0}),
    ]  # fmt: skip
    assert len({stamp.digest for stamp in stamps}) == 5
    assert PolicyStamp("a", "1", {"x": 1, "y": 2}).digest == PolicyStamp("a", "1", {"y": 2, "x": 1}).digest


def test_what_stands_around_a_decision_is_recorded(tmp_path):
    context = Context(
        approver=Person("ana@example.org", "sre"),
        override=Override(Person("bo@example.org", "facilities"), "pump 2 is being serviced", (("rack 2", 4),)),
        score=0.83,
        confidence=0.9,
        rank=2,
        ranked=3,
        runner_up=("rack 2", float("nan")),
        trigger="coolant above 45 °C for 61 s",
        thresholds=(Threshold("rack_power_share", 0.851, 0.85, unit="1", passed=False, where="rack 0"),),
    )
    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        place = audited(first_fit, log, store, PolicyStamp("first_fit", "1"), lambda *_: context)
        place(full_snapshot(), request("a"), None)
    (record,) = read_records(tmp_path / "l")
    data = record["data"]
    assert data["approver"] == {"identity": "ana@example.org", "role": "sre"}
    assert data["override"]["reason"] == "pump 2 is being serviced"
    assert data["override"]["racks"] == [["rack 2", 4]]
    assert (data["score"], data["confidence"], data["rank"], data["ranked"]) == (0.83, 0.9, 2, 3)
    assert data["runner_up"] == {"rack": "rack 2", "score": "nan"}
    assert data["trigger"] == "coolant above 45 °C for 61 s"
    assert data["thresholds"] == [
        {"rule": "rack_power_share", "value": 0.851, "limit": 0.85, "bound": "at most", "unit": "1", "passed": False,
         "where": "rack 0"}
    ]  # fmt: skip


def test_a_wrapped_policy_answers_as_the_bare_one(tmp_path):
    marker = {"seen": (1, 2)}
    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        for bare in (first_fit, random_healthy(7)):
            place = audited(bare, log, store, PolicyStamp("p", "1"))
            for trays in (4, 18, 19, 99):
                asked = request("a", trays)
                decision, state = place(full_snapshot(), asked, marker)
                assert decision == bare(full_snapshot(), asked, marker)[0]
                assert state is marker
    assert len(read_records(tmp_path / "l")) == 8


def test_a_policy_that_writes_into_its_state_is_recorded_as_it_was_asked(tmp_path):
    def counts(snapshot, asked, state):
        state["n"] += 1
        return first_fit(snapshot, asked)[0], state

    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        place, state = audited(counts, log, store, PolicyStamp("counts", "1")), {"n": 0}
        for n in range(2):
            _, state = place(full_snapshot(), request(f"job-{n}"), state)
    one, two = (record["data"]["state"] for record in read_records(tmp_path / "l"))
    assert one["before"] != one["after"] == two["before"] != two["after"]


def record(folder, policy, states, together, jobs=11):
    """Records decisions, with a flag after the seventh, and says how many were on record after each."""
    folder.mkdir()
    seen = []
    with SnapshotStore(folder / "s") as store, AuditLog(folder / "l", source="/x") as log:
        place, state = audited(policy, log, store, PolicyStamp("p", "1"), together=together), states
        for n in range(jobs):
            _, state = place(full_snapshot(first=n // 3), request(f"job-{n}"), state)
            seen.append(log.size)
            if n == 6:
                place.catch_up()
                log.append("datahall.flag", "f", 7.0, {"flag": "f"})
        place.catch_up()
    return seen, (folder / "l").read_bytes(), (folder / "s").read_bytes()


def counted(snapshot, asked, state):
    return first_fit(snapshot, asked)[0], (0 if state is None else state) + 1


def in_place(snapshot, asked, state):
    state["n"] += 1
    return first_fit(snapshot, asked)[0], state


def test_what_is_recorded_together_is_what_would_be_recorded_one_by_one(tmp_path):
    one = record(tmp_path / "one", counted, None, 1)
    four = record(tmp_path / "four", counted, None, 4)
    assert one[0] == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert four[0] == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 12]
    assert one[1:] == four[1:]


def test_a_state_that_may_change_waits_for_nobody(tmp_path):
    one = record(tmp_path / "one", in_place, {"n": 0}, 1)
    four = record(tmp_path / "four", in_place, {"n": 0}, 4)
    assert one == four

    def opens(snapshot, asked, state):  # the third state is a list
        before = 0 if state is None else len(state)
        return first_fit(snapshot, asked)[0], [0] * 3 if before == 2 else (0,) * min(before + 1, 2)

    found = record(tmp_path / "opens", opens, None, 4)
    assert found[0][:4] == [0, 0, 3, 4]
    assert found[1:] == record(tmp_path / "closed", opens, None, 1)[1:]


def test_a_state_that_cannot_be_kept_is_refused(tmp_path):
    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        place = audited(counted, log, store, PolicyStamp("p", "1"), together=4)
        with pytest.raises(AuditError, match=r"state: list cannot be kept .* make it of numbers"):
            place(full_snapshot(), request("a"), [threading.Lock()])


def test_what_was_decided_before_a_policy_fails_is_on_record_once_it_is_asked_for(tmp_path):
    def fails(snapshot, asked, state):
        if asked.id == "job-2":
            raise ZeroDivisionError
        return first_fit(snapshot, asked)

    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        place = audited(fails, log, store, PolicyStamp("p", "1"), together=9)
        with pytest.raises(ZeroDivisionError):
            for n in range(4):
                place(full_snapshot(), request(f"job-{n}"), None)
        place.catch_up()
    assert [each["subject"] for each in read_records(tmp_path / "l")] == ["job-0", "job-1"]


def test_a_log_ends_before_a_fault_of_what_was_to_be_recorded_together(tmp_path):
    def odd(snapshot, asked, state):
        decision = first_fit(snapshot, asked)[0]
        return (replace(decision, detail=object()) if asked.id == "job-2" else decision), None

    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        place = audited(odd, log, store, PolicyStamp("p", "1"), together=5)
        for n in range(4):
            place(full_snapshot(), request(f"job-{n}"), None)
        with pytest.raises(AuditError, match="detail"):
            place(full_snapshot(), request("job-4"), None)
        place.catch_up()
    assert [each["subject"] for each in read_records(tmp_path / "l")] == ["job-0", "job-1"]


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "2026-03-01T00:00:00Z"), (86_400.5, "2026-03-02T00:00:00.500000Z"), (1e-6, "2026-03-01T00:00:00.000001Z")],
)
def test_time_is_counted_from_the_start(tmp_path, seconds, text):
    start = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    with AuditLog(tmp_path / "l", source="/x", start=start) as log:
        log.append("datahall.action", "rack 0", seconds, {"action": "drain"})
    assert read_records(tmp_path / "l")[0]["time"] == text


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e15])
def test_what_is_no_time_is_refused(tmp_path, seconds):
    with AuditLog(tmp_path / "l", source="/x") as log:
        with pytest.raises(AuditError, match="is no time"):
            log.append("datahall.action", "rack 0", seconds, {})
        assert log.size == 0


def test_a_start_has_a_zone(tmp_path):
    with pytest.raises(AuditError, match="no time zone"):
        AuditLog(tmp_path / "l", source="/x", start=datetime(2026, 1, 1))
    with pytest.raises(AuditError, match="every = 0"):
        AuditLog(tmp_path / "l", source="/x", every=0, start=datetime(2026, 1, 1, tzinfo=UTC))


# ---------------------------------------------------------------- going on


def test_a_log_goes_on_where_it_ended(tmp_path, written):
    with AuditLog(written.log, source="/test", checkpoints=written.checkpoints) as log:
        assert (log.size, log.recovered) == (12, 0)
        log.append("datahall.action", "rack 0", 900.0, {"action": "drain"})
    verdict = verify(written.log, read_checkpoints(written.checkpoints))
    assert (verdict.records, verdict.covered, verdict.findings) == (13, 13, ())


def test_a_line_that_a_crash_cut_off_is_dropped_and_told(written):
    whole = written.log.read_bytes()
    written.log.write_bytes(whole[:-20])
    with AuditLog(written.log, source="/test") as log:
        assert log.size == 11
        assert log.recovered == len(whole.splitlines(keepends=True)[-1]) - 20
        log.append("datahall.action", "rack 0", 900.0, {})
    assert verify(written.log).findings == ()


def test_nothing_is_added_to_a_broken_log(written):
    lines = written.lines()
    written.rewrite([*lines[:3], *lines[4:]])
    with pytest.raises(AuditError, match="line 4 breaks the chain"):
        AuditLog(written.log, source="/test")


def test_checkpoints_come_every_so_often_and_at_the_end(written):
    found = read_checkpoints(written.checkpoints)
    assert [each.size for each in found] == [5, 10, 12]
    records = read_records(written.log)
    assert [each.hash for each in found] == [records[size - 1]["hash"] for size in (5, 10, 12)]


# ---------------------------------------------------------------- refusals


def test_a_record_without_json_is_refused_and_not_written(tmp_path):
    with AuditLog(tmp_path / "l", source="/x") as log:
        with pytest.raises(AuditError, match="no canonical JSON"):
            log.append("datahall.action", "rack 0", 0.0, {"value": float("nan")})
        log.append("datahall.action", "rack 0", 0.0, {"value": 1e17})
    assert verify(tmp_path / "l").findings == ()


def test_a_state_that_cannot_be_recorded_stops_the_decision(tmp_path):
    with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
        place = audited(first_fit, log, store, PolicyStamp("first_fit", "1"))
        with pytest.raises(AuditError, match="are not recorded"):
            place(full_snapshot(), request("a"), object())
        assert log.size == 0


def test_files_that_are_no_log_are_refused(tmp_path):
    with pytest.raises(AuditError, match="cannot be read"):
        read_records(tmp_path / "none")
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog(tmp_path / "none" / "l", source="/x")
    for text, said in (("hello\n", "lacks a JSON object"), ('{"id": "1"}\n', "lacks type, subject, time, data")):
        (tmp_path / "l").write_text(text)
        with pytest.raises(AuditError, match=said):
            read_records(tmp_path / "l")
    form = {"id": "0", "type": "datahall.decision", "subject": "a", "time": "x", "data": {"request": {"id": "a"}}}
    (tmp_path / "l").write_text(json.dumps(form) + "\n")
    with pytest.raises(AuditError, match=r"data\.decision, data\.policy"):
        read_records(tmp_path / "l")
    for text in ("hello\n", '{"size": 1}\n', '{"size": 1, "bytes": 2}\n'):
        (tmp_path / "c").write_text(text)
        with pytest.raises(AuditError, match="line 1 is no checkpoint"):
            read_checkpoints(tmp_path / "c")
