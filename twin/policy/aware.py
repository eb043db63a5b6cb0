"""The thermal-aware policy: work goes where rules allow it, power lasts, and the score is best.

At every look it finds headroom under all limits, asks the rules what allows, leaves out racks that have not recovered,
ranks the rest by the formula of the work's class, and spreads what takes several racks over coolant loops. What it
has given away since a look is promised: it counts against headroom until the next look shows it. What is missing or
stale never helps: a rack of which something that decides is not known takes nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from operator import attrgetter, is_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy import exclusion, profile
from twin.policy.admission import Rules, admit, read_rules
from twin.policy.baselines import larger_than_hall
from twin.policy.decisions import Decision, Placement, Reason, Threshold, Wait
from twin.policy.documents import DocumentFaults, Reader, digest, nearest
from twin.policy.exclusion import Exclusion, Out, read_exclusions
from twin.policy.expressions import Compiler, no_compiler
from twin.policy.facility import LOOP, RACK, Facility
from twin.policy.factors import FACTORS, Sensed, sense, with_headroom
from twin.policy.fit import Asked, free_trays
from twin.policy.forecast import Forecast, forecast
from twin.policy.headroom import Ground, Headroom, Permitted, Readings, ground, headroom, read_permitted
from twin.policy.names import by_name
from twin.policy.profile import Profiles
from twin.policy.protocol import JobRequest
from twin.policy.score import Rating, Scores, read_formula
from twin.policy.snapshot import FacilitySnapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

VERSION = "4"  # of this code's decisions: raised when equal inputs and parameters decide otherwise
KILO = 1e3


@dataclass(frozen=True)
class State:
    """What the policy knows between two calls: its last look, what is out, promises since, and heat profiles."""

    serial: int
    out: Out
    promised_watts: Floats  # R
    profiles: Profiles


@dataclass(frozen=True)
class Judged:
    """What rules and formula say of all racks for a class of work in a role."""

    allowed: Bools
    first_rule: Ints  # that does not allow, −1 for none
    scores: Scores


@dataclass(frozen=True)
class Room:
    """What follows from a look and the promises since for work of some length: headroom, factors with ages, and what
    was judged so far."""

    room: Headroom
    values: Mapping[str, Floats]
    ages: Mapping[str, Floats]
    judged: dict[tuple[str, str], Judged]  # by class of work and role


class _Memo:
    """The last look's findings: a queue of requests asks one snapshot again and again. Inputs are compared by
    identity, since snapshots are values that nobody changes; without it every answer would be the same."""

    def __init__(self) -> None:
        self.inputs: tuple[Any, ...] = ()
        self.profiled: tuple[Profiles, Mapping[str, Floats]] | None = None
        self.read: Readings | None = None
        self.sensed: Sensed | None = None
        self.ground: Ground | None = None
        self.promised_watts: Floats | None = None
        self.left: dict[int, Headroom] = {}  # after these promises, by the horizon for which it has to last
        self.profiles: Profiles | None = None
        self.rooms: dict[int, Room] = {}  # likewise, with what these profiles say


@dataclass(frozen=True)
class ThermalAware:
    """A policy (:class:`twin.policy.protocol.Policy`); its state is a :class:`State`."""

    permitted: Permitted
    rules: Rules
    exclusions: tuple[Exclusion, ...]
    formula: Rating
    least_confidence: float
    version: str
    digest: str
    _memo: _Memo = field(default_factory=_Memo, repr=False, compare=False)

    def __call__(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> tuple[Decision, Any]:
        never = larger_than_hall(snapshot, request)
        if never is not None:
            return never, state
        watts = (request.power_watts_per_tray, request.peak_watts_per_tray)
        if not all(math.isfinite(each) and each >= 0.0 for each in watts):
            said = f"its declared power is {watts[0]} W, {watts[1]} W at most"
            return Wait(request.id, Reason.WAIT_UNKNOWN, said), state
        facility = snapshot.facility
        if facility is None:
            return Wait(request.id, Reason.WAIT_UNKNOWN, "the snapshot has no description of the facility"), state
        looked = self.look(snapshot, facility, state)
        few = self._too_few(snapshot, request)
        if few is not None:
            return few, looked
        room = self.room(snapshot, facility, looked.promised_watts, looked.profiles, request.declared_seconds)
        view = _View.of(self, snapshot, facility, looked, room, request)
        chosen = view.one() if request.one_rack else view.several()
        if chosen is None:
            return view.wait(), looked
        promised = looked.promised_watts.copy()
        for rack, trays in chosen:
            promised[rack] += trays * view.asked.steady_watts[rack]
        promised.setflags(write=False)  # a state is a value
        return view.placement(chosen), replace(looked, promised_watts=promised)

    def short_of(self, snapshot: FacilitySnapshot, request: JobRequest, state: Any = None) -> Reason | None:
        """What a request is certain to wait for: trays, or power on racks that have them; None where only asking tells.

        It looks at neither rules nor scores nor what is out, which can but take more away. Who has told somebody to
        wait finds out here, at a third of a decision's cost, whether it is time to ask again.
        """
        facility = snapshot.facility
        if facility is None or larger_than_hall(snapshot, request) is not None:
            return None
        few = self._too_few(snapshot, request)
        if few is not None:
            return few.reason
        of_look = state is not None and state.serial == snapshot.serial
        promised = state.promised_watts if of_look else _nothing(len(snapshot.rack_names))
        horizon = self._grounded(snapshot, facility).horizon(request.declared_seconds)
        found = self._left(snapshot, facility, promised, horizon)
        asked = Asked.of(request, snapshot, facility)
        if request.one_rack:
            enough = bool((asked.roomy & asked.fitting(found, request.trays)).any())
        else:
            enough = asked.together(found, snapshot, facility, asked.roomy, request.trays) >= request.trays
        return None if enough else Reason.WAIT_FOR_HEADROOM

    @staticmethod
    def _too_few(snapshot: FacilitySnapshot, request: JobRequest) -> Wait | None:
        """That no rack, or not all of them together, have so many trays free."""
        free = free_trays(snapshot)
        most = int(np.maximum.reduce(free, initial=0) if request.one_rack else np.add.reduce(free))
        if most >= request.trays:
            return None
        paused = int((~snapshot.rack_admitting & snapshot.rack_production).sum())
        detail = f"{request.trays} asked, {most} free" + (f", {paused} racks admit nothing" if paused else "")
        return Wait(request.id, Reason.WAIT_PAUSED if paused else Reason.WAIT_FOR_TRAYS, detail)

    def look(self, snapshot: FacilitySnapshot, facility: Facility, state: State | None) -> State:
        """The state at this look: a new one has promised nothing, and brings racks back or takes them out."""
        if state is not None and state.serial == snapshot.serial:
            return state
        nothing = _nothing(len(snapshot.rack_names))
        profiles = profile.step(None if state is None else state.profiles, snapshot)
        values = self._sensed(snapshot, facility).values
        if not all(each.factor in values for each in self.exclusions):
            values = self.room(snapshot, facility, nothing, profiles).values
        out = exclusion.step(self.exclusions, None if state is None else state.out, values, snapshot.time_seconds)
        return State(snapshot.serial, out, nothing, profiles)

    def _read(self, snapshot: FacilitySnapshot) -> Readings:
        """The readings of a look, looked through once."""
        memo = self._memo
        inputs = _inputs(snapshot)
        if memo.read is None or len(inputs) != len(memo.inputs) or not all(map(is_, inputs, memo.inputs)):
            memo.inputs, memo.read = inputs, Readings(snapshot)
            memo.sensed = memo.ground = memo.promised_watts = None
        return memo.read

    def _sensed(self, snapshot: FacilitySnapshot, facility: Facility) -> Sensed:
        """What readings and their histories tell before anybody asks: found once."""
        memo, read = self._memo, self._read(snapshot)
        if memo.sensed is None:
            memo.sensed = sense(snapshot, facility, read)
        return memo.sensed

    def _grounded(self, snapshot: FacilitySnapshot, facility: Facility) -> Ground:
        """What headroom stands on before anybody asks: found once."""
        memo, read = self._memo, self._read(snapshot)
        if memo.ground is None:
            memo.ground = ground(snapshot, facility, self.permitted, read)
        return memo.ground

    def room(
        self,
        snapshot: FacilitySnapshot,
        facility: Facility,
        promised_watts: Floats,
        profiles: Profiles | None = None,
        seconds: float = 0.0,
    ) -> Room:
        """Headroom and factors of all racks after these promises [W], with what their heat profiles say, for work that
        lasts so long [s]; 0 for endless."""
        memo = self._memo
        sensed, base = self._sensed(snapshot, facility), self._grounded(snapshot, facility)
        horizon = base.horizon(seconds)
        found = self._left(snapshot, facility, promised_watts, horizon)
        if memo.profiles is not profiles:
            memo.profiles, memo.rooms = profiles, {}
        room = memo.rooms.get(horizon)
        if room is None:
            values, ages = with_headroom(sensed, snapshot, base, found, promised_watts)
            values |= self._profiled(profiles, len(promised_watts))
            since = np.full(len(promised_watts), profile.age_seconds(profiles, snapshot.time_seconds))
            ages |= dict.fromkeys(profile.FACTORS, since)
            room = memo.rooms[horizon] = Room(found, values, ages, {})
        return room

    def _left(self, snapshot: FacilitySnapshot, facility: Facility, promised_watts: Floats, horizon: int) -> Headroom:
        """Headroom after these promises, found once for each horizon."""
        memo, base = self._memo, self._grounded(snapshot, facility)
        if memo.promised_watts is not promised_watts:
            memo.promised_watts, memo.left, memo.rooms = promised_watts, {}, {}
        found = memo.left.get(horizon)
        if found is None:
            found = memo.left[horizon] = headroom(base, promised_watts, horizon)
        return found

    def _profiled(self, profiles: Profiles | None, racks: int) -> Mapping[str, Floats]:
        """Factors of heat profiles, which stay for some looks."""
        if profiles is None:
            return profile.factors(None, racks)
        if self._memo.profiled is None or self._memo.profiled[0] is not profiles:
            self._memo.profiled = profiles, profile.factors(profiles, racks)
        return self._memo.profiled[1]

    def forecast(self, snapshot: FacilitySnapshot, since_seconds: float) -> Forecast | None:
        """What this look lets expect (:mod:`twin.policy.forecast`); None without a description of the facility."""
        if snapshot.facility is None:
            return None
        return forecast(snapshot, snapshot.facility, self.permitted, self.exclusions, since_seconds)

    def judge(self, room: Room, kind: str, role: str) -> Judged:
        """What rules and formula say of all racks for a class of work in a role."""
        found = room.judged.get((kind, role))
        if found is None:
            allowed, first = admit(self.rules.of(kind, role), room.values, room.ages)
            found = Judged(allowed, first, self.formula.rate(kind, room.values, room.ages))
            room.judged[kind, role] = found
        return found


@cache
def _nothing(racks: int) -> Floats:
    """No promise to any of so many racks; one array for all looks, that nobody can write to."""
    nothing = np.zeros(racks)
    nothing.setflags(write=False)
    return nothing


#: all of a snapshot but its free trays, which decisions change
_inputs: Callable[[FacilitySnapshot], tuple[Any, ...]] = attrgetter(
    *(each.name for each in fields(FacilitySnapshot) if each.name != "rack_free_trays")
)


@dataclass(eq=False)
class _View:
    """One request against one look."""

    policy: ThermalAware
    snapshot: FacilitySnapshot
    facility: Facility
    request: JobRequest
    room: Headroom
    values: Mapping[str, Floats]
    ages: Mapping[str, Floats]
    scores: Scores
    allowed: Bools
    first_rule: Ints
    excluded: Out
    out: Bools
    asked: Asked

    @classmethod
    def of(
        cls,
        policy: ThermalAware,
        snapshot: FacilitySnapshot,
        facility: Facility,
        state: State,
        room: Room,
        request: JobRequest,
    ) -> "_View":
        judged = policy.judge(room, request.kind, request.role)
        return cls(
            policy,
            snapshot,
            facility,
            request,
            room.room,
            room.values,
            room.ages,
            judged.scores,
            judged.allowed,
            judged.first_rule,
            state.out,
            np.logical_or.reduce(state.out.out, axis=0),
            Asked.of(request, snapshot, facility),
        )

    @property
    def usable(self) -> Bools:
        """Racks with room that rules allow, that are not out, and of which enough is known."""
        return self.asked.roomy & self.allowed & ~self.out & (self.scores.confidence >= self.policy.least_confidence)

    def ranked(self, racks: Bools) -> Ints:
        """Racks in the order of their scores, ties by name."""
        names = by_name(self.snapshot.rack_names)
        wanted = names[racks[names]]
        return wanted[np.argsort(-self.scores.score[wanted], kind="stable")]

    @cached_property
    def order(self) -> Ints:
        """Usable racks that bear all of the request, or one tray of what may be spread, the best first."""
        trays = self.request.trays if self.request.one_rack else 1
        return self.ranked(self.usable & self.asked.fitting(self.room, trays))

    def one(self) -> list[tuple[int, int]] | None:
        """The best rack for all of the request."""
        return [(int(self.order[0]), self.request.trays)] if len(self.order) else None

    def several(self) -> list[tuple[int, int]] | None:
        """Racks that take the request together, the best of every loop before the second best of any."""
        order = self.order
        order = order[np.argsort(_turns(self.snapshot.rack_loop[order]), kind="stable")]
        most = self.asked.most(self.room)[order]
        rest = np.cumsum(most[::-1])[::-1].tolist()  # trays that the racks from here on take at most
        left, heat = self.room.limit_left_amperes.tolist(), self.room.loop_left_watts.tolist()
        own = self.snapshot.rack_max_power_watts * self.policy.permitted.rack_utilisation
        within = np.fmin(self.room.sustained_watts, own)[order].tolist()
        once, peak = self.room.immediate_watts[order].tolist(), self.asked.peak_watts[order].tolist()
        steady, free = self.asked.steady_watts[order].tolist(), self.asked.free[order].tolist()
        limits, shares = self.facility.rack_limits[order].tolist(), self.room.amperes_per_watt[order].tolist()
        loops = self.snapshot.rack_loop[order].tolist()
        chosen: list[tuple[int, int]] = []
        wanted = self.request.trays
        for at, rack in enumerate(order.tolist()):
            if rest[at] < wanted:
                return None
            each, loop = steady[at], loops[at]
            above = [(k, share) for k, share in zip(limits[at], shares[at], strict=True) if k >= 0 and share > 0.0]
            bears = within[at] if loop < 0 else min(within[at], heat[loop])
            for k, share in above:
                bears = min(bears, left[k] / share)
            fit = int(bears / each) if each > 0.0 else wanted
            if peak[at] > 0.0:
                fit = min(fit, int(once[at] / peak[at]))
            take = min(wanted, free[at], fit)
            if take <= 0:
                continue
            for k, share in above:
                left[k] -= take * each * share
            if loop >= 0:
                heat[loop] -= take * each
            chosen.append((rack, take))
            wanted -= take
            if wanted == 0:
                return chosen
        return None

    # ------------------------------------------------------------------ sentences

    def placement(self, chosen: list[tuple[int, int]]) -> Placement:
        """The decision, and what it rests on: score, confidence, headroom and rank of its worst rack."""
        names, scores, confidences = self.snapshot.rack_names, self.scores.score, self.scores.confidence
        racks = [rack for rack, _ in chosen]
        worst, trays = min(chosen, key=lambda each: (float(scores[each[0]]), names[each[0]]))
        left, asked = float(self.room.sustained_watts[worst]), trays * float(self.asked.steady_watts[worst])
        next_best = [rack for rack in self.order[: len(racks) + 1].tolist() if rack not in racks][:1]
        confidence, least = float(confidences[racks].min()), self.policy.least_confidence
        production = self.snapshot.rack_production
        return Placement(
            self.request.id,
            tuple((names[rack], trays) for rack, trays in chosen),
            Reason.PLACED_AWARE,
            f"score {scores[worst]:.3f}, confidence {confidences[worst]:.2f}, "
            f"sustained headroom {left / KILO:.1f} kW on {names[worst]} ({self._limit(worst)})",
            float(scores[worst]),
            confidence,
            names[worst],
            1 + int(np.count_nonzero(production & (scores > scores[worst]))),
            int(np.count_nonzero(production)),
            (names[next_best[0]], float(scores[next_best[0]])) if next_best else None,
            (
                Threshold("confidence", confidence, least, "at least", "1", True, names[worst]),
                Threshold("sustained headroom", left, asked, "at least", "W", True, names[worst]),
            ),
        )

    def wait(self) -> Wait:
        """Why nothing takes it, told of the best-scored rack that has trays for it."""
        rack = int(self.ranked(self.asked.roomy)[0])
        name, trays = self.snapshot.rack_names[rack], self.request.trays if self.request.one_rack else 1
        request = self.request.id
        if self.out[rack]:
            detail = f"{name} is out until it has recovered"
            return Wait(request, Reason.WAIT_EXCLUDED, detail, self._keeping_out(rack))
        if not self.allowed[rack]:
            rule = self.policy.rules.of(self.request.kind, self.request.role)[int(self.first_rule[rack])]
            told, held = rule.told(self.values, self.ages, rack), rule.held(self.values, self.ages, rack, name)
            return Wait(request, Reason.WAIT_FOR_RULE, f"{told} on {name}", held)
        if self.scores.confidence[rack] < self.policy.least_confidence:
            known, least = float(self.scores.confidence[rack]), self.policy.least_confidence
            short = (Threshold("confidence", known, least, "at least", "1", False, name),)
            detail = f"confidence {known:.2f} on {name}, at least {least:g} asked"
            return Wait(request, Reason.WAIT_UNKNOWN, detail, short)
        at_once, long = float(self.room.immediate_watts[rack]), float(self.room.sustained_watts[rack])
        if np.isnan(long + at_once):
            return Wait(request, Reason.WAIT_UNKNOWN, f"headroom of {name} is not known")
        if long == -math.inf:
            return Wait(request, Reason.WAIT_FOR_HEADROOM, f"{name} has no feed that lives")
        asked, peak = trays * float(self.asked.steady_watts[rack]), trays * float(self.asked.peak_watts[rack])
        if long >= asked and at_once >= peak:  # of a gang: for a tray of it there is room
            return self._gang_waits(rack)
        sentence = f"{long / KILO:.1f} kW for long, {at_once / KILO:.1f} kW at once, {asked / KILO:.1f} kW asked"
        reason = Reason.WAIT_TRANSIENT_ONLY if at_once >= peak and long < asked else Reason.WAIT_FOR_HEADROOM
        missing = tuple(
            Threshold(f"{which} headroom", left, need, "at least", "W", False, name)
            for which, left, need in (("sustained", long, asked), ("immediate", at_once, peak))
            if left < need
        )
        return Wait(request, reason, f"{sentence} on {self._named(rack)}", missing)

    def _gang_waits(self, rack: int) -> Wait:
        """Why a gang finds no place, though its best rack would take a part of it: what all take together at most."""
        wanted, racks = self.request.trays, int(np.count_nonzero(self.usable))
        most = math.floor(self.asked.together(self.room, self.snapshot, self.facility, self.usable))
        few = most < wanted
        short = (Threshold("trays together", float(most), float(wanted), "at least", "trays", False),) if few else ()
        detail = (
            f"{wanted} trays asked, {racks} racks have power for {most if few else 'fewer'} together, "
            f"the best of them {self._named(rack)}"
        )
        return Wait(self.request.id, Reason.WAIT_FOR_HEADROOM, detail, short)

    def _named(self, rack: int) -> str:
        """A rack and the limit that leaves it least."""
        return f"{self.snapshot.rack_names[rack]} ({self._limit(rack)})"

    def _keeping_out(self, rack: int) -> tuple[Threshold, ...]:
        """Levels below which a rack that is out has to stay, or to come."""
        found = []
        for each, out in zip(self.policy.exclusions, self.excluded.out[:, rack].tolist(), strict=True):
            if out:
                value, unit, name = float(self.values[each.factor][rack]), FACTORS[each.factor].unit, each.name
                known = value if math.isfinite(value) else None
                passed, where = value <= each.back_below, self.snapshot.rack_names[rack]
                found.append(Threshold(name, known, each.back_below, "at most", unit, passed, where))
        return tuple(found)

    def _limit(self, rack: int) -> str:
        """The limit that leaves a rack least."""
        binding = int(self.room.binding[rack])
        if binding == LOOP:
            return self.snapshot.loop_names[int(self.snapshot.rack_loop[rack])]
        return "its nameplate" if binding == RACK else self.facility.limit_names[binding]


def _turns(groups: Ints) -> Ints:
    """How often each one's group has come before it."""
    turns, before = np.zeros(len(groups), dtype=np.int64), dict.fromkeys(groups.tolist(), 0)
    for place, group in enumerate(groups.tolist()):
        turns[place] = before[group]
        before[group] += 1
    return turns


def thermal_aware(parameters: Mapping[str, Any], compiler: Compiler = no_compiler) -> ThermalAware:
    """The policy with these parameters, a plain mapping as in ``conf/policy/thermal_aware.yaml``.

    ``compiler`` reads rules that are expressions, such as :func:`twin.cel.compiled`. Raises
    :class:`~twin.policy.documents.DocumentError` with everything that is wrong with them.
    """
    faults = DocumentFaults()
    reader = Reader(parameters, "policy", faults)
    reader.text("name", "thermal_aware")
    version = reader.text("version")
    reader.text("owner")
    confidence = reader.number("least_confidence", low=0.0, high=1.0)
    parts = {key: reader.mapping.get(key) for key in ("permitted", "admission", "exclusions", "score")}
    made = ThermalAware(
        read_permitted(parts["permitted"], "policy.permitted", faults),
        read_rules(parts["admission"], "policy.admission", faults, compiler),
        read_exclusions(parts["exclusions"], "policy.exclusions", faults),
        read_formula(parts["score"], "policy.score", faults),
        confidence,
        version,
        "",
    )
    for key in reader.mapping:
        if key not in (*parts, "name", "version", "owner", "least_confidence", "ladder", "response", "rollout"):
            reader.fault(str(key), reader.mapping[key], "there is no such key", nearest(str(key), parts))
    faults.stop()
    return replace(made, digest=digest(parameters, VERSION))
