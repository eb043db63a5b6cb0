"""RFC 6962, section 2.1: the reference entries of its authors' implementation, and the definition itself.

Entries and roots: github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc, also used by
github.com/transparency-dev/merkle.
"""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.audit.merkle import MerkleTree

ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def defined(entries: list[bytes]) -> bytes:
    """MTH as section 2.1 defines it."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + defined(entries[:k]) + defined(entries[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_reference_roots(size):
    tree = MerkleTree()
    for entry in ENTRIES[:size]:
        tree.append(entry)
    assert tree.root().hex() == ROOTS[size]
    assert tree.size == size


@given(entries=st.lists(st.binary(max_size=3), max_size=70))
def test_a_growing_tree_is_the_defined_one(entries):
    tree = MerkleTree()
    for entry in entries:
        tree.append(entry)
    assert tree.root() == defined(entries)
