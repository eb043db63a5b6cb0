"""The scenario library under several policies, from records whose answer is known by hand."""

import json

import pytest

from twin.__main__ import main
from twin.studies.ledger import METRICS, REFUSED, Case, Ledger, key_of, run_cases
from twin.studies.library import TOUR, Study, conclude, frame, tour


def record(trips=0, throttled=0.0, delivered=100.0, jobs=2, wait=10.0):
    return {
        METRICS: {
            "breaker_trips_total": trips,
            "throttled_gpu_seconds": throttled,
            "gpu_seconds_delivered": delivered,
            "gpu_temperature_celsius_max": 80.0 + trips,
            "jobs": {"refused": trips},
            "waits": {"batch": {"jobs": jobs, "wait_seconds_mean": wait}} if jobs else {},
        }
    }


def test_a_tour_adds_what_adds_and_weighs_waits_by_jobs():
    found = tour([record(1, 5.0, jobs=3, wait=10.0)[METRICS], record(2, 7.0, jobs=1, wait=50.0)[METRICS]])
    assert (found["breaker_trips_total"], found["throttled_gpu_seconds"], found["jobs"]["refused"]) == (3, 12.0, 3)
    assert found["waits"]["batch"]["wait_seconds_mean"] == 20.0
    assert found["gpu_temperature_celsius_max"] == 82.0


def test_reductions_are_per_work_and_by_tours():
    """Storm: first fit throttles 10 GPU-seconds of 100, the other 1 of 50; per work that is a fifth. Calm: nothing."""
    study = Study(("calm", "storm", "broken"), ("first_fit", "thermal_aware"), seeds=20)
    records = {}
    for seed in range(20):
        for policy in study.policies:
            first = policy == "first_fit"
            records[study.case("calm", policy, seed)] = record(delivered=0.0)
            storm = record(int(first), 10.0 if first else 1.0, 100.0 if first else 50.0)
            records[study.case("storm", policy, seed)] = storm
            records[study.case("broken", policy, seed)] = record() if first else {REFUSED: ["no flags"]}
    found = conclude(study, records)
    throttling = next(each for each in found.reductions if each.measure == "throttled_gpu_seconds")
    assert throttling.change.estimate == pytest.approx(-0.8)
    assert found.calm == {"thermal_aware": ("calm",)}
    assert found.left_out == {"broken": "under thermal_aware: no flags"}
    lines = {(line.cell, line.measure): line for line in found.lines}
    assert lines[TOUR, "gpu_seconds_delivered"].difference.mean == -50.0
    assert lines["storm", "breaker_trips_total"].less == 20
    assert set(frame(found)["story"]) == {TOUR, "calm", "storm"}


def test_a_ledger_goes_on_where_it_was_stopped_and_order_is_no_matter(tmp_path):
    """A study that is stopped in the middle of a line, taken up by two workers in another order, is the same study."""
    words = ("hall=small", "hours=0.02", "policy=first_fit")
    cases = [Case(words, seed) for seed in (1, 2)]

    def one_by_one(function, arguments):
        return map(function, arguments)

    whole = run_cases(cases, Ledger(tmp_path / "a.jsonl"), one_by_one)
    text = (tmp_path / "a.jsonl").read_text("utf-8")
    (tmp_path / "b.jsonl").write_text(text[: len(text) * 3 // 4], "utf-8")
    made = []

    def counted(function, arguments):
        made.extend(arguments)
        return map(function, arguments)

    again = run_cases(cases[::-1], Ledger(tmp_path / "b.jsonl"), counted)
    assert again == whole and made == [cases[1]]
    kept = Ledger(tmp_path / "b.jsonl")
    assert [kept.get(case) for case in cases] == [whole[case] for case in cases]
    assert key_of(cases[0]) != key_of(cases[1]) != key_of(Case((*words, "workload.load=0.5"), 2))


def test_a_value_that_is_too_long_for_a_name_is_no_file():
    assert key_of(Case(("workload=" + "x" * 5_000,), 1))


@pytest.mark.parametrize(
    ("word", "option"), [("policy=cap_all", "--policies"), ("scenario=none", "--stories"), ("+seed=3", "--seeds")]
)
def test_words_that_the_study_sets_itself_are_refused(word, option, capsys):
    assert main(["compare", "--library", word]) == 3
    assert f"'{word}'" in (told := capsys.readouterr().err) and option in told


@pytest.mark.long
def test_aware_against_traditional_over_the_short_stories(tmp_path, capsys):
    """All short stories, 20 seeds: refusing all work is no more trouble than first fit, and delivers least."""
    assert main(["compare", "--library", "--short", "--json", f"out={tmp_path}"]) == 0
    found = json.loads(capsys.readouterr().out)
    tours = {(each["policy"], each["measure"]): each for each in found["lines"] if each["story"] == TOUR}
    assert (
        tours["refuse_all", "gpu_seconds_delivered"]["value_mean"]
        < tours["cap_all", "gpu_seconds_delivered"]["value_mean"]
    )
    for measure in ("breaker_trips_total", "throttled_gpu_seconds"):
        assert tours["refuse_all", measure]["high"] <= 0.0
        assert all(tours[policy, measure]["pairs"] == 20 for policy in ("thermal_aware", "refuse_all"))
    assert {path.name for path in tmp_path.iterdir()} >= {"runs.jsonl", "library.csv", "compare.html", "compare.png"}
