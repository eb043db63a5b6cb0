"""The parts of a run, read from its configuration: all of them, so that all faults are told at once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.utils import instantiate

import twin.policy
from twin.hall.errors import Fault, Faults, HallError, did_you_mean
from twin.hall.fields import number, read_fields
from twin.hall.parts import Hall
from twin.hall.reader import read_hall
from twin.policy import Policy
from twin.policy.baselines import POLICIES
from twin.policy.documents import DocumentError
from twin.policy.expressions import Expression, ExpressionRefused
from twin.setup.configuration import SOURCE, Configuration
from twin.setup.documents import document_path, read_document
from twin.setup.refusals import REFUSALS, Refused, sentences
from twin.setup.rollouts import rollout_of
from twin.setup.settings import settings_of
from twin.sim.chance import as_actions, draw_faults
from twin.sim.operators_file import read_deeds
from twin.sim.people import misfits_of_flags
from twin.sim.releases import misfits
from twin.sim.scenario import Scenario, read_scenario
from twin.sim.simulate import Settings
from twin.units import SECONDS_PER_HOUR
from twin.workload.jobs import Workload
from twin.workload.load import load_workload
from twin.workload.nodes import hall_mapping_from_nodes

if TYPE_CHECKING:
    from twin.sim.response import ResponseSettings

Part = TypeVar("Part")

RESPONSE = (
    number("period_seconds", "between two looks at the readings", above=True),
    number("act_seconds", "from a decision of the ladder to its effect"),
    number("drain_seconds", "between two replicas that leave"),
    number("defer_seconds", "that waiting batch work is put off when the queue is shed"),
    number("acknowledge_seconds", "until a person has looked at what only a person may release"),
)

CEL = "pip install 'data-hall-twin[cel]'"


def site_rule(source: str) -> Expression:
    """A rule of a site that is an expression, in CEL. Raises :class:`~twin.policy.expressions.ExpressionRefused`."""
    try:
        from twin.cel import compiled  # an extra
    except ImportError as error:
        raise ExpressionRefused("rules in CEL need the extra cel, which is not installed", CEL) from error
    return compiled(source)


#: policies without parameters, by name; each maps a seed to a policy. A module is loaded when its policy is asked for
BLIND: dict[str, Callable[[int], Policy]] = {
    **POLICIES,
    "best_fit": lambda seed: twin.policy.best_fit,
    "refuse_all": lambda seed: twin.policy.refuse_all,
}
#: policies with parameters, each made of its whole mapping
DOCUMENTED: dict[str, Callable[[Mapping[str, Any]], Policy]] = {
    "thermal_aware": lambda mapping: twin.policy.thermal_aware(mapping, site_rule),
    "cap_all": lambda mapping: twin.policy.cap_all(mapping),
    "static_thresholds": lambda mapping: twin.policy.static_thresholds(mapping),
}


@dataclass(frozen=True)
class Parts:
    """What :func:`twin.sim.simulate.simulate` takes, and the configuration that it was read from."""

    configuration: Configuration
    hall: Hall
    workload: Workload
    policy: Policy
    scenario: Scenario
    settings: Settings


def read_parts(configuration: Configuration, sources: Mapping[str, str]) -> Parts:
    """Every part of a configuration. ``sources`` are the files that its groups came from, for messages.

    A node list of the workload (``workload.nodes_path``) takes the place of the hall. Raises
    :class:`~twin.setup.refusals.Refused` with the faults of all parts; workload and scenario are looked at once there
    is a hall to hold them against.
    """
    faults: list[str] = []

    def attempt(read: Callable[[], Part]) -> Part | None:
        try:
            return read()
        except REFUSALS as error:
            faults.extend(sentences(error))
            return None

    def read_workload(hall: Hall) -> Workload:
        trays, gpus = trays_of(hall)
        return load_workload(
            configuration.workload,
            trays=trays,
            gpus_per_tray=gpus,
            seconds=configuration.hours * SECONDS_PER_HOUR,
            seed=configuration.seed,
            cache_dir=cache_dir(),
            source=sources.get("workload", "workload"),
        )

    settings = attempt(lambda: settings_of(configuration, sources))
    policy = attempt(lambda: policy_of(configuration.policy, configuration.seed))
    response = attempt(lambda: response_of(configuration.policy))
    rollout = attempt(lambda: rollout_of(configuration.policy))
    mapping = attempt(lambda: hall_mapping(configuration))
    if mapping is not None:
        configuration = replace(configuration, hall=mapping)
    hall = None if mapping is None else attempt(lambda: read_hall(mapping, source=sources.get("hall", "hall")))
    if hall is None:
        raise Refused(faults)
    workload = attempt(lambda: read_workload(hall))
    source = str(configuration.scenario.get("source") or "scenario")
    scenario = attempt(lambda: read_scenario(configuration.scenario, hall, source, hours=configuration.hours))
    if scenario is not None and configuration.operators is not None:
        scenario, wrong = at_the_table(scenario, hall, configuration)
        faults += map(str, wrong)
    if scenario is not None and workload is not None and not faults:
        services = [service.name for service in workload.services]
        faults += map(str, misfits(scenario.planned(), services, rollout, source))
        faults += map(str, misfits_of_flags(scenario.planned(), services, response, source))
    if settings is not None:
        seconds = configuration.hours * SECONDS_PER_HOUR
        attempt(lambda: as_actions(draw_faults(settings.faults, hall, configuration.seed, seconds), hall))
    if faults or workload is None or policy is None or scenario is None or settings is None:
        raise Refused(faults)
    chosen = replace(
        settings,
        response=response,
        rollout=rollout,
        forecaster=getattr(policy, "forecast", None),
        greatest_clock=getattr(policy, "greatest_clock", Settings.greatest_clock),
    )
    return Parts(configuration, hall, workload, policy, scenario, chosen)


def at_the_table(scenario: Scenario, hall: Hall, configuration: Configuration) -> tuple[Scenario, list[Fault]]:
    """The scenario with what a team did in place of what its steps would do, and every fault in that."""
    operators = configuration.operators or {}
    end = configuration.hours * SECONDS_PER_HOUR
    deeds, faults = read_deeds(operators["rows"], scenario.steps, hall, str(operators.get("file") or "operators"), end)
    return replace(scenario, deeds=deeds), faults


def node_list(workload: object) -> Path | None:
    """The node list that a workload builds its hall from, if it has one."""
    path = workload.get("nodes_path") if isinstance(workload, Mapping) else None
    return Path(path) if isinstance(path, str) and path else None


def hall_mapping(configuration: Configuration) -> Mapping[str, Any]:
    """The hall that is asked for: the configuration's, or that of the workload's node list."""
    nodes = node_list(configuration.workload)
    if nodes is None:
        return configuration.hall
    return hall_mapping_from_nodes(nodes, malformed=str(configuration.workload.get("malformed", "skip")))


def policy_of(mapping: Mapping[str, Any], seed: int) -> Policy:
    """The policy that a mapping names: one of :data:`BLIND` or :data:`DOCUMENTED`, or the callable at
    ``_target_`` made with the other keys. Raises Refused."""
    # who records, and how releases are rolled out, is no matter of who places
    mapping = {key: value for key, value in mapping.items() if key not in ("audit", "rollout")}
    if "_target_" in mapping:
        target = mapping["_target_"]
        try:
            made = instantiate(dict(mapping))
        except Exception as error:  # whatever somebody else's code raises is a fault of what they named
            reason = "; ".join(line.strip(": ") for line in str(error.__cause__ or error).splitlines()[:2])
            fault = Fault(SOURCE, "policy._target_", target, reason, "Name a callable as package.module.name")
            raise Refused([str(fault)]) from error
        if not callable(made):
            fault = Fault(SOURCE, "policy._target_", target, "makes no policy", "Name what returns a callable")
            raise Refused([str(fault)])
        return made
    name = mapping.get("name")
    if name in DOCUMENTED:
        try:
            return DOCUMENTED[name](mapping)
        except DocumentError as error:
            raise Refused([str(Fault(SOURCE, f.key, f.value, f.problem, f.remedy)) for f in error.faults]) from error
    if name not in BLIND:
        fault = Fault(SOURCE, "policy.name", name, "unknown policy", did_you_mean(str(name), (*BLIND, *DOCUMENTED)))
        raise Refused([str(fault)])
    odd = [
        Fault(SOURCE, f"policy.{key}", mapping[key], "unknown key", "Leave it out") for key in mapping if key != "name"
    ]
    if odd:
        raise Refused([str(fault) for fault in odd])
    return BLIND[name](seed)


def response_of(mapping: Mapping[str, Any]) -> "ResponseSettings | None":
    """The response ladder of a policy that has one under its key ``ladder``. Raises HallError with every fault."""
    if "ladder" not in mapping:
        return None
    from twin.policy.flag_files import flags_from_mapping
    from twin.policy.ladder_rules import check_flags, rules_from_mapping
    from twin.sim.response import ResponseSettings

    given = mapping.get("response", {})
    faults = Faults(SOURCE)
    if not isinstance(given, Mapping):
        faults.add("policy.response", given, "not a mapping of keys to values", "Write key: value lines")
        faults.stop()
    values = read_fields(
        {key: value for key, value in given.items() if key != "flags"},
        RESPONSE,
        "policy.response",
        faults,
        partial=True,
    )
    faults.stop()
    flags = read_document(document_path(str(given.get("flags", "default")), "flags", ".json"), flags_from_mapping)
    try:
        rules = rules_from_mapping(mapping["ladder"])
        check_flags(rules, flags).stop()
    except DocumentError as error:
        raise HallError(
            Fault(SOURCE, f"policy.ladder.{each.key}", each.value, each.problem, each.remedy) for each in error.faults
        ) from error
    return ResponseSettings(rules, flags, **values)


def trays_of(hall: Hall) -> tuple[int, int]:
    """Trays of the production cell, and their mean GPUs, rounded down."""
    classes = [rack.rack_class for rack in hall.racks if rack.cell == "hall"]
    trays = sum(each.trays for each in classes)
    return trays, sum(each.trays * each.gpus_per_tray for each in classes) // max(1, trays)


def cache_dir() -> Path:
    """Where generated samples of trace formats are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "data-hall-twin"
