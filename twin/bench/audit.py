"""What the audit adds to a decision: its record, and the snapshot of a new look."""

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from twin.audit import AuditLog, PolicyStamp, SnapshotStore, audited
from twin.audit.log import LOG, SNAPSHOTS
from twin.audit.records import DECISION, context_of, decision_data, policy_form
from twin.bench.decisions import mean_seconds
from twin.places import conf_dir
from twin.policy.aware import thermal_aware
from twin.policy.check import example
from twin.policy.decisions import Decision
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot
from twin.sim.policy_files import policy_document

ROWS = 16  # of four racks: as many as the reference hall has
CALLS = 500  # of each, of which the mean counts
MICRO = 1e6


def audit(repeats: int, rows: int = ROWS) -> list[tuple[float, float, float]]:
    """A record appended; what recording adds to a decision on the last look, with what it saw and its state compared
    and stored; and to one on a new look [µs]."""
    document = policy_document(conf_dir() / "policy", "thermal_aware")
    del document["audit"]  # for whoever runs the policy
    snapshot = example(rows)
    assert snapshot.facility is not None
    one = JobRequest("job", "inference", 2, True, 10, 5_000.0)
    decided, begun = thermal_aware(document)(snapshot, one, None)
    stamp = PolicyStamp("thermal_aware", "bench", {"document": document})
    powers = [snapshot.rack_power_watts + step for step in range(7)]

    def once() -> tuple[float, float, float]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            with SnapshotStore(place / SNAPSHOTS) as store, AuditLog(place / LOG, source="/bench") as log:

                def policy(snapshot: FacilitySnapshot, request: JobRequest, state: Any) -> tuple[Decision, Any]:
                    promised = state.promised_watts + 1.0  # every decision leaves another state
                    promised.flags.writeable = False
                    return decided, replace(state, promised_watts=promised)

                recorded = audited(policy, log, store, stamp)
                looks = itertools.cycle(replace(snapshot, rack_power_watts=watts) for watts in powers)
                last = begun

                def decide(seen: FacilitySnapshot) -> None:
                    nonlocal last
                    _, last = recorded(seen, one, last)

                seen, state = store.put(snapshot), store.put_state(begun)
                form = policy_form(stamp, store.put_value(dict(stamp.parameters)))

                def append() -> None:
                    data = decision_data(
                        decided, one, snapshot=seen, snapshot_seconds=snapshot.time_seconds, policy=form,
                        before=state, after=state, context=context_of(decided),
                    )  # fmt: skip
                    log.append(DECISION, one.id, snapshot.time_seconds, data)

                return (
                    MICRO * mean_seconds(append, CALLS),
                    MICRO * mean_seconds(lambda: decide(snapshot), CALLS),
                    MICRO * mean_seconds(lambda: decide(next(looks)), CALLS),
                )

    return [once() for _ in range(repeats)]
