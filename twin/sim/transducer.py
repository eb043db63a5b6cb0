"""What a sensor makes of the truth, and what arrives of it, for all devices of a bank in one pass."""

from math import isnan

import numpy as np
from numpy.typing import NDArray

from twin.plant.compiled import Direct, kernel
from twin.policy.snapshot import Quality

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]

#: rows of ``errors``, each of shape (N,)
GAIN, BIAS, OFFSET, NOISE, NOISE_FRACTION, STEP, LOWEST, HIGHEST = range(8)
GOOD, OUT_OF_RANGE, MISSING = int(Quality.GOOD), int(Quality.OUT_OF_RANGE), int(Quality.MISSING)


@kernel
def _measure(
    exact: Floats, errors: Floats, noise: Floats, held: Bools, lost: Bools, silent: Bools, last: Floats,
    reading: Floats, code: Codes,
) -> None:  # fmt: skip
    """Readings and their quality into ``reading`` and ``code``; all of shape (N,) but ``errors``, shape (8, N).

    ``reading = saturated(rounded(gain × exact + bias + offset + σ z))``, σ of the device plus its fraction of the
    truth, z the standard normal ``noise``. A ``held`` sensor repeats ``last``, which is kept up; what is ``lost`` or
    ``silent``, and what there is no sensor for (NaN), is NaN and MISSING.
    """
    for n in range(exact.size):
        true = exact[n]
        sigma = errors[NOISE, n] + errors[NOISE_FRACTION, n] * abs(true)
        value = errors[GAIN, n] * true + errors[BIAS, n] + errors[OFFSET, n] + sigma * noise[n]
        if errors[STEP, n] > 0.0:
            value = np.rint(value / errors[STEP, n]) * errors[STEP, n]
        code[n] = GOOD
        if value < errors[LOWEST, n]:
            value = errors[LOWEST, n]
            code[n] = OUT_OF_RANGE
        elif value > errors[HIGHEST, n]:
            value = errors[HIGHEST, n]
            code[n] = OUT_OF_RANGE
        if held[n] and not isnan(last[n]):
            value = last[n]
        last[n] = value
        reading[n] = value
        if lost[n] or silent[n] or isnan(value):
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
