"""Requests of the Azure LLM inference traces (2023 and 2024) in place of the synthetic inference demand.

Columns ``TIMESTAMP`` (ISO 8601, taken as UTC where no zone is given), ``ContextTokens``, ``GeneratedTokens``. The trace
is binned by second from its first request, repeated at its own length (whole seconds) until the run ends, and
multiplied by a scale; tokens and requests of each second are rounded so that every partial sum is within half a token
of trace × scale. The default scale makes the service's replicas busy for 60 % of the time over one repetition::

    Σ (prompt/r_p + output/r_o) · scale = 0.60 · replicas · repetition        replicas at full clock, as built

Replicas are those that the synthetic mix would have given to all its services together; training, batch and backup stay
as drawn. ``scale=1`` is the trace as it is.
"""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.units import SECONDS_PER_DAY
from twin.workload.faults import Fields, WorkloadError
from twin.workload.jobs import Workload
from twin.workload.requests import replica_jobs, service_of
from twin.workload.spec import ServiceMix, SyntheticSpec, synthetic_fields
from twin.workload.synthetic import batch_demand, sort_jobs
from twin.workload.table import MALFORMED, Account, open_account, read_rows, whole

Floats = NDArray[np.float64]

LONGEST_SECONDS = 366 * SECONDS_PER_DAY  # of a trace; arrays by second are made of it


@dataclass(frozen=True)
class AzureSpec:
    """A request trace on the machines of a synthetic mix."""

    mix: SyntheticSpec
    service: ServiceMix  # the machine that serves
    path: Path | None
    malformed: str
    scale: float | None
    target_utilisation: float
    window_start_seconds: float
    window_seconds: float | None


@dataclass(frozen=True)
class Requests:
    """A trace binned by second."""

    prompt_tokens: Floats
    output_tokens: Floats
    requests: Floats
    rows_out_of_order: int


def read_spec(mapping: Mapping[str, Any], *, source: str = "workload") -> AzureSpec:
    """Read and check the keys. Raises :class:`WorkloadError` with every fault."""
    fields = Fields(mapping, source)
    fields.has("kind")
    mix = synthetic_fields(fields)
    name = fields.choice("service", [service.name for service in mix.services] or ["chat"])
    path = Path(fields.text("path")) if fields.has("path") else None
    malformed = fields.choice("malformed", MALFORMED)
    scale = fields.number("scale", above=True) if fields.has("scale") else None
    target = fields.number("target_utilisation", 0.0, 1.0, above=True)
    start = fields.number("window_start_seconds")
    length = fields.number("window_seconds", 1.0) if fields.has("window_seconds") else None
    fields.finish()
    machine = next(service for service in mix.services if service.name == name)
    return AzureSpec(mix, machine, path, malformed, scale, target, start, length)


def read_azure(
    spec: AzureSpec, path: Path, *, trays: int, gpus_per_tray: int, seconds: float, seed: int, generated: bool = False
) -> Workload:
    """The workload of a request trace at ``path`` beside the synthetic training, batch and backup jobs.

    ``generated`` says that the file is a sample of ours. Raises :class:`WorkloadError` for a file that cannot be used.
    """
    account = open_account(path)
    trace = bin_requests(spec, path, account)
    inference_trays = spec.mix.load * spec.mix.inference_share * trays
    replicas = max(1, round(inference_trays / spec.service.trays_per_replica))
    period = len(trace.requests)
    work = float(
        trace.prompt_tokens.sum() / spec.service.prefill_tokens_per_second
        + trace.output_tokens.sum() / spec.service.decode_tokens_per_second
    )
    if work <= 0.0:
        raise WorkloadError([f"{path}: its requests have no tokens; nothing is to be served"])
    scale = spec.target_utilisation * replicas * period / work if spec.scale is None else spec.scale
    length = math.ceil(seconds)
    service = service_of(
        spec.service,
        "azure_llm",
        replicas,
        scaled(np.resize(trace.prompt_tokens, length), scale),
        scaled(np.resize(trace.output_tokens, length), scale),
        scaled(np.resize(trace.requests, length), scale),
    )
    mix = replace(spec.mix, services=(spec.service,))
    serving = replica_jobs(service, mix, seed=seed)
    taken = sum(job.trays for job in serving)
    jobs, _ = batch_demand(mix, trays=trays, seconds=seconds, seed=seed, taken=taken)
    provenance = {
        "kind": "azure_llm",
        "generated": generated,
        "seed": seed,
        "files": [account.provenance() | {"rows_out_of_order": trace.rows_out_of_order}],
        "window": {"start_seconds": spec.window_start_seconds, "seconds": period, "repetitions": seconds / period},
        "scale": scale,
        "scale_chosen": "given" if spec.scale is not None else f"mean utilisation {spec.target_utilisation:g}",
        "utilisation_offered": scale * work / (replicas * period),
        "replicas": replicas,
        "load": spec.mix.load,
        "arrivals": spec.mix.arrivals,
        "gpus_per_tray": gpus_per_tray,
        "prompt_tokens": float(service.prompt_tokens.sum()),
        "output_tokens": float(service.output_tokens.sum()),
        "requests": float(service.requests.sum()),
    }
    return Workload(spec.mix.name, sort_jobs((*serving, *jobs)), (service,), provenance)


def bin_requests(spec: AzureSpec, path: Path, account: Account) -> Requests:
    """Read a trace and bin its window by second; rows outside the window are set aside, in the account."""
    times, prompts, outputs = array("d"), array("d"), array("d")
    out_of_order = 0
    columns = {"TIMESTAMP": _timestamp, "ContextTokens": whole, "GeneratedTokens": whole}
    for _, (time, prompt, output) in read_rows(path, columns, account):
        out_of_order += bool(times) and time < times[-1]
        times.append(time)
        prompts.append(prompt)
        outputs.append(output)
    if not times:
        account.check(spec.malformed)
    second = np.frombuffer(times) - min(times) - spec.window_start_seconds
    inside = second >= 0.0
    if spec.window_seconds is not None:
        inside &= second < spec.window_seconds
    account.used = int(inside.sum())
    if account.used < len(times):
        account.set_aside["outside the window"] = len(times) - account.used
    account.check(spec.malformed)
    place = second[inside].astype(np.int64)
    period = int(place.max()) + 1 if spec.window_seconds is None else math.ceil(spec.window_seconds)
    if period > LONGEST_SECONDS:
        days = period / SECONDS_PER_DAY
        raise WorkloadError(
            [f"{path}: its times span {days:,.0f} days; mend the wrong time or set workload.window_seconds"]
        )
    return Requests(
        _sums(place, np.frombuffer(prompts)[inside], period),
        _sums(place, np.frombuffer(outputs)[inside], period),
        _sums(place, np.ones(len(place)), period),
        out_of_order,
    )


def scaled(values: Floats, scale: float) -> Floats:
    """``values × scale`` in whole numbers whose partial sums are within a half of the exact ones."""
    return np.diff(np.floor(np.cumsum(values) * scale + 0.5), prepend=0.0)


def _sums(place: NDArray[np.int64], values: Floats, length: int) -> Floats:
    return np.bincount(place, values, length).astype(np.float64)


def _timestamp(value: str) -> float:
    """Seconds since 1970 of an ISO 8601 time."""
    if not value.strip():
        raise ValueError("is blank")
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("is not a time") from None
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
