"""Whether a policy may be trusted with a facility: pure, repeatable, total, and never past what there is.

``check_policy`` calls a policy with facilities of many kinds, with readings missing, stale and absurd, and tells what
it did wrong in sentences. It knows nothing of what a good decision is.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from twin.policy.decisions import Placement, Refusal, Wait
from twin.policy.facility import Facility
from twin.policy.protocol import JobRequest, Policy
from twin.policy.snapshot import FacilitySnapshot, History, Quality

RACKS_PER_ROW = 4
TRAYS = 18
NAMEPLATE = 132_000.0  # W
SAMPLES = 60
PERIOD = 10.0  # s


@dataclass(frozen=True)
class Finding:
    """One thing that a policy did wrong: the case, and what happened in it."""

    case: str
    what: str

    def __str__(self) -> str:
        return f"{self.case}: {self.what}"


def check_policy(
    make: Callable[[], Policy], *, timer: Callable[[], float] | None = None, greatest_seconds: float = 0.05
) -> list[Finding]:
    """Everything wrong with a policy, in the order of the cases; an empty list for none.

    make: gives the policy, anew each time. timer: a clock [s], if decisions are to be timed; one may take
    ``greatest_seconds`` [s] on sixteen racks, the first left out.
    """
    findings: list[Finding] = []
    for name, snapshot, request in cases():
        policy, state = make(), None
        for turn in range(2):  # the second with the state that came of the first
            before = copy.deepcopy((snapshot, request, state))
            began = timer() if timer is not None and turn else 0.0
            answer: Any
            try:
                answer = policy(snapshot, request, state)
            except Exception as error:
                findings.append(Finding(name, f"raised {type(error).__name__}: {error}"))
                break
            if timer is not None and turn and timer() - began > greatest_seconds:
                findings.append(Finding(name, f"took longer than {greatest_seconds:g} s"))
            if not same((snapshot, request, state), before):
                findings.append(Finding(name, "changed its arguments"))
            if not isinstance(answer, tuple) or len(answer) != 2:
                findings.append(Finding(name, f"answered {type(answer).__name__}, not (decision, state)"))
                break
            decision, following = answer
            findings += [Finding(name, fault) for fault in faults_of(decision, before[0], before[1])]
            short = getattr(policy, "short_of", lambda *_: None)(*before)
            if short is not None and not isinstance(decision, Wait):
                done = "placed" if isinstance(decision, Placement) else "refused"
                findings.append(Finding(name, f"{done} what it said would wait: {short.name}"))
            again, _ = make()(*before)
            if not same(again, decision):
                findings.append(Finding(name, f"decided {decision} once and {again} the next time"))
            state = following
    return findings


def faults_of(decision: Any, snapshot: FacilitySnapshot, request: JobRequest) -> Iterator[str]:
    """What a decision asks for that there is not."""
    if not isinstance(decision, Placement | Wait | Refusal):
        yield f"decided {type(decision).__name__}, which is no decision"
        return
    if decision.request != request.id:
        yield f"decided about {decision.request!r}, asked about {request.id!r}"
    if not isinstance(decision, Placement):
        return
    given = sum(trays for _, trays in decision.racks)
    if given != request.trays:
        yield f"placed {given} trays of {request.trays}"
    names = [name for name, _ in decision.racks]
    if len(set(names)) < len(names):
        yield "named a rack twice"
    if request.one_rack and len(names) > 1:
        yield f"split over {len(names)} racks what must be on one"
    for name, trays in decision.racks:
        if name not in snapshot.rack_names:
            yield f"placed on {name!r}, which is no rack"
            continue
        rack = snapshot.rack_names.index(name)
        if not snapshot.rack_healthy[rack] or not snapshot.rack_production[rack]:
            yield f"placed on {name}, which is not in service"
        if trays <= 0 or trays > snapshot.rack_free_trays[rack]:
            yield f"placed {trays} trays on {name}, which has {int(snapshot.rack_free_trays[rack])} free"


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last bit, NaN equal to NaN, arrays and dataclasses by their parts."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if type(one) is not type(other) or one.dtype != other.dtype:
            return False
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if type(one) is not type(other):
        return False
    if is_dataclass(one) and not isinstance(one, type):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other or (one != one and other != other))


# ---------------------------------------------------------------------- cases


def cases() -> Iterator[tuple[str, FacilitySnapshot, JobRequest]]:
    """Facilities and requests, with what is odd about them."""
    calm = example()
    racks = len(calm.rack_names)
    whole = replace(
        calm,
        declared_ahead_seconds=np.array([1_800.0, 7_200.0, 86_400.0]),
        rack_declared_ahead_watts=np.tile(calm.rack_declared_power_watts, (3, 1)),
    )
    one = JobRequest("job-1", "inference", 2, True, 10, 5_000.0)
    short = JobRequest("job-3", "batch", 2, True, 0, 5_000.0, declared_seconds=3_600.0)
    gang = JobRequest("job-2", "training", 3 * TRAYS, False, 5, 6_000.0)
    for word, request in (("one rack", one), ("a gang", gang), ("an hour", short)):
        yield f"a calm hall, {word}", whole, request
        yield f"a full hall, {word}", replace(whole, rack_free_trays=np.zeros(racks, dtype=np.int64)), request
        yield f"nothing healthy, {word}", replace(whole, rack_healthy=np.zeros(racks, dtype=np.bool_)), request
        opened = np.zeros(len(whole.breaker_closed), dtype=np.bool_)
        yield f"every breaker open, {word}", replace(whole, breaker_closed=opened), request
        for field in fields(FacilitySnapshot):
            values = getattr(whole, field.name)
            if isinstance(values, np.ndarray) and values.dtype.kind == "f":
                for odd, value in (("NaN", np.nan), ("infinite", np.inf), ("negative", -1e6)):
                    changed: dict[str, Any] = {field.name: np.full_like(values, value)}
                    yield f"{field.name} {odd}, {word}", replace(whole, **changed), request
        for quality in (Quality.STALE, Quality.MISSING, Quality.OUT_OF_RANGE):
            codes = {name: np.full_like(code, quality) for name, code in whole.qualities.items()}
            yield f"readings {quality.name}, {word}", replace(whole, qualities=codes), request
        old = {name: np.full_like(age, 1e9) for name, age in whole.ages.items()}
        yield f"readings a billion seconds old, {word}", replace(whole, ages=old), request
        yield f"no histories, {word}", replace(whole, histories={}), request
        yield f"nothing known of age and quality, {word}", replace(whole, ages={}, qualities={}, histories={}), request
        yield f"no description of the facility, {word}", replace(whole, facility=None), request
    yield "more trays than there are", whole, replace(gang, trays=10_000)
    yield "absurd power", whole, replace(one, power_watts_per_tray=1e9)
    yield "unknown power", whole, replace(one, power_watts_per_tray=float("nan"))


def example(rows: int = 4) -> FacilitySnapshot:
    """A calm hall of ``rows`` rows of four racks, each row on its own breaker and loop; half of the trays are free."""
    racks = rows * RACKS_PER_ROW
    names = tuple(f"{chr(65 + row)}-{place + 1:02d}" for row in range(rows) for place in range(RACKS_PER_ROW))
    row = np.repeat(np.arange(rows), RACKS_PER_ROW)
    power = np.full(racks, 0.5 * NAMEPLATE)
    per_watt = 1.0 / (np.sqrt(3.0) * 480.0)
    amperes = np.round(np.bincount(row, power) * per_watt, 3)
    rating = np.full(rows, float(np.round(RACKS_PER_ROW * NAMEPLATE * per_watt)))
    place = np.arange(racks)
    beside = np.stack([place - 1, place + 1], axis=1)
    beside[row[np.maximum(beside, 0) % racks] != row[:, None]] = -1
    beside[:, 0] = np.where(place % RACKS_PER_ROW == 0, -1, beside[:, 0])
    beside[:, 1] = np.where(place % RACKS_PER_ROW == RACKS_PER_ROW - 1, -1, beside[:, 1])
    facility = Facility(
        limit_names=tuple(f"row {chr(65 + each)}" for each in range(rows)),
        limit_rating_amperes=rating,
        limit_breaker=np.arange(rows),
        limit_phase=np.full(rows, -1),
        rack_limits=row[:, None].copy(),
        rack_limit_feed=np.zeros((racks, 1), dtype=np.int64),
        rack_amperes_per_watt=np.full((racks, 1), per_watt),
        rack_neighbours=beside,
        rack_tray_idle_watts=np.full(racks, 1_500.0),
        rack_watts_per_tray_watt=np.full(racks, 1.03),
        loop_capacity_watts=np.full(rows, 1.2 * RACKS_PER_ROW * NAMEPLATE),
        rack_slowdown_celsius=np.full(racks, 87.0),
    )
    values: dict[str, Any] = {
        "rack_power_watts": power,
        "rack_supply_temperature_celsius": np.full(racks, 40.0),
        "rack_return_temperature_celsius": np.full(racks, 50.0),
        "rack_device_temperature_celsius": np.full(racks, 70.0),
        "rack_flow_litres_per_minute": np.full(racks, 130.0),
        "rack_inlet_air_temperature_celsius": np.full(racks, 24.0),
        "rack_valve_ratio": np.full(racks, 1.0),
        "row_power_watts": np.bincount(row, power),
        "loop_supply_temperature_celsius": np.full(rows, 40.0),
        "loop_return_temperature_celsius": np.full(rows, 50.0),
        "loop_flow_litres_per_minute": np.full(rows, 520.0),
        "loop_pump_speed_ratio": np.full(rows, 0.8),
        "loop_valve_ratio": np.full(rows, 0.5),
        "breaker_current_amperes": amperes,
    }
    times = PERIOD * np.arange(1.0, SAMPLES + 1.0)
    histories = {
        name: History(times, np.tile(each, (SAMPLES, 1)), np.zeros((SAMPLES, len(each)), dtype=np.int8))
        for name, each in values.items()
    }
    return FacilitySnapshot(
        time_seconds=float(times[-1] + 2.0),
        rack_names=names,
        row_names=tuple(chr(65 + each) for each in range(rows)),
        loop_names=tuple(f"loop {each + 1:02d}" for each in range(rows)),
        breaker_names=facility.limit_names,
        rack_row=row,
        rack_loop=row.copy(),
        rack_trays=np.full(racks, TRAYS),
        rack_free_trays=np.full(racks, TRAYS // 2),
        rack_healthy=np.ones(racks, dtype=np.bool_),
        rack_production=np.ones(racks, dtype=np.bool_),
        rack_max_power_watts=np.full(racks, NAMEPLATE),
        breaker_rating_amperes=rating,
        breaker_closed=np.ones(rows, dtype=np.bool_),
        rack_declared_power_watts=power.copy(),
        facility=facility,
        serial=1,
        ages={name: np.full(len(each), 2.0) for name, each in values.items()},
        qualities={name: np.zeros(len(each), dtype=np.int8) for name, each in values.items()},
        histories=histories,
        **values,
    )
