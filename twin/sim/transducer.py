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

#: rows of ``errors``, each of shape (N,)
GAIN, BIAS, OFFSET, NOISE, NOISE_FRACTION, STEP, LOWEST, HIGHEST = range(8)
GOOD, OUT_OF_RANGE, MISSING = int(Quality.GOOD), int(Quality.OUT_OF_RANGE), int(Quality.MISSING)


_mixed, _split = inner(noise.mixed), inner(noise.split)


@kernel
def _measure(
    exact: Floats, errors: Floats, key: noise.Keys, counter: np.uint64, number: int, normal: Floats, stuck: Bools,
    lost: Floats, seize: Floats, seized_samples: Floats, seized_until: Floats, silent: Bools, last: Floats,
    reading: Floats, code: Codes,
) -> None:  # fmt: skip
    """Readings of sample ``number`` and their quality into ``reading`` and ``code``; all of shape (N,) but ``errors``,
    shape (8, N), and the table of ``normal`` numbers.

    ``reading = saturated(rounded(gain × exact + bias + offset + σ z))``, σ of the device plus its fraction of the
    truth, z standard normal. A sensor that is ``stuck``, or has seized by chance (with probability ``seize`` at each
    sample, for ``seized_samples``), repeats ``last``, which is kept up; what is lost, with probability ``lost``, or
    ``silent``, and what there is no sensor for (NaN), is NaN and MISSING. What chance has for a sample are the bits of
    ``key`` and ``counter``.
    """
    for n in range(exact.size):
        index, loss, seizure = _split(_mixed(key[n] + counter))
        if seizure < seize[n] and number >= seized_until[n]:
            seized_until[n] = number + seized_samples[n]
        true = exact[n]
        sigma = errors[NOISE, n] + errors[NOISE_FRACTION, n] * abs(true)
        value = errors[GAIN, n] * true + errors[BIAS, n] + errors[OFFSET, n]
        if sigma > 0.0:
            value += sigma * normal[index]
        if errors[STEP, n] > 0.0:
            value = np.rint(value / errors[STEP, n]) * errors[STEP, n]
        code[n] = GOOD
        if value < errors[LOWEST, n]:
            value = errors[LOWEST, n]
            code[n] = OUT_OF_RANGE
        elif value > errors[HIGHEST, n]:
            value = errors[HIGHEST, n]
            code[n] = OUT_OF_RANGE
        if (stuck[n] or number < seized_until[n]) and not isnan(last[n]):
            value = last[n]
        last[n] = value
        reading[n] = value
        if loss < lost[n] or silent[n] or isnan(value):
            reading[n] = np.nan
            code[n] = MISSING


@kernel
def _arrive(reading: Floats, code: Codes, time: float, value: Floats, shown: Codes, measured: Floats) -> None:
    """Let readings in: the latest ``value``, its quality ``shown`` and when it was ``measured`` [s], shape (N,)."""
    for n in range(reading.size):
        if code[n] != MISSING:
            value[n] = reading[n]
            shown[n] = code[n]
            measured[n] = time


measure, arrive = Direct(_measure), Direct(_arrive)
