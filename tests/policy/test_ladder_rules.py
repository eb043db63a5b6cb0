"""Rules documents: read with every fault at once, and the one that comes with the project."""

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.hall.files import read_yaml
from twin.places import conf_dir
from twin.policy.causes import Author, Role
from twin.policy.documents import DocumentError
from twin.policy.enact import settle_flags
from twin.policy.evaluation import degradation_in
from twin.policy.flag_files import flags_from_mapping
from twin.policy.flags import FlagState
from twin.policy.ladder import start, step, wishes
from twin.policy.ladder_rules import ORDER, Rung, check_flags, rules_from_mapping
from twin.policy.playbook import Do
from twin.policy.scope import Level
from twin.policy.sensed import readings_of

DEFAULT = read_yaml(conf_dir() / "policy" / "ladder" / "default.yaml")
FLAGS = flags_from_mapping(json.loads((conf_dir() / "policy" / "flags" / "default.json").read_text("utf-8")))


def edited(path: str, value: Any) -> Any:
    """The default document with one thing set or, with Ellipsis, taken out."""
    document = copy.deepcopy(DEFAULT)
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    at: Any = document
    for part in way:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


def faults_of(document: Any) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as caught:
        rules_from_mapping(document)
    return [(fault.key, fault.problem) for fault in caught.value.faults]


RUNGS = "ladders/loop_coolant/rungs"


@pytest.mark.parametrize(
    ("path", "value", "key", "problem"),
    [
        ("owner", ..., "owner", "missing"),
        ("owner", "  ", "owner", "not a text"),
        ("name", 3, "name", "not a text"),
        ("version", True, "version", "no version"),
        ("version", ..., "version", "no version"),
        ("rules", {}, "rules", "no such key"),
        ("readings/stale_seconds", ..., "readings.stale_seconds", "missing"),
        ("readings/unseen_seconds", -1, "readings.unseen_seconds", "less than 0"),
        ("readings/greatest_gap_seconds", float("nan"), "readings.greatest_gap_seconds", "not a finite number"),
        ("ladders", [], "ladders", "not a mapping"),
        ("ladders/loop_coolant/scope", "tray", "ladders.loop_coolant.scope", "not one of those"),
        ("ladders/loop_coolant/scope", "service", "ladders.loop_coolant.scope", "not one of those"),
        ("ladders/loop_coolant/scope", "rack", "ladders.loop_coolant.rungs[0].when.signal", "not one of those"),
        ("ladders/loop_coolant/rungs", [], "ladders.loop_coolant.rungs", "not a list of rungs"),
        (f"{RUNGS}/0/rung", "alarm", "ladders.loop_coolant.rungs[0].rung", "not one of those"),
        (f"{RUNGS}/0/when/for_seconds", ..., "ladders.loop_coolant.rungs[0].when.for_seconds", "missing"),
        (f"{RUNGS}/0/when/for_seconds", -1, "ladders.loop_coolant.rungs[0].when.for_seconds", "less than 0"),
        (f"{RUNGS}/0/when/above", "hot", "ladders.loop_coolant.rungs[0].when.above", "not a finite number"),
        (f"{RUNGS}/0/when/below", 1, "ladders.loop_coolant.rungs[0].when", "2 of above and below"),
        (f"{RUNGS}/0/when/above", ..., "ladders.loop_coolant.rungs[0].when", "0 of above and below"),
        (f"{RUNGS}/0/release", ..., "ladders.loop_coolant.rungs[0].release", "not a mapping"),
        (f"{RUNGS}/0/release/level", 43, "ladders.loop_coolant.rungs[0].release.level", "no hysteresis"),
        (f"{RUNGS}/0/release/level", 44, "ladders.loop_coolant.rungs[0].release.level", "no hysteresis"),
        (f"{RUNGS}/0/do", "alert", "ladders.loop_coolant.rungs[0].do", "not a list"),
        (f"{RUNGS}/0/do", ["alrt"], "ladders.loop_coolant.rungs[0].do[0]", "no such action"),
        (f"{RUNGS}/0/do", ["set_flag"], "ladders.loop_coolant.rungs[0].do[0]", "no such action"),
        (f"{RUNGS}/1/flags", {"scale_back": False}, "ladders.loop_coolant.rungs[1].flags.scale_back", "not the name"),
        (f"{RUNGS}/1/flags", ["scale_back"], "ladders.loop_coolant.rungs[1].flags", "not a mapping"),
        (f"{RUNGS}/1/latched", "yes", "ladders.loop_coolant.rungs[1].latched", "not true or false"),
        (f"{RUNGS}/1/after_seconds", "1 min", "ladders.loop_coolant.rungs[1].after_seconds", "not a finite number"),
        (f"{RUNGS}/1/rung", "alert", "ladders.loop_coolant.rungs[1].rung", "not above 'alert'"),
        (f"{RUNGS}/2/when/above", 44.0, "ladders.loop_coolant.rungs[2].release.level", "no hysteresis"),
        (f"{RUNGS}/3/when/above", 46.5, "ladders.loop_coolant.rungs[3].when.above", "milder than the rung before"),
        ("ladders/loop_coolant/hard_limit/above", 52, "ladders.loop_coolant.hard_limit.above", "milder than the rung"),
        (
            "ladders/row_coolant/hard_limit",
            {"signal": "row_power_watts", "above": 1e6, "for_seconds": 0},
            "ladders.row_coolant.hard_limit",
            "the last rung is pause",
        ),
        ("business_rules/shift_low_priority/sentence", ..., "business_rules.shift_low_priority.sentence", "missing"),
        (
            "business_rules/shift_low_priority/kinds",
            ["thermal"],
            "business_rules.shift_low_priority.kinds[0]",
            "not one",
        ),
        ("business_rules/shift_low_priority/kinds", [], "business_rules.shift_low_priority.kinds", "at least one"),
        ("business_rules/shift_low_priority/do", [], "business_rules.shift_low_priority.do", "nothing to do"),
        (
            "business_rules/shift_low_priority/active_seconds",
            -1,
            "business_rules.shift_low_priority.active_seconds",
            "less",
        ),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(path: str, value: Any, key: str, problem: str) -> None:
    found = faults_of(edited(path, value))
    assert any(key == where and problem in what for where, what in found), found


def test_all_faults_are_told_at_once() -> None:
    document = edited("owner", ...)
    document["extra"] = 1
    document["ladders"]["loop_coolant"]["rungs"][0]["when"]["signal"] = "loop_suply_temperature_celsius"
    document["business_rules"]["shift_low_priority"]["do"] = ["shift"]
    with pytest.raises(DocumentError) as caught:
        rules_from_mapping(document)
    assert [fault.key for fault in caught.value.faults] == [
        "extra",
        "owner",
        "ladders.loop_coolant.rungs[0].when.signal",
        "business_rules.shift_low_priority.do[0]",
        "business_rules.shift_low_priority.do",
    ]
    assert caught.value.faults[2].remedy == "Did you mean 'loop_supply_temperature_celsius'?"
    assert str(caught.value).startswith("The document is refused: 5 faults.\n  extra = 1: there is no such key.")


def test_signals_are_those_that_a_site_has() -> None:
    document = edited("ladders", {"x": copy.deepcopy(DEFAULT["ladders"]["row_coolant"])})
    for rung in document["ladders"]["x"]["rungs"]:
        rung["when"]["signal"] = "row_manifold_temperature_celsius"
    assert len(faults_of(document)) == 3
    rules = rules_from_mapping(document, {Level.ROW: ("row_manifold_temperature_celsius",)})
    assert rules.ladders[0].steps[0].trigger.signal == "row_manifold_temperature_celsius"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rung", "when", "rungs", "scope", "do", "above", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)
PATHS = [
    "version",
    "readings",
    "ladders",
    "ladders/loop_coolant",
    RUNGS,
    f"{RUNGS}/1",
    f"{RUNGS}/1/when",
    "business_rules",
]


@given(st.sampled_from(PATHS), JSON)
def test_any_document_is_read_or_refused(path: str, value: Any) -> None:
    for document in (value, edited(path, value)):
        try:
            rules_from_mapping(document)
        except DocumentError as error:
            assert error.faults


def test_the_default_has_every_rung_and_a_ladder_for_every_level() -> None:
    rules = rules_from_mapping(DEFAULT)
    assert {ladder.level for ladder in rules.ladders} == {Level.RACK, Level.ROW, Level.LOOP, Level.HALL}
    assert [each.level for each in rules.ladders] == [
        Level.RACK,
        Level.RACK,
        Level.RACK,
        Level.ROW,
        Level.LOOP,
        Level.HALL,
    ]
    for ladder in rules.ladders:
        heights = [ORDER[each.rung] for each in ladder.steps]
        assert heights == sorted(heights)
        throttle = next(each for each in ladder.steps if each.rung is Rung.THROTTLE)
        assert throttle.trigger.dwell_seconds >= 60.0 and ("scale_back", "halved") in throttle.flags
        if ladder.level is not Level.RACK:  # containment
            assert {Do.FREEZE_DEPLOYS, Do.DISABLE_EXPERIMENTS, Do.SHED_QUEUE} <= set(throttle.do)
    loop = next(each for each in rules.ladders if each.name == "loop_coolant")
    assert [each.rung for each in loop.steps] == list(Rung)
    assert [(rule.active_seconds, rule.do[0]) for rule in rules.business_rules] == [(600.0, Do.SHIFT_LOW_PRIORITY)]


def test_the_default_ladder_and_the_default_flags_agree() -> None:
    assert check_flags(rules_from_mapping(DEFAULT), FLAGS) == []


def test_the_default_ladder_runs_on_snapshots(facility: Any) -> None:
    rules = rules_from_mapping(DEFAULT)
    state, flags, log = None, FlagState(), []
    for time in range(0, 130, 10):
        snapshot = facility([1, 2, 3])
        supply = np.array([40.0, 46.0, 40.0])
        for name, value in {"time_seconds": float(time), "rack_supply_temperature_celsius": supply}.items():
            object.__setattr__(snapshot, name, value)
        sensed = readings_of(snapshot)
        state = start(rules, sensed.members, 0.0) if state is None else state
        state, actions = step(rules, state, sensed, float(time))
        by = Author(Role.POLICY, f"ladder {rules.name} {rules.version}")
        flags, changes = settle_flags(FLAGS, flags, wishes(rules, state), by, float(time))
        log += [(time, str(each.scope), each.do.value) for each in actions]
        log += [(time, str(each.scope), each.flag) for each in changes]
    assert log == [
        (60, "rack/A-02", "alert"),
        (60, "rack/A-02", "scale_down"),
        (60, "rack/A-02", "alert"),
        (60, "rack/A-02", "set_flag"),
        (60, "rack/A-02", "scale_back"),
    ]
    knobs = degradation_in(FLAGS, flags, {"rack": "A-02"}, 120.0)
    assert (knobs.concurrency, knobs.batch_size, knobs.auxiliary) == (0.5, 0.5, False)


def test_flags_that_are_not_there_or_may_not_be_set_are_faults() -> None:
    document = copy.deepcopy(DEFAULT)
    document["ladders"] = {"loop_coolant": document["ladders"]["loop_coolant"]}
    rungs = document["ladders"]["loop_coolant"]["rungs"]
    for rung in rungs:
        rung.pop("flags", None)
    rungs[1]["flags"] = {"scale_bak": "halved"}
    rungs[2]["flags"] = {"scale_back": "third"}
    rungs[3]["flags"] = {"shed_load": "mild"}
    rungs[4]["flags"] = {"maintenance": "empty"}
    document["business_rules"]["shift_low_priority"]["flags"] = ["thermal"]
    found = check_flags(rules_from_mapping(document), FLAGS)
    assert [(fault.key, fault.problem) for fault in found] == [
        ("ladders.loop_coolant.throttle.flags", "there is no such flag"),
        ("ladders.loop_coolant.pause.flags.scale_back", "the flag has no such variant"),
        ("ladders.loop_coolant.drain.flags.shed_load", "the flag may not be set for every loop"),
        ("ladders.loop_coolant.checkpoint.flags.maintenance", "the policy may not set the flag"),
        ("business_rules.shift_low_priority.flags", "there is no such flag"),
    ]
