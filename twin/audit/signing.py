"""Ed25519 signatures of checkpoints (RFC 8032); needs the extra ``sign``: ``pip install 'data-hall-twin[sign]'``."""

import base64
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from twin.audit.checkpoints import Checkpoint
from twin.audit.errors import AuditError


class Ed25519Signer:
    """Signs with a private key of 32 bytes."""

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw().hex()

    @classmethod
    def from_pem(cls, path: Path) -> "Ed25519Signer":
        """The signer of a private key in a PEM file without a password."""
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as fault:
            raise AuditError(f"{path}: no private key in PEM without a password ({fault})") from fault
        if not isinstance(key, Ed25519PrivateKey):
            raise AuditError(f"{path}: is no Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
        return cls(key.private_bytes_raw())

    def sign(self, data: bytes) -> str:
        """A signature in base64."""
        return base64.b64encode(self._key.sign(data)).decode()


def read_public_key(path: Path) -> str:
    """The public key of a file, PEM or 64 hexadecimal digits, as hexadecimal digits. Raises :class:`AuditError`."""
    try:
        data = path.read_bytes()
        if data.lstrip().startswith(b"-----BEGIN"):
            key = load_pem_public_key(data)
        else:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(data.decode("ascii").strip()))
    except (OSError, ValueError) as fault:
        raise AuditError(f"{path}: no public key, PEM or 64 hexadecimal digits ({fault})") from fault
    if not isinstance(key, Ed25519PublicKey):
        raise AuditError(f"{path}: is no Ed25519 key")
    return key.public_bytes_raw().hex()


def signature_holds(checkpoint: Checkpoint, public: str) -> bool:
    """Whether the checkpoint was signed with the private key that belongs to ``public``."""
    if checkpoint.key != public:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(base64.b64decode(checkpoint.signature, validate=True), checkpoint.statement())
    except (InvalidSignature, ValueError):
        return False
    return True
