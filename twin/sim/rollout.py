"""A release on its way through the hall: at every look what is seen goes to rollout control, and its step is taken.

Nothing here decides: the plan's state machine, the choice of canaries, the judge and the projection are
:mod:`twin.policy`'s. Every decision that differs from the one before is told, and those that people care about are
events.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import simpy

from twin.policy.canary import CanaryRule, Strategy
from twin.policy.projection import Projection, Standing
from twin.policy.rollout import (
    Action,
    Ground,
    Plan,
    RolloutState,
    Rule,
    Seen,
    Signal,
    Step,
    decide_rollout,
)
from twin.policy.snapshot import FacilitySnapshot
from twin.policy.trial import Outcome
from twin.results.kinds import EventKind
from twin.sim import actions
from twin.sim.canary_trial import Trial, told
from twin.sim.deployment import Deployment
from twin.sim.effects import Effect, Hands
from twin.sim.releases import ROLL_OUT, Release, RolloutSettings, Told, release_of
from twin.sim.rollout_alerts import throttle_sentence
from twin.sim.rollout_signals import signals_of
from twin.sim.scheduler import Scheduler
from twin.sim.staging import Staging
from twin.sim.world import World

Steps = Generator[simpy.Event, Any, None]

ROLES = "roles_assigned"
#: rules that hold a rollout in the ordinary course of its pacing
PACING = frozenset({Rule.SOAK, Rule.STAGING_OPEN})
#: rules that wait for the judge while it has looks left
AWAITED = frozenset({Rule.NOT_PASSED, Rule.NOT_PROJECTED})
START_SECONDS = 900.0  # that racks may take to come up with the release


class Rollout:
    """One rollout in one run, and what became of it."""

    def __init__(
        self,
        world: World,
        scheduler: Scheduler,
        settings: RolloutSettings,
        release: Release,
        event: int,
        gpus_per_tray: int,
    ) -> None:
        self.world = world
        if release.window_seconds is not None:
            settings = replace(settings, window_seconds=release.window_seconds)
        self.settings = settings
        self.release = release
        self.event = event  # that started it
        rule = settings.canary
        if release.strategy is not None and not settings.strategy_fixed:
            rule = replace(rule, strategy=release.strategy)
        topology = world.topology
        self.cell = np.flatnonzero(~topology.rack_production).tolist()
        self.deployment = Deployment(world, release, settings.window_seconds + 2.0 * settings.period_seconds)
        self.targets = self.deployment.targets()
        self.plan = self._plan(settings.plan, rule, release)
        canary = next((stage for stage in self.plan.stages if stage.judged), None)
        first = canary or next(stage for stage in self.plan.stages if not stage.staging)
        count = max(first.racks, int(np.ceil(first.share * len(self.targets) - 1e-9)))
        self.trial = Trial(self.deployment, settings, rule, min(count, len(self.targets)), first.soak_seconds)
        self.rule = rule
        self.staging = Staging(self.deployment, scheduler, self.plan, settings.test_seconds, gpus_per_tray)
        self.state = RolloutState()
        self.step: Step | None = None
        self.projection: Projection | None = None
        self.started = world.env.now
        self.canary_seconds: float | None = None  # when canary racks got it
        self.verdict_seconds: float | None = None
        self.ended: float | None = None
        self.settled = False  # all that its end asked for is done
        self.reached: set[int] = set()  # production racks that have had it
        self.held = False  # by more than its pacing
        self._why: frozenset[Any] = frozenset()
        self._put_seconds = self.started  # of the last batch
        self._short = ""  # why there are no canaries
        self._ready = False  # canaries have been read before
        self._read = len(world.slowed)  # racks that throttled, read so far
        self._alerted: dict[int, int] = {}  # racks whose throttling people know of → event of the alert

    def _plan(self, plan: Plan, rule: CanaryRule, release: Release) -> Plan:
        """The plan in this hall, as the story has it."""
        if not self.cell:
            plan = plan.without_cell()
        plan = plan.in_batches(max(1, int(self.settings.most_at_once * len(self.targets))))
        if release.soak_seconds is not None:
            plan = plan.soaking(release.soak_seconds)
        return plan.first_alone() if rule.strategy is Strategy.TWO_STAGE else plan

    # ------------------------------------------------------------------ in time

    def process(self) -> Steps:
        """Look at every period until the release is everywhere or nowhere.

        Releases of one service or kind of job go one after another: which racks go back would not be told otherwise. So
        do releases in the staging cell, whose racks tell of one at a time.
        """
        world, settings = self.world, self.settings
        while (other := self._ahead()) is not None:
            if not self.held:
                self._log(EventKind.ROLLOUT_HELD, f"the rollout of {other} is under way")
            self.held = True
            yield world.env.timeout(settings.period_seconds)
        self.held = False
        strategy = f"canaries by {self.rule.strategy}"
        cell = "" if self.cell else ", no staging cell here: its stage and tests are left out"
        self._log(EventKind.ROLLOUT_STARTED, f"of {self.release.work}, {strategy}{cell}", float(len(self.targets)))
        while self.ended is None:
            step = self.look()
            if step.action is Action.ROLL_BACK:
                yield from self._go_back(step)
            elif step.action is Action.DONE:
                self._finish(step)
            else:
                yield world.env.timeout(settings.period_seconds)

    def _ahead(self) -> str | None:
        """An earlier release that is under way, of the same work or still in the staging cell that both need."""
        for each in self.world.rollouts:
            if each is self:
                return None
            if each.settled and not each.staging.busy:
                continue
            in_cell = self.plan.in_cell and each.plan.in_cell and (each.staging.busy or not each.state.placed)
            if in_cell or (each.release.work == self.release.work and not each.settled):
                return each.release.name
        return None

    def look(self) -> Step:
        """See, decide, and put the release where the decision says."""
        world = self.world
        snapshot = world.snapshot()
        self.deployment.count()
        running = self.deployment.running()
        self._alert(snapshot)
        self._try(snapshot, running)
        seen = self._seen(snapshot, running)
        names = world.topology.rack_names
        staging = [names[rack] for rack in self.cell]
        step, after = decide_rollout(self.plan, self.state, seen, staging, self._order())
        self._tell(step)
        self.state, self.step = after, step
        if step.action is Action.CONTINUE:
            self._put(step)
        return step

    def _order(self) -> list[str]:
        """Production racks in the order to take them; none before there are canaries."""
        if not self.trial.canaries:
            return []
        canaries = self.trial.canaries
        names = [self.world.topology.rack_names[rack] for rack in self.targets]
        return [*canaries, *(name for name in names if name not in canaries)]

    def _try(self, snapshot: FacilitySnapshot, running: frozenset[str]) -> None:
        """Choose and read canaries, and let the judge look, each in its time."""
        trial = self.trial
        if self.state.placed:
            verdict = trial.judge(snapshot, running)
            if verdict is not None:
                self.verdict_seconds = self.world.env.now
                self._log(EventKind.CANARY_VERDICT, " | ".join(verdict.lines()), verdict.smallest_p)
            self.projection = trial.project(snapshot, self.targets)
            if verdict is not None and self.projection is not None and self.projection.standing is not Standing.FITS:
                trial.look_again()
                self.projection = trial.project(snapshot, self.targets)
            return
        if len(self.staging.results) < len(self.plan.staging_tests) or not all(self.staging.results.values()):
            return  # whom to try is asked once staging is passed
        places = [self.world.rack_index[rack] for rack in trial.canaries]
        if places and not (snapshot.rack_healthy & snapshot.rack_admitting)[places].all():
            trial.again()
        if not trial.canaries:
            self._short = trial.choose(snapshot)
            if trial.canaries:
                against = f", against {len(trial.controls)} controls" if trial.design is not None else ""
                detail = f"{', '.join(trial.canaries)} by {self.rule.strategy}{against}"
                self._log(EventKind.CANARY_CHOSEN, detail, float(len(trial.canaries)))
        self._ready = trial.read_before(snapshot)

    def _seen(self, snapshot: FacilitySnapshot, running: frozenset[str]) -> Seen:
        """All that a decision is taken from."""
        heat = self.plan.limits.get("temperature_rise")
        every = signals_of(
            self.deployment, snapshot, self.settings.signal_seconds, running, self.targets,
            self.trial.baseline(), 0.0 if heat is None else heat.roll_back,
        )  # fmt: skip
        if not self.deployment.on:
            every = dict.fromkeys(every, Signal(0.0, 0.0))
        readiness: dict[str, bool | None] = {
            item: item not in self.release.not_ready for item in self.plan.readiness if item != ROLES
        }
        readiness[ROLES] = self._ready and ROLES not in self.release.not_ready
        return Seen(
            now_seconds=self.world.env.now,
            signals={name: every[name] for name in self.plan.limits},
            running=running,
            readiness=readiness,
            staging_tests=dict(self.staging.results),
            verdict=self.trial.outcome,
            projection=None if self.projection is None else self.projection.standing,
            frozen=self._frozen(),
        )

    def _frozen(self) -> str:
        """Why the response ladder lets nothing be deployed where this release goes."""
        world, reach = self.world, [*self.cell, *self.targets]
        off = world.experiments_off if self.release.experimental else {}
        found = [why for why, racks in {**world.frozen, **off}.items() if racks[reach].any()]
        if self.release.experimental and self.release.is_service:
            found += [why for why, service in world.services_off.items() if service == self.release.work]
        return "; ".join(sorted(found))

    # ------------------------------------------------------------------ what a decision asks for

    def _put(self, step: Step) -> None:
        """Put the release on the racks of a batch."""
        world = self.world
        self._put_seconds = world.env.now
        racks = [world.rack_index[name] for name in step.racks]
        event = self._log(EventKind.ROLLOUT_STAGE, f"{step.stage}: {', '.join(step.racks)}", float(len(racks)))
        if not self.deployment.on and set(racks) <= set(self.cell):
            world.env.process(self.staging.process(racks, event))
        elif self.canary_seconds is None:
            self.canary_seconds = world.env.now
        self.reached |= set(racks) - set(self.cell)
        self.deployment.put(racks, event)

    def _go_back(self, step: Step) -> Steps:
        """Take the release off, the latest racks first, one after another."""
        world = self.world
        cause = max(self._alerted.values(), default=self.event)
        event = self._log(EventKind.ROLLOUT_ROLLED_BACK, self._reasons(step), float(len(step.racks)), cause)
        self.ended = world.env.now
        for place, name in enumerate(step.racks):
            if place:
                yield world.env.timeout(self.settings.take_back_seconds)
                self._alert(world.snapshot())  # racks that still have it may throttle
            self.deployment.take(world.rack_index[name], event)
        self.settled = True

    def _finish(self, step: Step) -> None:
        event = self._log(EventKind.ROLLOUT_DONE, self._reasons(step), float(len(self.reached)))
        self.ended = self.world.env.now
        self.deployment.spread(event)
        self.settled = True

    # ------------------------------------------------------------------ what is told

    def _tell(self, step: Step) -> None:
        """Tell a decision that is not like the last one; a hold by more than pacing is an event."""
        why = frozenset((ground.rule, ground.about) for ground in step.grounds)
        before = (self.step.action if self.step else None, self._why, self.held)
        held = step.action is Action.HOLD and any(not self._paced(ground) for ground in step.grounds)
        self._why, self.held = why, held
        if (step.action, why, held) == before and not step.racks:
            return
        if self.settings.told is not None:
            self.settings.told(Told(self.release.name, self.world.env.now, step))
        if held:
            self._log(EventKind.ROLLOUT_HELD, self._reasons(step))

    def _paced(self, ground: Ground) -> bool:
        """Whether a ground is but the ordinary waiting of a rollout."""
        if ground.rule in PACING:
            return True
        if ground.rule is Rule.NOT_RUNNING:
            return self.world.env.now - self._put_seconds <= START_SECONDS
        if ground.rule in AWAITED:
            return not self.trial.over and self.trial.outcome in (None, Outcome.INCONCLUSIVE)
        waits = not self._short and ROLES not in self.release.not_ready
        return waits and (ground.rule is Rule.NO_RACKS or (ground.rule is Rule.NOT_READY and ground.about == ROLES))

    def _reasons(self, step: Step) -> str:
        said = [str(ground) for ground in step.grounds]
        if any(ground.rule in (Rule.PROJECTED_OVER, Rule.NOT_PROJECTED) for ground in step.grounds):
            said += [told(self.projection)] if self.projection is not None else []
        if self._short and any(ground.about == ROLES or ground.rule is Rule.NO_RACKS for ground in step.grounds):
            said.append(self._short)
        return f"{step.stage}: " + "; ".join(said)

    def _alert(self, snapshot: FacilitySnapshot) -> None:
        """Tell people of racks with the release that throttled since the last look, each once."""
        world = self.world
        new, self._read = world.slowed[self._read :], len(world.slowed)
        for rack, slowed in new:
            if rack in self.deployment.on and rack not in self._alerted:
                name = world.topology.rack_names[rack]
                role = "canary" if name in self.trial.canaries else "staging rack" if rack in self.cell else "rack"
                detail = throttle_sentence(snapshot, rack, role, self.release.name)
                self._alerted[rack] = world.log.add(
                    world.env.now, EventKind.ALERT, "rack", name, cause=slowed, detail=detail
                )

    def _log(self, kind: EventKind, detail: str, value: float | None = None, cause: int | None = None) -> int:
        return self.world.log.add(
            self.world.env.now, kind, "hall", self.release.name, cause=self.event if cause is None else cause,
            value=value, detail=detail,
        )  # fmt: skip

    # ------------------------------------------------------------------ what became of it

    @property
    def outcome(self) -> str:
        """done, rolled back, held or running."""
        if self.state.ended is Action.DONE:
            return "done"
        if self.state.ended is Action.ROLL_BACK:
            return "rolled back"
        return "held" if self.held else "running"

    @property
    def reason(self) -> str:
        """What its last decision rests on."""
        return "" if self.step is None else self._reasons(self.step)


def roll_out(hands: Hands, action: actions.Action, event: int) -> None:
    """A release begins its way through the hall."""
    world, settings = hands.world, hands.world.settings.rollout
    assert settings is not None, "refused before the clock started: releases.misfits"
    rollout = Rollout(world, hands.scheduler, settings, release_of(action), event, hands.gpus_per_tray)
    world.rollouts.append(rollout)
    world.env.process(rollout.process())


EFFECTS: dict[str, Effect] = {ROLL_OUT: roll_out}
