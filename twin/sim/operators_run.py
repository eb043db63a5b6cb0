"""A team at work in a run: its steps after their notices, or what it did at the table; and how that is scored."""

from collections.abc import Generator, Sequence
from typing import Any

import pandas as pd
import simpy

from twin.results.kinds import EventKind
from twin.results.tables import empty
from twin.results.wording import duration
from twin.sim.faults import Story
from twin.sim.operators import Step, What, does
from twin.sim.operators_file import Deed
from twin.sim.world import World
from twin.sim.written import clock_of

Steps = Generator[simpy.Event, Any, None]
HALL = "hall"


class Team:
    """Hears every event; does each step once its notice has come and its role has reacted, or each deed at its time.

    With ``deeds`` the reactions of the script count for nothing: what was done at the table is what is done.
    """

    def __init__(
        self, world: World, story: Story, steps: Sequence[Step], deeds: Sequence[Deed] | None, seed: int
    ) -> None:
        self.world = world
        self.story = story
        self.steps = steps
        self.deeds = deeds
        self.seed = seed
        self.since: dict[int, float] = {}  # step → when its deadline began to count
        self.noticed: dict[int, float] = {}
        self.done: list[tuple[float, int, Deed | Step, list[int]]] = []  # time, step or -1, what, events

    def start(self) -> None:
        """Listen to the run, and start what has a time of its own."""
        for index, step in enumerate(self.steps):
            if step.since.at_seconds is not None:
                self.since[index] = step.since.at_seconds
            if step.notice.at_seconds is not None:
                self._notice(index, step.notice.at_seconds)
        for deed in self.deeds or ():
            self.world.env.process(self._at(deed.at_seconds, -1 if deed.step is None else deed.step, deed))
        self.world.log.heard = self.hear

    def hear(self, event: int) -> None:
        """Let an event be what steps wait for."""
        told = self.world.log[event]
        words = (str(told["kind"]), str(told["level"]), str(told["name"]), str(told["detail"]))
        for index, step in enumerate(self.steps):
            if index not in self.since and _is(step.since, words):
                self.since[index] = self.world.env.now
            if index not in self.noticed and _is(step.notice, words):
                self._notice(index, self.world.env.now)

    def _notice(self, index: int, time: float) -> None:
        self.noticed[index] = time
        if self.deeds is None:
            step = self.steps[index]
            reaction = step.reaction.draw(self.seed, step.role, step.name)
            self.world.env.process(self._at(time + reaction, index, step))

    def _at(self, time: float, step: int, what: Deed | Step) -> Steps:
        if time > self.world.env.now:
            yield self.world.env.timeout(time - self.world.env.now)
        events = []
        for action in what.actions:
            events.append(self.story.act(action, f"{what.role}: {what.name}", EventKind.OPERATOR_STEP)[0])
        self.done.append((self.world.env.now, step, what, events))

    # ------------------------------------------------------------------ scoring

    def scorecard(self, ended: float) -> pd.DataFrame:
        """A row per step, in the order of the script, then one per deed that no step asked for."""
        log = self.world.log
        refused = {row["cause"]: row["detail"] for row in log if row["kind"] == EventKind.FLAG_REFUSED}
        rows, counted = [], set()
        for index, step in enumerate(self.steps):
            since = self.since.get(index)
            due = None if since is None else since + step.within_seconds
            mine = [n for n, (at, of, _, _) in enumerate(self.done) if of == index and (since is None or at >= since)]
            done, vain = None, ""
            for n in mine:
                at, _, _, events = self.done[n]
                counted.add(n)
                said = next((refused[event] for event in events if event in refused), "")
                if not said:
                    done, vain = at, ""
                    break
                vain = vain or f"tried at {clock_of(at)}: {said}"
            rows.append(self._row(index, step, since, due, done, vain, ended))
        for n, (at, _, what, events) in enumerate(self.done):
            if n not in counted and not isinstance(what, Step):
                said = next((refused[event] for event in events if event in refused), "")
                early = what.step is not None and self.since.get(what.step, at) > at
                why = said or ("before anything called for it" if early else "no step of the script, or once more")
                rows.append(_line(what.name, what.role, what.actions, "", None, None, at, "unasked", why))
        return pd.DataFrame(rows) if rows else empty("scorecard")

    def _row(
        self,
        index: int,
        step: Step,
        since: float | None,
        due: float | None,
        done: float | None,
        vain: str,
        ended: float,
    ) -> dict[str, Any]:
        if since is None and done is None:
            outcome, why = "not called for", f"there was no {step.since.text}"
        elif done is not None and (due is None or done <= due):
            outcome, why = "met", ""
        elif done is not None and due is not None:
            outcome, why = "late", f"{duration(done - due)} after its deadline"
        elif due is not None and due > ended:
            outcome, why = "open", vain or "the run ended before its deadline"
        elif vain:
            outcome, why = "missed", vain
        elif self.deeds is None and index not in self.noticed:
            outcome, why = "missed", f"nobody noticed: there was no {step.notice.text}"
        else:
            outcome, why = "missed", "not done"
        called = self.noticed.get(index)
        return _line(step.name, step.role, step.actions, step.notice.text, called, due, done, outcome, why)


def _is(what: What, words: tuple[str, str, str, str]) -> bool:
    return what.at_seconds is None and what.meets(*words)


def _line(
    name: str,
    role: str,
    actions: Sequence[Any],
    notice: str,
    called: float | None,
    due: float | None,
    done: float | None,
    outcome: str,
    why: str,
) -> dict[str, Any]:
    """A row of the table ``scorecard``."""
    return {
        "step": name,
        "role": str(role),
        "action": does(actions[0]),
        "target": ", ".join(str(action.target or HALL) for action in actions),
        "notice": notice,
        "called_seconds": called,
        "due_seconds": due,
        "done_seconds": done,
        "margin_seconds": None if due is None or done is None else due - done,
        "outcome": outcome,
        "detail": why,
    }
