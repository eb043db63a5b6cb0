"""The published traces, wherever they lie beside the checkout: read whole, fast, and with nothing lost."""

import csv
import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from twin.hall.reader import read_hall
from twin.workload.load import load_workload
from twin.workload.nodes import hall_mapping_from_nodes

DATA = Path(__file__).parents[2].parent / "shared" / "data"
AZURE = DATA / "azure_llm_inference_2023" / "AzureLLMInferenceTrace_conv.csv.gz"
PODS = DATA / "alibaba_openb_2023" / "openb_pod_list_default.csv.gz"
NODES = DATA / "alibaba_openb_2023" / "openb_node_list_gpu_node.csv.gz"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the published traces are not beside the checkout")

HALL = {"trays": 1152, "gpus_per_tray": 4, "seconds": 86_400.0}


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def test_raw_requests_are_the_trace(shipped, tmp_path):
    mapping = shipped("azure_llm", "scale=1") | {"path": str(AZURE)}
    workload = load_workload(mapping, **(HALL | {"seconds": 3502.0}), seed=0, cache_dir=tmp_path)
    trace = rows(AZURE)
    (service,) = workload.services
    assert service.prompt_tokens.sum() == sum(int(row["ContextTokens"]) for row in trace)
    assert service.output_tokens.sum() == sum(int(row["GeneratedTokens"]) for row in trace)
    assert service.requests.sum() == len(trace) == 19_366
    assert workload.provenance["window"]["seconds"] == 3502


def test_scaled_requests_serve_at_60_percent(shipped, tmp_path):
    mapping = shipped("azure_llm") | {"path": str(AZURE)}
    workload = load_workload(mapping, **HALL, seed=0, cache_dir=tmp_path)
    (service,) = workload.services
    work = service.prompt_tokens / service.prefill_tokens_per_second
    work = work + service.output_tokens / service.decode_tokens_per_second
    assert work[:3502].mean() / service.replicas == pytest.approx(0.60, abs=1e-3)
    raw = load_workload(mapping | {"scale": 1.0}, **HALL, seed=0, cache_dir=tmp_path).services[0]
    assert service.prompt_tokens.sum() == pytest.approx(
        raw.prompt_tokens.sum() * workload.provenance["scale"], abs=0.51
    )


def test_pods_fill_60_percent_of_the_gpus_in_their_busiest_day(shipped, tmp_path):
    workload = load_workload(shipped("openb") | {"path": str(PODS)}, **HALL, seed=0, cache_dir=tmp_path)
    seen = workload.provenance
    account = seen["files"][0]
    assert account["rows_read"] == 8_152
    assert account["rows_malformed"] == {}
    assert account["rows_set_aside"] == {"never ran (blank scheduled_time)": 897, "asks for no GPU": 1_052}
    assert seen["gpus_in_use_mean"] / seen["gpus_of_hall"] == pytest.approx(0.60, abs=0.01)

    ran = [row for row in rows(PODS) if row["scheduled_time"] and row["num_gpu"] != "0"]
    start = np.array([float(row["scheduled_time"]) for row in ran])
    end = np.array([float(row["deletion_time"]) for row in ran])
    gpus = np.array([int(row["num_gpu"]) * int(row["gpu_milli"]) / 1000 for row in ran])

    def in_use(begin: float) -> float:
        return float(
            np.sum(np.clip(np.minimum(end, begin + 86_400) - np.maximum(start, begin), 0, None) * gpus) / 86_400
        )

    best = in_use(seen["window"]["start_seconds"])
    assert best >= max(in_use(begin) for begin in np.arange(0.0, end.max() - 86_400, 7_200.0))
    assert best * seen["scale"] == pytest.approx(seen["gpus_in_use_mean"])
    flying = {job.id.rsplit("-", 1)[0] for job in workload.jobs if job.submit_seconds <= 0.0}
    begin = seen["window"]["start_seconds"]
    surely = {row["name"] for row, a, b in zip(ran, start, end, strict=True) if a < begin - 900 and b > begin + 900}
    assert surely <= flying


def test_the_node_list_is_a_hall_of_its_gpus():
    hall = read_hall(hall_mapping_from_nodes(NODES), source="nodes")
    classes = [rack.rack_class for rack in hall.racks]
    assert sum(one.trays for one in classes) == 1_213
    assert sum(one.trays * one.gpus_per_tray for one in classes) == 6_212


def test_both_traces_are_read_within_two_seconds(shipped, tmp_path):
    pods, requests = shipped("openb") | {"path": str(PODS)}, shipped("azure_llm") | {"path": str(AZURE)}
    begin = time.perf_counter()
    load_workload(pods, **HALL, seed=0, cache_dir=tmp_path)
    load_workload(requests, **HALL, seed=0, cache_dir=tmp_path)
    assert time.perf_counter() - begin < 2.0
