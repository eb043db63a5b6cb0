"""The rollout pipeline of a policy, read at the door from its key ``rollout``."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twin.hall.errors import Fault, Faults, HallError
from twin.hall.fields import count, number, read_fields, share
from twin.policy.canary import CanaryRule
from twin.policy.documents import DocumentError, DocumentFaults
from twin.policy.headroom import read_permitted
from twin.policy.rollout import Plan
from twin.policy.score import Formula, read_formula
from twin.policy.trial import Design
from twin.setup.configuration import SOURCE
from twin.setup.documents import document_path, read_document
from twin.sim.action_checks import HISTORY_SECONDS
from twin.sim.releases import METERS, RolloutSettings

Made = TypeVar("Made")

AT = "policy.rollout"
PARTS = ("plan", "judge", "canary", "permitted")
TIMES = (
    number("period_seconds", "between two decisions", above=True),
    number("window_seconds", "of readings before and after; sensors keep 15 minutes", above=True, high=HISTORY_SECONDS),
    number("signal_seconds", "over which signals are taken", above=True),
    count("looks", "of the judge during the canary's soak", low=1),
    number("test_seconds", "of each staging test", above=True),
    number("take_back_seconds", "between two racks that go back"),
    share("most_busy", "that full rollout may take a service, of its replicas' time", above=True),
    share("most_at_once", "of the racks to reach, that restart together", above=True),
)


def rollout_of(policy: Mapping[str, Any]) -> RolloutSettings | None:
    """The pipeline of a policy that has one. Its scores are by the policy's own formula, else by the shipped one.

    Raises :class:`~twin.hall.errors.HallError` with every fault.
    """
    if "rollout" not in policy:
        return None
    given = policy["rollout"]
    faults = Faults(SOURCE)
    if not isinstance(given, Mapping):
        faults.add(AT, given, "not a mapping of keys to values", "Choose one by name, such as policy/rollout=default")
        faults.stop()
    rest = {key: value for key, value in given.items() if key not in PARTS}
    times = read_fields(rest, TIMES, AT, faults, partial=True)
    plan = _made(given, "plan", Plan.from_mapping, faults)
    judged = given.get("judge") is not None
    design = _made(given, "judge", Design.from_mapping, faults) if judged else None
    canary = _made(given, "canary", _canary, faults)
    if plan is not None and not judged and any(stage.judged for stage in plan.stages):
        faults.add(f"{AT}.judge", None, "nobody judges, and a stage is judged", "Add judge, or leave out judged")
    for metric in () if design is None else design.metrics:
        if metric.name not in METERS:
            faults.unknown(f"{AT}.judge.metrics", metric.name, "metric", METERS)
    refused = judged and design is None  # and told already
    if plan is not None and "temperature_rise" in plan.limits and not (refused or _reads(design, "temperature")):
        faults.add(f"{AT}.judge.metrics", None, "temperature_rise needs the metric temperature", "Add that metric")
    if design is not None and not _reads(design, "power"):
        faults.add(f"{AT}.judge.metrics", None, "full rollout is projected from the metric power", "Add that metric")
    notes = DocumentFaults()
    permitted = read_permitted(given.get("permitted", {}), f"{AT}.permitted", notes)
    for note in notes:
        faults.add(note.key, note.value, note.problem, note.remedy)
    formula = _formula(policy)
    faults.stop()
    assert plan is not None and canary is not None
    fixed = given["canary"].get("strategy") is not None
    return RolloutSettings(plan, canary, formula, design, permitted, strategy_fixed=fixed, **times)


def _canary(mapping: Mapping[str, Any]) -> CanaryRule:
    """How canaries are chosen; a strategy of null is the default one."""
    return CanaryRule.from_mapping({key: value for key, value in mapping.items() if (key, value) != ("strategy", None)})


def _reads(design: Design | None, metric: str) -> bool:
    return design is not None and any(each.name == metric for each in design.metrics)


def _made(given: Mapping[str, Any], key: str, make: Callable[[Mapping[str, Any]], Made], faults: Faults) -> Made | None:
    """A part of the pipeline, or None and a fault for each line of what its maker says."""
    value = given.get(key)
    if not isinstance(value, Mapping):
        problem = "missing" if key not in given else "not a mapping of keys to values"
        faults.add(f"{AT}.{key}", value, problem, "Write key: value lines, as conf/policy/rollout/default.yaml does")
        return None
    try:
        return make(value)
    except DocumentError as refused:
        for note in refused.faults:
            inside = note.key.partition(".")[2]  # after what the part calls itself
            at = f"{AT}.{key}.{inside}" if inside else f"{AT}.{key}"
            faults.add(at, note.value, note.problem, note.remedy)
        return None
    except (ValueError, TypeError) as error:
        told = [line.strip() for line in str(error).splitlines()]
        for line in told[1:] if len(told) > 1 and told[0].endswith("refused.") else told:
            faults.add(f"{AT}.{key}", "…", line, "Correct it there")
        return None


def _formula(policy: Mapping[str, Any]) -> Formula:
    def make(mapping: Any) -> Formula:
        notes = DocumentFaults()
        found = read_formula(mapping, "policy.score", notes)
        notes.stop()
        return found

    if "score" in policy:
        notes = DocumentFaults()
        found = read_formula(policy["score"], "policy.score", notes)
        if notes:  # the policy itself tells of them, where it goes by scores
            raise HallError(Fault(SOURCE, n.key, n.value, n.problem, n.remedy) for n in notes)
        return found
    return read_document(document_path("default", "score", ".yaml"), make)
