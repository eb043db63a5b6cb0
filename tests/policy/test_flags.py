"""The life of a flag: read, set by whom it may be, in force, expired, owed. Degradations as an algebra."""

import copy
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin.places import conf_dir
from twin.policy.causes import Author, Comparison, Role, Trigger
from twin.policy.degradation import AS_BUILT, Degradation, degradation_of, join
from twin.policy.documents import DocumentError
from twin.policy.evaluation import degradation_in, evaluate
from twin.policy.flag_debt import Debt, lint_flags
from twin.policy.flag_files import flags_from_mapping
from twin.policy.flags import (
    Change,
    ChangeKind,
    ChangeRefused,
    Flags,
    FlagState,
    NoChange,
    clear_flag,
    expire_flags,
    governing,
    renew_flag,
    set_flag,
)
from twin.policy.scope import Level, Scope, scope_of, scopes_of
from twin.workload.jobs import Knobs

ENGINE = Author(Role.POLICY, "ladder default 1")
OPERATOR = Author(Role.OPERATOR, "m.ortiz")
RELEASE = Author(Role.RELEASE, "k.sato")
B17, B18, ROW_B, HALL = (Scope(Level.RACK, "B-17"), Scope(Level.RACK, "B-18"), scope_of("row/B"), scope_of("hall/h"))
WHERE = {"rack": "B-17", "row": "B", "loop": "loop 02", "hall": "h", "service": "chat"}


def declared(**changes: Any) -> dict[str, Any]:
    """A sound thermal flag as a file has it, with other metadata; None leaves a key out."""
    metadata = {
        "kind": "thermal_protection",
        "owner": "platform",
        "reason": "less heat",
        "scope": "rack/*, row/*, hall/*",
        "may_set": "policy, operator",
        "expires": 600,
        "retires": "2028-12-31",
    } | changes
    return {
        "state": "ENABLED",
        "variants": {"off": {}, "halved": {"concurrency": 0.5}, "quartered": {"concurrency": 0.25}},
        "defaultVariant": "off",
        "metadata": {key: each for key, each in metadata.items() if each is not None},
    }


def flags_of(**flags: Any) -> Flags:
    return flags_from_mapping({"flags": flags})


SOUND = flags_of(scale_back=declared())


def set_now(
    state: FlagState, variant: str = "halved", scope: Scope = B17, by: Author = ENGINE, at: float = 0.0, **more: Any
) -> tuple[FlagState, Any]:
    """Set the sound flag; the last outcome."""
    state, outcomes = set_flag(SOUND, state, "scale_back", variant, scope, by, "coolant is warm", at, **more)
    return state, outcomes[-1]


def test_a_flag_is_set_and_its_change_says_everything() -> None:
    trigger = Trigger(
        "loop_coolant throttle", "rack_supply_temperature_celsius", Comparison.ABOVE, 45, 46.2, 60, 61, 99
    )
    state, change = set_now(FlagState(), at=100.0, trigger=trigger)
    assert change == Change(
        kind=ChangeKind.SET,
        flag="scale_back",
        scope=B17,
        old=None,
        new="halved",
        by=ENGINE,
        why="coolant is warm",
        time_seconds=100.0,
        expires_seconds=700.0,
        trigger=trigger,
    )
    assert str(trigger) == "rack_supply_temperature_celsius 46.2 above 45 for 61 s (asked: 60 s)"
    found = state.get("scale_back", B17, 100.0)
    assert found is not None and (found.variant, found.since_seconds, found.trigger) == ("halved", 100.0, trigger)


def test_a_state_is_a_value() -> None:
    empty = FlagState()
    one, _ = set_now(empty)
    kept = copy.deepcopy(one)
    set_now(one, "quartered", at=10.0)
    set_now(one, scope=B18, at=10.0)
    clear_flag(SOUND, one, "scale_back", B17, ENGINE, "cool again", 10.0)
    assert empty == FlagState() and one == kept


@pytest.mark.parametrize(
    ("flag", "words", "refused"),
    [
        ({}, {"key": "scale_bak"}, NoChange.UNKNOWN_FLAG),
        ({}, {"variant": "none"}, NoChange.UNKNOWN_VARIANT),
        ({}, {"by": RELEASE}, NoChange.ROLE),
        ({"may_set": None}, {}, NoChange.ROLE),
        ({}, {"scope": Scope(Level.LOOP, "loop 02")}, NoChange.PLACE),
        ({}, {"scope": Scope(Level.RACK, "*")}, NoChange.PLACE),
        ({"scope": "rack/B-18"}, {}, NoChange.PLACE),
        ({"scope": None}, {}, NoChange.PLACE),
        ({"kind": "thermal"}, {}, NoChange.UNKNOWN_KIND),
        ({}, {"why": "  "}, NoChange.NO_REASON),
        ({}, {"time_seconds": math.nan}, NoChange.TIME),
        ({}, {"expires_after_seconds": 0.0}, NoChange.TIME),
        ({}, {"expires_after_seconds": math.nan}, NoChange.TIME),
        ({"expires": "1970-01-01T00:00:05"}, {}, NoChange.ENDED),
    ],
)
def test_what_may_not_be_is_refused_and_changes_nothing(
    flag: dict[str, Any], words: dict[str, Any], refused: NoChange
) -> None:
    asked = {"key": "scale_back", "variant": "halved", "scope": B17, "by": ENGINE, "why": "w", "time_seconds": 5.0}
    before = FlagState()
    state, (outcome,) = set_flag(flags_of(scale_back=declared(**flag)), before, **(asked | words))
    assert isinstance(outcome, ChangeRefused) and outcome.reason is refused
    assert state is before


def test_a_disabled_flag_is_not_set() -> None:
    flags = flags_of(scale_back=declared() | {"state": "DISABLED"})
    _, (outcome,) = set_flag(flags, FlagState(), "scale_back", "halved", B17, ENGINE, "w", 0.0)
    assert isinstance(outcome, ChangeRefused) and outcome.reason is NoChange.DISABLED


def test_what_is_so_already_is_refused_until_it_has_expired() -> None:
    state, _ = set_now(FlagState(), at=0.0)
    state, again = set_now(state, at=599.0)
    assert again.reason is NoChange.ALREADY_SO
    state, outcomes = set_flag(SOUND, state, "scale_back", "halved", B17, ENGINE, "still warm", 600.0)
    assert [(each.kind, each.old, each.new) for each in outcomes] == [
        (ChangeKind.EXPIRED, "halved", None),
        (ChangeKind.SET, None, "halved"),
    ]


def test_another_variant_replaces_and_keeps_since_when_the_flag_is_active() -> None:
    state, _ = set_now(FlagState(), at=0.0)
    state, change = set_now(state, "quartered", at=300.0)
    assert (change.kind, change.old, change.new) == (ChangeKind.REPLACED, "halved", "quartered")
    found = state.get("scale_back", B17, 300.0)
    assert found is not None
    assert (found.since_seconds, found.active_since_seconds, found.expires_seconds) == (300.0, 0.0, 900.0)
    state, _ = set_now(state, "off", at=400.0)
    state, _ = set_now(state, "halved", at=500.0)
    found = state.get("scale_back", B17, 500.0)
    assert found is not None and found.active_since_seconds == 500.0


def test_people_overrule_the_policy_and_not_the_other_way_round() -> None:
    state, _ = set_now(FlagState(), "halved", by=ENGINE, at=0.0)
    state, change = set_now(state, "off", by=OPERATOR, at=10.0)
    assert change.kind is ChangeKind.REPLACED and change.by == OPERATOR
    state, refused = set_now(state, "quartered", by=ENGINE, at=20.0)
    assert refused.reason is NoChange.A_PERSON_SET_IT and "m.ortiz" in refused.detail
    state, (refused,) = clear_flag(SOUND, state, "scale_back", B17, ENGINE, "w", 20.0)
    assert isinstance(refused, ChangeRefused) and refused.reason is NoChange.A_PERSON_SET_IT
    state, (cleared,) = clear_flag(SOUND, state, "scale_back", B17, OPERATOR, "looked at it", 20.0)
    assert isinstance(cleared, Change) and (cleared.old, cleared.new) == ("off", None)
    assert state == FlagState()


def test_clearing_what_is_not_set_is_refused() -> None:
    _, (outcome,) = clear_flag(SOUND, FlagState(), "scale_back", B17, ENGINE, "w", 0.0)
    assert isinstance(outcome, ChangeRefused) and outcome.reason is NoChange.NOT_SET


def test_renewing_lasts_from_now_as_long_as_the_file_says() -> None:
    state, _ = set_now(FlagState(), at=0.0)
    state, (change,) = renew_flag(SOUND, state, "scale_back", B17, ENGINE, "still warm", 500.0)
    assert isinstance(change, Change) and (change.kind, change.expires_seconds) == (ChangeKind.RENEWED, 1100.0)
    assert (change.old, change.new) == ("halved", "halved")
    _, (again,) = renew_flag(SOUND, state, "scale_back", B17, ENGINE, "w", 500.0)
    assert isinstance(again, ChangeRefused) and again.reason is NoChange.ALREADY_SO
    _, (none,) = renew_flag(SOUND, state, "scale_back", B18, ENGINE, "w", 500.0)
    assert isinstance(none, ChangeRefused) and none.reason is NoChange.NOT_SET
    _, (late,) = renew_flag(SOUND, state, "scale_back", B17, ENGINE, "w", 1100.0)
    assert isinstance(late, ChangeRefused) and late.reason is NoChange.NOT_SET


def test_a_setting_lasts_until_the_earliest_of_file_date_and_wish() -> None:
    assert set_now(FlagState(), at=100.0, expires_after_seconds=60.0)[1].expires_seconds == 160.0
    assert set_now(FlagState(), at=100.0, expires_after_seconds=6000.0)[1].expires_seconds == 700.0
    epoch = datetime(2026, 4, 14, 12, tzinfo=UTC)
    flags = flags_from_mapping({"flags": {"scale_back": declared(expires="2026-04-14T13:00:00Z")}}, epoch)
    _, (change,) = set_flag(flags, FlagState(), "scale_back", "halved", B17, ENGINE, "w", 100.0)
    assert isinstance(change, Change) and change.expires_seconds == 3600.0
    flags = flags_of(scale_back=declared(expires=None))
    _, (change,) = set_flag(flags, FlagState(), "scale_back", "halved", B17, ENGINE, "w", 100.0)
    assert isinstance(change, Change) and change.expires_seconds == math.inf


def test_expiry_is_at_its_second_and_recorded_with_it() -> None:
    state, _ = set_now(FlagState(), at=0.0)
    state, _ = set_now(state, scope=B18, at=5.0)
    assert expire_flags(state, 599.9) == (state, ())
    rest, (change,) = expire_flags(state, 604.0)
    assert (change.kind, change.scope, change.time_seconds) == (ChangeKind.EXPIRED, B17, 600.0)
    assert [each.scope for each in rest.in_order()] == [B18]
    assert state.get("scale_back", B17, 599.9) is not None and state.get("scale_back", B17, 600.0) is None


@given(
    st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), st.floats(0, 100), st.floats(1, 900)), max_size=8),
    st.floats(0, 1500),
    st.floats(0, 1500),
)
def test_expiry_does_not_depend_on_how_often_it_is_looked_for(
    made: list[tuple[str, float, float]], one: float, other: float
) -> None:
    state = FlagState()
    for name, at, lasts in made:
        state, _ = set_now(state, scope=Scope(Level.RACK, name), at=at, expires_after_seconds=lasts)
    early, late = sorted((one, other))
    first, changes = expire_flags(state, early)
    second, more = expire_flags(first, late)
    assert (second, changes + more) == expire_flags(state, late)
    assert expire_flags(second, late) == (second, ())
    for setting in state.in_order():
        assert (second.get("scale_back", setting.scope, late) is None) == (setting.expires_seconds <= late)


def test_of_several_settings_the_most_severe_counts() -> None:
    state, _ = set_now(FlagState(), "quartered", HALL)
    state, _ = set_now(state, "halved", B17)
    found = governing(SOUND, state, "scale_back", scopes_of(WHERE), 1.0)
    assert found is not None and found.scope == HALL
    found = governing(SOUND, state, "scale_back", scopes_of({"rack": "B-17"}), 1.0)
    assert found is not None and found.scope == B17
    assert governing(SOUND, state, "scale_back", scopes_of({"rack": "B-18"}), 1.0) is None


def test_a_rollout_is_switched_off_for_a_hall_whatever_racks_have() -> None:
    flag = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "metadata": {"kind": "rollout", "scope": "rack/*, hall/*", "may_set": "policy, release"},
    }
    flags = flags_of(new_build=flag)
    state, _ = set_flag(flags, FlagState(), "new_build", "on", B17, RELEASE, "canary", 0.0)
    assert evaluate(flags, state, "new_build", WHERE | {"time_seconds": 1.0}).value is True
    state, _ = set_flag(flags, state, "new_build", "off", HALL, ENGINE, "containment", 2.0)
    assert evaluate(flags, state, "new_build", WHERE | {"time_seconds": 3.0}).value is False


# degradations


def degradations() -> st.SearchStrategy[Degradation]:
    share = st.sampled_from([1.0, 0.5, 0.25, 0.1])
    return st.builds(
        Degradation,
        share,
        share,
        st.sampled_from(["high", "low"]),
        st.booleans(),
        st.sampled_from(["open", "paused"]),
        st.booleans(),
        st.sampled_from([math.inf, 600.0, 60.0]),
    )


@given(degradations(), degradations(), degradations())
def test_joining_degradations_is_a_semilattice(a: Degradation, b: Degradation, c: Degradation) -> None:
    assert join([a, join([b, c])]) == join([join([a, b]), c]) == join([c, b, a])
    assert join([a, a]) == join([a]) == join([a, AS_BUILT]) == a
    assert join([a, b]).severity >= max(a.severity, b.severity)
    assert join([]) == AS_BUILT


@given(degradations())
def test_a_degradation_is_what_its_value_says(one: Degradation) -> None:
    assert degradation_of(one.value()) == one
    assert degradation_of(json.loads(json.dumps(one.value()))) == one


def test_knobs_have_the_names_of_degradations() -> None:
    turned = degradation_of({"concurrency": 0.5, "precision": "low", "auxiliary": False})
    assert Knobs(turned.concurrency, turned.batch_size, turned.precision, turned.auxiliary) == Knobs(
        concurrency=0.5, batch_size=1.0, precision="low", auxiliary=False
    )
    assert Degradation() == Degradation(**{key: getattr(Knobs(), key) for key in vars(Knobs())})


@pytest.mark.parametrize(
    "value", [{"concurrency": 0}, {"concurrency": True}, {"batch_size": 1.5}, {"drain": 1}, {"precision": "mid"}, 3]
)
def test_a_degradation_that_makes_no_sense_is_refused(value: Any) -> None:
    with pytest.raises(DocumentError):
        degradation_of(value)


def test_flags_together_degrade_a_place_in_time() -> None:
    flags = flags_of(
        scale_back=declared(),
        pause=declared() | {"variants": {"off": {}, "on": {"admissions": "paused"}}},
        next=declared(kind="rollout") | {"variants": {"off": "a", "on": "b"}},
    )
    state, _ = set_flag(flags, FlagState(), "scale_back", "halved", B17, ENGINE, "w", 0.0)
    state, _ = set_flag(flags, state, "pause", "on", ROW_B, ENGINE, "w", 100.0)
    assert degradation_in(flags, state, WHERE, 200.0) == Degradation(concurrency=0.5, admissions="paused")
    assert degradation_in(flags, state, WHERE | {"rack": "B-18"}, 200.0) == Degradation(admissions="paused")
    assert degradation_in(flags, state, WHERE, 650.0) == Degradation(admissions="paused")
    assert degradation_in(flags, state, WHERE, 700.0) == AS_BUILT


# files


def faults_of(document: Any) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as caught:
        flags_from_mapping(document)
    for fault in caught.value.faults:
        assert str(fault).startswith(f"{fault.key} = ") and fault.remedy
    return [(fault.key, fault.problem) for fault in caught.value.faults]


def edited(path: str, value: Any) -> dict[str, Any]:
    """A file with the sound flag, and one thing in it set or, with Ellipsis, taken out."""
    document: dict[str, Any] = {"flags": {"f": declared()}}
    *way, last = path.split("/")
    at: Any = document
    for part in way:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "key", "problem"),
    [
        ("flags", [declared()], "flags", "a list"),
        ("flags", None, "flags", "not a mapping"),
        ("$evaluators", {"x": {}}, "$evaluators", "shared rules are not supported"),
        ("version", 1, "version", "no such key"),
        ("flags/f/disabled", True, "flags.f.disabled", "no such key"),
        ("flags/f/state", "ON", "flags.f.state", "not one of those"),
        ("flags/f/state", ..., "flags.f.state", "missing"),
        ("flags/f/variants", {}, "flags.f.variants", "no variant"),
        ("flags/f/variants/half", {"concurency": 0.5}, "flags.f.variants.half.concurency", "no such key"),
        ("flags/f/variants/half", {"concurrency": 5}, "flags.f.variants.half.concurrency", "not a share"),
        ("flags/f/variants/half", {"queue_seconds": 0}, "flags.f.variants.half.queue_seconds", "not a time above 0"),
        ("flags/f/variants/half", 0.5, "flags.f.variants.half", "not a mapping"),
        ("flags/f/variants/half", {"concurrency": math.nan}, "flags.f.variants.half.concurrency", "not a value"),
        ("flags/f/defaultVariant", "of", "flags.f.defaultVariant", "not one of those"),
        ("flags/f/defaultVariant", ..., "flags.f.defaultVariant", "missing"),
        ("flags/f/metadata/onwer", "x", "flags.f.metadata.onwer", "no such key"),
        ("flags/f/metadata/owner", ["a"], "flags.f.metadata.owner", "not a text, number or bool"),
        ("flags/f/metadata/scope", "rack", "flags.f.metadata.scope", "no scope"),
        ("flags/f/metadata/scope", "tray/1", "flags.f.metadata.scope", "no scope"),
        ("flags/f/metadata/may_set", "policy, root", "flags.f.metadata.may_set", "no role"),
        ("flags/f/metadata/expires", -5, "flags.f.metadata.expires", "neither seconds nor a date"),
        ("flags/f/metadata/expires", True, "flags.f.metadata.expires", "neither seconds nor a date"),
        ("flags/f/metadata/retires", "soon", "flags.f.metadata.retires", "not a date"),
        ("flags/f/metadata/experimental", True, "flags.f.metadata.experimental", "only a rollout"),
        ("flags/f/targeting", "off", "flags.f.targeting", "not a rule"),
        ("flags/f/targeting", {"fractional": []}, "flags.f.targeting", "not supported"),
        ("flags/f/targeting", {"if": [], "or": []}, "flags.f.targeting", "2 operators"),
        ("flags/f/targeting", {"==": [1]}, "flags.f.targeting.==", "1 arguments"),
        ("flags/f/targeting", {"if": [True, "hlaved"]}, "flags.f.targeting", "no variant of the flag"),
        ("flags/f/targeting", {"==": [1, 1]}, "flags.f.targeting", "no variant of the flag"),
        (
            "flags/f/targeting",
            {"if": [{"<": [{"var": "$flagd.timestamp"}, 5]}, "off"]},
            "flags.f.targeting.if[0].<[0].var",
            "wall time",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(path: str, value: Any, key: str, problem: str) -> None:
    found = faults_of(edited(path, value))
    assert any(key == where and problem in what for where, what in found), found


WAITING = {">=": [{"var": ["queue_seconds", 0]}, 100]}
OF_A_RACK = {"==": [{"var": "rack"}, "A-01"]}
OF_A_SERVICE = {"==": [{"var": "service"}, "chat"]}


@pytest.mark.parametrize(
    ("rule", "drains", "problem"),
    [
        ({"if": [{"and": [WAITING, OF_A_RACK]}, "half", None]}, "spare", "at a place"),
        ({"if": [WAITING, {"if": [{"var": "hall"}, "half", None]}, None]}, "spare", "at a place"),
        ({"if": [{"and": [WAITING, OF_A_SERVICE]}, "half", None]}, "spare", ""),
        ({"if": [{"and": [OF_A_RACK, OF_A_SERVICE]}, "half", None]}, "spare", ""),
        ({"if": [WAITING, "half", "spare"]}, "half", "a variant that drains"),
        ({"if": [OF_A_SERVICE, "spare", None]}, "off", ""),
        ({"if": [OF_A_SERVICE, "half", None]}, "half", ""),
        ({"if": [OF_A_RACK, "half", None]}, "half", ""),
    ],
)
def test_a_rule_that_could_do_nothing_for_a_service_is_refused(rule: Any, drains: str, problem: str) -> None:
    """A queue is of no place, and it does not get shorter when replicas leave."""
    variants = {name: {"drain": True} if name == drains else {} for name in ("off", "half", "spare")}
    flag = {"flags": {"f": declared() | {"variants": variants, "targeting": rule}}}
    if not problem:
        assert flags_from_mapping(flag).flags["f"].targeting == rule
        return
    ((key, what),) = faults_of(flag)
    assert key == "flags.f.targeting" and problem in what


def test_all_faults_are_told_at_once() -> None:
    broken = declared(onwer="x", expires=-1, scope="rack") | {"state": "on", "extra": 1}
    assert [key for key, _ in faults_of({"flags": {"a": broken, "b": 3}, "list": []})] == [
        "list",
        "flags.a.extra",
        "flags.a.state",
        "flags.a.metadata.onwer",
        "flags.a.metadata.expires",
        "flags.a.metadata.scope",
        "flags.b",
        "flags.b.state",
        "flags.b.variants",
        "flags.b.defaultVariant",
    ]


def test_values_of_several_types_are_refused() -> None:
    flag = declared(kind="rollout") | {"variants": {"off": False, "on": "yes"}}
    assert faults_of({"flags": {"f": flag}}) == [("flags.f.variants", "values of several types: bool, text")]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["flags", "state", "variants", "metadata", "targeting", "if", "var", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
@example({"if": [None, []]})  # a result that is no text, and nothing to look up either
def test_any_document_is_read_or_refused(document: Any) -> None:
    for given_document in (
        document,
        {"flags": {"f": document}},
        {"flags": {"f": declared() | {"targeting": document}}},
    ):
        try:
            flags_from_mapping(given_document)
        except DocumentError as error:
            assert error.faults


# debt


@pytest.mark.parametrize(
    ("changes", "owed"),
    [
        ({}, []),
        ({"owner": None}, [Debt.NO_OWNER]),
        ({"owner": "  "}, [Debt.NO_OWNER]),
        ({"reason": None}, [Debt.NO_REASON]),
        ({"expires": None}, [Debt.NO_EXPIRY]),
        ({"retires": None}, [Debt.NO_RETIREMENT]),
        ({"retires": "2026-12-31"}, [Debt.PAST_RETIREMENT]),
        ({"retires": "2027-01-01"}, []),
        ({"expires": "2027-01-01T00:00:00Z"}, [Debt.EXPIRED]),
        ({"expires": "2027-01-01T00:00:01Z"}, []),
        ({"expires": "2027-02-01"}, [Debt.LONG_THERMAL]),
        ({"expires": 14400}, []),
        ({"expires": 14401}, [Debt.LONG_THERMAL]),
        ({"kind": "evacuation", "expires": 14401}, []),
        ({"kind": "thermal"}, [Debt.UNKNOWN_KIND]),
        ({"kind": None}, [Debt.UNKNOWN_KIND]),
        ({"scope": None}, [Debt.NEVER_SET, Debt.UNUSED_VARIANT, Debt.UNUSED_VARIANT]),
        ({"may_set": None}, [Debt.NEVER_SET, Debt.UNUSED_VARIANT, Debt.UNUSED_VARIANT]),
    ],
)
def test_lint_lists_what_is_owed(changes: dict[str, Any], owed: list[Debt]) -> None:
    flags = flags_of(f=declared(**changes))
    assert [each.debt for each in lint_flags(flags, datetime(2027, 1, 1, tzinfo=UTC))] == owed


def test_lint_finds_twins_defaults_that_degrade_and_variants_that_targeting_uses() -> None:
    twins = declared() | {"variants": {"off": {}, "on": {"drain": True}, "also": {"drain": True}}}
    strict = declared() | {"defaultVariant": "halved"}
    aimed = declared(kind="rollout", may_set=None) | {
        "variants": {"off": 0, "on": 1, "left": 2},
        "targeting": {"if": [{"var": "beta"}, "on", None]},
    }
    found = lint_flags(flags_of(twins=twins, strict=strict, aimed=aimed), datetime(2027, 1, 1, tzinfo=UTC))
    assert [(each.flag, each.debt, each.detail) for each in found] == [
        ("aimed", Debt.UNUSED_VARIANT, "left"),
        ("strict", Debt.DEGRADES_BY_DEFAULT, "defaultVariant is halved"),
        ("twins", Debt.DUPLICATE_VARIANT, "on and also"),
    ]


def test_the_flags_that_come_with_the_project_owe_nothing() -> None:
    path: Path = conf_dir() / "policy" / "flags" / "default.json"
    document: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    flags = flags_from_mapping(document)
    assert lint_flags(flags, datetime(2026, 6, 1, tzinfo=UTC)) == ()
    assert {flag.kind for flag in flags.flags.values()} == {
        "rollout",
        "load_shedding",
        "thermal_protection",
        "maintenance",
        "evacuation",
    }
    assert all(flag.degradation(flag.default) == AS_BUILT for flag in flags.flags.values())
