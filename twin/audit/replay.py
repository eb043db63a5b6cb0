"""Decides again what a log says was decided: from snapshot, request, state and policy as recorded, bit for bit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.audit.canonical import canonical
from twin.audit.errors import AuditError
from twin.audit.log import read_records
from twin.audit.objects import state_name
from twin.audit.records import DECISION, PolicyStamp, decision_form
from twin.audit.stored import StoredSnapshots
from twin.audit.values import decode
from twin.policy.protocol import Policy

PolicyOf = Callable[[PolicyStamp], Policy]
CACHED = 8  # snapshots: those of one look at the queue follow one another


@dataclass(frozen=True)
class Difference:
    """The first decision that came out otherwise."""

    id: str
    subject: str
    what: str  # decision, state or policy
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return f"record {self.id} ({self.subject}): {self.what}: {self.recorded} recorded, {self.replayed} replayed"


@dataclass(frozen=True)
class Replayed:
    """What a replay found: decisions that came out the same before the first difference, if there is one.

    ``untold`` names, for each record that could not be replayed, why: a snapshot is missing, a policy is not known.
    """

    same: int
    difference: Difference | None
    untold: tuple[tuple[str, str], ...]


def replay(log: Path | str, store: StoredSnapshots, policy_of: PolicyOf) -> Replayed:
    """Decide again every decision of a log, up to the first that differs.

    Args:
        log: the file.
        store: snapshots, states and parameters.
        policy_of: makes the policy of a stamp; raises :class:`AuditError` for one that it does not know.

    A decision is compared by the canonical bytes of its form, which holds the digest of all its fields; the state that
    came out by its digest. Raises :class:`AuditError` for a log that cannot be read.
    """
    same = 0
    untold: list[tuple[str, str]] = []
    policies: dict[str, Policy] = {}
    snapshot_of = lru_cache(maxsize=CACHED)(store.snapshot)
    for record in read_records(Path(log)):
        if record["type"] != DECISION:
            continue
        try:
            data = record["data"]
            stamp = _stamp(data["policy"], store)
            if stamp.digest != data["policy"]["digest"]:
                wrong = Difference(record["id"], _subject(record), "policy", data["policy"]["digest"], stamp.digest)
                return Replayed(same, wrong, tuple(untold))
            if stamp.digest not in policies:
                policies[stamp.digest] = policy_of(stamp)
            given = (
                snapshot_of(data["snapshot"]["digest"]),
                decode(data["request"]),
                store.value(data["state"]["before"]),
            )
        except AuditError as error:
            untold.append((str(record["id"]), str(error)))
            continue
        except (KeyError, TypeError) as error:
            untold.append((str(record["id"]), f"its data lacks what a replay needs ({error!r})"))
            continue
        difference = _compare(record, policies[stamp.digest], given)
        if difference is not None:
            return Replayed(same, difference, tuple(untold))
        same += 1
    return Replayed(same, None, tuple(untold))


def _subject(record: Mapping[str, Any]) -> str:
    return str(record.get("subject", ""))


def _stamp(form: Mapping[str, Any], store: StoredSnapshots) -> PolicyStamp:
    """The policy of a record, with its parameters out of the store."""
    return PolicyStamp(form["name"], form["version"], store.value(form["parameters"]))


def _compare(record: Mapping[str, Any], policy: Policy, given: tuple[Any, Any, Any]) -> Difference | None:
    """What is different when the policy decides again."""
    data = record["data"]

    def differs(what: str, recorded: Any, replayed: Any) -> Difference:
        return Difference(record["id"], _subject(record), what, recorded, replayed)

    try:
        decision, state = policy(*given)
        form = decision_form(decision)
        after = state_name(state)
    except Exception as error:  # whatever a policy raises is a difference from having decided
        return differs("decision", data["decision"], f"{type(error).__name__}: {error}")
    if canonical(form) != canonical(data["decision"]):
        return differs("decision", data["decision"], form)
    if after != data["state"]["after"]:
        return differs("state", data["state"]["after"], after)
    return None
