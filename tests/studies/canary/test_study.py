"""A study of a few racks from population to directory: same numbers in any order, after a break, on two workers."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from twin.cli.canary import main
from twin.policy.canary import Strategy
from twin.studies.canary import no_effect
from twin.studies.canary.parts import FOLDER, Done, carry_out, kept
from twin.studies.canary.population import Effect
from twin.studies.canary.settings import TrialTimes, read_settings, shipped
from twin.studies.canary.study import candidates_of, carried_out, episodes_of, gathered
from twin.studies.canary.truth import Schedule
from twin.studies.canary.written import write
from twin.studies.work import on_cores, one_by_one

#: 16 racks on four loops, a replica on each; soaks of minutes
BASE = (
    "hall=small", "hall.rows=2", "hall.racks_per_row=8", "hall.facility.capacity_fraction=1.3",
    "policy=first_fit", "policy/rollout=default", "policy.rollout.window_seconds=60",
    "policy.rollout.plan.stages=[{name: canary, share: 0.0, racks: 3, at_a_time: 3, soak_seconds: 240, judged: true}]",
    "+policy.rollout.plan.in_cell=false", "policy.rollout.plan.staging_tests=[]", "policy.rollout.judge.controls=13",
    "workload.load=1.0", "workload.shares={training: 0.0, inference: 1.0, batch: 0.0, backup: 0.0}",
    "workload.services.chat.share=1.0", "workload.services.code.share=0.0",
    "workload.services.chat.trays_per_replica=18", "workload.services.code.trays_per_replica=18",
    "workload.services.chat.diurnal_amplitude=0.0", "workload.services.chat.noise=0.0",
    "workload.services.chat.mean_utilisation=0.4",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny():
    return replace(
        read_settings(shipped(), {}), builds=3, worlds=1, strategies=(Strategy.RANDOM, Strategy.COOLEST), base=BASE,
        mixes={"inference": ()}, states={"calm": ()}, truth=Schedule(900.0, 30.0, 2, 60.0, 400.0),
        trial=TrialTimes(1_500.0, 10.0), effects={"error_rate": Effect(1.0, {"calm": 0.005})},
    )  # fmt: skip


@pytest.fixture(scope="module")
def carried(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    candidates = candidates_of(tiny)
    episodes = episodes_of(tiny, candidates, folder)
    done = list(carried_out(episodes, one_by_one, lambda count: None))
    return candidates, episodes, done, folder


def test_truth_is_the_error_rate_and_verdicts_are_the_judges(tiny, carried):
    candidates, episodes, done, _ = carried
    assert len(episodes) == 1 + 3 + 3 * 2  # without, with, and each strategy's canary
    found = gathered(tiny, candidates, done)
    assert found.failed == ()
    for row, each in zip(found.builds.to_dict("records"), candidates, strict=True):
        assert row["harm_margins"] == pytest.approx(max(0.0, each.size), abs=0.01)
        assert row["measure"] == ("error_share" if each.size > 0.0 else "")
        assert row["truth"] == ("bad" if each.size > 1.0 else "good")
    verdicts = found.verdicts
    assert (verdicts["canaries"].str.split(",").map(len) == 3).all() and (verdicts["controls"] == 13).all()
    told = verdicts[verdicts["by"] == "judge"]
    assert len(told) and (told["seconds_to_verdict"] > 240.0).all()  # up, and a look
    assert (verdicts["right"] == ((verdicts["verdict"] != "pass") == verdicts["bad"])).all()
    assert (verdicts.loc[verdicts["right"], "cause"] == "").all() and (
        verdicts.loc[~verdicts["right"], "cause"] != ""
    ).all()


@pytest.fixture
def two_seeds(tiny, carried, tmp_path):
    """A study in two directories, the second as if it were of another seed."""
    candidates, _, done, _ = carried
    folders = [tmp_path / name for name in ("first", "second")]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        write(folder, replace(tiny, seed=seed), gathered(tiny, candidates, done))
    return folders


def test_studies_of_two_seeds_are_told_as_one(two_seeds, tmp_path, capsys):
    """Every count is twice that of one of them, every build stands under its seed, and rates are what they were."""
    assert main(["--pool", *map(str, two_seeds[::-1]), f"out={tmp_path / 'both'}", "--json"]) in (0, 2)
    told = json.loads(capsys.readouterr().out)
    for both, one in zip(told, pd.read_csv(two_seeds[0] / "strategies.csv").to_dict("records"), strict=True):
        for count in ("true_positives", "false_positives", "true_negatives", "false_negatives"):
            assert both[count] == 2 * one[count]
        assert both["balanced_accuracy"] == one["balanced_accuracy"] or pd.isna(one["balanced_accuracy"])
    builds = pd.read_csv(tmp_path / "both" / "builds.csv")["build"]
    assert builds.is_unique and [name.split()[1] for name in builds] == ["0"] * 3 + ["1"] * 3
    verdicts = [pd.read_csv(folder / "verdicts.csv") for folder in (*two_seeds, tmp_path / "both")]
    whole = pd.concat(verdicts[:2], ignore_index=True)
    pd.testing.assert_frame_equal(whole.drop(columns="build"), verdicts[2].drop(columns="build"))
    manifest = json.loads((tmp_path / "both" / "manifest.json").read_text())
    assert manifest["seeds"] == [0, 1] and list(manifest["commits"]) == ["0", "1"]


def test_what_is_no_study_of_other_seeds_is_not_pooled(two_seeds, tmp_path, capsys):
    first, second = map(str, two_seeds)
    path = two_seeds[1] / "manifest.json"
    kept = json.loads(path.read_text())
    out = f"out={tmp_path / 'both'}"

    def refused(*words):
        assert main(["--pool", *words, out]) == 3
        return capsys.readouterr().err

    assert "seed = 0: is counted already" in refused(first, first)
    assert "no runs" in refused(first, second, "builds=3") and "leave" in refused(first, second, "seed=3").lower()
    assert main(["--pool", out]) == 3 and "no directory" in capsys.readouterr().err
    assert main(["--pool", first, second, f"out={first}"]) == 3
    assert "is one of the studies" in capsys.readouterr().err
    path.write_text(json.dumps({**kept, "settings": {**kept["settings"], "near": 0.5}}))
    assert "near = 0.5: differs from that of" in refused(first, second)
    path.write_text(json.dumps({**kept, "format": "another"}))
    assert "is not that of a canary study of one seed" in refused(first, second)
    path.unlink()
    assert "manifest.json: cannot be read" in refused(first, second)
    path.write_text(json.dumps(kept))
    (two_seeds[1] / "verdicts.csv").write_text("")
    assert "verdicts.csv: cannot be read" in refused(first, second)
    assert not (tmp_path / "both").exists()  # nothing half-written


def test_neither_order_nor_workers_nor_a_break_changes_a_byte(tiny, carried, tmp_path):
    candidates, episodes, done, _ = carried
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    write(first, tiny, gathered(tiny, candidates, done))
    moved = [replace(each, folder=str(second)) for each in episodes]
    for each in moved[::3]:  # as if it had been interrupted after these
        assert carry_out(each).failed == ""
    (second / FOLDER / f"{moved[0].digest}.json").write_text("{")  # half a file counts for nothing
    assert kept(moved[0]) is None
    counts = []
    again = list(carried_out(moved[::-1], on_cores(2), counts.append))
    assert counts[0] == 3 and counts[-1] == len(episodes)
    write(second, tiny, gathered(tiny, candidates, again))
    for name in ("builds.csv", "truth.csv", "verdicts.csv", "strategies.csv", "summary.md", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert sorted(path.name for path in (first / "figures").iterdir()) == ["accuracy.png", "risk.png", "sizes.png"]
    assert list(pd.read_csv(first / "strategies.csv")["strategy"]) == ["random", "coolest"]


def test_a_failed_episode_is_told_and_not_fatal(tiny, carried):
    candidates, episodes, done, _ = carried
    broken = carry_out(replace(episodes[1], service="no such service"))
    assert broken.found is None and "no such service" in broken.failed
    found = gathered(tiny, candidates, [broken if each.key == broken.key else each for each in done])
    assert [each.key for each in found.failed] == [broken.key]
    assert len(found.builds) == 2 and set(found.verdicts["build"]) == set(found.builds["build"])


def test_a_part_depends_on_what_it_is_made_of(carried):
    _, episodes, _, _ = carried
    one = next(each for each in episodes if each.strategy is Strategy.RANDOM)
    others = [
        replace(one, words=(*one.words, "seed=9")), replace(one, strategy=Strategy.STRESS),
        replace(one, version="another"), replace(one, trial=TrialTimes(1_501.0)), replace(one, judge_alone=True),
    ]  # fmt: skip
    assert len({each.digest for each in (one, *others)}) == 6
    assert replace(one, truth=Schedule(8_000.0)).digest == one.digest  # a canary knows nothing of the truth's schedule


MARGIN_KELVIN = 3.0  # of the shipped judge, conf/policy/rollout/default.yaml


def test_releases_without_effect_are_seen_by_racks_and_by_samples(tiny, tmp_path):
    episodes = no_effect.episodes_of(tiny, 2, 1, 0.3, tmp_path)
    table = no_effect.table_of([carry_out(each) for each in episodes])
    assert list(table["kind"]) == ["same", "same", "twice"]
    assert set(table["verdict"][:2]) <= {"pass", "inconclusive"}
    harm = table["temperature_harm_kelvin"].astype(float)
    assert (abs(harm[:2]) < 1.0).all() and harm[2] > MARGIN_KELVIN
    assert (table["rack_p"].astype(float)[:2] > 0.01).all() and table["rack_p"].astype(float)[2] < 0.01


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["builds=some"], "builds"),
        (["strategies=coldest"], "coolest"),
        (["mood=good"], "mood"),
        (["settings=nowhere.yaml"], "nowhere.yaml"),
        (["runs=5"], "--aa"),
        (["workers=0"], "workers"),
    ],
)
def test_what_cannot_be_is_refused(words, said, capsys):
    assert main(words) == 3
    assert said in capsys.readouterr().err


def test_no_results_are_told_as_such(tiny, carried):
    candidates, _, done, _ = carried
    assert gathered(tiny, candidates, [Done(each.key, None, "lost") for each in done]).verdicts.empty
    assert json.loads(json.dumps(tiny.plain()))["builds"] == 3
