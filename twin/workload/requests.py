"""Inference services of the synthetic mix: replicas, and requests as per-second token sums."""

import math

import numpy as np
from numpy.typing import NDArray

from twin.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from twin.workload.jobs import Job, JobKind, Phase, Service
from twin.workload.spec import ServiceMix, SyntheticSpec
from twin.workload.streams import stream

Floats = NDArray[np.float64]

DAY_PARTS = 144  # of which a service declares its load: ten minutes each
NOISE_SECONDS = 600.0  # correlation time of the request rate's noise
SERVICE_LOAD_SECONDS = 180.0  # image and weights of a replica from a local store (assumption)
SERVICE_LOAD_UTILISATION = 0.1
SERVICE_WARMUP_SECONDS = 60.0  # graph capture and cache allocation (assumption)
SERVICE_WARMUP_UTILISATION = 0.5


def synthetic_services(spec: SyntheticSpec, *, trays: float, seconds: float, seed: int) -> tuple[Service, ...]:
    """The services of a mix on ``trays`` (a mean, need not be whole), with requests for every second of the run.

    Replicas are rounded, at least one each. The mean request rate makes a service's replicas busy for
    ``mean_utilisation`` of their time over a whole day.
    """
    services = []
    if trays <= 0.0:
        return ()
    for mix in spec.services:
        replicas = max(1, round(trays * mix.share / mix.trays_per_replica))
        busy = busy_seconds_per_request(mix)
        rate = mix.mean_utilisation * replicas / busy
        arrays = draw_requests(mix, rate, seconds, stream(seed, "workload", "requests", mix.name))
        services.append(service_of(mix, mix.name, replicas, *arrays))
    return tuple(services)


def service_of(mix: ServiceMix, name: str, replicas: int, prompt: Floats, output: Floats, requests: Floats) -> Service:
    """A service with the machine of ``mix`` and the given per-second arrivals."""
    return Service(
        name=name,
        replicas=replicas,
        trays_per_replica=mix.trays_per_replica,
        prefill_tokens_per_second=mix.prefill_tokens_per_second,
        decode_tokens_per_second=mix.decode_tokens_per_second,
        token_latency_seconds=mix.token_latency_seconds,
        latency_target_seconds=mix.latency_target_seconds,
        idle_utilisation=mix.idle_utilisation,
        full_utilisation=mix.full_utilisation,
        swing=mix.swing,
        prompt_tokens=prompt,
        output_tokens=output,
        requests=requests,
        priority=mix.priority,
        linear_share=mix.linear_share,
        speed_exponent=mix.speed_exponent,
        unevenness=mix.unevenness,
        unevenness_seconds=mix.unevenness_seconds,
    )


def busy_by_day(mix: ServiceMix) -> tuple[float, ...]:
    """Greatest busy share of a replica [1] in each part of a day: the mean rate there, and two standard deviations of
    noise.

    ``min(1, mean · (1 + A cos(2π d/24 h)) · exp(2 √(σ² + v²)))`` with d the least time from that part of the day to the
    peak: of the rate's noise σ, and of the replica's share of it v, which know nothing of one another. The noise of
    :func:`draw_requests` is centred, ``exp(x − σ²/2)``: this is more than its two standard deviations by exp(σ²/2),
    0.3 % at σ = 0.08.
    """
    spread = math.hypot(mix.noise, mix.unevenness)
    part, half = SECONDS_PER_DAY / DAY_PARTS, 0.5 * SECONDS_PER_DAY
    middle = (np.arange(DAY_PARTS) + 0.5) * part - mix.peak_hour * SECONDS_PER_HOUR
    least = np.maximum(np.abs((middle + half) % SECONDS_PER_DAY - half) - 0.5 * part, 0.0)
    day = 1.0 + mix.diurnal_amplitude * np.cos(2.0 * math.pi * least / SECONDS_PER_DAY)
    return tuple(np.minimum(mix.mean_utilisation * day * math.exp(2.0 * spread), 1.0).tolist())


def replica_jobs(
    service: Service, spec: SyntheticSpec, *, seed: int, busy: tuple[float, ...] = (1.0,)
) -> tuple[Job, ...]:
    """One job without end per replica, in flight from before the start (submitted a day ago, one after another).

    ``busy`` is the share of their time [1] that their owner declares replicas to be busy at most, in each of so many
    equal parts of every day.
    """
    mean = 0.5 * (service.idle_utilisation + service.full_utilisation)
    span = service.full_utilisation - service.idle_utilisation
    by_day = tuple(service.idle_utilisation + each * span for each in busy)
    startup = (
        Phase("load", SERVICE_LOAD_SECONDS, SERVICE_LOAD_UTILISATION),
        Phase("compile", SERVICE_WARMUP_SECONDS, SERVICE_WARMUP_UTILISATION, service.swing),
    )
    rng = stream(seed, "workload", "replicas", service.name)
    ages = SECONDS_PER_DAY * (1.0 + rng.random(service.replicas))
    return tuple(
        Job(
            id=f"{service.name}-{number:04d}",
            kind=JobKind.INFERENCE,
            submit_seconds=-float(ages[number]),
            trays=service.trays_per_replica,
            work_seconds=math.inf,
            estimate_seconds=math.inf,
            startup=startup,
            steady=Phase("steady", math.inf, mean, service.swing),
            priority=service.priority,
            linear_share=service.linear_share,
            speed_exponent=service.speed_exponent,
            elapsed_seconds=float(ages[number]),
            service=service.name,
            declared_by_day=by_day,
        )
        for number in range(service.replicas)
    )


def busy_seconds_per_request(mix: ServiceMix) -> float:
    """Replica time [s] that a mean request takes: prompt ÷ prefill rate + output ÷ decode rate."""
    return mix.prompt_tokens[0] / mix.prefill_tokens_per_second + mix.output_tokens[0] / mix.decode_tokens_per_second


def draw_requests(
    mix: ServiceMix, rate: float, seconds: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Prompt tokens, output tokens and requests of each second, whole numbers, for a mean ``rate`` [1/s].

    The rate follows the day, ``1 + A cos(2π (t/24 h − peak))``, times ``exp(x − σ²/2)`` with x a first-order
    autoregression by the minute of standard deviation σ. Requests are Poisson in each second; the tokens of n requests
    are one gamma variate with the mean n·m and the variance n·s² of their sum, rounded to whole tokens.
    """
    length = math.ceil(seconds)
    time = np.arange(length) + 0.5
    phase = 2.0 * math.pi * (time - mix.peak_hour * SECONDS_PER_HOUR) / SECONDS_PER_DAY
    day = 1.0 + mix.diurnal_amplitude * np.cos(phase)
    minutes = length // 60 + 1
    keep = math.exp(-60.0 / NOISE_SECONDS)
    levels = rng.normal(0.0, mix.noise, minutes)
    for minute in range(1, minutes):
        levels[minute] = keep * levels[minute - 1] + math.sqrt(1.0 - keep * keep) * levels[minute]
    noise = np.exp(levels - mix.noise**2 / 2.0)[np.arange(length) // 60]
    requests = rng.poisson(rate * day * noise).astype(np.float64)
    prompt = _token_sums(requests, mix.prompt_tokens, rng)
    output = _token_sums(requests, mix.output_tokens, rng)
    return prompt, output, requests


def _token_sums(requests: Floats, tokens: tuple[float, float], rng: np.random.Generator) -> Floats:
    mean, deviation = tokens
    if deviation == 0.0:
        return np.round(requests * mean)
    shape = (mean / deviation) ** 2
    return np.round(rng.gamma(requests * shape, mean / shape))
