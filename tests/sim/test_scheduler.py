"""The queue: order, backfill, preemption, refusal, and policies that ask for what cannot be."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.policy import Placement, Reason, Wait, first_fit
from twin.policy.protocol import JobRequest
from twin.results.kinds import EventKind
from twin.sim.scheduler import PATIENCE, PolicyError
from twin.sim.world import Settings
from twin.workload.jobs import JobKind

STARTS = (EventKind.JOB_STARTED,)
TURNS = (EventKind.JOB_STARTED, EventKind.JOB_PREEMPTED, EventKind.JOB_COMPLETED)


def test_jobs_start_at_the_next_control_tick(bench, a_job):
    stage = bench()
    stage.submit(a_job("early", submit=3.0), a_job("late", submit=17.0))
    stage.run(60.0)
    assert stage.told(*STARTS) == [(10.0, "job_started", "early"), (20.0, "job_started", "late")]


def test_priority_goes_before_age_and_age_before_number(bench, a_job):
    stage = bench()
    stage.submit(
        a_job("whole", 72, 100.0, submit=5.0),
        a_job("plain", 72, 100.0, submit=12.0),
        a_job("plain too", 72, 100.0, submit=13.0),
        a_job("urgent", 72, 100.0, submit=14.0, priority=5),
    )
    stage.run(500.0)
    assert stage.told(*STARTS) == [
        (10.0, "job_started", "whole"),
        (120.0, "job_started", "urgent"),
        (230.0, "job_started", "plain"),
        (340.0, "job_started", "plain too"),
    ]


def test_jobs_in_flight_are_placed_by_priority_then_size_then_name(tell, a_job, log_of):
    result = tell(
        30.0,
        jobs=[a_job("big", 54), a_job("b", 9, priority=5), a_job("a", 9, priority=5), a_job("dear", 1, priority=10)],
    )
    order = [name for time, _, name in log_of(result, *STARTS) if time == 0.0]
    assert order == ["dear", "a", "b"]  # for the big one, 53 are left


def test_a_short_job_goes_before_the_head_and_a_long_one_does_not(bench, a_job):
    stage = bench()
    stage.submit(
        a_job("three racks", 54, 1_000.0, submit=5.0),
        a_job("head", 72, 100.0, submit=21.0),
        a_job("long", 18, 2_000.0, submit=22.0),
        a_job("short", 18, 500.0, submit=23.0),
    )
    stage.run(1_300.0)
    assert stage.told(*STARTS) == [
        (10.0, "job_started", "three racks"),
        (30.0, "job_started", "short"),
        (1_020.0, "job_started", "head"),  # the tick after three racks are free: nobody held it up
        (1_130.0, "job_started", "long"),
    ]


@pytest.mark.parametrize(
    ("reason", "at_the_change", "where_nothing_changed"),
    [
        (Reason.WAIT_FOR_TRAYS, [(110.0, "head")], []),  # "early" has left; then trays stay as they are
        (Reason.WAIT_PAUSED, [(110.0, "head")], []),
        # what "early" drew stands in the readings yet, and those may change at any time
        (Reason.WAIT_FOR_HEADROOM, [], [(250.0, "head"), (250.0, "behind")]),
    ],
)
def test_who_was_told_to_wait_is_asked_for_every_two_minutes_and_a_head_that_lacks_trays_when_something_changed(
    bench, a_job, reason, at_the_change, where_nothing_changed
):
    asked = []

    def policy(snapshot, request, state=None):
        asked.append((snapshot.time_seconds, request.id))
        if request.id in ("head", "behind"):
            return Wait(request.id, reason, ""), None
        return first_fit(snapshot, request, None)

    stage = bench(policy=policy)
    stage.submit(
        a_job("early", 5, 98.0, submit=5.0),
        a_job("head", 10, submit=81.0),
        a_job("behind", 9, submit=82.0),
        a_job("new", 1, submit=91.0),
    )
    stage.run(300.0)
    assert asked == [
        (10.0, "early"),
        (90.0, "head"), (90.0, "behind"),  # they are new
        (100.0, "new"),  # nobody left: no other hears of it
        *at_the_change,
        (130.0, "head"), (130.0, "behind"),  # two minutes after the first look at all
        *where_nothing_changed,
    ]  # fmt: skip


def test_who_was_told_to_wait_is_not_asked_about_again_while_the_policy_says_that_it_would_be_told_so_again(
    bench, a_job
):
    """There is no power until 200 s; trays are free all the time."""
    asked, looked = [], []

    class Policy:
        def __call__(self, snapshot, request, state=None):
            asked.append((snapshot.time_seconds, request.id))
            if snapshot.time_seconds < 200.0:
                return Wait(request.id, Reason.WAIT_FOR_HEADROOM, "1 kW missing"), None
            return first_fit(snapshot, request, None)

        def short_of(self, snapshot, request, state=None):
            looked.append((snapshot.time_seconds, request.id))
            return Reason.WAIT_FOR_HEADROOM if snapshot.time_seconds < 200.0 else None

    stage = bench(policy=Policy())
    first, second = stage.submit(a_job("first", 5, submit=5.0), a_job("no less", 6, submit=15.0))
    stage.run(300.0)
    assert asked == [(10.0, "first"), (20.0, "no less"), (250.0, "first"), (250.0, "no less")]
    assert looked == [(130.0, "first"), (250.0, "first"), (250.0, "no less")]  # at 130 s it asks for no less
    assert (first.first_start, second.first_start) == (250.0, 250.0)


def test_nobody_is_asked_about_a_job_that_asks_for_no_less_than_one_that_was_just_told_to_wait(bench, a_job):
    """Once nine trays wait: not the same again, nor a larger one; a smaller, a cooler and one of another class are."""
    asked = []

    def policy(snapshot, request, state=None):
        asked.append(request.id)
        return Wait(request.id, Reason.WAIT_FOR_HEADROOM, "1 kW missing"), None

    stage = bench(policy=policy)
    stage.submit(
        a_job("nine", 9, submit=1.0),
        a_job("nine too", 9, submit=2.0),
        a_job("ten", 10, submit=3.0),
        a_job("eight", 8, submit=4.0),
        a_job("other work", 9, submit=5.0, kind=JobKind.BATCH),
        a_job("cooler", 9, submit=6.0, utilisation=0.1),
        a_job("urgent", 11, submit=7.0, priority=50),
    )
    stage.run(20.0)
    assert asked == ["urgent", "nine", "eight", "other work", "cooler"]
    reasons = {run.job.id: run.reason for run in stage.world.runs}
    assert reasons["ten"] == f"{Reason.WAIT_FOR_HEADROOM.value}: as nine, which asks for no more"
    assert reasons["eight"] == f"{Reason.WAIT_FOR_HEADROOM.value}: 1 kW missing"


@given(
    *(
        st.builds(
            JobRequest,
            st.just("job"),
            st.sampled_from(("training", "batch")),
            st.integers(1, 3),
            st.booleans(),
            st.integers(0, 2),
            st.sampled_from((1_000.0, 2_000.0, math.nan)),
            st.sampled_from((0.0, 3_000.0)),
            st.sampled_from(("", "canary")),
            st.sampled_from((0.0, 600.0, 7_200.0)),
        )
        for _ in range(2)
    )
)
def test_asking_for_no_less_is_an_order_in_every_field(one, other):
    told = one.asks_no_less_than(other)
    if math.isnan(one.power_watts_per_tray + other.power_watts_per_tray):
        assert not told
        return
    assert one.asks_no_less_than(one)
    larger = replace(one, trays=one.trays + 1, power_watts_per_tray=one.power_watts_per_tray + 1.0)
    assert not one.asks_no_less_than(larger)
    if told:
        assert larger.asks_no_less_than(other)
        assert not replace(one, role="bulk").asks_no_less_than(other)
        assert not replace(one, priority=other.priority + 1).asks_no_less_than(other)
        assert replace(one, declared_seconds=0.0).asks_no_less_than(other)  # nobody knows how long it lasts
        assert not replace(one, declared_seconds=60.0).asks_no_less_than(other)
        assert not replace(one, one_rack=not one.one_rack).asks_no_less_than(other)


def test_a_job_that_ends_just_too_late_by_its_own_word_waits(bench, a_job):
    """The head's trays are promised for 1010 s; at 30 s, 980 s still fit and 981 s do not."""
    for estimate, start in ((980.0, 30.0), (981.0, 1_130.0)):
        stage = bench()
        stage.submit(
            a_job("three racks", 54, 1_000.0, submit=5.0),
            a_job("head", 72, 100.0, submit=21.0),
            a_job("other", 18, 100.0, submit=22.0, estimate=estimate),
        )
        stage.run(1_200.0)
        assert (start, "job_started", "other") in stage.told(*STARTS)


def test_what_a_job_in_flight_has_done_counts_towards_its_end(bench, a_job):
    """400 of its 1000 s were done before the run: the head's trays are promised for 600 s, not for 1000 s."""
    for estimate, start in ((570.0, 30.0), (571.0, 720.0)):
        stage = bench()
        stage.submit(
            replace(a_job("three racks", 54, 1_000.0), elapsed_seconds=400.0),
            a_job("head", 72, 100.0, submit=21.0),
            a_job("other", 18, 100.0, submit=22.0, estimate=estimate),
        )
        stage.run(800.0)
        assert (start, "job_started", "other") in stage.told(*STARTS)


def test_a_long_job_that_fits_beside_the_head_goes_and_the_next_one_does_not(bench, a_job):
    """54 trays free for the head at 1010 s leave 18 over: one long job of 18 uses them up."""
    stage = bench()
    stage.submit(
        a_job("two racks", 36, 1_000.0, submit=5.0),
        a_job("head", 54, 100.0, submit=21.0),
        a_job("beside", 18, 5_000.0, submit=22.0),
        a_job("no room", 18, 5_000.0, submit=23.0),
    )
    stage.run(1_200.0)
    assert stage.told(*STARTS) == [
        (10.0, "job_started", "two racks"),
        (30.0, "job_started", "beside"),
        (1_020.0, "job_started", "head"),
        (1_130.0, "job_started", "no room"),
    ]


def test_a_patient_job_turns_out_the_youngest_preemptible_job(bench, a_job):
    stage = bench()
    old, young, *_ = runs = stage.submit(
        a_job("old batch", 36, 5_000.0, submit=5.0, preemptible=True),
        a_job("young batch", 36, 5_000.0, submit=15.0, preemptible=True),
        a_job("urgent", 18, 200.0, submit=100.0, priority=5),
    )
    stage.run(800.0)
    assert PATIENCE == 300.0
    assert stage.told(*TURNS) == [
        (10.0, "job_started", "old batch"),
        (20.0, "job_started", "young batch"),
        (410.0, "job_preempted", "young batch"),  # the tick after 100 + 300 s
        (420.0, "job_started", "urgent"),
        (620.0, "job_completed", "urgent"),
        (630.0, "job_started", "young batch"),
    ]
    assert old.losses == []
    assert young.losses == [("preemption", pytest.approx(390.0 * 36 * 4))]
    assert [run.status for run in runs] == ["running", "running", "completed"]


@pytest.mark.parametrize(("preemptible", "priority"), [(False, 5), (True, 0)])
def test_nobody_is_turned_out_who_may_not_be(bench, a_job, preemptible, priority):
    stage = bench()
    stage.submit(
        a_job("whole", 72, 5_000.0, submit=5.0, preemptible=preemptible),
        a_job("waiting", 18, 100.0, submit=15.0, priority=priority),
    )
    stage.run(1_000.0)
    assert stage.told(*TURNS) == [(10.0, "job_started", "whole")]


def test_a_job_larger_than_the_hall_is_refused_and_holds_up_nobody(tell, a_job, log_of):
    result = tell(100.0, jobs=[a_job("giant", 73, submit=5.0), a_job("next", 18, submit=5.5)])
    assert log_of(result, EventKind.JOB_REFUSED, *STARTS) == [
        (10.0, "job_refused", "giant"),
        (10.0, "job_started", "next"),
    ]
    jobs = result.tables["jobs"].set_index("id")
    assert jobs.loc["giant", "status"] == "refused"
    assert jobs.loc["giant", "reason"] == f"{Reason.LARGER_THAN_HALL.value}: 73 trays asked, 72 installed"
    assert result.metrics["jobs"] | {"refused": 1, "running": 1, "submitted": 2} == result.metrics["jobs"]


def test_a_pinned_job_waits_for_its_rack(bench, a_job):
    heard = []
    tell = Settings(pinned=lambda request, pin, now: heard.append((request.id, pin.rack, str(pin.by.role), now)))
    stage = bench(settings=tell)
    stage.submit(a_job("first", 18, 100.0, submit=5.0))
    stage.submit(a_job("pinned", 18, 100.0, submit=6.0), pin="A-01")
    stage.run(200.0)
    assert stage.told(*STARTS) == [(10.0, "job_started", "first"), (120.0, "job_started", "pinned")]
    assert heard == [("pinned", "A-01", "operator", 120.0)]  # told once, when it is placed


def test_a_policys_state_comes_back_to_it(bench, a_job):
    seen = []

    def counting(snapshot, request, state=None):
        seen.append((request.id, state))
        decision, _ = first_fit(snapshot, request)
        return decision, (state or 0) + 1

    stage = bench(policy=counting)
    stage.submit(a_job("one", submit=1.0), a_job("two", submit=2.0), a_job("three", submit=3.0))
    stage.run(30.0)
    assert seen == [("one", None), ("two", 1), ("three", 2)]


@pytest.mark.parametrize(
    ("racks", "message"),
    [
        ((("Z-09", 18),), r"job 1 on 'Z-09', which is no rack of this hall"),
        ((("A-01", 17),), r"for job 1, which asked for 18 trays"),
        ((("A-01", 9), ("A-02", 10)), r"for job 1, which asked for 18 trays"),
        ((("A-02", 18),), r"placed 18 trays of job 1 on A-02, which has 8 free"),
    ],
)
def test_a_decision_that_cannot_be_carried_out_is_an_error(bench, a_job, racks, message):
    def bad(snapshot, request, state=None):
        return Placement(request.id, (("A-02", 10),) if request.id == "job 0" else racks, Reason.PLACED_FIRST_FIT), None

    stage = bench(policy=bad)
    stage.submit(a_job("job 0", 10, submit=5.0), a_job("job 1", 18, submit=6.0))
    with pytest.raises(PolicyError, match=message):
        stage.run(100.0)


def test_a_controller_that_always_looks_starts_jobs_at_the_same_ticks(bench, a_job):
    def starts(always: bool) -> list[tuple[float, str, str]]:
        stage = bench(settings=Settings(control_always=always))
        stage.submit(a_job("first", 72, 95.0, submit=3.0), a_job("second", 72, 50.0, submit=14.0))
        stage.run(until=200.0)
        return stage.told(EventKind.JOB_STARTED)

    assert starts(True) == starts(False) == [(10.0, "job_started", "first"), (110.0, "job_started", "second")]


def test_trays_of_each_class_of_work_are_counted_by_rack_as_they_are_held_and_left(bench, a_job):
    hall = bench()
    hall.submit(a_job("train", 18, 1_000.0), a_job("serve", 4, 400.0, kind=JobKind.INFERENCE))
    counted = {}
    for time in (50.0, 700.0, 1_200.0):
        hall.at(time, lambda time=time: counted.update({time: hall.world.snapshot().rack_kind_trays}))
    hall.run(1_300.0)
    assert counted[50.0].sum(axis=0).tolist() == [18, 4, 0, 0]
    assert counted[50.0][:2].tolist() == [[18, 0, 0, 0], [0, 4, 0, 0]]
    assert counted[700.0].sum(axis=0).tolist() == [18, 0, 0, 0]
    assert counted[1_200.0].sum() == 0
