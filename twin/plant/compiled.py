"""How kernels are compiled: once, kept on disk, and without the wrappers that nobody calls.

A wrapper for Python unpacks every array of every argument, which for the groups of arrays costs more to compile
than the kernel. ``kernel`` is for what Python calls, ``inner`` for what only kernels call.
"""

from typing import Any, Final

from numba import njit

FAST: Final = {"reassoc", "contract", "arcp", "nsz"}  # sums may be reordered; NaN and infinity keep their meaning

_KERNEL: Final[dict[str, Any]] = {"cache": True, "no_cfunc_wrapper": True}
_INNER: Final[dict[str, Any]] = {**_KERNEL, "no_cpython_wrapper": True}

kernel = njit(**_KERNEL)
inner = njit(**_INNER)
fast_inner = njit(**_INNER, fastmath=FAST)
