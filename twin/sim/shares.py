"""How a balancer spreads a service's requests over its replicas: unevenly, and otherwise after a while.

A replica's share of the requests, relative to an even one, is ``s = e^x`` over the mean of ``e^x`` of the replicas that
are live: shares have mean 1 exactly, so that no request is lost or made. x is a stationary first-order autoregression,
the Ornstein–Uhlenbeck process seen once in :data:`STEP_SECONDS`::

    x_0 = σ ε_0,   x_k = a x_{k−1} + σ √(1 − a²) ε_k,   a = exp(−STEP_SECONDS/τ),   σ² = ln(1 + v²)

with v the service's *unevenness*, the relative standard deviation of e^x, and τ its correlation time. ε are looked up
(:mod:`twin.sim.noise`) by service and by the number at which a replica was enlisted: whoever places it wherever, and
however many others live, it meets the same wishes of its users.
"""

import math

import numpy as np
from numpy.typing import NDArray

from twin.sim.noise import keys, normal
from twin.workload.jobs import Service

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP_SECONDS = 60  # between two changes; the request rate's own noise changes as often
AHEAD = 64  # steps that are drawn together


class Shares:
    """Shares of one service's replicas in one run; asked for in the order of time."""

    def __init__(self, service: Service, seed: int) -> None:
        self._names = ("replica shares", service.name)
        self._seed = seed
        self._sigma = math.sqrt(math.log1p(service.unevenness**2))
        self._keep = math.exp(-STEP_SECONDS / service.unevenness_seconds)
        self._keys = np.zeros((2, 0), dtype=np.uint64)
        self._step = -1
        self._levels: Floats = np.zeros(0)
        self._drawn: Floats = np.zeros((0, 0))  # σ ε of so many steps from _first on, by replica
        self._first = 0

    def levels(self, step: int, replicas: int) -> Floats:
        """x [1] of the first so many replicas at step ``step``, shape (``replicas``,)."""
        if replicas > self._keys.shape[1]:  # who comes later has a past of its own, too
            names = [(*self._names, str(number)) for number in range(replicas)]
            self._keys, self._step, self._drawn = keys(self._seed, names, 2), -1, np.zeros((0, 0))
        fresh = math.sqrt(1.0 - self._keep**2)
        while self._step < step:
            self._step += 1
            if not 0 <= self._step - self._first < len(self._drawn):
                self._first = self._step
                ahead = np.arange(self._step, self._step + AHEAD)[:, None]
                self._drawn = self._sigma * normal(self._keys[0], self._keys[1], ahead)
            drawn = self._drawn[self._step - self._first]
            self._levels = self._keep * self._levels + fresh * drawn if self._step else drawn
        return self._levels[:replicas]

    def of(self, step: int, places: Ints, replicas: int) -> Floats:
        """Shares [1] of live replicas, by the ``places`` at which they were enlisted among ``replicas``; mean 1."""
        weight = np.exp(self.levels(step, replicas)[places])
        return np.asarray(weight / weight.mean())


def busy_replicas(shares: Floats, utilisation: float) -> Floats:
    """Busy share of the time [1] of each replica, shape as ``shares``: share × ``utilisation``, and at most 1.

    What a full replica cannot take the others get, in proportion to their shares: the mean stays ``utilisation``.
    """
    busy = utilisation * shares
    full = busy > 1.0
    while np.count_nonzero(full):
        if utilisation >= 1.0 or full.all():
            return np.ones_like(shares)
        left = (utilisation * len(shares) - np.count_nonzero(full)) / shares[~full].sum()
        busy = np.where(full, 1.0, left * shares)
        more = full | (busy > 1.0)
        if np.array_equal(more, full):
            break
        full = more
    return busy
