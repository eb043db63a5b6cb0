"""Controls for canary racks: nearest neighbours on standardised covariates, each rack used once, and their balance."""

import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONTROLS = 24
DECIMALS = 6  # of a distance before it is compared


@dataclass(frozen=True)
class Balance:
    """How alike canaries and controls are in one covariate or in belonging to one group."""

    covariate: str  # a name, or "name = value" of a category
    before: float  # standardised mean difference [1] to every eligible rack
    after: float  # to the controls that were chosen


@dataclass(frozen=True)
class Matching:
    """Controls of canaries."""

    pairs: tuple[tuple[str, str, float], ...]  # canary, control, distance [1]; nearest first
    balance: tuple[Balance, ...]
    left_out: tuple[tuple[str, str], ...]  # rack, reason

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls, sorted."""
        return tuple(sorted(control for _, control, _ in self.pairs))

    @property
    def worst(self) -> float:
        """Largest absolute standardised mean difference that is left [1]; a tenth is the usual aim, a quarter much."""
        return max((abs(line.after) for line in self.balance), default=0.0)


def match(
    racks: Sequence[str],
    canaries: Sequence[str],
    covariates: Mapping[str, Floats],
    categories: Mapping[str, Sequence[object]] | None = None,
    *,
    exact: Sequence[str] = (),
    eligible: NDArray[np.bool_] | None = None,
    controls: int = CONTROLS,
) -> Matching:
    """Choose ``controls`` for canaries among R racks, from readings of the window that chose the canaries.

    ``covariates`` are numbers, shape (R,), such as inlet temperature [°C] or power utilisation [1]; ``categories`` are
    one value per rack, such as class, loop or row. Those named in ``exact`` must be equal; another that differs counts
    like one standard deviation. ``eligible``, shape (R,), leaves racks out that may not be controls, such as
    those on a canary's own breaker, which feel the canary.

    ``d² = Σ ((x_i − x_j)/s)² + categories that differ``, with s the standard deviation over canaries and eligible
    racks; a covariate without spread counts nothing. The nearest pair of all is taken first, without replacement,
    until each canary has its share, ``controls``/canaries and one of the rest for the first by name (greedy matching:
    Stuart, Stat. Sci. 25(1), 2010, doi:10.1214/09-STS313). Ties go by canary's, then control's name. A rack with a
    covariate that is not finite is left out with a reason. Fewer controls come back where fewer may be had.

    Errors: ValueError for a canary that is no rack, a name given twice, or arrays of another length.
    """
    named = categories or {}
    place = _check(racks, canaries, covariates, named, exact, eligible)
    may = np.ones(len(racks), dtype=bool) if eligible is None else np.asarray(eligible, dtype=bool)
    chosen = set(canaries)
    unknown = {rack: [n for n, x in covariates.items() if not math.isfinite(x[k])] for rack, k in place.items()}
    left_out = tuple(
        (rack, f"{', '.join(unknown[rack])} not known")
        for rack in sorted(racks)
        if unknown[rack] and (rack in chosen or may[place[rack]])
    )
    tests = [place[rack] for rack in sorted(chosen) if not unknown[rack]]
    pool = [place[rack] for rack in sorted(racks) if may[place[rack]] and rack not in chosen and not unknown[rack]]
    scale = {name: _deviation(np.asarray(x, dtype=np.float64)[tests + pool]) for name, x in covariates.items()}

    pairs = []
    for test in tests:
        for other in pool:
            if all(named[name][test] == named[name][other] for name in exact):
                distance = _distance(test, other, covariates, scale, named)
                pairs.append((round(distance, DECIMALS), racks[test], racks[other]))
    room = {racks[test]: controls // len(tests) + (number < controls % len(tests)) for number, test in enumerate(tests)}
    taken: dict[str, tuple[str, float]] = {}
    for distance, test_name, other_name in sorted(pairs):
        if room[test_name] > 0 and other_name not in taken:
            room[test_name] -= 1
            taken[other_name] = (test_name, distance)
    matched = [place[rack] for rack in sorted(taken)]
    return Matching(
        tuple((test_name, control, distance) for control, (test_name, distance) in taken.items()),
        _balance(tests, pool, matched, covariates, scale, named),
        left_out,
    )


def _check(
    racks: Sequence[str],
    canaries: Sequence[str],
    covariates: Mapping[str, Floats],
    categories: Mapping[str, Sequence[object]],
    exact: Sequence[str],
    eligible: NDArray[np.bool_] | None,
) -> dict[str, int]:
    """Places of the racks by name, once everything fits together."""
    place = {rack: k for k, rack in enumerate(racks)}
    sized: dict[str, Sized] = {**covariates, **categories}
    wrong = [
        *([f"racks: {len(racks)} names, {len(place)} different: name each once"] if len(place) < len(racks) else []),
        *(f"canary {rack!r} is none of the racks" for rack in canaries if rack not in place),
        *([f"canaries {list(canaries)}: name each once"] if len(set(canaries)) < len(canaries) else []),
        *(f"{name}: {len(x)} values for {len(racks)} racks" for name, x in sized.items() if len(x) != len(racks)),
        *(f"exact {name!r} is none of the categories {sorted(categories)}" for name in exact if name not in categories),
        *([f"eligible: {len(eligible)} values"] if eligible is not None and len(eligible) != len(racks) else []),
    ]
    if wrong:
        raise ValueError("The matching is refused.\n" + "\n".join(f"  {line}" for line in wrong))
    return place


def _deviation(x: Floats) -> float:
    """Sample standard deviation; 0 of fewer than two values, and of equal ones whatever their rounding."""
    return float(x.std(ddof=1)) if len(x) > 1 and float(np.ptp(x)) > 0.0 else 0.0


def _distance(
    i: int,
    j: int,
    covariates: Mapping[str, Floats],
    scale: Mapping[str, float],
    categories: Mapping[str, Sequence[object]],
) -> float:
    """Distance [1] of two racks, terms in the order of their names."""
    numbers = [
        ((covariates[name][i] - covariates[name][j]) / scale[name]) ** 2 for name in sorted(scale) if scale[name]
    ]
    return math.sqrt(math.fsum(numbers) + sum(categories[name][i] != categories[name][j] for name in categories))


def _balance(
    tests: list[int],
    pool: list[int],
    matched: list[int],
    covariates: Mapping[str, Floats],
    scale: Mapping[str, float],
    categories: Mapping[str, Sequence[object]],
) -> tuple[Balance, ...]:
    """Differences of means over the standard deviation that distances use; for a group those of its share [1]."""
    if not tests or not matched:
        return ()
    lines = []
    for name in sorted(covariates):
        x = np.asarray(covariates[name], dtype=np.float64)
        unit = scale[name] or 1.0  # without spread all are equal and the difference is 0
        mean = x[tests].mean()
        lines.append(Balance(name, float((mean - x[pool].mean()) / unit), float((mean - x[matched].mean()) / unit)))
    for name in sorted(categories):
        values = categories[name]
        for value in sorted({values[k] for k in tests}, key=str):
            share = [sum(values[k] == value for k in group) / len(group) for group in (tests, pool, matched)]
            lines.append(Balance(f"{name} = {value}", share[0] - share[1], share[0] - share[2]))
    return tuple(lines)
