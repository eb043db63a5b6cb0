"""Exact permutation test for a shift between a few racks and many, its confidence bounds, and Holm's step-down.

Of N values m are of canary racks. Under *no shift but δ* the labels are exchangeable once δ is taken off the canary's
values. A relabelling A swaps canaries out and controls in, and is as extreme as what was seen, upwards, from

``δ_A = mean(canaries swapped out) − mean(controls swapped in)``

on, for the difference of means under A and the seen one are both straight lines in δ and cross there. So the p values
of every shift follow from one list of crossings, and its order statistics are the confidence bounds: the inversion of
the test, with nothing left to iterate (Pagano and Tritchler, J. Amer. Statist. Assoc. 78(382), 1983).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXACT_AT_MOST = 200_000  # relabellings that are all counted; more are drawn
DRAWS = 9_999  # relabellings drawn where not all are counted
KEYS = 8  # random keys of 8 bytes in one digest


@dataclass(frozen=True)
class Relabellings:
    """Ways to call m of N racks the canary, where the true canaries stand in the first m places."""

    taken: Ints  # m×K, places called canary by the K labellings that swap any
    swapped: Ints  # K, true canaries swapped out, 1 to m
    equal: int  # labellings that swap none: the true one, and draws that are it
    exact: bool  # all of them, not a draw

    @property
    def total(self) -> int:
        """All labellings, the denominator of p."""
        return len(self.swapped) + self.equal

    @property
    def smallest_p(self) -> float:
        """Smallest p that the one-sided test can give: one relabelling, the true one, among all."""
        return 1.0 / self.total


@dataclass(frozen=True)
class Crossings:
    """Shifts δ_A at which each relabelling becomes as extreme as what was seen, in the unit of the values."""

    shift: Floats  # ascending, of the relabellings that swap anything
    equal: int  # labellings that swap nothing: as extreme at any shift, the true one among them
    tolerance: float  # shifts nearer than this are the same
    estimate: float  # mean(canary) − mean(control)

    @property
    def total(self) -> int:
        """Labellings counted, the true one among them."""
        return len(self.shift) + self.equal

    def p_above(self, shift: float) -> float:
        """One-sided p of *the canary's shift is at most ``shift``*: small says that it is above."""
        return (self.equal + int(np.count_nonzero(self.shift <= shift + self.tolerance))) / self.total

    def p_below(self, shift: float) -> float:
        """One-sided p of *the canary's shift is at least ``shift``*: small says that it is below."""
        return (self.equal + int(np.count_nonzero(self.shift >= shift - self.tolerance))) / self.total

    def upper_bound(self, level: float) -> float:
        """Upper confidence bound of the shift at 1 − ``level``: the largest with ``p_below > level``; inf for none.

        ``p_below`` falls by one labelling at each crossing, so that the bound is the q-th largest of them,
        ``q = ⌊level · total⌋ − equal + 1``.
        """
        rank = _allowed(level, self.total) - self.equal + 1
        return float(self.shift[-rank]) if 1 <= rank <= len(self.shift) else (math.inf if rank < 1 else -math.inf)

    def lower_bound(self, level: float) -> float:
        """Lower confidence bound of the shift at 1 − ``level``: the smallest with ``p_above > level``; −inf: none."""
        rank = _allowed(level, self.total) - self.equal + 1
        return float(self.shift[rank - 1]) if 1 <= rank <= len(self.shift) else (-math.inf if rank < 1 else math.inf)


def _allowed(level: float, total: int) -> int:
    """Labellings that may be as extreme at a level: the largest k with k/total ≤ level."""
    return math.floor(level * total + 1e-9)


def count_relabellings(canaries: int, controls: int) -> int:
    """C(N, m): ways to call m of N = m + n racks the canary."""
    return math.comb(canaries + controls, canaries)


@lru_cache(maxsize=8)
def every_relabelling(canaries: int, controls: int) -> Relabellings:
    """All labellings of m canaries, in places 0 … m − 1, and n controls behind them."""
    count = count_relabellings(canaries, controls)
    flat = chain.from_iterable(combinations(range(canaries + controls), canaries))
    taken = np.fromiter(flat, dtype=np.int64, count=count * canaries).reshape(count, canaries)
    return _labelled(taken, 0, True)


def _labelled(taken: Ints, seen: int, exact: bool) -> Relabellings:
    """Relabellings of places, shape (K, m), and the true labelling ``seen`` times more."""
    swapped = taken.shape[1] - (taken < taken.shape[1]).sum(axis=1)
    real = swapped > 0
    columns, counts = np.ascontiguousarray(taken[real].T), swapped[real]
    for array in (columns, counts):
        array.flags.writeable = False
    return Relabellings(columns, counts, seen + int(np.count_nonzero(~real)), exact)


def drawn_relabellings(
    names: Sequence[str], canaries: int, seed: int, request: str, draws: int = DRAWS
) -> Relabellings:
    """Relabellings drawn by keys hashed from ``seed``, ``request`` and each rack's name: the m smallest keys.

    ``p = (1 + as extreme)/(1 + draws)``: the true labelling counts as one of the draws, without which a drawn p can be
    too small (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9(1), 2010). Equal keys go by place.
    """
    blocks = -(-draws // KEYS)
    digests = b"".join(
        hashlib.blake2b(f"{seed}/{request}/{block}/{name}".encode(), digest_size=8 * KEYS).digest()
        for block in range(blocks)
        for name in names
    )
    keys = np.frombuffer(digests, dtype=">u8").reshape(blocks, len(names), KEYS)
    keys = keys.transpose(0, 2, 1).reshape(blocks * KEYS, len(names))[:draws]
    return _labelled(np.argsort(keys, axis=1, kind="stable")[:, :canaries].astype(np.int64), 1, False)


def relabellings(
    names: Sequence[str],
    canaries: int,
    seed: int,
    request: str,
    exact_at_most: int = EXACT_AT_MOST,
    draws: int = DRAWS,
) -> Relabellings:
    """All relabellings where they are at most ``exact_at_most``, otherwise ``draws`` of them by hash.

    ``names`` are the racks, canaries first. Errors: ValueError without a canary or without a control.
    """
    controls = len(names) - canaries
    if canaries < 1 or controls < 1:
        raise ValueError(f"{canaries} canaries against {controls} controls: give at least one of each")
    if count_relabellings(canaries, controls) <= exact_at_most:
        return every_relabelling(canaries, controls)
    return drawn_relabellings(names, canaries, seed, request, draws)


def crossings(values: Floats, canaries: int, ways: Relabellings) -> Crossings:
    """Where each relabelling crosses what was seen. ``values``, shape (N,), finite, the m canaries first.

    ``δ_A = (Σ canary − Σ_A)/swapped``, with Σ_A the sum over the places that A calls canary.
    """
    y = np.asarray(values, dtype=np.float64)
    centred = y - y[canaries:].mean()  # so that a large common part costs no digits
    scale = float(np.ptp(y))
    tolerance = 1e-9 * scale + 1e-13 * float(np.abs(y).max())
    gained = centred[:canaries].sum() - centred[ways.taken].sum(axis=0)
    shift = np.sort(gained / ways.swapped)
    estimate = float(centred[:canaries].mean() - centred[canaries:].mean())
    return Crossings(shift, ways.equal, tolerance, estimate)


def holm(p: Sequence[float], weights: Sequence[float] | None = None) -> tuple[float, ...]:
    """Adjusted p values of Holm's step-down; ``weights`` share the level out, equal ones by default.

    In the order of p/w: ``adjusted_(i) = max over j ≤ i of min(1, p_(j)/w_(j) · Σ_{h ≥ j} w_(h))``, which keeps the
    chance of any false finding below the level whatever the dependence (Holm, Scand. J. Statist. 6(2), 1979, section
    4 for weights). Equal ratios go by place. Errors: ValueError for a weight that is not above 0.
    """
    share = [1.0] * len(p) if weights is None else list(weights)
    if len(share) != len(p) or any(not w > 0.0 for w in share):
        raise ValueError(f"weights {share} for {len(p)} p values: give one above 0 for each")
    order = sorted(range(len(p)), key=lambda k: (p[k] / share[k], k))
    adjusted = [1.0] * len(p)
    least = 0.0
    for place, k in enumerate(order):
        left = math.fsum(share[h] for h in order[place:])
        least = max(least, min(1.0, p[k] * left / share[k]))
        adjusted[k] = least
    return tuple(adjusted)
