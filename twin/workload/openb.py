"""Pods of the Alibaba OpenB trace (cluster-trace-gpu-v2023) in place of all demand.

Columns used: ``name, num_gpu, gpu_milli, qos, creation_time, deletion_time, scheduled_time`` [s]. A pod asks for
``num_gpu`` GPUs, or for ``gpu_milli``/1000 of one; a shared GPU takes whole copies of a pod only. Set aside, and
counted: pods that never ran (blank ``scheduled_time``), that ask for no GPU, or that ended as they began. A pod of
quality of service BE is preemptible batch, LS is inference (jobs with an end, without requests), others and pods that
need several trays are training.

The default window is the 24 h (or the run's length where that is longer) with most GPUs in use; the default scale the
whole number of copies that brings the mean of GPUs in use nearest to 60 % of the hall's, at least 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twin.workload.faults import Fields, WorkloadError
from twin.workload.jobs import JobKind, Workload
from twin.workload.nodes import read_nodes
from twin.workload.replay import Record, Replay, replay, replay_fields
from twin.workload.synthetic import sort_jobs
from twin.workload.table import MALFORMED, Account, number, number_or_blank, open_account, read_rows, text, whole
from twin.workload.window import busiest_window, mean_in_use

KINDS = (JobKind.TRAINING, JobKind.INFERENCE, JobKind.BATCH)
QOS_KIND = {"BE": JobKind.BATCH, "LS": JobKind.INFERENCE}


@dataclass(frozen=True)
class OpenbSpec:
    """A pod trace and how it is replayed."""

    name: str
    path: Path | None
    nodes_path: Path | None  # its rows are counted here; :mod:`twin.workload.nodes` builds a hall from it
    malformed: str
    replay: Replay


def read_spec(mapping: Mapping[str, Any], *, source: str = "workload") -> OpenbSpec:
    """Read and check the keys. Raises :class:`WorkloadError` with every fault."""
    fields = Fields(mapping, source)
    fields.has("kind")
    spec = OpenbSpec(
        name=fields.text("name"),
        path=Path(fields.text("path")) if fields.has("path") else None,
        nodes_path=Path(fields.text("nodes_path")) if fields.has("nodes_path") else None,
        malformed=fields.choice("malformed", MALFORMED),
        replay=replay_fields(fields, KINDS),
    )
    fields.finish()
    return spec


def read_openb(
    spec: OpenbSpec, path: Path, *, trays: int, gpus_per_tray: int, seconds: float, seed: int, generated: bool = False
) -> Workload:
    """The workload of the pods at ``path``. Raises :class:`WorkloadError` for a file that cannot be used."""
    account = open_account(path)
    records = read_pods(path, account, gpus_per_tray=gpus_per_tray)
    account.check(spec.malformed)
    files = [account]
    if spec.nodes_path is not None:
        _, nodes = read_nodes(spec.nodes_path)
        nodes.check(spec.malformed)
        files.append(nodes)
    return replayed_workload(
        "openb",
        spec.name,
        records,
        spec.replay,
        files,
        trays=trays,
        gpus_per_tray=gpus_per_tray,
        seconds=seconds,
        seed=seed,
        generated=generated,
    )


def read_pods(path: Path, account: Account, *, gpus_per_tray: int) -> list[Record]:
    """Read the pods that ran on GPUs, in the file's order; what becomes of the others is in the account."""
    columns = {
        "name": text,
        "num_gpu": whole,
        "gpu_milli": _milli,
        "qos": text,
        "creation_time": number,
        "scheduled_time": number_or_blank,
        "deletion_time": number,
    }
    records: list[Record] = []
    names: set[str] = set()
    for line, (name, gpus, milli, qos, created, scheduled, deleted) in read_rows(path, columns, account):
        if name in names:
            account.refuse_row(line, "name is a duplicate")
        elif scheduled is not None and (scheduled < created or deleted < scheduled):
            account.refuse_row(line, "times are not in the order created, scheduled, deleted")
        elif gpus > 0 and milli == 0:
            account.refuse_row(line, "gpu_milli is 0 although num_gpu is not")
        elif scheduled is None:
            account.set_aside["never ran (blank scheduled_time)"] += 1
        elif gpus == 0:
            account.set_aside["asks for no GPU"] += 1
        elif deleted == scheduled:
            account.set_aside["ran for no time"] += 1
        else:
            trays, fitting, share, asked = tray_demand(gpus, milli, gpus_per_tray)
            kind = JobKind.TRAINING if trays > 1 else QOS_KIND.get(qos, JobKind.TRAINING)
            records.append(
                Record(name, kind, created, scheduled, deleted, trays, fitting, share, asked, source=f"line {line}")
            )
            account.used += 1
        names.add(name)
    return records


def tray_demand(gpus: int, milli: int, gpus_per_tray: int) -> tuple[int, int, float, float]:
    """Trays of one pod, pods that fit into a tray, share of its trays that a pod asks for, and GPUs it asks for.

    Pods that share a GPU (``milli`` below 1000, one GPU) fit ⌊1000/milli⌋ times on it; no pod is split over GPUs of
    which it asks a part.
    """
    asked = gpus * milli / 1000.0
    trays = math.ceil(gpus / gpus_per_tray)
    if trays > 1:
        return trays, 1, asked / (trays * gpus_per_tray), asked
    fitting = gpus_per_tray * (1000 // milli) if gpus == 1 else gpus_per_tray // gpus
    return 1, fitting, asked / gpus_per_tray, asked


def replayed_workload(
    kind: str,
    name: str,
    records: list[Record],
    spec: Replay,
    files: list[Account],
    *,
    trays: int,
    gpus_per_tray: int,
    seconds: float,
    seed: int,
    generated: bool,
) -> Workload:
    """Choose window and scale of a job trace, replay it, and say in the provenance what was chosen.

    ``files`` are the accounts of what was read, the trace first. Raises :class:`WorkloadError` for an empty window.
    """
    start = np.array([record.start for record in records])
    end = np.array([record.end for record in records])
    gpus = np.array([record.gpus for record in records])
    length = max(spec.window_seconds, seconds)
    begin = busiest_window(start, end, gpus, length) if spec.window_start_seconds is None else spec.window_start_seconds
    in_use = mean_in_use(start, end, gpus, begin, length)
    if in_use <= 0.0:
        raise WorkloadError(
            [
                f"{files[0].path}: no job runs in the window from {begin:g} s of {length:g} s; the trace runs from "
                f"{start.min():g} to {end.max():g} s: mend workload.window_start_seconds or leave it null"
            ]
        )
    hall_gpus = trays * gpus_per_tray
    scale = max(1, round(spec.target_share * hall_gpus / in_use)) if spec.scale is None else spec.scale
    done = replay(records, spec, begin=begin, scale=scale, seconds=seconds, gpus_per_tray=gpus_per_tray, seed=seed)
    held = np.array([record.trays * math.ceil(scale / record.copies_per_tray) for record in records], dtype=np.float64)
    provenance = {
        "kind": kind,
        "generated": generated,
        "seed": seed,
        "files": [account.provenance() for account in files],
        "window": {
            "start_seconds": begin,
            "seconds": length,
            "chosen": "busiest" if spec.window_start_seconds is None else "given",
        },
        "scale": scale,
        "scale_chosen": "given" if spec.scale is not None else f"{spec.target_share:g} of the hall's GPUs",
        "jitter_seconds": spec.jitter_seconds if scale > 1 else 0.0,
        "gpus_per_tray": gpus_per_tray,
        "gpus_in_use_mean": in_use * scale,
        "gpus_of_hall": hall_gpus,
        "trays_in_use_mean": mean_in_use(start, end, held, begin, length),
        "trace_jobs_in_run": done.records,
        "trace_jobs_outside_run": len(records) - done.records,
        "copies_in_run": done.copies,
        "gpus_asked": done.gpus_asked,
        "jobs": len(done.jobs),
        "jobs_in_flight": sum(job.submit_seconds <= 0.0 for job in done.jobs),
    }
    return Workload(name, sort_jobs(done.jobs), (), provenance)


def _milli(value: str) -> int:
    milli = whole(value)
    if milli > 1000:
        raise ValueError("is above 1000")
    return milli
