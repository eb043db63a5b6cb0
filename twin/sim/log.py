"""The timeline: every event of software and facility, with what caused it and the incident it belongs to."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from twin.results.catalogue import EVENT_NONE
from twin.results.kinds import EventKind
from twin.results.tables import event_columns

NO_VALUE = float("nan")


class EventLog:
    """Appends events in order of time, kept by column: a month has hundreds of thousands of them."""

    def __init__(self) -> None:
        self._time, self._value = array("d"), array("d")
        self._cause, self._incident = array("q"), array("q")
        self._kind: list[EventKind] = []
        self._level: list[str] = []
        self._name: list[str] = []
        self._root: list[str] = []
        self._detail: list[str] = []
        self._taken = 0
        self._joined: dict[int, int] = {}  # events that were taken → the incident that they joined since
        self._incidents = 0
        self.heard: Callable[[int], None] | None = None  # is told the number of every event

    def __len__(self) -> int:
        return len(self._time)

    def __getitem__(self, event: int) -> dict[str, Any]:
        """An event by its number, as a row of the events table."""
        value = self._value[event]
        return {
            "event": event,
            "time_seconds": self._time[event],
            "kind": self._kind[event],
            "level": self._level[event],
            "name": self._name[event],
            "cause": self._cause[event],
            "root": self._root[event],
            "incident": self._incident[event],
            "value": None if value != value else value,
            "detail": self._detail[event],
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[event] for event in range(len(self)))

    def of(self, kind: EventKind, since: float) -> Iterator[tuple[str, float]]:
        """(name, time [s]) of every event of a kind from ``since`` [s] on."""
        for event, each in enumerate(self._kind):
            if each == kind and self._time[event] >= since:
                yield self._name[event], self._time[event]

    def frame(self) -> pd.DataFrame:
        """All events as the events table."""
        return event_columns(
            {
                "event": range(len(self)),
                "time_seconds": self._time,
                "kind": self._kind,
                "level": self._level,
                "name": self._name,
                "cause": self._cause,
                "root": self._root,
                "incident": self._incident,
                "value": self._value,
                "detail": self._detail,
            }
        )

    def add(
        self,
        time: float,
        kind: EventKind,
        level: str,
        name: str,
        *,
        cause: int = EVENT_NONE,
        root: str = "",
        opens: bool = False,
        value: float | None = None,
        detail: str = "",
    ) -> int:
        """Write an event down; returns its number.

        With a ``cause`` (an event's number) it takes that event's incident and, unless given, its root. ``opens``
        starts an incident when the cause has none.
        """
        incident = EVENT_NONE
        if cause >= 0:
            incident = self._incident[cause]
            root = root or self._root[cause]
        if opens and incident == EVENT_NONE:
            incident = self._incidents
            self._incidents += 1
            if cause >= 0:
                self._incident[cause] = incident
                if cause < self._taken:
                    self._joined[cause] = incident
        self._time.append(time)
        self._kind.append(kind)
        self._level.append(level)
        self._name.append(name)
        self._cause.append(cause)
        self._root.append(root)
        self._incident.append(incident)
        self._value.append(NO_VALUE if value is None else value)
        self._detail.append(detail)
        event = len(self) - 1
        if self.heard is not None:
            self.heard(event)
        return event

    def root(self, event: int) -> str:
        """The named root cause of an event."""
        return self._root[event] if event >= 0 else ""

    def take(self) -> list[dict[str, Any]]:
        """Events since the last call."""
        new = [self[event] for event in range(self._taken, len(self))]
        self._taken = len(self)
        return new

    def joined(self) -> dict[int, int]:
        """Events of earlier calls of :meth:`take` that have become part of an incident since they were asked for."""
        found, self._joined = self._joined, {}
        return found
