"""Runs of a study in memory: what each is made of, and a ledger on disk of what came of it, so that none is made twice.

The ledger is a file of one line per run. It is appended to as runs end, so that a study that was interrupted goes on
where it stopped; a line that was cut off is made again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from twin.places import conf_dir, scenarios_dir
from twin.plant.warm import ensure_compiled
from twin.results.rundir import plain, unwritable
from twin.setup.assembly import read_parts
from twin.setup.compose import Composed, compose_run
from twin.setup.manifest import digest, versions
from twin.setup.refusals import REFUSALS, sentences
from twin.sim.simulate import simulate
from twin.studies.axes import changed
from twin.studies.work import Map
from twin.units import SECONDS_PER_HOUR

REFUSED = "refused"
FAILED = "failed"
METRICS = "metrics"


@dataclass(frozen=True)
class Case:
    """One run: overrides as for ``twin run``, a seed, and a change of the hall along an axis of capacity."""

    words: tuple[str, ...]
    seed: int
    axis: str = ""
    value: float = 0.0


Record = Mapping[str, Any]  # one key: metrics, or refused or failed with sentences


def measure_case(case: Case) -> dict[str, Any]:
    """Make the run of a case and return ``{"metrics": …}``, or ``{"refused": […]}`` or ``{"failed": […]}``.

    An error of the twin in one run is told and does not end the study.
    """
    try:
        ensure_compiled()
        found = _composed(case.words)
        configuration = replace(found.configuration, seed=case.seed)
        if case.axis:
            configuration = replace(configuration, hall=changed(configuration.hall, case.axis, case.value))
        parts = read_parts(configuration, found.sources)
        result = simulate(
            parts.hall,
            parts.workload,
            parts.policy,
            parts.scenario,
            seed=configuration.seed,
            until=configuration.hours * SECONDS_PER_HOUR,
            settings=parts.settings,
        )
    except REFUSALS as error:
        return {REFUSED: sentences(error)}
    except Exception as error:
        return {FAILED: [f"{type(error).__name__}: {error}"]}
    metrics = {
        key: value for key, value in result.metrics.items() if key not in ("wall_seconds", "balance", "forecast")
    }
    racks = result.tables["racks"]
    metrics["racks_used"] = int((racks["allocated_tray_seconds"] > 0.0).sum())
    return {METRICS: plain(metrics)}


@lru_cache(maxsize=64)
def _composed(words: tuple[str, ...]) -> Composed:
    return compose_run(words)


class Ledger:
    """What came of the cases of a study, by what they are made of."""

    def __init__(self, path: Path) -> None:
        """Open or begin a ledger. Raises RunError when its folder cannot be made or read."""
        self._path = path
        self._records: dict[str, dict[str, Any]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        except OSError as fault:
            raise unwritable(path, fault) from fault
        for line in lines:
            try:
                entry = json.loads(line)
                self._records[entry["key"]] = entry["record"]
            except (ValueError, KeyError, TypeError):
                continue  # cut off when the study was stopped

    def get(self, case: Case) -> Record | None:
        """What came of a case; None when it has not been made."""
        return self._records.get(key_of(case))

    def put(self, case: Case, record: Mapping[str, Any]) -> None:
        """Keep what came of a case. An error of the twin is not written down: it is tried again next time.

        Raises RunError when the ledger cannot be written.
        """
        self._records[key_of(case)] = dict(record)
        if FAILED in record:
            return
        line = json.dumps({"key": key_of(case), "case": asdict(case), "record": record}, sort_keys=True)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                if file.tell() and not _ends_a_line(self._path):
                    file.write("\n")
                file.write(line + "\n")
        except OSError as fault:
            raise unwritable(self._path, fault) from fault


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def key_of(case: Case) -> str:
    """Digest of all that a case depends on: its words, the files they name, configuration, scenarios and code."""
    named = [Path(word.partition("=")[2]) for word in case.words]
    inputs = {str(path): digest(path) for path in named if _is_file(path)}
    what = {**asdict(case), "inputs": inputs, "versions": versions(), "documents": _documents()}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a value that is too long to be a name


@cache
def _documents() -> str:
    """SHA-256 of the configuration and the scenarios."""
    content = hashlib.sha256()
    for folder in (conf_dir(), scenarios_dir()):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".json")):
            content.update(path.relative_to(folder).as_posix().encode())
            content.update(path.read_bytes())
    return content.hexdigest()


def run_cases(
    cases: Iterable[Case], ledger: Ledger, mapped: Map, told: Callable[[int], None] = lambda done: None
) -> dict[Case, Record]:
    """What comes of every case: from the ledger, or made now and put into it. ``told`` hears how many there are."""
    wanted = list(dict.fromkeys(cases))
    found = {case: record for case in wanted if (record := ledger.get(case)) is not None and FAILED not in record}
    missing = [case for case in wanted if case not in found]
    told(len(found))
    for case, record in zip(missing, mapped(measure_case, missing), strict=True):
        ledger.put(case, record)
        found[case] = record
        told(len(found))
    return {case: found[case] for case in wanted}
