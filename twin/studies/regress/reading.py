"""Reads an incident's folder, and refuses one that cannot be: every fault with its file, column and remedy."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from twin.hall.errors import Faults, did_you_mean
from twin.policy.facility import Facility
from twin.policy.protocol import JobRequest
from twin.sim.measured import SIGNALS
from twin.studies.regress.incident import Asked, Channel, Declared, Floats, Incident
from twin.studies.regress.layout import FORMAT, MANIFEST, REAL, TABLES, TEXT, TRUTH, WHOLE, Table

DTYPES = {TEXT: "object", REAL: "float64", WHOLE: "int64", TRUTH: "bool"}
EXAMPLES = 3  # of unknown names, in one fault


def is_incident(folder: Path) -> bool:
    """Whether a folder claims to hold an incident."""
    return (folder / MANIFEST).is_file()


def read_incident(folder: Path) -> Incident:
    """The incident of a folder. Raises :class:`~twin.hall.errors.HallError` with every fault."""
    faults = Faults(str(folder / MANIFEST))
    manifest = _manifest(folder / MANIFEST, faults)
    tables = {}
    for table in TABLES.values():
        tables[table.name] = _table(folder / table.file, table, faults)
    faults.stop()
    named = Faults(str(folder))
    _names(folder, tables, named)
    named.stop()
    racks, loops, breakers = tables["racks"], tables["loops"], tables["breakers"]
    lines = tuple(dict.fromkeys(line for line in tables["limits"]["line"] if line))
    rows = tuple(dict.fromkeys(racks["row"]))
    things = {
        "rack": tuple(racks["name"]), "row": rows, "loop": tuple(loops["name"]),
        "breaker": tuple(breakers["name"]), "phase": lines,
    }  # fmt: skip
    looked, allocation = _allocation(tables["allocation"], things["rack"])
    return Incident(
        name=str(manifest.get("name", folder.name)),
        purpose=str(manifest.get("purpose", "")),
        latency_seconds=manifest["latency_seconds"],
        stale_seconds=manifest["stale_seconds"],
        missing_seconds=manifest["missing_seconds"],
        racks=racks,
        loops=loops,
        breakers=breakers,
        facility=_facility(tables, lines),
        lines=lines,
        channels=_channels(tables["telemetry"], things),
        allocation=allocation,
        looked=looked,
        declared=_declared(tables["declared"], things["rack"]),
        asked=_asked(tables["decisions"]),
        bad=tables["bad"].sort_values(["since_seconds", "rack"], kind="stable").reset_index(drop=True),
        digest=_digest(folder),
    )


def _digest(folder: Path) -> str:
    made = hashlib.sha256()
    for name in (MANIFEST, *(table.file for table in TABLES.values())):
        path = folder / name
        made.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    return made.hexdigest()


def _manifest(path: Path, faults: Faults) -> dict[str, Any]:
    """Name, purpose and times; what is wrong is noted."""
    found: Any = {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        faults.add("file", path.name, f"cannot be read ({error})", "See twin/docs/incidents.md for what stands in it")
    if not isinstance(found, Mapping):
        faults.add("file", path.name, "is no object", 'Write {"format": …, "name": …}')
        found = {}
    elif found.get("format") != FORMAT:
        faults.add("format", found.get("format"), "not a format that is known here", f"Write {FORMAT!r}")
    made = dict(found)
    for key, usual in (("latency_seconds", 0.0), ("stale_seconds", math.inf), ("missing_seconds", math.inf)):
        value = made.get(key)
        value = usual if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0.0:
            faults.add(key, value, "not a time of 0 or more", "Give seconds, or null for never")
            value = usual
        made[key] = float(value)
    return made


def _table(path: Path, table: Table, faults: Faults) -> pd.DataFrame:
    """One table with all its columns in their types; empty, and faults, where it cannot be."""
    own = Faults(str(path))
    empty = pd.DataFrame({each.name: pd.Series(dtype=DTYPES[each.kind]) for each in table.columns})
    if not path.is_file():
        if table.needed:
            own.add("file", path.name, "there is no such file", f"Write {table.meaning}")
        faults.extend(own)
        return empty
    try:
        found = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        own.add("file", path.name, f"is no parquet ({str(error).splitlines()[0]})", "Write it again")
        faults.extend(own)
        return empty
    made = {}
    for column in table.columns:
        if column.name not in found.columns:
            if column.default is None:
                near = did_you_mean(column.name, map(str, found.columns))
                own.add(column.name, list(found.columns), f"there is no such column ({column.meaning})", near)
                continue
            made[column.name] = pd.Series(column.default, index=found.index, dtype=DTYPES[column.kind])
            continue
        series = found[column.name]
        try:
            if column.kind == TEXT:
                made[column.name] = series.fillna("").astype(str).astype(object)
            else:
                made[column.name] = series.astype(DTYPES[column.kind])
        except (ValueError, TypeError) as error:
            own.add(column.name, str(series.dtype), f"is not {column.kind} throughout ({error})", "Correct the column")
            continue
        if column.kind == REAL and column.name != "value" and not np.isfinite(made[column.name]).all():
            own.add(column.name, "NaN", "a number that is not finite", "Give every row one")
    faults.extend(own)
    return empty if own else pd.DataFrame(made)


def _names(folder: Path, tables: Mapping[str, pd.DataFrame], faults: Faults) -> None:
    """Every name that a table refers to has to be there, and those that name things have to be unique."""
    known = {name: set(tables[name]["name"]) for name in ("racks", "loops", "breakers", "limits")}
    for name in known:
        twice = tables[name]["name"][tables[name]["name"].duplicated()]
        if len(twice):
            faults.add(f"{name}.name", twice.iloc[0], "stands there twice", "Give each a name of its own")
    if not known["racks"]:
        faults.add("racks", 0, "no racks", "Write one row per rack")
    for table, column, kind in (
        ("racks", "loop", "loops"), ("racks", "neighbour_left", "racks"), ("racks", "neighbour_right", "racks"),
        ("limits", "breaker", "breakers"), ("rack_limits", "rack", "racks"), ("rack_limits", "limit", "limits"),
        ("allocation", "rack", "racks"), ("declared", "rack", "racks"), ("bad", "rack", "racks"),
    ):  # fmt: skip
        strange = [each for each in dict.fromkeys(tables[table][column]) if each and each not in known[kind]]
        for each in strange[:EXAMPLES]:
            faults.add(f"{table}.{column}", each, f"none of {kind}", did_you_mean(each, known[kind]))
    fields = {signal.field for signal in SIGNALS.values()}
    for each in [one for one in dict.fromkeys(tables["telemetry"]["field"]) if one not in fields][:EXAMPLES]:
        faults.add("telemetry.field", each, "no field of a snapshot", did_you_mean(each, fields))
    lacking = known["racks"] - set(tables["allocation"]["rack"])
    if lacking:
        faults.add("allocation.rack", min(lacking), "a rack without any row", "Write at least its first state")
    if not len(tables["decisions"]):
        faults.add("decisions", 0, "no decisions", "Write what was asked; nothing can be judged without")
    for racks in dict.fromkeys(tables["decisions"]["racks"]):
        try:
            strange = [rack for rack, _ in _racks(racks) if rack not in known["racks"]]
        except ValueError:
            faults.add("decisions.racks", racks, "not written as rack:trays", "Write such as A-01:2,A-02:4")
            continue
        if strange:
            faults.add("decisions.racks", strange[0], "no such rack", did_you_mean(strange[0], known["racks"]))
    if len(tables["decisions"]) and not (tables["decisions"]["trays"] > 0).all():
        faults.add("decisions.trays", int(tables["decisions"]["trays"].min()), "not above 0", "Give trays asked for")


def _racks(text: str) -> tuple[tuple[str, int], ...]:
    """Racks and trays as a table has them. Raises ValueError."""
    parts = [part.rpartition(":") for part in text.split(",") if part]
    return tuple((rack.strip(), int(trays)) for rack, _, trays in parts)


def _facility(tables: Mapping[str, pd.DataFrame], lines: Sequence[str]) -> Facility:
    racks, limits, above = tables["racks"], tables["limits"], tables["rack_limits"]
    names, limit_names = list(racks["name"]), list(limits["name"])
    breakers = list(tables["breakers"]["name"])
    by_rack = {rack: part for rack, part in above.groupby("rack", sort=False)}
    depth = max((len(part) for part in by_rack.values()), default=0)
    shape = (len(names), depth)
    on, feed, share = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.int64), np.zeros(shape)
    for rack, part in by_rack.items():
        place, count = names.index(rack), len(part)
        on[place, :count] = [limit_names.index(each) for each in part["limit"]]
        feed[place, :count], share[place, :count] = part["feed"], part["amperes_per_watt"]
    beside = [[names.index(each) if each else -1 for each in racks[side]] for side in
              ("neighbour_left", "neighbour_right")]  # fmt: skip
    return Facility(
        limit_names=tuple(limit_names),
        limit_rating_amperes=limits["rating_amperes"].to_numpy(),
        limit_breaker=np.array([breakers.index(each) if each else -1 for each in limits["breaker"]], dtype=np.int64),
        limit_phase=np.array([lines.index(each) if each else -1 for each in limits["line"]], dtype=np.int64),
        rack_limits=on,
        rack_limit_feed=feed,
        rack_amperes_per_watt=share,
        rack_neighbours=np.array(beside, dtype=np.int64).T,
        rack_tray_idle_watts=racks["tray_idle_watts"].to_numpy(),
        rack_watts_per_tray_watt=racks["watts_per_tray_watt"].to_numpy(),
        rack_slowdown_celsius=racks["slowdown_celsius"].to_numpy(),
        loop_capacity_watts=tables["loops"]["capacity_watts"].to_numpy(dtype=np.float64),
    )


def _channels(telemetry: pd.DataFrame, things: Mapping[str, tuple[str, ...]]) -> dict[str, Channel]:
    """Readings by field, with a column per thing of its kind; unknown things are left out."""
    kinds = {signal.field: signal.kind for signal in SIGNALS.values()}
    found: dict[str, Channel] = {}
    for name, part in telemetry.groupby("field", sort=True):
        columns = {thing: place for place, thing in enumerate(things[kinds[str(name)]])}
        place = part["name"].map(columns).to_numpy(dtype=np.float64)
        known = np.isfinite(place)
        times, row = np.unique(part["time_seconds"].to_numpy()[known], return_inverse=True)
        column = place[known].astype(np.int64)
        values = np.full((len(times), len(columns)), np.nan)
        quality = np.full(values.shape, 3, dtype=np.int8)
        values[row, column] = part["value"].to_numpy()[known]
        quality[row, column] = part["quality"].to_numpy()[known]
        found[str(name)] = Channel(times, values, quality)
    return found


def _allocation(table: pd.DataFrame, racks: tuple[str, ...]) -> tuple[Floats, dict[str, Floats]]:
    """Times and, by column, the state of all racks from each of them on."""
    times, row = np.unique(table["time_seconds"].to_numpy(), return_inverse=True)
    column = table["rack"].map({rack: place for place, rack in enumerate(racks)}).to_numpy(dtype=np.int64)
    found = {}
    for name in ("free_trays", "healthy", "admitting", "declared_power_watts"):
        values = np.full((len(times), len(racks)), np.nan)
        values[row, column] = table[name].to_numpy(dtype=np.float64)
        rows = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(times))[:, None], -1), axis=0)
        filled = np.where(rows >= 0, np.take_along_axis(values, np.maximum(rows, 0), axis=0), 0.0)
        found[name] = filled  # a rack of which nothing was known yet has no free trays
    return times, found


def _declared(table: pd.DataFrame, racks: tuple[str, ...]) -> Declared:
    """What was declared within each horizon, as it holds from each of its times on."""
    times, row = np.unique(table["time_seconds"].to_numpy(dtype=np.float64), return_inverse=True)
    seconds, level = np.unique(table["horizon_seconds"].to_numpy(dtype=np.float64), return_inverse=True)
    column = table["rack"].map({rack: place for place, rack in enumerate(racks)}).to_numpy(dtype=np.int64)
    values = np.full((len(times), len(seconds), len(racks)), np.nan)
    values[row, level, column] = table["power_watts"].to_numpy(dtype=np.float64)
    came = np.where(np.isfinite(values), np.arange(len(times))[:, None, None], -1)
    rows = np.maximum.accumulate(came, axis=0)
    filled = np.take_along_axis(values, np.maximum(rows, 0), axis=0)
    return Declared(times, seconds, np.where(rows >= 0, filled, np.nan))


def _asked(table: pd.DataFrame) -> tuple[Asked, ...]:
    return tuple(
        Asked(
            row["time_seconds"],
            JobRequest(
                row["request"], row["kind"], row["trays"], row["one_rack"], row["priority"],
                row["power_watts_per_tray"], row["peak_watts_per_tray"], row["role"], row["declared_seconds"],
            ),
            _racks(row["racks"]),
        )
        for row in table.to_dict("records")
    )  # fmt: skip
