"""The playbook: always the same, in the same order, with the context that people need."""

from twin.policy.causes import Comparison, Trigger
from twin.policy.flag_files import flags_from_mapping
from twin.policy.playbook import (
    SENTENCES,
    Because,
    Cause,
    Do,
    containment,
    experiments_of,
    playbook,
)
from twin.policy.scope import scope_of

RACK = scope_of("rack/B-17")
TRIGGER = Trigger(
    "rack_devices hard limit", "rack_device_temperature_celsius", Comparison.ABOVE, 93.0, 94.5, 10.0, 12.0, 588.0
)
HOT = Cause(Because.HARD_LIMIT, "rack_devices hard limit", TRIGGER)


def test_the_order_is_freeze_scale_down_preserve_drain_shut_down_alert() -> None:
    assert [each.do for each in playbook(RACK, HOT, 600.0)] == [
        Do.FREEZE_DEPLOYS,
        Do.SCALE_DOWN,
        Do.CHECKPOINT,
        Do.DRAIN,
        Do.SHUT_DOWN,
        Do.ALERT,
    ]


def test_it_is_a_function_of_place_reason_and_time() -> None:
    assert playbook(RACK, HOT, 600.0) == playbook(scope_of("rack/B-17"), HOT, 600.0)
    assert {(each.scope, each.time_seconds) for each in playbook(RACK, HOT, 600.0)} == {(RACK, 600.0)}
    assert all(each.reason == HOT for each in playbook(RACK, HOT, 600.0)[:-1])


def test_the_alert_says_where_what_and_what_is_done() -> None:
    alert = playbook(RACK, HOT, 600.0)[-1]
    assert alert.reason.detail == (
        "hard limit on rack/B-17: rack_device_temperature_celsius 94.5 above 93 for 12 s (asked: 10 s). "
        "Asked for, in this order: start no deployment and hold those that run, scale running work down, "
        "save running training work, let sessions end and route traffic away, gradually, switch off."
    )
    by_hand = playbook(RACK, Cause(Because.PEOPLE, "facilities j.weiss"), 600.0)[-1]
    assert by_hand.reason.detail.startswith("hard limit on rack/B-17: Asked for, in this order: start no deployment")


def test_containment_switches_experiments_off_between_freeze_and_queue() -> None:
    found = containment(RACK, HOT, 600.0, [("next", "off"), ("beta", "old"), ("next", "off")])
    assert [(each.do, each.flag, each.variant) for each in found] == [
        (Do.FREEZE_DEPLOYS, "", ""),
        (Do.DISABLE_EXPERIMENTS, "", ""),
        (Do.SET_FLAG, "beta", "old"),
        (Do.SET_FLAG, "next", "off"),
        (Do.SHED_QUEUE, "", ""),
    ]
    assert containment(RACK, HOT, 600.0, [("beta", "old"), ("next", "off")]) == found


def test_experiments_are_enabled_rollouts_that_say_so() -> None:
    def rollout(**changes: object) -> dict[str, object]:
        return {
            "state": changes.pop("state", "ENABLED"),
            "variants": {"off": 0, "on": 1},
            "defaultVariant": "off",
            "metadata": {"kind": "rollout"} | changes,
        }

    flags = flags_from_mapping(
        {
            "flags": {
                "b": rollout(experimental=True),
                "a": rollout(experimental=True),
                "settled": rollout(),
                "gone": rollout(experimental=True, state="DISABLED"),
            }
        }
    )
    assert experiments_of(flags) == (("a", "off"), ("b", "off"))


def test_every_word_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Do)
