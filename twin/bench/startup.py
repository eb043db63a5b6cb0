"""What a user waits for before anything happens: help, and the policy package beyond NumPy."""

from twin.bench.process import said, twin

IMPORT = "import time, numpy; t = time.perf_counter(); import twin.policy; print(time.perf_counter() - t)"


def help_page(repeats: int) -> list[tuple[float]]:
    """Time [s] of ``twin --help``, a whole process."""
    twin("--help")
    return [(twin("--help").wall_seconds,) for _ in range(repeats)]


def policy_import(repeats: int) -> list[tuple[float]]:
    """Time [s] that ``import twin.policy`` takes in a fresh interpreter that has NumPy already."""
    said(IMPORT)
    return [(float(said(IMPORT)),) for _ in range(repeats)]
