"""Logs in the Standard Workload Format (version 2.2) in place of all demand.

Comments and header begin with ``;`` (``; MaxProcs: 128``); a job is a line of 18 numbers, −1 where nothing is known.
Fields used, counted from 1: 1 job, 2 submit [s], 3 wait [s], 4 run time [s], 5 allocated processors, 8 requested
processors, 9 requested time [s], 11 status. A missing wait counts as none, missing allocated processors are replaced by
the requested ones. Set aside, and counted: jobs that never ran (run time missing or 0), jobs without processors, and
partial executions (status 2, 3 and 4: the job's summary line is there, too).

A processor is one GPU unless ``processors_per_tray`` says how many make a tray. Jobs of several trays are training, the
others batch. Window, scale and jitter as for OpenB, with processors for GPUs.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.workload.faults import Fields
from twin.workload.jobs import JobKind, Workload
from twin.workload.openb import replayed_workload
from twin.workload.replay import Record, Replay, replay_fields
from twin.workload.table import MALFORMED, Account, open_account, text_lines

KINDS = (JobKind.TRAINING, JobKind.BATCH)
FIELDS = 18
PARTIAL = (2, 3, 4)


@dataclass(frozen=True)
class SwfSpec:
    """A log and how it is replayed."""

    name: str
    path: Path | None
    malformed: str
    processors_per_tray: int | None  # None: the hall's GPUs per tray
    replay: Replay


def read_spec(mapping: Mapping[str, Any], *, source: str = "workload") -> SwfSpec:
    """Read and check the keys. Raises :class:`~twin.workload.faults.WorkloadError` with every fault."""
    fields = Fields(mapping, source)
    fields.has("kind")
    spec = SwfSpec(
        name=fields.text("name"),
        path=Path(fields.text("path")) if fields.has("path") else None,
        malformed=fields.choice("malformed", MALFORMED),
        processors_per_tray=fields.whole("processors_per_tray", 1) if fields.has("processors_per_tray") else None,
        replay=replay_fields(fields, KINDS),
    )
    fields.finish()
    return spec


def read_swf(
    spec: SwfSpec, path: Path, *, trays: int, gpus_per_tray: int, seconds: float, seed: int, generated: bool = False
) -> Workload:
    """The workload of the log at ``path``.

    Raises :class:`~twin.workload.faults.WorkloadError` for a file that cannot be used.
    """
    account = open_account(path)
    header: dict[str, str] = {}
    per_tray = spec.processors_per_tray or gpus_per_tray
    records = read_log(path, account, header, processors_per_tray=per_tray, gpus_per_tray=gpus_per_tray)
    account.check(spec.malformed)
    workload = replayed_workload(
        "swf",
        spec.name,
        records,
        spec.replay,
        [account],
        trays=trays,
        gpus_per_tray=gpus_per_tray,
        seconds=seconds,
        seed=seed,
        generated=generated,
    )
    extra = {"header": header, "processors_per_tray": per_tray}
    return Workload(workload.name, workload.jobs, workload.services, {**workload.provenance, **extra})


def read_log(
    path: Path, account: Account, header: dict[str, str], *, processors_per_tray: int, gpus_per_tray: int
) -> list[Record]:
    """Read the jobs that ran, in the file's order, and the header's labels into ``header``."""
    records: list[Record] = []
    names: set[str] = set()
    for line, values in _numbers(path, account, header):
        submit, wait, run = values[1], max(values[2], 0.0), values[3]
        processors = values[4] if values[4] > 0.0 else values[7]
        name = f"swf-{values[0]:.0f}"
        if submit < 0.0:
            account.refuse_row(line, "submit time is missing or negative")
        elif values[10] in PARTIAL:
            account.set_aside["partial execution (status 2, 3 or 4)"] += 1
        elif run <= 0.0:
            account.set_aside["never ran (no run time)"] += 1
        elif processors < 1.0:
            account.set_aside["no processors known"] += 1
        elif name in names:
            account.refuse_row(line, "job number is a duplicate")
        else:
            names.add(name)
            trays = math.ceil(processors / processors_per_tray)
            share = processors / (trays * processors_per_tray)
            records.append(
                Record(
                    name=name,
                    kind=JobKind.TRAINING if trays > 1 else JobKind.BATCH,
                    submit=submit,
                    start=submit + wait,
                    end=submit + wait + run,
                    trays=trays,
                    copies_per_tray=1 if trays > 1 else max(1, math.floor(processors_per_tray / processors)),
                    tray_share=share,
                    gpus=share * trays * gpus_per_tray,
                    estimate_seconds=values[8] if values[8] > 0.0 else None,
                    source=f"line {line}",
                )
            )
            account.used += 1
    return records


def _numbers(path: Path, account: Account, header: dict[str, str]) -> Iterator[tuple[int, list[float]]]:
    """The 18 numbers of every well-formed job line."""
    for line, content in enumerate(text_lines(path), 1):
        stripped = content.strip()
        if stripped.startswith(";"):
            label, colon, value = stripped.lstrip("; \t").partition(":")
            if colon and label.strip() and " " not in label.strip():
                header.setdefault(label.strip(), value.strip())
            continue
        if not stripped:
            continue
        account.read += 1
        words = stripped.split()
        if len(words) != FIELDS:
            account.refuse_row(line, f"{FIELDS} fields expected" if len(words) > FIELDS else "too few fields")
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            account.refuse_row(line, "a field is not a number")
            continue
        if not all(math.isfinite(value) for value in values):
            account.refuse_row(line, "a field is not finite")
            continue
        yield line, values
