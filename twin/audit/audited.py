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
    return _Audited(policy, log, store, policy_form(stamp, store.put_value(dict(stamp.parameters))), around)


class _Audited:
    """Records what a policy decides. What else the policy can tell is no decision, and goes through as it is."""

    def __init__(
        self, policy: Policy, log: AuditLog, store: SnapshotStore, form: dict[str, Any], around: Around | None
    ) -> None:
        self._policy, self._log, self._store, self._form, self._around = policy, log, store, form, around
        if hasattr(policy, "short_of"):
            self.short_of = policy.short_of

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        store = self._store
        with store.entry():
            seen = store.put(snapshot)
            before = store.put_state(state)
            decision, after = self._policy(snapshot, request, state)
            left = store.put_state(after)
        data = decision_data(
            decision,
            request,
            snapshot=seen,
            snapshot_seconds=snapshot.time_seconds,
            policy=self._form,
            before=before,
            after=left,
            context=context_of(decision) if self._around is None else self._around(snapshot, request, decision),
        )
        self._log.append(DECISION, request.id, snapshot.time_seconds, data)
        return decision, after
