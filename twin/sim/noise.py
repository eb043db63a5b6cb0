"""Noise that is looked up, not drawn in turn: one named stream per device, indexed by the number of a sample.

Whoever reads how often, in whatever order, meets the same noise: two policies in one world see the same sensors. A
stream is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, doi 10.1145/2660193.2660195), whose n-th output is a function
of n: ``mix(key + n γ)``; the key comes from a ``SeedSequence`` of the run's seed and the device's names.
"""

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.workload.streams import sequence

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_11, _27, _28, _30, _31, _46, _55 = (np.uint64(n) for n in (11, 27, 28, 30, 31, 46, 55))
_9_BITS, _18_BITS, _28_BITS = (np.uint64(2**n - 1) for n in (9, 18, 28))
_SHARES = 2**9
_WORD = 2**64 - 1


def keys(seed: int, names: Sequence[tuple[str, ...]], channels: int) -> Keys:
    """Keys of ``channels`` streams for every device, shape (channels, N); a device's depend on its own names only."""
    words = [sequence(seed, *name).generate_state(channels, np.uint64) for name in names]
    return np.array(words, dtype=np.uint64).reshape(len(names), channels).T.copy()


def mixed(z: Any) -> Any:
    """The finalizer of SplitMix64, of one word or an array of them. Kernels compile it, and :func:`split` too."""
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


def counter(number: int | NDArray[np.int64]) -> Any:
    """What sample ``number`` (any whole number) adds to a key."""
    with np.errstate(over="ignore"):
        return GAMMA * np.asarray(number, dtype=np.int64).astype(np.uint64)


def counted(number: int) -> np.uint64:
    """:func:`counter` of one number, without what arrays take: each sample of each bank asks for it."""
    return np.uint64(int(GAMMA) * number & _WORD)


def bits(key: Keys, number: int | NDArray[np.int64]) -> Keys:
    """64 random bits, sample ``number`` of every stream; shapes broadcast."""
    with np.errstate(over="ignore"):
        return np.asarray(mixed(key + counter(number)), dtype=np.uint64)


def uniform(key: Keys, number: int | NDArray[np.int64]) -> Floats:
    """Uniform on [0, 1), sample ``number`` of every stream."""
    return np.asarray((bits(key, number) >> _11) * 2.0**-53, dtype=np.float64)


def normal(first: Keys, second: Keys, number: int | NDArray[np.int64]) -> Floats:
    """Standard normal, sample ``number``, by the transform of Box and Muller (1958) from two streams."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(first, number)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(second, number)), dtype=np.float64)


def split(word: Any) -> tuple[Any, Any, Any, Any]:
    """64 bits as four independent numbers: two of 9 bits for :func:`quantiles`, and uniforms of 18 and of 28 bits."""
    return word >> _55, (word >> _46) & _9_BITS, ((word >> _28) & _18_BITS) * 2.0**-18, (word & _28_BITS) * 2.0**-28


@cache
def quantiles() -> Floats:
    """512 numbers of which two, drawn apart, add up to a standard normal, within 4.4 σ: noise by looking up 18 bits.

    They are a normal's quantiles at the middles of equal shares of probability, scaled to a variance of one half.
    Readings are noisy by the thousand: one table of all sums would not stay in a processor's nearest cache, and
    logarithm and cosine cost five times as much.
    """
    shares = (np.arange(_SHARES) + 0.5) / _SHARES
    table = np.array([NormalDist().inv_cdf(share) for share in shares])
    table = 0.5 * (table - table[::-1])  # their mean is nothing to the last digit
    return np.asarray(table / np.sqrt(2.0 * np.mean(table**2)))
