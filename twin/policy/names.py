"""Ties are broken by name: the order of names, found once for each hall."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_last: tuple[tuple[str, ...], NDArray[np.int64]] = (), np.zeros(0, dtype=np.int64)


def by_name(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Indices of all of ``names`` in alphabetical order."""
    global _last
    last = _last  # read once: another thread may put another hall's in its place
    if last[0] is not names:  # to look up a thousand names takes as long as to place a job
        _last = last = names, _sorted(names)
    return last[1]


@lru_cache(maxsize=8)
def _sorted(names: tuple[str, ...]) -> NDArray[np.int64]:
    places = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    places.flags.writeable = False
    return places
