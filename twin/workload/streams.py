"""Named random streams: one generator per purpose, so that two policies in one world meet the same demand."""

import hashlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on ``seed`` and ``names`` only, in every process and on every machine.

    ``seed`` is a whole number ≥ 0. Streams of different names are independent. Raises ValueError for a negative seed.
    """
    return np.random.default_rng(sequence(seed, *names))


def sequence(seed: int, *names: str) -> np.random.SeedSequence:
    """The seeds of :func:`stream`: the names become the spawn key of a ``SeedSequence``.

    The key is two 64-bit words of a BLAKE2b hash, with each name's length in front of it, so that ("ab", "c") and
    ("a", "bc") differ.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        text = name.encode()
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text)
    words = np.frombuffer(digest.digest(), dtype="<u4")
    return np.random.SeedSequence(seed, spawn_key=tuple(int(word) for word in words))
