"""A policy that records what it decides: wraps any policy, and is one itself.

A record touches much code and memory that nothing else does. Where a decision comes every half minute all of it has to
come into the processor's caches again, which costs as much as the record; a few recorded together share that.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from twin.audit.errors import AuditError
from twin.audit.log import AuditLog
from twin.audit.records import DECISION, Context, PolicyStamp, context_of, decision_data, policy_form
from twin.audit.store import SnapshotStore
from twin.audit.values import immutable
from twin.policy.decisions import Decision
from twin.policy.protocol import JobRequest, Policy
from twin.policy.snapshot import FacilitySnapshot

Around = Callable[[FacilitySnapshot, JobRequest, Decision], Context]
#: snapshot and request, the state before, the decision, and the state after it
Decided = tuple[FacilitySnapshot, JobRequest, Any, Decision, Any]


def audited(
    policy: Policy,
    log: AuditLog,
    store: SnapshotStore,
    stamp: PolicyStamp,
    around: Around | None = None,
    *,
    together: int = 1,
) -> "Audited":
    """A policy that asks ``policy``, appends a record and returns decision and state unchanged.

    Args:
        policy: who decides.
        log: where the record goes; its time is the snapshot's.
        store: where snapshots, states and parameters go.
        stamp: what the record calls the policy, and what a replay needs to make it again.
        around: says what stands around a decision: approver, override, score. Without it a record has what the
            decision itself carries in fields of those names (:func:`twin.audit.records.context_of`).
        together: how many decisions may be recorded together: with 1 each is on record before it is returned. More is
            for who can do without the last few of a process that is killed; whoever else writes to ``log`` then calls
            :meth:`Audited.catch_up` first, as does who is done. Snapshots must not change after they were shown; a
            decision whose states could change is recorded at once.

    The snapshot and the state before are taken before the policy is asked, so that they are as it was given them; all
    that a record refers to is handed to the operating system before the record.
    Raises :class:`twin.audit.errors.AuditError` for what cannot be recorded: no decision goes unrecorded in silence.
    Where some are recorded together it comes up to ``together`` − 1 decisions late, and the log ends before the fault:
    what followed it is left out, so that no log looks whole that has a gap.
    """
    recorder = Recorder(log, store, stamp, around)
    return Audited(policy, recorder.record, together) if together > 1 else Audited(policy, recorder.record, 1, recorder)


class Recorder:
    """Writes what was decided into a log and a store."""

    def __init__(self, log: AuditLog, store: SnapshotStore, stamp: PolicyStamp, around: Around | None = None) -> None:
        self._log, self._store, self._around = log, store, around
        self._form = policy_form(stamp, store.put_value(dict(stamp.parameters)))

    def record(self, decided: Sequence[Decided]) -> None:
        """Append a record of each; after a fault of none that follows."""
        store = self._store
        for snapshot, request, state, decision, after in decided:
            with store.entry():
                digests = store.put(snapshot), store.put_state(state), store.put_state(after)
            self._append(snapshot, request, decision, digests)

    def ask(self, policy: Policy, snapshot: FacilitySnapshot, request: JobRequest, state: Any) -> tuple[Decision, Any]:
        """Ask a policy between what it was given and what came of it."""
        store = self._store
        with store.entry():
            seen, before = store.put(snapshot), store.put_state(state)
            decision, after = policy(snapshot, request, state)
            left = store.put_state(after)
        self._append(snapshot, request, decision, (seen, before, left))
        return decision, after

    def _append(
        self, snapshot: FacilitySnapshot, request: JobRequest, decision: Decision, digests: tuple[str, str, str]
    ) -> None:
        """The record; ``digests`` are those of the snapshot, and of the state before and after."""
        seen, before, after = digests
        data = decision_data(
            decision,
            request,
            snapshot=seen,
            snapshot_seconds=snapshot.time_seconds,
            policy=self._form,
            before=before,
            after=after,
            context=context_of(decision) if self._around is None else self._around(snapshot, request, decision),
        )
        self._log.append(DECISION, request.id, snapshot.time_seconds, data)


class Audited:
    """Has what a policy decides recorded. What else the policy can tell is no decision, and goes through as it is.

    ``record`` takes what was decided, some decisions at a time; ``at_once`` is for who records each by itself.
    """

    def __init__(
        self,
        policy: Policy,
        record: Callable[[Sequence[Decided]], None],
        together: int,
        at_once: Recorder | None = None,
    ) -> None:
        self._policy, self._record, self._together, self._at_once = policy, record, together, at_once
        self._decided: list[Decided] = []  # and not recorded yet
        self._lasting: Any = None  # a state that cannot change
        if hasattr(policy, "short_of"):
            self.short_of = policy.short_of

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        if self._at_once is not None:
            return self._at_once.ask(self._policy, snapshot, request, state)
        before = state if state is self._lasting or immutable(state) else _kept(state)
        decision, after = self._policy(snapshot, request, state)
        self._decided.append((snapshot, request, before, decision, after))
        if immutable(after):
            self._lasting = after
        if len(self._decided) >= self._together or before is not state or after is not self._lasting:
            self.catch_up()
        return decision, after

    def catch_up(self) -> None:
        """Record what was decided and is not on record yet; after a fault nothing of it."""
        decided, self._decided = self._decided, []
        if decided:
            self._record(decided)


def _kept(state: Any) -> Any:
    """A state as it is now, whatever is written into it later."""
    try:
        return deepcopy(state)
    except Exception as error:
        made_of = "make it of numbers, text, arrays and containers of such"
        raise AuditError(f"state: {type(state).__name__} cannot be kept as it is ({error}); {made_of}") from error
