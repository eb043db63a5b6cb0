"""Measures of a run: pure functions of its tables. Definitions stand in :mod:`twin.results.measures`.

Events before the end of the warm-up are left out here; the accumulators in the tables come net of it already. Jobs are
counted at the end of the run, over the whole run.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from twin.results.catalogue import JOB_STATUSES, EventKind
from twin.results.measures import NEAR_MISS_FRACTION, PUE_BOUNDARY
from twin.results.tables import empty

Tables = Mapping[str, pd.DataFrame]


def compute_metrics(tables: Tables, totals: Mapping[str, Any]) -> dict[str, Any]:
    """All measures of a run.

    Args:
        tables: frames of the catalogue: events, jobs, racks, breakers, loops, services, losses; one that is left out
            counts as empty.
        totals: ``it_energy_joules``, ``facility_energy_joules``, ``simulated_seconds`` (warm-up included),
            ``warmup_seconds``, ``wall_seconds``, ``peak_row_power_watts`` (row -> W), ``balance`` (residuals), and
            optionally ``power_watt_seconds_lost`` [J], which the losses by cause must add up to, and ``forecast``, what
            came of a policy's forecasts, and ``operators``, steps of a rehearsal by outcome.

    Raises:
        KeyError: a needed total is missing.
    """
    frames = {name: tables[name] if name in tables else empty(name) for name in
              ("events", "jobs", "racks", "breakers", "loops", "services", "losses", "rollouts")}  # fmt: skip
    warmup = float(totals.get("warmup_seconds", 0.0))
    seconds = float(totals["simulated_seconds"]) - warmup
    events = frames["events"][frames["events"]["time_seconds"] >= warmup]
    return {
        **breaker_metrics(events, frames["breakers"]),
        **throttle_metrics(events, frames["racks"], frames["jobs"]),
        **work_metrics(frames["jobs"], frames["losses"]),
        "waits": wait_metrics(frames["jobs"]),
        "throughput": throughput_metrics(frames["jobs"], seconds),
        **service_metrics(frames["services"], seconds),
        "rollouts": rollout_metrics(frames["rollouts"]),
        **energy_metrics(totals),
        **peak_metrics(totals),
        **stranded_metrics(frames["racks"], frames["loops"], seconds),
        **({"forecast": dict(totals["forecast"])} if "forecast" in totals else {}),
        **({"operators": dict(totals["operators"])} if "operators" in totals else {}),
        "expectations": expectation_metrics(frames["events"]),
        "balance": balance_metrics(frames["jobs"], frames["losses"], totals),
        "simulated_seconds": seconds,
        "warmup_seconds": warmup,
        "wall_seconds": float(totals.get("wall_seconds", 0.0)),
    }


def breaker_metrics(events: pd.DataFrame, breakers: pd.DataFrame) -> dict[str, Any]:
    """Trips by level and root cause, incidents, the largest thermal fraction and near misses.

    An incident is one cascade: trips that share ``incident``; a trip without one is an incident of its own. The power
    of an incident is what its first breaker carried, since those above and below it carry the same watts.
    """
    trips = events[events["kind"] == EventKind.BREAKER_TRIP]
    own = trips["incident"].where(trips["incident"] >= 0, -2 - trips["event"])  # below -1: no two alike
    first = trips.groupby(own, sort=True)["value"].first()
    near = breakers[(breakers["trips"] == 0) & (breakers["thermal_fraction_max"] >= NEAR_MISS_FRACTION)]
    return {
        "breaker_trips_total": len(trips),
        "breaker_trips_by_level": _counts(trips["level"]),
        "breaker_trips_by_cause": _counts(trips["root"].where(trips["root"] != "", "unknown")),
        "breaker_incidents_total": int(own.nunique()),
        "breaker_trip_power_watts": _sum(first),
        "breaker_thermal_fraction_max": _max(breakers["thermal_fraction_max"]),
        "breaker_near_misses_total": len(near),
    }


def throttle_metrics(events: pd.DataFrame, racks: pd.DataFrame, jobs: pd.DataFrame) -> dict[str, Any]:
    """Slowdowns for heat, hardware slowdowns, shutdowns, power caps (apart), dark time, and the hottest device."""
    hardware = int((events["kind"] == EventKind.HARDWARE_SLOWDOWN_ON).sum())
    software = int((events["kind"] == EventKind.SLOWDOWN_ON).sum())
    found = {
        "throttle_events_total": software + hardware,
        "hardware_slowdown_events_total": hardware,
        "shutdown_events_total": int(racks["shutdown_events"].sum()),
        "throttled_gpu_seconds": _sum(racks["throttled_gpu_seconds"]),
        "throttled_gpu_seconds_by_loop": _sums(racks[racks["loop"].fillna("") != ""], "loop", "throttled_gpu_seconds"),
        "hardware_slowdown_gpu_seconds": _sum(racks["hardware_slowdown_gpu_seconds"]),
        "capped_gpu_seconds": _sum(racks["capped_gpu_seconds"]),
        "rack_dark_seconds": _sum(racks["dark_seconds"]),
        "gpu_temperature_celsius_max": _max(racks["device_temperature_celsius_max"]),
    }
    if "throttled_gpu_seconds" in jobs.columns and jobs["throttled_gpu_seconds"].notna().any():
        found["throttled_gpu_seconds_by_kind"] = _sums(jobs, "kind", "throttled_gpu_seconds")
    return found


def work_metrics(jobs: pd.DataFrame, losses: pd.DataFrame) -> dict[str, Any]:
    """Jobs by status, restarts, and GPU-seconds delivered and lost, with the causes that the losses add up from."""
    power = losses[losses["kind"] == "power_watt_seconds"]
    return {
        "jobs": {"submitted": len(jobs), **{status: int((jobs["status"] == status).sum()) for status in JOB_STATUSES}},
        "restarts_total": int(jobs["restarts"].sum()),
        "gpu_seconds_delivered": _sum(jobs["delivered_gpu_seconds"]),
        "gpu_seconds_lost": _sum(jobs["lost_gpu_seconds"]),
        "gpu_seconds_lost_by_cause": _sums(losses[losses["kind"] == "gpu_seconds"], "cause", "amount"),
        "power_watt_seconds_lost": _sum(power["amount"]),
        "power_watt_seconds_lost_by_cause": _sums(power, "cause", "amount"),
        "jobs_lost_by_cause": _sums(losses[losses["kind"] == "jobs"], "cause", "amount"),
    }


def wait_metrics(jobs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Time in the queue by kind of job: of the jobs that started, mean, 95th percentile (linear) and longest."""
    found: dict[str, dict[str, Any]] = {}
    for kind, group in jobs[jobs["start_seconds"].notna()].groupby("kind", sort=True):
        wait = group["wait_seconds"].astype(float)
        found[str(kind)] = {
            "jobs": len(group),
            "wait_seconds_mean": float(wait.mean()),
            "wait_seconds_p95": float(wait.quantile(0.95)),
            "wait_seconds_max": float(wait.max()),
        }
    return found


def throughput_metrics(jobs: pd.DataFrame, seconds: float) -> dict[str, dict[str, Any]]:
    """By kind of job: jobs completed per hour, and GPU-seconds delivered per second (GPUs' worth of useful work)."""
    if seconds <= 0.0:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for kind, group in jobs.groupby("kind", sort=True):
        found[str(kind)] = {
            "jobs_per_hour": float((group["status"] == "completed").sum()) * 3600.0 / seconds,
            "gpus_delivered": _sum(group["delivered_gpu_seconds"]) / seconds,
        }
    return found


def service_metrics(services: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """Latency misses, tokens per second, backlog, waits and utilisation of each service, and the misses of all."""
    found: dict[str, dict[str, Any]] = {}
    for name, row in services.sort_values("name").set_index("name").to_dict("index").items():
        requests, misses = float(row["requests"]), float(row["latency_misses"])
        found[str(name)] = {
            "requests": requests,
            "latency_misses": misses,
            "latency_miss_ratio": misses / requests if requests > 0.0 else 0.0,
            "tokens_per_second": float(row["tokens_served"]) / seconds if seconds > 0.0 else None,
            "tokens_backlog": _number(row["tokens_backlog"]),
            "wait_seconds_mean": _number(row["wait_seconds_mean"]),
            "wait_seconds_max": _number(row["wait_seconds_max"]),
            "mean_utilisation": _number(row["mean_utilisation"]),
            "failed_requests": _number(row.get("failed_requests")),
        }
        if _number(row.get("requests_shed")) is not None:
            found[str(name)]["requests_shed"] = float(row["requests_shed"])
    return {"services": found, "latency_misses_total": _sum(services["latency_misses"])}


def rollout_metrics(rollouts: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By release: what became of it, the judge's word and how long it took, racks reached, throttling on canaries."""
    found: dict[str, dict[str, Any]] = {}
    for row in rollouts.to_dict("records"):
        back = row["outcome"] == "rolled back"
        found[str(row["release"])] = {
            **{name: str(row[name]) for name in ("work", "strategy", "outcome", "verdict", "reason")},
            "canaries": str(row["canaries"]),
            "seconds_to_verdict": _number(row["seconds_to_verdict"]),
            "racks_reached": int(row["racks_reached"]),
            "racks_targeted": int(row["racks_targeted"]),
            "rolled_back_seconds": _number(row["ended_seconds"]) if back else None,
            "canary_throttled_gpu_seconds": float(row["canary_throttled_gpu_seconds"]),
        }
    return found


def energy_metrics(totals: Mapping[str, Any]) -> dict[str, Any]:
    """IT and facility energy [J] and their ratio, PUE, with its boundary; null when the racks drew nothing."""
    it, facility = float(totals["it_energy_joules"]), float(totals["facility_energy_joules"])
    return {
        "it_energy_joules": it,
        "facility_energy_joules": facility,
        "pue": facility / it if it > 0.0 else None,
        "pue_boundary": PUE_BOUNDARY,
    }


def peak_metrics(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Highest power of any row [W] and the row; the first by name when several are equal."""
    peaks = totals.get("peak_row_power_watts") or {}
    if not peaks:
        return {"peak_row_power_watts": None, "peak_row": None}
    row = min(peaks, key=lambda name: (-float(peaks[name]), name))
    return {"peak_row_power_watts": float(peaks[row]), "peak_row": str(row)}


def stranded_metrics(racks: pd.DataFrame, loops: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """Power and cooling that allocated trays hold and do not use, means over time [W].

    Per rack, with a the share of its trays allocated: max(0, a P_nameplate - P_mean). Per loop, with a over all its
    racks: max(0, a Q_rated - Q_mean). Null where the racks table does not say how many trays there are.
    """
    if seconds <= 0.0 or "trays" not in racks.columns or racks.empty or racks["trays"].isna().any():
        return {"stranded_power_watts": None, "stranded_cooling_watts": None, "allocated_ratio": None}
    allocated, trays = racks["allocated_tray_seconds"] / seconds, racks["trays"].astype(float)
    power = allocated / trays * racks["max_power_watts"] - racks["energy_joules"] / seconds
    by_loop = pd.DataFrame({"loop": racks["loop"], "allocated": allocated, "trays": trays}).groupby("loop").sum()
    share = loops["name"].map(by_loop["allocated"] / by_loop["trays"]).astype(float).fillna(0.0)
    cooling = share * loops["rated_heat_watts"] - loops["heat_joules"] / seconds
    return {
        "stranded_power_watts": _sum(power.clip(lower=0.0)),
        "stranded_cooling_watts": _sum(cooling.clip(lower=0.0)),
        "allocated_ratio": _sum(allocated) / _sum(trays),
    }


def expectation_metrics(events: pd.DataFrame) -> dict[str, int]:
    """How many expectations of the scenario were met and unmet."""
    return {
        "met": int((events["kind"] == EventKind.EXPECTATION_MET).sum()),
        "unmet": int((events["kind"] == EventKind.EXPECTATION_UNMET).sum()),
    }


def balance_metrics(jobs: pd.DataFrame, losses: pd.DataFrame, totals: Mapping[str, Any]) -> dict[str, Any]:
    """The simulator's residuals, with those that the tables themselves must satisfy, each relative.

    ``jobs`` is the larger of the simulator's residual and jobs whose status is none of the five. ``losses_*``: the
    causes against the total, for GPU-seconds, jobs (killed and refused) and, where a total is given, power.
    """
    found: dict[str, Any] = dict(totals.get("balance", {}))
    stray = float((~jobs["status"].isin(JOB_STATUSES)).sum()) / max(1, len(jobs))
    if "jobs" in found and found["jobs"] is not None:
        found["jobs"] = max(float(found["jobs"]), stray, key=abs)
    by_kind = losses.groupby("kind")["amount"].sum()
    lost_jobs = float(jobs["status"].isin(("killed", "refused")).sum())
    expected = {"gpu_seconds": _sum(jobs["lost_gpu_seconds"]), "jobs": lost_jobs}
    if "power_watt_seconds_lost" in totals:
        expected["power_watt_seconds"] = float(totals["power_watt_seconds_lost"])
    for kind, total in expected.items():
        attributed = float(by_kind.get(kind, 0.0))
        found[f"losses_{kind}"] = (attributed - total) / max(1.0, abs(total))
    return found


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(key): int(count) for key, count in values.value_counts().sort_index().items()}


def _sums(frame: pd.DataFrame, by: str, column: str) -> dict[str, float]:
    return {str(key): float(amount) for key, amount in frame.groupby(by, sort=True)[column].sum().items()}


def _sum(values: pd.Series) -> float:
    """Sum that does not depend on the order of the rows."""
    return math.fsum(float(value) for value in values.dropna())


def _max(values: pd.Series) -> float | None:
    return _number(values.max()) if values.notna().any() else None


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
