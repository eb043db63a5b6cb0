"""A policy that records what it decides: wraps any policy, and is one itself."""

from collections.abc import Callable
from typing import Any

from twin.audit.log import AuditLog
from twin.audit.records import DECISION, Context, PolicyStamp, context_of, decision_data, policy_form
from twin.audit.store import SnapshotStore
from twin.policy.decisions import Decision
from twin.policy.protocol import JobRequest, Policy
from twin.policy.snapshot import FacilitySnapshot

Around = Callable[[FacilitySnapshot, JobRequest, Decision], Context]


def audited(
    policy: Policy, log: AuditLog, store: SnapshotStore, stamp: PolicyStamp, around: Around | None = None
) -> Policy:
    """A policy that asks ``policy``, appends a record and returns decision and state unchanged.

    Args:
        policy: who decides.
        log: where the record goes; its time is the snapshot's.
        store: where snapshots, states and parameters go.
        stamp: what the record calls the policy, and what a replay needs to make it again.
        around: says what stands around a decision: approver, override, score. Without it a record has what the
            decision itself carries in fields of those names (:func:`twin.audit.records.context_of`).

    The snapshot and the state before are taken before the policy is asked, so that they are as it was given them; all
    that a record refers to is handed to the operating system before the record.
    Raises :class:`twin.audit.errors.AuditError` for what cannot be recorded: no decision goes unrecorded.
    """
    form = policy_form(stamp, store.put_value(dict(stamp.parameters)))

    def place(snapshot: FacilitySnapshot, request: JobRequest, state: Any) -> tuple[Decision, Any]:
        with store.entry():
            seen = store.put(snapshot)
            before = store.put_state(state)
            decision, after = policy(snapshot, request, state)
            left = store.put_state(after)
        data = decision_data(
            decision,
            request,
            snapshot=seen,
            snapshot_seconds=snapshot.time_seconds,
            policy=form,
            before=before,
            after=left,
            context=context_of(decision) if around is None else around(snapshot, request, decision),
        )
        log.append(DECISION, request.id, snapshot.time_seconds, data)
        return decision, after

    return place
