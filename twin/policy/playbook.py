"""The playbook of a hard safety limit: what is done, in which order, always. And what contains an event before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from twin.policy.causes import Trigger
from twin.policy.flags import Flags, Kind
from twin.policy.scope import Scope


class Do(StrEnum):
    """What a response asks somebody else to carry out. The words stand in rules documents."""

    ALERT = "alert"
    SET_FLAG = "set_flag"
    CLEAR_FLAG = "clear_flag"
    FREEZE_DEPLOYS = "freeze_deploys"
    DISABLE_EXPERIMENTS = "disable_experiments"
    SHED_QUEUE = "shed_queue"
    SCALE_DOWN = "scale_down"
    PAUSE_ADMISSIONS = "pause_admissions"
    CHECKPOINT = "checkpoint"
    DRAIN = "drain"
    MIGRATE = "migrate"
    SHIFT_LOW_PRIORITY = "shift_low_priority"
    SHUT_DOWN = "shut_down"
    ALLOW_DEPLOYS = "allow_deploys"
    SCALE_UP = "scale_up"
    RESUME_ADMISSIONS = "resume_admissions"
    RETURN_LOW_PRIORITY = "return_low_priority"
    ALLOW_START = "allow_start"


SENTENCES: dict[Do, str] = {
    Do.ALERT: "tell people, with what was measured",
    Do.SET_FLAG: "set a flag",
    Do.CLEAR_FLAG: "clear a flag",
    Do.FREEZE_DEPLOYS: "start no deployment and hold those that run",
    Do.DISABLE_EXPERIMENTS: "switch experimental rollouts off",
    Do.SHED_QUEUE: "turn away or defer what waits with low priority",
    Do.SCALE_DOWN: "scale running work down",
    Do.PAUSE_ADMISSIONS: "let nothing new in",
    Do.CHECKPOINT: "save running training work",
    Do.DRAIN: "let sessions end and route traffic away, gradually",
    Do.MIGRATE: "move work to cooler racks or the backup cluster, where they have headroom",
    Do.SHIFT_LOW_PRIORITY: "shift low-priority work to the backup cluster",
    Do.SHUT_DOWN: "switch off",
    Do.ALLOW_DEPLOYS: "let deployments go on",
    Do.SCALE_UP: "let running work scale up again",
    Do.RESUME_ADMISSIONS: "let new work in again",
    Do.RETURN_LOW_PRIORITY: "let low-priority work come back from the backup cluster",
    Do.ALLOW_START: "allow switching on again",
}


class Because(StrEnum):
    """Why an action is asked for; the sentences are what an audit quotes."""

    CLIMBED = "a signal was past a rung's limit for its dwell"
    HARD_LIMIT = "a signal was past a hard safety limit"
    RELEASED = "a signal was back past a rung's release level for its dwell"
    UNSEEN = "no good reading came for too long"
    SEEN_AGAIN = "good readings come again"
    BUSINESS = "a business rule came to hold"
    BUSINESS_OVER = "a business rule no longer holds"
    PEOPLE = "a person asked for it"


@dataclass(frozen=True)
class Cause:
    """Why, in full: the rule, what was measured against which limit, and a detail in words."""

    because: Because
    rule: str  # ladder and rung, or the name of a business rule
    trigger: Trigger | None = None
    detail: str = ""

    def __str__(self) -> str:
        parts = [f"{self.rule}: {self.because}"]
        parts += [str(self.trigger)] if self.trigger is not None else []
        parts += [self.detail] if self.detail else []
        return "; ".join(parts)


@dataclass(frozen=True)
class Action:
    """One thing to do, for one place. ``flag`` and ``variant`` are blank but for flags."""

    time_seconds: float
    scope: Scope
    do: Do
    reason: Cause
    flag: str = ""
    variant: str = ""


#: freeze deploys, scale down, preserve work, empty, switch off; people are told last, with all of it done
HARD_LIMIT = (Do.FREEZE_DEPLOYS, Do.SCALE_DOWN, Do.CHECKPOINT, Do.DRAIN, Do.SHUT_DOWN, Do.ALERT)

#: what takes pressure away before hardware throttles
CONTAINMENT = (Do.FREEZE_DEPLOYS, Do.DISABLE_EXPERIMENTS, Do.SHED_QUEUE)


def playbook(scope: Scope, reason: Cause, time_seconds: float) -> tuple[Action, ...]:
    """What a hard limit in a place asks for, in the order in which it is to be done. The alert carries the context."""
    alert = Cause(reason.because, reason.rule, reason.trigger, _told(scope, reason))
    return tuple(Action(time_seconds, scope, do, alert if do is Do.ALERT else reason) for do in HARD_LIMIT)


def containment(
    scope: Scope, reason: Cause, time_seconds: float, experiments: Iterable[tuple[str, str]] = ()
) -> tuple[Action, ...]:
    """What contains an event: no deploys, experimental rollouts off one by one in name order, less queue.

    ``experiments`` are flags with the variant that switches each off, as :func:`experiments_of` finds them.
    """
    found = []
    for do in CONTAINMENT:
        found.append(Action(time_seconds, scope, do, reason))
        if do is Do.DISABLE_EXPERIMENTS:
            found += [
                Action(time_seconds, scope, Do.SET_FLAG, reason, flag, off) for flag, off in sorted(set(experiments))
            ]
    return tuple(found)


def experiments_of(flags: Flags) -> tuple[tuple[str, str], ...]:
    """Experimental rollout flags in name order, each with its default variant, which is the safe side."""
    return tuple(
        (key, flag.default)
        for key, flag in sorted(flags.flags.items())
        if flag.kind == Kind.ROLLOUT and flag.experimental and flag.enabled
    )


def _told(scope: Scope, reason: Cause) -> str:
    done = ", ".join(SENTENCES[do] for do in HARD_LIMIT[:-1])
    measured = f"{reason.trigger}. " if reason.trigger is not None else ""
    return f"hard limit on {scope}: {measured}Asked for, in this order: {done}."
