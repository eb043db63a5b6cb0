"""From the ladder to flags: what held rungs want is set, what they no longer want is cleared, as changes with cause."""

from collections.abc import Iterable

from twin.policy.causes import Author
from twin.policy.flags import FlagOutcome, Flags, FlagState, clear_flag, expire_flags, set_flag
from twin.policy.ladder import Wish
from twin.policy.playbook import Action, Do


def settle_flags(
    flags: Flags,
    state: FlagState,
    wishes: Iterable[Wish],
    by: Author,
    time_seconds: float,
    actions: Iterable[Action] = (),
) -> tuple[FlagState, tuple[FlagOutcome, ...]]:
    """Bring the flags that ``by`` set in line with the wishes. Settings of others are left alone.

    First what has expired goes, then what is wanted no more, then what is wanted is set: a flag that expired under a
    rung that is still held is set again, and both are recorded. Calling it again at once changes nothing. ``actions``
    of the ladder say what was measured when a flag came to be wanted no more.
    """
    state, outcomes = expire_flags(state, time_seconds)
    found: list[FlagOutcome] = list(outcomes)
    released = {(each.flag, each.scope): each.reason.trigger for each in actions if each.do is Do.CLEAR_FLAG}
    wanted = {(wish.flag, wish.scope): wish for wish in wishes}
    for setting in state.in_order():
        if setting.by == by and (setting.flag, setting.scope) not in wanted:
            state, cleared = clear_flag(
                flags,
                state,
                setting.flag,
                setting.scope,
                by,
                "no held rung wants it",
                time_seconds,
                trigger=released.get((setting.flag, setting.scope)),
            )
            found += cleared
    for (flag, scope), wish in sorted(wanted.items(), key=lambda each: (each[0][1].order, each[0][0])):
        now = state.get(flag, scope, time_seconds)
        if now is None or now.variant != wish.variant:
            state, made = set_flag(
                flags,
                state,
                flag,
                wish.variant,
                scope,
                by,
                f"{wish.reason.rule}: {wish.reason.because}",
                time_seconds,
                trigger=wish.reason.trigger,
            )
            found += made
    return state, tuple(found)
