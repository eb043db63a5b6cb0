"""Packing by free power, fixed thresholds, and refusing everything: what each sees, and what it does not."""

from dataclasses import replace

import numpy as np
import pytest

from twin.policy import JobRequest, Placement, Reason, Refusal, Wait, check_policy, first_fit
from twin.policy.check import NAMEPLATE, example
from twin.policy.documents import DocumentError
from twin.policy.static import best_fit, cap_all, refuse_all, static_thresholds

ONE = JobRequest("job-1", "inference", 2, True, 10, 5_000.0)
CAPPED = cap_all({"greatest_clock": 0.6})
STATIC = static_thresholds({"power_ratio": 0.85, "inlet_celsius": 45, "device_celsius": 86})


def drawing(**watts):
    """The example with some racks, by name, drawing so much."""
    snapshot = example()
    power = snapshot.rack_power_watts.copy()
    for name, value in watts.items():
        power[snapshot.rack_names.index(name.replace("_", "-"))] = value
    return replace(snapshot, rack_power_watts=power)


def test_best_fit_takes_the_tightest_rack_that_still_bears_it():
    snapshot = drawing(B_03=NAMEPLATE - 10_500.0, C_01=NAMEPLATE - 9_999.0, D_02=NAMEPLATE - 30_000.0)
    assert best_fit(snapshot, ONE)[0] == Placement("job-1", (("B-03", 2),), Reason.PLACED_BEST_FIT)
    unknown = drawing(B_03=np.nan, D_02=NAMEPLATE - 30_000.0)
    assert best_fit(unknown, ONE)[0].racks == (("D-02", 2),)


def test_best_fit_does_not_see_what_racks_share():
    """A row whose breaker is past its rating takes the job all the same: that is what it is compared for."""
    snapshot = example()
    full = replace(snapshot, breaker_current_amperes=1.5 * snapshot.breaker_rating_amperes)
    assert isinstance(best_fit(full, ONE)[0], Placement)
    assert isinstance(STATIC(full, ONE)[0], Placement)


def test_thresholds_are_of_this_instant():
    hot = example().rack_supply_temperature_celsius.copy()
    hot[0] = 45.1
    assert STATIC(replace(example(), rack_supply_temperature_celsius=hot), ONE)[0].racks == (("A-02", 2),)
    busy = drawing(A_01=0.86 * NAMEPLATE)
    assert STATIC(busy, ONE)[0].racks == (("A-02", 2),)
    assert isinstance(STATIC(replace(example(), rack_power_watts=np.full(16, np.nan)), ONE)[0], Wait)


def test_a_gang_gets_no_more_than_its_racks_have():
    gang = replace(ONE, trays=20, one_rack=False)
    few = drawing(**{f"{row}_0{place}": 0.9 * NAMEPLATE for row in "ABC" for place in range(1, 5)})
    assert STATIC(few, gang)[0].racks == (("D-01", 9), ("D-02", 9), ("D-03", 2))
    told, _ = STATIC(few, replace(gang, trays=37))
    assert told == Wait("job-1", Reason.WAIT_FOR_TRAYS, "37 asked, 36 free")


def test_refusing_everything_says_so_and_names_what_could_never_be():
    assert refuse_all(example(), ONE)[0] == Refusal("job-1", Reason.REFUSED_ALL)
    assert refuse_all(example(), replace(ONE, trays=10_000, one_rack=False))[0].reason is Reason.LARGER_THAN_HALL


@pytest.mark.parametrize(
    "policy", [best_fit, STATIC, refuse_all, CAPPED], ids=["best_fit", "static", "refuse_all", "cap_all"]
)
def test_they_pass_the_check(policy):
    assert check_policy(lambda: policy) == []


def test_thresholds_are_refused_with_all_their_faults():
    with pytest.raises(DocumentError) as refused:
        static_thresholds({"power_ratio": -1, "inlet": 45})
    assert {fault.key for fault in refused.value.faults} == {
        "policy.power_ratio", "policy.inlet", "policy.inlet_celsius", "policy.device_celsius",
    }  # fmt: skip


def test_capping_everything_places_as_first_fit_does_and_refuses_a_clock_that_is_none():
    gang = replace(ONE, trays=20, one_rack=False)
    for request in (ONE, gang):
        assert CAPPED(example(), request) == first_fit(example(), request)
    assert CAPPED.greatest_clock == 0.6
    for wrong in (0.05, 1.2, "slow"):
        with pytest.raises(DocumentError, match=r"policy\.greatest_clock"):
            cap_all({"greatest_clock": wrong})
