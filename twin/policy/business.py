"""Rules in business terms: what is done when flags of a kind have been set in one place for long."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from twin.policy.flags import Flags, FlagState, Setting
from twin.policy.ladder_rules import BusinessRule, LadderRules
from twin.policy.playbook import Action, Because, Cause
from twin.policy.scope import Scope


@dataclass(frozen=True)
class BusinessState:
    """Since when flags that a rule looks at are set in a place, and for which places it came to hold."""

    active_since: Mapping[tuple[str, Scope], float] = field(default_factory=dict)
    holding: frozenset[tuple[str, Scope]] = frozenset()


def step_business(
    rules: LadderRules, state: BusinessState, flags: Flags, flag_state: FlagState, time_seconds: float
) -> tuple[BusinessState, tuple[Action, ...]]:
    """Which rules come to hold and which no longer do, for each place. Actions by place, then rule.

    A flag counts as set while it is in force with anything but its default. Flags that follow one another without a
    gap between calls count as one time.
    """
    since: dict[tuple[str, Scope], float] = {}
    holding = set()
    actions = []
    for rule in rules.business_rules:
        found = _active(rule, flags, flag_state, time_seconds)
        for scope in found:
            earliest = min(setting.active_since_seconds for setting in found[scope])
            since[rule.name, scope] = min(earliest, state.active_since.get((rule.name, scope), earliest))
            if time_seconds - since[rule.name, scope] >= rule.active_seconds:
                holding.add((rule.name, scope))
        names = {scope: sorted(each.flag for each in settings) for scope, settings in found.items()}
        for key in (key for key in holding - state.holding if key[0] == rule.name):
            lasted = time_seconds - since[key]
            detail = f"{rule.sentence} {', '.join(names[key[1]])} set for {lasted:g} s, limit {rule.active_seconds:g} s"
            reason = Cause(Because.BUSINESS, rule.name, None, detail)
            actions += [Action(time_seconds, key[1], do, reason) for do in rule.do]
        for key in (key for key in state.holding - holding if key[0] == rule.name):
            reason = Cause(Because.BUSINESS_OVER, rule.name, None, "no such flag is set any more")
            actions += [Action(time_seconds, key[1], do, reason) for do in rule.undo]
    ordered = sorted(actions, key=lambda each: (each.scope.order, each.reason.rule))
    return BusinessState(since, frozenset(holding)), tuple(ordered)


def _active(rule: BusinessRule, flags: Flags, flag_state: FlagState, time_seconds: float) -> dict[Scope, list[Setting]]:
    """Settings in force that a rule looks at, by place."""
    found: dict[Scope, list[Setting]] = {}
    for setting in flag_state.in_order():
        flag = flags.flags.get(setting.flag)
        if flag is None or flag.kind not in rule.kinds or (rule.flags and flag.key not in rule.flags):
            continue
        active = setting.variant != flag.default and setting.expires_seconds > time_seconds
        if active and setting.scope.level in rule.levels:
            found.setdefault(setting.scope, []).append(setting)
    return found
