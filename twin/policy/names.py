"""Ties are broken by name: the order of names, found once for each hall."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=8)
def by_name(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Indices of all of ``names`` in alphabetical order."""
    places = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    places.flags.writeable = False
    return places
