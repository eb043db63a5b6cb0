"""Trace readers on small files made by hand: every row ends in one place, and nothing wrong passes unnamed."""

import gzip
import json
import re

import numpy as np
import pytest

from twin.hall.reader import read_hall
from twin.workload.faults import WorkloadError
from twin.workload.jobs import JobKind
from twin.workload.load import load_workload
from twin.workload.nodes import hall_mapping_from_nodes
from twin.workload.openb import tray_demand

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"


def load(mapping, tmp_path, *, trays=8, gpus=4, seconds=60.0, seed=0):
    return load_workload(
        mapping, trays=trays, gpus_per_tray=gpus, seconds=seconds, seed=seed, cache_dir=tmp_path / "cache"
    )


def write(tmp_path, text, name="trace.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def refusal(mapping, tmp_path, **keys):
    with pytest.raises(WorkloadError) as caught:
        load(mapping, tmp_path, **keys)
    return str(caught.value)


def complete(account):
    return account["rows_read"] == (
        account["rows_used"] + sum(account["rows_malformed"].values()) + sum(account["rows_set_aside"].values())
    )


# --- Azure ---


def azure(shipped, path, *overrides):
    return shipped("azure_llm", *overrides) | {"path": str(path)}


REQUESTS = (
    AZURE
    + "2023-11-16 18:00:00.2500000,100,10\n2023-11-16 18:00:00.9999999,50,5\n2023-11-16 18:00:03.0000000,1000,200\n"
)


def test_requests_are_binned_repeated_and_scaled(shipped, tmp_path):
    workload = load(azure(shipped, write(tmp_path, REQUESTS), "scale=1"), tmp_path, seconds=7.0)
    (service,) = workload.services
    assert service.prompt_tokens.tolist() == [150, 0, 1000, 150, 0, 1000, 150]  # 2.75 s after the first: second 2
    assert service.output_tokens.tolist() == [15, 0, 200, 15, 0, 200, 15]
    assert service.requests.tolist() == [2, 0, 1, 2, 0, 1, 2]
    thrice = load(azure(shipped, write(tmp_path, REQUESTS), "scale=2.5"), tmp_path, seconds=7.0).services[0]
    assert thrice.prompt_tokens.sum() == 2.5 * 2450
    assert abs(np.cumsum(thrice.output_tokens) - 2.5 * np.cumsum(service.output_tokens)).max() <= 0.5


def test_default_scale_makes_the_service_60_percent_busy(shipped, tmp_path):
    workload = load(azure(shipped, write(tmp_path, REQUESTS)), tmp_path, trays=100, seconds=3.0)
    (service,) = workload.services
    work = service.prompt_tokens.sum() / service.prefill_tokens_per_second
    work += service.output_tokens.sum() / service.decode_tokens_per_second
    assert work / (3 * service.replicas) == pytest.approx(0.60, abs=1e-4)
    assert workload.provenance["scale_chosen"] == "mean utilisation 0.6"
    assert workload.provenance["window"]["seconds"] == 3


def test_only_the_inference_demand_is_replaced(shipped, tmp_path):
    real = load(azure(shipped, write(tmp_path, REQUESTS)), tmp_path, trays=1000, seconds=3600.0)
    drawn = load(shipped("default"), tmp_path, trays=1000, seconds=3600.0)

    def trays(workload, serving):
        flying = [job for job in workload.jobs if job.submit_seconds <= 0.0]
        return sum(job.trays for job in flying if (job.kind is JobKind.INFERENCE) == serving)

    assert abs(trays(real, False) - trays(drawn, False)) <= 4
    assert abs(trays(real, True) - trays(drawn, True)) <= 4
    assert {job.kind for job in real.jobs} == {job.kind for job in drawn.jobs}
    assert {job.service for job in real.jobs} == {None, "azure_llm"}


def test_gzip_plain_unsorted_and_zoned_files_are_the_same_trace(shipped, tmp_path):
    plain = load(azure(shipped, write(tmp_path, REQUESTS), "scale=1"), tmp_path)
    packed = tmp_path / "trace.gz"
    packed.write_bytes(gzip.compress(REQUESTS.encode()))
    head, *rows = REQUESTS.splitlines()
    shuffled = write(tmp_path, "\r\n".join([head, rows[2], rows[0] + "\r\n", rows[1]]), "unsorted.csv")
    zoned = write(tmp_path, re.sub(r"(\.\d{7})", r"\1+00:00", REQUESTS), "zoned.csv")
    for path in (packed, shuffled, zoned):
        again = load(azure(shipped, path, "scale=1"), tmp_path)
        assert np.array_equal(again.services[0].prompt_tokens, plain.services[0].prompt_tokens)
        assert again.jobs == plain.jobs
    assert load(azure(shipped, shuffled), tmp_path).provenance["files"][0]["rows_out_of_order"] == 1


BAD_REQUESTS = AZURE + (
    "2023-11-16 18:00:00,100,10\n"
    "2023-11-16 18:00:01,,10\n"
    "soon,100,10\n"
    "2023-11-16 18:00:02,100\n"
    "2023-11-16 18:00:02,100,10,7\n"
    "2023-11-16 18:00:02,-5,10\n"
    "2023-11-16 18:00:02,nan,10\n"
    "2023-11-16 18:00:02,1.5,10\n"
    "\n"
    "2023-11-16 18:00:03,many,10\n"
)


def test_malformed_rows_are_counted_by_reason_and_named_by_line(shipped, tmp_path):
    account = load(azure(shipped, write(tmp_path, BAD_REQUESTS)), tmp_path).provenance["files"][0]
    assert (account["rows_read"], account["rows_used"]) == (9, 1)
    assert account["malformed_examples"] == [
        "line 3: ContextTokens is blank",
        "line 4: TIMESTAMP is not a time",
        "line 5: too few fields",
        "line 6: 3 fields expected",
        "line 7: ContextTokens is negative",
        "line 8: ContextTokens is not finite",
        "line 9: ContextTokens is not a whole number",
        "line 11: ContextTokens is not a number",
    ]
    assert complete(account)


def test_malformed_rows_are_refused_where_asked(shipped, tmp_path):
    path = write(tmp_path, BAD_REQUESTS)
    lines = refusal(azure(shipped, path, "malformed=refuse"), tmp_path).splitlines()
    assert len(lines) == 8
    assert lines[0] == f"{path}: line 3: ContextTokens is blank; mend the row, or set malformed=skip"


def test_broken_files_are_refused_with_a_remedy(shipped, tmp_path):
    missing = tmp_path / "none.csv"
    assert refusal(azure(shipped, missing), tmp_path) == (
        f"{missing}: workload.path: cannot be read (No such file or directory); give workload.path a file that is there"
    )
    short = tmp_path / "short.gz"
    short.write_bytes(gzip.compress((REQUESTS * 50).encode())[:-20])
    assert refusal(azure(shipped, short), tmp_path) == (
        f"{short}: the gzip file ends too early (truncated); fetch it again"
    )
    damaged = tmp_path / "damaged.gz"
    content = bytearray(gzip.compress(REQUESTS.encode()))
    content[-6] ^= 0xFF  # in the checksum
    damaged.write_bytes(bytes(content))
    assert "the gzip file is damaged" in refusal(azure(shipped, damaged), tmp_path)
    other = write(tmp_path, "time,tokens\n1,2\n")
    assert refusal(azure(shipped, other), tmp_path) == (
        f"{other}: line 1: the header has no column TIMESTAMP, ContextTokens, GeneratedTokens; it has time, tokens, "
        "this format needs TIMESTAMP, ContextTokens, GeneratedTokens"
    )
    for nothing in ("", AZURE):
        assert str(write(tmp_path, nothing)) in refusal(azure(shipped, write(tmp_path, nothing)), tmp_path)
    strange = write(tmp_path, AZURE + "2023-11-16 18:00:00,1,1\n2093-11-16 18:00:00,1,1\n")
    assert "its times span 25,568 days" in refusal(azure(shipped, strange), tmp_path)


def test_a_folder_is_no_trace(shipped, tmp_path):
    assert "cannot be read (Is a directory)" in refusal(azure(shipped, tmp_path), tmp_path)


def test_a_window_of_the_requests_sets_the_others_aside(shipped, tmp_path):
    mapping = azure(shipped, write(tmp_path, REQUESTS), "scale=1", "window_start_seconds=0.5", "window_seconds=2")
    workload = load(mapping, tmp_path, seconds=4.0)
    assert workload.services[0].prompt_tokens.tolist() == [50, 0, 50, 0]
    account = workload.provenance["files"][0]
    assert account["rows_set_aside"] == {"outside the window": 2}
    assert complete(account)


# --- OpenB ---


def openb(shipped, path, *overrides):
    return shipped("openb", *overrides) | {"path": str(path)}


def pod(name, gpus, milli, qos, created, deleted, scheduled):
    return f"{name},4000,16000,{gpus},{milli},,{qos},Running,{created},{deleted},{scheduled}\n"


def test_pods_are_sorted_by_what_they_ask(shipped, tmp_path):
    text = PODS + (
        pod("a", 1, 1000, "LS", 0, 500, 0)
        + pod("b", 1, 460, "BE", 10, 400, 12)
        + pod("c", 8, 1000, "LS", 20, 600, 20)
        + pod("d", 2, 1000, "Burstable", 30, 300, 31)
        + pod("e", 0, 0, "LS", 40, 300, 41)
        + pod("f", 1, 1000, "LS", 50, 400, "")
        + pod("g", 1, 1000, "LS", 60, 60, 60)
        + pod("h", 1, 0, "LS", 60, 70, 60)
        + pod("i", 1, 1000, "LS", 60, 50, 60)
        + pod("a", 1, 1000, "LS", 0, 500, 0)
        + pod("j", 1, 1200, "LS", 0, 500, 0)
        + pod("k", "x", 1000, "LS", 0, 500, 0)
    )
    workload = load(openb(shipped, write(tmp_path, text), "scale=1"), tmp_path, seconds=600.0)
    assert [(job.id, job.kind.value, job.trays, job.gpus) for job in workload.jobs] == [
        ("a-000", "inference", 1, 1),
        ("b-000", "batch", 1, 1),
        ("c-000", "training", 2, None),
        ("d-000", "training", 1, 2),
    ]
    assert [job.preemptible for job in workload.jobs] == [False, True, False, False]
    account = workload.provenance["files"][0]
    assert account["rows_set_aside"] == {
        "asks for no GPU": 1,
        "never ran (blank scheduled_time)": 1,
        "ran for no time": 1,
    }
    assert account["malformed_examples"] == [
        "line 9: gpu_milli is 0 although num_gpu is not",
        "line 10: times are not in the order created, scheduled, deleted",
        "line 11: name is a duplicate",
        "line 12: gpu_milli is above 1000",
        "line 13: num_gpu is not a number",
    ]
    assert complete(account)
    assert workload.provenance["gpus_asked"] == pytest.approx(11.46)
    json.dumps(workload.provenance)


def test_trays_of_a_pod():
    assert tray_demand(1, 1000, 4) == (1, 4, 0.25, 1.0)
    assert tray_demand(1, 460, 4) == (1, 8, 0.115, 0.46)  # two on a GPU
    assert tray_demand(1, 810, 4) == (1, 4, 0.2025, 0.81)
    assert tray_demand(2, 1000, 4) == (1, 2, 0.5, 2.0)
    assert tray_demand(8, 1000, 4) == (2, 1, 1.0, 8.0)
    assert tray_demand(8, 1000, 8) == (1, 1, 1.0, 8.0)
    assert tray_demand(5, 1000, 4) == (2, 1, 0.625, 5.0)


def test_default_scale_is_60_percent_of_the_halls_gpus(shipped, tmp_path):
    # 4 + 6 GPUs all day: 10; a hall of 100 × 4 GPUs at 60 %: 24 copies
    text = PODS + pod("a", 4, 1000, "LS", 0, 90000, 0) + pod("b", 4, 1000, "BE", 0, 90000, 0)
    text += pod("c", 2, 1000, "BE", 0, 90000, 0)
    workload = load(openb(shipped, write(tmp_path, text), "jitter_minutes=0"), tmp_path, trays=100, seconds=600.0)
    assert workload.provenance["scale"] == 24
    assert workload.provenance["gpus_in_use_mean"] == 240.0
    assert sum(job.trays for job in workload.jobs) == 24 + 24 + 12 == workload.provenance["trays_in_use_mean"]


def test_a_window_without_pods_is_refused(shipped, tmp_path):
    path = write(tmp_path, PODS + pod("a", 1, 1000, "LS", 0, 500, 0))
    message = refusal(openb(shipped, path, "window_start_seconds=1000"), tmp_path)
    assert message == (
        f"{path}: no job runs in the window from 1000 s of 86400 s; the trace runs from 0 to 500 s: "
        "mend workload.window_start_seconds or leave it null"
    )
    assert "scale = 1.5: must be a whole number of at least 1" in refusal(openb(shipped, path, "scale=1.5"), tmp_path)


def test_a_hall_is_built_of_a_node_list(tmp_path):
    nodes = "".join(
        f"n{number},64000,1,{gpus},{model}\n"
        for number, (gpus, model) in enumerate([(8, "G2")] * 30 + [(2, "T4")] * 20 + [(1, "XX9")] * 3 + [(0, "")] * 2)
    )
    hall = read_hall(
        hall_mapping_from_nodes(write(tmp_path, "sn,cpu_milli,memory_mib,gpu,model\n" + nodes)), source="nodes"
    )
    assert sum(rack.rack_class.trays for rack in hall.racks) == 53
    assert sum(rack.rack_class.trays * rack.rack_class.gpus_per_tray for rack in hall.racks) == 30 * 8 + 20 * 2 + 3
    assert all(rack.loop is None for rack in hall.racks)
    assert max(rack.rack_class.max_power_watts for rack in hall.racks) < 25_000.0


def test_a_single_node_is_a_hall(tmp_path):
    path = write(tmp_path, "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,8,G3\n")
    hall = read_hall(hall_mapping_from_nodes(path), source="nodes")
    assert [rack.rack_class.gpus_per_tray for rack in hall.racks] == [8]


def test_the_node_list_is_accounted_for(shipped, tmp_path):
    pods = write(tmp_path, PODS + pod("a", 1, 1000, "LS", 0, 500, 0))
    nodes = write(tmp_path, "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,8,G3\nm,1,1,0,\nn,1,1,8,G3\n", "nodes.csv")
    files = load(openb(shipped, pods, f"nodes_path={nodes}"), tmp_path).provenance["files"]
    assert files[1]["rows_set_aside"] == {"has no GPU": 1}
    assert files[1]["rows_malformed"] == {"sn is a duplicate": 1}


# --- Standard Workload Format ---

LOG = """; Version: 2.2
; MaxProcs: 64
;
  1   0  5  100  8 -1 -1  8  200 -1 1 1 1 1 1 1 -1 -1
  2  10 -1  300 -1 -1 -1  4   -1 -1 1 1 1 1 1 1 -1 -1
  3  20  5   -1  8 -1 -1  8  200 -1 5 1 1 1 1 1 -1 -1
  4  30  5  100 -1 -1 -1 -1  200 -1 1 1 1 1 1 1 -1 -1
  5  40  5   50  8 -1 -1  8  200 -1 2 1 1 1 1 1 -1 -1
  6  50  5  100  8 -1 -1  8  200 -1 1 1 1 1 1 1 -1
  7  60  5  abc  8 -1 -1  8  200 -1 1 1 1 1 1 1 -1 -1
  8  70  0 60.5  2 -1 -1  2  200 -1 0 1 1 1 1 1 -1 -1
  1  80  0   60  2 -1 -1  2  200 -1 0 1 1 1 1 1 -1 -1
"""


def swf(shipped, path, *overrides):
    return shipped("swf", *overrides) | {"path": str(path)}


def test_a_log_in_the_standard_workload_format(shipped, tmp_path):
    workload = load(swf(shipped, write(tmp_path, LOG, "log.swf"), "scale=1"), tmp_path, seconds=600.0)
    rows = [
        (job.id, job.kind.value, job.submit_seconds, job.trays, job.gpus, job.estimate_seconds) for job in workload.jobs
    ]
    # the window begins with the first job's start, at 5 s
    assert rows[0] == ("swf-1-000", "training", 0.0, 2, None, 200.0)
    assert rows[1][:5] == ("swf-2-000", "batch", 5.0, 1, None)
    assert 300.0 <= rows[1][5] <= 1200.0  # no requested time: drawn from the accuracy
    assert rows[2] == ("swf-8-000", "batch", 65.0, 1, 2, 200.0)
    durations = [sum(phase.seconds for phase in job.startup) + job.work_seconds for job in workload.jobs]
    assert durations == pytest.approx([100.0, 300.0, 60.5])
    account = workload.provenance["files"][0]
    assert account["rows_set_aside"] == {
        "never ran (no run time)": 1,
        "no processors known": 1,
        "partial execution (status 2, 3 or 4)": 1,
    }
    assert account["malformed_examples"] == [
        "line 9: too few fields",
        "line 10: a field is not a number",
        "line 12: job number is a duplicate",
    ]
    assert complete(account)
    assert workload.provenance["header"] == {"Version": "2.2", "MaxProcs": "64"}


def test_processors_per_tray_maps_the_machine(shipped, tmp_path):
    path = write(tmp_path, LOG, "log.swf")
    workload = load(swf(shipped, path, "scale=1", "processors_per_tray=2"), tmp_path, seconds=600.0)
    assert [job.trays for job in workload.jobs] == [4, 2, 1]
    assert [job.gpus for job in workload.jobs] == [None, None, None]


# --- samples and the door ---


@pytest.mark.parametrize("kind", ["azure_llm", "openb", "swf"])
def test_without_a_path_a_sample_is_generated_and_said(shipped, tmp_path, kind):
    first = load(shipped(kind), tmp_path, trays=72, seconds=3600.0)
    again = load(shipped(kind), tmp_path, trays=72, seconds=3600.0)
    assert first.jobs == again.jobs
    assert first.provenance == again.provenance
    assert first.provenance["generated"] is True
    account = first.provenance["files"][0]
    assert account["rows_malformed"] == {}
    assert account["rows_used"] > 500
    assert complete(account)
    assert len(first.jobs) > 5
    given = load(shipped(kind) | {"path": account["path"]}, tmp_path, trays=72, seconds=3600.0)
    assert given.provenance["generated"] is False
    assert given.jobs == first.jobs


def test_an_unknown_kind_is_refused(tmp_path):
    assert refusal({"kind": "azure"}, tmp_path) == (
        "workload: kind = 'azure': must be one of synthetic, random_jobs, azure_llm, openb, swf; "
        "did you mean azure_llm?"
    )
