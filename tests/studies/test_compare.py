"""What is paired with what, what is refused, and differences worked by hand; runs are written as their two files."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from twin.__main__ import main
from twin.results.rundir import FORMAT
from twin.studies.comparison import compare
from twin.studies.pairs import Incomparable, axis_of, pair, read_members

VERSIONS = {"twin": "1", "code": "sha256:a"}


def write(folder: Path, policy: str, seed: int, *, trips=0, delivered=3600.0, load=0.7, **other) -> Path:
    """A finished run as a comparison reads it."""
    folder.mkdir(parents=True)
    hours = other.get("hours", 2.0)
    configuration = {
        "hall": {"name": "small", "rows": 1},
        "workload": {"name": "default", "load": load},
        "policy": {"name": policy},
        "seed": seed,
        "hours": hours,
    }
    manifest = {
        "format": FORMAT,
        "complete": other.get("complete", True),
        "configuration": configuration,
        "versions": other.get("versions", VERSIONS),
        "workload": {"sha256": other.get("trace", "t")},
    }
    metrics = {
        "breaker_trips_total": trips,
        "throttled_gpu_seconds": other.get("throttled", 0.0),
        "gpu_seconds_delivered": delivered,
        "waits": {"batch": {"wait_seconds_mean": 10.0 * trips}} if trips else {},
        "simulated_seconds": hours * 3600.0,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    return folder


def two_policies(tmp_path: Path, seeds=3, **other) -> list[Path]:
    """First fit trips 1, 2, 3 times, the other one time less and with half of the work."""
    runs = [write(tmp_path / f"f{seed}", "first_fit", seed, trips=seed + 1, **other) for seed in range(seeds)]
    runs += [
        write(tmp_path / f"t{seed}", "thermal_aware", seed, trips=seed, delivered=1800.0, **other)
        for seed in range(seeds)
    ]
    return runs


def test_differences_are_those_of_the_pairs(tmp_path):
    members = read_members(two_policies(tmp_path)[::-1])  # the order of the runs is no matter
    pairing = pair(members, axis_of(members), "first_fit")
    lines = {line.measure: line for line in compare(pairing)}
    trips = lines["breaker_trips_total"]
    assert (trips.baseline_mean, trips.value_mean, trips.difference.mean) == (2.0, 1.0, -1.0)
    assert (trips.less, trips.more, trips.difference.method) == (3, 0, "equal")
    rate = lines["breaker_trips_total / gpu_seconds_delivered"]
    # rates 0, 1, 2 per 1,800 against 1, 2, 3 per 3,600: differences -1, 0, 1 per 3,600, whose standard error is 1/√3
    assert rate.unit == "1/(GPU s)"
    assert rate.difference.mean == pytest.approx(0.0, abs=1e-12)
    assert rate.difference.high == pytest.approx(4.3026527 / math.sqrt(3.0) / 3600.0)
    wait = lines["waits.batch.wait_seconds_mean"]
    assert (wait.difference.pairs, wait.missing) == (2, 1)  # nothing waited where nothing tripped
    assert lines["throttled_gpu_seconds"].idle


def test_each_load_is_compared_with_itself(tmp_path):
    runs = []
    for load in (0.7, 0.9):
        runs += two_policies(tmp_path / str(load), load=load)
    members = read_members(runs)
    with pytest.raises(Incomparable, match=r"more than one thing \(policy, workload\)"):
        axis_of(members)
    pairing = pair(members, axis_of(members, "policy"))
    assert pairing.cells == ("workload.load=0.7", "workload.load=0.9")
    assert [len(pairing.pairs(cell, "thermal_aware")) for cell in pairing.cells] == [3, 3]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"versions": {**VERSIONS, "twin": "2"}}, "versions: twin differs between these runs (1, 2)"),
        ({"versions": {**VERSIONS, "code": "sha256:b"}}, "versions: code differs"),
        ({"hours": 3.0}, "length: runs of different length"),
        ({"complete": False}, "b: was stopped before its end"),
        ({"trace": "u"}, "has an input file changed?"),
        ({"load": 0.9}, "more than one thing (policy, workload)"),
    ],
)
def test_what_is_not_comparable_is_refused_and_why(tmp_path, capsys, other, said):
    write(tmp_path / "a", "first_fit", 1)
    write(tmp_path / "b", "thermal_aware", 1, **other)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 3
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_other_worlds_are_named(tmp_path, capsys):
    write(tmp_path / "a", "first_fit", 1)
    write(tmp_path / "b", "thermal_aware", 2, load=0.9)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--by", "policy"]) == 3
    assert "different worlds: no two runs differ in policy alone" in (told := capsys.readouterr().err)
    assert "seed is 1 and 2" in told and "workload.load is 0.7 and 0.9" in told


def test_a_comparison_leaves_its_pages_and_one_pair_is_no_answer(tmp_path, capsys):
    sweep = tmp_path / "sweep"
    two_policies(sweep, throttled=7.0)
    assert main(["compare", str(sweep), "--by", "policy", "--baseline", "thermal_aware", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["baseline"] == "thermal_aware"
    assert {line["measure"]: line["difference"] for line in found["lines"]}["breaker_trips_total"] == 1.0
    pages = sweep / "compare-policy"
    assert sorted(page.name for page in pages.iterdir()) == [f"compare.{end}" for end in ("csv", "html", "md", "png")]
    frame = pd.read_csv(pages / "compare.csv").set_index("measure")
    assert frame.loc["gpu_seconds_delivered", "difference"] == 1800.0
    assert "| breaker trips |  | 1 | 2 | +1 in all 3 | 3 | equal |" in (pages / "compare.md").read_text("utf-8")
    assert "<svg" in (pages / "compare.html").read_text("utf-8")
    pair_of_runs = [str(sweep / name) for name in ("f0", "t0")]
    assert main(["compare", *pair_of_runs, "--out", str(tmp_path / "one")]) == 2
    assert "one pair has no spread" in capsys.readouterr().out


def test_what_is_asked_for_has_to_be_there(tmp_path, capsys):
    runs = list(map(str, two_policies(tmp_path, seeds=1)))
    for words, said in (
        (["--by", "polcy"], "no such key"),
        (["--by", "hall"], "is the same in all of these runs"),
        (["--by", "policy", "--baseline", "best_fit"], "policy is first_fit, thermal_aware"),
        (["--level", "95"], "give a share below 1"),
    ):
        assert main(["compare", *runs, *words]) == 3
        assert said in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "nowhere"), *runs]) == 3
    assert "no such directory" in capsys.readouterr().err
