"""Asks formulas again what was asked in a recording, and weighs where they differ from the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.policy.aware import Room, State, ThermalAware
from twin.policy.decisions import Decision, Placement
from twin.policy.protocol import JobRequest
from twin.policy.score import Formula, Rating, Scores
from twin.policy.snapshot import FacilitySnapshot
from twin.studies.regress.formulas import Named, alone
from twin.studies.regress.harm import MINUTE, Floats, Harm, Weighing, ahead
from twin.studies.regress.incident import Asked, Incident
from twin.studies.regress.settings import HARMS, Decisions


@dataclass(frozen=True)
class Flip:
    """A decision that came out otherwise: where each formula put it, what that did, and why by factor."""

    group: str
    recording: str
    time_seconds: float
    request: str
    kind: str
    trays: int
    baseline: str
    candidate: str
    worse_by: float  # trays harmed more by the candidate, over all guards
    guards: tuple[str, ...]  # in which it is worse
    what: str  # became of the candidate's rack
    factors: tuple["Part", ...]


@dataclass(frozen=True)
class Part:
    """One factor on the two racks, and what either formula makes of it (share of its whole score)."""

    factor: str
    baseline_value: float  # on the baseline's rack
    candidate_value: float  # on the candidate's rack
    baseline_gain: float  # of the candidate's rack over the baseline's, by the baseline formula
    candidate_gain: float  # the same by the candidate formula


@dataclass(frozen=True)
class Tally:
    """One block of decisions: a recording, or some minutes of an incident. Trays asked for, and harmed, by side."""

    group: str
    recording: str
    block: int
    decisions: int
    trays: float
    harmed: Mapping[str, tuple[float, float]]
    flips: int


class _Switched:
    """One formula after another in the place of one: what all of them stand on is found once."""

    def __init__(self, rating: Rating) -> None:
        self.now = rating

    def rate(self, kind: str, values: Mapping[str, Floats], ages: Mapping[str, Floats]) -> Scores:
        """Scores by the formula that is in place now."""
        return self.now.rate(kind, values, ages)


class _Sums:
    """Trays and harms of one block, by candidate."""

    def __init__(self, candidates: int) -> None:
        self.decisions = 0
        self.trays = 0.0
        self.flips = [0] * candidates
        self.harmed = [{guard: [0.0, 0.0] for guard in HARMS} for _ in range(candidates)]


@dataclass(frozen=True)
class Replayed:
    """What a recording says of one candidate."""

    tallies: tuple[Tally, ...]
    flips: tuple[Flip, ...]


def replay(
    incident: Incident, group: str, baseline: Named, candidates: Sequence[Named], settings: Decisions, *, blocks: bool
) -> list[Replayed]:
    """Tallies and flips of a recording for each candidate; with ``blocks`` a tally for every block of minutes.

    Decisions whose future is not in the recording are left out: those later than ``ahead_minutes`` before its end.
    All formulas see what had been given away by then, whoever gave it.
    """
    formulas = [baseline.rating, *(each.rating for each in candidates)]
    switch = _Switched(formulas[0])
    policy = alone(switch)
    end = _end(incident) - settings.ahead_minutes * MINUTE
    length = settings.block_minutes * MINUTE
    sums: dict[int, _Sums] = {}
    flips: list[list[Flip]] = [[] for _ in candidates]
    state: State | None = None
    for time, asked in incident.together():
        if time > end:
            break
        block = int(time // length) if blocks and length > 0.0 else 0
        sum_ = sums.setdefault(block, _Sums(len(candidates)))
        weighing = Weighing(ahead(incident, time, settings))
        snapshot = weighing.seen.snapshot
        free, promised = snapshot.rack_free_trays, _still(np.zeros(len(snapshot.rack_names)))
        for each in asked:
            room = weighing.room(promised, each.request.declared_seconds)
            here = snapshot if free is snapshot.rack_free_trays else snapshot.with_free_trays(free)
            state = _state(policy, here, state, promised)
            decisions = []
            for formula in formulas:
                switch.now = formula
                decisions.append(_decide(policy, here, each.request, state))
            sum_.decisions += 1
            sum_.trays += each.request.trays
            harms: dict[Any, Harm] = {}
            for racks in map(_racks, decisions):
                if racks not in harms:
                    harms[racks] = weighing.weigh(each.request, racks, free, room)
            usual = harms[_racks(decisions[0])]
            for number, decision in enumerate(decisions[1:]):
                harm = harms[_racks(decision)]
                for guard in HARMS:
                    sum_.harmed[number][guard][0] += usual.trays[guard]
                    sum_.harmed[number][guard][1] += harm.trays[guard]
                if _racks(decision) == _racks(decisions[0]):
                    continue
                sum_.flips[number] += 1
                worse = {guard: harm.trays[guard] - usual.trays[guard] for guard in HARMS}
                given = decisions[0], decision
                both = formulas[0], formulas[number + 1]
                flips[number].append(
                    Flip(
                        group, incident.name, time, each.request.id, each.request.kind, each.request.trays,
                        _told(given[0]), _told(given[1]), sum(worse.values()),
                        tuple(guard for guard, by in worse.items() if by > 0.0), harm.what,
                        _parts(policy, both, here, each.request, state, given),
                    )
                )  # fmt: skip
            if each.racks:
                free, promised = _given_away(incident, each, free, promised)
    return [
        Replayed(
            tuple(
                Tally(group, incident.name, block, found.decisions, found.trays,
                      {guard: (by[0], by[1]) for guard, by in found.harmed[number].items()}, found.flips[number])
                for block, found in sorted(sums.items())
            ),
            tuple(flips[number]),
        )
        for number in range(len(candidates))
    ]  # fmt: skip


def _room(policy: ThermalAware, snapshot: FacilitySnapshot, request: JobRequest, state: State) -> Room:
    """What the policy knows of all racks when it decides about a request."""
    assert snapshot.facility is not None
    return policy.room(snapshot, snapshot.facility, state.promised_watts, state.profiles, request.declared_seconds)


def _decide(policy: ThermalAware, snapshot: FacilitySnapshot, request: JobRequest, state: State) -> Decision:
    """The policy's decision by the formula that is in place now."""
    _room(policy, snapshot, request, state).judged.clear()
    return policy(snapshot, request, state)[0]


def _end(incident: Incident) -> float:
    """When the recording's readings end [s]."""
    return max((float(each.times[-1]) for each in incident.channels.values() if len(each.times)), default=0.0)


def _still(array: Floats) -> Floats:
    array.setflags(write=False)
    return array


def _state(policy: ThermalAware, snapshot: FacilitySnapshot, state: State | None, promised: Floats) -> State:
    """The policy's state at this look, once so much has been promised."""
    assert snapshot.facility is not None
    looked = policy.look(snapshot, snapshot.facility, state)
    if looked.promised_watts is promised:
        return looked
    return State(looked.serial, looked.out, promised, looked.profiles)


def _given_away(incident: Incident, asked: Asked, free: Any, promised: Floats) -> tuple[Any, Floats]:
    """Free trays and promises once a recorded placement is made."""
    free, promised = free.copy(), promised.copy()
    facility = incident.facility
    for rack, trays in asked.racks:
        place = incident.names.index(rack)
        idle = float(facility.rack_tray_idle_watts[place])
        each = max(asked.request.power_watts_per_tray - idle, 0.0) * float(facility.rack_watts_per_tray_watt[place])
        free[place] -= trays
        promised[place] += trays * each
    return free, _still(promised)


def _racks(decision: Decision) -> tuple[tuple[str, int], ...]:
    return decision.racks if isinstance(decision, Placement) else ()


def _told(decision: Decision) -> str:
    racks = _racks(decision)
    return ", ".join(rack for rack, _ in racks) if racks else "waits"


def _parts(
    policy: ThermalAware, both: tuple[Rating, Rating], snapshot: FacilitySnapshot, request: JobRequest, state: State,
    given: tuple[Decision, Decision],
) -> tuple[Part, ...]:  # fmt: skip
    """What each factor says for the candidate's first rack against the baseline's, by both formulas."""
    racks = [[rack for rack, _ in _racks(decision)] for decision in given]
    if not all(racks) or snapshot.facility is None:
        return ()
    own = [next((rack for rack in mine if rack not in theirs), mine[0]) for mine, theirs in (racks, racks[::-1])]
    places = [snapshot.rack_names.index(rack) for rack in own]
    room = _room(policy, snapshot, request, state)
    gains = [_gains(rating, request.kind, room.values, room.ages, places) for rating in both]
    none = np.full(len(snapshot.rack_names), np.nan)
    return tuple(
        Part(
            factor,
            float(room.values.get(factor, none)[places[0]]),
            float(room.values.get(factor, none)[places[1]]),
            gains[0].get(factor, 0.0),
            gains[1].get(factor, 0.0),
        )
        for factor in dict.fromkeys([*gains[0], *gains[1]])
    )


def _gains(
    rating: Rating, kind: str, values: Mapping[str, Floats], ages: Mapping[str, Floats], places: list[int]
) -> dict[str, float]:
    """What a formula gives the second place over the first, by factor, in parts of the whole score."""
    scores = rating.rate(kind, values, ages)
    if not isinstance(rating, Formula):
        return {"all of its score": float(scores.score[places[1]] - scores.score[places[0]])}
    terms = rating.of(kind)
    whole = sum(term.weight for term in terms)
    found: dict[str, float] = {}
    for place, term in enumerate(terms):
        gain = float(scores.parts[place, places[1]] - scores.parts[place, places[0]]) / whole
        found[term.factor] = found.get(term.factor, 0.0) + gain
    return found
