"""The catalogue of measures: every key of ``metrics.json``, with its unit and its definition.

``summary.csv`` takes units from here and the report its definitions. A nested key is written with dots; ``*`` stands
for the names of things.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from twin.results.catalogue import Column

PUE_BOUNDARY = (
    "energy drawn from the utility (IT, conversion losses upstream of the racks, pumps, air handlers, heat rejection, "
    "auxiliary panels) over energy at the racks' AC inlets (rack shelf losses and rack fans count as IT)"
)

NEAR_MISS_FRACTION = 0.8  #: thermal fraction from which a breaker that did not trip is a near miss

METRICS: tuple[Column, ...] = (
    Column("breaker_trips_total", "1", "int", "breaker trips"),
    Column("breaker_trips_by_level.*", "1", "int", "breaker trips at each level of the power tree"),
    Column("breaker_trips_by_cause.*", "1", "int", "breaker trips by root cause"),
    Column("breaker_incidents_total", "1", "int", "incidents with a trip: a cascade counts once"),
    Column("breaker_thermal_fraction_max", "1", "float", "highest thermal element, of the level that trips"),
    Column("breaker_near_misses_total", "1", "int", f"breakers that reached {NEAR_MISS_FRACTION:g} of it, yet held"),
    Column(
        "breaker_trip_power_watts",
        "W",
        "float",
        "power carried by the first breaker to trip, incidents summed",
    ),
    Column("rack_dark_seconds", "s", "float", "time without power, summed over racks"),
    Column("throttle_events_total", "1", "int", "onsets of a slowdown for heat, software and hardware"),
    Column("hardware_slowdown_events_total", "1", "int", "of these, onsets of a hardware slowdown"),
    Column("shutdown_events_total", "1", "int", "devices that shut themselves down for heat"),
    Column("throttled_gpu_seconds", "GPU s", "float", "clock below request for heat or brake, times GPUs affected"),
    Column("throttled_gpu_seconds_by_loop.*", "GPU s", "float", "the same by coolant loop"),
    Column("throttled_gpu_seconds_by_kind.*", "GPU s", "float", "the same by kind of job, where jobs record it"),
    Column("hardware_slowdown_gpu_seconds", "GPU s", "float", "throttled GPU-seconds in hardware slowdown"),
    Column("capped_gpu_seconds", "GPU s", "float", "clock below request for a power cap, times GPUs; not throttling"),
    Column("gpu_temperature_celsius_max", "°C", "float", "hottest device"),
    Column("gpu_seconds_delivered", "GPU s", "float", "seconds x speed of work that was kept, times GPUs"),
    Column("gpu_seconds_lost", "GPU s", "float", "work since the last saved checkpoint, plus the restore, times GPUs"),
    Column("gpu_seconds_lost_by_cause.*", "GPU s", "float", "the same by root cause; the causes add up to it"),
    Column("power_watt_seconds_lost", "J", "float", "power that jobs would have drawn but for a failure, over time"),
    Column("power_watt_seconds_lost_by_cause.*", "J", "float", "the same by root cause; the causes add up to it"),
    Column("jobs_lost_by_cause.*", "1", "float", "jobs killed or refused by cause; the causes add up to their number"),
    Column("jobs.*", "1", "int", "submitted = completed + running + queued + refused + killed, at the end of the run"),
    Column("restarts_total", "1", "int", "starts of a job after its first"),
    Column("waits.*.jobs", "1", "int", "jobs of this kind that started"),
    Column("waits.*.*", "s", "float", "time in the queue by kind of job: mean, 95th percentile (linear), longest"),
    Column("throughput.*.jobs_per_hour", "1/h", "float", "jobs of this kind completed, per hour"),
    Column("throughput.*.*", "1", "float", "GPU-seconds delivered per second: GPUs' worth of useful work"),
    Column("services.*.requests", "1", "float", "requests that arrived"),
    Column("services.*.latency_misses", "1", "float", "requests that missed the latency target"),
    Column("services.*.latency_miss_ratio", "1", "float", "of the requests that arrived"),
    Column("services.*.tokens_per_second", "1/s", "float", "tokens served per second"),
    Column("services.*.tokens_backlog", "1", "float", "tokens still waiting at the end"),
    Column("services.*.wait_seconds_mean", "s", "float", "mean wait in the queue"),
    Column("services.*.wait_seconds_max", "s", "float", "longest wait in the queue"),
    Column("services.*.mean_utilisation", "1", "float", "share of the live replicas' capacity in use"),
    Column("services.*.failed_requests", "1", "float", "requests answered that failed, by the builds that served"),
    Column("services.*.requests_shed", "1", "float", "requests turned away, where any were"),
    Column("rollouts.*.work", "", "text", "service or kind of job that the release is of"),
    Column("rollouts.*.strategy", "", "text", "how its canary racks were chosen"),
    Column("rollouts.*.outcome", "", "text", "done, rolled back, held or running, at the end of the run"),
    Column("rollouts.*.verdict", "", "text", "of the canary judge: pass, fail or inconclusive; empty for none"),
    Column("rollouts.*.reason", "", "text", "what the rollout's last decision rests on"),
    Column("rollouts.*.canaries", "", "text", "canary racks, comma-separated"),
    Column("rollouts.*.seconds_to_verdict", "s", "float", "from the release on canary racks to the judge's last word"),
    Column("rollouts.*.racks_reached", "1", "int", "production racks that have had the release"),
    Column("rollouts.*.racks_targeted", "1", "int", "production racks to reach"),
    Column("rollouts.*.rolled_back_seconds", "s", "float", "when it was rolled back"),
    Column(
        "rollouts.*.canary_throttled_gpu_seconds", "GPU s", "float", "clock below request for heat on canaries with it"
    ),
    Column("latency_misses_total", "1", "float", "requests that missed the latency target, all services"),
    Column("it_energy_joules", "J", "float", "energy at the racks' AC inlets"),
    Column("facility_energy_joules", "J", "float", "energy drawn from the utility"),
    Column("pue", "1", "float", PUE_BOUNDARY),
    Column("peak_row_power_watts", "W", "float", "highest power of any row"),
    Column("peak_row", "", "text", "the row that drew it"),
    Column("stranded_power_watts", "W", "float", "nameplate that allocated trays hold unused, mean over time"),
    Column("stranded_cooling_watts", "W", "float", "rated cooling that allocated trays hold unused, mean over time"),
    Column("allocated_ratio", "1", "float", "trays held by jobs, of all trays, mean over time"),
    Column("forecast.rack.*", "1", "float", "power over nameplate said 15 minutes ahead, less what was read then"),
    Column("forecast.row.*", "1", "float", "the same of rows: bias, mean absolute error, 90th percentile of its size"),
    Column("forecast.phase.*", "1", "float", "current over rating of metered lines, likewise"),
    Column("forecast.loop.*", "1", "float", "heat of a loop's racks over its exchanger's rating, likewise"),
    Column(
        "forecast.sustained.*",
        "1",
        "float",
        "racks said to have headroom for 30 minutes, and the share of them that read past no limit within it",
    ),
    Column("forecast.recovery.count", "1", "int", "forecasts of when a rack or loop above its limit would be back"),
    Column("forecast.recovery.*", "s", "float", "what they said, less the look at which it was; looks are 450 s apart"),
    Column("operators.*", "1", "int", "steps of a rehearsal by outcome, and under by_role the same by role"),
    Column("expectations.*", "1", "int", "expectations of the scenario, met and unmet"),
    Column("balance.*", "1", "float", "relative residual; bounded by 1e-6 in a sound run"),
    Column("simulated_seconds", "s", "float", "simulated time that the measures cover (warm-up left out)"),
    Column("warmup_seconds", "s", "float", "simulated time at the start that the measures leave out"),
    Column("wall_seconds", "s", "float", "time that the run took"),
)

#: the only measures that differ between two runs of one manifest
VOLATILE_METRICS = ("wall_seconds",)


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping as ``("jobs.submitted", 3)``, keys sorted at every depth."""
    for key in sorted(metrics):
        value = metrics[key]
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def measure(path: str) -> Column | None:
    """The entry that describes a flattened key, or None. The first that matches wins; ``*`` may span dots in names."""
    parts = path.split(".")
    for column in METRICS:
        pattern = column.name.split(".")
        if len(pattern) == 1:
            if pattern == parts:
                return column
        elif pattern[0] == parts[0] and len(parts) >= len(pattern) and pattern[-1] in ("*", parts[-1]):
            return column
    return None


def looked_up(metrics: Mapping[str, Any], key: str) -> Any:
    """A metric by its dotted name, None where there is none."""
    found: Any = metrics
    for part in key.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found
