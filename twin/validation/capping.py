"""V6: a row feed of Dynamo's kind under a step of load, with its rack managers' power capping and without."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.results.kinds import EventKind
from twin.sim.world import World
from twin.validation.case import Case, Check, Kind
from twin.validation.told import every, tell, times

#: six racks of air-cooled servers, each on feed A only, behind one RPP of 190 kW
RPP = "row A/feed A"
HALL = (
    "rack_class=h100_8gpu_air",
    "racks_per_row=6",
    "loop=null",
    "row_feed={breaker: {preset: dynamo_rpp}}",
    "ups={}",
    "pdu={}",
    "exceptions={" + ", ".join(f"A-0{n}: {{feeds: [A]}}" for n in range(1, 7)) + "}",
)
STEP = 600.0  # s after the start, plus a little: just after a look of the controllers, which is the worst moment
AFTER_LOOK = 0.01
BEFORE, OVERLOAD = 0.85, 1.30  # of the limit, before and after the step
WATCHED = 1_800.0


def _utilisations() -> tuple[float, float]:
    """Utilisations at which the RPP carries ``BEFORE`` and ``OVERLOAD``, devices being as hot as before the step."""
    plant = Plant(compile_topology(load_hall("small", HALL)))
    trays = np.arange(len(plant.c.idle))
    breaker = plant.topology.breaker_names.index(RPP)

    def ratio(utilisation: float) -> float:
        plant.set_load(trays, utilisation)
        plant.settle(plant.time)
        return float(plant.breaker_ratio[breaker])

    before = 0.5
    for _ in range(4):  # leakage moves the power a little
        plant.set_load(trays, before)
        equilibrate(plant)
        low, high = ratio(0.0), ratio(1.0)
        before = (BEFORE - low) / (high - low)
    return before, (OVERLOAD - low) / (high - low)


def stepped_rpp() -> Sequence[float]:
    """V6."""
    before, after = _utilisations()
    timeline = [
        {"at": 0, "do": "set_load", "utilisation": before},
        {"at": STEP + AFTER_LOOK, "do": "set_load", "utilisation": after},
    ]
    seen: list[tuple[float, float]] = []

    def read(world: World) -> None:
        breaker = world.topology.breaker_names.index(RPP)
        seen.append((float(world.env.now), float(world.plant.breaker_ratio[breaker])))

    hall, start = load_hall("small", HALL), STEP + AFTER_LOOK
    run = partial(tell, hall, timeline, start + WATCHED)
    capped = run(capping=True, watch=every(0.1, start, read))
    above = [time for time, ratio in seen if ratio > 1.0]
    left = run(capping=False)
    trips = times(left, EventKind.BREAKER_TRIP)
    return (
        seen[0][1],
        above[-1] - start if above else 0.0,
        float(len(times(capped, EventKind.BREAKER_TRIP))),
        trips[0] - start if trips else np.inf,
    )


CASES = (
    Case(
        name="V6",
        source="Wu et al., Dynamo, ISCA 2016, doi 10.1109/ISCA.2016.48: outcome (P), bands and about 6 s (M)",
        confidence="P/M",
        statement="an RPP of 190 kW stepped from 0.85 to 1.30 of its limit just after a look of its controller",
        checks=(
            Check(Kind.IDENTITY, "the step reaches, of the limit", "", low=1.295, high=1.305),
            Check(Kind.EMPIRICAL, "with capping: below the limit after", "s", low=0.0, high=10.0),
            Check(Kind.EMPIRICAL, "with capping: trips in half an hour", "", low=0.0, high=0.0),
            Check(Kind.EMPIRICAL, "without capping: trips after", "s", low=0.0, high=WATCHED),
        ),
        obtain=stepped_rpp,
        fitted="nothing to the outcome; the RPP's trip curve is that of V5, its controller has Dynamo's bands",
    ),
)
