"""V13: the capacitors of a GB300 rack against a square wave, through the plant and by stepping a store through time."""

import math
from collections.abc import Sequence

import numpy as np

from twin.hall.reader import load_hall
from twin.hall.topology import compile_topology
from twin.plant.plant import Plant
from twin.plant.start import equilibrate
from twin.validation.case import Case, Check, Kind

JOULES = 72 * 65.0
SWINGS = (20e3, 40e3)  # W of half a wave: "a 40 kW square wave" may be read as its height, or as its amplitude
FAST, SLOW = 5.0, 0.2  # Hz
HALL = ("rack_class=gb300_nvl72", "racks_per_row=1", "loop.racks=1", "loop.oversubscription=1.0")
STEPS, PERIODS = 4_000, 3


def _ripple(sigma: float, hertz: float, joules: float) -> float:
    """Standard deviation of a rack feed's current [A] under a wave of ``sigma`` [W] at the rack's inlets."""
    topology = compile_topology(load_hall("small", (*HALL, f"classes={{gb300_nvl72: {{smoothing_joules: {joules}}}}}")))
    plant = Plant(topology)
    trays = np.arange(len(plant.c.idle))
    breaker = topology.breaker_names.index("A-01/feed A")
    rms: list[float] = []
    for swing in (sigma, 0.0):
        per_tray = swing * float(plant.c.rack["shelf_eta"][0]) / len(trays)
        plant.set_load(trays, 0.5, sigma_watts=per_tray, swing_hertz=hertz, gang=1)
        if not rms:
            equilibrate(plant)
        plant.settle(plant.time)
        rms.append(float(plant.breaker_ratio[breaker] * plant.c.breaker["rating"][breaker]))
    return math.sqrt(max(0.0, rms[0] ** 2 - rms[1] ** 2))


def through_the_plant(hertz: float, swing: float) -> float:
    """Share of the ripple of a rack feed's current that the store takes away."""
    return 1.0 - _ripple(swing, hertz, JOULES) / _ripple(swing, hertz, 0.0)


def step_by_step(hertz: float, swing: float) -> float:
    """Share of the ripple that a store takes away which follows the wave as long as it has energy and room.

    It is half full at the start and is stepped through ``PERIODS`` waves; the first does not count.
    """
    seconds = 1.0 / hertz / STEPS
    stored = 0.5 * JOULES
    left = []
    for step in range(PERIODS * STEPS):
        wanted = swing if step % STEPS < STEPS // 2 else -swing  # above the mean: the store gives
        given = min(wanted, stored / seconds) if wanted > 0.0 else max(wanted, (stored - JOULES) / seconds)
        stored -= given * seconds
        if step >= STEPS:
            left.append(wanted - given)
    return 1.0 - float(np.std(left)) / swing


def smoothed_wave() -> Sequence[float]:
    """V13."""
    ways = (through_the_plant, step_by_step)
    fast = [100.0 * min(way(FAST, swing) for swing in SWINGS) for way in ways]
    slow = [100.0 * max(way(SLOW, swing) for swing in SWINGS) for way in ways]
    return fast[0], slow[0], fast[1], slow[1]


CASES = (
    Case(
        name="V13",
        source="GB300 NVL72, 65 J per GPU (S/P); a store of E joules moves E per half wave",
        confidence="S/P",
        statement="72 × 65 J of a rack against a 40 kW square wave, ±20 kW or ±40 kW, whichever is worse",
        checks=(
            Check(Kind.IDENTITY, "ripple taken away at 5 Hz", "%", low=90.0),
            Check(Kind.IDENTITY, "ripple taken away at 0.2 Hz", "%", low=0.0, high=15.0),
            Check(Kind.IDENTITY, "… at 5 Hz by a store stepped through time", "%", low=90.0),
            Check(Kind.IDENTITY, "… at 0.2 Hz by a store stepped through time", "%", low=0.0, high=15.0),
        ),
        obtain=smoothed_wave,
    ),
)
