"""One table of evaluations, run through the policy's own function and through OpenFeature's library."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from twin.openfeature import FlagProvider
from twin.policy.causes import Author, Role
from twin.policy.documents import DocumentFaults
from twin.policy.evaluation import ErrorCode, ResolutionReason, ValueType, evaluate
from twin.policy.flag_files import flags_from_mapping
from twin.policy.flags import FlagState, set_flag
from twin.policy.scope import scope_of
from twin.policy.targeting import TargetingError, apply, check, same

METADATA = {"kind": "rollout", "owner": "release", "scope": "rack/*, service/*, hall/*", "may_set": "operator"}


def flag(variants: dict[str, Any], default: str, targeting: Any = None, state: str = "ENABLED") -> dict[str, Any]:
    made = {"state": state, "variants": variants, "defaultVariant": default, "metadata": METADATA}
    return made if targeting is None else made | {"targeting": targeting}


RACK = {"var": "rack"}
YES = {"on": True, "off": False}
FLAGS = flags_from_mapping(
    {
        "flags": {
            "plain": flag(YES, "off"),
            "text": flag({"a": "A", "b": "B"}, "a"),
            "whole": flag({"one": 1, "two": 2}, "one"),
            "real": flag({"half": 0.5, "all": 1}, "half"),
            "object": flag({"off": {}, "on": {"concurrency": 0.5}}, "off"),
            "disabled": flag(YES, "on", state="DISABLED"),
            "set": flag(YES, "off"),
            "rule": flag(YES, "off", {"if": [{"in": [{"var": "row"}, ["A", "B"]]}, "on", "off"]}),
            "sometimes": flag(YES, "off", {"if": [{"==": [{"var": "tier"}, 1]}, "on"]}),
            "bool_rule": flag({"true": 1, "false": 0}, "false", {">": [{"var": "load"}, 0.5]}),
            "timed": flag(YES, "off", {"if": [{"<": [{"var": "time_seconds"}, 100]}, "on", "off"]}),
            "free": flag(YES, "off", {"var": "choice"}),
            "words": flag(
                YES,
                "off",
                {
                    "if": [
                        {
                            "and": [
                                {"starts_with": [{"var": "rack"}, "B-"]},
                                {"!": [{"ends_with": [{"var": "rack"}, "1"]}]},
                            ]
                        },
                        "on",
                    ]
                },
            ),
            "nested": flag(YES, "off", {"if": [{"<=": [1, {"var": "job.priority"}, 5]}, "on", "off"]}),
        }
    }
)


def with_settings() -> FlagState:
    state = FlagState()
    by = Author(Role.OPERATOR, "m.ortiz")
    state, _ = set_flag(FLAGS, state, "set", "on", scope_of("rack/B-17"), by, "w", 0.0, expires_after_seconds=600.0)
    state, _ = set_flag(FLAGS, state, "rule", "off", scope_of("hall/h"), by, "w", 0.0, expires_after_seconds=600.0)
    return state


STATE = with_settings()
CLIENT = "twin"


def direct(key: str, wanted: ValueType, default: Any, context: dict[str, Any]) -> tuple[Any, Any, str, str | None]:
    found = evaluate(FLAGS, STATE, key, context, default, wanted)
    return found.value, found.variant, found.reason.value, None if found.error is None else found.error.value


def through_openfeature(
    key: str, wanted: ValueType, default: Any, context: dict[str, Any]
) -> tuple[Any, Any, str, str | None]:
    api.set_provider(FlagProvider(FLAGS, lambda: STATE), CLIENT)
    client = api.get_client(CLIENT)
    calls: dict[ValueType, Callable[..., Any]] = {
        ValueType.BOOLEAN: client.get_boolean_details,
        ValueType.STRING: client.get_string_details,
        ValueType.INTEGER: client.get_integer_details,
        ValueType.FLOAT: client.get_float_details,
        ValueType.OBJECT: client.get_object_details,
    }
    found = calls[wanted](key, default, EvaluationContext(attributes=context))
    reason = found.reason.value if hasattr(found.reason, "value") else found.reason
    return found.value, found.variant, reason, None if found.error_code is None else found.error_code.value


B, S, I, F, O = ValueType.BOOLEAN, ValueType.STRING, ValueType.INTEGER, ValueType.FLOAT, ValueType.OBJECT  # noqa: E741

TABLE: list[tuple[str, ValueType, Any, dict[str, Any], tuple[Any, Any, str, str | None]]] = [
    ("plain", B, True, {}, (False, "off", "STATIC", None)),
    ("text", S, "?", {}, ("A", "a", "STATIC", None)),
    ("whole", I, 9, {}, (1, "one", "STATIC", None)),
    ("whole", F, 9.0, {}, (1.0, "one", "STATIC", None)),
    ("real", F, 9.0, {}, (0.5, "half", "STATIC", None)),
    ("object", O, {"x": 1}, {}, ({}, "off", "STATIC", None)),
    ("none", B, True, {}, (True, None, "ERROR", "FLAG_NOT_FOUND")),
    ("disabled", B, False, {}, (False, None, "DISABLED", None)),
    ("plain", S, "?", {}, ("?", None, "ERROR", "TYPE_MISMATCH")),
    ("plain", I, 9, {}, (9, None, "ERROR", "TYPE_MISMATCH")),
    ("real", I, 9, {}, (9, None, "ERROR", "TYPE_MISMATCH")),
    ("whole", B, True, {}, (True, None, "ERROR", "TYPE_MISMATCH")),
    ("set", B, False, {"rack": "B-17", "time_seconds": 599.0}, (True, "on", "TARGETING_MATCH", None)),
    ("set", B, False, {"rack": "B-17", "time_seconds": 600.0}, (False, "off", "DEFAULT", None)),
    ("set", B, False, {"rack": "B-18", "time_seconds": 1.0}, (False, "off", "DEFAULT", None)),
    ("set", B, True, {"rack": "B-17"}, (True, None, "ERROR", "INVALID_CONTEXT")),
    ("rule", B, False, {"row": "A", "time_seconds": 1.0}, (True, "on", "TARGETING_MATCH", None)),
    ("rule", B, False, {"row": "C", "time_seconds": 1.0}, (False, "off", "TARGETING_MATCH", None)),
    ("rule", B, True, {"row": "A", "hall": "h", "time_seconds": 1.0}, (False, "off", "TARGETING_MATCH", None)),
    ("rule", B, False, {"row": "A", "hall": "h", "time_seconds": 600.0}, (True, "on", "TARGETING_MATCH", None)),
    ("sometimes", B, False, {"tier": 1}, (True, "on", "TARGETING_MATCH", None)),
    ("sometimes", B, False, {"tier": 1.0}, (True, "on", "TARGETING_MATCH", None)),
    ("sometimes", B, True, {"tier": True}, (False, "off", "DEFAULT", None)),
    ("sometimes", B, True, {"tier": "1"}, (False, "off", "DEFAULT", None)),
    ("sometimes", B, True, {}, (False, "off", "DEFAULT", None)),
    ("bool_rule", I, 9, {"load": 0.6}, (1, "true", "TARGETING_MATCH", None)),
    ("bool_rule", I, 9, {"load": 0.5}, (0, "false", "TARGETING_MATCH", None)),
    ("bool_rule", I, 9, {}, (9, None, "ERROR", "INVALID_CONTEXT")),
    ("bool_rule", I, 9, {"load": float("nan")}, (9, None, "ERROR", "INVALID_CONTEXT")),
    ("bool_rule", I, 9, {"load": "0.6"}, (9, None, "ERROR", "INVALID_CONTEXT")),
    ("timed", B, False, {"time_seconds": 99.0}, (True, "on", "TARGETING_MATCH", None)),
    ("timed", B, True, {"time_seconds": 100.0}, (False, "off", "TARGETING_MATCH", None)),
    ("free", B, False, {"choice": "on"}, (True, "on", "TARGETING_MATCH", None)),
    ("free", B, True, {"choice": "up"}, (True, None, "ERROR", "PARSE_ERROR")),
    ("free", B, True, {"choice": 1}, (True, None, "ERROR", "PARSE_ERROR")),
    ("free", B, True, {}, (False, "off", "DEFAULT", None)),
    ("words", B, False, {"rack": "B-17"}, (True, "on", "TARGETING_MATCH", None)),
    ("words", B, True, {"rack": "B-11"}, (False, "off", "DEFAULT", None)),
    ("words", B, True, {"rack": 17}, (False, "off", "DEFAULT", None)),
    ("nested", B, False, {"job": {"priority": 5}}, (True, "on", "TARGETING_MATCH", None)),
    ("nested", B, True, {"job": {"priority": 6}}, (False, "off", "TARGETING_MATCH", None)),
]


@pytest.mark.parametrize("path", [direct, through_openfeature], ids=["evaluate", "openfeature"])
@pytest.mark.parametrize(("key", "wanted", "default", "context", "expected"), TABLE)
def test_conformance(
    path: Callable[..., Any], key: str, wanted: ValueType, default: Any, context: dict[str, Any], expected: Any
) -> None:
    found = path(key, wanted, default, context)
    assert found == expected
    assert type(found[0]) is type(expected[0])


def test_the_table_has_every_reason_and_error() -> None:
    assert {expected[2] for *_, expected in TABLE} == {reason.value for reason in ResolutionReason}
    assert {expected[3] for *_, expected in TABLE if expected[3]} == {error.value for error in ErrorCode}


def test_the_provider_takes_time_from_the_clock_it_is_given() -> None:
    clock = [599.0]
    api.set_provider(FlagProvider(FLAGS, lambda: STATE, lambda: clock[0]), "timed")
    client = api.get_client("timed")
    context = EvaluationContext(attributes={"rack": "B-17"})
    assert client.get_boolean_value("set", False, context) is True
    clock[0] = 600.0
    assert client.get_boolean_value("set", True, context) is False
    details = client.get_boolean_details("set", True, context)
    assert details.flag_metadata == {"kind": "rollout", "owner": "release"}


def test_the_targeting_key_is_the_service() -> None:
    state, _ = set_flag(
        FLAGS, FlagState(), "plain", "on", scope_of("service/chat"), Author(Role.OPERATOR, "m"), "w", 0.0
    )
    api.set_provider(FlagProvider(FLAGS, lambda: state, lambda: 1.0), "keyed")
    client = api.get_client("keyed")
    assert client.get_boolean_value("plain", False, EvaluationContext("chat")) is True
    assert client.get_boolean_value("plain", True, EvaluationContext("search")) is False


# targeting rules

PLAIN = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["a", "b", "B-17", ""])


def operators(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    two = st.lists(inner, min_size=2, max_size=2)
    some = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        *[two.map(lambda given, op=op: {op: given}) for op in ("==", "!=", "<", "<=", ">", ">=", "in")],
        *[two.map(lambda given, op=op: {op: given}) for op in ("starts_with", "ends_with")],
        *[some.map(lambda given, op=op: {op: given}) for op in ("if", "and", "or")],
        inner.map(lambda given: {"!": [given]}),
        st.sampled_from(["x", "y", "y.z"]).map(lambda name: {"var": name}),
    )


RULES = st.recursive(PLAIN, operators, max_leaves=10)


@given(RULES, PLAIN, PLAIN)
def test_a_checked_rule_has_a_result_or_says_why_not(rule: Any, x: Any, y: Any) -> None:
    faults = DocumentFaults()
    check(rule, "rule", faults)
    if not faults:
        for context in ({}, {"x": x, "y": y}, {"x": x, "y": {"z": y}}):
            try:
                apply(rule, context)
            except TargetingError as error:
                assert "needs finite numbers" in str(error)


@given(PLAIN, PLAIN)
def test_equality_is_symmetric_and_the_opposite_of_inequality(one: Any, other: Any) -> None:
    assert same(one, other) == same(other, one)
    assert apply({"==": [one, other]}, {}) is not apply({"!=": [one, other]}, {})


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_orders_are_those_of_numbers(one: float, other: float) -> None:
    assert apply({"<": [one, other]}, {}) == (one < other) == apply({">": [other, one]}, {})
    assert apply({"<=": [one, other]}, {}) == (one <= other) == apply({"!": [{">": [one, other]}]}, {})


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        ({"and": [1, "a", 0, "b"]}, 0),
        ({"and": [1, "a"]}, "a"),
        ({"or": [0, "", "b"]}, "b"),
        ({"or": [0, ""]}, ""),
        ({"if": [0, "a", 1, "b", "c"]}, "b"),
        ({"if": [0, "a", 0, "b", "c"]}, "c"),
        ({"if": [0, "a", 0, "b"]}, None),
        ({"!": 1}, False),
        ({"!": [[]]}, True),
        ({"in": ["17", "B-17"]}, True),
        ({"in": [1, [True, "1"]]}, False),
        ({"in": ["a", None]}, False),
        ({"var": ["gone", 5]}, 5),
        ({"<": [1, 2, 3]}, True),
        ({"<": [1, 3, 3]}, False),
        ({"<=": [1, 3, 3]}, True),
        ({"or": [True, {"<": ["never", "looked at"]}]}, True),
    ],
)
def test_operators_by_hand(rule: Any, result: Any) -> None:
    assert same(apply(rule, {}), result)
