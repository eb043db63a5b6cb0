"""How kernels are compiled: once, kept on disk, and without the wrappers that nobody calls.

A wrapper for Python unpacks every array of every argument, which for the groups of arrays costs more to compile
than the kernel. ``kernel`` is for what Python calls, ``inner`` for what only kernels call. None may allocate: what is
counted by reference is counted at every use, which costs more than the arithmetic of a tray.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from numba import config, njit

FAST: Final = {"reassoc", "contract", "arcp", "nsz"}  # sums may be reordered; NaN and infinity keep their meaning
settings: Any = config  # whose attributes appear when Numba reads its environment
KEPT: Final = 5  # folders of compiled kernels of other versions of the sources

# a division by zero gives an infinity, which the clock reports: the check for it would keep loops from being vectorised
_KERNEL: Final[dict[str, Any]] = {"cache": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}
_INNER: Final[dict[str, Any]] = {**_KERNEL, "no_cpython_wrapper": True}


@cache
def kernel_folder() -> str:
    """Where compiled kernels of these very sources are kept: below NUMBA_CACHE_DIR, or beside the sources.

    Numba looks only at the file of the function that it compiles, not at those of the functions that this calls:
    after a change to one of those it would go on with the old physics.
    """
    here = Path(__file__).parent
    others = ("hall/fluids.py", "sim/noise.py", "sim/readings.py", "sim/transducer.py", "units.py")
    sources = sorted([*here.glob("*.py"), *(here.parent / other for other in others)])
    # Numba keeps kernels by their place too: two installations of the same sources do not share them
    parts = [str(here).encode(), *(path.read_bytes() for path in sources)]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    base = os.environ.get("NUMBA_CACHE_DIR")
    folder = (Path(base) if base else here / "__pycache__") / f"kernels-{digest}"
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            kept = sorted(folder.parent.glob("kernels-*"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-KEPT]:
                shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return ""  # numba then looks for a place of its own
    return str(folder)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles with ``options`` and keeps the outcome in :func:`kernel_folder`."""

    def decorate(function: Callable[..., Any]) -> Any:
        before = settings.CACHE_DIR
        settings.CACHE_DIR = kernel_folder()
        try:
            return njit(**options)(function)
        finally:
            settings.CACHE_DIR = before

    return decorate


kernel = compiled(**_KERNEL)
inner = compiled(**_INNER)
fast_inner = compiled(**_INNER, fastmath=FAST)
#: for what takes a largest value of numbers that something else has found to be finite
largest_inner = compiled(**_INNER, fastmath=FAST | {"nnan"})
#: copied into its only caller: a call would copy every array of every group that it is given
inline = compiled(**_INNER, inline="always")


class Direct:
    """A kernel called with arguments of one and the same type each time, whose types are looked at once.

    Numba looks at the type of every array at every call, which for the plant's groups of arrays takes longer than
    most of its kernels.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._entry: Any = None

    def __call__(self, *args: Any) -> Any:
        if self._entry is not None:
            return self._entry(*args)
        outcome = self._kernel(*args)
        if not settings.DISABLE_JIT:
            self._entry = self._kernel.overloads[self._kernel.signatures[0]].entry_point
        return outcome
