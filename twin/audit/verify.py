"""Finds a record that was changed, removed, moved or inserted, and against checkpoints a tail that was cut off.

A log alone shows every break of its chain. What it cannot show by itself is that it ends too early, or that somebody
wrote it anew from some record to its end; the checkpoints show both, as far as they are out of that somebody's reach.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from twin.audit.canonical import PREFIX, canonical
from twin.audit.checkpoints import Checkpoint, sizes
from twin.audit.errors import AuditError
from twin.audit.log import ID, NOTHING, Line, read_lines, record_hash
from twin.audit.merkle import MerkleTree
from twin.audit.stored import StoredSnapshots


class Problem(StrEnum):
    """What is wrong with a record."""

    UNREADABLE = "the line is no JSON object"
    INCOMPLETE = "the last line has no end: its writer was stopped, or its end was cut off"
    SPELLING = "the line is not spelt as a log writes it: it was changed"
    CHANGED = "its content does not have the hash that it states: it was changed"
    REMOVED = "records before it are missing: they were removed"
    MOVED = "it stands where another record belongs: the order was changed"
    INSERTED = "it does not belong there: it was inserted"
    REPLACED = "the record after it was chained to another one: it was replaced"
    BEGINNING = "it does not begin a chain: records before it were removed, or it was replaced"
    ADDED = "the log was closed before it: it was added"
    TAIL = "a checkpoint has more records: the tail was cut off"
    REWRITTEN = "the records do not have the root of the checkpoint: they were written anew"
    OTHER_LOG = "the checkpoint is of a log with another source"
    SIGNATURE = "the checkpoint is not signed with the key that is trusted"
    STORE = "what it refers to is not in the store as it was"


@dataclass(frozen=True)
class Finding:
    """The first bad record of one kind: ``record`` is its place in the log from 0."""

    record: int
    problem: Problem
    detail: str

    def __str__(self) -> str:
        return f"record {ID.format(self.record)}: {self.problem.value}. {self.detail}"


@dataclass(frozen=True)
class Verdict:
    """What a verification found. ``covered`` is how many records the checkpoints vouch for."""

    records: int
    checkpoints: int
    covered: int
    root: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Seen:
    """What counts for the chain of one line."""

    id: str
    previous: str
    hash: str
    fault: Finding | None


def verify(
    log: Path | str,
    checkpoints: Sequence[Checkpoint] = (),
    *,
    store: StoredSnapshots | None = None,
    holds: Callable[[Checkpoint], bool] | None = None,
    closed: bool = False,
    damage: str = "",
) -> Verdict:
    """Check a log's chain, its checkpoints, and that its store has what it refers to.

    Args:
        log: the file.
        checkpoints: a copy that was kept elsewhere, or those beside the log.
        store: the snapshots and states; without it they are not looked at.
        holds: whether a checkpoint's signature is by a key that is trusted; without it signatures are not looked at.
        closed: whether its writer has ended, as it does with a checkpoint: then nothing may come after the last one.
        damage: what is wrong with a store that cannot be read.

    Raises :class:`AuditError` for a log that cannot be read.
    """
    path = Path(log)
    wanted, roots, tree = sizes(checkpoints), {0: MerkleTree().root()}, MerkleTree()
    seen: list[_Seen] = []
    sources: set[str] = set()
    stored: dict[str, int] = {}  # digest → the first record that refers to it
    for line in read_lines(path):
        seen.append(_look(line))
        tree.append(line.data)
        if tree.size in wanted:
            roots[tree.size] = tree.root()
        if line.record is not None and line.record.get("source") is not None:
            sources.add(str(line.record["source"]))
        for digest in _references(line.record):
            stored.setdefault(digest, line.number)
    first = _chain(seen)
    findings = [first] if first is not None else []
    against, covered = _against(checkpoints, roots, len(seen), sources, clean=first is None)
    findings += against
    if closed and checkpoints and not findings and covered < len(seen):
        detail = f"The last checkpoint is of {covered} records, the log has {len(seen)}."
        findings.append(Finding(covered, Problem.ADDED, detail))
    if damage:
        findings.append(Finding(0, Problem.STORE, damage))
    if holds is not None:
        findings += _signatures(checkpoints, holds)
    if store is not None:
        findings += _in_store(stored, store)
    return Verdict(
        records=len(seen),
        checkpoints=len(checkpoints),
        covered=covered,
        root=PREFIX + tree.root().hex(),
        findings=tuple(findings),
        notes=tuple(_notes(checkpoints, covered, len(seen), store, keyed=holds is not None, clean=not findings)),
    )


# ---------------------------------------------------------------- the chain


def _look(line: Line) -> _Seen:
    """One line by itself."""
    record = line.record

    def bad(problem: Problem, detail: str) -> _Seen:
        return _Seen("", "", "", Finding(line.number, problem, detail))

    where = f"Line {line.number + 1}"
    if not line.whole:
        return bad(Problem.INCOMPLETE, f"{where} has {len(line.data)} bytes and no newline.")
    if record is None:
        return bad(Problem.UNREADABLE, f"{where} begins with {line.data[:40]!r}.")
    try:
        spelt, found = canonical(record), record_hash(record)
    except (AuditError, RecursionError) as error:
        return bad(Problem.SPELLING, f"{where}: {error}.")
    if spelt != line.data:
        return bad(Problem.SPELLING, f"{where} differs from the canonical JSON (RFC 8785) of what it holds.")
    stated = str(record.get("hash", "none"))
    if stated != found:
        return bad(Problem.CHANGED, f"{where} states {stated} and has {found}.")
    return _Seen(str(record.get("id", "")), str(record.get("previoushash", "")), stated, None)


def _chain(seen: Sequence[_Seen]) -> Finding | None:
    """The first record that is bad by itself or does not follow the one before."""
    place: dict[str, int] = {}  # hash → where it was first seen
    previous = NOTHING
    for n, each in enumerate(seen):
        if each.fault is not None:
            return each.fault
        if each.id != ID.format(n) or each.previous != previous:
            return _break(seen, n, place)
        place[each.hash] = n
        previous = each.hash
    return None


def _break(seen: Sequence[_Seen], n: int, place: dict[str, int]) -> Finding:
    """What happened where record ``n`` does not follow the one before; ``place`` has the places of those before."""
    each = seen[n]
    if each.hash in place:
        return Finding(n, Problem.INSERTED, f"It is a copy of record {ID.format(place[each.hash])}.")
    after = 0 if each.previous == NOTHING else place.get(each.previous, -1) + 1
    if each.id == ID.format(after) and after < n and (after > 0 or each.previous == NOTHING):
        return Finding(after, Problem.INSERTED, f"Line {n + 1} holds the record that was written in its place.")
    if each.id == ID.format(n):
        if n == 0:
            return Finding(0, Problem.BEGINNING, f"It follows {each.previous}.")
        return Finding(n - 1, Problem.REPLACED, f"Record {each.id} follows {each.previous}, which is not there.")
    if each.id > ID.format(n):
        if any(other.id == ID.format(n) for other in seen[n + 1 :]):
            return Finding(n, Problem.MOVED, f"Line {n + 1} holds record {each.id}.")
        last = int(each.id) - 1 if each.id.isdecimal() else n
        gone = ID.format(n) if last == n else f"{ID.format(n)} to {ID.format(last)}"
        return Finding(n, Problem.REMOVED, f"Line {n + 1} holds record {each.id}; {gone} should be before it.")
    return Finding(n, Problem.INSERTED, f"Line {n + 1} holds a record {each.id!r} that follows nothing here.")


# ---------------------------------------------------------------- checkpoints


def _against(
    checkpoints: Sequence[Checkpoint], roots: dict[int, bytes], records: int, sources: set[str], *, clean: bool
) -> tuple[list[Finding], int]:
    """The first thing that is wrong against the checkpoints, and the records up to the last one that holds."""
    covered = 0
    for each in sorted(checkpoints, key=lambda one: one.size):
        if sources and each.source not in sources:
            detail = f"It is of {each.source}, the log of {', '.join(sorted(sources))}."
            return [Finding(max(0, each.size - 1), Problem.OTHER_LOG, detail)], covered
        if each.size > records:
            largest = max(one.size for one in checkpoints)
            detail = f"The log has {records} records, its checkpoint of {each.time} has {largest}."
            return [Finding(records, Problem.TAIL, detail)], covered
        if PREFIX + roots[each.size].hex() != each.root:
            if not clean:
                return [], covered  # follows from what the chain shows
            last = ID.format(each.size - 1)
            return [Finding(covered, Problem.REWRITTEN, f"It or one up to {last} is not what it was.")], covered
        covered = each.size
    return [], covered


def _signatures(checkpoints: Sequence[Checkpoint], holds: Callable[[Checkpoint], bool]) -> list[Finding]:
    for each in checkpoints:
        if not holds(each):
            how = f"signed with {each.key}" if each.key else "not signed"
            return [Finding(max(0, each.size - 1), Problem.SIGNATURE, f"The one of {each.size} records is {how}.")]
    return []


def _notes(
    checkpoints: Sequence[Checkpoint],
    covered: int,
    records: int,
    store: StoredSnapshots | None,
    *,
    keyed: bool,
    clean: bool,
) -> list[str]:
    """What the verdict does not say by itself."""
    notes = []
    if not checkpoints:
        notes.append("no checkpoints: a tail that was cut off, or a log that was written anew, cannot be seen")
    elif covered < records and clean:
        notes.append(f"the last {records - covered} records are after the last checkpoint that holds")
    if not keyed and any(each.key for each in checkpoints):
        notes.append("the checkpoints are signed; their signatures were not checked, since no key was given")
    if store is None:
        notes.append("no store: the snapshots that the records refer to were not looked at")
    elif store.cut:
        notes.append(f"the store ends with {store.cut} bytes of an incomplete entry: its writer was stopped")
    return notes


# ---------------------------------------------------------------- the store


def _references(record: dict[str, Any] | None) -> list[str]:
    """The digests that a record refers to."""
    data = record.get("data") if record is not None else None
    if not isinstance(data, dict):
        return []
    found = []
    for name, key in (("snapshot", "digest"), ("state", "before"), ("state", "after"), ("policy", "parameters")):
        part = data.get(name)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            found.append(part[key])
    return found


def _in_store(stored: dict[str, int], store: StoredSnapshots) -> list[Finding]:
    for digest, record in stored.items():
        try:
            store.check(digest)
        except AuditError as error:
            return [Finding(record, Problem.STORE, f"{error}.")]
    return []
