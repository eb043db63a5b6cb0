"""The one door: a plain mapping in, a workload out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin.workload import azure, openb, random_jobs, swf
from twin.workload.faults import Fields, WorkloadError
from twin.workload.jobs import Workload
from twin.workload.samples import write_sample
from twin.workload.spec import read_spec
from twin.workload.synthetic import synthetic

KINDS = ("synthetic", "random_jobs", "azure_llm", "openb", "swf")


def load_workload(
    mapping: Mapping[str, Any],
    *,
    trays: int,
    gpus_per_tray: int,
    seconds: float,
    seed: int,
    cache_dir: Path,
    source: str = "workload",
) -> Workload:
    """Read or draw the workload that ``mapping`` describes, for a hall of ``trays`` and a run of ``seconds`` [s].

    ``mapping`` is what ``conf/workload/*.yaml`` holds, plain; its ``kind`` says which reader it goes to. Where a trace
    is asked for without a path a generated sample is written into ``cache_dir`` and read from there, and the provenance
    has ``generated: True``. ``source`` names the mapping in messages. ``gpus_per_tray`` of a hall with several kinds of
    trays is their mean, rounded down. Raises :class:`~twin.workload.faults.WorkloadError` with every fault of the
    mapping, or of the file.
    """
    kind = read_kind(mapping, source=source)
    if kind == "synthetic":
        mix = read_spec(mapping, source=source)
        return synthetic(mix, trays=trays, gpus_per_tray=gpus_per_tray, seconds=seconds, seed=seed)
    size = {"trays": trays, "gpus_per_tray": gpus_per_tray}
    if kind == "random_jobs":
        return random_jobs.random_jobs(
            random_jobs.read_spec(mapping, source=source), seconds=seconds, seed=seed, **size
        )
    if kind == "azure_llm":
        requests = azure.read_spec(mapping, source=source)
        path, generated = trace_path(kind, requests.path, cache_dir)
        return azure.read_azure(requests, path, seconds=seconds, seed=seed, generated=generated, **size)
    if kind == "openb":
        pods = openb.read_spec(mapping, source=source)
        path, generated = trace_path(kind, pods.path, cache_dir)
        return openb.read_openb(pods, path, seconds=seconds, seed=seed, generated=generated, **size)
    log = swf.read_spec(mapping, source=source)
    path, generated = trace_path(kind, log.path, cache_dir)
    return swf.read_swf(log, path, seconds=seconds, seed=seed, generated=generated, **size)


def read_kind(mapping: Mapping[str, Any], *, source: str = "workload") -> str:
    """The kind of a workload mapping. Raises :class:`~twin.workload.faults.WorkloadError` when it is none of ours."""
    fields = Fields(mapping, source)
    kind = fields.choice("kind", KINDS)
    if fields.faults:
        raise WorkloadError(fields.faults)
    return kind


def trace_path(sample: str, path: Path | None, cache_dir: Path) -> tuple[Path, bool]:
    """The file to read, and whether it is a sample that was generated for want of one."""
    return (write_sample(sample, cache_dir), True) if path is None else (path, False)
