"""``twin audit``: exit codes, what is printed, and what a script reads."""

import json
import sys
from pathlib import Path

import pytest

from tests.audit.conftest import full_snapshot, request, write_log
from twin.audit import (
    ACTION,
    DECISION,
    FLAG,
    AuditLog,
    Context,
    PolicyStamp,
    SnapshotStore,
    Threshold,
    audited,
    flag_data,
    read_records,
)
from twin.audit.errors import AuditError
from twin.audit.frames import write_all
from twin.audit.log import LOG, SNAPSHOTS
from twin.audit.signing import Ed25519Signer
from twin.cli.exits import Exit
from twin.policy import Placement, Reason, first_fit
from twin.setup import auditing


@pytest.fixture
def run(tmp_path):
    """A run directory with a log of twelve decisions."""
    folder = tmp_path / "run"
    folder.mkdir()
    return write_log(folder)


def test_help_says_what_the_words_mean(twin):
    ended = twin("audit", "--help")
    assert ended.code == 0
    for part in ("verify", "replay", "show", "report", "checkpoints", "exit codes", "audit.jsonl"):
        assert part in ended.out
    for word in ("verify", "replay", "show", "report"):
        assert twin("audit", word, "--help").code == 0
    assert "audit ACTION LOG" in twin("--help").out


# ---------------------------------------------------------------- verify


def test_verify_a_good_log(twin, run):
    for log in (run.folder, run.log):
        ended = twin("audit", "verify", log)
        assert (ended.code, ended.err) == (0, "")
        assert "12 records, chain unbroken, 12 of them vouched for by 3 checkpoints" in ended.out
    form = json.loads(twin("audit", "verify", run.folder, "--json").out)
    assert (form["records"], form["covered"], form["findings"], form["notes"]) == (12, 12, [], [])


def test_verify_names_the_first_bad_record(twin, run):
    lines = run.lines()
    run.rewrite([*lines[:4], *lines[5:]])
    ended = twin("audit", "verify", run.folder)
    assert ended.code == 1
    assert "record 0000000004: records before it are missing: they were removed." in ended.out
    form = json.loads(twin("audit", "verify", run.folder, "--json").out)
    assert (form["findings"][0]["record"], form["findings"][0]["problem"]) == (4, "removed")


def test_verify_finds_what_was_added_after_a_run_had_ended(twin, run):
    with AuditLog(run.log, source="/test") as log:  # a record that fits, by somebody who has no checkpoints
        log.append(FLAG, "drain", 9_000.0, flag_data("drain", True, False))
    growing = twin("audit", "verify", run.folder)
    assert growing.code == 0 and "the last 1 records are after the last checkpoint" in growing.out
    (run.folder / "metrics.json").write_text("{}")
    ended = twin("audit", "verify", run.folder)
    assert ended.code == 1
    assert "record 0000000012: the log was closed before it: it was added." in ended.out
    assert twin("audit", "verify", run.folder, "--checkpoints", run.checkpoints).code == 0  # a copy may be older


def test_verify_finds_a_damaged_store_and_still_looks_at_the_log(twin, run):
    data = run.store.read_bytes()
    run.store.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    lines = run.lines()
    run.rewrite([*lines[:4], *lines[5:]])
    ended = twin("audit", "verify", run.folder)
    assert ended.code == 1
    for said in ("0000000004: records before it are missing", "is not in the store as it was", "an undamaged copy"):
        assert said in ended.out
    assert twin("audit", "verify", run.folder, "--store", run.store).code == 3  # what was asked for cannot be read


def test_verify_needs_a_checkpoint_to_see_a_cut_tail(twin, run, tmp_path):
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(run.checkpoints.read_bytes())
    run.rewrite(run.lines()[:7])
    run.checkpoints.unlink()
    alone = twin("audit", "verify", run.folder)
    assert alone.code == 0
    assert "note: no checkpoints: a tail that was cut off" in alone.out
    ended = twin("audit", "verify", run.folder, "--checkpoints", copy)
    assert ended.code == 1
    assert "record 0000000007: a checkpoint has more records: the tail was cut off" in ended.out


def test_verify_with_a_key(twin, tmp_path, monkeypatch):
    signer = Ed25519Signer(bytes(range(32)))
    signed = write_log(tmp_path, signer=signer)
    right, wrong = tmp_path / "right.hex", tmp_path / "wrong.hex"
    right.write_text(signer.public)
    wrong.write_text(Ed25519Signer(bytes(32)).public)
    assert twin("audit", "verify", signed.folder, "--key", right).code == 0
    ended = twin("audit", "verify", signed.folder, "--key", wrong)
    assert ended.code == 1
    assert "not signed with the key that is trusted" in ended.out
    assert twin("audit", "verify", signed.folder, "--key", tmp_path / "none").code == 3
    signed.checkpoints.unlink()
    ended = twin("audit", "verify", signed.folder, "--key", right)
    assert ended.code == 2
    assert "could not tell: there is no checkpoint" in ended.out
    monkeypatch.setitem(sys.modules, "twin.audit.signing", None)  # as without the extra
    ended = twin("audit", "verify", signed.folder, "--key", right)
    assert ended.code == 2
    assert "pip install 'data-hall-twin[sign]'" in ended.out


# ---------------------------------------------------------------- replay


def test_replay(twin, run):
    ended = twin("audit", "replay", run.folder)
    assert (ended.code, ended.err) == (0, "")
    assert "12 decisions came out the same" in ended.out
    assert json.loads(twin("audit", "replay", run.folder, "--json").out) == {
        "same": 12, "difference": None, "untold": [],
    }  # fmt: skip


def test_replay_names_a_difference(twin, tmp_path):
    def last_rack(snapshot, asked, state):
        return Placement(asked.id, (("rack 2", asked.trays),), Reason.PLACED_FIRST_FIT), state

    run = write_log(tmp_path, policy=last_rack)  # recorded as first_fit
    ended = twin("audit", "replay", run.folder)
    assert ended.code == 1
    assert ended.out.startswith("record 0000000000 (job-0): decision: ")
    form = json.loads(twin("audit", "replay", run.folder, "--json").out)
    assert form["difference"]["recorded"]["racks"] == [["rack 2", 4]]
    assert form["difference"]["replayed"]["racks"] == [["rack 0", 4]]


def test_replay_says_when_it_cannot_tell(twin, run, tmp_path):
    store = run.store.read_bytes()
    run.store.write_bytes(store[:-30])
    ended = twin("audit", "replay", run.folder)
    assert ended.code == 2
    assert "could not tell for 1 records, first 0000000011" in ended.out
    run.store.unlink()
    ended = twin("audit", "replay", run.folder)
    assert ended.code == 2
    assert "give the snapshots with --store FILE" in ended.out
    assert json.loads(twin("audit", "replay", run.folder, "--json").out)["untold"][0]["record"] is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(store)
    assert twin("audit", "replay", run.folder, "--store", elsewhere).code == 0


def test_replay_of_a_policy_from_elsewhere_cannot_be_told(twin, tmp_path):
    with SnapshotStore(tmp_path / "audit.snapshots") as store, AuditLog(tmp_path / "audit.jsonl", source="/x") as log:
        audited(first_fit, log, store, PolicyStamp("ours", "1"))(full_snapshot(), request("a"), None)
    ended = twin("audit", "replay", tmp_path)
    assert ended.code == 2
    assert "policy = 'ours': there is none of that name here. Use one of 'first_fit', 'random_healthy'" in ended.out


# ---------------------------------------------------------------- show


def test_show_answers_in_a_sentence(twin, run):
    ended = twin("audit", "show", run.folder, "job-1")
    assert (ended.code, ended.err) == (0, "")
    sentence, where = ended.out.splitlines()
    assert sentence.startswith(
        "job-1 (training, 16 trays) was placed on rack 1 (16 trays): the first healthy racks in name order with room."
    )
    assert where == "record 0000000001, at 2000-01-01T00:00:00.250000Z; 1 decisions about job-1 in all"
    form = json.loads(twin("audit", "show", run.folder, "job-1", "--json").out)
    assert form["sentence"] == sentence
    assert form["record"] == read_records(run.log)[1]


def test_show_says_that_its_record_was_changed(twin, run):
    lines = run.lines()
    run.rewrite([lines[0], lines[1].replace(b'"rack 1"', b'"rack 2"'), *lines[2:]])
    ended = twin("audit", "show", run.folder, "job-1")
    assert ended.code == 1
    assert "was placed on rack 2" in ended.out
    assert "this record was changed after it was written" in ended.out
    assert json.loads(twin("audit", "show", run.folder, "job-1", "--json").out)["intact"] is False


def test_show_refuses_what_it_does_not_know(twin, run):
    ended = twin("audit", "show", run.folder, "job-99")
    assert ended.code == 3
    assert "job = 'job-99': no record is about it. Did you mean 'job-9'?" in ended.err
    ended = twin("audit", "show", run.folder, "job-1", "--rack", "rack 0")
    assert ended.code == 3
    assert "no record places job-1 on 'rack 0'" in ended.err


# ---------------------------------------------------------------- report


def test_report_of_nothing(twin, run):
    ended = twin("audit", "report", run.folder)
    assert ended.code == 0
    assert "12 records, 12 decisions" in ended.out
    assert "no flag stayed set for long" in ended.out


def test_report_of_all_three(twin, tmp_path, run):
    thresholds = (Threshold("rack_power_share", 0.851, 0.85, passed=False),)
    context = Context(score=0.2, rank=4, ranked=4, thresholds=thresholds)
    folder = tmp_path / "taught"
    folder.mkdir()
    with SnapshotStore(folder / "audit.snapshots") as store, AuditLog(folder / "audit.jsonl", source="/x") as log:
        place = audited(first_fit, log, store, PolicyStamp("first_fit", "1"), lambda *_: context)
        log.append(FLAG, "drain", 0.0, flag_data("drain", True, False, scope="row A", owner="sre"))
        for n in range(6):
            place(full_snapshot(first=n), request(f"job-{n}"), None)
        log.append(DECISION, "job-0", 2 * 86_400.0, read_records(folder / "audit.jsonl")[1]["data"])
    ended = twin("audit", "report", folder)
    assert ended.code == 1
    for part in ("rack 0", "worst 25% by score", "rack_power_share", "drain", "2 d 00:00:00", "sre"):
        assert part in ended.out
    form = json.loads(twin("audit", "report", folder, "--json").out)
    assert form["poor_racks"][0]["placements"] == 7
    assert form["sensitive_rules"][0]["near"] == 6  # jobs: one of them was refused twice
    assert form["long_flags"][0]["seconds"] == 2 * 86_400.0
    ended = twin("audit", "report", folder, "--placements", 9, "--refusals", 9, "--flag-hours", 99)
    assert ended.code == 0
    burden = tmp_path / "burden.json"
    burden.write_text('{"rack 0": 12.5, "rack 1": 0}')
    assert "by burden, 12.5" in twin("audit", "report", run.folder, "--burden", burden).out


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("word", ["verify", "replay", "report"])
def test_a_log_that_is_not_there_is_refused(twin, tmp_path, word):
    ended = twin("audit", word, tmp_path)
    assert ended.code == 3
    assert "audit.jsonl: there is no such log; give a run's directory or its audit.jsonl" in ended.err


def test_wrong_input_is_refused(twin, run, tmp_path):
    assert twin("audit").code == 3
    assert twin("audit", "look", run.folder).code == 3
    assert twin("audit", "show", run.folder).code == 3
    assert twin("audit", "report", run.folder, "--poor-share", 2).code == 3
    wrong = tmp_path / "wrong"
    wrong.write_text("[1, 2]")
    assert "write such as" in twin("audit", "report", run.folder, "--burden", wrong).err
    ended = twin("audit", "verify", run.folder, "--store", wrong)
    assert ended.code == 3
    assert "is no audit store" in ended.err
    ended = twin("audit", "verify", run.folder, "--checkpoints", wrong)
    assert ended.code == 3
    assert "holds no checkpoint" in ended.err
    run.log.write_text("no record\n")
    assert twin("audit", "verify", run.folder).code == 1
    for words in (("replay", run.folder), ("report", run.folder), ("show", run.folder, "job-1")):
        ended = twin("audit", *words)
        assert ended.code == 3
        assert "line 1 is no record" in ended.err


PINNED = """name: pinned
purpose: an operator puts a job where it should be
timeline:
  - {at: 60, do: submit_job, id: probe, kind: batch, trays: 2, seconds: 60, utilisation: 0.5, rack: A-02,
     role: facilities, by: bo, reason: the bench is beside it}
  - {at: 90, do: submit_job, id: plain, kind: batch, trays: 1, seconds: 60, utilisation: 0.5, rack: A-01}
"""


def test_a_job_that_is_pinned_is_an_override_with_role_and_reason_in_log_answer_and_report(twin):
    Path("pinned.yaml").write_text(PINNED, encoding="utf-8")
    words = ("hall=small", "hours=0.1", "workload.load=0.1", "policy=thermal_aware")
    assert twin("run", "scenario=pinned.yaml", *words, "out=there").code == Exit.FINE
    assert twin("audit", "verify", "there").code == Exit.FINE
    assert twin("audit", "replay", "there").code == Exit.FINE
    told = twin("audit", "show", "there", "probe")
    expected = "probe (batch, 2 trays) was put on A-02 (2 trays) by bo (facilities): the bench is beside it."
    assert expected in told.out and told.code == Exit.FINE
    assert "by scenario (operator): pinned by the scenario." in twin("audit", "show", "there", "plain").out
    report = json.loads(twin("audit", "report", "there", "--json").out)
    assert [(each["role"], each["overrides"], each["jobs"]) for each in report["overrides"]] == [
        ("facilities", 1, ["probe"]),
        ("operator", 1, ["plain"]),
    ]
    shown = twin("audit", "report", "there").out
    assert "Operator overrides" in shown and "the bench is beside it" in shown


def test_decisions_that_are_recorded_together_stand_before_what_came_after_them(twin, tmp_path, monkeypatch):
    """A rehearsal of flags by people and of the ladder: every file as if each decision were recorded by itself, and as
    if no other process recorded them."""
    kept = []
    for together, other_process in ((1, False), (auditing.TOGETHER, False), (auditing.TOGETHER, True)):
        monkeypatch.setattr(auditing, "TOGETHER", together)
        monkeypatch.setattr(auditing, "is_possible", lambda possible=other_process: possible)
        place = tmp_path / f"by-{together}-{other_process}"
        twin("run", "scenario=gameday_coolant_loss_short", f"out={place}")
        kept.append({name: (place / name).read_bytes() for name in (LOG, SNAPSHOTS)})
    alone, few, apart = kept
    assert few == alone and apart == alone
    kinds = [json.loads(line)["type"] for line in alone[LOG].splitlines()]
    assert {*kinds} == {DECISION, ACTION, FLAG} and kinds != sorted(kinds)


@pytest.mark.parametrize("other_process", [False, True])
def test_an_audit_that_cannot_be_written_ends_the_run_with_a_sentence(twin, tmp_path, monkeypatch, other_process):
    def full(file, data, path):
        if path.name == LOG and path.stat().st_size > 5_000:
            raise AuditError(f"{path}: cannot be written (No space left on device); free some space")
        return write_all(file, data, path)

    monkeypatch.setattr("twin.audit.log.write_all", full)
    monkeypatch.setattr(auditing, "is_possible", lambda: other_process)
    ended = twin("run", "hall=small", "hours=4", "policy=thermal_aware", f"out={tmp_path / 'full'}")
    assert ended.code == Exit.REFUSED
    assert "audit.jsonl: cannot be written (No space left on device); free some space" in ended.err
    assert len(ended.err.splitlines()) == 2  # "twin: refused", and this
    assert json.loads((tmp_path / "full" / "manifest.json").read_text())["status"] == "failed"
    assert twin("audit", "verify", tmp_path / "full").code == Exit.FINE  # what is there is whole
