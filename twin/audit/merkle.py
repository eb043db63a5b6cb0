"""The Merkle tree of RFC 6962 (Certificate Transparency, Laurie, Langley and Kasper, 2013), section 2.1.

``MTH({}) = SHA-256()``, ``MTH({d}) = SHA-256(0x00 ‖ d)`` and ``MTH(D[n]) = SHA-256(0x01 ‖ MTH(D[0:k]) ‖ MTH(D[k:n]))``
with k the largest power of two below n. The head over n entries fixes every one of them and their order, in 32 bytes.
"""

import hashlib

EMPTY = hashlib.sha256(b"").digest()


def leaf(entry: bytes) -> bytes:
    """Hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree that grows by one entry at a time and keeps one hash per complete subtree: at most log2 n of them."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # heads of complete subtrees, largest first

    def append(self, entry: bytes) -> None:
        """Add an entry at the end: on average two hashes."""
        head = leaf(entry)
        size = self.size
        while size & 1:
            head = node(self._peaks.pop(), head)
            size >>= 1
        self._peaks.append(head)
        self.size += 1

    def root(self) -> bytes:
        """The tree head over all entries so far."""
        if not self._peaks:
            return EMPTY
        head = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            head = node(peak, head)
        return head
