"""Traces from the command line: generated samples, the published files where they are, a hall of openb's own nodes."""

import json
from pathlib import Path

import pandas as pd
import pytest

from twin.results.balance import assert_balanced

DATA = Path(__file__).parents[2].parent / "shared" / "data"
REQUESTS = DATA / "azure_llm_inference_2023" / "AzureLLMInferenceTrace_conv.csv.gz"
PODS = DATA / "alibaba_openb_2023" / "openb_pod_list_default.csv.gz"
NODES = DATA / "alibaba_openb_2023" / "openb_node_list_gpu_node.csv.gz"

NODE_LIST = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"n{n},64000,262144,8,V100M32\n" for n in range(24))


def read(run: Path) -> tuple[dict, dict]:
    return tuple(json.loads((run / f"{name}.json").read_text("utf-8")) for name in ("manifest", "metrics"))  # type: ignore[return-value]


def accounted(jobs: dict) -> int:
    return sum(jobs[status] for status in ("completed", "running", "queued", "refused", "killed"))


@pytest.mark.parametrize("workload", ["azure_llm", "openb", "swf"])
def test_a_trace_reader_without_a_path_runs_on_a_sample_and_says_so(twin, tmp_path, workload):
    ended = twin("run", "hall=small", "hours=0.1", f"workload={workload}", "out=run")
    assert ended.code == 0, ended.err
    manifest, metrics = read(tmp_path / "run")
    assert manifest["workload"]["generated"] is True
    assert "generated" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert metrics["jobs"]["submitted"] == accounted(metrics["jobs"]) > 0
    assert_balanced(metrics)


@pytest.mark.parametrize("workload", ["azure_llm", "openb", "swf"])
def test_a_trace_that_is_not_there_is_refused(twin, workload):
    ended = twin("run", "hall=small", "hours=0.1", f"workload={workload}", "workload.path=nowhere.csv")
    assert ended.code == 3
    assert "nowhere.csv: workload.path: cannot be read" in ended.err


def test_a_hall_is_built_from_the_node_list(twin, tmp_path):
    (tmp_path / "nodes.csv").write_text(NODE_LIST, "utf-8")
    ended = twin("run", "hours=0.1", "workload=openb", "workload.nodes_path=nodes.csv", "out=run")
    assert ended.code == 0, ended.err
    assert "the hall is built from the nodes in nodes.csv" in ended.err
    manifest, metrics = read(tmp_path / "run")
    assert manifest["configuration"]["hall"]["name"] == "openb_nodes"
    assert manifest["workload"]["gpus_of_hall"] == 24 * 8
    assert len(manifest["nodes"]["sha256"]) == 64
    assert pd.read_parquet(tmp_path / "run" / "racks.parquet")["gpus"].sum() == 24 * 8
    assert_balanced(metrics)
    again = twin("run", "--again", "run", "out=again")
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "jobs.parquet").read_bytes() == (tmp_path / "run" / "jobs.parquet").read_bytes()


def test_a_hall_that_was_chosen_stays(twin, tmp_path):
    (tmp_path / "nodes.csv").write_text(NODE_LIST, "utf-8")
    words = ("workload=openb", "workload.nodes_path=nodes.csv", "hours=0.05")
    ended = twin("run", "hall=small", *words, "out=run")
    assert ended.code == 0, ended.err
    assert "not used: hall=small was chosen" in ended.err
    assert read(tmp_path / "run")[0]["configuration"]["hall"]["name"] == "small"
    refused = twin("run", "hall.rows=2", *words)
    assert refused.code == 3
    assert "hall.rows" in refused.err


def test_a_node_list_that_is_not_there_is_refused(twin):
    ended = twin("run", "hours=0.1", "workload=openb", "workload.nodes_path=nowhere.csv")
    assert ended.code == 3
    assert "nowhere.csv: workload.nodes_path: cannot be read" in ended.err


@pytest.mark.skipif(not REQUESTS.exists(), reason="the published request trace is not here")
def test_tokens_served_agree_with_the_request_trace(twin, tmp_path):
    words = ("workload=azure_llm", f"workload.path={REQUESTS}", "workload.scale=1", "hall=small", "hours=0.2")
    ended = twin("run", *words, "out=run")
    assert ended.code == 0, ended.err
    manifest, metrics = read(tmp_path / "run")
    assert manifest["workload"]["generated"] is False
    table = pd.read_csv(REQUESTS)
    stamps = pd.to_datetime(table["TIMESTAMP"])
    early = table[(stamps - stamps.min()).dt.total_seconds() < 720.0]
    services = pd.read_parquet(tmp_path / "run" / "services.parquet").set_index("name")
    chat = services.loc["azure_llm"]
    arrived = float(early["ContextTokens"].sum() + early["GeneratedTokens"].sum())
    assert chat["requests"] == pytest.approx(len(early), abs=1)
    assert chat["tokens_arrived"] == pytest.approx(arrived, rel=1e-3)
    assert chat["tokens_served"] + chat["tokens_backlog"] == pytest.approx(chat["tokens_arrived"], abs=0.5)
    assert chat["tokens_served"] > 0.99 * arrived
    assert_balanced(metrics)


@pytest.mark.skipif(not PODS.exists(), reason="the published pod list is not here")
@pytest.mark.parametrize("own_hall", [False, True], ids=["small", "its nodes"])
def test_published_pods_run_and_all_are_accounted_for(twin, tmp_path, own_hall):
    hall = f"workload.nodes_path={NODES}" if own_hall else "hall=small"
    ended = twin("run", "workload=openb", f"workload.path={PODS}", hall, "hours=0.2", "out=run")
    assert ended.code == 0, ended.err
    manifest, metrics = read(tmp_path / "run")
    assert manifest["workload"]["generated"] is False
    assert metrics["jobs"]["submitted"] == accounted(metrics["jobs"]) > 0
    assert_balanced(metrics)
    if own_hall:
        assert pd.read_parquet(tmp_path / "run" / "racks.parquet")["gpus"].sum() == 6212
