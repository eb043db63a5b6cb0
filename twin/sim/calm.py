"""Whether anything that the response ladder looks at could move it: told from what sensors hold, without a snapshot.

At rest, which is nearly always, a look holds a few hundred readings against their bounds and is done.
"""

import numpy as np
from numpy.typing import NDArray

from twin.policy.ladder import LadderState
from twin.policy.ladder_rules import LadderRules
from twin.policy.resting import after_calm, calm_of
from twin.policy.snapshot import FacilitySnapshot
from twin.sim.bank import Bank
from twin.sim.world import World

Floats = NDArray[np.float64]


class CalmWatch:
    """Bounds of a ladder's readings, laid out as the banks of sensors have them."""

    def __init__(self, world: World, rules: LadderRules, snapshot: FacilitySnapshot) -> None:
        self._world, self._rules = world, rules
        self._old_seconds = min(rules.stale_seconds, rules.unseen_seconds)
        self._calm = calm_of(rules, snapshot)
        self._banks: list[tuple[Bank, Floats, Floats]] = []  # with bounds, NaN for devices that may read anything
        #: time and time stamps of readings at the latest look that held, since the ladder was stepped
        self._held: tuple[float, list[Floats]] | None = None
        self.able = self._lay_out()  # whether sensors hold what the ladder looks at

    def _lay_out(self) -> bool:
        if self._calm is None:
            return False
        missing = set(self._calm.highest)
        for bank in self._world.sensors.banks:
            mine = missing & bank.fields.keys()
            if mine and bank.period == 0.0:  # reads when a policy looks, and counts these looks
                return False
            lowest, highest = np.full((2, len(bank.value)), np.nan)
            for field in sorted(mine):
                lowest[bank.fields[field]] = self._calm.lowest[field]
                highest[bank.fields[field]] = self._calm.highest[field]
            if mine:
                self._banks.append((bank, lowest, highest))
            missing -= mine
        return not missing

    def holds(self) -> bool:
        """Take the readings that are due; whether all that the ladder looks at count and lie within their bounds.
        Settle the plant first."""
        world, now = self._world, self._world.env.now
        world.sensors.catch_up(now, world.telemetry_outages)
        for bank, lowest, highest in self._banks:
            if not bank.is_calm(now, now - self._old_seconds, lowest, highest):
                return False
        self._held = now, [bank.measured.copy() for bank, _, _ in self._banks]
        return True

    def caught_up(self, state: LadderState) -> LadderState:
        """The state of a ladder at rest after the looks that held since it was stepped."""
        if self._held is None or self._calm is None:
            return state
        (time, measured), self._held = self._held, None
        stamps = {
            field: stamps[part]
            for (bank, _, _), stamps in zip(self._banks, measured, strict=True)
            for field, part in bank.fields.items()
        }
        return after_calm(self._rules, state, self._calm, stamps, time)
