"""Writes an incident's folder: from looks that were kept in memory, or from an audited run."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from twin.audit.errors import AuditError
from twin.audit.log import LOG, SNAPSHOTS, read_records
from twin.audit.records import DECISION
from twin.audit.stored import StoredSnapshots
from twin.audit.values import decode
from twin.policy.protocol import JobRequest
from twin.policy.snapshot import FacilitySnapshot, History, Quality
from twin.results.kinds import EventKind
from twin.results.rundir import RunError, unwritable, write_whole
from twin.sim.measured import SIGNALS
from twin.studies.regress.layout import FORMAT, MANIFEST, TABLES

#: what begins and ends a stretch in which a rack is not well, and what it is called
STRETCHES = {
    EventKind.SLOWDOWN_ON: (EventKind.SLOWDOWN_OFF, "slowed"),
    EventKind.HARDWARE_SLOWDOWN_ON: (EventKind.HARDWARE_SLOWDOWN_OFF, "braked"),
    EventKind.DEVICE_SHUTDOWN: (EventKind.DEVICE_RESTARTED, "shut down"),
    EventKind.RACK_DARK: (EventKind.RACK_RESTORED, "dark"),
}


@dataclass(frozen=True)
class Bands:
    """Readings beyond which a rack is not well, whatever slowed or did not."""

    inlet_celsius: float
    device_celsius: float
    flow_swing_ratio: float  # greatest less least flow over the mean, within ``flow_seconds``
    flow_seconds: float


@dataclass(frozen=True)
class Look:
    """One decision with what was seen: the snapshot, the request, and the racks that were given."""

    snapshot: FacilitySnapshot
    request: JobRequest
    racks: tuple[tuple[str, int], ...]


def write_incident(
    folder: Path,
    looks: Sequence[Look],
    events: pd.DataFrame,
    bands: Bands,
    *,
    name: str,
    purpose: str,
    until_seconds: float,
    times: Mapping[str, float | None],
) -> None:
    """Write an incident. ``times`` are latency, stale and missing seconds of its sensors.

    The manifest is written last: a folder without one is none. Raises
    :class:`~twin.results.rundir.RunError` for what cannot be written, ValueError without looks.
    """
    if not looks:
        raise ValueError("no decision was recorded")
    telemetry = _telemetry(looks)
    tables = {
        **_hall(looks[0].snapshot),
        "telemetry": telemetry,
        "allocation": _allocation(looks),
        "declared": _declared(looks),
        "decisions": _decisions(looks),
        "bad": bad_stretches(events, telemetry, bands, set(looks[0].snapshot.rack_names), until_seconds),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for table in TABLES.values():
            made = pa.Table.from_pandas(tables[table.name], preserve_index=False)
            pq.write_table(made, folder / table.file, compression="zstd")
    except OSError as fault:
        raise unwritable(folder, fault) from fault
    manifest = {"format": FORMAT, "name": name, "purpose": purpose, **times}
    write_whole(folder / MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())


def _hall(snapshot: FacilitySnapshot) -> dict[str, pd.DataFrame]:
    """What stands on the floor, as tables."""
    facility = snapshot.facility
    assert facility is not None
    racks, loops, breakers = snapshot.rack_names, snapshot.loop_names, snapshot.breaker_names

    def named(names: Sequence[str], places: Iterable[int]) -> list[str]:
        return [names[place] if place >= 0 else "" for place in places]

    above = [
        (racks[rack], facility.limit_names[limit], int(facility.rack_limit_feed[rack, place]),
         float(facility.rack_amperes_per_watt[rack, place]))
        for rack in range(len(racks))
        for place, limit in enumerate(facility.rack_limits[rack].tolist())
        if limit >= 0
    ]  # fmt: skip
    return {
        "racks": pd.DataFrame({
            "name": racks,
            "row": named(snapshot.row_names, snapshot.rack_row.tolist()),
            "loop": named(loops, snapshot.rack_loop.tolist()),
            "trays": snapshot.rack_trays,
            "production": snapshot.rack_production,
            "max_power_watts": snapshot.rack_max_power_watts,
            "tray_idle_watts": facility.rack_tray_idle_watts,
            "watts_per_tray_watt": facility.rack_watts_per_tray_watt,
            "slowdown_celsius": facility.rack_slowdown_celsius,
            "neighbour_left": named(racks, facility.rack_neighbours[:, 0].tolist()),
            "neighbour_right": named(racks, facility.rack_neighbours[:, 1].tolist()),
        }),
        "loops": pd.DataFrame({"name": loops, "capacity_watts": facility.loop_capacity_watts}),
        "breakers": pd.DataFrame({"name": breakers, "rating_amperes": snapshot.breaker_rating_amperes}),
        "limits": pd.DataFrame({
            "name": facility.limit_names,
            "rating_amperes": facility.limit_rating_amperes,
            "breaker": named(breakers, facility.limit_breaker.tolist()),
            "line": named(snapshot.phase_names, facility.limit_phase.tolist()),
        }),
        "rack_limits": pd.DataFrame(above, columns=["rack", "limit", "feed", "amperes_per_watt"]),
    }  # fmt: skip


def _telemetry(looks: Sequence[Look]) -> pd.DataFrame:
    """Every reading that any look had, once."""
    snapshot = looks[0].snapshot
    things = {"rack": snapshot.rack_names, "row": snapshot.row_names, "loop": snapshot.loop_names,
              "breaker": snapshot.breaker_names, "phase": snapshot.phase_names}  # fmt: skip
    parts = []
    for signal in SIGNALS.values():
        names = things[signal.kind]
        past = _all_of(signal.field, looks)
        if past is None or not names:
            continue
        count, size = past.values.shape
        parts.append(pd.DataFrame({
            "time_seconds": np.repeat(past.time_seconds, size),
            "field": signal.field,
            "name": np.tile(np.array(names, dtype=object), count),
            "value": past.values.ravel(),
            "quality": past.quality.ravel().astype(np.int64),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _all_of(name: str, looks: Sequence[Look]) -> History | None:
    """The history of a field over all looks: rows by their times, none twice."""
    times: list[Any] = []
    values: list[Any] = []
    quality: list[Any] = []
    newest = -np.inf
    seen: Any = None
    for look in looks:
        histories = look.snapshot.histories
        if histories is seen:
            continue
        seen = histories
        past = histories.get(name)
        if past is None:
            continue
        start = int(np.searchsorted(past.time_seconds, newest, side="right"))
        if start < len(past.time_seconds):
            times.append(past.time_seconds[start:])
            values.append(past.values[start:])
            quality.append(past.quality[start:])
            newest = float(past.time_seconds[-1])
    if not times:
        return None
    return History(np.concatenate(times), np.concatenate(values), np.concatenate(quality))


def _allocation(looks: Sequence[Look]) -> pd.DataFrame:
    parts = []
    serial: int | None = None
    for look in looks:
        snapshot = look.snapshot
        if snapshot.serial == serial:
            continue  # what is given away within a look follows from its decisions
        serial = snapshot.serial
        parts.append(pd.DataFrame({
            "time_seconds": snapshot.time_seconds,
            "rack": snapshot.rack_names,
            "free_trays": snapshot.rack_free_trays,
            "healthy": snapshot.rack_healthy,
            "admitting": snapshot.rack_admitting,
            "declared_power_watts": np.nan_to_num(snapshot.rack_declared_power_watts),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _declared(looks: Sequence[Look]) -> pd.DataFrame:
    """What was declared within the horizons of every look, where it is not as it was at the look before."""
    parts = [pd.DataFrame({"time_seconds": [], "rack": [], "horizon_seconds": [], "power_watts": []})]
    before: Any = None
    for look in looks:
        seconds, watts = look.snapshot.declared_ahead_seconds, look.snapshot.rack_declared_ahead_watts
        if before is not None and np.array_equal(watts, before):
            continue
        before = watts
        known = np.isfinite(watts)
        horizon, rack = np.nonzero(known)
        parts.append(pd.DataFrame({
            "time_seconds": look.snapshot.time_seconds,
            "rack": np.array(look.snapshot.rack_names, dtype=object)[rack],
            "horizon_seconds": seconds[horizon],
            "power_watts": watts[known],
        }))  # fmt: skip
    return pd.concat(parts if len(parts) == 1 else parts[1:], ignore_index=True)


def _decisions(looks: Sequence[Look]) -> pd.DataFrame:
    return pd.DataFrame([
        {
            "time_seconds": look.snapshot.time_seconds,
            "request": look.request.id,
            "kind": look.request.kind,
            "trays": look.request.trays,
            "one_rack": look.request.one_rack,
            "priority": look.request.priority,
            "power_watts_per_tray": look.request.power_watts_per_tray,
            "peak_watts_per_tray": look.request.peak_watts_per_tray,
            "role": look.request.role,
            "declared_seconds": declared if math.isfinite(declared := look.request.declared_seconds) else 0.0,
            "racks": ",".join(f"{rack}:{trays}" for rack, trays in look.racks),
        }
        for look in looks
    ])  # fmt: skip


# ---------------------------------------------------------------------- what went bad


def bad_stretches(
    events: pd.DataFrame, telemetry: pd.DataFrame, bands: Bands, racks: set[str], until_seconds: float
) -> pd.DataFrame:
    """Stretches in which racks were slowed, shut down or dark by the log, or out of their bands by the readings."""
    found: list[tuple[str, float, float, str]] = []
    for begins, (ends, what) in STRETCHES.items():
        told = events[events["kind"].isin([begins, ends]) & events["name"].isin(racks)]
        for rack, part in told.groupby("name", sort=True):
            since: float | None = None
            for kind, time in zip(part["kind"], part["time_seconds"], strict=True):
                if kind == begins and since is None:
                    since = float(time)
                elif kind == ends and since is not None:
                    found.append((str(rack), since, float(time), what))
                    since = None
            if since is not None:
                found.append((str(rack), since, until_seconds, what))
    good = telemetry[telemetry["quality"] == int(Quality.GOOD)]
    for name, most, what in (
        ("rack_supply_temperature_celsius", bands.inlet_celsius, "hot inlet"),
        ("rack_device_temperature_celsius", bands.device_celsius, "hot device"),
    ):
        readings = good[good["field"] == name]
        for rack, part in readings.groupby("name", sort=True):
            found += _stretches(str(rack), part["time_seconds"].to_numpy(), part["value"].to_numpy() > most, what)
    flows = good[good["field"] == "rack_flow_litres_per_minute"]
    for rack, part in flows.groupby("name", sort=True):
        times, values = part["time_seconds"].to_numpy(), part["value"]
        if len(times) < 2:
            continue
        over = values.rolling(max(2, int(bands.flow_seconds / max(np.median(np.diff(times)), 1e-9))))
        with np.errstate(invalid="ignore", divide="ignore"):
            swing = ((over.max() - over.min()) / over.mean()).to_numpy()
        still = (over.max() <= 0.0).to_numpy()  # where nothing flows nothing swings either
        found += _stretches(str(rack), times, (swing > bands.flow_swing_ratio) | still, "flow lost")
    table = pd.DataFrame(found, columns=["rack", "since_seconds", "until_seconds", "what"])
    return table.sort_values(["since_seconds", "rack", "what"], kind="stable").reset_index(drop=True)


def _stretches(rack: str, times: Any, out: Any, what: str) -> list[tuple[str, float, float, str]]:
    """Stretches of consecutive readings that are out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], out, [False]]).astype(np.int8)))
    return [
        (rack, float(times[start]), float(times[end - 1]), what)
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


# ---------------------------------------------------------------------- from a run


def looks_of_run(run: Path) -> list[Look]:
    """What an audited run decided. Raises :class:`~twin.results.rundir.RunError` for one that has no record."""
    log, store = run / LOG, run / SNAPSHOTS
    if not log.is_file() or not store.is_file():
        raise RunError(f"{run}: holds no {LOG} with {SNAPSHOTS}; make the run with a policy that has audit: true")
    try:
        snapshots = StoredSnapshots(store)
        snapshot_of = lru_cache(maxsize=8)(snapshots.snapshot)
        found = []
        for record in read_records(log):
            if record["type"] != DECISION:
                continue
            data = record["data"]
            if not data["snapshot"]["time_seconds"] > 0.0:
                continue  # jobs that are in flight when a run begins
            given = tuple((str(rack), int(trays)) for rack, trays in data["decision"]["racks"])
            found.append(Look(snapshot_of(data["snapshot"]["digest"]), decode(data["request"]), given))
    except AuditError as error:
        raise RunError(str(error)) from error
    return found
