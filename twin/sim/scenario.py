"""A story: what happens to the hall and when, and what is expected of it. Read and refused before the clock starts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twin.hall.errors import Fault, did_you_mean
from twin.hall.parts import Hall, NodeKind
from twin.sim.action_checks import targets_of
from twin.sim.actions import ACTIONS, SETS, Action, ActionSpec
from twin.sim.expectations import Expectation, read_expectation
from twin.sim.operators import Deed, Step, Surprise, read_reactions, read_steps, read_surprise
from twin.sim.written import Unfit, clock_of, duration, seconds_of
from twin.units import SECONDS_PER_HOUR

#: keys of a scenario. ``choose`` and ``settings`` say which run the story is told on; ``short`` is a brief form of it
KEYS = (
    "name", "purpose", "moral", "hours", "timeline", "surprises", "reactions", "operators", "expectations", "choose",
    "settings", "short", "source",
)  # fmt: skip
TARGET_KEYS = ("loop", "feed", "node", "breaker", "rack", "row", "zone", "service")
#: what the short form may replace: everything but who the story is
SHORT_KEYS = ("hours", "timeline", "surprises", "reactions", "operators", "expectations", "choose", "settings")


class ScenarioError(ValueError):
    """A scenario is refused. ``faults`` holds all of them; the message lists them one per line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = f"The scenario is refused: {count} {'fault' if count == 1 else 'faults'}."
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


@dataclass(frozen=True)
class Scenario:
    """A story. The timeline is sorted by time, and in file order within one time."""

    name: str
    purpose: str
    moral: str
    timeline: tuple[Action, ...]
    expectations: tuple[Expectation, ...]
    hours: float | None = None  # length of the run it is told on; None for any
    surprises: tuple[Surprise, ...] = ()
    steps: tuple[Step, ...] = ()  # of the operators, when it is a script to rehearse
    deeds: tuple[Deed, ...] | None = None  # what the team did at the table, in place of what the steps would do

    @property
    def is_rehearsal(self) -> bool:
        """Whether people have something to do in it."""
        return bool(self.steps) or self.deeds is not None

    def planned(self) -> tuple[Action, ...]:
        """Every action that may come: of the timeline, of surprises, and of people."""
        people: Iterable[Step | Deed] = self.steps if self.deeds is None else self.deeds
        return (
            *self.timeline,
            *(each.action for each in self.surprises),
            *(action for each in people for action in each.actions),
        )


#: a day on which nothing is done to the hall and nothing is asked of it
QUIET = Scenario("none", "Nothing happens but the work.", "", (), ())


def short_form(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario with what is under its key ``short`` in place of the same keys; ``settings`` merge by key.

    Raises KeyError when it has no short form.
    """
    short = mapping["short"]
    full = {key: value for key, value in mapping.items() if key != "short"}
    for key in ("choose", "settings"):
        if key in full and key in short:
            short = {**short, key: {**full[key], **short[key]}}
    return {**full, **short}


def read_scenario(mapping: Mapping[str, Any], hall: Hall, source: str, *, hours: float | None = None) -> Scenario:
    """The scenario of a plain mapping, checked against a hall.

    ``source`` is the file that messages name. ``hours`` [h] is the length of the run, by default the scenario's own;
    an action after it is a fault. Raises :class:`ScenarioError` with every fault.
    """
    reader = Reader(hall, source)
    return reader.scenario(mapping, hours)


def read_timeline(entries: Iterable[Mapping[str, Any]], hall: Hall, source: str) -> tuple[Action, ...]:
    """Actions of a timeline alone, checked against a hall. Raises :class:`ScenarioError` with every fault."""
    reader = Reader(hall, source)
    timeline = reader.timeline(list(entries), None)
    if reader.faults:
        raise ScenarioError(reader.faults)
    return timeline


class Reader:
    """Reads the entries of a scenario, and collects faults."""

    def __init__(self, hall: Hall, source: str) -> None:
        self.hall = hall
        self.source = source
        self.faults: list[Fault] = []

    def add(self, key: str, value: Any, problem: str, remedy: str) -> None:
        self.faults.append(Fault(self.source, key, value, problem, remedy))

    def scenario(self, mapping: Mapping[str, Any], hours: float | None) -> Scenario:
        for key in mapping:
            if key not in KEYS:
                self.add(str(key), mapping[key], "unknown key", did_you_mean(str(key), KEYS))
        own = self.hours(mapping.get("hours"))
        end = own if hours is None else hours
        texts = {key: self.text(mapping, key, needed=key != "moral") for key in ("name", "purpose", "moral")}
        until = None if end is None else end * SECONDS_PER_HOUR
        timeline = self.timeline(mapping.get("timeline"), until)
        surprises = tuple(
            each
            for index, entry in enumerate(self.listed(mapping.get("surprises"), "surprises"))
            if (each := read_surprise(entry, f"surprises[{index}]", self, until)) is not None
        )
        known = (*timeline, *(each.action for each in surprises))
        reactions = read_reactions(mapping.get("reactions"), self)
        steps = read_steps(self.listed(mapping.get("operators"), "operators"), known, reactions, self, until)
        expectations = self.expectations(mapping.get("expectations"), timeline)
        if self.faults:
            raise ScenarioError(self.faults)
        return Scenario(texts["name"], texts["purpose"], texts["moral"], timeline, expectations, own, surprises, steps)

    def hours(self, written: Any) -> float | None:
        if written is None:
            return None
        if isinstance(written, bool) or not isinstance(written, int | float) or not 0 < written < float("inf"):
            self.add("hours", written, "not a length of time", "Give a number of hours above 0")
            return None
        return float(written)

    def text(self, mapping: Mapping[str, Any], key: str, *, needed: bool) -> str:
        written = mapping.get(key)
        if written is None and not needed:
            return ""
        if not isinstance(written, str) or not written.strip():
            self.add(key, written, "no text", f"Write a sentence under {key}")
            return ""
        return " ".join(written.split())

    def listed(self, written: Any, key: str) -> list[Any]:
        if written is None:
            return []
        if not isinstance(written, list | tuple):
            self.add(key, written, "not a list", "Start every entry with '- '")
            return []
        return list(written)

    def timeline(self, written: Any, end: float | None) -> tuple[Action, ...]:
        actions: list[Action] = []
        for index, entry in enumerate(self.listed(written, "timeline")):
            actions += self.entry(entry, f"timeline[{index}]", end)
        actions.sort(key=lambda action: action.at_seconds)
        self.repairs(actions)
        return tuple(actions)

    def entry(self, entry: Any, key: str, end: float | None) -> list[Action]:
        if not isinstance(entry, Mapping):
            self.add(key, entry, "not an action", "Write 'at:', 'do:' and what the action needs")
            return []
        at = self.time(entry, key, end)
        spec = self.spec(entry, key)
        if spec is None:
            return []
        before = len(self.faults)
        kind, target = self.target(entry, spec, key)
        values = self.values(entry, spec, key)
        repair = self.repair(entry, spec, key)
        if len(self.faults) == before and spec.check is not None:
            for misfit in spec.check(self.hall, target, values):
                self.add(f"{key}.{misfit.key}", misfit.value, misfit.problem, misfit.remedy)
        # a feed's utilities and a breaker are nodes; a repair may name them either way
        kept = "node" if kind in ("feed", "breaker") else kind
        return [Action(at, spec.name, name, values, repair, kept) for name in self.nodes(kind, target)]

    def nodes(self, kind: str | None, target: str | None) -> list[str | None]:
        """A feed stands for its utility nodes; everything else for itself."""
        if kind != "feed":
            return [target]
        return [n.name for n in self.hall.nodes if n.kind is NodeKind.UTILITY and n.feed == target]

    def time(self, entry: Mapping[str, Any], key: str, end: float | None) -> float:
        try:
            if "at" not in entry:
                raise Unfit("no time", "Write 'at:' with a time such as '00:10:00' or '90 s'")
            at = seconds_of(entry["at"])
            if end is not None and at > end:
                raise Unfit(
                    f"past the end of the run at {clock_of(end)}", f"Give an earlier time, or hours={at / 3600:.3g}"
                )
        except Unfit as unfit:
            self.add(f"{key}.at", entry.get("at"), unfit.problem, unfit.remedy)
            return 0.0
        return at

    def spec(self, entry: Mapping[str, Any], key: str) -> ActionSpec | None:
        word = entry.get("do")
        if isinstance(word, str) and word in ACTIONS:
            return ACTIONS[word]
        problem = "no action" if word is None else "unknown action"
        self.add(f"{key}.do", word, problem, did_you_mean(str(word), ACTIONS))
        return None

    def target(self, entry: Mapping[str, Any], spec: ActionSpec, key: str) -> tuple[str | None, str | None]:
        """Kind and name of what the action is done to; a ``rack`` that is a field of the action is not its target."""
        fields = {field.name for field in spec.fields}
        given = [name for name in TARGET_KEYS if name in entry and name not in fields]
        allowed = [name for name in given if name in spec.targets]
        choices = " or ".join(f"'{name}:'" for name in spec.targets)
        if len(given) > len(allowed):
            wrong = next(name for name in given if name not in spec.targets)
            remedy = f"Use {choices}" if spec.targets else "Leave it out"
            self.add(f"{key}.{wrong}", entry[wrong], f"{spec.name} takes no {wrong}", remedy)
        elif len(allowed) > 1:
            self.add(f"{key}.{allowed[1]}", entry[allowed[1]], "more than one target", f"Keep one of {choices}")
        elif not allowed:
            if spec.targets and not spec.whole_hall:
                self.add(key, dict(entry), f"{spec.name} has no target", f"Name one with {choices}")
        else:
            kind, name = allowed[0], entry[allowed[0]]
            if kind == "service":  # the workload has it or not: told once that is read
                return kind, str(name)
            known = targets_of(self.hall, kind)
            if name in known:
                return kind, str(name)
            self.add(f"{key}.{kind}", name, f"unknown {kind}", did_you_mean(str(name), known))
        return None, None

    def values(self, entry: Mapping[str, Any], spec: ActionSpec, key: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field in spec.fields:
            if field.name not in entry:
                values[field.name] = field.default
                if field.required:
                    self.add(f"{key}.{field.name}", None, f"{spec.name} needs it", f"Give the {field.sentence}")
                continue
            try:
                values[field.name] = field.read(entry[field.name])
            except Unfit as unfit:
                self.add(f"{key}.{field.name}", entry[field.name], unfit.problem, unfit.remedy)
        known = {"at", "do", "repair", *TARGET_KEYS, *values, *(field.name for field in spec.fields)}
        for name in entry:
            if name not in known:
                keys = ["at", "do", *spec.targets, *(field.name for field in spec.fields)]
                keys += ["repair"] if spec.repairable else []
                self.add(f"{key}.{name}", entry[name], f"unknown key of {spec.name}", did_you_mean(str(name), keys))
        return values

    def repair(self, entry: Mapping[str, Any], spec: ActionSpec, key: str) -> float | None:
        written = entry.get("repair")
        if written is None:
            return None
        if not spec.repairable:
            self.add(f"{key}.repair", written, f"{spec.name} is not a thing to repair", "Leave it out")
            return None
        try:
            return duration(written)
        except Unfit as unfit:
            self.add(f"{key}.repair", written, unfit.problem, unfit.remedy)
            return None

    def repairs(self, actions: list[Action]) -> None:
        """A repair needs something that went wrong before it."""
        broken: set[tuple[str | None, str | None]] = set()
        for action in actions:
            place = (action.target_kind, action.target)
            if action.do == "repair" and place not in broken:
                self.add(
                    "timeline.do",
                    "repair",
                    f"nothing happened to {action.target or 'the hall'} before {clock_of(action.at_seconds)}",
                    "Name the target of an earlier action",
                )
            if ACTIONS[action.do].repairable and action.do not in SETS:
                broken.add(place)

    def expectations(self, written: Any, timeline: tuple[Action, ...]) -> tuple[Expectation, ...]:
        found: list[Expectation] = []
        for index, entry in enumerate(self.listed(written, "expectations")):
            try:
                found.append(read_expectation(entry, self.hall, timeline))
            except Unfit as unfit:
                self.add(f"expectations[{index}]", entry, unfit.problem, unfit.remedy)
        return tuple(found)
