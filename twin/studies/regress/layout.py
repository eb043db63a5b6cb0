"""The files of an incident's folder as data: every table, its columns, their types and what they mean.

Reading, checking and ``twin/docs/incidents.md`` follow this list; a test holds the page to it.
"""

from dataclasses import dataclass

FORMAT = "data-hall-twin incident, version 1"
MANIFEST = "incident.json"

TEXT, REAL, WHOLE, TRUTH = "text", "number", "whole number", "true or false"


@dataclass(frozen=True)
class Column:
    """One column; ``default`` is what a column that is left out holds, None for one that is needed."""

    name: str
    kind: str
    meaning: str
    default: object = None


@dataclass(frozen=True)
class Table:
    """One parquet file; ``needed`` ones have to be there."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    needed: bool = True

    @property
    def file(self) -> str:
        return f"{self.name}.parquet"


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("racks", "one row per rack, in the order of the floor", (
            Column("name", TEXT, "such as A-01"),
            Column("row", TEXT, "row that it stands in"),
            Column("loop", TEXT, "coolant loop, empty for an air-cooled rack", ""),
            Column("trays", WHOLE, "trays installed"),
            Column("production", TRUTH, "false for a staging cell", True),
            Column("max_power_watts", REAL, "nameplate [W]"),
            Column("tray_idle_watts", REAL, "of an idle tray [W]"),
            Column("watts_per_tray_watt", REAL, "at the rack's inlet for a watt of its trays", 1.0),
            Column("slowdown_celsius", REAL, "device temperature at which its devices slow down [°C]"),
            Column("neighbour_left", TEXT, "rack beside it, empty for none", ""),
            Column("neighbour_right", TEXT, "rack on its other side, empty for none", ""),
        )),
        Table("loops", "one row per coolant loop", (
            Column("name", TEXT, "name of the loop"),
            Column("capacity_watts", REAL, "heat that its exchanger is rated for [W]"),
        ), needed=False),
        Table("breakers", "one row per breaker", (
            Column("name", TEXT, "name of the breaker"),
            Column("rating_amperes", REAL, "its rating [A]"),
        )),
        Table("limits", "one row per current that has a rating: a line of a metered node, or a breaker", (
            Column("name", TEXT, "such as row A/feed A/L1"),
            Column("rating_amperes", REAL, "what it bears for long [A]"),
            Column("breaker", TEXT, "breaker that guards it, empty for none", ""),
            Column("line", TEXT, "metered line whose current counts, empty for the breaker's own", ""),
        )),
        Table("rack_limits", "one row per rack and limit above it, nearest first", (
            Column("rack", TEXT, "rack"),
            Column("limit", TEXT, "limit"),
            Column("feed", WHOLE, "0 for feed A, 1 for feed B"),
            Column("amperes_per_watt", REAL, "what a watt of the rack puts on it while both feeds live [A/W]"),
        )),
        Table("telemetry", "one row per reading, of any field of a snapshot", (
            Column("time_seconds", REAL, "when it was measured [s]"),
            Column("field", TEXT, "such as rack_supply_temperature_celsius"),
            Column("name", TEXT, "rack, row, loop, breaker or line"),
            Column("value", REAL, "in the unit of the field; empty for a reading that was lost"),
            Column("quality", WHOLE, "0 good, 2 at the end of its sensor's range, 3 lost", 0),
        )),
        Table("allocation", "what software knew of a rack from a time on, until a later row of that rack", (
            Column("time_seconds", REAL, "from when on [s]"),
            Column("rack", TEXT, "rack"),
            Column("free_trays", WHOLE, "powered and not allocated"),
            Column("healthy", TRUTH, "powered and in service", True),
            Column("admitting", TRUTH, "false where admissions are paused", True),
            Column("declared_power_watts", REAL, "once its jobs draw what they declared [W]"),
        )),
        Table("declared", "what a rack's work declared to draw at most within some time, from a time on, until a later "
              "row of that rack and that horizon", (
            Column("time_seconds", REAL, "from when on [s]"),
            Column("rack", TEXT, "rack"),
            Column("horizon_seconds", REAL, "within how long from there [s]"),
            Column("power_watts", REAL, "what it will draw at most [W]"),
        ), needed=False),
        Table("decisions", "one row per request at a time, in the order in which they were asked", (
            Column("time_seconds", REAL, "when it was asked [s]"),
            Column("request", TEXT, "name of the job"),
            Column("kind", TEXT, "training, inference, batch or backup"),
            Column("trays", WHOLE, "trays that it needs"),
            Column("one_rack", TRUTH, "whether it has to be on one rack"),
            Column("priority", WHOLE, "higher goes first", 0),
            Column("power_watts_per_tray", REAL, "declared, steady [W]"),
            Column("peak_watts_per_tray", REAL, "declared, of the phase that draws most [W]", 0.0),
            Column("role", TEXT, "canary or bulk of a rollout, empty for a job", ""),
            Column("declared_seconds", REAL, "how long it runs by its owner's word, 0 for endless [s]", 0.0),
            Column("racks", TEXT, "where it went, as A-01:2,A-02:4; empty where it waited", ""),
        )),
        Table("bad", "one row per stretch in which a rack was not well", (
            Column("rack", TEXT, "rack"),
            Column("since_seconds", REAL, "from when [s]"),
            Column("until_seconds", REAL, "until when [s]"),
            Column("what", TEXT, "such as slowed, shut down, dark, hot inlet, hot device, flow lost"),
        )),
    )
}  # fmt: skip
