"""How kernels are compiled: once, kept on disk, and without the wrappers that nobody calls.

A wrapper for Python unpacks every array of every argument, which for the groups of arrays costs more to compile
than the kernel. ``kernel`` is for what Python calls, ``inner`` for what only kernels call.
"""

from numba import njit

FAST = {"reassoc", "contract", "arcp", "nsz"}  # sums may be reordered; NaN and infinity keep their meaning

kernel = njit(cache=True, no_cfunc_wrapper=True)
inner = njit(cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)
fast_inner = njit(cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True, fastmath=FAST)
