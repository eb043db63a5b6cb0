"""What was decided: records that cannot be changed unseen, and from which every decision can be taken again."""

from twin.audit.audited import Audited, Recorder, audited
from twin.audit.canonical import canonical, digest
from twin.audit.checkpoints import Checkpoint, read_checkpoints
from twin.audit.errors import AuditError
from twin.audit.lessons import Lessons, Limits, lessons
from twin.audit.log import AuditLog, read_records
from twin.audit.records import (
    ACTION,
    DECISION,
    FLAG,
    OVERRIDE,
    Context,
    Override,
    Person,
    PolicyStamp,
    Threshold,
    action_data,
    flag_data,
    override_data,
)
from twin.audit.replay import Replayed, replay
from twin.audit.show import Answer, why
from twin.audit.store import SnapshotStore
from twin.audit.stored import StoredSnapshots
from twin.audit.values import decode, encode, register
from twin.audit.verify import Finding, Problem, Verdict, verify

__all__ = [
    "ACTION",
    "DECISION",
    "FLAG",
    "OVERRIDE",
    "Answer",
    "AuditError",
    "AuditLog",
    "Audited",
    "Checkpoint",
    "Context",
    "Finding",
    "Lessons",
    "Limits",
    "Override",
    "Person",
    "PolicyStamp",
    "Problem",
    "Recorder",
    "Replayed",
    "SnapshotStore",
    "StoredSnapshots",
    "Threshold",
    "Verdict",
    "action_data",
    "audited",
    "canonical",
    "decode",
    "digest",
    "encode",
    "flag_data",
    "lessons",
    "override_data",
    "read_checkpoints",
    "read_records",
    "register",
    "replay",
    "verify",
    "why",
]
