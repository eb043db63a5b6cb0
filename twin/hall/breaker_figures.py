"""A breaker from its settings: the table of its keys, and the way to the thermal state."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from twin.hall.errors import Faults
from twin.hall.fields import Field, choice, join, number, read_fields, share, text
from twin.hall.parts import Breaker, BreakerKind
from twin.hall.presets import merged

BREAKER_FIELDS: Final[tuple[Field, ...]] = (
    choice("kind", "kind of device", [each.value for each in BreakerKind]),
    number("rating_amperes", "rating, or long-time pickup Ir", above=True),
    number("long_delay_seconds", "LSI only: long-time delay tr set at 6 Ir", None, above=True, optional=True),
    number("time_constant_seconds", "of the thermal element, or a table's recovery", None, above=True, optional=True),
    number("trip_multiple", "steady current that just trips, over the rating", 1.2, low=1.0),
    number("short_pickup", "short-time pickup over the rating; null for none", None, above=True, optional=True),
    number("short_delay_seconds", "short-time delay", 0.2),
    number("instantaneous_pickup", "instantaneous pickup over the rating, or null", None, above=True, optional=True),
    share("continuous_fraction", "1.0 for a 100 %-rated breaker, else 0.8", 0.8, above=True),
    Field("table", "points", "trip table, [current over rating, seconds]", ()),
    text("source", "where the figures come from", ""),
)


def lsi_time_constant(long_delay_seconds: float) -> float:
    """τ [s] of an electronic trip unit from its delay tr [s] at 6 Ir: ``tr / ln(36/(36 − 1.44))`` = 24.5 tr."""
    return long_delay_seconds / math.log(36.0 / (36.0 - 1.44))


def breaker(
    mapping: Mapping[str, Any], presets: Mapping[str, Any], path: str, faults: Faults, rating: float | None = None
) -> Breaker | None:
    """A breaker from a preset and changes to it; ``rating`` [A] stands in where the section gives none (null)."""
    before = faults.noted
    own = {key: value for key, value in mapping.items() if key != "rating_amperes" or value is not None}
    whole = merged(own, presets, path, faults, "breaker preset")
    if whole is None:
        return None
    if rating is not None and "rating_amperes" not in own:
        whole["rating_amperes"] = rating
    v = read_fields(whole, BREAKER_FIELDS, path, faults)
    if faults.noted > before:
        return None
    kind, tau = BreakerKind(v["kind"]), v["time_constant_seconds"]
    if kind is BreakerKind.LSI and v["long_delay_seconds"] is not None:
        tau = lsi_time_constant(v["long_delay_seconds"])
    if tau is None:
        key = "long_delay_seconds" if kind is BreakerKind.LSI else "time_constant_seconds"
        faults.add(join(path, key), None, "missing key", "Add it: the device's delay in seconds")
    table = v["table"]
    rising = all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(table))
    if kind is BreakerKind.TABLE and (len(table) < 2 or not rising or table[0][0] <= 1.0 or table[-1][1] <= 0.0):
        faults.add(
            join(path, "table"),
            [list(point) for point in table],
            "a trip table needs two points or more, currents rising from above 1, seconds falling",
            "Write [[1.1, 1020], [1.4, 64], …]",
        )
    if faults.noted > before:
        return None
    return Breaker(
        kind=kind,
        rating_amperes=v["rating_amperes"],
        time_constant_seconds=tau,
        trip_level=v["trip_multiple"] ** 2,
        short_pickup=math.inf if v["short_pickup"] is None else v["short_pickup"],
        short_delay_seconds=v["short_delay_seconds"],
        instantaneous_pickup=math.inf if v["instantaneous_pickup"] is None else v["instantaneous_pickup"],
        continuous_fraction=v["continuous_fraction"],
        table=table,
        source=v["source"],
    )
