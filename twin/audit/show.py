"""Answers "why is this job on this rack?" from a log, in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twin.audit.records import DECISION, OVERRIDE

WORDS = {"placement": "was placed on", "wait": "waits", "refusal": "was refused"}


@dataclass(frozen=True)
class Answer:
    """What the log says of one job: a sentence, the record it is from, and how often the job was decided on."""

    id: str
    sentence: str
    record: Mapping[str, Any]
    decisions: int


def subjects(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The jobs that a log knows, in the order in which they come."""
    return list(dict.fromkeys(str(r.get("subject", "")) for r in records if r["type"] in (DECISION, OVERRIDE)))


def why(records: Sequence[Mapping[str, Any]], job: str, rack: str | None = None) -> Answer | None:
    """Why a job is where it is, from the last record that placed it (on ``rack``, where one is given).

    A job that was never placed is answered from its last record. None when the log does not know the job, or has never
    put it on that rack.
    """
    own = [r for r in records if r.get("subject") == job and r["type"] in (DECISION, OVERRIDE)]
    placed = [r for r in own if racks_of(r) and (rack is None or rack in dict(racks_of(r)))]
    if not own or (rack is not None and not placed):
        return None
    record = placed[-1] if placed else own[-1]
    return Answer(str(record["id"]), _sentence(record), record, len(own))


def racks_of(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Racks and trays that a record gives to its subject; an override's go before a policy's."""
    data = record["data"]
    found = data["override"] if "override" in data else data.get("decision", {})
    return [(str(name), int(trays)) for name, trays in found.get("racks", [])]


def clock(seconds: Any) -> str:
    """A simulated time [s] as "1 d 02:03:04"."""
    if not isinstance(seconds, int | float):
        return f"{seconds} s"
    days, rest = divmod(round(seconds), 86_400)
    text = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"{days} d {text}" if days else text


def _sentence(record: Mapping[str, Any]) -> str:
    data = record["data"]
    request = data.get("request", {})
    trays = request.get("trays", "?")
    head = f"{record['subject']} ({request.get('kind', 'job')}, {_count(trays, 'tray')})"
    parts = []
    if "override" in data:
        parts.append(_overridden(head, record))
    if "decision" in data:
        parts.append(_decided("The policy's own decision" if parts else head, data["decision"], bool(parts)))
        policy, snapshot = data["policy"], data["snapshot"]
        parts.append(
            f"Policy {policy['name']} {policy['version']} ({policy['digest'][:15]}…) decided that on the snapshot of "
            f"{clock(snapshot['time_seconds'])} ({snapshot['digest'][:15]}…)"
            + (f", state {data['state']['before'][:15]}…." if data.get("state") else ".")
        )
    if "score" in data:
        parts.append(_scored(data))
    if data.get("trigger"):
        parts.append(f"Trigger: {data['trigger']}.")
    parts += [_limit(each) for each in data.get("thresholds", [])]
    approver = data.get("approver")
    if approver:
        parts.append(f"Approved by {approver['identity']} ({approver['role']}).")
    elif "override" not in data:
        parts.append("No approver is recorded.")
    return " ".join(parts)


def _decided(head: str, decision: Mapping[str, Any], overridden: bool) -> str:
    kind = str(decision["kind"])
    word = WORDS.get(kind, f"was decided on ({kind})")
    detail = f" ({decision['detail']})" if decision.get("detail") else ""
    racks = _racks(decision.get("racks", []))
    start = f"{head} was: {word}" if overridden else f"{head} {word}"
    return f"{start} {racks}: {decision['sentence']}{detail}." if racks else f"{start}: {decision['sentence']}{detail}."


def _overridden(head: str, record: Mapping[str, Any]) -> str:
    override = record["data"]["override"]
    racks = _racks(override.get("racks", []))
    where = f"was put on {racks}" if racks else "was held back"
    return f"{head} {where} by {override['identity']} ({override['role']}): {override['reason']}."


def _scored(data: Mapping[str, Any]) -> str:
    text = f"{data.get('scored', 'Its rack')} scored {_real(data['score'])}"
    if "rank" in data:
        text += f", rank {data['rank']}" + (f" of {data['ranked']}" if "ranked" in data else "")
    if "confidence" in data:
        text += f", confidence {_real(data['confidence'])}"
    if "runner_up" in data:
        text += f"; the runner-up was {data['runner_up']['rack']} with {_real(data['runner_up']['score'])}"
    return text + "."


def _limit(each: Mapping[str, Any]) -> str:
    where = f" at {each['where']}" if each.get("where") else ""
    unit = f" {each['unit']}" if each.get("unit") not in (None, "", "1") else ""  # a number without one says enough
    word = "held" if each["passed"] else "did not hold"
    value = "not known" if each["value"] is None else f"{_real(each['value'])}{unit}"
    held = f"{value}, {each['bound']} {_real(each['limit'])}{unit}"
    return f"Rule {each['rule']}{where} {word}: {held}."


def _racks(racks: Sequence[Sequence[Any]]) -> str:
    shown = [f"{name} ({_count(trays, 'tray')})" for name, trays in racks[:4]]
    return ", ".join(shown) + (f" and {len(racks) - 4} more racks" if len(racks) > 4 else "")


def _count(count: Any, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _real(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)
