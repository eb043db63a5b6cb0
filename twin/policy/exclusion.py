"""A rack over a threshold is out until its recovery criteria have held for a while: two levels and a dwell."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.policy.documents import DocumentFaults, Reader
from twin.policy.factors import FACTORS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Exclusion:
    """Out where ``factor`` is above ``out_above``; back once it has been at or below ``back_below`` for ``dwell``."""

    name: str
    factor: str
    out_above: float
    back_below: float
    dwell_seconds: float


@dataclass(frozen=True)
class Out:
    """Which racks are out by each criterion, and since when [s] they have been fit to come back; shapes (E, R)."""

    out: Bools
    fit_since: Floats  # inf while they are not


def read_exclusions(mapping: object, at: str, faults: DocumentFaults) -> tuple[Exclusion, ...]:
    """Criteria from a plain list; what is wrong is added to ``faults``."""
    found = []
    for place, entry in Reader({"exclusions": mapping}, at, faults).items("exclusions"):
        reader = Reader(entry, f"{at}.{place}" if at else place, faults)
        each = Exclusion(
            reader.text("name"),
            reader.text("factor", among=FACTORS),
            reader.number("out_above"),
            reader.number("back_below"),
            reader.number("dwell_seconds", low=0.0),
        )
        reader.done()
        if each.back_below >= each.out_above:
            reader.fault("back_below", each.back_below, "not below out_above", "Leave a gap, or racks will flap")
        found.append(each)
    return tuple(found)


def step(criteria: tuple[Exclusion, ...], before: Out | None, values: Mapping[str, Floats], time_seconds: float) -> Out:
    """What is out at ``time_seconds``, from what was out before. What is not known brings no rack back, nor takes one
    out: admission has its own say on missing readings."""
    racks = len(next(iter(values.values())))
    if before is None:
        nobody = np.zeros((len(criteria), racks), dtype=np.bool_)
        before = Out(nobody, np.full(nobody.shape, np.inf))
    elif not before.out.any() and not any((values[each.factor] > each.out_above).any() for each in criteria):
        return before  # nobody is out, and nobody has to go
    out, fit_since = before.out.copy(), before.fit_since.copy()
    for place, each in enumerate(criteria):
        value = values[each.factor]
        with np.errstate(invalid="ignore"):
            over, fit = value > each.out_above, value <= each.back_below
        out[place] |= over
        since = np.where(fit, np.minimum(fit_since[place], time_seconds), np.inf)
        back = out[place] & fit & (time_seconds - since >= each.dwell_seconds)
        out[place] &= ~back
        fit_since[place] = np.where(out[place], since, np.inf)
    out.flags.writeable = fit_since.flags.writeable = False  # they go from state to state
    return Out(out, fit_since)
