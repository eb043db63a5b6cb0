"""The thermal-aware policy: whom it takes, in what order, what it promises, and why it waits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.documents import shipped
from twin.policy import JobRequest, Placement, Reason, Refusal, Wait, first_fit, random_healthy
from twin.policy.aware import thermal_aware
from twin.policy.check import NAMEPLATE, check_policy, example
from twin.policy.choice import Choice
from twin.policy.decisions import Threshold
from twin.policy.documents import DocumentError
from twin.policy.fit import Asked
from twin.policy.snapshot import History, Quality

POLICY = thermal_aware(shipped())
ONE = JobRequest("job-1", "inference", 2, True, 10, 5_000.0)
GANG = JobRequest("job-2", "training", 30, False, 5, 5_000.0)


def hotter(snapshot, racks, kelvin):
    """The same hall with the inlets of some racks hotter, now and for as long as anybody remembers."""
    name = "rack_supply_temperature_celsius"
    values = getattr(snapshot, name).copy()
    values[racks] += kelvin
    past = snapshot.histories[name]
    histories = {**snapshot.histories, name: History(past.time_seconds, np.tile(values, (60, 1)), past.quality)}
    return replace(snapshot, **{name: values}, histories=histories)


def power(snapshot, racks, watts):
    """The same hall with some racks drawing more, on their row's breaker too."""
    values = snapshot.rack_power_watts.copy()
    values[racks] += watts
    amperes = np.bincount(snapshot.rack_row, values) * snapshot.facility.rack_amperes_per_watt[0, 0]
    declared = np.maximum(snapshot.rack_declared_power_watts, values)
    return replace(
        snapshot, rack_power_watts=values, breaker_current_amperes=amperes, rack_declared_power_watts=declared
    )


def without(snapshot, names, quality, rows=(0, 1, 2, 3)):
    """The same hall with readings of some rows' racks, or loops, of another quality."""
    codes = dict(snapshot.qualities)
    for name in names:
        codes[name] = codes[name].copy()
        of_row = np.arange(4) if len(codes[name]) == 4 else snapshot.rack_row
        codes[name][np.isin(of_row, rows)] = quality
    return replace(snapshot, qualities=codes)


# ---------------------------------------------------------------- choice


def test_a_rack_is_as_hot_as_its_own_devices_bear():
    """All devices at 85 °C: that is where the first rows' slow down, and 2 K below it elsewhere."""
    calm = example()
    name = "rack_device_temperature_celsius"
    past = calm.histories[name]
    histories = {**calm.histories, name: History(past.time_seconds, np.full((60, 16), 85.0), past.quality)}
    hot = replace(calm, **{name: np.full(16, 85.0)}, histories=histories)

    def asked(slowdown):
        return POLICY(replace(hot, facility=replace(hot.facility, rack_slowdown_celsius=slowdown)), ONE, None)

    decision, state = asked(np.where(calm.rack_row < 2, 85.0, 87.0))
    assert decision.racks == (("C-01", 2),)
    assert (state.out.out.any(axis=0) == (calm.rack_row < 2)).all()
    refused, state = asked(np.full(16, 85.0))
    assert isinstance(refused, Wait)
    assert refused.reason is Reason.WAIT_EXCLUDED
    unknown, state = asked(np.zeros(0))
    assert unknown.reason is Reason.WAIT_FOR_RULE
    assert "device temperature: device_over_slowdown_kelvin is not known" in unknown.detail
    assert not state.out.out.any()


def test_the_coolest_of_equal_racks_is_taken_and_names_break_ties():
    decision, _ = POLICY(hotter(example(), [0, 1, 2, 3], 2.0), ONE, None)
    assert decision.racks == (("B-01", 2),)
    assert decision.reason is Reason.PLACED_AWARE
    assert "sustained headroom 66.0 kW on B-01 (its nameplate)" in decision.detail


def test_a_gang_is_spread_over_loops_before_any_takes_a_second_rack():
    decision, _ = POLICY(example(), GANG, None)
    assert decision.racks == (("A-01", 9), ("B-01", 9), ("C-01", 9), ("D-01", 3))


def patiently(look, request):
    """A decision that no estimate of what racks bear turns away beforehand."""
    several = Choice.several

    def all_of_them(choice):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Asked, "most", lambda asked, room: np.full(16, float(request.trays)))
            return several(choice)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Choice, "several", all_of_them)  # and not the sentence, which tells what they bear
        return POLICY(look, request, None)[0]


@pytest.mark.parametrize("watts", [4_000.0, 9_000.0, 14_000.0, 20_000.0])
@pytest.mark.parametrize("loaded", [[], [0, 1, 5, 5], [*range(16)]])
def test_the_largest_gang_that_racks_take_together_is_taken(watts, loaded):
    look, most = power(example(), loaded, 30_000.0), 0
    for trays in range(1, 145):
        request = replace(GANG, trays=trays, power_watts_per_tray=watts)
        quick, _ = POLICY(look, request, None)
        assert quick == patiently(look, request)
        most = trays if isinstance(quick, Placement) else most
    assert most > 0 and (most < 144 or watts < 9_000.0)


@given(trays=st.integers(1, 400), watts=st.floats(0.0, 20_000.0), loaded=st.lists(st.integers(0, 15), max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_racks_bear_one_by_one_is_never_less_than_what_they_take_together(trays, watts, loaded):
    request, look = replace(GANG, trays=trays, power_watts_per_tray=watts), power(example(), loaded, 30_000.0)
    quick, _ = POLICY(look, request, None)
    patient = patiently(look, request)
    assert quick == patient


def test_a_loop_of_which_nothing_is_known_hides_no_limit_that_is_too_small():
    """Its racks count as what they would take alone, and the lines above the others still bear what they bear."""
    look = power(example(), [], 0.0)
    base = POLICY._grounded(look, look.facility)
    room = POLICY._left(look, look.facility, np.zeros(16), base.horizon(0.0))
    asked = Asked.of(replace(GANG, power_watts_per_tray=20_000.0), look, look.facility)
    known = asked.together(room, look, look.facility, asked.roomy)
    loops = room.loop_left_watts.copy()
    loops[0] = np.nan
    assert known < float(asked.most(room).sum())
    assert asked.together(replace(room, loop_left_watts=loops), look, look.facility, asked.roomy) >= known
    limits = np.full_like(room.limit_left_amperes, np.inf)
    limits[0] = 0.0
    tight = replace(room, loop_left_watts=loops, limit_left_amperes=limits)
    free = replace(room, loop_left_watts=loops, limit_left_amperes=np.full_like(limits, np.inf))
    both = [asked.together(each, look, look.facility, asked.roomy) for each in (tight, free)]
    assert both[0] < both[1]


@given(
    trays=st.integers(1, 80),
    watts=st.floats(0.0, 20_000.0),
    peak=st.floats(0.0, 20_000.0),
    one_rack=st.booleans(),
    loaded=st.lists(st.integers(0, 15), max_size=12),
    free=st.lists(st.integers(0, 9), min_size=16, max_size=16),
    promised=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_who_is_told_to_be_short_of_something_would_wait_for_it(trays, watts, peak, one_rack, loaded, free, promised):
    request = replace(GANG, trays=trays, power_watts_per_tray=watts, peak_watts_per_tray=peak, one_rack=one_rack)
    look = power(example(), loaded, 25_000.0).with_free_trays(np.array(free))
    state = POLICY(look, replace(ONE, trays=1), None)[1] if promised else None
    short = POLICY.short_of(look, request, state)
    decision, _ = POLICY(look, request, state)
    for_trays = isinstance(decision, Wait) and decision.reason is Reason.WAIT_FOR_TRAYS
    assert (short is Reason.WAIT_FOR_TRAYS) == for_trays
    assert short is None or isinstance(decision, Wait)


def test_what_a_gang_is_short_of_is_told_by_rows_and_loops_not_rack_by_rack():
    """Each rack alone could have all that its row's breaker, or its loop, has left."""
    full = power(example(), np.arange(16), 0.3 * NAMEPLATE)  # 0.8 of the rating; 0.85 is permitted
    bears = 4 * int(0.05 * 4 * NAMEPLATE / ((5_000.0 - 1_500.0) * 1.03))
    assert POLICY.short_of(full, replace(GANG, trays=bears)) is None
    assert POLICY.short_of(full, replace(GANG, trays=bears + 5)) is Reason.WAIT_FOR_HEADROOM
    calm = example()
    small = replace(calm.facility, loop_capacity_watts=np.full(4, 4 * 0.5 * NAMEPLATE + 20_000.0))
    assert POLICY.short_of(replace(calm, facility=small), replace(GANG, trays=4 * 5)) is None
    assert POLICY.short_of(replace(calm, facility=small), replace(GANG, trays=4 * 6)) is Reason.WAIT_FOR_HEADROOM


def test_what_only_rules_keep_waiting_is_short_of_nothing_that_could_be_told_beforehand():
    hot = hotter(example(), np.arange(16), 20.0)
    assert isinstance(POLICY(hot, ONE, None)[0], Wait)
    assert POLICY.short_of(hot, ONE) is None
    assert POLICY.short_of(hot, replace(GANG, trays=10_000)) is None  # it is refused
    paused = replace(example(), rack_admitting=np.zeros(16, dtype=bool))
    assert POLICY.short_of(paused, ONE) is Reason.WAIT_PAUSED


def test_a_gang_without_power_takes_every_free_tray():
    free = int(example().rack_free_trays.sum())
    placed, _ = POLICY(example(), replace(GANG, trays=free, power_watts_per_tray=0.0), None)
    assert isinstance(placed, Placement) and sum(trays for _, trays in placed.racks) == free


def test_a_gang_takes_from_a_row_no_more_than_its_breaker_bears():
    full = power(example(), np.arange(16), 0.3 * NAMEPLATE)  # 0.8 of the rating; 0.85 is permitted
    steady = (5_000.0 - 1_500.0) * 1.03
    decision, _ = POLICY(full, replace(GANG, trays=24), None)
    assert isinstance(decision, Placement)
    by_row = {name: 0 for name in "ABCD"}
    for name, trays in decision.racks:
        by_row[name[0]] += trays
    left = 0.05 * 4 * NAMEPLATE
    assert all(trays * steady <= left * 1.002 for trays in by_row.values())
    asked = 4 * int(left / steady) + 4
    refused, _ = POLICY(full, replace(GANG, trays=asked), None)
    assert isinstance(refused, Wait) and refused.reason is Reason.WAIT_FOR_HEADROOM
    assert refused.detail == f"{asked} trays asked, 16 racks have power for {int(4 * left / steady)} together, " + (
        "the best of them A-01 (row A)"
    )
    (short,) = refused.thresholds
    assert (short.rule, short.value, short.limit, short.passed) == (
        "trays together", int(4 * left / steady), asked, False,
    )  # fmt: skip


def test_a_burst_within_one_look_does_not_herd():
    """Fifty requests on one snapshot: no row ends above what is permitted, and no rack takes many."""
    snapshot, state = example(), None
    free = snapshot.rack_free_trays.copy()
    given = np.zeros(16)
    for number in range(50):
        decision, state = POLICY(snapshot, replace(ONE, id=f"job-{number}"), state)
        assert isinstance(decision, Placement)
        ((name, trays),) = decision.racks
        rack = snapshot.rack_names.index(name)
        free[rack] -= trays
        given[rack] += trays
        snapshot = snapshot.with_free_trays(free.copy())
    assert given.max() - given.min() <= 2
    assert state.promised_watts == pytest.approx(given * (5_000.0 - 1_500.0) * 1.03)


def test_promises_are_forgotten_at_the_next_look():
    snapshot = example()
    _, state = POLICY(snapshot, ONE, None)
    assert state.promised_watts.sum() > 0.0
    _, state = POLICY(replace(snapshot, serial=2, rack_free_trays=np.zeros(16, dtype=np.int64)), ONE, state)
    assert state.promised_watts.sum() == 0.0


# ---------------------------------------------------------------- waits, with rule, value and limit


def test_transient_headroom_alone_is_no_headroom():
    """A row whose jobs declared more than they draw so far: enough at once, not for the next half hour."""
    calm = example()
    starting = replace(calm, rack_declared_power_watts=np.full(16, 0.84 * NAMEPLATE))
    decision, _ = POLICY(starting, replace(ONE, trays=4), None)
    assert isinstance(decision, Wait) and decision.reason is Reason.WAIT_TRANSIENT_ONLY
    assert decision.detail.endswith("14.4 kW asked on A-01 (row A)")
    assert isinstance(POLICY(calm, replace(ONE, trays=4), None)[0], Placement)


def test_a_wait_names_rule_value_and_limit():
    crowded, _ = POLICY(power(example(), np.arange(16), 0.4 * NAMEPLATE), ONE, None)
    assert crowded.reason is Reason.WAIT_FOR_RULE
    assert crowded.detail == "power utilisation: utilisation_projected 0.9001, at most 0.85 allowed on A-01"
    calm, name = example(), "rack_supply_temperature_celsius"
    past = calm.histories[name]
    rising = 41.0 + (past.time_seconds - past.time_seconds[-1])[:, None] / 60.0 + np.zeros(16)  # 1 K a minute
    now = {**calm.histories, name: History(past.time_seconds, rising, past.quality)}
    warming = replace(calm, rack_supply_temperature_celsius=np.full(16, 41.0), histories=now)
    told, _ = POLICY(warming, ONE, None)
    assert told.detail == "projected inlet: inlet_projected_celsius 56 °C, at most 50 °C allowed on A-01"
    out, _ = POLICY(hotter(calm, np.arange(16), 8.0), ONE, None)
    assert (out.reason, out.detail) == (Reason.WAIT_EXCLUDED, "A-01 is out until it has recovered")


def test_a_decision_holds_what_an_audit_asks_of_it():
    """Rule, value and limit as numbers where it waits; score, rank and the next best where it is placed."""
    calm, every = example(), np.arange(16)
    by_rule, _ = POLICY(power(calm, every, 0.4 * NAMEPLATE), ONE, None)
    (share,) = by_rule.thresholds
    assert share == Threshold("power utilisation", pytest.approx(0.9001, abs=1e-4), 0.85, "at most", "1", False, "A-01")
    unknown, _ = POLICY(without(calm, ["rack_supply_temperature_celsius"], Quality.MISSING), ONE, None)
    assert unknown.thresholds == (Threshold("inlet temperature", None, 48.0, "at most", "°C", False, "A-01"),)
    hot = hotter(calm, every, 8.0)
    out, state = POLICY(hot, ONE, None)
    assert out.thresholds == (Threshold("hot inlet", 48.0, 45.0, "at most", "°C", False, "A-01"),)
    cooled, _ = POLICY(replace(calm, serial=hot.serial + 1, time_seconds=hot.time_seconds + 10.0), ONE, state)
    assert cooled.thresholds == (Threshold("hot inlet", 40.0, 45.0, "at most", "°C", True, "A-01"),)
    starting = replace(calm, rack_declared_power_watts=np.full(16, 0.84 * NAMEPLATE))
    transient, _ = POLICY(starting, replace(ONE, trays=4), None)
    (sustained,) = transient.thresholds  # of the two headrooms, the one that is short
    assert (sustained.rule, sustained.limit, sustained.bound) == ("sustained headroom", 14_420.0, "at least")
    assert sustained.value < sustained.limit

    warm = hotter(calm, [0], 2.0)
    free = np.zeros(16, dtype=np.int64)
    free[[0, 5]] = 2
    placed, _ = POLICY(replace(warm, rack_free_trays=free), replace(ONE, trays=4, one_rack=False), None)
    names = warm.rack_names
    assert {name for name, _ in placed.racks} == {names[0], names[5]}
    assert (placed.scored, placed.rank, placed.ranked, placed.runner_up) == (names[0], 16, 16, None)
    first, _ = POLICY(warm, ONE, None)
    assert first.rank == 1 and first.runner_up == (names[2], first.score)  # A-02 is the best by name, then A-03
    assert all(each.passed and each.where == first.scored == names[1] for each in first.thresholds)


def test_with_every_temperature_of_a_loop_lost_nothing_is_placed_there_and_the_reason_says_so():
    names = ["rack_supply_temperature_celsius", "rack_return_temperature_celsius", "rack_device_temperature_celsius",
             "loop_supply_temperature_celsius", "loop_return_temperature_celsius"]  # fmt: skip
    for quality in (Quality.MISSING, Quality.STALE):
        lost = without(example(), names, quality, rows=(0,))
        decision, _ = POLICY(lost, replace(GANG, trays=60), None)
        assert isinstance(decision, Placement) and not any(name.startswith("A") for name, _ in decision.racks)
        everywhere = without(example(), names, quality)
        told, _ = POLICY(everywhere, ONE, None)
        assert told.reason is Reason.WAIT_FOR_RULE
        assert told.detail == "inlet temperature: inlet_celsius is not known on A-01"


def test_a_rack_above_threshold_is_out_and_comes_back_only_after_its_recovery_criteria():
    calm, state = example(), None
    for serial, (seconds, kelvin, out) in enumerate(
        [(0, 8.0, True), (100, 6.0, True), (200, 4.0, True), (499, 4.0, True), (500, 4.0, False)], start=1
    ):
        now = replace(hotter(calm, [0], kelvin), time_seconds=1_000.0 + seconds, serial=serial)
        _, state = POLICY(now, ONE, state)
        assert bool(state.out.out.any(axis=0)[0]) is out, seconds


def test_what_cannot_ever_be_is_refused():
    decision, _ = POLICY(example(), replace(GANG, trays=10_000), None)
    assert decision == Refusal("job-2", Reason.LARGER_THAN_HALL, "10000 trays asked, 288 installed")


# ---------------------------------------------------------------- properties


@pytest.mark.parametrize("make", [lambda: POLICY, lambda: first_fit, lambda: random_healthy(3)])
def test_shipped_policies_pass_the_check(make):
    assert check_policy(make) == []


class Pessimist:
    """Says of everything that there are no trays for it, and places it all the same."""

    def __call__(self, snapshot, request, state=None):
        return first_fit(snapshot, request, state)

    def short_of(self, snapshot, request, state=None):
        return Reason.WAIT_FOR_TRAYS


def test_the_check_finds_what_is_wrong():
    def greedy(snapshot, request, state=None):
        snapshot.rack_free_trays[:] = 0
        return Placement(request.id, (("nowhere", request.trays),), Reason.PLACED_FIRST_FIT), state

    def moody(snapshot, request, state=None, calls=[0]):  # noqa: B006
        calls[0] += 1
        return Wait(request.id, Reason.WAIT_FOR_TRAYS, str(calls[0])), state

    def fragile(snapshot, request, state=None):
        raise KeyError("telemetry")

    assert {"changed its arguments", "placed on 'nowhere', which is no rack"} <= {
        f.what for f in check_policy(lambda: greedy)
    }
    assert any(finding.what.startswith("decided Wait") for finding in check_policy(lambda: moody))
    assert {finding.what for finding in check_policy(lambda: fragile)} == {"raised KeyError: 'telemetry'"}
    said = "what it said would wait: WAIT_FOR_TRAYS"
    assert {f.what for f in check_policy(Pessimist)} == {f"placed {said}", f"refused {said}"}
    slow = check_policy(lambda: first_fit, timer=iter(range(10_000)).__next__, greatest_seconds=0.5)
    assert {finding.what for finding in slow} == {"took longer than 0.5 s"}


@settings(max_examples=40, deadline=None)
@given(st.permutations(list(range(16))), st.lists(st.floats(-3.0, 4.0), min_size=16, max_size=16), st.booleans())
def test_decisions_do_not_depend_on_the_order_of_racks(order, kelvin, gang):
    snapshot = hotter(example(), np.arange(16), np.array(kelvin))
    later = np.array([1.0, 1.4, 1.6])[:, None] * (snapshot.rack_power_watts + 500.0 * np.arange(16) * np.array(kelvin))
    snapshot = replace(snapshot, rack_declared_power_watts=later[-1], rack_declared_ahead_watts=later,
                       declared_ahead_seconds=np.array([1_800.0, 7_200.0, 86_400.0]))  # fmt: skip
    places = np.array(order)
    moved = np.argsort(places)
    facility = snapshot.facility
    beside = facility.rack_neighbours[places]
    mixed_facility = replace(
        facility,
        **{name: getattr(facility, name)[places] for name in ("rack_limits", "rack_limit_feed", "rack_amperes_per_watt",
                                                              "rack_tray_idle_watts", "rack_watts_per_tray_watt")},
        rack_neighbours=np.where(beside >= 0, moved[np.maximum(beside, 0)], -1),
    )  # fmt: skip
    changed = {"rack_names": tuple(snapshot.rack_names[place] for place in order), "facility": mixed_facility}
    for name in (
        "row", "loop", "trays", "free_trays", "healthy", "production", "power_watts", "max_power_watts",
        "supply_temperature_celsius", "return_temperature_celsius", "device_temperature_celsius",
        "flow_litres_per_minute", "inlet_air_temperature_celsius", "valve_ratio", "declared_power_watts",
    ):  # fmt: skip
        changed[f"rack_{name}"] = getattr(snapshot, f"rack_{name}")[places]
    of_racks = {name for name in snapshot.ages if name.startswith("rack_")}
    for field in ("ages", "qualities"):
        changed[field] = {n: v[places] if n in of_racks else v for n, v in getattr(snapshot, field).items()}
    changed["histories"] = {
        n: History(h.time_seconds, h.values[:, places], h.quality[:, places]) if n in of_racks else h
        for n, h in snapshot.histories.items()
    }
    changed["rack_declared_ahead_watts"] = snapshot.rack_declared_ahead_watts[:, places]
    for seconds in (600.0, 7_200.0, 0.0):
        request = replace(GANG if gang else ONE, declared_seconds=seconds)
        assert POLICY(replace(snapshot, **changed), request, None)[0] == POLICY(snapshot, request, None)[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 15), st.floats(0.0, 6e4), st.integers(1, 9))
def test_more_headroom_never_worsens_a_rack(rack, less, trays):
    """A rack that is taken for a request is still fit for it when it draws less."""
    request = replace(ONE, trays=trays)
    before, after = example(), power(example(), [rack], -less)
    only = np.where(np.arange(16) == rack, 9, 0)
    taken = isinstance(POLICY(before.with_free_trays(only), request, None)[0], Placement)
    still = isinstance(POLICY(after.with_free_trays(only), request, None)[0], Placement)
    assert still or not taken


def test_parameters_are_refused_whole_and_stamped_with_a_digest():
    wrong = shipped()
    wrong["least_confidence"] = 2
    wrong["colour"] = "red"
    wrong["permitted"]["limit_utilisation"] = -1
    del wrong["score"]
    with pytest.raises(DocumentError) as refused:
        thermal_aware(wrong)
    keys = {fault.key for fault in refused.value.faults}
    assert {"policy.least_confidence", "policy.colour", "policy.permitted.limit_utilisation", "policy.score"} <= keys
    milder = shipped()
    milder["permitted"]["limit_utilisation"] = 0.9
    assert len(POLICY.digest) == 64 and thermal_aware(shipped()).digest == POLICY.digest
    assert thermal_aware(milder).digest != POLICY.digest
