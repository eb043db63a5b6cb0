"""Effects on the power tree: feeds, breakers, lines, batteries and the utility."""

from collections.abc import Sequence

import numpy as np

from twin.hall.topology import NODE_KINDS
from twin.results.kinds import EventKind
from twin.sim.actions import PHASES, Action
from twin.sim.effects import Effect, Hands, Racks, Steps, Trouble, Undo, place
from twin.sim.levers import Push

UTILITY = NODE_KINDS.index("utility")
NUISANCE = "nuisance"


def feed_loss(hands: Hands, action: Action, event: int) -> Undo:
    """A power node goes dead with all below it."""
    world = hands.world
    node = place(hands, action)
    racks = world.racks_below(node)
    hands.protection.remember_power(racks)
    trouble = hands.trouble(
        event, EventKind.FEED_LOST, world.level_of(node), str(action.target), racks, power=True
    )  # fmt: skip
    push = hands.push(world.levers("source", node), bool)
    hands.protection.watch_batteries(trouble.event)

    def undo() -> None:
        push.go(0.0)
        hands.over(trouble, EventKind.FEED_RESTORED)
        hands.protection.watch_batteries(trouble.event)
        hands.protection.revive()

    return undo


def breaker_open(hands: Hands, action: Action, event: int) -> Undo:
    """Open a breaker by hand."""
    world = hands.world
    node = place(hands, action)
    breaker = int(world.topology.node_breaker[node])
    racks = world.racks_below(node)
    hands.protection.remember_power(racks)
    world.plant.set_breaker(breaker, False)
    found = world.disturb_power(event, racks, lasting=True)

    def undo() -> None:
        found.ended = world.env.now
        hands.protection.close(breaker, event)

    return undo


def breaker_close(hands: Hands, action: Action, event: int) -> None:
    """Close a breaker by hand."""
    hands.protection.close(int(hands.world.topology.node_breaker[place(hands, action)]), event)


def breaker_nuisance_trip(hands: Hands, action: Action, event: int) -> Undo:
    """A breaker trips although nothing is wrong; it is closed by hand after the hall's usual time, or at its repair."""
    breaker = int(hands.world.topology.node_breaker[place(hands, action)])
    hands.world.env.read()
    trip = hands.protection.trip(breaker, NUISANCE, event) if hands.world.plant.u.closed[breaker] else event
    return lambda: hands.protection.reclose(breaker, trip)


def phase_loss(hands: Hands, action: Action, event: int) -> Undo:
    """A line breaks at a node: what hangs on it below loses its supply on that feed."""
    world = hands.world
    node = place(hands, action)
    racks = world.racks_below(node)
    hands.protection.remember_power(racks)
    trouble = hands.trouble(
        event, EventKind.PHASE_LOST, world.level_of(node), str(action.target), racks, power=True,
        value=float(racks.sum()), detail=str(action.values["phase"]),
    )  # fmt: skip
    push = hands.push(world.levers("phase", node, PHASES.index(action.values["phase"])), bool)

    def undo() -> None:
        push.go(0.0)
        hands.over(trouble, EventKind.PHASE_RESTORED)
        hands.protection.revive()

    return undo


def ups_on_battery(hands: Hands, action: Action, event: int) -> Undo:
    """The input of a UPS is lost: it runs from its battery until that is spent or the input is back."""
    world = hands.world
    node = place(hands, action)
    racks = world.racks_below(node)
    hands.protection.remember_power(racks)
    push = hands.push(world.levers("source", int(world.topology.node_parent[node])), bool)
    found = world.disturb_power(event, racks, lasting=True)
    hands.protection.watch_batteries(event)

    def undo() -> None:
        push.go(0.0)
        found.ended = world.env.now
        hands.protection.watch_batteries(event)
        hands.protection.revive()

    return undo


def utility_loss(hands: Hands, action: Action, event: int) -> Undo:
    """The utility fails: UPS at once, generators after their start, chillers after theirs, until it comes back."""
    world, topology = hands.world, hands.world.topology
    every = [int(n) for n in np.flatnonzero(topology.node_kind == UTILITY)]
    struck = every if action.target is None else [place(hands, action)]
    outages = [_Outage(hands, node, event) for node in struck if node not in hands.utilities_out]
    if not outages:
        return lambda: None  # what is out already cannot fail
    hands.protection.watch_batteries(outages[0].trouble.event)
    hands.mechanical.look(outages[0].trouble.event)
    start = topology.hall.emergency.generator_start_seconds
    if start is not None:
        world.env.process(_generators(hands, outages, start, action.values["generator"] == "starts"))

    def undo() -> None:
        for outage in outages:
            outage.end()
        hands.protection.watch_batteries(outages[0].trouble.event)
        hands.mechanical.look(outages[0].trouble.event)
        hands.protection.revive()

    return undo


class _Outage:
    """One utility that failed, and its generator."""

    def __init__(self, hands: Hands, node: int, event: int) -> None:
        world = hands.world
        self.hands = hands
        self.name = world.topology.node_names[node]
        racks: Racks = world.racks_below(node)
        hands.protection.remember_power(racks)
        self.trouble: Trouble = hands.trouble(event, EventKind.UTILITY_LOST, "utility", self.name, racks, power=True)
        self.push: Push = hands.push(world.levers("source", node), bool)
        self.since = world.env.now
        self.node = node
        hands.utilities_out.add(node)
        self.over = False
        self.generator = False

    def say(self, kind: EventKind, value: float | None = None) -> None:
        self.hands.world.log.add(
            self.hands.world.env.now, kind, "utility", self.name, cause=self.trouble.event, value=value
        )

    def start(self) -> None:
        """Its generator takes over."""
        self.generator = True
        self.push.go(0.0)
        self.say(EventKind.GENERATOR_STARTED, self.hands.world.env.now - self.since)

    def end(self) -> None:
        """The utility is back; a generator hands over without a break."""
        self.over = True
        self.hands.utilities_out.discard(self.node)
        self.push.go(0.0)
        self.hands.over(self.trouble, EventKind.UTILITY_RESTORED)
        if self.generator:
            self.say(EventKind.GENERATOR_STOPPED)


def _generators(hands: Hands, outages: Sequence[_Outage], seconds: float, starts: bool) -> Steps:
    yield hands.world.env.timeout(seconds)
    waiting = [outage for outage in outages if not outage.over]
    if not waiting:
        return
    for outage in waiting:
        if starts:
            outage.start()
        else:
            outage.say(EventKind.GENERATOR_FAILED)
    cause = waiting[0].trouble.event
    hands.protection.watch_batteries(cause)
    hands.mechanical.look(cause)
    hands.protection.revive()


EFFECTS: dict[str, Effect] = {
    "feed_loss": feed_loss,
    "breaker_open": breaker_open,
    "breaker_close": breaker_close,
    "breaker_nuisance_trip": breaker_nuisance_trip,
    "phase_loss": phase_loss,
    "ups_on_battery": ups_on_battery,
    "utility_loss": utility_loss,
}
