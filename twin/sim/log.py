"""The timeline: every event of software and facility, with what caused it and the incident it belongs to."""

from typing import Any

from twin.results.catalogue import EVENT_NONE
from twin.results.kinds import EventKind


class EventLog:
    """Appends events in order of time. ``new`` holds those that have not been taken to the store."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._taken = 0
        self._incidents = 0

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
            incident = self.events[cause]["incident"]
            root = root or self.events[cause]["root"]
        if opens and incident == EVENT_NONE:
            incident = self._incidents
            self._incidents += 1
            if cause >= 0:
                self.events[cause]["incident"] = incident
        number = len(self.events)
        self.events.append(
            {
                "event": number,
                "time_seconds": float(time),
                "kind": kind,
                "level": level,
                "name": name,
                "cause": cause,
                "root": root,
                "incident": incident,
                "value": value,
                "detail": detail,
            }
        )
        return number

    def root(self, event: int) -> str:
        """The named root cause of an event."""
        return str(self.events[event]["root"]) if event >= 0 else ""

    def take(self) -> list[dict[str, Any]]:
        """Events since the last call."""
        new = self.events[self._taken :]
        self._taken = len(self.events)
        return new
