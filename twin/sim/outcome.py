"""From the end of a run to its tables and totals."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from twin.plant import meters as meter
from twin.plant import residual
from twin.plant.compiled import Direct
from twin.policy.profile import KINDS, Profiles, correlation, peak_excursion
from twin.results.kinds import EventKind
from twin.results.tables import empty
from twin.sim.services import ServiceRun
from twin.sim.world import World
from twin.units import litres_per_minute

_flow_residual = Direct(residual.flow_residual)


def flow_residual(world: World) -> float:
    """Largest share by which a loop's pump flow and branch flows differ, at this instant."""
    plant = world.plant
    return float(_flow_residual(plant.c, plant.u, plant.x, int(plant.cur)))


def tables_of(world: World, services: list[ServiceRun]) -> dict[str, pd.DataFrame]:
    """Every table of a run but the time series."""
    return {
        "events": world.log.frame(),
        "jobs": jobs_table(world),
        "racks": racks_table(world),
        "breakers": breakers_table(world),
        "loops": loops_table(world),
        "services": services_table(services),
        "losses": losses_table(world),
        "rollouts": rollouts_table(world),
    }


def profiles_table(world: World, profiles: Profiles) -> pd.DataFrame:
    """What a policy has learnt of every rack's heat."""
    related = correlation(profiles)
    return pd.DataFrame(
        {
            "name": world.topology.rack_names,
            "samples": profiles.samples,
            "mean_celsius": profiles.mean_celsius,
            "peak_excursion_kelvin": peak_excursion(profiles),
            "falls": profiles.falls,
            "recovery_seconds": profiles.recovery_seconds,
            **{f"{kind}_correlation": related[:, place] for place, kind in enumerate(KINDS)},
        }
    )


def jobs_table(world: World) -> pd.DataFrame:
    """One row per job."""
    rows: list[dict[str, Any]] = []
    for run in world.runs:
        job = run.job
        waiting = world.env.now - run.queued_since if run.status == "queued" else 0.0
        lost: dict[str, float] = defaultdict(float)
        for cause, amount in run.losses:
            lost[cause] += amount
        throttled = run.throttled
        if run.status == "running" and len(run.trays):
            throttled += max(0.0, run.slow_seconds() - run.slow_before) * run.gpus / len(run.trays)
        rows.append(
            {
                "id": job.id,
                "kind": job.kind.value,
                "service": job.service or "",
                "trays": job.trays,
                "gpus": run.gpus,
                "priority": job.priority,
                "submit_seconds": job.submit_seconds,
                "start_seconds": run.first_start,
                "end_seconds": run.end,
                "status": run.status,
                "restarts": max(0, run.starts - 1),
                "wait_seconds": run.wait + waiting,
                "work_seconds": job.work_seconds if np.isfinite(job.work_seconds) else None,
                "delivered_gpu_seconds": run.delivered(),
                "lost_gpu_seconds": sum(lost.values()),
                "lost_cause": max(lost, key=lambda cause: lost[cause]) if lost else "",
                "racks": ",".join(run.racks),
                "reason": run.reason,
                "throttled_gpu_seconds": throttled,
            }
        )
    return pd.DataFrame(rows) if rows else empty("jobs")


def racks_table(world: World) -> pd.DataFrame:
    """One row per rack, in floor order."""
    topology, plant, m = world.topology, world.plant, world.plant.m
    racks = topology.hall.racks
    gpus = np.array([rack.rack_class.gpus_per_tray for rack in racks], dtype=np.float64)
    first = topology.rack_tray0[:-1]
    shutdowns: dict[str, int] = defaultdict(int)
    for name, _ in world.log.of(EventKind.DEVICE_SHUTDOWN, world.settings.warmup_seconds):
        shutdowns[name] += 1
    return pd.DataFrame(
        {
            "name": list(topology.rack_names),
            "row": [topology.row_names[r] for r in topology.rack_row],
            "loop": [topology.loop_names[loop] if loop >= 0 else "" for loop in topology.rack_loop],
            "gpus": (gpus * np.diff(topology.rack_tray0)).astype(np.int64),
            "energy_joules": m.rack_joules,
            "peak_power_watts": m.rack_peak,
            "max_power_watts": [rack.rack_class.max_power_watts for rack in racks],
            "device_temperature_celsius_max": m.device_max,
            "throttled_gpu_seconds": np.add.reduceat(m.slow_s, first) * gpus,
            "hardware_slowdown_gpu_seconds": np.add.reduceat(m.brake_s, first) * gpus,
            "capped_gpu_seconds": np.add.reduceat(m.cap_s, first) * gpus,
            "dark_seconds": m.dark_s,
            "allocated_tray_seconds": m.allocated_s,
            "shutdown_events": [shutdowns[name] for name in topology.rack_names],
            "trays": np.diff(topology.rack_tray0),
            "position": [rack.position for rack in racks],
            "slowdown_celsius": plant.c.rack["t_slow"],
            "rack_class": [rack.rack_class.name for rack in racks],
        }
    )


def breakers_table(world: World) -> pd.DataFrame:
    """One row per breaker."""
    topology, m = world.topology, world.plant.m
    trips: dict[str, list[float]] = defaultdict(list)
    for name, time in world.log.of(EventKind.BREAKER_TRIP, world.settings.warmup_seconds):
        trips[name].append(time)
    names = topology.breaker_names
    return pd.DataFrame(
        {
            "name": list(names),
            "level": [world.level_of(int(n)) for n in topology.breaker_node],
            "rating_amperes": world.plant.c.breaker["rating"],
            "thermal_fraction_max": m.theta_max,
            "current_amperes_max": m.amperes_max,
            "trips": [len(trips[name]) for name in names],
            "first_trip_seconds": [trips[name][0] if trips[name] else np.nan for name in names],
        }
    )


def loops_table(world: World) -> pd.DataFrame:
    """One row per coolant loop."""
    m = world.plant.m
    return pd.DataFrame(
        {
            "name": list(world.topology.loop_names),
            "rated_heat_watts": [loop.cdu.rated_heat_watts for loop in world.topology.hall.loops],
            "heat_joules": m.hx,
            "supply_temperature_celsius_max": m.supply_max,
            "return_temperature_celsius_max": m.return_max,
            "flow_litres_per_minute_min": litres_per_minute(1.0) * m.flow_min,
        }
    )


def services_table(services: list[ServiceRun]) -> pd.DataFrame:
    """One row per inference service; what was turned away is told where that was anything."""
    found = pd.DataFrame(
        {
            "name": [run.service.name for run in services],
            "requests": [run.requests for run in services],
            "latency_misses": [run.late for run in services],
            "failed_requests": [run.failed for run in services],
            "tokens_arrived": [run.arrived for run in services],
            "tokens_served": [run.served for run in services],
            "tokens_backlog": [run.queue.prompt_tokens + run.queue.output_tokens for run in services],
            "wait_seconds_mean": [
                run.queued_seconds / run.served_requests if run.served_requests else 0.0 for run in services
            ],
            "wait_seconds_max": [run.wait_max for run in services],
            "mean_utilisation": [run.busy / run.live_seconds if run.live_seconds else 0.0 for run in services],
        }
    )
    if any(run.shed_requests > 0.0 or run.shed > 0.0 for run in services):
        found["requests_shed"] = [run.shed_requests for run in services]
        found["tokens_shed"] = [run.shed for run in services]
    return found


def rollouts_table(world: World) -> pd.DataFrame:
    """One row per rollout, in the order of their start."""
    rows = []
    for each in world.rollouts:
        trial, given = each.trial, each.canary_seconds
        places = [world.rack_index[rack] for rack in trial.canaries]
        verdict = each.verdict_seconds
        rows.append(
            {
                "release": each.release.name,
                "work": each.release.work,
                "strategy": str(each.rule.strategy),
                "outcome": each.outcome,
                "stage": "" if each.step is None else each.step.stage,
                "verdict": str(trial.outcome or ""),
                "canaries": ",".join(trial.canaries),
                "controls": len(trial.controls),
                "started_seconds": each.started,
                "canary_seconds": given,
                "seconds_to_verdict": None if verdict is None or given is None else verdict - given,
                "ended_seconds": each.ended,
                "racks_reached": len(each.reached),
                "racks_targeted": len(each.targets),
                "canary_throttled_gpu_seconds": each.deployment.throttled_on(places),
                "reason": each.reason,
            }
        )
    return pd.DataFrame(rows) if rows else empty("rollouts")


def losses_table(world: World) -> pd.DataFrame:
    """What was lost, by root cause: GPU-seconds, watt-seconds not drawn, jobs killed or refused."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for run in world.runs:
        for cause, amount in run.losses:
            sums[("gpu_seconds", cause)] += amount
        if run.status in ("killed", "refused"):
            cause = run.reason.split(":")[0] if run.status == "refused" else run.restoring
            sums[("jobs", cause or "unknown")] += 1.0
    for cause, joules in world.lost_power.items():
        sums[("power_watt_seconds", cause)] += joules
    keys = sorted(sums)
    return pd.DataFrame(
        {
            "kind": [kind for kind, _ in keys],
            "cause": [cause for _, cause in keys],
            "amount": [sums[key] for key in keys],
        }
    )


def totals_of(world: World, until: float, balance: dict[str, float]) -> dict[str, Any]:
    """What the metrics take beside the tables."""
    m = world.plant.m
    mechanical = float(m.pump.sum() + m.fan.sum() + m.total[meter.COOLING])
    return {
        "it_energy_joules": float(m.rack_joules.sum()),
        "facility_energy_joules": float(m.total[meter.SOURCE]) + mechanical,
        "simulated_seconds": until,
        "warmup_seconds": world.settings.warmup_seconds,
        "peak_row_power_watts": dict(zip(world.topology.row_names, m.row_peak.tolist(), strict=True)),
        "balance": balance,
        "power_watt_seconds_lost": float(sum(world.lost_power.values())),
    }
