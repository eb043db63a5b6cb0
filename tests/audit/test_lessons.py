"""What a log teaches, and the answer to "why is this job on this rack?"."""

from dataclasses import replace

import pytest

from tests.audit.conftest import full_snapshot, request
from twin.audit import (
    FLAG,
    OVERRIDE,
    AuditLog,
    Context,
    Limits,
    Override,
    Person,
    PolicyStamp,
    SnapshotStore,
    Threshold,
    audited,
    flag_data,
    lessons,
    override_data,
    read_records,
    why,
)
from twin.audit.records import context_of
from twin.policy import Placement, Reason, Refusal, Wait

HOUR = 3_600.0


@pytest.fixture
def told(tmp_path):
    """``told(entry, …)`` writes a log and reads it; entries: (decision, context), (seconds, flag), ("override", it)."""

    def tell(*entries):
        def decides(snapshot, asked, state):
            return entries[int(asked.id)][0], state

        with SnapshotStore(tmp_path / "s") as store, AuditLog(tmp_path / "l", source="/x") as log:
            around = lambda snapshot, asked, decision: entries[int(asked.id)][1]  # noqa: E731
            place = audited(decides, log, store, PolicyStamp("told", "1.2"), around)
            for n, (first, second) in enumerate(entries):
                if isinstance(first, int | float):
                    log.append(FLAG, second["flag"], float(first), second)
                elif first == "override":
                    log.append(OVERRIDE, f"job-{n}", float(n), override_data(request(f"job-{n}"), second))
                else:
                    place(replace(full_snapshot(), time_seconds=60.0 * n), request(str(n)), None)
        return read_records(tmp_path / "l")

    return tell


def placed(rack, **context):
    return Placement("x", ((rack, 4),), Reason.PLACED_RANDOM), Context(**context)


# ---------------------------------------------------------------- poor racks


def test_repeated_placements_on_racks_of_poor_rank(told):
    records = told(
        *[placed("rack 3", score=0.1, rank=4, ranked=4)] * 3,
        *[placed("rack 2", score=0.5, rank=3, ranked=4)] * 9,
        *[placed("rack 1", score=0.1, rank=4, ranked=4)] * 2,
    )
    (rack,) = lessons(records).poor_racks
    assert (rack.rack, rack.placements, rack.jobs) == ("rack 3", 3, ("0", "1", "2"))
    assert "by score" in rack.because
    found = lessons(records, limits=Limits(placements=2, poor_share=0.5)).poor_racks
    assert [(each.rack, each.placements) for each in found] == [("rack 2", 9), ("rack 3", 3), ("rack 1", 2)]


def test_of_several_racks_the_one_that_was_scored_is_named(told):
    gang = Placement("x", (("rack 1", 4), ("rack 3", 2)), Reason.PLACED_AWARE)
    (rack,) = lessons(told(*[(gang, Context(score=0.1, scored="rack 3", rank=4, ranked=4))] * 3)).poor_racks
    assert rack.rack == "rack 3"


def test_what_the_policy_says_of_itself_is_recorded_without_being_asked(told):
    """Without anybody around it, a record has the fields of the decision."""
    short = Threshold("sustained headroom", 990.0, 1_000.0, "at least", "W", False, "rack 0")
    lost = Threshold("inlet temperature", None, 48.0, "at most", "°C", False, "rack 0")
    wait = Wait("x", Reason.WAIT_FOR_RULE, "", (short, lost))
    poor = Placement("x", (("rack 3", 4),), Reason.PLACED_AWARE, "", 0.1, 1.0, "rack 3", 4, 4, ("rack 2", 0.05))
    records = told(*[(wait, context_of(wait))] * 5, *[(poor, context_of(poor))] * 3)
    found = lessons(records)
    assert [(each.rule, each.near) for each in found.sensitive_rules] == [("sustained headroom", 5)]
    assert [(each.rack, each.placements) for each in found.poor_racks] == [("rack 3", 3)]
    assert "Rule inlet temperature at rack 0 did not hold: not known, at most 48 °C." in why(records, "0").sentence
    assert (
        "rack 3 scored 0.1, rank 4 of 4, confidence 1; the runner-up was rack 2 with 0.05" in why(records, "5").sentence
    )


def test_without_ranks_a_burden_judges(told):
    records = told(
        *[placed("rack 0")] * 3, *[placed("rack 1")] * 5, *[placed("rack 2", score=0.9, rank=1, ranked=4)] * 5
    )
    assert lessons(records).poor_racks == ()
    burden = {"rack 0": 500.0, "rack 1": 20.0, "rack 2": 900.0, "rack 3": 0.0}
    assert lessons(records, burden=burden).poor_racks == ()  # the worst quarter is rack 2, which a score judged
    (rack,) = lessons(records, burden=burden, limits=Limits(poor_share=0.5)).poor_racks
    assert (rack.rack, rack.placements) == ("rack 0", 3)
    assert rack.because == "worst 50% by burden, 500"
    assert lessons(records, burden=dict.fromkeys(burden, 0.0)).poor_racks == ()


# ---------------------------------------------------------------- thresholds


def refused(value, rule="rack_power_share", limit=0.85):
    threshold = Threshold(rule, value, limit, passed=value <= limit)
    return Wait("x", Reason.WAIT_FOR_TRAYS), Context(thresholds=(threshold,))


def test_a_rule_that_often_refuses_by_a_hair_is_over_sensitive(told):
    records = told(
        *[refused(0.851)] * 3, *[refused(0.86)] * 3, *[refused(0.99)] * 2, *[refused(0.5)] * 7,
        *[refused(99.0, "coolant")] * 20, *[refused(0.1, "none", limit=0.0)] * 9,
        *[refused(float("nan"), "lost")] * 9,
    )  # fmt: skip
    (rule,) = lessons(records).sensitive_rules
    assert (rule.rule, rule.refusals, rule.near) == ("rack_power_share", 8, 6)
    assert rule.median_margin == pytest.approx(0.01 / 0.85)
    assert lessons(records, limits=Limits(margin_ratio=0.005)).sensitive_rules == ()
    assert lessons(records, limits=Limits(near_share=0.8)).sensitive_rules == ()


# ---------------------------------------------------------------- flags


def test_flags_that_stay_set(told):
    records = told(
        (0.0, flag_data("drain", True, False, scope="row A", owner="sre")),
        (1.0, flag_data("cap", "hard", "off", at_rest="off", scope="hall", owner="facilities")),
        (2.0, flag_data("short", True, False)),
        (HOUR, flag_data("short", False, True)),
        (5 * HOUR, flag_data("drain", True, True, scope="row A")),
        (9 * HOUR, flag_data("cap", "off", "hard", at_rest="off", scope="hall")),
        (9 * HOUR, flag_data("never", False, False)),
        (10 * HOUR, flag_data("short", True, False)),
    )
    found = lessons(records, limits=Limits(flag_seconds=4 * HOUR)).long_flags
    assert [(each.flag, each.scope, each.seconds, each.cleared, each.owner) for each in found] == [
        ("drain", "row A", 10 * HOUR, False, "sre"),
        ("cap", "hall", 9 * HOUR - 1.0, True, "facilities"),
    ]
    assert found[0].since == "2000-01-01T00:00:00Z"
    assert lessons(records).long_flags == ()
    late = lessons(records, until="2000-01-03T00:00:00Z").long_flags
    assert [each.flag for each in late] == ["drain", "short"]


def test_a_flag_that_is_set_again_as_it_expires_was_never_gone(told):
    """A rung that outlasts a flag's expiry sets it again at the next look: one time, not many short ones."""
    on, off = flag_data("cap", "hard", "off", at_rest="off"), flag_data("cap", "off", "hard", at_rest="off")
    again = [(hours * HOUR + late, each) for hours in (1, 2, 3) for late, each in ((0.0, off), (10.0, on))]
    (flag,) = lessons(told((0.0, on), *again, (4 * HOUR, off)), limits=Limits(flag_seconds=3.5 * HOUR)).long_flags
    assert (flag.seconds, flag.cleared) == (4 * HOUR, True)


def test_flags_with_a_pause_between_them_are_two(told):
    on, off = flag_data("cap", "hard", "off", at_rest="off"), flag_data("cap", "off", "hard", at_rest="off")
    records = told((0.0, on), (HOUR, off), (HOUR + 61.0, on))
    found = lessons(records, limits=Limits(flag_seconds=0.5 * HOUR), until="2000-01-01T02:00:00Z").long_flags
    assert [(each.seconds, each.cleared) for each in found] == [(HOUR, True), (HOUR - 61.0, False)]


def test_an_empty_log_teaches_nothing():
    found = lessons([])
    assert (found.records, found.poor_racks, found.sensitive_rules, found.long_flags) == (0, (), (), ())


# ---------------------------------------------------------------- why


def test_a_sentence_with_everything(told):
    context = Context(
        approver=Person("ana@example.org", "sre"),
        score=0.83,
        confidence=0.9,
        rank=1,
        ranked=4,
        runner_up=("rack 1", 0.8),
        trigger="canary of release 2026.04.14.12",
        thresholds=(Threshold("supply_temperature", 44.25, 45.0, unit="°C", where="loop 1"),),
    )
    answer = why(told((placed("rack 2")[0], context)), "0")
    assert answer.sentence.startswith(
        "0 (training, 4 trays) was placed on rack 2 (4 trays): "
        "healthy racks with room, in an order drawn from the seed and the request. Policy told 1.2 (sha256:"
    )
    assert "on the snapshot of 00:00:00 (sha256:" in answer.sentence
    assert answer.sentence.endswith(
        "Its rack scored 0.83, rank 1 of 4, confidence 0.9; the runner-up was rack 1 with 0.8. "
        "Trigger: canary of release 2026.04.14.12. "
        "Rule supply_temperature at loop 1 held: 44.25 °C, at most 45 °C. "
        "Approved by ana@example.org (sre)."
    )


def test_the_latest_placement_answers_or_that_on_a_rack(told):
    first, second = placed("rack 1"), placed("rack 3")
    records = told(first, second, (Wait("x", Reason.WAIT_FOR_TRAYS, "2 asked, 1 free"), Context()))
    records = [{**record, "subject": "same"} for record in records]
    answer = why(records, "same")
    assert "on rack 3" in answer.sentence
    assert (answer.id, answer.decisions) == ("0000000001", 3)
    assert why(records, "same", "rack 1").id == "0000000000"
    assert why(records, "same", "rack 2") is None
    assert why(records, "other") is None


def test_jobs_that_are_on_no_rack(told):
    records = told(
        (Wait("x", Reason.WAIT_FOR_TRAYS, "2 asked, 1 free"), Context()),
        (Refusal("x", Reason.LARGER_THAN_HALL), Context()),
    )
    assert "0 (training, 4 trays) waits: not enough free trays on healthy racks (2 asked, 1 free)." in (
        why(records, "0").sentence
    )
    assert "was refused: more trays asked for than the hall has. Policy" in why(records, "1").sentence
    assert why(records, "1").sentence.endswith("No approver is recorded.")


def test_overrides_are_counted_by_role_with_their_jobs_people_and_reasons(told):
    ana, bo = Person("ana", "operator"), Person("bo", "facilities")
    placed_by = placed("rack 1", override=Override(ana, "spread the heat"))
    records = told(
        ("override", Override(ana, "customer asks", (("rack 2", 4),))),
        placed_by,
        ("override", Override(bo, "test bench", (("rack 2", 4),))),
        placed("rack 3"),
        ("override", Override(Person("cy", "operator"), "customer asks")),
    )
    operators, facilities = lessons(records).overrides
    assert (operators.role, operators.overrides) == ("operator", 3)
    assert operators.jobs == ("job-0", "1", "job-4") and operators.by == ("ana", "cy")
    assert operators.reasons == ("customer asks", "spread the heat")
    assert (facilities.role, facilities.overrides, facilities.jobs) == ("facilities", 1, ("job-2",))
    assert lessons(records[3:4]).overrides == ()
    told_why = why(records, "job-2").sentence
    assert told_why == "job-2 (training, 4 trays) was put on rack 2 (4 trays) by bo (facilities): test bench."


def test_an_override_goes_before_the_policy(told):
    by = Person("bo", "facilities")
    override = Override(by, "pump 2 is being serviced", (("rack 2", 4),))
    records = told(
        (placed("rack 1")[0], Context(override=override)),
        ("override", Override(by, "kept for the auditors")),
    )
    answer = why(records, "0")
    assert answer.sentence.startswith(
        "0 (training, 4 trays) was put on rack 2 (4 trays) by bo (facilities): pump 2 is being serviced. "
        "The policy's own decision was: was placed on rack 1 (4 trays): "
    )
    assert why(records, "0", "rack 1") is None
    assert why(records, "job-1").sentence.startswith(
        "job-1 (training, 4 trays) was held back by bo (facilities): kept for the auditors."
    )
