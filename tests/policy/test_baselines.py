"""The traditional pipeline: pure, deterministic, and never on a rack that may not be used."""

import copy
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.policy import JobRequest, Placement, Reason, Refusal, Wait, first_fit, random_healthy
from twin.policy.baselines import POLICIES


def _request(trays: int, *, one_rack: bool = False, name: str = "train-7") -> JobRequest:
    return JobRequest(name, "training", trays, one_rack, 0, 5_000.0)


EVERY = [first_fit, random_healthy(0), random_healthy(7)]
policies = pytest.mark.parametrize("policy", EVERY, ids=["first_fit", "random 0", "random 7"])


def _shuffled(facility, order):
    """The same racks, listed in another order."""
    changed = {}
    for field in fields(facility):
        value = getattr(facility, field.name)
        if field.name == "rack_names":
            changed[field.name] = tuple(value[n] for n in order)
        elif field.name == "rack_declared_ahead_watts":  # by horizon and rack
            changed[field.name] = value[:, list(order)] if value.size else value
        elif field.name.startswith("rack_"):
            changed[field.name] = value[list(order)]
    return replace(facility, **changed)


# ---------------------------------------------------------------- first fit


def test_first_fit_takes_racks_by_name_and_not_by_place(facility):
    snapshot = facility([18, 18, 18], names=["B-02", "A-10", "A-09"])
    decision, _ = first_fit(snapshot, _request(40))
    assert decision == Placement("train-7", (("A-09", 18), ("A-10", 18), ("B-02", 4)), Reason.PLACED_FIRST_FIT)


def test_first_fit_in_one_rack_passes_over_those_without_room(facility):
    decision, _ = first_fit(facility([0, 11, 12, 18]), _request(12, one_rack=True))
    assert decision == Placement("train-7", (("A-03", 12),), Reason.PLACED_FIRST_FIT)


def test_a_split_job_fills_what_is_left_over(facility):
    decision, _ = first_fit(facility([3, 0, 11, 18]), _request(15))
    assert decision == Placement("train-7", (("A-01", 3), ("A-03", 11), ("A-04", 1)), Reason.PLACED_FIRST_FIT)


# ---------------------------------------------------------------- random


def test_random_is_drawn_from_seed_and_request_and_from_nothing_else(facility):
    snapshot = facility([18] * 16)

    def rack(seed: int, name: str) -> str:
        decision, _ = random_healthy(seed)(snapshot, _request(18, one_rack=True, name=name))
        return decision.racks[0][0]

    names = [f"job-{n}" for n in range(40)]
    once = [rack(3, name) for name in names]
    assert once == [rack(3, name) for name in names]
    assert once != [rack(4, name) for name in names]
    assert len(set(once)) >= 12  # spread over the hall, not stuck on a favourite


def test_random_draws_are_the_same_on_every_machine(facility):
    """Pinned: a hash of text has one value anywhere, so a replay elsewhere decides the same."""
    decision, _ = random_healthy(0)(facility([18] * 4), _request(54))
    assert [name for name, _ in decision.racks] == ["A-01", "A-04", "A-03"]


def test_random_takes_each_rack_about_as_often(facility):
    snapshot = facility([18] * 4)
    counts = dict.fromkeys(snapshot.rack_names, 0)
    for n in range(2_000):
        decision, _ = random_healthy(1)(snapshot, _request(1, one_rack=True, name=f"job-{n}"))
        counts[decision.racks[0][0]] += 1
    assert min(counts.values()) > 500 - 4 * np.sqrt(2_000 * 0.25 * 0.75)
    assert max(counts.values()) < 500 + 4 * np.sqrt(2_000 * 0.25 * 0.75)


# ---------------------------------------------------------------- both


@policies
def test_unhealthy_and_staging_racks_are_never_chosen(policy, facility):
    snapshot = facility([18] * 4, healthy=[False, True, True, True], production=[True, True, False, True])
    for n in range(50):
        decision, _ = policy(snapshot, _request(36, name=f"job-{n}"))
        assert {name for name, _ in decision.racks} == {"A-02", "A-04"}
    decision, _ = policy(snapshot, _request(37))
    assert decision == Wait("train-7", Reason.WAIT_FOR_TRAYS, "37 asked, 36 free")


@policies
def test_a_job_waits_for_trays_that_exist_and_is_refused_those_that_do_not(policy, facility):
    snapshot = facility([0, 4], production=[True, True])
    assert isinstance(policy(snapshot, _request(36))[0], Wait)
    decision, _ = policy(snapshot, _request(37))
    assert decision == Refusal("train-7", Reason.LARGER_THAN_HALL, "37 trays asked, 36 installed")
    staged = facility([18, 18], production=[True, False])
    assert isinstance(policy(staged, _request(19))[0], Refusal)  # staging does not count as installed


@policies
def test_broken_racks_are_waited_for_and_not_taken_for_missing(policy, facility):
    decision, _ = policy(facility([18, 18], healthy=[True, False]), _request(36))
    assert decision == Wait("train-7", Reason.WAIT_FOR_TRAYS, "36 asked, 18 free")


@policies
def test_one_rack_means_one_rack(policy, facility):
    assert policy(facility([9, 9]), _request(10, one_rack=True))[0] == Wait(
        "train-7", Reason.WAIT_FOR_TRAYS, "no rack has 10 free trays"
    )
    assert isinstance(policy(facility([18, 18]), _request(19, one_rack=True))[0], Refusal)


@policies
def test_a_hall_without_production_racks_refuses(policy, facility):
    assert isinstance(policy(facility([18], production=[False]), _request(1, one_rack=True))[0], Refusal)
    assert isinstance(policy(facility([]), _request(1))[0], Refusal)


@policies
def test_state_goes_through_untouched_and_arguments_stay_as_they_were(policy, facility):
    snapshot = facility([18, 5, 0, 18])
    before = copy.deepcopy(snapshot)
    marker = object()
    _, state = policy(snapshot, _request(20), marker)
    assert state is marker
    for field in fields(snapshot):
        old, new = getattr(before, field.name), getattr(snapshot, field.name)
        assert np.array_equal(old, new, equal_nan=old.dtype.kind == "f") if isinstance(old, np.ndarray) else old == new


@given(data=st.data())
@pytest.mark.parametrize("policy", EVERY, ids=["first_fit", "random 0", "random 7"])
def test_a_placement_is_exact_and_does_not_depend_on_the_order_of_racks(policy, facility, data):
    count = data.draw(st.integers(1, 8))
    free = data.draw(st.lists(st.integers(0, 18), min_size=count, max_size=count))
    healthy = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    production = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    order = data.draw(st.permutations(range(count)))
    request = _request(data.draw(st.integers(1, 60)), one_rack=data.draw(st.booleans()))
    snapshot = facility(free, healthy=healthy, production=production)
    decision, _ = policy(snapshot, request)
    assert policy(snapshot, request)[0] == decision
    assert policy(_shuffled(snapshot, order), request)[0] == decision
    usable = {
        name: trays
        for name, trays, up, mine in zip(snapshot.rack_names, free, healthy, production, strict=True)
        if up and mine
    }
    fits = max(usable.values(), default=0) if request.one_rack else sum(usable.values())
    assert isinstance(decision, Placement) == (request.trays <= fits)
    if isinstance(decision, Placement):
        chosen = dict(decision.racks)
        assert len(chosen) == len(decision.racks)
        assert sum(chosen.values()) == request.trays
        assert all(0 < trays <= usable[name] for name, trays in chosen.items())
        assert not request.one_rack or len(chosen) == 1


def test_policies_are_found_by_the_names_of_the_command_line(facility):
    assert sorted(POLICIES) == ["first_fit", "random_healthy"]
    snapshot, request = facility([18] * 9), _request(18, one_rack=True)
    assert POLICIES["first_fit"](5)(snapshot, request) == first_fit(snapshot, request)
    assert POLICIES["random_healthy"](5)(snapshot, request) == random_healthy(5)(snapshot, request)
