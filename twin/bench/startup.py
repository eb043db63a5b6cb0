"""What a user waits for before anything happens: help, and the policy package beyond NumPy."""

from twin.bench.process import said, twin

# the package loads its modules when their names are asked for: the second figure asks for all of them
IMPORT = (
    "import time, numpy; t = time.perf_counter(); import twin.policy; u = time.perf_counter();"
    " [getattr(twin.policy, name) for name in twin.policy.__all__]; print(u - t, time.perf_counter() - t)"
)


def help_page(repeats: int) -> list[tuple[float]]:
    """Time [s] of ``twin --help``, a whole process."""
    twin("--help")
    return [(twin("--help").wall_seconds,) for _ in range(repeats)]


def policy_import(repeats: int) -> list[tuple[float, float]]:
    """Time [s] that ``import twin.policy`` takes in a fresh interpreter that has NumPy already, and with all names."""
    said(IMPORT)

    def once() -> tuple[float, float]:
        alone, whole = said(IMPORT).split()
        return float(alone), float(whole)

    return [once() for _ in range(repeats)]
