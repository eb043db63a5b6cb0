"""A release on racks: putting it there and taking it off, which racks are seen to run it, and what software counts."""

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.sim.releases import Release
from twin.sim.runner import JobRun
from twin.sim.services import ServiceRun
from twin.sim.world import World

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Runs = frozenset[tuple[int, int]]  # numbers of runs with their starts


@dataclass(frozen=True)
class Counted:
    """Sums at one look, by rack: requests served, failed and late, device-seconds with a throttled clock; and what held
    at that time: the greatest power at inlets [W] that was declared of racks with the release (0 for others), trays of
    the release's work, and how busy its service was [1]."""

    time: float
    served: Floats
    failed: Floats
    late: Floats
    throttled: Floats
    declared_peak: Floats
    trays: Floats
    busy: float


class Deployment:
    """One release in one run."""

    def __init__(self, world: World, release: Release, keep_seconds: float) -> None:
        self.world = world
        self.release = release
        self.on: dict[int, int] = {}  # rack with the release → event that put it there
        self.throttled: dict[int, float] = {}  # rack → GPU-seconds throttled while it had the release
        self._since: dict[int, float] = {}  # rack → its throttled GPU-seconds when it got the release
        self._up: set[int] = set()  # racks that were seen up at the last look
        self.up_since: dict[int, float] = {}  # rack with the release → s, when it was first seen up with it
        self._kept: deque[Counted] = deque()
        self._keep = keep_seconds
        self.own_since = np.full(len(world.topology.rack_names), -np.inf)  # s, when its own work there last changed
        self.company_since = self.own_since.copy()  # and when what else runs there did
        self.service: ServiceRun | None = world.services.get(release.work) if release.is_service else None
        if self.service is not None:
            self.service.watch_answers(len(world.topology.rack_names))
        self._places: dict[int, tuple[int, tuple[int, ...]]] = {}  # run → start, and the racks that it has since
        self._own, self.company = self._occupants()  # by rack, at the last look

    # ------------------------------------------------------------------ racks

    def targets(self) -> list[int]:
        """Production racks to reach: of a service those that have replicas, of images all; spread over loops.

        The first by name of every loop comes before the second of any, so that a batch is spread over heat zones.
        """
        topology = self.world.topology
        reach = topology.rack_production.copy()
        if self.release.is_service:
            reach &= self.weights() > 0.0
        racks = sorted(np.flatnonzero(reach).tolist(), key=lambda rack: topology.rack_names[rack])
        before: Counter[int] = Counter()
        turns = {}
        for rack in racks:
            loop = int(topology.rack_loop[rack])
            turns[rack] = before[loop]
            before[loop] += 1
        return sorted(racks, key=lambda rack: (turns[rack], topology.rack_names[rack]))

    def weights(self) -> Floats:
        """Trays of every rack that work of this release holds, shape (R,)."""
        topology = self.world.topology
        found = np.zeros(len(topology.rack_names))
        for run in self._runs():
            np.add.at(found, topology.tray_rack[run.trays], 1.0)
        return found

    def hosts(self) -> Bools:
        """Racks on which something of this release's service stands as a whole and is up; of images, any rack."""
        topology = self.world.topology
        found = np.zeros(len(topology.rack_names), dtype=bool)
        if not self.release.is_service:
            return np.asarray(topology.rack_production.copy())
        for run in self._runs():
            racks = self._racks_of(run)
            if run.serving and len(racks) == 1:
                found[racks[0]] = True
        return found

    def _runs(self) -> list[JobRun]:
        """What runs of the release's service or kind of job, in the order of numbers."""
        running = sorted(self.world.running.items())
        return [run for _, run in running if run.image == self.release.work]

    # ------------------------------------------------------------------ put and take

    def put(self, racks: list[int], event: int) -> None:
        """Put the release on racks: replicas there start again with it, jobs when they next start."""
        for rack in racks:
            self.world.images.put(self.release.work, rack, self.release.build)
            self.on[rack] = event
            self._since[rack] = self._slow(rack)
        if self.release.is_service:
            self._renew(event)

    def take(self, rack: int, event: int) -> None:
        """Take the release off a rack: what runs with it starts again with the build before."""
        self.world.images.take(self.release.work, rack)
        if self.on.pop(rack, None) is not None:
            self.throttled[rack] = self.throttled.get(rack, 0.0) + self._slow(rack) - self._since.pop(rack)
        self._up.discard(rack)
        self.up_since.pop(rack, None)
        self._renew(event)

    def spread(self, event: int) -> None:
        """Make the release the build that is everywhere, also on racks that had nothing to run it."""
        self.world.images.spread(self.release.work, self.release.build)
        if self.release.is_service:
            self._renew(event)

    def _renew(self, event: int) -> None:
        """Start again what does not run the build that its racks have."""
        images = self.world.images
        for run in self._runs():
            due = images.of(run.image, self._racks_of(run))
            with_release = run.build == self.release.build
            if due != run.build and (with_release or due == self.release.build):
                run.renew(event)

    # ------------------------------------------------------------------ what is seen

    def running(self) -> frozenset[str]:
        """Names of racks on which the release is confirmed: in service, and all that it concerns up since a look."""
        up = {rack for rack in self.on if self._is_up(rack)}
        confirmed, self._up = up & self._up, up
        for rack in up:
            self.up_since.setdefault(rack, self.world.env.now)
        return frozenset(self.world.topology.rack_names[rack] for rack in confirmed)

    def _is_up(self, rack: int) -> bool:
        world = self.world
        if not world.in_service[rack]:
            return False
        if not (self.release.is_service and world.topology.rack_production[rack]):
            return True
        runs = [run for run in self.on_rack(rack) if run.image == self.release.work]
        whole = [run for run in runs if len(self._racks_of(run)) == 1]
        return all(run.serving and run.build == self.release.build for run in whole)

    def on_rack(self, rack: int) -> list[JobRun]:
        """What runs on a rack, in the order of numbers."""
        found = {run.number: run for tray in self.world.trays_of(rack) if (run := self.world.holder[tray]) is not None}
        return [found[number] for number in sorted(found)]

    def _occupants(self) -> tuple[list[Runs], list[Runs]]:
        """What is up of the release's own work on every rack, and what else runs there."""
        racks = len(self.world.topology.rack_names)
        own: list[set[tuple[int, int]]] = [set() for _ in range(racks)]
        company: list[set[tuple[int, int]]] = [set() for _ in range(racks)]
        for number, run in self.world.running.items():
            mine = run.image == self.release.work
            if mine and run.endless and not run.serving:
                continue
            for rack in self._racks_of(run):
                (own if mine else company)[rack].add((number, run.starts))
        return list(map(frozenset, own)), list(map(frozenset, company))

    def _racks_of(self, run: JobRun) -> tuple[int, ...]:
        """Racks that a run has trays in; looked up once for each of its starts."""
        found = self._places.get(run.number)
        if found is None or found[0] != run.starts:
            racks = tuple(np.unique(self.world.topology.tray_rack[run.trays]).tolist())
            found = self._places[run.number] = (run.starts, racks)
        return found[1]

    def _declared_peaks(self, racks: Ints) -> Floats:
        """Greatest power at inlets of ``racks`` [W], by what owners of their work declared of the builds before.

        Of a rack that runs nothing of the release it is the nameplate: it tells nothing of the release's peak.
        """
        world = self.world
        idle, span = world.tray_nameplate
        trays = idle.copy()
        without = np.ones(len(racks), dtype=bool)
        for place, rack in enumerate(racks.tolist()):
            for run in self.on_rack(rack):
                without[place] &= run.image != self.release.work
                service = world.services.get(run.job.service or "")
                phases = [*run.job.startup, run.job.steady, run.job.restore, run.job.checkpoint]
                most = max(phase.utilisation for phase in phases if phase is not None)
                if service is not None:
                    most = max(most, service.service.full_utilisation)
                trays[run.trays] = idle[run.trays] + most * span[run.trays]
        return np.where(without, world.nameplate[racks], world.inlet_watts(trays)[racks])

    # ------------------------------------------------------------------ what is counted

    def count(self) -> None:
        """Note the sums of this look; call it once at each."""
        world, now = self.world, self.world.env.now
        world.env.read()
        racks = len(world.topology.rack_names)
        served, failed, late, busy = np.zeros(racks), np.zeros(racks), np.zeros(racks), 0.0
        if self.service is not None and self.service.answered is not None:
            served, failed, late = self.service.answered.copy()
            busy = self.service.utilisation
        slow = np.add.reduceat(world.plant.m.slow_s, world.topology.rack_tray0[:-1])
        declared = np.zeros(racks)
        on = np.array(list(self.on), dtype=np.int64)
        if len(on):
            declared[on] = self._declared_peaks(on)
        own, company = self._occupants()
        self.own_since[[old != new for old, new in zip(self._own, own, strict=True)]] = now
        self.company_since[[old != new for old, new in zip(self.company, company, strict=True)]] = now
        self._own, self.company = own, company
        self._kept.append(Counted(now, served, failed, late, slow, declared, self.weights(), busy))
        while len(self._kept) > 2 and self._kept[1].time <= now - self._keep:
            self._kept.popleft()

    def _between(self, begin: float, end: float) -> tuple[Counted, Counted]:
        """The last sums at or before two times; the first ones where there are none so early."""
        before = [each for each in self._kept if each.time <= begin]
        until = [each for each in self._kept if each.time <= end]
        first = before[-1] if before else self._kept[0]
        return first, until[-1] if until else first

    def error_rate(self, begin: float, end: float, racks: Ints) -> float:
        """Share of requests that failed on racks between two times [s]; NaN where none was served."""
        if not self.release.is_service:
            return 0.0
        a, b = self._between(begin, end)
        served = float((b.served - a.served)[racks].sum())
        return float((b.failed - a.failed)[racks].sum()) / served if served > 0.0 else float("nan")

    def error_rates(self, begin: float, end: float) -> Floats:
        """The same for each rack by itself, shape (R,)."""
        return self._of_served(begin, end, "failed")

    def _of_served(self, begin: float, end: float, what: str) -> Floats:
        """A count over the requests that each rack answered between two times [s]; NaN where it answered none."""
        if not self.release.is_service:
            return np.zeros(len(self.world.topology.rack_names))
        a, b = self._between(begin, end)
        served = b.served - a.served
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(served > 0.0, (getattr(b, what) - getattr(a, what)) / served, np.nan))

    def late_shares(self, begin: float, end: float) -> Floats:
        """Share of the requests answered by each rack that came later than they should, (R,); 0 for images of jobs."""
        return self._of_served(begin, end, "late").clip(max=1.0)

    def served_ratios(self, begin: float, end: float) -> Floats:
        """Requests that each rack answered per tray over those of the service per tray, shape (R,); NaN without any.

        A router gives each replica what it bears, so that it tells the capacity of a build. 1 for images of jobs.
        """
        if not self.release.is_service:
            return np.ones(len(self.world.topology.rack_names))
        a, b = self._between(begin, end)
        served = b.served - a.served
        mean = float(served.sum()) / max(1.0, float(b.trays.sum()))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(served > 0.0, served / b.trays / mean, np.nan))

    def busiest(self, begin: float) -> float:
        """Greatest share of its replicas' time [1] for which the service was busy since a time [s]."""
        return max(each.busy for each in self._kept if each.time >= begin)

    def declared_peaks(self, begin: float, racks: Ints) -> Floats:
        """Greatest power at inlets of ``racks`` [W] that was declared since a time [s]."""
        first, last = self._between(begin, self.world.env.now)
        since = [each.declared_peak[racks] for each in self._kept if first.time <= each.time <= last.time]
        return np.asarray(np.max(since, axis=0))

    def throttled_shares(self, begin: float, end: float) -> Floats:
        """Device-seconds with a throttled clock over all, of each rack, shape (R,); NaN without a time between."""
        a, b = self._between(begin, end)
        if b.time <= a.time:
            return np.full(len(self.world.topology.rack_names), np.nan)
        return np.asarray((b.throttled - a.throttled) / (self.world.installed * (b.time - a.time)))

    def _slow(self, rack: int) -> float:
        """GPU-seconds of a rack with a throttled clock so far."""
        trays = self.world.trays_of(rack)
        return float((self.world.plant.m.slow_s[trays] * self.world.topology.tray_gpus[trays]).sum())

    def throttled_on(self, racks: list[int]) -> float:
        """GPU-seconds throttled on racks while they had the release."""
        return sum(
            self.throttled.get(rack, 0.0) + (self._slow(rack) - self._since[rack] if rack in self.on else 0.0)
            for rack in racks
        )
