"""What a sensor makes of the truth, and what arrives of it, for all devices of a bank in one pass."""

from math import isnan

import numpy as np
from numpy.typing import NDArray

from twin.plant.compiled import Direct, inner, kernel
from twin.policy.snapshot import Quality
from twin.sim import noise

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]
Ints = NDArray[np.int64]

#: rows of ``errors``, each of shape (N,)
GAIN, BIAS, OFFSET = range(3)
#: columns of ``kinds``, which has a row per signal
NOISE, NOISE_FRACTION, STEP, LOWEST, HIGHEST, SEIZE, SEIZED_SAMPLES = range(7)
GOOD, STALE, OUT_OF_RANGE, MISSING = (int(each) for each in Quality)


_mixed, _split = inner(noise.mixed), inner(noise.split)


@kernel
def _measure(
    exact: Floats, errors: Floats, kinds: Floats, ends: Ints, key: noise.Keys, counter: np.uint64, number: int,
    normal: Floats, stuck: Bools, lost: Floats, seized_until: Floats, silent: Bools, last: Floats, reading: Floats,
    code: Codes,
) -> None:  # fmt: skip
    """Readings of sample ``number`` and their quality into ``reading`` and ``code``; all of shape (N,) but ``errors``,
    shape (3, N), ``kinds``, shape (S, 7), of signals whose devices end at ``ends``, and ``normal``, the table of
    :func:`twin.sim.noise.quantiles`.

    ``reading = saturated(rounded(gain × exact + bias + offset + σ z))``, σ of the device plus its fraction of the
    truth, z standard normal. A sensor that is ``stuck``, or has seized by chance (with a probability at each sample,
    for a number of samples), repeats ``last``, which is kept up; what is lost, with probability ``lost``, or
    ``silent``, and what there is no sensor for (NaN), is NaN and MISSING. What chance has for a sample are the bits of
    ``key`` and ``counter``.
    """
    first = 0
    for kind in range(ends.size):
        sigma, fraction, step = kinds[kind, NOISE], kinds[kind, NOISE_FRACTION], kinds[kind, STEP]
        lowest, highest = kinds[kind, LOWEST], kinds[kind, HIGHEST]
        for n in range(first, ends[kind]):
            one, other, loss, seizure = _split(_mixed(key[n] + counter))
            if seizure < kinds[kind, SEIZE] and number >= seized_until[n]:
                seized_until[n] = number + kinds[kind, SEIZED_SAMPLES]
            true = exact[n]
            spread = sigma + fraction * abs(true)
            value = errors[GAIN, n] * true + errors[BIAS, n] + errors[OFFSET, n]
            if spread > 0.0:
                value += spread * (normal[one] + normal[other])
            if step > 0.0:
                value = np.rint(value / step) * step
            code[n] = GOOD
            if value < lowest:
                value = lowest
                code[n] = OUT_OF_RANGE
            elif value > highest:
                value = highest
                code[n] = OUT_OF_RANGE
            if (stuck[n] or number < seized_until[n]) and not isnan(last[n]):
                value = last[n]
            last[n] = value
            reading[n] = value
            if loss < lost[n] or silent[n] or isnan(value):
                reading[n] = np.nan
                code[n] = MISSING
        first = ends[kind]


@kernel
def _arrive(reading: Floats, code: Codes, time: float, value: Floats, shown: Codes, measured: Floats) -> None:
    """Let readings in: the latest ``value``, its quality ``shown`` and when it was ``measured`` [s], shape (N,)."""
    for n in range(reading.size):
        if code[n] != MISSING:
            value[n] = reading[n]
            shown[n] = code[n]
            measured[n] = time


@kernel
def _show(
    now: float, limits: Floats, ends: Ints, value: Floats, code: Codes, measured: Floats, shown: Floats, age: Floats,
    quality: Codes,
) -> None:  # fmt: skip
    """What is seen at ``now`` [s] of the latest readings: values into ``shown``, ages [s] and qualities, shape (N,).

    limits: shape (S, 4), by signal: age [s] after which a reading is stale, age after which it is missing (NaN), 1 for
    a switch, which keeps its last state, and parts of a unit that values are rounded to, 0 for none.
    """
    first = 0
    for kind in range(ends.size):
        for n in range(first, ends[kind]):
            old = now - measured[n]
            age[n] = old
            parts = limits[kind, 3]
            shown[n] = np.rint(value[n] * parts) / parts if parts > 0.0 else value[n]
            quality[n] = code[n] if old <= limits[kind, 0] else STALE
            if old > limits[kind, 1]:
                quality[n] = MISSING
                if limits[kind, 2] == 0.0:
                    shown[n] = np.nan
        first = ends[kind]


@kernel
def _calm(
    now: float, oldest: float, limits: Floats, ends: Ints, value: Floats, code: Codes, measured: Floats,
    lowest: Floats, highest: Floats,
) -> bool:  # fmt: skip
    """Whether :func:`_show` would show every reading that has bounds as good and within ``lowest`` and ``highest``, and
    none is from before ``oldest`` [s]. Bounds are of shape (N,), NaN for none."""
    first = 0
    for kind in range(ends.size):
        parts = limits[kind, 3]
        for n in range(first, ends[kind]):
            if not isnan(highest[n]):
                shown = np.rint(value[n] * parts) / parts if parts > 0.0 else value[n]
                old = now - measured[n]
                counts = code[n] == GOOD and old <= limits[kind, 0] and not old > limits[kind, 1]
                if not (counts and measured[n] >= oldest and lowest[n] <= shown <= highest[n]):
                    return False
        first = ends[kind]
    return True


measure, arrive, show, calm = Direct(_measure), Direct(_arrive), Direct(_show), Direct(_calm)
