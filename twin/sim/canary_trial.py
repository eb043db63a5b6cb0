"""The trial of a release: racks are chosen, then read for a while, then they get it; and the judge compares.

The window that chooses is before the one that is read *before*: what made a rack be chosen says nothing of its change.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from twin.policy.canary import CanaryRule, Chosen, candidates_of, choose_canaries
from twin.policy.headroom import amperes_per_watt, readings
from twin.policy.judge import judge_canary, window_means
from twin.policy.matching import Matching, match
from twin.policy.projection import Level, Projection, Standing, members, project, shown
from twin.policy.rollout_signals import Baseline
from twin.policy.snapshot import FacilitySnapshot
from twin.policy.trial import Design, JudgeState, Outcome, Readings, Verdict, Window, Windows
from twin.sim.deployment import Deployment, Runs
from twin.sim.releases import METERS, RolloutSettings
from twin.workload.jobs import JobKind

Floats = NDArray[np.float64]

COVARIATES = ("rack_supply_temperature_celsius", "rack_device_temperature_celsius", "rack_power_watts")
LINGERS_SECONDS = 300.0  # that a rack tells of heat of work that has begun or ended
ENOUGH_ALONE = 3  # racks with nothing but the release's work, for each canary: then only such racks are controls
NOT_ENOUGH = "fewer racks may be canaries than are asked for"


class Trial:
    """Canary racks of one release, their controls, and what the judge says of them. ``design`` None: nobody judges."""

    def __init__(
        self, deployment: Deployment, settings: RolloutSettings, rule: CanaryRule, count: int, soak_seconds: float
    ) -> None:
        self.deployment = deployment
        self.world = deployment.world
        self.settings = settings
        self.rule = rule
        self.count = count  # canary racks to choose
        self.design: Design | None = None
        if settings.design is not None:
            self.design = replace(settings.design, seed=self.world.seed)
        self.soak_seconds = soak_seconds
        self.chosen: Chosen | None = None
        self.matching: Matching | None = None
        self.selection: Window | None = None
        self.before_window: Window | None = None
        self.before: dict[str, Floats] = {}  # metric → means by rack
        self.company: list[Runs] = []  # by rack, what else ran there then
        self._settled = np.ones(len(self.world.topology.rack_names), dtype=bool)  # its own work was up long before
        self.state: JudgeState | None = None
        self.verdict: Verdict | None = None
        self._up_since: float | None = None  # when all canaries were first confirmed
        self._since: list[tuple[Window, dict[str, Floats]]] = []  # windows since then, one after another
        self._looks = 0

    # ------------------------------------------------------------------ who

    @property
    def canaries(self) -> tuple[str, ...]:
        """Racks chosen; none before there are enough."""
        return () if self.chosen is None else self.chosen.racks

    @property
    def controls(self) -> tuple[str, ...]:
        """Racks that they are compared with."""
        return () if self.matching is None else self.matching.controls

    def choose(self, snapshot: FacilitySnapshot) -> str:
        """Choose canaries and controls by the last readings; says why not where there are not enough, else nothing."""
        world, release = self.world, self.deployment.release
        if not self.count:
            return f"no production rack runs {release.work}"
        hosts = self.deployment.hosts()
        eligible = hosts & snapshot.rack_production & snapshot.rack_healthy & snapshot.rack_admitting
        canaries = eligible
        if self.design is not None:
            # the judge then sees the release, and not what jobs beside it do
            eligible = eligible & (world.env.now - self.deployment.own_since >= LINGERS_SECONDS)
            alone = eligible & np.array([not each for each in self.deployment.company])
            canaries = alone if np.count_nonzero(alone) >= self.count else eligible
            eligible = alone if np.count_nonzero(alone) >= ENOUGH_ALONE * self.count else eligible
        kind = JobKind.INFERENCE.value if release.is_service else release.work
        found = candidates_of(snapshot, canaries, self.settings.permitted, self.settings.formula, kind)
        chosen = choose_canaries(self.rule, found, self.count, seed=world.seed, release=release.name)
        if len(chosen.racks) < self.count:
            against = "; ".join(f"{rack}: {reason}" for rack, reason in chosen.left_out[:3])
            return f"{NOT_ENOUGH}: {len(chosen.racks)} of {self.count}" + (f" ({against})" if against else "")
        now = world.env.now
        self.chosen = chosen
        self.selection = Window(now - self.settings.window_seconds, now)
        if self.design is not None:
            self.matching = self._match(snapshot, eligible, self.selection, self.design.controls)
        return ""

    def _match(self, snapshot: FacilitySnapshot, eligible: NDArray[np.bool_], window: Window, count: int) -> Matching:
        """Controls like the canaries in coolant, heat, power, trays of the release's work, class and loop."""
        topology = self.world.topology
        covariates = {name: self._means(snapshot, name, window) for name in COVARIATES}
        covariates["trays"] = self.deployment.weights()
        categories = {
            "class": [rack.rack_class.name for rack in topology.hall.racks],
            "loop": topology.rack_loop.tolist(),
        }
        return match(
            topology.rack_names, self.canaries, covariates, categories, exact=("class",),
            eligible=self._apart(eligible, count), controls=count,
        )  # fmt: skip

    def _apart(self, eligible: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
        """Racks that do not stand beside a canary, whose heat they would have a part of; all where too few are left."""
        world = self.world
        chosen = np.zeros(len(eligible), dtype=bool)
        chosen[[world.rack_index[rack] for rack in self.canaries]] = True
        has, beside, _ = world.facility.beside
        apart = eligible & ~(has & chosen[beside]).any(axis=1)
        return apart if np.count_nonzero(apart & ~chosen) >= count else eligible

    def again(self) -> None:
        """Forget the choice: somebody of it may be a canary no more."""
        self.chosen = self.matching = self.selection = self.before_window = None

    # ------------------------------------------------------------------ before and after

    def read_before(self, snapshot: FacilitySnapshot) -> bool:
        """Read the window before the release, if it is over; whether canaries may get the release now."""
        if self.chosen is None or self.selection is None:
            return False
        if self.design is None:
            return True
        now, seconds = self.world.env.now, self.settings.window_seconds
        if now - seconds < self.selection.end_seconds:
            return False
        window = Window(now - seconds, now)
        means = self._all_means(snapshot, window)
        if not self._tells_canaries(means):
            return False
        self.before_window, self.before, self.company = window, means, list(self.deployment.company)
        self._settled = window.begin_seconds - self.deployment.own_since >= LINGERS_SECONDS
        return True

    def _tells_canaries(self, means: dict[str, Floats]) -> bool:
        """Whether all metrics of all canaries are known."""
        places = [self.world.rack_index[rack] for rack in self.canaries]
        return all(np.isfinite(values[places]).all() for values in means.values())

    def _all_means(self, snapshot: FacilitySnapshot, window: Window) -> dict[str, Floats]:
        assert self.design is not None
        return {metric.name: self._meter(snapshot, metric.name, window) for metric in self.design.metrics}

    def _meter(self, snapshot: FacilitySnapshot, metric: str, window: Window) -> Floats:
        """A metric's mean over a window, by rack."""
        field = METERS[metric]
        if field is not None:
            return self._means(snapshot, field, window)
        deployment = self.deployment
        counted = {
            "error_rate": deployment.error_rates,
            "late_share": deployment.late_shares,
            "served_ratio": deployment.served_ratios,
            "throttled_share": deployment.throttled_shares,
        }
        return counted[metric](window.begin_seconds, window.end_seconds)

    def _means(self, snapshot: FacilitySnapshot, field: str, window: Window) -> Floats:
        past = snapshot.histories.get(field)
        if past is None:
            return np.full(len(snapshot.rack_names), np.nan)
        return window_means(past.time_seconds, past.values, past.quality, window)

    def judge(self, snapshot: FacilitySnapshot, running: frozenset[str]) -> Verdict | None:
        """The verdict of a look that is due now, else None."""
        now, settings = self.world.env.now, self.settings
        if self.design is None or self.before_window is None or self.over:
            return None
        if self._up_since is None:
            if self.canaries and set(self.canaries) <= running:
                self._up_since = now
            return None
        last = self._since[-1][0].end_seconds if self._since else self._up_since
        if now - last >= settings.window_seconds:
            done = Window(now - settings.window_seconds, now)
            found = self._all_means(snapshot, done)
            if self._tells_canaries(found):
                self._since.append((done, found))
        span = max(self.soak_seconds, settings.window_seconds)
        due = self._up_since + span * (self._looks + 1) / settings.looks
        if now < due:
            return None
        if now - settings.window_seconds < self._up_since:
            self._looks += 1
            return None  # a look so early has no window of its own
        assert self.selection is not None
        window = Window(now - settings.window_seconds, now)
        after = self._all_means(snapshot, window)
        if not self._tells_canaries(after):
            return None  # nothing could come of it: it waits for readings
        self._looks += 1
        window, after = self._all_since(window, after)
        racks = (*self.canaries, *self.controls)
        places = [self.world.rack_index[rack] for rack in racks]
        compared = Readings(
            racks,
            np.array([rack in self.canaries for rack in racks]),
            {name: values[places] for name, values in self.before.items()},
            {name: values[places] for name, values in after.items()},
            Windows(self.selection, self.before_window, window),
        )
        fraction = self._looks / settings.looks
        self.verdict, self.state = judge_canary(
            self.design, self.deployment.release.name, compared, fraction, self.state
        )
        return self.verdict

    def _all_since(self, window: Window, means: dict[str, Floats]) -> tuple[Window, dict[str, Floats]]:
        """All that was read since the canaries' start has faded: means of the last window and of whole ones before it.

        A rack has readings where half of the windows have them. What wanders in minutes averages out of an hour.
        """
        assert self._up_since is not None
        first = self._up_since + LINGERS_SECONDS
        earlier = [
            (each, found)
            for each, found in self._since
            if each.begin_seconds >= first and each.end_seconds <= window.begin_seconds
        ]
        if not earlier:
            return window, means
        after = {}
        for name, last in means.items():
            every = np.array([*(found[name] for _, found in earlier), last])
            known = np.isfinite(every)
            count = known.sum(axis=0)
            total = np.where(known, every, 0.0).sum(axis=0)
            after[name] = np.where(2 * count >= len(every), total / np.maximum(count, 1), np.nan)
        return Window(earlier[0][0].begin_seconds, window.end_seconds), after

    def look_again(self) -> None:
        """Let a pass at an early look wait for the last one, which knows more. It is none until then."""
        if self.state is not None and self.outcome is Outcome.PASS and self._looks < self.settings.looks:
            self.state = replace(self.state, decided=None)

    @property
    def over(self) -> bool:
        """Whether the judge has said pass or fail, or had its last look."""
        decided = self.state is not None and self.state.decided is not None
        return decided or self._looks >= self.settings.looks

    def baseline(self) -> Baseline | None:
        """Device temperatures before the release, and the racks whose heat now tells of it; None before they were read.

        Witnesses had and have nothing else to run. Where the release is on none such, they have the same other work as
        then: a job that begins or ends beside it heats or cools a rack more than a release does, and for some minutes
        after. So does its own work that was just coming up then.
        """
        then = self.before.get("temperature")
        if then is None:
            return None
        deployment = self.deployment
        both = list(zip(self.company, deployment.company, strict=True))
        calm = self.world.env.now - deployment.company_since >= self.settings.signal_seconds + LINGERS_SECONDS
        calm &= self._settled
        alone = calm & np.array([not a and not b for a, b in both])
        same = calm & np.array([a == b for a, b in both])
        return Baseline(then, alone if alone[list(deployment.on)].any() else same)

    @property
    def outcome(self) -> Outcome | None:
        """What the judge says; None before its first look."""
        return None if self.verdict is None else self.verdict.outcome

    # ------------------------------------------------------------------ full rollout

    def project(self, snapshot: FacilitySnapshot, targets: list[int]) -> Projection | None:
        """What the canary's change adds up to on everything above the racks; None before the judge is done.

        A rack's change is in proportion to the trays that the release's work holds there. Loads are means over the
        window that the judge compares, as the change is: the requests that a replica gets wander within minutes.
        """
        if self.verdict is None or not self.over or not self.verdict.metrics or snapshot.facility is None:
            return None
        facility, permitted, deployment = snapshot.facility, self.settings.permitted, self.deployment
        racks, on = len(snapshot.rack_names), list(deployment.on)
        trays = deployment.weights()
        mean = float(np.mean([trays[self.world.rack_index[rack]] for rack in self.canaries]))
        weight = trays / mean if mean > 0.0 else np.ones(racks)
        power = self._lately(snapshot, "rack_power_watts")
        loops = members(snapshot.rack_loop, len(snapshot.loop_names))
        per_watt = amperes_per_watt(facility, np.asarray(snapshot.breaker_closed))
        gain = np.zeros((len(facility.limit_names), racks))
        for depth in range(facility.rack_limits.shape[1]):
            limits = facility.rack_limits[:, depth]
            known = np.flatnonzero(limits >= 0)
            gain[limits[known], known] += per_watt[known, depth]
        levels = [
            Level(
                "limit", "A", facility.limit_names,
                facility.limit_amperes(
                    self._lately(snapshot, "phase_current_amperes"), self._lately(snapshot, "breaker_current_amperes")
                ),
                permitted.limit_utilisation * facility.limit_rating_amperes, gain * weight, "power",
            ),
            Level(
                "loop", "W", snapshot.loop_names, np.where(loops > 0.0, power, 0.0).sum(axis=1),
                permitted.loop_utilisation * facility.loop_capacity_watts, loops * weight, "power",
            ),
            Level(
                "rack", "W", snapshot.rack_names, power, permitted.rack_utilisation * snapshot.rack_max_power_watts,
                np.eye(racks) * weight, "power",
            ),
        ]  # fmt: skip
        changes = shown(self.verdict)
        if "served_ratio" in changes and deployment.service is not None and trays.sum() > 0.0:
            # what each replica bears less, all of them are busier
            busy = deployment.busiest(self.world.env.now - self.settings.window_seconds)
            gain_busy = -busy * (trays / trays.sum())[None, :]
            gain_busy[:, on] = 0.0  # no mean: what they change is in it
            levels.append(
                Level("service", "1", (deployment.service.service.name,), np.array([busy]),
                      np.array([self.settings.most_busy]), gain_busy, "served_ratio")
            )  # fmt: skip
        target = np.zeros(racks, dtype=bool)
        target[targets] = True
        done = np.zeros(racks)  # part of the window for which they had it
        had = np.array([self.world.env.now - deployment.up_since.get(rack, np.inf) for rack in on])
        done[on] = np.clip(had / self.settings.window_seconds, 0.0, 1.0)
        # what a full rollout does not touch is not its doing
        touched = [_only(level, np.asarray((level.gain[:, target] != 0.0).any(axis=1))) for level in levels]
        return project(touched, changes, target, done)

    def _lately(self, snapshot: FacilitySnapshot, field: str) -> Floats:
        """Mean of a field over the judge's window until now; NaN with too few readings, or where the latest is none."""
        now, latest = self.world.env.now, readings(snapshot, field)
        past = snapshot.histories.get(field)
        if past is None:
            return np.full(len(latest), np.nan)
        window = Window(now - self.settings.window_seconds, now)
        means = window_means(past.time_seconds, past.values, past.quality, window)
        return np.where(np.isfinite(latest), means, np.nan)


def _only(level: Level, keep: NDArray[np.bool_]) -> Level:
    """The things of a level that are kept."""
    names = tuple(name for name, kept in zip(level.names, keep, strict=True) if kept)
    return replace(level, names=names, present=level.present[keep], limit=level.limit[keep], gain=level.gain[keep])


def told(projection: Projection) -> str:
    """What stands against a full rollout, the worst of it."""
    if projection.standing is Standing.FITS:
        return str(projection.standing)
    worst = next(thing for thing in projection.against if thing.standing is projection.standing)
    more = len(projection.against) - 1
    return f"{worst}" + (f", and {more} more" if more else "")
