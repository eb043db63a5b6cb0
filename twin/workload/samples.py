"""Small traces that the project generates itself, in the published formats, for runs without a trace of one's own.

No row of a published trace is copied: rows are drawn, with a fixed seed, from distributions fitted to figures that the
publications print. Where they print none the choice is ours and says so.
"""

import csv
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from twin.workload.streams import stream

SEED = 1  # of all samples: a sample is one trace, whatever the seed of the run
HOUR = 3600
DAY = 24 * HOUR


def write_sample(name: str, directory: Path) -> Path:
    """Write the sample ``name`` (a key of ``SAMPLES``) into ``directory`` and return its path.

    The file is put in place whole, so that runs side by side may share the directory.
    """
    file_name, lines = SAMPLES[name]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name
    partial = directory / f".{file_name}.{os.getpid()}"
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines())
    partial.replace(path)
    return path


def azure_lines() -> Iterator[str]:
    """An hour of conversation requests.

    Lognormal prompts with the median 1,020 and outputs with the median 129 tokens (conversation service; Patel et al.,
    *Splitwise*, ISCA 2024); their spread, the rate of 5 requests per second and its slow swing are ours.
    """
    rng = stream(SEED, "sample", "azure_llm")
    yield "TIMESTAMP,ContextTokens,GeneratedTokens"
    second = np.arange(HOUR)
    rate = 5.0 * (1.0 + 0.25 * np.sin(2.0 * math.pi * second / HOUR))
    seconds = np.repeat(second, rng.poisson(rate))
    times = np.sort(seconds + rng.random(len(seconds)))
    prompts = np.clip(np.round(np.exp(rng.normal(math.log(1020), 0.8, len(times)))), 2, 16000)
    outputs = np.clip(np.round(np.exp(rng.normal(math.log(129), 0.9, len(times)))), 1, 2000)
    start = datetime(2023, 1, 1)
    for time, prompt, output in zip(times, prompts, outputs, strict=True):
        stamp = (start + timedelta(seconds=float(time))).isoformat(sep=" ", timespec="microseconds")
        yield f"{stamp}0,{prompt:.0f},{output:.0f}"


def openb_pod_lines() -> Iterator[str]:
    """Three days of pods.

    GPU requests in the shares that Weng et al. (USENIX ATC 2023) print for the default trace: none 13.3 %, part of one
    37.8 %, one 48.0 %, two 0.2 %, four 0.2 %, eight 0.5 %. Heavy-tailed run times (lognormal, median 10 min), the split
    of the qualities of service and one pod in nine that never runs are ours.
    """
    rng = stream(SEED, "sample", "openb")
    count = 1800
    gpus = rng.choice([0, -1, 1, 2, 4, 8], count, p=[0.133, 0.378, 0.480, 0.002, 0.002, 0.005])
    parts = rng.choice([250, 300, 400, 500, 600, 800], count)
    created = np.sort(rng.integers(0, 3 * DAY, count))
    waits = np.round(rng.exponential(20.0, count)).astype(np.int64)
    runs = np.round(np.clip(np.exp(rng.normal(math.log(600), 2.3, count)), 5, 20 * DAY)).astype(np.int64)
    quality = rng.choice(["LS", "BE", "Burstable", "Guaranteed"], count, p=[0.55, 0.42, 0.02, 0.01])
    ran = rng.random(count) > 1.0 / 9.0
    header = (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"
    )
    yield header
    for pod in range(count):
        number = 1 if gpus[pod] == -1 else int(gpus[pod])
        milli = 0 if number == 0 else (int(parts[pod]) if gpus[pod] == -1 else 1000)
        start = int(created[pod] + waits[pod])
        end = start + int(runs[pod])
        phase, scheduled = ("Running", str(start)) if ran[pod] else ("Pending", "")
        cpu = 4000 * max(1, number)
        yield _row(
            [
                f"sample-pod-{pod:04d}",
                cpu,
                4 * cpu,
                number,
                milli,
                "",
                quality[pod],
                phase,
                created[pod],
                end,
                scheduled,
            ]
        )


def openb_node_lines() -> Iterator[str]:
    """Forty nodes of one to eight GPUs, in the proportions of models ours."""
    yield "sn,cpu_milli,memory_mib,gpu,model"
    kinds = [("G2", 8, 96000, 24), ("T4", 2, 104000, 10), ("V100M32", 4, 48000, 4), ("P100", 1, 16000, 2)]
    node = 0
    for model, gpus, cpu, count in kinds:
        for _ in range(count):
            yield _row([f"sample-node-{node:03d}", cpu, 4 * cpu, gpus, model])
            node += 1


def swf_lines() -> Iterator[str]:
    """Three days of a 256-processor machine.

    Sizes are mostly powers of two, as in every log of the Parallel Workloads Archive (Feitelson, Tsafrir and Krakov,
    JPDC 74(10), 2014), with a daily cycle; run times are lognormal with requested times above them (figures ours).
    """
    rng = stream(SEED, "sample", "swf")
    count = 900
    yield "; Version: 2.2"
    yield "; Computer: generated sample, no real machine"
    yield "; MaxJobs: 900"
    yield "; MaxProcs: 256"
    yield "; Note: drawn from distributions by this project"
    day = np.clip(rng.normal(14.0, 4.0, count), 0.0, 23.99) * HOUR + rng.integers(0, 3, count) * DAY
    submits = np.sort(np.floor(day)).astype(np.int64)
    sizes = np.where(rng.random(count) < 0.75, 2 ** rng.integers(0, 8, count), rng.integers(1, 100, count))
    runs = np.round(np.clip(np.exp(rng.normal(math.log(1500), 1.4, count)), 1, 2 * DAY)).astype(np.int64)
    waits = np.round(rng.exponential(300.0, count)).astype(np.int64)
    asked = np.ceil(runs / rng.uniform(0.2, 1.0, count) / 300.0).astype(np.int64) * 300
    status = rng.choice([1, 0, 5], count, p=[0.88, 0.09, 0.03])
    for job in range(count):
        run = -1 if status[job] == 5 else runs[job]
        fields = [job + 1, submits[job], waits[job], run, sizes[job], -1, -1, sizes[job], asked[job], -1, status[job]]
        yield " ".join(str(value) for value in [*fields, 1 + job % 17, 1, -1, 1, -1, -1, -1])


def _row(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


#: file name and lines of every sample
SAMPLES: dict[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "azure_llm": ("sample_azure_llm.csv", azure_lines),
    "openb": ("sample_openb_pods.csv", openb_pod_lines),
    "openb_nodes": ("sample_openb_nodes.csv", openb_node_lines),
    "swf": ("sample.swf", swf_lines),
}
