"""Decisions taken again: the same from what was recorded, whoever ran them; and what is different is named."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.audit.conftest import Written, full_snapshot, request
from twin.audit import (
    AuditError,
    AuditLog,
    PolicyStamp,
    SnapshotStore,
    StoredSnapshots,
    audited,
    override_data,
    read_checkpoints,
    read_records,
    register,
    replay,
    verify,
    why,
)
from twin.audit.records import OVERRIDE, Override, Person
from twin.cli.audit import policy_of
from twin.hall.reader import load_hall
from twin.policy import Placement, Reason, first_fit, random_healthy
from twin.policy.baselines import POLICIES
from twin.sim.scenario import read_scenario
from twin.sim.sensor_settings import DIRECT, ideal
from twin.sim.simulate import simulate
from twin.sim.world import Settings
from twin.workload.jobs import Job, JobKind, Phase, Workload

UNTIL = 1_200.0  # s


@register
@dataclass(frozen=True)
class Turns:
    """Where a round robin is."""

    next: int
    used: tuple[str, ...] = ()


def round_robin(snapshot, asked, state):
    """The racks in turn: a policy with a state of its own."""
    turns = state if state is not None else Turns(0)
    name = snapshot.rack_names[turns.next % len(snapshot.rack_names)]
    decision = Placement(asked.id, ((name, asked.trays),), Reason.PLACED_RANDOM)
    return decision, Turns(turns.next + 1, (*turns.used[-3:], name))


def run(policy, sensors=DIRECT):
    """Twenty minutes of the small hall, with jobs that wait, are placed, split over racks and are refused."""
    hall = load_hall("small")
    jobs = tuple(
        Job(
            id=f"job-{n:02d}",
            kind=JobKind.BATCH,
            submit_seconds=40.0 * n,
            trays=999 if n == 7 else 4 + (n * 7) % 30,
            work_seconds=500.0,
            estimate_seconds=500.0,
            startup=(),
            steady=Phase("steady", 500.0, 0.5),
        )
        for n in range(20)
    )
    story = read_scenario({"name": "story", "purpose": "to be told", "timeline": []}, hall, "story.yaml")
    settings = Settings(sensors=sensors)
    return simulate(hall, Workload("told", jobs, (), {}), policy, story, seed=5, until=UNTIL, settings=settings)


def recorded(folder: Path, name: str, sensors=DIRECT):
    """The same run with a wrapped policy, and what it wrote."""
    written = Written(folder)
    stamp = PolicyStamp(name, "0.1.0", {"seed": 5})
    with (
        SnapshotStore(written.store) as store,
        AuditLog(written.log, source="/hall/small", checkpoints=written.checkpoints) as log,
    ):
        result = run(audited(POLICIES[name](5), log, store, stamp), sensors)
    return result, written


@pytest.mark.parametrize("name", ["first_fit", "random_healthy"])
def test_a_recorded_run_is_the_same_run_and_can_be_replayed(tmp_path, name):
    bare = run(POLICIES[name](5))
    result, written = recorded(tmp_path, name)
    pd.testing.assert_frame_equal(result.tables["jobs"], bare.tables["jobs"])
    pd.testing.assert_frame_equal(result.tables["events"], bare.tables["events"])
    assert set(bare.tables["jobs"]["status"]) >= {"completed", "refused"}

    store = StoredSnapshots(written.store)
    verdict = verify(written.log, read_checkpoints(written.checkpoints), store=store)
    assert (verdict.findings, verdict.notes) == ((), ())
    found = replay(written.log, store, policy_of)
    assert (found.difference, found.untold) == (None, ())
    kinds = {record["data"]["decision"]["kind"] for record in read_records(written.log)}
    assert found.same == verdict.records > 20
    assert kinds == {"placement", "wait", "refusal"}

    jobs = result.tables["jobs"].set_index("id")
    answer = why(read_records(written.log), "job-03")
    racks = dict(answer.record["data"]["decision"]["racks"])
    assert set(str(jobs.loc["job-03", "racks"]).replace(",", " ").split()) == set(racks)

    whole = written.log.read_bytes()
    written.log.write_bytes(whole[:5_000] + bytes([whole[5_000] ^ 1]) + whole[5_001:])
    (finding, *_) = verify(written.log, read_checkpoints(written.checkpoints)).findings
    assert finding.record == whole[:5_000].count(b"\n")


def test_a_run_through_sensors_is_replayed_with_its_histories(tmp_path):
    sensors = ideal(period_seconds=30.0)
    _, written = recorded(tmp_path, "first_fit", sensors)
    store = StoredSnapshots(written.store)
    snapshot = store.snapshot(store.snapshots()[-1])
    past = snapshot.histories["rack_power_watts"]
    assert past.values.shape == (31, len(snapshot.rack_names))
    assert past.time_seconds[-1] - past.time_seconds[0] == 900.0
    found = replay(written.log, store, policy_of)
    assert found.same > 20
    assert (found.difference, found.untold) == (None, ())


# ---------------------------------------------------------------- what differs


def test_another_policy_decides_otherwise_and_the_first_difference_is_named(written):
    store = StoredSnapshots(written.store)
    found = replay(written.log, store, lambda stamp: random_healthy(1))
    assert found.difference.what == "decision"
    assert found.difference.id == f"{found.same:010d}"
    assert found.difference.recorded["reason"] == "PLACED_FIRST_FIT"
    assert found.difference.replayed["reason"] == "PLACED_RANDOM"
    assert str(found.difference).startswith(f"record {found.difference.id} (job-{found.same}): decision: ")


def test_a_state_is_given_back_and_compared(writer):
    written = writer(policy=round_robin)
    store = StoredSnapshots(written.store)
    states = [record["data"]["state"] for record in read_records(written.log)]
    assert store.value(states[0]["before"]) is None
    assert store.value(states[4]["after"]) == Turns(5, ("rack 1", "rack 2", "rack 3", "rack 0"))
    assert [state["before"] for state in states[1:]] == [state["after"] for state in states[:-1]]
    assert replay(written.log, store, lambda stamp: round_robin).same == 12

    def forgets(snapshot, asked, state):
        decision, after = round_robin(snapshot, asked, state)
        return decision, Turns(after.next)

    found = replay(written.log, store, lambda stamp: forgets)
    assert (found.same, found.difference.what) == (0, "state")


def test_a_policy_that_fails_differs(written):
    def fails(snapshot, asked, state):
        raise ZeroDivisionError("of what")

    found = replay(written.log, StoredSnapshots(written.store), lambda stamp: fails)
    assert found.difference.replayed == "ZeroDivisionError: of what"


def test_a_policy_that_keeps_something_for_itself_is_found(writer):
    seen = []

    def counts(snapshot, asked, state):
        seen.append(asked.id)
        racks = ((snapshot.rack_names[len(seen) % 4], asked.trays),)
        return Placement(asked.id, racks, Reason.PLACED_RANDOM), state

    written = writer(policy=counts, jobs=3)
    found = replay(written.log, StoredSnapshots(written.store), lambda stamp: counts)
    assert (found.same, found.difference.what) == (0, "decision")


def test_what_cannot_be_replayed_is_counted_apart(written):
    def unknown(stamp):
        raise AuditError(f"policy = {stamp.name!r}: there is none")

    found = replay(written.log, StoredSnapshots(written.store), unknown)
    assert (found.same, found.difference) == (0, None)
    assert len(found.untold) == 12
    assert found.untold[0] == ("0000000000", "policy = 'first_fit': there is none")
    whole = written.store.read_bytes()
    written.store.write_bytes(whole[:-30])
    found = replay(written.log, StoredSnapshots(written.store), lambda stamp: first_fit)
    assert found.same == 11
    assert "there is no snapshot" in found.untold[0][1]


def test_parameters_that_do_not_fit_their_digest_differ(written):
    """Somebody writes the log anew with another version: the digest of the policy gives it away."""
    lines = [json.loads(line) for line in written.lines()]
    lines[2]["data"]["policy"]["version"] = "9.9.9"
    written.log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = replay(written.log, StoredSnapshots(written.store), policy_of)
    assert (found.same, found.difference.what) == (2, "policy")


def test_overrides_are_passed_over(tmp_path):
    written = Written(tmp_path)
    with SnapshotStore(written.store) as store, AuditLog(written.log, source="/x") as log:
        place = audited(first_fit, log, store, PolicyStamp("first_fit", "1"))
        place(full_snapshot(), request("a"), None)
        override = Override(Person("bo", "facilities"), "pinned by the story", (("rack 2", 4),))
        log.append(OVERRIDE, "b", 5.0, override_data(request("b"), override))
        place(full_snapshot(), request("c"), None)
    found = replay(written.log, StoredSnapshots(written.store), policy_of)
    assert (found.same, found.difference, found.untold) == (2, None, ())


def test_policies_are_made_from_their_stamp():
    snapshot, asked = full_snapshot(), request("a")
    made = policy_of(PolicyStamp("random_healthy", "1", {"seed": 7}))
    assert made(snapshot, asked, None) == random_healthy(7)(snapshot, asked, None)
    with pytest.raises(AuditError, match="Did you mean 'first_fit'"):
        policy_of(PolicyStamp("first_fi", "1"))
