"""What people do in a story: flags they set and take back, places they empty, work they start again.

Each says in which role it is done, by whom and why. Who may set a flag stands in the flag's file: who may not is
refused in the run, as an event and in the audit, and the story goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from twin.hall.errors import Fault, did_you_mean
from twin.policy.causes import Author, Role
from twin.policy.playbook import Do
from twin.policy.scope import Level, Scope
from twin.sim.actions import SETS, Action
from twin.sim.effects import Effect, Hands, Steps, Undo
from twin.sim.rack_faults import trays_of
from twin.sim.runner import JobRun

if TYPE_CHECKING:
    from twin.sim.response import Response, ResponseSettings  # with all of the ladder, which few runs have

FLAGGED = (*SETS, "clear_flag")
NEEDING_RESPONSE = (*FLAGGED, "respond")


def misfits_of_flags(
    timeline: Sequence[Action], services: Collection[str], response: ResponseSettings | None, source: str
) -> list[Fault]:
    """What of a timeline's flags a run does not have: flags at all, this one, this variant, or the service."""
    found: list[Fault] = []
    for action in timeline:
        if action.do not in NEEDING_RESPONSE:
            continue
        if response is None:
            remedy = "Choose a policy with a response ladder, such as policy=thermal_aware"
            found.append(Fault(source, "timeline.do", action.do, "the policy has no flags and no ladder", remedy))
        elif action.do in FLAGGED:
            flags, flag, variant = response.flags.flags, action.values["flag"], action.values.get("variant")
            if flag not in flags:
                found.append(Fault(source, "timeline.flag", flag, "there is no such flag", did_you_mean(flag, flags)))
            elif variant is not None and variant not in flags[flag].variants:
                remedy = did_you_mean(variant, flags[flag].variants)
                found.append(Fault(source, "timeline.variant", variant, f"{flag} has no such variant", remedy))
        if action.target_kind == "service" and action.target not in services:
            remedy = did_you_mean(str(action.target), services) if services else "Choose a workload with services"
            found.append(Fault(source, "timeline.service", action.target, "the workload has no such service", remedy))
    return found


def author_of(action: Action) -> Author:
    """Who does it."""
    return Author(Role(action.values["role"]), action.values["by"])


def scope_of(action: Action) -> Scope:
    """Where it is done."""
    return Scope(Level.HALL, "hall") if action.target is None else Scope(Level(str(action.target_kind)), action.target)


def _response(hands: Hands) -> Response:
    assert hands.response is not None, "refused before the clock started: misfits_of_flags"
    return hands.response


def set_flag(hands: Hands, action: Action, event: int) -> Undo:
    """A person sets a flag, which takes effect as soon as software has taken it in."""
    response, values, scope, by = _response(hands), action.values, scope_of(action), author_of(action)
    flag = values["flag"]
    response.set_flag(flag, values["variant"], scope, by, values["reason"], event, values["expires"])
    mine = response.flag_state.get(flag, scope, hands.world.env.now)

    def undo() -> None:
        found = response.flag_state.get(flag, scope, hands.world.env.now)
        if found is not None and found == mine and mine.by == by:  # neither ended by itself nor changed by others
            response.clear_flag(flag, scope, by, f"over: {values['reason']}", event)

    return undo


def clear_flag(hands: Hands, action: Action, event: int) -> None:
    """A person takes a flag back, whoever set it."""
    values = action.values
    _response(hands).clear_flag(values["flag"], scope_of(action), author_of(action), values["reason"], event)


def respond(hands: Hands, action: Action, event: int) -> None:
    """A person does what the ladder could have asked for."""
    values = action.values
    _response(hands).by_hand(Do(values["what"]), scope_of(action), author_of(action), values["reason"], event)


def restart_jobs(hands: Hands, action: Action, event: int) -> None:
    """Running work starts again where it is, all at once or one job after another, in the order of their numbers."""
    world, values = hands.world, action.values
    trays = set(trays_of(hands, action).tolist())
    chosen = [
        run
        for _, run in sorted(world.running.items())
        if values["kind"] in (None, run.job.kind.value) and not trays.isdisjoint(run.trays.tolist())
    ]
    world.env.process(_one_by_one(hands, chosen, event, bool(values["cold"]), float(values["stagger"])))


def _one_by_one(hands: Hands, runs: list[JobRun], event: int, cold: bool, stagger: float) -> Steps:
    for run in runs:
        run.renew(event, cold=cold)
        yield hands.world.env.timeout(stagger)


EFFECTS: dict[str, Effect] = {
    "restart_jobs": restart_jobs,
    "set_flag": set_flag,
    "clear_flag": clear_flag,
    "maintenance": set_flag,
    "evacuate": set_flag,
    "respond": respond,
}
