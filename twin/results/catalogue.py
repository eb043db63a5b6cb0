"""The catalogue of columns: every table of a run directory, as data.

Docs, checks, the store and the figures read it; a new column is one entry here. Names carry their base unit
(``power_watts``, ``_celsius``, ``_ratio`` between 0 and 1). A *level* is where a signal lives.
"""

from dataclasses import dataclass

from twin.results.kinds import MEANINGS, EventKind

__all__ = ["EVENT_NONE", "LEVELS", "MEANINGS", "SIGNALS", "STATISTICS", "TABLES", "Column", "EventKind", "signals_of"]

EVENT_NONE = -1  #: ``cause`` and ``incident`` of an event without one


@dataclass(frozen=True)
class Column:
    """A column, or a signal of the time series. ``dtype`` is text, float, int or bool; ``level`` a list of levels."""

    name: str
    unit: str
    dtype: str
    sentence: str
    level: str = ""
    optional: bool = False  # a table may leave it out: it is then null


#: levels of the time series, in the order of their rows within one interval
LEVELS = ("hall", "row", "rack", "phase", "loop", "breaker")

#: each signal has three columns in the time series: ``<signal>_min``, ``<signal>_mean``, ``<signal>_max``
STATISTICS = ("min", "mean", "max")

SIGNALS: tuple[Column, ...] = (
    Column("power_watts", "W", "float", "IT power at the racks' AC inlets", "hall row rack"),
    Column("facility_power_watts", "W", "float", "power drawn from the utility, everything included", "hall"),
    Column("facility_water_celsius", "°C", "float", "facility water supplied to the CDUs", "hall"),
    Column("room_air_celsius", "°C", "float", "room air, mean of the zones", "hall"),
    Column("jobs_running", "1", "float", "jobs that hold trays", "hall"),
    Column("jobs_queued", "1", "float", "jobs that wait for trays", "hall"),
    Column("trays_allocated", "1", "float", "trays held by jobs", "row rack"),
    Column("device_temperature_celsius", "°C", "float", "hottest device of the rack", "rack"),
    Column("supply_temperature_celsius", "°C", "float", "coolant into the rack, or out of the CDU", "rack loop"),
    Column("return_temperature_celsius", "°C", "float", "coolant out of the rack, or into the CDU", "rack loop"),
    Column("flow_litres_per_minute", "L/min", "float", "coolant through the rack, or through the CDU", "rack loop"),
    Column("inlet_air_temperature_celsius", "°C", "float", "air into the rack", "rack"),
    Column("clock_ratio", "1", "float", "lowest clock of the rack's busy trays, of nominal", "rack"),
    Column("heat_watts", "W", "float", "heat passed to facility water", "loop"),
    Column("valve_ratio", "1", "float", "opening of the facility water valve", "loop"),
    Column("pump_speed_ratio", "1", "float", "mean speed of the pumps that run, of nominal", "loop"),
    Column("current_amperes", "A", "float", "RMS current of a phase, or of a breaker's hottest pole", "phase breaker"),
    Column("thermal_fraction", "1", "float", "thermal element (or damage), of the level that trips it", "breaker"),
)


def signals_of(level: str) -> tuple[str, ...]:
    """Names of the signals that live at a level, in catalogue order."""
    return tuple(signal.name for signal in SIGNALS if level in signal.level.split())


TIMESERIES: tuple[Column, ...] = (
    Column("time_seconds", "s", "float", "start of the interval, in simulated time"),
    Column("level", "", "text", "hall, row, rack, phase, loop or breaker"),
    Column("name", "", "text", "the thing's name; a phase is named as 'row A/feed A/L1'"),
    *(
        Column(f"{s.name}_{statistic}", s.unit, s.dtype, f"{statistic} over the interval: {s.sentence}", s.level)
        for s in SIGNALS
        for statistic in STATISTICS
    ),
)

EVENTS: tuple[Column, ...] = (
    Column("event", "", "int", "number of the event, in order of time"),
    Column("time_seconds", "s", "float", "simulated time"),
    Column("kind", "", "text", "an EventKind"),
    Column(
        "level", "", "text", "where it happened: hall, utility, ups, pdu, row, panel, rack, loop, zone, service or job"
    ),
    Column("name", "", "text", "the thing it happened to"),
    Column("cause", "", "int", "number of the event that caused it, -1 for none"),
    Column("root", "", "text", "name of the root cause, empty for none"),
    Column("incident", "", "int", "number of the incident (one cascade) it belongs to, -1 for none"),
    Column("value", "by kind", "float", "a number that goes with the kind, see MEANINGS", optional=True),
    Column("detail", "", "text", "a clause for people"),
)

JOBS: tuple[Column, ...] = (
    Column("id", "", "text", "the job's name"),
    Column("kind", "", "text", "training, inference, batch or backup"),
    Column("service", "", "text", "the service that this replica belongs to, empty for none"),
    Column("trays", "1", "int", "trays it asks for"),
    Column("gpus", "1", "int", "GPUs it asks for"),
    Column("priority", "1", "int", "higher goes first"),
    Column("submit_seconds", "s", "float", "submitted; at or before 0 for jobs in flight at the start"),
    Column("start_seconds", "s", "float", "first start, null when it never started"),
    Column("end_seconds", "s", "float", "completed, killed or refused; null while running or queued"),
    Column("status", "", "text", "completed, running, queued, refused or killed, at the end of the run"),
    Column("restarts", "1", "int", "starts after the first"),
    Column("wait_seconds", "s", "float", "time spent in the queue, over all its starts"),
    Column("work_seconds", "s", "float", "work asked for, at full clock; null for a service"),
    Column("delivered_gpu_seconds", "GPU s", "float", "seconds x speed of work that was kept, times GPUs"),
    Column("lost_gpu_seconds", "GPU s", "float", "work since the last saved checkpoint, plus the restore, times GPUs"),
    Column("lost_cause", "", "text", "cause of the largest loss, empty for none"),
    Column("racks", "", "text", "racks that it ran on last, comma-separated"),
    Column("reason", "", "text", "why it was refused, killed or still waits; empty otherwise"),
    Column("throttled_gpu_seconds", "GPU s", "float", "clock below request for heat, times GPUs", optional=True),
)

RACKS: tuple[Column, ...] = (
    Column("name", "", "text", "the rack's name; rows of this table stand in floor order"),
    Column("row", "", "text", "its row"),
    Column("loop", "", "text", "its coolant loop, empty for none"),
    Column("gpus", "1", "int", "GPUs in it"),
    Column("energy_joules", "J", "float", "energy at its AC inlets"),
    Column("peak_power_watts", "W", "float", "highest power"),
    Column("max_power_watts", "W", "float", "nameplate power"),
    Column("device_temperature_celsius_max", "°C", "float", "hottest device"),
    Column("throttled_gpu_seconds", "GPU s", "float", "clock below request for heat or brake, times GPUs affected"),
    Column("hardware_slowdown_gpu_seconds", "GPU s", "float", "of these, in hardware slowdown"),
    Column("capped_gpu_seconds", "GPU s", "float", "clock below request for a power cap, times GPUs affected"),
    Column("dark_seconds", "s", "float", "time without power"),
    Column("allocated_tray_seconds", "tray s", "float", "trays held by jobs, over time"),
    Column("shutdown_events", "1", "int", "times that a device shut itself down"),
    Column("trays", "1", "int", "trays in it", optional=True),
    Column("position", "1", "int", "place in its row, from 1; by default the order of this table", optional=True),
    Column("slowdown_celsius", "°C", "float", "device temperature at which it slows down", optional=True),
    Column("rack_class", "", "text", "its class, such as gb200_nvl72", optional=True),
)

BREAKERS: tuple[Column, ...] = (
    Column("name", "", "text", "the power node that it protects"),
    Column("level", "", "text", "utility, ups, pdu, row, panel or rack"),
    Column("rating_amperes", "A", "float", "rated current"),
    Column("thermal_fraction_max", "1", "float", "highest thermal element (or damage), of the level that trips it"),
    Column("current_amperes_max", "A", "float", "highest RMS current of the hottest pole"),
    Column("trips", "1", "int", "times it tripped"),
    Column("first_trip_seconds", "s", "float", "first trip, null for none"),
)

LOOPS: tuple[Column, ...] = (
    Column("name", "", "text", "the loop's name"),
    Column("rated_heat_watts", "W", "float", "heat that its CDU is rated for"),
    Column("heat_joules", "J", "float", "heat passed to facility water"),
    Column("supply_temperature_celsius_max", "°C", "float", "warmest supply"),
    Column("return_temperature_celsius_max", "°C", "float", "warmest return"),
    Column("flow_litres_per_minute_min", "L/min", "float", "lowest flow"),
)

SERVICES: tuple[Column, ...] = (
    Column("name", "", "text", "the service's name"),
    Column("requests", "1", "float", "requests that arrived"),
    Column("latency_misses", "1", "float", "requests that missed the latency target"),
    Column("tokens_arrived", "1", "float", "tokens asked for, prompt and output"),
    Column("tokens_served", "1", "float", "tokens done"),
    Column("tokens_backlog", "1", "float", "tokens still waiting at the end"),
    Column("wait_seconds_mean", "s", "float", "mean wait in the queue, over requests"),
    Column("wait_seconds_max", "s", "float", "longest wait"),
    Column("mean_utilisation", "1", "float", "share of the live replicas' capacity in use"),
    Column("failed_requests", "1", "float", "requests answered that failed, by the builds that served", optional=True),
    Column("requests_shed", "1", "float", "requests turned away, among those that missed the target", optional=True),
    Column("tokens_shed", "1", "float", "tokens of the requests turned away", optional=True),
)

ROLLOUTS: tuple[Column, ...] = (
    Column("release", "", "text", "the release's name"),
    Column("work", "", "text", "the service, or the kind of job, that it is of"),
    Column("strategy", "", "text", "how canary racks were chosen"),
    Column("outcome", "", "text", "done, rolled back, held or running, at the end of the run"),
    Column("stage", "", "text", "the stage that it came to"),
    Column("verdict", "", "text", "of the canary judge: pass, fail or inconclusive; empty for none"),
    Column("canaries", "", "text", "canary racks, comma-separated"),
    Column("controls", "1", "int", "racks that they were compared with"),
    Column("started_seconds", "s", "float", "begin of the rollout"),
    Column("canary_seconds", "s", "float", "when canary racks got the release, null for never"),
    Column("seconds_to_verdict", "s", "float", "from there to the judge's last word, null for none"),
    Column("ended_seconds", "s", "float", "done or rolled back, null where it was still under way"),
    Column("racks_reached", "1", "int", "production racks that have had it"),
    Column("racks_targeted", "1", "int", "production racks to reach"),
    Column("canary_throttled_gpu_seconds", "GPU s", "float", "clock below request for heat on canaries that had it"),
    Column("reason", "", "text", "what its last decision rests on"),
)

LOSSES: tuple[Column, ...] = (
    Column("kind", "", "text", "gpu_seconds, power_watt_seconds or jobs (killed or refused)"),
    Column("cause", "", "text", "the root cause, named"),
    Column("amount", "by kind", "float", "GPU-seconds, watt-seconds (J not drawn) or jobs; causes add up to the total"),
)

TOLERANCES: tuple[Column, ...] = (
    Column(
        "device", "", "text", "the device: a breaker's node, a rack, a tray as 'A-01/tray 03', a row, phase or loop"
    ),
    Column("quantity", "", "text", "what was drawn: a factor of nominal, or the constant error of a sensor"),
    Column("unit", "", "text", "unit of the value, 1 for a factor"),
    Column("value", "by quantity", "float", "what the device has"),
)

HEAT_PROFILES: tuple[Column, ...] = (
    Column("name", "", "text", "the rack's name"),
    Column("samples", "1", "float", "readings of its hottest device in the mean, at most those of a week"),
    Column("mean_celsius", "°C", "float", "mean of its hottest device"),
    Column("peak_excursion_kelvin", "K", "float", "how far it was above that at most"),
    Column("falls", "1", "float", "load drops that were followed, at most 20"),
    Column("recovery_seconds", "s", "float", "time constant of the fall after them, null for none"),
    *(
        Column(
            f"{kind}_correlation", "1", "float", f"correlation of trays of {kind} with the rise from inlet to device"
        )
        for kind in ("training", "inference", "batch", "backup")
    ),
)

SCORECARD: tuple[Column, ...] = (
    Column("step", "", "text", "name of the step of the script, or what was done without one"),
    Column("role", "", "text", "role that it is asked of, or that did it"),
    Column("action", "", "text", "what is done"),
    Column("target", "", "text", "to what it is done"),
    Column("notice", "", "text", "what calls for it"),
    Column("called_seconds", "s", "float", "when it was called for, null for never"),
    Column("due_seconds", "s", "float", "its deadline, null where it did not begin to count"),
    Column("done_seconds", "s", "float", "when it was done, null for never"),
    Column("margin_seconds", "s", "float", "deadline less when it was done: below 0 it was late"),
    Column("outcome", "", "text", "met, late, missed, open at the end of the run, not called for, or unasked"),
    Column("detail", "", "text", "why it was not met"),
)

LOSS_KINDS = ("gpu_seconds", "power_watt_seconds", "jobs")
JOB_STATUSES = ("completed", "running", "queued", "refused", "killed")

TABLES: dict[str, tuple[Column, ...]] = {
    "timeseries": TIMESERIES,
    "events": EVENTS,
    "jobs": JOBS,
    "racks": RACKS,
    "breakers": BREAKERS,
    "loops": LOOPS,
    "services": SERVICES,
    "losses": LOSSES,
    "rollouts": ROLLOUTS,
    "tolerances": TOLERANCES,
    "heat_profiles": HEAT_PROFILES,
    "scorecard": SCORECARD,
}
