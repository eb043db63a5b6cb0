"""The response ladder at work: readings go in, and what it asks for is carried out by software, a little later.

Flags scale work back, pause admissions and empty racks; other actions save, move or end work, or switch racks off.
Nothing here decides: rules, flags and their state machines are :mod:`twin.policy`'s.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from twin.policy.business import BusinessState, step_business
from twin.policy.causes import Author, Role
from twin.policy.degradation import AS_BUILT, Degradation
from twin.policy.enact import settle_flags
from twin.policy.evaluation import degradation_in
from twin.policy.flags import Change, ChangeKind, ChangeRefused, Flags, FlagState, Kind, clear_flag, set_flag
from twin.policy.ladder import LadderState, acknowledge, start, step, wishes
from twin.policy.ladder_rules import LadderRules
from twin.policy.playbook import Action, Because, Cause, Do, experiments_of
from twin.policy.scope import Level, Scope
from twin.policy.sensed import readings_of
from twin.policy.snapshot import FacilitySnapshot
from twin.results.catalogue import EVENT_NONE
from twin.results.kinds import EventKind
from twin.sim.actuation import Actuation
from twin.sim.calm import CalmWatch
from twin.sim.protection import Protection
from twin.sim.runner import JobRun
from twin.sim.service_flags import ServiceFlags
from twin.sim.world import World

Bools = NDArray[np.bool_]
Steps = Generator[simpy.Event, Any, None]
POLICY = Author(Role.POLICY, "response ladder")
ON_CALL = Author(Role.ON_CALL, "operator")


@dataclass(frozen=True)
class ByHand:
    """An action of the ladder that a person asked for."""

    action: Action
    by: Author


Told = Action | Change | ChangeRefused | ByHand


@dataclass(frozen=True)
class ResponseSettings:
    """Rules and flags of a response, and how fast software acts on it."""

    rules: LadderRules
    flags: Flags
    period_seconds: float = 10.0  # between two looks
    act_seconds: float = 5.0  # from a decision to its effect
    drain_seconds: float = 10.0  # between two replicas that leave
    defer_seconds: float = 600.0  # that waiting batch work is put off when the queue is shed
    acknowledge_seconds: float = 900.0  # until a person has looked at what only a person may release
    #: hears of every action and change, as an audit does, and of what was seen at the last look before it
    told: Callable[[Told, FacilitySnapshot | None], None] | None = None


class Response:
    """Steps the ladder at every look and carries out what it asks for."""

    def __init__(
        self, world: World, protection: Protection, settings: ResponseSettings, *, attended: bool = False
    ) -> None:
        """``attended`` by people, of whose deeds it is told what was seen at the look before."""
        self.world = world
        self.settings = settings
        self.flag_state = FlagState()
        self.business = BusinessState()
        self.ladder: LadderState | None = None
        self.seen: FacilitySnapshot | None = None  # at the last look that was more than a glance
        self.attended = attended
        self.watch: CalmWatch | None = None  # tells at a glance that nothing can move the ladder
        self.wanted = {name for ladder in settings.rules.ladders for name in ladder.table.signals}
        self.experiments = experiments_of(settings.flags)
        self.turned: dict[tuple[str, Scope], int] = {}  # flags by place → event that set them, or took them back
        self.of_services = ServiceFlags(world, settings.flags)
        self.hands = Actuation(
            world, protection, self.of_services,
            drain_seconds=settings.drain_seconds, defer_seconds=settings.defer_seconds,
        )  # fmt: skip
        self.in_vain: set[tuple[str, Scope, str]] = set()  # changes refused at the last look: told once

    def process(self) -> Steps:
        """Look at every period."""
        env, settings = self.world.env, self.settings
        if self.of_services.rules_of_places:
            self._follow_rules()
        while True:
            yield env.timeout(settings.period_seconds)
            actions = self.look()
            if actions:
                env.process(self._later(actions))

    def look(self) -> list[tuple[Action | Change, int]]:
        """Step ladder, flags and business rules on a new snapshot; returns what has to be carried out, logged."""
        world, rules, flags = self.world, self.settings.rules, self.settings.flags
        if self._at_rest():
            self._look_at_services()
            return []
        self.seen, now = world.snapshot(), world.env.now
        readings = readings_of(self.seen, wanted=self.wanted)
        if self.ladder is None:
            self.ladder = start(rules, readings.members, now)
            self.watch = self._watch(self.seen)
        if self.watch is not None:
            self.ladder = self.watch.caught_up(self.ladder)
        self._acknowledge(now)
        self.ladder, actions = step(rules, self.ladder, readings, now)
        changes: Sequence[Any] = ()
        more: Sequence[Action] = ()
        if not all(held.rests for held in self.ladder.ladders.values()) or self.flag_state.settings:
            wanted = wishes(rules, self.ladder, self.experiments)
            self.flag_state, changes = settle_flags(flags, self.flag_state, wanted, POLICY, now, actions)
        if self.flag_state.settings or self.business.active_since or self.business.holding:
            self.business, more = step_business(rules, self.business, flags, self.flag_state, now)
        told: list[tuple[Action | Change, int]] = []
        before, self.in_vain = self.in_vain, set()
        for action in (*actions, *more):
            if action.do not in (Do.SET_FLAG, Do.CLEAR_FLAG):
                told.append((action, self._log_action(action)))
        for change in changes:
            if isinstance(change, Change):
                told.append((change, self._log_change(change)))
            else:  # a flag that could not be set is for people to look at
                vain = (change.flag, change.scope, str(change.reason))
                self.in_vain.add(vain)
                if vain not in before:
                    words = f"{change.flag} not changed: {change.reason} {change.detail}"
                    self._log(EventKind.ALERT, change.scope, words)
        if self.settings.told is not None:
            for each, _ in told:
                self.settings.told(each, self.seen)
        self._look_at_services()
        return told

    def _watch(self, seen: FacilitySnapshot) -> CalmWatch | None:
        """What spares a ladder at rest its steps. Not where people act: what was seen before that is to be told."""
        watch = None if self.attended else CalmWatch(self.world, self.settings.rules, seen)
        return watch if watch is not None and watch.able else None

    def _at_rest(self) -> bool:
        """Whether nothing is set or held, and no reading could change that."""
        if self.watch is None or self.ladder is None or not self.ladder.rests:
            return False
        if self.flag_state.settings or self.business.active_since or self.business.holding:
            return False
        self.world.env.read()
        if not self.watch.holds():
            return False
        self.in_vain.clear()
        return True

    def _look_at_services(self) -> None:
        """Log what rules say otherwise of services whose requests wait, and let it take effect."""
        waits = self.of_services.look(self.flag_state)
        for name, words in waits:
            self._log(EventKind.RESPONSE, Scope(Level.SERVICE, name), words)
        if waits:
            self.world.env.process(self._heed())

    def _acknowledge(self, now: float) -> None:
        """Let a person look at rungs that are latched, some time after they were taken: then recovery may release."""
        assert self.ladder is not None
        for ladder in self.settings.rules.ladders:
            held = self.ladder.ladders[ladder.name]
            if held.rests:
                continue
            for place in np.flatnonzero((held.rungs > 0) & ~held.acknowledged).tolist():
                top = int(held.rungs[place]) - 1
                since = float(held.taken_seconds[top, place])
                if ladder.steps[top].latched and now - since >= self.settings.acknowledge_seconds:
                    name = self.ladder.members[ladder.level][place]
                    self.ladder = acknowledge(self.settings.rules, self.ladder, ladder.name, name, ON_CALL)

    # ------------------------------------------------------------------ what people do

    def set_flag(
        self, key: str, variant: str, scope: Scope, by: Author, why: str, cause: int, seconds: float | None = None
    ) -> None:
        """Set a flag for one place as a person does, for ``seconds`` [s] if that is shorter than its file says."""
        flags, now = self.settings.flags, self.world.env.now
        self.flag_state, outcomes = set_flag(
            flags, self.flag_state, key, variant, scope, by, why, now, expires_after_seconds=seconds
        )
        self._take(outcomes, cause)

    def clear_flag(self, key: str, scope: Scope, by: Author, why: str, cause: int) -> None:
        """Take a flag back as a person does."""
        flags, now = self.settings.flags, self.world.env.now
        self.flag_state, outcomes = clear_flag(flags, self.flag_state, key, scope, by, why, now)
        self._take(outcomes, cause)

    def by_hand(self, do: Do, scope: Scope, by: Author, why: str, cause: int) -> None:
        """Carry out by hand what the ladder could ask for."""
        reason = Cause(Because.PEOPLE, f"{by.role} {by.identity}", None, why)
        action = Action(self.world.env.now, scope, do, reason)
        event = self._log(EventKind.RESPONSE, scope, f"{do}: {reason}", cause)
        self.hands.asked[event] = by
        if self.settings.told is not None:
            self.settings.told(ByHand(action, by), self.seen)
        self.world.env.process(self._later([(action, event)]))

    def _take(self, outcomes: Sequence[Change | ChangeRefused], cause: int) -> None:
        """Log what came of a change that a person asked for, and carry it out."""
        told: list[tuple[Action | Change, int]] = []
        for each in outcomes:
            if isinstance(each, Change):
                told.append((each, self._log_change(each, cause if each.by.is_person else None)))
            else:
                words = f"{each.flag} not changed: {each.reason}" + (f" ({each.detail})" if each.detail else "")
                self._log(EventKind.FLAG_REFUSED, each.scope, words, cause)
            if self.settings.told is not None:
                self.settings.told(each, self.seen)
        if told:
            self.world.env.process(self._later(told))

    # ------------------------------------------------------------------ what is told

    def _log_action(self, action: Action) -> int:
        kind = EventKind.ALERT if action.do is Do.ALERT else EventKind.RESPONSE
        return self._log(kind, action.scope, f"{action.do}: {action.reason}", self._rule_cause(action))

    def _rule_cause(self, action: Action) -> int | None:
        """What brought a business rule about: the flag that it looks at, which was set first, or was taken back last.

        None for what the ladder itself asks for.
        """
        because, scope = action.reason.because, action.scope
        if because not in (Because.BUSINESS, Because.BUSINESS_OVER):
            return None
        rule = next(each for each in self.settings.rules.business_rules if each.name == action.reason.rule)
        flags = self.settings.flags.flags
        events = [
            event
            for (flag, place), event in self.turned.items()
            if place == scope and flags[flag].kind in rule.kinds and (not rule.flags or flag in rule.flags)
        ]
        if because is Because.BUSINESS:
            events = [event for event in events if self.world.log[event]["kind"] == EventKind.FLAG_SET]
            return min(events, default=None)
        return max(events, default=None)

    def _log_change(self, change: Change, cause: int | None = None) -> int:
        over = change.kind in (ChangeKind.CLEARED, ChangeKind.EXPIRED)
        words = f"{change.flag} {change.kind}" if over else f"{change.flag} = {change.new}"
        kind = EventKind.FLAG_CLEARED if over else EventKind.FLAG_SET
        who = f" by {change.by.role} {change.by.identity}" if change.by.is_person else ""
        event = self._log(kind, change.scope, f"{words}{who}; {change.why}", cause)
        before = self.turned.get((change.flag, change.scope))
        if over or before is None or self.world.log[before]["kind"] == EventKind.FLAG_CLEARED:
            self.turned[change.flag, change.scope] = event  # a flag that stays set is set since the first time
        return event

    def _log(self, kind: EventKind, scope: Scope, detail: str, cause: int | None = None) -> int:
        """Log an event; its cause is the trouble with cooling that reaches the place, if nobody says another."""
        world = self.world
        if cause is None:
            cause = world.cause(world.cooling_causes, self.hands.racks_in(scope))
        root = "" if cause >= 0 else f"response in {scope}"
        return world.log.add(
            world.env.now, kind, scope.level.value, scope.name, cause=cause if cause >= 0 else EVENT_NONE, root=root,
            detail=detail,
        )  # fmt: skip

    # ------------------------------------------------------------------ what is done

    def _later(self, told: list[tuple[Action | Change, int]]) -> Steps:
        """Carry out what a look asked for, once software has taken it in."""
        yield self.world.env.timeout(self.settings.act_seconds)
        if any(isinstance(each, Change) for each, _ in told):
            self.degrade()
            self._switch_experiments()
        for each, event in told:
            if isinstance(each, Action) and each.do in self.hands.does:
                self.hands.does[each.do](self.hands.racks_in(each.scope), event)
            elif isinstance(each, Change) and each.by.is_person and self._drains(each):
                self.hands.empty(each.scope, event)  # the ladder has an action for it, people only the flag

    def _heed(self) -> Steps:
        """Let flags take effect whose rules say something else, once software has taken it in."""
        yield self.world.env.timeout(self.settings.act_seconds)
        self._follow_rules()

    def _follow_rules(self) -> None:
        """Let rules of flags take effect that nobody set. What they drain goes as what people drain does."""
        leaving = self.degrade()
        if leaving:
            words = f"rules of flags drain {len(leaving)} {'job' if len(leaving) == 1 else 'jobs'}"
            self.hands.let_go(leaving, self._log(EventKind.RESPONSE, Scope(Level.HALL, "hall"), words))

    def _drains(self, change: Change) -> bool:
        return change.new is not None and self.settings.flags.flags[change.flag].degradation(change.new).drain

    def degrade(self) -> list[JobRun]:
        """Let the flags that are set now take effect on admissions and on running work; returns, in the order of its
        numbers, work that they drain and did not before."""
        world, topology = self.world, self.world.topology
        drained = {number for number, run in world.running.items() if run.degradation().drain}
        found: dict[int, Degradation] = {}
        places = self._places()
        for rack, context in enumerate(places):
            each = degradation_in(self.settings.flags, self.flag_state, context, world.env.now)
            if each != AS_BUILT:
                found[rack] = each
        before, world.degraded = world.degraded, found
        for rack in range(len(topology.rack_names)):
            each = found.get(rack, AS_BUILT)
            world.admitting[rack] = each.admissions == "open" and not each.drain
        moved = np.zeros(len(topology.rack_names), dtype=bool)
        moved[[rack for rack in {*before, *found} if before.get(rack) != found.get(rack)]] = True
        of_services = self.of_services.turned_down(self.flag_state, places, found)
        before_of, world.degraded_services = world.degraded_services, of_services
        changed = {name for name in {*before_of, *of_services} if before_of.get(name) != of_services.get(name)}
        rack_of = topology.tray_rack
        for _, run in sorted(world.running.items()):
            if run.job.service in changed or moved[rack_of[run.trays]].any():
                run.degrade()
        self.of_services.hold(self.flag_state)
        world.wake()
        return [
            run for number, run in sorted(world.running.items()) if number not in drained and run.degradation().drain
        ]

    def _places(self) -> list[dict[str, str]]:
        """Where every rack is, as flags are asked."""
        topology = self.world.topology
        found = []
        for rack, name in enumerate(topology.rack_names):
            loop = int(topology.rack_loop[rack])
            found.append({"rack": name, "row": topology.row_names[int(topology.rack_row[rack])], "hall": "hall"})
            if loop >= 0:
                found[rack]["loop"] = topology.loop_names[loop]
        return found

    def _switch_experiments(self) -> None:
        """Note where experimental releases are switched off by their flags."""
        flags, now = self.settings.flags, self.world.env.now
        off = [
            each
            for each in self.flag_state.in_order()
            if flags.flags[each.flag].kind == Kind.ROLLOUT
            and each.variant == flags.flags[each.flag].default
            and each.expires_seconds > now
        ]
        of_work = {f"flag {each.flag} on {each.scope}": each.scope for each in off}
        self.world.experiments_off = {
            why: self.hands.racks_in(scope) for why, scope in of_work.items() if scope.level is not Level.SERVICE
        }
        self.world.services_off = {why: scope.name for why, scope in of_work.items() if scope.level is Level.SERVICE}
