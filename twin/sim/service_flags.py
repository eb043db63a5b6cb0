"""What flags turn down of a service: of its own replicas, wherever they run, and of nobody else's work."""

from collections.abc import Mapping, Sequence
from typing import Any

from twin.policy.degradation import AS_BUILT, Degradation
from twin.policy.evaluation import degradation_in
from twin.policy.flags import Flags, FlagState, Kind
from twin.policy.scope import Level
from twin.policy.targeting import names
from twin.sim.runner import JobRun
from twin.sim.services import ServiceRun
from twin.sim.world import World


class ServiceFlags:
    """Flags that are set for services, and flags whose rules tell services apart, at work in one run."""

    def __init__(self, world: World, flags: Flags) -> None:
        self.world = world
        self.flags = flags
        rules = [each.targeting for each in flags.flags.values() if each.enabled and each.kind in set(Kind)]
        self.told_apart = any("service" in names(rule) for rule in rules)

    def context(self, service: ServiceRun) -> dict[str, Any]:
        """What rules may look at of a service."""
        return {"service": service.service.name}

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
            if not self.told_apart and name not in own:
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
