"""What a synthetic workload is made of: frozen descriptions and the reader that makes them of a plain mapping."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin.units import SECONDS_PER_HOUR
from twin.workload.faults import Fields

ARRIVALS = ("succession", "poisson")
SHARE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class JobMix:
    """A population of jobs of one kind.

    ``gang_shares`` are shares of this kind's *trays* (not of its jobs). The steady work of a job is lognormal; its
    mean is ``median · exp(sigma²/2)``. Ranges (low, high) are drawn from uniformly, ``swing_hertz`` log-uniformly.
    """

    gang_trays: tuple[int, ...]
    gang_shares: tuple[float, ...]
    duration_median_seconds: float
    duration_sigma: float
    utilisation: tuple[float, float]  # of the dynamic range, steady
    swing: tuple[float, float]  # standard deviation over maximum tray power, steady
    swing_hertz: tuple[float, float]
    load_seconds: float  # image and data
    load_utilisation: float
    compile_seconds: float  # 0 for no such phase
    compile_utilisation: float
    compile_swing: float
    state_bytes_per_tray: float  # of a checkpoint; 0 for jobs that do not checkpoint
    io_bytes_per_second_per_tray: float
    io_bytes_per_second: float  # of the store, for one job
    io_utilisation: float  # while a checkpoint is saved or restored
    checkpoint_interval_seconds: float
    priority: int
    preemptible: bool
    linear_share: float
    speed_exponent: float


@dataclass(frozen=True)
class ServiceMix:
    """An inference service of the synthetic mix. Rates are of one replica at full clock and full batch."""

    name: str
    share: float  # of the inference trays
    trays_per_replica: int
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    token_latency_seconds: float
    latency_target_seconds: float
    idle_utilisation: float
    full_utilisation: float
    swing: float
    mean_utilisation: float  # busy share of its replicas, over a whole day
    diurnal_amplitude: float  # of the request rate, 0 to 1
    peak_hour: float  # of the day; a run starts at hour 0
    noise: float  # standard deviation of the logarithm of the rate, correlated over 10 minutes
    prompt_tokens: tuple[float, float]  # mean and standard deviation per request
    output_tokens: tuple[float, float]
    unevenness: float  # relative standard deviation of its replicas' shares of the requests; 0: all the same
    unevenness_seconds: float  # correlation time of a share
    priority: int
    linear_share: float
    speed_exponent: float


@dataclass(frozen=True)
class SyntheticSpec:
    """A whole synthetic workload. ``shares`` are of the allocated trays, in the order of ``KINDS``."""

    name: str
    load: float  # trays allocated ÷ trays
    arrivals: str  # "succession" or "poisson", see :mod:`twin.workload.synthetic`
    estimate_accuracy: tuple[float, float]  # run time ÷ declared time, drawn uniformly
    training_share: float
    inference_share: float
    batch_share: float
    backup_share: float
    training: JobMix
    batch: JobMix
    backup: JobMix
    services: tuple[ServiceMix, ...]


def read_spec(mapping: Mapping[str, Any], *, source: str = "workload") -> SyntheticSpec:
    """Read and check a synthetic workload. Raises :class:`~twin.workload.faults.WorkloadError` with every fault."""
    fields = Fields(mapping, source)
    fields.has("kind")
    spec = synthetic_fields(fields)
    fields.finish()
    return spec


def synthetic_fields(fields: Fields) -> SyntheticSpec:
    """Read the keys of a synthetic workload, leaving faults and unknown keys to the caller."""
    shares = fields.section("shares")
    values = {kind: shares.number(kind, 0.0, 1.0) for kind in ("training", "inference", "batch", "backup")}
    if abs(sum(values.values()) - 1.0) > SHARE_TOLERANCE:
        fields.fault("shares", f"add up to {sum(values.values()):g}; make them add up to 1")
    return SyntheticSpec(
        name=fields.text("name"),
        load=fields.number("load", 0.0, 1.0, above=True),
        arrivals=fields.choice("arrivals", ARRIVALS),
        estimate_accuracy=fields.pair("estimate_accuracy", 0.0, 1.0, above=True),
        training_share=values["training"],
        inference_share=values["inference"],
        batch_share=values["batch"],
        backup_share=values["backup"],
        training=_job_mix(fields.section("training")),
        batch=_job_mix(fields.section("batch")),
        backup=_job_mix(fields.section("backup")),
        services=_services(fields.section("services")),
    )


def _job_mix(fields: Fields) -> JobMix:
    trays = fields.wholes("gang_trays")
    shares = fields.numbers("gang_shares", 0.0, 1.0)
    if trays and shares and len(trays) != len(shares):
        fields.fault("gang_shares", f"has {len(shares)} entries for {len(trays)} gang_trays; give one for each")
    elif shares and abs(sum(shares) - 1.0) > SHARE_TOLERANCE:
        fields.fault("gang_shares", f"add up to {sum(shares):g}; make them add up to 1")
    state = fields.number("state_gigabytes_per_tray") * 1e9
    interval = math.inf
    if state > 0.0:
        interval = fields.number("checkpoint_interval_minutes", above=True) * 60.0
    else:
        fields.has("checkpoint_interval_minutes")
    return JobMix(
        gang_trays=trays,
        gang_shares=shares,
        duration_median_seconds=fields.number("duration_median_hours", above=True) * SECONDS_PER_HOUR,
        duration_sigma=fields.number("duration_sigma", 0.0, 3.0),
        utilisation=fields.pair("utilisation", 0.0, 1.0),
        swing=fields.pair("swing", 0.0, 0.5),
        swing_hertz=fields.pair("swing_hertz", above=True),
        load_seconds=fields.number("load_seconds"),
        load_utilisation=fields.number("load_utilisation", 0.0, 1.0),
        compile_seconds=fields.number("compile_seconds"),
        compile_utilisation=fields.number("compile_utilisation", 0.0, 1.0),
        compile_swing=fields.number("compile_swing", 0.0, 0.5),
        state_bytes_per_tray=state,
        io_bytes_per_second_per_tray=fields.number("io_gigabytes_per_second_per_tray", above=True) * 1e9,
        io_bytes_per_second=fields.number("io_gigabytes_per_second", above=True) * 1e9,
        io_utilisation=fields.number("io_utilisation", 0.0, 1.0),
        checkpoint_interval_seconds=interval,
        priority=fields.whole("priority", -100),
        preemptible=fields.flag("preemptible"),
        linear_share=fields.number("linear_share", 0.0, 1.0),
        speed_exponent=fields.number("speed_exponent", 0.0, 1.0, above=True),
    )


def _services(fields: Fields) -> tuple[ServiceMix, ...]:
    services = tuple(_service(str(name), fields.section(name)) for name in fields.mapping)
    total = sum(service.share for service in services)
    if services and abs(total - 1.0) > SHARE_TOLERANCE:
        fields.faults.append(
            f"{fields.source}: {fields.path[:-1]}: the services' shares add up to {total:g}; make them add up to 1"
        )
    if not services:
        fields.faults.append(f"{fields.source}: {fields.path[:-1]}: names no service; add one")
    return services


def _service(name: str, fields: Fields) -> ServiceMix:
    idle = fields.number("idle_utilisation", 0.0, 1.0)
    full = fields.number("full_utilisation", 0.0, 1.0)
    if full < idle:
        fields.fault("full_utilisation", f"is below idle_utilisation = {idle:g}; raise it")
    return ServiceMix(
        name=name,
        share=fields.number("share", 0.0, 1.0),
        trays_per_replica=fields.whole("trays_per_replica", 1),
        prefill_tokens_per_second=fields.number("prefill_tokens_per_second", above=True),
        decode_tokens_per_second=fields.number("decode_tokens_per_second", above=True),
        token_latency_seconds=fields.number("token_latency_milliseconds") / 1000.0,
        latency_target_seconds=fields.number("latency_target_seconds", above=True),
        idle_utilisation=idle,
        full_utilisation=full,
        swing=fields.number("swing", 0.0, 0.5),
        mean_utilisation=fields.number("mean_utilisation", 0.0, 1.0),
        diurnal_amplitude=fields.number("diurnal_amplitude", 0.0, 1.0),
        peak_hour=fields.number("peak_hour", 0.0, 24.0),
        noise=fields.number("noise", 0.0, 1.0),
        prompt_tokens=_mean_and_deviation(fields, "prompt_tokens"),
        output_tokens=_mean_and_deviation(fields, "output_tokens"),
        unevenness=fields.number("unevenness", 0.0, 1.0),
        unevenness_seconds=fields.number("unevenness_minutes", above=True) * 60.0,
        priority=fields.whole("priority", -100),
        linear_share=fields.number("linear_share", 0.0, 1.0),
        speed_exponent=fields.number("speed_exponent", 0.0, 1.0, above=True),
    )


def _mean_and_deviation(fields: Fields, key: str) -> tuple[float, float]:
    section = fields.section(key)
    return section.number("mean", above=True), section.number("deviation")
