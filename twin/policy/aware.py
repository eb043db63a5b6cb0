"""The thermal-aware policy: work goes where rules allow it, power lasts, and the score is best.

At every look it finds headroom under all limits, asks the rules what allows, leaves out racks that have not recovered,
ranks the rest by the formula of the work's class, and spreads what takes several racks over coolant loops. What it
has given away since a look is promised: it counts against headroom until the next look shows it. What is missing or
stale never helps: a rack of which something that decides is not known takes nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from operator import attrgetter, is_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.policy import exclusion, profile
from twin.policy.admission import Rules, admit, read_rules
from twin.policy.baselines import larger_than_hall
from twin.policy.choice import Choice, Judged, Room
from twin.policy.decisions import Decision, Reason, Wait
from twin.policy.documents import DocumentFaults, Reader, digest, nearest
from twin.policy.exclusion import Exclusion, Out, read_exclusions
from twin.policy.expressions import Compiler, no_compiler
from twin.policy.facility import Facility
from twin.policy.factors import Sensed, sense, with_headroom
from twin.policy.fit import Asked
from twin.policy.forecast import Forecast, forecast
from twin.policy.headroom import Ground, Headroom, Permitted, Readings, ground, headroom, read_permitted
from twin.policy.profile import Profiles
from twin.policy.protocol import JobRequest
from twin.policy.score import Rating, read_formula
from twin.policy.snapshot import FacilitySnapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

VERSION = "5"  # of this code's decisions: raised when equal inputs and parameters decide otherwise


@dataclass(frozen=True)
class State:
    """What the policy knows between two calls: its last look, what is out, promises since, and heat profiles."""

    serial: int
    out: Out
    promised_watts: Floats  # R
    profiles: Profiles


class _Memo:
    """The last look's findings: a queue of requests asks one snapshot again and again. Inputs are compared by
    identity, since snapshots are values that nobody changes; without it every answer would be the same."""

    def __init__(self) -> None:
        self.snapshot: FacilitySnapshot | None = None
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
        asked = Asked.of(request, snapshot, facility)
        few = self._too_few(snapshot, request, asked.free)
        if few is not None:
            return few, looked
        room = self.room(snapshot, facility, looked.promised_watts, looked.profiles, request.declared_seconds)
        judged = self.judge(room, request.kind, request.role)
        view = Choice(self, snapshot, facility, request, asked, room, judged, looked.out)
        chosen = view.one() if request.one_rack else view.several()
        if chosen is None:
            return view.wait(), looked
        promised = looked.promised_watts.copy()
        for rack, trays in chosen:
            promised[rack] += trays * asked.steady_watts[rack]
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
        asked = Asked.of(request, snapshot, facility)
        few = self._too_few(snapshot, request, asked.free)
        if few is not None:
            return few.reason
        of_look = state is not None and state.serial == snapshot.serial
        promised = state.promised_watts if of_look else _nothing(len(snapshot.rack_names))
        horizon = self._grounded(snapshot, facility).horizon(request.declared_seconds)
        found = self._left(snapshot, facility, promised, horizon)
        if request.one_rack:
            enough = bool((asked.roomy & asked.fitting(found, request.trays)).any())
        else:
            enough = asked.together(found, snapshot, facility, asked.roomy, request.trays) >= request.trays
        return None if enough else Reason.WAIT_FOR_HEADROOM

    @staticmethod
    def _too_few(snapshot: FacilitySnapshot, request: JobRequest, free: Ints) -> Wait | None:
        """That no rack, or not all of them together, have so many trays free."""
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
        if memo.read is not None and snapshot is memo.snapshot:
            return memo.read
        inputs = _inputs(snapshot)
        if memo.read is None or len(inputs) != len(memo.inputs) or not all(map(is_, inputs, memo.inputs)):
            memo.inputs, memo.read = inputs, Readings(snapshot)
            memo.sensed = memo.ground = memo.promised_watts = None
        memo.snapshot = snapshot
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
