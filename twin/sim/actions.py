"""What may happen in a story, as data: one entry per action, its target, its fields and their units.

The effects are in :mod:`twin.sim.faults`, keyed by the same names. A new fault is one entry here and one there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from twin.hall.parts import Hall
from twin.policy.canary import Strategy
from twin.policy.causes import Role
from twin.policy.playbook import Do
from twin.sim.action_checks import (
    SENSED,
    Misfit,
    check_fouling,
    check_hot_weather,
    check_job,
    check_phase,
    check_pumps,
    check_release,
    check_signal,
    check_tray,
    check_ups,
    check_valve,
    check_weather,
)
from twin.sim.measured import SIGNALS
from twin.sim.written import choice, duration, names, number, pumps, text, truth, whole
from twin.workload.jobs import JobKind


@dataclass(frozen=True)
class Action:
    """Something that happens at a time. ``target`` is a name in the hall, of the kind ``target_kind``.

    ``values`` has every field of the action's :class:`ActionSpec`, defaults filled in, durations in seconds.
    """

    at_seconds: float
    do: str
    target: str | None
    values: Mapping[str, Any]
    repair_seconds: float | None = None  # after ``at_seconds``; None for never
    target_kind: str | None = None
    drawn: bool = False  # by chance, not written in the story
    surprise: bool = False  # written in the story, but the team was not told


@dataclass(frozen=True)
class Field:
    """One value of an action. ``read`` turns what is written into it, or raises :class:`twin.sim.written.Unfit`."""

    name: str
    read: Callable[[Any], Any]
    sentence: str
    default: Any = None
    required: bool = True


@dataclass(frozen=True)
class ActionSpec:
    """One action. ``targets`` are the keys that may name its target: one of them, or none where ``whole_hall``."""

    name: str
    sentence: str
    targets: tuple[str, ...] = ()
    whole_hall: bool = False
    fields: tuple[Field, ...] = ()
    repairable: bool = False
    #: what the fields mean together and in this hall
    check: Callable[[Hall, str | None, Mapping[str, Any]], list[Misfit]] | None = None


#: roles of people, who may decide where a job goes
PEOPLE = tuple(role.value for role in Role if role is not Role.POLICY)


_CELSIUS = number(-60.0, 70.0)
#: what sets a flag to a variant: nothing that breaks, and nothing that a repair takes back
SETS = ("set_flag", "maintenance", "evacuate")
#: lines of a node, in the order of their phases
PHASES = ("L1", "L2", "L3")


def _severity(sentence: str, default: float | None = None, lowest: float = 0.001, highest: float = 1.0) -> Field:
    return Field("severity", number(lowest, highest), sentence, default=default, required=False)


def _effect(name: str, lowest: float, highest: float, sentence: str) -> Field:
    return Field(name, number(lowest, highest), sentence, default=1.0, required=False)


_PUMP = Field("pump", pumps, "pump number from 1, a list, or all", default=(0,), required=False)
_OVER = Field("over", duration, "time over which it comes on, or at once", default=None, required=False)
_SIGNAL = Field(
    "signal",
    choice(*dict.fromkeys(signal.short for signal in SIGNALS.values() if signal.kind in SENSED)),
    "what it measures, such as supply_temperature; all of the thing's sensors without it",
    required=False,
)

#: what the response ladder does and people may do by hand; what flags do has its own actions
BY_HAND = (
    Do.FREEZE_DEPLOYS, Do.ALLOW_DEPLOYS, Do.SHED_QUEUE, Do.DRAIN, Do.CHECKPOINT, Do.MIGRATE, Do.SHIFT_LOW_PRIORITY,
    Do.RETURN_LOW_PRIORITY, Do.SHUT_DOWN, Do.ALLOW_START,
)  # fmt: skip


def _person(role: Role, *, reason_needed: bool = True) -> tuple[Field, ...]:
    """Who does it, in which role, and why."""
    return (
        Field("role", choice(*PEOPLE), f"role of who does it, {role} if not said", default=role, required=False),
        Field("by", text, "who does it", default="scenario", required=False),
        Field("reason", text, "reason", default=None if reason_needed else "", required=reason_needed),
    )


def _flag_fields(flag: str | None, variant: str | None, role: Role) -> tuple[Field, ...]:
    """A flag, what it is set to, for how long, by whom and why."""
    return (
        Field("flag", text, "name of the flag", default=flag, required=flag is None),
        Field("variant", text, "variant of the flag that is set", default=variant, required=variant is None),
        Field("expires", duration, "time after which it ends by itself, if sooner than its file says", None, False),
        *_person(role),
    )


ACTIONS: dict[str, ActionSpec] = {
    spec.name: spec
    for spec in (
        ActionSpec(
            "pump_loss",
            "One pump, several or all of a coolant loop lose their drive and coast down.",
            targets=("loop",),
            fields=(_PUMP,),
            repairable=True,
            check=check_pumps,
        ),
        ActionSpec(
            "pump_degradation",
            "Pumps reach only a part of the speed that they are told.",
            targets=("loop",),
            fields=(
                _PUMP,
                replace(_severity("share of the speed that is lost", highest=1.0), required=True),
                _OVER,
            ),
            repairable=True,
            check=check_pumps,
        ),
        ActionSpec(
            "valve_stuck",
            "The coolant valve of a rack sticks and moves for nobody.",
            targets=("rack",),
            fields=(
                Field("position", number(0.0, 1.0), "0 shut, 1 open; by default where it is", None, required=False),
            ),
            repairable=True,
            check=check_valve,
        ),
        ActionSpec(
            "hx_fouling",
            "The heat exchanger of a loop fouls.",
            targets=("loop",),
            fields=(
                _severity("share of its conductance UA that is lost, at nominal flows", highest=0.99),
                Field(
                    "kelvin_per_kilowatt",
                    number(1e-6, 1e3),
                    "fouling resistance [K/kW], in place of severity",
                    default=None,
                    required=False,
                ),
                _OVER,
            ),
            repairable=True,
            check=check_fouling,
        ),
        ActionSpec(
            "filter_clog",
            "The filter of a loop clogs: its main resists more.",
            targets=("loop",),
            fields=(Field("factor", number(1.0, 10_000.0), "resistance of the main, of nominal"), _OVER),
            repairable=True,
        ),
        ActionSpec(
            "facility_water_loss",
            "Facility water no longer reaches a loop, or any.",
            targets=("loop",),
            whole_hall=True,
            fields=(_severity("share of its flow that is lost", default=1.0), _OVER),
            repairable=True,
        ),
        ActionSpec(
            "facility_water_ramp",
            "The set point of the facility water drifts.",
            fields=(Field("kelvin", number(-20.0, 40.0), "drift of the set point [K]"), _OVER),
            repairable=True,
        ),
        ActionSpec(
            "chiller_trip",
            "Heat rejection trips; at its repair it comes back over the hall's ramp.",
            fields=(_severity("share of the heat rejection that is lost", default=1.0),),
            repairable=True,
        ),
        ActionSpec(
            "crah_failure",
            "CRAHs of a zone stop, or of every zone, and their fans with them.",
            targets=("zone",),
            whole_hall=True,
            fields=(_severity("share of the CRAHs that stop", default=1.0),),
            repairable=True,
        ),
        ActionSpec(
            "thermal_interface",
            "The thermal interface between devices and plate of one tray grows worse.",
            targets=("rack",),
            fields=(
                Field("tray", whole(1), "tray number from 1"),
                Field("factor", number(1.0, 100.0), "resistance from device to plate, of nominal"),
                _OVER,
            ),
            repairable=True,
            check=check_tray,
        ),
        ActionSpec(
            "telemetry_outage",
            "Telemetry of a rack, a row, a loop or the whole hall falls silent.",
            targets=("rack", "row", "loop"),
            whole_hall=True,
            fields=(Field("signals", names, "names of the signals, or all", default=(), required=False),),
            repairable=True,
        ),
        ActionSpec(
            "feed_loss",
            "A feed, or one node of the power tree with all below it, goes dead.",
            targets=("feed", "node"),
            repairable=True,
        ),
        ActionSpec(
            "breaker_open",
            "A breaker is opened by hand.",
            targets=("breaker",),
            repairable=True,
        ),
        ActionSpec(
            "breaker_nuisance_trip",
            "A breaker trips although nothing is wrong, and is closed by hand after the hall's usual time.",
            targets=("breaker",),
            repairable=True,
        ),
        ActionSpec(
            "phase_loss",
            "A line breaks at a node of the power tree, at a UPS or below.",
            targets=("node",),
            fields=(Field("phase", choice(*PHASES), "line that breaks"),),
            repairable=True,
            check=check_phase,
        ),
        ActionSpec(
            "ups_on_battery",
            "The input of a UPS is lost: it runs from its battery.",
            targets=("node",),
            repairable=True,
            check=check_ups,
        ),
        ActionSpec(
            "utility_loss",
            "The utility of a feed or of the whole hall fails: UPS at once, generators and chillers in their time.",
            targets=("feed",),
            whole_hall=True,
            fields=(Field("generator", choice("starts", "fails"), "what the generators do", "starts", required=False),),
            repairable=True,
        ),
        ActionSpec("breaker_close", "An open or tripped breaker is closed by hand.", targets=("breaker",)),
        ActionSpec(
            "supply_setpoint",
            "The set point of a loop's supply temperature moves.",
            targets=("loop",),
            fields=(Field("celsius", number(5.0, 60.0), "new set point [°C]"),),
            repairable=True,
        ),
        ActionSpec(
            "valve",
            "The coolant valve of a rack moves, unless it is stuck.",
            targets=("rack",),
            fields=(Field("position", number(0.0, 1.0), "0 shut, 1 open"),),
            repairable=True,
        ),
        ActionSpec(
            "weather",
            "The air outside changes and stays so.",
            fields=(
                Field("dry_bulb_celsius", _CELSIUS, "dry bulb [°C]"),
                Field("wet_bulb_celsius", _CELSIUS, "wet bulb [°C]"),
            ),
            repairable=True,
            check=check_weather,
        ),
        ActionSpec(
            "hot_weather",
            "It grows hot outside for a while, beyond what the weather is anyway.",
            fields=(
                Field("dry_bulb_kelvin", number(0.0, 40.0), "rise of the dry bulb [K]"),
                Field("wet_bulb_kelvin", number(0.0, 40.0), "rise of the wet bulb [K]"),
                replace(_OVER, sentence="time in which it rises, and falls again"),
            ),
            repairable=True,
            check=check_hot_weather,
        ),
        ActionSpec(
            "submit_job",
            "A job arrives in the queue; with rack, it is put on that rack whatever the policy says.",
            fields=(
                Field("kind", choice(*(kind.value for kind in JobKind)), "kind of job"),
                Field("trays", whole(1), "trays"),
                Field("seconds", duration, "work at full clock [s], or a duration"),
                Field("utilisation", number(0.0, 1.0), "mean share of the trays' dynamic power range"),
                Field("swing", number(0.0, 1.0), "power swing as a share of the maximum", default=0.0, required=False),
                Field("rack", text, "rack to pin it to", default=None, required=False),
                Field(
                    "role", choice(*PEOPLE), "role of who pins it, operator if not said", default=None, required=False
                ),
                Field("by", text, "who pins it", default=None, required=False),
                Field("reason", text, "why it is pinned", default=None, required=False),
                Field("id", text, "name of the job", default=None, required=False),
                Field("priority", whole(0), "higher goes first", default=0, required=False),
            ),
            check=check_job,
        ),
        ActionSpec(
            "restart_jobs",
            "Running work is started again where it is, from its last checkpoint; services start cold anyway.",
            targets=("rack", "row", "loop"),
            whole_hall=True,
            fields=(
                Field("kind", choice(*(kind.value for kind in JobKind)), "kind of job, or all", None, required=False),
                Field("cold", truth, "nodes have lost image and compiled code", default=False, required=False),
                Field("stagger", duration, "time between two jobs, or all at once", default=0.0, required=False),
                *_person(Role.PLATFORM, reason_needed=False),
            ),
        ),
        ActionSpec(
            "set_flag",
            "A person sets a flag for a place or service, and takes it back at its repair; a variant may empty it.",
            targets=("rack", "row", "loop", "service"),
            whole_hall=True,
            fields=_flag_fields(None, None, Role.OPERATOR),
            repairable=True,
        ),
        ActionSpec(
            "clear_flag",
            "A person takes back a flag that is set for a place or a service.",
            targets=("rack", "row", "loop", "service"),
            whole_hall=True,
            fields=(Field("flag", text, "name of the flag"), *_person(Role.OPERATOR)),
        ),
        ActionSpec(
            "maintenance",
            "A place is taken out of service for work on it, empty by default, and given back at its repair.",
            targets=("rack", "row", "loop"),
            fields=_flag_fields("maintenance", "empty", Role.FACILITIES),
            repairable=True,
        ),
        ActionSpec(
            "evacuate",
            "A person has a place emptied: no new work, replicas leave, jobs are saved and move. Over at its repair.",
            targets=("rack", "row", "loop"),
            whole_hall=True,
            fields=_flag_fields("evacuate", "drain", Role.ON_CALL),
            repairable=True,
        ),
        ActionSpec(
            "respond",
            "A person does by hand one of the things that the response ladder does.",
            targets=("rack", "row", "loop"),
            whole_hall=True,
            fields=(Field("what", choice(*BY_HAND), "what is done"), *_person(Role.ON_CALL)),
        ),
        ActionSpec(
            "roll_out",
            "A release of a service, or of the images of a kind of job, begins its way through the hall.",
            fields=(
                Field("release", text, "name of the release, such as 2026.04.14.12"),
                Field("service", text, "service that it is of", default=None, required=False),
                Field("image", choice("training", "batch"), "kind of job that it is of", default=None, required=False),
                _effect("power", 0.1, 5.0, "power at work, of the work as built"),
                _effect("startup_power", 0.1, 5.0, "power while it starts, of the work as built"),
                _effect("concurrency", 0.01, 10.0, "sequences decoded together, of the service as built"),
                _effect("memory_bandwidth", 0.1, 10.0, "memory traffic of a token, of the service as built"),
                replace(_effect("error_rate", 0.0, 1.0, "share of requests that fail"), default=0.0),
                _effect("latency", 0.1, 10.0, "time of a step, of the work as built"),
                Field("canary", choice(*Strategy), "strategy, in place of the policy's", None, required=False),
                Field("not_ready", names, "readiness items that are not proven", default=(), required=False),
                Field("experimental", truth, "held where flags switch experiments off", False, required=False),
                Field("soak", duration, "of every stage, in place of the plan's", default=None, required=False),
                Field("window", duration, "of the judge, in place of the policy's", default=None, required=False),
            ),
            check=check_release,
        ),
        ActionSpec(
            "set_load",
            "Every tray of a rack, a row, a loop or the whole hall is held at one utilisation, job or none.",
            targets=("rack", "row", "loop"),
            whole_hall=True,
            fields=(
                Field("utilisation", number(0.0, 1.0), "mean share of the trays' dynamic power range"),
                Field("swing", number(0.0, 1.0), "power swing as a share of the maximum", default=0.0, required=False),
            ),
            repairable=True,
        ),
        ActionSpec(
            "repair",
            "What earlier actions did to a target, or to the hall as a whole, is undone.",
            targets=("loop", "node", "feed", "breaker", "rack", "row", "zone"),
            whole_hall=True,
        ),
        ActionSpec(
            "sensor_stuck",
            "A sensor repeats its last reading: what policies see stands still.",
            targets=SENSED,
            fields=(_SIGNAL,),
            repairable=True,
            check=check_signal,
        ),
        ActionSpec(
            "sensor_bias",
            "A sensor reads too much or too little.",
            targets=SENSED,
            fields=(
                replace(_SIGNAL, sentence="what it measures, such as supply_temperature", required=True),
                Field("offset", number(-1e9, 1e9), "error in the signal's unit, such as 2.5 for 2.5 K too warm"),
            ),
            repairable=True,
            check=check_signal,
        ),
        ActionSpec(
            "sensor_dropout",
            "Readings of a sensor are lost: values age, go stale and then missing.",
            targets=SENSED,
            fields=(
                _SIGNAL,
                Field("probability", number(0.0, 1.0), "share of readings that is lost", default=1.0, required=False),
            ),
            repairable=True,
            check=check_signal,
        ),
    )
}
