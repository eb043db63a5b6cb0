"""Checkpoints: what a log was when it had so many records, in a file of its own to be copied elsewhere.

A hash chain cannot see that its tail was cut off, nor that all of it was written anew. A checkpoint can: it holds the
size, the Merkle tree head (RFC 6962) and the last record's hash, and may be signed with Ed25519 (the extra ``sign``). A
copy that the log's writer cannot reach is what makes it worth anything.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twin.audit.canonical import canonical
from twin.audit.errors import AuditError


class Signer(Protocol):
    """Signs checkpoints; see :class:`twin.audit.signing.Ed25519Signer`."""

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits."""

    def sign(self, data: bytes) -> str:
        """A signature in base64."""


@dataclass(frozen=True)
class Checkpoint:
    """A log's head: ``root`` over the first ``size`` records, the last of which has ``hash`` and was at ``time``."""

    source: str
    size: int
    root: str
    hash: str
    time: str
    key: str = ""
    signature: str = ""

    def statement(self) -> bytes:
        """What is signed: everything but the signature, canonical."""
        return canonical({key: value for key, value in self._form().items() if key != "signature"})

    def line(self) -> bytes:
        """The line of the checkpoint file."""
        return canonical(self._form()) + b"\n"

    def _form(self) -> dict[str, Any]:
        form = {
            "source": self.source,
            "size": self.size,
            "root": self.root,
            "hash": self.hash,
            "time": self.time,
        }
        if self.key:
            form |= {"key": self.key, "signature": self.signature}
        return form


def signed(checkpoint: Checkpoint, signer: Signer | None) -> Checkpoint:
    """The checkpoint with a signature, or as it is without a signer."""
    if signer is None:
        return checkpoint
    stated = Checkpoint(
        checkpoint.source, checkpoint.size, checkpoint.root, checkpoint.hash, checkpoint.time, key=signer.public
    )
    return Checkpoint(**{**vars(stated), "signature": signer.sign(stated.statement())})


def read_checkpoints(path: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints of a file, smallest first. Raises :class:`AuditError` for a file that holds anything else."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as fault:
        raise AuditError(f"{path}: cannot be read ({fault.strerror or fault})") from fault
    found = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == len(lines)):  # what a stopped writer left
            continue
        try:
            form = json.loads(line)
            each = Checkpoint(**form)
            if type(each.size) is not int or each.size < 0 or each.line() != line + b"\n":
                raise ValueError("not as a log writes it")
        except (ValueError, TypeError) as error:
            raise AuditError(f"{path}: line {number} is no checkpoint ({error}); use an undamaged copy") from error
        found.append(each)
    return tuple(sorted(found, key=lambda each: each.size))


def sizes(checkpoints: Iterable[Checkpoint]) -> frozenset[int]:
    """The sizes at which a log is compared with its checkpoints."""
    return frozenset(each.size for each in checkpoints)
