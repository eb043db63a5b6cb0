"""What a rehearsed team is asked to do: steps by role, each with what calls for it and by when it has to be done.

A step is an action with four keys of its own::

    - step: stop the pipeline          # its name
      role: on_call
      do: respond
      what: freeze_deploys
      notice: alert in loop 01         # what the role sees; what the deadline counts from, if not said
      within: 3 min of pump_loss       # or due: 00:20:00
      reaction: 90 s                   # from the notice to the deed; the role's under ``reactions``, if not said

A time counts from an action of the story, an earlier step by its name, a clock time or the first such event of the run.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from twin.hall.errors import did_you_mean
from twin.hall.parts import Hall
from twin.policy.causes import Role
from twin.policy.playbook import Do
from twin.results.kinds import EventKind
from twin.sim.actions import ACTIONS, PEOPLE, SETS, Action
from twin.sim.expectations import KINDS, Clause, read_clause
from twin.sim.written import Unfit, clock_of, seconds_of
from twin.workload.streams import stream

OWN_KEYS = ("step", "role", "notice", "within", "due", "reaction")
REACTION_KEYS = ("median", "spread")
_HANDS = (Role.FACILITIES, Role.OPERATOR)
_DESK = (Role.OPERATOR, Role.ON_CALL, Role.PLATFORM)
EVERYBODY = tuple(role for role in Role if role is not Role.POLICY)
#: what people may do in a rehearsal, and in which roles; of flags their file says more, when the run is under way
MAY: dict[str, tuple[Role, ...]] = {
    "repair": _HANDS,
    "breaker_close": _HANDS,
    "breaker_open": _HANDS,
    "supply_setpoint": _HANDS,
    "valve": _HANDS,
    "set_flag": EVERYBODY,
    "clear_flag": EVERYBODY,
    "maintenance": EVERYBODY,
    "evacuate": EVERYBODY,
    "respond": (*_DESK, Role.RELEASE),
    "restart_jobs": _DESK,
    "submit_job": _DESK,
    "roll_out": (Role.RELEASE,),
}
#: of what is done by hand, all that a release engineer may
OF_RELEASES = (Do.FREEZE_DEPLOYS, Do.ALLOW_DEPLOYS)
#: a step's event has this kind, with the role, a colon and what is done in its detail
STEP = EventKind.OPERATOR_STEP


@dataclass(frozen=True)
class What:
    """Something that a time counts from: a time of the clock, an action or a step by name, or an event."""

    text: str
    at_seconds: float | None = None
    action: str = ""
    step: str = ""
    clause: Clause | None = None

    def meets(self, kind: str, level: str, name: str, detail: str) -> bool:
        """Whether an event is it."""
        if self.action:
            return kind == EventKind.SCENARIO_ACTION and detail in (self.action, f"surprise: {self.action}")
        if self.step:
            return kind == STEP and detail.partition(": ")[2] == self.step
        return self.clause is not None and self.clause.meets(kind, level, name, detail)


@dataclass(frozen=True)
class Reaction:
    """Time from a notice to the deed: always the median, or log-normal about it."""

    median_seconds: float
    spread: float = 1.0  # geometric standard deviation

    def draw(self, seed: int, role: Role, step: str) -> float:
        """Seconds [s], from a stream that is named by role and step."""
        if self.spread == 1.0:
            return self.median_seconds
        normal = stream(seed, "reaction", role, step).standard_normal()
        return self.median_seconds * self.spread**normal


@dataclass(frozen=True)
class Step:
    """One thing that somebody is asked to do, in the role ``role``, ``within_seconds`` after ``since``."""

    name: str
    role: Role
    actions: tuple[Action, ...]  # one, or one for each utility of a feed; their times say nothing
    notice: What
    since: What
    within_seconds: float
    reaction: Reaction
    entry: Mapping[str, Any]  # the action as it was written

    @property
    def does(self) -> str:
        """What is done, in words: ``respond freeze_deploys``."""
        return does(self.actions[0])


@dataclass(frozen=True)
class Deed:
    """What somebody did at the table, and when. ``step`` is the step of the script that it is, None for none."""

    at_seconds: float
    role: Role
    name: str
    actions: tuple[Action, ...]
    step: int | None


@dataclass(frozen=True)
class Surprise:
    """An action that the team is not told of; ``at_seconds`` of it is the earliest time, and it may not come at all."""

    action: Action
    latest_seconds: float
    chance: float


def does(action: Action) -> str:
    """An action in words: ``respond freeze_deploys``, ``set_flag maintenance = empty``."""
    values = action.values
    if action.do == "respond":
        return f"respond {values['what']}"
    if action.do in ("set_flag", "clear_flag"):
        return f"{action.do} {values['flag']}" + (f" = {values['variant']}" if action.do == "set_flag" else "")
    return action.do


def same_deed(one: Iterable[Action], other: Iterable[Action]) -> bool:
    """Whether two lists of actions do the same to the same places, whoever does it and why."""

    def deed(action: Action) -> tuple[Any, ...]:
        kept = {key: value for key, value in action.values.items() if key not in ("role", "by", "reason")}
        return action.do, action.target_kind, action.target, kept

    return list(map(deed, one)) == list(map(deed, other))


def draw_surprises(surprises: Iterable[Surprise], seed: int) -> tuple[Action, ...]:
    """The surprises that come, each at its time, from a stream of its own."""
    found = []
    for index, each in enumerate(surprises):
        random = stream(seed, "surprise", str(index), each.action.do)
        luck, place = random.random(), random.random()  # always both, so that a changed chance moves no time
        at = each.action.at_seconds + place * (each.latest_seconds - each.action.at_seconds)
        if luck < each.chance:
            found.append(replace(each.action, at_seconds=round(at, 3)))
    return tuple(found)


# ---------------------------------------------------------------- reading


class EntryReader(Protocol):
    """What reads the actions of a story, and collects faults: the ``Reader`` of :mod:`twin.sim.scenario`."""

    hall: Hall

    def add(self, key: str, value: Any, problem: str, remedy: str) -> None: ...

    def entry(self, entry: Any, key: str, end: float | None) -> list[Action]: ...


def read_reactions(written: Any, reader: EntryReader) -> dict[Role, Reaction]:
    """Reaction times by role: a time, or ``{median: 2 min, spread: 1.5}``."""
    found: dict[Role, Reaction] = {}
    if written is None:
        return found
    if not isinstance(written, Mapping):
        reader.add("reactions", written, "not a mapping", "Write lines such as 'facilities: 4 min'")
        return found
    for role, value in written.items():
        if role not in PEOPLE:
            reader.add(f"reactions.{role}", value, "unknown role", did_you_mean(str(role), PEOPLE))
            continue
        reaction = _attempt(reader, f"reactions.{role}", value, _reaction)
        if reaction is not None:
            found[Role(role)] = reaction
    return found


def read_steps(
    written: list[Any],
    timeline: tuple[Action, ...],
    reactions: Mapping[Role, Reaction],
    reader: EntryReader,
    end: float | None,
) -> tuple[Step, ...]:
    """The steps of a script. ``timeline`` has the surprises in it; faults go to ``reader``."""
    steps: list[Step] = []
    for index, entry in enumerate(written):
        key = f"operators[{index}]"
        if not isinstance(entry, Mapping):
            reader.add(key, entry, "not a step", "Write 'role:', 'do:', what the action needs, and 'within:'")
            continue
        step = _step(entry, key, timeline, steps, reactions, reader, end)
        if step is not None:
            steps.append(step)
    return tuple(steps)


def _step(
    entry: Mapping[str, Any],
    key: str,
    timeline: tuple[Action, ...],
    earlier: list[Step],
    reactions: Mapping[Role, Reaction],
    reader: EntryReader,
    end: float | None,
) -> Step | None:
    role = entry.get("role")
    if role not in PEOPLE:
        reader.add(f"{key}.role", role, "no role" if role is None else "unknown role", did_you_mean(str(role), PEOPLE))
        return None
    for word in ("at", "repair"):
        if word in entry:
            remedy = "Write 'notice:' and 'within:'" if word == "at" else "Write the way back as a step of its own"
            reader.add(f"{key}.{word}", entry[word], "a step has none", remedy)
    name = str(entry.get("step") or entry.get("do") or "")
    if any(each.name == name for each in earlier):
        reader.add(f"{key}.step", name, "another step has this name", "Give each its own with 'step:'")
    inner = action_entry(entry, str(role), name)
    actions = tuple(reader.entry(inner, key, None))
    if not actions:
        return None
    wrong = may_not(Role(role), actions[0])
    if wrong:
        reader.add(f"{key}.role", role, *wrong)
    broken = [each for each in timeline if ACTIONS[each.do].repairable and each.do not in SETS]
    places = {(each.target_kind, each.target) for each in broken}
    for each in actions:
        if each.do == "repair" and (each.target_kind, each.target) not in places:
            reader.add(f"{key}.do", "repair", f"nothing happens to {each.target or 'the hall'} in the story",
                       "Name the target of an action of the timeline")  # fmt: skip

    def what(word: str, value: Any) -> What | None:
        return _attempt(
            reader, f"{key}.{word}", value, lambda written: read_what(written, reader.hall, timeline, earlier)
        )

    since, within = _deadline(entry, key, reader, what, end)
    notice = what("notice", entry["notice"]) if "notice" in entry else since
    if "notice" not in entry and "due" in entry:
        reader.add(key, dict(entry), "nothing calls for it", "Write 'notice:' with an event, or 'within:' for 'due:'")
    reaction = reactions.get(Role(role))
    if "reaction" in entry:
        reaction = _attempt(reader, f"{key}.reaction", entry["reaction"], _reaction)
    elif reaction is None:
        remedy = f"Write 'reaction:' here, or '{role}: 2 min' under 'reactions:'"
        reader.add(f"{key}.reaction", None, "no reaction time", remedy)
    if notice is None or since is None or within is None or reaction is None:
        return None
    return Step(name, Role(role), actions, notice, since, within, reaction, inner)


def action_entry(entry: Mapping[str, Any], role: str, name: str) -> dict[str, Any]:
    """The action of a step, as a timeline has it: in this role, for the reason that the step's name gives."""
    inner: dict[str, Any] = {
        "at": 0,
        **{key: value for key, value in entry.items() if key not in (*OWN_KEYS, "repair")},
    }
    inner["at"] = 0
    spec = ACTIONS.get(str(entry.get("do")))
    fields = {field.name for field in spec.fields} if spec is not None else set()
    # what pins a job goes with a rack to pin it to
    if fields >= {"role", "by", "reason"} and (entry.get("do") != "submit_job" or "rack" in entry):
        inner = {"by": "team", "reason": name, **inner, "role": role}
    return inner


def may_not(role: Role, action: Action) -> tuple[str, str] | None:
    """Why a role may not do something, and the remedy; None where it may."""
    if action.do not in MAY:
        return f"{action.do} is nothing that people do", f"Choose from {', '.join(MAY)}"
    allowed = MAY[action.do]
    if role not in allowed:
        return f"{role} may not do {action.do}", f"Let it be done by {' or '.join(allowed)}"
    if role is Role.RELEASE and action.do == "respond" and action.values["what"] not in OF_RELEASES:
        return f"release may only {' or '.join(OF_RELEASES)}", f"Let it be done by {' or '.join(_DESK)}"
    return None


def _deadline(
    entry: Mapping[str, Any],
    key: str,
    reader: EntryReader,
    what: Callable[[str, Any], What | None],
    end: float | None,
) -> tuple[What | None, float | None]:
    """What a step's time counts from, and how long it is."""
    if ("within" in entry) == ("due" in entry):
        problem = "two deadlines" if "due" in entry else "no deadline"
        reader.add(key, dict(entry), problem, "Write 'within: 5 min of pump_loss' or 'due: 00:20:00'")
        return None, None
    if "due" in entry:
        due = _attempt(reader, f"{key}.due", entry["due"], seconds_of)
        if due is not None and end is not None and due > end:
            reader.add(
                f"{key}.due", entry["due"], f"past the end of the run at {clock_of(end)}", "Give an earlier time"
            )
        return What("start", 0.0), due
    parts = re.fullmatch(r"(.+?) of (.+)", str(entry["within"]).strip())
    if parts is None:
        reader.add(f"{key}.within", entry["within"], "not a time of something", "Write such as '5 min of pump_loss'")
        return None, None
    within = _attempt(reader, f"{key}.within", parts[1], seconds_of)
    return what("within", parts[2]), within


def read_what(written: Any, hall: Hall, timeline: tuple[Action, ...], earlier: Iterable[Step]) -> What:
    """What a time counts from. Raises :class:`Unfit`."""
    text = " ".join(str(written).split())
    word = text.replace(" ", "_")
    if text == "start":
        return What(text, 0.0)
    for step in earlier:
        if step.name == text:
            return What(text, step=text)
    if any(action.do == word for action in timeline):
        return What(text, action=word)
    try:
        return What(text, seconds_of(written))
    except Unfit:
        pass
    try:
        return What(text, clause=read_clause(text, hall))
    except Unfit as unfit:
        if not unfit.problem.startswith("unknown event"):
            raise
        known = [*dict.fromkeys(each.do for each in timeline), *(step.name for step in earlier), *sorted(KINDS)]
        problem = f"'{text}' is no action of the story, no earlier step and no kind of event"
        raise Unfit(problem, did_you_mean(text, known)) from None


def read_surprise(entry: Any, key: str, reader: EntryReader, end: float | None) -> Surprise | None:
    """A surprise: an entry of a timeline, with ``between: [00:05:00, 00:09:00]`` for ``at`` and ``chance``."""
    if not isinstance(entry, Mapping):
        reader.add(key, entry, "not an action", "Write 'at:' or 'between:', 'do:' and what the action needs")
        return None
    inner = {name: value for name, value in entry.items() if name not in ("between", "chance")}
    span: list[float] = []
    if "between" in entry:
        times = entry["between"]
        if "at" in entry or not isinstance(times, list | tuple) or len(times) != 2:
            reader.add(f"{key}.between", times, "not two times in place of 'at'", "Write [00:05:00, 00:09:00]")
            return None
        read = [_attempt(reader, f"{key}.between", time, seconds_of) for time in times]
        span = [time for time in read if time is not None]
        if len(span) < 2:
            return None
        if span[1] < span[0] or (end is not None and span[1] > end):
            reader.add(f"{key}.between", times, "no span of time within the run", "Give the earlier time first")
        inner["at"] = span[0]
    chance = entry.get("chance", 1.0)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0.0 < chance <= 1.0:
        reader.add(f"{key}.chance", chance, "not a chance", "Give a share above 0, up to 1")
        chance = 1.0
    actions = reader.entry(inner, key, end)
    if len(actions) > 1:
        reader.add(f"{key}.feed", entry.get("feed"), "more than one utility", "Name one of its nodes with 'node:'")
    if not actions:
        return None
    action = replace(actions[0], surprise=True)
    return Surprise(action, span[1] if span else action.at_seconds, float(chance))


def _reaction(written: Any) -> Reaction:
    if not isinstance(written, Mapping):
        return Reaction(seconds_of(written))
    for key in written:
        if key not in REACTION_KEYS:
            raise Unfit(f"unknown key '{key}'", did_you_mean(str(key), REACTION_KEYS))
    if "median" not in written:
        raise Unfit("no median", "Write {median: 2 min, spread: 1.5}")
    spread = written.get("spread", 1.0)
    if isinstance(spread, bool) or not isinstance(spread, int | float) or not 1.0 <= spread < math.inf:
        raise Unfit("not a spread", "Give a factor of 1 or more, such as 1.5")
    return Reaction(seconds_of(written["median"]), float(spread))


def _attempt(reader: EntryReader, key: str, value: Any, read: Callable[[Any], Any]) -> Any:
    """What is read, or None with a fault told."""
    try:
        return read(value)
    except Unfit as unfit:
        reader.add(key, value, unfit.problem, unfit.remedy)
        return None
