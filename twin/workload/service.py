"""The queue of an inference service, second by second, as a compiled fluid of whole tokens.

Machine. A replica prefills r_p prompt tokens per second or decodes r_o output tokens per second; a request's prompt and
output take it ``p/r_p + o/r_o`` seconds of its time (*work*, in replica-seconds). With relative speed s of the live
replicas, knobs and build (subscript 0: as built, from :class:`~twin.workload.jobs.Service`)::

    b   = min(batch_size, concurrency · build.concurrency)            sequences decoded together ÷ built
    L   = (1 − κ) + κ b                                               length of a decode step ÷ built
    r_p = r_p0 · s · q_p · x                                          prefill is bound by arithmetic, not by batch
    r_o = r_o0 · s · q_o · x · (b / L) / build.memory_bandwidth       a step yields b tokens in a time L
    t   = t_0 · L · build.memory_bandwidth · build.latency / (s q_o)  one decode step
    first token = (p̄ / r_p) · build.latency + t                       p̄: mean prompt of that second's requests

κ is the part of a step that grows with the batch (attention over caches), 1 − κ the part that does not (weights are
read once for all). q is the gain of low precision, x = 1/(1 − a) that of stopping auxiliary work of share a.
``build.memory_bandwidth`` is what a token of that build needs, relative to the build before.

While a release is rolled out, replicas of several builds serve one queue (:class:`Part`). The queue then goes by the
mean of their rates; a request falls to a build in proportion to its replicas' decode rates, and is late or fails by
that build's own latency and error rate.

Queue. Each second offers W = live replicas × 1 s of work. All of backlog and arrivals is served if its work D ≤ W, and
the utilisation is D/W; otherwise the share φ = W/D of each (prompt, output, requests), rounded to whole tokens, is
served and the utilisation is 1. Nothing is dropped: arrived = served + backlog, exactly, since whole numbers below 2⁵³
add exactly. A request waits for the work left at the end of its second, backlog work ÷ W; it is *late* when that wait
and its first token take longer than the target, judged on arrival. Waits below a second are not seen. Without live
replicas the wait is infinite, utilisation is 0 and every arrival is late.

Turning away. Replicas may have a bound on waiting (``bounds``: seconds, and their share of the service's rate). A
request falls to replicas in proportion to their rates, and is turned away by those whose bound it would wait longer
than, judged on arrival as lateness is: with work A arrived in a second and D left at its end, the share
``min(1, (D − bound · W) / A)`` of what falls to them, in whole tokens and requests; what rounding leaves is carried to
the next second that turns away, so that few requests of many tokens are shed as their tokens are. A request that the
second's rounding had counted as served is then turned away instead. What waits already is kept. Turned away is late,
and arrived = served + backlog + turned away, exactly.

The mean time in queue follows from Little's law: ``queued_request_seconds ÷ served_requests``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from twin.workload.jobs import Build, Knobs, Service

Busy = TypeVar("Busy", float, NDArray[np.float64])

# Assumptions, orders of magnitude from published serving studies; no row of physics.md fixes them.
STEP_GROWTH = 0.4  # κ
LOW_PRECISION_PREFILL = 1.6  # q_p: 8-bit arithmetic is up to twice as fast, less what does not quantise
LOW_PRECISION_DECODE = 1.4  # q_o: half the bytes of weights, the same cache traffic
LOW_PRECISION_POWER = 0.92
AUXILIARY_SHARE = 0.05  # a, of the time of a replica and of its power range
_NO_BOUNDS: NDArray[np.float64] = np.zeros((0, 2))
BATCH_POWER = 0.5  # γ: part of busy power that follows the batch


class Queue(NamedTuple):
    """What waits at a service, in whole tokens and requests; and what of those turned away rounding has left over."""

    prompt_tokens: float = 0.0
    output_tokens: float = 0.0
    requests: float = 0.0
    left_over: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of each, −½ to ½: still to be turned away


class Served(NamedTuple):
    """What happened at a service from one second to another."""

    seconds: int
    arrived_prompt_tokens: float
    arrived_output_tokens: float
    arrived_requests: float
    served_prompt_tokens: float
    served_output_tokens: float
    served_requests: float
    late_requests: float  # of the arrived, judged on arrival
    failed_requests: float  # of the served: build.error_rate
    queued_request_seconds: float
    utilisation: float  # mean busy share of the live replicas, 0 to 1
    wait_seconds: float  # at the end; inf without live replicas
    wait_seconds_max: float
    late_of_parts: tuple[float, ...] = ()  # late requests of each build
    shed_prompt_tokens: float = 0.0  # turned away
    shed_output_tokens: float = 0.0
    shed_requests: float = 0.0  # of the late ones


@dataclass(frozen=True)
class Rates:
    """Speed of one replica under given knobs, build and clock."""

    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    token_latency_seconds: float


@dataclass(frozen=True)
class Part:
    """Live replicas of one build: their share of all live ones [1]. The shares of a service add up to 1."""

    build: Build
    share: float
    favour: float = 1.0  # mean share of the requests that the balancer gives them, over an even one


def served_shares(service: Service, parts: Sequence[Part], knobs: Knobs) -> tuple[float, ...]:
    """Share of the served requests [1] that falls to each part: in proportion to replicas × decode rate × favour."""
    if len(parts) == 1:
        return (1.0,)
    weight = [p.share * p.favour * rates(service, 1.0, knobs, p.build).decode_tokens_per_second for p in parts]
    total = math.fsum(weight)
    return tuple(w / total if total > 0.0 else p.share for w, p in zip(weight, parts, strict=True))


def batch_of(knobs: Knobs, build: Build) -> float:
    """Sequences decoded together, of the built number: b."""
    return max(0.0, min(knobs.batch_size, knobs.concurrency * build.concurrency))


def rates(service: Service, speed: float, knobs: Knobs, build: Build) -> Rates:
    """Rates of one replica at relative ``speed`` (1 at full clock); at b = 0 or speed 0 zero, latency infinite."""
    batch = batch_of(knobs, build)
    if batch <= 0.0 or speed <= 0.0:
        return Rates(0.0, 0.0, math.inf)
    low = knobs.precision == "low"
    prefill_gain = LOW_PRECISION_PREFILL if low else 1.0
    decode_gain = LOW_PRECISION_DECODE if low else 1.0
    free = 1.0 if knobs.auxiliary else 1.0 / (1.0 - AUXILIARY_SHARE)
    step = (1.0 - STEP_GROWTH) + STEP_GROWTH * batch
    return Rates(
        service.prefill_tokens_per_second * speed * prefill_gain * free,
        service.decode_tokens_per_second * speed * decode_gain * free * (batch / step) / build.memory_bandwidth,
        service.token_latency_seconds * step * build.memory_bandwidth * build.latency / (speed * decode_gain),
    )


@dataclass(frozen=True)
class Machine:
    """Live replicas as the queue sees them: the mean of their rates, and arrays with an entry per build."""

    prefill_tokens_per_second: float  # of one replica, in the mean
    decode_tokens_per_second: float
    shares: NDArray[np.float64]  # of the served requests
    prefill_rates: NDArray[np.float64]
    token_latency_seconds: NDArray[np.float64]
    latency_factor: NDArray[np.float64]
    error_rate: float  # of the served requests


def machine_of(
    service: Service,
    *,
    speed: float = 1.0,
    knobs: Knobs | None = None,
    build: Build | None = None,
    parts: Sequence[Part] = (),
) -> Machine:
    """The machine of replicas at mean relative ``speed``.

    ``knobs`` and ``build`` default to the service's own; ``parts`` are the builds of the live replicas where they are
    not all of one.
    """
    knobs = service.knobs if knobs is None else knobs
    parts = parts or (Part(service.build if build is None else build, 1.0),)
    each = [rates(service, speed, knobs, part.build) for part in parts]
    shares = served_shares(service, parts, knobs)
    return Machine(
        math.fsum(p.share * rate.prefill_tokens_per_second for p, rate in zip(parts, each, strict=True)),
        math.fsum(p.share * rate.decode_tokens_per_second for p, rate in zip(parts, each, strict=True)),
        np.array(shares),
        np.array([rate.prefill_tokens_per_second for rate in each]),
        np.array([rate.token_latency_seconds for rate in each]),
        np.array([part.build.latency for part in parts]),
        math.fsum(w * p.build.error_rate for w, p in zip(shares, parts, strict=True)),
    )


def advance(
    service: Service,
    queue: Queue,
    start: int,
    stop: int,
    *,
    live: float,
    machine: Machine | None = None,
    bounds: Sequence[tuple[float, float]] = (),
) -> tuple[Queue, Served]:
    """Serve seconds ``start`` to ``stop`` (exclusive) with ``live`` replicas, by default as the service has them.

    ``bounds`` are waits [s] past which replicas turn away, and their shares of the rate [1]. Returns the queue that is
    left and what happened. Raises ValueError when the seconds are not inside the service's arrays.
    """
    if not 0 <= start <= stop <= len(service.requests):
        raise ValueError(
            f"service {service.name} has requests for seconds 0 to {len(service.requests)}; asked for {start} to {stop}"
        )
    of = machine_of(service) if machine is None else machine
    able = live > 0.0 and of.prefill_tokens_per_second > 0.0
    late = np.zeros(len(of.shares))
    out = _advance(
        service.prompt_tokens,
        service.output_tokens,
        service.requests,
        start,
        stop,
        queue.prompt_tokens,
        queue.output_tokens,
        queue.requests,
        live if able else 0.0,
        of.prefill_tokens_per_second if able else 1.0,
        of.decode_tokens_per_second if able else 1.0,
        of.shares,
        of.prefill_rates if able else np.ones(len(late)),
        of.token_latency_seconds if able else np.zeros(len(late)),
        of.latency_factor,
        service.latency_target_seconds,
        late,
        np.array(bounds, dtype=np.float64).reshape(-1, 2) if bounds else _NO_BOUNDS,
        queue.left_over,
    )
    served = Served(
        seconds=stop - start,
        arrived_prompt_tokens=out[3],
        arrived_output_tokens=out[4],
        arrived_requests=out[5],
        served_prompt_tokens=out[6],
        served_output_tokens=out[7],
        served_requests=out[8],
        late_requests=out[9],
        failed_requests=out[8] * of.error_rate,
        queued_request_seconds=out[10],
        utilisation=out[11],
        wait_seconds=out[12],
        wait_seconds_max=out[13],
        late_of_parts=tuple(late.tolist()),
        shed_prompt_tokens=out[14],
        shed_output_tokens=out[15],
        shed_requests=out[16],
    )
    return Queue(out[0], out[1], out[2], (out[17], out[18], out[19])), served


def utilisation_to_power(service: Service, utilisation: Busy, knobs: Knobs, build: Build) -> tuple[Busy, Busy]:
    """Share of a tray's dynamic power range, and swing, of a service whose replicas are busy for ``utilisation``.

    One number for all of them, or an array of one for each; the answer has its shape.

    ``u = (idle + ρ (full − idle) ((1 − γ) + γ b) q − a [auxiliary off]) · build.power`` within 0 and 1: of a busy
    replica's power the part γ follows the batch b. Prefill spikes come as a shot noise whose variance is in proportion
    to their rate (Campbell's theorem), so the swing is ``service.swing · √ρ``.
    """
    busy = utilisation * (service.full_utilisation - service.idle_utilisation)
    busy *= (1.0 - BATCH_POWER) + BATCH_POWER * batch_of(knobs, build)
    if knobs.precision == "low":
        busy *= LOW_PRECISION_POWER
    idle = service.idle_utilisation if knobs.auxiliary else max(0.0, service.idle_utilisation - AUXILIARY_SHARE)
    if isinstance(utilisation, np.ndarray):
        return np.minimum(1.0, (idle + busy) * build.power), service.swing * np.sqrt(utilisation)
    return min(1.0, (idle + busy) * build.power), service.swing * math.sqrt(utilisation)


@njit(cache=True)
def _turned_away(left: float, share: float, came: float) -> tuple[float, float]:
    """Whole tokens or requests of what ``came`` that are turned away with what was left over, and what is left now."""
    wanted = left + share * came
    part = max(0.0, min(came, np.floor(wanted + 0.5)))
    return part, wanted - part


@njit(cache=True)
def _advance(
    prompt: NDArray[np.float64],
    output: NDArray[np.float64],
    requests: NDArray[np.float64],
    start: int,
    stop: int,
    queued_prompt: float,
    queued_output: float,
    queued_requests: float,
    live: float,
    prefill_rate: float,
    decode_rate: float,
    shares: NDArray[np.float64],
    prefill_rates: NDArray[np.float64],
    token_latency: NDArray[np.float64],
    latency_factor: NDArray[np.float64],
    target: float,
    late_of: NDArray[np.float64],
    bounds: NDArray[np.float64],
    left_over: tuple[float, float, float],
) -> tuple[float, ...]:
    """The queue of the module's docstring; arrays per second, rates [1/s], times [s], ``live`` in replicas; from
    ``shares`` on one entry per build; late requests of each are put into ``late_of``."""
    left_prompt, left_output, left_requests = left_over
    arrived_prompt = arrived_output = arrived_requests = 0.0
    served_prompt = served_output = served_requests = 0.0
    late = queued_time = busy = wait_max = 0.0
    shed_prompt = shed_output = shed_requests = 0.0
    wait = 0.0
    if live <= 0.0:
        wait = np.inf
    elif queued_prompt + queued_output > 0.0:
        wait = (queued_prompt / prefill_rate + queued_output / decode_rate) / live
    for second in range(start, stop):
        arrived_prompt += prompt[second]
        arrived_output += output[second]
        arrived_requests += requests[second]
        queued_prompt += prompt[second]
        queued_output += output[second]
        queued_requests += requests[second]
        demand = queued_prompt / prefill_rate + queued_output / decode_rate
        if live <= 0.0:
            wait = np.inf
        elif demand <= live:
            served_prompt += queued_prompt
            served_output += queued_output
            served_requests += queued_requests
            queued_prompt = queued_output = queued_requests = wait = 0.0
            busy += demand / live
        else:
            share = live / demand
            part = np.floor(share * queued_prompt + 0.5)
            served_prompt += part
            queued_prompt -= part
            part = np.floor(share * queued_output + 0.5)
            served_output += part
            queued_output -= part
            part = np.floor(share * queued_requests + 0.5)
            served_requests += part
            queued_requests -= part
            busy += 1.0
            wait = (queued_prompt / prefill_rate + queued_output / decode_rate) / live
        away = 0.0  # requests of this second that are turned away
        if live > 0.0 and wait > 0.0 and len(bounds):
            share = 0.0
            came = prompt[second] / prefill_rate + output[second] / decode_rate
            for k in range(len(bounds)):
                over = (wait - bounds[k, 0]) * live
                if over > 0.0 and came > 0.0:
                    share += bounds[k, 1] * min(1.0, over / came)
            share = min(1.0, share)
            if share > 0.0:
                part, left_prompt = _turned_away(left_prompt, share, prompt[second])
                part = min(queued_prompt, part)
                shed_prompt += part
                queued_prompt -= part
                part, left_output = _turned_away(left_output, share, output[second])
                part = min(queued_output, part)
                shed_output += part
                queued_output -= part
                away, left_requests = _turned_away(left_requests, share, requests[second])
                shed_requests += away
                queued_requests -= away
                if queued_requests < 0.0:  # rounding has served them: at most those of this second
                    served_requests += queued_requests
                    queued_requests = 0.0
            wait = (queued_prompt / prefill_rate + queued_output / decode_rate) / live
        queued_time += queued_requests
        wait_max = max(wait_max, wait)
        if requests[second] > 0.0:
            for part in range(len(shares)):
                first = prompt[second] / requests[second] / prefill_rates[part] * latency_factor[part]
                first += token_latency[part]
                if wait + first > target:
                    late += requests[second] * shares[part]
                    late_of[part] += requests[second] * shares[part]
                elif away > 0.0:
                    late += away * shares[part]
                    late_of[part] += away * shares[part]
    mean = busy / (stop - start) if stop > start else 0.0
    return (
        queued_prompt,
        queued_output,
        queued_requests,
        arrived_prompt,
        arrived_output,
        arrived_requests,
        served_prompt,
        served_output,
        served_requests,
        late,
        queued_time,
        mean,
        wait,
        wait_max,
        shed_prompt,
        shed_output,
        shed_requests,
        left_prompt,
        left_output,
        left_requests,
    )
