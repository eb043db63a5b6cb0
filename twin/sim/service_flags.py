"""What flags turn down of a service: of its own replicas, wherever they run, and of nobody else's work."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.policy.degradation import AS_BUILT, Degradation
from twin.policy.evaluation import degradation_in, evaluate
from twin.policy.flag_files import WAIT
from twin.policy.flags import Flags, FlagState, Kind
from twin.policy.scope import Level
from twin.policy.targeting import names
from twin.sim.runner import JobRun
from twin.sim.services import ServiceRun
from twin.sim.world import World

REMEMBERED_SECONDS = 600.0  # that a wait counts for rules: what they do shortens it


class ServiceFlags:
    """Flags that are set for services, and flags whose rules tell services apart, at work in one run."""

    def __init__(self, world: World, flags: Flags) -> None:
        self.world = world
        self.flags = flags
        kinds = set(Kind) - {Kind.ROLLOUT}
        rules = {key: names(each.targeting) for key, each in flags.flags.items() if each.enabled and each.kind in kinds}
        self.told_apart = any("service" in looked_at for looked_at in rules.values())
        #: rules speak without anybody's setting, and of places: they are asked when a run begins
        self.rules_of_places = any(looked_at & {*Level} for looked_at in rules.values())
        self.by_wait = [key for key, looked_at in rules.items() if WAIT in looked_at]
        # service → when its requests waited, and how long [s]: those that no later one has reached, the longest first
        self.waits: dict[str, deque[tuple[float, float]]] = {}
        self.said: dict[str, dict[str, str]] = {}  # service → flag → variant that a rule chose for that wait

    def context(self, service: ServiceRun, wait: float | None = None) -> dict[str, Any]:
        """What rules may look at of a service; ``wait`` [s] in place of that of its requests."""
        name = service.service.name
        return {"service": name, WAIT: self.longest(name) if wait is None else wait}

    def longest(self, name: str) -> float:
        """The longest [s] that requests of a service have waited at the looks that are remembered."""
        waits = self.waits.get(name)
        return waits[0][1] if waits else 0.0

    def _remember(self, name: str, wait: float) -> None:
        """Add a wait [s], and forget those that are too old or were no longer than it."""
        now, waits = self.world.env.now, self.waits.setdefault(name, deque())
        while waits and waits[-1][1] <= wait:
            waits.pop()
        waits.append((now, wait))
        while now - waits[0][0] >= REMEMBERED_SECONDS:
            waits.popleft()

    def look(self, state: FlagState) -> list[tuple[str, str]]:
        """Services for which rules say something else since the last look, as their requests wait; told in words."""
        if not self.by_wait:
            return []
        here, told = {"hall": "hall", "time_seconds": self.world.env.now}, []
        for name, service in self.world.services.items():
            if service.wait == 0.0 and self.longest(name) == 0.0 and name not in self.said:
                continue  # nobody waits, nobody did, and no rule has spoken
            # that nobody lives to serve is no queue: how long that is will show in who comes up
            self._remember(name, service.wait if np.isfinite(service.wait) else 0.0)
            wait, found = self.longest(name), {}
            for key in self.by_wait if wait > 0.0 else ():
                variant, calm = (
                    evaluate(self.flags, state, key, {**self.context(service, each), **here}).variant
                    for each in (wait, 0.0)
                )
                if variant is not None and variant != calm:
                    found[key] = variant
            before = self.said.pop(name, {})
            if found:
                self.said[name] = found
            if found != before:
                words = ", ".join(f"{key} = {found.get(key, 'as before')}" for key in sorted({*found, *before}))
                told.append((name, f"{words}; requests waited {wait:.0f} s"))
        return told

    def turned_down(
        self, state: FlagState, places: Sequence[Mapping[str, str]], common: Mapping[int, Degradation]
    ) -> dict[str, dict[int, Degradation]]:
        """What is turned down of each service that flags single out, by rack.

        places: contexts of all racks. common: what is turned down on racks of anybody's work.
        """
        now = self.world.env.now
        own = {each.scope.name for each in state.in_order() if each.scope.level is Level.SERVICE}
        found = {}
        for name, service in self.world.services.items():
            if not self.told_apart and name not in own and name not in self.said:
                continue
            of_it = self.context(service)
            every = [degradation_in(self.flags, state, {**place, **of_it}, now) for place in places]
            mine = {rack: each for rack, each in enumerate(every) if each != AS_BUILT}
            if mine != common:
                found[name] = mine
        return found

    def hold(self, state: FlagState) -> None:
        """Let no replica of a service start while flags pause its admissions or drain it; let it start again after."""
        for service in self.world.services.values():
            found = degradation_in(self.flags, state, self.context(service), self.world.env.now)
            service.admit(found.admissions == "open" and not found.drain)

    def running(self, name: str) -> list[JobRun]:
        """Replicas of a service that have trays, in the order of their numbers."""
        return [run for _, run in sorted(self.world.running.items()) if run.job.service == name]
