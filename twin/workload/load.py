"""The one door: a plain mapping in, a workload out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin.workload.faults import Fields, WorkloadError
from twin.workload.jobs import Workload
from twin.workload.spec import read_spec
from twin.workload.synthetic import synthetic

KINDS = ("synthetic",)


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

    ``cache_dir`` receives generated sample files where a trace is asked for without a path. ``source`` names the file
    in messages. Raises :class:`~twin.workload.faults.WorkloadError` with every fault of the mapping or its files.
    """
    fields = Fields(mapping, source)
    fields.choice("kind", KINDS)
    if fields.faults:
        raise WorkloadError(fields.faults)
    spec = read_spec(mapping, source=source)
    return synthetic(spec, trays=trays, gpus_per_tray=gpus_per_tray, seconds=seconds, seed=seed)
